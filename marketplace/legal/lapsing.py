"""An opinion ends by itself, at its date or with a missed condition: uses stop at that second, and this tells of it."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.clock import timestamp
from marketplace.legal import queries
from marketplace.legal.models import Opinion
from marketplace.legal.rules import Outcome
from marketplace.plumbing import epochs, outbox
from marketplace.plumbing.epochs import Stop

LAPSE_TASK = "legal.lapse"


def watch(db: Session, opinion: Opinion, now: datetime) -> None:
    """Ask for every moment at which this signed opinion may end by itself to be looked at."""
    if opinion.outcome == Outcome.FAIL:
        return
    for due in _ends(db, opinion):
        key = f"{opinion.id}:{timestamp(due)}"
        outbox.enqueue(db, LAPSE_TASK, {"opinion": opinion.id}, key=key, now=now, due=due)


def lapse(db: Session, opinion_id: str, now: datetime) -> None:
    """Record that a version's opinion holds no more and stop what rested on it; otherwise nothing changes.

    An opinion that a later one replaced is not looked at.  Records: legal:opinion_lapsed.
    """
    opinion = db.get_one(Opinion, opinion_id)
    queries.lock(db, opinion)
    version = assets.version(db, opinion.version_id)
    assets.lock_version(db, version)  # a later opinion that comes at this moment is seen, or comes after
    latest = queries.latest_signed(db, version.id)

    if latest is None or latest.id != opinion.id or queries.is_valid(db, opinion, version.root, now):
        return
    if epochs.reason_of(db, [opinion.id]) == Stop.OPINION_NOT_VALID:
        return

    facts = {"opinion": opinion.id, "document": opinion.document}
    entry = record(db, SERVICE_ACTOR, Tag.OPINION_LAPSED, now, asset=version.asset_id, version=version.id, facts=facts)
    ended = min([moment for moment in _ends(db, opinion) if moment <= now], default=now)
    epochs.stop(db, (version.id, opinion.id), Stop.OPINION_NOT_VALID, SERVICE_ACTOR, entry, epochs.second(ended))


def _ends(db: Session, opinion: Opinion) -> set[datetime]:
    """The moments at which an opinion may end by itself."""
    return {opinion.expires_at, *(one.due_at for one in queries.conditions(db, opinion.id) if one.met_at is None)}
