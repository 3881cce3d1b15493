from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from marketplace.audit import documents
from tests.house import House
from tests.registration.parts import certified

FOLDER = Path(__file__).resolve().parents[2] / "contracts" / "documents"


def validator() -> Draft202012Validator:
    schema = json.loads((FOLDER / "certificate.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def examples(folder: str) -> list[Path]:
    return sorted((FOLDER / "examples" / folder).glob("certificate*.json"))


@pytest.mark.parametrize("file", examples("valid"), ids=lambda file: file.stem)
def test_a_valid_certificate_fits_the_schema(file: Path):
    validator().validate(json.loads(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", examples("invalid"), ids=lambda file: file.stem)
def test_an_invalid_certificate_does_not_fit_the_schema(file: Path):
    assert not validator().is_valid(json.loads(file.read_text(encoding="utf-8")))


def test_what_the_registrar_signs_fits_the_schema(house: House):
    found = certified(house)
    with house.runtime.database.reading() as db:
        validator().validate(documents.content(db, found.document))
