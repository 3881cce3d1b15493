"""The verbs of the books: post and reverse; nothing is ever changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from marketplace.audit.entry import Tag, Told, record_all
from marketplace.kernel.actor import SERVICE, Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Forbidden
from marketplace.kernel.ids import new_id
from marketplace.ledger import balances, queries, rules
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.ledger.periods import booking_period
from marketplace.ledger.rules import Dimensions, Draft, Line, ReversalReason
from marketplace.plumbing.bulk import insert_all


class NotABookkeeper(Forbidden):
    """Only the platform operator or the service corrects the books."""


def post(db: Session, actor: Actor, draft: Draft, now: datetime) -> LedgerTransaction:
    """Put a transaction into the books; the same event key again returns the first and changes nothing.

    As `post_all` for one.  Raises Unbalanced, NoSuchAccount.  Records: ledger:posted.
    """
    [transaction_id] = post_all(db, actor, [draft], now)
    return queries.transaction(db, transaction_id)


def post_all(db: Session, actor: Actor, drafts: Sequence[Draft], now: datetime) -> list[str]:
    """Put transactions into the books with one statement per table; returns their ids in the order given.

    A key that is in the books, or that an earlier draft of the same call has, keeps its first transaction.  Safe when
    two workers post at once: the unique key decides, the loser posts what is left.  All enter or none.
    Raises Unbalanced, NoSuchAccount.  Records: ledger:posted for each new transaction.
    """
    queries.hold_open(db)
    closed_through = queries.closed_through(db)
    known = queries.ids_by_key(db, [draft.event_key for draft in drafts])

    for draft in drafts:
        rules.check(draft)

    while fresh := _first_of_each(drafts, known):
        try:
            with _beside_others(db):
                known |= _write(db, actor, fresh, now, closed_through)
        except IntegrityError:
            winners = queries.posted_by_others(db, [draft.event_key for draft in fresh])
            if not winners:
                raise
            known |= winners

    return [known[draft.event_key] for draft in drafts]


def reverse(db: Session, actor: Actor, transaction_id: str, reason: ReversalReason, now: datetime) -> LedgerTransaction:
    """Take a transaction back by a second one with every sign turned, the only correction there is.

    Asking again returns the first reversal.  As `reverse_all` for one.
    """
    [made] = reverse_all(db, actor, [transaction_id], reason, now)
    return queries.transaction(db, made)


def reverse_all(
    db: Session, actor: Actor, transactions: Sequence[str], reason: ReversalReason, now: datetime
) -> list[str]:
    """Take transactions back with one statement per table; returns the ids of the reversals in the order given.

    One that was taken back before keeps its first reversal.  All enter or none.
    Raises NoSuchTransaction, NotABookkeeper, ReversalIsFinal.  Records: ledger:posted for each new reversal.
    """
    originals = queries.transactions(db, transactions)
    lines = queries.postings_of(db, transactions)

    if actor.participant != SERVICE and not actor.has(Role.PLATFORM_OPERATOR):
        raise NotABookkeeper(
            "correcting the books needs the role platform_operator", got=", ".join(sorted(actor.roles)) or "no role"
        )
    final = [one.id for one in originals if one.reverses is not None]
    if final:
        raise rules.ReversalIsFinal(
            "a reversal cannot be reversed", got=final[0], action="post the cause again under a new event key"
        )

    drafts = [rules.reversal(draft_of(one, lines.get(one.id, ())), one.id, reason) for one in originals]
    return post_all(db, actor, drafts, now)


def _beside_others(db: Session) -> AbstractContextManager[object]:
    """What a transaction that posts the same keys at this moment may undo; on SQLite nobody else can be writing.

    There a savepoint would cost: until it ends, SQLite keeps in memory how each page was that it changes, and a page
    of events changes the more of them the larger the books are.
    """
    return nullcontext() if db.get_bind().dialect.name == "sqlite" else db.begin_nested()


def _first_of_each(drafts: Sequence[Draft], known: Mapping[str, str]) -> list[Draft]:
    fresh: dict[str, Draft] = {}
    for draft in drafts:
        if draft.event_key not in known:
            fresh.setdefault(draft.event_key, draft)
    return list(fresh.values())


def _write(
    db: Session, actor: Actor, drafts: Sequence[Draft], now: datetime, closed_through: str | None
) -> dict[str, str]:
    """Write drafts that are not in the books; event key -> transaction id."""
    made = [(new_id("ltx"), booking_period(draft.at, closed_through), draft) for draft in drafts]
    told = [_told(*one) for one in made]
    entries = record_all(db, actor, Tag.LEDGER_POSTED, now, told)

    transactions = [_row(*one, entry, now) for one, entry in zip(made, entries, strict=True)]
    postings = [row for name, period, draft in made for row in _posting_rows(name, period, draft)]
    # Past the unit of work, at a tenth of its cost; each row has its entry from above.
    insert_all(db.connection(), LedgerTransaction, transactions)
    insert_all(db.connection(), Posting, postings)
    balances.add(db, postings)
    return {draft.event_key: name for name, _, draft in made}


def _posting_rows(transaction_id: str, period: str, draft: Draft) -> Iterator[dict[str, Any]]:
    shared = {"transaction_id": transaction_id, "period": period, **draft.dims.columns()}
    for line in draft.lines:
        yield {"id": new_id("pst"), **line.columns(), **shared}


def _row(transaction_id: str, period: str, draft: Draft, posting_entry: str, now: datetime) -> dict[str, Any]:
    return {
        "id": transaction_id,
        "event_key": draft.event_key,
        "kind": draft.kind,
        "at": draft.at,
        "posted_at": now,
        "memo": draft.memo,
        "entry_id": draft.entry_id,
        "posting_entry_id": posting_entry,
        "meter_event": draft.meter_event,
        "quantity": draft.quantity,
        "unit_price_minor": draft.unit_price_minor,
        "tariff": draft.tariff,
        "reverses": draft.reverses,
        "period": period,
        **draft.dims.columns(),
    }


def _told(transaction_id: str, period: str, draft: Draft) -> Told:
    facts: Json = {
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
        "reverses": draft.reverses,
        "period": period,
        # Minor units may pass 2^53 one day, so they travel as text.
        "postings": [line.columns() | {"amount_minor": str(line.amount_minor)} for line in draft.lines],
    }
    return Told(draft.dims.asset, draft.dims.version, draft.dims.agreement, facts)


def draft_of(original: LedgerTransaction, lines: Sequence[Posting]) -> Draft:
    """A transaction of the books as the draft that it was."""
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
