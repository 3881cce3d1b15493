"""The parties' private keys: each in a folder of its own, opened only by client code and never by the server."""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from marketplace.client.signer import SignerAddress
from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.errors import Conflict, Invalid, NotFound
from marketplace.kernel.signing import SigningKey, generate_key, load_private_key

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class NoSuchParty(NotFound):
    """This folder holds no key of that party."""


class PartyExists(Conflict):
    """This party has a key already."""


class KeyExposed(Invalid):
    """The private key can be read by others."""


class BadPartyName(Invalid):
    """The name of a party is not a plain file name."""


@dataclass(frozen=True)
class Party:
    """A party's own key and, once it is admitted, its participant id.

    signer: the service that signs its documents, None: the key does; the key proves who calls in either case.
    """

    name: str
    key: SigningKey
    participant_id: str | None
    signer: SignerAddress | None = None


class KeyFolder:
    """Key pairs as `<folder>/<party>/key.pem` (mode 0600) with `party.json` {participant id, public key} beside it.

    A party that has its documents signed elsewhere puts `signer.json` {url, jwk} there too.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, name: str, algorithm: str = "EdDSA") -> Party:
        """Make a key pair for a party; the file is whole or absent.  Raises PartyExists; never replaces a key."""
        folder = self._folder(name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = generate_key(algorithm)
        temporary = _write_beside(folder / "key.pem", key.to_pem())
        try:
            os.link(temporary, folder / "key.pem")
        except FileExistsError as error:
            raise PartyExists("this party has a key already", got=name, action="load it") from error
        finally:
            temporary.unlink()
        self._describe(name, key, None)
        return Party(name, key, None)

    def load(self, name: str) -> Party:
        """A party with its private key.  Raises NoSuchParty, KeyExposed, BadKey, BadSignerAddress."""
        path = self._folder(name) / "key.pem"
        if not path.is_file():
            raise NoSuchParty("this folder holds no key of that party", got=name)
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise KeyExposed("the private key can be read by others", expected="mode 0600", got=f"mode {mode:04o}")
        return Party(name, load_private_key(path.read_bytes()), self._participant_id(name), self._signer(name))

    def open(self, name: str, algorithm: str = "EdDSA") -> Party:
        """Load a party, or create it the first time."""
        try:
            return self.load(name)
        except NoSuchParty:
            return self.create(name, algorithm)

    def enrol(self, name: str, participant_id: str) -> Party:
        """Note the id that a party got when it was admitted."""
        party = self.load(name)
        self._describe(name, party.key, participant_id)
        return Party(name, party.key, participant_id, party.signer)

    def names(self) -> list[str]:
        """The parties that have a key here, by name."""
        return sorted(path.parent.name for path in self.root.glob("*/key.pem"))

    def _describe(self, name: str, key: SigningKey, participant_id: str | None) -> None:
        body = {"participant_id": participant_id, "jwk": key.public_jwk}
        target = self._folder(name) / "party.json"
        temporary = _write_beside(target, (json.dumps(body, indent=2, sort_keys=True) + "\n").encode())
        temporary.replace(target)

    def _participant_id(self, name: str) -> str | None:
        path = self._folder(name) / "party.json"
        found = read_strictly(path.read_bytes())["participant_id"] if path.is_file() else None
        return str(found) if found is not None else None

    def _signer(self, name: str) -> SignerAddress | None:
        path = self._folder(name) / "signer.json"
        return SignerAddress.read(path.read_bytes()) if path.is_file() else None

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise BadPartyName("not a party name", expected="lower-case letters, digits, - and _", got=repr(name)[:80])
        return self.root / name


def _write_beside(target: Path, content: bytes) -> Path:
    """A durable temporary file of mode 0600 in the same folder."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
