"""The bytes of each use add up: whatever entry is missing, moved or wrong is named."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from marketplace.audit import companions
from marketplace.audit.entry import Tag, record
from marketplace.audit.verifier.files import verify
from marketplace.kernel.canonical import Json
from tests.audit.world import BUYER, NOW, OPERATOR, PURPOSE, Log, tell_story

HASH = "cc" * 32
CHARGE = {"kind": "use.transfer", "quantity": 1, "key": "use.transfer:trf_2"}
ALLOWED = (Tag.USE_ALLOWED, {"from": 100, "to": 130, **PURPOSE})
FIRST = (Tag.WINDOW_SERVED, {"offset": 100, "length": 20, "running_sha256": "dd" * 32})
SECOND = (Tag.WINDOW_SERVED, {"offset": 120, "length": 10, "running_sha256": HASH})
CLOSED = (Tag.TRANSFER_CLOSED, {"outcome": "complete", "from": 100, "bytes": 30, "sha256": HASH})
CHARGED = (Tag.COST_METERED, CHARGE)


def changed(step: tuple[Tag, dict[str, Any]], **facts: Any) -> tuple[Tag, dict[str, Any]]:
    return step[0], step[1] | facts


CUT = {"outcome": "agreement_suspended", "from": 100, "bytes": 20, "sha256": "dd" * 32}


def tell(log: Log, steps: list[Any], now: datetime = NOW) -> None:
    """The story, and entry by entry a second use under its agreement, or what is said of something else."""
    tell_story(log)
    tell_more(log, steps, now)


def tell_more(log: Log, steps: list[Any], now: datetime) -> None:
    with log.database.transaction() as db:
        for tag, facts, *about in steps:
            of_use = not about and tag is not Tag.COST_METERED
            told = {"transfer": "trf_2", "leg": 1} | facts if of_use else facts
            record(db, BUYER, tag, now, **(about[0] if about else {"asset": "ast_1", "agreement": "agr_1"}), facts=told)
    log.round()


def findings(log: Log, **scope: Any) -> list[str]:
    return told(log.bundle(**(scope or {"agreement": "agr_1"})))


def told(bundle: Json) -> list[str]:
    report = verify("b", json.dumps(bundle).encode())
    return [failure.detail for one in report.checks for failure in one.failures]


def test_a_whole_use_is_in_order(log: Log) -> None:
    tell(log, [ALLOWED, FIRST, SECOND, CLOSED, CHARGED])
    assert findings(log) == []


def test_a_use_that_is_still_running_is_in_order(log: Log) -> None:
    tell(log, [ALLOWED, FIRST])
    assert findings(log) == []


@pytest.mark.parametrize("scope", [{"asset": "ast_1"}, {"participant": "prt_pharma"}])
def test_a_narrower_bundle_holds_the_whole_of_each_use_all_the_same(log: Log, scope: dict[str, str]) -> None:
    tell(log, [ALLOWED, FIRST, SECOND, CLOSED, CHARGED])
    with log.database.transaction() as db:
        facts = {"transfer": "trf_1", "leg": 2, "from": 0, "to": 5, **PURPOSE}
        record(db, BUYER, Tag.USE_ALLOWED, NOW, agreement="agr_1", facts=facts)
    log.round()
    assert findings(log, **scope) == []


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([FIRST, SECOND, CLOSED], "no entry shows that this use was allowed"),
        ([FIRST, ALLOWED, SECOND, CLOSED], "it was logged before"),
        ([ALLOWED, SECOND, CLOSED], "it begins at byte 120, the one before ended at 100"),
        ([ALLOWED, FIRST, FIRST, SECOND, CLOSED], "it begins at byte 100, the one before ended at 120"),
        ([ALLOWED, FIRST, changed(SECOND, length=11), CLOSED], "it goes up to byte 131, allowed were those before 130"),
        ([ALLOWED, FIRST, SECOND, changed(CLOSED, bytes=29)], "it says 29 bytes, the windows add up to 30"),
        ([ALLOWED, FIRST, SECOND, changed(CLOSED, sha256="ee" * 32)], "its hash is not that of the last window"),
        ([ALLOWED, FIRST, CLOSED, SECOND], "it was served after"),
        ([ALLOWED, FIRST, SECOND, CLOSED, CLOSED], "had closed it already"),
        ([ALLOWED, ALLOWED, FIRST, SECOND, CLOSED], "allowed already"),
        ([ALLOWED, changed(FIRST, offset="100"), SECOND, CLOSED], "it does not say which bytes it is about"),
        ([ALLOWED, FIRST, SECOND, CLOSED, CHARGED, CHARGED], "charges the same transfer"),
        ([changed(CHARGED, key="use.transfer:trf_9")], "of which nothing is in the bundle"),
    ],
)
def test_what_does_not_add_up_is_named(log: Log, steps: list[tuple[Tag, dict[str, Any]]], said: str) -> None:
    tell(log, steps)
    found = findings(log)
    assert any(said in one for one in found), found


def step(tag: Tag, *, version: str | None = None, agreement: str | None = "agr_1", **facts: Any) -> Any:
    """An entry that is none of a use."""
    return tag, facts, {"version": version, "agreement": agreement}


USE = [ALLOWED, FIRST, SECOND, CLOSED]
SUSPENDED, RESUMED = step(Tag.AGREEMENT_SUSPENDED), step(Tag.AGREEMENT_RESUMED)
OF_VERSION = {"version": "ver_1", "agreement": None}
FROZEN = step(Tag.CERTIFICATE_SUSPENDED, code="SJ1", **OF_VERSION)
THAWED = step(Tag.CERTIFICATE_RESUMED, code="SJ1", **OF_VERSION)
SHUT_OUT = step(Tag.PARTICIPANT_SUSPENDED, agreement=None, participant="prt_pharma")
LET_IN = step(Tag.PARTICIPANT_REINSTATED, agreement=None, participant="prt_pharma")


@pytest.mark.parametrize(
    ("steps", "by"),
    [
        ([step(Tag.AGREEMENT_TERMINATED), *USE], "negotiation:agreement_terminated"),
        ([step(Tag.AGREEMENT_EXPIRED), *USE], "negotiation:agreement_expired"),
        ([SUSPENDED, *USE], "negotiation:agreement_suspended"),
        ([SUSPENDED, RESUMED, SUSPENDED, *USE], "negotiation:agreement_suspended"),
        ([ALLOWED, SUSPENDED, FIRST, SECOND, CLOSED], "negotiation:agreement_suspended"),
        ([FROZEN, *USE], "registration:certificate_suspended"),
        ([step(Tag.CERTIFICATE_CANCELLED, code="SJ1", **OF_VERSION), *USE], "registration:certificate_cancelled"),
        ([step(Tag.CERTIFICATE_LAPSED, code="SJ1", **OF_VERSION), *USE], "registration:certificate_lapsed"),
        ([FROZEN, step(Tag.CERTIFICATE_RESUMED, code="SJ2", **OF_VERSION), *USE], "registration:certificate_suspended"),
        ([step(Tag.VERSION_SUSPENDED, **OF_VERSION), *USE], "asset:version_suspended"),
        ([step(Tag.VERSION_RETIRED, **OF_VERSION), *USE], "asset:version_retired"),
        ([SHUT_OUT, *USE], "participant:suspended"),
    ],
)
@pytest.mark.parametrize("scope", [{"agreement": "agr_1"}, {"participant": "prt_pharma"}])
def test_a_use_after_its_ground_was_stopped_is_named(
    log: Log, steps: list[Any], by: str, scope: dict[str, str]
) -> None:
    tell(log, steps)
    found = findings(log, **scope)
    assert found
    assert all(f"{by}, had stopped it" in one for one in found), found


@pytest.mark.parametrize(
    "steps",
    [
        [SUSPENDED, RESUMED, *USE],
        [FROZEN, THAWED, *USE],
        [SHUT_OUT, LET_IN, *USE],
        [*USE, step(Tag.AGREEMENT_TERMINATED)],
        [ALLOWED, FIRST, SUSPENDED, (Tag.TRANSFER_CLOSED, CUT)],
        [step(Tag.CERTIFICATE_SUSPENDED, code="SJ2", **OF_VERSION), *USE],
        [step(Tag.VERSION_SUSPENDED, version="ver_2", agreement=None), *USE],
        [step(Tag.PARTICIPANT_SUSPENDED, agreement=None, participant="prt_law"), *USE],
        [step(Tag.AGREEMENT_TERMINATED, agreement="agr_2"), *USE],
    ],
)
def test_a_use_while_its_ground_stood_is_in_order(log: Log, steps: list[Any]) -> None:
    tell(log, steps)
    assert findings(log) == []


@pytest.mark.parametrize("steps", [[ALLOWED, FIRST, SUSPENDED, SECOND, CLOSED], [SUSPENDED, ALLOWED]])
@pytest.mark.parametrize(("seconds", "right"), [(0, True), (10, True), (11, False)])
def test_what_was_under_way_at_a_stop_is_noted_once_and_only_right_behind_it(
    log: Log, steps: list[Any], seconds: int, right: bool
) -> None:
    place = steps.index(SUSPENDED) + 1
    tell(log, steps[:place])
    tell_more(log, steps[place:], NOW + timedelta(seconds=seconds))
    report = verify("b", json.dumps(log.bundle(agreement="agr_1")).encode())
    assert (report.exit_code == 0) == right, report.plain()
    assert ("1 entries of uses stand right behind a stop: they may have been under way" in report.notes) == right


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"purpose": "marketing"}, "does not permit use for marketing"),
        ({"purpose": "education"}, "does not permit use for education"),
        ({"action": "distribute"}, "does not permit distribute for model_training"),
        ({"action": "unknown"}, "does not permit unknown for model_training"),
        ({"purpose": None}, "it does not say for which purpose and action it was"),
        ({"action": "train"}, ""),
        ({"purpose": "statistics", "action": "read"}, ""),
    ],
)
def test_a_use_is_compared_with_what_both_signed(log: Log, facts: dict[str, Any], said: str) -> None:
    tell(log, [changed(ALLOWED, **facts), FIRST, SECOND, CLOSED])
    found = findings(log)
    assert len(found) == (1 if said else 0), found
    assert not said or said in found[0]


@pytest.mark.parametrize(("days", "right"), [(-2, False), (0.9, True), (1, False)])
def test_a_use_outside_the_term_of_its_agreement_is_named(log: Log, days: float, right: bool) -> None:
    tell(log, USE, NOW + timedelta(days=days))
    assert [one for one in findings(log) if "the agreement runs from" in one] == findings(log)
    assert (findings(log) == []) == right


def test_a_use_before_its_agreement_came_into_force_is_named(log: Log) -> None:
    tell_story(log)
    log.round()
    bundle = log.bundle(agreement="agr_1")
    entries = [json.loads(one["body"])["tag"] for one in bundle["entries"]]
    final = bundle["entries"].pop(entries.index("negotiation:agreement_finalized"))
    assert "no entry at hand shows that its agreement came into force" in told(bundle)
    bundle["entries"].append(final | {"index": 500})
    assert "it was logged before entry 500 put its agreement in force" in told(bundle)


def test_a_document_of_another_agreement_is_no_ground(log: Log) -> None:
    tell_story(log, agreement_id="agr_9")
    log.round()
    assert "its agreement is agr_1, the document is of agr_9" in findings(log)


def test_an_address_for_notices_is_no_use(log: Log) -> None:
    tell(log, [step(Tag.NOTICE_ADDRESS_SET, agreement=None, address_sha256="ab" * 32)])
    assert findings(log, participant="prt_pharma") == []


def use_of(transfer: str) -> list[tuple[Tag, dict[str, Any]]]:
    steps = [(tag, facts | {"transfer": transfer}) for tag, facts in USE]
    return [*steps, (Tag.COST_METERED, CHARGE | {"key": f"use.transfer:{transfer}"})]


LATER = NOW + timedelta(hours=1)


def test_a_period_behind_many_uses_brings_the_whole_of_its_own(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(log, [one for number in range(8) for one in use_of(f"trf_a{number}")])
    tell_more(log, use_of("trf_z"), LATER)
    monkeypatch.setattr(companions, "LIMIT", 10)
    assert findings(log, agreement="agr_1", time_from=LATER) == []


def test_a_use_that_began_before_the_period_is_whole_too(log: Log) -> None:
    first, *others = use_of("trf_z")
    tell(log, [first])
    tell_more(log, others, LATER)
    assert findings(log, agreement="agr_1", time_from=LATER) == []


def test_too_wide_a_period_is_said_and_nothing_is_left_out(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(log, [one for number in range(3) for one in use_of(f"trf_a{number}")])
    monkeypatch.setattr(companions, "LIMIT", 10)
    with pytest.raises(companions.ScopeTooWide, match="the whole of each use") as error:
        log.bundle(agreement="agr_1")
    assert "narrow the period" in str(error.value.action)


def test_a_revocation_behind_many_other_keys_is_in_the_bundle(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    tell_story(log)
    with log.database.transaction() as db:
        for number in range(30):
            facts = {"participant": f"prt_{number}", "kid": f"key-{number}"}
            record(db, OPERATOR, Tag.KEY_REGISTERED, NOW, facts=facts)
        revoked = {"participant": "prt_law", "kid": log.keys["prt_law"].kid, "reason": "lost"}
        record(db, OPERATOR, Tag.KEY_REVOKED, NOW, facts=revoked)
    log.round()
    monkeypatch.setattr(companions, "LIMIT", 20)
    tags = [json.loads(one["body"])["tag"] for one in log.bundle(agreement="agr_1")["entries"]]
    assert (tags.count(Tag.KEY_REGISTERED), tags.count(Tag.KEY_REVOKED)) == (5, 1)
