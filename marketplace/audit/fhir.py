"""Usage entries as FHIR R4 (4.0.1) AuditEvent resources, for tools that read audit trails of health systems.

One resource per decision about a use and one per closed transfer, which sums up its windows.
Source: FHIR R4 AuditEvent; codes of DICOM PS3.16 (DCM) and of the audit code systems of HL7 terminology.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel import Session, col

from marketplace.audit import queries
from marketplace.audit.companions import ScopeTooWide
from marketplace.audit.entry import Tag, record
from marketplace.audit.export import NotYourEntries
from marketplace.audit.models import Entry
from marketplace.audit.queries import Identity, Qualifiers, Use
from marketplace.audit.search import read_moment, told_scope
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Invalid
from marketplace.settings import Settings

MEDIA_TYPE = "application/fhir+json"
LIMIT = 20_000
TAGS = (Tag.USE_ALLOWED, Tag.USE_REFUSED, Tag.TRANSFER_CLOSED)

OURS = "https://w3id.org/medical-data-market/fhir"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_HL7 = "http://terminology.hl7.org/CodeSystem"
_ACTIVITY = {"system": _DCM, "code": "110100", "display": "Application Activity"}
_EXPORT = {"system": _DCM, "code": "110106", "display": "Export"}
_SERVER = {"system": f"{_HL7}/security-source-type", "code": "4", "display": "Application Server"}
_OBJECT = {"system": f"{_HL7}/audit-entity-type", "code": "2", "display": "System Object"}
_RESOURCE = {"system": f"{_HL7}/object-role", "code": "4", "display": "Domain Resource"}

# 0: success, 4: minor failure, 8: serious failure (AuditEvent.outcome).
_SERIOUS = frozenset({"broken", "damaged", "orphaned"})
_DATE = re.compile(r"(ge|gt|le|lt|eq)?(.+)", re.DOTALL)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class BadDate(Invalid):
    """The search parameter `date` cannot be read."""


def period(dates: Sequence[str]) -> tuple[datetime | None, datetime | None]:
    """The moments that all `date` parameters leave, as (from, exclusive end): `ge2026-01-01`, `lt2026-02-01`.

    Prefixes eq (or none), ge, gt, le, lt; a day stands for all of it.  Raises BadDate.
    """
    starts, ends = [], []
    for one in dates:
        match = _DATE.fullmatch(one)
        try:
            prefix, text = match.groups() if match else ("", "")
            first = read_moment(text)
            after = first + (timedelta(days=1) if _DAY.fullmatch(text) else timedelta(microseconds=1))
        except (ValueError, OverflowError) as error:
            raise BadDate("not a FHIR date parameter", expected="ge2026-01-01, or lt2026-02-01T00:00:00Z") from error
        starts += {"ge": [first], "gt": [after]}.get(prefix, [])
        ends += {"le": [after], "lt": [first]}.get(prefix, [])
        if prefix in (None, "eq"):
            starts, ends = [*starts, first], [*ends, after]
    return max(starts, default=None), min(ends, default=None)


def bundle(db: Session, actor: Actor, asked: Qualifiers, now: datetime, settings: Settings) -> Json:
    """The usage entries that the caller may read as a FHIR Bundle of type collection.

    A participant reads its own entries, those of an agreement it is a party of, and uses of its own asset; auditors
    read all.  Raises NotYourEntries, ScopeTooWide.  The caller records the export with `record_export` before it
    answers.
    """
    where = [*queries.conditions(asked), *_readable(db, actor, asked)]
    found = queries.uses(db, where, TAGS, None, LIMIT + 1)
    if len(found) > LIMIT:
        raise ScopeTooWide("too many events for one bundle", expected=f"at most {LIMIT}", action="narrow the period")
    identities = queries.identities(db)
    purposes = {one.facts.get("transfer"): one.facts.get("purpose") for one in found if one.tag == Tag.USE_ALLOWED}
    made = [audit_event(one, identities, purposes, settings) for one in found]
    answer: Json = {"resourceType": "Bundle", "type": "collection", "timestamp": timestamp(now)}
    if made:  # FHIR knows no empty arrays
        answer["entry"] = [
            {"fullUrl": f"urn:uuid:{_uuid(use.id)}", "resource": one} for use, one in zip(found, made, strict=True)
        ]
    return answer


def record_export(db: Session, actor: Actor, asked: Qualifiers, count: int, now: datetime) -> None:
    """Note that usage entries leave as FHIR.  Records: audit:exported."""
    scope = told_scope(db, asked)
    about = {name: queries.subject(scope[name]) for name in ("asset", "agreement")}
    record(db, actor, Tag.LOG_EXPORTED, now, **about, facts={"format": "fhir-r4", "scope": scope, "entries": count})


def audit_event(
    use: Use, identities: dict[str, Identity], purposes: dict[str | None, str | None], settings: Settings
) -> Json:
    """One entry as an AuditEvent.  purposes: transfer -> what it was allowed for."""
    closed = use.tag == Tag.TRANSFER_CLOSED
    purpose = use.facts.get("purpose") or purposes.get(use.facts.get("transfer"))
    event: Json = {
        "resourceType": "AuditEvent",
        "id": use.id.replace("_", "-"),
        "type": _EXPORT if closed else _ACTIVITY,
        "subtype": [{"system": f"{OURS}/entry-tag", "code": use.tag}],
        "action": "R" if closed else "E",
        "recorded": timestamp(use.at),
        "outcome": _outcome(use),
        "agent": [_agent(use, identities, purpose)],
        "source": {
            "site": settings.log_origin,
            "observer": {"identifier": {"system": f"{OURS}/log", "value": settings.log_origin}},
            "type": [_SERVER],
        },
        "entity": _entities(use),
    }
    if said := _outcome_words(use):
        event["outcomeDesc"] = said
    if purpose:
        event["purposeOfEvent"] = [_purpose(purpose)]
    return event


def _readable(db: Session, actor: Actor, asked: Qualifiers) -> list[Any]:
    if actor.has(Role.AUDITOR):
        return []
    if asked.agreement is not None:
        party = queries.readable_agreement_entries(db, actor, asked.agreement)
        if party is not None:
            return party
    if asked.asset is not None and queries.owner(db, asked.asset) == actor.participant:
        # As for agreements: what strangers tried in vain is for auditors.
        return [col(Entry.tag).in_([Tag.USE_ALLOWED, Tag.TRANSFER_CLOSED])]
    if asked.actor not in (None, actor.participant):
        raise NotYourEntries("only an auditor reads another participant's entries", expected=actor.participant)
    return [Entry.actor == actor.participant]


def _agent(use: Use, identities: dict[str, Identity], purpose: str | None) -> Json:
    known = identities.get(use.actor, Identity())
    identifier = {"system": f"{OURS}/participant", "value": use.actor}
    if known.credit_code:
        identifier = {"system": f"{OURS}/unified-social-credit-code", "value": known.credit_code}
    agent: Json = {
        "who": {"type": "Organization", "identifier": identifier},
        "name": use.actor,
        "requestor": True,
    }
    if known.legal_name:
        agent["who"]["display"] = known.legal_name
    if use.person is not None:
        agent["altId"] = use.person
    if purpose:
        agent["purposeOfUse"] = [_purpose(purpose)]
    return agent


def _entities(use: Use) -> list[Json]:
    detail = {"entry": use.id, "leaf_index": use.leaf_index}
    detail |= {name: use.facts.get(name) for name in ("transfer", "leg", "manifest", "sha256", "bytes", "revision")}
    version = {
        "what": {"identifier": {"system": f"{OURS}/version", "value": use.version or "none"}},
        "type": _OBJECT,
        "role": _RESOURCE,
        "name": f"asset {use.asset}, version {use.version}",
        "detail": [{"type": name, "valueString": str(value)} for name, value in detail.items() if value is not None],
    }
    others = {"asset": use.asset, "agreement": use.agreement}
    return [version] + [
        {"what": {"identifier": {"system": f"{OURS}/{name}", "value": value}}, "type": _OBJECT, "role": _RESOURCE}
        for name, value in others.items()
        if value is not None
    ]


def _outcome(use: Use) -> str:
    if use.tag == Tag.USE_REFUSED:
        return "4"
    if use.tag == Tag.USE_ALLOWED:
        return "0"
    outcome = use.facts.get("outcome")
    return "0" if outcome == "complete" else "8" if outcome in _SERIOUS else "4"


def _outcome_words(use: Use) -> str:
    if use.tag == Tag.TRANSFER_CLOSED:
        return str(use.facts.get("outcome", ""))
    return ", ".join(use.facts.get("reasons", []))


def _purpose(code: str) -> Json:
    return {"coding": [{"system": f"{OURS}/purpose", "code": code}]}


def _uuid(entry_id: str) -> UUID:
    """The UUIDv7 inside an id of ours."""
    return UUID(entry_id.partition("_")[2])
