"""The long poll of a participant's negotiations: systems of its people, and machines, are told that somebody moved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from typer.testing import CliRunner

from marketplace.cli import app as command_line
from marketplace.client import lists
from marketplace.client.api import ApiClient, in_process
from marketplace.client.lists import NotInTime, items, wait_for
from marketplace.client.problem import ProblemError
from marketplace.commands import negotiating
from marketplace.main import create_app
from marketplace.plumbing import waiting
from tests.exchange.parts import listed
from tests.house import House
from tests.negotiation.parts import approve, requested, sign
from tests.waiters import meanwhile, waits_without_end

REQUESTS = "/v1/requests"


@pytest.fixture
def clients(house: House) -> Iterator[dict[str, ApiClient]]:
    url = house.runtime.settings.public_url
    with in_process(create_app(house.runtime), url) as http:
        yield {name: ApiClient(http, url, one.id, one.key, house.clock) for name, one in house.cast.items()}


def test_both_parties_are_told_of_each_move_and_nobody_else(
    house: House, clients: dict[str, ApiClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_without_end(monkeypatch)
    buyer, provider, listing = clients["pharma"], clients["hospital"], listed(house)
    page, held = provider.get_again(REQUESTS, {"wait": 20}, None)
    assert page == {"items": [], "next": None}, "who holds nothing does not wait"

    def told() -> Any:
        return provider.get_again(REQUESTS, {"wait": 20}, held)[0]

    (first,) = meanwhile(house, told, lambda: requested(house, listing))["items"]
    assert (first["state"], first["round"], first["next"]) == ("REQUESTED", 1, "provider")
    path = f"{REQUESTS}/{first['id']}"
    assert provider.get(path) == first, "one by itself is as it stands on the list"

    def moved(state: str) -> Callable[[], Any]:
        return lambda: wait_for(buyer, path, lambda found: found["state"] == state, seconds=3600)

    request = requested(house, listing)
    made: list[Any] = []
    monkeypatch.setattr(negotiating, "client_of", lambda *_: nullcontext(buyer))
    typed = ["request", "wait", first["id"], "--as", "x", "--json"]
    shown = meanwhile(
        house, lambda: CliRunner().invoke(command_line, typed), lambda: made.append(approve(house, request))
    )
    offered = json.loads(shown.output)
    assert (offered["state"], offered["agreement_id"]) == ("OFFERED", made[0].id)
    for name, state in (("pharma", "ACCEPTED"), ("hospital", "FINALIZED")):
        signed = meanwhile(house, moved(state), lambda: sign(house, made[0], name))  # noqa: B023 - is over in the turn
        assert signed["state"] == state
    with pytest.raises(ProblemError, match="no access request"):
        clients["ai_company"].get_again(path, {"wait": 20}, "*")
    assert house.runtime.database.bell._parts == []


class Pauses:
    """A clock that moves only while the client sleeps, and what is done meanwhile."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.taken: list[float] = []
        self._acts = list(acts)

    def monotonic(self) -> float:
        return sum(self.taken)

    def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)
        if self._acts:
            self._acts.pop(0)()


def test_who_waits_in_vain_is_told_so_and_asks_ever_more_seldom(
    house: House, clients: dict[str, ApiClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, pauses = f"{REQUESTS}/{requested(house).id}", Pauses()
    monkeypatch.setattr(waiting, "OF_ONE", 0)
    monkeypatch.setattr(lists, "time", pauses)
    with pytest.raises(NotInTime, match="within 20 s"):
        wait_for(clients["pharma"], path, lambda _found: False, seconds=20)
    assert pauses.taken == [1, 2, 4, 5, 5, 3]


def test_what_has_no_etag_is_asked_for_again_after_a_pause(
    house: House, clients: dict[str, ApiClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer, agreement = clients["pharma"], approve(house, requested(house))
    path = f"/v1/agreements/{agreement.id}"
    assert buyer.get_again(path, {"wait": 20}, None)[1] is None
    pauses = Pauses(lambda: sign(house, agreement, "pharma"), lambda: sign(house, agreement, "hospital"))
    monkeypatch.setattr(lists, "time", pauses)
    states: list[str] = []

    def in_force(found: Any) -> bool:
        states.append(found["state"])
        assert len(states) == len(pauses.taken) + 1, "a pause lies before each further question"
        return states[-1] == "finalized"

    assert wait_for(buyer, path, in_force, seconds=60)["id"] == agreement.id
    assert (states, pauses.taken) == (["drafted", "drafted", "finalized"], [1, 2])


def test_a_list_of_negotiations_is_read_page_by_page_and_by_state(house: House, clients: dict[str, ApiClient]) -> None:
    listing, provider = listed(house), clients["hospital"]
    asked = [requested(house, listing, justification=f"study {number}") for number in range(5)]
    latest = sorted((one.id for one in asked), reverse=True)
    pages = provider.get(REQUESTS, {"limit": 2})
    assert ([one["id"] for one in pages["items"]], pages["next"]) == (latest[:2], latest[1])
    assert [one["id"] for one in items(provider, REQUESTS, {"limit": 2})] == latest

    approve(house, next(one for one in asked if one.id == latest[1]))
    more = provider.get(REQUESTS, {"limit": 2, "state": "REQUESTED", "cursor": pages["next"]})
    assert [one["id"] for one in more["items"]] == latest[2:4], "the row of the cursor has left the list meanwhile"
    assert [one["id"] for one in items(provider, REQUESTS, {"state": "OFFERED"})] == [latest[1]]
    for name, cursor in (("hospital", "req_none"), ("ai_company", latest[1])):
        with pytest.raises(ProblemError, match="not made by this list") as refused:
            clients[name].get(REQUESTS, {"cursor": cursor})
        assert refused.value.status == 422
