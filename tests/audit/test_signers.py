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
from tests.audit.world import NOW, OPERATOR, PROVIDER, Log, sign, tell_story


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
        content = {"registrar": {"id": "prt_registrar"}, "signed_at": "2020-01-01T00:00:00Z"}
        late = documents.keep(db, "certificate", content, NOW)
        sign(db, late, "prt_registrar", log.keys["prt_registrar"], "certificate+jws")
        record(db, OPERATOR, Tag.CERTIFICATE_ISSUED, NOW, agreement="agr_1", facts={"document": late})
    log.round()
    report = check(log.bundle(agreement="agr_1"))
    said, missing = failures(report)
    assert "recorded it after entry" in said
    assert missing == "no valid signature of prt_registrar"


def test_a_signature_that_no_entry_recorded_is_none(log: Log) -> None:
    tell_story(log)
    with log.database.transaction() as db:
        db.exec(select(DocumentSignature).where(DocumentSignature.signer == "prt_law")).one().entry = None
    log.round()
    assert failures(check(log.bundle(agreement="agr_1"))) == ["no valid signature of prt_law"]


def without(bundle: Json, tag: str, **facts: str) -> Json:
    """The bundle as somebody would make it who leaves out what does not suit him."""
    kept = [one for one in bundle["entries"] if not tells(json.loads(one["body"]), tag, facts)]
    assert len(kept) < len(bundle["entries"])
    return bundle | {"entries": kept}


def tells(entry: Json, tag: str, facts: Json) -> bool:
    return bool(entry["tag"] == tag and facts.items() <= entry["facts"].items())


@pytest.mark.parametrize(
    ("tag", "facts", "said"),
    [
        ("participant:key_registered", {}, "no entry at hand registers its key for prt_hospital"),
        ("participant:key_registered", {"participant": "prt_registrar"}, "registers its key for prt_registrar"),
        ("participant:signature_accepted", {}, "no entry at hand recorded it"),
        ("participant:signature_accepted", {"kind": "delivery-manifest"}, "no entry at hand recorded it"),
        ("participant:admitted", {"participant": "prt_law"}, "no entry at hand admits prt_law as law_firm"),
        ("participant:admitted", {"participant": "prt_pharma"}, "no entry at hand admits prt_pharma as buyer"),
    ],
)
def test_whoever_makes_the_bundle_gains_nothing_by_leaving_out_entries(
    log: Log, tag: str, facts: dict[str, str], said: str
) -> None:
    tell_story(log)
    log.round()
    report = check(without(log.bundle(agreement="agr_1"), tag, **facts))
    assert [one for one in failures(report) if said in one], report.plain()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("certificate", "no valid signature of prt_registrar"),
        ("opinion", "no valid signature of prt_law"),
        ("delivery-manifest", "no valid signature of the service itself"),
    ],
)
def test_a_document_counts_when_the_party_that_it_names_signed_it(log: Log, kind: str, said: str) -> None:
    tell_story(log, signed_by={kind: "prt_pharma"})
    log.round()
    assert failures(check(log.bundle(agreement="agr_1"))) == [said]


@pytest.mark.parametrize("party", ["prt_registrar", "prt_law", "prt_hospital", "prt_pharma"])
def test_a_signature_counts_in_the_role_that_the_log_admitted_the_party_in(log: Log, party: str) -> None:
    tell_story(log, roles={party: "auditor"})
    log.round()
    (said,) = failures(check(log.bundle(agreement="agr_1")))
    assert f"no entry at hand admits {party} as" in said


@pytest.mark.parametrize(
    ("kind", "tag", "signer", "said"),
    [
        ("stop-notice", Tag.STOP_NOTIFIED, "prt_pharma", "no valid signature of the service itself"),
        ("certificate", Tag.CERTIFICATE_ISSUED, "prt_law", "no valid signature of prt_registrar"),
        ("opinion", Tag.OPINION_SIGNED, "prt_pharma", "no valid signature of prt_law"),
        ("opinion", Tag.OPINION_SIGNED, "prt_law", ""),
        ("opinion", Tag.OPINION_DRAFTED, "", ""),
    ],
)
def test_what_took_effect_is_signed_by_its_author_and_a_draft_need_not_be(
    log: Log, kind: str, tag: Tag, signer: str, said: str
) -> None:
    tell_story(log)
    with log.database.transaction() as db:
        content = {"registrar": {"id": "prt_registrar"}, "firm": {"id": "prt_law"}, "of": kind}
        made = documents.keep(db, kind, content, NOW)
        if signer:
            sign(db, made, signer, log.keys[signer], f"{kind}+jws")
        record(db, OPERATOR, tag, NOW, agreement="agr_1", facts={"document": made})
    log.round()
    assert failures(check(log.bundle(agreement="agr_1"))) == ([said] if said else [])


def test_an_agreement_that_is_not_signed_yet_is_no_broken_evidence(log: Log) -> None:
    tell_story(log)
    with log.database.transaction() as db:
        draft = documents.keep(db, "agreement", {"id": "agr_2"}, NOW, readers=["prt_pharma"])
        record(db, PROVIDER, Tag.OFFER_MADE, NOW, asset="ast_1", agreement="agr_2", facts={"document": draft})
    log.round()
    report = check(log.bundle(asset="ast_1"))
    assert report.exit_code == 0, report.plain()
    assert "1 of 2 agreements never came into force, as far as the entries tell" in report.notes


def test_a_signature_that_no_cosigned_tree_holds_yet_is_not_exported(log: Log) -> None:
    tell_story(log)
    with log.database.transaction() as db:
        draft = documents.keep(db, "opinion", {"firm": {"id": "prt_law"}}, NOW)
        record(db, OPERATOR, Tag.OPINION_DRAFTED, NOW, agreement="agr_1", facts={"document": draft})
    log.round()
    with log.database.transaction() as db:
        sign(db, draft, "prt_law", log.keys["prt_law"], "opinion+jws")
    report = check(log.bundle(agreement="agr_1"))
    assert report.exit_code == 0, report.plain()


@pytest.mark.parametrize("tag", ["participant:signature_accepted", "participant:key_registered"])
def test_the_entries_that_judge_a_signature_are_in_every_bundle(log: Log, tag: str) -> None:
    tell_story(log)
    log.write(3)
    log.round()
    bundle = log.bundle(agreement="agr_1")
    tags = [json.loads(one["body"])["tag"] for one in bundle["entries"]]
    assert tags.count(tag) == 5
