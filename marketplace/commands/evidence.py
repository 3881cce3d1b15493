"""Evidence: check the store, export, prove, verify offline."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketplace.commands.options import HERE, MARKET, AsJson, Data, Party, Url, client_of, settings_of

if TYPE_CHECKING:
    from marketplace.audit.outside import Held
    from marketplace.plumbing.db import Database
    from marketplace.settings import Settings

NOTHING_OUTSIDE = 3
"""Exit code of a check that found nothing wrong and could not compare the log with anything outside its database."""

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
    time_from: Annotated[str | None, typer.Option("--from", help="RFC 3339, e.g. 2026-09-01T00:00:00Z.")] = None,
    time_to: Annotated[str | None, typer.Option("--to", help="Exclusive, likewise.")] = None,
    since: Annotated[
        Path | None, typer.Option(help="An older bundle, proof or checkpoint that the log must extend.")
    ] = None,
) -> None:
    """Write a bundle that `marketplace verify` checks offline; the export is itself logged.

    Your own receipts of its entries go into it.
    """
    older = OldHead.of(since) if since else None
    scope = {"asset": asset, "agreement": agreement, "participant": participant, "from": time_from, "to": time_to}
    asked: dict[str, Any] = {name: value for name, value in scope.items() if value}
    with client_of(url, party) as client:
        bundle = client.post("/v1/log-exports", asked | ({"since": [older.size]} if older else {}))
        ids = {json.loads(one["body"])["id"] for one in bundle["entries"]}
        bundle["receipts"] = list(client.receipts.about(ids))
    if older:
        bundle["consistency"] = [
            one | {"old_root": older.root, "checkpoint": older.note} for one in bundle["consistency"]
        ]
    file.write_text(json.dumps(bundle, ensure_ascii=False))
    typer.echo(f"{file}: {len(bundle['entries'])} entries, {len(bundle['documents'])} documents")


@audit_commands.command("prove")
def prove_entry(
    entry: str,
    party: Party,
    out: Annotated[Path, typer.Option(help="File for the proof; the entry's text goes beside it.")],
    url: Url = HERE,
) -> None:
    """Write one small proof file (C2SP tlog-proof) that an entry is in the log, and its text if you may read it."""
    from marketplace.client.problem import ProblemError

    with client_of(url, party) as client:
        out.write_bytes(client.get_bytes("/log/proof/file", {"entry": entry}))
        typer.echo(f"{out}: {out.stat().st_size} bytes")
        try:
            text = client.get(f"/v1/entries/{entry}")["body"]
        except ProblemError as error:
            typer.echo(f"the entry's text is not yours to read ({error.status})")
            return
    beside = out.with_name(f"{out.name}.entry.json")
    beside.write_text(text)
    typer.echo(f"{beside}: its text\ncheck both: marketplace verify {out} {beside} --log-key K --witness-key K")


@dataclass(frozen=True)
class OldHead:
    """A tree head that one has from before.  root: hex; note: the signed checkpoint."""

    size: int
    root: str
    note: str

    @classmethod
    def of(cls, file: Path) -> OldHead:
        """Read it from a bundle, a proof file or a bare checkpoint; the verifier checks it.  Raises BadParameter."""
        text = file.read_text("utf-8")
        try:
            if text.startswith("{"):
                note = str(json.loads(text)["checkpoint"])
            else:
                note = text.partition("\n\n")[2] if text.startswith("c2sp.org/tlog-proof@v1\n") else text
            _, size, root = note.split("\n")[:3]
            return cls(int(size), base64.b64decode(root, validate=True).hex(), note)
        except (ValueError, KeyError) as error:
            raise typer.BadParameter(f"{file} is no bundle, proof file or checkpoint") from error


@audit_commands.command("fsck")
def check_store(
    data: Data = MARKET,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that you kept yourself, to compare with.")
    ] = None,
    objects: Annotated[bool, typer.Option(help="Read and hash every stored file as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Re-check the log against its tree, and rows and books against the log; names each row that does not fit.

    It ends with 0 when every row fits, 1 when one does not, 3 when the log fits itself but nothing outside the
    database was at hand to compare it with.
    """
    from marketplace.audit import outside
    from marketplace.plumbing.db import Database

    settings = settings_of(data)
    # Before the database is read: what is signed meanwhile must not look like something that is missing.
    heads = list(outside.heads(settings))
    kept = checkpoint.read_text() if checkpoint else None
    unproven = list(_unproven(settings, heads, kept))
    found: list[str] = []
    for line in _checked(settings, Database(settings.effective_database_url), heads, kept, objects=objects):
        found.append(line)
        if not as_json:
            typer.echo(line)
    if as_json:
        typer.echo(json.dumps(found))
    for missing in unproven:
        typer.echo(missing, err=True)
    if not (found or unproven or as_json):
        typer.echo("every row fits the tree")
    raise typer.Exit(1 if found else NOTHING_OUTSIDE if unproven else 0)


def _checked(
    settings: Settings, database: Database, heads: Sequence[Held], kept: str | None, *, objects: bool
) -> Iterator[str]:
    """Every finding in words, those of the log before the rooms are looked at."""
    from marketplace.audit.client import has_keys
    from marketplace.audit.fsck import fsck
    from marketplace.audit.succession import effective, known_keys
    from marketplace.commands.recheck import recheck
    from marketplace.main import object_store

    settings = effective(settings, database)
    with database.reading() as db:
        keys = known_keys(db, settings) if has_keys(settings) else None
        for one in fsck(db, checkpoint=kept, keys=keys, heads=heads).findings:
            yield f"{one.kind}: entry {one.entry} at index {one.index}: {one.detail}"
        for row in recheck(db, object_store(settings) if objects else None):
            yield f"{row.kind}: {row.table} {row.key}: {row.detail} (entry {row.entry})"


def _unproven(settings: Settings, heads: Sequence[Held], kept: str | None) -> Iterator[str]:
    """What this check cannot show, for want of something that is kept outside the database."""
    from marketplace.audit.client import has_keys

    if not has_keys(settings):
        yield "not shown: who signed the checkpoints, because the public keys of log and witness are not known here"
    if kept is None and not heads:
        yield (
            "not shown: that nothing was cut off or replaced, because neither signer nor witness is at hand to say how "
            "far the log went; give a checkpoint that you kept with --checkpoint"
        )
