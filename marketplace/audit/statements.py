"""What may be said about the log itself: that it was recovered under a new origin, that a key was replaced.

A statement is canonical JSON.  Whoever holds a note key signs its hash as a C2SP note of two lines, which can never be
taken for a checkpoint; an operator signs its bytes as detached JWS.  This file knows no database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marketplace.audit.heldstate import Head, write_durably
from marketplace.audit.note import SIGNATURE, BadNote, VerifierKey, parse_note
from marketplace.kernel.canonical import canonical, read_strictly, sha256_hex
from marketplace.kernel.errors import Invalid
from marketplace.kernel.signing import verify_detached

RECOVERY = "log-recovery"
ROTATION = "key-rotation"
MAX_BYTES = 64 * 1024

_RECOVERED = re.compile(r"(.+)/r([1-9][0-9]{0,5})")
_HASH = "^[0-9a-f]{64}$"


class BadStatement(Invalid):
    """The file is not a statement about this log, or is not signed by whom it must be."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class HeadStated(_Strict):
    """A tree head in a statement.  root: hex."""

    size: int = Field(ge=0, lt=1 << 53)
    root: str = Field(pattern=_HASH)

    @property
    def head(self) -> Head:
        return Head(self.size, bytes.fromhex(self.root))

    @classmethod
    def of(cls, head: Head) -> Self:
        return cls(size=head.size, root=head.root.hex())


class Statement(_Strict):
    """What both kinds share: a canonical form and a name."""

    @property
    def body(self) -> bytes:
        """The signed bytes (RFC 8785)."""
        return canonical(self.model_dump())

    @property
    def sha256(self) -> str:
        return sha256_hex(self.body)

    @property
    def note_text(self) -> str:
        """What note keys sign: two lines, so never a checkpoint, which has three."""
        return f"log-statement/v1\nsha256:{self.sha256}\n"


class Recovery(Statement):
    """That a log goes on under a new origin after leaves were lost.

    cosigned: the last head the witness cosigned, null when its state is lost; signed: the log signer's; kept: what the
    restored database holds; growth: proof that kept extends cosigned, empty where leaves were lost;
    checkpoint: the last cosigned note that is left, or empty; at: UTC.
    log_old, log_new: verifier keys of the log under both origins; reason: a code.
    """

    type: Literal["log-recovery"] = "log-recovery"
    old_origin: str = Field(max_length=255)
    new_origin: str = Field(max_length=255)
    cosigned: HeadStated | None
    signed: HeadStated | None
    kept: HeadStated
    growth: list[str] = Field(max_length=63)
    checkpoint: str = Field(max_length=32_768)
    log_old: str = Field(max_length=400)
    log_new: str = Field(max_length=400)
    witness: str = Field(max_length=400)
    reason: Literal["backup_restored", "head_lost", "head_rolled_back"]
    at: str = Field(max_length=40)

    @property
    def end(self) -> int:
        """One more than the last leaf that the former log is known to have had."""
        return max(one.size for one in (self.cosigned, self.signed, self.kept) if one is not None)

    @property
    def lost(self) -> range:
        """The leaf numbers whose entries are gone."""
        return range(self.kept.size, self.end)


class Rotation(Statement):
    """That the log or the witness replaced its key.  head: the last one signed with the old key; at: UTC."""

    type: Literal["key-rotation"] = "key-rotation"
    role: Literal["log", "witness"]
    origin: str = Field(max_length=255)
    old: str = Field(max_length=400)
    new: str = Field(max_length=400)
    head: HeadStated
    reason: Literal["planned", "compromised"]
    at: str = Field(max_length=40)


class OperatorSignature(_Strict):
    """The platform operator's signature on a recovery.  jwk: its public key; jws: detached, over the exact bytes."""

    participant: str = Field(max_length=80)
    jwk: dict[str, Any]
    jws: str = Field(max_length=8192)


class _File(_Strict):
    body: str
    operator: OperatorSignature | None = None
    note: str = Field("", max_length=32_768)


@dataclass(frozen=True)
class StatementFile:
    """A statement on its way from hand to hand.  note: the signed note over it, or empty."""

    body: bytes
    operator: OperatorSignature | None = None
    note: str = ""

    @cached_property
    def statement(self) -> Recovery | Rotation:
        """Raises BadStatement."""
        return read_statement(self.body)

    @property
    def recovery(self) -> Recovery:
        """Raises BadStatement when it is another kind."""
        if isinstance(self.statement, Recovery):
            return self.statement
        raise BadStatement("not a recovery", expected=RECOVERY, got=self.statement.type)

    @property
    def rotation(self) -> Rotation:
        """Raises BadStatement when it is another kind."""
        if isinstance(self.statement, Rotation):
            return self.statement
        raise BadStatement("not a rotation of a key", expected=ROTATION, got=self.statement.type)

    def check_operator(self) -> OperatorSignature:
        """The operator's signature, checked against the key it comes with.  Raises BadStatement, BadSignature."""
        if self.operator is None:
            raise BadStatement("the operator has not signed", action="run `marketplace recover sign` first")
        verify_detached(self.operator.jws, self.body, self.operator.jwk, typ=f"{RECOVERY}+jws")
        return self.operator

    def check_note(self, *lines: str) -> None:
        """Check that the note is about this statement and each of these verifier keys signed.  Raises BadStatement."""
        try:
            note = parse_note(self.note)
            for line in lines:
                note.verify(VerifierKey.parse(line))
        except BadNote as error:
            raise BadStatement(f"the statement is not signed: {error}", expected=" and ".join(lines)) from error
        if note.text != self.statement.note_text:
            raise BadStatement("the signatures are on another statement", expected=self.statement.sha256)

    def write(self, path: Path) -> None:
        """Put it into a file, durable when this returns."""
        file = _File(body=self.body.decode(), operator=self.operator, note=self.note)
        write_durably(path, canonical(file.model_dump()), mode=0o644)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.  Raises BadStatement."""
        try:
            with path.open("rb") as source:
                data = source.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise BadStatement("too long", expected=f"at most {MAX_BYTES} bytes")
            file = _File.model_validate(read_strictly(data))
        except (OSError, ValidationError) as error:
            raise BadStatement(f"{path.name} is not a statement file: {type(error).__name__}") from error
        return cls(file.body.encode(), file.operator, file.note)


def read_statement(body: bytes) -> Recovery | Rotation:
    """Parse the exact bytes of a statement.  Raises BadStatement."""
    content = read_strictly(body)
    kinds: dict[str, type[Recovery | Rotation]] = {RECOVERY: Recovery, ROTATION: Rotation}
    kind = kinds.get(str(content.get("type"))) if isinstance(content, dict) else None
    if kind is None:
        raise BadStatement("not a statement about a log", expected=" or ".join(kinds))
    try:
        read = kind.model_validate(content)
    except ValidationError as error:
        raise BadStatement(
            f"not a well formed {kind.__name__.lower()}: {error.error_count()} members differ"
        ) from error
    if read.body != body:
        raise BadStatement("the statement is not in canonical form (RFC 8785)")
    return read


def base_origin(origin: str) -> str:
    """The origin that a log began with: `x/log/r2` began as `x/log`."""
    found = _RECOVERED.fullmatch(origin)
    return found[1] if found else origin


def next_origin(origin: str) -> str:
    """The origin after one more recovery: `x/log`, `x/log/r1`, `x/log/r2` …"""
    found = _RECOVERED.fullmatch(origin)
    return f"{found[1]}/r{int(found[2]) + 1}" if found else f"{origin}/r1"


def under_origin(line: str, origin: str) -> str:
    """A log's verifier key as it is called under another origin of the same log; the key pair is the same.

    Raises BadNote; leaves the key of an unrelated log as it is.
    """
    key = VerifierKey.parse(line)
    if key.kind != SIGNATURE or base_origin(key.name) != base_origin(origin):
        return str(key)
    return str(VerifierKey(origin, key.kind, key.public))
