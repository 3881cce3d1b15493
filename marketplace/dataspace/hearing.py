"""What the other side says: opening an exchange with us, and moving one that is open.  Repeats have one effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.dataspace import queries, transcript
from marketplace.dataspace.addresses import require_address
from marketplace.dataspace.answering import Answering
from marketplace.dataspace.identity import require_trusted
from marketplace.dataspace.messages import check
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.moving import enter, learn_pid, open_exchange, pids, proceed
from marketplace.dataspace.policies import same_rules
from marketplace.dataspace.sending import keep, require_settled, settle
from marketplace.dataspace.states import MOVES, Move, Protocol, Side, is_step, step_of
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json, digest
from marketplace.kernel.errors import Invalid, shown
from marketplace.kernel.ids import new_id
from marketplace.participants import connectors
from marketplace.participants import queries as participants
from marketplace.participants.connectors import AnyConnector
from marketplace.participants.queries import Party
from marketplace.plumbing.runtime import Runtime


class OtherProcess(Invalid):
    """The message names another process than its address."""


class OtherTerms(Invalid):
    """The message is about something else than this negotiation."""


@dataclass(frozen=True)
class Talk:
    """Who speaks with whom: a connector with a participant hosted here.  actor: the connector's participant."""

    connector: AnyConnector
    hosted: Party
    actor: Actor


@dataclass(frozen=True)
class Declined:
    """What was not taken up, an exchange or new terms: recorded where it was judged, an answer and no error.

    reasons: codes.
    """

    reasons: Sequence[str]


def talk(db: Session, connector: AnyConnector, hosted: Party) -> Talk:
    """The actor of a connector has the roles that the register gives its participant now."""
    roles = participants.party(db, connector.participant_id).roles
    return Talk(connector, hosted, Actor(connector.participant_id, frozenset(roles)))


def open_by_peer(
    db: Session, talk: Talk, move: Move, message: Json, answering: Answering, runtime: Runtime, now: datetime
) -> Exchange | Declined:
    """Take up a request for a contract or for data, or an offer that a provider makes first.

    The same process id from the same connector is the same exchange.
    Raises BadMessage, ConnectorRefused, OutgoingRefused, AddressNotRegistered, and what `Answering.opened` raises.
    Records: dataspace:exchange_opened, dataspace:exchange_moved.
    """
    check(message, move.message)
    require_trusted(db, connectors.registered(db, talk.connector.id, held=True), now)
    side = Side.CONSUMER if move.name == "offer" else Side.PROVIDER
    peer_pid = message["consumerPid" if side is Side.PROVIDER else "providerPid"]
    known = queries.named_by_peer(db, talk.hosted.id, talk.connector.id, move.protocol, peer_pid)

    if known is not None:
        return known
    if message.get("callbackAddress") is None:
        raise OtherProcess("there is no process of this id here", action="open one, with a callbackAddress")
    address = require_address(talk.connector, message["callbackAddress"], runtime.settings)

    exchange = _fresh(talk, move, message, side, peer_pid, address, now)
    reasons = answering.opened(db, exchange, message, now)
    if reasons:
        return Declined(reasons)
    open_exchange(db, talk.actor, exchange, now)

    _take(db, talk, exchange, move, message, digest(message), now)
    proceed(db, exchange, answering, runtime, now)
    return exchange


def hear(
    db: Session,
    talk: Talk,
    exchange_id: str,
    move: Move,
    message: Json,
    answering: Answering,
    runtime: Runtime,
    now: datetime,
) -> Exchange | Declined:
    """Take a move of the other side; the same message again changes nothing, one out of turn changes nothing either.

    Raises BadMessage, NoSuchExchange, ConnectorRefused, OnItsWay, OtherProcess, OtherTerms, WrongState, NotYourStep,
    and what `Answering.heard` raises.  Records: dataspace:exchange_moved.
    """
    exchange = queries.between(db, talk.hosted.id, talk.connector.id, move.protocol, exchange_id, held=True)
    require_trusted(db, connectors.registered(db, talk.connector.id), now)
    check(message, move.message)
    _require_ids(exchange, message)
    name = digest(message)
    if _heard_before(db, exchange, move, message, name):
        return exchange
    _take_what_it_answers(db, exchange, move, message, answering, now)
    step_of(move.protocol, exchange.state, move, Side(exchange.side).other)
    _require_terms(exchange, talk, move, message)

    reasons = answering.heard(db, exchange, move, message, runtime, now)
    if reasons:
        return Declined(reasons)
    _take(db, talk, exchange, move, message, name, now)
    proceed(db, exchange, answering, runtime, now)
    return exchange


def _fresh(talk: Talk, move: Move, message: Json, side: Side, peer_pid: str, address: str, now: datetime) -> Exchange:
    return Exchange(
        id=new_id("dex"),
        protocol=move.protocol,
        participant_id=talk.hosted.id,
        connector_id=talk.connector.id,
        side=side,
        peer_pid=peer_pid,
        address=address,
        state=str(move.target),
        subject=message["offer"]["target"] if move.protocol is Protocol.NEGOTIATION else message["agreementId"],
        format=message.get("format", ""),
        opened_at=now,
        moved_at=now,
    )


def _take(db: Session, talk: Talk, exchange: Exchange, move: Move, message: Json, sha256: str, now: datetime) -> None:
    keep(db, exchange, move, message, sha256, now, ours=False)
    enter(db, talk.actor, exchange, move, message, sha256, now)


def _heard_before(db: Session, exchange: Exchange, move: Move, message: Json, name: str) -> bool:
    """Whether this very message was taken already: with an id of its own at any time, without one as the last."""
    if "@id" not in message and transcript.last_heard(db, exchange.id) != name:
        return False
    return move.name in transcript.heard_as(db, exchange.id, name)


def _require_ids(exchange: Exchange, message: Json) -> None:
    expected = pids(exchange)
    for name, pid in expected.items():
        if name in message and message[name] != pid:
            raise OtherProcess(f"{name} is not that of this process", expected=pid, got=shown(str(message[name])))


def _take_what_it_answers(
    db: Session, exchange: Exchange, move: Move, message: Json, answering: Answering, now: datetime
) -> None:
    """Who answers a message of ours has taken it, also before it says so; it is not sent again.

    Our first is answered by whoever names both ids, any other that was sent, though the answer to that was lost, by a
    move that only follows ours.  Raises OnItsWay while one is sent that this does not answer, OtherProcess.
    """
    first = not exchange.peer_pid
    if first and not learn_pid(exchange, message):
        raise OtherProcess("the message names no id of yours that fits in an address", expected="an id without /")
    for one in transcript.under_way(db, exchange.id):
        ours = MOVES[Protocol(exchange.protocol)][one.move]
        if not first and (one.attempts == 0 or not _follows_only(exchange, ours, move)):
            require_settled(one, now)
            continue
        settle(db, one.id, "taken", now)
        row = transcript.ours(db, one.id)
        enter(db, SERVICE_ACTOR, exchange, ours, row.body, row.sha256, now)
        answering.entered(db, exchange, now)


def _follows_only(exchange: Exchange, ours: Move, theirs: Move) -> bool:
    """Whether the other side may make its move after ours, and not in the present state."""
    protocol, side, state = Protocol(exchange.protocol), Side(exchange.side), exchange.state
    after, now = (is_step(protocol, one, theirs, side.other) for one in (ours.target, state))
    return after and not now and is_step(protocol, state, ours, side)


def _require_terms(exchange: Exchange, talk: Talk, move: Move, message: Json) -> None:
    """An offer stays with its data set; an agreement names both parties and has the rules of the last offer."""
    if move.carries not in {"offer", "agreement"}:
        return
    policy = message[move.carries]
    if policy["target"] != exchange.subject:
        raise OtherTerms("the policy is for another data set", expected=exchange.subject, got=shown(policy["target"]))
    if move.carries == "offer":
        return
    agreement = policy
    parties, ours = (agreement["assigner"], agreement["assignee"]), (talk.connector.identifier, talk.hosted.id)
    if parties != ours:
        raise OtherTerms(
            "the agreement is between others", expected=" and ".join(ours), got=shown(" and ".join(parties))
        )
    if not same_rules(agreement, exchange.terms):
        raise OtherTerms("the agreement has other rules than the last offer", action="agree to the offer as it stands")
