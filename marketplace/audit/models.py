"""Tables of the log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class Entry(SQLModel, table=True):
    """One event, committed with the change it records.

    body: canonical JSON (RFC 8785), the leaf's exact bytes; the other columns repeat parts of it for search and are
    compared with it by `audit fsck`.  leaf_index: position in the tree, None until integrated.
    """

    __tablename__ = "entry"
    # With the tag, so that the few uses among a million windows are found without reading the windows.
    __table_args__ = (
        Index("ix_entry_actor_tag", "actor", "tag"),
        Index("ix_entry_asset_tag", "asset", "tag"),
        Index("ix_entry_agreement_tag", "agreement", "tag"),
    )

    id: str = Field(primary_key=True)
    tag: str = Field(index=True)
    actor: str
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    asset: str | None = None
    version: str | None = Field(default=None, index=True)
    agreement: str | None = None
    body: bytes
    leaf_index: int | None = Field(default=None, unique=True, sa_type=BigInteger)


class Person(SQLModel, table=True):
    """A person of a participant, known to the log by a commitment only.

    commitment: SHA-256(salt || participant || identifier), hex.  identifier: as the participant names the person;
    it and the 32 bytes of salt are the only tie, None once erased.  acted_at: an act of the last day the person was
    seen, exact for the first of that day.
    """

    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("participant", "identifier"),)

    commitment: str = Field(primary_key=True)
    participant: str = Field(index=True)
    identifier: str | None = None
    salt: bytes | None = None
    named_at: datetime = Field(sa_type=UtcDateTime)
    acted_at: datetime = Field(sa_type=UtcDateTime)
    erased_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Document(SQLModel, table=True):
    """Canonical bytes of a document prepared for signature or kept as evidence, by SHA-256.

    kind: the document type, e.g. `collection-record`, `opinion`, `certificate`, `listing`, `agreement`.
    readers: participant ids that may fetch it, or `*`; auditors may fetch any.
    """

    __tablename__ = "document"

    sha256: str = Field(primary_key=True)
    kind: str
    body: bytes
    readers: list[str] = Field(sa_type=JsonColumn)
    created_at: datetime = Field(sa_type=UtcDateTime)


class DocumentSignature(SQLModel, table=True):
    """An accepted detached JWS over a document.  jwk: the public key that checked it, kept for offline proof.

    entry: the entry that recorded it; by its place in the log a revocation of the key came before or after.
    """

    __tablename__ = "document_signature"

    document: str = Field(primary_key=True, foreign_key="document.sha256")
    signer: str = Field(primary_key=True)
    kid: str
    alg: str
    typ: str
    jws: str
    jwk: dict[str, Any] = Field(sa_type=JsonColumn)
    signed_at: datetime = Field(sa_type=UtcDateTime)
    entry: str | None = None


class Tile(SQLModel, table=True):
    """Up to 256 consecutive tree hashes (C2SP tlog-tiles).

    level 0 holds leaf hashes, level n+1 the roots of full tiles of level n.  index: position within the level.
    hashes: 32 bytes each; only the last tile of a level may be shorter than 8,192 bytes, and it only grows.
    """

    __tablename__ = "log_tile"

    level: int = Field(primary_key=True)
    index: int = Field(primary_key=True, sa_type=BigInteger)
    hashes: bytes


class Checkpoint(SQLModel, table=True):
    """A tree head that the log signed and the witness cosigned; the largest one is the latest.

    root: hex; note: the C2SP signed note with all signature lines.
    """

    __tablename__ = "log_checkpoint"

    size: int = Field(primary_key=True, sa_type=BigInteger)
    root: str
    note: str
    at: datetime = Field(sa_type=UtcDateTime)


class LogStatement(SQLModel, table=True):
    """A recovery of the log or a new key of log or witness, in the order in which they took effect.

    kind: `log-recovery` or `key-rotation`; note: the C2SP signed note over the document.
    """

    __tablename__ = "log_statement"

    number: int = Field(primary_key=True)
    kind: str
    document: str = Field(foreign_key="document.sha256", unique=True)
    note: str
    at: datetime = Field(sa_type=UtcDateTime)
