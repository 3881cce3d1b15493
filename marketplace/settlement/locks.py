"""What settlement holds to the end of a transaction, and in which order, so that nobody who waits can deadlock.

First the bank of the exchange (`bank.queries.hold_bank`): who holds it is alone with its invoices.  Then the agreements
of all lines that the call is about, then the assets of those that it settles, each kind at once and by id, before any
of them is changed; then shares and refunds, the books last.  Whoever signs, terminates or reports holds its one
agreement first too, then the asset or the stops.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlmodel import Session, col, select

from marketplace.assets import queries as assets
from marketplace.negotiation import queries as negotiation
from marketplace.settlement.models import InvoiceLine


def hold_agreements(db: Session, lines: Sequence[InvoiceLine]) -> None:
    """Hold the agreements of lines.

    What is settled of a result meanwhile is known here, or comes after and finds the lines as they are then.
    """
    negotiation.lock_agreements(db, {one.agreement_id for one in lines if one.agreement_id})


def hold_settled(db: Session, invoice_ids: Collection[str]) -> None:
    """Hold the agreements and the assets of invoices, before any line of them is settled or taken back.

    Of two payments at once that repay the cost of an asset the second one sees what the first repaid.
    """
    # Columns and no rows: what a line says may change until its invoice is held.
    about = select(InvoiceLine.agreement_id, InvoiceLine.asset_id).where(col(InvoiceLine.invoice_id).in_(invoice_ids))
    found = db.exec(about.distinct()).all()
    negotiation.lock_agreements(db, {agreement for agreement, _ in found if agreement})
    assets.lock_assets(db, {asset for _, asset in found if asset})
