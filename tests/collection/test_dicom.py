"""Reading untrusted headers in the sandbox."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from marketplace.collection.dicom import INFLATE_LIMIT, Parsed, read_header
from marketplace.collection.rules import Reason
from marketplace.plumbing.sandbox import Failure, ParsePool
from tests.collection import corpus

CORPUS = Path(pydicom.__file__).parent / "data"


@pytest.fixture(scope="module")
def pool() -> Iterator[ParsePool]:
    opened = ParsePool(2, 512, 10)
    yield opened
    opened.close()


@pytest.fixture
def read(pool: ParsePool, tmp_path: Path):
    def reading(body: bytes) -> Parsed:
        path = tmp_path / "file"
        path.write_bytes(body)
        result = pool.run(read_header, [str(path)])[0]
        assert isinstance(result, Parsed), result
        return result

    return reading


def test_a_good_file_yields_its_facts_and_nothing_personal(read) -> None:
    found = read(corpus.dicom(7))
    assert found == Parsed(
        study="1.2.3",
        series="1.2.3.1",
        instance="1.2.3.4.7",
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax="1.2.840.10008.1.2.1",
        modality="CT",
        body_part="CHEST",
        rows=16,
        columns=16,
    )


def test_a_name_in_the_place_of_a_code_is_dropped(read) -> None:
    with warnings.catch_warnings():
        # Whether pydicom warns here depends on its process-wide setting, which is not what this test is about.
        warnings.simplefilter("ignore", UserWarning)
        body = corpus.dicom(1, BodyPartExamined="Zhang Wei")
    assert read(body).body_part == ""


def test_private_elements_are_noticed(read) -> None:
    found = corpus.dataset()
    found.private_block(0x0009, "EXAMPLE", create=True).add_new(1, "LO", "x")
    assert read(corpus.written(found)).has_private


@pytest.mark.parametrize("syntax", corpus.DEFLATED)
def test_a_small_file_that_inflates_to_256_mib_is_refused_before_parsing(read, syntax: str) -> None:
    body = corpus.bomb(syntax)
    assert len(body) < 270_000
    assert read(body).reason == Reason.INFLATES_TOO_FAR


def test_a_deflated_file_below_the_limit_is_read(read) -> None:
    assert INFLATE_LIMIT >= 32 << 20
    assert read((CORPUS / "test_files/image_dfl.dcm").read_bytes()).reason == ""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", Reason.NOT_DICOM, id="empty"),
        pytest.param(b"just text " * 50, Reason.NOT_DICOM, id="text"),
        pytest.param(b"\0" * 128 + b"DICM", Reason.NO_STUDY_UID, id="preamble only"),
        pytest.param(corpus.dicom()[:-100], Reason.BROKEN, id="cut within the pixels"),
        pytest.param(corpus.dicom(1, Rows=4000), Reason.BROKEN, id="fewer pixels than declared"),
        pytest.param(corpus.dicom(1, StudyInstanceUID=None), Reason.NO_STUDY_UID, id="no study"),
        pytest.param(corpus.dicom(1, SeriesInstanceUID=None), Reason.NO_SERIES_UID, id="no series"),
        pytest.param(corpus.dicom(1, SOPInstanceUID=None), Reason.NO_INSTANCE_UID, id="no instance"),
        pytest.param(corpus.nested(20, defined_length=True), Reason.TOO_DEEP, id="nested"),
        pytest.param(corpus.nested(5000, defined_length=False), Reason.TOO_DEEP, id="nested until recursion"),
        pytest.param(corpus.crowded(120_000), Reason.TOO_MANY_ELEMENTS, id="crowded"),
        pytest.param(corpus.with_meta("1.2.840.10008.1.2.1.99", b"\xff" * 50), Reason.BROKEN, id="not deflate"),
        pytest.param(corpus.with_meta("1.2.840.10008.1.2.1.99", b""), Reason.BROKEN, id="no deflate"),
        pytest.param(corpus.encapsulated(cut=True), Reason.BROKEN, id="cut within a fragment"),
        pytest.param(corpus.encapsulated(cut=False), "", id="whole encapsulated"),
    ],
)
def test_each_unfit_file_has_its_reason(read, body: bytes, reason: str) -> None:
    assert read(body).reason == reason


@pytest.mark.parametrize("study", ["../../etc/passwd", "1.2/../..", "1..2", "张伟", "1" * 65, "."])
def test_a_uid_that_could_lead_elsewhere_is_no_uid(read, study: str) -> None:
    head = corpus.element(0x20, 0xD, b"UI", study.encode()) + corpus.element(0x20, 0xE, b"UI", b"1.2")
    assert read(corpus.with_meta("1.2.840.10008.1.2.1", head)).reason == Reason.NO_STUDY_UID


def test_a_dicomdir_is_never_followed(read) -> None:
    for path in CORPUS.rglob("DICOMDIR*"):
        assert read(path.read_bytes()).reason == Reason.DICOMDIR


def test_a_child_at_its_memory_limit_is_a_failure_of_that_file_only(tmp_path: Path) -> None:
    large = corpus.with_meta("1.2.840.10008.1.2.1", corpus.element(0x42, 0x11, b"OB", bytes(300 << 20)))
    (tmp_path / "large").write_bytes(large)
    (tmp_path / "good").write_bytes(corpus.dicom())
    pool = ParsePool(1, 256, 10)
    try:
        results = pool.run(read_header, [str(tmp_path / name) for name in ("good", "large", "good")])
    finally:
        pool.close()
    assert results[1] == Failure("memory_limit", "MemoryError")
    assert [r.reason for r in (results[0], results[2])] == ["", ""]


def test_no_file_of_pydicoms_own_corpus_is_fatal(pool: ParsePool) -> None:
    paths = sorted(str(path) for path in CORPUS.rglob("*") if path.is_file())
    results = pool.run(read_header, paths)
    assert all(isinstance(result, Parsed) for result in results)
    reasons = Counter(result.reason for result in results)
    assert len(paths) == reasons.total() > 161
    assert reasons[""] > 140
    assert reasons[Reason.DICOMDIR] == 8
    by_name = {Path(path).name: result.reason for path, result in zip(paths, results, strict=True)}
    assert by_name["MR_truncated.dcm"] == Reason.BROKEN
    assert by_name["rtplan_truncated.dcm"] == Reason.BROKEN
