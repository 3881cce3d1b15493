"""The list of a participant's requests: in one order over both its sides, and as cheap however many there were."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import Session, insert, select

from marketplace.negotiation import queries
from marketplace.negotiation.models import AccessRequest
from marketplace.plumbing.paging import NotOnThisList
from tests.house import START, House, open_house
from tests.negotiation.parts import requested
from tests.plans import plans

MANY = 3000


@pytest.fixture
def crowded(tmp_path: Path, either_url: str) -> Iterator[House]:
    """Thousands of requests: in two of three the hospital provides, in the others it buys; two at each moment."""
    with open_house(tmp_path / "house", either_url) as house:
        first = requested(house).model_dump()
        hospital, pharma, other = (house.cast[name].id for name in ("hospital", "pharma", "ai_company"))
        parties = [(pharma, hospital), (other, hospital), (hospital, pharma)]
        rows = [
            first
            | {"id": f"req_{number:05d}", "asked_at": START - timedelta(seconds=number // 2)}
            | dict(zip(("buyer_id", "provider_id"), parties[number % 3], strict=True))
            | {"state": "TERMINATED" if number % 50 else "OFFERED"}
            for number in range(MANY)
        ]
        with house.arrange() as db:
            db.connection().execute(insert(AccessRequest), rows)
        yield house


def read(db: Session, house: House, name: str, state: str | None = None) -> list[AccessRequest]:
    """All of a list, page by page."""
    found: list[AccessRequest] = []
    cursor = None
    while True:
        page = queries.request_page(db, house.cast[name].actor, state, cursor=cursor, limit=400)
        found += page.rows
        if (cursor := page.next) is None:
            return found


def test_both_sides_of_a_party_are_one_list_the_latest_first(crowded: House) -> None:
    with crowded.runtime.database.reading() as db:
        found = read(db, crowded, "hospital")
        assert len(found) == MANY + 1
        assert found == sorted(found, key=lambda one: (one.asked_at, one.id), reverse=True)
        own = crowded.cast["hospital"].id
        every = db.exec(select(AccessRequest)).all()
        assert {one.id for one in found} == {one.id for one in every if own in (one.buyer_id, one.provider_id)}
        offered = [one.id for one in found if one.state == "OFFERED"]
        assert [one.id for one in read(db, crowded, "hospital", "OFFERED")] == offered
        buyer = crowded.cast["ai_company"].id
        assert {one.buyer_id for one in read(db, crowded, "ai_company")} == {buyer}


def test_a_page_begins_behind_any_row_of_the_list_whichever_side_it_is_of(tmp_path: Path, either_url: str) -> None:
    """Four at each moment: bought, sold, of others, and one that is both and on the list once all the same."""
    with open_house(tmp_path / "house", either_url) as house:
        first = requested(house).model_dump()
        hospital, pharma, other = (house.cast[name].id for name in ("hospital", "pharma", "ai_company"))
        parties = [(hospital, pharma), (pharma, hospital), (other, pharma), (hospital, hospital)]
        rows = [
            first
            | {"id": f"req_{number * 7 % 40:05d}", "asked_at": START - timedelta(seconds=number // 4)}
            | dict(zip(("buyer_id", "provider_id"), parties[number % 4], strict=True))
            | {"state": "TERMINATED" if number % 3 else "OFFERED"}
            for number in range(40)
        ]
        with house.arrange() as db:
            db.connection().execute(insert(AccessRequest), rows)
        actor, mine = house.cast["hospital"].actor, [one for one in [first, *rows] if hospital in one.values()]
        order = [one["id"] for one in sorted(mine, key=lambda one: (one["asked_at"], one["id"]), reverse=True)]
        offered = {one["id"] for one in rows if one["state"] == "OFFERED"}
        with house.runtime.database.reading() as db:
            for place, row in enumerate(order, 1):
                for state, behind in (
                    (None, order[place:]),
                    ("OFFERED", [one for one in order[place:] if one in offered]),
                ):
                    page = queries.request_page(db, actor, state, cursor=row, limit=3)
                    assert [one.id for one in page.rows] == behind[:3]
                    assert page.next == (behind[2] if len(behind) > 3 else None)
            stranger = str(rows[2]["id"])
            with pytest.raises(NotOnThisList):
                queries.request_page(db, actor, cursor=stranger, limit=3)


@pytest.mark.parametrize("either_url", ["sqlite"], indirect=True)
def test_a_page_of_the_list_is_read_by_index_in_its_order(crowded: House) -> None:
    database, index = crowded.runtime.database, "SEARCH access_request USING INDEX ix_access_request"
    whole = plans(database, lambda db: read(db, crowded, "hospital"))
    narrowed = plans(database, lambda db: read(db, crowded, "hospital", "OFFERED"))
    first = [f"{index}_buyer_asked (buyer_id=?)", f"{index}_provider_asked (provider_id=?)"]
    assert whole[:2] == narrowed == first
    assert whole[-2:] == [one.replace("=?)", "=? AND (asked_at,id)<(?,?))") for one in first]
