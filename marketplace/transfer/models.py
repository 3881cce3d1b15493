"""Tables of the data plane."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class Delivery(SQLModel, table=True):
    """What an agreement's buyer gets: the files made for it, once.

    manifest: SHA-256 of the signed delivery manifest; tar_sha256, tar_bytes: of the tar of exactly its files.
    transformations: as `usage.obligations` says, by name alone in rows of before.  output: `records` or `aggregate`;
    smallest_group: persons in the smallest group of what leaves, 0 = the terms left nothing.
    """

    __tablename__ = "delivery"

    agreement_id: str = Field(primary_key=True, foreign_key="agreement.id")
    manifest: str
    files: int
    bytes: int = Field(sa_type=BigInteger)
    tar_sha256: str
    tar_bytes: int = Field(sa_type=BigInteger)
    transformations: list[Any] = Field(sa_type=JsonColumn)
    output: str = Field(default="records", sa_column_kwargs={"server_default": "records"})
    smallest_group: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    prepared_at: datetime = Field(sa_type=UtcDateTime)


class DeliveryFile(SQLModel, table=True):
    """One file of a delivery, in order of path.  source_path, source_sha256: its file in the version, None for ours."""

    __tablename__ = "delivery_file"

    agreement_id: str = Field(primary_key=True, foreign_key="delivery.agreement_id")
    position: int = Field(primary_key=True)
    path: str
    sha256: str = Field(index=True)
    bytes: int = Field(sa_type=BigInteger)
    source_path: str | None = None
    source_sha256: str | None = None


class Transfer(SQLModel, table=True):
    """One use of an agreement: one or more legs, when the caller goes on with the same Idempotency-Key.

    key: hash of the Idempotency-Key, or the transfer's own id; path: "" for the tar; state: `open` or `closed`.
    leg: number of the present leg, its fence: an older leg gets no further window.  leg_uses: uses reserved by it.
    leg_served: bytes of windows granted in it; running_sha256: of those bytes.
    epoch and stops_at (Unix seconds): what every window checks; lease_until: silent for longer, the sweeper settles.
    """

    __tablename__ = "transfer"
    __table_args__ = (
        UniqueConstraint("agreement_id", "party", "key"),
        Index("ix_transfer_agreement_opened", "agreement_id", "opened_at", "id"),
    )

    id: str = Field(primary_key=True)
    agreement_id: str = Field(foreign_key="agreement.id")
    party: str = Field(foreign_key="participant.id")
    key: str
    path: str
    purpose: str
    action: str
    manifest: str
    sha256: str
    size: int = Field(sa_type=BigInteger)
    state: str = Field(default="open", index=True)
    leg: int = 1
    leg_start: int = Field(sa_type=BigInteger)
    leg_end: int = Field(sa_type=BigInteger)
    leg_uses: int
    leg_served: int = Field(default=0, sa_type=BigInteger)
    running_sha256: str = ""
    served: int = Field(default=0, sa_type=BigInteger)
    uses: int = 0
    subjects: list[str] = Field(sa_type=JsonColumn)
    epoch: int = Field(sa_type=BigInteger)
    stops_at: int = Field(sa_type=BigInteger)
    lease_until: datetime = Field(sa_type=UtcDateTime, index=True)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    outcome: str = ""
    entry_id: str


class StopNotice(SQLModel, table=True):
    """What both parties of an agreement were told of one stop, of one step of a duty of the buyer, or of what followed
    it; or a side of a negotiation of its deadline, or a payee of a payment that came back.

    kind: `stop-notice`, `duty-notice`, `contract-notice`, `negotiation-notice` or `payment-notice`, the type of the
    signed document, whose SHA-256 is document; agreement_id: None where it is about none.
    stop_entry: id of the entry that recorded the stop or step; reason: its code; stopped_at: when it happened.
    """

    __tablename__ = "stop_notice"
    __table_args__ = (UniqueConstraint("agreement_id", "stop_entry"),)

    id: str = Field(primary_key=True)
    kind: str = "stop-notice"
    agreement_id: str | None = Field(default=None, foreign_key="agreement.id")
    stop_entry: str
    reason: str
    stopped_by: str
    stopped_at: datetime = Field(sa_type=UtcDateTime)
    document: str
    made_at: datetime = Field(sa_type=UtcDateTime)


class StopNoticeReader(SQLModel, table=True):
    """A party that a notice is for.  acknowledged_at: when its address took the notice, None until then."""

    __tablename__ = "stop_notice_reader"
    __table_args__ = (Index("ix_stop_notice_reader_party_notice", "party", "notice_id"),)

    notice_id: str = Field(primary_key=True, foreign_key="stop_notice.id")
    party: str = Field(primary_key=True, foreign_key="participant.id")
    acknowledged_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class NoticeAddress(SQLModel, table=True):
    """Where a participant wants its notices sent.  number: counts the changes."""

    __tablename__ = "notice_address"

    party: str = Field(primary_key=True, foreign_key="participant.id")
    url: str
    number: int = 0
    set_at: datetime = Field(sa_type=UtcDateTime)
