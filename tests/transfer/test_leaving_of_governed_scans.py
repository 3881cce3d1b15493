"""The same on scans that governance really made: facts, kinds and pixels are those it kept."""

from __future__ import annotations

from pathlib import Path

import pydicom

from marketplace.collection.dicom import read_header
from marketplace.collection.models import CollectedFile
from marketplace.governance import queries
from marketplace.governance.deidentify import pixels_of
from marketplace.governance.required import required
from marketplace.negotiation.models import Agreement
from seeds.chest_ct import Archive, files_of, generate
from tests.governance.stage import collected, run_all, start
from tests.house import House
from tests.transfer.scans import delivered, images
from tests.usage.agreed import agree, rewrite, row, uses
from tests.usage.duties import only_attributes, only_records, small_groups, with_duties, written

CT = "1.2.840.10008.5.1.4.1.1.2"


def governed(house: House, folder: Path) -> str:
    """A governed version of invented chest CT, received file by file; returns its id."""
    scans = [one for one in files_of(generate(folder, Archive(patients=8, slices=1, size=16))) if "IM" in one.name]
    raw = collected(house, [one.read_bytes() for one in scans])
    job = start(house, raw)
    run_all(house)
    with house.arrange() as db:
        for at, one in enumerate(scans):
            parsed, stored = read_header(str(one)), house.runtime.store.put([one.read_bytes()], limit=1 << 20)
            both = {"sha256": stored.sha256, "sop_class": parsed.sop_class}
            row(db, CollectedFile, now=house.clock.now(), version_id=raw.id, batch="all", position=at, **both)
        version = queries.job(db, job.id).governed_version_id
        assert version is not None
        return version


def test_what_leaves_of_governed_scans_is_what_the_terms_say(house: House, tmp_path: Path) -> None:
    version = governed(house, tmp_path / "scans")
    named = [*required()[CT].valued, "PatientID", "PatientSex"]
    duties = (
        only_attributes(*named),
        only_records(written("mkt:modality", "eq", "CT"), written("mkt:sliceThicknessMicrometres", "lteq", 5000)),
        small_groups(2, "patient_sex"),
        {"action": "mkt:watermark"},
    )
    agree(house, with_duties(uses(), *duties))
    rewrite(house, Agreement, "agr_1", version_id=version)
    manifest = delivered(house)
    served = images(house, manifest)
    with house.runtime.database.reading() as db:
        facts, pixels = queries.facts_of(db, version), queries.pixels_of_version(db, version)
        assert queries.kinds_of(db, version) == {CT}
    assert len(facts) == 8
    assert served
    by_source = {one["source_path"]: one for one in manifest["files"] if one["source_path"]}
    persons = {sex: {one["patient"] for one in facts.values() if one["sex"] == sex} for sex in ("F", "M")}
    assert {facts[path]["sex"] for path in by_source} == {sex for sex, some in persons.items() if len(some) >= 2}
    for path, one in by_source.items():
        file = house.runtime.store.local_path(one["sha256"])
        image = pydicom.dcmread(file)
        assert image.PatientSex == facts[path]["sex"]
        assert pixels_of(str(file)) in pixels
        assert required()[CT].valued <= {element.keyword for element in image}
        assert not {"PatientAge", "ConvolutionKernel", "Manufacturer"} & {
            element.keyword for element in image if not element.is_empty
        }
        assert image.pixel_array.shape == (16, 16)
