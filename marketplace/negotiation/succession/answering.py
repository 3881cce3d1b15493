"""What becomes of a proposed successor: in force with both signatures, or refused, withdrawn or lapsed."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.assets.schemas import SignatureIn
from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.audit.words import keep_why
from marketplace.exchange import exclusivity
from marketplace.exchange.pricing import price_of_access
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import signing
from marketplace.negotiation.access import charged, end_trial
from marketplace.negotiation.duties.opening import end_reports
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import AGREEMENT, AgreementState, Side
from marketplace.negotiation.schemas import WhyIn
from marketplace.negotiation.steps import record_agreement
from marketplace.negotiation.succession import queries
from marketplace.negotiation.succession.acts import overtake
from marketplace.negotiation.succession.models import AgreementSuccessor
from marketplace.negotiation.succession.notices import tell
from marketplace.negotiation.succession.reviewing import require_approved
from marketplace.negotiation.succession.rules import (
    PREDECESSOR_TERMINATED,
    SUCCESSOR,
    WAITING,
    SuccessorKind,
    SuccessorState,
    price_due,
)
from marketplace.negotiation.succession.standing import require_signable
from marketplace.participants.signatures import accept
from marketplace.plumbing import epochs
from marketplace.plumbing.epochs import Stop


def sign(
    db: Session,
    actor: Actor,
    agreement: Agreement,
    follows: AgreementSuccessor,
    signature: SignatureIn,
    now: datetime,
) -> Agreement:
    """Accept a side's signature over a successor, in any order, once; with the second one it is in force.

    An amendment takes its predecessor's place in the same transaction, whose uses stop; a renewal leaves it alone.
    Raises NotTheAgreement, WrongState, SuccessorLapsed, PredecessorMoved, ReviewsMissing, RefusedOnReview,
    BadSignature, UnknownKey, and what `signing.require_basis` raises.
    Records: participant:signature_accepted, negotiation:agreement_signed, _superseded, _finalized.
    """
    negotiation.lock_agreement(db, agreement)
    predecessor = negotiation.agreement(db, follows.predecessor_id)
    db.refresh(follows)
    db.refresh(predecessor)
    signed = {one.signer for one in documents.signatures(db, agreement.document)}

    signing.require_document(agreement, signature)
    if actor.participant not in signed:
        require_signable(db, agreement, follows, predecessor, now)
        require_approved(db, agreement, actor, signed)
    accept(db, actor.participant, signature.document, signature.jws, typ=signing.TYP, now=now)
    if actor.participant in signed:
        return agreement

    facts: Json = {"document": agreement.document, "predecessor": predecessor.id}
    record_agreement(db, actor, Tag.AGREEMENT_SIGNED, agreement, facts, now)
    if {agreement.buyer_id, agreement.provider_id} <= signed | {actor.participant}:
        _put_in_force(db, agreement, follows, predecessor, now)
    return agreement


def close(
    db: Session, actor: Actor, agreement: Agreement, follows: AgreementSuccessor, why: WhyIn, now: datetime
) -> None:
    """Refuse a proposed successor (the other side) or withdraw it (the side that proposed it).

    The caller holds the agreement.  Raises WrongState, NotYourStep.
    Records: negotiation:successor_refused or negotiation:successor_withdrawn.
    """
    own = actor.participant == follows.proposed_by
    target = SuccessorState.WITHDRAWN if own else SuccessorState.REFUSED
    _end(db, actor, agreement, follows, target, why, now)


def lapse(db: Session, agreement_id: str, now: datetime) -> None:
    """End a proposed or returned successor whose deadline has passed; anything else is left as it is.

    Records: negotiation:successor_lapsed.
    """
    agreement = negotiation.agreement(db, agreement_id)
    negotiation.lock_agreement(db, agreement)
    follows = queries.succession(db, agreement_id)

    if follows is None or follows.state not in WAITING or follows.expires_at > now:
        return
    _end(db, SERVICE_ACTOR, agreement, follows, SuccessorState.LAPSED, WhyIn(reason="deadline_passed"), now)


def withdraw_all(db: Session, predecessor: Agreement, now: datetime) -> None:
    """Withdraw what waits to follow an agreement that was terminated: nobody could sign it any more.

    The caller holds the predecessor.  Records: negotiation:successor_withdrawn for each.
    """
    for follows in queries.successors(db, predecessor.id):
        if follows.state in WAITING:
            successor, why = negotiation.agreement(db, follows.agreement_id), WhyIn(reason=PREDECESSOR_TERMINATED)
            _end(db, SERVICE_ACTOR, successor, follows, SuccessorState.WITHDRAWN, why, now)


def correct(db: Session, actor: Actor, follows: AgreementSuccessor, now: datetime) -> None:
    """End a returned successor because its proposer proposes another in its stead.  The caller holds both agreements.

    Raises WrongState, NotYourStep.  Records: negotiation:successor_corrected.
    """
    agreement = negotiation.agreement(db, follows.agreement_id)
    _end(db, actor, agreement, follows, SuccessorState.CORRECTED, WhyIn(reason=str(SuccessorState.CORRECTED)), now)


def _put_in_force(
    db: Session, agreement: Agreement, follows: AgreementSuccessor, predecessor: Agreement, now: datetime
) -> None:
    signing.verify_both(db, agreement)
    step = SUCCESSOR.step(SuccessorState(follows.state), SuccessorState.IN_FORCE, [Side.SERVICE])
    price = price_of_access(agreement.price_plan).minor
    if follows.kind == SuccessorKind.AMENDMENT:
        # A trial that is over may still wait for its task: what it costs counts before the difference is taken.
        end_trial(db, predecessor.id, now)
        price = price_due(price, _charged(db, predecessor))
        _supersede(db, predecessor, agreement, now)

    follows.state, follows.answered_at = step.target, now
    db.add(follows)

    entry = signing.put_in_force(db, agreement, price, now, about={"predecessor": predecessor.id})
    tell(db, agreement, "successor_in_force", party="service", about=agreement.document, entry=entry, now=now)


def _charged(db: Session, predecessor: Agreement) -> int:
    """The price of access that an agreement and those it amended were charged together; nothing within a trial."""
    line = [predecessor, *(negotiation.agreement(db, name) for name in queries.amended(db, predecessor.id))]
    return max((price_of_access(one.price_plan).minor for one in line if charged(db, one)), default=0)


def _supersede(db: Session, predecessor: Agreement, successor: Agreement, now: datetime) -> None:
    """End an agreement because an amendment stands in its place; its uses stop, its reports stay due."""
    step = AGREEMENT.step(AgreementState(predecessor.state), AgreementState.SUPERSEDED, [Side.SERVICE])

    predecessor.state, predecessor.reason, predecessor.terminated_at = step.target, str(Stop.AGREEMENT_SUPERSEDED), now
    db.add(predecessor)
    overtake(db, predecessor, now)

    facts: Json = {"document": predecessor.document, "successor": successor.id, "by": str(Side.SERVICE)}
    entry = record_agreement(db, SERVICE_ACTOR, Tag(step.tag), predecessor, facts, now)
    epochs.stop(db, (predecessor.id,), Stop.AGREEMENT_SUPERSEDED, SERVICE_ACTOR, entry, now)
    exclusivity.end(db, predecessor.id, now)
    end_reports(db, predecessor, now)


def _end(
    db: Session,
    actor: Actor,
    agreement: Agreement,
    follows: AgreementSuccessor,
    target: SuccessorState,
    why: WhyIn,
    now: datetime,
) -> None:
    side = negotiation.side_of(agreement, actor) or Side.SERVICE
    step = SUCCESSOR.step(SuccessorState(follows.state), target, [side])
    AGREEMENT.step(AgreementState(agreement.state), AgreementState.TERMINATED, [side])

    follows.state, follows.reason, follows.answered_at = step.target, why.reason, now
    agreement.state, agreement.reason, agreement.terminated_at = AgreementState.TERMINATED, why.reason, now
    db.add(follows)
    db.add(agreement)
    epochs.bump(db, agreement.id, str(Stop.AGREEMENT_TERMINATED))

    said = keep_why(db, why.reason, why.note, now, (agreement.provider_id, agreement.buyer_id))
    facts: Json = {**said, "document": agreement.document, "predecessor": follows.predecessor_id, "by": str(side)}
    entry = record_agreement(db, actor, Tag(step.tag), agreement, facts, now)
    tell(
        db,
        negotiation.agreement(db, follows.predecessor_id),
        f"successor_{target}",
        party=actor.participant,
        about=agreement.document,
        entry=entry,
        now=now,
    )
