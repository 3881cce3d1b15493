"""Offers and counter-offers: what lies on the table, whose move it is, and what the agreement says of it."""

from __future__ import annotations

from datetime import timedelta

import jsonschema
import pytest
from sqlmodel import select

from marketplace.audit import documents
from marketplace.exchange import queries as exchange
from marketplace.exchange.linting import PlanDoesNotFit
from marketplace.exchange.models import Listing
from marketplace.exchange.parameters import BadParameters
from marketplace.exchange.terms import quota
from marketplace.kernel.transitions import NotYourStep, WrongState
from marketplace.negotiation import queries, service, signing
from marketplace.negotiation.drafting import StartOutOfRange, TermOutlivesCertificate
from marketplace.negotiation.eligibility import RefusedOnReview
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rounds import offering, replying
from marketplace.negotiation.rounds.shown import rounds_out
from marketplace.negotiation.rules import Refusal
from marketplace.plumbing import epochs
from tests.exchange.parts import PARAMETERS, PRICE_FEN, certified, listed
from tests.house import House
from tests.negotiation.parts import WHY, approve, ask, finalized, requested, sign, state
from tests.negotiation.rounds.parts import (
    BUYER,
    PROVIDER,
    accept,
    content,
    counter,
    draft_to_sign,
    facts,
    now_of,
    offer,
    offer_directly,
    proposals,
    schema_named,
    seen,
)

MORE_USES = PARAMETERS | {"max_uses": 9}
CHEAPER = {"kind": "one_off", "price_fen": PRICE_FEN - 1_000_000}
MIDDLE = {"kind": "one_off", "price_fen": PRICE_FEN - 400_000}


def listing_of(house: House, request: AccessRequest) -> Listing:
    with house.runtime.database.reading() as db:
        return exchange.listing(db, request.listing_id)


def countered(house: House, request: AccessRequest, **terms: object) -> AccessRequest:
    answer = counter(house, request, **terms)
    assert isinstance(answer, AccessRequest)
    return answer


def test_three_rounds_end_in_an_agreement_that_says_what_was_agreed_and_in_which_round(house: House) -> None:
    request = requested(house, terms={"parameters": MORE_USES, "price_plan": CHEAPER})
    assert seen(house, request) == ("REQUESTED", "asked", "provider")
    first = offer(house, request, parameters=PARAMETERS)
    assert seen(house, request) == ("OFFERED", "offered_otherwise", "buyer")
    countered(house, request, parameters=MORE_USES, price_plan=MIDDLE)
    assert seen(house, request) == ("REQUESTED", "counter_offered", "provider")
    agreed = approve(house, request)
    assert seen(house, request) == ("OFFERED", "offered_as_asked", "buyer")

    rounds = proposals(house, request)
    assert [(one.round, one.by) for one in rounds] == [(1, "buyer"), (2, "provider"), (3, "buyer")]
    document = content(house, agreed.document)
    assert (document["round"], document["proposal"]) == (3, rounds[2].document)
    assert document["parameters"]["max_uses"] == quota(document["uses"]).max_uses == 9
    assert document["price_fen"] == agreed.price_plan["price_fen"] == PRICE_FEN - 400_000
    assert [(first.id, state(house, first)[1])] == [(first.id, "terminated")]
    for who in (BUYER, PROVIDER):
        sign(house, agreed, who)
    assert state(house, agreed) == ("FINALIZED", "finalized")
    assert seen(house, request) == ("FINALIZED", "in_force", None)


def test_every_round_is_a_document_that_both_read_and_an_entry_names(house: House) -> None:
    request = requested(house)
    offer(house, request, price_plan=CHEAPER)
    countered(house, request, term_days=200)
    schema = schema_named("proposal")
    rounds = proposals(house, request)
    for one, before in zip(rounds, [None, *rounds], strict=False):
        kept = content(house, one.document)
        jsonschema.validate(kept, schema)
        assert (kept["round"], kept["by"], kept["previous"]) == (one.round, one.by, before and before.document)
        with house.runtime.database.reading() as db:
            assert set(documents.get(db, one.document).readers) == {request.buyer_id, request.provider_id}
    named = [*facts(house, "access_requested"), *facts(house, "offer_made"), *facts(house, "offer_countered")]
    assert [(one["round"], one["proposal"]) for one in named] == [(one.round, one.document) for one in rounds]


def test_rounds_are_told_in_words(house: House) -> None:
    request = requested(house)
    offer(house, request, parameters=MORE_USES)
    countered(house, request, price_plan=CHEAPER)
    with house.runtime.database.reading() as db:
        first, second, third = rounds_out(db, queries.request(db, request.id))
    assert first.changes == []
    assert ("parameter", "max_uses") in {(one.part, one.at) for one in second.changes}
    assert any("5" in one.en and "9" in one.en for one in second.changes if one.at == "max_uses")
    assert [(one.part, one.at) for one in third.changes if one.part == "fact"] == [("fact", "price")]
    assert "40,000.00" in next(one.en for one in third.changes if one.at == "price")


def test_a_counter_offer_ends_the_offer_it_replaces(house: House) -> None:
    request = requested(house)
    first = approve(house, request)
    sign(house, first, PROVIDER)
    with house.runtime.database.reading() as db:
        before = db.get_one(epochs.Epoch, first.id).number
    countered(house, request, term_days=100)
    with house.runtime.database.reading() as db:
        assert db.get_one(epochs.Epoch, first.id).number == before + 1
        assert queries.agreement(db, first.id).reason == "superseded"
    with pytest.raises(signing.AgreementReplaced):
        sign(house, first, BUYER)
    second = approve(house, request)
    assert second.ends_at - second.starts_at == timedelta(days=100)
    with pytest.raises(replying.NotTheOffer):
        accept(house, request, first.document)
    assert facts(house, "offer_countered")[0]["replaced"] == first.id


def test_repeated_messages_have_one_effect(house: House) -> None:
    request = requested(house, terms={"term_days": 300})
    assert requested(house, listing_of(house, request), terms={"term_days": 300}).id == request.id
    first = offer(house, request, price_plan=CHEAPER)
    assert offer(house, request, price_plan=CHEAPER).id == first.id
    assert requested(house, listing_of(house, request), terms={"term_days": 300}).id == request.id
    countered(house, request, term_days=200)
    countered(house, request, term_days=200)
    agreement = approve(house, request)
    assert approve(house, request).id == agreement.id
    for _ in range(2):
        accept(house, request, agreement.document)
    for who in (PROVIDER, BUYER, PROVIDER, BUYER):
        sign(house, agreement, who)
    accept(house, request, agreement.document)
    assert len(proposals(house, request)) == 3
    for tag, number in (("offer_made", 2), ("offer_countered", 1), ("offer_accepted", 1), ("agreement_finalized", 1)):
        assert len(facts(house, tag)) == number, tag


def test_the_buyer_may_accept_before_anybody_signs(house: House) -> None:
    request = requested(house)
    agreement = approve(house, request)
    with pytest.raises(NotYourStep):
        accept(house, request, agreement.document, PROVIDER)
    accept(house, request, agreement.document)
    assert seen(house, request) == ("ACCEPTED", "offer_accepted", "provider")
    with pytest.raises(WrongState):
        counter(house, request, term_days=100)
    sign(house, agreement, PROVIDER)
    assert seen(house, request) == ("AGREED", "provider_signed", "buyer")
    sign(house, agreement, BUYER)
    assert state(house, agreement) == ("FINALIZED", "finalized")
    assert [one["state"] for one in facts(house, "agreement_signed")] == ["AGREED", "AGREED"]


def test_an_acceptance_meets_the_signature_of_a_provider_that_signed_first(house: House) -> None:
    request = requested(house)
    agreement = approve(house, request)
    sign(house, agreement, PROVIDER)
    accept(house, request, agreement.document)
    assert seen(house, request) == ("AGREED", "provider_signed", "buyer")
    sign(house, agreement, BUYER)
    assert state(house, agreement) == ("FINALIZED", "finalized")


def test_the_provider_may_agree_at_once_by_signing_what_was_asked_for(house: House) -> None:
    request = requested(house, terms={"price_plan": MIDDLE})
    with pytest.raises(NotYourStep):
        draft_to_sign(house, request, BUYER)
    agreement = draft_to_sign(house, request)
    assert draft_to_sign(house, request).id == agreement.id
    assert state(house, agreement) == ("REQUESTED", "drafted")
    with pytest.raises(WrongState):
        sign(house, agreement, BUYER)
    sign(house, agreement, PROVIDER)
    assert seen(house, request) == ("AGREED", "provider_signed", "buyer")
    sign(house, agreement, BUYER)
    assert state(house, agreement) == ("FINALIZED", "finalized")
    assert content(house, agreement.document)["price_fen"] == PRICE_FEN - 400_000


def test_a_draft_that_is_not_signed_gives_way_to_an_offer_or_a_return(house: House) -> None:
    request = requested(house)
    draft = draft_to_sign(house, request)
    with house.db() as db:
        found = queries.request(db, request.id)
        service.return_for_completion(db, house.cast[PROVIDER].actor, found, WHY, house.clock.now())
    assert state(house, draft) == ("REQUESTED", "terminated")
    with pytest.raises(offering.AwaitsCompletion):
        draft_to_sign(house, request)
    assert seen(house, request) == ("REQUESTED", "returned_for_completion", "buyer")
    other = requested(house, listing_of(house, request), purpose="model_validation")
    draft = draft_to_sign(house, other)
    offered = offer(house, other, term_days=99)
    assert state(house, draft)[1] == "terminated"
    assert now_of(house, other).agreement_id == offered.id


def test_a_provider_may_offer_unasked_and_the_buyer_answers_as_ever(house: House) -> None:
    listing = listed(house)
    request = offer_directly(house, listing.id, price_plan=CHEAPER)
    assert isinstance(request, AccessRequest)
    assert seen(house, request) == ("OFFERED", "offered_directly", "buyer")
    again = offer_directly(house, listing.id, price_plan=CHEAPER)
    assert isinstance(again, AccessRequest)
    assert again.id == request.id
    assert [one.by for one in proposals(house, request)] == ["provider"]
    countered(house, request, parameters=MORE_USES)
    agreement = approve(house, request)
    for who in (BUYER, PROVIDER):
        sign(house, agreement, who)
    assert state(house, agreement) == ("FINALIZED", "finalized")


def test_only_the_provider_offers_unasked_and_only_to_a_buyer_who_may_have_access(house: House) -> None:
    listing = listed(house)
    with pytest.raises(offering.NotYourListing):
        offer_directly(house, listing.id, who="pharma")
    for nobody in ("auditor", PROVIDER):
        with pytest.raises(offering.NotToBuyer):
            offer_directly(house, listing.id, nobody)
    answer = offer_directly(house, listing.id, purpose="education")
    assert isinstance(answer, Refusal)
    assert facts(house, "access_refused")[0]["buyer"] == house.cast[BUYER].id
    with house.runtime.database.reading() as db:
        assert db.exec(select(AccessRequest)).all() == []


def test_every_round_must_meet_what_a_published_offer_meets(house: House) -> None:
    listing = listed(house)
    unfit = (
        (BadParameters, {"parameters": PARAMETERS | {"max_uses": 0}}),
        (BadParameters, {"parameters": PARAMETERS | {"my_own": 1}}),
        (PlanDoesNotFit, {"price_plan": {"kind": "subscription", "price_fen": 1, "period_days": 7}}),
        (TermOutlivesCertificate, {"term_days": 1826, "starts_at": house.clock.now() + timedelta(days=90)}),
        (StartOutOfRange, {"starts_at": house.clock.now() + timedelta(days=91)}),
    )
    for error, terms in unfit:
        with pytest.raises(error):
            ask(house, listing, terms=terms)
    request = requested(house, listing)
    for error, terms in unfit:
        with pytest.raises(error):
            offer(house, request, **terms)
    agreement = approve(house, request)
    for error, terms in unfit:
        with pytest.raises(error):
            counter(house, request, **terms)
    assert state(house, agreement) == ("OFFERED", "drafted")
    assert len(proposals(house, request)) == 1


GUIDED = {"kind": "one_off", "price_fen": 300, "regime": "guided_cap", "cap_fen": 400}
COST = {"kind": "one_off", "price_fen": 300, "regime": "cost_only", "cost_fen": 400}


@pytest.mark.parametrize(
    ("plan", "otherwise"),
    [
        (GUIDED, {"kind": "one_off", "price_fen": 10**9}),
        (GUIDED, GUIDED | {"price_fen": 500, "cap_fen": 500}),
        (GUIDED, GUIDED | {"kind": "per_use"}),
        (COST, GUIDED),
        (COST, COST | {"cost_fen": 401}),
        ({"kind": "one_off", "price_fen": 0, "regime": "free"}, {"kind": "one_off", "price_fen": 1}),
    ],
)
def test_no_round_leaves_the_price_regime_that_the_exchange_signed(
    house: House, plan: dict[str, object], otherwise: dict[str, object]
) -> None:
    listing = listed(house, price_plan=plan)
    for asked in (ask, offer_unasked):
        with pytest.raises(PlanDoesNotFit):
            asked(house, listing, terms={"price_plan": otherwise})
    request = requested(house, listing)
    with pytest.raises(PlanDoesNotFit):
        offer(house, request, price_plan=otherwise)
    approve(house, request)
    with pytest.raises(PlanDoesNotFit):
        counter(house, request, price_plan=otherwise)
    assert seen(house, request) == ("OFFERED", "offered_as_asked", "buyer")
    assert len(proposals(house, request)) == 1


def test_a_price_within_the_regime_of_the_listing_is_open_to_negotiation(house: House) -> None:
    request = requested(house, listed(house, price_plan=GUIDED))
    offer(house, request, price_plan=GUIDED | {"price_fen": 400})
    countered(house, request, price_plan=GUIDED | {"price_fen": 200, "cap_fen": 300})
    assert content(house, approve(house, request).document)["price_plan"]["cap_fen"] == 300


def offer_unasked(house: House, listing: Listing, terms: dict[str, object]) -> object:
    return offer_directly(house, listing.id, **terms)


def test_a_counter_offer_for_a_purpose_the_terms_do_not_permit_is_refused_and_the_offer_stands(house: House) -> None:
    request = requested(house)
    agreement = approve(house, request)
    answer = counter(house, request, purpose="education")
    assert isinstance(answer, Refusal)
    assert answer.reasons == ("purpose_not_permitted",)
    assert facts(house, "access_refused")[0]["request"] == request.id
    assert state(house, agreement) == ("OFFERED", "drafted")
    other = requested(house, listing_of(house, request), purpose="model_validation")
    with pytest.raises(RefusedOnReview):
        offer(house, other, purpose="education")


def test_nothing_is_countered_with_the_same_terms_or_by_the_wrong_side(house: House) -> None:
    request = requested(house)
    with pytest.raises(NotYourStep):
        counter(house, request, PROVIDER, term_days=9)
    with pytest.raises(WrongState):
        counter(house, request, term_days=9)
    approve(house, request)
    with pytest.raises(replying.NothingCountered):
        counter(house, request)
    with pytest.raises(WrongState):
        offer(house, request, term_days=9)
    with pytest.raises(service.TwoPurposes):
        ask(house, listing_of(house, request), terms={"purpose": "model_validation"})


def test_the_agreed_start_and_term_bound_the_contract(house: House) -> None:
    starts_at = house.clock.now() + timedelta(days=20)
    request = requested(house, listed(house, certified(house)), terms={"starts_at": starts_at, "term_days": 30})
    agreement: Agreement = approve(house, request)
    assert (agreement.starts_at, agreement.ends_at) == (starts_at, starts_at + timedelta(days=30))


def test_a_contract_without_rounds_of_its_own_is_round_one(house: House) -> None:
    agreement = finalized(house)
    assert content(house, agreement.document)["round"] == 1
