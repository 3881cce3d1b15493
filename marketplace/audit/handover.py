"""What the holder of the log signer's or the witness's folder does by hand, while the process is stopped.

Cosign or adopt a recovery, replace the own key, learn the log's new key.  Like the processes themselves it knows no
database: a holder at another party runs it with nothing but the folder and a statement file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from marketplace.audit.heldstate import (
    KEY_FILE,
    VERIFIER_FILE,
    Head,
    HeldState,
    StateRefused,
    begin_again,
    held_head,
    held_origin,
    make_key,
    read_key,
)
from marketplace.audit.note import SIGNATURE, NoteKey, VerifierKey, open_checkpoint
from marketplace.audit.statements import (
    BadStatement,
    HeadStated,
    Recovery,
    Rotation,
    StatementFile,
    base_origin,
    next_origin,
    under_origin,
)
from marketplace.audit.tree import verify_consistency
from marketplace.kernel.clock import timestamp

NEXT_KEY = "key-next.pem"


def cosign_recovery(
    folder: Path, file: StatementFile, now: datetime, *, operator_kid: str = "", head_lost: bool = False
) -> StatementFile:
    """The statement with the witness's signature; from here on this witness cosigns only under the new origin.

    operator_kid: the operator's key id as the holder knows it, checked when given; head_lost: the witness's own head
    is gone and its holder vouches that none is newer than the checkpoint in the statement.
    Raises BadStatement unless the statement names the last head this witness cosigned; StateRefused.
    """
    recovery, signature = file.recovery, file.check_operator()
    if operator_kid and signature.jwk.get("kid") != operator_kid:
        raise BadStatement("another key than the operator's signed", expected=operator_kid)
    line = _own_line(folder)
    if line != recovery.witness or recovery.new_origin != next_origin(recovery.old_origin):
        raise BadStatement("this is not a recovery of the log that this folder witnesses", expected=line)
    if held_head(folder) is None and head_lost:
        begin_again(folder, recovery.old_origin, _own_checkpoint(recovery, line))
    with _held(folder) as held:
        if held.origin != recovery.new_origin:
            _require_last(held, recovery, line)
        # The old origin ends before the signature exists, or both histories could still grow.
        held.continue_under(recovery.new_origin, recovery.kept.head)
        key = held.key(VerifierKey.parse(line).name, VerifierKey.parse(line).kind)
    signed = key.sign(recovery.note_text, int(now.timestamp()))
    return replace(file, note=f"{recovery.note_text}\n{signed}")


def adopt_recovery(folder: Path, file: StatementFile, witness: str) -> None:
    """Let the log signer of a folder go on under the new origin; asking again changes nothing.

    witness: verifier key of the witness.  Raises BadStatement, BadSignature, StateRefused.
    """
    recovery = file.recovery
    file.check_operator()
    file.check_note(witness)
    if held_head(folder) is None:
        begin_again(folder, recovery.old_origin, recovery.kept.head)
    elif held_origin(folder) == recovery.old_origin and recovery.signed != HeadStated.of(_head(folder)):
        raise BadStatement("the statement names another head than this signer's", action="prepare the recovery again")
    with _held(folder) as held:
        if held.origin not in (recovery.old_origin, recovery.new_origin):
            raise BadStatement("a recovery of another log", expected=held.origin, got=recovery.old_origin)
        if held.origin != recovery.new_origin:
            held.continue_under(recovery.new_origin, recovery.kept.head)
        if str(held.key(recovery.new_origin, SIGNATURE).verifier) != recovery.log_new:
            raise BadStatement("the statement names another key than this signer's", expected=recovery.log_new)


def rotate(folder: Path, reason: Literal["planned", "compromised"], now: datetime) -> tuple[StatementFile, Path]:
    """Replace the key of a folder; the statement, signed by old and new key, and the file in the folder that holds it.

    The old private key is destroyed.  After a crash in the middle, asking again finishes what was begun.
    Raises StateRefused while the process runs.
    """
    with _held(folder) as held:
        known = VerifierKey.parse(_own_line(folder))
        old = held.key(known.name, known.kind)
        path = folder / f"rotation-{_short(old.verifier)}.json"
        coming = folder / NEXT_KEY
        if path.exists() and coming.exists():
            file = StatementFile.read(path)
        else:
            new = NoteKey(old.name, old.kind, read_key(coming) if coming.exists() else make_key(coming))
            file = _rotation(held, old, new, reason, now)
            file.write(path)
        coming.replace(folder / KEY_FILE)
        _sync(folder)
        held.key(known.name, known.kind)
    return file, path


def trust(folder: Path, file: StatementFile) -> Path:
    """Let a witness know the log's new key, by a statement that the key it knows has signed; used at its next start.

    Raises BadStatement.
    """
    rotation = file.rotation
    file.check_note(rotation.old, rotation.new)
    if rotation.role != "log" or base_origin(rotation.origin) != base_origin(held_origin(folder) or ""):
        raise BadStatement("not a new key of the log that this folder witnesses", got=rotation.origin)
    path = folder / f"log-{_short(VerifierKey.parse(rotation.old))}.json"
    file.write(path)
    return path


def follow(folder: Path, key: VerifierKey, origin: str) -> VerifierKey:
    """The log's present key, from the one that a witness was started with and what its folder was told since.

    origin: under which the log goes on.  Raises BadStatement.
    """
    for _ in range(1000):
        path = folder / f"log-{_short(key)}.json"
        if not path.exists():
            break
        file = StatementFile.read(path)
        file.check_note(file.rotation.old, file.rotation.new)
        if VerifierKey.parse(file.rotation.old).public != key.public:
            raise BadStatement(f"{path.name} is signed by another key than the one it follows")
        key = VerifierKey.parse(file.rotation.new)
    return VerifierKey.parse(under_origin(str(key), origin))


def continued(folder: Path, origin: str) -> str:
    """The origin that a folder goes on under: its own, when that is the given log after recoveries."""
    held = held_origin(folder)
    return held if held is not None and base_origin(held) == base_origin(origin) else origin


def _require_last(held: HeldState, recovery: Recovery, line: str) -> None:
    """Raises BadStatement unless the statement names the last head that this witness cosigned."""
    if held.origin != recovery.old_origin:
        raise BadStatement("this witness cosigns another log", expected=held.origin, got=recovery.old_origin)
    last = held.head()
    if recovery.checkpoint and last.size < _own_checkpoint(recovery, line).size:
        # Its own signature says that it saw more: the witness's state was rolled back, not the statement's.
        last = _own_checkpoint(recovery, line)
    if recovery.cosigned is None or recovery.cosigned.head != last:
        raise BadStatement(
            "the statement does not name the last checkpoint that this witness cosigned",
            expected=f"{last.size} leaves, root {last.root.hex()}",
            got=f"{recovery.cosigned.size} leaves" if recovery.cosigned else "none",
            action="prepare the recovery again",
        )
    kept, growth = recovery.kept.head, [bytes.fromhex(one) for one in recovery.growth]
    if kept.size >= last.size and not verify_consistency(last.size, kept.size, growth, last.root, kept.root):
        raise BadStatement("what the database holds does not extend what this witness cosigned")


def _own_checkpoint(recovery: Recovery, line: str) -> Head:
    """The head of the checkpoint in the statement, which this witness must have cosigned.  Raises BadNote."""
    found = open_checkpoint(recovery.checkpoint, VerifierKey.parse(line))
    if found.origin != recovery.old_origin:
        raise BadStatement("the checkpoint is of another log", expected=recovery.old_origin, got=found.origin)
    return Head(found.size, found.root)


def _rotation(
    held: HeldState, old: NoteKey, new: NoteKey, reason: Literal["planned", "compromised"], now: datetime
) -> StatementFile:
    statement = Rotation(
        role="log" if old.kind == SIGNATURE else "witness",
        origin=held.origin,
        old=str(old.verifier),
        new=str(new.verifier),
        head=HeadStated.of(held.head()),
        reason=reason,
        at=timestamp(now),
    )
    at = None if old.kind == SIGNATURE else int(now.timestamp())
    lines = old.sign(statement.note_text, at) + new.sign(statement.note_text, at)
    return StatementFile(statement.body, note=f"{statement.note_text}\n{lines}")


@contextmanager
def _held(folder: Path) -> Iterator[HeldState]:
    held = HeldState(folder, held_origin(folder) or "")
    try:
        yield held
    finally:
        held.close()


def _head(folder: Path) -> Head:
    found = held_head(folder)
    if found is None:
        raise StateRefused(f"{folder} has no readable head")
    return found


def _own_line(folder: Path) -> str:
    try:
        return str(VerifierKey.parse((folder / VERIFIER_FILE).read_text()))
    except OSError as error:
        raise StateRefused(f"{folder} is not the folder of a log signer or witness") from error


def _short(key: VerifierKey) -> str:
    return hashlib.sha256(key.public).hexdigest()[:16]


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
