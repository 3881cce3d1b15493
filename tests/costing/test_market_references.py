"""Products listed elsewhere: shown as references, with no price, from named sources."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
SCHEMA = json.loads((CONTRACTS / "market-references.schema.json").read_text("utf-8"))
DOCUMENT = json.loads((CONTRACTS / "market-references.json").read_text("utf-8"))


def test_the_references_fit_their_closed_schema():
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(DOCUMENT)
    assert len({one["id"] for one in DOCUMENT["references"]}) == len(DOCUMENT["references"]) == 11


@pytest.mark.parametrize("change", [{"price": 100}, {"is_example": True}, {"seller": "x"}, {"sources": []}])
def test_a_price_or_an_unknown_field_is_refused(change):
    altered = DOCUMENT | {"references": [DOCUMENT["references"][0] | change]}
    assert not Draft202012Validator(SCHEMA).is_valid(altered)


def test_exactly_what_is_dated_after_the_reports_cut_off_is_flagged():
    for one in DOCUMENT["references"]:
        assert one["after_report_cutoff"] == (one["date"] > DOCUMENT["report_cutoff"]), one["id"]


def test_no_source_was_turned_into_an_address():
    assert not [one for one in DOCUMENT["references"] for source in one["sources"] if "http" in source["text"]]
