"""Our own messages: tried again with growing pauses, ended visibly, and never crossed by an answer that comes early."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from marketplace.audit.entry import Tag
from marketplace.dataspace import queries
from marketplace.dataspace.beginning import ask_for_contract, move_on
from marketplace.dataspace.delivering import send
from marketplace.dataspace.house import House as Answers
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.sending import OnItsWay, settle
from marketplace.dataspace.states import Protocol
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import DomainError
from marketplace.participants import compact, connectors
from tests.dataspace.peer import IDENTIFIER, Peer, message, speaking
from tests.house import House, open_house
from tests.transfer.doors import entries

N = Protocol.NEGOTIATION
OFFER = {"@id": "offer-1", "@type": "Offer", "target": "dataset-1", "permission": [{"action": "use"}]}


@pytest.fixture
def peer(house: House) -> Iterator[Peer]:
    with speaking(house, party="hospital", hosted="pharma") as found:
        yield found


@pytest.fixture
def asked(peer: Peer) -> Exchange:
    """A negotiation that the buyer here has asked for; nothing was sent yet."""
    return ask(peer)


def ask(peer: Peer, address: str = "") -> Exchange:
    house, buyer = peer.house, peer.house.cast["pharma"].actor
    where = peer.connector.id, f"{address or peer.heard.origin}/dsp/theirs/2025-1/"
    with house.db() as db:
        return ask_for_contract(db, buyer, *where, OFFER, Answers(), house.runtime, house.clock.now())


def now(peer: Peer, exchange: Exchange) -> tuple[Exchange, Any]:
    """The exchange and its last message as they are."""
    with peer.house.runtime.database.reading() as db:
        return queries.exchange(db, exchange.id), queries.messages(db, exchange.id)[-1]


def test_a_message_that_is_taken_gives_the_exchange_its_other_id(peer: Peer, asked: Exchange) -> None:
    assert peer.deliver(0) == 1
    ((path, body, authorization),) = peer.heard.received
    exchange, sent = now(peer, asked)
    assert (path, body["consumerPid"]) == ("/dsp/theirs/2025-1/negotiations/request", asked.id)
    assert body["callbackAddress"] == peer.base
    assert (exchange.peer_pid, exchange.state, sent.state, sent.status) == (peer.heard.pid, "REQUESTED", "taken", 200)
    token = compact.read(authorization.removeprefix("Bearer "))
    token.require_signature(peer.house.runtime.service_key.public_jwk)
    assert (token.claims["iss"], token.claims["aud"]) == (peer.hosted, f"{peer.heard.origin}/dsp/theirs/2025-1")


def test_a_peer_that_fails_is_asked_again_with_growing_pauses(peer: Peer, asked: Exchange) -> None:
    peer.heard.statuses = [503, 500, 429]
    assert [peer.deliver(seconds) for seconds in (0, 0.9, 0.2, 1.8, 0.3, 3.8, 0.3)] == [1, 0, 1, 0, 1, 0, 1]
    exchange, sent = now(peer, asked)
    assert (sent.state, sent.attempts, exchange.error) == ("taken", 4, "")
    assert len({body["@id"] for _, body, _ in peer.heard.received}) == 1, "it is one message, sent four times"


def test_a_peer_whose_first_answer_was_lost_is_known_by_what_it_says_next(peer: Peer, asked: Exchange) -> None:
    peer.heard.statuses = [503]
    peer.deliver(0)
    both = {"providerPid": "urn:uuid:theirs", "consumerPid": asked.id}
    odd = peer.post(
        f"/negotiations/{asked.id}/offers", message(N, "offer", offer=OFFER, **both | {"providerPid": "a/b"})
    )
    assert (odd.status_code, now(peer, asked)[0].peer_pid) == (400, "")
    assert peer.post(f"/negotiations/{asked.id}/offers", message(N, "offer", offer=OFFER, **both)).status_code == 200
    exchange, _ = now(peer, asked)
    assert (exchange.peer_pid, exchange.state) == ("urn:uuid:theirs", "OFFERED")
    with peer.house.db() as db:
        found, at = queries.exchange(db, asked.id), peer.house.clock.now()
        move_on(db, found, "accept", {}, Answers(), peer.house.runtime, at)
    peer.deliver(600)
    assert [path.rpartition("/negotiations/")[2] for path, _, _ in peer.heard.received] == [
        "request",
        "urn:uuid:theirs/events",
    ]
    assert now(peer, asked)[0].state == "ACCEPTED"
    assert [one["facts"]["move"] for one in entries(peer.house, Tag.EXCHANGE_MOVED)] == ["request", "offer", "accept"]


def test_a_message_that_is_settled_while_a_worker_waits_for_its_exchange_is_not_sent(
    either_url: str, tmp_path: Path
) -> None:
    with (
        open_house(tmp_path / "other", either_url) as house,
        speaking(house, party="hospital", hosted="pharma") as peer,
        ThreadPoolExecutor(1) as others,
    ):
        asked = ask(peer)
        _, waits = now(peer, asked)

        def attempt() -> object:
            with house.db() as db:
                return send(db, house.runtime, Answers(), waits.id)

        with house.db() as db:
            queries.hold(db, asked.id)
            late = others.submit(attempt)
            assert not wait([late], 0.3).done, "nobody sends while another speaks"
            settle(db, waits.id, "dropped", house.clock.now())
        assert late.result(30) is None
        assert now(peer, asked)[1].state == "dropped"


def test_a_peer_that_never_answers_ends_the_exchange_visibly(peer: Peer, asked: Exchange) -> None:
    peer.heard.statuses = [503] * 50
    while peer.deliver(400):
        pass
    exchange, sent = now(peer, asked)
    assert (exchange.state, exchange.error) == ("TERMINATED", "message_undeliverable")
    assert (sent.state, sent.attempts, sent.status) == ("given_up", 11, 503)
    (told,) = entries(peer.house, Tag.EXCHANGE_FAILED)
    assert told["facts"]["error"] == "message_undeliverable"


@pytest.mark.parametrize("status", [400, 401, 404, 302])
def test_a_peer_that_refuses_is_not_asked_again(peer: Peer, asked: Exchange, status: int) -> None:
    peer.heard.statuses = [status]
    assert (peer.deliver(), peer.deliver(600)) == (1, 0)
    exchange, sent = now(peer, asked)
    assert (exchange.state, exchange.error, sent.state) == ("TERMINATED", "message_refused", "refused")


def test_a_connector_that_was_suspended_meanwhile_is_not_called(peer: Peer, asked: Exchange, house: House) -> None:
    with house.db() as db:
        connectors.suspend(db, house.cast["operator"].actor, peer.connector.id, "an incident", house.clock.now())
    peer.deliver()
    assert peer.heard.received == []
    assert now(peer, asked)[0].error == "message_refused"


def test_nobody_is_called_at_an_address_that_was_not_registered(peer: Peer) -> None:
    for address in (f"http://localhost:{peer.heard.port}", f"http://127.0.0.1:{peer.heard.port + 1}"):
        with pytest.raises(DomainError):
            ask(peer, address)
    assert entries(peer.house, Tag.EXCHANGE_OPENED) == []


def offered(peer: Peer, asked: Exchange) -> Json:
    """The peer has taken our request and offered; both process ids."""
    peer.deliver()
    both = {"providerPid": peer.heard.pid, "consumerPid": asked.id}
    offer = message(N, "offer", offer=OFFER, **both)
    assert peer.post(f"/negotiations/{asked.id}/offers", offer).status_code == 200
    return both


def say_ours(peer: Peer, asked: Exchange, move: str, **extra: Any) -> str:
    with peer.house.db() as db:
        found = queries.exchange(db, asked.id)
        return move_on(db, found, move, extra, Answers(), peer.house.runtime, peer.house.clock.now())


def their_agreement(peer: Peer) -> Json:
    parties = {"assigner": IDENTIFIER, "assignee": peer.hosted, "timestamp": "2026-09-01T00:00:00Z"}
    return OFFER | {"@id": "urn:a", "@type": "Agreement"} | parties


def said_by_us(house: House, asked: Exchange) -> list[tuple[str, str]]:
    with house.runtime.database.reading() as db:
        return [(one.move, one.state) for one in queries.messages(db, asked.id) if one.ours]


@pytest.mark.parametrize("status", [200, 500, 400])
def test_who_answers_a_message_has_taken_it_whatever_it_says_to_the_call(
    peer: Peer, asked: Exchange, house: House, status: int
) -> None:
    """The peer answers our acceptance with its agreement before it has answered our call."""
    both = offered(peer, asked)
    say_ours(peer, asked, "accept")
    body = message(N, "agree", agreement=their_agreement(peer), **both)
    answers = list[int]()
    peer.heard.statuses = [status]
    peer.heard.meanwhile = lambda: answers.append(peer.post(f"/negotiations/{asked.id}/agreement", body).status_code)
    peer.deliver()
    peer.heard.meanwhile = lambda: None
    peer.deliver(600)

    assert answers == [200]
    assert now(peer, asked)[0].state == "AGREED"
    assert said_by_us(house, asked) == [("request", "taken"), ("accept", "taken")]
    assert len(peer.heard.received) == 2, "it is not sent again"
    moves = [one["facts"]["move"] for one in entries(house, Tag.EXCHANGE_MOVED)]
    assert moves == ["request", "offer", "accept", "agree"]


def test_who_answers_a_message_has_taken_it_though_its_answer_to_the_call_was_lost(
    peer: Peer, asked: Exchange, house: House
) -> None:
    both = offered(peer, asked)
    say_ours(peer, asked, "accept")
    agreement = message(N, "agree", agreement=their_agreement(peer), **both)
    assert peer.post(f"/negotiations/{asked.id}/agreement", agreement).status_code == 400, "nothing was sent yet"
    peer.heard.statuses = [503]
    peer.deliver()
    assert said_by_us(house, asked) == [("request", "taken"), ("accept", "waiting")]

    assert peer.post(f"/negotiations/{asked.id}/agreement", agreement).status_code == 200
    peer.deliver(600)
    assert now(peer, asked)[0].state == "AGREED"
    assert said_by_us(house, asked) == [("request", "taken"), ("accept", "taken")]
    assert len(peer.heard.received) == 2, "it is not sent again"
    moves = [one["facts"]["move"] for one in entries(house, Tag.EXCHANGE_MOVED)]
    assert moves == ["request", "offer", "accept", "agree"]


def test_who_answers_our_first_message_before_the_call_tells_its_id_by_it(
    peer: Peer, asked: Exchange, house: House
) -> None:
    peer.heard.pid = "urn:uuid:theirs"
    both, answers = {"providerPid": peer.heard.pid, "consumerPid": asked.id}, list[int]()
    offer = message(N, "offer", offer=OFFER, **both)
    peer.heard.meanwhile = lambda: answers.append(peer.post(f"/negotiations/{asked.id}/offers", offer).status_code)
    peer.deliver()
    assert answers == [200]
    found = now(peer, asked)[0]
    assert (found.state, found.peer_pid) == ("OFFERED", "urn:uuid:theirs")
    assert said_by_us(house, asked) == [("request", "taken")]
    assert [one["facts"]["move"] for one in entries(house, Tag.EXCHANGE_MOVED)] == ["request", "offer"]


@pytest.mark.parametrize("status", [503, 400])
def test_an_attempt_that_was_overtaken_does_not_judge_the_one_under_way(
    peer: Peer, asked: Exchange, house: House, status: int
) -> None:
    """Its worker stood still for so long that another one sends the message; what that is told counts."""
    _, ours = now(peer, asked)
    later = list[Any]()

    def overtake() -> None:
        peer.heard.meanwhile = lambda: None
        house.clock.advance(timedelta(minutes=2))
        with house.db() as db:
            later.append(send(db, house.runtime, Answers(), ours.id))

    peer.heard.meanwhile, peer.heard.statuses = overtake, [status]
    peer.deliver(0)
    exchange, sent = now(peer, asked)
    assert (exchange.state, sent.state, sent.attempts) == ("REQUESTED", "sending", 2)
    conclude = later[0]()
    with house.db() as db:
        conclude(db)
    peer.deliver(600)

    exchange, sent = now(peer, asked)
    assert (exchange.state, exchange.error, sent.state, sent.status) == ("REQUESTED", "", "taken", 200)
    assert len(peer.heard.received) == 2, "it is not sent again"
    assert [one["facts"]["move"] for one in entries(house, Tag.EXCHANGE_MOVED)] == ["request"]


def test_an_attempt_that_was_overtaken_and_taken_is_not_followed_by_another(
    peer: Peer, asked: Exchange, house: House
) -> None:
    _, ours = now(peer, asked)
    peer.heard.statuses = [503]

    def overtake() -> None:
        peer.heard.meanwhile = lambda: None
        house.clock.advance(timedelta(minutes=2))
        with house.db() as db:
            begun = send(db, house.runtime, Answers(), ours.id)
        assert begun is not None
        conclude = begun()
        with house.db() as db:
            conclude(db)
        assert now(peer, asked)[1].state == "waiting"

    peer.heard.meanwhile = overtake
    peer.deliver(0)
    assert peer.deliver(600) == 1, "the next attempt finds that it was taken"
    exchange, sent = now(peer, asked)
    assert (exchange.state, sent.state, sent.status, sent.attempts) == ("REQUESTED", "taken", 200, 2)
    assert len(peer.heard.received) == 2, "it is not sent again"


def test_what_was_heard_before_answers_nothing(peer: Peer, asked: Exchange, house: House) -> None:
    """An offer may follow a counter-offer; the same offer once more does not tell that ours was taken."""
    peer.deliver()
    both = {"providerPid": peer.heard.pid, "consumerPid": asked.id}
    offer, answers = message(N, "offer", offer=OFFER, **both), list[Any]()
    assert peer.post(f"/negotiations/{asked.id}/offers", offer).status_code == 200
    say_ours(peer, asked, "request", offer=OFFER)

    def again() -> None:
        answers.append(peer.post(f"/negotiations/{asked.id}/offers", offer).status_code)
        answers.append(now(peer, asked)[0].state)

    peer.heard.meanwhile = again
    peer.deliver()
    assert answers == [200, "OFFERED"]
    assert now(peer, asked)[0].state == "REQUESTED"


def test_what_does_not_answer_the_message_on_its_way_waits_for_its_end(peer: Peer, asked: Exchange) -> None:
    both = offered(peer, asked)
    say_ours(peer, asked, "accept")
    body, answered = message(N, "terminate", **both), list[Any]()
    early = threading.Thread(target=lambda: answered.append(peer.post(f"/negotiations/{asked.id}/termination", body)))

    def while_we_wait() -> None:
        early.start()
        early.join(0.3)
        assert early.is_alive(), "it was answered before our own message was settled"

    peer.heard.meanwhile = while_we_wait
    peer.deliver()
    early.join(10)
    assert [one.status_code for one in answered] == [200]
    assert now(peer, asked)[0].state == "TERMINATED"


def test_an_answer_that_comes_too_late_reopens_nothing(peer: Peer, asked: Exchange, house: House) -> None:
    peer.deliver()
    both, met = {"providerPid": peer.heard.pid, "consumerPid": asked.id}, list[Any]()
    assert peer.post(f"/negotiations/{asked.id}/offers", message(N, "offer", offer=OFFER, **both)).status_code == 200

    def ours(move: str) -> str:
        with house.db() as db:
            found = queries.exchange(db, asked.id)
            return move_on(db, found, move, {}, Answers(), house.runtime, house.clock.now())

    def while_we_wait() -> None:
        second = ours("terminate")
        try:
            with house.db() as db:
                send(db, house.runtime, Answers(), second)
        except OnItsWay as error:
            met.append(error)
        house.clock.advance(timedelta(minutes=10))
        met.append(peer.post(f"/negotiations/{asked.id}/termination", message(N, "terminate", **both)).status_code)

    ours("accept")
    peer.heard.meanwhile = while_we_wait
    peer.deliver()
    peer.deliver(600)
    assert [type(met[0]), *met[1:]] == [OnItsWay, 200], "one message of an exchange is on its way at a time"
    assert now(peer, asked)[0].state == "TERMINATED"
    with house.runtime.database.reading() as db:
        said = [(one.move, one.state) for one in queries.messages(db, asked.id) if one.ours]
    assert said == [("request", "taken"), ("accept", "dropped"), ("terminate", "dropped")]
    assert [one["facts"]["state"] for one in entries(house, Tag.EXCHANGE_MOVED)][-1] == "TERMINATED"


def test_a_buyer_conducts_a_negotiation_by_its_own_moves(peer: Peer, asked: Exchange, house: House) -> None:
    peer.deliver()
    both = {"providerPid": peer.heard.pid, "consumerPid": asked.id}

    def heard(move: str, path: str, **content: Any) -> int:
        answer = peer.post(f"/negotiations/{asked.id}/{path}", message(N, move, **both, **content))
        return int(answer.status_code)

    def say(move: str) -> None:
        with house.db() as db:
            exchange = queries.exchange(db, asked.id)
            first = move_on(db, exchange, move, {}, Answers(), house.runtime, house.clock.now())
            again = move_on(db, exchange, move, {}, Answers(), house.runtime, house.clock.now())
            assert first == again, "asked twice, it is sent once"
        assert peer.deliver() == 1

    assert heard("offer", "offers", offer=OFFER) == 200
    say("accept")
    parties = {"assigner": IDENTIFIER, "assignee": peer.hosted, "timestamp": "2026-09-01T00:00:00Z"}
    agreement: Json = OFFER | {"@id": "urn:a", "@type": "Agreement"} | parties
    assert heard("agree", "agreement", agreement=agreement | {"assignee": "somebody"}) == 400
    assert heard("agree", "agreement", agreement=agreement | {"permission": [{"action": "train"}]}) == 400
    assert heard("agree", "agreement", agreement=agreement) == 200
    say("verify")
    assert heard("finalize", "events") == 200
    exchange, _ = now(peer, asked)
    assert (exchange.state, exchange.agreement["@id"]) == ("FINALIZED", "urn:a")
