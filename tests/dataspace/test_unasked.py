"""Offers that nobody asked for: a provider here begins with a buyer elsewhere, a buyer here hears from a provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.audit.entry import Tag
from marketplace.audit.recheck import RowFinding, sealed_rows
from marketplace.dataspace import queries
from marketplace.dataspace.chosen import answering
from marketplace.dataspace.messages import SIGNED, TERMS
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.schemas import RemoteOfferIn
from marketplace.dataspace.states import Protocol
from marketplace.dataspace.unasked import BuyerSignsNothing, offer_unasked
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import canonical
from marketplace.kernel.signing import generate_key
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds.offering import NotYourListing
from marketplace.negotiation.rules import Refusal
from marketplace.negotiation.service import end_negotiation
from marketplace.participants import connectors
from tests.dataspace import test_house as parts
from tests.dataspace.instances import settle, two_instances
from tests.dataspace.peer import Peer, connector_in, message, speaking
from tests.dataspace.schemas import problems_of
from tests.dataspace.test_rounds import CHEAPER, with_uses
from tests.exchange.parts import PARAMETERS, listed
from tests.house import House
from tests.negotiation.parts import WHY, approve, sign, state
from tests.negotiation.rounds.parts import proposals, seen
from tests.transfer.doors import entries

N = Protocol.NEGOTIATION


def form(connector: str, address: str, listing: Listing, **changes: object) -> RemoteOfferIn:
    said = {"connector_id": connector, "address": address, "listing": listing.id, "purpose": "model_training"}
    return RemoteOfferIn.model_validate(said | changes)


def made(house: House, asked: RemoteOfferIn, party: str = "hospital") -> Exchange | Refusal:
    with house.db() as db:
        answers, now = answering(house.runtime.settings), house.clock.now()
        return offer_unasked(db, house.cast[party].actor, asked, answers, house.runtime, now)


def offered(peer: Peer, listing: Listing, **changes: object) -> Exchange:
    found = made(peer.house, form(peer.connector.id, peer.heard.origin, listing, **changes))
    assert isinstance(found, Exchange)
    return found


def read(house: House, exchange_id: str) -> Exchange:
    with house.runtime.database.reading() as db:
        return queries.exchange(db, exchange_id)


def request_of(house: House, found: Exchange) -> AccessRequest:
    with house.runtime.database.reading() as db:
        return negotiation.request(db, found.request_id)


def unexplained(house: House) -> list[RowFinding]:
    """Rows of the two rooms that no entry of the log knows."""
    with house.runtime.database.reading() as db:
        return [one for one in sealed_rows(db) if one.table.startswith(("dataspace", "access_request", "agreement"))]


def test_an_unasked_offer_becomes_a_contract_between_two_instances(tmp_path: Path) -> None:
    with two_instances(tmp_path) as (hospital, buyer):
        listing = listed(hospital.house)
        asked = form(hospital.other.id, hospital.there, listing, terms={"price_plan": CHEAPER})
        ours = made(hospital.house, asked)
        assert isinstance(ours, Exchange)
        again = made(hospital.house, asked)
        assert isinstance(again, Exchange)
        assert again.id == ours.id, "the same open offer is the same negotiation"
        settle(hospital, buyer)

        with buyer.runtime.database.reading() as db:
            (theirs,) = queries.exchanges_of(db, buyer.here.actor).rows
        assert (theirs.side, theirs.state, theirs.peer_pid, theirs.subject) == (
            "consumer",
            "OFFERED",
            ours.id,
            listing.id,
        )
        assert read(hospital.house, ours.id).peer_pid == theirs.id
        (told,) = buyer.messages(theirs.id)
        assert problems_of(told) == []
        assert told[TERMS]["price_plan"]["price_fen"] == CHEAPER["price_fen"]

        buyer.say(theirs.id, "request", offer=with_uses(told["offer"], 9))
        settle(buyer, hospital)
        request = request_of(hospital.house, ours)
        assert seen(hospital.house, request) == ("REQUESTED", "counter_offered", "provider")
        rounds = [(one.by, one.parameters["max_uses"]) for one in proposals(hospital.house, request)]
        assert rounds == [("provider", PARAMETERS["max_uses"]), ("buyer", 9)]

        agreement = approve(hospital.house, request)
        settle(hospital, buyer)
        contract = buyer.messages(theirs.id)[-1][SIGNED]
        jws = buyer.here.key.sign_detached(canonical(contract["content"]), typ="agreement+jws")
        buyer.say(theirs.id, "accept", **{SIGNED: {"jws": jws}})
        settle(buyer, hospital)
        sign(hospital.house, agreement, "hospital")
        settle(hospital, buyer)

        assert [read(*one).state for one in ((hospital.house, ours.id), (buyer.house, theirs.id))] == ["FINALIZED"] * 2
        assert state(hospital.house, agreement) == ("FINALIZED", "finalized")
        with buyer.runtime.database.reading() as db:
            (held,) = queries.held_of(db, buyer.here.actor).rows
        assert (held.agreement, held.contract) == (agreement.id, agreement.document)
        said, heard = (
            [
                (one["facts"]["move"], one["facts"]["message"], one["facts"]["state"])
                for one in entries(house, Tag.EXCHANGE_MOVED)
            ]
            for house in (hospital.house, buyer.house)
        )
        assert said == heard
        assert [move for move, _, _ in said] == ["offer", "request", "offer", "accept", "agree", "verify", "finalize"]
        assert len(entries(hospital.house, Tag.OFFER_MADE)) == 2
        for one in (hospital, buyer):
            assert unexplained(one.house) == []


def test_an_offer_that_could_not_be_brought_is_sent_again_about_the_same_request(
    peer: Peer, listing: Listing, house: House
) -> None:
    peer.heard.statuses = [403]
    first = offered(peer, listing)
    peer.deliver()
    assert (read(house, first.id).state, read(house, first.id).error) == ("TERMINATED", "message_refused")
    assert request_of(house, first).state == "OFFERED", "the offer itself stands to its deadline"

    second = offered(peer, listing)
    assert (second.id != first.id, second.request_id) == (True, first.request_id)
    with house.db() as db:
        request = negotiation.request(db, second.request_id)
        end_negotiation(db, house.cast["hospital"].actor, request, WHY, house.clock.now())
    moves = [body["@type"] for body in (*parts.settle(peer), *parts.settle(peer))]
    assert moves[-2:] == ["ContractOfferMessage", "ContractNegotiationTerminationMessage"]
    assert read(house, second.id).state == "TERMINATED"
    assert unexplained(house) == []


def test_the_same_offer_through_another_connector_of_the_buyer_is_the_same_negotiation(
    peer: Peer, listing: Listing, house: House
) -> None:
    # The two at once: tests/journeys/test_at_once.py.
    first = offered(peer, listing)
    with house.db() as db:
        asked = connector_in(house.cast["pharma"].id, generate_key(), peer.heard.origin, house)
        asked = asked.model_copy(update={"identifier": "did:web:second.example"})
        second = connectors.register(db, house.cast["operator"].actor, asked, house.clock.now())
    again = made(house, form(second.id, peer.heard.origin, listing))
    assert isinstance(again, Exchange)
    assert (again.id, again.connector_id) == (first.id, peer.connector.id)
    with house.runtime.database.reading() as db:
        assert len(negotiation.request_page(db, house.cast["hospital"].actor).rows) == 1
    assert (len(entries(house, Tag.OFFER_MADE)), len(entries(house, Tag.EXCHANGE_OPENED))) == (1, 1)


def test_an_offer_is_judged_here_before_anything_is_said(peer: Peer, listing: Listing, house: House) -> None:
    asked = form(peer.connector.id, peer.heard.origin, listing)
    with pytest.raises(NotYourListing):
        made(house, asked, "law_firm")
    refused = made(house, form(peer.connector.id, peer.heard.origin, listing, purpose="insurance_pricing"))
    assert isinstance(refused, Refusal)
    assert entries(house, Tag.ACCESS_REFUSED)[-1]["facts"]["reasons"] == list(refused.reasons)
    assert (entries(house, Tag.EXCHANGE_OPENED), peer.deliver(), peer.heard.received) == ([], 0, [])


def test_a_connector_that_signs_nothing_gets_no_offer(house: House, listing: Listing) -> None:
    with speaking(house, signs=False) as peer, pytest.raises(BuyerSignsNothing, match="signs nothing"):
        made(house, form(peer.connector.id, peer.heard.origin, listing))
    assert entries(house, Tag.OFFER_MADE) == []


def test_only_a_buyer_here_hears_of_offers(house: House) -> None:
    policy = {"@id": "offer-1", "@type": "Offer", "target": "dataset-1", "permission": [{"action": "use"}]}
    with speaking(house, party="pharma", hosted="hospital") as peer:
        told = message(N, "offer", providerPid="urn:theirs", callbackAddress=peer.heard.origin, offer=policy)
        answer = peer.post("/negotiations/offers", told)
    assert (answer.status_code // 100, answer.json()["code"]) == (4, "not-a-buyer")
    assert entries(house, Tag.EXCHANGE_OPENED) == []
