"""One attempt to bring a message of ours to the other side, and what follows from its outcome."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlmodel import Session

from marketplace.dataspace import queries, transcript
from marketplace.dataspace.addresses import address_of
from marketplace.dataspace.answering import Answering
from marketplace.dataspace.identity import ConnectorRefused, require_trusted
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.moving import end, enter, learn_pid, proceed
from marketplace.dataspace.sending import OnItsWay, Outcome, begin_attempt, is_over, settle, try_again
from marketplace.dataspace.states import MOVES, Move, Protocol, Side, is_step
from marketplace.dataspace.transcript import Course, Ours
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.kernel.errors import Invalid
from marketplace.participants import connectors
from marketplace.plumbing import outgoing
from marketplace.plumbing.outgoing import OutgoingFailed, OutgoingRefused
from marketplace.plumbing.runtime import Runtime

Rest = Callable[[], Callable[[Session], None]]
_MARGIN = timedelta(seconds=2)


def send(db: Session, runtime: Runtime, answering: Answering, message_id: str) -> Rest | None:
    """Begin one attempt; a message that is settled, or does not follow from the state any more, is not sent.

    Returns what is done with no transaction open, and what that returns is done in one; None where nothing is sent.
    Raises OnItsWay, and so does its end where a later attempt is under way, unless the message was taken.
    Records: dataspace:exchange_moved, or dataspace:exchange_failed when it is refused or given up.
    """
    exchange = transcript.hold(db, message_id)
    row, now = transcript.ours(db, message_id), runtime.clock.now()

    if row.state not in transcript.UNDER_WAY:
        return None
    move = MOVES[Protocol(exchange.protocol)][row.move]
    if not _follows(exchange, move):
        settle(db, message_id, "dropped", now)
        return None

    begin_attempt(db, row, now, timedelta(seconds=runtime.settings.outgoing_seconds) + _MARGIN)
    origins = _prepared(db, exchange, now)

    def rest() -> Callable[[Session], None]:
        outcome = _attempt(runtime, answering, exchange, move, row.body, origins)
        return partial(_end, runtime, answering, exchange.id, message_id, row.attempts + 1, outcome)

    return rest


def _end(
    runtime: Runtime,
    answering: Answering,
    exchange_id: str,
    message_id: str,
    number: int,
    outcome: Outcome,
    db: Session,
) -> None:
    exchange = queries.hold(db, exchange_id)
    row = transcript.ours(db, message_id)
    if row.state == "sending" and row.attempts != number and not outcome.taken:
        # A worker that stood still for longer than its lease: to try again, or give up, is for the attempt after it.
        raise OnItsWay("a later attempt to send this message is under way", got=message_id)
    move = MOVES[Protocol(exchange.protocol)][row.move]
    _conclude(db, runtime, answering, exchange, row, move, outcome)


def _follows(exchange: Exchange | Course, move: Move) -> bool:
    """Whether a move of ours is allowed in the present state; the first message opens the state that it names."""
    if not exchange.peer_pid:
        return not is_over(exchange) and exchange.state == move.target
    return is_step(Protocol(exchange.protocol), exchange.state, move, Side(exchange.side))


def _prepared(db: Session, exchange: Course, now: datetime) -> list[str] | None:
    """The origins that may be called for the connector; None when it may not be spoken to now."""
    try:
        return require_trusted(db, connectors.registered(db, exchange.connector_id), now).addresses
    except ConnectorRefused:
        return None


def _attempt(
    runtime: Runtime, answering: Answering, exchange: Course, move: Move, message: Json, origins: list[str] | None
) -> Outcome:
    if origins is None:
        return Outcome(401, {})
    token = answering.identity.header(exchange.participant_id, exchange.address, runtime.clock.now(), runtime)
    try:
        answer = outgoing.post(
            address_of(exchange, move),
            json.dumps(message, ensure_ascii=False).encode(),
            headers={"Content-Type": "application/json", "Authorization": token},
            settings=runtime.settings,
            network=runtime.connections,
            origins=origins,
        )
    except OutgoingRefused:
        return Outcome(400, {})
    except OutgoingFailed:
        return Outcome(None, {})
    return Outcome(answer.status, _object(answer.body))


def _object(body: bytes) -> Json:
    try:
        found = read_strictly(body)
    except Invalid:
        return {}
    return found if isinstance(found, dict) else {}


def _conclude(
    db: Session,
    runtime: Runtime,
    answering: Answering,
    exchange: Exchange,
    row: Ours,
    move: Move,
    outcome: Outcome,
) -> None:
    now, pauses = runtime.clock.now(), answering.patience.pauses
    # Settled by what the other side said meanwhile; or it waits after a later attempt, and was taken by this one.
    if row.state not in transcript.UNDER_WAY or (row.state == "waiting" and not outcome.taken):
        return
    if not _follows(exchange, move):
        # The answer came after the time for it: what the other side said meanwhile counts.
        settle(db, row.id, "dropped", now, outcome.status)
        return
    # Without an id in the answer to our first message there is nobody to go on with.
    if outcome.taken and learn_pid(exchange, outcome.body):
        settle(db, row.id, "taken", now, outcome.status)
        enter(db, SERVICE_ACTOR, exchange, move, row.body, row.sha256, now)
        proceed(db, exchange, answering, runtime, now)
    elif (outcome.status is None or outcome.status in answering.patience.retried) and row.attempts <= len(pauses):
        try_again(db, row, outcome.status, now, now + pauses[row.attempts - 1])
    else:
        again = outcome.status is None or outcome.status in answering.patience.retried
        settle(db, row.id, "given_up" if again else "refused", now, outcome.status)
        end(db, SERVICE_ACTOR, exchange, "message_undeliverable" if again else "message_refused", now)
