"""What an agreement's page shows of its money: what was billed, and what each paid line was divided into."""

from __future__ import annotations

from typing import Any

from sqlmodel import col, select

from marketplace.console import codes, formats
from marketplace.console.reader import Reader
from marketplace.negotiation.models import Agreement
from marketplace.settlement.models import Invoice, InvoiceLine, Share
from marketplace.settlement.queries import shares_of_line

MOST = 100


def part(reader: Reader, agreement: Agreement) -> dict[str, Any]:
    """`charges` that stand on an invoice, the latest first: what, when, how much, of which invoice, to whom."""
    rows = (
        select(InvoiceLine, Invoice)
        .join(Invoice, col(Invoice.id) == col(InvoiceLine.invoice_id))
        .where(InvoiceLine.agreement_id == agreement.id)
        .order_by(col(InvoiceLine.at).desc(), col(InvoiceLine.id).desc())
        .limit(MOST)
    )
    return {"charges": [_charge(reader, line, invoice) for line, invoice in reader.db.exec(rows)]}


def _charge(reader: Reader, line: InvoiceLine, invoice: Invoice) -> dict[str, Any]:
    state = "credited" if line.credited_by else invoice.state
    return {
        "when": formats.minute(line.at, reader.language),
        "what": reader.name(codes.CHARGES, line.kind),
        "amount": formats.money(line.price_fen, reader.language),
        "invoice": invoice.number,
        "state": reader.name(codes.INVOICE_STATES, state),
        "open": state == "overdue",
        "shares": [_share(reader, one) for one in shares_of_line(reader.db, line.id) if not one.void],
    }


def _share(reader: Reader, one: Share) -> str:
    return f"{reader.name(codes.SHARES, one.role)} {formats.money(one.amount_fen, reader.language)}"
