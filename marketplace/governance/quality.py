"""The quality card: six parts after the EHDS quality label (Regulation (EU) 2025/327 art. 78), counted, never guessed.

Counts of people below five are null, and where only one cell of a group is, the next smallest too, so that it cannot
be had by subtraction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from marketplace.governance.facts import AGE_BANDS, KEY_ELEMENTS, Facts
from marketplace.governance.profile import METHOD_CODES
from marketplace.governance.rules import DUPLICATE_PIXELS, SMALL_CELL
from marketplace.kernel.canonical import Json


@dataclass(frozen=True)
class Sample:
    """One governed file.  study: the record it belongs to."""

    facts: Facts
    study: str
    bytes: int


def quality_card(samples: Sequence[Sample], held_back: Counter[str], *, asset: str, version: str, root: str) -> Json:
    """The card of a governed version as a document: integers, decimal strings and words only.

    held_back: files by reason; completeness and shares are per mille.
    """
    facts = [sample.facts for sample in samples]
    return {
        "v": 1,
        "type": "quality-card",
        "asset": asset,
        "version": version,
        "version_root": root,
        "records": len({sample.study for sample in samples}),
        "people": len({one.patient for one in facts}),
        "files": len(samples),
        "bytes": sum(sample.bytes for sample in samples),
        "documentation": {"profile": "DICOM PS3.15 Annex E", "method_codes": [code for code, _ in METHOD_CODES]},
        "technical_quality": _technical_quality(facts, held_back),
        "quality_management": {"leak_scan": "every file", "reread": "every file"},
        "coverage": _coverage(facts),
        "access": {"delivery": "by use under agreement"},
        "modifications": {"held_back": dict(sorted(held_back.items())), "dates": "shifted per patient"},
    }


def _technical_quality(facts: Sequence[Facts], held_back: Counter[str]) -> Json:
    return {
        "completeness_per_mille": _completeness(facts),
        "uniqueness": {"duplicates_removed": held_back[DUPLICATE_PIXELS]},
        "validity": {"files_governed": len(facts), "files_judged": len(facts) + held_back.total()},
        "slice_thickness_mm": _range(one.thickness for one in facts),
        "pixel_spacing_mm": _range(one.spacing for one in facts),
    }


def _coverage(facts: Sequence[Facts]) -> Json:
    return {
        "modality": dict(sorted(Counter(one.modality for one in facts).items())),
        "manufacturer": dict(sorted(Counter(one.manufacturer or "other" for one in facts).items())),
        "body_part": dict(sorted(Counter(one.body_part or "unknown" for one in facts).items())),
        "time_span_months": _months(facts),
        "sex": _people(facts, "sex", ("F", "M", "O")),
        "age": _people(facts, "age_band", AGE_BANDS),
    }


def _completeness(facts: Sequence[Facts]) -> dict[str, int]:
    counts = Counter(name for one in facts for name in one.present)
    return {name: counts[name] * 1000 // max(len(facts), 1) for name in KEY_ELEMENTS}


def _range(texts: Iterable[str]) -> dict[str, str] | None:
    values = sorted({text for text in texts if text}, key=Decimal)
    return {"min": values[0], "max": values[-1]} if values else None


def _months(facts: Sequence[Facts]) -> int | None:
    months = [one.month for one in facts if one.month is not None]
    return max(months) - min(months) + 1 if months else None


def _people(facts: Sequence[Facts], name: str, cells: Sequence[str]) -> dict[str, int | None]:
    by_patient = {one.patient: getattr(one, name) or "unknown" for one in facts}
    counts = Counter(by_patient.values())
    return suppressed({cell: counts[cell] for cell in (*cells, "unknown") if counts[cell]})


def suppressed(counts: dict[str, int]) -> dict[str, int | None]:
    """The counts with small cells as null, and one more when a single null could be computed from the total."""
    hidden = {cell for cell, count in counts.items() if 0 < count < SMALL_CELL}
    rest = [cell for cell in counts if cell not in hidden]
    if len(hidden) == 1 and rest:
        hidden.add(min(rest, key=lambda cell: counts[cell]))
    return {cell: None if cell in hidden else count for cell, count in counts.items()}
