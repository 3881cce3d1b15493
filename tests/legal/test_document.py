from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from marketplace.audit import documents
from tests.house import House
from tests.legal.parts import assess, condition, governed

FOLDER = Path(__file__).resolve().parents[2] / "contracts" / "documents"


def validator(kind: str) -> Draft202012Validator:
    schema = json.loads((FOLDER / f"{kind}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def examples(folder: str, kind: str) -> list[Path]:
    return sorted((FOLDER / "examples" / folder).glob(f"{kind}*.json"))


@pytest.mark.parametrize("file", examples("valid", "opinion"), ids=lambda file: file.stem)
def test_a_valid_opinion_fits_the_schema(file: Path):
    assert list(validator("opinion").iter_errors(json.loads(file.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("file", examples("invalid", "opinion"), ids=lambda file: file.stem)
def test_an_invalid_opinion_does_not_fit_the_schema(file: Path):
    assert not validator("opinion").is_valid(json.loads(file.read_text(encoding="utf-8")))


def test_what_a_firm_signs_fits_the_schema(house: House):
    due = house.clock.now().replace(month=12)
    kinds = {"PASS": {}, "CONDITIONAL": {"item19": condition(house, due)}, "FAIL": {"item8": {"result": "not_met"}}}
    for outcome, answers in kinds.items():
        opinion = assess(house, governed(house), number=f"EX-{outcome}", **answers)
        with house.runtime.database.reading() as db:
            content = documents.content(db, opinion.document)
        validator("opinion").validate(content)
        assert content["outcome"] == outcome
