"""Which records may leave: limits on typed facts, then persons in groups that are large enough.

Pure.  A file leaves when all its facts hold the limits; a fact that is not known holds none.  Then the persons who
share the named facts are counted, and files of smaller groups stay.  Groups are disjoint, so one pass is enough.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from marketplace.kernel.canonical import Json
from marketplace.usage.obligations import Leaving, Transformation

FACT_OF: Final = {
    "mkt:modality": "modality",
    "mkt:bodyPart": "body_part",
    "mkt:patientSex": "patient_sex",
    "mkt:ageBand": "age_band",
    "mkt:studyYear": "study_year",
    "mkt:sliceThicknessMicrometres": "slice_thickness",
}
"""The fact that an operand of a duty speaks of."""


@dataclass(frozen=True)
class Row:
    """One file of a version.  study: its record; person: pseudonym, empty when not known.

    values: facts by name, whole numbers as digits (thickness in micrometres), an empty text when not known.
    """

    path: str
    study: str
    person: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Withheld:
    """What a term held back.  by: the duty; term: its operand, empty for groups; records: studies of these files."""

    by: str
    term: str
    files: int
    records: int

    def as_json(self) -> Json:
        """As the manifest holds it."""
        return {"by": self.by, "term": self.term, "files": self.files, "records": self.records}


@dataclass(frozen=True)
class Selection:
    """What may leave.  rows: in the given order; smallest_group: persons in its smallest group, 1 where no facts are
    named, 0 where nothing is left."""

    rows: tuple[Row, ...]
    withheld: tuple[Withheld, ...]
    smallest_group: int


def row_of(path: str, study: str, facts: Json) -> Row:
    """The row of a file from what governance keeps of it; empty facts hold no limit and belong to nobody."""
    month, thickness = facts.get("month"), str(facts.get("thickness") or "")
    values = {
        "modality": str(facts.get("modality") or ""),
        "body_part": str(facts.get("body_part") or ""),
        "patient_sex": str(facts.get("sex") or ""),
        "age_band": str(facts.get("age_band") or ""),
        "study_year": str(month // 12) if isinstance(month, int) else "",
        "slice_thickness": _micrometres(thickness),
    }
    return Row(path, study, str(facts.get("patient") or ""), values)


def select(rows: Iterable[Row], leaving: Leaving) -> Selection:
    """The rows that hold every limit and whose group is large enough, with what each term withheld."""
    kept, held = list(rows), list[Withheld]()
    for limit in leaving.limits:
        kept, out = _parted(kept, [holds(one, limit) for one in kept])
        held.append(_withheld(Transformation.ONLY_RECORDS, limit["left"], out))
    if leaving.facts:
        sizes = group_sizes(kept, leaving.facts)
        kept, out = _parted(kept, [sizes[group_of(one, leaving.facts)] >= leaving.smallest for one in kept])
        held.append(_withheld(Transformation.WITHHOLD_SMALL_GROUPS, "", out))
        smallest = min(group_sizes(kept, leaving.facts).values(), default=0)
    else:
        smallest = 1 if kept else 0
    return Selection(tuple(kept), tuple(held), smallest)


def holds(row: Row, limit: Json) -> bool:
    """Whether a row's fact agrees with a compiled comparison."""
    value = row.values[FACT_OF[limit["left"]]]
    if not value:
        return False
    if limit["values"]:
        return value in limit["values"]
    number = int(limit["number"])
    return int(value) >= number if limit["operator"] == "gteq" else int(value) <= number


def group_of(row: Row, facts: Sequence[str]) -> tuple[str, ...]:
    """The combination of named facts that a row has; what is not known is a value of its own."""
    return tuple(row.values[name] for name in facts)


def group_sizes(rows: Iterable[Row], facts: Sequence[str]) -> dict[tuple[str, ...], int]:
    """Persons in each combination of facts; rows of nobody known count as one person."""
    persons: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in rows:
        persons[group_of(row, facts)].add(row.person)
    return {group: len(some) for group, some in persons.items()}


def _parted(rows: list[Row], fit: list[bool]) -> tuple[list[Row], list[Row]]:
    both = list(zip(rows, fit, strict=True))
    return [one for one, fits in both if fits], [one for one, fits in both if not fits]


def _withheld(by: Transformation, term: str, rows: list[Row]) -> Withheld:
    return Withheld(str(by), term, len(rows), len({one.study for one in rows}))


def _micrometres(text: str) -> str:
    """Decimal millimetres as whole micrometres, rounded; empty when there are none."""
    return str(int((Decimal(text) * 1000).to_integral_value())) if text else ""
