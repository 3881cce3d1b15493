"""Recovering an instance and replacing its keys, while it is stopped: what `marketplace recover` and `keys` do here.

The holders of log signer and witness do their part in their own folders (`audit.handover`); this is the part of whoever
holds the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import and_, or_
from sqlmodel import Session, col, select

from marketplace.audit import documents, handover, recover, succession
from marketplace.audit.statements import RECOVERY, Recovery, StatementFile
from marketplace.kernel.actor import SERVICE, Actor
from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.clock import Clock, SystemClock
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.stopping import hold
from marketplace.participants import queries as participants
from marketplace.participants import servicekeys
from marketplace.participants.signatures import accept
from marketplace.plumbing import servicekey
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from marketplace.settings import Settings
from workers.instance import only_one

RECOVERED = "log_recovered"
FOLDERS = {"log": "log-signer", "witness": "witness"}

Why = Literal["planned", "compromised"]


def prepare(settings: Settings, *, checkpoint: str = "", clock: Clock | None = None) -> Recovery:
    """What a recovery of this instance would say.  Raises FolderInUse, and what `recover.prepare` raises."""
    now = (clock or SystemClock()).now()
    with _stopped(settings) as (database, known), database.reading() as db:
        return recover.prepare(db, known, now, checkpoint=checkpoint)


def apply(settings: Settings, file: StatementFile, *, clock: Clock | None = None) -> int:
    """Let the instance go on under the new origin; returns how many agreements now wait for their providers.

    Both signatures are checked.  The embedded log signer follows; one elsewhere follows by its holder's hand.
    Raises FolderInUse, BadStatement, UnknownKey, DatabaseMoved, NotTheOperator.
    """
    now = (clock or SystemClock()).now()
    signed = file.check_operator()
    with _stopped(settings) as (database, known):
        with database.transaction() as db:
            owner = participants.participant(db, signed.participant)
            operator = Actor(owner.id, frozenset(owner.roles), kid=str(signed.jwk.get("kid")))
            document = documents.keep(db, RECOVERY, read_strictly(file.body), now)
            accept(db, owner.id, document, signed.jws, typ=f"{RECOVERY}+jws", now=now)
            entry = recover.continue_under(db, operator, file, known, now)
            # A revocation, a use of the quota, a settlement may be among what was lost.
            held = [_held(db, one, now) for one in _in_force(db)] if entry is not None else []
        if not settings.log_signer_url:
            handover.adopt_recovery(settings.data_folder / FOLDERS["log"], file, file.recovery.witness)
    return len(held)


def rotate_service(settings: Settings, reason: Why, *, clock: Clock | None = None) -> str:
    """Replace the service key; returns the statement's hash.  After a crash in the middle, asking again finishes it.

    Raises FolderInUse.
    """
    now, folder = (clock or SystemClock()).now(), settings.data_folder
    with _stopped(settings) as (database, _):
        new = servicekey.next_key(folder)
        with database.transaction() as db:
            statement = servicekeys.rotate(db, servicekey.present_key(folder), new, reason, now)
        servicekey.put_in_use(folder)
    return statement


def rotate_child(
    settings: Settings, role: Literal["log", "witness"], reason: Why, *, clock: Clock | None = None
) -> Path:
    """Replace the key of the embedded log signer or witness and take note of it; returns the statement's file.

    Raises FolderInUse, StateRefused.
    """
    now, folder = (clock or SystemClock()).now(), settings.data_folder / FOLDERS[role]
    with _stopped(settings) as (database, known):
        _, path = handover.rotate(folder, reason, now)
        # One that a crash kept from being noted goes first.
        files = [StatementFile.read(one) for one in folder.glob("rotation-*.json")]
        with database.transaction() as db:
            for file in sorted(files, key=lambda one: (one.rotation.head.size, one.rotation.at)):
                succession.accept_rotation(db, file, known.log_origin, now)
    return path


def accept_rotation(settings: Settings, file: StatementFile, *, clock: Clock | None = None) -> str | None:
    """Take note of a new key of a log signer or witness elsewhere; returns the entry's id, None when known already."""
    now = (clock or SystemClock()).now()
    database = Database(settings.effective_database_url)
    try:
        origin = succession.effective(settings, database).log_origin
        with database.transaction() as db:
            return succession.accept_rotation(db, file, origin, now)
    finally:
        database.dispose()


def _in_force(db: Session) -> list[Agreement]:
    """Those in force, and those that the service itself would put in force again."""
    by_service = and_(col(Agreement.state) == "suspended", col(Agreement.suspended_by) == SERVICE)
    rows = select(Agreement).where(or_(col(Agreement.state) == "finalized", by_service))
    return list(db.exec(rows.order_by(col(Agreement.id))))


def _held(db: Session, agreement: Agreement, now: datetime) -> str:
    hold(db, agreement, RECOVERED, now)
    return agreement.id


@contextmanager
def _stopped(settings: Settings) -> Iterator[tuple[Database, Settings]]:
    """The database at the present schema and the effective settings, while nothing else works on the folder."""
    with only_one(settings.data_folder):
        database = Database(settings.effective_database_url)
        try:
            migrate(database)
            yield database, succession.effective(settings, database)
        finally:
            database.dispose()
