"""Before the signature: asking, refusing, returning, approving, declining, expiring."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlmodel import select

from marketplace.audit.models import Entry
from marketplace.exchange import queries as exchange
from marketplace.exchange.catalogue import NotInCatalogue
from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.transitions import NotYourStep, WrongState
from marketplace.negotiation import queries, service
from marketplace.negotiation.drafting import StartOutOfRange, TermOutlivesCertificate
from marketplace.negotiation.eligibility import RefusedOnReview
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rounds.offering import AwaitsCompletion
from marketplace.negotiation.rules import ANSWER_WITHIN, REMIND_BEFORE, Refusal
from marketplace.negotiation.schemas import ApprovalIn, ResubmissionIn
from marketplace.negotiation.steps import NegotiationExpired
from marketplace.participants.models import Participant
from marketplace.plumbing import outbox
from tests.exchange.parts import listed, suspend_certificate
from tests.house import House
from tests.negotiation.parts import WHY, approve, ask, drafted, requested, sign, state
from workers.tasks import negotiation as tasks

PROVIDER, BUYER = "hospital", "pharma"


def tags(house: House) -> list[str]:
    with house.db() as db:
        return [tag for tag in db.exec(select(Entry.tag).order_by(Entry.id)) if tag.startswith("negotiation:")]


def test_a_purpose_that_is_not_offered_is_refused_as_a_value_and_recorded(house: House) -> None:
    answer = ask(house, listed(house), purpose="education")
    assert isinstance(answer, Refusal)
    assert answer.reasons == ("purpose_not_permitted",)
    assert "model_training, model_validation" in answer.explanation
    with house.db() as db:
        assert db.exec(select(AccessRequest)).all() == []
        entry = db.exec(select(Entry).where(Entry.tag == "negotiation:access_refused")).one()
    assert read_strictly(entry.body)["facts"]["reasons"] == ["purpose_not_permitted"]


def test_free_text_in_place_of_a_purpose_is_refused_and_never_enters_the_log(house: House) -> None:
    answer = ask(house, listed(house), purpose="for Ms Example, +86 10 0000 0000")
    assert isinstance(answer, Refusal)
    with house.db() as db:
        entry = db.exec(select(Entry).where(Entry.tag == "negotiation:access_refused")).one()
    assert read_strictly(entry.body)["facts"]["purpose"] == "unknown"
    assert b"Example" not in entry.body


def test_a_suspended_buyer_and_genomic_data_for_foreign_control_are_refused(house: House) -> None:
    listing = listed(house)
    with house.arrange() as db:
        buyer = db.get_one(Participant, house.cast[BUYER].id)
        buyer.suspended_at, buyer.foreign_controlled = house.clock.now(), True
        db.add(buyer)
    answer = ask(house, listing)
    assert isinstance(answer, Refusal)
    assert answer.reasons == ("party_suspended",)


def test_only_buyers_ask_and_only_under_a_visible_listing(house: House) -> None:
    listing = listed(house)
    with pytest.raises(service.NotABuyer):
        ask(house, listing, "auditor")
    suspend_certificate(house, listing.version_id)
    with pytest.raises(NotInCatalogue):
        ask(house, listing)


def test_the_same_request_asked_again_is_the_same_request(house: House) -> None:
    listing = listed(house)
    first = requested(house, listing)
    assert requested(house, listing).id == first.id
    assert requested(house, listing, purpose="model_validation").id != first.id
    assert requested(house, listing, "ai_company").id != first.id
    assert tags(house).count("negotiation:access_requested") == 3


def test_a_returned_request_waits_for_the_buyer(house: House) -> None:
    request, hospital, pharma = requested(house), house.cast[PROVIDER].actor, house.cast[BUYER].actor
    completed = ResubmissionIn(justification="more words")
    with house.db() as db, pytest.raises(service.NothingReturned):
        service.resubmit(db, pharma, queries.request(db, request.id), completed, house.clock.now())
    for _ in range(2):
        with house.db() as db:
            service.return_for_completion(db, hospital, queries.request(db, request.id), WHY, house.clock.now())
    with house.db() as db, pytest.raises(NotYourStep):
        service.return_for_completion(db, pharma, queries.request(db, request.id), WHY, house.clock.now())
    with pytest.raises(AwaitsCompletion):
        approve(house, request)
    with house.db() as db:
        found = service.resubmit(db, pharma, queries.request(db, request.id), completed, house.clock.now())
        assert (found.state, found.reason, found.justification) == ("REQUESTED", "completed", "more words")
    assert approve(house, request).state == "drafted"
    assert tags(house) == [
        "negotiation:access_requested",
        "negotiation:request_returned",
        "negotiation:request_resubmitted",
        "negotiation:offer_made",
    ]


def test_each_side_takes_only_its_own_steps(house: House) -> None:
    request, hospital, pharma = requested(house), house.cast[PROVIDER].actor, house.cast[BUYER].actor
    with house.db() as db:
        found = queries.request(db, request.id)
        with pytest.raises(NotYourStep):
            service.return_for_completion(db, pharma, found, WHY, house.clock.now())
        with pytest.raises(NotYourStep):
            service.resubmit(db, hospital, found, ResubmissionIn(justification="x"), house.clock.now())
        with pytest.raises(NotYourStep):
            service.approve(db, pharma, found, ApprovalIn(), house.clock.now())
        for name in ("ai_company", "exchange", "auditor", "registrar"):
            with pytest.raises(queries.NoSuchRequest):
                queries.own_request(db, house.cast[name].actor, request.id)
        assert [one.id for one in queries.request_page(db, pharma).rows] == [request.id]
        assert queries.request_page(db, house.cast["ai_company"].actor).rows == []


def test_approving_again_gives_the_same_agreement(house: House) -> None:
    request = requested(house)
    first = approve(house, request)
    assert approve(house, request).id == first.id
    assert tags(house).count("negotiation:offer_made") == 1


def test_the_term_begins_when_asked_within_reason_and_ends_before_the_certificate(house: House) -> None:
    request, now = requested(house), house.clock.now()
    for starts_at in (now - timedelta(seconds=1), now + timedelta(days=91)):
        with pytest.raises(StartOutOfRange):
            approve(house, request, starts_at=starts_at)
    agreement = approve(house, request, starts_at=now + timedelta(days=10))
    assert agreement.ends_at - agreement.starts_at == timedelta(days=365)
    assert agreement.starts_at == now + timedelta(days=10)
    with house.db() as db:
        version = exchange.listing(db, agreement.listing_id).version_id
        from marketplace.assets import queries as assets

        found = assets.version(db, version)
    endless = requested(house, listed(house, found, term_days=1826))
    with pytest.raises(TermOutlivesCertificate):
        approve(house, endless, starts_at=now + timedelta(days=90))


def test_every_fact_is_judged_anew_at_approval(house: House) -> None:
    request = requested(house)
    with house.arrange() as db:
        buyer = db.get_one(Participant, house.cast[BUYER].id)
        buyer.suspended_at = house.clock.now()
        db.add(buyer)
    with pytest.raises(RefusedOnReview):
        approve(house, request)
    with house.arrange() as db:
        buyer.suspended_at = None
        db.add(buyer)
        version = exchange.listing(db, request.listing_id).version_id
    suspend_certificate(house, version)
    with pytest.raises(NotInCatalogue):
        approve(house, request)
    with house.db() as db:
        assert db.exec(select(Agreement)).all() == []


@pytest.mark.parametrize(("who", "tag"), [(PROVIDER, "request_declined"), (BUYER, "request_withdrawn")])
def test_either_side_ends_a_negotiation_and_its_draft_with_it(house: House, who: str, tag: str) -> None:
    agreement = drafted(house)
    for _ in range(2):
        with house.db() as db:
            request = queries.request(db, agreement.request_id)
            service.end_negotiation(db, house.cast[who].actor, request, WHY, house.clock.now())
    assert state(house, agreement) == ("TERMINATED", "terminated")
    assert tags(house).count(f"negotiation:{tag}") == 1
    with pytest.raises(WrongState):
        sign(house, agreement, BUYER)


def test_a_negotiation_ends_at_its_deadline(house: House) -> None:
    request = requested(house)
    house.clock.advance(ANSWER_WITHIN - timedelta(seconds=1))
    tasks.TASKS["negotiation.expire"](house.runtime, {"request": request.id})
    agreement = approve(house, request)
    house.clock.advance(timedelta(seconds=1))
    tasks.expire(house.runtime, {"request": request.id})
    assert state(house, agreement) == ("OFFERED", "drafted")
    house.clock.advance(ANSWER_WITHIN)
    with pytest.raises(NegotiationExpired):
        sign(house, agreement, BUYER)
    for _ in range(2):
        tasks.expire(house.runtime, {"request": request.id})
    assert state(house, agreement) == ("TERMINATED", "terminated")
    assert tags(house).count("negotiation:request_expired") == 1


def test_the_end_is_asked_for_once_per_deadline(house: House) -> None:
    request = requested(house)
    with house.db() as db:
        rows = db.exec(select(outbox.OutboxRow).where(outbox.OutboxRow.task == "negotiation.expire")).all()
    assert [(row.args, row.due_at) for row in rows] == [({"request": request.id}, request.expires_at)]
    by_clock = {"expire", "remind", "end", "end_trial", "chase_duty", "chase_act"}
    by_clock |= {"lapse_successor", "remind_successor"}
    assert set(tasks.TASKS) == {f"negotiation.{name}" for name in by_clock | {"answer", "accept"}}


def watched(house: House) -> list[tuple[str, datetime]]:
    with house.db() as db:
        rows = db.exec(select(outbox.OutboxRow).order_by(outbox.OutboxRow.due_at)).all()  # type: ignore[arg-type]
    clocked = {"negotiation.remind", "negotiation.expire"}
    return [(row.task.partition(".")[2], row.due_at) for row in rows if row.task in clocked]


def test_a_move_asks_for_no_wake_up_and_the_one_that_comes_too_early_asks_for_the_next(house: House) -> None:
    request = requested(house)
    first = request.expires_at
    asked = [("remind", first - REMIND_BEFORE), ("expire", first)]
    house.clock.advance(timedelta(days=2))
    agreement = approve(house, request)
    sign(house, agreement, BUYER)
    assert watched(house) == asked
    second = house.clock.now() + ANSWER_WITHIN
    asked = sorted([*asked, ("remind", second - REMIND_BEFORE), ("expire", second)], key=lambda one: one[1])
    for early in (tasks.remind, tasks.expire):
        early(house.runtime, {"request": request.id})
        assert watched(house) == asked
    sign(house, agreement, PROVIDER)
    for late in (tasks.remind, tasks.expire):
        late(house.runtime, {"request": request.id})
    assert watched(house) == asked


def test_entries_hold_no_words_of_the_justification(house: House) -> None:
    requested(house, justification="secret words of a person")
    with house.db() as db:
        assert not any(b"secret words" in body for body in db.exec(select(Entry.body)))
