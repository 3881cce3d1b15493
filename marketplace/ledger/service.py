"""The verbs of the books: post and reverse; nothing is ever changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE, Actor, Role
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Forbidden
from marketplace.kernel.ids import new_id
from marketplace.ledger import queries, rules
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.ledger.rules import Dimensions, Draft, Line, ReversalReason


class NotABookkeeper(Forbidden):
    """Only the platform operator or the service corrects the books."""


def post(db: Session, actor: Actor, draft: Draft, now: datetime, *, reverses: str | None = None) -> LedgerTransaction:
    """Put a transaction into the books; the same event key again returns the first and changes nothing.

    Safe when two workers post at once: the unique key decides, the loser returns the winner's transaction.
    Raises Unbalanced, NoSuchAccount.  Records: ledger:posted.
    """
    known = queries.by_key(db, draft.event_key)
    if known is not None:
        return known

    rules.check(draft)

    try:
        with db.begin_nested():
            return _write(db, actor, draft, now, reverses)
    except IntegrityError:
        winner = queries.by_key(db, draft.event_key)
        if winner is None:
            raise
        return winner


def reverse(db: Session, actor: Actor, transaction_id: str, reason: ReversalReason, now: datetime) -> LedgerTransaction:
    """Take a transaction back by a second one with every sign turned, the only correction there is.

    Asking again returns the first reversal.  Raises NoSuchTransaction, NotABookkeeper, ReversalIsFinal.
    Records: ledger:posted.
    """
    original = queries.transaction(db, transaction_id)
    lines = queries.postings(db, transaction_id)

    if actor.participant != SERVICE and not actor.has(Role.PLATFORM_OPERATOR):
        raise NotABookkeeper(
            "correcting the books needs the role platform_operator", got=", ".join(sorted(actor.roles)) or "no role"
        )
    if original.reverses is not None:
        raise rules.ReversalIsFinal(
            "a reversal cannot be reversed", got=transaction_id, action="post the cause again under a new event key"
        )

    draft = rules.reversal(_draft_of(original, lines), transaction_id, reason)
    return post(db, actor, draft, now, reverses=transaction_id)


def _write(db: Session, actor: Actor, draft: Draft, now: datetime, reverses: str | None) -> LedgerTransaction:
    dims, transaction_id = draft.dims, new_id("ltx")
    subject = {"asset": dims.asset, "version": dims.version, "agreement": dims.agreement}
    facts = _facts(draft, transaction_id, reverses)
    posting_entry = record(db, actor, Tag.LEDGER_POSTED, now, **subject, facts=facts)
    db.flush()

    transaction = _row(draft, transaction_id, posting_entry, now, reverses)
    db.add(transaction)
    db.flush()

    db.add_all(
        Posting(id=new_id("pst"), transaction_id=transaction_id, **asdict(line), **asdict(dims)) for line in draft.lines
    )
    db.flush()
    return transaction


def _row(
    draft: Draft, transaction_id: str, posting_entry: str, now: datetime, reverses: str | None
) -> LedgerTransaction:
    return LedgerTransaction(
        id=transaction_id,
        event_key=draft.event_key,
        kind=draft.kind,
        at=draft.at,
        posted_at=now,
        memo=draft.memo,
        entry_id=draft.entry_id,
        posting_entry_id=posting_entry,
        meter_event=draft.meter_event,
        quantity=draft.quantity,
        unit_price_minor=draft.unit_price_minor,
        tariff=draft.tariff,
        reverses=reverses,
        **asdict(draft.dims),
    )


def _facts(draft: Draft, transaction_id: str, reverses: str | None) -> dict[str, object]:
    return {
        "transaction": transaction_id,
        "key": draft.event_key,
        "kind": draft.kind,
        "cause": draft.entry_id,
        "at": timestamp(draft.at),
        "memo": draft.memo,
        "stage": draft.dims.stage,
        "meter_event": draft.meter_event,
        "quantity": draft.quantity,
        "unit_price_minor": draft.unit_price_minor,
        "tariff": draft.tariff,
        "reverses": reverses,
        # Minor units may pass 2^53 one day, so they travel as text.
        "postings": [asdict(line) | {"amount_minor": str(line.amount_minor)} for line in draft.lines],
    }


def _draft_of(original: LedgerTransaction, lines: Sequence[Posting]) -> Draft:
    return Draft(
        event_key=original.event_key,
        kind=original.kind,
        at=original.at,
        memo=original.memo,
        entry_id=original.entry_id,
        lines=tuple(Line(one.account, one.owner, one.amount_minor, one.currency) for one in lines),
        quantity=original.quantity,
        unit_price_minor=original.unit_price_minor,
        tariff=original.tariff,
        meter_event=original.meter_event,
        dims=Dimensions(original.asset, original.version, original.stage, original.agreement),
    )
