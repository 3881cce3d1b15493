"""The quota of an agreement: reserve, serve, settle; every step one conditional UPDATE (threat T14)."""

from __future__ import annotations

from sqlalchemy import or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from marketplace.usage.models import UsageQuota
from marketplace.usage.rules import Limits


def hold(db: Session, agreement_id: str, limits: Limits) -> None:
    """Make sure the row is there and keep other uses of this agreement waiting until the transaction ends."""
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = insert(UsageQuota).values(
        agreement_id=agreement_id,
        uses_limit=limits.uses,
        bytes_limit=limits.bytes,
        uses_reserved=0,
        uses_settled=0,
        bytes_reserved=0,
        bytes_settled=0,
    )
    db.exec(row.on_conflict_do_nothing(index_elements=["agreement_id"]))
    db.exec(select(UsageQuota.agreement_id).where(UsageQuota.agreement_id == agreement_id).with_for_update()).first()


def reserve(db: Session, agreement_id: str, *, uses: int, volume: int) -> bool:
    """Take uses and bytes from what is left; False, and nothing taken, when that would pass a limit."""
    uses_after = col(UsageQuota.uses_reserved) + col(UsageQuota.uses_settled) + uses
    bytes_after = col(UsageQuota.bytes_reserved) + col(UsageQuota.bytes_settled) + volume
    taken = db.exec(
        update(UsageQuota)
        .where(
            col(UsageQuota.agreement_id) == agreement_id,
            or_(col(UsageQuota.uses_limit).is_(None), uses_after <= col(UsageQuota.uses_limit)),
            or_(col(UsageQuota.bytes_limit).is_(None), bytes_after <= col(UsageQuota.bytes_limit)),
        )
        .values(uses_reserved=UsageQuota.uses_reserved + uses, bytes_reserved=UsageQuota.bytes_reserved + volume)
        .execution_options(synchronize_session=False)
    )
    return taken.rowcount == 1


def settle(db: Session, agreement_id: str, *, uses: int, uses_served: int, volume: int, volume_served: int) -> int:
    """Turn a reservation into what was really used, the rest is free again; returns the agreement's bytes so far.

    uses, volume: as reserved; uses_served, volume_served: at most that.  Raises ValueError: more than is reserved.
    """
    if not (0 <= uses_served <= uses and 0 <= volume_served <= volume):
        raise ValueError(f"served {uses_served} uses, {volume_served} bytes of reserved {uses} and {volume}")
    settled = db.exec(
        update(UsageQuota)
        .where(
            col(UsageQuota.agreement_id) == agreement_id,
            col(UsageQuota.uses_reserved) >= uses,
            col(UsageQuota.bytes_reserved) >= volume,
        )
        .values(
            uses_reserved=UsageQuota.uses_reserved - uses,
            uses_settled=UsageQuota.uses_settled + uses_served,
            bytes_reserved=UsageQuota.bytes_reserved - volume,
            bytes_settled=UsageQuota.bytes_settled + volume_served,
        )
        .returning(col(UsageQuota.bytes_settled))
        .execution_options(synchronize_session=False)
    ).first()
    if settled is None:
        raise ValueError(f"{uses} uses and {volume} bytes of agreement {agreement_id} are not reserved")
    return int(settled[0])
