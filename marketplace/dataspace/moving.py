"""How an exchange moves: what a message carries is kept, the state is entered and recorded, our next move asked for."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.dataspace import queries, transcript
from marketplace.dataspace.answering import Answering
from marketplace.dataspace.destinations import forget_destination
from marketplace.dataspace.messages import framed
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.sending import ask
from marketplace.dataspace.states import FINAL, MOVES, Move, Protocol, Side
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, sha256_hex
from marketplace.kernel.ids import new_id
from marketplace.plumbing import bell
from marketplace.plumbing.runtime import Runtime

_KEPT = {"offer": "terms", "agreement": "agreement", "dataAddress": "data_address"}
_LONGEST_PID = 2000
_ACKNOWLEDGED = {Protocol.NEGOTIATION: "ContractNegotiation", Protocol.TRANSFER: "TransferProcess"}


def topic_of(participant_id: str) -> str:
    """What rings when an exchange of a participant hosted here has moved."""
    return f"exchanges of {participant_id}"


def pids(exchange: Exchange) -> Json:
    """Both process ids under the names that the protocol gives them; without one that is not known yet."""
    mine, theirs = ("providerPid", "consumerPid")[:: 1 if exchange.side == Side.PROVIDER else -1]
    return {mine: exchange.id} | ({theirs: exchange.peer_pid} if exchange.peer_pid else {})


def learn_pid(exchange: Exchange, said: Json) -> bool:
    """Know the other side's id from what it says, if it is not known yet; False for one that fits in no address."""
    if exchange.peer_pid:
        return True
    pid = said.get("consumerPid" if exchange.side == Side.PROVIDER else "providerPid")
    if not isinstance(pid, str) or not 0 < len(pid) <= _LONGEST_PID or "/" in pid:
        return False
    exchange.peer_pid = pid
    return True


def acknowledgement(exchange: Exchange) -> Json:
    """What the protocol answers to reading an exchange, or to opening one."""
    both = {"providerPid": "", "consumerPid": ""} | pids(exchange)
    return framed(_ACKNOWLEDGED[Protocol(exchange.protocol)], both | {"state": exchange.state})


def open_exchange(db: Session, actor: Actor, exchange: Exchange, now: datetime) -> None:
    """Write a new exchange.  Records: dataspace:exchange_opened."""
    db.add(exchange)
    db.flush()
    record(db, actor, Tag.EXCHANGE_OPENED, now, facts=facts_of(exchange))
    bell.ask(db, topic_of(exchange.participant_id))


def enter(db: Session, actor: Actor, exchange: Exchange, move: Move, message: Json, sha256: str, now: datetime) -> None:
    """Take a checked move: what its message carries, the new state, the entry.

    sha256: digest of the message.  Records: dataspace:exchange_moved.
    """
    carried = message.get(move.carries)
    if carried is not None:
        setattr(exchange, _KEPT[move.carries], carried)
    exchange.state, exchange.moved_at = str(move.target), now
    if exchange.state in FINAL:
        forget_destination(db, exchange)
    exchange.visits = exchange.visits | {exchange.state: exchange.visits.get(exchange.state, 0) + 1}
    db.add(exchange)
    db.flush()
    about = {"move": move.name, "message": sha256}
    record(
        db, actor, Tag.EXCHANGE_MOVED, now, agreement=exchange.agreement_id or None, facts=facts_of(exchange) | about
    )
    bell.ask(db, topic_of(exchange.participant_id))


def end(db: Session, actor: Actor, exchange: Exchange, error: str, now: datetime) -> None:
    """End an exchange that the other side cannot be told of.  error: a code.  Records: dataspace:exchange_failed."""
    exchange.state, exchange.error, exchange.moved_at = "TERMINATED", error, now
    forget_destination(db, exchange)
    db.add(exchange)
    db.flush()
    facts = facts_of(exchange) | {"error": error}
    record(db, actor, Tag.EXCHANGE_FAILED, now, agreement=exchange.agreement_id or None, facts=facts)
    bell.ask(db, topic_of(exchange.participant_id))


def proceed(db: Session, exchange: Exchange, answering: Answering, runtime: Runtime, now: datetime) -> None:
    """Begin what the state that was entered calls for, and ask for our own next move if there is one."""
    answering.entered(db, exchange, now)
    name = answering.next(db, exchange)
    if name is not None:
        say(db, exchange, MOVES[Protocol(exchange.protocol)][name], answering, runtime, now)


def follow(db: Session, request_id: str, answering: Answering, runtime: Runtime, now: datetime) -> None:
    """Say what the negotiation room has come to, if the request is spoken of with a connector; once for each step."""
    found = queries.hold_of_request(db, request_id)
    if found is not None:
        _catch_up(db, found, answering, runtime, now)


def follow_agreement(db: Session, agreement_id: str, answering: Answering, runtime: Runtime, now: datetime) -> None:
    """Say on every open transfer of an agreement what has become of it: suspended, resumed, ended."""
    for found in queries.transfers_under(db, agreement_id):
        queries.lock(db, found)
        _catch_up(db, found, answering, runtime, now)


def _catch_up(db: Session, found: Exchange, answering: Answering, runtime: Runtime, now: datetime) -> None:
    name = answering.next(db, found)
    if name is not None and name not in {one.move for one in transcript.under_way(db, found.id)}:
        say(db, found, MOVES[Protocol(found.protocol)][name], answering, runtime, now)


def say(
    db: Session,
    exchange: Exchange,
    move: Move,
    answering: Answering,
    runtime: Runtime,
    now: datetime,
    extra: Json | None = None,
) -> str:
    """Have a move of ours sent; what it stops here stops at once.  The state follows when the other side took it.

    extra: further members of the message.  Returns the id of the message.
    """
    answering.left(db, exchange, move, now)
    content = {"eventType": move.event or None} | answering.content(db, exchange, move, runtime, now) | (extra or {})
    message = framed(move.message, {"@id": f"urn:uuid:{new_id('dsm')}"} | pids(exchange) | content)
    return ask(db, exchange, move, message, now, now + answering.patience.pace)


def facts_of(exchange: Exchange) -> Json:
    """What entries say of an exchange; names that the other side chose enter by their hash."""
    return {
        "exchange": exchange.id,
        "protocol": exchange.protocol,
        "participant": exchange.participant_id,
        "connector": exchange.connector_id,
        "side": exchange.side,
        "state": exchange.state,
        "subject_sha256": sha256_hex(exchange.subject.encode()),
        "peer_sha256": sha256_hex(exchange.peer_pid.encode()),
    }
