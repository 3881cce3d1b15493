"""How the product answers: by the rooms that hold the rules.  Nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from sqlmodel import Session

from marketplace.dataspace import contracting, following, holding
from marketplace.dataspace import datasets as described
from marketplace.dataspace.addresses import base_of
from marketplace.dataspace.answering import DatasetPage, Patience
from marketplace.dataspace.beginning import first_content, require_buyer
from marketplace.dataspace.destinations import is_pushed, require_destination
from marketplace.dataspace.flowing import data_address, require_transferable, stop_bytes
from marketplace.dataspace.hearing import Talk
from marketplace.dataspace.identity import Identity, SignedTokens
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.policies import rules_of
from marketplace.dataspace.pushing import ask_for_push
from marketplace.dataspace.receiving import renewed_destination
from marketplace.dataspace.states import Move, Protocol, Side
from marketplace.exchange import queries as exchange_room
from marketplace.exchange import revision
from marketplace.exchange.catalogue import MAX_PAGE, page_after, page_before
from marketplace.exchange.queries import CatalogueRow, Wanted
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.participants import connectors
from marketplace.participants import queries as participants
from marketplace.participants.models import Participant
from marketplace.plumbing.runtime import Runtime

_PRIVATE = "private."  # begins the cursor of a page of offers to the caller by name, which come first


class House:
    """The product's answers.  As `answering.Answering` says."""

    identity: Identity = SignedTokens()
    patience = Patience(
        pace=timedelta(0),
        pauses=[timedelta(seconds=min(2**n, 300)) for n in range(10)],
        retried=frozenset({408, 425, 429, 500, 502, 503, 504}),
    )

    def revision(self, db: Session, talk: Talk, now: datetime, *question: Any) -> str:
        private, public = _wanted(db, talk, {})
        return revision.etag(db, now, "dsp", *revision.asked(private), *revision.asked(public), *question)

    def datasets(
        self, db: Session, talk: Talk, wanted: Mapping[str, str], cursor: str | None, now: datetime, limit: int
    ) -> DatasetPage:
        private, public = _wanted(db, talk, wanted)
        previous = _page_before(db, private, public, cursor, now, limit) if cursor is not None else None
        rows: Iterable[CatalogueRow] = ()
        if cursor is None or cursor.startswith(_PRIVATE):
            rows, following = _page(db, now, private, cursor and cursor.removeprefix(_PRIVATE), limit)
            if following is not None:
                return DatasetPage(map(described.dataset, rows), _PRIVATE + following, previous)
            cursor = None
        more, following = _page(db, now, public, cursor, limit)
        return DatasetPage(map(described.dataset, chain(rows, more)), following, previous)

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
            require_buyer(participants.participant(db, exchange.participant_id).roles)
            return ()  # an offer that nobody asked for lies there until the participant answers it
        return contracting.requested(db, exchange, _peer(db, exchange), message, now)

    def heard(
        self, db: Session, exchange: Exchange, move: Move, message: Json, runtime: Runtime, now: datetime
    ) -> Sequence[str]:
        if exchange.protocol == Protocol.TRANSFER:
            if move.carries and message.get(move.carries) is not None:
                require_destination(db, exchange, message[move.carries])
            self.left(db, exchange, move, now)
        if exchange.side == Side.CONSUMER:
            return _followed(db, exchange, move, message, runtime, now)
        if exchange.request_id:
            return contracting.heard(db, exchange, _peer(db, exchange), move, message, now)
        return ()

    def left(self, db: Session, exchange: Exchange, move: Move, now: datetime) -> None:
        if exchange.protocol == Protocol.TRANSFER and exchange.agreement_id and move.name != "start":
            stop_bytes(db, exchange, now)

    def entered(self, db: Session, exchange: Exchange, now: datetime) -> None:
        if is_pushed(exchange) and exchange.side == Side.PROVIDER and exchange.state == "STARTED":
            ask_for_push(db, exchange, now)

    def next(self, db: Session, exchange: Exchange) -> str | None:
        if exchange.side == Side.CONSUMER:
            # The participant decides, and signs with its own key; that both signatures fit is for the service to say.
            signed = exchange.state == "AGREED" and holding.is_signed(db, exchange)
            return "verify" if signed else None
        if exchange.protocol == Protocol.TRANSFER:
            return following.next_move(db, exchange) if exchange.agreement_id else None
        return contracting.next_move(db, exchange) if exchange.request_id else None

    def content(self, db: Session, exchange: Exchange, move: Move, runtime: Runtime, now: datetime) -> Json:
        if not exchange.peer_pid:
            where = renewed_destination(db, exchange, runtime, now) if is_pushed(exchange) else {}
            unasked = contracting.content(db, exchange, move, {}) if exchange.request_id else {}
            return first_content(exchange, runtime) | where | unasked
        match move.protocol, move.name:
            case Protocol.NEGOTIATION, _ if exchange.request_id:
                agreement = self.agreement(db, exchange, now) if move.name == "agree" else {}
                return contracting.content(db, exchange, move, agreement)
            case Protocol.NEGOTIATION, "request" | "offer" | "agree":
                return self._as_asked(db, exchange, move, now)
            case Protocol.TRANSFER, "start":
                return _where(db, exchange, runtime, now)
            case Protocol.TRANSFER, "suspend" | "terminate" if exchange.agreement_id:
                return following.why(db, exchange)
            case _:
                return {}

    def taken(self, db: Session, exchange: Exchange, move: Move, runtime: Runtime, now: datetime) -> Json:
        flows = (exchange.protocol, exchange.side, exchange.state) == (Protocol.TRANSFER, Side.PROVIDER, "STARTED")
        # Its former token died with the suspension, and a start of ours does not follow its own.
        return _where(db, exchange, runtime, now) if flows and move.name == "start" else {}

    def _as_asked(self, db: Session, exchange: Exchange, move: Move, now: datetime) -> Json:
        """Where no room has a part in it: the terms as they lie there, which a counter-offer of ours replaces."""
        return {"agreement": self.agreement(db, exchange, now)} if move.name == "agree" else {"offer": exchange.terms}

    def agreement(self, db: Session, exchange: Exchange, now: datetime) -> Json:
        """The agreement in the protocol's form: the rules of the contract here, else of the last offer, both parties,
        its moment.
        """
        provider, consumer = exchange.participant_id, connectors.registered(db, exchange.connector_id).identifier
        offer = contracting.contracted(db, exchange) if exchange.request_id else exchange.terms
        return rules_of(offer) | {
            "@id": exchange.agreement_id or f"urn:uuid:{exchange.id}",
            "@type": "Agreement",
            "target": exchange.subject,
            "assigner": provider,
            "assignee": consumer,
            "timestamp": timestamp(now),
        }


def _followed(
    db: Session, exchange: Exchange, move: Move, message: Json, runtime: Runtime, now: datetime
) -> Sequence[str]:
    """What a provider elsewhere says to a buyer here: its agreement is checked, held once finalized, and ended."""
    match exchange.protocol, move.name:
        case Protocol.NEGOTIATION, "agree":
            holding.check_contract(db, exchange, message, now)
        case Protocol.NEGOTIATION, "finalize":
            holding.hold(db, exchange, message, runtime.service_key, now)
        case Protocol.TRANSFER, "terminate":
            holding.end(db, exchange, str(message.get("code", "")), now)
    return ()


def _wanted(db: Session, talk: Talk, wanted: Mapping[str, str]) -> tuple[Wanted, Wanted]:
    """What the caller may see of a participant: offers to it by name, and those to everybody."""
    filters: dict[str, Any] = dict(wanted)
    asker = participants.participant(db, talk.actor.participant)
    private = exchange_room.Wanted(provider=talk.hosted.id, named=asker.id, **filters)
    return private, exchange_room.Wanted(provider=talk.hosted.id, asker=asker, **filters)


def _page(
    db: Session, now: datetime, wanted: Wanted, cursor: str | None, limit: int
) -> tuple[Iterable[CatalogueRow], str | None]:
    """The rows of a page, and the cursor of the next one, which is told before them; of a long page they are not kept.

    Raises BadCursor, UnknownCode.
    """
    if limit <= MAX_PAGE:
        page = exchange_room.visible(db, now, wanted, cursor=cursor, limit=limit)
        return page.rows, page.next_cursor
    following = page_after(db, now, wanted, cursor=cursor, limit=limit)
    parts = exchange_room.parts(db, now, wanted, cursor=cursor, limit=limit)
    return chain.from_iterable(part.rows for part in parts), following


def _page_before(db: Session, private: Wanted, public: Wanted, cursor: str, now: datetime, limit: int) -> str:
    """The cursor of the page before; before the first page of public offers comes the last one of private offers."""
    if cursor.startswith(_PRIVATE):
        found = page_before(db, now, private, cursor=cursor.removeprefix(_PRIVATE), limit=limit)
        return found and _PRIVATE + found
    found, last = page_before(db, now, public, cursor=cursor, limit=limit), None
    while not found:
        following = page_after(db, now, private, cursor=last, limit=limit)
        if following is None:
            return _PRIVATE + last if last else ""
        last = following
    return found


def _where(db: Session, exchange: Exchange, runtime: Runtime, now: datetime) -> Json:
    """The address of the data that goes with a start of ours: where it is pulled, or where it is pushed to."""
    if is_pushed(exchange):
        return renewed_destination(db, exchange, runtime, now) if exchange.side == Side.CONSUMER else {}
    base = base_of(runtime.settings, exchange.participant_id)
    return {"dataAddress": data_address(db, exchange, base, runtime, now)} if exchange.side == Side.PROVIDER else {}


def _peer(db: Session, exchange: Exchange) -> Actor:
    """The participant behind the connector, with the roles of the register."""
    owner = participants.party(db, connectors.registered(db, exchange.connector_id).participant_id)
    return Actor(owner.id, frozenset(owner.roles))
