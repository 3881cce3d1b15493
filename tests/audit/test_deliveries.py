"""The verifier's own judgement of a delivery: whatever the signed terms demand of what leaves was carried out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.audit.verifier.bundle import Document
from marketplace.audit.verifier.deliveries import shortfalls
from marketplace.kernel.canonical import canonical_text
from marketplace.usage.facts import compile_uses
from marketplace.usage.obligations import together, unmet
from tests.policies.cases import Maker
from tests.usage.agreed import uses
from tests.usage.duties import only_attributes, only_records, small_groups, with_duties, written

Json = dict[str, Any]


def contract(policy: Json) -> Document:
    return Document("0" * 64, "agreement", canonical_text({"uses": policy}), ())


def duties_of(policy: Json) -> list[Json]:
    return [one for rule in compile_uses(policy).model_dump()["permissions"] for one in rule["duties"]]


def made_under(policy: Json, **changed: Any) -> Json:
    """The part of a manifest that the check reads, as a delivery under this policy would say it."""
    leaving = together(duties_of(policy))
    told = {"transformations": leaving.applied(), "smallest_group": max(leaving.smallest, 1), "output": "records"}
    return told | {"files": [{"path": "a", "source_path": "b"}]} | changed


@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_verifier_and_service_agree_on_what_meets_a_demand(first: int, second: int) -> None:
    asked, done = (next(Maker(seed).cases(1)).policy for seed in (first, second))
    for permission in asked["permission"]:
        permission["constraint"] = [one for one in permission["constraint"] if "purpose" in str(one.get("leftOperand"))]
    manifest = made_under(done, smallest_group=10**9)
    missed = unmet(duties_of(asked), manifest["transformations"])
    assert (list(shortfalls(manifest, contract(asked))) == []) == (missed == [])
    assert list(shortfalls(made_under(asked), contract(asked))) == []


POLICY = with_duties(
    uses(),
    only_attributes("Modality", "Rows"),
    only_records(written("mkt:studyYear", "gteq", 2020)),
    small_groups(5, "age_band"),
    {"action": "mkt:watermark"},
)


@pytest.mark.parametrize("place", range(6))
def test_a_transformation_that_the_manifest_does_not_name_is_found(place: int) -> None:
    manifest = made_under(POLICY)
    missing = manifest["transformations"].pop(place)
    (lack,) = shortfalls(manifest, contract(POLICY))
    assert missing["action"] in lack


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"smallest_group": 4}, "smallest group"),
        ({"smallest_group": "5"}, "smallest group"),
        ({"smallest_group": None}, "smallest group"),
        ({"output": "aggregate"}, "only a table"),
        ({"transformations": ["mkt:pseudonymisePerAgreement", "attribute", "mkt:watermark"]}, "mkt:onlyRecords"),
        ({"transformations": "all of them"}, "mkt:watermark"),
    ],
)
def test_what_is_less_than_was_signed_is_found(changed: Json, word: str) -> None:
    found = list(shortfalls(made_under(POLICY, **changed), contract(POLICY)))
    assert any(word in one for one in found)


def test_a_delivery_of_which_nothing_is_left_has_no_group_that_is_too_small() -> None:
    assert list(shortfalls(made_under(POLICY, smallest_group=0, files=[]), contract(POLICY))) == []


def test_records_under_a_contract_for_tables_are_found() -> None:
    table = with_duties(uses(), small_groups(5, "age_band"), limits=(written("output", "eq", "aggregate"),))
    (lack,) = shortfalls(made_under(table), contract(table))
    assert "only a table may leave" in lack
    assert list(shortfalls(made_under(table, output="aggregate", files=[{"source_path": None}]), contract(table))) == []


def test_manifests_of_before_named_transformations_alone() -> None:
    plain = uses()
    named = made_under(plain, transformations=["mkt:pseudonymisePerAgreement", "attribute"])
    assert list(shortfalls(named, contract(plain))) == []
