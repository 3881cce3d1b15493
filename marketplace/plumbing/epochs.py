"""Revocation epochs: a number per subject that only grows; whoever stops a use bumps it in its own transaction.

The rows lie below every room that bumps them (agreement, version, certificate, listing), because an outbox would
be too late for a running stream.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, col, select


class Epoch(SQLModel, table=True):
    """subject: any id whose revocation stops uses."""

    __tablename__ = "epoch"

    subject: str = Field(primary_key=True)
    number: int = 0
    reason: str = ""


def open_epoch(db: Session, subject: str) -> None:
    """Give a subject its epoch row; asking again, or two at once, changes nothing."""
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    db.exec(insert(Epoch).values(subject=subject, number=0, reason="").on_conflict_do_nothing())


def bump(db: Session, subject: str, reason: str) -> None:
    """Stop every use that rests on this subject.  reason: a reason code."""
    open_epoch(db, subject)
    db.exec(update(Epoch).where(col(Epoch.subject) == subject).values(number=Epoch.number + 1, reason=reason))


def total(db: Session, subjects: Sequence[str]) -> int:
    """The sum of the epochs of several subjects: it changes when any of them is bumped."""
    return sum(db.exec(select(Epoch.number).where(col(Epoch.subject).in_(list(subjects)))))
