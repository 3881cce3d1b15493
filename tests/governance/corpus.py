"""Files with sixty planted identifiers each: what may never be found again in what leaves governance."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
CHARSETS = ("ISO_IR 192", "GB18030")
SURNAMES = ["欧阳", "司马", "诸葛", "上官", "尉迟", "皇甫", "慕容", "夏侯"]
GIVEN = ["静怡", "浩然", "子涵", "雨桐", "思远", "若曦", "宇轩", "梓萱"]

TEXT_PLANTS = [
    "PatientComments",
    "OtherPatientNames",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
    "PatientMotherBirthName",
    "PatientBirthName",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "DeviceSerialNumber",
    "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "OtherPatientIDs",
    "AccessionNumber",
    "StudyID",
    "AdmissionID",
    "IssuerOfPatientID",
    "MilitaryRank",
    "BranchOfService",
    "CountryOfResidence",
    "RegionOfResidence",
    "PatientReligiousPreference",
    "Occupation",
    "AdditionalPatientHistory",
    "MedicalAlerts",
    "Allergies",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "RequestedProcedureDescription",
    "ImageComments",
    "DerivationDescription",
    "AcquisitionComments",
    "CurrentPatientLocation",
    "PatientInstitutionResidence",
    "RequestedProcedureID",
    "PerformedProcedureStepID",
    "PerformedProcedureStepDescription",
    "SoftwareVersions",
    "ContrastBolusAgent",
    "PerformedLocation",
    "VisitComments",
]
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "PatientBirthDate")


@dataclass
class Planted:
    """One file and what was planted in it.  strings: identifiers; dates: raw DA values by keyword; uids: raw UIDs."""

    body: bytes
    pixels: bytes
    strings: list[str] = field(default_factory=list)
    dates: dict[str, str] = field(default_factory=dict)
    uids: list[str] = field(default_factory=list)


def plant(number: int, *, patient: int | None = None, study: int | None = None, size: int = 16) -> Planted:
    """File `number`: deterministic; patient and study may be shared with other files."""
    rng = random.Random(number)
    person = number if patient is None else patient
    serial = number if study is None else study
    found = Planted(b"", rng.randbytes(size * size * 2))
    data = _image(found, size, number, serial)
    data.SpecificCharacterSet = CHARSETS[number % 2]
    _patient(data, found, person)
    for index, keyword in enumerate(TEXT_PLANTS):
        mark = f"Q{number:05d}Z{index:02d}"
        name = f"{SURNAMES[index % 8]}{mark}"
        setattr(data, keyword, mark if _short(keyword) else name)
        found.strings.append(mark)
    for offset, keyword in enumerate(DATES):
        value = f"20{10 + (serial + offset) % 14:02d}{1 + serial % 12:02d}{1 + (serial + offset) % 28:02d}"
        setattr(data, keyword, value)
        found.dates[keyword] = value
    data.AcquisitionDateTime = found.dates["AcquisitionDate"] + "101112.25"
    data.StudyTime = "101112"
    _odd_places(data, found, number)
    found.body = written(data, SYNTAXES[number % len(SYNTAXES)])
    return found


def _short(keyword: str) -> bool:
    return keyword in {"AccessionNumber", "StudyID", "RequestedProcedureID", "PerformedProcedureStepID"}


def _patient(data: Dataset, found: Planted, person: int) -> None:
    surname, given = SURNAMES[person % 8], GIVEN[person // 8 % 8]
    data.PatientName = f"Ouyangx{person:04d}^Jingyiq{person:04d}={surname}^{given}"
    data.PatientID = f"MRN{person:07d}"
    data.PatientSex, data.PatientAge = "F", "093Y"
    found.strings += [f"Ouyangx{person:04d}", f"Jingyiq{person:04d}", surname, given, f"MRN{person:07d}"]


def _image(found: Planted, size: int, number: int, serial: int) -> Dataset:
    data = Dataset()
    data.SOPClassUID = CTImageStorage
    data.StudyInstanceUID = f"1.2.826.0.1.7777.{serial}.1"
    data.SeriesInstanceUID = f"1.2.826.0.1.7777.{serial}.2"
    data.SOPInstanceUID = f"1.2.826.0.1.7777.{serial}.3.{number}"
    data.FrameOfReferenceUID = f"1.2.826.0.1.7777.{serial}.4"
    found.uids += [data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID, data.FrameOfReferenceUID]
    data.Modality, data.BodyPartExamined, data.Manufacturer = "CT", "CHEST", "SIEMENS"
    data.ManufacturerModelName, data.ConvolutionKernel = "Somatom 64", "B31f"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.Rows = data.Columns = size
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.PixelSpacing, data.SliceThickness, data.KVP = ["0.7", "0.7"], "1.25", "120"
    data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.add(DataElement(0x7FE00010, "OW", found.pixels))
    return data


def _odd_places(data: Dataset, found: Planted, number: int) -> None:
    def mark(place: str) -> str:
        text = f"X{number:05d}{place}"
        found.strings.append(text)
        return text

    private = data.private_block(0x0009, "HOSPITAL HIS", create=True)
    private.add_new(1, "LO", mark("PRIVLO"))
    private.add_new(2, "UN", mark("PRIVUN").encode() + b" ")
    inner = Dataset()
    inner.add_new(0x00091001, "PN", mark("PRIVPN"))
    private.add_new(3, "SQ", Sequence([inner]))
    data.add_new(0x50003000, "OW", mark("CURVEX").encode() + b"\0" * (len(f"X{number:05d}CURVEX") % 2))
    data.add_new(0x60004000, "LT", mark("OVERLAYTEXT"))
    data.add_new(0x60003000, "OW", mark("OVERLAYBITS").encode() + b"\0" * (len(f"X{number:05d}OVERLAYBITS") % 2))
    data.add_new(0x00089999, "LO", mark("UNKNOWNLO"))
    data.add_new(0x00189998, "UT", mark("UNKNOWNUT"))
    data.add_new(0x00080102, "SH", mark("SCHEME"))
    data.AnatomicRegionSequence = Sequence([_coded("T-D3000", mark("MEANING"))])
    request = Dataset()
    request.ScheduledProcedureStepDescription = mark("REQUEST")
    data.RequestAttributesSequence = Sequence([request])
    data.SharedFunctionalGroupsSequence = Sequence([_nested(mark("DEEPPN"), mark("DEEPUT"))])
    reference = Dataset()
    reference.ReferencedSOPClassUID = CTImageStorage
    reference.ReferencedSOPInstanceUID = f"1.2.826.0.1.8888.{number}"
    found.uids.append(reference.ReferencedSOPInstanceUID)
    data.ReferencedImageSequence = Sequence([reference])
    data.WindowCenterWidthExplanation = "138" + f"{number:08d}"
    found.strings.append(data.WindowCenterWidthExplanation)


def _coded(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SRT", meaning
    return item


def _nested(name: str, text: str) -> Dataset:
    innermost = Dataset()
    innermost.PatientName = name
    innermost.SpecificCharacterSet = "ISO_IR 192"
    innermost.add_new(0x00189997, "UT", text)
    innermost.SliceThickness = "1.25"
    middle = Dataset()
    middle.PixelMeasuresSequence = Sequence([innermost])
    return middle


def written(data: Dataset, syntax: str) -> bytes:
    """The dataset as file bytes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    fresh = Dataset()
    fresh.update({element.tag: element for element in data})
    fresh.file_meta = meta
    fresh.preamble = b"MRN-IN-PREAMBLE".ljust(128, b"\0")
    buffer = io.BytesIO()
    dcmwrite(buffer, fresh, enforce_file_format=True)
    return buffer.getvalue()


def on_disk(folder: Path, number: int, **shared: int) -> tuple[Path, Planted]:
    """A planted file in a folder."""
    found = plant(number, **shared)
    path = folder / f"{number}.dcm"
    path.write_bytes(found.body)
    return path, found
