"""The quality card counts exactly and gives away no small group."""

from __future__ import annotations

from collections import Counter

from marketplace.governance.facts import Facts
from marketplace.governance.quality import Sample, quality_card, suppressed
from marketplace.kernel.canonical import canonical


def fact(number: int, *, sex: str = "F", month: int | None = 24_000, thickness: str = "1.25") -> Sample:
    return Sample(
        Facts(
            modality="CT",
            manufacturer="SIEMENS",
            body_part="CHEST",
            patient=f"P-{number}",
            sex=sex,
            age_band="40-59",
            month=month,
            thickness=thickness,
            spacing="0.7",
            present=("Modality", "Rows") if number % 2 else ("Modality",),
        ),
        f"2.25.{number}",
        100,
    )


def card(samples: list[Sample]) -> dict:
    return quality_card(samples, Counter(duplicate_pixels=2), asset="ast_1", version="ver_1", root="00")


def test_the_card_has_the_six_parts_and_can_be_signed() -> None:
    made = card([fact(number) for number in range(10)])
    assert {"documentation", "technical_quality", "quality_management", "coverage", "access", "modifications"} <= set(
        made
    )
    assert canonical(made)
    assert (made["records"], made["people"], made["files"], made["bytes"]) == (10, 10, 10, 1000)


def test_completeness_is_per_mille_of_the_files() -> None:
    complete = card([fact(number) for number in range(10)])["technical_quality"]["completeness_per_mille"]
    assert (complete["Modality"], complete["Rows"], complete["PatientAge"]) == (1000, 500, 0)


def test_ranges_compare_numbers_and_not_text() -> None:
    samples = [fact(1, thickness="10"), fact(2, thickness="5.0"), fact(3, thickness="1.25")]
    assert card(samples)["technical_quality"]["slice_thickness_mm"] == {"min": "1.25", "max": "10"}


def test_the_time_span_is_in_months_and_names_no_date() -> None:
    samples = [fact(1, month=24_000), fact(2, month=24_011), fact(3, month=None)]
    assert card(samples)["coverage"]["time_span_months"] == 12


def test_groups_of_fewer_than_five_people_are_not_shown() -> None:
    samples = [fact(number, sex="F") for number in range(8)] + [fact(90, sex="O")]
    assert card(samples)["coverage"]["sex"] == {"F": None, "O": None}


def test_people_are_counted_once_however_many_files_they_have() -> None:
    samples = [fact(1) for _ in range(40)]
    assert card(samples)["coverage"]["sex"] == {"F": None}


def test_a_single_hidden_cell_takes_the_next_smallest_with_it() -> None:
    assert suppressed({"F": 100, "M": 20, "O": 3}) == {"F": 100, "M": None, "O": None}
    assert suppressed({"F": 100, "M": 2, "O": 3}) == {"F": 100, "M": None, "O": None}
    assert suppressed({"F": 100, "M": 20}) == {"F": 100, "M": 20}
