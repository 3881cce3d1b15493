"""Due dates are data of the contract; periods tile the term; differences are named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.negotiation.duties import rules
from marketplace.negotiation.duties.rules import GRACE, DutyState, Kind

BEGIN = datetime(2026, 9, 1, 1, tzinfo=UTC)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
lengths = st.timedeltas(timedelta(microseconds=1), timedelta(days=3650))
day_counts = st.integers(1, 9999)


@given(moments, lengths, day_counts)
def test_periods_tile_the_term_and_each_is_due_in_time(begins: datetime, length: timedelta, days: int) -> None:
    ends = begins + length
    periods = rules.calendar(begins, ends, days)
    assert periods[0].begins == begins
    assert periods[-1].ends == ends
    assert [one.ends for one in periods[:-1]] == [one.begins for one in periods[1:]]
    for one in periods:
        assert timedelta(0) < one.ends - one.begins <= timedelta(days=days)
        assert one.due_at == one.begins + timedelta(days=days)
        assert one.ends <= one.due_at
    assert len(periods) == -(-length // timedelta(days=days))


@given(moments, lengths, day_counts, st.lists(st.floats(0, 1), max_size=8))
def test_reports_at_any_moments_leave_no_stretch_without_a_due_date(
    begins: datetime, length: timedelta, days: int, cuts: list[float]
) -> None:
    ends, reported = begins + length, begins
    for to in sorted({begins + length * cut for cut in cuts} - {begins}):
        ahead = rules.calendar(reported, ends, days)
        assert (ahead[0].begins, ahead[-1].ends) == (reported, ends)
        assert ahead[0].due_at == rules.due_after(reported, days)
        assert to > reported
        reported = to
    assert (rules.calendar(reported, ends, days) == []) is (reported >= ends)


@given(moments, day_counts, st.lists(st.timedeltas(timedelta(0), timedelta(days=400)), min_size=1, max_size=30))
def test_the_clock_never_skips_the_demand_nor_shortens_its_grace(
    since: datetime, days: int, waits: list[timedelta]
) -> None:
    due, now, state, demanded, seen = rules.due_after(since, days), since, DutyState.PENDING, None, [DutyState.PENDING]
    for wait in waits:
        now += wait
        following = rules.follows(state, due, days, demanded, now)
        if following != state:
            seen.append(following)
            rules.REPORT_DUTY.step(state, following, ["service"])
        if following == DutyState.DEMANDED and demanded is None:
            assert now >= due
            demanded = now
        if following == DutyState.OVERDUE:
            assert demanded is not None
            assert now - demanded >= GRACE
        state = following
    assert seen == sorted(seen, key=list(DutyState).index)
    assert (DutyState.OVERDUE in seen) <= (DutyState.DEMANDED in seen)


@pytest.mark.parametrize("days", [1, 2, 14, 90])
def test_the_reminder_comes_before_the_due_date_and_after_the_beginning(days: int) -> None:
    due = rules.due_after(BEGIN, days)
    assert BEGIN < rules.remind_at(due, days) < due
    assert due - rules.remind_at(due, days) <= timedelta(days=7)


def elapsed(value: Any) -> dict[str, Any]:
    return {"leftOperand": "elapsedTime", "operator": "lteq", "rightOperand": value}


@pytest.mark.parametrize(
    ("constraint", "days"),
    [
        ([elapsed("P90D")], 90),
        ([{"and": [elapsed("P30D"), elapsed("P90D")]}], 30),
        ([{"or": [{"and": [elapsed("P14D")]}]}], 14),
        ([elapsed({"@type": "xsd:duration", "@value": "P7D"})], 7),
        ([elapsed("P0D")], None),
        ([elapsed("90")], None),
        ([], None),
    ],
)
def test_the_days_of_a_duty_are_read_from_the_contract(constraint: list[Any], days: int | None) -> None:
    uses = {"permission": [{"duty": [{"action": "mkt:reportUse", "constraint": constraint}]}]}
    assert rules.days_of(uses, Kind.REPORT_USE) == days
    assert rules.days_of(uses, Kind.DELETE) is None


def test_the_strictest_permission_sets_the_days() -> None:
    uses = {
        "permission": [
            {"duty": [{"action": "delete", "constraint": [elapsed(value)]}]} for value in ("P30D", "P10D", "P60D")
        ]
    }
    assert rules.days_of(uses, Kind.DELETE) == 10


purposes = st.sampled_from(["statistics", "model_training", "education"])


@given(st.dictionaries(purposes, st.integers(0, 5)), st.lists(purposes, max_size=12))
def test_every_difference_is_named_and_nothing_else(declared: dict[str, int], logged: list[str]) -> None:
    found = {one["purpose"]: (one["declared"], one["logged"]) for one in rules.differences(declared, logged)}
    for purpose in ("statistics", "model_training", "education"):
        both = declared.get(purpose, 0), logged.count(purpose)
        assert found.get(purpose, both) == both
        assert (purpose in found) is (both[0] != both[1])
