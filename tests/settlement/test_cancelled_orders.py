"""A payment order that the bank never carries out is cancelled; what it confirms after that, a person resolves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command

from marketplace.audit.entry import Tag
from marketplace.kernel.transitions import WrongState
from marketplace.plumbing.migrations import alembic_config
from marketplace.settlement.bank import cancelling
from marketplace.settlement.bank.cancelling import OrderedAnew
from marketplace.settlement.bank.queries import NoSuchOrder, own_order, states_of
from marketplace.settlement.models import PaymentOrder
from marketplace.settlement.rules import CancelReason, OrderState, Resolution
from tests.exchange.parts import certified
from tests.house import House, open_house
from tests.settlement import test_bank as exchanges
from tests.settlement.owing import everything, open_between, opinions, order, pay_by_hand, payables, take
from tests.settlement.parts import all_shares, bank, billed, choose, credit, exchange, imbalance, pay, post, sold
from tests.settlement.test_invoices import rerate_all
from tests.settlement.test_journey import findings
from tests.settlement.test_refunds import debit, refunds
from tests.settlement.test_returned import returned
from tests.transfer.doors import entries


def cancel(house: House, made: PaymentOrder, who: str = "hospital") -> OrderState:
    with house.db() as db:
        actor, why = house.cast[who].actor, CancelReason.NOT_CARRIED_OUT
        found = cancelling.cancel(db, actor, own_order(db, actor, made.id), why, house.clock.now())
        return states_of(db, [found])[found.id]


def resolve(house: House, made: PaymentOrder, decision: Resolution, who: str = "hospital") -> OrderState:
    with house.db() as db:
        actor = house.cast[who].actor
        found = cancelling.resolve(db, actor, own_order(db, actor, made.id), decision, house.clock.now())
        return states_of(db, [found])[found.id]


def state(house: House, made: PaymentOrder) -> OrderState:
    with house.runtime.database.reading() as db:
        return states_of(db, [db.get_one(PaymentOrder, made.id)])[made.id]


@pytest.fixture
def owing(owing: House) -> House:
    """As for all of settlement, and hospital and law firm have named their accounts."""
    for who in ("hospital", "law_firm"):
        bank(owing, who)
    return owing


def test_what_a_cancelled_order_paid_is_owed_at_the_rate_of_now_and_ordered_anew(owing: House) -> None:
    arranged, before = findings(owing), open_between(owing, "law_firm")
    first, made = payables(owing)["legal.opinion"].amount_fen, order(owing)
    for who in ("law_firm", "exchange", "auditor"):
        with pytest.raises(NoSuchOrder):
            cancel(owing, made, who)
    assert state(owing, made) == "placed"
    assert cancel(owing, made) == "cancelled"
    with pytest.raises(WrongState):
        cancel(owing, made)
    rerate_all(owing, legal_opinion=first + 10)
    assert opinions(owing) == [(0, first + 10, "owed")]
    again = order(owing)
    assert take(owing, debit("D1", again.total_fen, again.id[:35], "PmtInfId")) == ["paid_out"]
    assert (again.total_fen, state(owing, again)) == (first + 10, "settled")
    with pytest.raises(WrongState):
        cancel(owing, again)
    (told,) = entries(owing, Tag.PAYMENTS_CANCELLED)
    assert told["facts"] == {
        "order": made.id,
        "payer": owing.cast["hospital"].id,
        "reason": "not_carried_out",
        "dues": 1,
        "amount_fen": first,
    }
    assert open_between(owing, "law_firm") == (before[0] + first, before[1] - first - 10, 0, first + 10)
    assert imbalance(owing) == 0
    assert findings(owing) == arranged


def test_what_the_bank_carries_out_after_all_is_contested_until_a_person_says_so(owing: House) -> None:
    arranged = findings(owing)
    first, made = payables(owing)["legal.opinion"].amount_fen, order(owing)
    name, before = str(payables(owing)["legal.opinion"].reference), open_between(owing, "law_firm")
    cancel(owing, made)
    told = debit("D1", first, name)
    assert [take(owing, told) for _ in range(2)] == [["order_cancelled"], ["taken_before"]]
    assert (state(owing, made), opinions(owing)) == ("contested", [(0, first, "owed")])
    assert open_between(owing, "law_firm") == before
    assert entries(owing, Tag.BANK_ENTRY_TAKEN)[-1]["facts"]["order"] == made.id

    again = order(owing)
    with pytest.raises(OrderedAnew):
        resolve(owing, made, Resolution.CARRIED_OUT)
    cancel(owing, again)
    assert resolve(owing, made, Resolution.CARRIED_OUT) == "placed"
    assert [take(owing, told) for _ in range(2)] == [["paid_out"], ["taken_before"]]
    assert (state(owing, made), opinions(owing)) == ("settled", [(0, first, "paid")])
    assert open_between(owing, "law_firm")[2:] == (0, first)
    with pytest.raises(OrderedAnew):
        resolve(owing, again, Resolution.CARRIED_OUT)
    with pytest.raises(WrongState):
        resolve(owing, again, Resolution.SETTLED_OUTSIDE)
    assert [one["facts"]["decision"] for one in entries(owing, Tag.PAYMENTS_RESOLVED)] == ["carried_out"]
    assert imbalance(owing) == 0
    assert findings(owing) == arranged


def test_a_contested_order_stays_cancelled_where_it_was_settled_outside_or_its_money_came_back(owing: House) -> None:
    first, made = payables(owing)["legal.opinion"].amount_fen, order(owing)
    name = str(payables(owing)["legal.opinion"].reference)
    cancel(owing, made)
    pay_by_hand(owing, everything(owing)[0].meter_event)
    assert take(owing, debit("D1", made.total_fen, made.id[:35], "PmtInfId")) == ["order_cancelled"]
    assert take(owing, returned("R1", first, name)) == ["returned"]
    assert state(owing, made) == "cancelled"
    assert take(owing, debit("D2", first, name)) == ["order_cancelled"]
    assert resolve(owing, made, Resolution.SETTLED_OUTSIDE) == "cancelled"
    assert take(owing, debit("D3", 12, "unknown")) == []
    assert opinions(owing)[0][2] == "paid"
    assert imbalance(owing) == 0


def test_shares_and_refunds_of_a_cancelled_order_wait_again_and_the_order_that_was_half_carried_out_keeps_its_half(
    house: House,
) -> None:
    choose(house, "report-example-v1", operator=house.cast["operator"].id)
    sold(house, uses=1)
    invoice = billed(house)
    pay(house, invoice, amount=invoice.total_fen + 700)
    for who in ("exchange", "hospital", "pharma"):
        bank(house, who)
    arranged, made = findings(house), exchanges.order(house)
    hospital = house.cast["hospital"].id
    due = [one for one in all_shares(house) if one.order_id == made.id and one.owner == hospital]
    paid = sum(one.amount_fen for one in due)
    assert exchanges.take(house, debit("D1", paid, str(due[0].reference))) == [("paid_out", None)]
    assert cancel(house, made, "exchange") == "cancelled"
    assert {one.owner for one in all_shares(house) if one.order_id == made.id} == {hospital}
    assert [one.state for one in refunds(house)] == ["owed"]
    whole = debit("D2", made.total_fen, made.id[:35], "PmtInfId")
    assert exchanges.take(house, whole) == [("order_cancelled", None)]
    assert resolve(house, made, Resolution.CARRIED_OUT, "exchange") == "placed"
    assert exchanges.take(house, whole) == [("paid_out", None)]
    assert (state(house, made), [one.state for one in refunds(house)]) == ("settled", ["paid"])
    assert {one.paid_at is None for one in all_shares(house) if one.order_id == made.id} == {False}
    assert imbalance(house) == 0
    assert findings(house) == arranged


def test_a_line_whose_order_was_cancelled_can_be_credited_and_its_order_is_not_placed_again(house: House) -> None:
    sold(house)
    invoice = billed(house)
    pay(house, invoice)
    for who in ("exchange", "hospital"):
        bank(house, who)
    made = exchanges.order(house)
    cancel(house, made, "exchange")
    with house.runtime.database.reading() as db:
        assert exchange(house).participant == db.get_one(PaymentOrder, made.id).issuer_id
    credit(house, invoice)
    with pytest.raises(OrderedAnew):
        resolve(house, made, Resolution.CARRIED_OUT, "exchange")
    assert imbalance(house) == 0


def test_only_a_placed_order_is_cancelled_and_only_a_cancelled_one_is_resolved(owing: House) -> None:
    first, made = payables(owing)["legal.opinion"].amount_fen, order(owing)
    name = str(payables(owing)["legal.opinion"].reference)
    for decision in Resolution:
        with pytest.raises(WrongState):
            resolve(owing, made, decision)
    cancel(owing, made)
    take(owing, debit("D1", first, name))
    with pytest.raises(WrongState):
        cancel(owing, made)
    assert state(owing, made) == "contested"
    assert [len(entries(owing, tag)) for tag in (Tag.PAYMENTS_CANCELLED, Tag.PAYMENTS_RESOLVED)] == [1, 0]
    assert resolve(owing, made, Resolution.CARRIED_OUT) == "placed"
    assert take(owing, debit("D1", first, name)) == ["paid_out"]
    assert imbalance(owing) == 0


def test_a_debit_whose_money_came_back_confirms_nothing_once_its_order_is_placed_again(owing: House) -> None:
    first, made = payables(owing)["legal.opinion"].amount_fen, order(owing)
    name, before = str(payables(owing)["legal.opinion"].reference), open_between(owing, "law_firm")
    cancel(owing, made)
    gone, back = debit("D1", first, name), returned("R1", first, name)
    assert [take(owing, one) for one in (gone, back)] == [["order_cancelled"], ["returned"]]
    assert resolve(owing, made, Resolution.CARRIED_OUT) == "placed"
    assert [take(owing, one) for one in (gone, back)] == [["taken_before"], ["taken_before"]]
    assert (opinions(owing), open_between(owing, "law_firm")) == ([(0, first, "ordered")], before)
    assert take(owing, debit("D2", first, name)) == ["paid_out"]
    assert imbalance(owing) == 0


@pytest.mark.parametrize("decision", list(Resolution))
def test_a_debit_that_a_person_spoke_of_and_that_came_back_confirms_nothing_once_its_order_is_placed_again(
    owing: House, decision: Resolution
) -> None:
    arranged = findings(owing)
    first, made = payables(owing)["legal.opinion"].amount_fen, order(owing)
    name, before = str(payables(owing)["legal.opinion"].reference), open_between(owing, "law_firm")
    cancel(owing, made)
    gone, back = debit("D1", first, name), returned("R1", first, name)
    assert take(owing, gone) == ["order_cancelled"]
    if resolve(owing, made, decision) == "placed":
        cancel(owing, made)
    assert take(owing, back) == ["returned"]
    assert state(owing, made) == "cancelled"
    assert resolve(owing, made, Resolution.CARRIED_OUT) == "placed"
    assert [take(owing, one) for one in (gone, back)] == [["taken_before"], ["taken_before"]]
    assert (opinions(owing), open_between(owing, "law_firm")) == ([(0, first, "ordered")], before)
    assert take(owing, debit("D2", first, name)) == ["paid_out"]
    assert open_between(owing, "law_firm")[2:] == (0, first)
    told = [one["facts"]["outcome"] for one in entries(owing, Tag.BANK_ENTRY_TAKEN)]
    assert told == ["order_cancelled", "returned", "paid_out"]
    assert imbalance(owing) == 0
    assert findings(owing) == arranged


def test_of_two_debits_of_a_cancelled_order_the_earlier_one_came_back_unless_the_bank_names_the_other(
    owing: House,
) -> None:
    first, made = payables(owing)["legal.opinion"].amount_fen, order(owing)
    name = str(payables(owing)["legal.opinion"].reference)
    cancel(owing, made)
    assert take(owing, debit("D1", first, name)) == ["order_cancelled"]
    assert resolve(owing, made, Resolution.SETTLED_OUTSIDE) == "cancelled"
    assert take(owing, debit("D2", first, name)) == ["order_cancelled"]
    assert take(owing, returned("R1", first, name)) == ["returned"]
    assert state(owing, made) == "contested", "the payee still has the money of the second one"
    assert take(owing, debit("D3", first, name)) == ["order_cancelled"]
    assert take(owing, returned("D3", first, name)) == ["returned"]
    assert resolve(owing, made, Resolution.CARRIED_OUT) == "placed"
    again = [take(owing, debit(one, first, name)) for one in ("D3", "D1", "D2", "D2")]
    assert again == [["taken_before"], ["taken_before"], ["paid_out"], ["taken_before"]]
    assert open_between(owing, "law_firm")[2:] == (0, first)
    assert imbalance(owing) == 0


def test_of_two_transfers_of_the_same_sum_the_one_that_the_bank_names_came_back(house: House) -> None:
    sold(house)
    invoices = [billed(house)]
    sold(house)
    invoices.append(billed(house))
    for one in invoices:
        pay(house, one, f"bank-{one.number}", one.total_fen + 700)
    for who in ("exchange", "pharma"):
        bank(house, who)
    made = exchanges.order(house)
    first, second = sorted(str(one.reference) for one in refunds(house))
    cancel(house, made, "exchange")
    for place, name in enumerate((first, second)):
        assert exchanges.take(house, debit(f"D{place}", 700, name)) == [("order_cancelled", None)]
    assert exchanges.take(house, returned("R1", 700, second)) == [("returned", None)]
    assert resolve(house, made, Resolution.CARRIED_OUT, "exchange") == "placed"
    again = [exchanges.take(house, debit(f"D{place}", 700, name))[0][0] for place, name in enumerate((first, second))]
    assert again == ["refunded", "taken_before"]
    assert {str(one.reference): one.state for one in refunds(house)} == {first: "paid", second: "ordered"}
    assert imbalance(house) == 0


def test_an_order_cancelled_while_the_bank_confirms_it_is_paid_or_contested_and_rows_of_before_stay_as_sealed(
    tmp_path: Path, either_url: str
) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(2) as pool:
        certified(house)
        post(house)
        for who in ("hospital", "law_firm", "registrar"):
            bank(house, who)
        made, arranged = order(house), findings(house)
        told = debit("D1", made.total_fen, made.id[:35], "PmtInfId")
        confirmed, cancelled = pool.submit(take, house, told), pool.submit(cancel, house, made)
        if cancelled.exception(timeout=20) is None:
            assert (confirmed.result(), state(house, made)) == (["order_cancelled"], "contested")
            resolve(house, made, Resolution.CARRIED_OUT)
            assert take(house, told) == ["paid_out"]
        else:
            assert isinstance(cancelled.exception(), WrongState)
            assert confirmed.result() == ["paid_out"]
        before, again = everything(house), alembic_config(house.runtime.database)
        assert {one.state for one in before} == {"paid"}
        command.downgrade(again, "0045")
        command.upgrade(again, "head")
        assert everything(house) == before
        assert (imbalance(house), findings(house)) == (0, arranged)
