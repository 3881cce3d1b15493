"""The auditor's work over the public API: search, account of disclosures, FHIR audit events, persons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.commands.evidence import audit_commands
from marketplace.commands.options import HERE, AsJson, Party, Url, client_of, show

__all__ = ["audit_commands"]

File = Annotated[Path | None, typer.Option("--file", help="Write here instead of standard output.")]
From = Annotated[str | None, typer.Option("--from", help="First day or moment, e.g. 2026-01-01 (UTC).")]
To = Annotated[str | None, typer.Option("--to", help="First day or moment after the period.")]
PAGE = 500


@audit_commands.command("search")
def search_entries(query: str, party: Party, url: Url = HERE, limit: int = 100, as_json: AsJson = False) -> None:
    """Find entries: `actor:prt_x action:usage: asset:ast_y agreement:agr_z from:2026-01-01 to:2026-02-01`."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    with client_of(url, party) as client:
        while len(found) < limit:
            asked = {"q": query, "limit": min(PAGE, limit - len(found)), "cursor": cursor}
            page = client.get("/v1/entries", {name: value for name, value in asked.items() if value is not None})
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
    lines = [f"{one['at']}  {one['tag']:<34} {one['actor']}  leaf {one['index']}  {one['id']}" for one in found]
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(lines) or "no entry fits")


@audit_commands.command("disclosures")
def report_disclosures(
    party: Party,
    url: Url = HERE,
    asset: str | None = None,
    participant: str | None = None,
    time_from: From = None,
    time_to: To = None,
    csv: Annotated[bool, typer.Option("--csv", help="One line per use, for spreadsheets.")] = False,
    as_json: AsJson = False,
    file: File = None,
) -> None:
    """Who got what of an asset, when and for which purpose; the report is itself logged."""
    from marketplace.audit import disclosure

    scope = {"asset": asset, "participant": participant, "from": _moment(time_from), "to": _moment(time_to)}
    asked = {name: value for name, value in scope.items() if value is not None}
    with client_of(url, party) as client:
        report = client.post("/v1/disclosure-reports", asked | {"proofs": not csv})
    if csv:
        text = disclosure.as_csv(report["items"])
    elif as_json:
        text = json.dumps(report, ensure_ascii=False)
    else:
        lines = [_told(one) for one in report["items"]]
        text = "\n".join([*lines, f"{len(lines)} disclosures"])
    _write(text, file)


@audit_commands.command("fhir")
def export_fhir(
    party: Party,
    url: Url = HERE,
    asset: str | None = None,
    agreement: str | None = None,
    time_from: From = None,
    time_to: To = None,
    file: File = None,
) -> None:
    """Usage entries as a FHIR R4 bundle of AuditEvent resources; the export is itself logged."""
    dates = [f"{prefix}{value}" for prefix, value in (("ge", _moment(time_from)), ("lt", _moment(time_to))) if value]
    asked = {"asset": asset, "agreement": agreement, "date": dates}
    with client_of(url, party) as client:
        bundle = client.get("/v1/fhir/AuditEvent", {name: value for name, value in asked.items() if value})
    _write(json.dumps(bundle, ensure_ascii=False), file)


@audit_commands.command("persons")
def list_persons(party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """The commitments of your persons, for auditors everybody's, and when each may be erased; nobody is named."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    with client_of(url, party) as client:
        while cursor is not None or not found:
            page = client.get("/v1/persons", {"limit": PAGE} | ({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
    lines = [f"{one['commitment']}  last act {one['last_act']}  {_standing(one)}" for one in found]
    typer.echo(json.dumps(found) if as_json else "\n".join(lines) or "no person is known")


@audit_commands.command("person")
def disclose_person(commitment: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Who is behind a commitment: for the person's own organisation and auditors; asking is logged."""
    with client_of(url, party) as client:
        show(client.get(f"/v1/persons/{commitment}"), as_json)


@audit_commands.command("erase-person")
def erase_person(commitment: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Erase the tie between a commitment and a person for good, once the retention clock has ended."""
    with client_of(url, party) as client:
        show(client.post(f"/v1/persons/{commitment}/erasure"), as_json)


def _moment(text: str | None) -> str | None:
    from marketplace.audit.search import read_moment
    from marketplace.kernel.clock import timestamp

    try:
        return timestamp(read_moment(text)) if text else None
    except ValueError as error:
        raise typer.BadParameter("a day, 2026-01-01, or a moment with its offset, 2026-01-01T08:00:00Z") from error


def _standing(person: dict[str, Any]) -> str:
    if person["erased_at"]:
        return f"erased {person['erased_at']}"
    return f"may be erased from {person['erasable_from']}"


def _told(use: dict[str, Any]) -> str:
    return f"{use['date']}  {use['recipient_name']} ({use['recipient']})  {use['purpose']}: {use['description']}"


def _write(text: str, file: Path | None) -> None:
    if file is None:
        typer.echo(text, nl=not text.endswith("\n"))  # a table ends with its last row
    else:
        file.write_text(text, newline="")
        typer.echo(f"{file}: {len(text)} characters")
