"""What the offline verifier says of acts and successors: of the true bundle, and of one that was tampered with."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from marketplace.audit.entry import Tag, record
from marketplace.audit.export import Scope, export
from marketplace.audit.verifier.files import verify
from marketplace.audit.verifier.report import Report
from marketplace.kernel.canonical import Json
from marketplace.negotiation import queries as negotiation
from tests.audit.hatched import HatchedProcesses
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import (
    agreement_of,
    amended,
    chain,
    declare_resumption,
    resume,
    settle,
    sign_all,
    suspend,
    terminate,
)
from workers.tasks.audit import integrate_once

ACTS = "every act on an agreement follows the one before and is its own side's"
SUCCESSORS = "every successor of an agreement names it, and what it amends ended with it"
Exporting = Callable[..., Json]


@pytest.fixture
def exporting(house: House) -> Iterator[Exporting]:
    """Integrates what happened and exports it, as the auditor or a party; the log knows the cast and its keys."""
    with house.db() as db:
        for one in house.cast.values():
            facts: Json = {"participant": one.id, "roles": sorted(one.actor.roles)}
            record(db, house.cast["operator"].actor, Tag.PARTICIPANT_ADMITTED, house.clock.now(), facts=facts)
            facts = {"participant": one.id, "kid": one.key.kid, "alg": one.key.algorithm, "jwk": one.key.public_jwk}
            record(db, house.cast["operator"].actor, Tag.KEY_REGISTERED, house.clock.now(), facts=facts)
        own = house.runtime.service_key
        facts = {"participant": "service", "kid": own.kid, "alg": own.algorithm, "jwk": own.public_jwk}
        record(db, house.cast["operator"].actor, Tag.KEY_REGISTERED, house.clock.now(), facts=facts)
    with HatchedProcesses(house.runtime.settings) as log:

        def bundle(who: str = "auditor", **scope: Any) -> Json:
            integrate_once(house.runtime, log)
            with house.db() as db:
                return export(db, house.cast[who].actor, Scope(**scope), house.clock.now(), keys=log.client.keys)

        yield bundle


def verified(bundle: Json) -> Report:
    return verify("b", json.dumps(bundle).encode())


def said(bundle: Json, name: str) -> list[str]:
    (found,) = [one for one in verified(bundle).checks if one.name == name]
    return [each.detail for each in found.failures]


def documents_of(bundle: Json, kind: str) -> list[Json]:
    return [one for one in bundle["documents"] if one["kind"] == kind]


@pytest.mark.parametrize("who", ["auditor", "pharma", "hospital"])
def test_acts_and_successors_of_a_true_bundle_hold(house: House, exporting: Exporting, who: str) -> None:
    first = finalized(house)
    suspend(house, first.id, "hospital")
    sign_all(house, first.id, "hospital")
    resume(house, first.id, "hospital")
    second = amended(house, first.id, parameters={"max_uses": 9})
    terminate(house, second.id, "pharma")
    sign_all(house, second.id, "pharma")
    settle(house)
    for scope in (first.id, second.id):
        bundle = exporting(who, agreement=scope)
        report = verified(bundle)
        assert report.exit_code == 0, report.plain()
        counted = {one.name: one.counted for one in report.checks}
        assert (counted[ACTS], counted[SUCCESSORS]) == (3, 1)
        assert len(documents_of(bundle, "agreement-act")) == 3
        assert documents_of(bundle, "contract-notice")
        assert {one["sha256"] for one in documents_of(bundle, "agreement")} == {first.document, second.document}


def test_a_stop_without_its_signature_is_noted_and_not_failed(house: House, exporting: Exporting) -> None:
    first = finalized(house)
    suspend(house, first.id, "hospital")
    report = verified(exporting(agreement=first.id))
    assert report.exit_code == 0, report.plain()
    assert any("not signed yet" in one for one in report.notes)


def test_what_was_tampered_with_is_named(house: House, exporting: Exporting) -> None:
    first = finalized(house)
    suspend(house, first.id, "hospital")
    sign_all(house, first.id, "hospital")
    resume(house, first.id, "hospital")
    true = exporting(agreement=first.id)
    assert said(true, ACTS) == []
    suspension, resumption = (one.document for one in chain(house, first.id).acts)

    unsigned = copy.deepcopy(true)
    for one in documents_of(unsigned, "agreement-act"):
        one["signatures"] = []
    assert said(unsigned, ACTS) == ["no valid signature of the side that made it"]

    missing = copy.deepcopy(true)
    missing["documents"] = [one for one in missing["documents"] if one["sha256"] != suspension]
    assert any("is not in the bundle" in one for one in said(missing, ACTS))

    others = copy.deepcopy(true)
    (one,) = [one for one in documents_of(others, "agreement-act") if one["sha256"] == resumption]
    one["body"] = one["body"].replace('"side":"provider"', '"side":"buyer"')
    assert any("its party is prt_hospital" in each for each in said(others, ACTS))

    unlinked = copy.deepcopy(true)
    (one,) = [one for one in documents_of(unlinked, "agreement-act") if one["sha256"] == resumption]
    one["body"] = one["body"].replace(f'"previous":"{suspension}"', f'"previous":"{first.document}"')
    assert any("its act before it is" in each for each in said(unlinked, ACTS))


def test_an_effect_without_its_act_is_named(house: House, exporting: Exporting) -> None:
    first = finalized(house)
    suspend(house, first.id, "hospital")
    declare_resumption(house, first.id, "hospital")
    with house.db() as db:
        about = {"agreement": first.id, "facts": {"document": first.document, "by": "provider"}}
        record(db, house.cast["hospital"].actor, Tag.AGREEMENT_RESUMED, house.clock.now(), **about)
    assert any("the act None" in one for one in said(exporting(agreement=first.id), ACTS))


def test_a_successor_whose_predecessor_did_not_end_is_named(house: House, exporting: Exporting) -> None:
    first = finalized(house)
    second = amended(house, first.id, parameters={"max_uses": 9})
    true = exporting(agreement=second.id)
    assert said(true, SUCCESSORS) == []
    kept = [one for one in true["entries"] if json.loads(one["body"])["tag"] != "negotiation:agreement_superseded"]
    assert any("took its predecessor's place" in one for one in said(true | {"entries": kept}, SUCCESSORS))
    alone = [one for one in true["documents"] if one["sha256"] != first.document]
    assert any("is not in the bundle" in one for one in said(true | {"documents": alone}, SUCCESSORS))


def test_a_use_under_a_superseded_agreement_is_named(house: House, exporting: Exporting) -> None:
    first = finalized(house)
    second = amended(house, first.id, parameters={"max_uses": 9})
    with house.db() as db:
        facts = {"transfer": "trf_1", "leg": 1, "from": 0, "to": 1, "purpose": "model_training", "action": "use"}
        now = negotiation.agreement(db, second.id).starts_at
        for _ in range(2):
            record(db, house.cast["pharma"].actor, Tag.USE_ALLOWED, now, agreement=first.id, facts=facts)
    report = verified(exporting(agreement=first.id))
    details = [one.detail for check in report.checks for one in check.failures]
    assert any("negotiation:agreement_superseded, had stopped it" in one for one in details), details
    assert agreement_of(house, first.id).state == "superseded"
