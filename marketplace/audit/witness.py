"""The witness: a process of another party that cosigns a checkpoint only when it extends the last one it cosigned.

`python -m marketplace.audit.witness --folder F --origin O --name N --log-key K (--socket PATH | --host H --port P)`
It speaks the `add-checkpoint` call of C2SP tlog-witness, so that other logs' tools and other witnesses fit.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from marketplace.audit import standalone
from marketplace.audit.handover import cosign_recovery, follow
from marketplace.audit.heldstate import Head, HeldState
from marketplace.audit.note import COSIGNATURE, BadNote, Note, NoteKey, TreeHead, VerifierKey, parse_note
from marketplace.audit.statements import StatementFile
from marketplace.audit.tree import verify_consistency
from marketplace.kernel.clock import SystemClock

MAX_PROOF = 63
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class Refused(Exception):
    """The checkpoint is not cosigned.  status: HTTP status; size: last size cosigned, for a 409."""

    def __init__(self, status: int, detail: str, size: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.size = status, size


@dataclass(frozen=True)
class Submission:
    """An add-checkpoint request, parsed and not yet judged."""

    old_size: int
    proof: list[bytes]
    note: Note
    head: TreeHead


class Witness:
    """Judges, persists, then cosigns; one request at a time."""

    def __init__(self, held: HeldState, name: str, log_key: VerifierKey) -> None:
        self._held, self._log_key = held, log_key
        self._key: NoteKey = held.key(name, COSIGNATURE)
        self._one_at_a_time = threading.Lock()

    def cosign(self, asked: Submission) -> str:
        """A cosignature line, once the checkpoint is on disk as the last one.  Raises Refused."""
        self._judge_signature(asked)
        with self._one_at_a_time:
            last, new = self._held.head(), Head(asked.head.size, asked.head.root)
            if asked.old_size != last.size or (new.size == last.size and new.root != last.root):
                raise Refused(409, "the last checkpoint cosigned is another one", last.size)
            if not verify_consistency(last.size, new.size, asked.proof, last.root, new.root):
                raise Refused(422, "the consistency proof does not hold")
            if new != last:
                self._held.swap(last, new)
            return self._key.sign(asked.note.text, int(time.time()))

    def _judge_signature(self, asked: Submission) -> None:
        if asked.head.origin != self._held.origin:
            raise Refused(404, "unknown log")
        try:
            asked.note.verify(self._log_key)
        except BadNote as error:
            raise Refused(403, str(error)) from error
        if asked.old_size > asked.head.size:
            raise Refused(400, "the old size exceeds the checkpoint's")

    def app(self) -> Starlette:
        """The web application."""
        return Starlette(
            routes=[
                Route("/add-checkpoint", self._answer, methods=["POST"]),
                Route("/state", self._state),
                Route("/livez", standalone.livez),
            ]
        )

    async def _answer(self, request: Request) -> Response:
        try:
            asked = read_submission(await standalone.body_of(request))
            line = await run_in_threadpool(self.cosign, asked)
        except (ValueError, BadNote) as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        except Refused as error:
            if error.size is not None:
                return Response(f"{error.size}\n", status_code=error.status, media_type="text/x.tlog.size")
            return PlainTextResponse(f"{error}\n", status_code=error.status)
        return PlainTextResponse(line)

    def _state(self, _request: Request) -> JSONResponse:
        return standalone.state_answer(self._held, self._key.verifier)


def read_submission(body: bytes) -> Submission:
    """Read an add-checkpoint request: old size, proof lines, a blank line, the checkpoint.

    Raises ValueError, BadNote.
    """
    head, gap, checkpoint = body.decode("utf-8").partition("\n\n")
    lines = head.split("\n")
    old = _OLD.fullmatch(lines[0])
    if not gap or old is None or len(lines) > MAX_PROOF + 1:
        raise ValueError("expected `old N`, at most 63 proof lines, a blank line and a checkpoint")
    try:
        proof = [base64.b64decode(line, validate=True) for line in lines[1:]]
    except binascii.Error as error:
        raise ValueError("a proof line is not base64") from error
    if any(len(one) != 32 for one in proof):
        raise ValueError("a proof line is not a SHA-256 hash")
    note = parse_note(checkpoint)
    return Submission(int(old[1]), proof, note, TreeHead.parse(note.text))


@standalone.ends_with_a_sentence
def main() -> None:
    """Run the witness until told to stop."""
    parser = standalone.arguments("witness")
    parser.add_argument("--name", required=True, help="name of this witness in cosignature lines")
    parser.add_argument("--recover", type=Path, help="cosign this recovery statement in its file, then end")
    known = parser.add_mutually_exclusive_group()
    known.add_argument("--log-key", help="verifier key of the log")
    known.add_argument("--log-key-file", type=Path, help="file with the verifier key of the log; waited for 30 s")
    options = parser.parse_args()
    if options.recover is not None:
        cosign_recovery(options.folder, StatementFile.read(options.recover), SystemClock().now()).write(options.recover)
        return
    if not (options.log_key or options.log_key_file):
        parser.error("one of the arguments --log-key --log-key-file is required")
    log_key = VerifierKey.parse(options.log_key or _await_file(options.log_key_file))
    held = standalone.held_state(options)
    log_key = follow(options.folder, log_key, held.origin)
    standalone.run(Witness(held, options.name, log_key).app(), options)


def _await_file(path: Path) -> str:
    for _ in range(300):
        if path.exists():
            break
        time.sleep(0.1)
    return path.read_text()


if __name__ == "__main__":
    main()
