"""What is prepared for delivery: pseudonyms per agreement, a notice, a signed manifest, a deterministic tar."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

import pydicom
import pytest

from marketplace.audit import documents
from marketplace.kernel.canonical import read_strictly, sha256_hex
from marketplace.kernel.signing import verify_detached
from marketplace.negotiation.models import Agreement
from marketplace.plumbing.storage import ObjectDamaged
from marketplace.transfer import making, opening, queries
from marketplace.transfer.body import Part, hash_of, tar_body, verified
from marketplace.transfer.delivery import prepare
from marketplace.transfer.making import FileNotRemade
from marketplace.transfer.plan import plan_of
from tests.transfer.doors import entries
from tests.usage.agreed import agree, rewrite, uses
from workers.tasks.transfer import TASKS


def manifest_of(house, name: str) -> dict:
    with house.runtime.database.reading() as db:
        return read_strictly(documents.get(db, name).body)


def tar_of(house) -> bytes:
    with house.runtime.database.reading() as db:
        whole = opening.represent(db, queries.delivery(db, "agr_1"), None)
    return b"".join(whole.body.read(house.runtime.store, 0, whole.body.size))


def test_manifest_names_exactly_what_the_tar_holds(house):
    agree(house)
    manifest = manifest_of(house, prepare(house.runtime, "agr_1"))
    tar = tar_of(house)
    assert manifest["tar"] == {"sha256": sha256_hex(tar), "bytes": len(tar)}
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        members = opened.getmembers()
        inside = {one.name: opened.extractfile(one).read() for one in members}
    assert [one.name for one in members] == [one["path"] for one in manifest["files"]]
    assert {one["path"]: (one["sha256"], one["bytes"]) for one in manifest["files"]} == {
        path: (sha256_hex(data), len(data)) for path, data in inside.items()
    }
    assert {(one.mtime, one.uid, one.gid, one.mode, one.uname) for one in members} == {(0, 0, 0, 0o444, "")}


def test_manifest_is_signed_by_the_service_and_logged(house):
    made = agree(house)
    name = prepare(house.runtime, "agr_1")
    with house.runtime.database.reading() as db:
        document = documents.get(db, name)
        (signature,) = documents.signatures(db, name)
    assert signature.signer == "service"
    verify_detached(signature.jws, document.body, signature.jwk, typ="delivery-manifest+jws")
    assert sorted(document.readers) == sorted([house.cast["hospital"].id, house.cast["pharma"].id])
    manifest = read_strictly(document.body)
    assert manifest["version"] == {"id": made.version, "root": "ab" * 32}
    (entry,) = entries(house, "transfer:delivery_prepared")
    assert entry["facts"]["manifest"] == name
    assert entry["subject"] == {"asset": made.asset, "version": made.version, "agreement": "agr_1"}


def test_every_identifier_is_new_and_consistent_within_one_agreement(house):
    agree(house)
    manifest = manifest_of(house, prepare(house.runtime, "agr_1"))
    assert manifest["transformations"] == [{"action": "mkt:pseudonymisePerAgreement"}, {"action": "attribute"}]
    files = [one for one in manifest["files"] if one["source_path"] is not None]
    read = {one["source_path"]: pydicom.dcmread(house.runtime.store.local_path(one["sha256"])) for one in files}
    assert len(read) == 4
    for one in files:
        served, data = read[one["source_path"]], house.runtime.store.local_path(one["sha256"]).read_bytes()
        path = f"{served.StudyInstanceUID}/{served.SeriesInstanceUID}/{served.SOPInstanceUID}.dcm"
        assert one["path"] == path
        for former in (b"GOVERNED", b"1.2.3.1000", b"1.2.3.2000", b"1.2.3.3000", b"1.2.3.4000"):
            assert former not in data
        assert served.file_meta.MediaStorageSOPInstanceUID == served.SOPInstanceUID
        assert served.ReferencedImageSequence[0].ReferencedSOPInstanceUID == served.SOPInstanceUID
        assert served.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
        assert list(served.DeidentificationMethod) == ["PS3.15 Annex E", "per agreement agr_1"]
        with house.runtime.database.reading() as db:
            source = db.get(Agreement, "agr_1").version_id
        assert source == "ver_1"
    assert len({one.PatientID for one in read.values()}) == 2
    assert len({one.StudyInstanceUID for one in read.values()}) == 2
    raw = pydicom.dcmread(house.runtime.store.local_path(files[0]["source_sha256"]))
    assert read[files[0]["source_path"]].PixelData == raw.PixelData


def test_two_agreements_share_no_pseudonym(house):
    secret = house.runtime.pseudonym_secret
    assert making.agreement_secret(secret, "agr_1") != making.agreement_secret(secret, "agr_2")


def test_without_the_duty_the_versions_own_files_are_delivered(house):
    agree(house, uses(duties=("delete",)))
    manifest = manifest_of(house, prepare(house.runtime, "agr_1"))
    assert manifest["transformations"] == []
    assert all((one["path"], one["sha256"]) == (one["source_path"], one["source_sha256"]) for one in manifest["files"])


def test_notice_names_source_contract_and_purposes(house):
    agree(house)
    manifest = manifest_of(house, prepare(house.runtime, "agr_1"))
    (notice,) = [one for one in manifest["files"] if one["path"] == "NOTICE.txt"]
    text = house.runtime.store.local_path(notice["sha256"]).read_text("utf-8")
    assert "agr_1" in text
    assert "model_training, statistics" in text
    assert "胸部CT" in text


def test_preparing_twice_changes_nothing(house):
    agree(house)
    first = prepare(house.runtime, "agr_1")
    TASKS["transfer.prepare"](house.runtime, {"agreement": "agr_1"})
    assert prepare(house.runtime, "agr_1") == first
    assert len(entries(house, "transfer:delivery_prepared")) == 1


def test_remaking_is_deterministic(house):
    agree(house)
    with house.runtime.database.reading() as db:
        plan = plan_of(db, "agr_1")
    assert list(making.make(house.runtime, plan)) == list(making.make(house.runtime, plan))


def test_agreement_that_is_not_final_gets_nothing(house):
    agree(house)
    rewrite(house, Agreement, "agr_1", state="terminated")
    assert prepare(house.runtime, "agr_1") is None
    assert entries(house, "transfer:delivery_prepared") == []


def test_file_that_cannot_be_read_stops_the_delivery(house):
    agree(house)
    with house.runtime.database.reading() as db:
        plan = plan_of(db, "agr_1")
    stored = house.runtime.store.put([b"no DICOM"], limit=100)
    plan.sources[0].sha256 = stored.sha256
    with pytest.raises(FileNotRemade):
        list(making.make(house.runtime, plan))


def test_tar_of_the_same_files_is_the_same_in_any_order(house):
    parts = [Part(f"{'深' * 40}/{name}", stored.sha256, stored.size) for name, stored in put_some(house, 3)]
    assert hash_of(tar_body(parts), house.runtime.store) == hash_of(tar_body(parts[::-1]), house.runtime.store)


def put_some(house, count: int):
    return [(f"{at}.bin", house.runtime.store.put([bytes([at]) * (700 * at)], limit=9999)) for at in range(count)]


def test_any_range_of_the_tar_is_a_part_of_the_whole(house):
    parts = [Part(name, stored.sha256, stored.size) for name, stored in put_some(house, 4)]
    parts.append(replace(parts[1], path="long/" * 60 + "名"))
    body = tar_body(parts)
    whole = b"".join(body.read(house.runtime.store, 0, body.size))
    with tarfile.open(fileobj=io.BytesIO(whole)) as opened:
        assert sorted(opened.getnames()) == sorted(part.path for part in parts)
    for start in range(0, body.size, 333):
        for length in (1, 512, 5000):
            end = min(start + length, body.size)
            assert b"".join(body.read(house.runtime.store, start, end)) == whole[start:end]


def test_damaged_object_is_found_before_its_last_byte(house):
    stored = house.runtime.store.put([b"a" * 600_000], limit=1 << 20)
    path = house.runtime.store.local_path(stored.sha256)
    path.chmod(0o600)
    path.write_bytes(b"a" * 599_999 + b"b")
    received: list[bytes] = []
    with pytest.raises(ObjectDamaged):
        received.extend(verified(house.runtime.store, stored.sha256, stored.size, 0, stored.size))
    assert received
    assert b"b" not in b"".join(received)
    with pytest.raises(ObjectDamaged):
        list(verified(house.runtime.store, stored.sha256, stored.size, 10, 20))
