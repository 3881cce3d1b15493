"""The `marketplace` command: run an instance, tell the story, work over the public API, check evidence offline."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from marketplace.commands.auditing import audit_commands
from marketplace.commands.backup import backup, backup_check
from marketplace.commands.bench import bench
from marketplace.commands.books import books_commands
from marketplace.commands.contracts import compare, write_pdf, write_text
from marketplace.commands.evidence import verify
from marketplace.commands.keeping import keys_commands, recover_commands, work_commands
from marketplace.commands.negotiating import request_commands
from marketplace.commands.options import MARKET, AsJson, Data
from marketplace.commands.party import agreement_commands, asset_commands, party_commands
from marketplace.commands.policies import policy_commands
from marketplace.commands.tracing import trace_files
from marketplace.kernel.errors import DomainError

app = typer.Typer(
    help="A trusted data space and exchange for medical data assets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # local variables could hold patient data
)
app.command()(bench)
agreement_commands.command("text")(write_text)
agreement_commands.command("pdf")(write_pdf)
agreement_commands.command("compare")(compare)
app.add_typer(asset_commands, name="asset")
app.add_typer(request_commands, name="request")
app.add_typer(agreement_commands, name="agreement")
app.add_typer(party_commands, name="party")
app.add_typer(audit_commands, name="audit")
app.add_typer(books_commands, name="books")
app.add_typer(policy_commands, name="policy")
app.add_typer(recover_commands, name="recover")
app.add_typer(keys_commands, name="keys")
app.add_typer(work_commands, name="work")
app.command()(backup)
app.command("backup-check")(backup_check)
app.command("trace")(trace_files)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)(verify)

DEMO = Path("var/demo")
YEAR = Path("var/year")
DECLARE_HELP = (
    "Basis on which the invented hospital declares that no face can be rebuilt from head scans in SOURCE, or `no`: "
    "without the declaration head CT and MR are held back."
)


def main() -> None:
    """Run a command; an expected failure ends with a sentence and exit code 1, never with a traceback."""
    import httpx2

    from marketplace.client.problem import ProblemError

    try:
        # So called, the command line hands the exit code of `typer.Exit` back instead of raising it.
        sys.exit(app(standalone_mode=False))
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
        if isinstance(error, OSError) and error.filename is not None:  # a file that the caller named, or its disk
            typer.secho(f"marketplace: {error.filename}: {error.strerror}", fg="red", err=True)
            sys.exit(1)
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
    from marketplace.plumbing.sockets import serve as serve_on
    from marketplace.settings import Settings
    from workers.instance import open_instance

    settings = Settings(data_folder=data, public_url=f"http://{host}:{port}")
    with open_instance(settings) as instance, _door(host, port) as door:
        typer.echo(
            f"Market      http://{host}:{port}/\n"
            f"API         http://{host}:{port}/docs\n"
            f"Log         http://{host}:{port}/log/checkpoint\n"
            f"Check       http://{host}:{port}/verify\n"
            "Stop with Ctrl-C."
        )
        serve_on(instance.app, settings, door, log_level="warning")


def _door(host: str, port: int) -> socket.socket:
    """Who comes from now on waits until it is served.  Raises BadParameter where nobody can be let in."""
    from marketplace.plumbing.sockets import listening

    try:
        return listening(host, port)
    except OSError as error:
        got = str(error.strerror).partition(" (")[0]  # in brackets the library says the address again
        raise typer.BadParameter(
            f"nobody can be served at {host}:{port} (expected a free port, got {got}); "
            "end what listens there, or give another port",
            param_hint="--port",
        ) from error


@app.command()
def demo(
    data: Data = DEMO,
    source: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder of DICOM files; default: synthetic chest CT."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option(help="Write the result here as JSON.")] = None,
    declare: Annotated[str, typer.Option(help=DECLARE_HELP)] = "defaced_before_collection",
) -> None:
    """Tell the main job as a story: from a folder of scans to an audited use and its cost."""
    from seeds.story import tell

    folder = data if source is None else data.parent / f"{data.name}-{source.resolve().name}"
    declaration = None if source is None or declare == "no" else declare
    tell(folder, source=source, json_file=json_file, declaration=declaration)


@app.command()
def year(
    data: Data = YEAR,
    json_file: Annotated[Path | None, typer.Option(help="The result as JSON; default: beside the data folder.")] = None,
    short: Annotated[bool, typer.Option("--short", help="Five months of four assets.")] = False,
) -> None:
    """Tell a year of a hospital with 20 assets and 8 buyers, and show its director's page."""
    from seeds.year import tell

    tell(data, json_file or data.with_suffix(".json"), short=short)


@app.command()
def api() -> None:
    """Serve the API of the production form; address and parts come from MARKETPLACE_ variables."""
    from marketplace.plumbing.sockets import listening
    from marketplace.plumbing.sockets import serve as serve_on
    from marketplace.settings import Settings
    from workers.instance import open_api

    settings = Settings()
    with open_api(settings) as application:
        serve_on(application, settings, listening("0.0.0.0", 8000))  # noqa: S104 - in a container


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
