"""Where a leaked file came from: against exported evidence, or against an instance's own database and key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketplace.commands.options import AsJson

if TYPE_CHECKING:
    from marketplace.kernel.canonical import Json
    from marketplace.transfer.leaked import Leaked
    from marketplace.transfer.tracing import Answer, Known

NOT_TRACED = 1
"""Exit code when some file could not be traced to one delivery."""
_CHUNK = 1 << 20
_NOTHING = "nothing ties it to any delivery that is known here; that does not show that it came from none"
_SEVERAL = "it cannot be told from which of these it came: "

Files = Annotated[list[Path], typer.Argument(help="The leaked files.", exists=True, dir_okay=False)]
Evidence = Annotated[
    list[Path] | None, typer.Option("--evidence", help="A bundle of `audit export` with delivery manifests.")
]
LogKey = Annotated[str | None, typer.Option(help="Verifier key of the log, from a trusted source.")]
WitnessKey = Annotated[str | None, typer.Option(help="Verifier key of the witness, likewise.")]
Instance = Annotated[
    Path | None, typer.Option("--data", help="Folder of this instance: its manifests and the key behind its marks.")
]


def trace_files(
    files: Files,
    evidence: Evidence = None,
    data: Instance = None,
    log_key: LogKey = None,
    witness_key: WitnessKey = None,
    as_json: AsJson = False,
) -> None:
    """Say from which agreement and delivery a leaked file came, by what, and how sure that is.

    Bundles are checked first, offline, with the keys given or else their own.  It ends with 0 when every file came
    from one delivery, else with 1.
    """
    from marketplace.transfer.tracing import trace

    if not evidence and data is None:
        raise typer.BadParameter("give --evidence BUNDLE, or --data FOLDER of the instance")
    deliveries = [one for bundle in evidence or () for one in _of_bundle(bundle, log_key, witness_key)]
    deliveries += _of_instance(data) if data is not None else []
    answers = [(file, trace(_hash(file), leaked, deliveries)) for file, leaked in zip(files, _read(files), strict=True)]
    if as_json:
        typer.echo(json.dumps([_as_json(file, answer) for file, answer in answers], ensure_ascii=False))
    else:
        for file, answer in answers:
            typer.echo(_plain(file, answer))
    raise typer.Exit(0 if all(answer.traced for _, answer in answers) else NOT_TRACED)


def _of_bundle(file: Path, log_key: str | None, witness_key: str | None) -> list[Known]:
    """The deliveries of a bundle.  Raises BadParameter: the verifier cannot read it or finds it false."""
    from marketplace.audit.verifier.files import verify
    from marketplace.transfer.manifest import KIND
    from marketplace.transfer.tracing import known_delivery

    body = file.read_bytes()
    report = verify(str(file), body, log_key, witness_key)
    if report.exit_code:
        raise typer.BadParameter(f"{report.plain()}\nevidence that does not hold is not used")
    documents = [one for one in json.loads(body)["documents"] if one["kind"] == KIND]
    try:
        return [known_delivery(json.loads(one["body"]), one["sha256"]) for one in documents]
    except (KeyError, TypeError) as error:
        raise typer.BadParameter(f"{file}: a delivery manifest in it does not say what it delivered") from error


def _of_instance(folder: Path) -> list[Known]:
    from marketplace.plumbing.db import Database
    from marketplace.plumbing.servicekey import pseudonym_secret
    from marketplace.settings import Settings

    database = Database(Settings(data_folder=folder).effective_database_url)
    try:
        with database.reading() as db:
            return _with_keys(db, pseudonym_secret(folder))
    finally:
        database.dispose()


def _with_keys(db: Any, secret: bytes) -> list[Known]:
    from marketplace.governance.queries import facts_of, pixels_of_version
    from marketplace.transfer import queries
    from marketplace.transfer.making import agreement_secret
    from marketplace.transfer.tracing import known_delivery

    found: list[Known] = []
    for name, manifest in queries.manifests(db):
        version = manifest["version"]["id"]
        people = {str(facts["patient"]) for facts in facts_of(db, version).values()}
        key = agreement_secret(secret, manifest["agreement"]["id"])
        pixels = pixels_of_version(db, version)
        found.append(known_delivery(manifest, name, secret=key, people=sorted(people), pixels=pixels))
    return found


def _read(files: Sequence[Path]) -> list[Leaked | None]:
    """The clues of each file, read in a child process: it is anybody's.  None for one that cannot be read."""
    from marketplace.plumbing.sandbox import Failure, ParsePool
    from marketplace.transfer.leaked import read_leaked

    pool = ParsePool(1)
    try:
        found = pool.run(read_leaked, [str(file.resolve()) for file in files])
    finally:
        pool.close()
    return [None if isinstance(one, Failure) else one for one in found]


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _as_json(file: Path, answer: Answer) -> Json:
    return {
        "file": str(file),
        "traced": answer.traced,
        "certainty": answer.certainty,
        "agreements": list(answer.agreements),
        "clues": [vars(one) for one in answer.clues],
    }


def _plain(file: Path, answer: Answer) -> str:
    if answer.certainty is None:
        return f"{file}: not traced\n  {_NOTHING}"
    where = f"agreement {answer.agreements[0]}, {answer.certainty}" if answer.traced else "not traced"
    lines = [f"{file}: {where}"]
    if len(answer.agreements) > 1:
        lines.append(f"  {_SEVERAL}{', '.join(answer.agreements)}")
    lines += [f"  {one.certainty:<12} {one.agreement} (buyer {one.buyer or '?'}): {one.detail}" for one in answer.clues]
    return "\n".join(lines)
