"""What the pages show: values ready to print, read through the rooms' own queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup
from sqlmodel import Session, col, select

from marketplace.assets import queries as assets
from marketplace.assets.models import Asset
from marketplace.assets.stages import PASSPORT
from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.console import charts
from marketplace.console.words import Language, say
from marketplace.costing.sheet import DEFAULT_PRICES_FEN, cost_sheet
from marketplace.exchange import terms
from marketplace.exchange.catalogue import CatalogueRow
from marketplace.exchange.models import Listing, Offer
from marketplace.exchange.pricing import price_of_access
from marketplace.kernel.money import Money
from marketplace.negotiation.models import Agreement
from marketplace.participants import queries as participants

DAY = "%Y-%m-%d"
MINUTE = "%Y-%m-%d %H:%M"
USE_TAGS = (Tag.USE_ALLOWED, Tag.USE_REFUSED, Tag.TRANSFER_CLOSED)


@dataclass(frozen=True)
class Reader:
    """Who reads a page: the session, the moment, the language."""

    db: Session
    now: datetime
    language: Language

    def say(self, word: str) -> str:
        return say(word, self.language)

    def name_of(self, participant: str) -> str:
        """An organisation's legal name in the reader's language."""
        found = participants.participant(self.db, participant)
        return found.legal_name_en if self.language == "en" else found.legal_name


def money(fen: int) -> str:
    """RMB for a page, whole fen."""
    return f"¥{Money(fen).decimal:,.2f}"


def card(reader: Reader, row: CatalogueRow) -> dict[str, Any]:
    """What a catalogue card and the head of a listing page show."""
    english = reader.language == "en"
    return {
        "listing": row.listing.id,
        "name": row.asset.name_en if english else row.asset.name,
        "overview": row.asset.overview_en if english else row.asset.overview,
        "provider": row.provider.legal_name_en if english else row.provider.legal_name,
        "modality": f"{row.asset.modality} · {row.asset.body_part}",
        "records": row.version.records,
        "files": row.version.files,
        "root": row.version.root,
        "price": money(price_of_access(row.offer.price_plan).minor),
        "is_example": row.asset.is_example,
    }


def listing_page(reader: Reader, row: CatalogueRow) -> dict[str, Any]:
    """The whole page of one listing.

    Costs and agreements appear only for invented example assets: real ones belong to their parties.
    """
    page: dict[str, Any] = {
        "asset": card(reader, row),
        "certificate": {"code": row.certificate.code, "until": row.certificate.valid_until.strftime(DAY)},
        "opinion": {
            "outcome": row.opinion.outcome,
            "firm": reader.name_of(row.opinion.firm_id),
            "until": row.opinion.expires_at.strftime(DAY),
        },
        **_passport(reader, row.version.id),
        **_terms(row.offer),
    }
    if row.asset.is_example:
        page["costs"] = _costs(reader, row.asset, row.version.records)
        page["agreements"] = _agreements(reader, row.listing)
    return page


def agreement_page(reader: Reader, agreement: Agreement) -> dict[str, Any]:
    """The page of an agreement: parties, terms in the reader's language, signatures, uses."""
    document = documents.content(reader.db, agreement.document)
    asset = assets.asset(reader.db, agreement.asset_id)
    return {
        "asset": asset.name_en if reader.language == "en" else asset.name,
        "provider": reader.name_of(agreement.provider_id),
        "buyer": reader.name_of(agreement.buyer_id),
        "state": agreement.state,
        "finalized": agreement.finalized_at is not None,
        "starts": agreement.starts_at.strftime(DAY),
        "ends": agreement.ends_at.strftime(DAY),
        "price": money(int(document["price_fen"])),
        "document": agreement.document,
        "clauses": document["text"][reader.language]["clauses"],
        "signatures": [
            {
                "signer": reader.name_of(one.signer),
                "alg": one.alg,
                "kid": one.kid,
                "when": one.signed_at.strftime(MINUTE),
            }
            for one in documents.signatures(reader.db, agreement.document)
        ],
        "uses": [_entry_row(row) for row in _uses(reader.db, agreement.id)],
    }


def newest_entries(db: Session, limit: int) -> list[dict[str, Any]]:
    """The newest integrated entries without their bodies, newest first."""
    rows = db.exec(
        select(Entry).where(col(Entry.leaf_index).is_not(None)).order_by(col(Entry.leaf_index).desc()).limit(limit)
    )
    return [_entry_row(row) for row in rows]


def _uses(db: Session, agreement_id: str) -> list[Entry]:
    rows = select(Entry).where(Entry.agreement == agreement_id, col(Entry.tag).in_([str(tag) for tag in USE_TAGS]))
    return list(db.exec(rows.order_by(col(Entry.id).desc()).limit(100)))


def _entry_row(row: Entry) -> dict[str, Any]:
    return {
        "id": row.id,
        "tag": row.tag,
        "when": row.at.strftime(MINUTE),
        "leaf": "…" if row.leaf_index is None else row.leaf_index,
    }


def _passport(reader: Reader, version_id: str) -> dict[str, Any]:
    records = {row.stage: row for row in assets.stage_records(reader.db, version_id)}
    stops = []
    for stage in PASSPORT:
        row = records.get(stage)
        stops.append(
            charts.Stop(
                name=reader.say(stage),
                reached=row is not None,
                when=row.recorded_at.strftime(DAY) if row else "",
                who=reader.name_of(row.signer) if row else "",
            )
        )
    lines = [
        {
            "stage": reader.say(row.stage),
            "signer": reader.name_of(row.signer),
            "alg": row.alg,
            "when": row.recorded_at.strftime(MINUTE),
            "evidence": row.evidence,
        }
        for row in records.values()
    ]
    return {"passport": charts.passport(reader.say("passport"), stops, reader.say("not_reached")), "lines": lines}


def _terms(offer: Offer) -> dict[str, Any]:
    rules = terms.enforcement(offer.uses)
    return {
        "purposes": ", ".join(sorted(terms.permitted_purposes(offer.uses))),
        "prohibited": ", ".join(str(rule["action"]) for rule in offer.uses.get("prohibition", [])),
        "enforcement": [{"term": rule.term, "kind": str(rule.kind)} for rule in rules],
    }


def _costs(reader: Reader, asset: Asset, records: int) -> dict[str, Any]:
    sheet = cost_sheet(reader.db, asset.id, records, DEFAULT_PRICES_FEN, reader.now)
    chart: Markup = charts.break_even(
        reader.say("break_even"), sheet.break_even, reader.say("sales"), reader.say("never")
    )
    return {
        "stages": [{"name": reader.say(name), "amount": money(fen)} for name, fen in sheet.stages.items()],
        "total": money(sheet.total_fen),
        "unit": money(sheet.unit_cost_fen) if sheet.unit_cost_fen is not None else "–",
        "income": money(sheet.revenue_fen),
        "kept": money(sheet.kept_fen),
        "pending": sum(sheet.pending.values()),
        "chart": chart,
        "price_for": [{"sales": sales, "price": money(fen)} for sales, fen in sheet.price_for.items()],
    }


def _agreements(reader: Reader, listing: Listing) -> list[dict[str, Any]]:
    rows = reader.db.exec(select(Agreement).where(Agreement.listing_id == listing.id).order_by(col(Agreement.id)))
    return [
        {
            "id": row.id,
            "buyer": reader.name_of(row.buyer_id),
            "state": row.state,
            "until": row.ends_at.strftime(DAY),
        }
        for row in rows
    ]
