"""What is known of listings beyond their line, read at once: passport, quality card, signers, sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from marketplace.assets.models import StageRecord
from marketplace.assets.stages import PASSPORT
from marketplace.audit.models import Document
from marketplace.exchange.catalogue import CatalogueRow
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.legal.models import Evidence
from marketplace.participants.models import Participant

QUALITY_CARD = "quality_card"
SAMPLE = "sample"
_PLACES = {str(stage): place for place, stage in enumerate(PASSPORT)}


@dataclass(frozen=True)
class Facts:
    """One listing.

    passport: its stage records in the order of the stages, with the raw parent's `collected`; card: the quality card's
    content, empty without one, and its SHA-256; sample: a data sample that the provider handed in, if it did.
    """

    row: CatalogueRow
    passport: Sequence[StageRecord]
    card: Json
    card_sha256: str
    sample: Evidence | None
    names: Mapping[str, Participant]


def gather(db: Session, rows: Sequence[CatalogueRow]) -> list[Facts]:
    """The facts of some visible listings, in their order: four statements, however many they are."""
    versions = {one for row in rows for one in (row.version.id, row.version.parent_id) if one}
    records = db.exec(select(StageRecord).where(col(StageRecord.version_id).in_(versions))).all()
    samples = _samples(db, {row.asset.id for row in rows})
    names = _names(db, {one.signer for one in records} | {row.opinion.firm_id for row in rows})
    cards = _cards(db, records)
    return [_facts(row, records, cards, samples, names) for row in rows]


def _facts(
    row: CatalogueRow,
    records: Iterable[StageRecord],
    cards: Mapping[str, Json],
    samples: Mapping[str, Evidence],
    names: Mapping[str, Participant],
) -> Facts:
    own = [one for one in records if one.version_id in {row.version.id, row.version.parent_id}]
    passport = sorted(own, key=lambda one: _PLACES[one.stage])
    card = next((sha for one in passport for sha in _card_of(one) if sha in cards), "")
    return Facts(row, passport, cards.get(card, {}), card, samples.get(row.asset.id), names)


def _card_of(record: StageRecord) -> list[str]:
    return [one["sha256"] for one in record.evidence if one["kind"] == QUALITY_CARD]


def _cards(db: Session, records: Iterable[StageRecord]) -> dict[str, Json]:
    wanted = {sha for one in records for sha in _card_of(one)}
    found = db.exec(select(Document).where(col(Document.sha256).in_(wanted))).all()
    return {one.sha256: read_strictly(one.body) for one in found}


def _samples(db: Session, assets: set[str]) -> dict[str, Evidence]:
    rows = select(Evidence).where(col(Evidence.asset_id).in_(assets), Evidence.kind == SAMPLE)
    return {one.asset_id: one for one in db.exec(rows.order_by(col(Evidence.added_at), col(Evidence.id)))}


def _names(db: Session, ids: set[str]) -> dict[str, Participant]:
    return {one.id: one for one in db.exec(select(Participant).where(col(Participant.id).in_(ids)))}
