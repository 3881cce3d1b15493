"""Evidence: check the store, export, prove, verify offline."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import typer

from marketplace.commands.options import HERE, MARKET, AsJson, Data, Party, Url, client_of

audit_commands = typer.Typer(help="Evidence: check the store, export, prove.", no_args_is_help=True)


def verify(context: typer.Context) -> None:
    """Check evidence files offline with the independent verifier, in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "marketplace.audit.verifier", *context.args], check=False)
    raise typer.Exit(done.returncode)


@audit_commands.command("export")
def export_log(
    party: Party,
    file: Path,
    url: Url = HERE,
    asset: str | None = None,
    agreement: str | None = None,
    participant: str | None = None,
) -> None:
    """Write a bundle that `marketplace verify` checks offline; the export is itself logged."""
    scope = {"asset": asset, "agreement": agreement, "participant": participant}
    with client_of(url, party) as client:
        bundle = client.post("/v1/log-exports", {name: value for name, value in scope.items() if value})
    file.write_text(json.dumps(bundle, ensure_ascii=False))
    typer.echo(f"{file}: {len(bundle['entries'])} entries, {len(bundle['documents'])} documents")


@audit_commands.command("fsck")
def check_store(data: Data = MARKET, as_json: AsJson = False) -> None:
    """Re-check every stored entry against the tree; names each row that does not fit."""
    from marketplace.audit.client import has_keys, public_keys
    from marketplace.audit.fsck import fsck
    from marketplace.plumbing.db import Database
    from marketplace.settings import Settings

    settings = Settings(data_folder=data)
    database = Database(settings.effective_database_url)
    with database.reading() as db:
        report = fsck(db, keys=public_keys(settings) if has_keys(settings) else None)
    lines = [f"{one.kind}: entry {one.entry} at index {one.index}: {one.detail}" for one in report.findings]
    typer.echo(json.dumps(lines) if as_json else "\n".join(lines) or "every row fits the tree")
    raise typer.Exit(0 if report.sound else 1)
