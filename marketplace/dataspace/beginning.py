"""What a participant hosted here says first or next: ask a connector elsewhere for a contract or for data, and move."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlmodel import Session

from marketplace.dataspace import queries, transcript
from marketplace.dataspace.addresses import base_of, require_address
from marketplace.dataspace.answering import Answering
from marketplace.dataspace.holding import require_in_force
from marketplace.dataspace.identity import require_trusted
from marketplace.dataspace.messages import PULL, PUSHED, TAKEN, check_offer
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.moving import open_exchange, say
from marketplace.dataspace.receiving import require_few_pushes
from marketplace.dataspace.states import MOVES, Protocol, Side, step_of
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict, Forbidden, Invalid, shown
from marketplace.kernel.ids import new_id
from marketplace.participants import connectors
from marketplace.plumbing.runtime import Runtime


class NotAnsweredYet(Conflict):
    """The other side has not taken the first message of this exchange yet."""


class NoSuchMove(Invalid):
    """The protocol has no such move."""


class OtherDataset(Invalid):
    """The offer is for another data set than this negotiation."""


class ConductedHere(Conflict):
    """This negotiation is conducted by the verbs of its access request."""


class NotABuyer(Forbidden):
    """Only a buyer asks others for contracts and data."""


class FormatNotOffered(Invalid):
    """This way of transfer is not spoken here."""


def ask_for_contract(
    db: Session,
    actor: Actor,
    connector_id: str,
    address: str,
    offer: Json,
    answering: Answering,
    runtime: Runtime,
    now: datetime,
    beside: Json | None = None,
) -> Exchange:
    """Open a negotiation as consumer.  address: the provider's base address; offer: with its target.

    beside: further members of the first message, e.g. the terms that the rules of an offer have no words for.

    Raises NotABuyer, BadMessage, NoSuchConnector, ConnectorRefused, OutgoingRefused, AddressNotRegistered.
    Records: dataspace:exchange_opened.
    """
    exchange = _opened(db, actor, Protocol.NEGOTIATION, connector_id, address, runtime, now)
    exchange.subject, exchange.terms = check_offer(offer)["target"], offer
    open_exchange(db, actor, exchange, now)
    say(db, exchange, MOVES[Protocol.NEGOTIATION]["request"], answering, runtime, now, beside)
    return exchange


def ask_for_data(
    db: Session,
    actor: Actor,
    connector_id: str,
    address: str,
    agreement_id: str,
    answering: Answering,
    runtime: Runtime,
    now: datetime,
    *,
    transfer_format: str = PULL,
) -> Exchange:
    """Open a transfer as consumer under an agreement of the other side.

    Raises AgreementOver, FormatNotOffered, TooManyPushes, and as `ask_for_contract`.
    Records: dataspace:exchange_opened.
    """
    if transfer_format not in TAKEN:
        raise FormatNotOffered("not taken so", expected=" or ".join(TAKEN), got=f"{len(transfer_format)} characters")
    exchange = _opened(db, actor, Protocol.TRANSFER, connector_id, address, runtime, now)
    require_in_force(db, actor, connector_id, agreement_id, now)
    if transfer_format in PUSHED:
        require_few_pushes(db, actor, runtime.settings.dataspace_pushes_asked)
    exchange.subject, exchange.format = agreement_id, transfer_format
    open_exchange(db, actor, exchange, now)
    say(db, exchange, MOVES[Protocol.TRANSFER]["request"], answering, runtime, now)
    return exchange


def move_on(
    db: Session, exchange: Exchange, name: str, extra: Json, answering: Answering, runtime: Runtime, now: datetime
) -> str:
    """Have a further move of ours sent.  name: as in `states.MOVES`; what it stops here stops at once.

    extra: further members of the message, e.g. the signature that goes with it, or the offer of a counter-offer.  The
    same move while it is on its way is the same message.  Returns the id of the message.
    A negotiation that the house conducts is moved by its own verbs, not by this one.
    Raises NoSuchMove, BadMessage, OtherDataset, NotAnsweredYet, ConductedHere, WrongState, NotYourStep.
    Records: dataspace:exchange_moved once it was taken.
    """
    queries.lock(db, exchange)
    move = MOVES[Protocol(exchange.protocol)].get(name)

    if move is None:
        raise NoSuchMove("the protocol has no such move", expected=" or ".join(MOVES[Protocol(exchange.protocol)]))
    step_of(move.protocol, exchange.state, move, Side(exchange.side))
    if exchange.request_id:
        raise ConductedHere(
            "this negotiation follows the contract here", action="approve, sign or decline the request itself"
        )
    if "offer" in extra:
        _require_countering(exchange, name, extra["offer"])
    if not exchange.peer_pid:
        raise NotAnsweredYet("the other side has not taken the first message yet", action="try again in a moment")
    for known in transcript.under_way(db, exchange.id):
        if known.move == name:
            return known.id

    return say(db, exchange, move, answering, runtime, now, extra)


def _require_countering(exchange: Exchange, name: str, offer: Json) -> None:
    if name != "request":
        raise NoSuchMove("only a request carries an offer", expected="request", got=name)
    if check_offer(offer)["target"] != exchange.subject:
        raise OtherDataset(
            "a counter-offer is for the same data set", expected=exchange.subject, got=shown(offer["target"])
        )


def require_buyer(roles: Collection[str]) -> None:
    """Raises NotABuyer: a participant without that role takes no data from others, whoever has begun."""
    if Role.BUYER not in roles:
        raise NotABuyer("data of others is for participants with the role buyer", got=", ".join(sorted(roles)))


def first_content(exchange: Exchange, runtime: Runtime) -> Json:
    """What the first message of an exchange of ours says beside our id."""
    callback = {"callbackAddress": base_of(runtime.settings, exchange.participant_id)}
    if exchange.protocol == Protocol.TRANSFER:
        return callback | {"agreementId": exchange.subject, "format": exchange.format}
    return callback | {"offer": exchange.terms}


def _opened(
    db: Session, actor: Actor, protocol: Protocol, connector_id: str, address: str, runtime: Runtime, now: datetime
) -> Exchange:
    require_buyer(actor.roles)
    connector = require_trusted(db, connectors.registered(db, connector_id, held=True), now)
    return Exchange(
        id=new_id("dex"),
        protocol=protocol,
        participant_id=actor.participant,
        connector_id=connector.id,
        side=Side.CONSUMER,
        address=require_address(connector, address, runtime.settings),
        state="REQUESTED",
        subject="",
        opened_at=now,
        moved_at=now,
    )
