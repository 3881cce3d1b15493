"""Negotiating over the public API with your own key: ask, offer, counter, accept, approve, decline."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.client.lists import wait_for
from marketplace.commands.options import HERE, AsJson, Party, Url, client_of, read_json, show

Bounds = Annotated[
    Path | None, typer.Option("--rule", help="JSON with the bounds, as `automatic` of acceptance-rule.schema.json.")
]
request_commands = typer.Typer(help="Access requests and the rounds of their negotiation.", no_args_is_help=True)

Terms = Annotated[
    Path | None,
    typer.Option("--terms", help="JSON with purpose, parameters, price_plan, term_days, starts_at; all optional."),
]


@request_commands.command("make")
def make_request(
    listing: str,
    purpose: str,
    justification: str,
    party: Party,
    terms: Terms = None,
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """Ask for access under a listing, on its terms or on your own."""
    body = {"listing": listing, "purpose": purpose, "justification": justification, "terms": _read(terms)}
    with client_of(url, party) as client:
        show(client.post("/v1/requests", body), as_json)


@request_commands.command("show")
def show_request(request: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Where a negotiation stands, why, whose move it is and until when."""
    with client_of(url, party) as client:
        show(client.get(f"/v1/requests/{request}"), as_json)


@request_commands.command("wait")
def wait_for_request(
    request: str,
    party: Party,
    until: Annotated[str, typer.Option(help="A state, e.g. OFFERED; without: the next move of anybody.")] = "",
    seconds: Annotated[int, typer.Option(min=1, help="How long to wait at most.")] = 3600,
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """Wait until a negotiation has moved, or has come to a state or its end, and show where it stands."""
    path = f"/v1/requests/{request}"
    with client_of(url, party) as client:
        before = client.get(path)
        states = (until, "TERMINATED", "FINALIZED") if until else ()
        ready = partial(_has_come, before, states)
        show(wait_for(client, path, ready, seconds=seconds), as_json)


@request_commands.command("rounds")
def show_rounds(
    request: str,
    party: Party,
    lang: Annotated[str, typer.Option(help="zh or en.")] = "en",
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """What each side proposed, and what each round changed, in words."""
    with client_of(url, party) as client:
        rounds = client.get(f"/v1/requests/{request}/rounds")
    if as_json:
        show(rounds, as_json)
        return
    for one in rounds:
        typer.echo(f"{one['round']}  {one['by']}  {one['made_at']}  {one['document']}")
        for change in one["changes"]:
            typer.echo(f"   {change['en' if lang == 'en' else 'zh']}")


@request_commands.command("offer")
def offer_terms(request: str, party: Party, terms: Terms = None, url: Url = HERE, as_json: AsJson = False) -> None:
    """Offer what lies on the table, or other terms in its place; prints the agreement to sign."""
    with client_of(url, party) as client:
        show(client.post(f"/v1/requests/{request}/offer", _read(terms)), as_json)


@request_commands.command("approve")
def approve_request(request: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Offer exactly what lies on the table."""
    with client_of(url, party) as client:
        show(client.post(f"/v1/requests/{request}/approval", {}), as_json)


@request_commands.command("counter")
def counter_offer(request: str, party: Party, terms: Terms, url: Url = HERE, as_json: AsJson = False) -> None:
    """Ask for other terms than were offered."""
    with client_of(url, party) as client:
        show(client.post(f"/v1/requests/{request}/counter-offer", _read(terms)), as_json)


@request_commands.command("accept")
def accept_offer(request: str, document: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Accept the agreement with this hash, which you have read."""
    with client_of(url, party) as client:
        show(client.post(f"/v1/requests/{request}/acceptance", {"document": document}), as_json)


@request_commands.command("review")
def review_terms(
    request: str, office: str, party: Party, terms: Terms = None, url: Url = HERE, as_json: AsJson = False
) -> None:
    """Approve terms for an office, as the person of MARKETPLACE_PERSON."""
    with client_of(url, party) as client:
        body = {"office": office, "terms": _read(terms)}
        show(client.post(f"/v1/requests/{request}/reviews", body), as_json)


@request_commands.command("rule")
def set_acceptance_rule(
    listing: str, party: Party, rule: Bounds = None, url: Url = HERE, as_json: AsJson = False
) -> None:
    """Sign how offers to you under a listing are answered by themselves; without --rule people answer again."""
    from marketplace.client import accepting

    with client_of(url, party) as client:
        show(accepting.set_rule(client, listing, _read(rule) if rule else None), as_json)


@request_commands.command("sign-accepted")
def sign_accepted(listing: str, party: Party, rule: Path, url: Url = HERE, as_json: AsJson = False) -> None:
    """Sign the agreements that your rule accepted under a listing; RULE: your own copy of its bounds."""
    from marketplace.client import accepting

    with client_of(url, party) as client:
        show(accepting.sign_accepted(client, listing, _read(rule)), as_json)


@request_commands.command("decline")
def decline_request(
    request: str, reason: str, party: Party, note: str = "", url: Url = HERE, as_json: AsJson = False
) -> None:
    """Decline as the provider, or withdraw as the buyer; reason: a code."""
    with client_of(url, party) as client:
        show(client.post(f"/v1/requests/{request}/decline", {"reason": reason, "note": note}), as_json)


def _has_come(before: Any, states: Collection[str], found: Any) -> bool:
    return found["state"] in states if states else bool(found != before)


def _read(terms: Path | None) -> Any:
    return read_json(terms) if terms else {}
