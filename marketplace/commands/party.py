"""What a participant does over the public API with its own key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from marketplace.commands.options import HERE, AsJson, Party, Url, client_of, read_json, show

asset_commands = typer.Typer(help="Assets, over the public API.", no_args_is_help=True)
agreement_commands = typer.Typer(help="Agreements: sign them, read them offline.", no_args_is_help=True)
party_commands = typer.Typer(help="What you owe as a party, over the public API.", no_args_is_help=True)

Uses = Annotated[list[str] | None, typer.Option("--use", help="PURPOSE=NUMBER, once for each purpose.")]
Results = Annotated[list[str] | None, typer.Option("--result", help="Kind of result, may be repeated; default: none.")]
Reason = Annotated[str, typer.Option("--reason", help="A code, e.g. breach_of_contract.")]
Note = Annotated[str, typer.Option("--note", help="Words for the other side, without personal data.")]
Parameters = Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of the template, may be repeated.")]
Until = Annotated[str | None, typer.Option("--until", help="Last moment of use in UTC.")]
Plan = Annotated[Path | None, typer.Option("--price-plan", help="JSON file with the new price plan.")]
Acts = Annotated[list[str], typer.Option("--document", help="SHA-256 of an act that you have read; may be repeated.")]
Document = Annotated[str, typer.Option("--document", help="SHA-256 of the document that you have read.")]
Staff = Annotated[list[str], typer.Option("--staff", help="Group of staff that had access, may be repeated.")]


@asset_commands.command("register")
def register_asset(form: Path, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Register an asset from a JSON form."""
    asked = read_json(form)
    with client_of(url, party) as client:
        show(client.post("/v1/assets", asked), as_json)


@asset_commands.command("collect")
def collect_asset(path: Path, asset: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Upload a folder of DICOM files as a new raw version, seal it and sign its collection record."""
    from marketplace.client.collect import collect

    with client_of(url, party) as client:
        show(collect(client, asset, path), as_json)


@agreement_commands.command("sign")
def sign_agreement(
    agreement: str, party: Party, document: Document = "", url: Url = HERE, as_json: AsJson = False
) -> None:
    """Sign an agreement with your own key, once its bytes are that agreement with you as a party."""
    from marketplace.client import agreements

    with client_of(url, party) as client:
        show(agreements.sign_agreement(client, agreement, document=document), as_json)


@agreement_commands.command("suspend")
def suspend_agreement(
    agreement: str, party: Party, reason: Reason, note: Note = "", url: Url = HERE, as_json: AsJson = False
) -> None:
    """Stop every use at once, for a time, and sign that you did."""
    _declare("suspension", agreement, party, reason, note, url, as_json=as_json)


@agreement_commands.command("resume")
def resume_agreement(
    agreement: str, party: Party, reason: Reason, note: Note = "", url: Url = HERE, as_json: AsJson = False
) -> None:
    """Let uses begin again that you suspended: they do with your signature."""
    _declare("resumption", agreement, party, reason, note, url, as_json=as_json)


@agreement_commands.command("terminate")
def terminate_agreement(
    agreement: str, party: Party, reason: Reason, note: Note = "", url: Url = HERE, as_json: AsJson = False
) -> None:
    """End an agreement for good, at once, and sign that you did; also refuses or withdraws a proposed successor."""
    _declare("termination", agreement, party, reason, note, url, as_json=as_json)


@agreement_commands.command("refuse-assignment")
def refuse_assignment(
    agreement: str, party: Party, reason: Reason, note: Note = "", url: Url = HERE, as_json: AsJson = False
) -> None:
    """Refuse the assignment that the buyer asked for, by a signed act."""
    _declare("assignment_refusal", agreement, party, reason, note, url, as_json=as_json)


@agreement_commands.command("sign-acts")
def sign_acts(agreement: str, party: Party, document: Acts, url: Url = HERE, as_json: AsJson = False) -> None:
    """Sign what you declared about an agreement and left unsigned: the acts that you name, and no others."""
    from marketplace.client import acts

    with client_of(url, party) as client:
        show(acts.sign_acts(client, agreement, document), as_json)


@agreement_commands.command("amend")
def amend_agreement(
    agreement: str,
    party: Party,
    reason: Reason,
    note: Note = "",
    parameters: Parameters = None,
    until: Until = None,
    price_plan: Plan = None,
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """Propose and sign an amendment; when the other side has signed it too, it takes the agreement's place."""
    _propose("amendment", agreement, party, reason, note, parameters, until, price_plan, url, as_json=as_json)


@agreement_commands.command("renew")
def renew_agreement(
    agreement: str,
    party: Party,
    reason: Reason,
    note: Note = "",
    parameters: Parameters = None,
    until: Until = None,
    price_plan: Plan = None,
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """Propose and sign an agreement for the term that follows."""
    _propose("renewal", agreement, party, reason, note, parameters, until, price_plan, url, as_json=as_json)


@agreement_commands.command("review")
def review_successor(agreement: str, office: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Approve a proposed successor for an office of the provider, as the person of MARKETPLACE_PERSON."""
    with client_of(url, party) as client:
        document = client.get(f"/v1/agreements/{agreement}")["document"]
        show(client.post(f"/v1/agreements/{agreement}/reviews", {"office": office, "document": document}), as_json)


@agreement_commands.command("return")
def return_successor(
    agreement: str, party: Party, reason: Reason, note: Note = "", url: Url = HERE, as_json: AsJson = False
) -> None:
    """Give a proposed successor back to the side that proposed it, for correction by a new proposal."""
    with client_of(url, party) as client:
        show(client.post(f"/v1/agreements/{agreement}/return", {"reason": reason, "note": note}), as_json)


@agreement_commands.command("succession")
def show_succession(agreement: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """What followed an agreement: acts, successors, assignments, with reasons and signatures."""
    with client_of(url, party) as client:
        show(client.get(f"/v1/agreements/{agreement}/succession"), as_json)


def _declare(kind: str, agreement: str, party: Path, reason: str, note: str, url: str, *, as_json: bool) -> None:
    from marketplace.client import acts

    with client_of(url, party) as client:
        show(acts.declare(client, agreement, kind, reason=reason, note=note), as_json)


def _propose(
    kind: str,
    agreement: str,
    party: Path,
    reason: str,
    note: str,
    parameters: list[str] | None,
    until: str | None,
    plan: Path | None,
    url: str,
    *,
    as_json: bool,
) -> None:
    from marketplace.client import acts

    asked = acts.read_parameters(parameters or [])
    price = read_json(plan) if plan else None
    with client_of(url, party) as client:
        show(
            acts.propose(
                client, agreement, kind, reason=reason, note=note, parameters=asked, ends_at=until, price_plan=price
            ),
            as_json,
        )


@party_commands.command("duties")
def show_duties(agreement: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """What the buyer of an agreement owes, and by when."""
    with client_of(url, party) as client:
        show(client.get(f"/v1/agreements/{agreement}/duties"), as_json)


@party_commands.command("report-use")
def report_use(
    agreement: str,
    party: Party,
    staff: Staff,
    uses: Uses = None,
    results: Results = None,
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """Sign and hand in a report of use, from where the last one ended until now."""
    from marketplace.client import proofs

    with client_of(url, party) as client:
        counted = proofs.read_uses(uses or [])
        show(proofs.report_use(client, agreement, counted, results=results or ["none"], staff=staff), as_json)


@party_commands.command("certify-deletion")
def certify_deletion(
    agreement: str,
    party: Party,
    method: Annotated[str, typer.Option(help="cryptographic_erasure, overwriting or physical_destruction.")],
    deleted_at: Annotated[str | None, typer.Option(help="Moment in UTC; default: now.")] = None,
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """Sign and hand in that every copy of what was delivered is deleted, backups included."""
    from marketplace.client import proofs

    with client_of(url, party) as client:
        show(proofs.certify_deletion(client, agreement, method=method, deleted_at=deleted_at), as_json)


@party_commands.command("page")
def save_page(
    name: Annotated[
        str, typer.Argument(help="director, sales, purchases, shares, payables, or an address: /invoices/…")
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    party: Party,
    lang: Annotated[Literal["en", "zh"], typer.Option("--lang", help="Language of the page.")] = "en",
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """Save a page of your own desk, fetched with your key, to open it in a browser."""
    from marketplace.client.pages import own_page

    with client_of(url, party) as client:
        out.write_bytes(own_page(client, name, lang))
    show({"page": str(out)}, as_json)
