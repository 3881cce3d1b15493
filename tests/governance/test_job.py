"""A job turns a raw version into a signed governed one, whatever happens in between."""

from __future__ import annotations

import io
import json
import re

import pytest
from pydicom import dcmread
from sqlmodel import select

from marketplace.assets import queries as assets
from marketplace.assets.models import Version
from marketplace.assets.schemas import SignatureIn
from marketplace.assets.service import retire
from marketplace.audit import documents
from marketplace.audit.models import Document, Entry
from marketplace.costing.models import MeterEvent
from marketplace.governance import batch, declaration, queries, rules, service
from marketplace.governance.batch import CHUNK
from marketplace.governance.models import AssetSecret, GovernedFile
from marketplace.governance.rules import JOB, AlreadyRunning, JobState, NotGovernable
from marketplace.kernel.errors import NotFound
from marketplace.kernel.transitions import NotYourStep, WrongState
from tests.governance.corpus import plant, written
from tests.governance.stage import collected, due, run_all, start
from tests.house import House
from workers.tasks.governance import TASKS


def governed(house: House, bodies: list[bytes]) -> tuple[queries.GovernanceJob, Version]:
    raw = collected(house, bodies)
    job = start(house, raw)
    run_all(house)
    with house.db() as db:
        job = queries.job(db, job.id)
        assert job.governed_version_id, job.failure
        return job, assets.version(db, job.governed_version_id)


def sign(house: House, version_id: str, document: str, *, by: str = "hospital") -> None:
    party = house.cast[by]
    with house.db() as db:
        jws = party.key.sign_detached(documents.get(db, document).body, typ="governance-record+jws")
        service.sign(db, party.actor, version_id, SignatureIn(document=document, jws=jws), house.clock.now())


def test_a_raw_version_becomes_a_governed_one_that_the_provider_signs(house: House) -> None:
    job, version = governed(house, [plant(number, study=number // 2).body for number in range(6)])
    assert (version.kind, version.stage, version.files, version.records) == ("governed", "draft", 6, 3)
    assert job.document is not None
    sign(house, version.id, job.document)
    with house.db() as db:
        assert assets.version(db, version.id).stage == "governed"
        assert [row.stage for row in assets.stage_records(db, version.id)] == ["collected", "governed"]
        files = assets.files(db, version.id)
        raws = {file.sha256 for file in assets.files(db, job.raw_version_id)}
        content = documents.content(db, job.document)
    assert [file.path for file in files] == sorted(file.path for file in files)
    assert {file.source for file in files} == raws
    assert content["version_root"] == version.root
    assert content["method_codes"] == ["113100", "113107", "113108"]
    for file in files:
        body = b"".join(house.runtime.store.read(file.sha256))
        assert len(body) == file.bytes
        data = dcmread(io.BytesIO(body))
        assert file.path == f"{data.StudyInstanceUID}/{data.SeriesInstanceUID}/{data.SOPInstanceUID}.dcm"


def test_the_root_can_be_computed_from_the_manifest_alone(house: House) -> None:
    from marketplace.audit.tree import root_hash
    from marketplace.kernel.canonical import canonical

    _, version = governed(house, [plant(number).body for number in range(3)])
    manifest = json.loads(b"".join(house.runtime.store.read(version.manifest)))
    lines = [{name: file[name] for name in ("path", "sha256", "bytes")} for file in manifest["files"]]
    assert root_hash([canonical(line) for line in lines]).hex() == version.root


def test_duplicates_are_held_back_and_the_first_in_the_manifest_stays(house: House) -> None:
    first = dcmread(io.BytesIO(plant(0).body))
    first.SOPInstanceUID = "1.2.826.0.1.7777.99.9"
    again = written(first, "1.2.840.10008.1.2.1")
    job, version = governed(house, [plant(0).body, again, plant(4).body])
    assert (version.files, version.left_out) == (2, 1)
    with house.db() as db:
        (held,) = queries.held_back(db, job.id).rows
    assert (held.position, held.reason) == (1, "duplicate_pixels")


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_duplicates_do_not_depend_on_the_order_of_the_work(order: list[int]) -> None:
    all_of_them = [rules.Candidate(0, "a", "x"), rules.Candidate(1, "a", "y"), rules.Candidate(2, "b", "x")]
    found = rules.duplicates([all_of_them[number] for number in order])
    assert found == {1: "duplicate_pixels", 2: "duplicate_instance"}


def test_a_broken_file_is_held_back_and_the_others_go_on(house: House) -> None:
    job, version = governed(house, [plant(0).body, b"not DICOM at all" * 40, plant(4).body[:-50], plant(8).body])
    assert version.files == 2
    with house.db() as db:
        reasons = [row.reason for row in queries.held_back(db, job.id).rows]
    assert len(reasons) == 2
    assert all(reasons)


def test_work_that_runs_twice_counts_once(house: House) -> None:
    raw = collected(house, [plant(number).body for number in range(4)])
    job = start(house, raw)
    waiting = due(house)
    for _ in range(2):
        for _, task, args in waiting:
            TASKS[task](house.runtime, args)
    for _ in range(3):
        TASKS["governance.finish"](house.runtime, {"job": job.id})
    run_all(house)
    with house.db() as db:
        assert queries.progress(db, job.id).done == 4
        assert [one.kind for one in assets.versions(db, raw.asset_id)] == ["raw", "governed"]
        meters = db.exec(select(MeterEvent)).all()
        assert [(one.kind, one.quantity, one.event_key) for one in meters] == [
            ("governance.scan", 4, f"governance:{job.id}")
        ]
        tags = [entry.tag for entry in db.exec(select(Entry)) if entry.tag.startswith("governance:")]
    assert tags == ["governance:asked", "governance:started", "governance:judged", "governance:finished"]


def test_a_job_killed_midway_goes_on_where_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = collected(house, [plant(number).body for number in range(CHUNK + 10)])
    job = start(house, raw)
    kept = batch._keep

    def killed(db, job_id, rows):
        kept(db, job_id, rows)
        db.commit()
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "_keep", killed)
    with pytest.raises(KeyboardInterrupt):
        run_all(house)
    monkeypatch.undo()
    with house.db() as db:
        assert queries.progress(db, job.id).done == CHUNK
        assert queries.job(db, job.id).state == "running"
    run_all(house)
    with house.db() as db:
        job = queries.job(db, job.id)
        assert (job.state, job.metered) == ("finished", CHUNK + 10)
        assert len(db.exec(select(MeterEvent)).all()) == 1


def test_the_same_raw_files_governed_again_give_the_same_root(house: House) -> None:
    bodies = [plant(number).body for number in range(3)]
    job, version = governed(house, bodies)
    with house.db() as db:
        again = service.ask(db, house.cast["hospital"].actor, job.raw_version_id, house.clock.now())
    run_all(house)
    with house.db() as db:
        second = assets.version(db, str(queries.job(db, again.id).governed_version_id))
    assert second.root == version.root
    assert second.id != version.id


def test_another_asset_with_the_same_files_shares_no_byte_name(house: House) -> None:
    bodies = [plant(number).body for number in range(2)]
    (_, one), (_, two) = governed(house, bodies), governed(house, bodies)
    with house.db() as db:
        first = {file.path for file in assets.files(db, one.id)}
        second = {file.path for file in assets.files(db, two.id)}
    assert not first & second


def test_a_head_goes_on_only_with_the_signed_declaration(house: House) -> None:
    data = dcmread(io.BytesIO(plant(0).body))
    data.BodyPartExamined = "HEAD"
    raw = collected(house, [written(data, "1.2.840.10008.1.2.1"), plant(4).body])
    hospital, now = house.cast["hospital"], house.clock.now()
    first = start(house, raw)
    run_all(house)
    with house.db() as db:
        assert [row.reason for row in queries.held_back(db, first.id).rows] == ["head_needs_declaration"]
        basis = declaration.Basis.FACE_NOT_IN_VIEW
        prepared = declaration.prepare(db, hospital.actor, raw.id, basis, now).document
        unsigned = service.ask(db, hospital.actor, raw.id, now)
        assert unsigned.declaration is None
    run_all(house)
    with house.db() as db:
        jws = hospital.key.sign_detached(documents.get(db, prepared).body, typ="face-declaration+jws")
        declaration.sign(db, hospital.actor, raw.id, SignatureIn(document=prepared, jws=jws), now)
        job = service.ask(db, hospital.actor, raw.id, now)
        assert job.declaration == prepared
    run_all(house)
    with house.db() as db:
        job = queries.job(db, job.id)
        assert queries.progress(db, job.id).held_back == 0
        assert documents.content(db, str(job.document))["declaration"] == prepared


def test_a_job_in_which_nothing_is_governed_fails_and_costs_nothing(house: House) -> None:
    raw = collected(house, [b"junk" * 100])
    job = start(house, raw)
    run_all(house)
    with house.db() as db:
        job = queries.job(db, job.id)
        assert (job.state, job.failure, job.governed_version_id) == ("failed", "nothing_governed", None)
        assert db.exec(select(MeterEvent)).all() == []


def test_a_raw_version_retired_meanwhile_is_not_governed(house: House) -> None:
    raw = collected(house, [plant(0).body])
    job = start(house, raw)
    with house.db() as db:
        retire(db, house.cast["hospital"].actor, assets.version(db, raw.id), "withdrawn", house.clock.now())
    run_all(house)
    with house.db() as db:
        assert queries.job(db, job.id).failure == "raw_version_withdrawn"


def test_only_the_provider_of_a_collected_raw_version_may_ask_and_only_once(house: House) -> None:
    raw = collected(house, [plant(0).body])
    now = house.clock.now()
    with house.db() as db, pytest.raises(NotFound):
        service.ask(db, house.cast["pharma"].actor, raw.id, now)
    start(house, raw)
    with house.db() as db, pytest.raises(AlreadyRunning):
        service.ask(db, house.cast["hospital"].actor, raw.id, now)
    run_all(house)
    with house.db() as db:
        made = assets.versions(db, raw.asset_id)[-1]
        with pytest.raises(NotGovernable):
            service.ask(db, house.cast["hospital"].actor, made.id, now)


def test_a_record_is_signed_by_its_provider_over_its_own_document_only(house: House) -> None:
    job, version = governed(house, [plant(0).body])
    other, _ = governed(house, [plant(1).body])
    with pytest.raises(service.OtherDocument):
        sign(house, version.id, str(other.document))
    with pytest.raises(NotFound):
        sign(house, version.id, str(job.document), by="pharma")
    with house.db() as db:
        raw = assets.version(db, job.raw_version_id)
        retire(db, house.cast["hospital"].actor, raw, "withdrawn", house.clock.now())
    with pytest.raises(service.FactsChanged):
        sign(house, version.id, str(job.document))


def test_no_identifier_and_no_secret_is_in_entries_or_documents(house: House) -> None:
    planted = [plant(number) for number in range(3)]
    governed(house, [one.body for one in planted])
    with house.db() as db:
        secrets = [one.secret.hex() for one in db.exec(select(AssetSecret))]
        bodies = [one.body for one in db.exec(select(Entry))] + [one.body for one in db.exec(select(Document))]
        rows = [one.model_dump_json() for one in db.exec(select(GovernedFile))]
    text = b"\n".join(bodies).decode() + "\n".join(rows)
    found = [mark for one in planted for mark in [*one.strings, *one.uids] if mark in text]
    assert found == []
    assert len(secrets) == 1
    assert secrets[0] not in text
    assert not re.search(r"\b20[12]\d[01]\d[0-3]\d\b", text)


@pytest.mark.parametrize("source", list(JobState))
@pytest.mark.parametrize("target", list(JobState))
@pytest.mark.parametrize("role", ["service", "provider"])
def test_every_move_of_a_job_is_allowed_or_refused_as_the_table_says(
    source: JobState, target: JobState, role: str
) -> None:
    moves = {("queued", "running"), ("queued", "failed"), ("running", "finished"), ("running", "failed")}
    if (source, target) not in moves:
        with pytest.raises(WrongState):
            JOB.step(source, target, {role})
    elif role != "service":
        with pytest.raises(NotYourStep):
            JOB.step(source, target, {role})
    else:
        assert JOB.step(source, target, {role}).target == target
