"""The opinion document: what the law firm signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from marketplace.assets.models import Asset, Version
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.legal.checklist import Checklist
from marketplace.legal.models import Opinion, OpinionCondition
from marketplace.legal.rules import Finding, Result
from marketplace.participants.models import Participant

KIND = "opinion"
SIGN_AS = "opinion+jws"


def render(
    opinion: Opinion,
    asset: Asset,
    version: Version,
    *,
    firm: Participant,
    lawyers: Sequence[Mapping[str, str]],
    checklist: Checklist,
    findings: Sequence[Finding],
    cited: Mapping[str, Json],
    conditions: Sequence[OpinionCondition],
    reservations: Sequence[str],
    carried_from: Opinion | None,
) -> Json:
    """The opinion as one document; schema in `contracts/documents/opinion.schema.json`.

    cited: evidence {kind, sha256, title} by SHA-256; the lawyers' names stand here and in no entry.
    """
    return {
        "type": KIND,
        "id": opinion.id,
        "number": opinion.number,
        "firm": {"id": firm.id, "name": firm.legal_name, "licence": firm.licence_number or ""},
        "lawyers": [dict(one) for one in lawyers],
        "asset": {"id": asset.id, "name": asset.name, "provider": asset.provider_id},
        "version": version.id,
        "version_root": version.root,
        "checklist": {"id": checklist.id, "sha256": checklist.sha256},
        "law_profile": opinion.law_profile,
        "findings": [_finding(one, cited) for one in findings],
        "outcome": opinion.outcome,
        "conditions": [
            {
                "id": one.id,
                "item": one.item,
                "condition": one.condition,
                "owner": one.owner,
                "due": timestamp(one.due_at),
            }
            for one in conditions
        ],
        "reservations": list(reservations),
        "carried_from": _reference(carried_from),
        "issued_at": timestamp(opinion.drafted_at),
        "expires_at": timestamp(opinion.expires_at),
    }


def findings_of(document: Json) -> dict[int, Finding]:
    """The findings of an earlier opinion by item, each marked with the opinion that first made it."""
    return {
        one["item"]: Finding(
            item=one["item"],
            result=Result(one["result"]),
            note=one["note"],
            evidence=tuple(item["sha256"] for item in one["evidence"]),
            condition=one["condition"],
            owner=one["owner"],
            due=parse_timestamp(one["due"]) if one["due"] else None,
            carried_from=one["carried_from"] or document["number"],
        )
        for one in document["findings"]
    }


def cited_in(document: Json) -> dict[str, Json]:
    """Every evidence an opinion cites, by SHA-256."""
    return {item["sha256"]: item for one in document["findings"] for item in one["evidence"]}


def _finding(one: Finding, cited: Mapping[str, Json]) -> Json:
    return {
        "item": one.item,
        "result": one.result.value,
        "note": one.note,
        "evidence": [cited[sha256] for sha256 in one.evidence],
        "condition": one.condition,
        "owner": one.owner,
        "due": timestamp(one.due) if one.due else None,
        "carried_from": one.carried_from,
    }


def _reference(opinion: Opinion | None) -> Json | None:
    return {"id": opinion.id, "number": opinion.number, "document": opinion.document} if opinion else None
