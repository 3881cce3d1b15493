"""Reading requests and agreements, scoped to the two parties."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from marketplace.assets.models import Asset
from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import read_strictly, sha256_hex
from marketplace.kernel.errors import NotFound
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rules import OPEN, AgreementState, Side
from marketplace.participants.models import Participant
from marketplace.plumbing import paging
from marketplace.plumbing.keeping import forget
from marketplace.plumbing.paging import Paged, PartyList
from marketplace.plumbing.questions import Objects
from marketplace.plumbing.snapshots import once_per_snapshot

_PARTIES: Final = {Side.BUYER: col(AccessRequest.buyer_id), Side.PROVIDER: col(AccessRequest.provider_id)}
_REQUESTS: Final = PartyList(
    AccessRequest, col(AccessRequest.asked_at), tuple(_PARTIES.values()), latest_first=True, overseers=frozenset()
)
_AGREEMENTS: Final = PartyList(
    Agreement, col(Agreement.drafted_at), sides=(col(Agreement.buyer_id), col(Agreement.provider_id)), latest_first=True
)
_OPEN: Final = Objects(
    AccessRequest,
    select(AccessRequest)
    .where(
        col(AccessRequest.buyer_id) == bindparam("buyer"),
        col(AccessRequest.listing_id) == bindparam("listing"),
        col(AccessRequest.state).in_([str(state) for state in OPEN]),
    )
    .order_by(col(AccessRequest.asked_at)),
)


class NoSuchRequest(NotFound):
    """No such access request."""


class NoSuchAgreement(NotFound):
    """No such agreement."""


def request(db: Session, request_id: str) -> AccessRequest:
    """One access request: for workers and other rooms.  Raises NoSuchRequest."""
    found = db.get(AccessRequest, request_id)
    if found is None:
        raise NoSuchRequest("no access request with this id", got=request_id)
    return found


def held(db: Session, request_id: str) -> AccessRequest:
    """One access request, read anew and held as `lock` holds it.  Raises NoSuchRequest."""
    found = db.get(AccessRequest, request_id, populate_existing=True, with_for_update=True)
    if found is None:
        raise NoSuchRequest("no access request with this id", got=request_id)
    return found


def lock(db: Session, found: AccessRequest) -> None:
    """Read a request anew and hold its row to the end of the transaction: two parties may move at once.

    SQLite holds the whole database anyway; on PostgreSQL the second caller waits here and then sees the first's move.
    """
    db.refresh(found, with_for_update=True)


def own_request(db: Session, actor: Actor, request_id: str) -> AccessRequest:
    """A request in which the caller is a party.  Raises NoSuchRequest for anybody else, so ids cannot be probed."""
    found = request(db, request_id)
    if side_of(found, actor) is None:
        raise NoSuchRequest("no access request with this id", got=request_id)
    return found


def request_page(
    db: Session, actor: Actor, state: str | None = None, *, cursor: str | None = None, limit: int = paging.MOST
) -> Paged[AccessRequest]:
    """A page of the caller's requests as buyer and as provider, the latest first.  state: only those in it, None = all.

    Raises NotOnThisList.
    """
    only = () if state is None else (col(AccessRequest.state) == state,)
    return _REQUESTS.page(db, actor, cursor, limit, only)


def requests_as(
    db: Session, actor: Actor, side: Side, *, cursor: str | None = None, limit: int = paging.MOST
) -> Paged[AccessRequest]:
    """A page of the caller's requests on one side, the latest first.  Raises NotOnThisList."""
    return _REQUESTS.page_as(db, actor, _PARTIES[side], cursor, limit)


def hold_opening(db: Session, buyer_id: str, listing_id: str) -> None:
    """Keep whoever else opens a negotiation of a buyer under a listing waiting until the transaction ends.

    What the first one opened is then seen, by whatever way the second one came.
    """
    # There is no row of the two to hold, and SQLite lets one write transaction in at a time anyway.
    if db.get_bind().dialect.name == "postgresql":
        number = int(sha256_hex(f"negotiation\0{buyer_id}\0{listing_id}".encode())[:16], 16) >> 1
        db.connection().execute(select(func.pg_advisory_xact_lock(number)))
        forget(db)


def open_requests(db: Session, buyer_id: str, listing_id: str) -> Sequence[AccessRequest]:
    """Requests of a buyer under a listing that are not at their end."""
    return _OPEN.all(db, buyer=buyer_id, listing=listing_id)


@once_per_snapshot
def agreement(db: Session, agreement_id: str) -> Agreement:
    """One agreement: for other rooms.  Raises NoSuchAgreement."""
    found = db.get(Agreement, agreement_id)
    if found is None:
        raise NoSuchAgreement("no agreement with this id", got=agreement_id)
    return found


def lock_agreement(db: Session, found: Agreement) -> AccessRequest:
    """Read an agreement anew and hold it, by the row of its request, which is returned."""
    asked = held(db, found.request_id)
    db.refresh(found)
    return asked


def lock_agreements(db: Session, agreement_ids: Collection[str]) -> None:
    """Read agreements anew and hold them as `lock_agreement` does, in the order of their requests' ids."""
    named = col(Agreement.id).in_(agreement_ids)
    asked = col(AccessRequest.id).in_(select(Agreement.request_id).where(named))
    anew = {"populate_existing": True}
    held_ = select(AccessRequest).where(asked).order_by(col(AccessRequest.id)).with_for_update()
    db.exec(held_.execution_options(**anew)).all()
    forget(db)
    db.exec(select(Agreement).where(named).execution_options(**anew)).all()


def own_agreement(db: Session, actor: Actor, agreement_id: str) -> Agreement:
    """An agreement to which the caller is a party.  Raises NoSuchAgreement for anybody else."""
    found = agreement(db, agreement_id)
    if side_of(found, actor) is None:
        raise NoSuchAgreement("no agreement with this id", got=agreement_id)
    return found


def readable_agreement(db: Session, actor: Actor, agreement_id: str) -> Agreement:
    """An agreement the caller may read: a party, or an auditor.  Raises NoSuchAgreement."""
    return agreement(db, agreement_id) if actor.has(Role.AUDITOR) else own_agreement(db, actor, agreement_id)


def agreements_of(
    db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST
) -> Paged[Agreement]:
    """A page of the caller's agreements, of all for auditors, the latest first.  Raises NotOnThisList."""
    return _AGREEMENTS.page(db, actor, cursor, limit)


def bought(db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[Agreement]:
    """A page of the caller's agreements as buyer, the latest first.  Raises NotOnThisList."""
    return _AGREEMENTS.page_as(db, actor, col(Agreement.buyer_id), cursor, limit)


def count_in_force(db: Session, actor: Actor, now: datetime) -> int:
    """How many agreements of the caller as buyer are in force and have not ended."""
    rows = select(func.count()).select_from(Agreement).where(Agreement.buyer_id == actor.participant)
    return db.exec(rows.where(Agreement.state == AgreementState.FINALIZED, col(Agreement.ends_at) > now)).one()


def all_invented(db: Session, agreement_ids: Collection[str]) -> set[str]:
    """Those of the agreements that everybody may read: asset, provider and buyer are all examples.

    A provider says itself that an asset is one, so that alone opens no contract of a real buyer.
    """
    provider, buyer = aliased(Participant), aliased(Participant)
    rows = (
        select(Agreement.id)
        .join(Asset, col(Asset.id) == col(Agreement.asset_id))
        .join(provider, col(provider.id) == col(Agreement.provider_id))
        .join(buyer, col(buyer.id) == col(Agreement.buyer_id))
        .where(col(Agreement.id).in_(set(agreement_ids)))
        .where(col(Asset.is_example), col(provider.is_example), col(buyer.is_example))
    )
    return set(db.exec(rows))


def others_in_force(db: Session, found: Agreement, now: datetime) -> Sequence[str]:
    """Agreements of other buyers on the same asset that are in force or suspended."""
    rows = select(Agreement.id).where(
        Agreement.asset_id == found.asset_id,
        Agreement.buyer_id != found.buyer_id,
        col(Agreement.state).in_(("finalized", "suspended")),
        col(Agreement.ends_at) > now,
    )
    return db.exec(rows.order_by(col(Agreement.id))).all()


def had_access(db: Session, buyer_id: str, asset_id: str) -> bool:
    """Whether an agreement of a buyer on an asset came into force, whatever its listing and whatever became of it."""
    rows = select(Agreement.id).where(
        Agreement.buyer_id == buyer_id, Agreement.asset_id == asset_id, col(Agreement.finalized_at).is_not(None)
    )
    return db.exec(rows.limit(1)).first() is not None


def side_of(subject: AccessRequest | Agreement, actor: Actor) -> Side | None:
    """Which party of a negotiation the caller is, if any."""
    return {subject.buyer_id: Side.BUYER, subject.provider_id: Side.PROVIDER}.get(actor.participant)


def resting_on(db: Session, subjects: Sequence[str], at: datetime, change: int) -> Sequence[str]:
    """Ids of the agreements that a stop ended uses of: they rest on one of these (own id, version, certificate, …).

    at, change: the moment the stop was asked for, and its count of bumps.  One that was ended at that very moment
    counts, and one that came into force while the stop waited for its turn.
    """
    columns = (
        Agreement.id,
        Agreement.version_id,
        Agreement.certificate_code,
        Agreement.opinion_id,
        Agreement.listing_id,
        Agreement.provider_id,
        Agreement.buyer_id,
    )
    rows = select(Agreement.id, Agreement.finalized_at).where(
        or_(*(col(column).in_(list(subjects)) for column in columns)),
        col(Agreement.finalized_at).is_not(None),
        or_(col(Agreement.ends_at) > at, col(Agreement.id).in_(list(subjects))),
        or_(col(Agreement.terminated_at).is_(None), col(Agreement.terminated_at) >= at),
    )
    found = db.exec(rows.order_by(col(Agreement.id))).all()
    return [one for one, since in found if (since is not None and since <= at) or _in_force_before(db, one, change)]


def _in_force_before(db: Session, agreement_id: str, change: int) -> bool:
    """Whether an agreement was finalized, in the order of commits, before the stop with this count of bumps."""
    rows = select(Entry.body).where(Entry.agreement == agreement_id, Entry.tag == Tag.AGREEMENT_FINALIZED.value)
    body = db.exec(rows).first()
    return body is not None and read_strictly(body)["facts"]["change"] < change
