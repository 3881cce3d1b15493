"""What crosses HTTP about the log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from marketplace.plumbing.moments import Moment


class EntryOut(BaseModel):
    """One entry.  index: leaf number, null until integrated; body: the exact text whose hash is the leaf."""

    id: str
    index: int | None
    tag: str = Field(examples=["usage:allowed"])
    actor: str
    person: str | None = Field(description="Commitment of the person who acted; null for a machine client.")
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


class FormerKeyOut(BaseModel):
    """A key of log or witness that was replaced, or the log's name for it before a recovery.

    until_size: largest tree it may have signed; ended_at: when; statement: hash of the document that says so.
    """

    role: Literal["log", "witness"]
    key: str
    until_size: int
    ended_at: datetime
    statement: str


class ServiceKeyOut(BaseModel):
    """A key of the service.  until: when it was replaced, null for the one in use."""

    kid: str
    since: datetime | None
    until: datetime | None


class LogKeysOut(BaseModel):
    """The verifier keys (C2SP signed note) of checkpoints; compare them with a copy from elsewhere.

    service: the key of receipts and of the service's own signatures, as JWK; service_keys: all there were, with their
    periods; former: replaced keys of log and witness.
    """

    origin: str
    log: str
    witness: str
    service: dict[str, Any]
    service_keys: list[ServiceKeyOut]
    former: list[FormerKeyOut]


class ExportScope(BaseModel):
    """Which entries to export; all given conditions must hold."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    asset: str | None = Field(default=None, max_length=80)
    agreement: str | None = Field(default=None, max_length=80)
    participant: str | None = Field(default=None, max_length=80, description="Entries by which it acted.")
    time_from: Moment | None = Field(default=None, alias="from")
    time_to: Moment | None = Field(default=None, alias="to", description="Exclusive.")
    since: tuple[Annotated[int, Field(ge=0, lt=1 << 53)], ...] = Field(
        default=(), max_length=8, description="Sizes of trees that the bundle shall be shown to extend."
    )


class BundleEntry(BaseModel):
    """An entry with its inclusion proof.  body: exact text; proof: hex, from leaf to root."""

    index: int
    body: str
    proof: list[str]


class DisclosuresAsked(BaseModel):
    """Which disclosures to report; all given conditions must hold."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    asset: str | None = Field(default=None, max_length=80)
    participant: str | None = Field(default=None, max_length=80, description="The recipient.")
    time_from: Moment | None = Field(default=None, alias="from")
    time_to: Moment | None = Field(default=None, alias="to", description="Exclusive.")
    proofs: bool = Field(default=True, description="Add to each row its entry and inclusion proof.")
    format: Literal["json", "csv"] | None = Field(default=None, description="Left out: as `Accept` says, else JSON.")


class DisclosureOut(BaseModel):
    """One use of an asset by a recipient.

    bytes: served, null while it runs; outcome: complete, running, or why it ended; evidence: entry with proof.
    """

    date: datetime
    recipient: str
    recipient_name: str = Field(description="Legal name at admission, empty when the log does not say.")
    recipient_code: str = Field(description="Unified social credit code, likewise.")
    person: str | None
    description: str
    purpose: str
    asset: str | None
    version: str | None
    files: int
    bytes: int | None
    transformations: list[str]
    agreement: str | None
    outcome: str
    entry: str
    index: int
    evidence: BundleEntry | None = None


class DisclosureReportOut(BaseModel):
    """The account of disclosures (45 CFR 164.528), oldest first.

    checkpoint: the cosigned tree head that the proofs lead to; waiting: uses that no cosigned tree holds yet.
    """

    report: Literal["disclosures-v1"]
    asset: str | None
    participant: str | None
    time_from: datetime | None = Field(alias="from")
    time_to: datetime | None = Field(alias="to")
    made_at: datetime
    checkpoint: str
    items: list[DisclosureOut]
    waiting: int


class KnownPersonOut(BaseModel):
    """A commitment in entries.  last_act: of the entries that carry it; erasable_from: end of the retention clock."""

    model_config = ConfigDict(from_attributes=True)

    commitment: str
    participant: str
    named_at: datetime
    last_act: datetime
    erasable_from: datetime
    erased_at: datetime | None


class PersonPage(BaseModel):
    """Commitments in their own order.  next: cursor of the next page, null on the last."""

    items: list[KnownPersonOut]
    next: str | None


class PersonOut(BaseModel):
    """Who is behind a commitment, as the participant names the person.

    salt: hex; SHA-256(salt || participant || identifier) is the commitment.
    """

    commitment: str
    participant: str
    identifier: str
    salt: str


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


class BundleGrowth(BaseModel):
    """That the bundle's tree extends an older one (RFC 9162 section 2.1.4); hashes in hex."""

    old_size: int
    old_root: str
    proof: list[str]


class BundleKeys(BaseModel):
    """Verifier keys as this service names them; a verifier should get them elsewhere."""

    log: str
    witness: str


class BundleStatement(BaseModel):
    """A recovery of the log or a new key of log or witness.  body: exact text; note: C2SP signed note over its hash."""

    body: str
    note: str
    signatures: list[BundleSignature]


class BundleOut(BaseModel):
    """What `python -m marketplace.audit.verifier` checks, offline.

    waiting: entries of the scope that no cosigned tree holds yet.
    """

    bundle: str
    origin: str
    checkpoint: str
    entries: list[BundleEntry]
    documents: list[BundleDocument]
    consistency: list[BundleGrowth]
    statements: list[BundleStatement]
    keys: BundleKeys
    waiting: int
