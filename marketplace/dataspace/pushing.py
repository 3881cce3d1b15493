"""Pushing a transfer: the use is decided and logged as a pull is, its bytes are poured to the consumer's address.

Each start is a flow; an attempt that ends before the last byte was acknowledged is made again with growing pauses.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from marketplace.dataspace import queries, transcript
from marketplace.dataspace.answering import Answering
from marketplace.dataspace.destinations import BucketDestination, Destination, read_destination
from marketplace.dataspace.flowing import Flowing, NotFlowing, pushed_now
from marketplace.dataspace.models import Exchange, Push
from marketplace.dataspace.moving import say
from marketplace.dataspace.multipart import BucketReceiver
from marketplace.dataspace.receivers import HttpReceiver, NotTaken, Receiver
from marketplace.dataspace.sending import is_over
from marketplace.dataspace.states import MOVES, Protocol, TransferState
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import DomainError, Invalid
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.rules import AgreementState
from marketplace.participants import connectors
from marketplace.plumbing import outbox
from marketplace.plumbing.runtime import Runtime
from marketplace.transfer import queries as transfers
from marketplace.transfer.opening import DeliveryNotReady, Download, Opened, OutsideRange, Refused, open_transfer
from marketplace.transfer.outflow import Outflow
from marketplace.transfer.rules import UseSpent, key_hash

PUSH_TASK: Final = "dataspace.push"
_BUSY: Final = 409  # another answer of the receiver is not over yet
_UNREADY: Final = timedelta(seconds=5)
_CODES: Final = {"refused": "push_refused", "given_up": "push_undeliverable"}


@dataclass(frozen=True)
class Attempt:
    """One attempt.  origins: that may be called; reached: bytes that were on their way at most before it; size:
    of the whole, 0 while unknown; upload: as `Push` has it."""

    flowing: Flowing
    destination: Destination | BucketDestination
    origins: Sequence[str]
    reached: int
    size: int
    upload: str


@dataclass(frozen=True)
class Result:
    """How an attempt ended.  kind: `acknowledged`, `again`, `unready` or `refused`; reasons: codes, of a refusal."""

    kind: str
    reached: int
    size: int = 0
    status: int | None = None
    reasons: Sequence[str] = ()


def ask_for_push(db: Session, exchange: Exchange, now: datetime) -> None:
    """Have a transfer pushed that was just started, from where its last flow ended."""
    row = db.get(Push, exchange.id) or Push(exchange_id=exchange.id, flow=0, state="waiting", moved_at=now)
    row.flow, row.attempts, row.moved_at = row.flow + 1, 0, now
    row.state = row.state if row.state == "acknowledged" else "waiting"
    _schedule(db, row, now, now)
    db.flush()


def push(runtime: Runtime, answering: Answering, exchange_id: str, serial: int) -> None:
    """Make one attempt; what flows no longer is left alone, and no transaction is open meanwhile.

    serial: of the piece of work; one that another has followed is over, so that a crash forks no chain of attempts.

    Records: what the use records, then dataspace:exchange_moved once the other side took the completion or termination.
    """
    with runtime.database.transaction() as db:
        attempt = _begun(db, exchange_id, serial, answering, runtime)
    if attempt is None:
        return

    receiver = _receiver(runtime, attempt)
    result = _made(runtime, answering, attempt, receiver)

    with runtime.database.transaction() as db:
        _conclude(db, runtime, answering, exchange_id, serial, result)
        ended = db.get_one(Push, exchange_id).state in _CODES or is_over(queries.exchange(db, exchange_id))
    if ended and result.kind != "acknowledged":
        with suppress(DomainError):  # whoever does not answer cleans up by itself
            receiver.abandon()


def _begun(db: Session, exchange_id: str, serial: int, answering: Answering, runtime: Runtime) -> Attempt | None:
    exchange, row = _held(db, exchange_id)
    now = runtime.clock.now()
    if row.serial != serial or row.state in _CODES or exchange.state != TransferState.STARTED:
        return None
    if row.state == "acknowledged":  # it was stopped before it could be said
        _tell(db, exchange, "complete", {}, answering, runtime, now)
        return None
    if _others_first(db, exchange, runtime, now):
        _schedule(db, row, now, now + _UNREADY)
        return None
    row.attempts, row.moved_at = row.attempts + 1, now
    try:
        flowing = pushed_now(db, exchange_id, now)
    except NotFlowing:
        _again(db, exchange, row, answering, runtime, now)
        return None
    row.state = "pushing"
    db.add(row)
    connector = connectors.connector(db, exchange.connector_id)
    destination = read_destination(connector, exchange, exchange.data_address)
    return Attempt(flowing, destination, connector.addresses, *_on_their_way(db, flowing, row), row.upload)


def _others_first(db: Session, exchange: Exchange, runtime: Runtime, now: datetime) -> bool:
    """Whether so much is being pushed to the same buyer that this waits its turn, which is no attempt.

    A turn and no quota: attempts that begin in the same instant may be more.
    """
    buyer = connectors.connector(db, exchange.connector_id).participant_id
    alive = now - timedelta(seconds=runtime.settings.dataspace_push_seconds)
    return queries.pushing_to(db, buyer, exchange.id, alive) >= runtime.settings.dataspace_pushes_made


def _on_their_way(db: Session, flowing: Flowing, row: Push) -> tuple[int, int]:
    """Bytes that may have left, of how many: a process that died in an attempt left word of them in the use alone."""
    exchange, key = flowing.exchange, key_hash(flowing.exchange.id)
    former = transfers.by_key(db, exchange.agreement_id, flowing.actor.participant, key)
    if former is None or row.size not in {0, former.size}:
        return row.reached, row.size
    return max(row.reached, former.leg_start + former.leg_served), former.size


def _made(runtime: Runtime, answering: Answering, attempt: Attempt, receiver: Receiver) -> Result:
    """Decide the use and pour its bytes, from where the receiver says that it lacks them."""
    flowing, reached = attempt.flowing, attempt.reached
    agreement, key = flowing.exchange.agreement_id, flowing.exchange.id
    try:
        start = receiver.kept(reached, attempt.size) if reached else 0
        if start is None:
            return Result("acknowledged", reached)
        asked = Download(agreement, flowing.use, None, f"bytes={start}-" if start else None, None, key)
        match open_transfer(runtime, flowing.actor, asked, runtime.clock.now()):
            case Opened() as opened:
                outflow = Outflow(runtime, flowing.actor, opened, seconds=runtime.settings.dataspace_push_seconds)
                return _poured(answering, receiver, outflow, reached)
            case Refused() as refused:
                return Result("refused", reached, reasons=refused.decision.reasons)
            case OutsideRange() as outside:
                return Result("again", 0, outside.size)
    except DomainError as error:
        return _failed(error, answering, reached, 0)


def _receiver(runtime: Runtime, attempt: Attempt) -> Receiver:
    def remember(upload: str) -> None:
        with runtime.database.transaction() as db:
            _, row = _held(db, attempt.flowing.exchange.id)
            row.upload = upload
            db.add(row)

    match attempt.destination:
        case Destination() as address:
            return HttpReceiver(runtime, address, attempt.origins)
        case BucketDestination() as bucket:
            return BucketReceiver(runtime, bucket, attempt.origins, attempt.upload, remember)


def _poured(answering: Answering, receiver: Receiver, outflow: Outflow, reached: int) -> Result:
    begun, size = outflow.opened.span.start, outflow.opened.whole.body.size
    try:
        status = receiver.take(outflow)
        kind = "acknowledged" if outflow.acknowledged() else "again"
        return Result(kind, max(reached, begun + outflow.sent), size, status)
    except DomainError as error:
        return _failed(error, answering, max(reached, begun + outflow.sent), size)
    finally:
        outflow.close()


def _failed(error: DomainError, answering: Answering, reached: int, size: int) -> Result:
    match error:
        case NotTaken() if error.status in answering.patience.retried | {_BUSY}:
            return Result("again", reached, size, error.status)
        case NotTaken():
            return Result("refused", reached, size, error.status, ["receiver_refused"])
        case DeliveryNotReady():
            return Result("unready", reached, size)
        case Invalid() | UseSpent():
            return Result("refused", reached, size, reasons=[error.slug])
        case _:
            return Result("again", reached, size)


def _conclude(
    db: Session, runtime: Runtime, answering: Answering, exchange_id: str, serial: int, result: Result
) -> None:
    exchange, row = _held(db, exchange_id)
    now = runtime.clock.now()
    row.reached, row.size, row.moved_at = result.reached, result.size or row.size, now
    row.status = result.status if result.status is not None else row.status
    row.state = "acknowledged" if result.kind == "acknowledged" else row.state
    db.add(row)
    if row.serial != serial:
        return
    if exchange.state != TransferState.STARTED:
        row.state = row.state if row.state == "acknowledged" else "stopped"
        return
    match result.kind:
        case "acknowledged":
            _tell(db, exchange, "complete", {}, answering, runtime, now)
        case "unready":
            row.state, row.attempts = "waiting", row.attempts - 1
            _schedule(db, row, now, now + _UNREADY)
        case "refused" if _in_force(db, exchange):
            _end(db, exchange, row, "refused", result.reasons, answering, runtime, now)
        case _:
            _again(db, exchange, row, answering, runtime, now)


def _held(db: Session, exchange_id: str) -> tuple[Exchange, Push]:
    exchange = queries.exchange(db, exchange_id)
    queries.lock(db, exchange)
    return exchange, db.get_one(Push, exchange_id, populate_existing=True)


def _in_force(db: Session, exchange: Exchange) -> bool:
    """Otherwise the transfer will follow its agreement, and is not ended for what the use was refused for."""
    return negotiation.agreement(db, exchange.agreement_id).state == AgreementState.FINALIZED


def _again(db: Session, exchange: Exchange, row: Push, answering: Answering, runtime: Runtime, now: datetime) -> None:
    pauses = answering.patience.pauses
    if row.attempts > len(pauses):
        _end(db, exchange, row, "given_up", (), answering, runtime, now)
        return
    row.state = "waiting"
    _schedule(db, row, now, now + pauses[row.attempts - 1])


def _end(
    db: Session,
    exchange: Exchange,
    row: Push,
    state: str,
    reasons: Sequence[str],
    answering: Answering,
    runtime: Runtime,
    now: datetime,
) -> None:
    row.state = state
    db.add(row)
    code = _CODES[state]
    _tell(db, exchange, "terminate", {"code": code, "reason": [*reasons] or [code]}, answering, runtime, now)


def _tell(
    db: Session, exchange: Exchange, name: str, extra: Json, answering: Answering, runtime: Runtime, now: datetime
) -> None:
    """Say how it ended, unless something else that ends or rests it is on its way; then the next flow says it."""
    if not [one for one in transcript.under_way(db, exchange.id) if one.move != "start"]:
        say(db, exchange, MOVES[Protocol.TRANSFER][name], answering, runtime, now, extra)


def _schedule(db: Session, row: Push, now: datetime, due: datetime) -> None:
    row.serial += 1
    db.add(row)
    asked = {"exchange": row.exchange_id, "serial": row.serial}
    outbox.enqueue(db, PUSH_TASK, asked, key=f"{row.exchange_id}:{row.serial}", now=now, due=due)
