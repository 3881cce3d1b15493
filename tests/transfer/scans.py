"""A governed version of scans with facts about them, and what is delivered of it."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from marketplace.audit import documents
from marketplace.governance.models import AssetSecret, GovernanceJob, GovernedFile
from marketplace.kernel.canonical import read_strictly
from marketplace.transfer.delivery import prepare
from tests.house import House
from tests.usage.agreed import Agreed, agree, dicom, row

Json = dict[str, Any]
WOMAN = {"sex": "F", "age_band": "40-59", "month": 2021 * 12 + 3}
MAN = WOMAN | {"sex": "M"}
THIN = {"thickness": "1.25"}
_NUMBERS = itertools.count(1)


def scan(number: int) -> bytes:
    """A slice with what a contract could leave out; two slices belong to one study, as in `agreed.dicom`."""
    made = pydicom.dcmread(io.BytesIO(dicom(number, pixels=8)))
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.PixelSpacing, made.SliceThickness, made.KVP = ["0.7", "0.7"], "1.25", "120"
    made.ImagePositionPatient, made.ImageOrientationPatient = ["0", "0", "0"], ["1", "0", "0", "0", "1", "0"]
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = "-1024", "1", "HU"
    made.PatientAge, made.PatientSex, made.PatientWeight = "057Y", "F", "70"
    made.ConvolutionKernel, made.StudyDate = "B70", "20210402"
    out = io.BytesIO()
    pydicom.dcmwrite(out, made, enforce_file_format=True)
    return out.getvalue()


def agreed_on_scans(house: House, policy: Json, facts: Sequence[Json]) -> Agreed:
    """An agreement over a governed version; facts: of each file, two files to a study, a person for each study."""
    made = agree(house, policy, contents=[scan(number) for number in range(len(facts))])
    now = house.clock.now()
    with house.arrange() as db:
        db.add(AssetSecret(asset_id=made.asset, secret=b"s" * 32))
        db.flush()
        job = f"gov_{next(_NUMBERS)}"
        both = {"asset_id": made.asset, "raw_version_id": made.version, "governed_version_id": made.version}
        row(db, GovernanceJob, now=now, id=job, secret_id=made.asset, state="finished", step="finished", **both)
        for at, one in enumerate(facts):
            path = f"1.2.3.1000{at // 2}/1.2.3.2000{at // 2}/1.2.3.3000{at}.dcm"
            known = {"modality": "CT", "body_part": "CHEST", "thickness": "5.0", "patient": f"PAT{at // 2}"} | one
            row(db, GovernedFile, now=now, job_id=job, position=at, outcome="governed", path=path, facts=known)
    return made


def delivered(house: House, agreement: str = "agr_1") -> Json:
    """The manifest of a delivery, prepared now."""
    name = prepare(house.runtime, agreement)
    assert name is not None
    with house.runtime.database.reading() as db:
        manifest: Json = read_strictly(documents.get(db, name).body)
    return manifest


def content(house: House, manifest: Json, path: str) -> bytes:
    """One delivered file."""
    (one,) = [one for one in manifest["files"] if one["path"] == path]
    return house.runtime.store.local_path(one["sha256"]).read_bytes()


def images(house: House, manifest: Json) -> dict[str, Dataset]:
    """The delivered images by the number of their source file."""
    return {
        one["source_path"].rsplit("/", 1)[1].removeprefix("1.2.3.3000").removesuffix(".dcm"): pydicom.dcmread(
            house.runtime.store.local_path(one["sha256"])
        )
        for one in manifest["files"]
        if one["source_path"] is not None
    }
