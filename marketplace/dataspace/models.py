"""Tables of the dataspace room: what was said with a connector, and how far that has come."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class Exchange(SQLModel, table=True):
    """A negotiation or a transfer between a participant hosted here and one behind a connector.

    id: our own process id; peer_pid: the other side's, empty until it named one; address: where its messages go.
    side: the part that the hosted participant plays; subject: the data set, for a transfer the agreement.
    terms: the offer on the table, with its target; agreement: what the provider agreed to, as both have it.
    request_id, agreement_id: of the negotiation room, empty where it has no part in this.
    visits: how often each state was entered; error: why it ended without the other side, a code.
    """

    __tablename__ = "dataspace_exchange"
    # In the order of the list, so that a page of it is read and not sorted.
    __table_args__ = (Index("ix_dataspace_exchange_participant_opened", "participant_id", "opened_at", "id"),)

    id: str = Field(primary_key=True)
    protocol: str
    participant_id: str = Field(foreign_key="participant.id")
    connector_id: str = Field(foreign_key="connector.id", index=True)
    side: str
    peer_pid: str = Field(default="", index=True)
    address: str
    state: str
    subject: str
    format: str = ""
    terms: dict[str, Any] = Field(default_factory=dict, sa_type=JsonColumn)
    agreement: dict[str, Any] = Field(default_factory=dict, sa_type=JsonColumn)
    data_address: dict[str, Any] = Field(default_factory=dict, sa_type=JsonColumn)
    request_id: str = Field(default="", index=True)
    agreement_id: str = Field(default="", index=True)
    visits: dict[str, int] = Field(default_factory=dict, sa_type=JsonColumn)
    error: str = ""
    opened_at: datetime = Field(sa_type=UtcDateTime)
    moved_at: datetime = Field(sa_type=UtcDateTime)


class Push(SQLModel, table=True):
    """How far the bytes of a transfer that we push have come.

    flow: which start of the transfer this is; attempts: of this flow; serial: of the piece of work that makes the
    present one, over all flows; reached: bytes that were on their way at most; state: `waiting`, `pushing`, `stopped`,
    `acknowledged`, `refused` or `given_up`; status: the HTTP status of the last answer, None without one; upload: the
    bucket's own id of what was begun there, empty for other addresses.
    """

    __tablename__ = "dataspace_push"

    exchange_id: str = Field(primary_key=True, foreign_key="dataspace_exchange.id")
    flow: int
    state: str
    attempts: int = 0
    serial: int = 0
    reached: int = Field(default=0, sa_type=BigInteger)
    size: int = Field(default=0, sa_type=BigInteger)
    status: int | None = None
    upload: str = ""
    moved_at: datetime = Field(sa_type=UtcDateTime)


class Arrival(SQLModel, table=True):
    """What was pushed to a participant hosted here, whole: it lies in the object store under its SHA-256.

    digest_given: whether the sender named that hash, which was then compared.
    """

    __tablename__ = "dataspace_arrival"

    exchange_id: str = Field(primary_key=True, foreign_key="dataspace_exchange.id")
    sha256: str
    bytes: int = Field(sa_type=BigInteger)
    digest_given: bool
    arrived_at: datetime = Field(sa_type=UtcDateTime)


class ExchangeMessage(SQLModel, table=True):
    """One message of an exchange.

    ours: whether we send it; move: its name in `states.MOVES`; sha256: of its canonical JSON, to know it again.
    state: `waiting`, `sending` until sending_until, then `taken`, `refused`, `given_up` or `dropped`; what came in was
    `taken`.  status: the HTTP status of the last attempt, None without an answer.
    """

    __tablename__ = "dataspace_message"

    id: str = Field(primary_key=True)
    exchange_id: str = Field(foreign_key="dataspace_exchange.id", index=True)
    ours: bool
    move: str
    sha256: str
    body: dict[str, Any] = Field(sa_type=JsonColumn)
    state: str = Field(index=True)
    attempts: int = 0
    status: int | None = None
    sending_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    asked_at: datetime = Field(sa_type=UtcDateTime)
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class HeldAgreement(SQLModel, table=True):
    """What a buyer hosted here has agreed with a provider elsewhere; of our own agreements there is none here.

    agreement: the provider's id of it; dataset: its id there; document: SHA-256 of what both sides said, signed by the
    service; contract: SHA-256 of the document that both parties signed, empty where the other connector signs none.
    state: in `states.HeldState`; reason: a code, once ended; ends_at: None where nothing says an end.
    """

    __tablename__ = "dataspace_agreement"
    __table_args__ = (Index("ix_dataspace_agreement_buyer_held", "buyer_id", "held_at", "id"),)

    id: str = Field(primary_key=True)
    exchange_id: str = Field(foreign_key="dataspace_exchange.id", unique=True)
    buyer_id: str = Field(foreign_key="participant.id")
    connector_id: str = Field(foreign_key="connector.id", index=True)
    agreement: str = Field(index=True)
    dataset: str
    document: str
    contract: str = ""
    state: str
    reason: str = ""
    held_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
