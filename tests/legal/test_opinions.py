from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

from marketplace.assets import queries as assets
from marketplace.assets import service as passport
from marketplace.assets.stages import Stage
from marketplace.audit import documents
from marketplace.audit.models import Entry
from marketplace.costing.models import MeterEvent
from marketplace.kernel.signing import BadSignature, generate_key
from marketplace.legal import evidence, queries, rules, service
from marketplace.legal.models import Opinion
from marketplace.legal.schemas import EvidenceIn
from marketplace.participants.signatures import UnknownKey
from marketplace.plumbing.epochs import total
from tests.house import House
from tests.legal.parts import LAWYERS, assess, card_of, condition, governed, opinion_in, signed


def valid(house: House, version) -> bool:
    with house.runtime.database.reading() as db:
        return queries.valid_opinion(db, assets.version(db, version.id), house.clock.now()) is not None


def stage(house: House, version) -> str:
    with house.runtime.database.reading() as db:
        return assets.version(db, version.id).stage


def draft_as(house: House, name: str, version, evidence_hash: str = "", **rest):
    with house.db() as db:
        asked = opinion_in(evidence_hash or card_of(db, version), **rest)
        return service.draft(db, house.cast[name].actor, version, asked, house.clock.now())


def test_a_signed_pass_advances_the_version_and_is_metered_once(house: House):
    version = governed(house)
    opinion = assess(house, version)
    with house.runtime.database.reading() as db:
        record = assets.stage_records(db, version.id)[-1]
        events = db.exec(select(MeterEvent)).all()
    assert (opinion.outcome, opinion.state, stage(house, version)) == ("PASS", "signed", "assessed")
    assert record.stage == Stage.ASSESSED
    assert [item["kind"] for item in record.evidence] == ["opinion", "quality_card"]
    assert record.evidence[0]["sha256"] == opinion.document
    assert [(e.kind, e.quantity, e.event_key, e.payer_id, e.payee_id) for e in events] == [
        ("legal.opinion", 1, f"opinion:{opinion.id}", "prt_hospital", "prt_law_firm")
    ]
    assert valid(house, version)


def test_a_draft_alone_changes_nothing_about_the_version(house: House):
    version, firm = governed(house), house.cast["law_firm"]
    with house.db() as db:
        service.draft(db, firm.actor, version, opinion_in(card_of(db, version)), house.clock.now())
    assert stage(house, version) == "governed"
    assert not valid(house, version)


def test_a_failed_opinion_stands_and_advances_nothing(house: House):
    version = governed(house)
    opinion = assess(house, version, item4={"result": "not_met", "note": "a co-holder objects"})
    assert (opinion.outcome, opinion.state, stage(house, version)) == ("FAIL", "signed", "governed")
    assert not valid(house, version)


def test_a_later_failure_voids_an_earlier_pass_and_stops_uses(house: House):
    version = governed(house)
    assess(house, version)
    with house.db() as db:
        before = total(db, [version.id])
    house.clock.advance(timedelta(days=1))
    assess(house, version, number="EX-OP-2", item8={"result": "not_met"})
    assert not valid(house, version)
    with house.db() as db:
        assert total(db, [version.id]) == before + 1


def test_an_opinion_ends_by_the_clock(house: House):
    version = governed(house)
    opinion = assess(house, version)
    house.clock.advance_to(opinion.expires_at - timedelta(seconds=1))
    assert valid(house, version)
    house.clock.advance(timedelta(seconds=1))
    assert not valid(house, version)


def test_a_missed_condition_voids_the_opinion_without_any_job(house: House):
    version, due = governed(house), house.clock.now() + timedelta(days=30)
    opinion = assess(house, version, item19=condition(house, due))
    assert (opinion.outcome, stage(house, version)) == ("CONDITIONAL", "assessed")
    house.clock.advance(timedelta(days=29))
    assert valid(house, version)
    house.clock.advance(timedelta(days=1))
    assert not valid(house, version)
    with house.db() as db:
        found, card = queries.conditions(db, opinion.id)[0], card_of(db, version)
        opinion = db.get_one(Opinion, opinion.id)
        with pytest.raises(service.ConditionClosed):
            service.meet_condition(db, house.cast["law_firm"].actor, opinion, found.id, card, house.clock.now())


def test_a_condition_met_in_time_keeps_the_opinion(house: House):
    version, due = governed(house), house.clock.now() + timedelta(days=30)
    opinion = assess(house, version, item19=condition(house, due))
    firm, hospital = house.cast["law_firm"].actor, house.cast["hospital"].actor
    with house.db() as db:
        opinion = db.get_one(Opinion, opinion.id)
        found = queries.conditions(db, opinion.id)[0]
        asked = EvidenceIn(asset=version.asset_id, kind="security_filing", title="Filing", text="example filing")
        proof = evidence.add(db, hospital, asked, house.runtime.store, house.clock.now()).sha256
        with pytest.raises(service.UncitedEvidence):
            service.meet_condition(db, firm, opinion, found.id, "0" * 64, house.clock.now())
        with pytest.raises(service.NotTheDraft):
            service.meet_condition(db, hospital, opinion, found.id, proof, house.clock.now())
        service.meet_condition(db, firm, opinion, found.id, proof, house.clock.now())
    house.clock.advance(timedelta(days=60))
    assert valid(house, version)


def test_an_opinion_counts_for_its_root_only(house: House):
    version = governed(house)
    assess(house, version)
    with house.arrange() as db:
        changed = assets.version(db, version.id)
        changed.root = "0" * 64
        db.add(changed)
    assert not valid(house, version)


@pytest.mark.parametrize("name", ["hospital", "registrar", "exchange", "pharma", "auditor", "operator"])
def test_nobody_but_a_law_firm_assesses(house: House, name: str):
    version = governed(house)
    with pytest.raises(rules.NotIndependent):
        draft_as(house, name, version)


def test_evidence_that_is_not_kept_for_the_version_cannot_be_cited(house: House):
    version = governed(house)
    with house.db() as db, pytest.raises(service.UncitedEvidence):
        service.draft(db, house.cast["law_firm"].actor, version, opinion_in("0" * 64), house.clock.now())


def test_another_assets_evidence_cannot_be_cited(house: House):
    version, other = governed(house), governed(house)
    with house.db() as db:
        foreign = card_of(db, other)
    with pytest.raises(service.UncitedEvidence):
        draft_as(house, "law_firm", version, foreign)


def test_the_owner_of_a_condition_is_a_participant(house: House):
    version = governed(house)
    answer = condition(house, house.clock.now() + timedelta(days=3)) | {"owner": "prt_nobody"}
    with pytest.raises(service.UnknownOwner):
        draft_as(house, "law_firm", version, item19=answer)


def test_only_the_firms_registered_key_over_the_prepared_bytes_signs(house: House):
    version, firm = governed(house), house.cast["law_firm"]
    now = house.clock.now()
    with house.db() as db:
        drafted = service.draft(db, firm.actor, version, opinion_in(card_of(db, version)), now)
        good = signed(firm, db, drafted.document, "opinion")
        body = documents.get(db, drafted.document).body
    forged = [
        (good.model_copy(update={"document": "0" * 64}), service.NotTheDraft),
        (good.model_copy(update={"jws": generate_key().sign_detached(body, typ="opinion+jws")}), UnknownKey),
        (good.model_copy(update={"jws": firm.key.sign_detached(body + b" ", typ="opinion+jws")}), BadSignature),
        (good.model_copy(update={"jws": firm.key.sign_detached(body, typ="certificate+jws")}), BadSignature),
    ]
    for attempt, error in forged:
        with pytest.raises(error), house.db() as db:
            service.sign(db, firm.actor, db.get_one(Opinion, drafted.id), attempt, now)
    assert stage(house, version) == "governed"
    with house.db() as db:
        service.sign(db, firm.actor, db.get_one(Opinion, drafted.id), good, now)
    with pytest.raises(service.NotTheDraft), house.db() as db:
        service.sign(db, firm.actor, db.get_one(Opinion, drafted.id), good, now)


def test_facts_are_judged_again_at_signature(house: House):
    version, firm = governed(house), house.cast["law_firm"]
    with house.db() as db:
        drafted = service.draft(db, firm.actor, version, opinion_in(card_of(db, version)), house.clock.now())
        passport.suspend(
            db, house.cast["hospital"].actor, assets.version(db, version.id), "provider", house.clock.now()
        )
        attempt = signed(firm, db, drafted.document, "opinion")
    with pytest.raises(rules.NotAssessable), house.db() as db:
        service.sign(db, firm.actor, db.get_one(Opinion, drafted.id), attempt, house.clock.now())


def test_a_firm_signs_a_number_once(house: House):
    version = governed(house)
    assess(house, version)
    with pytest.raises(service.NumberTaken):
        assess(house, version)


def test_a_delta_opinion_answers_the_reopened_items_and_names_what_it_carries(house: House):
    first = governed(house)
    opinion = assess(house, first)
    second = governed_again(house, first)
    firm, now = house.cast["law_firm"], house.clock.advance(timedelta(days=10))
    with house.db() as db:
        card = card_of(db, second)
        fresh = [
            {"item": number, "result": "met", "evidence": [card]} for number in (3, 7, 8, 9, 10, 12, 13, 14, 15, 20)
        ]
        asked = opinion_in(card, number="EX-OP-2").model_copy(
            update={"carried_from": opinion.id, "findings": opinion_in(card, findings=fresh).findings}
        )
        drafted = service.draft(db, firm.actor, second, asked, now)
        content = documents.content(db, drafted.document)
        asked.findings.pop()
        with pytest.raises(rules.IncompleteChecklist):
            service.draft(db, firm.actor, second, asked, now)
    carried = {one["item"]: one["carried_from"] for one in content["findings"]}
    assert drafted.outcome == "PASS"
    assert content["carried_from"] == {"id": opinion.id, "number": "EX-OP-1", "document": opinion.document}
    assert {item for item, source in carried.items() if source is None} == {3, 7, 8, 9, 10, 12, 13, 14, 15, 20}
    assert {source for source in carried.values() if source} == {"EX-OP-1"}


def governed_again(house: House, first):
    with house.db() as db:
        asset = assets.asset(db, first.asset_id)
    return governed(house, asset)


def test_findings_are_not_carried_from_an_opinion_on_another_asset(house: House):
    opinion, other = assess(house, governed(house)), governed(house)
    with pytest.raises(service.NothingToCarry):
        draft_as(house, "law_firm", other, number="EX-OP-2", carried_from=opinion.id)


def test_no_lawyers_name_is_in_any_entry(house: House):
    assess(house, governed(house))
    with house.runtime.database.reading() as db:
        bodies = b"".join(entry.body for entry in db.exec(select(Entry)))
    assert b"legal:opinion_signed" in bodies
    assert not any(lawyer["name"].encode() in bodies for lawyer in LAWYERS)


def test_the_title_of_evidence_stands_in_the_passport_and_in_no_entry(house: House):
    version = governed(house)
    asked = EvidenceIn(asset=version.asset_id, kind="licence", title="示例患者丙的同意书.pdf", text="example")
    with house.db() as db:
        store, now = house.runtime.store, house.clock.now()
        sent = evidence.add(db, house.cast["hospital"].actor, asked, store, now)
    assess(house, version, item1={"result": "met", "evidence": [sent.sha256]})
    with house.runtime.database.reading() as db:
        bodies = b"".join(entry.body for entry in db.exec(select(Entry)))
        titles = [item["title"] for item in assets.stage_records(db, version.id)[-1].evidence]
    assert asked.title in titles
    assert asked.title.encode() not in bodies
    assert sent.sha256.encode() in bodies


def test_a_listed_version_can_be_assessed_again_without_losing_its_stage(house: House):
    version = governed(house)
    assess(house, version)
    with house.arrange() as db:
        later = assets.version(db, version.id)
        later.stage = Stage.LISTED
        db.add(later)
    house.clock.advance(timedelta(days=400))
    assert not valid(house, version)
    assess(house, version, number="EX-OP-2")
    assert valid(house, version)
    assert stage(house, version) == "listed"


def test_who_reads_an_opinion(house: House):
    version, firm = governed(house), house.cast["law_firm"]
    with house.db() as db:
        drafted = service.draft(db, firm.actor, version, opinion_in(card_of(db, version)), house.clock.now())
    readers = {name: reads(house, name, drafted.id) for name in house.cast}
    assert {name for name, may in readers.items() if may} == {"law_firm"}
    with house.db() as db:
        service.sign(
            db,
            firm.actor,
            db.get_one(Opinion, drafted.id),
            signed(firm, db, drafted.document, "opinion"),
            house.clock.now(),
        )
    readers = {name: reads(house, name, drafted.id) for name in house.cast}
    assert {name for name, may in readers.items() if may} == {
        "law_firm",
        "hospital",
        "registrar",
        "exchange",
        "auditor",
    }


def reads(house: House, name: str, opinion_id: str) -> bool:
    with house.runtime.database.reading() as db:
        try:
            queries.opinion(db, house.cast[name].actor, opinion_id)
        except queries.NoSuchOpinion:
            return False
    return True


def test_evidence_is_kept_by_its_exact_bytes_and_read_by_the_parties_only(house: House):
    version, hospital = governed(house), house.cast["hospital"].actor
    asked = EvidenceIn(asset=version.asset_id, kind="ethics_approval", title="Letter", base64="AAECAw==")
    with house.db() as db:
        row = evidence.add(db, hospital, asked, house.runtime.store, house.clock.now())
        again = evidence.add(db, hospital, asked, house.runtime.store, house.clock.now())
        assert (row.id, row.bytes) == (again.id, 4)
        firm = house.cast["law_firm"].actor
        seen = queries.assessed_version(db, firm, version.id)
        _media, chunks = queries.evidence_content(db, house.runtime.store, seen, row.sha256)
        assert b"".join(chunks) == bytes([0, 1, 2, 3])
        assert card_of(db, version) in queries.evidence(db, seen)
        with pytest.raises(assets.NoSuchVersion):
            queries.assessed_version(db, house.cast["pharma"].actor, version.id)
        wrong = asked.model_copy(update={"kind": "gossip"})
        with pytest.raises(evidence.UnknownEvidenceKind):
            evidence.add(db, hospital, wrong, house.runtime.store, house.clock.now())
        with pytest.raises(evidence.NotYourEvidence):
            evidence.add(db, house.cast["registrar"].actor, asked, house.runtime.store, house.clock.now())
        wrong = asked.model_copy(update={"base64": "!!"})
        with pytest.raises(evidence.UnreadableEvidence):
            evidence.add(db, hospital, wrong, house.runtime.store, house.clock.now())
