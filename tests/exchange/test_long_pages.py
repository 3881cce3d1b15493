"""A long page is the short ones joined, shows one state of the catalogue, and is never held as a whole."""

from __future__ import annotations

from dataclasses import replace
from time import sleep

import pytest
from fastapi.testclient import TestClient
from rdflib.compare import isomorphic

from marketplace.exchange import catalogue, queries, service
from marketplace.exchange.catalogue import MAX_PAGE, Wanted, page_after, parts, visible
from marketplace.exchange.models import Listing
from marketplace.exchange.schemas import CatalogueOut
from marketplace.main import create_app
from marketplace.plumbing import pieces
from tests.benchmarks.listings import fill
from tests.exchange.dcat.validating import read
from tests.exchange.parts import WHY, listed
from tests.exchange.test_revision import CATALOGUE, client
from tests.house import House
from tests.transfer.doors import reading, rest_of, served

MANY = 3 * MAX_PAGE
"""One in ten of these is hidden, so that the last part is a short one."""


def test_a_long_page_says_what_the_short_ones_say(house: House) -> None:
    fill(house, MANY)
    http = client(house)
    items, cursor = [], ""
    while cursor is not None:
        page = http.get(CATALOGUE, params={"limit": MAX_PAGE} | ({"cursor": cursor} if cursor else {})).json()
        items, cursor = items + page["items"], page["next_cursor"]
    assert len(items) == MANY * 9 // 10
    answer = http.get(CATALOGUE, params={"limit": MANY})
    assert answer.content == CatalogueOut(items=items, next_cursor=None).model_dump_json().encode()
    assert "content-length" not in answer.headers
    held = {"If-None-Match": answer.headers["etag"]}
    assert http.get(CATALOGUE, params={"limit": MANY}, headers=held).status_code == 304
    begun = http.get(CATALOGUE, params={"limit": MAX_PAGE + 50}).json()
    rest = http.get(CATALOGUE, params={"limit": MANY, "cursor": begun["next_cursor"]}).json()
    assert [*begun["items"], *rest["items"]] == items
    assert rest["next_cursor"] is None
    _is_one_state_and_never_whole(house)
    _is_refused_before_the_first_byte(http)
    _is_cut_where_nobody_takes_it(house)


def _is_one_state_and_never_whole(house: House) -> None:
    """Whatever the length of a page, the rows of one part are there, and what changes meanwhile is not seen."""
    now, seen, most = house.clock.now(), list[str](), 0
    with house.runtime.database.reading() as db:
        last = visible(db, now, limit=1, cursor=page_after(db, now, Wanted(), limit=MANY * 9 // 10 - 1)).rows[0].listing
    with house.runtime.database.reading() as db:
        for part in parts(db, now, Wanted(), limit=MANY):
            if not seen:
                with house.db() as other:
                    service.suspend(other, house.cast["exchange"].actor, queries.listing(other, last.id), WHY, now)
            seen += [row.listing.id for row in part.rows]
            most = max(most, sum(isinstance(one, Listing) for one in db.identity_map.values()))
    assert seen[-1] == last.id
    assert most <= 2 * MAX_PAGE < len(seen)


def _is_refused_before_the_first_byte(http: TestClient) -> None:
    readers = [f"prt_{number}" for number in range(pieces.AT_ONCE)]
    for who in readers:
        pieces.PLACES.take(who)
    try:
        refused = http.get(CATALOGUE, params={"limit": MANY})
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/too-many-long-answers")
        assert http.get(CATALOGUE, params={"limit": MAX_PAGE}).status_code == 200
    finally:
        for who in readers:
            pieces.PLACES.give_back(who)
    for bad in ({"cursor": "AA"}, {"purpose": "duo:ZZ"}):
        assert http.get(CATALOGUE, params={"limit": MANY, **bad}).status_code == 422
    for held, status in ((b"*", 304), (b" *\t", 304), (b"*\xa0", 200)):  # a server leaves the last one as it is
        assert http.get(CATALOGUE, params={"limit": MANY}, headers={b"If-None-Match": held}).status_code == status
    assert pieces.PLACES.free == pieces.AT_ONCE, "what is held is not begun"
    assert http.get(CATALOGUE, params={"limit": MANY}).status_code == 200, "a refusal keeps no place"


def _is_cut_where_nobody_takes_it(house: House) -> None:
    settings = house.runtime.settings.model_copy(update={"answer_seconds": 1, "send_buffer_kib": 16})
    house = replace(house, runtime=replace(house.runtime, settings=settings))
    asked = f"{CATALOGUE}?limit={MANY}"
    with served(house, create_app(house.runtime)) as address, reading(address, asked, {}) as answer:
        while pieces.PLACES.free < pieces.AT_ONCE:  # the answer runs until its time is over
            sleep(0.02)
        begun, cut = rest_of(answer)
    assert begun.startswith(b'{"items":[{')
    assert cut, "a part never looks like the whole"


def test_a_description_in_parts_is_the_same_graph(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(house, 12)
    http = client(house)
    whole = [http.get("/v1/dcat", params={"format": form, "limit": 10}).text for form in ("jsonld", "turtle")]
    monkeypatch.setattr(catalogue, "MAX_PAGE", 4)
    monkeypatch.setattr("marketplace.exchange.dcat.routes.MAX_PAGE", 4)
    parted = [http.get("/v1/dcat", params={"format": form, "limit": 10}).text for form in ("jsonld", "turtle")]
    assert parted[0] != whole[0], "what several listings share is said in each part"
    for before, after, form in zip(whole, parted, ("json-ld", "turtle"), strict=True):
        assert isomorphic(read(before, form), read(after, form))


def test_the_cursor_of_the_next_page_is_known_before_the_page(house: House) -> None:
    for days in (10, 20, 30):
        listed(house, None, term_days=days)
    now = house.clock.now()
    with house.runtime.database.reading() as db:
        for limit in (1, 2, 3, 4):
            page = visible(db, now, Wanted(text="CT"), limit=limit)
            assert page_after(db, now, Wanted(text="CT"), limit=limit) == page.next_cursor
            assert (page.next_cursor is None) is (limit >= 3)
        assert page_after(db, now, Wanted(text="?!")) is None
