"""Our own messages: asked for in the transaction of the decision, sent by a worker, tried again, ended visibly.

While an attempt is under way, what the other side says of the same exchange waits: it may answer before we know that
our message was taken.  No transaction is open meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from marketplace.dataspace import queries
from marketplace.dataspace.models import Exchange, ExchangeMessage
from marketplace.dataspace.states import FINAL, Move
from marketplace.kernel.canonical import Json, digest
from marketplace.kernel.errors import Unavailable
from marketplace.kernel.ids import new_id
from marketplace.plumbing import outbox

SEND_TASK: Final = "dataspace.send"


class OnItsWay(Unavailable):
    """A message of ours about the same exchange is on its way; try again."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.  status: None without an answer; body: what came back, an empty object for anything odd."""

    status: int | None
    body: Json

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def ask(db: Session, exchange: Exchange, move: Move, message: Json, now: datetime, due: datetime) -> ExchangeMessage:
    """Have a message sent when it is due; an earlier one of ours that waits is dropped, since this one replaces it."""
    for former in queries.under_way(db, exchange.id):
        if former.state == "waiting":
            settle(db, former, "dropped", now)
    row = ExchangeMessage(
        id=new_id("dsm"),
        exchange_id=exchange.id,
        ours=True,
        move=move.name,
        sha256=digest(message),
        body=message,
        state="waiting",
        asked_at=now,
    )
    db.add(row)
    db.flush()
    schedule(db, row, now, due)
    return row


def schedule(db: Session, row: ExchangeMessage, now: datetime, due: datetime) -> None:
    """Have the next attempt made."""
    outbox.enqueue(db, SEND_TASK, {"message": row.id}, key=f"{row.id}:{row.attempts}", now=now, due=due)


def settle(db: Session, row: ExchangeMessage, state: str, now: datetime, status: int | None = None) -> None:
    """Give a message its end: `taken`, `refused`, `given_up` or `dropped`."""
    row.state, row.settled_at, row.sending_until = state, now, None
    row.status = status if status is not None else row.status
    db.add(row)
    db.flush()


def begin_attempt(db: Session, row: ExchangeMessage, now: datetime, longest: timedelta) -> None:
    """Mark that an attempt is under way.  Raises OnItsWay while one is, of this message or another of the exchange."""
    for other in queries.under_way(db, row.exchange_id):
        if other.state == "sending" and other.sending_until is not None and other.sending_until > now:
            raise OnItsWay("another worker sends a message of this exchange", got=other.id)
    row.state, row.attempts, row.sending_until = "sending", row.attempts + 1, now + longest
    db.add(row)
    db.flush()


def require_silence(db: Session, exchange: Exchange, now: datetime) -> None:
    """Raises OnItsWay while a message of ours about this exchange is being sent."""
    for row in queries.under_way(db, exchange.id):
        if row.state == "sending" and row.sending_until is not None and row.sending_until > now:
            raise OnItsWay("a message of ours is on its way", action="send yours again in a moment")


def is_over(exchange: Exchange) -> bool:
    """Whether nothing more is said in an exchange."""
    return exchange.state in FINAL
