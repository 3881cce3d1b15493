"""Parts of the story that tests of assessment and registration start from, made by the real verbs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets import service as passport
from marketplace.assets.models import Asset, Version
from marketplace.assets.schemas import AssetRegistration, EvidenceItem, SignatureIn
from marketplace.assets.stages import Stage
from marketplace.audit import documents
from marketplace.kernel.canonical import sha256_hex
from marketplace.legal import service
from marketplace.legal.models import Opinion
from marketplace.legal.schemas import FindingIn, OpinionIn
from marketplace.participants import signatures
from tests.house import House, SeedParty

LAWYERS = [{"name": "示例律师甲", "licence": "EX-1"}, {"name": "示例律师乙", "licence": "EX-2"}]


def registration(**changes: Any) -> AssetRegistration:
    form = {
        "name": "2025示例胸部CT影像数据集",
        "name_en": "Example chest CT set 2025",
        "overview": "示例：胸部CT影像",
        "overview_en": "Example: chest CT images",
        "region": "示例市",
        "time_from": "2025-01-01",
        "time_to": "2025-12-31",
        "modality": "CT",
        "body_part": "CHEST",
        "is_example": True,
    }
    return AssetRegistration.model_validate(form | changes)


def signed(party: SeedParty, db: Session, sha256: str, kind: str) -> SignatureIn:
    """What a client does: fetch the exact bytes, sign them with its own key."""
    body = documents.get(db, sha256).body
    return SignatureIn(document=sha256, jws=party.key.sign_detached(body, typ=f"{kind}+jws"))


def governed(house: House, asset: Asset | None = None, **changes: Any) -> Version:
    """A governed version with a quality card in its passport."""
    hospital, now = house.cast["hospital"], house.clock.now()
    with house.db() as db:
        asset = asset or passport.register(db, hospital.actor, registration(**changes), now)
        version = passport.open_version(db, asset, now, kind="governed")
        version.root, version.manifest = sha256_hex(version.id.encode()), sha256_hex(b"manifest" + version.id.encode())
        version.records, version.files, version.bytes, version.sealed_at = 3, 9, 4096, now
        card = documents.keep(db, "quality-card", {"type": "quality-card", "version": version.id}, now)
        record = documents.keep(db, "governance-record", {"type": "governance-record", "version": version.id}, now)
        made = signed(hospital, db, record, "governance-record")
        signature = signatures.accept(db, hospital.id, record, made.jws, typ="governance-record+jws", now=now)
        evidence = [EvidenceItem(kind="quality_card", sha256=card, title="Quality card")]
        passport.advance(
            db,
            hospital.actor,
            version,
            Stage.GOVERNED,
            now,
            signature=signature,
            document=record,
            evidence=evidence,
            outcome="accepted",
        )
    return version


def card_of(db: Session, version: Version) -> str:
    return assets.stage_records(db, version.id)[-1].evidence[0]["sha256"]


def findings(evidence: str, **answers: dict[str, Any]) -> list[dict[str, Any]]:
    """24 met findings citing one piece of evidence; `item7={...}` answers one of them otherwise."""
    rows = [{"item": number, "result": "met", "evidence": [evidence]} for number in range(1, 25)]
    return [
        {"item": row["item"], **answers[f"item{row['item']}"]} if f"item{row['item']}" in answers else row
        for row in rows
    ]


def opinion_in(evidence: str, number: str = "EX-OP-1", **rest: Any) -> OpinionIn:
    answers = {name: rest.pop(name) for name in list(rest) if name.startswith("item")}
    body = {"number": number, "lawyers": LAWYERS, "findings": findings(evidence, **answers)} | rest
    return OpinionIn.model_validate(body)


def condition(house: House, due: datetime) -> dict[str, Any]:
    """An open item 19 as a law firm answers it."""
    return {
        "result": "met_with_condition",
        "note": "filing under way",
        "condition": "file the protection grade",
        "owner": house.cast["hospital"].id,
        "due": due.isoformat(),
    }


def assess(house: House, version: Version, firm: str = "law_firm", **rest: Any) -> Opinion:
    """Draft and sign an opinion; all met unless told otherwise."""
    party, now = house.cast[firm], house.clock.now()
    with house.db() as db:
        version = assets.version(db, version.id)
        drafted = service.draft(db, party.actor, version, opinion_in(card_of(db, version), **rest), now)
        return service.sign(db, party.actor, drafted, signed(party, db, drafted.document, "opinion"), now)


__all__ = [
    "FindingIn",
    "assess",
    "card_of",
    "condition",
    "findings",
    "governed",
    "opinion_in",
    "registration",
    "signed",
]
