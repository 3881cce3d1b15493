"""Reading deliveries and transfers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Document, Entry
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.kernel.errors import NotFound
from marketplace.plumbing import outbox, paging
from marketplace.plumbing.paging import Order, Paged
from marketplace.plumbing.questions import Objects
from marketplace.plumbing.snapshots import once_per_snapshot, remember
from marketplace.transfer.models import (
    Delivery,
    DeliveryFile,
    NoticeAddress,
    StopNotice,
    StopNoticeReader,
    Transfer,
)

_FILES = Objects(
    DeliveryFile,
    select(DeliveryFile)
    .where(col(DeliveryFile.agreement_id) == bindparam("agreement"))
    .order_by(col(DeliveryFile.position)),
)
_DELIVERIES = select(Delivery).where(col(Delivery.agreement_id).in_(bindparam("agreements", expanding=True)))
_LATEST_NOTICES: Final = Order((col(StopNotice.id),), (col(StopNotice.id),), latest_first=True)
_LATEST_TOLD: Final = Order((col(StopNoticeReader.notice_id),), (col(StopNoticeReader.notice_id),), latest_first=True)
_FIRST_OPENED: Final = Order((col(Transfer.opened_at), col(Transfer.id)), (col(Transfer.id),))


class NoSuchFile(NotFound):
    """No such file in this delivery."""


class NoDelivery(NotFound):
    """Nothing has been prepared for delivery yet."""


class NoSuchNotice(NotFound):
    """No such notice."""


class NoNoticeAddress(NotFound):
    """No address for notices is set."""


@once_per_snapshot
def delivery(db: Session, agreement_id: str) -> Delivery | None:
    """What was prepared for an agreement, if it was."""
    return db.get(Delivery, agreement_id)


def read_deliveries(db: Session, agreement_ids: Collection[str]) -> None:
    """Read what was prepared for several agreements in one statement; inside `snapshot` only."""
    found = {one.agreement_id: one for one in db.exec(_DELIVERIES, params={"agreements": sorted(set(agreement_ids))})}
    for name in agreement_ids:
        remember(db, delivery, found.get(name), name)


def manifests(db: Session) -> list[tuple[str, Json]]:
    """SHA-256 and content of every delivery's manifest, in order of agreement."""
    rows = select(Document).join(Delivery, col(Delivery.manifest) == col(Document.sha256))
    found = db.exec(rows.order_by(col(Delivery.agreement_id))).all()
    return [(one.sha256, read_strictly(one.body)) for one in found]


def files(db: Session, agreement_id: str) -> Sequence[DeliveryFile]:
    """The files of a delivery in order of path."""
    return _FILES.all(db, agreement=agreement_id)


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


def of_agreement(
    db: Session, agreement_id: str, *, cursor: str | None = None, limit: int = paging.MOST
) -> Paged[Transfer]:
    """A page of the transfers of an agreement, the oldest first.  Raises NotOnThisList."""
    return _FIRST_OPENED.page(db, select(Transfer).where(Transfer.agreement_id == agreement_id), cursor, limit)


def overdue(db: Session, now: datetime) -> Sequence[str]:
    """Ids of open transfers whose lease has passed."""
    rows = select(Transfer.id).where(Transfer.state == "open", col(Transfer.lease_until) < now)
    return db.exec(rows.order_by(col(Transfer.lease_until))).all()


def open_of_agreement(db: Session, agreement_id: str) -> Sequence[Transfer]:
    """The open transfers of an agreement, held until the transaction ends."""
    rows = select(Transfer).where(Transfer.agreement_id == agreement_id, Transfer.state == "open")
    held = rows.order_by(col(Transfer.id)).with_for_update().execution_options(populate_existing=True)
    return db.exec(held).all()


def uses_logged(db: Session, agreement_id: str, tag: Tag, since: datetime) -> list[tuple[str, Json]]:
    """Id and facts of an agreement's entries of a tag in order, from a moment on."""
    rows = select(Entry.id, Entry.body).where(
        Entry.agreement == agreement_id, Entry.tag == tag.value, col(Entry.at) >= since
    )
    return [(entry, read_strictly(body)["facts"]) for entry, body in db.exec(rows.order_by(col(Entry.id)))]


def notice_about(db: Session, entry_id: str) -> StopNotice | None:
    """The notice of what an entry recorded, if it is written."""
    return db.exec(select(StopNotice).where(StopNotice.stop_entry == entry_id)).first()


def notice_of(db: Session, agreement_id: str, stop_entry: str) -> StopNotice | None:
    """The notice of a stop to the parties of an agreement, if it was written."""
    rows = select(StopNotice).where(StopNotice.agreement_id == agreement_id, StopNotice.stop_entry == stop_entry)
    return db.exec(rows).first()


def notices(db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[StopNotice]:
    """A page of the caller's notices, of all for auditors, the latest first.  Raises NotOnThisList."""
    if actor.has(Role.AUDITOR):
        return _LATEST_NOTICES.page(db, select(StopNotice), cursor, limit)
    mine = select(StopNoticeReader).where(StopNoticeReader.party == actor.participant)
    told = _LATEST_TOLD.page(db, mine, cursor, limit)
    ids = [one.notice_id for one in told.rows]
    found = {one.id: one for one in db.exec(select(StopNotice).where(col(StopNotice.id).in_(ids)))}
    return Paged([found[one] for one in ids], told.next)


def readable_notice(db: Session, actor: Actor, notice_id: str) -> StopNotice:
    """A notice to the caller, or any for an auditor.  Raises NoSuchNotice."""
    found = db.get(StopNotice, notice_id)
    mine = db.get(StopNoticeReader, (notice_id, actor.participant)) is not None
    if found is None or not (mine or actor.has(Role.AUDITOR)):
        raise NoSuchNotice("no notice with this id", got=notice_id[:80])
    return found


def reader(db: Session, notice_id: str, party: str, *, lock: bool = False) -> StopNoticeReader:
    """The row of a party that a notice is for; lock: read anew and held to the end of the transaction."""
    found = db.get_one(StopNoticeReader, (notice_id, party))
    if lock:
        db.refresh(found, with_for_update=True)
    return found


def notice_address(db: Session, party: str, *, lock: bool = False) -> NoticeAddress | None:
    """Where a party wants its notices sent, if anywhere."""
    return db.get(NoticeAddress, party, populate_existing=True, with_for_update=True if lock else None)


def own_notice_address(db: Session, actor: Actor) -> NoticeAddress:
    """The caller's address for notices.  Raises NoNoticeAddress."""
    found = notice_address(db, actor.participant)
    if found is None:
        raise NoNoticeAddress("no address for notices is set", action="PUT /v1/participants/me/notice-address")
    return found


def pushed(db: Session, notice_id: str, party: str) -> Json | None:
    """How the sending of a notice to a party's address goes; None where nothing is sent."""
    row = outbox.asked(db, "transfer.push_notice", f"{notice_id}:{party}")
    if row is None:
        return None
    taken = reader(db, notice_id, party).acknowledged_at
    over = "given_up" if row.given_up_at else "not_sent"
    waiting = row.done_at is None and row.given_up_at is None
    return {
        "state": "acknowledged" if taken else "waiting" if waiting else over,
        "attempts": row.attempts,
        "last_error": row.last_error,
        "acknowledged_at": taken,
    }
