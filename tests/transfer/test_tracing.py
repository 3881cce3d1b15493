"""Where a leaked file came from: whole, changed, stripped, or with nothing left that could tell."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from marketplace.kernel.canonical import sha256_hex
from marketplace.transfer.leaked import Leaked, read_leaked
from marketplace.transfer.making import agreement_secret
from marketplace.transfer.marks import mark_of, write_mark
from marketplace.transfer.tracing import Answer, Certainty, Known, known_delivery, trace
from tests.house import House
from tests.transfer.scans import WOMAN, agreed_on_scans, content, delivered, images
from tests.usage.agreed import agree_again, uses
from tests.usage.duties import small_groups, with_duties, written

WATERMARK = {"action": "mkt:watermark"}
MARKED = with_duties(uses(), WATERMARK)


class Case:
    """Two deliveries of one version, what is known of them, and files to look at."""

    def __init__(self, house: House, folder: Path, policy: dict = MARKED) -> None:
        made = agreed_on_scans(house, policy, [WOMAN] * 4)
        agree_again(house, made, "agr_2", policy)
        self.house, self.folder = house, folder
        self.manifests = [delivered(house, name) for name in ("agr_1", "agr_2")]
        self.evidence = [known_delivery(one, "m") for one in self.manifests]
        self.service = [self._with_key(one) for one in self.manifests]

    def _with_key(self, manifest: dict) -> Known:
        secret = agreement_secret(self.house.runtime.pseudonym_secret, manifest["agreement"]["id"])
        people = ["GOVERNED0", "GOVERNED1"]
        return known_delivery(manifest, "m", secret=secret, people=people)

    def file(self, delivery: int = 0, number: str = "0") -> Dataset:
        return images(self.house, self.manifests[delivery])[number]

    def trace(self, leaked: Dataset | bytes, known: list[Known]) -> Answer:
        body = leaked if isinstance(leaked, bytes) else saved(leaked)
        path = self.folder / "leaked"
        path.write_bytes(body)
        return trace(sha256_hex(body), read_leaked(str(path)), known)


def saved(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture
def case(house: House, tmp_path: Path) -> Case:
    return Case(house, tmp_path)


def renamed(dataset: Dataset) -> Dataset:
    """All UIDs of the instance, series and study are new."""
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, generate_uid("2.25."))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def stripped(dataset: Dataset, *kept: str) -> Dataset:
    """Nothing stays but what is named and the pixels."""
    for element in list(dataset):
        if element.keyword not in {*kept, "SOPClassUID", "PixelData", "Rows", "Columns", "BitsAllocated"}:
            del dataset[element.tag]
    if "SOPInstanceUID" not in dataset:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid("2.25.")
    return dataset


def test_a_file_as_it_was_delivered_is_proven_by_its_hash(case: Case) -> None:
    path = case.manifests[1]["files"][1]["path"]
    body = content(case.house, case.manifests[1], path)
    answer = case.trace(body, case.evidence)
    assert (answer.certainty, answer.agreements, answer.traced) == (Certainty.PROVEN, ("agr_2",), True)
    assert answer.clues[0].how == "hash"
    assert path in answer.clues[0].detail


def test_a_file_that_was_saved_anew_is_traced_by_its_identifiers_and_its_sealed_mark(case: Case) -> None:
    leaked = case.file(0)
    leaked.SeriesDescription = "changed"
    answer = case.trace(leaked, case.service)
    assert (answer.certainty, answer.agreements) == (Certainty.KEYED, ("agr_1",))
    assert {one.how for one in answer.clues if one.certainty is Certainty.KEYED} == {"instance", "mark"}


@pytest.mark.parametrize(
    ("kept", "certainty"),
    [
        ("SOPInstanceUID", Certainty.KEYED),
        ("StudyInstanceUID", Certainty.LIKELY),
        ("SeriesInstanceUID", Certainty.LIKELY),
    ],
)
def test_a_single_slice_stripped_of_all_but_one_identifier_is_traced(
    case: Case, kept: str, certainty: Certainty
) -> None:
    answer = case.trace(stripped(case.file(1, "3"), kept), case.evidence)
    assert (answer.certainty, answer.agreements, answer.traced) == (certainty, ("agr_2",), True)


@pytest.mark.parametrize("kept", ["ContributingEquipmentSequence", "InstanceCreatorUID"])
def test_either_place_of_the_mark_is_enough_and_is_no_proof_of_the_file(case: Case, kept: str) -> None:
    for known in (case.evidence, case.service):
        answer = case.trace(stripped(case.file(0), kept), known)
        assert (answer.certainty, answer.agreements, answer.traced) == (Certainty.LIKELY, ("agr_1",), True)


def test_a_pseudonym_is_enough_for_whoever_has_the_key(case: Case) -> None:
    leaked = stripped(case.file(1), "PatientID")
    assert case.trace(leaked, case.service).agreements == ("agr_2",)
    assert case.trace(leaked, case.evidence).certainty is None


def test_a_mark_moved_to_another_file_is_not_taken_for_sealed(case: Case) -> None:
    other = renamed(case.file(1))
    other.ContributingEquipmentSequence = case.file(0).ContributingEquipmentSequence
    sure = [one for one in case.trace(other, case.service).clues if one.certainty is Certainty.KEYED]
    assert sure == []


def test_a_mark_that_was_made_up_only_claims(case: Case) -> None:
    forged = stripped(renamed(case.file(1)))
    write_mark(forged, mark_of(b"guess" * 8, "agr_1", case.house.cast["pharma"].id))
    for known in (case.evidence, case.service):
        answer = case.trace(forged, known)
        assert (answer.certainty, answer.agreements, answer.traced) == (Certainty.CLAIMED, ("agr_1",), False)


def test_a_file_with_nothing_left_is_told_as_such(case: Case) -> None:
    answer = case.trace(stripped(renamed(case.file(0))), case.service)
    assert (answer.certainty, answer.agreements, answer.traced) == (None, (), False)


def test_pixels_tell_the_version_and_not_the_delivery(case: Case) -> None:
    leaked = stripped(renamed(case.file(0)))
    path = case.folder / "pixels"
    path.write_bytes(saved(leaked))
    pixels = read_leaked(str(path)).pixels
    assert len(pixels) == 64
    known = [known_delivery(one, "m", pixels=[pixels]) for one in case.manifests]
    answer = case.trace(leaked, known)
    assert (answer.certainty, answer.traced) == (Certainty.VERSION_ONLY, False)
    assert answer.agreements == ("agr_1", "agr_2")


def test_files_that_two_deliveries_share_tell_neither(house: House, tmp_path: Path) -> None:
    case = Case(house, tmp_path, uses(duties=()))
    answer = case.trace(case.file(0), case.service)
    assert (answer.certainty, answer.agreements, answer.traced) == (Certainty.VERSION_ONLY, ("agr_1", "agr_2"), False)
    alone = case.trace(case.file(0), case.service[:1])
    assert (alone.certainty, alone.traced) == (Certainty.VERSION_ONLY, False)


def test_a_file_made_of_two_deliveries_names_both(case: Case) -> None:
    leaked = case.file(0)
    leaked.ReferencedImageSequence = Sequence(case.file(1).ReferencedImageSequence)
    leaked.SOPInstanceUID = leaked.file_meta.MediaStorageSOPInstanceUID = generate_uid("2.25.")
    named = {one.agreement for one in case.trace(leaked, case.evidence).clues if one.certainty is Certainty.LIKELY}
    assert named == {"agr_1", "agr_2"}


def test_a_table_or_a_notice_is_traced_by_its_mark(house: House, tmp_path: Path) -> None:
    table = with_duties(uses(), WATERMARK, small_groups(1, "age_band"), limits=(written("output", "eq", "aggregate"),))
    case = Case(house, tmp_path, table)
    lines = content(house, case.manifests[0], "aggregate.csv").splitlines()[:2]
    for leaked in (lines[1], content(house, case.manifests[0], "NOTICE.txt").replace(b"\n", b"\r\n")):
        answer = case.trace(leaked, case.evidence)
        assert (answer.certainty, answer.agreements) == (Certainty.LIKELY, ("agr_1",))


def test_a_file_that_cannot_be_read_is_still_known_by_its_hash(case: Case) -> None:
    sha256 = case.manifests[0]["files"][1]["sha256"]
    assert trace(sha256, None, case.evidence).certainty is Certainty.PROVEN
    assert trace("0" * 64, None, case.evidence) == Answer(None, (), ())


def test_hostile_words_in_a_file_are_no_identifiers(tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text(json.dumps({"mark": "mark/1 agreement=../../etc buyer=x tag=zz", "uid": "1.2.3"}))
    assert read_leaked(str(path)) == Leaked("other")


def test_manifests_of_before_can_be_traced_too(case: Case) -> None:
    old = case.manifests[0] | {"transformations": ["mkt:pseudonymisePerAgreement"]}
    del old["mark"]
    leaked = case.file(0)
    leaked.SeriesDescription = "changed"
    assert case.trace(leaked, [known_delivery(old, "m")]).certainty is Certainty.KEYED
    assert pydicom.dcmread(io.BytesIO(saved(leaked))).SOPInstanceUID in known_delivery(old, "m").instances
