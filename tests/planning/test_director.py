"""The director's page after a sale, a use and an invoice, by the real verbs: it says what the books say."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest

from marketplace.assets import queries as assets
from marketplace.assets import service as stages
from marketplace.ledger import queries as books
from marketplace.negotiation import queries as negotiation
from marketplace.planning import director, queries
from marketplace.planning.queries import NotAProvider, unpaid
from tests.exchange.parts import listed, terms_of
from tests.house import House
from tests.negotiation.succession.parts import settle, terminate
from tests.settlement.parts import (
    FEE_FEN,
    PER_USE,
    PRICE_FEN,
    USE_FEN,
    bank,
    billed,
    credit,
    lines,
    pay,
    post,
    sold,
    use,
)
from tests.settlement.test_bank import order, statement, take
from tests.settlement.test_refunds import yuan
from tests.settlement.test_statements import back


def page(house: House, who: str = "hospital") -> director.Page:
    with house.runtime.database.reading() as db:
        return director.page(db, house.cast[who].id, house.clock.now())


def house_is_owed(house: House, who: str) -> int:
    """What the books hold as somebody's receivable."""
    with house.runtime.database.reading() as db:
        return {one.account: one.amount_minor for one in books.balances(db, owner=house.cast[who].id)}["receivable"]


def test_the_page_of_a_provider_without_assets_is_empty(house: House) -> None:
    found = page(house, "insurer")
    assert (found.assets, found.total_fen, found.stop.cost_fen, found.risk.live_agreements) == ([], 0, 0, 0)
    assert found.risk.smallest_group is None


def test_the_totals_are_the_balances_of_the_ledger(house: House) -> None:
    sold(house, uses=2)
    found = page(house)
    with house.runtime.database.reading() as db:
        held = {one.account: one.amount_minor for one in books.balances(db, owner=house.cast["hospital"].id)}
    spent = [held.get(f"expense:{one}", 0) for one in ("collection", "governance", "legal", "certificate", "listing")]
    carried = [held.get(f"asset:data-{one}", 0) for one in ("inventory", "intangible")]
    assert found.complete
    assert found.total_fen == sum(spent) + sum(carried) > 0
    assert found.stop.impairment_fen == sum(carried)
    assert found.payables.owed_fen == sum(house_is_owed(house, who) for who in ("law_firm", "registrar")) > 0
    assert sum(found.stop.sunk.values()) == found.total_fen
    levies = held["expense:surcharge"] + held["expense:exchange-fee"]
    assert found.kept_fen == -held["revenue:access"] - levies > 0


def test_an_unpaid_invoice_stands_on_the_page_until_it_is_paid(house: House) -> None:
    sold(house, uses=1)
    invoice = billed(house)
    owed = invoice.total_fen - FEE_FEN
    assert (page(house).risk.unpaid_fen, page(house).risk.overdue_fen) == (owed, 0)
    house.clock.advance(invoice.due_at - house.clock.now())
    assert page(house).risk.overdue_fen == owed
    on_it = {one.provider_id for one in lines(house, invoice)}
    assert len(on_it) == 2  # the hospital, and the exchange for its own fee
    paid = 0
    for number, part in enumerate((invoice.total_fen // 4, 1, 1, 6)):
        pay(house, invoice, f"bank-{number}", part)
        paid += part
        with house.runtime.database.reading() as db:
            left = {one: unpaid(db, one, house.clock.now()) for one in on_it}
        assert sum(fen for fen, _ in left.values()) == invoice.total_fen - paid  # to the fen, whoever is asked
        assert abs(page(house).risk.unpaid_fen - Fraction(owed * (invoice.total_fen - paid), invoice.total_fen)) < 1
    pay(house, invoice, "bank-last", invoice.total_fen - paid)
    assert (page(house).risk.unpaid_fen, page(house).risk.overdue_fen) == (0, 0)


def test_what_the_bank_takes_back_stands_on_the_page_until_it_is_made_good_or_credited(house: House) -> None:
    sold(house, uses=1)
    invoice = billed(house)
    owed = invoice.total_fen - FEE_FEN
    paid = statement(("R1", yuan(invoice.total_fen + 700), invoice.number))
    take(house, paid)
    for who in ("exchange", "pharma"):
        bank(house, who)
    order(house)  # what was too much has gone to the bank
    assert page(house).risk.unpaid_fen == 0
    take(house, back(paid).replace("CRDT", "DBIT"))
    assert (page(house).risk.unpaid_fen, page(house).risk.overdue_fen) == (owed, 0)
    take(house, statement(("R2", yuan(invoice.total_fen // 2 + 700), invoice.number)))
    left = invoice.total_fen - invoice.total_fen // 2
    assert abs(page(house).risk.unpaid_fen - Fraction(owed * left, invoice.total_fen)) < 1
    house.clock.advance(invoice.due_at - house.clock.now())
    assert page(house).risk.overdue_fen == page(house).risk.unpaid_fen
    credit(house, invoice, [one.position for one in lines(house, invoice) if one.price_fen == USE_FEN])
    take(house, statement(("R3", yuan(left - USE_FEN), invoice.number)))
    assert (page(house).risk.unpaid_fen, page(house).risk.overdue_fen) == (0, 0)


def test_a_stop_at_half_of_the_term_gives_half_back_and_forgoes_as_much_use_as_there_was(house: House) -> None:
    agreement = sold(house, uses=3)
    before = page(house).stop
    assert [one.agreement for one in before.ended] == [agreement]
    with house.db() as db:
        signed = negotiation.agreement(db, agreement)
        begins, ends = max(signed.starts_at, signed.finalized_at or signed.starts_at), signed.ends_at
    house.clock.advance(begins + (ends - begins) / 2 - house.clock.now())
    (one,) = page(house).stop.ended
    with house.runtime.database.reading() as db:
        charged = queries.charged(db, house.cast["hospital"].id)
    assert charged[agreement, "use.transfer"] == 3 * USE_FEN
    assert abs(one.lost_fen - 3 * USE_FEN) <= 1
    assert abs(one.refund_fen - charged.get((agreement, "sale.access"), 0) // 2) <= 1


def test_a_stop_within_a_trial_forgoes_the_price_that_the_trial_puts_off(house: House) -> None:
    form = terms_of("subscription/v1")
    form |= {"price_plan": form["price_plan"] | {"trial_days": 30}}
    sold(house, listing=listed(house, **form), purpose=form["parameters"]["purposes"][0])
    (one,) = page(house).stop.ended
    assert (one.refund_fen, one.lost_fen) == (0, PRICE_FEN)
    house.clock.advance(timedelta(days=30))
    settle(house)
    post(house)
    (one,) = page(house).stop.ended
    assert (0 < one.refund_fen < PRICE_FEN, one.lost_fen) == (True, 0)


def test_after_its_end_an_agreement_is_no_longer_stopped(house: House) -> None:
    agreement = sold(house)
    with house.db() as db:
        ends = negotiation.agreement(db, agreement).ends_at
    house.clock.advance(ends - house.clock.now() + timedelta(seconds=1))
    found = page(house)
    assert (found.stop.ended, found.risk.live_agreements) == ([], 0)


def test_an_asset_pays_back_sooner_the_more_it_is_used(house: House) -> None:
    agreement = sold(house, uses=1)
    house.clock.advance(timedelta(days=30))
    slow = page(house).assets[0]
    use(house, agreement, 8)
    post(house)
    fast = page(house).assets[0]
    assert fast.sheet.kept_fen > slow.sheet.kept_fen
    assert slow.payback_at is not None
    assert fast.payback_at is not None
    assert house.clock.now() <= fast.payback_at <= slow.payback_at


def test_an_asset_whose_cost_is_met_needs_no_further_sale_however_little_one_brings(house: House) -> None:
    form = PER_USE | {"price_plan": {"kind": "per_use", "price_fen": 2 * PRICE_FEN, "access_fen": 100_000}}
    agreement = sold(house, listing=listed(house, **form), purpose=form["parameters"]["purposes"][0])
    before = page(house).assets[0]
    assert (before.list_price_fen, before.sales_to_go, before.sheet.unrecovered_fen > 0) == (100_000, None, True)
    use(house, agreement, 1)
    post(house)
    after = page(house).assets[0]
    assert (after.sales_to_go, after.sheet.unrecovered_fen) == (0, 0)


def test_a_retired_asset_without_contracts_has_no_price_and_never_pays_back(house: House) -> None:
    agreement = sold(house, uses=1)
    before = page(house).assets[0]
    assert before.payback_at is not None
    with house.db() as db:
        signed = negotiation.agreement(db, agreement)
        version = assets.version(db, signed.version_id)
        stages.retire(db, house.cast["hospital"].actor, version, "quality_defect", house.clock.now())
    held = page(house).assets[0]
    assert (held.list_price_fen, held.sales_to_go) == (None, None)
    assert held.payback_at is not None  # the contract still brings what it brings
    terminate(house, agreement, "hospital")
    gone = page(house).assets[0]
    assert (gone.payback_at, gone.listed_at) == (None, before.listed_at)
    assert gone.sheet.unrecovered_fen == before.sheet.unrecovered_fen > 0


def test_a_provider_sees_its_own_page_an_auditor_every_and_nobody_else_any(house: House) -> None:
    hospital = house.cast["hospital"].id
    assert queries.whose(house.cast["hospital"].actor, None) == hospital
    assert queries.whose(house.cast["auditor"].actor, hospital) == hospital
    for name in ("insurer", "pharma", "exchange"):
        with pytest.raises(NotAProvider):
            queries.whose(house.cast[name].actor, hospital)
    with pytest.raises(NotAProvider):
        queries.whose(house.cast["pharma"].actor, None)


def test_the_outlook_starts_from_the_cost_in_the_books(house: House) -> None:
    sold(house)
    found = page(house)
    unsold = director.Assumed(director.Range(1, PRICE_FEN), director.Range(0, 0), director.Range(0, 300), 0)
    with house.runtime.database.reading() as db:
        seen = director.outlook(db, found.assets[0].asset.id, unsold, house.clock.now(), seed=3, runs=20)
    assert (seen.worst, seen.middle, seen.best) == (-found.assets[0].sheet.total_fen,) * 3
    assert seen.drawn.loss_per_mille == 1000
