"""Reading exchanges and their messages, scoped to the two who hold them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, func, or_
from sqlmodel import Session, col, select

from marketplace.dataspace.messages import PUSHED
from marketplace.dataspace.models import Arrival, Exchange, ExchangeMessage, HeldAgreement, Push
from marketplace.dataspace.states import FINAL, Protocol, Side
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound, shown
from marketplace.participants.models import Connector
from marketplace.plumbing import paging
from marketplace.plumbing.paging import Paged, PartyList
from marketplace.plumbing.questions import Objects

# Made once: to put a statement together costs as much as to run it, and these run for every message.
_OF_REQUEST: Final = Objects(
    Exchange,
    select(Exchange)
    .where(col(Exchange.request_id) == bindparam("request"))
    .order_by(col(Exchange.opened_at).desc(), col(Exchange.id).desc())
    .limit(1)
    .with_for_update(),
)
_NAMED_BY_PEER: Final = Objects(
    Exchange,
    select(Exchange).where(
        col(Exchange.participant_id) == bindparam("participant"),
        col(Exchange.connector_id) == bindparam("connector"),
        col(Exchange.protocol) == bindparam("protocol"),
        col(Exchange.peer_pid) == bindparam("pid"),
    ),
)
_TRANSFERS_UNDER: Final = Objects(
    Exchange,
    select(Exchange)
    .where(
        col(Exchange.agreement_id) == bindparam("agreement"),
        col(Exchange.protocol) == Protocol.TRANSFER,
        col(Exchange.state).not_in(FINAL),
    )
    .order_by(col(Exchange.opened_at), col(Exchange.id)),
)
_HOLDING: Final = Objects(
    HeldAgreement,
    select(HeldAgreement).where(
        col(HeldAgreement.buyer_id) == bindparam("buyer"), col(HeldAgreement.contract) == bindparam("document")
    ),
)
_SAID: Final = (
    select(ExchangeMessage)
    .where(col(ExchangeMessage.exchange_id) == bindparam("exchange"))
    .order_by(col(ExchangeMessage.asked_at), col(ExchangeMessage.id))
    .execution_options(populate_existing=True)
)
_EXCHANGES: Final = PartyList(
    Exchange, col(Exchange.opened_at), sides=(col(Exchange.participant_id),), latest_first=True
)
_HELD: Final = PartyList(
    HeldAgreement, col(HeldAgreement.held_at), sides=(col(HeldAgreement.buyer_id),), latest_first=True
)


class NoSuchExchange(NotFound):
    """No such negotiation or transfer."""


class NoSuchHeldAgreement(NotFound):
    """No such agreement with a provider elsewhere."""


def _no_such_exchange(exchange_id: str) -> NoSuchExchange:
    """The error for an id that names no exchange, or not one of the caller's."""
    return NoSuchExchange("no exchange with this id", got=shown(exchange_id))


def exchange(db: Session, exchange_id: str) -> Exchange:
    """One exchange: for workers.  Raises NoSuchExchange."""
    found = db.get(Exchange, exchange_id)
    if found is None:
        raise _no_such_exchange(exchange_id)
    return found


def hold(db: Session, exchange_id: str) -> Exchange:
    """One exchange, read anew and held to the end of the transaction: both sides may speak at once.

    Raises NoSuchExchange.
    """
    found = db.get(Exchange, exchange_id, populate_existing=True, with_for_update=True)
    if found is None:
        raise _no_such_exchange(exchange_id)
    return found


def lock(db: Session, found: Exchange) -> None:
    """Read an exchange anew and hold it to the end of the transaction."""
    hold(db, found.id)


def between(
    db: Session, participant_id: str, connector_id: str, protocol: Protocol, exchange_id: str, *, held: bool = False
) -> Exchange:
    """An exchange of these two.  Raises NoSuchExchange for anybody else's too, so ids cannot be probed.

    held: as by `hold`.
    """
    found = hold(db, exchange_id) if held else exchange(db, exchange_id)
    if (found.participant_id, found.connector_id, found.protocol) != (participant_id, connector_id, protocol):
        raise _no_such_exchange(exchange_id)
    return found


def own(db: Session, actor: Actor, exchange_id: str) -> Exchange:
    """An exchange of the caller; auditors read all.  Raises NoSuchExchange."""
    found = exchange(db, exchange_id)
    if found.participant_id != actor.participant and not actor.has(Role.AUDITOR):
        raise _no_such_exchange(exchange_id)
    return found


def exchanges_of(
    db: Session, actor: Actor, state: str | None = None, *, cursor: str | None = None, limit: int = paging.MOST
) -> Paged[Exchange]:
    """A page of the caller's exchanges, of all for auditors, the latest first.  state: only those in it, None = all.

    Raises NotOnThisList.
    """
    only = () if state is None else (col(Exchange.state) == state,)
    return _EXCHANGES.page(db, actor, cursor, limit, only)


def named_by_peer(
    db: Session, participant_id: str, connector_id: str, protocol: Protocol, peer_pid: str
) -> Exchange | None:
    """The exchange that the other side opened under an id of its own, if there is one."""
    return _NAMED_BY_PEER.first(db, participant=participant_id, connector=connector_id, protocol=protocol, pid=peer_pid)


def hold_of_request(db: Session, request_id: str) -> Exchange | None:
    """The exchange in which a request of the negotiation room is spoken of, if there is one; the latest of several.

    Held as by `hold`.
    """
    return _OF_REQUEST.first(db, request=request_id)


def transfers_under(db: Session, agreement_id: str) -> Sequence[Exchange]:
    """Transfers of an agreement that are not at their end."""
    return _TRANSFERS_UNDER.all(db, agreement=agreement_id)


def pushes_to_come(db: Session, participant_id: str) -> int:
    """How many pushes a participant here asked for that are neither over nor here."""
    rows = select(func.count()).select_from(Exchange).outerjoin(Arrival, col(Arrival.exchange_id) == Exchange.id)
    rows = rows.where(
        Exchange.participant_id == participant_id,
        Exchange.side == Side.CONSUMER,
        col(Exchange.format).in_(PUSHED),
        col(Exchange.state).not_in(FINAL),
        col(Arrival.exchange_id).is_(None),
    )
    return db.exec(rows).one()


def pushing_to(db: Session, buyer_id: str, but: str, since: datetime) -> int:
    """How many pushes to a buyer elsewhere are being made, without one; those begun before `since` are dead."""
    rows = select(func.count()).select_from(Push).join(Exchange, col(Exchange.id) == Push.exchange_id)
    rows = rows.join(Connector, col(Connector.id) == Exchange.connector_id).where(
        Connector.participant_id == buyer_id,
        Push.state == "pushing",
        Push.exchange_id != but,
        Push.moved_at > since,
    )
    return db.exec(rows).one()


def received(db: Session, ids: Sequence[str]) -> Sequence[str]:
    """Which of these transfers take no more bytes: they are over, or what was pushed is here, whole."""
    rows = select(Exchange.id).outerjoin(Arrival, col(Arrival.exchange_id) == Exchange.id)
    done = or_(col(Exchange.state).in_(FINAL), col(Arrival.exchange_id).is_not(None))
    return db.exec(rows.where(col(Exchange.id).in_(ids), done)).all()


def message(db: Session, message_id: str) -> ExchangeMessage:
    """One message, read anew."""
    return db.get_one(ExchangeMessage, message_id, populate_existing=True)


def messages(db: Session, exchange_id: str) -> Sequence[ExchangeMessage]:
    """What was said, in order."""
    return db.exec(_SAID, params={"exchange": exchange_id}).all()


def held(db: Session, held_id: str) -> HeldAgreement:
    """One agreement with a provider elsewhere: for workers.  Raises NoSuchHeldAgreement."""
    found = db.get(HeldAgreement, held_id)
    if found is None:
        raise NoSuchHeldAgreement("no agreement with a provider elsewhere with this id", got=shown(held_id))
    return found


def own_held(db: Session, actor: Actor, held_id: str) -> HeldAgreement:
    """One that the caller holds; auditors read all.  Raises NoSuchHeldAgreement."""
    found = held(db, held_id)
    if found.buyer_id != actor.participant and not actor.has(Role.AUDITOR):
        raise NoSuchHeldAgreement("no agreement with a provider elsewhere with this id", got=shown(held_id))
    return found


def held_of(db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[HeldAgreement]:
    """A page of what the caller holds, of everything for auditors, the latest first.  Raises NotOnThisList."""
    return _HELD.page(db, actor, cursor, limit)


def held_as(db: Session, buyer_id: str, connector_id: str, agreement: str) -> HeldAgreement | None:
    """What a buyer holds under the provider's own id of it, if anything."""
    rows = select(HeldAgreement).where(
        HeldAgreement.buyer_id == buyer_id,
        HeldAgreement.connector_id == connector_id,
        HeldAgreement.agreement == agreement,
    )
    return db.exec(rows.order_by(col(HeldAgreement.held_at).desc())).first()


def holding_contract(db: Session, buyer_id: str, document: str) -> HeldAgreement | None:
    """What a buyer holds by a contract that both parties signed, if anything.  document: SHA-256 of the contract."""
    return _HOLDING.first(db, buyer=buyer_id, document=document)
