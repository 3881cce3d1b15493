"""No planted identifier survives; pictures stay bit-identical; pseudonyms are consistent where they must be."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from marketplace.governance.deidentify import GOVERNED, HELD_BACK, Done, Task, deidentify
from marketplace.governance.elements import cap_age
from marketplace.governance.profile import load
from marketplace.governance.pseudonyms import Pseudonyms
from tests.governance.corpus import on_disk, plant, written

KEY = b"k" * 32
ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")


def govern(path: Path, *, key: bytes = KEY, declared: bool = False) -> Done:
    return deidentify(Task(str(path), key, declared))


def output(path: Path, done: Done) -> bytes:
    assert done.outcome == GOVERNED, (done.reason, done.tag)
    return done.header + (path.read_bytes()[slice(*done.pixels)] if done.pixels else b"")


def read(path: Path, done: Done) -> Dataset:
    return dcmread(io.BytesIO(output(path, done)))


def changed(tmp_path: Path, **values: object) -> Path:
    """A planted file with some elements set, in explicit little endian."""
    data = dcmread(io.BytesIO(plant(0).body))
    for keyword, value in values.items():
        setattr(data, keyword, value)
    path = tmp_path / "changed.dcm"
    path.write_bytes(written(data, ExplicitVRLittleEndian))
    return path


def test_none_of_sixty_planted_identifiers_is_left_in_three_hundred_instances(tmp_path: Path) -> None:
    left: list[tuple[int, str]] = []
    for number in range(300):
        path, planted = on_disk(tmp_path, number)
        assert len(planted.strings) + len(planted.uids) >= 60
        done = govern(path)
        header = output(path, done)[: -len(planted.pixels)]
        shown = str(dcmread(io.BytesIO(output(path, done))))
        identifiers = [*planted.strings, *planted.uids, planted.dates["PatientBirthDate"], "MRN-IN-PREAMBLE"]
        left += [
            (number, text)
            for text in identifiers
            if text in shown or any(text.encode(encoding) in header for encoding in ENCODINGS)
        ]
        path.unlink()
    assert left == []


def test_the_planted_identifiers_really_are_in_the_raw_files(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        path, planted = on_disk(tmp_path, number)
        body = path.read_bytes()
        missing = [text for text in planted.strings if not any(text.encode(encoding) in body for encoding in ENCODINGS)]
        assert missing == []


@pytest.mark.parametrize("number", range(4))
def test_pixels_are_bit_identical_and_the_file_reads_again_in_every_encoding(tmp_path: Path, number: int) -> None:
    path, _ = on_disk(tmp_path, number)
    before = dcmread(path)
    after = read(path, govern(path))
    assert after.PixelData == before.PixelData
    assert after.Rows == before.Rows
    assert (after.pixel_array == before.pixel_array).all()


def test_what_was_done_is_written_into_the_file(tmp_path: Path) -> None:
    path, _ = on_disk(tmp_path, 0)
    after = read(path, govern(path))
    assert after.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in after.DeidentificationMethodCodeSequence] == ["113100", "113107", "113108"]
    assert after.LongitudinalTemporalInformationModified == "MODIFIED"
    assert after.SpecificCharacterSet == "ISO_IR 192"
    assert after.preamble == bytes(128)
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert after.PatientAge == "090Y"
    assert str(after.PatientName) == after.PatientID
    assert after.PatientBirthDate == ""
    assert (after.SliceThickness, after.ConvolutionKernel, after.BodyPartExamined) == (1.25, "B31f", "CHEST")
    nested = after.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert nested.SliceThickness == 1.25


def test_no_private_or_repeating_group_element_is_left_at_any_depth(tmp_path: Path) -> None:
    path, _ = on_disk(tmp_path, 0)
    tags = [element.tag for element in read(path, govern(path)).iterall()]
    assert not [tag for tag in tags if tag.is_private or tag.group >> 8 in {0x50, 0x60}]


def test_uids_agree_within_an_asset_and_differ_between_assets(tmp_path: Path) -> None:
    (first, _), (second, _) = on_disk(tmp_path, 0, study=7, patient=1), on_disk(tmp_path, 4, study=7, patient=1)
    one, two = read(first, govern(first)), read(second, govern(second))
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.SeriesInstanceUID == two.SeriesInstanceUID
    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert one.PatientID == two.PatientID
    elsewhere = read(first, govern(first, key=b"other" * 7))
    for keyword in ("StudyInstanceUID", "SOPInstanceUID", "PatientID"):
        assert getattr(elsewhere, keyword) != getattr(one, keyword)
    for uid in (one.StudyInstanceUID, one.SOPInstanceUID):
        assert uid.startswith("2.25.")
        assert uid.is_valid


def test_intervals_between_dates_of_a_patient_are_preserved_and_no_date_stays(tmp_path: Path) -> None:
    (first, early), (second, late) = on_disk(tmp_path, 0, study=3, patient=1), on_disk(tmp_path, 1, study=9, patient=1)
    one, two = read(first, govern(first)), read(second, govern(second))
    shifts = {
        _day(getattr(after, keyword)) - _day(planted.dates[keyword])
        for after, planted in ((one, early), (two, late))
        for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
    }
    assert len(shifts) == 1
    assert -3680 <= shifts.pop().days <= -30
    assert one.AcquisitionDateTime == one.AcquisitionDate + "101112.25"
    assert one.StudyTime == "101112"


def test_patients_are_shifted_differently() -> None:
    shifts = {Pseudonyms(KEY, f"patient {number}").shift for number in range(200)}
    assert len(shifts) > 150


def test_the_same_file_and_key_give_the_same_bytes(tmp_path: Path) -> None:
    path, _ = on_disk(tmp_path, 2)
    assert govern(path) == govern(path)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("089Y", "089Y"), ("090Y", "090Y"), ("103Y", "090Y"), ("012M", "012M"), ("93", ""), ("999W", "999W")],
)
def test_ages_over_89_become_90(text: str, kept: str) -> None:
    assert cap_age(text) == kept


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"BurnedInAnnotation": "YES"}, "may_carry_burned_in_text"),
        ({"ImageType": ["DERIVED", "SECONDARY", "OTHER"]}, "may_carry_burned_in_text"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "SCREEN SAVE"]}, "may_carry_burned_in_text"),
        ({"ConversionType": "WSD"}, "may_carry_burned_in_text"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "may_carry_burned_in_text"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1"}, "may_carry_burned_in_text"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"}, "free_text_object"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66"}, "raw_data"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.1"}, "presentation_object"),
        ({"SOPClassUID": "1.2.3.4"}, "kind_not_supported"),
        ({"BodyPartExamined": "HEAD"}, "head_needs_declaration"),
        ({"BodyPartExamined": ""}, "head_needs_declaration"),
        ({"StudyDescription": "头颅平扫"}, "head_needs_declaration"),
        ({"SeriesDescription": "Sinus 1mm"}, "head_needs_declaration"),
        ({"RecognizableVisualFeatures": "YES"}, "head_needs_declaration"),
        ({"Rows": 15}, "pixel_length_differs"),
        ({"StudyInstanceUID": ""}, "identity_incomplete"),
    ],
)
def test_a_file_is_held_back_with_its_reason(tmp_path: Path, values: dict[str, object], reason: str) -> None:
    done = govern(changed(tmp_path, **values))
    assert (done.outcome, done.reason) == (HELD_BACK, reason)
    assert done.header == b""


def test_a_signed_declaration_lets_a_head_through(tmp_path: Path) -> None:
    assert govern(changed(tmp_path, BodyPartExamined="HEAD"), declared=True).outcome == GOVERNED


def test_chest_ct_of_the_heart_is_not_taken_for_a_head(tmp_path: Path) -> None:
    assert govern(changed(tmp_path, StudyDescription="Heart and early phase")).outcome == GOVERNED


@pytest.mark.parametrize(
    ("values", "tag"),
    [
        ({"ManufacturerModelName": "Ouyangx0000 scanner"}, "0008,1090"),
        ({"SpacingBetweenSlices": "13812345678"}, "0018,0088"),
        ({"ScanOptions": "JINGYIQ0000"}, "0018,0022"),
    ],
)
def test_an_identifier_in_a_technical_element_is_found_by_its_tag_and_held_back(
    tmp_path: Path, values: dict[str, object], tag: str
) -> None:
    done = govern(changed(tmp_path, **values))
    assert (done.outcome, done.reason, done.tag) == (HELD_BACK, "identifier_left", tag)


def test_the_key_is_not_shown_when_a_task_is_printed() -> None:
    assert "kkkk" not in repr(Task("path", KEY, faces_declared=False)) + repr(Pseudonyms(KEY, "patient"))


@pytest.mark.parametrize(("comment", "reason"), [(b"MRN0000000", "identifier_left"), (b"LIBJPEG 62", None)])
def test_an_identifier_in_a_comment_of_a_compressed_picture_is_found(
    tmp_path: Path, comment: bytes, reason: str | None
) -> None:
    data = dcmread(io.BytesIO(plant(0).body))
    data.PixelData = encapsulate([b"\xff\xd8\xff\xfe" + comment + bytes(64)])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    path = tmp_path / "compressed.dcm"
    path.write_bytes(written(data, JPEGBaseline8Bit))
    done = govern(path)
    assert (done.reason, done.tag) == (reason, "7FE0,0010" if reason else None)
    if reason is None:
        assert read(path, done).PixelData == data.PixelData


def test_a_file_cut_short_is_held_back(tmp_path: Path) -> None:
    path, _ = on_disk(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:-100])
    assert govern(path).reason == "pixel_data_truncated"


def test_bytes_after_the_pixels_do_not_come_along(tmp_path: Path) -> None:
    path, planted = on_disk(tmp_path, 0)
    path.write_bytes(path.read_bytes() + b"MRN-BEHIND-THE-PIXELS")
    assert output(path, govern(path)).endswith(planted.pixels)


def test_text_hidden_in_a_numeric_element_is_dropped(tmp_path: Path) -> None:
    data = dcmread(io.BytesIO(plant(0).body))
    data.add_new(0x00189306, "FD", [1.0] * 40)
    path = tmp_path / "long.dcm"
    path.write_bytes(written(data, ExplicitVRLittleEndian))
    assert 0x00189306 not in read(path, govern(path))


def test_every_test_file_of_pydicom_is_governed_without_leak_or_held_back_with_a_reason() -> None:
    root = Path(pydicom.__file__).parent / "data"
    files = [path for path in root.rglob("*") if path.is_file() and path.suffix in {".dcm", ""}]
    assert len(files) > 100
    outcomes = {GOVERNED: 0, HELD_BACK: 0}
    for path in files:
        try:
            done = govern(path, declared=True)
        except Exception:  # noqa: BLE001 - in the pool this is a Failure, which is a reason too
            outcomes[HELD_BACK] += 1
            continue
        outcomes[done.outcome] += 1
        if done.outcome == HELD_BACK:
            assert done.reason
            continue
        before, after = dcmread(path, force=True), read(path, done)
        assert after.PixelData == before.PixelData
        for keyword in ("Rows", "Columns", "BitsAllocated", "PixelRepresentation", "NumberOfFrames", "PixelSpacing"):
            assert after.get(keyword) == before.get(keyword), (path.name, keyword)
        for keyword in ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID", "StudyDescription"):
            was = str(before.get(keyword) or "")
            assert not was or str(after.get(keyword) or "") != was
    assert outcomes[GOVERNED] >= 20
    assert outcomes[HELD_BACK] >= 50


def test_the_profile_holds_the_whole_table_and_no_tag_is_in_both_lists() -> None:
    profile = load()
    assert len(profile.actions) >= 600
    assert not set(profile.actions) & set(profile.allowed)
    known = {0x00100010: "Z", 0x00100020: "Z/D", 0x00081030: "X", 0x0020000D: "U", 0x00080020: "C:date"}
    assert {tag: profile.action(tag) for tag in known} == known
    assert profile.action(0x00091001) == "X:private"
    assert profile.action(0x60023000) == "X:repeating"
    assert profile.action(0x00089999) == "X:unknown"


def test_no_allowed_element_holds_names_dates_or_free_text() -> None:
    text = {"PN", "LT", "ST", "UT", "UC", "UR", "DA", "DT", "TM", "AE", "UN"}
    assert not [hex(tag) for tag, rule in load().allowed.items() if rule.vrs & text]


def _day(text: str):
    from datetime import date

    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
