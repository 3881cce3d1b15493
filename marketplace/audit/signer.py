"""The log signer: a process with its own key that signs only heads which extend the last head it signed.

`python -m marketplace.audit.signer --folder F --origin O (--socket PATH | --host H --port P)`
It imports no database and no settings: whoever rewrites the database cannot make it sign another history.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from marketplace.audit import standalone
from marketplace.audit.heldstate import Head, HeldState
from marketplace.audit.note import SIGNATURE, NoteKey, TreeHead
from marketplace.audit.tree import verify_consistency

MAX_PROOF = 63


class Refused(Exception):
    """The head is not signed.  status: HTTP status of the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True)
class SignRequest:
    """A head to sign and the proof that it extends the last one."""

    origin: str
    old_size: int
    head: Head
    proof: list[bytes]


class Signer:
    """Judges, persists, then signs; one request at a time."""

    def __init__(self, held: HeldState) -> None:
        self._held = held
        self._key: NoteKey = held.key(held.origin, SIGNATURE)
        self._one_at_a_time = threading.Lock()

    def sign(self, asked: SignRequest) -> str:
        """The signed checkpoint.  Raises Refused with 409 unless the head extends the last one signed."""
        with self._one_at_a_time:
            last = self._held.head()
            if asked.origin != self._held.origin:
                raise Refused(409, f"this signer signs for {self._held.origin}")
            if asked.old_size != last.size or asked.head.size < last.size:
                raise Refused(409, "the last head signed is another one")
            if not verify_consistency(last.size, asked.head.size, asked.proof, last.root, asked.head.root):
                raise Refused(409, "the head does not extend the last one signed")
            if asked.head != last:
                self._held.swap(last, asked.head)
            text = TreeHead(asked.origin, asked.head.size, asked.head.root).text
            return f"{text}\n{self._key.sign(text)}"

    def app(self) -> Starlette:
        """The web application."""
        return Starlette(
            routes=[
                Route("/sign", self._answer, methods=["POST"]),
                Route("/state", self._state),
                Route("/livez", standalone.livez),
            ]
        )

    async def _answer(self, request: Request) -> Response:
        try:
            asked = read_request(await standalone.body_of(request))
            signed = await run_in_threadpool(self.sign, asked)
        except ValueError as error:
            return JSONResponse({"detail": str(error)}, status_code=400)
        except Refused as error:
            head = self._held.head()
            answer = {"detail": str(error), "size": head.size, "root": head.root.hex()}
            return JSONResponse(answer, status_code=error.status)
        return JSONResponse({"checkpoint": signed})

    def _state(self, _request: Request) -> JSONResponse:
        return standalone.state_answer(self._held, self._key.verifier)


def read_request(body: bytes) -> SignRequest:
    """Read a sign request.  Raises ValueError."""
    try:
        content: dict[str, Any] = json.loads(body)
        sizes = (content["old_size"], content["size"])
        proof = [bytes.fromhex(one) for one in content["proof"]]
        asked = SignRequest(str(content["origin"]), sizes[0], Head(sizes[1], bytes.fromhex(content["root"])), proof)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a sign request: {error}") from error
    whole = all(type(size) is int and 0 <= size < 1 << 62 for size in sizes)
    if not whole or len(proof) > MAX_PROOF or any(len(one) != 32 for one in [*proof, asked.head.root]):
        raise ValueError("not a sign request: sizes are whole numbers, hashes 32 bytes, at most 63 in the proof")
    return asked


@standalone.ends_with_a_sentence
def main() -> None:
    """Run the signer until told to stop."""
    options = standalone.arguments("log signer").parse_args()
    standalone.run(Signer(standalone.held_state(options)).app(), options)


if __name__ == "__main__":
    main()
