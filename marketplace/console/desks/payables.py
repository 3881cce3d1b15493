"""What is owed for stages, by whom to whom, how far it is paid and what is to be done next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from marketplace.console import formats
from marketplace.console.desks import codes
from marketplace.console.desks.gate import Desk
from marketplace.console.desks.links import neighbours
from marketplace.console.desks.places import Places
from marketplace.console.desks.sections import Cell, Leaves, Page, Section, money, table
from marketplace.console.reader import Reader
from marketplace.kernel.actor import Role
from marketplace.settlement.bank.queries import orders_of, states_of
from marketplace.settlement.models import Payable
from marketplace.settlement.payables import overview
from marketplace.settlement.payables.overview import Standing
from marketplace.settlement.rules import OrderState

ITEMS, PARTIES, ORDERS = 100, 100, 50
_NEXT_OF_ORDER = {
    OrderState.PLACED: "next_statement_or_cancel",
    OrderState.SETTLED: "nothing_to_do",
    OrderState.CANCELLED: "nothing_to_do",
    OrderState.CONTESTED: "next_resolve",
}

_NEXT_OF_COST = {
    "owed": ("next_order", "next_payer_orders"),
    "owed_nowhere": ("next_payee_account", "next_own_account"),
    "owed_no_more": ("next_more_owed", "next_more_owed_here"),
    "owed_back": ("next_set_off", "next_set_off_here"),
    "owed_back_no_more": ("next_set_off_once", "next_set_off_once_here"),
    "ordered": ("next_statement", "next_payer_confirms"),
    "paid": ("nothing_to_do", "nothing_to_do"),
}
"""(what its payer does, what its payee does).  nowhere: the payee has not said where it is paid; no_more: than is owed
the other way, so that no order is due."""


def page(reader: Reader, desk: Desk, asked: Mapping[str, str | None]) -> Page:
    """The page of who pays for stages, and of who is paid for them.

    asked: where its list of costs (`cursor`) and its `orders` begin.  Raises BadPlace, NotOnThisList.
    """
    places = Places(f"/participants/{desk.id}/payables", asked)
    found = overview.listed(reader.db, desk.actor, limit=ITEMS + 1, after=places.of("cursor"))
    found, more = found[:ITEMS], found[ITEMS:]
    others = overview.standings(reader.db, desk.actor, limit=PARTIES)
    leaves = places.leaves("cursor", overview.cursor(found[-1]) if more else None)
    parties = {one.other for one in others} | {_other(desk, one) for one in found}
    reader.meet(parties, [one.asset_id for one in found])
    paid_at = overview.paid_somewhere(reader.db, {*parties, desk.id})
    return Page(
        title=reader.say("payables_title"),
        sub=Cell(reader.legal_name(desk.owner)),
        neighbours=neighbours(reader, desk),
        headline=_headline(reader, desk),
        note="" if desk.id in paid_at else reader.say("no_own_account"),
        sections=[
            _parties(reader, others, paid_at),
            _items(reader, desk, found, paid_at, leaves),
            *([_orders(reader, desk, places)] if _orders_payments(desk) else []),
        ],
    )


def _headline(reader: Reader, desk: Desk) -> list[tuple[str, Cell]]:
    """What the desk's owner owes where it is a provider, and what it is owed where it works for others."""
    found, shown = overview.totals(reader.db, desk.actor), list[tuple[str, Cell]]()
    for owes, words in ((True, "to_pay_stages on_its_way paid_stages"), (False, "to_get on_its_way_here got_stages")):
        one = found[owes]
        if owes == desk.actor.has(Role.PROVIDER) or any((one.owed_fen, one.back_fen, one.ordered_fen, one.paid_fen)):
            fens = (one.owed_fen, one.ordered_fen, one.paid_fen)
            shown += [(reader.say(word), money(reader, fen)) for word, fen in zip(words.split(), fens, strict=True)]
            if one.back_fen:
                shown.append((reader.say("gets_back" if owes else "owes_back"), money(reader, one.back_fen)))
    return shown


def _parties(reader: Reader, others: Sequence[Standing], paid_at: set[str]) -> Section:
    heads = "participant direction amount_owed# owed_back# on_its_way# paid_word# bank_account"
    rows = [
        [
            Cell(reader.name_of(one.other)),
            Cell(reader.say("is_owed" if one.owes else "owes")),
            money(reader, one.owed_fen),
            money(reader, one.back_fen or None),
            money(reader, one.ordered_fen),
            money(reader, one.paid_fen),
            Cell(reader.say("known" if one.other in paid_at else "not_said")) if one.owes else Cell("–"),
        ]
        for one in others
    ]
    return Section(reader.say("by_party"), tables=[table(reader, heads, rows, "nothing_owed")])


def _items(reader: Reader, desk: Desk, found: Sequence[Payable], paid_at: set[str], leaves: Leaves) -> Section:
    heads = "cost data_asset participant time amount# state next_step"
    balanced = overview.balanced(reader.db, desk.actor, {_other(desk, one) for one in found})
    rows = [
        [
            Cell(
                reader.name(codes.STAGE_COSTS, one.kind),
                note=reader.say("corrected_by_tariff") if one.part else "",
            ),
            Cell(reader.name_of_asset(one.asset_id)),
            Cell(reader.name_of(_other(desk, one))),
            Cell(formats.day(one.at, reader.language)),
            money(reader, one.amount_fen),
            Cell(reader.name(codes.PAYABLE_STATES, _state(one))),
            Cell(reader.say(_next(desk, one, paid_at, balanced))),
        ]
        for one in found
    ]
    return Section(
        title=reader.say("costs_of_stages"),
        note=reader.say("payables_note"),
        tables=[table(reader, heads, rows, "nothing_owed")],
        leaves=leaves,
    )


def _orders(reader: Reader, desk: Desk, places: Places) -> Section:
    heads = "payment_order time transfers# amount# state next_step"
    found = orders_of(reader.db, desk.actor, cursor=places.of("orders"), limit=ORDERS)
    states = states_of(reader.db, found.rows)
    rows = [
        [
            Cell(Markup("<code>{}</code>").format(one.id)),
            Cell(formats.minute(one.made_at, reader.language)),
            Cell(f"{one.payments:,}"),
            money(reader, one.total_fen),
            Cell(reader.name(codes.ORDER_STATES, states[one.id]), bad=states[one.id] == OrderState.CONTESTED),
            Cell(reader.say(_NEXT_OF_ORDER[states[one.id]])),
        ]
        for one in found.rows
    ]
    return Section(
        title=reader.say("payment_orders"),
        note=reader.say("orders_note"),
        tables=[table(reader, heads, rows, "no_orders")],
        leaves=places.leaves("orders", found.next),
    )


def _orders_payments(desk: Desk) -> bool:
    return desk.actor.has(Role.PROVIDER) or desk.actor.has(Role.EXCHANGE_OPERATOR)


def _other(desk: Desk, one: Payable) -> str:
    return one.payee_id if one.payer_id == desk.id else one.payer_id


def _state(one: Payable) -> str:
    return "owed_back" if one.state == "owed" and one.amount_fen < 0 else one.state


def _next(desk: Desk, one: Payable, paid_at: set[str], balanced: set[tuple[str, bool]]) -> str:
    """The word of what the desk's owner does next about it, or what it waits for.

    paid_at: who has said where it is paid; balanced: with whom no order is due (`overview.balanced`).
    """
    state, pays = _state(one), one.payer_id == desk.id
    if state.startswith("owed") and (_other(desk, one), pays) in balanced:
        state += "_no_more"
    elif state == "owed" and one.payee_id not in paid_at:
        state += "_nowhere"
    return _NEXT_OF_COST[state][0 if pays else 1]
