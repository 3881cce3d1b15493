from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlmodel import select

from marketplace.assets import queries as assets
from marketplace.assets.models import Version
from marketplace.audit import documents
from marketplace.audit.models import Entry
from marketplace.costing.models import MeterEvent
from marketplace.kernel.transitions import NotYourStep, WrongState
from marketplace.legal import evidence
from marketplace.legal.schemas import EvidenceIn
from marketplace.participants.signatures import UnknownKey
from marketplace.plumbing import epochs
from marketplace.plumbing.outbox import due_rows
from marketplace.registration import certificates, codes, objections, queries, rules, service
from marketplace.registration.models import Application, Certificate, CertificateSerial
from marketplace.registration.rules import NotRegistrable, State
from marketplace.registration.schemas import ObjectionIn, RefusalIn, SettlementIn
from tests.house import House
from tests.legal.parts import assess, condition, governed, signed
from tests.registration.parts import application_in, assessed, certified, filed, issue, noticed, prepare, prepared
from workers.tasks.registration import TASKS


def stage(house: House, version_id: str) -> str:
    with house.runtime.database.reading() as db:
        return assets.version(db, version_id).stage


def state(house: House, found: Application) -> str:
    with house.runtime.database.reading() as db:
        return queries.application(db, found.id).state


def worth(house: House, found: Certificate) -> tuple[str, bool, set[str]]:
    """What the certificate, the version and the operating right are worth now."""
    with house.runtime.database.reading() as db:
        now, row = house.clock.now(), queries.certificate(db, found.code)
        valid = queries.valid_certificate(db, assets.version(db, found.version_id), now)
        return (
            queries.certificate_status(row, now),
            valid is not None,
            queries.holders(db, row.asset_id, "operating", now),
        )


def change(house: House, verb, found: Certificate, name: str = "registrar") -> None:
    with house.db() as db:
        verb(db, house.cast[name].actor, queries.certificate(db, found.code), "court order", house.clock.now())


def test_from_an_opinion_to_a_certificate(house: House):
    found = certified(house)
    with house.runtime.database.reading() as db:
        content = documents.content(db, found.document)
        record = assets.stage_records(db, found.version_id)[-1]
        events = {event.kind: event for event in db.exec(select(MeterEvent))}
        rights = queries.rights(db, found.code)
    assert found.code == "SJ9912026090001"
    assert found.valid_until.year == found.issued_at.year + 5
    assert stage(house, found.version_id) == "certified"
    assert [item["kind"] for item in record.evidence] == ["certificate", "opinion", "application", "notice"]
    assert content["version_root"] == found.root
    assert {right.kind for right in rights} == {"holding", "use", "operating"}
    metered = events["registration.certificate"]
    assert (metered.quantity, metered.event_key) == (1, f"certificate:{found.code}")
    assert (metered.payer_id, metered.payee_id) == ("prt_hospital", "prt_registrar")
    assert worth(house, found) == ("valid", True, {"prt_hospital"})


def test_the_notice_ends_by_the_clock_and_the_refusal_says_when(house: House):
    found = noticed(house)
    house.clock.advance_to(found.notice_until - timedelta(seconds=1))
    with pytest.raises(service.NoticeRunning) as caught:
        prepare(house, found)
    assert caught.value.expected.startswith(found.notice_until.strftime("%Y-%m-%dT%H:%M"))
    house.clock.advance(timedelta(seconds=1))
    assert prepare(house, found).state == State.DEPOSITED


def test_a_running_notice_is_public_and_leaves_out_what_is_withheld(house: House):
    asked = {"withheld": {"fields": ["overview"], "reason": "trade secret"}}
    found = noticed(house, form=asked)
    with house.runtime.database.reading() as db:
        assert [one.id for one in queries.running_notices(db, house.clock.now()).rows] == [found.id]
        content = documents.content(db, found.notice_document)
        assert documents.get(db, found.notice_document).readers == ["*"]
    assert content["overview"] is None
    assert content["limits"]["region"] == "CN"
    house.clock.advance_to(found.notice_until)
    with house.runtime.database.reading() as db:
        assert queries.running_notices(db, house.clock.now()).rows == []


def test_silence_for_three_working_days_means_accepted(house: House):
    found = filed(house)
    with house.db() as db:
        limit = service.accept_by(found)
        assert service.accept_by_silence(db, queries.application(db, found.id), house.clock.now()).state == State.FILED
    house.clock.advance_to(limit)
    with house.db() as db:
        assert due_rows(db, house.clock.now(), limit=9)
    TASKS[service.SILENCE_TASK](house.runtime, {"application": found.id})
    TASKS[service.SILENCE_TASK](house.runtime, {"application": found.id})
    assert state(house, found) == State.ACCEPTED
    with house.db() as db:
        accepted = [entry for entry in db.exec(select(Entry)) if entry.tag == "registration:application_accepted"]
    assert [entry.actor for entry in accepted] == ["service"]


def test_an_answered_application_is_not_accepted_by_silence(house: House):
    found = filed(house)
    with house.db() as db:
        row = queries.application(db, found.id)
        service.send_back(db, house.cast["registrar"].actor, row, "sample is missing", house.clock.now())
    house.clock.advance(timedelta(days=30))
    TASKS[service.SILENCE_TASK](house.runtime, {"application": found.id})
    assert state(house, found) == State.RETURNED
    assert filed(house, version_of(house, found)).state == State.FILED


def version_of(house: House, found: Application) -> Version:
    with house.runtime.database.reading() as db:
        return assets.version(db, found.version_id)


def test_after_the_clock_ran_out_a_return_is_too_late(house: House):
    found = filed(house)
    house.clock.advance(timedelta(days=30))
    with house.db() as db:
        row = queries.application(db, found.id)
        with pytest.raises(WrongState):
            service.send_back(db, house.cast["registrar"].actor, row, "sample is missing", house.clock.now())


def object_as(house: House, found: Application, name: str) -> str:
    with house.db() as db:
        row = queries.noticed_application(db, found.id, house.clock.now())
        asked = ObjectionIn(grounds="the images are ours")
        return objections.object_to(db, house.cast[name].actor, row, asked, house.clock.now()).id


def settle(house: House, found: Application, objection: str, *, upheld: bool, name: str = "registrar") -> None:
    with house.db() as db:
        row = queries.application(db, found.id)
        asked = SettlementIn(upheld=upheld, ruling="inquiry done")
        open_one = queries.open_objection(db, found.id, objection)
        objections.settle_objection(db, house.cast[name].actor, row, open_one, asked, house.clock.now())


def test_nothing_is_issued_until_every_objection_is_settled(house: House):
    found = noticed(house)
    first, second = object_as(house, found, "institute"), object_as(house, found, "pharma")
    house.clock.advance_to(found.notice_until)
    with pytest.raises(WrongState):
        prepare(house, found)
    settle(house, found, first, upheld=False)
    with pytest.raises(WrongState):
        prepare(house, found)
    settle(house, found, second, upheld=False)
    assert issue(house, prepare(house, found)).state == "valid"


def test_an_upheld_objection_refuses_the_application(house: House):
    found = noticed(house)
    settle(house, found, object_as(house, found, "institute"), upheld=True)
    assert state(house, found) == State.REFUSED
    house.clock.advance_to(found.notice_until)
    with pytest.raises(WrongState):
        prepare(house, found)


def test_objections_come_from_others_while_the_notice_runs(house: House):
    found = noticed(house)
    for name in ("hospital", "registrar"):
        with pytest.raises(objections.OwnObjection):
            object_as(house, found, name)
    objection = object_as(house, found, "institute")
    with pytest.raises(NotYourStep):
        settle(house, found, objection, upheld=False, name="institute")
    settle(house, found, objection, upheld=False)
    house.clock.advance_to(found.notice_until)
    with pytest.raises(queries.NoSuchApplication):
        object_as(house, found, "pharma")


def test_the_registrar_refuses_on_a_ground(house: House):
    found = noticed(house)
    with house.db() as db:
        row, asked = queries.application(db, found.id), RefusalIn(ground="false_proof", reason="the licence is forged")
        service.refuse(db, house.cast["registrar"].actor, row, asked, house.clock.now())
    assert state(house, found) == State.REFUSED


def test_a_version_without_a_valid_opinion_is_not_registered(house: House):
    with pytest.raises(service.NotReadyToRegister):
        filed(house, governed(house))
    version = assessed(house)
    house.clock.advance(timedelta(days=366))
    with pytest.raises(service.NotReadyToRegister):
        filed(house, version)


def test_one_application_at_a_time(house: House):
    version = assessed(house)
    filed(house, version)
    with pytest.raises(service.AlreadyApplied):
        filed(house, version)


@pytest.mark.parametrize("name", ["hospital", "law_firm", "exchange", "pharma", "operator"])
def test_only_a_registrar_is_applied_to(house: House, name: str):
    with pytest.raises(rules.NotIndependent):
        filed(house, registrar=house.cast[name].id)


def test_only_the_provider_applies(house: House):
    version = assessed(house)
    asked = application_in(house, version)
    with house.db() as db, pytest.raises(assets.NoSuchAsset):
        service.file(db, house.cast["pharma"].actor, version, asked, house.clock.now())


def test_co_holders_register_with_evidence_of_their_consent(house: House):
    version = assessed(house)
    asked = EvidenceIn(asset=version.asset_id, kind="consent_of_coholder", title="Consent", text="agreed")
    with house.db() as db:
        proof = evidence.add(db, house.cast["hospital"].actor, asked, house.runtime.store, house.clock.now()).sha256
    shared = {"kind": "operating", "holder": house.cast["institute"].id}
    with pytest.raises(NotRegistrable):
        filed(house, version, rights=[{"kind": "operating"}, shared])
    with pytest.raises(service.UnknownProof):
        filed(house, version, rights=[{"kind": "operating"}, shared | {"consent": "0" * 64}])
    found = certified(house, version, rights=[{"kind": "operating"}, shared | {"consent": proof}])
    assert worth(house, found)[2] == {"prt_hospital", "prt_institute"}


def test_a_right_ends_on_its_own_day(house: House):
    until = house.clock.now() + timedelta(days=100)
    found = certified(house, rights=[{"kind": "operating", "until": until.isoformat()}])
    house.clock.advance_to(until - timedelta(seconds=1))
    assert worth(house, found) == ("valid", True, {"prt_hospital"})
    house.clock.advance(timedelta(seconds=1))
    assert worth(house, found) == ("valid", True, set())


def test_the_opinion_must_still_hold_when_the_registrar_signs(house: House):
    version, due = governed(house), house.clock.now() + timedelta(days=30)
    assess(house, version, item19=condition(house, due))
    found = prepared(house, version)
    house.clock.advance_to(due)
    with pytest.raises(certificates.StalePreparation):
        issue(house, found)
    assert stage(house, version.id) == "assessed"


def test_a_fresh_opinion_needs_a_fresh_document(house: House):
    version = assessed(house)
    found = prepared(house, version)
    assess(house, version, number="EX-OP-renewed")
    with pytest.raises(certificates.StalePreparation):
        issue(house, found)
    again = prepare(house, found)
    assert again.certificate_code == found.certificate_code
    assert issue(house, again).code == found.certificate_code


def test_a_code_carries_the_month_of_issue(house: House):
    found = prepared(house)
    house.clock.advance(timedelta(days=31))
    with pytest.raises(certificates.StalePreparation):
        issue(house, found)
    assert issue(house, prepare(house, found)).code == "SJ9912026100001"


def test_a_certificate_lapses_by_itself(house: House):
    found = certified(house, years=1)
    house.clock.advance_to(found.valid_until - timedelta(seconds=1))
    assert worth(house, found) == ("valid", True, {"prt_hospital"})
    house.clock.advance(timedelta(seconds=1))
    assert worth(house, found) == ("lapsed", False, set())
    with pytest.raises(certificates.CertificateLapsed):
        change(house, certificates.suspend, found)


def test_suspension_stops_uses_in_the_same_transaction_and_can_be_lifted(house: House):
    found = certified(house)
    subjects = [found.code, found.version_id]
    with house.db() as db:
        before = epochs.total(db, subjects)
    change(house, certificates.suspend, found)
    assert worth(house, found) == ("suspended", False, set())
    with house.db() as db:
        assert epochs.total(db, subjects) == before + 2
        assert {db.get(epochs.Epoch, one).reason for one in subjects} == {"certificate_suspended"}
    change(house, certificates.resume, found)
    assert worth(house, found) == ("valid", True, {"prt_hospital"})


def test_cancellation_is_for_good(house: House):
    found = certified(house)
    change(house, certificates.cancel, found)
    assert worth(house, found) == ("cancelled", False, set())
    for verb in (certificates.resume, certificates.suspend, certificates.cancel):
        with pytest.raises(WrongState):
            change(house, verb, found)
    with house.db() as db:
        assert {db.get(epochs.Epoch, one).reason for one in (found.code, found.version_id)} == {"certificate_cancelled"}


@pytest.mark.parametrize("name", ["hospital", "exchange", "operator", "law_firm"])
def test_only_the_issuing_registrar_changes_a_certificate(house: House, name: str):
    found = certified(house)
    with pytest.raises(certificates.NotYourCertificate):
        change(house, certificates.suspend, found, name)


def test_a_certificate_is_found_by_document_and_by_root(house: House):
    found = certified(house)
    with house.runtime.database.reading() as db:
        for sha256 in (found.document, found.root):
            assert [one.code for one in queries.certificates_by_hash(db, sha256)] == [found.code]
        assert list(queries.certificates_by_hash(db, "0" * 64)) == []


def test_another_versions_root_has_no_certificate(house: House):
    found = certified(house)
    with house.arrange() as db:
        version = assets.version(db, found.version_id)
        version.root = "0" * 64
        db.add(version)
    assert worth(house, found)[1] is False


def test_a_signature_by_another_party_issues_nothing(house: House):
    found = prepared(house)
    with house.db() as db:
        made = signed(house.cast["hospital"], db, found.certificate_document, "certificate")
        row = queries.application(db, found.id)
        with pytest.raises(UnknownKey):
            certificates.issue(db, house.cast["registrar"].actor, row, made, house.clock.now())
    assert stage(house, found.version_id) == "assessed"


def test_sixteen_threads_never_get_the_same_code(house: House):
    def take(_: int) -> int:
        with house.arrange() as db:
            return codes.next_serial(db, "SJ991202609")

    with ThreadPoolExecutor(16) as threads:
        given = list(threads.map(take, range(64)))
    assert sorted(given) == list(range(1, 65))


def test_the_ten_thousandth_code_of_a_month_is_refused(house: House):
    with house.arrange() as db:
        db.add(CertificateSerial(prefix="SJ991202609", last=9998))
    with house.arrange() as db:
        assert codes.next_serial(db, "SJ991202609") == 9999
        with pytest.raises(rules.CodesExhausted):
            codes.next_serial(db, "SJ991202609")


def test_a_serial_of_a_rolled_back_transaction_is_given_again(house: House):
    def fail() -> None:
        with house.db() as db:
            codes.next_serial(db, "SJ991202609")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with house.arrange() as db:
        assert codes.next_serial(db, "SJ991202609") == 1


def test_no_words_that_somebody_typed_are_in_any_entry(house: House):
    found = certified(house)
    change(house, certificates.suspend, found)
    with house.runtime.database.reading() as db:
        bodies = [entry.body for entry in db.exec(select(Entry))]
    assert not any(b"court order" in body or b"self-collected" in body for body in bodies)
    assert any(json.loads(body)["tag"] == "registration:certificate_suspended" for body in bodies)
