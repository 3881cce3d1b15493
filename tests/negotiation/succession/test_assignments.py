"""A contract passes to nobody by itself: the terms refuse, or the provider by its signed act."""

from __future__ import annotations

import pytest

from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.succession import assigning
from marketplace.negotiation.succession.rules import assignment_prohibited
from marketplace.negotiation.succession.schemas import AssignmentIn, AssignmentOut
from tests.exchange.parts import listed, terms_of
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import BREACH, agreement_of, chain, sign_as, terminate
from tests.negotiation.test_agreements import content


def open_data(house: House) -> str:
    """An agreement whose text does not prohibit handing on."""
    agreement = finalized(house, listing=listed(house, **terms_of("open-data/v1")), purpose="scientific_research")
    assert not assignment_prohibited(content(house, agreement))
    return agreement.id


def ask(house: House, name: str, who: str = "pharma", assignee: str = "prt_insurer") -> AssignmentOut:
    with house.db() as db:
        found, asked = negotiation.agreement(db, name), AssignmentIn(assignee=assignee)
        made = assigning.ask(db, house.cast[who].actor, found, asked, house.clock.now())
        return AssignmentOut.model_validate(made)


def refuse(house: House, name: str, who: str = "hospital") -> str:
    with house.db() as db:
        found = negotiation.agreement(db, name)
        return assigning.refuse(db, house.cast[who].actor, found, BREACH, house.clock.now()).document


def test_terms_that_prohibit_it_refuse_at_once(house: House) -> None:
    agreement = finalized(house)
    assert assignment_prohibited(content(house, agreement))
    asked = ask(house, agreement.id)
    assert (asked.state, asked.by, asked.reason, asked.act) == ("refused", "terms", "assignment_prohibited", None)
    assert "new negotiation" in asked.consent
    assert ask(house, agreement.id).id == asked.id
    with pytest.raises(assigning.NothingAsked):
        refuse(house, agreement.id)
    assert agreement_of(house, agreement.id).state == "finalized"


def test_the_provider_refuses_by_an_act_that_takes_effect_with_its_signature(house: House) -> None:
    name = open_data(house)
    assert (ask(house, name).state, ask(house, name).by) == ("asked", "")
    act = refuse(house, name)
    assert refuse(house, name) == act
    assert [one.state for one in chain(house, name).assignments] == ["asked"]
    sign_as(house, name, "hospital", act)
    (refused,) = chain(house, name).assignments
    assert (refused.state, refused.by, refused.act) == ("refused", "provider", act)
    assert [(one.kind, one.state) for one in chain(house, name).acts] == [("assignment_refusal", "signed")]
    assert agreement_of(house, name).buyer_id == "prt_pharma"
    assert agreement_of(house, name).state == "finalized"


def test_only_the_buyer_asks_only_the_provider_answers_and_only_for_another_buyer(house: House) -> None:
    name = open_data(house)
    with pytest.raises(assigning.NotTheBuyersAssignment):
        ask(house, name, "hospital")
    for wrong in ("prt_pharma", "prt_hospital", "prt_law_firm"):
        with pytest.raises(assigning.NotAnAssignee):
            ask(house, name, assignee=wrong)
    ask(house, name)
    with pytest.raises(assigning.NotTheProvider):
        refuse(house, name, "pharma")


def test_nothing_is_assigned_after_the_end(house: House) -> None:
    name = open_data(house)
    terminate(house, name, "pharma")
    with pytest.raises(assigning.WrongState):
        ask(house, name)
