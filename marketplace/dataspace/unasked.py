"""A provider hosted here offers a listing to a buyer behind a connector that has not asked.

The negotiation room makes the offer, as it does to a buyer hosted here; the protocol's first message carries it.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.dataspace import queries
from marketplace.dataspace.addresses import require_address
from marketplace.dataspace.answering import Answering
from marketplace.dataspace.identity import require_trusted
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.moving import open_exchange, say
from marketplace.dataspace.schemas import RemoteOfferIn
from marketplace.dataspace.sending import is_over
from marketplace.dataspace.states import MOVES, Protocol, Side
from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import Conflict
from marketplace.kernel.ids import new_id
from marketplace.negotiation.rounds.offering import offer_directly
from marketplace.negotiation.rounds.schemas import DirectOfferIn
from marketplace.negotiation.rules import Refusal, State
from marketplace.participants import connectors
from marketplace.participants.models import Connector
from marketplace.plumbing.runtime import Runtime


class BuyerSignsNothing(Conflict):
    """The buyer's connector could not accept an offer by a message."""


def offer_unasked(
    db: Session, actor: Actor, asked: RemoteOfferIn, answering: Answering, runtime: Runtime, now: datetime
) -> Exchange | Refusal:
    """Open a negotiation as provider, with an offer.  The same open offer made again is the same negotiation.

    An offer that could not be brought to the buyer is sent again, as a new exchange about the same request.  A buyer
    that may not have access is answered with a Refusal value, and told nothing.
    Raises NoSuchConnector, ConnectorRefused, OutgoingRefused, AddressNotRegistered, BuyerSignsNothing, and what
    `offering.offer_directly` raises.
    Records: negotiation:offer_made and dataspace:exchange_opened, or negotiation:access_refused.
    """
    connector = require_trusted(db, connectors.held(db, asked.connector_id), now)
    address = require_address(connector, asked.address, runtime.settings)

    _require_signing(connector)
    form = DirectOfferIn(
        listing=asked.listing, buyer=connector.participant_id, purpose=asked.purpose, terms=asked.terms
    )
    request = offer_directly(db, actor, form, now)
    if isinstance(request, Refusal):
        return request
    known = queries.hold_of_request(db, request.id)
    if known is not None and not is_over(known):
        return known

    exchange = Exchange(
        id=new_id("dex"),
        protocol=Protocol.NEGOTIATION,
        participant_id=actor.participant,
        connector_id=connector.id,
        side=Side.PROVIDER,
        address=address,
        state=State.OFFERED,
        subject=request.listing_id,
        request_id=request.id,
        opened_at=now,
        moved_at=now,
    )
    open_exchange(db, actor, exchange, now)
    say(db, exchange, MOVES[Protocol.NEGOTIATION]["offer"], answering, runtime, now)
    return exchange


def _require_signing(connector: Connector) -> None:
    if not connector.signs:
        raise BuyerSignsNothing(
            "this connector signs nothing, so it could not accept the offer",
            expected="a connector registered with signs: true",
            got=connector.id,
            action="POST /v1/direct-offers: the buyer answers and signs over the API",
        )
