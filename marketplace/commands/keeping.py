"""What the keepers of an instance do by hand: recover it after a restore, replace its keys, put work back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from marketplace.commands.options import MARKET, Data, Party, settings_of

recover_commands = typer.Typer(help="After a restore: go on under a new origin, signed by two.", no_args_is_help=True)
keys_commands = typer.Typer(help="Replace the keys of service, log and witness.", no_args_is_help=True)
work_commands = typer.Typer(help="Work that was tried too often: `marketplace doctor` lists it.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--folder", help="Folder of the log signer or the witness.")]


@recover_commands.command("prepare")
def prepare(
    out: Annotated[Path, typer.Option("--out", help="Where to write the statement.")],
    data: Data = MARKET,
    checkpoint: Annotated[Path | None, typer.Option(help="A newer cosigned checkpoint that somebody kept.")] = None,
) -> None:
    """Write what was lost and how the log would go on; nothing changes yet."""
    from marketplace.audit.statements import StatementFile
    from workers import recovery

    note = checkpoint.read_text() if checkpoint else ""
    said = recovery.prepare(settings_of(data), checkpoint=note)
    StatementFile(said.body).write(out)
    lost = f"leaves {said.lost.start} to {said.lost.stop - 1} are lost" if said.lost else "no leaf is lost"
    typer.echo(f"{said.old_origin} kept {said.kept.size} leaves, {lost}; it would go on as {said.new_origin}")
    typer.echo(f"{out}: now `marketplace recover sign`, then the witness's holder: `marketplace recover cosign`")


@recover_commands.command("sign")
def sign(file: Path, party: Party) -> None:
    """Sign a recovery as platform operator, with your own key."""
    from marketplace.audit.statements import RECOVERY, OperatorSignature, StatementFile
    from marketplace.client.api import NotAdmitted
    from marketplace.client.keys import KeyFolder

    read, own = StatementFile.read(file), KeyFolder(party.parent).load(party.name)
    if own.participant_id is None:
        raise NotAdmitted("this party is not admitted yet", got=own.name)
    jws = own.key.sign_detached(read.recovery.body, typ=f"{RECOVERY}+jws")
    signature = OperatorSignature(participant=own.participant_id, jwk=own.key.public_jwk, jws=jws)
    replace(read, operator=signature).write(file)
    typer.echo(f"{file}: signed by {own.participant_id} with key {own.key.kid}")


@recover_commands.command("cosign")
def cosign(
    file: Path,
    folder: Folder,
    operator_kid: Annotated[str, typer.Option(help="The operator's key id as you know it.")] = "",
    head_lost: Annotated[bool, typer.Option(help="Your own head is gone; you vouch for the checkpoint.")] = False,
) -> None:
    """Sign a recovery as holder of the witness, whose process is stopped; its old origin ends here."""
    from marketplace.audit.handover import cosign_recovery
    from marketplace.audit.statements import StatementFile
    from marketplace.kernel.clock import SystemClock

    read = StatementFile.read(file)
    cosign_recovery(folder, read, SystemClock().now(), operator_kid=operator_kid, head_lost=head_lost).write(file)
    if not operator_kid and read.operator:
        kid = read.operator.jwk.get("kid")
        typer.echo(f"the operator's key was taken from the file; ask the operator whether its id is {kid}")
    typer.echo(f"{file}: cosigned; this witness now goes on as {read.recovery.new_origin}")


@recover_commands.command("adopt")
def adopt(
    file: Path, folder: Folder, witness_key: Annotated[str, typer.Option(help="Verifier key of the witness.")]
) -> None:
    """Let a log signer elsewhere follow a recovery that both have signed."""
    from marketplace.audit.handover import adopt_recovery
    from marketplace.audit.statements import StatementFile

    adopt_recovery(folder, StatementFile.read(file), witness_key)
    typer.echo(f"{folder}: goes on under the new origin")


@recover_commands.command("apply")
def apply(file: Path, data: Data = MARKET) -> None:
    """Check both signatures and go on under the new origin; agreements wait until their providers resume them."""
    from marketplace.audit.statements import StatementFile
    from workers import recovery

    read = StatementFile.read(file)
    held = recovery.apply(settings_of(data), read)
    typer.echo(f"the log goes on as {read.recovery.new_origin}; {held} agreements wait for their providers to resume")


@keys_commands.command("rotate")
def rotate(
    role: Annotated[str, typer.Argument(help="service, log or witness")],
    data: Data = MARKET,
    folder: Annotated[Path | None, typer.Option(help="Folder of a log signer or witness elsewhere.")] = None,
    compromised: Annotated[bool, typer.Option(help="The old key is in other hands.")] = False,
) -> None:
    """Replace a key while its process is stopped; the old private key is destroyed."""
    from marketplace.audit.handover import rotate as rotate_folder
    from marketplace.kernel.clock import SystemClock
    from workers import recovery

    reason: recovery.Why = "compromised" if compromised else "planned"
    match role:
        case "service":
            typer.echo(f"the service key is replaced; statement {recovery.rotate_service(settings_of(data), reason)}")
        case "log" | "witness" if folder is not None:
            _, path = rotate_folder(folder, reason, SystemClock().now())
            typer.echo(
                f"{path}: give it to the service (`keys accept`) and, for the log, to the witness (`keys trust`)"
            )
        case "log" | "witness":
            typer.echo(
                f"the {role} key is replaced; statement {recovery.rotate_child(settings_of(data), role, reason)}"
            )
        case _:
            raise typer.BadParameter("expected service, log or witness")


@keys_commands.command("accept")
def accept(file: Path, data: Data = MARKET) -> None:
    """Take note of the new key of a log signer or witness elsewhere; then set its public key and restart."""
    from marketplace.audit.statements import StatementFile
    from workers import recovery

    read = StatementFile.read(file)
    recovery.accept_rotation(settings_of(data), read)
    typer.echo(f"the {read.rotation.role} key is now {read.rotation.new}")


@keys_commands.command("trust")
def trust(file: Path, folder: Folder) -> None:
    """Let a witness know the log's new key, by the statement that the old one signed; used at its next start."""
    from marketplace.audit.handover import trust as trust_folder
    from marketplace.audit.statements import StatementFile

    typer.echo(f"{trust_folder(folder, StatementFile.read(file))}: the witness follows at its next start")


@work_commands.command("retry")
def retry(
    rows: Annotated[
        list[str] | None, typer.Argument(help="Ids as `marketplace doctor` lists them; none means all.")
    ] = None,
    data: Data = MARKET,
) -> None:
    """Have work that was given up tried again from the beginning, by whoever does the work of this instance."""
    from marketplace.kernel.clock import SystemClock
    from marketplace.plumbing import outbox
    from marketplace.plumbing.db import Database

    database = Database(settings_of(data).effective_database_url)
    try:
        with database.transaction() as db:
            named = rows or [one.id for one in outbox.given_up(db)]
            put = [one for one in named if outbox.put_back(db, one, SystemClock().now())]
    finally:
        database.dispose()
    typer.echo(f"{len(put)} of {len(named)} put back")
    raise typer.Exit(0 if len(put) == len(named) else 1)
