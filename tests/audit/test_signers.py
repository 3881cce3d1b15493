"""Signatures are judged by the log: recorded before the revocation of their key they hold, after it they do not."""

from __future__ import annotations

import json

import pytest
from sqlmodel import select

from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import DocumentSignature
from marketplace.audit.verifier.files import verify
from marketplace.audit.verifier.report import Report
from marketplace.kernel.canonical import Json
from tests.audit.world import NOW, OPERATOR, Log, sign, tell_story


def check(bundle: Json) -> Report:
    return verify("bundle.json", json.dumps(bundle).encode())


def revoke(log: Log, signer: str) -> None:
    with log.database.transaction() as db:
        facts = {"participant": signer, "kid": log.keys[signer].kid, "reason": "lost"}
        record(db, OPERATOR, Tag.KEY_REVOKED, NOW, facts=facts)


def failures(report: Report) -> list[str]:
    return [failure.detail for one in report.checks for failure in one.failures]


def test_a_signature_recorded_before_the_revocation_of_its_key_holds(log: Log) -> None:
    tell_story(log)
    for signer in ("prt_pharma", "prt_law", "service"):
        revoke(log, signer)
    log.round()
    report = check(log.bundle(agreement="agr_1"))
    assert report.exit_code == 0, report.plain()
    assert not [note for note in report.notes if "signatures" in note]


def test_a_signature_recorded_after_the_revocation_of_its_key_does_not_hold_whatever_time_it_states(log: Log) -> None:
    tell_story(log)
    revoke(log, "prt_registrar")
    with log.database.transaction() as db:
        late = documents.keep(db, "certificate", {"version_root": "cd" * 32, "signed_at": "2020-01-01T00:00:00Z"}, NOW)
        sign(db, late, "prt_registrar", log.keys["prt_registrar"], "certificate+jws")
        record(db, OPERATOR, Tag.CERTIFICATE_ISSUED, NOW, agreement="agr_1", facts={"document": late})
    log.round()
    report = check(log.bundle(agreement="agr_1"))
    assert report.exit_code == 1
    (said,) = failures(report)
    assert "recorded it after entry" in said


def test_a_signature_that_no_entry_recorded_is_noted_and_refused_once_its_key_is_revoked(log: Log) -> None:
    tell_story(log)
    with log.database.transaction() as db:
        db.exec(select(DocumentSignature).where(DocumentSignature.signer == "prt_law")).one().entry = None
    log.round()
    report = check(log.bundle(agreement="agr_1"))
    assert report.exit_code == 0
    assert "1 of 5 signatures are recorded by an entry that is not among the entries" in report.notes
    revoke(log, "prt_law")
    log.round()
    report = check(log.bundle(agreement="agr_1"))
    assert "no entry shows that it was made before" in failures(report)[0]


@pytest.mark.parametrize("tag", ["participant:signature_accepted", "participant:key_registered"])
def test_the_entries_that_judge_a_signature_are_in_every_bundle(log: Log, tag: str) -> None:
    tell_story(log)
    log.write(3)
    log.round()
    bundle = log.bundle(agreement="agr_1")
    tags = [json.loads(one["body"])["tag"] for one in bundle["entries"]]
    assert tags.count(tag) == 5
