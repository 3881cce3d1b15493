from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.audit.entry import Tag
from marketplace.kernel.actor import SERVICE, Role
from marketplace.kernel.transitions import NotYourStep, WrongState
from marketplace.registration import profile, rules, workdays
from marketplace.registration.rules import (
    APPLICATIONS,
    CERTIFICATES,
    CertificateState,
    Claim,
    RightKind,
    Source,
    State,
)

PROFILE = profile.national()
DAYS = workdays.published()
ROLES = [*map(str, Role), SERVICE]
R, PARTIES = {"registrar"}, set(map(str, Role)) - {"registrar"}

APPLICATION_MOVES = {
    ("filed", "accepted"): {"registrar", SERVICE},
    ("filed", "returned"): R,
    ("accepted", "noticed"): R,
    ("accepted", "refused"): R,
    ("noticed", "objected"): PARTIES,
    ("noticed", "cleared"): R,
    ("noticed", "refused"): R,
    ("objected", "objected"): PARTIES,
    ("objected", "noticed"): R,
    ("objected", "refused"): R,
    ("cleared", "deposited"): R,
    ("cleared", "refused"): R,
    ("deposited", "deposited"): R,
    ("deposited", "certified"): R,
    ("deposited", "refused"): R,
}
CERTIFICATE_MOVES = {
    ("valid", "suspended"): R,
    ("suspended", "valid"): R,
    ("valid", "cancelled"): R,
    ("suspended", "cancelled"): R,
}


@pytest.mark.parametrize(
    ("machine", "states", "moves"),
    [(APPLICATIONS, State, APPLICATION_MOVES), (CERTIFICATES, CertificateState, CERTIFICATE_MOVES)],
    ids=["application", "certificate"],
)
def test_the_machine_moves_only_where_the_table_says_and_by_whom(machine, states, moves):
    for source, target, role in product(states, states, ROLES):
        who = moves.get((source, target))
        if who is None:
            with pytest.raises(WrongState):
                machine.step(source, target, {role})
        elif role in who:
            assert Tag(machine.step(source, target, {role}).tag)
        else:
            with pytest.raises(NotYourStep):
                machine.step(source, target, {role})


def test_the_clocks_are_those_of_the_guideline():
    assert (PROFILE.acceptance_days, PROFILE.finish_days, PROFILE.notice_days, PROFILE.inquiry_days) == (3, 10, 5, 10)
    assert (PROFILE.validity_years, PROFILE.renewal_window_months, PROFILE.retention_years) == (5, 6, 20)


def test_a_period_of_five_working_days_ends_at_midnight_in_shanghai_after_the_fifth():
    tuesday = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)
    assert workdays.end_of_working_day(tuesday, 5, DAYS) == datetime(2026, 9, 8, 16, 0, tzinfo=UTC)


def test_the_day_is_that_of_shanghai():
    late = datetime(2026, 9, 1, 16, 30, tzinfo=UTC)
    assert workdays.local_day(late) == date(2026, 9, 2)
    assert workdays.end_of_working_day(late, 1, DAYS) == datetime(2026, 9, 3, 16, 0, tzinfo=UTC)


def test_national_day_and_its_working_saturday_count_as_published():
    wednesday = datetime(2026, 9, 30, 2, 0, tzinfo=UTC)
    # 1 to 7 October are off, the 8th and 9th count, Saturday the 10th counts.
    assert workdays.end_of_working_day(wednesday, 3, DAYS) == datetime(2026, 10, 10, 16, 0, tzinfo=UTC)


def test_a_year_without_a_list_counts_monday_to_friday():
    assert DAYS.years == {2026}
    assert DAYS.counts(date(2028, 5, 1))
    assert not DAYS.counts(date(2028, 5, 6))


def test_every_published_list_names_its_source():
    content = json.loads(workdays.FILE.read_text(encoding="utf-8"))
    assert all(year["source"] for year in content["years"].values())
    assert all(date.fromisoformat(day).weekday() >= 5 for day in map(str, DAYS.working_weekends))


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)), st.integers(1, 40))  # noqa: DTZ001
def test_exactly_that_many_working_days_lie_in_a_period(naive: datetime, days: int):
    start = naive.replace(tzinfo=UTC)
    end = workdays.end_of_working_day(start, days, DAYS)
    assert workdays.working_days_between(start, end, DAYS) == days
    assert DAYS.counts(workdays.local_day(end - timedelta(seconds=1)))


def test_notice_and_objection_do_not_use_up_the_registrars_ten_days():
    accepted = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)
    plain = workdays.finish_by(accepted, 10, None, DAYS)
    notice = (accepted, workdays.end_of_working_day(accepted, 5, DAYS))
    assert plain == workdays.end_of_working_day(accepted, 10, DAYS)
    assert workdays.finish_by(accepted, 10, notice, DAYS) == workdays.end_of_working_day(accepted, 15, DAYS)


def test_a_code_has_15_characters_and_the_month_of_shanghai():
    prefix = rules.code_prefix("31", 1, datetime(2026, 6, 30, 16, 0, tzinfo=UTC))
    assert rules.code(prefix, 1) == "SJ3112026070001"
    assert len(rules.code(prefix, 9999)) == 15
    with pytest.raises(rules.CodesExhausted):
        rules.code(prefix, 10000)


@pytest.mark.parametrize(
    ("stored", "ahead", "worth"),
    [
        ("valid", 1, "valid"),
        ("suspended", 1, "suspended"),
        ("cancelled", 1, "cancelled"),
        ("valid", 0, "lapsed"),
        ("suspended", 0, "lapsed"),
        ("cancelled", 0, "cancelled"),
    ],
)
def test_a_certificate_lapses_by_itself(stored: str, ahead: int, worth: str):
    now = datetime(2026, 9, 1, tzinfo=UTC)
    assert rules.certificate_state(stored, now + timedelta(seconds=ahead), now) == worth


PROOF = "a" * 64


def source(origin: str, **rest) -> Source:
    kind = min(PROFILE.origins[origin].source_kinds)
    return Source(origin=origin, source_kind=kind, **rest)


@pytest.mark.parametrize("kind", list(RightKind))
@pytest.mark.parametrize("origin", sorted(PROFILE.origins))
def test_who_can_register_what_follows_the_table_of_origins(origin: str, kind: RightKind):
    refused = {
        **dict.fromkeys(product(["entrusted_processor"], RightKind)),
        ("scraped_public", RightKind.OPERATING): None,
        ("merged", RightKind.OPERATING): None,
    }
    claim, told = Claim(kind, "prt_a"), source(origin, substitutes=True)
    if (origin, kind) in refused:
        with pytest.raises(rules.NotRegistrable):
            rules.require_registrable(PROFILE, told, [claim], "prt_a")
        settled = source(origin, substitutes=False, contract=PROOF)
        rules.require_registrable(PROFILE, settled, [Claim(kind, "prt_a", PROOF)], "prt_a")
    else:
        rules.require_registrable(PROFILE, told, [claim], "prt_a")


def test_several_parties_may_hold_the_same_right_with_consent():
    both = [Claim(RightKind.USE, "prt_a"), Claim(RightKind.USE, "prt_b", PROOF)]
    rules.require_registrable(PROFILE, source("producer"), both, "prt_a")
    with pytest.raises(rules.NotRegistrable, match="without its consent"):
        rules.require_registrable(PROFILE, source("producer"), [both[0], Claim(RightKind.USE, "prt_b")], "prt_a")


@pytest.mark.parametrize(
    ("told", "claims"),
    [
        (Source("inherited", "self_collected"), [Claim(RightKind.USE, "prt_a")]),
        (Source("producer", "scraped_public"), [Claim(RightKind.USE, "prt_a")]),
        (Source("producer", "self_collected"), [Claim(RightKind.USE, "prt_b", PROOF)]),
        (Source("producer", "self_collected"), [Claim(RightKind.USE, "prt_a")] * 2),
    ],
    ids=["unknown origin", "other source kind", "applicant holds nothing", "twice"],
)
def test_a_form_that_contradicts_itself_is_refused(told: Source, claims: list[Claim]):
    with pytest.raises(rules.BadForm):
        rules.require_registrable(PROFILE, told, claims, "prt_a")


def test_gate_h10_agency_data_and_unregistered_public_products_are_refused():
    with pytest.raises(rules.NotRegistrable, match="H10"):
        rules.require_public_source_settled(source("producer", government_agency=True))
    with pytest.raises(rules.NotRegistrable, match="H10"):
        rules.require_public_source_settled(source("producer", public_operation=True))
    rules.require_public_source_settled(source("producer", public_operation=True, public_code="EX-1"))


@pytest.mark.parametrize("role", sorted(Role))
def test_a_registrar_stands_apart(role: Role):
    rest = {"applicant": "prt_a", "holders": {"prt_a"}, "firm": "prt_f"}
    if role in {Role.EXCHANGE_OPERATOR, Role.PLATFORM_OPERATOR}:
        with pytest.raises(rules.NotIndependent):
            rules.require_registrar("prt_r", {Role.REGISTRAR, role}, **rest)
    else:
        rules.require_registrar("prt_r", {Role.REGISTRAR, role}, **rest)
    if role != Role.REGISTRAR:
        with pytest.raises(rules.NotIndependent):
            rules.require_registrar("prt_r", {role}, **rest)


@pytest.mark.parametrize("changed", [{"applicant": "prt_r"}, {"holders": {"prt_a", "prt_r"}}, {"firm": "prt_r"}])
def test_a_registrar_registers_neither_its_own_data_nor_what_it_assessed(changed: dict):
    rest = {"applicant": "prt_a", "holders": {"prt_a"}, "firm": "prt_f"} | changed
    with pytest.raises(rules.NotIndependent):
        rules.require_registrar("prt_r", {Role.REGISTRAR}, **rest)
