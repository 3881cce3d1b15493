"""The agreement: the one document that both parties sign, and its reading as plain text."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from marketplace.exchange.pricing import price_of_access, price_of_use
from marketplace.exchange.standing import Standing
from marketplace.exchange.terms import PROFILE, check_terms, enforced_permille, enforcement, enforcement_table
from marketplace.exchange.wording import ENFORCEMENT_WORDS
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.negotiation.clauses import Facts, render_text
from marketplace.participants.models import Participant

LAW = "CN"
FORUM = "people's court at the provider's seat"
_LABELS = {
    "zh": {
        "agreement": "合同编号",
        "template": "模板",
        "root": "版本根哈希",
        "term": "期限",
        "price": "期限价款（分）",
        "enforcement": "条款执行情况",
        "predecessor": "所承接的合同",
    },
    "en": {
        "agreement": "Agreement",
        "template": "Template",
        "root": "Version root",
        "term": "Term",
        "price": "Price of access (fen)",
        "enforcement": "Who makes sure of each term",
        "predecessor": "Follows",
    },
}


def agreement_uses(agreement_id: str, facts: Facts, now: datetime) -> Json:
    """The offer's uses as ODRL Agreement between these two parties: recipient and term are added to every permission.

    Raises UnknownTerm if the result left the profile.
    """
    bounds = [
        {"leftOperand": "recipient", "operator": "eq", "rightOperand": facts.buyer.id},
        {"leftOperand": "dateTime", "operator": "gteq", "rightOperand": facts.starts_at},
        {"leftOperand": "dateTime", "operator": "lteq", "rightOperand": facts.ends_at},
    ]
    offered = facts.offer.uses
    permissions = [one | {"constraint": one["constraint"] + bounds} for one in offered["permission"]]
    uses = offered | {
        "@type": "Agreement",
        "@id": agreement_id,
        "assigner": facts.provider.id,
        "assignee": facts.buyer.id,
        "target": facts.asset.id,
        "timestamp": timestamp(now),
        "permission": permissions,
    }
    check_terms(uses)
    return uses


def agreement_document(
    agreement_id: str, request_id: str, facts: Facts, standing: Standing, uses: Json, now: datetime
) -> Json:
    """The document of `contracts/documents/agreement.schema.json`; moments as text, amounts in whole fen."""
    plan = facts.offer.price_plan
    return {
        "type": "agreement",
        "v": 1,
        "id": agreement_id,
        "request": request_id,
        "offer": facts.offer.id,
        "template": facts.offer.template,
        "parameters": facts.offer.parameters,
        "parties": {"provider": _party(facts.provider), "buyer": _party(facts.buyer)},
        **_subject(facts, standing),
        "uses": uses,
        "duties": duties(uses),
        "enforcement": enforcement_table(uses),
        "enforced_permille": enforced_permille(enforcement(uses)),
        "price_plan": plan,
        "price_fen": price_of_access(plan).minor,
        "price_per_use_fen": price_of_use(plan).minor,
        "currency": price_of_access(plan).currency,
        "delivery_mode": facts.offer.delivery_mode,
        "starts_at": facts.starts_at,
        "ends_at": facts.ends_at,
        "law": LAW,
        "forum": FORUM,
        "text": render_text(facts),
        "drafted_at": timestamp(now),
    }


def agreement_text(document: Json, language: str) -> str:
    """The document as plain text in `zh` or `en`: head, clauses by number, who makes sure of each term."""
    text, labels = document["text"][language], _LABELS[language]
    zh = language == "zh"
    lines = [
        text["title"],
        "",
        f"{labels['agreement']}: {document['id']}",
        f"{labels['template']}: {document['template']}",
        f"{labels['root']}: {document['asset']['version_root']}",
        f"{labels['term']}: {document['starts_at']} – {document['ends_at']}",
        f"{labels['price']}: {document['price_fen']}",
    ]
    if "predecessor" in document:
        named = document["predecessor"]
        lines.append(f"{labels['predecessor']}: {named['id']} ({named['kind']}, sha256 {named['sha256']})")
        lines += [f"- {one}" for one in named["changes"][language]]
    for number, clause in enumerate(text["clauses"], start=1):
        lines += ["", f"{number}. {clause['title']} [{clause['id']}]", clause["text"]]
    lines += ["", f"{labels['enforcement']} ({document['enforced_permille']}‰)"]
    for term in document["enforcement"]:
        held = ENFORCEMENT_WORDS[term["enforcement"]][language]
        lines.append(f"- {_name(term, zh=zh)} ({term['pointer']}): {held}")
    return "\n".join(lines) + "\n"


def duties(uses: Json) -> list[Json]:
    """The duties of all permissions, each once, in reading order."""
    found: list[Json] = []
    for permission in uses["permission"]:
        found += [duty for duty in permission.get("duty", []) if duty not in found]
    return found


def end_of_term(starts_at: datetime, term_days: int) -> datetime:
    """The moment after which there is no use."""
    return starts_at + timedelta(days=term_days)


def _subject(facts: Facts, standing: Standing) -> Json:
    opinion, certificate, version = standing.opinion, standing.certificate, facts.version
    return {
        "asset": {
            "id": facts.asset.id,
            "name": facts.asset.name,
            "name_en": facts.asset.name_en,
            "version": version.id,
            "version_number": version.number,
            "version_root": version.root,
            "manifest": version.manifest,
            "records": version.records,
            "files": version.files,
            "bytes": str(version.bytes),
        },
        "certificate": {
            "code": certificate.code,
            "sha256": certificate.document,
            "valid_until": timestamp(certificate.valid_until),
        },
        "opinion": {"number": opinion.number, "sha256": opinion.document, "outcome": opinion.outcome},
    }


def _party(one: Participant) -> Json:
    return {
        "id": one.id,
        "legal_name": one.legal_name,
        "legal_name_en": one.legal_name_en,
        "credit_code": one.credit_code,
        "jurisdiction": one.jurisdiction,
        "verified_by": one.verified_by,
        "verification_method": one.verification_method,
        "verified_at": timestamp(one.verified_at),
    }


def _name(term: Json, *, zh: bool) -> str:
    tables: list[dict[str, Any]] = [PROFILE[name] for name in ("actions", "left_operands", "duties", "prohibitions")]
    known = next((table[term["term"]] for table in tables if term["term"] in table), None)
    return str(known["zh" if zh else "en"]) if known else str(term["term"])
