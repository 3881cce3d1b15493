"""Who can pull, and for how long: a token is the consumer's alone and dies with whatever it rests on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from marketplace.audit.entry import Tag
from marketplace.audit.recheck import sealed_rows
from marketplace.dataspace import hearing, queries
from marketplace.dataspace.beginning import ask_for_data
from marketplace.dataspace.chosen import answering
from marketplace.dataspace.flowing import opened_by
from marketplace.dataspace.following import _MOVES
from marketplace.dataspace.identity import ConnectorRefused
from marketplace.dataspace.messages import HTTP_ENDPOINT
from marketplace.dataspace.showing import WITHHELD, shown, shown_in_full
from marketplace.dataspace.states import MOVES, Protocol, TransferState
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import Json
from marketplace.negotiation.rules import AGREEMENT, AgreementState
from marketplace.participants import connectors
from marketplace.participants import queries as participants
from marketplace.plumbing import epochs
from marketplace.transfer.opening import Download, Opened, Refused, open_transfer
from marketplace.transfer.recheck import recheck
from marketplace.transfer.stream import WindowSource
from tests.dataspace.peer import IDENTIFIER, Peer, message, speaking
from tests.dataspace.schemas import problems_of
from tests.dataspace.test_house import THEIRS, agreed, pull, put_files, say, settle, started
from tests.exchange.parts import certified, listed
from tests.house import House
from tests.negotiation.succession.parts import amended
from tests.transfer.doors import entries

T = Protocol.TRANSFER


@pytest.fixture
def listing(house: House) -> Listing:
    version = certified(house)
    put_files(house, version)
    return listed(house, version)


@pytest.fixture
def pulling(peer: Peer, listing: Listing) -> tuple[str, str, Json]:
    """A transfer that flows: the agreement, our process id, the address of the data."""
    _, agreement = agreed(peer, listing)
    return agreement, *started(peer, agreement)


def token_of(address: Json) -> str:
    return str(next(one["value"] for one in address["endpointProperties"] if one["name"] == "authorization"))


def suspend(peer: Peer) -> None:
    with peer.house.db() as db:
        operator = peer.house.cast["operator"].actor
        connectors.suspend(db, operator, peer.connector.id, "an incident", peer.house.clock.now())


def reinstate(peer: Peer) -> None:
    with peer.house.db() as db:
        operator = peer.house.cast["operator"].actor
        connectors.reinstate(db, operator, peer.connector.id, "it is over", peer.house.clock.now())


def opened(peer: Peer, agreement: str, ours: str, address: Json) -> tuple[Any, WindowSource]:
    """A running answer of the pull, by the very use that the door asks for; its first window has been sent."""
    runtime = peer.house.runtime
    runtime = replace(runtime, settings=runtime.settings.model_copy(update={"window_kib": 1}))
    found = asked_by(peer, ours, address)
    answer = open_transfer(runtime, found.actor, Download(agreement, found.use, key=ours), peer.house.clock.now())
    assert isinstance(answer, Opened)
    source = WindowSource(runtime, found.actor, answer)
    assert len(source.next() or b"") == 1024
    return answer, source


def asked_by(peer: Peer, ours: str, address: Json) -> Any:
    runtime, now = peer.house.runtime, peer.house.clock.now()
    with runtime.database.reading() as db:
        return opened_by(db, token_of(address), ours, address["endpoint"], runtime, now)


@pytest.mark.parametrize("who", ["auditor", "hospital"])
def test_nobody_but_the_consumer_reads_a_token(
    peer: Peer, pulling: tuple[str, str, Json], house: House, who: str
) -> None:
    _, ours, address = pulling
    with house.runtime.database.reading() as db:
        exchange = queries.own(db, house.cast[who].actor, ours)
        found = shown_in_full(house.cast[who].actor, exchange, queries.messages(db, ours))
    text = found.model_dump_json()
    assert token_of(address) not in text
    assert address["endpoint"] not in text
    assert found.data_address["endpointProperties"] == WITHHELD
    assert [one.body["dataAddress"]["@type"] for one in found.messages if one.move == "start"] == ["DataAddress"]


def test_the_consumer_here_reads_the_address_that_it_was_given(house: House) -> None:
    address: Json = {"@type": "DataAddress", "endpointType": HTTP_ENDPOINT, "endpoint": "https://theirs.example/1"}
    with speaking(house, party="hospital", hosted="pharma") as peer:
        ours = _asked_for_data(peer)
        peer.deliver()
        ids = {"providerPid": peer.heard.pid, "consumerPid": ours}
        address["endpointProperties"] = [{"@type": "EndpointProperty", "name": "authorization", "value": "secret"}]
        answer = peer.post(f"/transfers/{ours}/start", message(T, "start", dataAddress=address, **ids))
        assert answer.status_code == 200, answer.text
        buyer, auditor = house.cast["pharma"].actor, house.cast["auditor"].actor
        with house.runtime.database.reading() as db:
            exchange = queries.own(db, buyer, ours)
            assert shown(buyer, exchange).data_address == address
            assert shown(auditor, exchange).data_address["endpoint"] == WITHHELD


def test_a_token_from_before_a_suspension_is_dead_after_it(peer: Peer, pulling: tuple[str, str, Json]) -> None:
    _, ours, address = pulling
    assert say(peer, T, ours, "suspend", "suspension").status_code == 200
    again = say(peer, T, ours, "start", "start")
    assert problems_of({name: one for name, one in again.json().items() if name != "dataAddress"}) == []
    assert pull(peer, address).status_code == 401
    assert pull(peer, again.json()["dataAddress"]).status_code == 200


def test_suspending_a_connector_cuts_its_running_answers(
    peer: Peer, pulling: tuple[str, str, Json], house: House
) -> None:
    _, source = opened(peer, *pulling)
    suspend(peer)
    assert source.next() is None
    assert source.outcome == "connector_suspended"
    (entry,) = entries(house, Tag.CONNECTOR_SUSPENDED)
    with house.runtime.database.reading() as db:
        assert entry["facts"]["epoch"] == epochs.total(db, (peer.connector.id,)) == 1
        assert [*(one for one in sealed_rows(db) if "epoch" in str(one)), *recheck(db)] == []


def test_a_token_from_before_its_connector_was_suspended_is_dead_when_it_is_back(
    peer: Peer, pulling: tuple[str, str, Json]
) -> None:
    _, ours, address = pulling
    suspend(peer)
    assert pull(peer, address).status_code == 401
    reinstate(peer)
    assert pull(peer, address).status_code == 401
    assert say(peer, T, ours, "suspend", "suspension").status_code == 200
    again = say(peer, T, ours, "start", "start")
    assert pull(peer, again.json()["dataAddress"]).status_code == 200


def test_what_was_stopped_between_the_token_and_the_use_is_refused(peer: Peer, pulling: tuple[str, str, Json]) -> None:
    agreement, ours, address = pulling
    found = asked_by(peer, ours, address)
    suspend(peer)
    runtime, now = peer.house.runtime, peer.house.clock.now()
    answer = open_transfer(runtime, found.actor, Download(agreement, found.use, key=ours), now)
    assert isinstance(answer, Refused)
    assert answer.decision.reasons == ("epoch_changed",)


def test_a_pull_ends_with_the_certification_of_its_connector(
    peer: Peer, pulling: tuple[str, str, Json], house: House
) -> None:
    ends = peer.connector.certified_until
    answer, source = opened(peer, *pulling)
    assert answer.ground.stops_at == int(ends.timestamp())
    house.clock.advance(ends - house.clock.now() + timedelta(seconds=1))
    assert source.next() is None


def test_a_connector_that_is_suspended_while_it_waits_is_not_heard(
    peer: Peer, pulling: tuple[str, str, Json], house: House
) -> None:
    """The door lets it in, then it waits for its turn."""
    _, ours, _ = pulling
    with house.runtime.database.reading() as db:
        here = participants.participant(db, peer.hosted)
        talk = hearing.talk(db, connectors.by_identifier(db, IDENTIFIER) or peer.connector, here)
    suspend(peer)
    said = message(T, "suspend", providerPid=ours, consumerPid=THEIRS)
    asked = message(
        T,
        "request",
        agreementId="agr_1",
        format="HttpData-PULL",
        consumerPid="urn:peer:9",
        callbackAddress=peer.heard.origin,
    )
    answers, now = answering(house.runtime.settings), house.clock.now()
    with pytest.raises(ConnectorRefused), house.db() as db:
        hearing.hear(db, talk, ours, MOVES[T]["suspend"], said, answers, house.runtime, now)
    with pytest.raises(ConnectorRefused), house.db() as db:
        hearing.open_by_peer(db, talk, MOVES[T]["request"], asked, answers, house.runtime, now)


def test_a_transfer_ends_with_an_agreement_that_was_superseded(
    peer: Peer, pulling: tuple[str, str, Json], house: House
) -> None:
    agreement, ours, address = pulling
    amended(house, agreement, parameters={"max_uses": 9})
    (told,) = settle(peer)
    assert (told["@type"], told["code"]) == ("TransferTerminationMessage", "agreement_superseded")
    assert peer.get(f"/transfers/{ours}").json()["state"] == "TERMINATED"
    assert pull(peer, address).status_code == 401


@pytest.mark.parametrize("state", sorted(set(AgreementState) - {AgreementState.DRAFTED}))
def test_a_transfer_flows_in_no_state_of_its_agreement_that_has_no_use(state: AgreementState) -> None:
    """Nothing leads back to a draft, and under a draft no transfer starts."""
    assert ((state, TransferState.STARTED) in _MOVES) != AGREEMENT.permits(state, "use")


def _asked_for_data(peer: Peer) -> str:
    house, buyer = peer.house, peer.house.cast["pharma"].actor
    where = peer.connector.id, f"{peer.heard.origin}/dsp/theirs/2025-1"
    with house.db() as db:
        answers, now = answering(house.runtime.settings), house.clock.now()
        return ask_for_data(db, buyer, *where, "urn:agreement:1", answers, house.runtime, now).id
