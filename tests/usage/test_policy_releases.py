"""Policies are replaced while the market runs: only by the publisher, never by older or laxer ones, at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from marketplace.audit.recheck import sealed_rows
from marketplace.kernel.canonical import canonical, sha256_hex
from marketplace.kernel.signing import generate_key
from marketplace.main import create_app, policy_engine
from marketplace.negotiation.models import Agreement
from marketplace.plumbing import policybundle, policyreleases
from marketplace.plumbing.policy import RegorusEngine
from marketplace.plumbing.policyfiles import PolicyFiles
from marketplace.plumbing.policyreleases import PolicyRelease
from marketplace.usage import service as usage
from marketplace.usage.policies import service, trial
from marketplace.usage.policies.rules import Fault
from marketplace.usage.rules import UseRequest
from tests.house import House
from tests.policies.test_access import POLICIES
from tests.transfer.doors import entries, wait_until, with_settings
from tests.usage.agreed import agree

PUBLISHER = generate_key("ES256")
FILES = PolicyFiles(POLICIES)
ASK = UseRequest(purpose="model_training")


def changed(
    find: str = "default allow := false", put: str = "default allow := false\n", name: str = "access"
) -> PolicyFiles:
    """The policies with one text replaced; without one, a blank line more."""
    path = f"access/{name}.rego"
    assert find in FILES.texts[path]
    return PolicyFiles.of(FILES.texts | {path: FILES.texts[path].replace(find, put)})


def more(text: str) -> PolicyFiles:
    """The policies with a rule more."""
    return PolicyFiles.of(FILES.texts | {"access/access.rego": f"{FILES.texts['access/access.rego']}\n{text}\n"})


NO = changed("terms_known if odrl.known(input.uses, vocabulary)", 'terms_known if input.uses.type == "nothing"')
"""Policies that grant nothing."""


@pytest.fixture
def market(house: House) -> House:
    """A house that takes the publisher's policies."""
    return with_settings(house, policy_publisher_key=canonical(PUBLISHER.public_jwk).decode())


def accept(house: House, content: bytes, who: str = "operator") -> PolicyRelease | service.Refused:
    with house.db() as db:
        return service.accept(db, house.cast[who].actor, content, house.clock.now(), house.runtime)


def publish(house: House, version: int, files: PolicyFiles = FILES) -> PolicyRelease:
    found = accept(house, policybundle.build(files, version, PUBLISHER))
    assert isinstance(found, PolicyRelease)
    return found


def ask(house: House) -> usage.Ruling:
    with house.runtime.database.reading() as db:
        agreement = db.get(Agreement, "agr_1")
        return usage.authorize(db, house.cast["pharma"].actor, agreement, ASK, house.clock.now(), house.runtime)


def commit(house: House, ruling: usage.Ruling) -> usage.Ruling:
    """Confirm and record a ruling as the opening of a transfer does."""

    def work(db: Session) -> usage.Ruling:
        confirmed = usage.confirm(db, ruling, house.clock.now(), house.runtime.settings)
        agreement = db.get(Agreement, "agr_1")
        usage.record_ruling(db, house.cast["pharma"].actor, agreement, confirmed, house.clock.now(), about={})
        return confirmed

    return house.runtime.database.grouped(work)


def test_where_a_publisher_is_set_nothing_decides_until_a_bundle_was_accepted(market: House) -> None:
    agree(market)
    assert ask(market).decision.reasons == ("policy_unavailable",)
    first = publish(market, 1)
    ruling = ask(market)
    assert (ruling.decision.allow, ruling.decision.revision) == (True, first.revision)


def test_a_reload_decides_from_its_commit_on_and_is_an_entry(market: House) -> None:
    agree(market)
    first, second = publish(market, 1), publish(market, 2, NO)
    ruling = ask(market)
    assert (ruling.decision.allow, ruling.decision.revision) == (False, NO.revision)
    told = [one["facts"] for one in entries(market, "usage:policy_accepted")]
    assert [(one["before"], one["revision"], one["version"]) for one in told] == [
        (FILES.revision, first.revision, 1),
        (first.revision, second.revision, 2),
    ]
    assert {one["publisher"] for one in told} == {PUBLISHER.kid}
    assert [one["bundle"] for one in told] == [first.bundle, second.bundle]


def test_a_use_that_was_decided_before_the_reload_and_not_yet_recorded_is_refused(market: House) -> None:
    agree(market)
    publish(market, 1)
    ruling = ask(market)
    assert ruling.decision.allow
    publish(market, 2, changed())
    assert commit(market, ruling).decision.reasons == ("policy_unavailable",)
    assert commit(market, ask(market)).decision.allow


def other_interface(monkeypatch: pytest.MonkeyPatch) -> bytes:
    with monkeypatch.context() as patched:
        patched.setattr(policybundle, "interface", lambda: {"input": "0" * 64, "decision": "0" * 64})
        return policybundle.build(FILES, 9, PUBLISHER)


LAX = more("agreement_stands if true")
FAULTS: dict[str, tuple[Fault, Callable[[], bytes]]] = {
    "other key": (Fault.UNSIGNED, lambda: policybundle.build(FILES, 9, generate_key("ES256"))),
    "no bundle": (Fault.UNREADABLE, lambda: b"no bundle"),
    "older": (Fault.NOT_NEWER, lambda: policybundle.build(FILES, 1, PUBLISHER)),
    "same version": (Fault.NOT_NEWER, lambda: policybundle.build(changed(), 2, PUBLISHER)),
    "built-in": (Fault.OUTSIDE_PROFILE, lambda: built("default allow := false\n\nnow := time.now_ns()")),
    "no Rego": (Fault.DOES_NOT_COMPILE, lambda: built("allow if {")),
    "no decision": (Fault.ODD_ANSWER, lambda: built("decision := 1", find="decision := {")),
    "grants against its own reasons": (Fault.ODD_ANSWER, lambda: built("default allow := true")),
    "unsigned terms": (Fault.GRANTS_TOO_MUCH, lambda: policybundle.build(LAX, 9, PUBLISHER)),
}


def built(put: str, find: str = "default allow := false") -> bytes:
    texts = {**changed(find, put).texts}
    if put == "decision := 1":
        texts["access/access.rego"] = "package access\n\nimport rego.v1\n\ndecision := 1\n"
    return policybundle.build(PolicyFiles.of(texts), 9, PUBLISHER)


@pytest.mark.parametrize(("fault", "content"), FAULTS.values(), ids=FAULTS.keys())
def test_a_bundle_with_a_fault_is_refused_recorded_and_changes_nothing(
    market: House, fault: Fault, content: Callable[[], bytes]
) -> None:
    agree(market)
    before = publish(market, 2)
    refused = accept(market, content())
    assert isinstance(refused, service.Refused)
    assert refused.fault == fault
    (entry,) = entries(market, "usage:policy_refused")
    assert (entry["id"], entry["facts"]["fault"]) == (refused.entry, str(fault))
    assert entry["facts"]["bundle"] == sha256_hex(content()) or fault == Fault.UNSIGNED
    assert (ask(market).decision.allow, ask(market).decision.revision) == (True, before.revision)
    with market.runtime.database.reading() as db:
        assert [one.version for one in policyreleases.releases(db)] == [2]


def test_a_bundle_for_other_schemas_is_refused(market: House, monkeypatch: pytest.MonkeyPatch) -> None:
    content = other_interface(monkeypatch)
    refused = accept(market, content)
    assert isinstance(refused, service.Refused)
    assert refused.fault == Fault.OTHER_CONTRACT


def test_without_a_publisher_no_bundle_is_taken_and_the_release_decides(house: House) -> None:
    agree(house)
    refused = accept(house, policybundle.build(NO, 1, PUBLISHER))
    assert isinstance(refused, service.Refused)
    assert refused.fault == Fault.NO_PUBLISHER
    assert (ask(house).decision.allow, ask(house).decision.revision) == (True, FILES.revision)


def test_nobody_but_the_operator_replaces_policies(market: House) -> None:
    for who in market.cast:
        if who != "operator":
            with pytest.raises(service.NotThePolicyOperator):
                accept(market, policybundle.build(FILES, 1, PUBLISHER), who)
    assert entries(market, "usage:policy_accepted", "usage:policy_refused") == []


def test_the_trial_grants_its_example_and_nothing_of_what_must_never_be() -> None:
    assert RegorusEngine(POLICIES).decide("access", trial.example()).allow
    assert trial.try_out(FILES) == trial.Trial.PASSED
    assert trial.try_out(NO) == trial.Trial.PASSED, "policies may be stricter than the trial"


def conditions(rule: str) -> list[str]:
    """The lines of a rule of the access policy."""
    return FILES.texts["access/access.rego"].split(f"\n{rule} if {{\n\t")[1].split("\n}")[0].split("\n\t")


CONDITIONS = conditions("allow")
# What these guard needs terms that the trial does not have; `granting` is a set and tried below.
BEYOND_THE_TRIAL = {"action_not_prohibited", "stays_at_home", "count(granting) > 0"}
TOGETHER = ("use_fits", "agreement_stands", "version_stands")
# A grant, or a refusal that has lost its reason.
REFUSED = {trial.Trial.LAX, trial.Trial.ODD}


@pytest.mark.parametrize("condition", sorted(set(CONDITIONS) - BEYOND_THE_TRIAL))
def test_the_trial_notices_each_condition_that_always_holds(condition: str) -> None:
    assert trial.try_out(more(f"{condition} if true")) in REFUSED


@pytest.mark.parametrize(("rule", "part"), [(rule, part) for rule in TOGETHER for part in conditions(rule)])
def test_the_trial_notices_each_condition_that_is_left_out_of_those_asked_together(rule: str, part: str) -> None:
    before, opened, after = FILES.texts["access/access.rego"].partition(f"\n{rule} if {{\n")
    laxer = before + opened + after.replace(f"\t{part}\n", "", 1)
    assert trial.try_out(PolicyFiles.of(FILES.texts | {"access/access.rego": laxer})) in REFUSED


def test_the_trial_notices_terms_that_are_never_asked() -> None:
    every = '\nrelevant contains {"n": 1}\n\nsuited contains {"n": 1}\n\ngranting contains {"duties": []}'
    assert trial.try_out(more(every)) == trial.Trial.LAX


def test_another_process_decides_by_the_new_bundle_without_being_told(market: House) -> None:
    agree(market)
    publish(market, 1)
    other = replace(market, runtime=replace(market.runtime, policy=policy_engine(market.runtime.settings)))
    assert ask(other).decision.allow
    publish(market, 2, NO)
    assert (ask(other).decision.allow, ask(other).decision.revision) == (False, NO.revision)


def test_a_row_without_the_publishers_bundle_gives_no_policy_any_force(market: House) -> None:
    agree(market)
    publish(market, 1)
    stranger = policybundle.build(changed(), 5, generate_key("ES256"))
    stored = market.runtime.store.put([stranger], limit=1 << 20).sha256
    with market.arrange() as db:
        row = {"kid": PUBLISHER.kid, "accepted_by": "prt_operator", "accepted_at": market.clock.now(), "entry_id": "x"}
        db.add(PolicyRelease(version=5, revision=changed().revision, bundle=stored, **row))
    fresh = replace(market, runtime=replace(market.runtime, policy=RegorusEngine(POLICIES)))
    assert ask(fresh).decision.reasons == ("policy_unavailable",)
    with market.runtime.database.reading() as db:
        assert ("policy_release", "5") in {(one.table, one.key) for one in sealed_rows(db)}


def test_every_use_under_load_names_one_revision_and_none_after_its_withdrawal(market: House) -> None:
    """Eight threads use while policies are replaced: the log has each use under the policies of that moment."""
    agree(market)
    accepted, granted, stop = [publish(market, 1)], list[str](), threading.Event()

    def use() -> None:
        while not stop.is_set():
            ruling = commit(market, ask(market))
            granted.extend([ruling.decision.revision] if ruling.decision.allow else [])

    with ThreadPoolExecutor(8) as threads:
        users = [threads.submit(use) for _ in range(8)]
        try:
            for version in range(2, 8):
                accepted.append(publish(market, version, more("\n" * version)))
                wait_until(lambda: accepted[-1].revision in granted)
        finally:
            stop.set()
        assert [one.result() for one in users] == [None] * 8

    inforce, decided = "", set()
    for entry in entries(market, "usage:policy_accepted", "usage:allowed", "usage:refused"):
        if entry["tag"] == "usage:policy_accepted":
            inforce = entry["facts"]["revision"]
        elif entry["tag"] == "usage:allowed":
            assert entry["facts"]["revision"] == inforce
            decided.add(inforce)
        else:
            assert entry["facts"]["reasons"] == ["policy_unavailable"]
    assert decided >= {one.revision for one in accepted[1:]}


def over_http(house: House) -> TestClient:
    return TestClient(create_app(house.runtime), base_url=house.runtime.settings.public_url)


def test_the_bundle_is_public_and_a_poll_that_has_it_gets_nothing(market: House) -> None:
    with over_http(market) as client:
        assert client.get("/policy/bundle.tar.gz").status_code == 404
        publish(market, 1)
        answer = client.get("/policy/bundle.tar.gz")
        assert policybundle.read(answer.content, PUBLISHER.public_jwk).version == 1
        again = client.get("/policy/bundle.tar.gz", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        publish(market, 2, NO)
        assert client.get("/policy/bundle.tar.gz", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 200


def test_readiness_names_the_policies_that_decide(market: House) -> None:
    with over_http(market) as client:
        assert client.get("/readyz").json()["checks"]["policy"]["status"] == "fail"
        publish(market, 1, NO)
        policy = client.get("/readyz").json()["checks"]["policy"]
        assert (policy["status"], policy["revision"]) == ("pass", NO.revision)


def test_an_opa_server_may_lag_behind_only_for_the_stated_time(market: House) -> None:
    settings = market.runtime.settings.model_copy(update={"policy_engine": "opa", "policy_overlap_seconds": 5})
    publish(market, 1)
    publish(market, 2, NO)
    with market.runtime.database.reading() as db:
        found = policyreleases.newest(db)
    now = market.clock.now()
    both = (NO.revision, FILES.revision)
    for seconds, expected in ((0, both), (4, both), (5, both[:1]), (60, both[:1])):
        may = policyreleases.may_decide(found, now + timedelta(seconds=seconds), settings)
        assert tuple(one.revision for one in may) == expected
    assert len(policyreleases.may_decide(found, now, market.runtime.settings)) == 1, "in process nothing lags"
