"""Who answers for the buyer: a rule that it signed, judged by policy; the agreement still needs its own signature."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jsonschema
import pytest

from marketplace.audit import documents
from marketplace.commands.recheck import recheck
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import canonical, digest
from marketplace.kernel.signing import BadSignature
from marketplace.negotiation import queries
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds import accepting
from marketplace.negotiation.rounds.models import AcceptanceRule
from marketplace.negotiation.rounds.rules import UnsoundRule
from marketplace.negotiation.rounds.schemas import AcceptanceRuleIn
from marketplace.participants.signatures import UnknownKey
from tests.exchange.parts import PARAMETERS, PRICE_FEN, listed, suspend_certificate
from tests.house import House
from tests.negotiation.parts import requested, sign, state
from tests.negotiation.rounds.parts import (
    BUYER,
    PROVIDER,
    ask_again,
    bounds_that_fit,
    content,
    counter,
    draft_to_sign,
    facts,
    now_of,
    offer,
    offer_directly,
    proposals,
    read_by,
    schema_named,
    seen,
    set_rule,
    work,
)

BOUNDS: dict[str, Any] = {
    "purposes": ["model_training"],
    "price_at_most_fen": PRICE_FEN,
    "price_per_use_at_most_fen": 0,
    "rounds_at_most": 4,
    "counter_price_fen": None,
}
DEARER = {"kind": "one_off", "price_fen": PRICE_FEN + 100}


def rule_of(house: House, listing: str, who: str = BUYER, **changes: Any) -> dict[str, Any]:
    return {
        "type": "acceptance-rule",
        "v": 1,
        "listing": listing,
        "buyer": house.cast[who].id,
        "automatic": BOUNDS | changes,
        "nonce": "0f" * 16,
    }


def sign_rule(house: House, rule: dict[str, Any], who: str = BUYER, signer: str = "") -> AcceptanceRule:
    jws = house.cast[signer or who].key.sign_detached(canonical(rule), typ="acceptance-rule+jws")
    return hand_in(house, rule, jws, who)


def hand_in(house: House, rule: dict[str, Any], jws: str, who: str = BUYER) -> AcceptanceRule:
    asked = AcceptanceRuleIn.model_validate({"rule": rule, "jws": jws})
    with house.db() as db:
        return accepting.set_rule(db, house.cast[who].actor, rule["listing"], asked, house.clock.now())


def ruled(house: House, listing: Listing | None = None, **changes: Any) -> AccessRequest:
    """A request under a listing for which the buyer signed a rule."""
    listing = listing or listed(house)
    sign_rule(house, rule_of(house, listing.id, **changes))
    return requested(house, listing)


def test_an_offer_within_the_buyers_rule_is_accepted_and_still_needs_its_signature(house: House) -> None:
    request = ruled(house)
    offer(house, request)
    assert seen(house, request) == ("OFFERED", "offered_as_asked", "buyer")
    work(house)
    assert seen(house, request) == ("ACCEPTED", "accepted_by_rule", "provider")
    (set_by,), (accepted,) = facts(house, "acceptance_rule_set"), facts(house, "offer_accepted")
    assert (accepted["rule"], accepted["revision"]) == (set_by["rule"], house.runtime.policy.revision)
    with house.runtime.database.reading() as db:
        kept = documents.get(db, set_by["rule"])
        assert kept.readers == [house.cast[BUYER].id]
        assert [one.signer for one in documents.signatures(db, set_by["rule"])] == [house.cast[BUYER].id]
        agreement = queries.agreement(db, str(now_of(house, request).agreement_id))
        assert documents.signatures(db, agreement.document) == []
    jsonschema.validate(content(house, set_by["rule"]), schema_named("acceptance-rule"))
    for _ in range(2):
        ask_again(house, "negotiation.accept", request)
    assert len(facts(house, "offer_accepted")) == 1
    sign(house, agreement, PROVIDER)
    assert state(house, agreement) == ("AGREED", "drafted")
    sign(house, agreement, BUYER)
    assert state(house, agreement) == ("FINALIZED", "finalized")
    with house.runtime.database.reading() as db:
        tables = {"acceptance_rule", "access_request", "agreement", "document", "document_signature"}
        assert [one for one in recheck(db) if one.table in tables] == []


def test_two_machines_agree_and_a_provider_that_signed_first_is_met(house: House) -> None:
    listing = listed(house)
    automatic = {"purposes": ["model_training"], "buyer_kinds": ["pharma"], "price_not_below_fen": 1}
    set_rule(house, listing.id, automatic=automatic)
    request = ruled(house, listing)
    for _ in range(2):
        work(house)
    assert seen(house, request)[:2] == ("ACCEPTED", "accepted_by_rule")
    answered = offer_directly(house, listing.id)
    assert isinstance(answered, AccessRequest)
    agreement = queries_agreement(house, answered)
    sign(house, agreement, PROVIDER)
    work(house)
    assert seen(house, answered) == ("AGREED", "provider_signed", "buyer")


@pytest.mark.parametrize(
    ("terms", "changes", "reasons"),
    [
        ({"price_plan": DEARER}, {}, ["not_acceptable"]),
        ({"parameters": PARAMETERS | {"max_uses": 1}}, {}, ["terms_changed"]),
        ({"term_days": 3}, {}, ["terms_changed"]),
        ({"starts_in": 30}, {}, ["terms_changed"]),
        ({"purpose": "model_validation"}, {"purposes": ["model_training", "model_validation"]}, ["terms_changed"]),
        ({"price_plan": {"kind": "per_use", "price_fen": 9, "access_fen": 1}}, {},
         ["terms_changed"]),
        ({"price_plan": {"kind": "one_off", "price_fen": 7}}, {"rounds_at_most": 1}, ["too_many_rounds"]),
        ({}, {"purposes": ["statistics"]}, ["purpose_for_people"]),
    ],
)  # fmt: skip
def test_what_the_rule_does_not_cover_waits_for_the_buyers_people(
    house: House, terms: dict[str, Any], changes: dict[str, Any], reasons: list[str]
) -> None:
    request = ruled(house, **changes)
    if (days := terms.pop("starts_in", None)) is not None:
        terms["starts_at"] = (house.clock.now() + timedelta(days=days)).isoformat()
    offer(house, request, **terms)
    for _ in range(2):
        work(house)
    assert seen(house, request) == ("OFFERED", "left_to_buyers_people", "buyer")
    (left,) = facts(house, "answer_left_to_people")
    assert left["reasons"] == reasons
    assert facts(house, "offer_accepted") == facts(house, "offer_countered") == []


def test_a_price_above_the_bound_is_countered_until_the_round_is_one_for_people(house: House) -> None:
    request = ruled(house, counter_price_fen=PRICE_FEN - 500, rounds_at_most=3)
    first = offer(house, request, price_plan=DEARER)
    work(house)
    assert seen(house, request) == ("REQUESTED", "countered_by_rule", "provider")
    assert state(house, first)[1] == "terminated"
    (made,) = facts(house, "offer_countered")
    assert (made["rule"], made["round"], made["reasons"]) == (
        facts(house, "acceptance_rule_set")[0]["rule"],
        3,
        ["price_too_high"],
    )
    assert [one.price_plan["price_fen"] for one in proposals(house, request)][-1] == PRICE_FEN - 500
    offer(house, request, price_plan=DEARER)
    work(house)
    assert seen(house, request) == ("OFFERED", "left_to_buyers_people", "buyer")
    assert counter(house, request, price_plan={"kind": "one_off", "price_fen": PRICE_FEN - 1})


@pytest.mark.parametrize("meanwhile", ["declined", "other rule", "no proof", "provider drafts"])
def test_an_answer_holds_only_for_what_it_was_asked_about(house: House, meanwhile: str) -> None:
    request = ruled(house)
    if meanwhile == "provider drafts":
        draft_to_sign(house, request)
        work(house)
        assert seen(house, request)[0] == "REQUESTED"
        return
    agreement = offer(house, request)
    with house.runtime.database.reading() as db:
        offered = accepting.gather(db, request.id, house.clock.now())
    assert offered is not None
    decision = house.runtime.policy.decide("acceptance", offered.facts)
    assert decision.allow
    if meanwhile == "declined":
        counter(house, request, price_plan={"kind": "one_off", "price_fen": 5})
    elif meanwhile == "other rule":
        sign_rule(house, rule_of(house, request.listing_id, price_at_most_fen=1))
    else:
        suspend_certificate(house, agreement.version_id)
    with house.db() as db:
        accepting.settle(db, offered, decision, None, house.clock.now())
    assert facts(house, "offer_accepted") == []
    assert (
        seen(house, request)[:2]
        == {
            "declined": ("REQUESTED", "counter_offered"),
            "other rule": ("OFFERED", "offered_as_asked"),
            "no proof": ("OFFERED", "left_to_buyers_people"),
        }[meanwhile]
    )


def test_a_rule_is_signed_by_the_buyer_it_names_for_the_listing_it_names(house: House) -> None:
    listing = listed(house)
    rule = rule_of(house, listing.id)
    with pytest.raises(UnknownKey):
        sign_rule(house, rule, signer="insurer")
    made = house.cast[BUYER].key.sign_detached(canonical(rule), typ="acceptance-rule+jws")
    more = rule | {"automatic": BOUNDS | {"price_at_most_fen": PRICE_FEN * 9}}
    with pytest.raises(BadSignature):
        hand_in(house, more, made)
    assert facts(house, "acceptance_rule_set") == []
    with pytest.raises(accepting.NotYourRule):
        sign_rule(house, rule, who="insurer")
    with pytest.raises(accepting.NotYourRule):
        sign_rule(house, rule_of(house, listing.id, who=PROVIDER), who=PROVIDER)
    for unsound in ({"counter_price_fen": PRICE_FEN + 1}, {"purposes": ["nonsense"]}):
        with pytest.raises(UnsoundRule):
            sign_rule(house, rule_of(house, listing.id, **unsound))
    assert facts(house, "acceptance_rule_set") == []
    for _ in range(2):
        sign_rule(house, rule)
    assert len(facts(house, "acceptance_rule_set")) == 1
    sign_rule(house, rule | {"automatic": None})
    request = requested(house, listing)
    offer(house, request)
    work(house)
    assert seen(house, request)[1] == "offered_as_asked"


def test_a_provider_finds_no_bound_by_offering_anew(house: House) -> None:
    listing = listed(house)
    sign_rule(house, rule_of(house, listing.id, rounds_at_most=2))
    for fen in (3, 2):
        offer_directly(house, listing.id, price_plan={"kind": "one_off", "price_fen": PRICE_FEN + fen})
        work(house)
    cheap = offer_directly(house, listing.id, price_plan={"kind": "one_off", "price_fen": PRICE_FEN})
    work(house)
    assert isinstance(cheap, AccessRequest)
    assert seen(house, cheap)[:2] == ("OFFERED", "left_to_buyers_people")
    assert [one["reasons"] for one in facts(house, "answer_left_to_people")] == [
        ["not_acceptable"],
        ["not_acceptable"],
        ["too_many_rounds"],
    ]


def test_a_provider_finds_no_bound_in_the_digest_of_what_the_policy_was_told(house: House) -> None:
    request = ruled(house)
    offer(house, request)
    with house.runtime.database.reading() as db:
        offered = accepting.gather(db, request.id, house.clock.now())
    assert offered is not None
    work(house)
    (accepted,) = read_by(house, PROVIDER, request, "offer_accepted")
    guesses = range(PRICE_FEN - 20, PRICE_FEN + 20)
    assert bounds_that_fit(accepted["facts"], offered.facts, "price_at_most_fen", guesses) == []
    own = content(house, accepted["rule"])
    assert accepted["facts"] == digest({"rule": own, "facts": offered.facts}), "its owner can show what was judged"


def test_a_provider_finds_no_bound_in_the_reasons_of_offers_that_cannot_be_accepted(house: House) -> None:
    listing = listed(house)
    sign_rule(house, rule_of(house, listing.id, rounds_at_most=2))

    def reasons(fen: int, **terms: Any) -> list[str]:
        made = offer_directly(house, listing.id, price_plan={"kind": "one_off", "price_fen": PRICE_FEN + fen}, **terms)
        work(house)
        assert isinstance(made, AccessRequest)
        (left,) = read_by(house, PROVIDER, made, "answer_left_to_people")
        return list(left["reasons"])

    assert reasons(1, term_days=30) == reasons(0, term_days=30) == ["terms_changed"]
    for step in (1, 0, -1, 2, -2):
        assert reasons(step) == ["too_many_rounds"]
        assert reasons(step, term_days=40) == ["too_many_rounds"]


def queries_agreement(house: House, request: AccessRequest) -> Any:
    with house.runtime.database.reading() as db:
        return queries.agreement(db, str(request.agreement_id))
