"""Speaking to the log signer and the witness, and the public keys they sign with."""

from __future__ import annotations

import base64
import socket as socket_module
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from marketplace.audit.heldstate import VERIFIER_FILE, Head
from marketplace.audit.note import BadNote, TreeHead, VerifierKey, open_checkpoint, parse_note
from marketplace.audit.statements import under_origin
from marketplace.kernel.errors import Conflict, Unavailable
from marketplace.settings import Settings

TIMEOUT_SECONDS = 5.0


class LogSilent(Unavailable):
    """The log signer or the witness does not answer."""


class LogRefused(Conflict):
    """The log signer or the witness does not sign this head."""


@dataclass(frozen=True)
class FormerKey:
    """A key that was replaced, or is called otherwise since a recovery.  until: largest tree size it may have signed.

    since: when it ended; statement: SHA-256 of the document that says so.
    """

    key: VerifierKey
    until: int
    since: datetime
    statement: str


@dataclass(frozen=True)
class LogKeys:
    """The public keys that a checkpoint of this instance must be signed with, and those of the past."""

    origin: str
    log: VerifierKey
    witness: VerifierKey
    former: tuple[FormerKey, ...] = ()

    def open(self, signed: str) -> TreeHead:
        """The tree head of a checkpoint that log and witness signed with keys that were theirs at its size.

        Raises BadNote.
        """
        note = parse_note(signed)
        head = TreeHead.parse(note.text)
        for role in (self.log, self.witness):
            known = [one.key for one in self.former if one.key.kind == role.kind and head.size <= one.until]
            fit = [one for one in (role, *known) if any(one.key_id == line.key_id for line in note.signatures)]
            for key in fit or [role]:
                note.verify(key)
        if head.origin not in {self.origin, *(one.key.name for one in self.former)}:
            raise BadNote("a checkpoint of another log", expected=self.origin, got=head.origin)
        return head


@dataclass(frozen=True)
class PeerState:
    """Origin and head that a process holds, and its verifier key."""

    origin: str
    head: Head
    key: str


class Peer:
    """One of the two processes, at an address or on a unix socket."""

    def __init__(self, name: str, url: str, socket: Path | None = None) -> None:
        self.name, self._socket = name, socket
        # A proxy of the environment must not stand between us and the key.
        transport = httpx2.HTTPTransport(uds=str(socket)) if socket else httpx2.HTTPTransport()
        self._http = httpx2.Client(
            transport=transport, base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False
        )

    def answer(self, method: str, path: str, **content: Any) -> httpx2.Response:
        """Call it.  Raises LogSilent, LogRefused."""
        try:
            self._knock()
            response = self._http.request(method, path, **content)
        except (httpx2.HTTPError, OSError) as error:
            raise LogSilent(f"the {self.name} does not answer: {type(error).__name__}", action="start it") from error
        if response.status_code >= 500:
            raise LogSilent(f"the {self.name} failed", got=str(response.status_code), action="look at its output")
        if response.status_code >= 400:
            raise LogRefused(
                f"the {self.name} refused: {response.text.strip()[:300]}",
                got=str(response.status_code),
                action="run `marketplace audit fsck`: the database may have been changed",
            )
        return response

    def _knock(self) -> None:
        # The HTTP client leaves its socket open when a unix socket does not accept, so that is asked first.
        if self._socket is not None:
            with socket_module.socket(socket_module.AF_UNIX) as probe:
                probe.settimeout(TIMEOUT_SECONDS)
                probe.connect(str(self._socket))

    def state(self) -> PeerState:
        """What it says of itself.  Raises LogSilent."""
        content = self.answer("GET", "/state").json()
        head = Head(int(content["size"]), bytes.fromhex(content["root"]))
        return PeerState(str(content["origin"]), head, str(content["key"]))

    def head(self) -> Head:
        """The last head it signed.  Raises LogSilent."""
        return self.state().head

    def alive(self) -> bool:
        """Whether it answers."""
        try:
            return self.answer("GET", "/livez").status_code == 200
        except (LogSilent, LogRefused):
            return False

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class LogClient:
    """Signer and witness together: a head goes in, a cosigned checkpoint comes out."""

    def __init__(self, signer: Peer, witness: Peer, keys: LogKeys) -> None:
        self.signer, self.witness, self.keys = signer, witness, keys

    def sign(self, old_size: int, head: Head, proof: Sequence[bytes]) -> str:
        """The log's signed checkpoint.  Raises LogSilent, LogRefused, BadNote when the answer is not what was asked."""
        asked = {
            "origin": self.keys.origin,
            "old_size": old_size,
            "size": head.size,
            "root": head.root.hex(),
            "proof": [one.hex() for one in proof],
        }
        signed = str(self.signer.answer("POST", "/sign", json=asked).json()["checkpoint"])
        if open_checkpoint(signed, self.keys.log) != TreeHead(self.keys.origin, head.size, head.root):
            raise BadNote("the log signer signed another head than it was asked for")
        return signed

    def cosign(self, old_size: int, signed: str, proof: Sequence[bytes]) -> str:
        """The checkpoint with the witness's line added.  Raises LogSilent, LogRefused, BadNote."""
        lines = "".join(f"{base64.b64encode(one).decode()}\n" for one in proof)
        answer = self.witness.answer("POST", "/add-checkpoint", content=f"old {old_size}\n{lines}\n{signed}".encode())
        cosigned = signed + answer.text
        open_checkpoint(cosigned, self.keys.log, self.keys.witness)
        return cosigned

    def close(self) -> None:
        """Close the connections."""
        self.signer.close()
        self.witness.close()


def public_keys(settings: Settings) -> LogKeys:
    """The keys that checkpoints are checked with: from settings, else from the folders of the child processes.

    Raises LogSilent when a folder has no key yet.
    """
    log = _key(settings.log_signer_public_key, settings.data_folder / "log-signer")
    return LogKeys(
        settings.log_origin,
        VerifierKey.parse(under_origin(str(log), settings.log_origin)),
        _key(settings.witness_public_key, settings.data_folder / "witness"),
    )


def has_keys(settings: Settings) -> bool:
    """Whether both public keys are known."""
    try:
        return bool(public_keys(settings))
    except LogSilent:
        return False


def _key(line: str, folder: Path) -> VerifierKey:
    path = folder / VERIFIER_FILE
    if not line and not path.exists():
        raise LogSilent(
            f"no public key in {folder.name}", action="start the log signer and the witness, or set the key"
        )
    return VerifierKey.parse(line or path.read_text())
