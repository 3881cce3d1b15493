"""The `marketplace` command: run an instance, tell the story, work over the public API, check evidence offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.kernel.errors import DomainError

app = typer.Typer(
    help="A trusted data space and exchange for medical data assets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # local variables could hold patient data
)
asset_commands = typer.Typer(help="Assets, over the public API.", no_args_is_help=True)
agreement_commands = typer.Typer(help="Agreements, over the public API.", no_args_is_help=True)
audit_commands = typer.Typer(help="Evidence: check the store, export, prove.", no_args_is_help=True)
app.add_typer(asset_commands, name="asset")
app.add_typer(agreement_commands, name="agreement")
app.add_typer(audit_commands, name="audit")

Data = Annotated[Path, typer.Option("--data", help="Folder of this instance.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Url = Annotated[str, typer.Option(envvar="MARKETPLACE_URL", help="Address of the service.")]
Party = Annotated[Path, typer.Option("--as", envvar="MARKETPLACE_PARTY", help="Your own folder with key and id.")]

MARKET = Path("var/market")
DEMO = Path("var/demo")
DECLARE_HELP = (
    "Basis on which the invented hospital declares that no face can be rebuilt from head scans in SOURCE, or `no`: "
    "without the declaration head CT and MR are held back."
)
HERE = "http://127.0.0.1:8000"


def main() -> None:
    """Run a command; an expected failure ends with a sentence and exit code 1, never with a traceback."""
    import httpx2

    from marketplace.client.problem import ProblemError

    try:
        app(standalone_mode=False)
    except (DomainError, ProblemError) as error:
        typer.secho(f"marketplace: {error}", fg="red", err=True)
        sys.exit(1)
    except httpx2.TransportError as error:
        typer.secho(f"marketplace: the service does not answer ({error}); start it or give --url", fg="red", err=True)
        sys.exit(1)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error: typer's own words
            typer.secho(f"marketplace: {error.format_message()}", fg="red", err=True)
            sys.exit(2)
        if os.environ.get("MARKETPLACE_TRACEBACK"):
            raise
        typer.secho(f"marketplace: unexpected {type(error).__name__}: {error}", fg="red", err=True)
        typer.secho("set MARKETPLACE_TRACEBACK=1 to see where", err=True)
        sys.exit(70)


@app.command()
def run(data: Data = MARKET, port: int = 8000, host: str = "127.0.0.1") -> None:
    """Load the seed world, do the main job once, then serve."""
    subprocess.run([sys.executable, "-m", "marketplace", "demo", "--data", str(data)], check=True)
    # A process of its own: the server never opens the parties' keys that the story used.
    serve(data=data, port=port, host=host)


@app.command()
def serve(data: Data = MARKET, port: int = 8000, host: str = "127.0.0.1") -> None:
    """Serve API, log and console of the embedded form."""
    import uvicorn

    from marketplace.settings import Settings
    from workers.instance import open_instance

    settings = Settings(data_folder=data, public_url=f"http://{host}:{port}")
    with open_instance(settings) as instance:
        typer.echo(
            f"Market      http://{host}:{port}/\n"
            f"API         http://{host}:{port}/docs\n"
            f"Log         http://{host}:{port}/log/checkpoint\n"
            f"Check       http://{host}:{port}/verify\n"
            "Stop with Ctrl-C."
        )
        uvicorn.run(instance.app, host=host, port=port, log_level="warning")


@app.command()
def demo(
    data: Data = DEMO,
    source: Annotated[Path | None, typer.Option(help="Folder of DICOM files; default: synthetic chest CT.")] = None,
    json_file: Annotated[Path | None, typer.Option(help="Write the result here as JSON.")] = None,
    declare: Annotated[str, typer.Option(help=DECLARE_HELP)] = "defaced_before_collection",
) -> None:
    """Tell the main job as a story: from a folder of scans to an audited use and its cost."""
    from seeds.story import tell

    folder = data if source is None else data.parent / f"{data.name}-{source.resolve().name}"
    declaration = None if source is None or declare == "no" else declare
    tell(folder, source=source, json_file=json_file, declaration=declaration)


@app.command()
def api() -> None:
    """Serve the API of the production form; address and parts come from MARKETPLACE_ variables."""
    import uvicorn

    from marketplace.settings import Settings
    from workers.instance import open_api

    with open_api(Settings()) as application:
        uvicorn.run(application, host="0.0.0.0", port=8000, proxy_headers=False)  # noqa: S104 - in a container


@app.command("admit-operator")
def admit_operator(form: Path) -> None:
    """Admit the first platform operator of an empty database from a JSON form with its public key (`jwk`).

    Every later participant is admitted by this operator over the API.
    """
    from marketplace.kernel.clock import SystemClock
    from marketplace.participants.schemas import ParticipantIn
    from marketplace.participants.service import bootstrap_operator
    from marketplace.plumbing.db import Database
    from marketplace.settings import Settings

    database = Database(Settings().effective_database_url)
    with database.transaction() as db:
        asked = ParticipantIn.model_validate_json(form.read_bytes())
        admitted = bootstrap_operator(db, asked, SystemClock().now())
        typer.echo(admitted.id)
    database.dispose()


@app.command()
def migrate() -> None:
    """Bring the database to the present schema."""
    from marketplace.main import build_runtime
    from marketplace.plumbing.migrations import migrate as bring_up
    from marketplace.settings import Settings

    runtime = build_runtime(Settings())
    bring_up(runtime.database)
    runtime.close()


@app.command()
def scheduler() -> None:
    """Run the production scheduler: log integration, schedule, wake-ups for Celery workers."""
    import signal

    from marketplace.settings import Settings
    from workers.instance import open_scheduler

    with open_scheduler(Settings()):
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


@app.command()
def doctor(data: Data = MARKET, as_json: AsJson = False) -> None:
    """Say in plain words what is missing or wrong; exit code 1 when something is."""
    from workers.doctor import examine

    findings = examine(data)
    if as_json:
        typer.echo(json.dumps([finding.__dict__ for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            typer.echo(f"{'ok     ' if finding.ok else 'MISSING'}  {finding.name}: {finding.words}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def verify(context: typer.Context) -> None:
    """Check evidence files offline with the independent verifier, in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "marketplace.audit.verifier", *context.args], check=False)
    raise typer.Exit(done.returncode)


@asset_commands.command("register")
def register_asset(form: Path, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Register an asset from a JSON form."""
    with _client(url, party) as client:
        _show(client.post("/v1/assets", json.loads(form.read_text())), as_json)


@asset_commands.command("collect")
def collect_asset(path: Path, asset: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Upload a folder of DICOM files as a new raw version, seal it and sign its collection record."""
    from marketplace.client.collect import collect

    with _client(url, party) as client:
        _show(collect(client, asset, path), as_json)


@agreement_commands.command("sign")
def sign_agreement(agreement: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Sign an agreement with your own key after checking that the bytes have the hash you were told."""
    with _client(url, party) as client:
        document = client.get(f"/v1/agreements/{agreement}")["document"]
        _show(client.post(f"/v1/agreements/{agreement}/signature", client.sign(document, "agreement")), as_json)


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
    with _client(url, party) as client:
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


@contextmanager
def _client(url: str, party: Path) -> Iterator[Any]:
    from marketplace.client.api import connect

    with connect(url, party) as client:
        yield client


def _show(answer: Any, as_json: bool) -> None:
    if as_json or not isinstance(answer, dict):
        typer.echo(json.dumps(answer, ensure_ascii=False))
    else:
        typer.echo("\n".join(f"{name:<20} {value}" for name, value in answer.items()))
