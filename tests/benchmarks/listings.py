"""Many listings at once, row by row what the verbs leave behind.

One listing is made by the real verbs, from registration to publication.  Every further one repeats its rows under ids
of its own, with names, imaging, provider and words of its own; its line in the search index comes from the function
that `publish` calls.  One in twenty is hidden: its certificate is suspended, or its opinion has expired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import func, insert, text
from sqlmodel import Session, SQLModel, col, select

from marketplace.assets.models import Asset, Version
from marketplace.exchange.indexing import terms_of
from marketplace.exchange.models import CatalogueLine, Listing, Offer
from marketplace.legal.models import Opinion
from marketplace.participants.models import Participant
from marketplace.registration.models import Application, Certificate, Right
from tests.exchange.parts import listed
from tests.house import House

HIDDEN = 20
PART = 2_000
PROVIDERS = 40
REGIONS = ("华东", "华南", "华北", "西南", "西北", "东北")
IMAGING = (("CT", "CHEST", "胸部CT", "chest CT"), ("MR", "BRAIN", "头颅磁共振", "brain MR"),
           ("CT", "ABDOMEN", "腹部CT", "abdominal CT"), ("DX", "CHEST", "胸部X线", "chest radiograph"),
           ("US", "HEART", "心脏超声", "cardiac ultrasound"))  # fmt: skip
DISEASES = (("肺癌", "lung cancer"), ("肝癌", "liver cancer"), ("脑卒中", "stroke"), ("冠心病", "coronary disease"),
            ("肺结节", "pulmonary nodules"), ("肺炎", "pneumonia"), ("骨折", "fracture"))  # fmt: skip
# In the order in which their keys refer to each other.
TABLES = (Asset, Version, Opinion, Application, Certificate, Right, Offer, Listing)


def fill(house: House, count: int) -> None:
    """Bring the catalogue to `count` lines.  Effects: rows past the guard of the log, as only a test writes them."""
    with house.arrange() as db:
        first = db.exec(select(Listing)).first()
    first = first or listed(house)
    with house.arrange() as db:
        model = _model(db, first)
        there: int = db.exec(select(func.count()).select_from(CatalogueLine)).one()
        providers = _providers(db, model["asset"]["provider_id"])
        db.execute(text("CREATE TEMPORARY TABLE word (term VARCHAR, weight INTEGER, number INTEGER)"))
        rows = (_listing(model, providers, number) for number in range(there + 1, count + 1))
        while part := list(islice(rows, PART)):
            _write(db, part, providers)
        # One sorted insertion instead of millions into the middle of the tree.
        db.execute(text("INSERT INTO catalogue_term SELECT term, weight, number FROM word ORDER BY 1, 2, 3"))
        db.execute(text("DROP TABLE word"))
        if not house.runtime.database.is_sqlite:
            db.execute(text("ANALYZE"))  # as autovacuum would within a minute; SQLite plans without statistics


def _model(db: Session, listing: Listing) -> dict[str, dict[str, Any]]:
    """The rows that one listing consists of, by table."""
    offer, version = db.get_one(Offer, listing.offer_id), db.get_one(Version, listing.version_id)
    certificate = db.exec(select(Certificate).where(Certificate.version_id == version.id)).one()
    right = select(Right).where(Right.asset_id == listing.asset_id, Right.kind == "operating")
    rows: list[SQLModel] = [
        db.get_one(Asset, listing.asset_id),
        version,
        db.exec(select(Opinion).where(Opinion.version_id == version.id)).one(),
        db.get_one(Application, certificate.application_id),
        certificate,
        db.exec(right).one(),
        offer,
        listing,
    ]
    return {str(row.__tablename__): row.model_dump() for row in rows}


def _providers(db: Session, provider: str) -> list[Participant]:
    model = db.get_one(Participant, provider)
    for number in range(1, PROVIDERS):
        own = {"id": f"{provider}_{number}", "credit_code": f"bench{number:013}", "legal_name": f"示例第{number}医院"}
        if db.get(Participant, own["id"]) is None:
            db.add(Participant(**model.model_dump() | own | {"legal_name_en": f"Example Hospital {number}"}))
    db.flush()
    return list(db.exec(select(Participant).where(col(Participant.id).startswith(provider)).order_by(Participant.id)))


def _listing(
    model: dict[str, dict[str, Any]], providers: Sequence[Participant], number: int
) -> dict[str, dict[str, Any]]:
    """The rows of another listing.  number: of its line, from which everything about it follows."""
    rows = {table: dict(row) for table, row in model.items()}
    ids = {rows[table]["id"]: f"{rows[table]['id'][:4]}{number:026}" for table in rows if table != "certificate"}
    ids[rows["certificate"]["code"]] = f"SJ991{number:010}"
    ids[rows["version"]["root"]] = f"{number:064x}"
    ids[model["asset"]["provider_id"]] = providers[number * 7 % len(providers)].id
    for row in rows.values():
        row.update({column: ids[value] for column, value in row.items() if isinstance(value, str) and value in ids})
    rows["version"]["parent_id"] = None
    rows["listing"]["listed_at"] += timedelta(seconds=number)
    rows["asset"].update(_description(number))
    if number % HIDDEN == 0:
        rows["certificate"]["state"] = "suspended"
    elif number % HIDDEN == HIDDEN // 2:
        rows["opinion"]["expires_at"] = model["opinion"]["signed_at"]
    return rows


def _description(number: int) -> dict[str, Any]:
    region, (modality, body_part, image, image_en) = REGIONS[number % 6], IMAGING[number * 11 // 7 % len(IMAGING)]
    disease, disease_en = DISEASES[number * 13 // 5 % len(DISEASES)]
    year = 2015 + number % 11
    return {
        "name": f"{year}{region}{image}{disease}影像数据集",
        "name_en": f"{region} {image_en} {disease_en} imaging set {year} no. {number}",
        "overview": f"示例：{region}地区多中心采集的{image}，经去标识化，用于{disease}筛查、诊断与疗效评估算法研发。",
        "overview_en": f"Example: de-identified {image_en} of several sites, for research into {disease_en} screening.",
        "region": region,
        "modality": modality,
        "body_part": body_part,
        "keywords": [disease, image, disease_en],
    }


def _write(db: Session, part: list[dict[str, dict[str, Any]]], providers: Sequence[Participant]) -> None:
    for table in TABLES:
        db.execute(insert(table), [rows[str(table.__tablename__)] for rows in part])
    lines = [{"number": int(rows["listing"]["id"][4:]), "listing_id": rows["listing"]["id"]} for rows in part]
    db.execute(insert(CatalogueLine), lines)
    holder = "?" if db.connection().dialect.paramstyle == "qmark" else "%s"
    statement = f"INSERT INTO word VALUES ({holder}, {holder}, {holder})"
    db.connection().exec_driver_sql(statement, list(_words(part, providers)))


def _words(part: list[dict[str, dict[str, Any]]], providers: Sequence[Participant]) -> Iterator[tuple[str, int, int]]:
    known = {one.id: one for one in providers}
    for rows in part:
        terms = terms_of(Offer(**rows["offer"]), Asset(**rows["asset"]), known[rows["offer"]["provider_id"]])
        number = int(rows["listing"]["id"][4:])
        yield from ((term, weight, number) for term, weight in terms.items())


def latest(db: Session) -> datetime:
    """When the last listing was published."""
    at = db.exec(select(func.max(Listing.listed_at))).one()
    assert at is not None
    return at
