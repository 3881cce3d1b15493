"""Work that happens later: a row in the same transaction as the change that asks for it.

The row is the truth; a broker message is only a wake-up.  Tasks are safe to run twice: each verb checks state,
and `dedup_key` lets one piece of work be asked for only once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, update
from sqlmodel import Field, Session, SQLModel, col, select

from marketplace.kernel.ids import new_id
from marketplace.plumbing.db import JsonColumn, UtcDateTime

LEASE = timedelta(seconds=120)
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


def enqueue(
    db: Session, task: str, args: dict[str, Any], *, key: str, now: datetime, due: datetime | None = None
) -> None:
    """Ask for a task in the present transaction; the same key twice asks once.

    task: a name in `workers.tasks.REGISTRY`; args: row ids and plain values only.
    """
    dedup_key = f"{task}:{key}"
    if db.exec(select(OutboxRow.id).where(OutboxRow.dedup_key == dedup_key)).first() is None:
        db.add(OutboxRow(id=new_id("obx"), task=task, args=args, dedup_key=dedup_key, asked_at=now, due_at=due or now))


def due_rows(db: Session, now: datetime, *, limit: int) -> list[str]:
    """Ids of rows that may run now, oldest first."""
    rows = select(OutboxRow.id).where(*_runnable(now)).order_by(col(OutboxRow.due_at), col(OutboxRow.id)).limit(limit)
    return list(db.exec(rows))


def lease(db: Session, row_id: str, now: datetime) -> OutboxRow | None:
    """Take a row for one attempt; None when another worker holds or has finished it."""
    taken = db.exec(
        update(OutboxRow)
        .where(col(OutboxRow.id) == row_id, *_runnable(now))
        .values(leased_until=now + LEASE, attempts=OutboxRow.attempts + 1)
    )
    return db.get(OutboxRow, row_id, populate_existing=True) if taken.rowcount == 1 else None


def finish(db: Session, row_id: str, now: datetime) -> None:
    """Mark a row done."""
    db.exec(update(OutboxRow).where(col(OutboxRow.id) == row_id).values(done_at=now, leased_until=None))


def fail(db: Session, row_id: str, now: datetime, error: str) -> None:
    """Note a failed attempt: try again later with doubled waiting, give up visibly after MAX_ATTEMPTS."""
    row = db.get_one(OutboxRow, row_id, populate_existing=True)
    row.last_error = error[:2000]
    row.leased_until = None
    row.due_at = now + timedelta(seconds=min(2**row.attempts, 3600) / 2)
    if row.attempts >= MAX_ATTEMPTS:
        row.given_up_at = now
    db.add(row)


def _runnable(now: datetime) -> tuple[Any, ...]:
    return (
        col(OutboxRow.done_at).is_(None),
        col(OutboxRow.given_up_at).is_(None),
        col(OutboxRow.due_at) <= now,
        or_(col(OutboxRow.leased_until).is_(None), col(OutboxRow.leased_until) < now),
    )
