"""What crosses HTTP about the log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class EntryOut(BaseModel):
    """One entry.  index: leaf number, null until integrated; body: the exact text whose hash is the leaf."""

    id: str
    index: int | None
    tag: str = Field(examples=["usage:allowed"])
    actor: str
    at: datetime
    asset: str | None
    version: str | None
    agreement: str | None
    facts: dict[str, Any]
    body: str


class EntryPage(BaseModel):
    """Entries in order of their ids.  next: cursor of the next page, null on the last."""

    items: list[EntryOut]
    next: str | None


class InclusionProofOut(BaseModel):
    """That a leaf stands in the tree of a checkpoint (RFC 9162 section 2.1.3); hashes in hex, from leaf to root."""

    index: int
    size: int
    leaf: str
    proof: list[str]
    root: str
    checkpoint: str = Field(description="C2SP signed note, signed by the log and cosigned by the witness.")


class ConsistencyProofOut(BaseModel):
    """That one tree extends another (RFC 9162 section 2.1.4); hashes in hex."""

    old: int
    new: int
    proof: list[str]


class LogKeysOut(BaseModel):
    """The verifier keys (C2SP signed note) of checkpoints; compare them with a copy from elsewhere."""

    origin: str
    log: str
    witness: str


class ExportScope(BaseModel):
    """Which entries to export; all given conditions must hold."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    asset: str | None = Field(default=None, max_length=80)
    agreement: str | None = Field(default=None, max_length=80)
    participant: str | None = Field(default=None, max_length=80, description="Entries by which it acted.")
    time_from: AwareDatetime | None = Field(default=None, alias="from")
    time_to: AwareDatetime | None = Field(default=None, alias="to", description="Exclusive.")


class BundleEntry(BaseModel):
    """An entry with its inclusion proof.  body: exact text; proof: hex, from leaf to root."""

    index: int
    body: str
    proof: list[str]


class BundleSignature(BaseModel):
    """A detached JWS over a document and the public key that checks it."""

    signer: str
    kid: str
    alg: str
    typ: str
    jws: str
    jwk: dict[str, Any]


class BundleDocument(BaseModel):
    """A cited document.  body: exact text whose SHA-256 is its name."""

    sha256: str
    kind: str
    body: str
    signatures: list[BundleSignature]


class BundleKeys(BaseModel):
    """Verifier keys as this service names them; a verifier should get them elsewhere."""

    log: str
    witness: str


class BundleOut(BaseModel):
    """What `python -m marketplace.audit.verifier` checks, offline.

    waiting: entries of the scope that no cosigned tree holds yet.
    """

    bundle: str
    origin: str
    checkpoint: str
    entries: list[BundleEntry]
    documents: list[BundleDocument]
    keys: BundleKeys
    waiting: int
