"""Exclusive licences: while one is in force nobody else is offered, shown or granted the asset."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from marketplace.assets.models import Asset
from marketplace.exchange.models import Exclusivity
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict
from marketplace.plumbing.questions import Objects, Question, alone

_LOCK = Question(select(Asset.id).where(col(Asset.id) == bindparam("asset")).with_for_update(), alone)
_LATEST = Objects(
    Exclusivity,
    select(Exclusivity)
    .where(col(Exclusivity.asset_id) == bindparam("asset"), col(Exclusivity.ends_at) > bindparam("now"))
    .order_by(col(Exclusivity.ends_at).desc())
    .limit(1),
)


class SoldExclusively(Conflict):
    """Another buyer holds an exclusive licence of this asset."""


def require_open(db: Session, asset_id: str, now: datetime, *, buyer: str | None = None) -> None:
    """Refuse what an exclusive licence of somebody else bars.  buyer: whose licence is no hindrance.

    Holds the asset until the transaction ends, so that of two who would sign at once one waits.
    Raises SoldExclusively.
    """
    _LOCK.rows(db, asset=asset_id)
    found = _LATEST.first(db, asset=asset_id, now=now)
    if found is not None and found.buyer_id != buyer:
        raise SoldExclusively(
            "an exclusive licence of this asset is in force",
            expected=f"its end on {timestamp(found.ends_at)}",
            got=timestamp(now),
            action="wait for its end, or offer another asset",
        )


def grant(db: Session, asset_id: str, agreement_id: str, buyer: str, ends_at: datetime) -> None:
    """Bar everybody else from an asset while this agreement is in force; its own entry tells of it."""
    db.add(Exclusivity(agreement_id=agreement_id, asset_id=asset_id, buyer_id=buyer, ends_at=ends_at))
    db.flush()


def end(db: Session, agreement_id: str, now: datetime) -> None:
    """End what an agreement barred, if it barred anything, with the agreement itself."""
    found = db.get(Exclusivity, agreement_id)
    if found is not None and found.ends_at > now:
        found.ends_at = now
        db.add(found)
        db.flush()
