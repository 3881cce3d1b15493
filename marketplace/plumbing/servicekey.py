"""The instance's own key in the data folder, and the secret that outlives it.

`service-key.pem` signs manifests and receipts, and the secret of access tokens derives from it.
`service-key.next.pem` is there while a rotation is under way.
`pseudonym-secret.bin` appears with the first rotation: pseudonyms must stay the same under a new key.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from marketplace.kernel.errors import Conflict
from marketplace.kernel.signing import SigningKey, generate_key, load_private_key

KEY_FILE = "service-key.pem"
NEXT_FILE = "service-key.next.pem"
SECRET_FILE = "pseudonym-secret.bin"  # noqa: S105 - a file name


class RotationUnfinished(Conflict):
    """A rotation of the service key was begun and not finished."""


def service_key(folder: Path) -> SigningKey:
    """The instance's own key, made on first start, mode 0600.  Raises RotationUnfinished."""
    if (folder / NEXT_FILE).exists():
        raise RotationUnfinished(
            "a rotation of the service key was begun", action="run `marketplace keys rotate service` again"
        )
    return present_key(folder)


def present_key(folder: Path) -> SigningKey:
    """The key in use, made when there is none; for the rotation itself."""
    path = folder / KEY_FILE
    if not path.exists():
        _place(path, generate_key().to_pem())
    return load_private_key(path.read_bytes())


def pseudonym_secret(folder: Path) -> bytes:
    """What the pseudonyms of agreements derive from: the first service key's hash, also after rotations; 32 bytes."""
    path = folder / SECRET_FILE
    return path.read_bytes() if path.exists() else hashlib.sha256(present_key(folder).to_pem()).digest()


def next_key(folder: Path) -> SigningKey:
    """The key that is to follow, made and durable when this returns; asking again gives the same one."""
    _place(folder / SECRET_FILE, pseudonym_secret(folder))
    _place(folder / NEXT_FILE, generate_key().to_pem())
    return load_private_key((folder / NEXT_FILE).read_bytes())


def put_in_use(folder: Path) -> None:
    """Let the next key be the present one; the old private key is destroyed."""
    (folder / NEXT_FILE).replace(folder / KEY_FILE)
    _sync(folder)


def _place(path: Path, content: bytes) -> None:
    """Write a file of mode 0600, durable; never replaces one that is there or that another process made meanwhile."""
    if path.exists():
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
