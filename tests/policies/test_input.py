"""What an engine is sent: the same text and digest, whether parts of the facts were kept or not."""

from __future__ import annotations

import copy
import json

import pytest
from pydantic import ValidationError

from marketplace.kernel.canonical import MAX_DEPTH, AmbiguousDocument, canonical_text, digest
from marketplace.plumbing.policy import RegorusEngine
from marketplace.plumbing.policyinput import Kept, with_digest
from marketplace.usage.facts import VersionFacts, part
from marketplace.usage.policies import trial
from tests.policies.test_access import POLICIES

PLAIN = {"b": {"z": "é\n", "a": [1, {"c": True}]}, "a": 1, "c": {}, "d": None, "e": "x"}
VERSION = {"id": "v", "asset": "a", "kind": "governed", "stage": "listed", "sealed": True, "consent_stands": True}


@pytest.mark.parametrize("kept", [set(), {"b"}, {"c"}, {"b", "c"}])
def test_what_is_sent_is_the_canonical_text_whichever_parts_were_kept(kept: set[str]) -> None:
    facts = {name: Kept(one) if name in kept else one for name, one in PLAIN.items()}
    sent, name = with_digest(facts)
    assert name == digest(PLAIN) == digest(facts)
    assert json.loads(sent) == {**PLAIN, "digest": name}
    assert sent.startswith(canonical_text(PLAIN)[:-1])


@pytest.mark.parametrize("kept", [dict, Kept])
def test_a_kept_part_may_be_as_deep_as_any_other(kept: type[dict[str, object]]) -> None:
    deepest: dict[str, object] = {}
    for _ in range(MAX_DEPTH - 1):
        deepest = {"a": deepest}
    assert with_digest({"b": kept(deepest)}) == with_digest({"b": deepest})
    with pytest.raises(AmbiguousDocument, match="too deeply"):
        with_digest({"b": kept({"a": deepest})})


def test_nothing_but_its_digest_is_sent_where_there_are_no_facts() -> None:
    assert json.loads(with_digest({})[0]) == {"digest": digest({})}


def test_a_kept_part_is_not_changed_and_its_copies_are_told_as_they_are() -> None:
    facts = trial.example()
    for change in (
        lambda one: one.update(valid=False),
        lambda one: one.pop("valid"),
        lambda one: one.__setitem__("valid", False),
        lambda one: one.__ior__({"valid": False}),
    ):
        with pytest.raises(TypeError, match="copy it"):
            change(facts["certificate"])
    for copied in (copy.deepcopy(facts), facts | {"certificate": copy.copy(facts["certificate"])}):
        assert with_digest(copied) == with_digest(facts)
        copied["certificate"]["valid"] = False
        assert RegorusEngine(POLICIES).decide("access", copied).reasons == ("certificate_not_valid",)
    assert RegorusEngine(POLICIES).decide("access", facts).allow


def test_a_part_is_as_strict_as_the_whole() -> None:
    assert part(VersionFacts, VERSION).plain == VERSION
    assert part(VersionFacts, VERSION) is part(VersionFacts, dict(VERSION))
    with pytest.raises(ValidationError):
        part(VersionFacts, VERSION | {"sealed": 1})
    with pytest.raises(ValidationError):
        part(VersionFacts, VERSION | {"more": "x"})
    with pytest.raises(AmbiguousDocument):
        Kept({"share": 0.5})


def test_a_grant_is_read_alike_with_obligations_and_without() -> None:
    engine, facts = RegorusEngine(POLICIES), copy.deepcopy(trial.example())
    plain = engine.decide("access", facts)
    assert (plain.allow, plain.reasons, plain.obligations) == (True, (), ())
    assert (plain.about, plain.revision) == (digest(facts), engine.revision)
    facts["uses"]["permissions"][0]["duties"] = [duty := {"action": "attribute", "constraints": []}]
    bound = engine.decide("access", facts)
    assert (bound.allow, bound.obligations, bound.about) == (True, (duty,), digest(facts))
