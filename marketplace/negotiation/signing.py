"""The verb of an agreement to be: sign, and with both signatures verify and finalize."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets.schemas import SignatureIn
from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.exchange import exclusivity
from marketplace.exchange import queries as exchange
from marketplace.exchange.pricing import price_of_access
from marketplace.exchange.rules import ListingState
from marketplace.exchange.standing import Standing, require_standing
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict
from marketplace.kernel.signing import verify_detached
from marketplace.kernel.transitions import WrongState
from marketplace.negotiation import queries
from marketplace.negotiation.access import begins_with_trial, charge_access, open_access
from marketplace.negotiation.duties.opening import open_reports
from marketplace.negotiation.duties.queries import overdue_between
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.recovery import require_no_margin
from marketplace.negotiation.rounds.reviewing import require_approved
from marketplace.negotiation.rules import AGREEMENT, NEGOTIATION, AgreementState, Reason, Side, State
from marketplace.negotiation.steps import END_TASK, PREPARE_TASK, record_agreement, require_running, take, tell
from marketplace.participants import queries as participants
from marketplace.participants.signatures import accept
from marketplace.plumbing import epochs, outbox
from marketplace.plumbing.snapshots import snapshot

TYP = "agreement+jws"
_BECAUSE = {
    State.ACCEPTED: Reason.ACCEPTED,
    State.AGREED: Reason.PROVIDER_SIGNED,
    State.VERIFIED: Reason.VERIFIED,
    State.FINALIZED: Reason.IN_FORCE,
}


class NotTheAgreement(Conflict):
    """The signature is for another document than this agreement."""


class AgreementReplaced(Conflict):
    """Another agreement took the place of this one."""


class ProofsChanged(Conflict):
    """The opinion or certificate is another one than the agreement names."""


class ListingEnded(Conflict):
    """The listing that the agreement was drafted from is no longer open."""


class PartySuspended(Conflict):
    """A party of the agreement is suspended."""


class ProofOverdue(Conflict):
    """The buyer owes the provider a proof of use or deletion that is overdue."""


class NotAlone(Conflict):
    """Somebody else has access to an asset that is to be sold exclusively."""


class SignaturesMissing(Conflict):
    """The agreement does not bear both valid signatures."""


def sign(db: Session, actor: Actor, agreement: Agreement, signature: SignatureIn, now: datetime) -> Agreement:
    """Accept a party's signature; who calls tells which side.  The sides sign in any order, once; with the second
    signature the service verifies both and the agreement is in force.

    Raises NotTheAgreement, NegotiationExpired, WrongState, ProofsChanged, PartySuspended, ProofOverdue, ReviewsMissing,
    BadSignature, UnknownKey, SoldExclusively, NotAlone, CostRecovered, and what `require_standing` raises.
    Records: negotiation:agreement_signed, _verified, _finalized.
    """
    request = queries.lock_agreement(db, agreement)
    before = request.state
    signed = {one.signer for one in documents.signatures(db, agreement.document)}

    require_document(agreement, signature)
    if actor.participant not in signed:
        require_signable(db, actor, agreement, request, now)
        require_approved(db, request, agreement, actor, signed)
    accept(db, actor.participant, signature.document, signature.jws, typ=TYP, now=now)
    if actor.participant in signed:
        return agreement

    with snapshot(db):
        # From here on nothing more is signed.
        _advance(db, actor, agreement, request, now)
    if request.state != before:
        tell(db, request, now)
    return agreement


def require_document(agreement: Agreement, signature: SignatureIn) -> None:
    """Raises NotTheAgreement: the signature is for another document."""
    if signature.document != agreement.document:
        raise NotTheAgreement("sign this agreement's own document", expected=agreement.document, got=signature.document)


def require_signable(db: Session, actor: Actor, agreement: Agreement, request: AccessRequest, now: datetime) -> None:
    """Whether a party may sign or accept this agreement now: its state, and every fact that it rests on.

    Raises NegotiationExpired, WrongState, AgreementReplaced, ListingEnded, ProofsChanged, PartySuspended, ProofOverdue.
    """
    require_running(request, now)
    if request.agreement_id != agreement.id:
        raise AgreementReplaced("sign the agreement that was drafted last", got=agreement.id)
    move = "accept" if actor.participant == agreement.buyer_id else "agree"
    open_to = [str(state) for state in State if NEGOTIATION.permits(state, move)]
    if request.state not in open_to:
        raise WrongState("this agreement is not open for signature", expected=" or ".join(open_to), got=request.state)
    require_basis(db, agreement, now)


def require_basis(db: Session, agreement: Agreement, now: datetime) -> None:
    """Judge anew what an agreement rests on: listing, standing, proofs, buyer, what the buyer owes.

    Raises ListingEnded, ProofsChanged, PartySuspended, ProofOverdue, and what `require_standing` raises.
    """
    listing = exchange.listing(db, agreement.listing_id)
    if listing.state != ListingState.LISTED:
        raise ListingEnded(
            "an agreement is signed only while its listing is open",
            expected=ListingState.LISTED,
            got=listing.state,
            action="wait until the exchange resumes the listing, or ask under another one",
        )
    version = assets.version(db, agreement.version_id)
    standing = require_standing(db, version, agreement.provider_id, now)
    _require_same_proofs(agreement, standing)
    exclusivity.require_open(db, agreement.asset_id, now, buyer=agreement.buyer_id)
    if _exclusive(agreement):
        _require_alone(db, agreement, now)
    buyer = participants.participant(db, agreement.buyer_id)
    if buyer.suspended_at is not None:
        raise PartySuspended("the buyer is suspended", got=buyer.id)
    overdue = overdue_between(db, agreement.buyer_id, agreement.provider_id)
    if overdue:
        raise ProofOverdue("the buyer owes this provider a proof", got=", ".join(overdue))


def _exclusive(agreement: Agreement) -> bool:
    return bool(agreement.price_plan.get("exclusive"))


def _require_alone(db: Session, agreement: Agreement, now: datetime) -> None:
    others = queries.others_in_force(db, agreement, now)
    if others:
        raise NotAlone(
            "an exclusive licence is signed only where nobody else has access",
            expected="no other agreement on this asset in force",
            got=", ".join(others),
            action="end the others first, or sell a licence that is not exclusive",
        )


def _require_same_proofs(agreement: Agreement, standing: Standing) -> None:
    expected = (agreement.certificate_code, agreement.opinion_id)
    got = (standing.certificate.code, standing.opinion.id)
    if expected != got:
        raise ProofsChanged(
            "certificate or opinion was replaced since the agreement was drafted",
            expected=" and ".join(expected),
            got=" and ".join(got),
            action="end this negotiation and ask for access again",
        )


def _advance(db: Session, actor: Actor, agreement: Agreement, request: AccessRequest, now: datetime) -> None:
    """From the signatures that lie on the document to the protocol's states, in whatever order they came."""
    by_provider = actor.participant == agreement.provider_id
    if by_provider and request.state != State.OFFERED:
        _step(db, actor, request, State.AGREED, Side.PROVIDER, now)
    else:
        if not by_provider and request.state == State.OFFERED:
            _step(db, actor, request, State.ACCEPTED, Side.BUYER, now)
        facts: Json = {"document": agreement.document, "state": request.state}
        record_agreement(db, actor, Tag.AGREEMENT_SIGNED, agreement, facts, now)
    follow_signatures(db, actor, agreement, request, now)


def follow_signatures(db: Session, actor: Actor, agreement: Agreement, request: AccessRequest, now: datetime) -> None:
    """What follows from the signatures by itself: agreed once the provider's meets an acceptance, in force with both.

    The caller's own move tells of these steps.  Records: negotiation:agreement_signed, _verified, _finalized.
    """
    signed = {one.signer for one in documents.signatures(db, agreement.document)}
    if request.state == State.ACCEPTED and agreement.provider_id in signed:
        # A provider that signed first agrees at the moment the buyer accepts, without a call of its own.
        _step(db, SERVICE_ACTOR, request, State.AGREED, Side.PROVIDER, now)
    if request.state == State.AGREED and agreement.buyer_id in signed:
        verify_both(db, agreement)
        side = Side.BUYER if actor.participant == agreement.buyer_id else Side.SERVICE
        _step(db, actor if side == Side.BUYER else SERVICE_ACTOR, request, State.VERIFIED, side, now)
        _finalize(db, agreement, request, now)


def _step(
    db: Session,
    actor: Actor,
    request: AccessRequest,
    target: State,
    side: Side,
    now: datetime,
    about: Json | None = None,
) -> None:
    step = NEGOTIATION.step(State(request.state), target, [side])
    request.reason, request.note = _BECAUSE[target], ""
    take(db, actor, request, step, now, about)


def verify_both(db: Session, agreement: Agreement) -> None:
    """Check both signatures over the exact bytes.  Raises SignaturesMissing, BadSignature."""
    body = documents.get(db, agreement.document).body
    found = {one.signer: one for one in documents.signatures(db, agreement.document)}
    for party in (agreement.buyer_id, agreement.provider_id):
        if party not in found:
            raise SignaturesMissing("a party has not signed", expected=party, got=", ".join(sorted(found)))
        verify_detached(found[party].jws, body, found[party].jwk, typ=TYP)


def _finalize(db: Session, agreement: Agreement, request: AccessRequest, now: datetime) -> None:
    """Put the agreement in force with the negotiation's last step.  Raises CostRecovered."""
    require_no_margin(db, agreement, price_of_access(agreement.price_plan).minor, now)
    trial = begins_with_trial(db, agreement)
    _begin(db, agreement, now)
    # Its place among the stops: one that commits later concerns this agreement, whatever the clocks say.
    about = {"change": epochs.changes(db)}
    _step(db, SERVICE_ACTOR, request, State.FINALIZED, Side.SERVICE, now, about)
    _follow_up(db, agreement, now)
    open_access(db, agreement, now, trial=trial)


def put_in_force(db: Session, agreement: Agreement, price_fen: int, now: datetime, *, about: Json) -> str:
    """Put an agreement in force that no negotiation led to, its signatures verified; returns the id of the entry.

    price_fen: what is charged for access; about: further facts of the entry.  Raises CostRecovered.
    Records: negotiation:agreement_finalized.
    """
    require_no_margin(db, agreement, price_fen, now)
    _begin(db, agreement, now)
    signatures = [{"signer": one.signer, "kid": one.kid} for one in documents.signatures(db, agreement.document)]
    facts: Json = {"change": epochs.changes(db), "document": agreement.document, "signatures": signatures, **about}
    entry = record_agreement(db, SERVICE_ACTOR, Tag.AGREEMENT_FINALIZED, agreement, facts, now)
    _follow_up(db, agreement, now)
    charge_access(db, agreement, price_fen, now)
    return entry


def _begin(db: Session, agreement: Agreement, now: datetime) -> None:
    AGREEMENT.step(AgreementState(agreement.state), AgreementState.FINALIZED, [Side.SERVICE])
    agreement.state, agreement.finalized_at = AgreementState.FINALIZED, now
    db.add(agreement)
    epochs.hold(db)


def _follow_up(db: Session, agreement: Agreement, now: datetime) -> None:
    """Epochs, duties, preparation of the delivery, and the end of the term."""
    rests_on = (agreement.version_id, agreement.certificate_code, agreement.opinion_id, agreement.listing_id)
    epochs.open_epochs(db, (agreement.id, *rests_on))
    if _exclusive(agreement):
        exclusivity.grant(db, agreement.asset_id, agreement.id, agreement.buyer_id, agreement.ends_at)
    open_reports(db, agreement, now)
    outbox.enqueue(db, PREPARE_TASK, {"agreement": agreement.id}, key=agreement.id, now=now)
    outbox.enqueue(db, END_TASK, {"agreement": agreement.id}, key=agreement.id, now=now, due=agreement.ends_at)
