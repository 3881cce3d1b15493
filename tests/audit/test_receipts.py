"""Receipts: small, the same each time, and a promise that was broken is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from marketplace.audit import receipts
from marketplace.audit.entry import Tag, record
from marketplace.audit.verifier.files import verify_all
from marketplace.audit.verifier.report import Report
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, canonical, read_strictly
from marketplace.kernel.signing import SigningKey, generate_key, verify_compact
from tests.audit.world import BUYER, NOW, OPERATOR, PROVIDER, Log, tell_story

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
    signed = verify_compact(receipt, log.keys["service"].public_jwk, typ="receipt+jwt")
    promise = read_strictly(signed)
    assert signed == canonical(promise)
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
    assert report.notes[0].startswith("not judged: ent_gone, promised by receipt 1; it was due in the tree before")


def test_an_entry_that_is_not_due_yet_is_said_to_be_so(log: Log) -> None:
    tell_story(log)
    log.round()
    later = receipts.issue(
        runtime(log, log.keys["service"]), [("ent_new", "ab" * 32)], datetime(2100, 1, 1, tzinfo=UTC)
    )
    _, report = check(log, later)
    assert report.exit_code == 0
    assert "it was not due yet when the checkpoint at hand was cosigned" in report.notes[0]


def interleave(log: Log, *actors: Actor, count: int = 40) -> dict[str, Recorded]:
    """Entries of several callers, one after another in the log; what each was answered with."""
    found: dict[str, Recorded] = {one.participant: [] for one in actors}
    with log.database.transaction() as db:
        for _ in range(count):
            for actor in actors:
                record(db, actor, Tag.ACCESS_REQUESTED, NOW, agreement="agr_1")
                found[actor.participant].append(db.info["entries"][-1])
    return found


def test_a_batch_among_the_entries_of_others_is_found_by_its_author(log: Log) -> None:
    tell_story(log)
    mine = interleave(log, BUYER, PROVIDER)[BUYER.participant]
    log.round()
    _, report = check(log, issue(log, mine))
    assert (report.exit_code, report.checks[1].counted, report.notes) == (0, 1, [])


def test_a_batch_whose_members_do_not_show_is_not_judged_and_accuses_nobody(log: Log) -> None:
    tell_story(log)
    both = interleave(log, BUYER, PROVIDER)
    mixed = [*both[BUYER.participant][:30], *both[PROVIDER.participant][:30]]
    log.round()
    bundle = log.bundle(agreement="agr_1")
    removed = both[BUYER.participant][3][0]
    bundle["entries"] = [one for one in bundle["entries"] if removed not in one["body"]]
    for promised in (mixed, both[BUYER.participant]):
        report = verify_all([("b", json.dumps(bundle).encode()), ("r", issue(log, promised).encode())])[1]
        assert (report.exit_code, report.checks[1].counted) == (0, 0)
        assert "it cannot be judged" in report.notes[0]


def test_a_batch_from_which_the_log_lost_an_entry_is_broken(log: Log) -> None:
    tell_story(log)
    entries = write(log, 40)
    promised = sorted([*entries, (f"{entries[20][0]}x", "ab" * 32)])
    log.round()
    (said,) = failures(check(log, issue(log, promised))[1])
    assert said.startswith("BROKEN PROMISE: the 41 entries")


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
