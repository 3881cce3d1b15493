"""Closing a month of the books and opening it again: each by a document that the platform operator signs."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.accounting.schemas import PeriodClosingIn, PeriodReopeningIn
from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json, digest
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Forbidden
from marketplace.ledger import balances, queries
from marketplace.ledger.models import LedgerPeriod
from marketplace.ledger.periods import (
    PERIODS,
    BooksMoved,
    NotTheNextPeriod,
    PeriodNotOver,
    PeriodState,
    close_document,
    end_of,
    following,
    reopening_document,
)
from marketplace.participants.signatures import accept

CLOSE, REOPENING = "period-close", "period-reopening"


class NotTheOperator(Forbidden):
    """Only the platform operator closes periods; auditors read along."""


def document_to_sign(db: Session, actor: Actor, period: str, now: datetime) -> Json:
    """The document that closes a period, as the books are now.

    Raises NotTheOperator, PeriodNotOver, NotTheNextPeriod.
    """
    if not (actor.has(Role.PLATFORM_OPERATOR) or actor.has(Role.AUDITOR)):
        raise NotTheOperator("closing the books needs the role platform_operator")
    _require_next(db, period, now)
    return _document(db, period)


def close(db: Session, actor: Actor, period: str, asked: PeriodClosingIn, now: datetime) -> LedgerPeriod:
    """Close a period: from now on its months never change; the same signed document again changes nothing.

    Late events count in the next month.  Raises NotYourStep, PeriodNotOver, NotTheNextPeriod, BooksMoved,
    BadSignature, UnknownKey.  Records: participant:signature_accepted, ledger:period_closed.
    """
    queries.hold_open(db, alone=True)
    content = asked.document.model_dump()
    held = queries.period(db, period)
    if held is not None and held.state == PeriodState.CLOSED and held.document == digest(content):
        return held

    step = PERIODS.step(_state(held), PeriodState.CLOSED, actor.roles)
    _require_next(db, period, now)
    if content != _document(db, period):
        raise BooksMoved(
            "the books are not what the document says", got=digest(content), action="read the document anew and sign it"
        )

    document = documents.keep(db, CLOSE, content, now, readers=(actor.participant,))
    accept(db, actor.participant, document, asked.jws, typ=f"{CLOSE}+jws", now=now)

    facts: Json = {"period": period, "document": document, "trial_balance": content["trial_balance"]}
    return _step(db, actor, Tag(step.tag), period, PeriodState.CLOSED, document, facts, now)


def reopen(db: Session, actor: Actor, period: str, asked: PeriodReopeningIn, now: datetime) -> LedgerPeriod:
    """Open the last closed period again; the same signed document again changes nothing.

    Raises NotYourStep, WrongState, NotTheNextPeriod, BooksMoved, BadSignature, UnknownKey.
    Records: participant:signature_accepted, ledger:period_reopened.
    """
    queries.hold_open(db, alone=True)
    content = asked.document.model_dump(mode="json")
    held = queries.period(db, period)
    if held is not None and held.state == PeriodState.OPEN and held.document == digest(content):
        return held

    step = PERIODS.step(_state(held), PeriodState.OPEN, actor.roles)
    last = queries.closed_through(db)
    if held is None or period != last:
        raise NotTheNextPeriod("the last closed period is reopened first", expected=last, got=period)
    if content != reopening_document(period, held.document, asked.document.reason):
        raise BooksMoved("the document names another closing", expected=held.document, got=asked.document.close)

    document = documents.keep(db, REOPENING, content, now, readers=(actor.participant,))
    accept(db, actor.participant, document, asked.jws, typ=f"{REOPENING}+jws", now=now)

    facts: Json = {"period": period, "document": document, "reason": content["reason"]}
    return _step(db, actor, Tag(step.tag), period, PeriodState.OPEN, document, facts, now)


def _state(held: LedgerPeriod | None) -> PeriodState:
    return PeriodState.OPEN if held is None else PeriodState(held.state)


def _document(db: Session, period: str) -> Json:
    closed = [one for one in queries.periods(db) if one.state == PeriodState.CLOSED]
    previous = closed[-1].document if closed else None
    return close_document(period, balances.trial_balance(db, period), queries.counts_in(db, period), previous)


def _require_next(db: Session, period: str, now: datetime) -> None:
    """A period is closed after its end, and in order: everything before it that has postings is closed."""
    if now < end_of(period):
        raise PeriodNotOver("the period has not ended", expected=f"from {timestamp(end_of(period))}", got=period)
    last = queries.closed_through(db)
    first = queries.first_period(db, after=last or "")
    if (last is not None and period <= last) or (first is not None and first < period):
        due = first or following(last or period)
        raise NotTheNextPeriod("periods are closed in order", expected=due, got=period)


def _step(
    db: Session,
    actor: Actor,
    tag: Tag,
    period: str,
    state: PeriodState,
    document: str,
    facts: Json,
    now: datetime,
) -> LedgerPeriod:
    entry = record(db, actor, tag, now, facts=facts)
    row = queries.period(db, period) or LedgerPeriod(
        period=period, state=state, document=document, by=actor.participant, at=now, entry_id=entry
    )
    row.state, row.document, row.by, row.at, row.entry_id = state, document, actor.participant, now, entry
    db.add(row)
    db.flush()
    return row
