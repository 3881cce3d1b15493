"""Which records may leave, as algebra: nothing leaves that a limit or a group holds back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.transfer.selection import Row, group_of, row_of, select
from marketplace.usage.obligations import together
from tests.usage.duties import compiled, only_records, small_groups, written

ROWS = st.lists(
    st.builds(
        lambda number, person, sex, band, year, thickness: row_of(
            f"{number}.dcm",
            f"study{person}{year}",
            {
                "patient": f"P{person}",
                "sex": sex,
                "age_band": band,
                "month": year and year * 12,
                "thickness": thickness,
            },
        ),
        st.integers(0, 10**6),
        st.integers(0, 12),
        st.sampled_from(["F", "M", ""]),
        st.sampled_from(["40-59", "60-74", ""]),
        st.sampled_from([None, 2019, 2020, 2021]),
        st.sampled_from(["", "0.625", "1.5", "5"]),
    ),
    max_size=30,
)
LIMITS = [
    written("mkt:patientSex", "eq", "F"),
    written("mkt:ageBand", "isAnyOf", ["40-59", "60-74"]),
    written("mkt:studyYear", "gteq", 2020),
    written("mkt:sliceThicknessMicrometres", "lteq", 1500),
]
FACTS = ("patient_sex", "age_band", "study_year")


@given(
    ROWS,
    st.lists(st.sampled_from(LIMITS), min_size=1, unique_by=str),
    st.integers(1, 5),
    st.sets(st.sampled_from(FACTS), min_size=1),
)
def test_every_group_that_leaves_has_enough_persons_and_every_row_holds_the_limits(
    rows: list[Row], limits: list[dict], smallest: int, facts: set[str]
) -> None:
    leaving = together(compiled(only_records(*limits), small_groups(smallest, *sorted(facts))))
    found = select(rows, leaving)
    for one in found.rows:
        same = {other.person for other in found.rows if group_of(other, leaving.facts) == group_of(one, leaving.facts)}
        assert len(same) >= max(smallest, found.smallest_group)
        assert written("mkt:patientSex", "eq", "F") not in limits or one.values["patient_sex"] == "F"
        assert written("mkt:studyYear", "gteq", 2020) not in limits or int(one.values["study_year"]) >= 2020
    assert (found.smallest_group == 0) == (found.rows == ())
    assert sum(one.files for one in found.withheld) == len(rows) - len(found.rows)


@given(ROWS, st.integers(1, 5))
def test_a_stricter_duty_never_lets_more_leave(rows: list[Row], smallest: int) -> None:
    wide = select(rows, together(compiled(small_groups(smallest, "age_band"))))
    for stricter in (
        [small_groups(smallest + 1, "age_band")],
        [small_groups(smallest, "age_band", "patient_sex")],
        [small_groups(smallest, "age_band"), only_records(LIMITS[2])],
    ):
        assert set(map(id, select(rows, together(compiled(*stricter))).rows)) <= set(map(id, wide.rows))


@given(ROWS)
def test_without_a_limit_everything_leaves(rows: list[Row]) -> None:
    found = select(rows, together([]))
    assert (list(found.rows), found.withheld) == (rows, ())


@pytest.mark.parametrize(
    ("millimetres", "micrometres"), [("5.0", "5000"), ("0.625", "625"), ("1.25", "1250"), ("", "")]
)
def test_thickness_is_read_without_a_float(millimetres: str, micrometres: str) -> None:
    assert row_of("a", "s", {"thickness": millimetres}).values["slice_thickness"] == micrometres


def test_a_fact_that_is_not_known_is_a_group_of_its_own() -> None:
    rows = [row_of(f"{at}", f"s{at}", {"patient": f"P{at}", "sex": sex}) for at, sex in enumerate(["F", "F", ""])]
    found = select(rows, together(compiled(small_groups(2, "patient_sex"))))
    assert [one.path for one in found.rows] == ["0", "1"]
