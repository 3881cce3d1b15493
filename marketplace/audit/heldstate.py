"""What the log signer and the witness each hold outside the database: one key, one tree head, in a folder of their own.

The head is a compare-and-swap file: it is durable before anything is answered, and only one process opens the folder.
Losing it is final: a process that has a key but no head refuses to start, because it could not keep its promise.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from marketplace.audit.note import NoteKey
from marketplace.audit.tree import EMPTY_ROOT
from marketplace.kernel.errors import Conflict

KEY_FILE = "key.pem"
STATE_FILE = "state.json"
VERIFIER_FILE = "verifier.key"


class StateRefused(Conflict):
    """The folder cannot be used: in use elsewhere, damaged, of another log, or its head is lost."""


class HeadMoved(RuntimeError):
    """The head is not the one that was expected."""


@dataclass(frozen=True)
class Head:
    """The last head signed.  root: 32 bytes; the empty tree has EMPTY_ROOT."""

    size: int
    root: bytes


class HeldState:
    """The folder of one signer or witness, locked for as long as the process lives."""

    def __init__(self, folder: Path, origin: str, *, wait_seconds: float = 0) -> None:
        """wait_seconds: how long the process that holds the folder may take to end.  Raises StateRefused."""
        self.folder, self.origin = folder, origin
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(self._lock, wait_seconds)
        except OSError as error:
            os.close(self._lock)
            raise StateRefused(f"{folder} is in use by another process; stop that one first") from error
        if not (folder / STATE_FILE).exists():
            self._begin()
        self.head()

    def head(self) -> Head:
        """The head on disk.  Raises StateRefused when it cannot be read or belongs to another log."""
        try:
            content = json.loads((self.folder / STATE_FILE).read_text())
            found = Head(int(content["size"]), bytes.fromhex(content["root"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateRefused(f"{self.folder / STATE_FILE} is not readable: {error}") from error
        if content.get("origin") != self.origin:
            raise StateRefused(f"{self.folder} belongs to the log {content.get('origin')}, not {self.origin}")
        return found

    def swap(self, expected: Head, new: Head) -> None:
        """Replace the head, durable when it returns.  Raises HeadMoved when the present head is another."""
        if self.head() != expected:
            raise HeadMoved(f"expected the head at {expected.size}, found {self.head().size}")
        self._write(new)

    def continue_under(self, origin: str, head: Head) -> None:
        """Go on under a new origin from a head; the state that ends here is kept beside, never deleted.

        Asking again for the origin that is held already changes nothing.  Raises HeadMoved when that one has grown.
        """
        if origin == self.origin:
            self.swap(head, head)
            return
        ended = self.head()
        name = f"former-{self.origin.replace('/', '_')}-{ended.size}.json"
        write_durably(self.folder / name, (self.folder / STATE_FILE).read_bytes())
        self.origin = origin
        self._write(head)

    def close(self) -> None:
        """Let another process use the folder."""
        os.close(self._lock)

    def key(self, name: str, kind: int) -> NoteKey:
        """The key of this folder, made on first start; its public half is written beside it."""
        path = self.folder / KEY_FILE
        if not path.exists():
            if self.head().size:
                raise StateRefused(f"{path} is missing although a head was signed; restore the key")
            make_key(path)
        key = NoteKey(name, kind, read_key(path))
        write_durably(self.folder / VERIFIER_FILE, f"{key.verifier}\n".encode(), mode=0o644)
        return key

    def _begin(self) -> None:
        # The head is written before the key, so a key without a head means that the head was lost.
        if (self.folder / KEY_FILE).exists():
            raise StateRefused(f"{self.folder / STATE_FILE} is lost; a key without its head must not sign again")
        self._write(Head(0, EMPTY_ROOT))

    def _write(self, head: Head) -> None:
        _write_state(self.folder, self.origin, head)


def held_origin(folder: Path) -> str | None:
    """The origin that a folder keeps a head for; None when it has no readable head."""
    try:
        return str(json.loads((folder / STATE_FILE).read_text())["origin"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def held_head(folder: Path) -> Head | None:
    """The head that a folder keeps, read without taking the folder; None when there is none to read."""
    try:
        content = json.loads((folder / STATE_FILE).read_text())
        return Head(int(content["size"]), bytes.fromhex(content["root"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def begin_again(folder: Path, origin: str, head: Head) -> None:
    """Give a folder whose head is lost a head to go on from; only a recovery does this.

    Raises StateRefused while there is a head: it would be rolled back.
    """
    if held_head(folder) is not None:
        raise StateRefused(f"{folder} has a head, nothing is lost")
    _write_state(folder, origin, head)


def read_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 private key from a file.  Raises StateRefused."""
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise StateRefused(f"{path} is not a readable private key: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise StateRefused(f"{path} is not an Ed25519 key")
    return private


def make_key(path: Path) -> Ed25519PrivateKey:
    """A fresh private key, durable in a file of mode 0600 when this returns."""
    private = Ed25519PrivateKey.generate()
    write_durably(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return private


def _write_state(folder: Path, origin: str, head: Head) -> None:
    content = {"origin": origin, "size": head.size, "root": head.root.hex()}
    write_durably(folder / STATE_FILE, json.dumps(content).encode())


def _lock(handle: int, wait_seconds: float) -> None:
    """Lock a file.  Raises OSError when another process keeps it."""
    limit = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= limit:
                raise
            time.sleep(0.05)
        else:
            return


def write_durably(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file so that after a crash it holds either the old or the new bytes, and after return the new."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
