"""Tables of collection: what was received for a raw version, file by file, and how it was sealed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import UtcDateTime


class CollectedBatch(SQLModel, table=True):
    """One tar that was received whole.  content: hash over the members' hashes and kinds in order."""

    __tablename__ = "collected_batch"

    version_id: str = Field(primary_key=True, foreign_key="version.id")
    label: str = Field(primary_key=True)
    content: str
    received_at: datetime = Field(sa_type=UtcDateTime)


class CollectedFile(SQLModel, table=True):
    """One member of a received tar.  position: from 0 in the tar, folders counted.

    The sender's file name is not kept, since it may name a patient: `label` is the start of the hash and a known
    ending.  sha256: empty for a member that was not stored.  reason: empty when accepted, else a `rules.Reason`.
    The UIDs are the provider's own identifiers: nobody else may read these rows.
    """

    __tablename__ = "collected_file"

    version_id: str = Field(primary_key=True, foreign_key="version.id")
    batch: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    label: str
    sha256: str = Field(index=True)
    bytes: int = Field(sa_type=BigInteger)
    reason: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""
    sop_class: str = ""
    transfer_syntax: str = ""
    modality: str = ""
    body_part: str = ""
    rows: int = 0
    columns: int = 0
    has_private: bool = False


class ConsentWithdrawal(SQLModel, table=True):
    """A file of an asset whose person withdrew consent: it enters no version of the asset any more.

    sha256: of the file as collected, or of the governed file where no raw one is known; version_id: where the provider
    named it; reference: SHA-256 of the provider's own record of the withdrawal, never a name.
    """

    __tablename__ = "consent_withdrawal"

    asset_id: str = Field(primary_key=True, foreign_key="asset.id")
    sha256: str = Field(primary_key=True)
    version_id: str = Field(foreign_key="version.id")
    reference: str
    entry_id: str
    recorded_at: datetime = Field(sa_type=UtcDateTime)


class Collection(SQLModel, table=True):
    """The sealing of a raw version.  record: SHA-256 of the collection record to be signed."""

    __tablename__ = "collection"

    version_id: str = Field(primary_key=True, foreign_key="version.id")
    source_statement: str
    record: str
    sealed_at: datetime = Field(sa_type=UtcDateTime)
