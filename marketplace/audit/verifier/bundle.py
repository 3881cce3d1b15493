"""The bundle as plain values: every member checked for its type before anything looks at it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from marketplace.audit.verifier import succession
from marketplace.audit.verifier.succession import Statement
from marketplace.audit.verifier.text import Unreadable, mapping, read, read_canonical, string

MAX_BYTES = 256 * 1024 * 1024
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """An entry as the bundle gives it.  body: exact text; proof: hashes from leaf to root."""

    index: int
    body: str
    proof: tuple[bytes, ...]

    @cached_property
    def content(self) -> dict[str, Any]:
        """The parsed body, empty when it is not a canonical object."""
        try:
            value = read_canonical(self.body)
        except Unreadable:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def name(self) -> str:
        return f"entry {self.index} ({string(self.content, 'id') or 'no id'})"

    @property
    def tag(self) -> str:
        return string(self.content, "tag") or ""

    @property
    def agreement(self) -> str | None:
        return string(self.content, "subject", "agreement")

    @property
    def facts(self) -> dict[str, Any]:
        return mapping(self.content, "facts")


@dataclass(frozen=True)
class Signature:
    """A detached JWS with the key that should check it, and what the bundle says of it."""

    signer: str
    kid: str
    alg: str
    typ: str
    jws: str
    jwk: dict[str, Any]


@dataclass(frozen=True)
class Document:
    """A cited document.  sha256: the name it goes by."""

    sha256: str
    kind: str
    body: str
    signatures: tuple[Signature, ...]

    @cached_property
    def content(self) -> dict[str, Any]:
        """The parsed body, empty when it is not a canonical object."""
        try:
            value = read_canonical(self.body)
        except Unreadable:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def name(self) -> str:
        return f"{self.kind} {self.sha256}"

    @property
    def true_hash(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()


@dataclass(frozen=True)
class Growth:
    """What shows that the bundle's tree extends an older one.  checkpoint: the older one's note, if it is at hand."""

    old_size: int
    old_root: bytes
    proof: tuple[bytes, ...]
    checkpoint: str | None


@dataclass(frozen=True)
class Bundle:
    """Everything in one file."""

    origin: str
    checkpoint: str
    entries: tuple[Entry, ...]
    documents: dict[str, Document]
    log_key: str
    witness_key: str
    growth: tuple[Growth, ...]
    receipts: tuple[str, ...]
    statements: tuple[Statement, ...]


def read_bundle(data: bytes) -> Bundle:
    """Read a bundle file.  Raises Unreadable."""
    if len(data) > MAX_BYTES:
        raise Unreadable(f"longer than {MAX_BYTES} bytes")
    try:
        value = read(data.decode())
    except UnicodeDecodeError as error:
        raise Unreadable("not UTF-8") from error
    if string(value, "bundle") != "v1":
        raise Unreadable("not a bundle: the member `bundle` is not `v1`")
    documents = [_document(item, f"documents[{i}]") for i, item in enumerate(_list(value, "documents"))]
    named = {one.sha256: one for one in documents}
    if len(named) != len(documents):
        raise Unreadable("the bundle holds a document twice")
    entries = tuple(_entry(item, f"entries[{i}]") for i, item in enumerate(_list(value, "entries")))
    keys = mapping(value, "keys")
    return Bundle(
        _string(value, "origin", "bundle"),
        _string(value, "checkpoint", "bundle"),
        entries,
        named,
        string(keys, "log") or "",
        string(keys, "witness") or "",
        tuple(_growth(item, f"consistency[{i}]") for i, item in enumerate(_optional(value, "consistency"))),
        tuple(_receipt(item, f"receipts[{i}]") for i, item in enumerate(_optional(value, "receipts"))),
        tuple(succession.read(item, f"statements[{i}]") for i, item in enumerate(_optional(value, "statements"))),
    )


def _entry(value: Any, where: str) -> Entry:
    return Entry(_number(value, "index", where), _string(value, "body", where), _path(value, where))


def _growth(value: Any, where: str) -> Growth:
    root = _string(value, "old_root", where)
    if not _HASH.fullmatch(root):
        raise Unreadable(f"{where}.old_root is not a hash")
    old_size = _number(value, "old_size", where)
    return Growth(old_size, bytes.fromhex(root), _path(value, where), string(value, "checkpoint"))


def _receipt(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise Unreadable(f"{where} is not a JWS")
    return value


def _number(value: Any, name: str, where: str) -> int:
    found = value.get(name) if isinstance(value, dict) else None
    if type(found) is not int or found < 0:
        raise Unreadable(f"{where}.{name} is not a number of entries")
    return found


def _path(value: Any, where: str) -> tuple[bytes, ...]:
    proof = _list(value, "proof")
    if len(proof) > 64 or not all(isinstance(one, str) and _HASH.fullmatch(one) for one in proof):
        raise Unreadable(f"{where}.proof is not a list of at most 64 hashes")
    return tuple(bytes.fromhex(one) for one in proof)


def _optional(value: Any, name: str) -> list[Any]:
    return _list(value, name) if isinstance(value, dict) and name in value else []


def _document(value: Any, where: str) -> Document:
    name = _string(value, "sha256", where)
    if not _HASH.fullmatch(name):
        raise Unreadable(f"{where}.sha256 is not a hash")
    signatures = tuple(_signature(one, f"{where}.signatures[{i}]") for i, one in enumerate(_list(value, "signatures")))
    return Document(name, _string(value, "kind", where), _string(value, "body", where), signatures)


def _signature(value: Any, where: str) -> Signature:
    signer, kid, alg, typ, jws = (_string(value, name, where) for name in ("signer", "kid", "alg", "typ", "jws"))
    return Signature(signer, kid, alg, typ, jws, mapping(value, "jwk"))


def _string(value: Any, name: str, where: str) -> str:
    found = string(value, name)
    if found is None:
        raise Unreadable(f"{where} has no text `{name}`")
    return found


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise Unreadable(f"there is no list `{name}`")
    return found
