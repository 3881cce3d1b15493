"""The synthetic archive: deterministic, plausible, full of invented personal data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from marketplace.collection.dicom import read_header
from marketplace.kernel.canonical import sha256_hex
from seeds.chest_ct import SCREENSHOT_EVERY, Archive, files_of, generate
from seeds.identities import identity_number

SMALL = Archive(patients=210, size=32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("archive") / "ct"
    generate(made, SMALL)
    return made


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_hex(path.read_bytes()) for path in files_of(folder)}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", SMALL)
    assert hashes(tmp_path / "again") == hashes(folder)
    generate(tmp_path / "other", Archive(patients=210, size=32, seed=1))
    assert set(hashes(tmp_path / "other").values()) & set(hashes(folder).values()) <= {
        sha256_hex(b""), sha256_hex("导出说明：本目录由工作站生成\n".encode())
    }  # fmt: skip


def test_a_complete_folder_is_left_alone_and_an_incomplete_one_made_anew(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    generate(copy, Archive(patients=3, size=16))
    marker = copy / "archive" / "00000" / "IM0000.dcm"
    marker.write_bytes(b"changed")
    generate(copy, Archive(patients=3, size=16))
    assert marker.read_bytes() == b"changed"
    (copy / "complete.json").unlink()
    generate(copy, Archive(patients=3, size=16))
    assert marker.read_bytes() != b"changed"


def test_every_patient_is_one_study_and_the_extras_add_none(folder: Path) -> None:
    facts = [read_header(str(path)) for path in files_of(folder / "archive")]
    accepted = [one for one in facts if not one.reason]
    assert len({one.study for one in accepted}) == SMALL.patients
    screens = -(-SMALL.patients // SCREENSHOT_EVERY)
    assert len(accepted) == SMALL.patients * SMALL.slices + screens + 2
    assert sorted(str(one.reason) for one in facts if one.reason) == ["broken", "not_dicom", "not_dicom"]
    assert all(one.has_private for one in accepted)


def test_planted_strings_are_really_in_the_headers(folder: Path) -> None:
    planted = json.loads((folder / "planted.json").read_text())
    content = "".join(
        path.read_bytes().decode("utf-8", errors="ignore").replace("^", " ") for path in files_of(folder / "archive")
    )
    missing = [text for text in planted if text not in content]
    assert not missing
    assert len(planted) > 5 * SMALL.patients


def test_identity_numbers_are_checksum_valid_and_belong_to_nobody(folder: Path) -> None:
    for path in sorted((folder / "archive").glob("0*/IM0000.dcm")):
        header = dcmread(path)
        number = header.OtherPatientIDs
        assert number == identity_number(number[:17])
        assert number.startswith("999999")
        assert number[6:14] == header.PatientBirthDate
        assert int(number[16]) % 2 == (header.PatientSex == "M")
        assert header.PatientName.ideographic
        assert number in header[0x0009, 0x1001].value


def test_the_pictures_look_like_a_chest(folder: Path) -> None:
    header = dcmread(folder / "archive" / "00001" / "IM0000.dcm")
    hounsfield = header.pixel_array.astype(int) + int(header.RescaleIntercept)
    lung = ((hounsfield > -950) & (hounsfield < -700)).mean()
    soft = ((hounsfield > 0) & (hounsfield < 100)).mean()
    bone = (hounsfield > 300).mean()
    assert 0.1 < lung < 0.5
    assert 0.1 < soft < 0.6
    assert 0.001 < bone < 0.1
    other = dcmread(folder / "archive" / "00013" / "IM0000.dcm").pixel_array.astype(int) - 1024
    assert np.abs(other - hounsfield).mean() > 1


def test_nodules_stand_where_the_truth_says(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    assert len(truth) == -(-SMALL.patients // 8)
    for one in truth:
        header = dcmread(folder / "archive" / f"{one['patient']:05d}" / "IM0000.dcm")
        assert int(header.pixel_array[one["row"], one["column"]]) - 1024 == one["density"]
