"""The public notices that run are read page by page, however many have ended or are yet to begin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import insert, select

from marketplace.plumbing.paging import NotOnThisList
from marketplace.registration import queries
from marketplace.registration.models import Application
from marketplace.registration.queries import NoSuchApplication
from marketplace.registration.rules import State
from tests.house import House, open_house
from tests.plans import walks
from tests.registration.parts import noticed

MANY = 3000
LIMIT = 100
STATES = [State.NOTICED, State.OBJECTED, State.NOTICED, State.ACCEPTED, State.CERTIFIED]


@pytest.fixture
def crowded(tmp_path: Path, either_url: str) -> Iterator[House]:
    """Of five applications two are under notice, four in all to each moment; one was, one is not yet, one is done."""
    with open_house(tmp_path / "house", either_url) as house:
        first = noticed(house).model_dump()
        now = house.clock.now()
        ends = [
            {"notice_until": now + timedelta(seconds=number // 5 // 2 + 1) * (-1 if number % 5 == 2 else 1)}
            if STATES[number % 5] != State.ACCEPTED
            else {"notice_from": None, "notice_until": None}
            for number in range(MANY)
        ]
        rows = [
            first | {"id": f"app_{number * 7 % MANY:05d}", "state": str(STATES[number % 5])} | ends[number]
            for number in range(MANY)
        ]
        with house.arrange() as db:
            db.connection().execute(insert(Application), rows)
            db.connection().execute(text("ANALYZE"))
        yield house


def _running(house: House) -> list[str]:
    now = house.clock.now()
    with house.runtime.database.reading() as db:
        every = [one for one in db.exec(select(Application)) if one.notice_until is not None]
    running = [one for one in every if one.state in {"noticed", "objected"} and (one.notice_until or now) > now]
    return [one.id for one in sorted(running, key=lambda one: (one.notice_until, one.id))]


def _pages(house: House, **asked: Any) -> Iterator[list[str]]:
    """Ids by page; each page is read when it is asked for."""
    cursor = None
    while True:
        with house.runtime.database.reading() as db:
            page = queries.running_notices(db, house.clock.now(), cursor=cursor, limit=LIMIT, **asked)
        yield [one.id for one in page.rows]
        if (cursor := page.next) is None:
            return


def test_the_list_is_of_those_that_run_and_the_first_to_end_comes_first(crowded: House) -> None:
    found = [one for page in _pages(crowded) for one in page]
    assert found == _running(crowded)
    assert len(found) == 2 * MANY // 5 + 1


def test_a_notice_that_ends_while_the_list_is_read_hides_none_that_runs_on(crowded: House) -> None:
    pages = _pages(crowded)
    read = next(pages)
    crowded.clock.advance(timedelta(seconds=LIMIT))  # past the end of the last one read
    left = _running(crowded)
    assert read[-1] not in left
    assert [one for page in pages for one in page] == left


def test_a_page_is_read_by_the_index_of_the_ends(crowded: House) -> None:
    database, now = crowded.runtime.database, crowded.clock.now()
    asked = partial(queries.running_notices, now=now, limit=20)
    with database.reading() as db:
        cursor = asked(db).next
    assert walks(database, asked) == ["ix_application_notice_until behind"]
    assert walks(database, partial(asked, cursor=cursor))[-1] == "ix_application_notice_until behind"


def test_a_page_begins_behind_no_application_that_was_never_under_notice(crowded: House) -> None:
    with crowded.runtime.database.reading() as db:
        accepted = select(Application.id).where(Application.state == State.ACCEPTED)
        for elsewhere in (db.exec(accepted).first(), "app_none"):
            with pytest.raises(NotOnThisList):
                queries.running_notices(db, crowded.clock.now(), cursor=elsewhere)


def test_only_what_is_under_notice_now_is_objected_to(crowded: House) -> None:
    with crowded.runtime.database.reading() as db:
        now, running = crowded.clock.now(), set(_running(crowded))
        for one in db.exec(select(Application).limit(50)):
            if one.id in running:
                assert queries.noticed_application(db, one.id, now) == one
            else:
                with pytest.raises(NoSuchApplication):
                    queries.noticed_application(db, one.id, now)
