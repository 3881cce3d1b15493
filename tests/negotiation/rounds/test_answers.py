"""Who answers for the provider: a rule judged by policy, persons for offices, and reminders before a deadline."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from marketplace.audit import documents
from marketplace.audit.models import Person
from marketplace.exchange import queries as exchange
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import digest
from marketplace.kernel.transitions import NotYourStep, WrongState
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds import answering, reviewing
from marketplace.negotiation.rounds.models import NegotiationReminder
from marketplace.negotiation.rounds.offering import NotYourListing
from marketplace.negotiation.rounds.rules import UnsoundRule
from marketplace.negotiation.rounds.schemas import AnswerRuleIn
from marketplace.negotiation.rules import ANSWER_WITHIN, REMIND_BEFORE
from marketplace.participants.models import Participant
from marketplace.plumbing.policy import RegorusEngine
from marketplace.transfer import queries as transfer
from marketplace.transfer.models import StopNotice, StopNoticeReader
from tests.exchange.parts import PARAMETERS, PRICE_FEN, listed, suspend_certificate, terms_of
from tests.house import House
from tests.negotiation.parts import approve, requested, sign, state
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
    read_by,
    review,
    schema_named,
    seen,
    set_rule,
    work,
)
from tests.negotiation.succession.parts import agreement_of
from workers.tasks import negotiation as tasks

AUTOMATIC = {"purposes": ["model_training"], "buyer_kinds": ["pharma"], "price_not_below_fen": PRICE_FEN - 500_000}
OFFICES = [
    {"office": "data_protection", "approvals": 2, "persons": ["p-1", "p-2", "p-3"]},
    {"office": "medical_board"},
]


def ruled(house: House, automatic: dict[str, Any] | None = None, **rule: Any) -> Listing:
    listing = listed(house)
    set_rule(house, listing.id, automatic=AUTOMATIC | (automatic or {}), **rule)
    return listing


def test_a_request_within_the_rule_is_offered_without_a_person(house: House) -> None:
    request = requested(house, ruled(house))
    assert seen(house, request) == ("REQUESTED", "asked", "provider")
    work(house)
    assert seen(house, request) == ("OFFERED", "offered_by_rule", "buyer")
    (made,) = facts(house, "offer_made")
    rule = facts(house, "answer_rule_set")[0]["rule"]
    assert (made["rule"], made["revision"], made["round"]) == (rule, house.runtime.policy.revision, 1)
    with house.runtime.database.reading() as db:
        assert documents.get(db, rule).readers == [house.cast[PROVIDER].id]
    agreement = now_of(house, request).agreement_id
    assert agreement is not None
    for _ in range(2):
        ask_again(house, "negotiation.answer", request)
    assert now_of(house, request).agreement_id == agreement
    assert len(facts(house, "offer_made")) == 1


@pytest.mark.parametrize(
    ("asked", "automatic", "reasons"),
    [
        ({"purpose": "model_validation"}, {}, ["purpose_for_people"]),
        ({}, {"buyer_kinds": ["insurer"]}, ["buyer_kind_for_people"]),
        ({"terms": {"price_plan": {"kind": "one_off", "price_fen": 1}}}, {}, ["not_offerable"]),
        ({"terms": {"parameters": PARAMETERS | {"max_uses": 6}}}, {}, ["terms_changed"]),
        ({"terms": {"term_days": 10}}, {}, ["terms_changed"]),
        ({"terms": {"price_plan": {"kind": "per_use", "price_fen": 9, "access_fen": PRICE_FEN}}}, {},
         ["price_kind_changed"]),
        ({}, {"price_per_use_not_below_fen": 1}, ["not_offerable"]),
    ],
)  # fmt: skip
def test_what_the_rule_does_not_cover_waits_for_people(
    house: House, asked: dict[str, Any], automatic: dict[str, Any], reasons: list[str]
) -> None:
    request = requested(house, ruled(house, automatic), **asked)
    for _ in range(2):
        ask_again(house, "negotiation.answer", request)
    assert seen(house, request) == ("REQUESTED", "left_to_people", "provider")
    (left,) = facts(house, "answer_left_to_people")
    assert (left["reasons"], left["revision"]) == (reasons, house.runtime.policy.revision)
    assert approve(house, request).state == "drafted"


EITHER = "model_validation"
"""A purpose that the templates of both a buyout and a use permit."""
BY_USE = {"kind": "per_use", "price_fen": 90_000, "access_fen": PRICE_FEN}
BY_CASE = {"kind": "per_case", "price_fen": 90_000, "access_fen": PRICE_FEN}
RESULTS = {"kind": "results", "price_fen": PRICE_FEN, "deposit_fen": 1_000_000, "kpi": "sensitivity",
           "baseline_permille": 800, "target_permille": 900, "window_days": 200, "verifier": "law_firm"}  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "otherwise"),
    [
        ({"kind": "buyout", "price_fen": PRICE_FEN}, {"exclusive": True}),
        ({"kind": "one_off", "price_fen": PRICE_FEN}, {"regime": "guided_cap", "cap_fen": PRICE_FEN}),
        (BY_USE, {"monthly_cap_fen": 0}),
        (BY_USE, {"trial_units": 10**9}),
        (BY_USE, {"tiers": [{"above": 1, "price_fen": 0}]}),
        (BY_USE, {"price_fen": 0}),
        (BY_USE | {"monthly_minimum_fen": 100_000}, {"monthly_minimum_fen": 0}),
        (BY_CASE, {"price_fen": 0}),
        (BY_CASE | {"kind": "per_scan"}, {"price_fen": 1}),
        (BY_CASE | {"kind": "per_gb"}, {"price_fen": 1}),
        (BY_CASE | {"kind": "hybrid", "measure": "use"}, {"measure": "gigabyte"}),
        (RESULTS, {"deposit_fen": 0}),
        (RESULTS, {"target_permille": 801}),
        (RESULTS, {"price_fen": 1, "deposit_fen": 0}),
        (RESULTS, {"verifier": "insurer"}),
    ],
)
def test_a_price_plan_that_differs_beyond_the_bounds_of_the_rule_waits_for_people(
    house: House, plan: dict[str, Any], otherwise: dict[str, Any]
) -> None:
    plan = named(house, plan)
    request = requested(
        house, by_plan(house, plan), purpose=EITHER, terms={"price_plan": plan | named(house, otherwise)}
    )
    work(house)
    assert seen(house, request) == ("REQUESTED", "left_to_people", "provider")
    assert facts(house, "answer_left_to_people")[-1]["reasons"] == ["price_kind_changed"]


@pytest.mark.parametrize(
    ("plan", "asked"),
    [
        ({"kind": "buyout", "price_fen": PRICE_FEN}, {}),
        (BY_CASE, {}),
        (RESULTS, {}),
        (BY_USE, {"price_fen": 80_000, "access_fen": PRICE_FEN - 1}),
        (BY_USE | {"monthly_cap_fen": 10**6}, {"price_fen": 80_000}),
        ({"kind": "subscription", "price_fen": PRICE_FEN, "period_days": 365}, {"period_days": 300}),
    ],
)
def test_a_price_plan_as_listed_and_prices_within_the_bounds_are_offered(
    house: House, plan: dict[str, Any], asked: dict[str, Any]
) -> None:
    plan = named(house, plan)
    terms = {"price_plan": plan | asked, "term_days": asked.get("period_days", 365)}
    request = requested(house, by_plan(house, plan), purpose=EITHER, terms=terms)
    work(house)
    assert seen(house, request) == ("OFFERED", "offered_by_rule", "buyer")


def by_plan(house: House, plan: dict[str, Any]) -> Listing:
    """A listing with this price plan, under a rule that minds no price and no other terms."""
    template = "buyout/v1" if plan["kind"] == "buyout" else "model-training/v1"
    listing = listed(house, **terms_of(template, purposes=[EITHER]) | {"price_plan": plan})
    unbounded = {"purposes": [EITHER], "price_not_below_fen": 0, "terms_unchanged": False}
    set_rule(house, listing.id, automatic=AUTOMATIC | unbounded)
    return listing


def named(house: House, plan: dict[str, Any]) -> dict[str, Any]:
    """A plan whose verifier is a participant of the cast."""
    return plan | ({"verifier": house.cast[plan["verifier"]].id} if "verifier" in plan else {})


def test_a_counter_offer_is_judged_too_until_the_round_is_one_for_people(house: House) -> None:
    listing = ruled(house, {"rounds_at_most": 3, "terms_unchanged": False})
    request = requested(house, listing, terms={"price_plan": {"kind": "one_off", "price_fen": 1}})
    work(house)
    offer(house, request, price_plan={"kind": "one_off", "price_fen": PRICE_FEN})
    counter(house, request, price_plan={"kind": "one_off", "price_fen": PRICE_FEN - 500_000}, term_days=30)
    work(house)
    assert seen(house, request) == ("OFFERED", "offered_by_rule", "buyer")
    counter(house, request, term_days=40)
    work(house)
    assert seen(house, request) == ("REQUESTED", "left_to_people", "provider")
    assert facts(house, "answer_left_to_people")[-1]["reasons"] == ["too_many_rounds"]


def test_a_policy_that_gives_no_decision_leaves_the_answer_to_people(house: House, tmp_path: Any) -> None:
    request = requested(house, ruled(house))
    (tmp_path / "negotiation.rego").write_text('package negotiation\ndecision := {"allow": true}\n')
    broken = RegorusEngine(tmp_path)
    with house.runtime.database.reading() as db:
        question = answering.gather(db, request.id, house.clock.now())
    assert question is not None
    decision = broken.decide("negotiation", question.facts)
    with house.db() as db:
        answering.settle(db, question, decision, house.clock.now())
    assert seen(house, request) == ("REQUESTED", "left_to_people", "provider")
    assert facts(house, "answer_left_to_people")[0]["reasons"] == ["policy_unavailable"]
    assert facts(house, "offer_made") == []


@pytest.mark.parametrize("meanwhile", ["moved", "rule", "certificate", "suspended"])
def test_an_answer_holds_only_for_what_it_was_asked_about(house: House, meanwhile: str) -> None:
    listing = ruled(house)
    request = requested(house, listing)
    with house.runtime.database.reading() as db:
        question = answering.gather(db, request.id, house.clock.now())
    assert question is not None
    decision = house.runtime.policy.decide("negotiation", question.facts)
    assert decision.allow
    if meanwhile == "moved":
        approve(house, request)
    elif meanwhile == "rule":
        set_rule(house, listing.id)
    elif meanwhile == "certificate":
        suspend_certificate(house, listing.version_id)
    else:
        with house.arrange() as db:
            buyer = db.get_one(Participant, request.buyer_id)
            buyer.suspended_at = house.clock.now()
            db.add(buyer)
    with house.db() as db:
        answering.settle(db, question, decision, house.clock.now())
    reason = {"moved": "offered_as_asked", "rule": "asked"}.get(meanwhile, "left_to_people")
    assert seen(house, request)[1] == reason
    assert [one["reasons"] for one in facts(house, "answer_left_to_people")] == (
        [["not_offerable"]] if reason == "left_to_people" else []
    )


def test_without_a_rule_nothing_is_asked_of_the_policy(house: House) -> None:
    request = requested(house)
    ask_again(house, "negotiation.answer", request)
    assert seen(house, request) == ("REQUESTED", "asked", "provider")


def test_a_rule_is_the_providers_and_setting_it_again_changes_nothing(house: House) -> None:
    listing = listed(house)
    with pytest.raises(NotYourListing):
        set_rule(house, listing.id, "exchange", automatic=AUTOMATIC)
    first = set_rule(house, listing.id, automatic=AUTOMATIC, reviews=OFFICES)
    assert set_rule(house, listing.id, automatic=AUTOMATIC, reviews=OFFICES).document == first.document
    assert len(facts(house, "answer_rule_set")) == 1
    kept = content(house, first.document)
    jsonschema.validate(kept, schema_named("answer-rule"))
    assert "p-1" not in str(kept)
    set_rule(house, listing.id)
    again = set_rule(house, listing.id, automatic=AUTOMATIC, reviews=OFFICES)
    assert again.document != first.document, "the hash in the entry tells nothing of the bounds"


def test_a_buyer_finds_no_bound_by_asking_anew(house: House) -> None:
    listing = ruled(house, {"rounds_at_most": 2})
    for fen in (1, 2):
        low = requested(house, listing, terms={"price_plan": {"kind": "one_off", "price_fen": fen}})
        work(house)
        assert seen(house, low)[1] == "left_to_people"
    third = requested(house, listing)
    other = requested(house, listing, who="insurer")
    work(house)
    assert seen(house, third)[1] == "left_to_people"
    reasons = [one["reasons"] for one in facts(house, "answer_left_to_people") if one["request"] == third.id]
    assert reasons == [["too_many_rounds"]]
    assert "too_many_rounds" not in str(
        [one for one in facts(house, "answer_left_to_people") if one["request"] == other.id]
    )
    house.clock.advance(timedelta(seconds=1))
    set_rule(house, listing.id, automatic=AUTOMATIC | {"rounds_at_most": 1})
    assert seen(house, requested(house, listing, justification="another study"))[1] == "asked"
    work(house)
    assert len(facts(house, "offer_made")) == 1


def test_a_buyer_finds_no_bound_in_what_is_written_of_an_answer(house: House) -> None:
    listing = ruled(house, {"rounds_at_most": 3})
    for fen in (PRICE_FEN - 500_001, PRICE_FEN - 500_000):
        requested(house, listing, terms={"price_plan": {"kind": "one_off", "price_fen": fen}, "term_days": 10})
        work(house)
    assert [one["reasons"] for one in facts(house, "answer_left_to_people")] == [["terms_changed"]] * 2
    request = requested(house, listing)
    with house.runtime.database.reading() as db:
        question = answering.gather(db, request.id, house.clock.now())
    assert question is not None
    work(house)
    (made,) = read_by(house, BUYER, request, "offer_made")
    guesses = range(PRICE_FEN - 500_020, PRICE_FEN - 499_980)
    assert bounds_that_fit(made["facts"], question.facts, "price_not_below_fen", guesses) == []
    own = content(house, made["rule"])
    assert made["facts"] == digest({"rule": own, "facts": question.facts}), "its owner can show what was judged"


@pytest.mark.parametrize(
    "unsound",
    [
        {"automatic": AUTOMATIC | {"purposes": ["world_peace"]}},
        {"automatic": AUTOMATIC | {"purposes": ["marketing"]}},
        {"reviews": [{"office": "management"}, {"office": "management"}]},
        {"reviews": [{"office": "management", "approvals": 2, "persons": ["p-1", "p-1"]}]},
    ],
)
def test_a_rule_that_can_never_be_met_is_refused(house: House, unsound: dict[str, Any]) -> None:
    listing = listed(house)
    with pytest.raises(UnsoundRule):
        set_rule(house, listing.id, **unsound)
    assert facts(house, "answer_rule_set") == []


def test_an_offer_waits_for_every_office_and_each_person_counts_once(house: House) -> None:
    listing = listed(house)
    set_rule(house, listing.id, reviews=OFFICES)
    request = requested(house, listing)
    for act in (approve, draft_to_sign):
        with pytest.raises(reviewing.ReviewsMissing) as missing:
            act(house, request)
    assert missing.value.expected == "2 more of data_protection, 1 more of medical_board"
    review(house, request, "p-1", "data_protection")
    review(house, request, "p-1", "data_protection")
    review(house, request, "p-1", "medical_board")
    review(house, request, "p-2", "data_protection")
    with pytest.raises(reviewing.ReviewsMissing) as missing:
        approve(house, request)
    assert missing.value.expected == "1 more of medical_board"
    review(house, request, "somebody", "medical_board")
    assert approve(house, request).state == "drafted"
    assert [one["office"] for one in facts(house, "terms_reviewed")] == [
        "data_protection", "medical_board", "data_protection", "medical_board",
    ]  # fmt: skip
    with house.runtime.database.reading() as db:
        names = {one.identifier for one in db.exec(select(Person))}
    assert names == {"p-1", "p-2", "p-3", "somebody"}


def test_a_rule_that_came_after_the_offer_is_asked_at_signing(house: House) -> None:
    listing = listed(house)
    agreed, waiting = (approve(house, requested(house, listing, justification=name)) for name in ("one", "two"))
    with house.runtime.database.reading() as db:
        one, two = (negotiation.request(db, each.request_id) for each in (agreed, waiting))
    sign(house, agreed, "hospital")
    house.clock.advance(timedelta(minutes=1))
    set_rule(house, listing.id, reviews=[{"office": "management"}])
    sign(house, waiting, "pharma")

    for agreement, who in ((waiting, "hospital"), (agreed, "pharma")):
        with pytest.raises(reviewing.ReviewsMissing) as missing:
            sign(house, agreement, who)
        assert ("management" in str(missing.value.expected)) == (who == "hospital"), "offices are the provider's affair"
    assert [state(house, each)[1] for each in (agreed, waiting)] == ["drafted", "drafted"]
    with pytest.raises(WrongState):
        review(house, two, "p-1", "management", term_days=100)
    with pytest.raises(WrongState):
        review(house, two, "p-1", "management", BUYER)

    for request in (one, two):
        review(house, request, "p-1", "management")
    sign(house, waiting, "hospital")
    sign(house, agreed, "pharma")
    assert [state(house, each) for each in (agreed, waiting)] == [("FINALIZED", "finalized")] * 2
    later = requested(house, listing, justification="three")
    review(house, later, "p-1", "management")
    third = approve(house, later)
    sign(house, third, "pharma")
    sign(house, third, "hospital")
    assert state(house, third) == ("FINALIZED", "finalized"), "what was approved for the offer is not asked for again"


@pytest.mark.parametrize("automatic", [None, AUTOMATIC])
def test_a_rule_that_was_being_written_while_the_offer_was_drafted_is_asked_at_signing(
    house: House, automatic: dict[str, Any] | None
) -> None:
    listing = listed(house)
    request = requested(house, listing)
    waited_since = house.clock.now()
    house.clock.advance(timedelta(seconds=1))
    agreement = approve(house, request)
    with house.db() as db:  # a transaction has the moment at which it was asked for, and then waits for its turn
        asked = AnswerRuleIn.model_validate({"automatic": automatic, "reviews": [{"office": "management"}]})
        answering.set_rule(db, house.cast[PROVIDER].actor, exchange.listing(db, listing.id), asked, waited_since)
    with pytest.raises(reviewing.ReviewsMissing):
        sign(house, agreement, "hospital")
    assert state(house, agreement)[1] == "drafted"


def test_what_a_rule_offered_is_signed_without_approvals_under_that_rule_alone(house: House) -> None:
    offices = [{"office": "management"}]
    listing = ruled(house, {"rounds_at_most": 3}, reviews=offices)
    one, two = (requested(house, listing, justification=name) for name in ("one", "two"))
    work(house)
    first, second = (agreement_of(house, str(now_of(house, each).agreement_id)) for each in (one, two))
    sign(house, first, "hospital")
    sign(house, first, "pharma")
    assert state(house, first)[1] == "finalized"
    written_since = house.clock.now() - timedelta(seconds=1)
    with house.db() as db:  # as above: another rule that has waited for its turn since before the offers
        asked = AnswerRuleIn.model_validate({"automatic": AUTOMATIC, "reviews": [*offices, {"office": "legal"}]})
        answering.set_rule(db, house.cast[PROVIDER].actor, exchange.listing(db, listing.id), asked, written_since)
    with pytest.raises(reviewing.ReviewsMissing):
        sign(house, second, "hospital")
    for person, office in (("p-1", "management"), ("p-2", "legal")):
        review(house, two, person, office)
    sign(house, second, "hospital")
    sign(house, second, "pharma")
    assert state(house, second)[1] == "finalized"


def test_an_approval_is_for_exactly_those_terms(house: House) -> None:
    listing = listed(house)
    set_rule(house, listing.id, reviews=[{"office": "management"}])
    request = requested(house, listing)
    review(house, request, "p-1", "management", term_days=100)
    with pytest.raises(reviewing.ReviewsMissing):
        approve(house, request)
    assert offer(house, request, term_days=100).state == "drafted"
    with pytest.raises(reviewing.ReviewsMissing):
        offer_directly(house, listing.id, term_days=101)


def test_only_a_named_person_of_the_provider_approves(house: House) -> None:
    listing = listed(house)
    set_rule(house, listing.id, reviews=OFFICES)
    request = requested(house, listing)
    for person, office, error in (
        (None, "medical_board", reviewing.NotAReviewer),
        ("stranger", "data_protection", reviewing.NotAReviewer),
        ("p-1", "finance", reviewing.NoSuchOffice),
    ):
        with pytest.raises(error):
            review(house, request, person, office)
    with pytest.raises(NotYourStep):
        review(house, request, "p-1", "data_protection", BUYER)
    assert facts(house, "terms_reviewed") == []


offices = st.lists(
    st.builds(
        lambda office, approvals, persons: {"office": office, "approvals": approvals, "persons": persons},
        st.sampled_from("abc"),
        st.integers(1, 3),
        st.lists(st.sampled_from("uvwxyz"), max_size=4, unique=True),
    ),
    max_size=3,
    unique_by=lambda one: one["office"],
)
approvals = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("uvwxyz")), max_size=12, unique=True)


@given(offices, approvals, st.tuples(st.sampled_from("abc"), st.sampled_from("uvwxyz")))
def test_one_approval_more_never_asks_for_more_and_brings_at_most_one(
    needed: list[dict[str, Any]], given: list[tuple[str, str]], more: tuple[str, str]
) -> None:
    before, after = (sum(reviewing.still_missing(needed, one).values()) for one in (given, [*given, more]))
    assert before - 1 <= after <= before
    persons = {person for _, person in given}
    assert before >= sum(one["approvals"] for one in needed) - len(persons)


def reminders(house: House) -> list[NegotiationReminder]:
    with house.runtime.database.reading() as db:
        return list(db.exec(select(NegotiationReminder).order_by(NegotiationReminder.deadline)))  # type: ignore[arg-type]


def test_the_side_whose_move_it_is_is_reminded_once_by_a_signed_notice(house: House) -> None:
    request: AccessRequest = requested(house)
    house.clock.advance(ANSWER_WITHIN - REMIND_BEFORE - timedelta(seconds=1))
    tasks.remind(house.runtime, {"request": request.id})
    assert reminders(house) == []
    house.clock.advance(timedelta(seconds=1))
    for _ in range(2):
        work(house)
        tasks.remind(house.runtime, {"request": request.id})
    (one,) = reminders(house)
    assert (one.side, one.deadline) == ("provider", request.expires_at)
    assert facts(house, "request_reminded")[0]["side"] == "provider"
    with house.runtime.database.reading() as db:
        (notice,) = db.exec(select(StopNotice)).all()
        readers = [reader.party for reader in db.exec(select(StopNoticeReader))]
        (found,) = transfer.notices(db, house.cast[PROVIDER].actor).rows
        assert transfer.notices(db, house.cast[BUYER].actor).rows == []
        (signature,) = documents.signatures(db, notice.document)
    told = content(house, notice.document)
    jsonschema.validate(told, schema_named("negotiation-notice"))
    assert (notice.kind, notice.agreement_id, found.id) == ("negotiation-notice", None, notice.id)
    assert (told["next"], told["request"], readers) == ("provider", request.id, [house.cast[PROVIDER].id])
    assert (signature.signer, signature.typ) == ("service", "negotiation-notice+jws")


def test_each_deadline_has_its_reminder_and_who_moved_in_time_gets_none(house: House) -> None:
    request = requested(house)
    house.clock.advance(timedelta(days=10))
    agreement = approve(house, request)
    house.clock.advance(timedelta(days=2))
    work(house)
    assert reminders(house) == []
    house.clock.advance(timedelta(days=10))
    work(house)
    assert [one.side for one in reminders(house)] == ["buyer"]
    sign(house, agreement, BUYER)
    sign(house, agreement, PROVIDER)
    house.clock.advance(timedelta(days=13))
    work(house)
    assert len(reminders(house)) == 1
    assert state(house, agreement) == ("FINALIZED", "finalized")


def test_who_does_not_move_after_the_reminder_lets_the_negotiation_end(house: House) -> None:
    request = requested(house)
    house.clock.advance(ANSWER_WITHIN - timedelta(days=1))
    work(house)
    house.clock.advance(timedelta(days=1))
    work(house)
    assert seen(house, request) == ("TERMINATED", "deadline_passed", None)
    assert len(reminders(house)) == 1
    tasks.remind(house.runtime, {"request": request.id})
    assert len(reminders(house)) == 1
