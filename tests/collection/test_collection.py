"""From tars of files to a collected raw version, over the API with the parties' own keys."""

from __future__ import annotations

import json
import socket
import tarfile
from pathlib import Path

import pydicom
import pytest
from sqlmodel import select
from structlog.testing import capture_logs

from marketplace.assets.models import VersionFile
from marketplace.audit.models import Entry
from marketplace.audit.tree import root_hash
from marketplace.client.lists import items
from marketplace.client.problem import ProblemError
from marketplace.client.upload import tar_batches
from marketplace.collection import routes, service
from marketplace.collection.models import CollectedFile
from marketplace.costing.models import MeterEvent
from marketplace.kernel.canonical import canonical, sha256_hex
from tests.collection import corpus
from tests.collection.conftest import Market
from tests.transfer.doors import app_of, served


def test_a_version_is_collected_by_the_providers_signature(market: Market) -> None:
    version = market.version()
    files = [(f"{n}.dcm", corpus.dicom(n, study=f"1.2.{n // 2}")) for n in range(6)]
    answer = market.put(version, "1", [*files, ("notes.txt", b"not DICOM")])
    assert (answer["accepted"], answer["left_out"]) == (6, 1)

    sealed = market.seal(version)
    assert sealed["left_out"] == {"not_dicom": 1}
    signature = market.hospital.sign(sealed["document"]["sha256"], "collection-record")
    passport = market.hospital.post(f"/v1/versions/{version}/collection", signature)
    assert (passport["stage"], passport["outcome"]) == ("collected", "accepted")
    assert passport["evidence"][0]["sha256"] == sealed["version"]["manifest"]

    found = market.hospital.get(f"/v1/versions/{version}")
    assert (found["stage"], found["files"], found["records"], found["left_out"]) == ("collected", 6, 3, 1)
    assert found["bytes"] == sum(len(body) for _, body in files)


def test_what_is_kept_is_metered_by_the_whole_gigabyte_once(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.rules, "GIGABYTE", 1_000)  # nobody waits for a thousand million bytes
    version = market.version()
    market.put(version, "1", [(f"{n}.dcm", corpus.dicom(n, study=f"1.2.{n}")) for n in range(9)])
    kept = market.seal(version)["version"]["bytes"]
    market.seal(version)
    with market.house.db() as db:
        (event,) = db.exec(select(MeterEvent)).all()
    assert (event.kind, event.stage, event.version_id) == ("collection.gigabyte", "collected", version)
    assert (event.quantity, event.quantity > 0) == (kept // 1_000, True)


def test_the_manifest_is_what_the_root_is_made_of(market: Market) -> None:
    version = market.version()
    bodies = [corpus.dicom(n, study=f"1.2.{n}") for n in (10, 9, 1)]
    market.put(version, "1", [("x", body) for body in bodies])
    sealed = market.seal(version)["version"]
    body = market.hospital.get_bytes(f"/v1/versions/{version}/manifest")
    assert sha256_hex(body) == sealed["manifest"]
    manifest = json.loads(body)
    assert canonical(manifest) == body
    leaves = [canonical({name: file[name] for name in ("path", "sha256", "bytes")}) for file in manifest["files"]]
    assert root_hash(leaves).hex() == manifest["root"] == sealed["root"]
    assert [file["path"] for file in manifest["files"]] == [
        "1.2.1/1.2.1.1/1.2.3.4.1.dcm", "1.2.10/1.2.10.1/1.2.3.4.10.dcm", "1.2.9/1.2.9.1/1.2.3.4.9.dcm"
    ]  # fmt: skip
    listed = market.hospital.get(f"/v1/versions/{version}/files")["items"]
    assert [(f["path"], f["sha256"]) for f in listed] == [(f["path"], f["sha256"]) for f in manifest["files"]]


def test_the_root_depends_on_the_files_and_not_on_the_order_of_their_sending(market: Market) -> None:
    first, second = market.version(), market.version()
    files = [(str(n), corpus.dicom(n)) for n in range(5)]
    market.put(first, "1", files)
    market.put(second, "1", files[3:])
    market.put(second, "2", files[2::-1])
    assert market.seal(first)["version"]["root"] == market.seal(second)["version"]["root"]


def test_the_record_holds_counts_and_no_identifier_of_a_file(market: Market) -> None:
    version = market.version()
    market.put(version, "1", [("张伟.dcm", corpus.dicom(1)), ("李娜.txt", b"x")])
    sealed = market.seal(version, source_statement="From our own clinic.")
    record = json.loads(market.hospital.get_bytes(f"/v1/documents/{sealed['document']['sha256']}"))
    assert record["version_root"] == sealed["version"]["root"]
    assert record["left_out"] == {"not_dicom": 1}
    assert record["source_statement"] == "From our own clinic."
    assert (record["type"], record["stage"], record["files"], record["records"]) == (
        "collection-record", "collected", 1, 1
    )  # fmt: skip
    assert "1.2.3" not in json.dumps(record)


def test_no_file_name_is_kept_anywhere(market: Market) -> None:
    version = market.version()
    market.put(version, "1", [("张伟_CT.dcm", corpus.dicom(1)), ("ZhangWei.张伟", b"x")])
    market.seal(version)
    with market.house.db() as db:
        rows = db.exec(select(CollectedFile)).all()
        entries = db.exec(select(Entry)).all()
    assert [row.label[12:] for row in rows] == [".dcm", ""]
    kept = b"".join(entry.body for entry in entries) + repr(rows).encode()
    assert "张伟".encode() not in kept
    assert b"ZhangWei" not in kept


def test_each_unfit_member_is_reported_in_the_order_of_the_tar(market: Market, tmp_path: Path) -> None:
    escaped = tmp_path / "escaped"
    members = [
        ("good", corpus.dicom(1)),
        corpus.special("link", tarfile.SYMTYPE, "/etc/passwd"),
        corpus.special("device", tarfile.CHRTYPE),
        corpus.special("folder", tarfile.DIRTYPE),
        (f"../../../..{escaped}", corpus.dicom(2)),
        (str(escaped), corpus.dicom(3)),
        ("bomb", corpus.bomb(corpus.DEFLATED[0])),
        ("cut", corpus.dicom(4)[:-10]),
        ("empty", b""),
        ("again", corpus.dicom(1)),
        ("link", corpus.dicom(5)),
    ]
    files = market.put(market.version(), "1", members)["files"]
    assert [(file["position"], file["reason"]) for file in files] == [
        (0, None), (1, "link"), (2, "not_a_file"), (4, "odd_name"), (5, "odd_name"), (6, "inflates_too_far"),
        (7, "broken"), (8, "not_dicom"), (9, "duplicate_bytes"), (10, None),
    ]  # fmt: skip
    assert not escaped.exists()


def test_a_file_over_the_limit_is_skipped_and_the_next_one_is_read(market: Market) -> None:
    object.__setattr__(market.house.runtime, "settings", market.house.runtime.settings.model_copy(
        update={"upload_limit_mib": 1}
    ))  # fmt: skip
    large = ("large", bytes((1 << 20) + 1))
    version = market.version()
    assert market.reasons(version, "1", [large, ("good", corpus.dicom(1))]) == ["too_large", None]
    with pytest.raises(ProblemError) as refused:
        market.put(version, "2", [large, large])
    assert refused.value.status == 422
    assert market.hospital.get(f"/v1/versions/{version}/left-out")["items"][0]["reason"] == "too_large"


def test_the_same_tar_again_changes_nothing_and_gets_the_same_answer(market: Market) -> None:
    version = market.version()
    members = [("a", corpus.dicom(1)), ("b", b"text"), ("c", corpus.dicom(1))]
    first = market.put(version, "1", members)
    with market.house.db() as db:
        entries = len(db.exec(select(Entry)).all())
    assert market.put(version, "1", members) == first
    with market.house.db() as db:
        assert len(db.exec(select(CollectedFile)).all()) == 3
        assert len(db.exec(select(Entry)).all()) == entries


def test_another_tar_under_the_same_label_is_refused(market: Market) -> None:
    version = market.version()
    market.put(version, "1", [("a", corpus.dicom(1))])
    with pytest.raises(ProblemError) as refused:
        market.put(version, "1", [("a", corpus.dicom(2))])
    assert (refused.value.status, refused.value.slug) == (409, "batch-differs")
    with market.house.db() as db:
        refusals = db.exec(select(Entry).where(Entry.tag == "edge:refused")).all()
    assert b"batch-differs" in refusals[-1].body


def test_a_crash_between_store_and_rows_is_mended_by_sending_again(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = market.version()
    members = [("a", corpus.dicom(1)), ("b", corpus.dicom(2))]

    def crash(*_: object, **__: object) -> None:
        raise SystemError("power cut")

    with monkeypatch.context() as broken:
        broken.setattr(service, "record_batch", crash)
        with pytest.raises(SystemError):
            market.put(version, "1", members)
    assert market.house.runtime.store.has(sha256_hex(members[0][1]))
    assert market.reasons(version, "1", members) == [None, None]
    assert market.seal(version)["version"]["files"] == 2


def test_the_same_bytes_in_another_batch_are_a_duplicate(market: Market) -> None:
    version = market.version()
    market.put(version, "1", [("a", corpus.dicom(1))])
    assert market.reasons(version, "2", [("a", corpus.dicom(1)), ("b", corpus.dicom(2))]) == ["duplicate_bytes", None]


def test_the_same_instance_with_other_bytes_is_left_out_when_sealing(market: Market) -> None:
    version = market.version()
    other = corpus.dicom(1, PixelData=b"other" + bytes(507))
    assert market.reasons(version, "1", [("a", corpus.dicom(1)), ("b", other)]) == [None, None]
    sealed = market.seal(version)
    assert sealed["left_out"] == {"duplicate_instance": 1}
    assert market.hospital.get(f"/v1/versions/{version}/files")["items"][0]["sha256"] == sha256_hex(corpus.dicom(1))


def test_sealing_twice_gives_the_same_record(market: Market) -> None:
    version = market.version()
    market.put(version, "1", [("a", corpus.dicom(1))])
    first = market.seal(version)
    assert market.seal(version) == first
    with pytest.raises(ProblemError) as refused:
        market.seal(version, source_statement="Something else.")
    assert refused.value.slug == "sealed-otherwise"
    with market.house.db() as db:
        assert len(db.exec(select(VersionFile)).all()) == 1


def test_a_sealed_version_takes_no_more_files(market: Market) -> None:
    version = market.version()
    market.put(version, "1", [("a", corpus.dicom(1))])
    market.seal(version)
    with pytest.raises(ProblemError) as refused:
        market.put(version, "2", [("b", corpus.dicom(2))])
    assert (refused.value.status, refused.value.slug) == (409, "not-open")


def test_a_batch_sent_again_after_sealing_still_gets_its_first_answer(market: Market) -> None:
    version = market.version()
    members = [("a", corpus.dicom(1)), ("b", corpus.dicom(1))]
    first = market.put(version, "1", members)
    root = market.seal(version)["version"]["root"]
    assert [file["reason"] for file in market.put(version, "1", members)["files"]] == [
        file["reason"] for file in first["files"]
    ]
    assert market.hospital.get(f"/v1/versions/{version}")["root"] == root


def test_a_version_without_an_accepted_file_cannot_be_sealed(market: Market) -> None:
    version = market.version()
    for members in ([], [("a", b"x"), ("b", b"y")]):
        market.put(version, f"with-{len(members)}", members)
        with pytest.raises(ProblemError) as refused:
            market.seal(version)
        assert refused.value.slug == "nothing-accepted"
    assert "2 x not_dicom" in json.dumps(refused.value.body if hasattr(refused.value, "body") else str(refused.value))


def test_nobody_else_sees_or_touches_a_raw_version(market: Market) -> None:
    version = market.version()
    market.put(version, "1", [("a", corpus.dicom(1)), ("b", b"x")])
    sealed = market.seal(version)
    signature = market.hospital.sign(sealed["document"]["sha256"], "collection-record")
    for name, client in market.clients.items():
        if name == "hospital":
            continue
        for path in ("files", "left-out", "manifest"):
            with pytest.raises(ProblemError) as refused:
                client.get(f"/v1/versions/{version}/{path}")
            assert refused.value.status == 404
        for act in (
            lambda client=client: client.post(f"/v1/versions/{version}/seal"),
            lambda client=client: client.post(f"/v1/versions/{version}/collection", signature),
            lambda client=client: client.post(f"/v1/assets/{market.asset}/versions"),
            lambda client=client: client.put(f"/v1/versions/{version}/files/2", corpus.tar([])),
        ):
            with pytest.raises(ProblemError) as refused:
                act()
            assert refused.value.status == (403 if name == "auditor" else 404)  # who only reads is told so


def test_only_the_record_of_this_version_can_be_signed_and_only_by_the_provider(market: Market) -> None:
    records = []
    for study in ("1.2.5", "1.2.6"):
        version = market.version()
        market.put(version, "1", [("a", corpus.dicom(1, study=study))])
        records.append((version, market.seal(version)["document"]["sha256"]))
    (version, record), (_, other) = records
    path = f"/v1/versions/{version}/collection"
    for signature in (
        market.hospital.sign(other, "collection-record"),
        market.hospital.sign(record, "governance-record"),
        market.clients["pharma"].sign(record, "collection-record"),
    ):
        with pytest.raises(ProblemError):
            market.hospital.post(path, signature)
    assert market.hospital.get(f"/v1/versions/{version}")["stage"] == "draft"
    market.hospital.post(path, market.hospital.sign(record, "collection-record"))


def test_a_broken_tar_leaves_nothing_behind_in_the_version(market: Market) -> None:
    version = market.version()
    whole = corpus.tar([("a", corpus.dicom(1)), ("b", corpus.dicom(2))])
    for body in (whole[:3000], b"x" * 2000):
        with pytest.raises(ProblemError) as refused:
            market.hospital.put(f"/v1/versions/{version}/files/1", body)
        assert refused.value.slug == "broken-tar"
    with market.house.db() as db:
        assert db.exec(select(CollectedFile)).all() == []


def test_lists_come_in_pages(market: Market) -> None:
    version = market.version()
    market.put(version, "1", [(str(n), corpus.dicom(n)) for n in range(5)] + [("x", b"1"), ("y", b"2"), ("z", b"3")])
    market.seal(version)
    for path, total in (("files", 5), ("left-out", 3)):
        address = f"/v1/versions/{version}/{path}"
        found = list(items(market.hospital, address, {"limit": 2}))
        assert [one["position"] for one in found] == sorted({one["position"] for one in found})
        assert len(found) == total
        with pytest.raises(ProblemError, match="not made by this list"):
            market.hospital.get(address, {"cursor": "elsewhere"})


def test_pydicoms_own_files_are_accepted_or_left_out_one_by_one(market: Market) -> None:
    folder = Path(pydicom.__file__).parent / "data"
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"})
    version = market.version()
    answers = [
        market.hospital.put(f"/v1/versions/{version}/files/{number}", batch.body)
        for number, batch in enumerate(tar_batches(paths))
    ]
    assert sum(answer["accepted"] + answer["left_out"] for answer in answers) == len(paths)
    sealed = market.seal(version)
    assert sealed["version"]["files"] + sum(sealed["left_out"].values()) == len(paths)
    assert sealed["version"]["files"] > 100


def test_many_batches_make_one_version(market: Market, tmp_path: Path) -> None:
    paths = []
    for number in range(450):
        path = tmp_path / f"{number:05d}.dcm"
        path.write_bytes(corpus.dicom(number, study=f"1.2.{number // 2}"))
        paths.append(path)
    version = market.version()
    for number, batch in enumerate(tar_batches(paths)):
        market.hospital.put(f"/v1/versions/{version}/files/{number}", batch.body)
    sealed = market.seal(version)["version"]
    assert (sealed["files"], sealed["records"]) == (450, 225)


def test_who_hangs_up_in_the_middle_of_a_tar_is_no_fault_of_ours_and_sends_it_again(market: Market) -> None:
    version, members, app = market.version(), [("1.dcm", corpus.dicom(1))], app_of(market.house)
    app.include_router(routes.routes)
    tar = corpus.tar(members)
    head = f"PUT /v1/versions/{version}/files/1 HTTP/1.1\r\nHost: x\r\nX-Caller: hospital\r\n"
    with (
        capture_logs() as told,
        served(market.house, app) as address,
        socket.create_connection(address) as connection,
    ):
        connection.sendall(f"{head}Content-Length: {len(tar)}\r\n\r\n".encode() + tar[:700])
    assert told == []
    with market.house.runtime.database.reading() as db:
        assert db.exec(select(CollectedFile)).all() == []
    assert market.put(version, "1", members)["accepted"] == 1
