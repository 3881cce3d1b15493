"""Our own messages: asked for in the transaction of the decision, sent by a worker, tried again, ended visibly.

While an attempt is under way, what the other side says of the same exchange waits, unless it answers our message: then
that was taken, though we were not told so yet.  No transaction is open meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Integer, bindparam, func, insert, update
from sqlmodel import Session, col

from marketplace.dataspace import transcript
from marketplace.dataspace.models import Exchange, ExchangeMessage
from marketplace.dataspace.states import FINAL, Move
from marketplace.dataspace.transcript import Course, Ours, Unsettled
from marketplace.kernel.canonical import Json, digest
from marketplace.kernel.errors import Unavailable
from marketplace.kernel.ids import new_id
from marketplace.plumbing import outbox
from marketplace.plumbing.writes import Write

SEND_TASK: Final = "dataspace.send"
_COLUMNS: Final = ["id", "exchange_id", "ours", "move", "sha256", "body", "state", "attempts", "asked_at", "settled_at"]
_KEEP: Final = Write(insert(ExchangeMessage), _COLUMNS)
_OF_MESSAGE: Final = update(ExchangeMessage).where(col(ExchangeMessage.id) == bindparam("message"))
_BEGIN: Final = Write(
    _OF_MESSAGE.values(state="sending", attempts=bindparam("number"), sending_until=bindparam("until"))
)
_WAIT: Final = Write(_OF_MESSAGE.values(state="waiting", sending_until=None, status=bindparam("answered")))
_SETTLE: Final = Write(
    _OF_MESSAGE.values(
        state=bindparam("end"),
        settled_at=bindparam("now"),
        sending_until=None,
        status=func.coalesce(bindparam("answered", type_=Integer()), col(ExchangeMessage.status)),
    )
)


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


def ask(db: Session, exchange: Exchange, move: Move, message: Json, now: datetime, due: datetime) -> str:
    """Have a message sent when it is due; an earlier one of ours that waits is dropped, since this one replaces it.

    Returns its id.
    """
    for former in transcript.under_way(db, exchange.id):
        if former.state == "waiting":
            settle(db, former.id, "dropped", now)
    name = keep(db, exchange, move, message, digest(message), now, ours=True)
    schedule(db, name, 0, now, due)
    return name


def keep(db: Session, exchange: Exchange, move: Move, message: Json, sha256: str, now: datetime, *, ours: bool) -> str:
    """Keep a message: one of ours waits to be sent, one of the other side was taken.  Returns its id.

    sha256: its digest, by which one that was taken is known when it comes twice.
    """
    name, settled = new_id("dsm"), None if ours else now
    row = {"id": name, "exchange_id": exchange.id, "ours": ours, "move": move.name, "sha256": sha256, "body": message}
    how = {"state": "waiting" if ours else "taken", "attempts": 0, "asked_at": now, "settled_at": settled}
    _KEEP.run(db, **row, **how)
    return name


def schedule(db: Session, message_id: str, attempts: int, now: datetime, due: datetime) -> None:
    """Have the next attempt made.  attempts: those before it."""
    outbox.enqueue(db, SEND_TASK, {"message": message_id}, key=f"{message_id}:{attempts}", now=now, due=due)


def settle(db: Session, message_id: str, state: str, now: datetime, status: int | None = None) -> None:
    """Give a message its end: `taken`, `refused`, `given_up` or `dropped`.  status: None leaves that of the last."""
    _SETTLE.run(db, message=message_id, end=state, now=now, answered=status)


def begin_attempt(db: Session, row: Ours, now: datetime, longest: timedelta) -> None:
    """Mark that an attempt is under way.  Raises OnItsWay while one is, of this message or another of the exchange."""
    for other in transcript.under_way(db, row.exchange_id):
        require_settled(other, now)
    _BEGIN.run(db, message=row.id, number=row.attempts + 1, until=now + longest)


def try_again(db: Session, row: Ours, status: int | None, now: datetime, due: datetime) -> None:
    """Have a message that was not taken wait for its next attempt.  status: of the last one."""
    _WAIT.run(db, message=row.id, answered=status)
    schedule(db, row.id, row.attempts, now, due)


def require_settled(row: Unsettled, now: datetime) -> None:
    """Raises OnItsWay while a message of ours is being sent."""
    if row.state == "sending" and row.sending_until is not None and row.sending_until > now:
        raise OnItsWay(
            "a message of ours about this exchange is on its way", got=row.id, action="try again in a moment"
        )


def is_over(exchange: Exchange | Course) -> bool:
    """Whether nothing more is said in an exchange."""
    return exchange.state in FINAL
