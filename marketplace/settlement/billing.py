"""Issuing: one invoice to a buyer for everything that an exchange has charged it and no invoice holds yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select
from structlog import get_logger

from marketplace.audit import documents, seals
from marketplace.audit.entry import Tag, record
from marketplace.charging import rules as months
from marketplace.charging.queries import has_minimum
from marketplace.charging.service import close_month
from marketplace.costing.service import post_pending
from marketplace.kernel.actor import SERVICE_ACTOR, Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict
from marketplace.kernel.ids import new_id
from marketplace.negotiation.models import Agreement
from marketplace.participants import queries as participants
from marketplace.plumbing import outbox
from marketplace.plumbing.bulk import insert_all
from marketplace.plumbing.runtime import Runtime
from marketplace.settlement import queries, rules
from marketplace.settlement.document import invoice_document
from marketplace.settlement.models import Invoice, InvoiceLine, InvoiceSeries
from marketplace.settlement.queries import Billable
from marketplace.settlement.rules import InvoiceState, NotTheExchange

CHASE_TASK = "settlement.chase_invoice"
LINES = 500
CLOSE_BACK = 12
"""Months: how long a service may have slept until a month is not closed by itself any more."""


class MonthNotOver(Conflict):
    """A month is billed when it is over."""


def issue(
    db: Session, actor: Actor, issuer: str, buyer: str, now: datetime, *, month: str | None = None
) -> Invoice | None:
    """Bill a buyer for what is posted and on no invoice; None when there is nothing, so that billing again is safe.

    month: a month of China's calendar that is over, with its minimum charges; None = everything until now.
    Numbers follow each other without gaps: a number is given in the transaction that issues.
    Raises NotTheExchange, MonthNotOver.  Records: settlement:invoice_issued.
    """
    _require_exchange(actor, issuer)
    asked = (db, issuer, buyer, _until(month, now))

    if not queries.any_billable(*asked, minimum_of=month or ""):
        return None
    series = _hold_series(db, issuer, "invoice", now)
    charges = queries.billable(*asked, minimum_of=month or "")  # whoever billed beside has gone before by now
    if not charges:
        return None

    found = _invoice(db, series, buyer, charges, month or timestamp(now), now)
    _add_lines(db, found, charges)
    _keep(db, found, charges, now)
    _chase(db, found, now)

    record_invoice(db, actor, Tag.INVOICE_ISSUED, found, now, {"lines": len(charges)})
    return found


def bill_months(runtime: Runtime) -> int:
    """Issue the invoices of the month that ended last, for the schedule; how many.  Running it again issues none.

    Minimum charges of earlier months that nobody closed, because the service slept, are on the invoice that follows.
    """
    now = runtime.clock.now()
    first, _ = months.month_bounds(months.month_of(now))
    month = months.month_of(first - timedelta(microseconds=1))
    close_minimums(runtime, now)
    with runtime.database.transaction() as db:
        post_pending(db, now, limit=1000)
    with runtime.database.reading() as db:
        waiting = queries.to_bill(db, first, minimum_of=month)
    issued = 0
    for issuer, buyer in waiting:
        try:
            with runtime.database.transaction() as db:
                issued += issue(db, SERVICE_ACTOR, issuer, buyer, now, month=month) is not None
        except Exception as error:  # noqa: BLE001 - one buyer's invoice must not hold up the others
            get_logger().error("invoice cannot be issued", buyer=buyer, error=type(error).__name__)
    return issued


def close_minimums(runtime: Runtime, now: datetime) -> int:
    """Charge every agreement what the months that are over cost at least, back to a year ago; returns the fen."""
    over = months.months_over(now, CLOSE_BACK)
    first, after = months.month_bounds(over[0])[0], months.month_bounds(over[-1])[1]
    rows = select(Agreement.id).where(
        Agreement.starts_at < after, Agreement.ends_at > first, col(Agreement.finalized_at).is_not(None)
    )
    with runtime.database.reading() as db:
        names = db.exec(rows.order_by(col(Agreement.id))).all()
    charged = 0
    for name in names:
        try:
            charged += _close(runtime, name, over, now)
        except Exception as error:  # noqa: BLE001 - one agreement that cannot be read must not hold up the others
            get_logger().error("month cannot be closed", agreement=name, error=type(error).__name__)
    return charged


def _close(runtime: Runtime, agreement_id: str, over: Sequence[str], now: datetime) -> int:
    with runtime.database.reading() as db:
        if not has_minimum(db, db.get_one(Agreement, agreement_id)):
            return 0
    with runtime.database.transaction() as db:
        agreement = db.get_one(Agreement, agreement_id)
        return sum(close_month(db, agreement, month, now) for month in over)


def next_number(db: Session, issuer: str, kind: str, now: datetime) -> str:
    """The next number of a series, which this transaction uses or gives back with all it does."""
    return _take(db, _hold_series(db, issuer, kind, now))


def record_invoice(db: Session, actor: Actor, tag: Tag, found: Invoice, now: datetime, about: Json) -> str:
    """Write the entry of an invoice's change; returns its id."""
    facts: Json = {
        "invoice": found.id,
        "number": found.number,
        "issuer": found.issuer_id,
        "buyer": found.buyer_id,
        "document": found.document,
        "total_fen": found.total_fen,
        "state": found.state,
        **about,
    }
    return record(db, actor, tag, now, facts=facts)


def keep_document(db: Session, found: Invoice, document: Json, now: datetime) -> None:
    """Keep the document for issuer and buyer and name it in the row."""
    found.document = documents.keep(db, "invoice", document, now, readers=(found.issuer_id, found.buyer_id))
    db.add(found)
    db.flush()


def _require_exchange(actor: Actor, issuer: str) -> None:
    if actor is not SERVICE_ACTOR and (actor.participant != issuer or not actor.has(Role.EXCHANGE_OPERATOR)):
        raise NotTheExchange("an exchange issues its own invoices", expected=issuer, got=actor.participant)


def _until(month: str | None, now: datetime) -> datetime:
    """Up to when is billed: the end of a month that is over, or now."""
    until = months.month_bounds(month)[1] if month else now + timedelta(microseconds=1)
    if month and now < until:
        raise MonthNotOver(
            "the month runs",
            expected=f"from {timestamp(until)}",
            got=timestamp(now),
            action="bill without a month for everything until now",
        )
    return until


def _chase(db: Session, found: Invoice, now: datetime) -> None:
    """Have an invoice looked at when it is due, and once more after the grace."""
    for moment in (found.due_at, found.due_at + rules.GRACE):
        key = f"{found.id}:{timestamp(moment)}"
        outbox.enqueue(db, CHASE_TASK, {"invoice": found.id}, key=key, now=now, due=moment)


def _hold_series(db: Session, issuer: str, kind: str, now: datetime) -> InvoiceSeries:
    """The series, held to the end of the transaction: whoever issues beside waits, and sees what was billed."""
    key = {"issuer_id": issuer, "kind": kind, "year": rules.year_of(now)}
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    made = insert(InvoiceSeries).values(**key, last=0).on_conflict_do_nothing()
    # PostgreSQL's driver does not count the rows of an insert, so the row itself is asked for.
    db.execute(made.returning(col(InvoiceSeries.issuer_id))).first()
    return db.get_one(InvoiceSeries, tuple(key.values()), populate_existing=True, with_for_update=True)


def _take(db: Session, series: InvoiceSeries) -> str:
    series.last += 1
    db.add(series)
    db.flush()
    return rules.number_of(series.kind, series.year, series.last)


def _invoice(
    db: Session, series: InvoiceSeries, buyer: str, charges: Sequence[Billable], period: str, now: datetime
) -> Invoice:
    found = Invoice(
        id=new_id("inv"),
        number=_take(db, series),
        kind="invoice",
        issuer_id=series.issuer_id,
        buyer_id=buyer,
        currency="CNY",
        period=period,
        state=InvoiceState.ISSUED,
        document="",
        total_fen=sum(one.price_fen for one in charges),
        vat_fen=sum(one.vat_fen for one in charges),
        issued_at=now,
        due_at=now + rules.DUE_WITHIN,
    )
    db.add(found)
    db.flush()
    return found


def _add_lines(db: Session, found: Invoice, charges: Sequence[Billable]) -> None:
    """Past the unit of work, a page at a time: an object for each of thousands of lines costs more than the rest."""
    for start in range(0, len(charges), LINES):
        page = enumerate(charges[start : start + LINES], start=start + 1)
        rows = [_line(found, position, one) for position, one in page]
        insert_all(db.connection(), InvoiceLine, rows)
        seals.note_inserted(db, InvoiceLine, rows)


def _line(found: Invoice, position: int, one: Billable) -> dict[str, Any]:
    of = {"id": new_id("inl"), "invoice_id": found.id, "position": position, "credited_by": None}
    return of | one._asdict()


def _keep(db: Session, found: Invoice, lines: Sequence[Billable], now: datetime) -> None:
    issuer, buyer = (participants.participant(db, one) for one in (found.issuer_id, found.buyer_id))
    keep_document(db, found, invoice_document(found, issuer, buyer, lines), now)
