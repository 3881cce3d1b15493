"""Synthetic chest CT with headers full of invented personal data; the same seed gives the same bytes.

Anatomy is plausible, not diagnostic: body, lungs, heart, spine, ribs, couch, vessels; every eighth patient has a nodule
whose place stands in `truth.json`.  Beside the scans lie what real archives hold too: broken files, exact copies,
screenshots.  `planted.json` lists every planted string, so that a test can look for what must not be left.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
)

from seeds.identities import Identity, identity

HOSPITAL = "示例一院影像中心"
PHYSICIANS = ("钱建国", "沈玉兰", "韩志强")
SHAPES = 12
NODULE_EVERY = 8
SCREENSHOT_EVERY = 200

CLASSES = {
    "CT": CTImageStorage,
    "CR": ComputedRadiographyImageStorage,
    "MR": MRImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
}

Image = NDArray[np.int16]


@dataclass(frozen=True)
class Archive:
    """What to make.  slices: files per patient; size: rows and columns of an image.

    modality, body_part: what the headers say; the pixels are those of a chest CT all the same.
    """

    patients: int = 1000
    slices: int = 2
    size: int = 96
    seed: int = 20260701
    modality: str = "CT"
    body_part: str = "CHEST"


def generate(folder: Path, archive: Archive | None = None) -> Path:
    """Write an archive into a folder, once: a folder that is complete for the same settings is left alone.

    Returns the folder of the files alone; `planted.json` and `truth.json` lie beside it.
    """
    archive = archive or Archive()
    files = folder / "archive"
    done = folder / "complete.json"
    if done.is_file() and json.loads(done.read_text()) == archive.__dict__:
        return files
    shutil.rmtree(folder, ignore_errors=True)
    files.mkdir(parents=True)
    planted: list[str] = [HOSPITAL, *PHYSICIANS]
    truth: list[dict[str, Any]] = []
    shapes = [_shape(archive, number) for number in range(SHAPES)]
    for ordinal in range(archive.patients):
        person = identity(random.Random(f"{archive.seed}/{ordinal}"), ordinal)
        planted += person.strings
        _write_patient(files, archive, ordinal, person, shapes, truth)
    _write_oddities(files)
    (folder / "planted.json").write_text(json.dumps(sorted(set(planted)), ensure_ascii=False))
    (folder / "truth.json").write_text(json.dumps(truth))
    done.write_text(json.dumps(archive.__dict__))
    return files


def _write_patient(
    files: Path,
    archive: Archive,
    ordinal: int,
    person: Identity,
    shapes: list[list[Image]],
    truth: list[dict[str, Any]],
) -> None:
    dice = np.random.Generator(np.random.Philox(key=[archive.seed, ordinal]))
    header = _header(archive, ordinal, person)
    nodule = _nodule(dice, archive) if ordinal % NODULE_EVERY == 0 else None
    if nodule is not None:
        truth.append({"patient": ordinal, **nodule})
    for number, image in enumerate(shapes[ordinal % SHAPES]):
        pixels = image + dice.integers(-18, 19, image.shape, dtype=np.int16)
        if nodule is not None:
            pixels = _with_nodule(pixels, nodule)
        _save(files / f"{ordinal:05d}" / f"IM{number:04d}.dcm", _slice(header, ordinal, number, pixels, archive))
    if ordinal % SCREENSHOT_EVERY == 0:
        _save(files / f"{ordinal:05d}" / "SCREEN.dcm", _screenshot(header, ordinal, archive))


def _header(archive: Archive, ordinal: int, person: Identity) -> Dataset:
    """The patient and study level, with personal data in ordinary, free-text and private places."""
    day = 20250101 + 100 * (ordinal % 12) + ordinal % 28
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.StudyDate = header.SeriesDate = header.AcquisitionDate = header.ContentDate = str(day)
    header.StudyTime = header.ContentTime = f"{8 + ordinal % 9:02d}{ordinal % 60:02d}00"
    header.AccessionNumber = f"AC{archive.seed % 1000:03d}{ordinal:07d}"
    header.Modality = archive.modality
    header.Manufacturer = "Example Imaging"
    header.InstitutionName = HOSPITAL
    header.InstitutionAddress = "示例市健康大道1号"
    header.ReferringPhysicianName = PHYSICIANS[ordinal % 3]
    header.PerformingPhysicianName = PHYSICIANS[(ordinal + 1) % 3]
    header.OperatorsName = PHYSICIANS[(ordinal + 2) % 3]
    header.StudyDescription = f"胸部CT平扫 {person.chinese}"
    header.SeriesDescription = "CHEST 5.0 B70"
    header.DeviceSerialNumber = f"SN{ordinal % 4:04d}"
    header.StationName = "CT01"
    header.PatientName = f"{person.latin}={person.chinese}"
    header.PatientID = person.record
    header.OtherPatientIDs = person.number
    header.PatientBirthDate = person.birth
    header.PatientSex = person.sex
    header.PatientAge = f"{2025 - int(person.birth[:4]):03d}Y"
    header.PatientAddress = person.address
    header.PatientTelephoneNumbers = person.phone
    header.Occupation = "示例职业"
    header.EthnicGroup = "汉族"
    header.PatientComments = f"{person.chinese} 电话{person.phone} 身份证{person.number}"
    header.ImageComments = f"复查，联系{person.chinese} {person.phone}"
    header.BodyPartExamined = archive.body_part
    header.StudyID = f"S{ordinal}"
    header.StudyInstanceUID = _uid(archive, ordinal, "study")
    private = header.private_block(0x0009, "EXAMPLE PACS", create=True)
    private.add_new(0x01, "LO", f"{person.chinese}/{person.number}")
    private.add_new(0x02, "PN", person.latin)
    return header


def _slice(header: Dataset, ordinal: int, number: int, pixels: Image, archive: Archive) -> Dataset:
    dataset = Dataset()
    dataset.update(header)
    dataset.SOPClassUID = CLASSES[archive.modality]
    dataset.SOPInstanceUID = _uid(archive, ordinal, f"image-{number}")
    dataset.SeriesInstanceUID = _uid(archive, ordinal, "series")
    dataset.FrameOfReferenceUID = _uid(archive, ordinal, "frame")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.AcquisitionNumber = 2, number + 1, 1
    dataset.SliceThickness, dataset.KVP = "5.0", "120"
    spacing = f"{360 / archive.size:.4f}"
    dataset.PixelSpacing = [spacing, spacing]
    dataset.ImagePositionPatient = ["-180", "-180", f"{-150 + 5 * number}"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.ConvolutionKernel, dataset.PatientPosition = "B70", "HFS"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = "-600", "1500"
    return _with_pixels(dataset, (pixels + 1024).astype("<u2"), bits=12)


def _screenshot(header: Dataset, ordinal: int, archive: Archive) -> Dataset:
    """A secondary capture: a kind that may carry burned-in text and must be held back."""
    dataset = Dataset()
    dataset.update(header)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = _uid(archive, ordinal, "screen")
    dataset.SeriesInstanceUID = _uid(archive, ordinal, "screens")
    dataset.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation = "YES"
    dataset.SeriesNumber, dataset.InstanceNumber = 99, 1
    pixels = np.zeros((archive.size, archive.size), dtype="<u2")
    pixels[4:12, 4 : archive.size // 2] = 4000
    return _with_pixels(dataset, pixels, bits=12)


def _with_pixels(dataset: Dataset, pixels: NDArray[np.uint16], bits: int) -> Dataset:
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, bits, bits - 1, 0
    dataset.PixelData = pixels.tobytes()
    return dataset


def _save(path: Path, dataset: Dataset) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def _write_oddities(files: Path) -> None:
    """What a real export holds besides: a cut file, a text file, an empty file, two exact copies."""
    first, second = sorted(files.rglob("IM0000.dcm"))[:2]
    odd = files / "odd"
    odd.mkdir()
    (odd / "cut.dcm").write_bytes(first.read_bytes()[:700])
    (odd / "readme.dcm").write_text("导出说明：本目录由工作站生成\n")
    (odd / "empty.dcm").write_bytes(b"")
    shutil.copyfile(first, odd / "copy-of-first.dcm")
    shutil.copyfile(second, odd / "copy-of-second.dcm")


def _shape(archive: Archive, number: int) -> list[Image]:
    """One body shape as its slices, in Hounsfield units."""
    dice = np.random.Generator(np.random.Philox(key=[archive.seed, 10_000 + number]))
    wide, deep = 0.78 + 0.12 * dice.random(), 0.56 + 0.1 * dice.random()
    vessels = dice.uniform(-0.6, 0.6, (40, 2))
    return [_anatomy(archive.size, wide, deep, vessels, level) for level in range(archive.slices)]


def _anatomy(size: int, wide: float, deep: float, vessels: NDArray[np.float64], level: int) -> Image:
    axis = np.linspace(-1, 1, size)
    x, y = np.meshgrid(axis, axis)
    image = np.full((size, size), -1000.0)
    body = _ellipse(x, y, 0, 0, wide, deep)
    image[body] = -90
    image[_ellipse(x, y, 0, 0, wide - 0.06, deep - 0.06)] = 45
    for side in (-1, 1):
        lung = _ellipse(x, y, side * wide * 0.47, -0.03, wide * 0.36, deep * 0.76 - 0.03 * level)
        image[lung] = -840
        for place, (u, v) in enumerate(vessels):
            near = _ellipse(x, y, side * wide * 0.47 + 0.3 * u, 0.4 * v, *([0.012 + 0.0004 * place] * 2))
            image[near & lung] = 30
    image[_ellipse(x, y, -0.1, -0.08 + 0.02 * level, 0.24, 0.2)] = 42
    image[_ellipse(x, y, 0.03, 0.12, 0.05, 0.05)] = 60
    image[_ellipse(x, y, 0.0, deep - 0.16, 0.1, 0.09)] = 420
    for angle in np.linspace(0.35, 2 * np.pi - 0.35, 16):
        at = ((wide - 0.08) * np.sin(angle), (deep - 0.08) * np.cos(angle))
        image[_ellipse(x, y, *at, 0.03, 0.022)] = 520
    image[(np.abs(y - deep - 0.06) < 0.02) & (np.abs(x) < 0.7)] = -300
    return image.astype(np.int16)


def _ellipse(x: Any, y: Any, cx: float, cy: float, rx: float, ry: float) -> Any:
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1


def _nodule(dice: np.random.Generator, archive: Archive) -> dict[str, int]:
    """A place in one lung: row, column, radius in pixels, density in HU."""
    side = -1 if dice.random() < 0.5 else 1
    half = archive.size // 2
    return {
        "row": int(half + dice.integers(-half // 5, half // 5)),
        "column": int(half + side * half * 2 // 5 + dice.integers(-4, 5)),
        "radius": int(dice.integers(1, 4)),
        "density": int(dice.choice([-520, 40])),
    }


def _with_nodule(pixels: Image, nodule: dict[str, int]) -> Image:
    rows, columns = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    inside = (rows - nodule["row"]) ** 2 + (columns - nodule["column"]) ** 2 <= nodule["radius"] ** 2
    changed = pixels.copy()
    changed[inside] = nodule["density"]
    return changed


def _uid(archive: Archive, ordinal: int, what: str) -> str:
    """A UID below 2.25 made from the seed (PS3.5 B.2)."""
    digest = hashlib.sha256(f"{archive.seed}/{ordinal}/{what}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"


def files_of(folder: Path) -> Iterator[Path]:
    """Every file of an archive, in name order."""
    return iter(sorted(path for path in folder.rglob("*") if path.is_file()))
