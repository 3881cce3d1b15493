"""Reports of use: taken when they are right, refused by name when they are not, demanded when they are missing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.kernel.canonical import canonical
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict
from marketplace.kernel.signing import BadSignature
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.duties import queries
from marketplace.negotiation.duties.reports import (
    AnotherAgreement,
    NotTheBuyer,
    NotTheNextPeriod,
    PeriodOutside,
    UnknownPurpose,
    report_use,
)
from marketplace.negotiation.duties.rules import DutyState
from marketplace.negotiation.duties.schemas import UseReportIn
from marketplace.negotiation.schemas import WhyIn
from marketplace.participants.service import revoke_key
from marketplace.participants.signatures import UnknownKey
from marketplace.plumbing import epochs
from marketplace.transfer.opening import Download, Opened, open_transfer
from marketplace.transfer.service import close
from marketplace.transfer.stream import WindowSource
from marketplace.usage.rules import UseRequest
from tests.house import House, open_house
from tests.negotiation.duties.owed import (
    AGREEMENT,
    EVERY,
    agreement,
    counted,
    duty,
    entries,
    expire,
    hand_in,
    owe,
    pass_days,
    report_of,
    settle,
    take,
    terminate,
    use,
)
from tests.negotiation.succession.parts import resume

DAY = timedelta(days=1)


@pytest.fixture
def owing(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path / "house") as house:
        yield owe(house)


@pytest.fixture
def either(either_url: str, tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path / "house", either_url) as house:
        yield owe(house)


def suspended_by(house: House) -> str:
    return agreement(house).suspended_by


def party(house: House, verb: object, who: str) -> None:
    with house.db() as db:
        found = negotiation.agreement(db, AGREEMENT)
        why = WhyIn(reason="data_incident")
        verb(db, house.cast[who].actor, found, why, house.clock.now())  # type: ignore[operator]


def test_a_report_in_time_is_kept_logged_and_moves_the_due_date(either: House) -> None:
    use(either)
    use(either, "statistics")
    first_due = duty(either).due_at
    assert first_due == agreement(either).starts_at + EVERY * DAY
    pass_days(either, 60)
    report = hand_in(either, report_of(either, uses=counted(model_training=1, statistics=1)))
    assert (report.differences, report.late) == ([], False)
    assert duty(either).due_at == either.clock.now() + EVERY * DAY
    with either.runtime.database.reading() as db:
        (signature,) = documents.signatures(db, report.document)
        assert documents.get(db, report.document).readers == ["prt_hospital", "prt_pharma"]
    assert (signature.signer, signature.typ) == ("prt_pharma", "use-report+jws")
    (facts,) = entries(either, Tag.USE_REPORTED)
    assert facts["document"] == report.document
    assert facts["uses"] == {"model_training": 1, "statistics": 1}


def test_a_missing_report_is_reminded_of_demanded_and_suspends_until_it_comes(either: House) -> None:
    use(either)
    pass_days(either, EVERY - 7)
    assert duty(either).state == DutyState.REMINDED
    pass_days(either, 7)
    assert (duty(either).state, duty(either).demanded_at) == (DutyState.DEMANDED, either.clock.now())
    pass_days(either, 13)
    running = take(either)
    assert isinstance(running, WindowSource)
    assert running.next()
    pass_days(either, 1)
    assert duty(either).state == DutyState.OVERDUE
    assert (agreement(either).state, suspended_by(either)) == ("suspended", "service")
    assert running.next() is None
    assert take(either) == ("use_report_missing",)
    with either.runtime.database.reading() as db:
        assert epochs.reason_of(db, [AGREEMENT]) == "use_report_missing"

    report = hand_in(either, report_of(either, uses=counted(model_training=2)))
    assert report.late
    assert report.differences == []
    assert (agreement(either).state, suspended_by(either), duty(either).state) == ("finalized", "", "pending")
    use(either)
    assert [len(entries(either, tag)) for tag in (Tag.DUTY_REMINDED, Tag.DUTY_DEMANDED, Tag.DUTY_OVERDUE)] == [1] * 3
    assert [one["reason"] for one in entries(either, Tag.AGREEMENT_SUSPENDED)] == ["use_report_missing"]
    assert [one["reason"] for one in entries(either, Tag.AGREEMENT_RESUMED)] == ["use_reported"]


def test_a_service_that_slept_past_every_date_demands_first_and_grants_the_whole_grace(owing: House) -> None:
    owing.clock.advance(timedelta(days=EVERY + 40))
    settle(owing)
    assert duty(owing).state == DutyState.DEMANDED
    assert agreement(owing).state == "finalized"
    pass_days(owing, 13)
    assert agreement(owing).state == "finalized"
    pass_days(owing, 1)
    assert agreement(owing).state == "suspended"


def test_a_report_of_a_part_that_leaves_the_rest_overdue_does_not_resume(owing: House) -> None:
    pass_days(owing, EVERY + 14)
    assert agreement(owing).state == "suspended"
    hand_in(owing, report_of(owing, until=agreement(owing).starts_at + 5 * DAY))
    assert (agreement(owing).state, duty(owing).state) == ("suspended", "overdue")
    hand_in(owing, report_of(owing))
    assert (agreement(owing).state, duty(owing).state) == ("finalized", "pending")


def test_what_another_holds_stays_suspended_when_the_report_comes(owing: House) -> None:
    pass_days(owing, EVERY + 14)
    party(owing, stopping.suspend, "hospital")
    assert suspended_by(owing) == "prt_hospital"
    hand_in(owing, report_of(owing))
    assert (agreement(owing).state, suspended_by(owing)) == ("suspended", "prt_hospital")
    resume(owing, AGREEMENT, "hospital")
    assert agreement(owing).state == "finalized"


def test_a_party_that_resumes_while_a_report_is_missing_hands_the_suspension_to_the_service(owing: House) -> None:
    party(owing, stopping.suspend, "hospital")
    pass_days(owing, EVERY + 14)
    assert (suspended_by(owing), duty(owing).state) == ("prt_hospital", "overdue")
    resume(owing, AGREEMENT, "hospital")
    assert (agreement(owing).state, suspended_by(owing)) == ("suspended", "service")
    assert take(owing) == ("use_report_missing",)
    hand_in(owing, report_of(owing))
    assert agreement(owing).state == "finalized"


@pytest.mark.parametrize("who", ["hospital", "pharma"])
def test_neither_party_resumes_what_the_service_suspended(owing: House, who: str) -> None:
    pass_days(owing, EVERY + 14)
    with pytest.raises(stopping.NotYourSuspension):
        resume(owing, AGREEMENT, who)


def test_differing_counts_are_accepted_and_every_difference_is_named(owing: House) -> None:
    use(owing)
    use(owing)
    use(owing, "statistics")
    owing.clock.advance(DAY)
    report = hand_in(owing, report_of(owing, uses=counted(model_training=1, education=4)))
    assert report.differences == [
        {"purpose": "education", "declared": 4, "logged": 0},
        {"purpose": "model_training", "declared": 1, "logged": 2},
        {"purpose": "statistics", "declared": 0, "logged": 1},
    ]
    assert entries(owing, Tag.USE_REPORTED)[0]["differences"] == report.differences


def test_each_use_belongs_to_one_period(owing: House) -> None:
    use(owing)
    owing.clock.advance(DAY)
    hand_in(owing, report_of(owing, uses=counted(model_training=1)))
    use(owing)
    owing.clock.advance(DAY)
    assert hand_in(owing, report_of(owing, uses=counted(model_training=1))).differences == []


def test_a_use_that_was_cut_off_before_its_first_byte_does_not_count(owing: House) -> None:

    actor = owing.cast["pharma"].actor
    answer = open_transfer(owing.runtime, actor, Download(AGREEMENT, UseRequest("model_training")), owing.clock.now())
    assert isinstance(answer, Opened)
    with owing.db() as db:
        close(db, actor, answer.transfer, answer.leg, "broken", owing.clock.now())
    owing.clock.advance(DAY)
    assert hand_in(owing, report_of(owing)).differences == []


def test_twice_the_same_report_has_one_effect(either: House) -> None:
    either.clock.advance(DAY)
    document = report_of(either)
    first, due = hand_in(either, document), duty(either).due_at
    either.clock.advance(DAY)
    again = hand_in(either, document)
    assert (again.document, again.entry_id, again.accepted_at) == (first.document, first.entry_id, first.accepted_at)
    assert duty(either).due_at == due
    assert len(entries(either, Tag.USE_REPORTED)) == 1
    with either.runtime.database.reading() as db:
        assert len(queries.reports(db, AGREEMENT)) == 1


def test_a_wrong_signature_is_refused_and_leaves_nothing(owing: House) -> None:
    owing.clock.advance(DAY)
    document, other = report_of(owing), report_of(owing, staff=["clinical"])

    pharma = owing.cast["pharma"]
    for jws in (
        pharma.key.sign_detached(canonical(other), typ="use-report+jws"),
        pharma.key.sign_detached(canonical(document), typ="agreement+jws"),
    ):
        asked = UseReportIn.model_validate({"report": document, "jws": jws})
        with pytest.raises(BadSignature), owing.db() as db:
            report_use(db, pharma.actor, negotiation.agreement(db, AGREEMENT), asked, owing.clock.now())
    with owing.runtime.database.reading() as db:
        assert queries.reports(db, AGREEMENT) == []
    assert entries(owing, Tag.USE_REPORTED) == []


def test_a_key_of_another_or_one_revoked_before_is_refused(owing: House) -> None:
    owing.clock.advance(DAY)
    document = report_of(owing)
    with pytest.raises(UnknownKey):
        hand_in(owing, document, signer="hospital")
    pharma = owing.cast["pharma"]
    with owing.db() as db:
        revoke_key(db, pharma.actor, pharma.id, pharma.key.kid, "example_reason", owing.clock.now())
    with pytest.raises(UnknownKey):
        hand_in(owing, document)


@pytest.mark.parametrize("who", ["hospital", "ai_company", "auditor"])
def test_only_the_buyer_reports(owing: House, who: str) -> None:
    owing.clock.advance(DAY)
    with pytest.raises(NotTheBuyer):
        hand_in(owing, report_of(owing), who)


@pytest.mark.parametrize(
    ("begins", "ends", "error"),
    [
        (timedelta(hours=1), DAY, NotTheNextPeriod),  # a gap
        (-timedelta(hours=1), DAY, NotTheNextPeriod),  # before the term
        (timedelta(0), 2 * DAY, PeriodOutside),  # the future
        (timedelta(0), timedelta(0), PeriodOutside),  # no time at all
        (DAY, timedelta(0), PeriodOutside),  # backwards
    ],
)
def test_a_wrong_period_is_refused(owing: House, begins: timedelta, ends: timedelta, error: type[Conflict]) -> None:
    start = owing.clock.now()
    owing.clock.advance(DAY)
    document = report_of(owing, period={"from": timestamp(start + begins), "to": timestamp(start + ends)})
    with pytest.raises(error):
        hand_in(owing, document)


def test_periods_do_not_overlap(owing: House) -> None:
    start = owing.clock.now()
    owing.clock.advance(2 * DAY)
    hand_in(owing, report_of(owing))
    overlapping = {"from": timestamp(start + DAY), "to": timestamp(start + 2 * DAY)}
    with pytest.raises(NotTheNextPeriod):
        hand_in(owing, report_of(owing, period=overlapping))


def test_a_report_about_another_agreement_or_an_unknown_purpose_is_refused(owing: House) -> None:
    owing.clock.advance(DAY)
    with pytest.raises(AnotherAgreement):
        hand_in(owing, report_of(owing, agreement={"id": AGREEMENT, "sha256": "ab" * 32}))
    with pytest.raises(UnknownPurpose):
        hand_in(owing, report_of(owing, uses=counted(patient_zhang=1)))


def test_the_last_report_ends_with_the_agreement_and_meets_the_duty(owing: House) -> None:
    pass_days(owing, 30)
    terminate(owing)
    ended = owing.clock.now()
    owing.clock.advance(DAY)
    with pytest.raises(PeriodOutside):
        hand_in(owing, report_of(owing))
    hand_in(owing, report_of(owing, until=ended))
    assert duty(owing).state == DutyState.MET
    pass_days(owing, 2 * EVERY)
    assert entries(owing, Tag.DUTY_DEMANDED) == []


def test_nothing_is_left_to_report_when_all_is_reported_at_the_end(owing: House) -> None:
    owing.clock.advance(DAY)
    hand_in(owing, report_of(owing))
    terminate(owing)
    assert duty(owing).state == DutyState.MET
    assert len(entries(owing, Tag.DUTY_ENDED)) == 1


def test_after_the_end_a_missing_report_is_overdue_and_suspends_nothing(owing: House) -> None:
    pass_days(owing, 300)
    hand_in(owing, report_of(owing))
    expire(owing)
    pass_days(owing, EVERY + 14)
    assert (duty(owing).state, agreement(owing).state) == ("overdue", "expired")
    with owing.runtime.database.reading() as db:
        assert queries.overdue_between(db, "prt_pharma", "prt_hospital") == ["use_report_missing"]


def test_the_same_report_from_two_at_once_has_one_effect(either: House) -> None:
    either.clock.advance(DAY)
    document = report_of(either)
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: hand_in(either, document).entry_id, range(8)))
    assert len(set(taken)) == 1
    assert len(entries(either, Tag.USE_REPORTED)) == 1


def test_a_report_and_its_chase_at_once_leave_the_agreement_in_force(either: House) -> None:
    pass_days(either, EVERY)
    either.clock.advance(14 * DAY)
    document = report_of(either)
    with ThreadPoolExecutor(2) as pool:
        chased = pool.submit(settle, either)
        pool.submit(hand_in, either, document).result()
        chased.result()
    settle(either)
    assert (agreement(either).state, duty(either).state, duty(either).overdue_at) == ("finalized", "pending", None)


def test_after_a_recovery_the_report_alone_does_not_resume(owing: House) -> None:
    pass_days(owing, EVERY + 14)
    with owing.db() as db:
        stopping.hold(db, negotiation.agreement(db, AGREEMENT), "log_recovered", owing.clock.now())
    hand_in(owing, report_of(owing))
    assert (agreement(owing).state, suspended_by(owing)) == ("suspended", "prt_hospital")
    resume(owing, AGREEMENT, "hospital")
    assert agreement(owing).state == "finalized"
