"""What was said in an exchange, and what of ours is under way: the columns that are read for every message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col

from marketplace.dataspace.models import Exchange, ExchangeMessage
from marketplace.kernel.canonical import Json
from marketplace.plumbing.questions import Question, alone

UNDER_WAY = ("waiting", "sending")


class Course(NamedTuple):
    """Of an exchange, what a message of ours follows from and where it goes."""

    id: str
    protocol: str
    participant_id: str
    connector_id: str
    side: str
    peer_pid: str
    address: str
    state: str


class Ours(NamedTuple):
    """Of a message of ours, what an attempt to send it needs."""

    id: str
    exchange_id: str
    move: str
    sha256: str
    body: Json
    state: str
    attempts: int


class Unsettled(NamedTuple):
    """A message of ours that is not settled, without what it says.  attempts: begun, the present one too."""

    id: str
    move: str
    state: str
    attempts: int
    sending_until: datetime | None


class Said(NamedTuple):
    """A message that was taken, by whoever said it."""

    ours: bool
    move: str
    sha256: str
    body: Json


def _columns(table: Any, shape: type[NamedTuple]) -> list[Mapped[Any]]:
    return [col(getattr(table, name)) for name in shape._fields]


_WHOSE: Final = select(col(ExchangeMessage.exchange_id)).where(col(ExchangeMessage.id) == bindparam("message"))
_COURSE: Final = Question(
    select(*_columns(Exchange, Course)).where(col(Exchange.id) == _WHOSE.scalar_subquery()).with_for_update(), Course
)
_OURS: Final = Question(
    select(*_columns(ExchangeMessage, Ours)).where(col(ExchangeMessage.id) == bindparam("message")), Ours
)
_OF_EXCHANGE: Final = col(ExchangeMessage.exchange_id) == bindparam("exchange")
_IN_ORDER: Final = (col(ExchangeMessage.asked_at), col(ExchangeMessage.id))
_IS_UNDER_WAY: Final = or_(*(col(ExchangeMessage.state) == state for state in UNDER_WAY))
_UNDER_WAY: Final = Question(
    select(*_columns(ExchangeMessage, Unsettled))
    .where(_OF_EXCHANGE, col(ExchangeMessage.ours).is_(True), _IS_UNDER_WAY)
    .order_by(*_IN_ORDER),
    Unsettled,
)
_TAKEN: Final = Question(
    select(*_columns(ExchangeMessage, Said))
    .where(_OF_EXCHANGE, col(ExchangeMessage.state) == "taken")
    .order_by(*_IN_ORDER),
    Said,
)
_HEARD_AS: Final = Question(
    select(col(ExchangeMessage.move)).where(
        _OF_EXCHANGE, col(ExchangeMessage.ours).is_(False), col(ExchangeMessage.sha256) == bindparam("sha256")
    ),
    alone,
)
_LAST_HEARD: Final = Question(
    select(col(ExchangeMessage.sha256))
    .where(_OF_EXCHANGE, col(ExchangeMessage.ours).is_(False))
    .order_by(*(one.desc() for one in _IN_ORDER))
    .limit(1),
    alone,
)


def hold(db: Session, message_id: str) -> Course:
    """The exchange of a message, read anew and held to the end of the transaction.

    Only who holds it settles its messages, so they are read after it.
    """
    found = _COURSE.first(db, message=message_id)
    assert found is not None, "messages are never deleted"
    return found


def ours(db: Session, message_id: str) -> Ours:
    """One message of ours, to be sent."""
    found = _OURS.first(db, message=message_id)
    assert found is not None, "messages are never deleted"
    return found


def taken(db: Session, exchange_id: str) -> Sequence[Said]:
    """What was said and taken, in order."""
    return _TAKEN.rows(db, exchange=exchange_id)


def under_way(db: Session, exchange_id: str) -> Sequence[Unsettled]:
    """Messages of ours that are not settled, in order."""
    return _UNDER_WAY.rows(db, exchange=exchange_id)


def heard_as(db: Session, exchange_id: str, sha256: str) -> Sequence[str]:
    """The moves that messages of the other side with these bytes made."""
    return _HEARD_AS.rows(db, exchange=exchange_id, sha256=sha256)


def last_heard(db: Session, exchange_id: str) -> str | None:
    """The hash of the last message that was taken from the other side."""
    return _LAST_HEARD.first(db, exchange=exchange_id)
