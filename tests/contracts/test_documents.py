"""The schemas of signed documents and of the policy: valid examples pass, every invalid one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jsonschema.validators import validator_for

from tests.generated import ROOT

DOCUMENTS = ROOT / "contracts" / "documents"
SCHEMAS = sorted((ROOT / "contracts").rglob("*.schema.json"))
VALID = sorted((DOCUMENTS / "examples" / "valid").glob("*.json"))
INVALID = sorted((DOCUMENTS / "examples" / "invalid").glob("*.json"))


KINDS = {path.name.split(".")[0] for path in DOCUMENTS.glob("*.schema.json")}


def kind_of(example: Path) -> str:
    """An example is named after its kind: `listing.json`, `stop-notice-unknown-reason.json`."""
    # The longest: `agreement-act.json` is no agreement.
    return max((kind for kind in KINDS if f"{example.stem}-".startswith(f"{kind}-")), key=len)


def schema_of(example: Path) -> Any:
    return json.loads((DOCUMENTS / f"{kind_of(example)}.schema.json").read_text())


def validator(schema: Any) -> Any:
    return validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_every_schema_is_a_valid_schema_of_a_named_draft(path: Path) -> None:
    schema = json.loads(path.read_text())
    assert schema["$schema"].startswith("https://json-schema.org/draft/")
    validator_for(schema).check_schema(schema)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_example_passes(path: Path) -> None:
    assert list(validator(schema_of(path)).iter_errors(json.loads(path.read_text()))) == []


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_example_is_refused(path: Path) -> None:
    assert not validator(schema_of(path)).is_valid(json.loads(path.read_text()))


def test_every_document_schema_has_valid_and_invalid_examples() -> None:
    assert {kind_of(path) for path in VALID} == KINDS
    assert {kind_of(path) for path in INVALID} == KINDS


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_example_with_an_unknown_member_is_refused(path: Path) -> None:
    found = json.loads(path.read_text())
    assert not validator(schema_of(path)).is_valid(found | {"unknown_member": 1})
