"""What leaves is what the terms let leave: attributes, records, groups, tables, and the mark on each file."""

from __future__ import annotations

import csv
import io
import json

import pydicom
import pytest
from pydicom.dataset import Dataset

from marketplace.audit import documents
from marketplace.governance.required import required
from marketplace.kernel.canonical import read_strictly
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.refusals import clauses_behind
from marketplace.transfer import deciding, opening
from marketplace.transfer.deciding import Decided, Question
from marketplace.transfer.delivery import prepare
from marketplace.transfer.making import FileNotRemade, agreement_secret, make
from marketplace.transfer.marks import mark_of, read_marks, sealed
from marketplace.transfer.models import Delivery
from marketplace.transfer.opening import Download, Opened, Refused
from marketplace.transfer.plan import plan_of
from marketplace.usage.rules import UseRequest
from tests.house import House
from tests.transfer.doors import entries
from tests.transfer.scans import MAN, THIN, WOMAN, agreed_on_scans, content, delivered, images, scan
from tests.usage.agreed import agree_again, uses
from tests.usage.duties import only_attributes, only_records, small_groups, with_duties, written

CT = required()["1.2.840.10008.5.1.4.1.1.2"]
WATERMARK = {"action": "mkt:watermark"}
AGGREGATE = written("output", "eq", "aggregate")
THREE = written("mkt:minimumGroupSize", "gteq", 3)


def use(house: House) -> Opened | Refused:
    answer = opening.open_transfer(
        house.runtime, house.cast["pharma"].actor, Download("agr_1", UseRequest("statistics")), house.clock.now()
    )
    assert isinstance(answer, Opened | Refused)
    return answer


def test_only_named_attributes_leave_and_the_file_stays_dicom(house: House) -> None:
    named = [*CT.valued, "SliceThickness", "PatientID"]
    agreed_on_scans(house, with_duties(uses(), only_attributes(*named)), [WOMAN] * 2)
    manifest = delivered(house)
    served = images(house, manifest)["0"]
    source = pydicom.dcmread(io.BytesIO(scan(0)))
    held = {element.keyword for element in served}
    for gone in ("ConvolutionKernel", "PatientAge", "PatientWeight", "ReferencedImageSequence"):
        assert gone in source
        assert gone not in held
    assert CT.valued & {element.keyword for element in source} <= held
    assert (served.SliceThickness, served.PatientID != "", served.RescaleType) == (1.25, True, "HU")
    for emptied in ("KVP", "PatientSex", "StudyDate", "PatientName"):
        assert served[emptied].is_empty
    assert served.PatientIdentityRemoved == "YES"
    assert served.PixelData == source.PixelData
    (applied,) = [one for one in manifest["transformations"] if one["action"] == "mkt:onlyAttributes"]
    assert applied["constraint"] == [written("mkt:attribute", "isAnyOf", sorted(named))]
    assert isinstance(use(house), Opened)


def test_a_delivery_that_would_break_the_files_is_not_made(house: House) -> None:
    agreed_on_scans(house, with_duties(uses(), only_attributes("Modality")), [WOMAN])
    with pytest.raises(FileNotRemade):
        prepare(house.runtime, "agr_1")
    assert entries(house, "transfer:delivery_prepared") == []


def test_only_records_that_hold_every_limit_leave_and_the_manifest_counts_the_others(house: House) -> None:
    limits = [
        written("mkt:sliceThicknessMicrometres", "lteq", 1500),
        written("mkt:patientSex", "eq", "F"),
        written("mkt:studyYear", "gteq", 2021),
        written("mkt:bodyPart", "isAnyOf", ["CHEST", "HEART"]),
    ]
    thin, thick = WOMAN | THIN, WOMAN | {"thickness": "1.6"}
    facts = [thin, thick, MAN | THIN, thin | {"sex": ""}, thin | {"month": 2020 * 12 + 11}, thin | {"body_part": ""}]
    agreed_on_scans(house, with_duties(uses(), only_records(*limits)), facts)
    manifest = delivered(house)
    assert set(images(house, manifest)) == {"0"}
    assert [(one["term"], one["files"], one["records"]) for one in manifest["withheld"]] == [
        ("mkt:sliceThicknessMicrometres", 1, 1),
        ("mkt:patientSex", 2, 1),
        ("mkt:studyYear", 1, 1),
        ("mkt:bodyPart", 1, 1),
    ]
    assert (manifest["output"], manifest["records"], manifest["smallest_group"]) == ("records", 1, 1)
    (entry,) = entries(house, "transfer:delivery_prepared")
    assert entry["facts"]["withheld"] == manifest["withheld"]


def test_a_version_of_which_no_facts_are_known_gives_nothing_under_a_limit(house: House) -> None:
    agreed_on_scans(house, with_duties(uses(), only_records(written("mkt:modality", "eq", "CT"))), [{"modality": ""}])
    assert images(house, delivered(house)) == {}
    answer = use(house)
    assert isinstance(answer, Refused)
    assert answer.decision.reasons == ("nothing_remains",)


def test_small_groups_are_withheld_and_the_decision_sees_the_smallest_that_leaves(house: House) -> None:
    policy = with_duties(uses(), small_groups(3, "patient_sex", "age_band"), limits=(THREE,))
    agreed_on_scans(house, policy, [*[WOMAN] * 6, *[MAN] * 4])
    manifest = delivered(house)
    assert set(images(house, manifest)) == set("012345")
    assert manifest["smallest_group"] == 3
    assert manifest["withheld"] == [{"by": "mkt:withholdSmallGroups", "term": "", "files": 4, "records": 2}]
    assert isinstance(use(house), Opened)


def test_where_groups_are_of_age_bands_no_exact_age_leaves(house: House) -> None:
    agreed_on_scans(house, with_duties(uses(), small_groups(1, "age_band")), [WOMAN] * 2)
    manifest = delivered(house)
    assert manifest["hidden"] == ["PatientAge"]
    assert all("PatientAge" not in one for one in images(house, manifest).values())


def test_where_every_group_is_too_small_the_use_is_refused_with_its_clause(house: House) -> None:
    agreed_on_scans(house, with_duties(uses(), small_groups(3, "patient_sex")), [WOMAN] * 4)
    manifest = delivered(house)
    assert (images(house, manifest), manifest["records"], manifest["smallest_group"]) == ({}, 0, 0)
    answer = use(house)
    assert isinstance(answer, Refused)
    assert answer.decision.reasons == ("nothing_remains",)
    (entry,) = entries(house, "usage:refused")
    assert entry["facts"]["reasons"] == ["nothing_remains"]
    with house.runtime.database.reading() as db:
        contract = read_strictly(documents.get(db, db.get_one(Agreement, "agr_1").document).body)
    (clause,) = clauses_behind(contract, answer.decision.reasons)
    assert clause["id"] in {"what_leaves", "machine_terms"}


def test_a_table_leaves_instead_of_records_with_small_counts_withheld(house: House) -> None:
    policy = with_duties(uses(), small_groups(2, "patient_sex", "age_band"), WATERMARK, limits=(AGGREGATE,))
    old = {"age_band": "75-89"}
    facts = [*[WOMAN] * 6, *[WOMAN | old] * 4, *[MAN] * 4, *[MAN | old] * 2]
    agreed_on_scans(house, policy, facts)
    manifest = delivered(house)
    assert [one["path"] for one in manifest["files"]] == ["NOTICE.txt", "aggregate.csv", "aggregate.json"]
    assert (manifest["output"], manifest["records"]) == ("aggregate", 8)
    table = json.loads(content(house, manifest, "aggregate.json"))
    assert table["facts"] == ["age_band", "patient_sex"]
    assert {tuple(one["values"]): one["records"] for one in table["cells"]} == {
        ("40-59", "F"): None,
        ("40-59", "M"): None,
        ("75-89", "F"): None,
        ("75-89", "M"): None,
    }
    assert table["total"] == 8
    lines = list(csv.DictReader(io.StringIO(content(house, manifest, "aggregate.csv").decode())))
    assert [one["records"] for one in lines] == ["", "", "", "", "8"]
    assert {one["mark"] for one in lines} == {table["mark"]}
    assert isinstance(use(house), Opened)
    (entry,) = entries(house, "usage:allowed")
    assert entry["facts"]["manifest"] is not None


def test_a_contract_for_tables_only_never_serves_records(house: House) -> None:
    agreed_on_scans(house, with_duties(uses(), small_groups(1, "patient_sex"), limits=(AGGREGATE,)), [WOMAN] * 2)
    prepare(house.runtime, "agr_1")
    assert isinstance(use(house), Opened)
    with house.arrange() as db:
        row = db.get(Delivery, "agr_1")
        assert row is not None
        row.output = "records"
        db.add(row)
    answer = use(house)
    assert isinstance(answer, Refused)
    assert answer.decision.reasons == ("output_not_permitted",)


def resaved(dataset: Dataset) -> Dataset:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(out.getvalue()))


def test_every_delivered_file_bears_a_mark_of_agreement_and_buyer_that_survives_saving(house: House) -> None:
    agreed_on_scans(house, with_duties(uses(), WATERMARK), [WOMAN] * 3)
    manifest = delivered(house)
    secret, buyer = agreement_secret(house.runtime.pseudonym_secret, "agr_1"), house.cast["pharma"].id
    mark = mark_of(secret, "agr_1", buyer)
    assert manifest["mark"] == {
        "tag": mark.tag,
        "places": ["ContributingEquipmentSequence", "InstanceCreatorUID"],
        "pixels": "unchanged",
    }
    for number, served in images(house, manifest).items():
        again = resaved(served)
        (item,) = again.ContributingEquipmentSequence
        assert list(read_marks(item.ContributionDescription)) == [sealed(mark, secret, again.SOPInstanceUID)]
        assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "109104"
        assert again.InstanceCreatorUID == mark.creator
        assert again.PixelData == pydicom.dcmread(io.BytesIO(scan(int(number)))).PixelData
    assert mark.text in content(house, manifest, "NOTICE.txt").decode()


def test_marks_of_two_agreements_and_of_two_files_differ(house: House) -> None:
    policy = with_duties(uses(duties=()), WATERMARK)
    made = agreed_on_scans(house, policy, [WOMAN] * 2)
    agree_again(house, made, "agr_2", policy)
    marks = [
        images(house, delivered(house, name))[number].ContributingEquipmentSequence[0].ContributionDescription
        for name in ("agr_1", "agr_2")
        for number in ("0", "1")
    ]
    assert len(set(marks)) == 4
    assert len({next(read_marks(one)).tag for one in marks}) == 2


def test_what_leaves_is_the_same_each_time_whatever_was_done_to_it(house: House) -> None:
    duties = (only_attributes(*CT.valued), small_groups(1, "age_band"), WATERMARK)
    agreed_on_scans(house, with_duties(uses(), *duties), [WOMAN] * 4)
    with house.runtime.database.reading() as db:
        first, second = plan_of(db, "agr_1"), plan_of(db, "agr_1")
    assert list(make(house.runtime, first)) == list(make(house.runtime, second))


@pytest.mark.parametrize(("least", "allowed"), [(2, True), (9, False)])
def test_asked_beforehand_the_answer_is_that_of_the_use(house: House, least: int, allowed: bool) -> None:
    policy = with_duties(uses(), small_groups(least, "patient_sex"), WATERMARK, limits=(AGGREGATE, THREE))
    agreed_on_scans(house, policy, [*[WOMAN] * 6, *[MAN] * 6])
    delivered(house)
    question = Question(lambda _db: (house.cast["pharma"].actor, lambda _: None), "agr_1", UseRequest("statistics"))
    (told,) = deciding.decide_all(house.runtime, [question], house.clock.now())
    assert isinstance(told, Decided)
    answer = use(house)
    assert isinstance(answer, Opened) == told.decision.allow == allowed
    if isinstance(answer, Refused):
        assert answer.decision.reasons == told.decision.reasons
