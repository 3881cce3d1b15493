"""Where the provider's rule demands approvals, its offices approve the very successor that the provider then signs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

from marketplace.audit.models import Person
from marketplace.commands.recheck import recheck
from marketplace.kernel.transitions import NotYourStep, WrongState
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rounds.reviewing import NoSuchOffice, NotAReviewer, ReviewsMissing
from marketplace.negotiation.rules import REMIND_BEFORE
from marketplace.negotiation.succession import place, reviewing, standing
from marketplace.negotiation.succession.models import SuccessorReview
from marketplace.negotiation.succession.rules import ANSWER_SUCCESSOR_WITHIN, SuccessorKind
from tests.exchange.parts import listed
from tests.house import House
from tests.negotiation.parts import WHY, finalized
from tests.negotiation.rounds.parts import facts, set_rule
from tests.negotiation.succession.parts import (
    agreement_of,
    amend,
    chain,
    give_back,
    renew,
    review_successor,
    settle,
    sign_successor,
    suspend,
    terminate,
)
from tests.negotiation.succession.test_successors import told

OFFICES = [{"office": "data_protection", "approvals": 2, "persons": ["p-1", "p-2"]}, {"office": "management"}]
MORE = {"max_uses": 9}


def reviewed(house: House, kind: SuccessorKind = SuccessorKind.AMENDMENT, who: str = "pharma") -> Agreement:
    """A successor, proposed while the provider's rule demands approvals."""
    first = finalized(house, listing=listed(house, term_days=60))
    set_rule(house, first.listing_id, reviews=OFFICES)
    return (amend if kind == SuccessorKind.AMENDMENT else renew)(house, first.id, who, parameters=MORE)


def approve_all(house: House, name: str) -> None:
    for person, office in (("p-1", "data_protection"), ("p-2", "data_protection"), ("p-3", "management")):
        review_successor(house, name, person, office)


@pytest.mark.parametrize("kind", list(SuccessorKind))
def test_the_provider_signs_a_successor_once_every_office_has_approved_it(house: House, kind: SuccessorKind) -> None:
    second = reviewed(house, kind)
    sign_successor(house, second.id, "pharma")
    with pytest.raises(ReviewsMissing) as refused:
        sign_successor(house, second.id, "hospital")
    assert refused.value.expected == "2 more of data_protection, 1 more of management"
    assert review_successor(house, second.id, "p-1", "data_protection") == {"data_protection": 1, "management": 1}
    for _ in range(2):
        assert review_successor(house, second.id, "p-1", "management")["management"] == 1
    assert len(facts(house, "successor_reviewed")) == 2
    review_successor(house, second.id, "p-2", "data_protection")
    with pytest.raises(ReviewsMissing):
        sign_successor(house, second.id, "hospital")
    assert agreement_of(house, second.id).state == "drafted"
    assert review_successor(house, second.id, "p-3", "management") == {}
    assert sign_successor(house, second.id, "hospital").state == "finalized"
    with house.runtime.database.reading() as db:
        given = db.exec(select(SuccessorReview)).all()
        commitments = {one.commitment for one in db.exec(select(Person))}
        assert {one.reviewer for one in given} <= commitments
        assert {one.document for one in given} == {second.document}
        tables = {"successor_review", "agreement_successor", "agreement", "person"}
        assert [one for one in recheck(db) if one.table in tables] == []
    assert all(set(one) >= {"document", "office", "predecessor"} for one in facts(house, "successor_reviewed"))


def test_only_a_named_person_of_the_provider_approves_and_only_that_document(house: House) -> None:
    second = reviewed(house)
    for person, office, who, error in (
        (None, "management", "hospital", NotAReviewer),
        ("p-9", "data_protection", "hospital", NotAReviewer),
        ("p-1", "ethics_committee", "hospital", NoSuchOffice),
        ("p-1", "management", "pharma", NotYourStep),
    ):
        with pytest.raises(error):
            review_successor(house, second.id, person, office, who)
    first = chain(house, second.id).follows
    assert first is not None
    for verb in (lambda: review_successor(house, first.predecessor_id, "p-1", "management"),
                 lambda: give_back(house, first.predecessor_id, "hospital")):  # fmt: skip
        with pytest.raises(reviewing.NotASuccessor):
            verb()
    assert facts(house, "successor_reviewed") == []
    suspend(house, first.predecessor_id, "hospital")
    with pytest.raises(WrongState):
        review_successor(house, second.id, "p-1", "data_protection")


def test_a_rule_that_came_after_the_providers_signature_holds_at_the_buyers(house: House) -> None:
    first = finalized(house)
    second = amend(house, first.id, "pharma", parameters=MORE)
    sign_successor(house, second.id, "hospital")
    set_rule(house, first.listing_id, reviews=OFFICES)
    with pytest.raises(ReviewsMissing) as refused:
        sign_successor(house, second.id, "pharma")
    assert "management" not in str(refused.value.expected)
    assert (agreement_of(house, first.id).state, agreement_of(house, second.id).state) == ("finalized", "drafted")
    approve_all(house, second.id)
    assert sign_successor(house, second.id, "pharma").state == "finalized"


def test_an_office_that_lost_its_speaker_has_not_approved(house: House) -> None:
    second = reviewed(house)
    approve_all(house, second.id)
    other = [OFFICES[0] | {"persons": ["p-1", "p-7"]}, OFFICES[1]]
    set_rule(house, second.listing_id, reviews=other)
    with pytest.raises(ReviewsMissing):
        sign_successor(house, second.id, "hospital")
    review_successor(house, second.id, "p-7", "data_protection")
    sign_successor(house, second.id, "hospital")
    assert sign_successor(house, second.id, "pharma").state == "finalized"


def test_a_returned_successor_is_corrected_by_a_new_one_that_needs_approvals_of_its_own(house: House) -> None:
    second = reviewed(house)
    first = chain(house, second.id).follows
    assert first is not None
    sign_successor(house, second.id, "pharma")
    approve_all(house, second.id)
    with pytest.raises(NotYourStep):
        give_back(house, second.id, "pharma", WHY)
    house.clock.advance(timedelta(days=2))
    for _ in range(2):
        assert give_back(house, second.id, "hospital").state == "returned"
    with pytest.raises(WrongState):
        sign_successor(house, second.id, "hospital")
    with pytest.raises(WrongState):
        review_successor(house, second.id, "p-1", "management")
    with pytest.raises(place.AlreadySucceeded):
        amend(house, first.predecessor_id, "hospital", parameters={"max_uses": 8})
    with pytest.raises(place.AlreadySucceeded):
        renew(house, first.predecessor_id, "pharma")
    third = amend(house, first.predecessor_id, "pharma", parameters={"max_uses": 8})
    assert [one.state for one in chain(house, first.predecessor_id).successors] == ["corrected", "proposed"]
    assert agreement_of(house, second.id).state == "terminated"
    sign_successor(house, third.id, "pharma")
    with pytest.raises(ReviewsMissing):
        sign_successor(house, third.id, "hospital")
    approve_all(house, third.id)
    assert sign_successor(house, third.id, "hospital").state == "finalized"
    settle(house)
    (returned,) = facts(house, "successor_returned")
    assert (returned["document"], returned["by"], returned["reason"]) == (
        second.document,
        "provider",
        "breach_of_contract",
    )
    assert [reason for _, reason in told(house)] == [
        "successor_proposed",
        "successor_returned",
        "successor_corrected",
        "successor_proposed",
        "agreement_superseded",
        "successor_in_force",
    ]


def test_approvals_given_too_late_or_to_what_was_withdrawn_open_nothing(house: House) -> None:
    second = reviewed(house, SuccessorKind.RENEWAL, "hospital")
    approve_all(house, second.id)
    terminate(house, second.id, "hospital")
    for who in ("hospital", "pharma"):
        with pytest.raises(WrongState):
            sign_successor(house, second.id, who)
    third = renew(house, chain(house, second.id).follows.predecessor_id, "hospital", parameters=MORE)  # type: ignore[union-attr]
    review_successor(house, third.id, "p-1", "data_protection")
    with pytest.raises(ReviewsMissing):
        sign_successor(house, third.id, "hospital")
    house.clock.advance(ANSWER_SUCCESSOR_WITHIN)
    for verb in (lambda: review_successor(house, third.id, "p-2", "data_protection"),
                 lambda: sign_successor(house, third.id, "hospital")):  # fmt: skip
        with pytest.raises(standing.SuccessorLapsed):
            verb()
    settle(house)
    assert agreement_of(house, third.id).state == "terminated"


def test_who_has_to_move_is_reminded_once_of_each_deadline_and_the_last_one_ends_it(house: House) -> None:
    second = reviewed(house, SuccessorKind.RENEWAL)
    sign_successor(house, second.id, "pharma")
    house.clock.advance(ANSWER_SUCCESSOR_WITHIN - REMIND_BEFORE)
    for _ in range(2):
        settle(house)
    hospital, pharma = (house.cast[who].id for who in ("hospital", "pharma"))
    assert [one["party"] for one in facts(house, "successor_reminded")] == [hospital]
    give_back(house, second.id, "hospital")
    house.clock.advance(REMIND_BEFORE + timedelta(hours=1))
    settle(house)
    assert agreement_of(house, second.id).state == "drafted"
    house.clock.advance(ANSWER_SUCCESSOR_WITHIN - 2 * REMIND_BEFORE)
    settle(house)
    assert [one["party"] for one in facts(house, "successor_reminded")] == [hospital, pharma]
    house.clock.advance(REMIND_BEFORE)
    settle(house)
    (shown,) = [one for one in [chain(house, second.id).follows] if one]
    assert (shown.state, agreement_of(house, second.id).state) == ("lapsed", "terminated")
    assert [reason for _, reason in told(house)].count("successor_answer_due") == 2
