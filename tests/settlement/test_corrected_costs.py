"""What a corrected tariff changes of a cost that was ordered or paid: owed beside it, or taken off the next order."""

from __future__ import annotations

import pytest

from marketplace.audit.entry import Tag
from marketplace.settlement.bank.orders import NothingToPay
from tests.exchange.parts import certified
from tests.house import House
from tests.settlement.owing import everything, open_between, opinions, order, pay_by_hand, payables, take
from tests.settlement.parts import bank, imbalance, post
from tests.settlement.test_invoices import rerate_all
from tests.settlement.test_journey import findings
from tests.settlement.test_refunds import debit
from tests.settlement.test_returned import returned
from tests.transfer.doors import entries


def test_what_a_corrected_tariff_changed_is_owed_at_its_new_rate_once_the_transfer_comes_back(owing: House) -> None:
    for who in ("hospital", "law_firm"):
        bank(owing, who)
    first, made = payables(owing)["legal.opinion"].amount_fen, order(owing)
    name, dearer = str(payables(owing)["legal.opinion"].reference), first + 20_000
    assert take(owing, debit("D1", made.total_fen, name)) == ["paid_out"]
    rerate_all(owing, legal_opinion=dearer)
    assert opinions(owing) == [(0, first, "paid"), (1, 20_000, "owed")]

    assert take(owing, returned("R1", first, name)) == ["returned"]
    (again,) = [one for one in everything(owing) if one.kind == "legal.opinion"]
    assert (again.state, again.amount_fen, open_between(owing, "law_firm")[2]) == ("owed", dearer, dearer)
    made = order(owing)
    assert take(owing, debit("D2", dearer, made.id[:35], "PmtInfId")) == ["paid_out"]
    assert (made.total_fen, *open_between(owing, "law_firm")[2:], imbalance(owing)) == (dearer, 0, dearer, 0)


def test_what_a_corrected_tariff_adds_is_ordered_and_what_it_takes_off_is_set_off_against_the_next_order(
    owing: House,
) -> None:
    for who in ("hospital", "law_firm"):
        bank(owing, who)
    first = payables(owing)["legal.opinion"].amount_fen
    order(owing)
    name = str(payables(owing)["legal.opinion"].reference)
    rerate_all(owing, legal_opinion=first + 20_000)
    assert opinions(owing) == [(0, first, "ordered"), (1, 20_000, "owed")]
    added = order(owing)
    assert added.total_fen == 20_000
    assert take(owing, debit("D1", first, name)) == ["paid_out"]
    assert take(owing, debit("D2", 20_000, added.id[:35], "PmtInfId")) == ["paid_out"]
    assert open_between(owing, "law_firm")[2:] == (0, first + 20_000)

    rerate_all(owing, legal_opinion=first - 30_000)
    assert opinions(owing, "law_firm")[2:] == [(2, -50_000, "owed")]
    with pytest.raises(NothingToPay, match="owes back"):
        order(owing)
    certified(owing)  # another asset, whose opinion costs what the published tariff says
    post(owing)
    arranged = findings(owing)
    made = order(owing)
    assert (made.payments, made.total_fen) == (1, first - 50_000)
    assert {state for _, _, state in opinions(owing)} == {"paid", "ordered"}
    name = next(str(one.reference) for one in everything(owing) if one.order_id == made.id)
    assert take(owing, debit("D3", made.total_fen, name)) == ["paid_out"]
    assert open_between(owing, "law_firm")[2:] == (0, 2 * first - 30_000)
    (credit,) = [one["facts"] for one in entries(owing, Tag.PAYABLE_PAID) if one["facts"]["amount_fen"] < 0]
    assert (credit["amount_fen"], credit["part"]) == (-50_000, 2)

    assert take(owing, returned("R3", made.total_fen, name)) == ["returned"]
    assert open_between(owing, "law_firm")[2:] == (made.total_fen, first + 20_000)
    assert sorted(fen for _, fen, state in opinions(owing) if state == "owed") == [-50_000, first]
    event = credit["event"]
    for _ in range(2):  # the firm sends it back instead
        assert pay_by_hand(owing, event, part=2).amount_fen == -50_000
    assert order(owing).total_fen == first
    assert open_between(owing, "law_firm")[2:] == (first, first - 30_000)
    assert imbalance(owing) == 0
    assert findings(owing) == arranged
