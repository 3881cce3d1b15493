"""What the pages show: values ready to print, read through the rooms' own queries."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from sqlmodel import Session, col, select

from marketplace.assets import queries as assets
from marketplace.assets.models import Asset
from marketplace.assets.stages import PASSPORT
from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.console import charges, charts, codes, duties, events, formats, policies, rounds, succession
from marketplace.console.reader import Reader
from marketplace.costing.sheet import Asked, CostSheet, cost_sheet
from marketplace.exchange.catalogue import CatalogueRow
from marketplace.exchange.models import Listing
from marketplace.exchange.pricing import describe, price_of_access, price_of_use, read_plan
from marketplace.exchange.terms import CONTRACTS
from marketplace.kernel.canonical import Json
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.participants.models import Participant

USE_TAGS = (Tag.USE_ALLOWED, Tag.USE_REFUSED, Tag.TRANSFER_CLOSED)
MAX_USES = 100
_SAID_BY_ITS_PRICES = frozenset({"one_off", "subscription"})


def card(reader: Reader, row: CatalogueRow) -> dict[str, Any]:
    """What a catalogue card and the head of a listing page show."""
    english = reader.language == "en"
    each, plan = price_of_use(row.offer.price_plan).minor, read_plan(row.offer.price_plan)
    imaging = (row.asset.modality, row.asset.body_part)
    return {
        "listing": row.listing.id,
        "name": row.asset.name_en if english else row.asset.name,
        "overview": row.asset.overview_en if english else row.asset.overview,
        "provider": row.provider.legal_name_en if english else row.provider.legal_name,
        "imaging": " · ".join(dict.fromkeys(reader.name(codes.IMAGING, one) for one in imaging)),
        "records": formats.studies(row.version.records, reader.language),
        "files": formats.files(row.version.files, reader.language),
        "root": row.version.root,
        "price": formats.money(price_of_access(row.offer.price_plan).minor, reader.language),
        "term": formats.days(row.offer.term_days, reader.language),
        "price_per_use": formats.money(each, reader.language) if each else "",
        "plan": "" if plan.kind in _SAID_BY_ITS_PRICES else describe(row.offer.price_plan, reader.language),
        "purposes": policies.purposes(row.offer.uses, reader.language),
        "is_example": row.asset.is_example,
    }


def listing_page(reader: Reader, row: CatalogueRow) -> dict[str, Any]:
    """The whole page of one listing.

    Costs and agreements appear only for invented assets of invented providers, and of the agreements only those with
    invented buyers: real ones belong to their parties.
    """
    language = reader.language
    page: dict[str, Any] = {
        "asset": card(reader, row),
        "certificate": {"code": row.certificate.code, "until": formats.day(row.certificate.valid_until, language)},
        "opinion": {
            "outcome": reader.name(codes.OUTCOMES, row.opinion.outcome),
            "firm": reader.name_of(row.opinion.firm_id),
            "until": formats.day(row.opinion.expires_at, language),
        },
        "prohibited": policies.prohibitions(row.offer.uses, language),
        "terms": policies.term_rows(row.offer.uses, language, reader.name_of),
        "costs": None,
        "agreements": [],
        **_passport(reader, row.version.id),
    }
    if row.asset.is_example and row.provider.is_example:
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
        **state_of(reader, agreement),
        "starts": formats.day(agreement.starts_at, reader.language),
        "ends": formats.day(agreement.ends_at, reader.language),
        "price": formats.money(int(document["price_fen"]), reader.language),
        "document": agreement.document,
        "clauses": document["text"][reader.language]["clauses"],
        "terms": policies.term_rows(agreement.uses, reader.language, reader.name_of),
        "signatures": [
            {
                "signer": reader.name_of(one.signer),
                "alg": one.alg,
                "kid": one.kid,
                "when": formats.minute(one.signed_at, reader.language),
            }
            for one in documents.signatures(reader.db, agreement.document)
        ],
        "uses": [_use_row(reader, row) for row in _uses(reader.db, agreement.id)],
        **rounds.part(reader, agreement),
        **duties.part(reader, agreement),
        **succession.part(reader, agreement),
        **charges.part(reader, agreement),
    }


def entry_rows(reader: Reader, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The newest integrated entries below a leaf number, newest first.

    What happened is named only where everything about it is an invented example.
    """
    rows = select(Entry).where(col(Entry.leaf_index).is_not(None)).order_by(col(Entry.leaf_index).desc()).limit(limit)
    if before is not None:
        rows = rows.where(col(Entry.leaf_index) < before)
    found = list(reader.db.exec(rows))
    shown = _examples(reader.db, found)
    return [
        {
            "id": row.id,
            "leaf": row.leaf_index,
            "when": formats.minute(row.at, reader.language),
            "event": reader.name(events.TAGS, row.tag) if row.id in shown else "",
        }
        for row in found
    ]


def event_of(reader: Reader, entry: Entry) -> str:
    """What an entry records, in plain words; empty unless everything about it is an invented example."""
    return reader.name(events.TAGS, entry.tag) if _examples(reader.db, [entry]) else ""


def _examples(db: Session, entries: list[Entry]) -> set[str]:
    """Ids of the entries about example assets and agreements, or of example participants about nothing else."""
    contracts = negotiation.all_invented(db, {one.agreement for one in entries if one.agreement})
    subjects = select(Asset.id).join(Participant, col(Participant.id) == col(Asset.provider_id))
    subjects = subjects.where(col(Asset.id).in_({one.asset for one in entries if one.asset}))
    things = set(db.exec(subjects.where(col(Asset.is_example), col(Participant.is_example))))
    actors = select(Participant.id, Participant.is_example)
    parties = dict(db.exec(actors.where(col(Participant.id).in_({one.actor for one in entries}))).all())

    def shown(one: Entry) -> bool:
        if one.asset is None and one.agreement is None:
            return parties.get(one.actor, False)
        # What is no participant, as the service itself, is nobody whose dealings could be told.
        invented = one.asset is None or one.asset in things
        return invented and (one.agreement is None or one.agreement in contracts) and parties.get(one.actor, True)

    return {one.id for one in entries if shown(one)}


def state_of(reader: Reader, agreement: Agreement) -> dict[str, Any]:
    """What an agreement is worth now, in words, and whether it is in force."""
    over = agreement.state == "finalized" and agreement.ends_at <= reader.now
    state = "expired" if over else agreement.state
    return {"state": reader.name(codes.AGREEMENT_STATES, state), "in_force": state == "finalized"}


def _uses(db: Session, agreement_id: str) -> list[Entry]:
    rows = select(Entry).where(Entry.agreement == agreement_id, col(Entry.tag).in_([str(tag) for tag in USE_TAGS]))
    return list(db.exec(rows.order_by(col(Entry.id).desc()).limit(MAX_USES)))


def _use_row(reader: Reader, row: Entry) -> dict[str, Any]:
    facts: Json = json.loads(row.body)["facts"]
    reasons = [_reasons()[code][reader.language] for code in facts.get("reasons", []) if code in _reasons()]
    served = formats.volume(int(facts["bytes"])) if row.tag == Tag.TRANSFER_CLOSED else ""
    return {
        "id": row.id,
        "leaf": row.leaf_index,
        "when": formats.minute(row.at, reader.language),
        "event": reader.name(events.TAGS, row.tag),
        "refused": row.tag == Tag.USE_REFUSED,
        "purpose": policies.purpose(facts["purpose"], reader.language) if "purpose" in facts else "",
        "detail": " ".join(reasons) or served,
    }


@cache
def _reasons() -> Json:
    reasons: Json = json.loads((CONTRACTS / "policy" / "reasons.json").read_text("utf-8"))
    return reasons


def _passport(reader: Reader, version_id: str) -> dict[str, Any]:
    records = {row.stage: row for row in assets.stage_records(reader.db, version_id)}
    stops = [
        charts.Stop(
            name=reader.name(codes.STAGES, stage),
            reached=stage in records,
            when=formats.plain_day(records[stage].recorded_at, reader.language) if stage in records else "",
            who=reader.name_of(records[stage].signer) if stage in records else "",
        )
        for stage in PASSPORT
    ]
    lines = [
        {
            "stage": reader.name(codes.STAGES, row.stage),
            "signer": reader.name_of(row.signer),
            "alg": row.alg,
            "when": formats.minute(row.recorded_at, reader.language),
            "evidence": [
                {"kind": reader.name(codes.EVIDENCE, one["kind"]), "sha256": one["sha256"]} for one in row.evidence
            ],
        }
        for row in records.values()
    ]
    title = f"{reader.say('passport')}: {len(records)} / {len(stops)} {reader.say('stages_reached')}"
    return {"passport": charts.passport(title, stops, reader.say("not_reached")), "lines": lines}


def _costs(reader: Reader, asset: Asset, records: int) -> dict[str, Any]:
    sheet = cost_sheet(reader.db, asset.id, Asked(records=records), reader.now)
    language = reader.language
    return {
        "stages": [
            {"name": reader.name(codes.STAGES, stage), "amount": formats.money(fen, language)}
            for stage, fen in sheet.stages.items()
        ],
        "total": formats.money(sheet.total_fen, language),
        "unit": formats.money(sheet.unit_cost_fen, language) if sheet.unit_cost_fen is not None else "–",
        "income": formats.money(sheet.revenue_fen, language),
        "kept": formats.money(sheet.kept_fen, language),
        "pending": sum(sheet.pending.values()),
        "chart": charts.bars(reader.say("break_even_note"), _break_even(reader, sheet)),
        "price_for": [
            {"sales": formats.sales(sales, language), "price": formats.money(fen, language)}
            for sales, fen in sheet.price_for.items()
        ],
    }


def _break_even(reader: Reader, sheet: CostSheet) -> list[charts.Bar]:
    return [
        charts.Bar(
            label=formats.money(price, reader.language),
            length=count or 0,
            words=reader.say("never") if count is None else formats.sales(count, reader.language),
        )
        for price, count in sheet.break_even.items()
    ]


def _agreements(reader: Reader, listing: Listing) -> list[dict[str, Any]]:
    rows = select(Agreement).where(Agreement.listing_id == listing.id).order_by(col(Agreement.id))
    found = reader.db.exec(rows).all()
    shown = negotiation.all_invented(reader.db, [one.id for one in found])
    return [
        {
            "id": row.id,
            "buyer": reader.name_of(row.buyer_id),
            **state_of(reader, row),
            "until": formats.day(row.ends_at, reader.language),
        }
        for row in found
        if row.id in shown
    ]
