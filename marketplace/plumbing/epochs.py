"""Revocation epochs: a number per subject that only grows; whoever stops a use bumps it in its own transaction.

The rows lie below every room that bumps them (agreement, version, certificate, opinion, listing, participant),
because an outbox would be too late for a running stream.  One row more counts the bumps of all subjects, so that
a running stream learns from one cheap read that something was stopped.  It is a hot row, and bumps are rare.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, col, func, select

from marketplace.kernel.actor import Actor
from marketplace.kernel.clock import timestamp
from marketplace.plumbing import outbox
from marketplace.plumbing.keeping import forget
from marketplace.plumbing.questions import Question, alone

EVERY = "*"
"""The subject of the row that counts all bumps; no id has this form."""
_BUMPS = 0x65706F6368  # "epoch": the key of PostgreSQL's advisory lock
NOTIFY_TASK = "transfer.notify_stop"


class Stop(StrEnum):
    """Why uses were stopped; a later request is refused with the same code (`contracts/policy/reasons.json`)."""

    AGREEMENT_SUPERSEDED = "agreement_superseded"
    AGREEMENT_SUSPENDED = "agreement_suspended"
    AGREEMENT_TERMINATED = "agreement_terminated"
    CERTIFICATE_CANCELLED = "certificate_cancelled"
    CERTIFICATE_NOT_VALID = "certificate_not_valid"
    CERTIFICATE_SUSPENDED = "certificate_suspended"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    EXPIRED = "expired"
    INVOICE_OVERDUE = "invoice_overdue"
    LISTING_FORCED_OFF = "listing_forced_off"
    OPINION_NOT_VALID = "opinion_not_valid"
    PARTY_SUSPENDED = "party_suspended"
    USE_REPORT_MISSING = "use_report_missing"
    VERSION_RETIRED = "version_retired"
    VERSION_SUSPENDED = "version_suspended"


class Epoch(SQLModel, table=True):
    """subject: any id whose revocation stops uses.  at_change: the value of the common count at its latest bump."""

    __tablename__ = "epoch"

    subject: str = Field(primary_key=True)
    number: int = 0
    reason: str = ""
    at_change: int = Field(default=0, sa_type=BigInteger)


_TABLE: Table = Epoch.__table__  # type: ignore[attr-defined]
# Made once: with its rows written out it would be put into words anew each time.
_OPENING = {
    "sqlite": sqlite.insert(_TABLE).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(_TABLE).on_conflict_do_nothing(),
}
_CHANGES = Question(select(Epoch.number).where(Epoch.subject == EVERY), alone)


def open_epoch(db: Session, subject: str) -> None:
    """Give a subject its epoch row; asking again, or two at once, changes nothing."""
    open_epochs(db, [subject])


def open_epochs(db: Session, subjects: Sequence[str]) -> None:
    """Give each subject its epoch row, as `open_epoch` does, with one statement."""
    db.info.setdefault("epochs_touched", set()).update(subjects)  # sealed in the log at the commit (audit.seals)
    rows = [{"subject": subject, "number": 0, "reason": "", "at_change": 0} for subject in sorted(set(subjects))]
    # One row as such: whether it was new is what the guard of the log asks.
    db.execute(_OPENING[db.get_bind().dialect.name], rows if len(rows) > 1 else rows[0])


def hold(db: Session) -> None:
    """Keep everything from being bumped until this transaction ends; on SQLite a write transaction does so by itself.

    A queue and no lock of rows: with row locks, windows that come one after another would let a bump wait for long.
    """
    if db.get_bind().dialect.name == "postgresql":
        db.connection().execute(select(func.pg_advisory_xact_lock_shared(_BUMPS)))
        forget(db)


def hold_off_uses(db: Session) -> None:
    """Let no other transaction confirm a use until this one ends; on SQLite a write transaction does so by itself."""
    if db.get_bind().dialect.name == "postgresql":
        db.connection().execute(select(func.pg_advisory_xact_lock(_BUMPS)))
        forget(db)


def bump(db: Session, subject: str, reason: str) -> int:
    """Stop every use that rests on this subject; the new epoch.  reason: a reason code.

    The common count goes first: whoever bumps holds it until the commit, so that two who bump the same subjects
    in another order wait for each other and cannot deadlock.
    """
    hold_off_uses(db)
    change = _grow(db, EVERY, reason, None)
    return _grow(db, subject, reason, change)


def stop(db: Session, subjects: Sequence[str], reason: Stop, actor: Actor, entry: str, now: datetime) -> None:
    """Stop every use that rests on any of these subjects, and have both parties of each told by a signed notice.

    What reads `changes` while bumps are held off knows its place among the stops, whatever the clocks say.
    entry: id of the entry that records the stop; one stop is one entry, whatever it stops.  now: when uses ended, which
    for what ends by itself is the second of that end, not the moment at which a worker found it.
    """
    grown = [[subject, bump(db, subject, reason)] for subject in subjects]
    told = {
        "subjects": grown,
        "reason": str(reason),
        "stopped_by": actor.participant,
        "entry": entry,
        "stopped_at": timestamp(now),
        "change": changes(db),
    }
    outbox.enqueue(db, NOTIFY_TASK, told, key=entry, now=now)
    db.info.setdefault("stops_to_tell", {})[entry] = told  # kept in the log at the commit (audit.seals)


def second(moment: datetime) -> datetime:
    """The whole second at which windows end for something that holds until a moment: they compare whole seconds."""
    return moment.replace(microsecond=0)


def _grow(db: Session, subject: str, reason: str, change: int | None) -> int:
    """One more on a row, made if it is not there; its new number."""
    db.info.setdefault("epochs_touched", set()).add(subject)
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    fresh = insert(Epoch).values(subject=subject, number=1, reason=reason, at_change=change or 1)
    grown = fresh.on_conflict_do_update(
        index_elements=[col(Epoch.subject)],
        set_={
            "number": col(Epoch.number) + 1,
            "reason": reason,
            "at_change": col(Epoch.number) + 1 if change is None else change,
        },
    ).returning(col(Epoch.number))
    return int(db.exec(grown).scalar_one())


def total(db: Session, subjects: Sequence[str]) -> int:
    """The sum of the epochs of several subjects: it changes when any of them is bumped."""
    return sum(db.exec(select(Epoch.number).where(col(Epoch.subject).in_(list(subjects)))))


def changes(db: Session) -> int:
    """How often anything was bumped at all: it grows in the transaction of every bump."""
    return _CHANGES.first(db) or 0


def reason_of(db: Session, subjects: Sequence[str]) -> str:
    """The reason code of the latest bump of any of these subjects; empty if none was ever bumped."""
    latest = (
        select(Epoch.reason)
        .where(col(Epoch.subject).in_(list(subjects)), Epoch.number > 0)
        .order_by(col(Epoch.at_change).desc(), col(Epoch.subject))
    )
    return db.exec(latest).first() or ""
