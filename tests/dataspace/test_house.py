"""A contract and its data over the protocol with the product's own answers: both signatures, real bytes, real stops."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from marketplace.audit.entry import Tag
from marketplace.audit.recheck import sealed_rows
from marketplace.dataspace.messages import SIGNED
from marketplace.dataspace.states import Protocol
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import Json
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.service import end_negotiation
from marketplace.transfer import delivery
from marketplace.transfer.opening import Download, Opened, open_transfer
from marketplace.transfer.recheck import recheck
from marketplace.transfer.stream import WindowSource
from marketplace.usage.rules import UseRequest
from tests.dataspace.peer import Peer, message
from tests.dataspace.schemas import problems_of
from tests.exchange.parts import certified, listed
from tests.hostile.story import _files as put_files
from tests.house import House
from tests.legal.parts import signed
from tests.negotiation.parts import WHY, approve, sign, state
from tests.negotiation.succession.parts import resume
from tests.transfer.doors import entries
from workers.relay import run_due

N, T = Protocol.NEGOTIATION, Protocol.TRANSFER
THEIRS = "urn:peer:1"


@pytest.fixture
def listing(house: House) -> Listing:
    version = certified(house)
    put_files(house, version)
    return listed(house, version)


def offer_of(peer: Peer, listing: Listing) -> Json:
    found = peer.get(f"/catalog/datasets/{listing.id}").json()
    return found["hasPolicy"][0] | {"target": listing.id}


def ask(peer: Peer, listing: Listing, **changes: Any) -> Any:
    content = {"consumerPid": THEIRS, "callbackAddress": peer.heard.origin, "offer": offer_of(peer, listing)}
    return peer.post("/negotiations/request", message(N, "request", **(content | changes)))


def settle(peer: Peer) -> list[Json]:
    """Let the house work and send; returns the bodies that the other side got."""
    run_due(peer.house.runtime)
    peer.deliver()
    got = [body for _, body, _ in peer.heard.received]
    peer.heard.received.clear()
    return got


def say(peer: Peer, protocol: Protocol, ours: str, move: str, path: str, **content: Any) -> Any:
    place = "negotiations" if protocol is N else "transfers"
    body = message(protocol, move, providerPid=ours, consumerPid=THEIRS, **content)
    return peer.post(f"/{place}/{ours}/{path}", body)


def agreed(peer: Peer, listing: Listing) -> tuple[str, str]:
    """From the request to FINALIZED; returns our process id and the agreement's id."""
    house = peer.house
    ours = ask(peer, listing).json()["providerPid"]
    with house.runtime.database.reading() as db:
        request = negotiation.request_page(db, house.cast["pharma"].actor).rows[0]
    agreement = approve(house, request)
    (offer,) = settle(peer)
    assert problems_of(offer) == []
    with house.db() as db:
        jws = signed(house.cast["pharma"], db, offer[SIGNED]["document"], "agreement").jws
    assert say(peer, N, ours, "accept", "events", **{SIGNED: {"jws": jws}}).status_code == 200
    sign(house, agreement, "hospital")
    (told,) = settle(peer)
    assert problems_of(told) == []
    assert {one["signer"] for one in told[SIGNED]["signatures"]} == {house.cast["pharma"].id, house.cast["hospital"].id}
    assert say(peer, N, ours, "verify", "agreement/verification").status_code == 200
    (final,) = settle(peer)
    assert final["eventType"] == "FINALIZED"
    delivery.prepare(house.runtime, agreement.id)
    return ours, agreement.id


def started(peer: Peer, agreement: str) -> tuple[str, Json]:
    """A transfer in STARTED; returns our process id and the address of the data."""
    asked = {"agreementId": agreement, "format": "HttpData-PULL", "consumerPid": THEIRS}
    answer = peer.post("/transfers/request", message(T, "request", callbackAddress=peer.heard.origin, **asked))
    assert answer.status_code == 201, answer.text
    (start,) = settle(peer)
    assert problems_of(start) == []
    return answer.json()["providerPid"], start["dataAddress"]


def pull(peer: Peer, address: Json, **headers: str) -> Any:
    token = next(one["value"] for one in address["endpointProperties"] if one["name"] == "authorization")
    return peer.http.get(address["endpoint"], headers={"Authorization": f"Bearer {token}"} | headers)


def test_a_contract_comes_into_force_with_both_signatures_and_its_data_is_pulled(
    peer: Peer, listing: Listing, house: House
) -> None:
    ours, agreement = agreed(peer, listing)
    assert peer.get(f"/negotiations/{ours}").json()["state"] == "FINALIZED"
    with house.runtime.database.reading() as db:
        assert state(house, negotiation.agreement(db, agreement)) == ("FINALIZED", "finalized")

    _, address = started(peer, agreement)
    whole = pull(peer, address)
    assert whole.status_code == 200, whole.text
    part = pull(peer, address, Range="bytes=512-1023")
    assert (part.status_code, part.content) == (206, whole.content[512:1024])
    uses = entries(house, Tag.USE_ALLOWED)
    assert [one["subject"]["agreement"] for one in uses] == [agreement, agreement]
    assert len({one["facts"]["transfer"] for one in uses}) == 1, "all answers of one transfer are one use"


def test_without_the_buyers_signature_nothing_is_accepted(peer: Peer, listing: Listing, house: House) -> None:
    ours = ask(peer, listing).json()["providerPid"]
    with house.runtime.database.reading() as db:
        request = negotiation.request_page(db, house.cast["pharma"].actor).rows[0]
    agreement = approve(house, request)
    settle(peer)
    answer = say(peer, N, ours, "accept", "events")
    assert (answer.status_code, answer.json()["code"]) == (400, "signature-needed")
    assert peer.get(f"/negotiations/{ours}").json()["state"] == "OFFERED"
    assert state(house, agreement) == ("OFFERED", "drafted")


def test_a_refused_request_is_a_typed_error_with_its_reasons_and_an_entry(
    peer: Peer, listing: Listing, house: House
) -> None:
    other = offer_of(peer, listing) | {"permission": [{"action": "use"}]}
    answer = ask(peer, listing, offer=other)
    assert (answer.status_code, answer.json()["@type"]) == (400, "ContractNegotiationError")
    assert problems_of(answer.json()) == []
    assert entries(house, Tag.REQUEST_REFUSED)[-1]["facts"]["reason"] == "not-negotiable"
    assert entries(house, Tag.EXCHANGE_OPENED) == []


def test_the_providers_no_reaches_the_other_side(peer: Peer, listing: Listing, house: House) -> None:
    ours = ask(peer, listing).json()["providerPid"]
    with house.db() as db:
        request = negotiation.request_page(db, house.cast["pharma"].actor).rows[0]
        end_negotiation(db, house.cast["hospital"].actor, request, WHY, house.clock.now())
    (told,) = settle(peer)
    assert told["@type"] == "ContractNegotiationTerminationMessage"
    assert peer.get(f"/negotiations/{ours}").json()["state"] == "TERMINATED"


@pytest.mark.parametrize(
    ("move", "path"), [("suspend", "suspension"), ("complete", "completion"), ("terminate", "termination")]
)
def test_stopping_a_transfer_stops_its_bytes(peer: Peer, listing: Listing, move: str, path: str) -> None:
    _, agreement = agreed(peer, listing)
    ours, address = started(peer, agreement)
    assert pull(peer, address).status_code == 200
    assert say(peer, T, ours, move, path).status_code == 200
    assert pull(peer, address).status_code == 401


def test_a_running_answer_is_cut_when_the_other_side_suspends(peer: Peer, listing: Listing, house: House) -> None:
    _, agreement = agreed(peer, listing)
    ours, _ = started(peer, agreement)
    runtime = replace(house.runtime, settings=house.runtime.settings.model_copy(update={"window_kib": 1}))
    buyer, now = house.cast["pharma"].actor, house.clock.now()
    with runtime.database.reading() as db:
        purpose = negotiation.request_page(db, buyer).rows[0].purpose
    asked = Download(agreement, UseRequest(purpose, grounds=(ours,)), key=ours)
    opened = open_transfer(runtime, buyer, asked, now)
    assert isinstance(opened, Opened)
    source = WindowSource(runtime, buyer, opened)
    assert len(source.next() or b"") == 1024
    assert say(peer, T, ours, "suspend", "suspension").status_code == 200
    assert source.next() is None
    assert source.outcome == "transfer_stopped"
    assert [one["facts"]["exchange"] for one in entries(house, Tag.EXCHANGE_STOPPED)] == [ours]


def test_what_was_said_and_pulled_stands_in_the_log_as_it_lies_in_the_database(
    peer: Peer, listing: Listing, house: House
) -> None:
    _, agreement = agreed(peer, listing)
    ours, address = started(peer, agreement)
    assert pull(peer, address).status_code == 200
    assert say(peer, T, ours, "complete", "completion").status_code == 200
    with house.runtime.database.reading() as db:
        found = [one for one in sealed_rows(db) if "dataspace" in str(one) or "connector" in str(one)]
        assert [*found, *recheck(db)] == []


def test_a_transfer_follows_its_agreement_when_the_provider_stops_and_resumes_it(
    peer: Peer, listing: Listing, house: House
) -> None:
    _, agreement = agreed(peer, listing)
    ours, address = started(peer, agreement)
    hospital = house.cast["hospital"].actor

    def by_provider(verb: Any) -> list[Json]:
        with house.db() as db:
            verb(db, hospital, negotiation.agreement(db, agreement), WHY, house.clock.now())
        return settle(peer)

    (told,) = by_provider(stopping.suspend)
    assert (told["@type"], told["code"]) == ("TransferSuspensionMessage", "agreement_suspended")
    assert pull(peer, address).status_code == 401
    resume(house, agreement, "hospital")
    (told,) = settle(peer)
    assert told["@type"] == "TransferStartMessage"
    assert pull(peer, told["dataAddress"]).status_code == 200
    (told,) = by_provider(stopping.terminate)
    assert (told["@type"], told["code"]) == ("TransferTerminationMessage", "agreement_terminated")
    assert problems_of(told) == []
    assert peer.get(f"/transfers/{ours}").json()["state"] == "TERMINATED"
    assert pull(peer, address).status_code == 401


def test_what_the_buyer_suspended_stays_suspended_when_the_agreement_resumes(
    peer: Peer, listing: Listing, house: House
) -> None:
    _, agreement = agreed(peer, listing)
    ours, _ = started(peer, agreement)
    assert say(peer, T, ours, "suspend", "suspension").status_code == 200
    with house.db() as db:
        stopping.suspend(db, house.cast["hospital"].actor, negotiation.agreement(db, agreement), WHY, house.clock.now())
    assert settle(peer) == []
    resume(house, agreement, "hospital")
    assert settle(peer) == []
    assert peer.get(f"/transfers/{ours}").json()["state"] == "SUSPENDED"


def test_a_suspended_transfer_goes_on_after_a_new_start_with_a_new_token(peer: Peer, listing: Listing) -> None:
    _, agreement = agreed(peer, listing)
    ours, address = started(peer, agreement)
    assert say(peer, T, ours, "suspend", "suspension").status_code == 200
    again = say(peer, T, ours, "start", "start")
    assert again.status_code == 200
    assert pull(peer, again.json()["dataAddress"]).status_code == 200
    assert pull(peer, address).status_code == 401, "a token from before the suspension is dead"


def test_a_data_token_opens_its_own_transfer_for_a_short_time_only(peer: Peer, listing: Listing) -> None:
    _, agreement = agreed(peer, listing)
    _, address = started(peer, agreement)
    elsewhere = address | {"endpoint": address["endpoint"][:-1] + ("0" if address["endpoint"][-1] != "0" else "1")}
    assert pull(peer, elsewhere).status_code == 401
    peer.house.clock.advance(timedelta(seconds=peer.house.runtime.settings.dataspace_token_seconds))
    assert pull(peer, address).status_code == 401
