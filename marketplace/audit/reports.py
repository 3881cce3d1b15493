"""The auditor's work over HTTP: account of disclosures, FHIR audit events, persons behind commitments."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse

from marketplace.audit import cells, disclosure, fhir, persons, receipts
from marketplace.audit.queries import Qualifiers
from marketplace.audit.schemas import (
    DisclosureReportOut,
    DisclosuresAsked,
    KnownPersonOut,
    PersonOut,
    PersonPage,
)
from marketplace.kernel.canonical import Json
from marketplace.plumbing.web import LoggedVerb, View, router

routes = router("log")

NOT_KEPT = {"Cache-Control": "no-store"}
_DOWNLOAD = {"Content-Disposition": 'attachment; filename="disclosures.csv"'} | NOT_KEPT
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
_FHIR: dict[int | str, dict[str, Any]] = {200: {"content": {fhir.MEDIA_TYPE: {"schema": {"type": "object"}}}}}


@routes.post(
    "/disclosure-reports",
    operation_id="report_disclosures",
    response_model=DisclosureReportOut,
    responses=_CSV,
)
def report_disclosures(verb: LoggedVerb, request: Request, asked: DisclosuresAsked) -> Response:
    """Who got what of an asset, when and why; the report is itself an entry."""
    as_csv = asked.format == "csv" or (asked.format is None and _wants_csv(request))
    wanted = disclosure.Asked(
        asset=asked.asset,
        participant=asked.participant,
        time_from=asked.time_from,
        time_to=asked.time_to,
        proofs=asked.proofs and not as_csv,
    )
    made = disclosure.report(verb.db, verb.actor, wanted, verb.now)
    if as_csv:
        return Response(disclosure.as_csv(made["items"]), media_type=cells.MEDIA_TYPE, headers=_DOWNLOAD)
    answer = DisclosureReportOut.model_validate(made).model_dump_json(by_alias=True, exclude_unset=True)
    return Response(answer, media_type="application/json")


@routes.get("/fhir/AuditEvent", operation_id="list_fhir_audit_events", response_class=JSONResponse, responses=_FHIR)
def list_fhir_audit_events(
    view: View,
    agreement: Annotated[str | None, Query(max_length=80)] = None,
    asset: Annotated[str | None, Query(max_length=80)] = None,
    date: Annotated[
        list[Annotated[str, Query(max_length=40)]] | None,
        Query(max_length=4, description="FHIR dates: ge2026-01-01, lt2026-02-01; a day without prefix is that day."),
    ] = None,
) -> Response:
    """Decisions about uses and closed transfers as FHIR R4 AuditEvent resources; the export is itself an entry."""
    asked = Qualifiers(None, None, asset, agreement, *fhir.period(date or []))
    made: Json = fhir.bundle(view.db, view.actor, asked, view.now, view.runtime.settings)
    headers = dict(NOT_KEPT)
    with receipts.aside(view.runtime, headers) as db:
        fhir.record_export(db, view.actor, asked, len(made.get("entry", [])), view.now)
    return JSONResponse(made, media_type=fhir.MEDIA_TYPE, headers=headers)


@routes.get("/persons", operation_id="list_persons")
def list_persons(
    view: View,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> PersonPage:
    """The commitments of the caller's own persons, for auditors everybody's; nobody is named."""
    days = view.runtime.settings.evidence_retention_days
    found = persons.persons_for(view.db, view.actor, retention_days=days, after=cursor, limit=limit)
    items = [KnownPersonOut.model_validate(one) for one in found]
    return PersonPage(items=items, next=items[-1].commitment if len(items) == limit else None)


@routes.get("/persons/{commitment}", operation_id="disclose_person", response_model=PersonOut)
def disclose_person(view: View, commitment: str) -> Response:
    """Who is behind a commitment: for the person's own participant and auditors; being asked is an entry.

    A GET, because the answer to a POST would be kept for replays and outlive an erasure.
    """
    headers = dict(NOT_KEPT)
    with receipts.aside(view.runtime, headers) as db:
        found = persons.disclose_person(db, view.actor, commitment, view.now)
    assert found.identifier is not None
    assert found.salt is not None
    answer = PersonOut(
        commitment=found.commitment,
        participant=found.participant,
        identifier=found.identifier,
        salt=found.salt.hex(),
    )
    return JSONResponse(answer.model_dump(), headers=headers)


@routes.post("/persons/{commitment}/erasure", operation_id="erase_person")
def erase_person(verb: LoggedVerb, commitment: str) -> KnownPersonOut:
    """Erase the tie between a commitment and a person, once the retention clock has ended; entries stay."""
    days = verb.runtime.settings.evidence_retention_days
    erased = persons.erase_person(verb.db, verb.actor, commitment, verb.now, retention_days=days)
    return KnownPersonOut.model_validate(erased)


def _wants_csv(request: Request) -> bool:
    return request.headers.get("accept", "").split(";")[0].split(",")[0].strip().lower() == "text/csv"
