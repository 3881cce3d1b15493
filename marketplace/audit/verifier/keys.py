"""Signatures: C2SP notes with Ed25519, and detached JWS (RFC 7515, 7797) with Ed25519 or ES256."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from marketplace.audit.verifier.text import Unreadable, read

LOG, WITNESS = 0x01, 0x04
MAX_NOTE = 32_768
MAX_JWS = 16_384


class NotSigned(ValueError):
    """The signature does not hold."""


@dataclass(frozen=True)
class NoteKey:
    """A verifier key of a log (kind 0x01) or witness (kind 0x04)."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]


@dataclass(frozen=True)
class TreeHead:
    """What a checkpoint says.  text: the signed bytes as text."""

    origin: str
    size: int
    root: bytes
    text: str
    lines: tuple[tuple[str, bytes], ...]


def read_key(line: str, kind: int) -> NoteKey:
    """Read a verifier key of the form name+hex+base64.  Raises NotSigned."""
    name, _, rest = line.strip().partition("+")
    key_id, _, material = rest.partition("+")
    raw = _base64(material)
    key = NoteKey(name, kind, raw[1:])
    if not name or len(raw) != 33 or raw[0] != kind or key.id.hex() != key_id:
        raise NotSigned(f"not a verifier key of the expected kind: {line[:80]}")
    return key


def read_checkpoint(note: str) -> TreeHead:
    """Read a checkpoint, nothing verified yet.  Raises NotSigned."""
    text, gap, rest = note.rpartition("\n\n")
    body = text.split("\n")
    if len(note) > MAX_NOTE or not gap or len(body) != 3 or not rest.endswith("\n"):
        raise NotSigned("the checkpoint is not a signed note of three lines")
    digits = body[1]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19 and str(int(digits)) == digits):
        raise NotSigned("the checkpoint's size is not a number")
    root = _base64(body[2])
    lines = tuple(_signature_line(line) for line in rest[:-1].split("\n"))
    if len(root) != 32:
        raise NotSigned("the checkpoint's root is not a hash")
    return TreeHead(body[0], int(digits), root, text + "\n", lines)


def check_note(head: TreeHead, key: NoteKey) -> int | None:
    """Check a key's line on a checkpoint; the time of a cosignature, else None.  Raises NotSigned."""
    mine = [raw[4:] for name, raw in head.lines if name == key.name and raw[:4] == key.id]
    if not mine:
        raise NotSigned(f"no signature line of {key.name} with key id {key.id.hex()}")
    at = int.from_bytes(mine[0][:8]) if key.kind == WITNESS else None
    raw = mine[0] if at is None else mine[0][8:]
    message = head.text if at is None else f"cosignature/v1\ntime {at}\n{head.text}"
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(raw, message.encode())
    except (InvalidSignature, ValueError) as error:
        raise NotSigned(f"the signature line of {key.name} is not made with its key") from error
    return at


def check_statement(note: str, sha256: str, key: NoteKey) -> None:
    """Check a key's line under the note of a statement about the log, which names the statement's hash.

    Raises NotSigned.
    """
    text, gap, rest = note.rpartition("\n\n")
    if len(note) > MAX_NOTE or not gap or f"{text}\n" != f"log-statement/v1\nsha256:{sha256}\n":
        raise NotSigned("the note is not about this statement")
    lines = tuple(_signature_line(line) for line in rest.split("\n") if line)
    check_note(TreeHead("", 0, b"", f"{text}\n", lines), key)


def check_jws(jws: str, payload: bytes, jwk: dict[str, Any], *, typ: str, kid: str, alg: str) -> None:
    """Check a detached JWS over exact bytes.

    kid: the key's RFC 7638 thumbprint; it, `typ` and `alg` must stand in the signed header.  Raises NotSigned.
    """
    parts = jws.split(".")
    if len(parts) != 3 or parts[1] or len(jws) > MAX_JWS:
        raise NotSigned("not a detached JWS")
    header = read_header(jws)
    algorithm, thumbprint = _key_identity(jwk)
    if (alg, kid) != (algorithm, thumbprint):
        raise NotSigned("key id or algorithm are not those of the key")
    _expect(header, {"alg": algorithm, "kid": kid, "typ": typ})
    # RFC 7797: `b64: false` signs the payload itself and must be critical; anything else critical is unknown to us.
    plain = header.get("b64", True) is False
    if header.get("crit", ["b64"] if plain else None) != (["b64"] if plain else None):
        raise NotSigned("the JWS has critical headers that are not known here")
    if plain and "crit" not in header:
        raise NotSigned("`b64` is not marked critical")
    signed = parts[0].encode() + b"." + (payload if plain else base64.urlsafe_b64encode(payload).rstrip(b"="))
    _check_raw(algorithm, jwk, _unbase64url(parts[2]), signed)


def check_compact(jws: str, jwk: dict[str, Any], *, typ: str) -> None:
    """Check a compact JWS that carries its payload.  Raises NotSigned."""
    header, (first, payload, last) = read_header(jws), jws.split(".")
    algorithm, thumbprint = _key_identity(jwk)
    _expect(header, {"alg": algorithm, "kid": thumbprint, "typ": typ})
    if "crit" in header or "b64" in header:
        raise NotSigned("the JWS has critical headers that are not known here")
    _check_raw(algorithm, jwk, _unbase64url(last), f"{first}.{payload}".encode())


def read_header(jws: str) -> dict[str, Any]:
    """The header of a JWS, nothing verified yet.  Raises NotSigned."""
    parts = jws.split(".")
    if len(parts) != 3 or len(jws) > MAX_JWS:
        raise NotSigned("not a compact JWS")
    return _object(parts[0], "header")


def read_payload(jws: str) -> dict[str, Any]:
    """The object that a compact JWS carries, nothing verified yet.  Raises NotSigned."""
    read_header(jws)
    return _object(jws.split(".")[1], "payload")


def _object(part: str, name: str) -> dict[str, Any]:
    try:
        found = read(_unbase64url(part).decode())
    except (Unreadable, UnicodeDecodeError) as error:
        raise NotSigned(f"the JWS {name} is not readable") from error
    if not isinstance(found, dict):
        raise NotSigned(f"the JWS {name} is not an object")
    return found


def _expect(header: dict[str, Any], expected: dict[str, str]) -> None:
    for name, value in expected.items():
        if header.get(name) != value:
            raise NotSigned(f"JWS header `{name}` is not {value}")


def _check_raw(algorithm: str, jwk: dict[str, Any], raw: bytes, signed: bytes) -> None:
    try:
        if algorithm == "EdDSA":
            Ed25519PublicKey.from_public_bytes(_unbase64url(jwk["x"])).verify(raw, signed)
            return
        x, y = (int.from_bytes(_unbase64url(jwk[name])) for name in ("x", "y"))
        if len(raw) != 64:
            raise NotSigned("an ES256 signature has 64 bytes")
        der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
        EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key().verify(der, signed, ECDSA(SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise NotSigned("the signature was not made over these bytes with this key") from error


def _key_identity(jwk: dict[str, Any]) -> tuple[str, str]:
    """Algorithm and RFC 7638 thumbprint of a public key."""
    shapes = {("OKP", "Ed25519"): ("EdDSA", ("crv", "kty", "x")), ("EC", "P-256"): ("ES256", ("crv", "kty", "x", "y"))}
    kind = (str(jwk.get("kty")), str(jwk.get("crv")))
    if kind not in shapes:
        raise NotSigned("the key is neither Ed25519 nor P-256")
    algorithm, names = shapes[kind]
    members = {name: jwk.get(name) for name in names}
    if not all(isinstance(value, str) for value in members.values()):
        raise NotSigned("the key lacks a member")
    text = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return algorithm, base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def _signature_line(line: str) -> tuple[str, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, material = rest.partition(" ")
    if dash != "—" or not name:
        raise NotSigned("the checkpoint has a line that is not a signature")
    return name, _base64(material)


def _base64(text: str) -> bytes:
    try:
        found = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise NotSigned("not base64") from error
    if base64.b64encode(found).decode() != text:  # the unused bits of its last character are set (RFC 4648, 3.5)
        raise NotSigned("not base64 as it is written")
    return found


def _unbase64url(text: Any) -> bytes:
    if not isinstance(text, str) or not text.isascii() or "=" in text or "+" in text or "/" in text:
        raise NotSigned("not base64url")
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise NotSigned("not base64url") from error
    if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != text:  # the same of the last character's unused bits
        raise NotSigned("not base64url as it is written")
    return found
