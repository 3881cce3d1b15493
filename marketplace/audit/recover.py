"""Recovery after a restore: leaves were lost, so the log goes on under a new origin, by a statement signed by two.

The platform operator and the holder of the witness sign.  The former log stays what it was: its checkpoints beyond the
kept leaves are never signed again by anybody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlmodel import Session

from marketplace.audit import outside, queries
from marketplace.audit.client import LogKeys, public_keys
from marketplace.audit.entry import Tag, record
from marketplace.audit.heldstate import Head
from marketplace.audit.note import VerifierKey, open_checkpoint
from marketplace.audit.statements import (
    BadStatement,
    HeadStated,
    Recovery,
    StatementFile,
    next_origin,
    under_origin,
)
from marketplace.audit.succession import keep, known_keys
from marketplace.audit.tiles import StoredTree
from marketplace.audit.tree import consistency_path
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict, Forbidden
from marketplace.settings import Settings

Reason = Literal["backup_restored", "head_lost", "head_rolled_back"]


class NothingToRecover(Conflict):
    """The database holds everything that was signed."""


class DatabaseMoved(Conflict):
    """The database is not the one that the statement describes."""


class NotTheOperator(Forbidden):
    """Only a platform operator recovers the log."""


def prepare(db: Session, settings: Settings, now: datetime, *, checkpoint: str = "") -> Recovery:
    """What a recovery of this database would say.

    settings: with the effective origin; checkpoint: a newer cosigned note that a party kept, where the witness has
    lost its head.  Raises NothingToRecover, BadNote, LogSilent.
    """
    keys = public_keys(settings)
    signed, cosigned = _held(settings, "log-signer"), _held(settings, "witness")
    tree = StoredTree(db)
    latest = queries.latest_checkpoint(db)
    note = checkpoint or (latest.note if latest is not None else "")
    told = _told(db, settings, note)
    kept = Head(tree.size, tree.root(tree.size))
    reason = _reason(kept, signed, cosigned, told, tree)
    # A note that the witness signed says more than a state of its that was lost or rolled back.
    last = max((one for one in (cosigned, told) if one is not None), key=lambda one: one.size, default=None)
    coming = next_origin(settings.log_origin)
    return Recovery(
        old_origin=settings.log_origin,
        new_origin=coming,
        cosigned=HeadStated.of(last) if last else None,
        signed=HeadStated.of(signed) if signed else None,
        kept=HeadStated.of(kept),
        growth=_growth(tree, last, kept),
        checkpoint=note if told is not None else "",
        log_old=str(keys.log),
        log_new=under_origin(str(keys.log), coming),
        witness=str(keys.witness),
        reason=reason,
        at=timestamp(now),
    )


def continue_under(db: Session, operator: Actor, file: StatementFile, settings: Settings, now: datetime) -> str | None:
    """Go on under the new origin; returns the entry's id, None when this was done before.

    operator: whose signature the caller has accepted.  settings: with the origin that the log had so far.
    Raises NotTheOperator, BadStatement, DatabaseMoved.  Records: audit:recovered.
    """
    recovery, tree = file.recovery, StoredTree(db)
    if not operator.has(Role.PLATFORM_OPERATOR):
        raise NotTheOperator("this needs the role platform_operator", got=operator.participant)
    if settings.log_origin == recovery.new_origin:
        return None
    file.check_note(str(_witness(db, settings, recovery)))
    _require_next(settings.log_origin, recovery)
    if Head(tree.size, tree.root(tree.size)) != recovery.kept.head:
        raise DatabaseMoved(
            "the tree is not the one that the statement describes",
            expected=f"{recovery.kept.size} leaves, root {recovery.kept.root}",
            got=f"{tree.size} leaves",
            action="restore the same copy again, or prepare a new statement",
        )

    name = keep(db, file, now)

    facts: Json = {
        "statement": name,
        "old_origin": recovery.old_origin,
        "new_origin": recovery.new_origin,
        "kept": recovery.kept.size,
        "lost_before": recovery.end,
        "reason": recovery.reason,
    }
    return record(db, operator, Tag.LOG_RECOVERED, now, facts=facts)


def _require_next(origin: str, recovery: Recovery) -> None:
    if origin != recovery.old_origin or recovery.new_origin != next_origin(origin):
        raise BadStatement("a recovery of another log", expected=origin, got=recovery.old_origin)


def _growth(tree: StoredTree, last: Head | None, kept: Head) -> list[str]:
    """The proof that what is kept extends the last cosigned head; empty where leaves were lost."""
    if last is None or last.size > kept.size:
        return []
    return [one.hex() for one in consistency_path(tree.read, last.size, kept.size)]


def _witness(db: Session, settings: Settings, recovery: Recovery) -> VerifierKey:
    """The witness's key as this instance knows it.  Raises BadStatement when the statement names another."""
    keys: LogKeys = known_keys(db, settings)
    if str(keys.witness) != recovery.witness:
        raise BadStatement("the statement names another witness", expected=str(keys.witness), got=recovery.witness)
    return keys.witness


def _held(settings: Settings, name: outside.Holder) -> Head | None:
    """The head that signer or witness holds, None when it is lost.  Raises LogSilent, BadStatement."""
    found = outside.held(settings, name)
    if found is None or found.head is None:
        return None
    if found.origin != settings.log_origin:
        raise BadStatement(
            f"the {name} goes on under another origin than this database",
            expected=settings.log_origin,
            got=found.origin,
            action="a recovery was signed that this copy does not know: apply that statement to it first",
        )
    return found.head


def _told(db: Session, settings: Settings, note: str) -> Head | None:
    """The head of a note that log and witness signed.  Raises BadNote."""
    if not note:
        return None
    keys = known_keys(db, settings)
    head = keys.open(note)
    if head.origin != settings.log_origin:
        return None  # from before an earlier recovery; the witness has begun anew since
    open_checkpoint(note, keys.witness)
    return Head(head.size, head.root)


def _reason(kept: Head, signed: Head | None, cosigned: Head | None, told: Head | None, tree: StoredTree) -> Reason:
    """Why the log cannot go on as it is.  Raises NothingToRecover."""
    if signed is None or cosigned is None:
        return "head_lost"
    behind = [one for one in (signed, cosigned, told) if one is not None and one.size > kept.size]
    if behind:
        return "backup_restored"
    if told is not None and min(signed.size, cosigned.size) < told.size:
        return "head_rolled_back"
    if any(tree.root(one.size) != one.root for one in (signed, cosigned)):
        return "backup_restored"
    raise NothingToRecover("nothing that was signed is missing", action="start the service")
