"""Reading participants and keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import bindparam
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from marketplace.kernel.errors import NotFound
from marketplace.participants.models import Participant, ParticipantKey
from marketplace.plumbing import paging
from marketplace.plumbing.paging import Order, Paged
from marketplace.plumbing.questions import Objects, Question
from marketplace.plumbing.snapshots import once_per_snapshot


class NoSuchParticipant(NotFound):
    """No such participant."""


class NoSuchKey(NotFound):
    """No such key of this participant."""


class Party(NamedTuple):
    """What every message asks of a participant."""

    id: str
    roles: list[str]
    suspended_at: datetime | None


_AS_ADMITTED: Final = Order((col(Participant.id),), (col(Participant.id),))
_PARTY: Final = Question(
    sql_select(*(col(getattr(Participant, name)) for name in Party._fields)).where(
        col(Participant.id) == bindparam("participant")
    ),
    Party,
)
_KEYS: Final = Objects(
    ParticipantKey,
    select(ParticipantKey)
    .where(col(ParticipantKey.participant_id) == bindparam("participant"))
    .order_by(col(ParticipantKey.valid_from), col(ParticipantKey.kid)),
)


def party(db: Session, participant_id: str) -> Party:
    """What a message asks of one participant.  Raises NoSuchParticipant."""
    found = _PARTY.first(db, participant=participant_id)
    if found is None:
        raise NoSuchParticipant("no participant with this id", got=participant_id)
    return found


def known(db: Session, participant_id: str) -> bool:
    """Whether this is the id of a participant; for ids that callers word themselves and no answer repeats."""
    return db.get(Participant, participant_id) is not None


@once_per_snapshot
def participant(db: Session, participant_id: str) -> Participant:
    """One participant.  Raises NoSuchParticipant."""
    found = db.get(Participant, participant_id)
    if found is None:
        raise NoSuchParticipant("no participant with this id", got=participant_id)
    return found


def admitted(db: Session, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[Participant]:
    """A page of everybody, in order of admission.  Raises NotOnThisList."""
    return _AS_ADMITTED.page(db, select(Participant), cursor, limit)


def by_credit_code(db: Session, code: str) -> Participant | None:
    """The participant with a unified social credit code, if there is one."""
    return db.exec(select(Participant).where(Participant.credit_code == code)).first()


def with_role(db: Session, role: str) -> Sequence[Participant]:
    """Participants holding a role, in order of admission."""
    every = db.exec(select(Participant).order_by(col(Participant.admitted_at), col(Participant.id)))
    return [one for one in every if role in one.roles]


@once_per_snapshot
def _registered(db: Session, kid: str) -> ParticipantKey | None:
    return db.get(ParticipantKey, kid)


def live_key(db: Session, participant_id: str, kid: str, at: datetime) -> ParticipantKey | None:
    """A participant's key if it was valid at that moment, else None."""
    key = _registered(db, kid)
    if key is None or key.participant_id != participant_id or key.valid_from > at:
        return None
    ended = [moment for moment in (key.valid_until, key.revoked_at) if moment is not None and moment <= at]
    return None if ended else key


def held_live_key(db: Session, participant_id: str, kid: str, at: datetime) -> ParticipantKey | None:
    """As `live_key`; whoever would revoke the key waits until this transaction ends."""
    # On SQLite the write transaction itself keeps others out.
    db.get(ParticipantKey, kid, populate_existing=True, with_for_update={"read": True})
    return live_key(db, participant_id, kid, at)


def lock(db: Session, found: Participant | ParticipantKey) -> None:
    """Read it anew and hold it to the end of the transaction: what was read before may have changed since."""
    db.refresh(found, with_for_update={"key_share": True})


def key(db: Session, participant_id: str, kid: str) -> ParticipantKey:
    """One key of a participant, valid or not.  Raises NoSuchKey."""
    found = db.get(ParticipantKey, kid)
    if found is None or found.participant_id != participant_id:
        raise NoSuchKey("this participant has no such key", got=kid[:64])
    return found


def keys(db: Session, participant_id: str) -> Sequence[ParticipantKey]:
    """All keys of a participant, also ended ones (old signatures are checked with them), in order of registration."""
    return _KEYS.all(db, participant=participant_id)


def live_keys(db: Session, participant_id: str, at: datetime) -> list[ParticipantKey]:
    """The keys of a participant that are valid at that moment."""
    return [one for one in keys(db, participant_id) if live_key(db, participant_id, one.kid, at) is not None]
