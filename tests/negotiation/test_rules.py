"""The negotiation machine, and why a buyer is refused."""

from __future__ import annotations

import itertools

import pytest

from marketplace.audit import words
from marketplace.kernel.transitions import NotYourStep, WrongState
from marketplace.negotiation.rules import (
    AGREEMENT,
    NEGOTIATION,
    REASONS,
    AgreementState,
    Buyer,
    Reason,
    ReasonOfService,
    Side,
    State,
    refusal,
    require_own_reason,
    whose_move,
)

OPEN = ("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED")
ALLOWED = {
    ("REQUESTED", "REQUESTED"): {
        "buyer": "negotiation:request_resubmitted",
        "provider": "negotiation:request_returned",
    },
    ("REQUESTED", "OFFERED"): {"provider": "negotiation:offer_made", "service": "negotiation:offer_made"},
    ("REQUESTED", "AGREED"): {"provider": "negotiation:agreement_signed"},
    ("OFFERED", "REQUESTED"): {"buyer": "negotiation:offer_countered", "service": "negotiation:offer_countered"},
    ("OFFERED", "ACCEPTED"): {"buyer": "negotiation:offer_accepted", "service": "negotiation:offer_accepted"},
    ("ACCEPTED", "AGREED"): {"provider": "negotiation:agreement_signed"},
    ("AGREED", "VERIFIED"): dict.fromkeys(("buyer", "service"), "negotiation:agreement_verified"),
    ("VERIFIED", "FINALIZED"): {"service": "negotiation:agreement_finalized"},
    **{
        (state, "TERMINATED"): {
            "provider": "negotiation:request_declined",
            "buyer": "negotiation:request_withdrawn",
            "service": "negotiation:request_expired",
        }
        for state in OPEN
    },
}
GOOD = Buyer(verified=True, suspended=False, foreign_controlled=False)


def test_the_states_are_those_of_the_dataspace_protocol() -> None:
    assert [str(one) for one in State] == [*OPEN, "FINALIZED", "TERMINATED"]


@pytest.mark.parametrize(("source", "target", "who"), list(itertools.product(State, State, Side)))
def test_a_negotiation_moves_only_as_the_table_says(source: State, target: State, who: Side) -> None:
    allowed = ALLOWED.get((source.value, target.value))
    if allowed is None:
        with pytest.raises(WrongState):
            NEGOTIATION.step(source, target, [who])
    elif who.value not in allowed:
        with pytest.raises(NotYourStep):
            NEGOTIATION.step(source, target, [who])
    else:
        assert NEGOTIATION.step(source, target, [who]).tag == allowed[who.value]


SIDES = {"buyer", "provider"}
AGREEMENT_ALLOWED = {
    ("drafted", "finalized"): {"service"},
    ("finalized", "suspended"): {*SIDES, "service"},
    ("suspended", "suspended"): {*SIDES, "service"},
    ("suspended", "finalized"): {*SIDES, "service"},
    ("finalized", "expired"): {"service"},
    ("suspended", "expired"): {"service"},
    ("finalized", "superseded"): {"service"},
    **{(state, "terminated"): {*SIDES, "service"} for state in ("drafted", "finalized", "suspended")},
}


@pytest.mark.parametrize(("source", "target", "who"), list(itertools.product(AgreementState, AgreementState, Side)))
def test_an_agreement_is_stopped_by_its_sides_and_put_in_force_or_expired_by_the_service_alone(
    source: AgreementState, target: AgreementState, who: Side
) -> None:
    allowed = AGREEMENT_ALLOWED.get((source.value, target.value))
    if allowed is None:
        with pytest.raises(WrongState):
            AGREEMENT.step(source, target, [who])
    elif who.value not in allowed:
        with pytest.raises(NotYourStep):
            AGREEMENT.step(source, target, [who])
    else:
        assert AGREEMENT.step(source, target, [who]).target is target


def test_every_reason_has_its_words_and_may_stand_in_the_log() -> None:
    assert {str(one) for one in Reason} <= set(REASONS) <= {*words.REASONS, "other"}
    assert all(set(one) == {"en", "zh"} and all(one.values()) for one in REASONS.values())


@pytest.mark.parametrize("reason", Reason)
def test_no_party_speaks_in_the_name_of_the_service(reason: Reason) -> None:
    with pytest.raises(ReasonOfService):
        require_own_reason(reason)
    require_own_reason("price_not_agreed")


@pytest.mark.parametrize("state", State)
def test_somebody_has_to_move_in_every_state_that_is_no_end(state: State) -> None:
    movers = {who for row in NEGOTIATION.steps if row.source == state for who in row.who}
    assert (whose_move(state, Reason.ASKED) is None) is (state not in OPEN)
    assert state not in OPEN or whose_move(state, Reason.ASKED) in movers
    assert whose_move(state, Reason.RETURNED) is Side.BUYER


def test_a_verified_buyer_with_a_permitted_purpose_is_not_refused() -> None:
    assert refusal("statistics", {"statistics"}, GOOD, contains_genomic=True) is None


@pytest.mark.parametrize(
    ("purpose", "buyer", "genomic", "reasons"),
    [
        ("education", GOOD, False, ("purpose_not_permitted",)),
        ("marketing", GOOD, False, ("purpose_denied_always",)),
        ("world_peace", GOOD, False, ("purpose_not_permitted",)),
        ("statistics", Buyer(False, False, False), False, ("party_not_verified",)),
        ("statistics", Buyer(True, True, False), False, ("party_suspended",)),
        ("statistics", Buyer(True, False, True), True, ("foreign_controlled_genomic",)),
        ("statistics", Buyer(True, False, True), False, None),
        ("education", Buyer(False, True, True), True,
         ("foreign_controlled_genomic", "party_not_verified", "party_suspended", "purpose_not_permitted")),
    ],
)  # fmt: skip
def test_a_refusal_names_every_reason(purpose: str, buyer: Buyer, genomic: bool, reasons: tuple[str, ...]) -> None:
    found = refusal(purpose, {"statistics"}, buyer, contains_genomic=genomic)
    assert (found.reasons if found else None) == reasons
