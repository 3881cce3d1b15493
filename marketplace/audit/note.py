"""Signed notes, checkpoints and cosignatures in the byte forms of C2SP: signed-note, checkpoint, cosignature.

A checkpoint is a note of three lines: origin, size, root in base64.  The log signs it (type 0x01); a witness adds a
timestamped cosignature (type 0x04).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from marketplace.kernel.errors import Invalid

SIGNATURE = 0x01
COSIGNATURE = 0x04
MAX_NOTE_CHARS = 32_768
MAX_SIGNATURES = 64

_NAME = re.compile(r"[^\s+]+")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class BadNote(Invalid):
    """The note is not well formed or not signed by the expected key."""


@dataclass(frozen=True)
class VerifierKey:
    """The public half of a note key.  kind: SIGNATURE or COSIGNATURE; public: 32 bytes Ed25519."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || 0x0A || kind || public)[:4]."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        """The verifier key line: name+hex+base64."""
        material = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @classmethod
    def parse(cls, line: str) -> VerifierKey:
        """Read a verifier key line.  Raises BadNote."""
        parts = line.strip().split("+", 2)
        material = _base64(parts[2]) if len(parts) == 3 else b""
        if len(material) != 33 or material[0] not in (SIGNATURE, COSIGNATURE) or not _NAME.fullmatch(parts[0]):
            raise BadNote("not a verifier key", expected="name+hex+base64 of an Ed25519 key", got=line[:120])
        key = cls(parts[0], material[0], material[1:])
        if key.key_id.hex() != parts[1]:
            raise BadNote("the key id does not fit the key", expected=key.key_id.hex(), got=parts[1][:16])
        return key

    def check(self, text: str, signature: bytes) -> int | None:
        """Check a signature over a note text; returns the time of a cosignature (POSIX seconds), else None.

        Raises BadNote.
        """
        stamp = int.from_bytes(signature[:8]) if self.kind == COSIGNATURE else None
        raw = signature if stamp is None else signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(raw, _signed_bytes(text, stamp))
        except (InvalidSignature, ValueError) as error:
            raise BadNote(f"the signature of {self.name} does not fit the note") from error
        return stamp


@dataclass(frozen=True)
class NoteKey:
    """A private note key; held only by the signer or the witness process."""

    name: str
    kind: int
    private: Ed25519PrivateKey

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey(self.name, self.kind, self.private.public_key().public_bytes_raw())

    def sign(self, text: str, at: int | None = None) -> str:
        """A signature line over a note text.  at: POSIX seconds, for a cosignature only."""
        assert (at is None) == (self.kind == SIGNATURE)
        raw = self.private.sign(_signed_bytes(text, at))
        stamp = b"" if at is None else at.to_bytes(8)
        return f"— {self.name} {base64.b64encode(self.verifier.key_id + stamp + raw).decode()}\n"


@dataclass(frozen=True)
class NoteSignature:
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True)
class Note:
    """A parsed note.  text ends in a newline and is what was signed."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def verify(self, key: VerifierKey) -> int | None:
        """Check that this key signed; returns the time of a cosignature.  Raises BadNote."""
        mine = [one for one in self.signatures if (one.name, one.key_id) == (key.name, key.key_id)]
        if not mine:
            raise BadNote("the note is not signed by the expected key", expected=str(key))
        stamps = [key.check(self.text, one.signature) for one in mine]
        return stamps[0]


@dataclass(frozen=True)
class TreeHead:
    """What a checkpoint says.  root: 32 bytes."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> TreeHead:
        """Read a checkpoint's text; extension lines are refused, we write none.  Raises BadNote."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0] or not _NUMBER.fullmatch(lines[1]):
            raise BadNote("not a checkpoint", expected="three lines: origin, size, root")
        root = _base64(lines[2])
        if len(root) != 32:
            raise BadNote("the root is not a SHA-256 hash", got=f"{len(root)} bytes")
        return cls(lines[0], int(lines[1]), root)


def parse_note(signed: str) -> Note:
    """Split a signed note into text and signatures, nothing verified yet.  Raises BadNote."""
    if len(signed) > MAX_NOTE_CHARS or _CONTROL.search(signed):
        raise BadNote("not a note", expected=f"at most {MAX_NOTE_CHARS} characters without control characters")
    text, gap, rest = signed.rpartition("\n\n")
    if not gap or not rest.endswith("\n"):
        raise BadNote("not a note", expected="text, a blank line, signature lines")
    lines = rest[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise BadNote("too many signatures", expected=f"at most {MAX_SIGNATURES}", got=str(len(lines)))
    return Note(text + "\n", tuple(parse_signature(line) for line in lines))


def parse_signature(line: str) -> NoteSignature:
    """Read one signature line without its newline.  Raises BadNote."""
    dash, _, rest = line.partition(" ")
    name, _, material = rest.partition(" ")
    raw = _base64(material)
    if dash != "—" or not _NAME.fullmatch(name) or len(raw) < 5:
        raise BadNote("not a signature line", expected="— name base64", got=line[:80])
    return NoteSignature(name, raw[:4], raw[4:])


def open_checkpoint(signed: str, *keys: VerifierKey) -> TreeHead:
    """The tree head of a checkpoint that every one of these keys signed.  Raises BadNote."""
    note = parse_note(signed)
    for key in keys:
        note.verify(key)
    return TreeHead.parse(note.text)


def _signed_bytes(text: str, at: int | None) -> bytes:
    return (text if at is None else f"cosignature/v1\ntime {at}\n{text}").encode()


def _base64(text: str) -> bytes:
    try:
        found = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadNote("not base64", got=text[:80]) from error
    if base64.b64encode(found).decode() != text:  # the unused bits of its last character are set (RFC 4648, 3.5)
        raise BadNote("a second spelling of base64", expected=base64.b64encode(found).decode()[:80], got=text[:80])
    return found
