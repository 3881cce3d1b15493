"""Reading participants and keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from marketplace.kernel.errors import NotFound
from marketplace.participants.models import Participant, ParticipantKey


class NoSuchParticipant(NotFound):
    """No such participant."""


def participant(db: Session, participant_id: str) -> Participant:
    """One participant.  Raises NoSuchParticipant."""
    found = db.get(Participant, participant_id)
    if found is None:
        raise NoSuchParticipant("no participant with this id", got=participant_id)
    return found


def all_participants(db: Session) -> Sequence[Participant]:
    """Everybody, in order of admission."""
    return db.exec(select(Participant).order_by(col(Participant.admitted_at), col(Participant.id))).all()


def with_role(db: Session, role: str) -> Sequence[Participant]:
    """Participants holding a role, in order of admission."""
    return [one for one in all_participants(db) if role in one.roles]


def live_key(db: Session, participant_id: str, kid: str, at: datetime) -> ParticipantKey | None:
    """A participant's key if it was valid at that moment, else None."""
    key = db.get(ParticipantKey, kid)
    if key is None or key.participant_id != participant_id or key.valid_from > at:
        return None
    ended = [moment for moment in (key.valid_until, key.revoked_at) if moment is not None and moment <= at]
    return None if ended else key
