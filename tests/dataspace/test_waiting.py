"""The long poll of a participant's exchanges: its own systems are told that something moved instead of asking on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from http.client import HTTPConnection
from typing import Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from marketplace.dataspace.beginning import ask_for_contract
from marketplace.dataspace.house import House as Answers
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.moving import topic_of
from marketplace.dataspace.routes import routes
from marketplace.kernel.actor import Actor
from marketplace.participants.service import suspend
from marketplace.plumbing import bell, waiting
from marketplace.plumbing.db import Database
from marketplace.plumbing.turns import Turns
from tests.dataspace.peer import Peer, speaking
from tests.house import House
from tests.transfer.doors import HeaderGate, app_of, reading, served, wait_until
from tests.waiters import listening, meanwhile, waits_without_end

PATH = "/v1/dataspace/exchanges"
OFFER = {"@id": "offer-1", "@type": "Offer", "target": "dataset-1", "permission": [{"action": "use"}]}


@pytest.fixture
def peer(house: House) -> Iterator[Peer]:
    with speaking(house, party="hospital", hosted="pharma") as found:
        yield found


@pytest.fixture
def http(house: House) -> Iterator[TestClient]:
    app = app_of(house)
    app.include_router(routes)
    with TestClient(app, headers={"X-Caller": "pharma"}) as opened:
        yield opened


def ask(peer: Peer, database: Database) -> str:
    """The buyer opens a negotiation."""
    where = peer.connector.id, f"{peer.heard.origin}/dsp/theirs/2025-1/"
    house = peer.house
    with database.transaction() as db:
        actor, now = house.cast["pharma"].actor, house.clock.now()
        return ask_for_contract(db, actor, *where, OFFER, Answers(), house.runtime, now).id


def poll(http: TestClient, path: str, held: str, **asked: str) -> Callable[[], Any]:
    """Ask for another answer than the one that is held."""
    return lambda: http.get(path, params=asked | {"wait": "20"}, headers={"If-None-Match": held})


def test_who_holds_the_last_answer_is_told_when_it_is_another_one(
    peer: Peer, house: House, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = http.get(PATH, params={"wait": 20})
    assert (empty.status_code, empty.json()) == (200, {"items": [], "next": None}), "who holds nothing does not wait"

    waits_without_end(monkeypatch)
    ours = house.runtime.database
    opened = meanwhile(house, poll(http, PATH, empty.headers["etag"]), lambda: ask(peer, ours))
    (first,) = opened.json()["items"]
    assert first["state"] == "REQUESTED", "what this process commits wakes who waits"
    detail = http.get(f"{PATH}/{first['id']}")
    taken = meanwhile(house, poll(http, f"{PATH}/{first['id']}", detail.headers["etag"]), peer.deliver)
    assert (taken.status_code, taken.json()["peer_pid"]) == (200, peer.heard.pid)
    assert [one["id"] for one in http.get(PATH, params={"state": "REQUESTED"}).json()["items"]] == [first["id"]]
    assert http.get(PATH, params={"state": "OFFERED"}).json()["items"] == []

    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.05)
    other = Database(str(ours.url), session_class=ours._session_class)
    held = http.get(PATH).headers["etag"]
    more = meanwhile(house, poll(http, PATH, held), lambda: ask(peer, other))
    other.dispose()
    assert len(more.json()["items"]) == 2, "what another process commits is looked for"
    assert listening(house) == 0


def test_what_moves_between_the_check_of_the_caller_and_its_listening_is_seen_at_once(
    peer: Peer, house: House, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check has read the database, in whose state of that moment nothing has moved."""
    held, gate, bells = http.get(PATH).headers["etag"], HeaderGate.authenticate, house.runtime.database.bell
    listen = bells.listening

    def checked(self: HeaderGate, db: Session, request: Request, now: datetime) -> Actor:
        assert db.exec(select(Exchange.id)).all() == []
        return gate(self, db, request, now)

    def moved_before(*asked: Any) -> Any:
        ask(peer, house.runtime.database)
        return listen(*asked)

    async def nobody_waits(*_asked: object) -> None:
        raise AssertionError("what has moved is not waited for")

    monkeypatch.setattr(waiting._Reader, "until_woken", nobody_waits)
    monkeypatch.setattr(HeaderGate, "authenticate", checked)
    monkeypatch.setattr(bells, "listening", moved_before)
    told = http.get(PATH, params={"wait": 20}, headers={"If-None-Match": held})
    assert (told.status_code, len(told.json()["items"])) == (200, 1)


def test_who_may_not_call_any_more_is_told_nothing_of_what_moved(
    peer: Peer, house: House, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_without_end(monkeypatch)
    buyer, operator = house.cast["pharma"], house.cast["operator"].actor
    held = http.get(PATH).headers["etag"]

    def shut_out() -> None:
        with house.db() as db:
            suspend(db, operator, buyer.id, "an incident", house.clock.now())
        with house.db() as db:
            bell.ask(db, topic_of(buyer.id))

    refused = meanwhile(house, poll(http, PATH, held), shut_out)
    assert (refused.status_code, refused.json()["type"]) == (401, "/problems/participant-suspended")
    assert listening(house) == 0


def test_nobody_waits_longer_than_asked_or_in_too_great_number(
    house: House, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {"If-None-Match": http.get(PATH).headers["etag"]}
    same = http.get(PATH, params={"wait": 1}, headers=held)
    assert (same.status_code, same.content) == (304, b"")
    assert http.get(PATH, params={"wait": waiting.LONGEST + 1}).status_code == 422
    monkeypatch.setattr(waiting, "OF_ONE", 0)

    def refuse(_topic: str) -> None:
        raise AssertionError("somebody waits beyond the bound")

    monkeypatch.setattr(house.runtime.database.bell, "listening", refuse)
    assert http.get(PATH, params={"wait": 20}, headers=held).status_code == 304


def test_who_waits_takes_nothing_from_others_and_who_hangs_up_is_forgotten(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_without_end(monkeypatch)
    app = app_of(house)
    app.include_router(routes)
    turns, pool = Turns.LOOKS.of(app), house.runtime.database.engine.pool
    callers = [name for name in ("pharma", "hospital", "law_firm") for _ in range(waiting.OF_ONE)]
    assert len(callers) > turns.total_tokens
    with served(house, app) as address, ExitStack() as stack:
        for name in callers:
            connection = stack.enter_context(closing(HTTPConnection(*address)))
            connection.request("GET", f"{PATH}?wait=20", headers={"X-Caller": name, "If-None-Match": "*"})
        wait_until(lambda: listening(house) == len(callers) and turns.borrowed_tokens == 0)
        assert pool.checkedout() == 0
        with reading(address, f"{PATH}?wait=20", {"X-Caller": "pharma", "If-None-Match": "*"}) as answer:
            assert answer.status == 304, "one of a participant too many is answered at once"
        with reading(address, PATH, {"X-Caller": "auditor"}) as answer:
            assert answer.status == 200
        assert listening(house) == len(callers)
        stack.close()
        wait_until(lambda: listening(house) == 0)
        assert app.state.waiting._of.total() == 0
        wait_until(lambda: turns.borrowed_tokens == 0)


def test_a_server_that_stops_answers_whoever_waits_instead_of_waiting_for_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them would be answered by itself, and `served` demands that its server ends."""
    waits_without_end(monkeypatch)
    app = app_of(house)
    app.include_router(routes)
    with ExitStack() as stack:
        with served(house, app) as address:
            waiters = [stack.enter_context(closing(HTTPConnection(*address))) for _ in range(waiting.OF_ONE)]
            for one in waiters:
                one.request("GET", f"{PATH}?wait=20", headers={"X-Caller": "pharma", "If-None-Match": "*"})
            wait_until(lambda: listening(house) == len(waiters))
        assert (listening(house), app.state.waiting._of.total()) == (0, 0), "the server has ended, and nobody waits"
        assert [one.getresponse().status for one in waiters] == [304] * len(waiters)


def test_the_list_is_read_page_by_page_and_each_page_may_be_waited_for(
    peer: Peer, house: House, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_without_end(monkeypatch)
    opened = sorted((ask(peer, house.runtime.database) for _ in range(3)), reverse=True)
    first = http.get(PATH, params={"limit": 2})
    assert [one["id"] for one in first.json()["items"]] == opened[:2]
    asked = {"limit": "2", "cursor": first.json()["next"]}
    last = http.get(PATH, params=asked)
    assert ([one["id"] for one in last.json()["items"]], last.json()["next"]) == (opened[2:], None)
    assert http.get(PATH, params=asked, headers={"If-None-Match": last.headers["etag"]}).status_code == 304
    moved = meanwhile(house, poll(http, PATH, last.headers["etag"], **asked), peer.deliver).json()["items"]
    assert [(one["id"], one["peer_pid"]) for one in moved] == [(opened[2], peer.heard.pid)]
    refused = http.get(PATH, params=asked, headers={"X-Caller": "hospital"})
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/not-on-this-list")
