"""How the product answers: by the rooms that hold the rules.  Nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from marketplace.assets.schemas import SignatureIn
from marketplace.audit import documents
from marketplace.dataspace import datasets as described
from marketplace.dataspace import flow
from marketplace.dataspace.addresses import base_of
from marketplace.dataspace.answering import DatasetPage, Patience
from marketplace.dataspace.beginning import first_content
from marketplace.dataspace.destinations import is_pushed, require_destination
from marketplace.dataspace.hearing import OtherTerms, Talk
from marketplace.dataspace.identity import Identity, SignedTokens
from marketplace.dataspace.messages import SIGNED
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.policies import rules_of
from marketplace.dataspace.pulling import data_address, require_transferable, stop_bytes
from marketplace.dataspace.pushing import ask_for_push
from marketplace.dataspace.receiving import renewed_destination
from marketplace.dataspace.states import Move, Protocol, Side
from marketplace.exchange import queries as exchange_room
from marketplace.exchange.catalogue import page_before
from marketplace.exchange.queries import CatalogueRow, Wanted
from marketplace.exchange.terms import permitted_purposes
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict, Invalid
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rules import AgreementState, Refusal, State
from marketplace.negotiation.schemas import RequestIn, WhyIn
from marketplace.negotiation.service import end_negotiation, request_access
from marketplace.negotiation.signing import sign
from marketplace.participants import connectors
from marketplace.participants import queries as participants
from marketplace.participants.models import Participant
from marketplace.plumbing.runtime import Runtime

PAGE = 50
_PRIVATE = "private."  # begins the cursor of a page of offers to the caller by name, which come first
ASKED = "Asked for over the Dataspace Protocol."


class SignatureNeeded(Invalid):
    """The message bears no signature of the contract."""


class NotNegotiable(Conflict):
    """Other terms than the offered ones are not taken over the protocol yet."""


class House:
    """The product's answers.  As `answering.Answering` says."""

    identity: Identity = SignedTokens()
    patience = Patience(
        pace=timedelta(0),
        pauses=[timedelta(seconds=min(2**n, 300)) for n in range(10)],
        retried=frozenset({408, 425, 429, 500, 502, 503, 504}),
    )

    def datasets(
        self, db: Session, talk: Talk, wanted: Mapping[str, str], cursor: str | None, now: datetime
    ) -> DatasetPage:
        private, public = _wanted(db, talk, wanted)
        rows: list[CatalogueRow] = []
        previous = _page_before(db, private, public, cursor, now) if cursor is not None else None
        if cursor is None or cursor.startswith(_PRIVATE):
            page = exchange_room.visible(db, now, private, cursor=cursor and cursor.removeprefix(_PRIVATE), limit=PAGE)
            rows, cursor = [*page.rows], None
            if page.next_cursor is not None:
                return DatasetPage([described.dataset(row) for row in rows], _PRIVATE + page.next_cursor, previous)
        page = exchange_room.visible(db, now, public, cursor=cursor, limit=PAGE)
        return DatasetPage([described.dataset(row) for row in (*rows, *page.rows)], page.next_cursor, previous)

    def catalogues(self, db: Session, talk: Talk) -> Sequence[Participant]:
        if Role.EXCHANGE_OPERATOR not in talk.hosted.roles:
            return ()
        return [one for one in participants.with_role(db, Role.PROVIDER) if one.suspended_at is None]

    def dataset(self, db: Session, talk: Talk, dataset_id: str, now: datetime) -> Json:
        row = exchange_room.visible_listing(db, dataset_id, now, reader=talk.actor.participant)
        if row.provider.id != talk.hosted.id:
            raise described.not_here(dataset_id)
        return described.dataset(row)

    def opened(self, db: Session, exchange: Exchange, message: Json, now: datetime) -> Sequence[str]:
        if exchange.protocol == Protocol.TRANSFER:
            agreement = require_transferable(db, exchange, _peer(db, exchange), now)
            require_destination(db, exchange, message.get("dataAddress"))
            exchange.agreement_id = agreement.id
            return ()
        if exchange.side == Side.CONSUMER:
            return ()  # an offer that nobody asked for lies there until the participant answers it
        return self._requested(db, exchange, message, now)

    def heard(self, db: Session, exchange: Exchange, move: Move, message: Json, now: datetime) -> None:
        if exchange.protocol == Protocol.TRANSFER:
            if "dataAddress" in message:
                require_destination(db, exchange, message["dataAddress"])
            self.left(db, exchange, move, now)
        elif exchange.request_id:
            self._negotiated(db, exchange, move, message, now)

    def left(self, db: Session, exchange: Exchange, move: Move, now: datetime) -> None:
        if exchange.protocol == Protocol.TRANSFER and exchange.agreement_id and move.name != "start":
            stop_bytes(db, exchange, now)

    def entered(self, db: Session, exchange: Exchange, now: datetime) -> None:
        if is_pushed(exchange) and exchange.side == Side.PROVIDER and exchange.state == "STARTED":
            ask_for_push(db, exchange, now)

    def next(self, db: Session, exchange: Exchange) -> str | None:
        if exchange.side == Side.CONSUMER:
            return None  # the participant decides, and signs with its own key
        if exchange.protocol == Protocol.TRANSFER:
            return flow.next_move(db, exchange) if exchange.agreement_id else None
        return self._answer(db, exchange) if exchange.request_id else None

    def content(self, db: Session, exchange: Exchange, move: Move, runtime: Runtime, now: datetime) -> Json:
        if not exchange.peer_pid:
            where = renewed_destination(db, exchange, runtime, now) if is_pushed(exchange) else {}
            return first_content(exchange, runtime) | where
        match move.protocol, move.name:
            case Protocol.NEGOTIATION, "request" | "offer":
                return {"offer": exchange.terms} | self._draft(db, exchange)
            case Protocol.NEGOTIATION, "agree":
                return {"agreement": self.agreement(db, exchange, now)} | self._draft(db, exchange)
            case Protocol.TRANSFER, "start":
                return _where(db, exchange, runtime, now)
            case Protocol.TRANSFER, "suspend" | "terminate" if exchange.agreement_id:
                return flow.why(db, exchange)
            case _:
                return {}

    def taken(self, db: Session, exchange: Exchange, move: Move, runtime: Runtime, now: datetime) -> Json:
        flows = (exchange.protocol, exchange.side, exchange.state) == (Protocol.TRANSFER, Side.PROVIDER, "STARTED")
        # Its former token died with the suspension, and a start of ours does not follow its own.
        return _where(db, exchange, runtime, now) if flows and move.name == "start" else {}

    def agreement(self, db: Session, exchange: Exchange, now: datetime) -> Json:
        """The agreement in the protocol's form: the rules of the last offer, both parties, its moment."""
        provider, consumer = exchange.participant_id, connectors.connector(db, exchange.connector_id).identifier
        return rules_of(exchange.terms) | {
            "@id": exchange.agreement_id or f"urn:uuid:{exchange.id}",
            "@type": "Agreement",
            "target": exchange.subject,
            "assigner": provider,
            "assignee": consumer,
            "timestamp": timestamp(now),
        }

    def _requested(self, db: Session, exchange: Exchange, message: Json, now: datetime) -> Sequence[str]:
        row = exchange_room.visible_listing(db, exchange.subject, now, reader=_peer(db, exchange).participant)
        if row.provider.id != exchange.participant_id:
            raise described.not_here(exchange.subject)
        offered, asked = described.offer(row), message["offer"]
        if asked["@id"] != offered["@id"] or rules_of(asked) != rules_of(offered):
            raise NotNegotiable(
                "the data set has another offer",
                expected=offered["@id"],
                action="ask for it as it stands",
            )
        # The protocol has no word for what one contract is for: the first purpose that the offer permits.
        purpose = min(permitted_purposes(row.offer.uses))
        form = RequestIn(listing=row.listing.id, purpose=purpose, justification=ASKED)
        answer = request_access(db, _peer(db, exchange), form, now)
        if isinstance(answer, Refusal):
            return answer.reasons
        exchange.request_id = answer.id
        return ()

    def _negotiated(self, db: Session, exchange: Exchange, move: Move, message: Json, now: datetime) -> None:
        actor, request = _peer(db, exchange), negotiation.request(db, exchange.request_id)
        match move.name:
            case "terminate":
                end_negotiation(db, actor, request, WhyIn(reason="not_needed_any_more"), now)
            case "accept":
                agreement = _drafted(db, request)
                sign(db, actor, agreement, _signature(message, agreement), now)
            case "request":
                raise NotNegotiable("counter-offers are made over the API", action="accept or terminate")

    def _answer(self, db: Session, exchange: Exchange) -> str | None:
        """The protocol's step that says what the negotiation room has come to."""
        request = negotiation.request(db, exchange.request_id)
        if request.state == State.TERMINATED:
            return "terminate" if exchange.state != State.TERMINATED else None
        if request.state == State.OFFERED and exchange.state == State.REQUESTED:
            return "offer"
        in_force = _drafted(db, request).state == AgreementState.FINALIZED if request.agreement_id else False
        said = {State.ACCEPTED: "agree", State.VERIFIED: "finalize"}
        return said.get(State(exchange.state)) if in_force else None

    def _draft(self, db: Session, exchange: Exchange) -> Json:
        """Our extension: the document that is signed, and the signatures that lie on it."""
        if not exchange.request_id:
            return {}
        agreement = _drafted(db, negotiation.request(db, exchange.request_id))
        signatures = documents.signatures(db, agreement.document)
        said = [{"signer": one.signer, "kid": one.kid, "jws": one.jws} for one in signatures]
        return {SIGNED: {"agreement": agreement.id, "document": agreement.document, "signatures": said}}


def _wanted(db: Session, talk: Talk, wanted: Mapping[str, str]) -> tuple[Wanted, Wanted]:
    """What the caller may see of a participant: offers to it by name, and those to everybody."""
    filters: dict[str, Any] = dict(wanted)
    asker = participants.participant(db, talk.actor.participant)
    private = exchange_room.Wanted(provider=talk.hosted.id, named=asker.id, **filters)
    return private, exchange_room.Wanted(provider=talk.hosted.id, asker=asker, **filters)


def _page_before(db: Session, private: Wanted, public: Wanted, cursor: str, now: datetime) -> str:
    """The cursor of the page before; before the first page of public offers comes the last one of private offers."""
    if cursor.startswith(_PRIVATE):
        found = page_before(db, now, private, cursor=cursor.removeprefix(_PRIVATE), limit=PAGE)
        return found and _PRIVATE + found
    found, last = page_before(db, now, public, cursor=cursor, limit=PAGE), None
    while not found:
        page = exchange_room.visible(db, now, private, cursor=last, limit=PAGE)
        if page.next_cursor is None:
            return _PRIVATE + last if last else ""
        last = page.next_cursor
    return found


def _where(db: Session, exchange: Exchange, runtime: Runtime, now: datetime) -> Json:
    """The address of the data that goes with a start of ours: where it is pulled, or where it is pushed to."""
    if is_pushed(exchange):
        return renewed_destination(db, exchange, runtime, now) if exchange.side == Side.CONSUMER else {}
    base = base_of(runtime.settings, exchange.participant_id)
    return {"dataAddress": data_address(db, exchange, base, runtime, now)} if exchange.side == Side.PROVIDER else {}


def _peer(db: Session, exchange: Exchange) -> Actor:
    """The participant behind the connector, with the roles of the register."""
    owner = participants.participant(db, connectors.connector(db, exchange.connector_id).participant_id)
    return Actor(owner.id, frozenset(owner.roles))


def _drafted(db: Session, request: AccessRequest) -> Agreement:
    if request.agreement_id is None:
        raise OtherTerms("no contract has been drafted yet", action="wait for the offer")
    return negotiation.agreement(db, request.agreement_id)


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
