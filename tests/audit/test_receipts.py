"""Receipts: small, the same each time, and a promise that was broken is named."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from marketplace.audit import receipts
from marketplace.audit.entry import Tag, record
from marketplace.audit.verifier.files import verify_all
from marketplace.audit.verifier.report import Report
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.kernel.signing import SigningKey, generate_key, verify_compact
from tests.audit.world import BUYER, NOW, OPERATOR, Log, tell_story

Recorded = list[tuple[str, str]]


def runtime(log: Log, key: SigningKey) -> Any:
    return SimpleNamespace(settings=log.settings, service_key=key)


def write(log: Log, count: int) -> Recorded:
    """Entries of one transaction under the story's agreement, as the edge sees them."""
    with log.database.transaction() as db:
        for number in range(count):
            record(db, BUYER, Tag.ACCESS_REQUESTED, NOW, agreement="agr_1", facts={"n": number})
        return list(db.info["entries"])


def issue(log: Log, entries: Recorded, key: SigningKey | None = None) -> str:
    return receipts.issue(runtime(log, key or log.keys["service"]), entries, NOW)


def check(log: Log, *lines: str) -> tuple[Report, Report]:
    bundle = json.dumps(log.bundle(agreement="agr_1")).encode()
    given: list[tuple[str, bytes | str]] = [("bundle", bundle), ("receipts", "\n".join(lines).encode())]
    one, two = verify_all(given)
    return one, two


def failures(report: Report) -> list[str]:
    return [failure.detail for one in report.checks for failure in one.failures]


@pytest.mark.parametrize("count", [1, 24, 25, 400])
def test_a_receipt_promises_its_entries_and_stays_below_six_kilobytes(log: Log, count: int) -> None:
    tell_story(log)
    entries = write(log, count)
    receipt = issue(log, entries)
    assert len(receipt) < 6 * 1024
    promise = read_strictly(verify_compact(receipt, log.keys["service"].public_jwk, typ="receipt+jwt"))
    assert {"v": 1, "log": log.settings.log_origin, "merge_within_seconds": 60}.items() <= promise.items()
    assert ("entries" in promise) == (count <= 24)
    log.round()
    bundle, report = check(log, json.dumps({"receipt": receipt}))
    assert (bundle.exit_code, report.exit_code) == (0, 0), report.plain()
    assert report.checks[1].counted == (count if count <= 24 else 1)
    assert report.notes == []


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_the_same_promise_signed_again_is_the_same_receipt(log: Log, algorithm: str) -> None:
    key = generate_key(algorithm)
    entries = [("ent_1", "ab" * 32)]
    assert issue(log, entries, key) == issue(log, entries, key)


@pytest.mark.parametrize("count", [3, 40])
def test_an_entry_with_another_leaf_is_a_broken_promise(log: Log, count: int) -> None:
    tell_story(log)
    entries = write(log, count)
    promised = [*entries[:-1], (entries[-1][0], "ab" * 32)]
    log.round()
    _, report = check(log, issue(log, promised))
    assert report.exit_code == 1
    (said,) = failures(report)
    assert said.startswith("BROKEN PROMISE")
    assert entries[-1][0] in said


def test_an_entry_that_is_not_in_the_bundle_is_listed_and_nothing_is_claimed(log: Log) -> None:
    tell_story(log)
    log.round()
    _, report = check(log, issue(log, [("ent_gone", "ab" * 32)]))
    assert report.exit_code == 0
    assert "not in this bundle: ent_gone" in report.notes[0]


@pytest.mark.parametrize("signer", ["prt_pharma", "nobody"])
def test_a_receipt_of_a_key_that_is_not_the_services_is_refused(log: Log, signer: str) -> None:
    tell_story(log)
    entries = write(log, 1)
    log.round()
    key = log.keys.get(signer) or generate_key()
    _, report = check(log, issue(log, entries, key))
    assert "registers its key" in failures(report)[0]


def test_a_changed_receipt_and_a_receipt_of_another_log_are_refused(log: Log) -> None:
    tell_story(log)
    entries = write(log, 1)
    log.round()
    first, payload, last = issue(log, entries).split(".")
    other = runtime(log, log.keys["service"])
    other.settings = log.settings.model_copy(update={"log_origin": "other.example/log"})
    changed = ".".join((first, payload[:-2] + ("A" if payload[-2] != "A" else "B") + payload[-1], last))
    _, report = check(log, changed, receipts.issue(other, entries, NOW))
    assert len(failures(report)) == 2


def test_a_receipt_of_a_revoked_key_counts_for_entries_before_the_revocation_only(log: Log) -> None:
    tell_story(log)
    before = issue(log, write(log, 1))
    with log.database.transaction() as db:
        facts = {"participant": "service", "kid": log.keys["service"].kid, "reason": "lost"}
        record(db, OPERATOR, Tag.KEY_REVOKED, NOW, facts=facts)
    after = issue(log, write(log, 1))
    log.round()
    assert check(log, before)[1].exit_code == 0
    (said,) = failures(check(log, after)[1])
    assert "had revoked the key" in said


def test_receipts_inside_the_bundle_are_checked_too(log: Log) -> None:
    tell_story(log)
    entries = write(log, 2)
    log.round()
    bundle: Json = log.bundle(agreement="agr_1")
    for promised, code in ((entries, 0), ([(entries[0][0], "ab" * 32)], 1)):
        bundle["receipts"] = [issue(log, promised)]
        (report,) = verify_all([("bundle", json.dumps(bundle).encode())])
        assert report.exit_code == code
