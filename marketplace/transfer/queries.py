"""Reading deliveries and transfers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from marketplace.kernel.errors import NotFound
from marketplace.transfer.models import Delivery, DeliveryFile, Transfer


class NoSuchFile(NotFound):
    """No such file in this delivery."""


class NoDelivery(NotFound):
    """Nothing has been prepared for delivery yet."""


def delivery(db: Session, agreement_id: str) -> Delivery | None:
    """What was prepared for an agreement, if it was."""
    return db.get(Delivery, agreement_id)


def files(db: Session, agreement_id: str) -> Sequence[DeliveryFile]:
    """The files of a delivery in order of path."""
    rows = select(DeliveryFile).where(DeliveryFile.agreement_id == agreement_id)
    return db.exec(rows.order_by(col(DeliveryFile.position))).all()


def file(db: Session, agreement_id: str, path: str) -> DeliveryFile:
    """One file of a delivery.  Raises NoSuchFile."""
    rows = select(DeliveryFile).where(DeliveryFile.agreement_id == agreement_id, DeliveryFile.path == path)
    found = db.exec(rows).first()
    if found is None:
        raise NoSuchFile("the delivery has no file with this path", action="read the paths in the manifest")
    return found


def by_key(db: Session, agreement_id: str, party: str, key: str) -> Transfer | None:
    """The transfer a caller opened with this key."""
    rows = select(Transfer).where(Transfer.agreement_id == agreement_id, Transfer.party == party, Transfer.key == key)
    return db.exec(rows).first()


def held(db: Session, transfer_id: str) -> Transfer:
    """A transfer, read fresh and kept from changing until the transaction ends."""
    return db.exec(
        select(Transfer).where(Transfer.id == transfer_id).with_for_update().execution_options(populate_existing=True)
    ).one()


def of_agreement(db: Session, agreement_id: str) -> Sequence[Transfer]:
    """The transfers of an agreement, oldest first."""
    rows = select(Transfer).where(Transfer.agreement_id == agreement_id)
    return db.exec(rows.order_by(col(Transfer.opened_at), col(Transfer.id))).all()


def overdue(db: Session, now: datetime) -> Sequence[str]:
    """Ids of open transfers whose lease has passed."""
    rows = select(Transfer.id).where(Transfer.state == "open", col(Transfer.lease_until) < now)
    return db.exec(rows.order_by(col(Transfer.lease_until))).all()
