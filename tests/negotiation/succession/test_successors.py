"""Amendment and renewal: a new document that names the one before, signed by both, in its place or after its term."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from sqlmodel import col, select

from marketplace.audit import documents
from marketplace.audit.models import Entry
from marketplace.costing.models import MeterEvent
from marketplace.exchange.parameters import BadParameters
from marketplace.exchange.pricing import PlanDoesNotFit
from marketplace.exchange.standing import NoValidCertificate
from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.transitions import WrongState
from marketplace.negotiation.agreement import agreement_text
from marketplace.negotiation.contract import contract_pdf
from marketplace.negotiation.drafting import TermOutlivesCertificate
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.succession import place, proposing, standing
from marketplace.negotiation.succession.rules import SuccessorKind
from marketplace.plumbing import epochs
from tests.exchange.parts import PRICE_FEN, listed, suspend_certificate
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.rounds.parts import facts
from tests.negotiation.succession.parts import (
    agreement_of,
    amend,
    amended,
    chain,
    renew,
    resume,
    settle,
    sign_successor,
    suspend,
    terminate,
)
from tests.negotiation.test_agreements import schema
from tests.negotiation.test_contract import bare, papers, running_text


def content(house: House, agreement: Agreement) -> dict[str, Any]:
    with house.runtime.database.reading() as db:
        return documents.content(db, agreement.document)


def sales(house: House) -> list[int | None]:
    with house.runtime.database.reading() as db:
        found = select(MeterEvent).where(MeterEvent.kind == "sale.access").order_by(col(MeterEvent.id))
        return [one.unit_price_fen for one in db.exec(found)]


def told(house: House) -> list[tuple[str | None, str]]:
    """Agreement and reason of every notice, in order."""
    with house.runtime.database.reading() as db:
        rows = db.exec(select(Entry).where(col(Entry.tag).startswith("transfer:")).order_by(col(Entry.id))).all()
    return [
        (one.agreement, read_strictly(one.body)["facts"].get("reason", "")) for one in rows if "notified" in one.tag
    ]


def test_an_amendment_takes_its_predecessors_place_when_both_have_signed(house: House) -> None:
    first = finalized(house)
    with house.db() as db:
        before = epochs.total(db, [first.id])
    second = amend(house, first.id, "pharma", parameters={"max_uses": 9})
    assert (second.state, agreement_of(house, first.id).state) == ("drafted", "finalized")
    sign_successor(house, second.id, "pharma")
    assert agreement_of(house, first.id).state == "finalized"
    sign_successor(house, second.id, "hospital")
    assert (agreement_of(house, first.id).state, agreement_of(house, second.id).state) == ("superseded", "finalized")
    with house.db() as db:
        assert epochs.total(db, [first.id]) == before + 1
        tags = [
            one.tag for one in db.exec(select(Entry).order_by(col(Entry.id))) if one.agreement in (first.id, second.id)
        ]
    assert tags.index("negotiation:agreement_superseded") < len(tags) - 1 - tags[::-1].index(
        "negotiation:agreement_finalized"
    )


def test_the_document_names_what_it_follows_and_says_in_words_what_is_otherwise(house: House) -> None:
    first = finalized(house)
    second = amend(house, first.id, "hospital", parameters={"max_uses": 9})
    document = content(house, second)
    jsonschema.validate(document, schema("agreement"))
    named = document["predecessor"]
    assert (named["id"], named["sha256"], named["kind"]) == (first.id, first.document, "amendment")
    assert named["previous"] == first.document
    assert any("9" in one for one in named["changes"]["en"])
    assert any("9" in one for one in named["changes"]["zh"])
    assert document["parameters"]["max_uses"] == 9
    assert (document["starts_at"], document["ends_at"]) == (
        content(house, first)["starts_at"],
        content(house, first)["ends_at"],
    )
    (shown,) = chain(house, first.id).successors
    assert [one.en for one in shown.changes] == named["changes"]["en"]


def test_the_pdf_and_the_plain_text_of_a_successor_tell_what_is_otherwise(house: House) -> None:
    first = finalized(house)
    second = amended(house, first.id, parameters={"max_uses": 9})
    body, made = papers(house, second)
    document, pdf = content(house, second), running_text(contract_pdf(body, made))
    named = document["predecessor"]
    assert f"{first.id} (amendment)" in pdf
    assert first.document in pdf
    for zh, en in zip(named["changes"]["zh"], named["changes"]["en"], strict=True):
        assert bare(f"{zh} / {en}") in bare(pdf)
        assert f"- {en}\n" in agreement_text(document, "en")
        assert f"- {zh}\n" in agreement_text(document, "zh")
    assert first.document in agreement_text(document, "zh")


def test_an_amendment_costs_what_its_price_is_higher_and_gives_nothing_back(house: House) -> None:
    first = finalized(house)
    dearer = {"kind": "one_off", "price_fen": PRICE_FEN + 700, "currency": "CNY", "regime": "market"}
    second = amended(house, first.id, price_plan=dearer)
    cheaper = dearer | {"price_fen": 100}
    third = amended(house, second.id, price_plan=cheaper)
    again = amended(house, third.id, price_plan=dearer)
    assert sales(house) == [PRICE_FEN, 700, 0, 0]
    assert agreement_of(house, again.id).state == "finalized"


def test_an_amendment_that_changes_nothing_is_none(house: House) -> None:
    first = finalized(house)
    with pytest.raises(proposing.NothingChanged):
        amend(house, first.id, "pharma")
    with pytest.raises(BadParameters):
        amend(house, first.id, "pharma", parameters={"max_uses": -1})
    assert chain(house, first.id).successors == []


@pytest.mark.parametrize(("who", "state"), [("hospital", "refused"), ("pharma", "withdrawn")])
def test_the_other_side_refuses_and_the_own_side_withdraws(house: House, who: str, state: str) -> None:
    first = finalized(house)
    second = amend(house, first.id, "pharma", parameters={"max_uses": 9})
    sign_successor(house, second.id, "pharma")
    terminate(house, second.id, who)
    (shown,) = chain(house, first.id).successors
    assert (shown.state, shown.reason) == (state, "breach_of_contract")
    assert (agreement_of(house, first.id).state, agreement_of(house, second.id).state) == ("finalized", "terminated")
    with pytest.raises(WrongState):
        sign_successor(house, second.id, "hospital")
    assert amended(house, first.id, parameters={"max_uses": 8}).state == "finalized"


def test_an_amendment_nobody_signs_lapses_and_another_may_follow(house: House) -> None:
    first = finalized(house)
    second = amend(house, first.id, "pharma", parameters={"max_uses": 9})
    with pytest.raises(place.AlreadySucceeded):
        amend(house, first.id, "hospital", parameters={"max_uses": 7})
    house.clock.advance(timedelta(days=30))
    with pytest.raises(standing.SuccessorLapsed):
        sign_successor(house, second.id, "pharma")
    settle(house)
    assert chain(house, first.id).successors[0].state == "lapsed"
    assert agreement_of(house, second.id).state == "terminated"
    assert amended(house, first.id, parameters={"max_uses": 9}).state == "finalized"


def test_an_act_between_proposal_and_signature_asks_for_a_new_proposal(house: House) -> None:
    first = finalized(house)
    second = amend(house, first.id, "pharma", parameters={"max_uses": 9})
    suspend(house, first.id, "hospital")
    with pytest.raises(WrongState):
        sign_successor(house, second.id, "pharma")
    with pytest.raises(WrongState):
        amend(house, first.id, "pharma", parameters={"max_uses": 3})
    assert agreement_of(house, second.id).state == "drafted"


def test_a_resumed_agreement_is_not_replaced_by_what_was_proposed_before(house: House) -> None:
    first = finalized(house)
    second = amend(house, first.id, "pharma", parameters={"max_uses": 9})
    suspend(house, first.id, "hospital")
    resume(house, first.id, "hospital")
    with pytest.raises(standing.PredecessorMoved):
        sign_successor(house, second.id, "pharma")
    terminate(house, second.id, "pharma")
    third = amended(house, first.id, parameters={"max_uses": 9})
    assert content(house, third)["predecessor"]["previous"] == chain(house, first.id).head


def test_a_renewal_before_the_end_begins_where_the_term_ends_and_costs_its_whole_price(house: House) -> None:
    first = finalized(house)
    with pytest.raises(proposing.StartOutOfRange):
        renew(house, first.id, "pharma")
    house.clock.advance_to(first.ends_at - timedelta(days=60))
    second = renew(house, first.id, "pharma", ends_at=first.ends_at + timedelta(days=30))
    for who in ("pharma", "hospital"):
        sign_successor(house, second.id, who)
    assert (agreement_of(house, first.id).state, agreement_of(house, second.id).state) == ("finalized", "finalized")
    assert second.starts_at == first.ends_at
    assert sales(house) == [PRICE_FEN, PRICE_FEN]
    house.clock.advance_to(first.ends_at)
    settle(house)
    assert (agreement_of(house, first.id).state, agreement_of(house, second.id).state) == ("expired", "finalized")


def test_a_renewal_after_the_end_begins_now(house: House) -> None:
    first = finalized(house, listing=listed(house, term_days=30))
    house.clock.advance_to(first.ends_at + timedelta(days=3))
    settle(house)
    second = renew(house, first.id, "hospital", ends_at=house.clock.now() + timedelta(days=10))
    assert second.starts_at == house.clock.now()
    sign_successor(house, second.id, "hospital")
    assert sign_successor(house, second.id, "pharma").state == "finalized"


def test_a_successor_is_judged_as_at_the_first_signing(house: House) -> None:
    first = finalized(house)
    with pytest.raises(TermOutlivesCertificate):
        amend(house, first.id, "pharma", ends_at=first.ends_at + timedelta(days=4000))
    second = amend(house, first.id, "pharma", parameters={"max_uses": 9})
    sign_successor(house, second.id, "pharma")
    suspend_certificate(house, first.version_id)
    with pytest.raises(NoValidCertificate):
        sign_successor(house, second.id, "hospital")
    assert (agreement_of(house, first.id).state, agreement_of(house, second.id).state) == ("finalized", "drafted")


def test_no_successor_leaves_the_price_regime_that_the_exchange_signed(house: House) -> None:
    guided = {"kind": "one_off", "price_fen": 300, "regime": "guided_cap", "cap_fen": 400}
    first = finalized(house, listing=listed(house, price_plan=guided, term_days=30))
    for plan in (
        {"kind": "one_off", "price_fen": 10**9},
        guided | {"price_fen": 401, "cap_fen": 401},
        guided | {"regime": "cost_only", "cost_fen": 10**9},
    ):
        for proposed in (amend, renew):
            with pytest.raises(PlanDoesNotFit):
                proposed(house, first.id, "hospital", price_plan=plan)
    assert chain(house, first.id).successors == []
    amended(house, first.id, price_plan=guided | {"price_fen": 400})
    assert sales(house) == [300, 100]


def test_what_was_ended_early_is_not_renewed(house: House) -> None:
    first = finalized(house)
    terminate(house, first.id, "hospital")
    for kind in SuccessorKind:
        with pytest.raises(WrongState):
            (amend if kind == SuccessorKind.AMENDMENT else renew)(house, first.id, "pharma", parameters={"max_uses": 2})


@pytest.mark.parametrize("signed_before", [True, False])
@pytest.mark.parametrize("by", ["hospital", "pharma"])
def test_a_termination_withdraws_a_renewal_that_waits_and_both_are_told(
    house: House, by: str, signed_before: bool
) -> None:
    first = finalized(house, listing=listed(house, term_days=30))
    second = renew(house, first.id, "pharma")
    if signed_before:
        sign_successor(house, second.id, "hospital")
    settle(house)
    for _ in range(2):
        terminate(house, first.id, by)
    with pytest.raises(WrongState):
        sign_successor(house, second.id, "pharma")
    assert agreement_of(house, second.id).state == "terminated"
    (shown,) = chain(house, first.id).successors
    assert (shown.state, shown.reason) == ("withdrawn", "predecessor_terminated")
    assert sales(house) == [PRICE_FEN]
    settle(house)
    (withdrawn,) = facts(house, "successor_withdrawn")
    assert (withdrawn["reason"], withdrawn["by"], withdrawn["document"]) == (
        "predecessor_terminated",
        "service",
        second.document,
    )
    assert told(house) == [
        (first.id, "successor_proposed"),
        (first.id, "agreement_terminated"),
        (first.id, "successor_withdrawn"),
    ]


def test_a_renewal_of_a_suspended_agreement_waits_until_it_is_resumed(house: House) -> None:
    first = finalized(house, listing=listed(house, term_days=30))
    second = renew(house, first.id, "pharma")
    suspend(house, first.id, "hospital")
    with pytest.raises(WrongState):
        sign_successor(house, second.id, "pharma")
    resume(house, first.id, "hospital")
    for who in ("pharma", "hospital"):
        sign_successor(house, second.id, who)
    assert agreement_of(house, second.id).state == "finalized"


def test_both_sides_are_told_of_every_step(house: House) -> None:
    first = finalized(house)
    second = amend(house, first.id, "pharma", parameters={"max_uses": 9})
    settle(house)
    for who in ("pharma", "hospital"):
        sign_successor(house, second.id, who)
    settle(house)
    assert told(house) == [
        (first.id, "successor_proposed"),
        (first.id, "agreement_superseded"),
        (second.id, "successor_in_force"),
    ]
