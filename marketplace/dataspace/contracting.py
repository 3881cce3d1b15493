"""A negotiation of ours as provider over the protocol: every message is a verb of the negotiation room.

Nothing is decided here.  What that room comes to, by whomever and by whatever rule or deadline, is said to the other
side; what the other side says is done there first, so a message that the room refuses moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from marketplace.assets.schemas import SignatureIn
from marketplace.audit import documents
from marketplace.dataspace import datasets as described
from marketplace.dataspace import proposals
from marketplace.dataspace.hearing import OtherTerms
from marketplace.dataspace.messages import SIGNED
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.policies import same_rules
from marketplace.dataspace.proposals import NotNegotiable
from marketplace.dataspace.states import FINAL, Move
from marketplace.exchange import queries as exchange_room
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid, shown
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rounds import terms as table
from marketplace.negotiation.rounds.replying import counter
from marketplace.negotiation.rules import REASONS, AgreementState, Refusal, State
from marketplace.negotiation.schemas import RequestIn, WhyIn
from marketplace.negotiation.service import end_negotiation, request_access
from marketplace.negotiation.signing import sign
from marketplace.negotiation.stopping import terminate
from marketplace.participants import connectors

ASKED = "Asked for over the Dataspace Protocol, as {}."
ENDED = WhyIn(reason="not_needed_any_more")


class SignatureNeeded(Invalid):
    """The message bears no signature of the contract."""


def requested(db: Session, exchange: Exchange, buyer: Actor, message: Json, now: datetime) -> Sequence[str]:
    """Ask for access as a first request says, on the listing's terms or on others; reason codes when it is refused.

    Raises NotInCatalogue, NotNegotiable, BadMessage, and what `service.request_access` raises.
    Records: negotiation:access_requested or negotiation:access_refused.
    """
    row = exchange_room.visible_listing(db, exchange.subject, now, reader=buyer.participant)
    if row.provider.id != exchange.participant_id:
        raise described.not_here(exchange.subject)
    if message["offer"]["@id"] != row.offer.id:
        raise NotNegotiable(
            "the data set has another offer",
            expected=row.offer.id,
            got=shown(message["offer"]["@id"]),
            action="begin with the offer of the catalogue; its rules may differ within its template",
        )
    asked = proposals.asked_terms(row.offer, None, message)
    # Two processes of one buyer are two negotiations, whatever they ask for; so each request names its own.
    form = RequestIn(
        listing=row.listing.id, purpose=asked.purpose or "", justification=ASKED.format(exchange.id), terms=asked
    )
    answer = request_access(db, buyer, form, now)
    if isinstance(answer, Refusal):
        return answer.reasons
    exchange.request_id = answer.id
    return ()


def heard(db: Session, exchange: Exchange, buyer: Actor, move: Move, message: Json, now: datetime) -> Sequence[str]:
    """Do in the negotiation room what a message of the buyer means; reason codes when new terms are refused.

    Raises NotNegotiable, BadMessage, SignatureNeeded, OtherTerms, and what the verbs of that room raise.
    Records: what those verbs record.
    """
    request = negotiation.request(db, exchange.request_id)
    match move.name:
        case "request":
            offer, before = exchange_room.offer(db, request.offer_id), table.on_table(db, request)
            answer = counter(db, buyer, request, proposals.asked_terms(offer, before, message), now)
            return answer.reasons if isinstance(answer, Refusal) else ()
        case "accept":
            agreement = _drafted(db, request)
            sign(db, buyer, agreement, _signature(message, agreement), now)
        case "verify" if request.state == State.AGREED:
            # A provider that signed first has agreed without an acceptance: the buyer signs with its verification.
            agreement = _drafted(db, request)
            sign(db, buyer, agreement, _signature(message, agreement), now)
        case "terminate":
            _end(db, buyer, request, now)
    return ()


def next_move(db: Session, exchange: Exchange) -> str | None:
    """The protocol's step that says what the negotiation room has come to.

    A plain peer cannot accept by a message: both parties sign over the API, and it is told once that is done.
    """
    request = negotiation.request(db, exchange.request_id)
    if exchange.state in FINAL or not exchange.peer_pid:
        return None  # over, or the other side has not taken our first message yet: what came meanwhile follows it
    if request.state == State.TERMINATED:
        return "terminate"
    signs = connectors.registered(db, exchange.connector_id).signs
    if signs and exchange.state == State.REQUESTED:
        return {State.OFFERED: "offer", State.AGREED: "agree"}.get(State(request.state))
    if request.state != State.FINALIZED:
        return None
    if _drafted(db, request).state != AgreementState.FINALIZED:
        return "terminate"
    told = {State.ACCEPTED: "agree", State.VERIFIED: "finalize"} | ({} if signs else {State.REQUESTED: "agree"})
    return told.get(State(exchange.state))


def content(db: Session, exchange: Exchange, move: Move, agreement: Json) -> Json:
    """What a message of ours says: the offer as it lies on the table, the agreement, or why it is over.

    agreement: in the protocol's form, for the move that says it.
    """
    request = negotiation.request(db, exchange.request_id)
    match move.name:
        case "offer":
            terms = table.on_table(db, request)
            offer = proposals.offered(exchange_room.offer(db, request.offer_id), terms)
            return {"offer": offer | {"target": exchange.subject}} | proposals.said(terms) | _draft(db, request)
        case "agree":
            # EDC keeps the profile of an offer and leaves it out of its request.
            named = {
                "@id": _drafted(db, request).id,
                "profile": exchange_room.offer(db, request.offer_id).uses["profile"],
            }
            return {"agreement": agreement | named} | _draft(db, request)
        case "terminate":
            reason = request.reason if request.state == State.TERMINATED else "agreement_ended"
            words = REASONS[reason] if reason in REASONS else REASONS["other"]
            return {"code": reason, "reason": [words["en"]]}
        case _:
            return {}


def contracted(db: Session, exchange: Exchange) -> Json:
    """The offer whose terms the contract has: as the other side spelled it, where that says the same.

    The provider may have drafted other terms than the last message offered: those over which both sign count.
    """
    request = negotiation.request(db, exchange.request_id)
    drafted = proposals.offered(exchange_room.offer(db, request.offer_id), table.on_table(db, request))
    return exchange.terms if same_rules(exchange.terms, drafted) else drafted


def _end(db: Session, buyer: Actor, request: AccessRequest, now: datetime) -> None:
    """Both signatures put a contract in force before the protocol's last two steps: then that contract is ended."""
    if request.state == State.FINALIZED:
        terminate(db, buyer, _drafted(db, request), ENDED, now)
    else:
        end_negotiation(db, buyer, request, ENDED, now)


def _drafted(db: Session, request: AccessRequest) -> Agreement:
    if request.agreement_id is None:
        raise OtherTerms("no contract has been drafted yet", action="wait for the offer")
    return negotiation.agreement(db, request.agreement_id)


def _draft(db: Session, request: AccessRequest) -> Json:
    """Our extension: the document that is signed, word for word, and the signatures that lie on it."""
    agreement = _drafted(db, request)
    signatures = documents.signatures(db, agreement.document)
    signed = [{"signer": one.signer, "kid": one.kid, "jwk": one.jwk, "jws": one.jws} for one in signatures]
    text = documents.content(db, agreement.document)
    return {SIGNED: {"agreement": agreement.id, "document": agreement.document, "content": text, "signatures": signed}}


def _signature(message: Json, agreement: Agreement) -> SignatureIn:
    signed = message.get(SIGNED)
    jws = signed.get("jws") if isinstance(signed, dict) else None
    if not isinstance(jws, str):
        raise SignatureNeeded(
            "no contract is in force without both signatures",
            expected=f"member {SIGNED} with the detached JWS over document {agreement.document}",
            action="sign the document with the participant's registered key",
        )
    return SignatureIn(document=agreement.document, jws=jws)
