"""A tariff that is published in the middle of the year for days that are over, as a later release would bring it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marketplace.costing import tariffs

CORRECTION = "cn-2025-correction.json"


@contextmanager
def own_tariffs(folder: Path) -> Iterator[None]:
    """Have this process read the published tariffs from a copy of its own, to which the year adds."""
    published = tariffs.FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(published, folder)
    _read_from(folder)
    try:
        yield
    finally:
        _read_from(published)


def publish_correction(kind: str, fen: int) -> None:
    """Publish another rate in the place of the general tariff of a kind, for all its days."""
    (known,) = [
        one
        for one in tariffs.tariff_book().published
        if one.tariff.kind == kind and not one.tariff.applies_to and one.tariff.supersedes is None
    ]
    changed = known.tariff.model_dump(mode="json") | {
        "value": fen,
        "supersedes": known.id,
        "grade": "EX",
        "is_example": True,
        "source": "The told year's own example",
        "note": "Published later for days that are over.",
    }
    sheet = {
        "id": CORRECTION.removesuffix(".json"),
        "title": "A correction of the told year",
        "title_zh": "示例年度费率更正",
        "jurisdiction": "CN",
        "currency": known.currency,
        "items": [changed],
    }
    (tariffs.FOLDER / CORRECTION).write_text(json.dumps(sheet, ensure_ascii=False, indent=2) + "\n")
    tariffs.tariff_book.cache_clear()


def _read_from(folder: Path) -> None:
    tariffs.FOLDER = folder
    tariffs.tariff_book.cache_clear()
