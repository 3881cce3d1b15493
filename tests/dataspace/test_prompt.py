"""In a process that can go on with it, what a verb leads to is said by the verb's own transaction, with no relay."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlmodel import col, select

from marketplace.audit.entry import Tag
from marketplace.dataspace.messages import SIGNED
from marketplace.dataspace.models import ExchangeMessage
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import Json
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.service import end_negotiation
from marketplace.plumbing.outbox import OutboxRow
from tests.dataspace.peer import Peer
from tests.dataspace.test_house import N, ask, say
from tests.house import House
from tests.legal.parts import signed
from tests.negotiation.parts import WHY, approve, sign, state
from tests.transfer.doors import entries, wait_until
from workers.prompt import Prompt
from workers.relay import run_due
from workers.tasks import TO_OTHERS


@pytest.fixture
def prompt(house: House) -> Iterator[Prompt]:
    made = Prompt(house.runtime)
    made.start()
    yield made
    made.stop()


def heard(peer: Peer, number: int) -> Json:
    """The message of that number, once it has come and we know that it was taken."""
    wait_until(lambda: len(peer.heard.received) >= number and not under_way(peer.house))
    return peer.heard.received[number - 1][1]


def under_way(house: House) -> list[str]:
    with house.runtime.database.reading() as db:
        return list(db.exec(select(ExchangeMessage.id).where(col(ExchangeMessage.state).in_(["waiting", "sending"]))))


def test_both_signatures_come_together_without_a_relay(
    peer: Peer, listing: Listing, house: House, prompt: Prompt
) -> None:
    ours = ask(peer, listing).json()["providerPid"]
    with house.runtime.database.reading() as db:
        request = negotiation.request_page(db, house.cast["pharma"].actor).rows[0]
    agreement = approve(house, request)
    offer = heard(peer, 1)
    with house.db() as db:
        jws = signed(house.cast["pharma"], db, offer[SIGNED]["document"], "agreement").jws
    assert say(peer, N, ours, "accept", "events", **{SIGNED: {"jws": jws}}).status_code == 200
    sign(house, agreement, "hospital")
    told = heard(peer, 2)
    assert {one["signer"] for one in told[SIGNED]["signatures"]} == {house.cast["pharma"].id, house.cast["hospital"].id}
    assert say(peer, N, ours, "verify", "agreement/verification").status_code == 200
    assert heard(peer, 3)["eventType"] == "FINALIZED"

    assert peer.get(f"/negotiations/{ours}").json()["state"] == "FINALIZED"
    assert state(house, agreement) == ("FINALIZED", "finalized")
    moved = [one["facts"]["move"] for one in entries(house, Tag.EXCHANGE_MOVED)]
    assert moved == ["request", "offer", "accept", "agree", "verify", "finalize"]
    assert len(peer.heard.received) == 3, "each is said once"
    with house.runtime.database.reading() as db:
        sent = db.exec(select(OutboxRow).where(col(OutboxRow.task).in_(["dataspace.send", "dataspace.follow"]))).all()
    assert {(one.attempts, one.done_at is not None) for one in sent} == {(1, True)}


def test_what_is_said_while_a_message_of_the_exchange_is_on_its_way_follows_it(
    peer: Peer, listing: Listing, house: House, prompt: Prompt
) -> None:
    arrived, goes_on = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        assert goes_on.wait(120)

    peer.heard.meanwhile = hold
    ask(peer, listing)
    with house.runtime.database.reading() as db:
        request = negotiation.request_page(db, house.cast["pharma"].actor).rows[0]
    approve(house, request)
    assert arrived.wait(120)
    with house.db() as db:
        end_negotiation(db, house.cast["hospital"].actor, negotiation.request(db, request.id), WHY, house.clock.now())
    assert len(peer.heard.received) == 1, "one message of an exchange is on its way at a time"

    peer.heard.meanwhile = lambda: None
    goes_on.set()
    heard(peer, 1)
    while len(peer.heard.received) == 1:
        assert peer.deliver() or run_due(house.runtime, but=TO_OTHERS) or under_way(house)
    assert heard(peer, 2)["code"] == WHY.reason
    assert [one["facts"]["move"] for one in entries(house, Tag.EXCHANGE_MOVED)] == ["request", "offer", "terminate"]
