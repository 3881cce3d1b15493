"""The buyer's page: its contracts with counters and caps, what will be billed, its invoices, its negotiations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from marketplace.charging.preview import Preview, preview_of_agreement
from marketplace.console import codes, formats
from marketplace.console.desks import codes as desk_codes
from marketplace.console.desks import negotiations
from marketplace.console.desks.gate import Desk
from marketplace.console.desks.links import neighbours
from marketplace.console.desks.places import Places
from marketplace.console.desks.sections import Cell, Leaves, Page, Section, money, table, unbroken
from marketplace.console.reader import Reader
from marketplace.console.views import state_of
from marketplace.exchange.pricing import describe
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import Side
from marketplace.settlement import overview
from marketplace.settlement.models import Invoice
from marketplace.settlement.queries import Billable
from marketplace.usage import queries as usage
from marketplace.usage.models import UsageQuota

CONTRACTS, CHARGES, INVOICES = 20, 50, 50


def page(reader: Reader, desk: Desk, asked: Mapping[str, str | None]) -> Page:
    """The page of a buyer.

    asked: where its `agreements`, `invoices` and `negotiations` begin.  Raises NotOnThisList.
    """
    places = Places(f"/participants/{desk.id}/purchases", asked)
    bought = negotiation.bought(reader.db, desk.actor, cursor=places.of("agreements"), limit=CONTRACTS)
    to_come = overview.to_come(reader.db, desk.actor, reader.now, limit=CHARGES)
    invoices = overview.bought_invoices(reader.db, desk.actor, cursor=places.of("invoices"), limit=INVOICES)
    owed, late = overview.owed(reader.db, desk.actor, reader.now)
    reader.meet([one.provider_id for one in bought.rows], [one.asset_id for one in bought.rows])
    reader.meet(assets=[one.asset_id for one in to_come])
    live = negotiation.count_in_force(reader.db, desk.actor, reader.now)
    return Page(
        title=reader.say("purchases_title"),
        sub=Cell(reader.legal_name(desk.owner)),
        neighbours=neighbours(reader, desk),
        headline=[
            (reader.say("live_agreements"), Cell(f"{live:,}")),
            (reader.say("charges_to_come"), money(reader, overview.sum_to_come(reader.db, desk.actor, reader.now))),
            (reader.say("to_pay"), money(reader, owed)),
            (reader.say("overdue"), money(reader, late, bad=True)),
        ],
        sections=[
            _contracts(reader, bought.rows, places.leaves("agreements", bought.next)),
            _to_come(reader, to_come),
            invoices_section(reader, invoices.rows, places.leaves("invoices", invoices.next)),
            negotiations.section(reader, desk, Side.BUYER, places),
        ],
    )


def invoices_section(
    reader: Reader, invoices: Sequence[Invoice], leaves: Leaves | None = None, *, sold: bool = False
) -> Section:
    """Invoices and credit notes, each with its page and its PDF.  sold: as their issuer reads them."""
    heads = f"invoice {'buyer ' if sold else ''}issued_on due amount# taken_back# state paid_on pdf"
    rows = [
        [
            Cell(unbroken(one.number), f"/invoices/{one.id}"),
            *([Cell(reader.name_of(one.buyer_id))] if sold else []),
            Cell(formats.day(one.issued_at, reader.language)),
            Cell("–" if one.kind == "credit_note" else formats.day(one.due_at, reader.language)),
            money(reader, one.total_fen),
            money(reader, one.credited_fen or None),
            Cell(state_of_invoice(reader, one), bad=one.state == "overdue"),
            Cell(formats.day(one.paid_at, reader.language) if one.paid_at else "–"),
            Cell("PDF", f"/invoices/{one.id}/invoice.pdf"),
        ]
        for one in invoices
    ]
    return Section(reader.say("invoices"), tables=[table(reader, heads, rows, "no_invoices")], leaves=leaves)


def state_of_invoice(reader: Reader, invoice: Invoice) -> str:
    """What an invoice is worth, in words; of a credit note that it is one."""
    if invoice.kind == "credit_note":
        return reader.say("credit_note")
    return reader.name(codes.INVOICE_STATES, invoice.state)


def _contracts(reader: Reader, bought: Sequence[Agreement], leaves: Leaves) -> Section:
    named = [one.id for one in bought]
    quotas, public = usage.quotas(reader.db, named), negotiation.all_invented(reader.db, named)
    rows = [_contract(reader, one, quotas.get(one.id), public=one.id in public) for one in bought]
    heads = "data_asset state used# this_month# cap_left# next_use# price_plan"
    return Section(
        title=reader.say("agreements"),
        note=reader.say("counters_note"),
        tables=[table(reader, heads, rows, "no_agreements")],
        leaves=leaves,
    )


def _contract(reader: Reader, one: Agreement, quota: UsageQuota | None, *, public: bool) -> list[Cell]:
    until = f"{reader.say('valid_until')} {formats.plain_day(one.ends_at, reader.language)}"
    next_use = preview_of_agreement(reader.db, one, 1, reader.now) if one.state == "finalized" else None
    return [
        Cell(
            reader.name_of_asset(one.asset_id),
            f"/agreements/{one.id}" if public else "",
            note=reader.name_of(one.provider_id),
        ),
        Cell(state_of(reader, one)["state"], note=until),
        _used(quota),
        _month(reader, next_use),
        money(reader, _cap(next_use)),
        _next_use(reader, next_use, quota),
        Cell(describe(one.price_plan, reader.language)),
    ]


def _used(quota: UsageQuota | None) -> Cell:
    if quota is None:
        return Cell("0")
    taken = quota.uses_reserved + quota.uses_settled
    uses = f"{taken:,}" if quota.uses_limit is None else f"{taken:,} / {quota.uses_limit:,}"
    served = formats.volume(quota.bytes_reserved + quota.bytes_settled)
    most = "" if quota.bytes_limit is None else f" / {formats.volume(quota.bytes_limit)}"
    return Cell(uses, note=served + most)


def _next_use(reader: Reader, found: Preview | None, quota: UsageQuota | None) -> Cell:
    """What one more use costs; where none is left it would be refused, whatever its price."""
    if found is not None and quota is not None and quota.uses_limit is not None:
        left = quota.uses_limit - quota.uses_reserved - quota.uses_settled
        if left <= 0:
            return Cell(reader.say("no_use_left"))
    return money(reader, found.charge.amount_fen if found else None)


def _month(reader: Reader, found: Preview | None) -> Cell:
    """What this month has cost under a plan that counts by the month; a dash under any other."""
    if found is None or found.rate is None or found.rate.linear:
        return Cell("–")
    counted = f"{found.before.counted:,} {reader.name(desk_codes.COUNTED, found.rate.measure)}"
    free = f"; {reader.say('free_left')}: {found.trial_left:,}" if found.rate.trial else ""
    return Cell(formats.money(found.before.charged_fen, reader.language), note=counted + free)


def _cap(found: Preview | None) -> int | None:
    """What this month can still cost, None without a cap."""
    if found is None or found.rate is None or found.rate.cap_fen is None:
        return None
    return found.rate.cap_fen - found.before.charged_fen


def _to_come(reader: Reader, to_come: Sequence[Billable]) -> Section:
    rows = [
        [
            Cell(reader.name(codes.CHARGES, one.kind), f"/entries/{one.posting_entry_id}"),
            Cell(formats.minute(one.at, reader.language)),
            Cell(reader.name_of_asset(one.asset_id)),
            money(reader, one.price_fen),
        ]
        for one in to_come
    ]
    return Section(
        title=reader.say("charges_to_come"),
        note=reader.say("charges_to_come_note"),
        tables=[table(reader, "charge time data_asset amount#", rows, "nothing_to_come")],
    )
