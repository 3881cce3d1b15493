"""Waiting for a delivery: whoever asks for the manifest of a fresh agreement is told as soon as it is prepared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from marketplace.client.api import ApiClient, in_process
from marketplace.client.delivery import wait_for_delivery
from marketplace.client.lists import NotInTime
from marketplace.client.problem import ProblemError
from marketplace.main import create_app
from marketplace.participants.service import suspend
from marketplace.plumbing import bell, waiting
from marketplace.plumbing.db import Database
from marketplace.plumbing.refusals import RefusalCount
from marketplace.plumbing.turns import Turns
from marketplace.transfer.delivery import prepare, topic_of
from tests.house import House
from tests.transfer.doors import app_of, reading, served, wait_until
from tests.usage.agreed import agree
from tests.waiters import listening, meanwhile, waits_without_end

PATH = "/v1/agreements/agr_1/manifest"
PHARMA = {"X-Caller": "pharma"}


@pytest.fixture
def fresh(house: House) -> House:
    """An agreement whose delivery nobody has prepared yet."""
    agree(house)
    return house


@pytest.fixture
def http(fresh: House) -> Iterator[TestClient]:
    with TestClient(app_of(fresh), headers=PHARMA) as opened:
        yield opened


def told(http: TestClient) -> Callable[[], Any]:
    return lambda: http.get(PATH, params={"wait": 20})


def test_both_parties_are_told_when_the_delivery_is_kept(
    fresh: House, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_without_end(monkeypatch)
    answer = meanwhile(fresh, told(http), lambda: prepare(fresh.runtime, "agr_1"))
    assert answer.status_code == 200
    assert answer.json()["sha256"] == prepare(fresh.runtime, "agr_1")
    assert listening(fresh) == 0
    for name in ("hospital", "auditor"):
        assert http.get(PATH, params={"wait": 20}, headers={"X-Caller": name}).json() == answer.json()
    same = http.get(PATH, params={"wait": 20}, headers={"If-None-Match": answer.headers["etag"]})
    assert (same.status_code, same.content) == (304, b""), "what is there is not waited for"


def test_what_another_process_prepares_is_looked_for(
    fresh: House, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.05)
    ours = fresh.runtime.database
    other = Database(str(ours.url), session_class=ours._session_class)
    answer = meanwhile(fresh, told(http), lambda: prepare(replace(fresh.runtime, database=other), "agr_1"))
    other.dispose()
    assert answer.status_code == 200


def test_who_waits_in_vain_is_refused_as_who_does_not_wait_and_both_are_counted_once(
    fresh: House, http: TestClient
) -> None:
    at_once, after = http.get(PATH), http.get(PATH, params={"wait": 1})
    assert (at_once.status_code, at_once.json()["type"]) == (404, "/problems/no-delivery")
    assert (after.status_code, after.json()) == (404, at_once.json())
    fresh.runtime.refusals.flush(fresh.runtime.database, fresh.clock.now())
    with fresh.runtime.database.reading() as db:
        (counted,) = db.exec(select(RefusalCount)).all()
    assert (counted.reason, counted.participant, counted.number) == ("no-delivery", fresh.cast["pharma"].id, 2)
    assert http.get(PATH, params={"wait": waiting.LONGEST + 1}).status_code == 422


def test_nobody_else_waits_and_who_may_not_call_any_more_is_told_nothing(
    fresh: House, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_without_end(monkeypatch)
    stranger = http.get(PATH, params={"wait": 20}, headers={"X-Caller": "ai_company"})
    assert (stranger.status_code, stranger.json()["type"]) == (404, "/problems/no-such-agreement")

    def shut_out() -> None:
        with fresh.db() as db:
            suspend(db, fresh.cast["operator"].actor, fresh.cast["pharma"].id, "an incident", fresh.clock.now())
        with fresh.db() as db:
            bell.ask(db, topic_of("agr_1"))

    refused = meanwhile(fresh, told(http), shut_out)
    assert (refused.status_code, refused.json()["type"]) == (401, "/problems/participant-suspended")


def test_who_waits_takes_nothing_from_others_and_is_forgotten_when_it_hangs_up(
    fresh: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_without_end(monkeypatch)
    app = app_of(fresh)
    turns, pool = Turns.LOOKS.of(app), fresh.runtime.database.engine.pool
    callers = [name for name in ("pharma", "hospital", "auditor") for _ in range(waiting.OF_ONE)]
    assert len(callers) > turns.total_tokens
    with served(fresh, app) as address, ExitStack() as stack:
        for name in callers:
            connection = stack.enter_context(closing(HTTPConnection(*address)))
            connection.request("GET", f"{PATH}?wait=20", headers={"X-Caller": name})
        wait_until(lambda: listening(fresh) == len(callers) and turns.borrowed_tokens == 0)
        assert pool.checkedout() == 0
        with reading(address, f"{PATH}?wait=20", PHARMA) as answer:
            assert answer.status == 404, "one of a participant too many is answered at once"
        assert listening(fresh) == len(callers)
        stack.close()
        wait_until(lambda: listening(fresh) == 0 and turns.borrowed_tokens == 0)
        assert app.state.waiting._of.total() == 0


def test_the_client_has_the_manifest_as_soon_as_it_is_there(fresh: House, monkeypatch: pytest.MonkeyPatch) -> None:
    url, buyer = fresh.runtime.settings.public_url, fresh.cast["pharma"]
    with in_process(create_app(fresh.runtime), url) as http:
        client = ApiClient(http, url, buyer.id, buyer.key, fresh.clock)
        with pytest.raises(NotInTime, match="within 1 s"):
            wait_for_delivery(client, "agr_1", seconds=1)
        with pytest.raises(ProblemError, match="no agreement"):
            wait_for_delivery(client, "agr_2")
        waits_without_end(monkeypatch)
        manifest = meanwhile(
            fresh, lambda: wait_for_delivery(client, "agr_1", seconds=3600), lambda: prepare(fresh.runtime, "agr_1")
        )
    assert manifest["sha256"] == prepare(fresh.runtime, "agr_1")
