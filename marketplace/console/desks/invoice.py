"""One invoice: each line with the entries of the log that prove it, what was paid and what was taken back."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from marketplace.console import codes, formats
from marketplace.console.desks.places import Places
from marketplace.console.desks.purchases import invoices_section, state_of_invoice
from marketplace.console.desks.sections import Cell, Leaves, Page, Section, money, table
from marketplace.console.reader import Reader
from marketplace.settlement import overview
from marketplace.settlement.models import Invoice, InvoiceLine

LINES = 200


def page(reader: Reader, invoice: Invoice, after: int = 0) -> Page:
    """The page of an invoice or credit note that the reader may see.  after: the line behind which its lines begin."""
    credited = invoice.kind == "credit_note"
    found = overview.lines_after(reader.db, invoice, after, limit=LINES + 1)
    lines, more = found[:LINES], found[LINES:]
    notes = overview.credit_notes(reader.db, invoice.id)
    reader.meet([invoice.buyer_id, invoice.issuer_id], [one.asset_id for one in lines])
    places = Places(f"/invoices/{invoice.id}", {"after": str(after) if after else None})
    sections = [_lines(reader, lines, places.leaves("after", str(lines[-1].position) if more else None))]
    if notes:
        sections.append(invoices_section(reader, notes))
    return Page(
        title=invoice.number,
        sub=Cell(state_of_invoice(reader, invoice), bad=invoice.state == "overdue"),
        neighbours=[
            Cell("PDF", f"/invoices/{invoice.id}/invoice.pdf"),
            *([Cell(reader.say("invoice_taken_back"), f"/invoices/{invoice.credits}")] if invoice.credits else []),
        ],
        headline=[
            (reader.say("amount"), money(reader, invoice.total_fen)),
            (reader.say("vat_in_it"), money(reader, invoice.vat_fen)),
            *([] if credited else [(reader.say("paid_so_far"), money(reader, invoice.received_fen))]),
            *([(reader.say("bounced"), money(reader, invoice.bounced_fen, bad=True))] if invoice.bounced_fen else []),
            (reader.say("taken_back"), money(reader, invoice.credited_fen or None)),
        ],
        sections=[_facts(reader, invoice), *sections],
    )


def _facts(reader: Reader, invoice: Invoice) -> Section:
    def day(word: str, moment: object) -> tuple[str, Cell]:
        return reader.say(word), Cell(formats.day(moment, reader.language) if moment else "–")  # type: ignore[arg-type]

    return Section(
        title=reader.say("parties_and_days"),
        facts=[
            (reader.say("issuer"), Cell(reader.name_of(invoice.issuer_id))),
            (reader.say("buyer"), Cell(reader.name_of(invoice.buyer_id))),
            day("issued_on", invoice.issued_at),
            day("due", None if invoice.kind == "credit_note" else invoice.due_at),
            day("paid_on", invoice.paid_at),
            *([day("overdue_since", invoice.overdue_at)] if invoice.overdue_at else []),
            *([day("suspended_since", invoice.suspended_at)] if invoice.suspended_at else []),
            (reader.say("document"), Cell(Markup("<code>{}</code>").format(invoice.document))),
        ],
    )


def _lines(reader: Reader, lines: Sequence[InvoiceLine], leaves: Leaves) -> Section:
    heads = "number# charge time data_asset amount# vat_in_it# proof_of_cause proof_of_posting"
    rows = [
        [
            Cell(str(one.position)),
            Cell(
                reader.name(codes.CHARGES, one.kind),
                note=reader.name(codes.INVOICE_STATES, "credited") if one.credited_by else "",
            ),
            Cell(formats.minute(one.at, reader.language)),
            Cell(reader.name_of_asset(one.asset_id)),
            money(reader, one.price_fen),
            money(reader, one.vat_fen),
            Cell(reader.say("leaf"), f"/entries/{one.entry_id}"),
            Cell(reader.say("leaf"), f"/entries/{one.posting_entry_id}"),
        ]
        for one in lines
    ]
    return Section(
        title=reader.say("lines"),
        note=reader.say("lines_note"),
        tables=[table(reader, heads, rows)],
        leaves=leaves,
    )
