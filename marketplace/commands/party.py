"""What a participant does over the public API with its own key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from marketplace.commands.options import HERE, AsJson, Party, Url, client_of, show

asset_commands = typer.Typer(help="Assets, over the public API.", no_args_is_help=True)
agreement_commands = typer.Typer(help="Agreements: sign them, read them offline.", no_args_is_help=True)
party_commands = typer.Typer(help="What you owe as a party, over the public API.", no_args_is_help=True)

Uses = Annotated[list[str] | None, typer.Option("--use", help="PURPOSE=NUMBER, once for each purpose.")]
Results = Annotated[list[str] | None, typer.Option("--result", help="Kind of result, may be repeated; default: none.")]
Staff = Annotated[list[str], typer.Option("--staff", help="Group of staff that had access, may be repeated.")]


@asset_commands.command("register")
def register_asset(form: Path, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Register an asset from a JSON form."""
    with client_of(url, party) as client:
        show(client.post("/v1/assets", json.loads(form.read_text())), as_json)


@asset_commands.command("collect")
def collect_asset(path: Path, asset: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Upload a folder of DICOM files as a new raw version, seal it and sign its collection record."""
    from marketplace.client.collect import collect

    with client_of(url, party) as client:
        show(collect(client, asset, path), as_json)


@agreement_commands.command("sign")
def sign_agreement(agreement: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Sign an agreement with your own key after checking that the bytes have the hash you were told."""
    with client_of(url, party) as client:
        document = client.get(f"/v1/agreements/{agreement}")["document"]
        show(client.post(f"/v1/agreements/{agreement}/signature", client.sign(document, "agreement")), as_json)


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
