"""The conformance kit's flows without the kit: the same decision table, the same messages, on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlmodel import col, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.dataspace import conformance
from marketplace.dataspace.conformance import USE, offer_of
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.states import MOVES, Protocol, Side
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.ledger.models import LedgerTransaction
from tests.dataspace.flows import CATALOGUE, FLOWS, Flow
from tests.dataspace.peer import IDENTIFIER, PLACES, Peer, message, speaking
from tests.dataspace.schemas import problems_of
from tests.house import House


@pytest.fixture
def peer(house: House) -> Iterator[Peer]:
    with talking(house, Side.PROVIDER) as found:
        yield found


@contextmanager
def talking(house: House, side: Side) -> Iterator[Peer]:
    """The kit with a provider or a buyer that is hosted here."""
    parties = {"party": "pharma", "hosted": "hospital"}
    if side is Side.CONSUMER:
        parties = {"party": "hospital", "hosted": "pharma"}
    with speaking(house, conformance=IDENTIFIER, **parties) as found:
        found.authorization = conformance.KIT
        yield found


class Playing:
    """One flow under way: knows both ids and says or expects one move after the other."""

    def __init__(self, peer: Peer, flow: Flow) -> None:
        self.peer, self.flow = peer, flow
        self.ours, self.theirs = "", f"urn:peer:{flow.name}"
        self.taken = 0

    def play(self, word: str) -> None:
        match word[0]:
            case "<":
                self._we_say(word[1:])
            case "!":
                self._they_are_refused(word[1:])
            case _:
                self._they_say(word)

    def state(self) -> str:
        return str(self.peer.get(f"/{PLACES[self.flow.protocol]}/{self.ours}").json()["state"])

    def _we_say(self, move: str) -> None:
        if not self.ours:
            self._begin()
        assert self.peer.deliver() == 1
        path, body, _ = self.peer.heard.received.pop(0)
        assert self.peer.heard.received == []
        said = MOVES[self.flow.protocol][move]
        assert (body["@type"], body.get("eventType", "")) == (said.message, said.event)
        under = self.theirs if self.taken else PLACES[self.flow.protocol]
        assert path.endswith(f"/{under}/{said.path}")
        assert problems_of(body) == []
        if not self.taken and self.flow.side is Side.CONSUMER:
            self.theirs = self.peer.heard.pid
        self._moved(said.target)

    def _begin(self) -> None:
        """What the kit's two addresses are for: it asks us to begin with it."""
        asked: Json = {"providerId": IDENTIFIER, "connectorAddress": self.peer.heard.origin}
        if self.flow.protocol is Protocol.NEGOTIATION:
            asked |= {"offerId": f"offer{self.flow.subject}", "datasetId": self.flow.subject}
        else:
            asked |= {"agreementId": self.flow.subject, "format": "HttpData-PULL"}
        address = f"/dsp/{self.peer.hosted}/conformance/{PLACES[self.flow.protocol]}"
        found = self.peer.http.post(address, json=asked).json()
        self.ours = found["consumerPid"]

    def _they_say(self, move: str) -> None:
        answer = self._sent(move)
        assert answer.status_code == (200 if self.ours else 201), answer.text
        if not self.ours:
            assert problems_of(answer.json()) == []
            self.ours = answer.json()["providerPid"]
        self._moved(MOVES[self.flow.protocol][move].target)

    def _they_are_refused(self, move: str) -> None:
        before = self.state()
        answer = self._sent(move)
        assert answer.status_code == 400, answer.text
        assert problems_of(answer.json()) == []
        assert self.state() == before
        assert self.peer.deliver() == 0

    def _sent(self, move: str) -> Any:
        said, place = MOVES[self.flow.protocol][move], PLACES[self.flow.protocol]
        body = message(self.flow.protocol, move, **self._content(move))
        assert problems_of(body) == []
        return self.peer.post(f"/{place}/{self.ours}/{said.path}" if self.ours else f"/{place}/{said.path}", body)

    def _content(self, move: str) -> Json:
        provides = self.flow.side is Side.PROVIDER
        ids = {"consumerPid": self.theirs} | ({"providerPid": self.ours} if self.ours else {})
        if not provides:
            ids = {"providerPid": self.theirs, "consumerPid": self.ours}
        if not self.ours:
            ids |= {"callbackAddress": self.peer.heard.origin}
        target = {"target": self.flow.subject}
        match self.flow.protocol, move:
            case Protocol.NEGOTIATION, "request" | "offer":
                return ids | {"offer": {"@type": "Offer", "@id": offer_of(self.flow.subject)} | target | USE}
            case Protocol.NEGOTIATION, "agree":
                parties = {"assigner": IDENTIFIER, "assignee": self.peer.hosted, "timestamp": "2026-09-01T00:00:00Z"}
                return ids | {"agreement": {"@type": "Agreement", "@id": "urn:a", **target, **parties, **USE}}
            case Protocol.TRANSFER, "request":
                return ids | {"agreementId": self.flow.subject, "format": "HttpData-PULL"}
            case _:
                return ids

    def _moved(self, target: str) -> None:
        self.taken += 1
        assert self.state() == target


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_flow_of_the_kit_goes_as_the_table_says(house: House, flow: Flow) -> None:
    with talking(house, flow.side) as peer:
        playing = Playing(peer, flow)
        for word in flow.moves:
            playing.play(word)
        assert peer.deliver() == 0, "something was said that the flow does not have"

    with house.runtime.database.reading() as db:
        exchange = db.exec(select(Exchange)).one()
        entries = db.exec(select(Entry).where(Entry.tag == Tag.EXCHANGE_MOVED).order_by(col(Entry.id))).all()
        states = [read_strictly(one.body)["facts"]["state"] for one in entries]
        books = db.exec(select(LedgerTransaction)).all()
    moved = [MOVES[flow.protocol][word.removeprefix("<")].target for word in flow.moves if word[0] != "!"]
    assert states == [str(one) for one in moved]
    assert exchange.state == states[-1]
    assert books == [], "talking costs nothing"


def test_there_are_as_many_flows_as_the_kit_has_enabled_tests() -> None:
    assert len(FLOWS) + len(CATALOGUE) == 65
    assert len({flow.name for flow in FLOWS}) == len(FLOWS)


def test_the_version_document_names_the_version_and_where_it_is(peer: Peer) -> None:
    (entry,) = peer.get("/.well-known/dspace-version").json()["protocolVersions"]
    assert (entry["version"], entry["path"], entry["binding"]) == ("2025-1", "/2025-1", "HTTPS")
    assert problems_of(peer.get("/.well-known/dspace-version").json(), "common/protocol-version") == []


def test_the_catalogue_and_a_data_set_have_the_protocols_shape(peer: Peer) -> None:
    asked = {"@context": message(Protocol.TRANSFER, "request")["@context"], "@type": "CatalogRequestMessage"}
    catalogue = peer.post("/catalog/request", asked).json()
    assert problems_of(catalogue) == []
    assert {one["@id"] for one in catalogue["dataset"]} >= {"CAT0101", "CAT0102", "ACN0101"}
    alone = peer.get("/catalog/datasets/CAT0102").json()
    assert problems_of(alone) == []
    assert alone["@id"] == "CAT0102"


def test_a_data_set_that_is_not_there_is_a_catalogue_error(peer: Peer) -> None:
    answer = peer.get("/catalog/datasets/CAT0103")
    assert (answer.status_code, answer.json()["@type"]) == (404, "CatalogError")
    assert problems_of(answer.json()) == []
