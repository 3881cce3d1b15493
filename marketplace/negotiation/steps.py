"""How a negotiation moves: one checked step, its new deadline, its entry."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag, record, since_begin
from marketplace.audit.words import keep_why
from marketplace.exchange import queries as exchange
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict
from marketplace.kernel.transitions import Step
from marketplace.negotiation import queries
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rules import (
    AGREEMENT,
    ANSWER_WITHIN,
    NEGOTIATION,
    OPEN,
    REMIND_BEFORE,
    AgreementState,
    Side,
    State,
)
from marketplace.plumbing import bell, epochs, outbox

EXPIRE_TASK = "negotiation.expire"
REMIND_TASK = "negotiation.remind"
END_TASK = "negotiation.end"
PREPARE_TASK = "transfer.prepare"
FOLLOW_TASK = "dataspace.follow"


class NegotiationExpired(Conflict):
    """The deadline of this negotiation has passed."""


def topic_of(participant_id: str) -> str:
    """What rings when a negotiation of a participant has moved."""
    return f"negotiations of {participant_id}"


def require_running(request: AccessRequest, now: datetime) -> None:
    """Raises NegotiationExpired once the deadline has passed, whether or not the worker has ended it yet."""
    if request.state in OPEN and request.expires_at <= now:
        raise NegotiationExpired(
            "nobody moved in time",
            expected=f"before {timestamp(request.expires_at)}",
            got=timestamp(now),
            action="ask for access again",
        )


def step_of(request: AccessRequest, actor: Actor, target: State, now: datetime, side: Side) -> Step:
    """The row for a move by the party whose move it is.  Raises NegotiationExpired, WrongState, NotYourStep."""
    require_running(request, now)
    roles = sides(request, actor)
    # REQUESTED has a step to itself for either side: returning is the provider's, resubmitting the buyer's.
    return NEGOTIATION.step(State(request.state), target, roles if side in roles else [])


def sides(request: AccessRequest, actor: Actor) -> list[Side]:
    """The caller's side as a list, empty for a stranger."""
    side = queries.side_of(request, actor)
    return [side] if side is not None else []


def close_draft(db: Session, request: AccessRequest, reason: str, now: datetime) -> None:
    """End the drafted agreement of a negotiation that ends, if there is one."""
    if request.agreement_id is None:
        return
    agreement = queries.agreement(db, request.agreement_id)
    AGREEMENT.step(AgreementState(agreement.state), AgreementState.TERMINATED, [Side.SERVICE])
    agreement.state, agreement.reason, agreement.terminated_at = AgreementState.TERMINATED, reason, now
    db.add(agreement)
    epochs.bump(db, agreement.id, "agreement_terminated")


def move(
    db: Session, actor: Actor, request: AccessRequest, step: Step, now: datetime, about: Json | None = None
) -> AccessRequest:
    """Take a checked step: new state, new deadline, entry.  about: further facts of the entry."""
    take(db, actor, request, step, now, about)
    tell(db, request, now)
    return request


def take(
    db: Session, actor: Actor, request: AccessRequest, step: Step, now: datetime, about: Json | None = None
) -> None:
    """One of several steps of a verb, which tells of all of them at its end, and writes the row once for them."""
    request.state = step.target
    if request.state in OPEN:
        request.expires_at = now + ANSWER_WITHIN
    db.add(request)
    record_request(db, actor, Tag(step.tag), request, now, about)


def tell(db: Session, request: AccessRequest, now: datetime) -> None:
    """Ask for what follows elsewhere from the steps of this transaction, once for all of them."""
    # A party may be elsewhere: the room that speaks with it lies above this one.
    first, _ = since_begin(db, "entries")[0]
    outbox.enqueue(db, FOLLOW_TASK, {"request": request.id}, key=f"{request.id}:{first}", now=now)


def save(db: Session, request: AccessRequest) -> None:
    """Write the request."""
    db.add(request)
    db.flush()


def watch(db: Session, request: AccessRequest, now: datetime) -> None:
    """Ask for a reminder before the present deadline and for the end at it.

    Either asks anew where somebody moved meanwhile, so that a move itself asks for nothing.
    """
    key, deadline = f"{request.id}:{timestamp(request.expires_at)}", request.expires_at
    outbox.enqueue(db, REMIND_TASK, {"request": request.id}, key=key, now=now, due=remind_at(request))
    outbox.enqueue(db, EXPIRE_TASK, {"request": request.id}, key=key, now=now, due=deadline)


def remind_at(request: AccessRequest) -> datetime:
    """From when on the side whose move it is is reminded of the present deadline."""
    return request.expires_at - REMIND_BEFORE


def record_request(
    db: Session, actor: Actor, tag: Tag, request: AccessRequest, now: datetime, about: Json | None = None
) -> str:
    """Write the entry of a request's change and return its id; with the signatures that lie on its agreement."""
    for party in (request.buyer_id, request.provider_id):
        bell.ask(db, topic_of(party))
    listing = exchange.listing(db, request.listing_id)
    facts: Json = {
        "request": request.id,
        "listing": request.listing_id,
        "purpose": request.purpose,
        "state": request.state,
        **keep_why(db, request.reason, request.note, now, (request.buyer_id, request.provider_id)),
        "evidence": [one["sha256"] for one in request.evidence],
        **(about or {}),
    }
    if request.agreement_id is not None:
        document = queries.agreement(db, request.agreement_id).document
        signatures = [{"signer": one.signer, "kid": one.kid} for one in documents.signatures(db, document)]
        facts |= {"document": document, "signatures": signatures}
    return record(
        db,
        actor,
        tag,
        now,
        asset=listing.asset_id,
        version=listing.version_id,
        agreement=request.agreement_id,
        facts=facts,
    )


def record_agreement(db: Session, actor: Actor, tag: Tag, agreement: Agreement, facts: Json, now: datetime) -> str:
    """Write the entry of an agreement's change; returns its id."""
    return record(
        db,
        actor,
        tag,
        now,
        asset=agreement.asset_id,
        version=agreement.version_id,
        agreement=agreement.id,
        facts=facts,
    )
