"""What a participant does over the public API with its own key."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from marketplace.commands.options import HERE, AsJson, Party, Url, client_of, show

asset_commands = typer.Typer(help="Assets, over the public API.", no_args_is_help=True)
agreement_commands = typer.Typer(help="Agreements: sign them, read them offline.", no_args_is_help=True)


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
