"""Work that happens later: a row in the same transaction as the change that asks for it.

The row is the truth; a broker message is only a wake-up.  Tasks are safe to run twice: each verb checks state,
and `dedup_key` lets one piece of work be asked for only once.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Update, bindparam, or_, update
from sqlalchemy import select as sql_select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, col, select

from marketplace.kernel.ids import new_id
from marketplace.plumbing import bell
from marketplace.plumbing.db import JsonColumn, UtcDateTime
from marketplace.plumbing.questions import Question, alone
from marketplace.plumbing.writes import Write

LEASE = timedelta(seconds=9)
"""Kept up by a thread beside the task, so that a dead worker's work is taken over within ten seconds (goal G16)."""
MAX_ATTEMPTS = 12


class OutboxRow(SQLModel, table=True):
    """One piece of work.  Finished rows stay as a record of what ran."""

    __tablename__ = "outbox"

    id: str = Field(primary_key=True)
    task: str
    args: dict[str, Any] = Field(sa_type=JsonColumn)
    dedup_key: str = Field(unique=True)
    asked_at: datetime = Field(sa_type=UtcDateTime)
    due_at: datetime = Field(sa_type=UtcDateTime, index=True)
    leased_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = 0
    last_error: str | None = None
    done_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    given_up_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Work(NamedTuple):
    """What a row asks for.  attempts: those before this one; lost: the last of them ended without a word."""

    row: str
    task: str
    args: dict[str, Any]
    asked_at: datetime
    attempts: int
    lost: bool


def _work(row: str, task: str, args: dict[str, Any], asked_at: datetime, attempts: int, lease: datetime | None) -> Work:
    """From the columns of a row that may run: whoever ends an attempt gives its lease back."""
    return Work(row, task, args, asked_at, attempts, lost=lease is not None)


_RUNNABLE: Final = (
    col(OutboxRow.done_at).is_(None),
    col(OutboxRow.given_up_at).is_(None),
    col(OutboxRow.due_at) <= bindparam("now"),
    or_(col(OutboxRow.leased_until).is_(None), col(OutboxRow.leased_until) < bindparam("now")),
)
_LEASED: Final = (col(OutboxRow.leased_until).is_not(None), col(OutboxRow.done_at).is_(None))
# Made once: to put a statement together costs as much as to run it, and these run for every piece of work.
_ASKED: Final = ("id", "task", "args", "dedup_key", "asked_at", "due_at", "attempts")
_ENQUEUE: Final = {
    name: Write(insert(OutboxRow).on_conflict_do_nothing(index_elements=[col(OutboxRow.dedup_key)]), _ASKED)
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_HELD: Final = (
    select(OutboxRow)
    .where(col(OutboxRow.id) == bindparam("row"), *_RUNNABLE)
    .with_for_update(skip_locked=True)
    .execution_options(populate_existing=True)
)
_WORK: Final = Question(
    sql_select(*(getattr(OutboxRow, name) for name in ("id", "task", "args", "asked_at", "attempts", "leased_until")))
    .where(col(OutboxRow.id) == bindparam("row"), *_RUNNABLE)
    .with_for_update(skip_locked=True),
    _work,
)
_OF_ROW: Final = update(OutboxRow).where(col(OutboxRow.id) == bindparam("row"))
_TOOK: Final = Write(
    _OF_ROW.values(attempts=bindparam("number"), leased_until=bindparam("until"), done_at=bindparam("done"))
)
_FINISH: Final = Write(_OF_ROW.values(done_at=bindparam("now"), leased_until=None))


def enqueue(
    db: Session, task: str, args: dict[str, Any], *, key: str, now: datetime, due: datetime | None = None
) -> None:
    """Ask for a task in the present transaction; the same key twice asks once.

    task: a name in `workers.tasks.REGISTRY`; args: row ids and plain values only.
    """
    named: dict[str, Any] = {"id": new_id("obx"), "task": task, "args": args, "dedup_key": f"{task}:{key}"}
    values = named | {"asked_at": now, "due_at": due or now, "attempts": 0}
    is_new = _ENQUEUE[db.connection().dialect.name].run(db, **values) != 0
    if is_new and values["due_at"] <= now:  # what falls due later is looked for
        bell.ask(db, task, values["id"])


def asked(db: Session, task: str, key: str) -> OutboxRow | None:
    """The row of a piece of work that was asked for."""
    return db.exec(select(OutboxRow).where(OutboxRow.dedup_key == f"{task}:{key}")).first()


def due_rows(
    db: Session, now: datetime, *, limit: int, only: Collection[str] = (), but: Collection[str] = ()
) -> list[str]:
    """Ids of rows that may run now, oldest first; only, but: names of the tasks that are wanted, or not."""
    return _due(frozenset(only), frozenset(but)).rows(db, now=now, limit=limit)


@cache
def _due(only: frozenset[str], but: frozenset[str]) -> Question[str]:
    rows = sql_select(col(OutboxRow.id)).where(*_RUNNABLE, *(col(OutboxRow.task) != one for one in sorted(but)))
    if only:
        rows = rows.where(or_(*(col(OutboxRow.task) == one for one in sorted(only))))
    return Question(rows.order_by(col(OutboxRow.due_at), col(OutboxRow.id)).limit(bindparam("limit")), alone)


def hold(db: Session, row_id: str, now: datetime) -> OutboxRow | None:
    """A row that may run now, held to the end of the transaction; None when another worker holds or has finished it.

    A row whose workers were lost MAX_ATTEMPTS times without a word is given up: whatever it does, it kills them.
    """
    row = db.exec(_HELD, params={"row": row_id, "now": now}).first()
    if row is None or row.attempts < MAX_ATTEMPTS:
        return row
    row.given_up_at, row.leased_until = now, None
    row.last_error = row.last_error or "every worker that took it was lost"
    db.add(row)
    return None


def begin(db: Session, row_id: str, now: datetime) -> Work | None:
    """What a row that may run now asks for; the row is held, or given up, as by `hold`, and None is as there."""
    work = _WORK.first(db, row=row_id, now=now)
    if work is None or work.attempts < MAX_ATTEMPTS:
        return work
    hold(db, row_id, now)
    return None


def took(db: Session, work: Work, now: datetime, *, outlasts: bool) -> None:
    """Count an attempt that began in this transaction.  outlasts: it goes on after it, else the row is done."""
    until, done = (now + LEASE, None) if outlasts else (None, now)
    _TOOK.run(db, row=work.row, number=work.attempts + 1, until=until, done=done)


def lease(db: Session, row_id: str, now: datetime) -> OutboxRow | None:
    """Take a row for one attempt that outlasts the transaction; None as for `hold`."""
    row = hold(db, row_id, now)
    if row is not None:
        row.leased_until, row.attempts = now + LEASE, row.attempts + 1
        db.add(row)
    return row


def renew(db: Session, row_id: str, attempt: int, now: datetime) -> bool:
    """Keep a row for longer; False when the attempt has lost it to another one."""
    kept = db.exec(_held(row_id, attempt).values(leased_until=now + LEASE).execution_options(synchronize_session=False))
    return kept.rowcount == 1


def finish(db: Session, row_id: str, now: datetime) -> None:
    """Mark a row done, also when a later attempt has it: the work is done."""
    _FINISH.run(db, row=row_id, now=now)


def fail(db: Session, row_id: str, attempt: int, now: datetime, error: str) -> None:
    """Note a failed attempt: try again later with doubled waiting, give up visibly after MAX_ATTEMPTS.

    An attempt that lost its lease says nothing any more.
    """
    db.exec(
        _held(row_id, attempt).values(
            last_error=error[:2000],
            leased_until=None,
            due_at=now + _waiting(attempt),
            given_up_at=now if attempt >= MAX_ATTEMPTS else None,
        )
    )


def given_up(db: Session) -> list[OutboxRow]:
    """The work that was tried too often, oldest first: nobody does it until it is put back."""
    rows = select(OutboxRow).where(col(OutboxRow.given_up_at).is_not(None), col(OutboxRow.done_at).is_(None))
    return list(db.exec(rows.order_by(col(OutboxRow.asked_at), col(OutboxRow.id))))


def put_back(db: Session, row_id: str, now: datetime) -> bool:
    """Have a row that was given up tried again from the beginning; False when it is none."""
    waits = col(OutboxRow.given_up_at).is_not(None), col(OutboxRow.done_at).is_(None)
    again = update(OutboxRow).where(col(OutboxRow.id) == row_id, *waits)
    put = db.exec(again.values(given_up_at=None, attempts=0, due_at=now).execution_options(synchronize_session=False))
    return put.rowcount == 1


def blame(db: Session, now: datetime) -> None:
    """Free the row that a dead process took last: it may be what killed it, so it waits as after a failure.

    Its attempt was counted when it was taken, and stays so.
    """
    # Leases are renewed in the order in which rows were taken, so the one that was taken last ends last.
    last = select(OutboxRow).where(*_LEASED).order_by(col(OutboxRow.leased_until).desc(), col(OutboxRow.id).desc())
    row = db.exec(last.limit(1)).first()
    if row is not None:
        row.leased_until, row.due_at = None, now + _waiting(row.attempts)
        db.add(row)
        db.flush()


def release(db: Session) -> None:
    """Free every row that is held by a process which is gone; attempts that its end cut short do not count."""
    db.exec(update(OutboxRow).where(*_LEASED).values(leased_until=None, attempts=OutboxRow.attempts - 1))


def _waiting(attempt: int) -> timedelta:
    return timedelta(seconds=min(2**attempt, 3600) / 2)


def _held(row_id: str, attempt: int) -> Update:
    """An UPDATE of a row as long as this attempt is its present one."""
    return update(OutboxRow).where(
        col(OutboxRow.id) == row_id,
        col(OutboxRow.attempts) == attempt,
        col(OutboxRow.leased_until).is_not(None),
        col(OutboxRow.done_at).is_(None),
    )
