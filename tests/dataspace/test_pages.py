"""The list of a participant's exchanges: a page of it costs the same however many there were."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel import Session, insert

from marketplace.dataspace import queries
from marketplace.dataspace.models import Exchange
from tests.dataspace.peer import speaking
from tests.house import START, House
from tests.plans import plans

MANY = 3000


def crowd(house: House, connector: str) -> None:
    """Thousands of exchanges of two participants, two at each moment."""
    same = {"protocol": "negotiation", "connector_id": connector, "side": "consumer", "address": "", "subject": "x"}
    rows = [
        same
        | {"id": f"exc_{number:05d}", "participant_id": house.cast[("pharma", "hospital")[number % 3 == 0]].id}
        | {"opened_at": START - timedelta(seconds=number // 2), "moved_at": START}
        | {"state": "TERMINATED" if number % 50 else "OFFERED"}
        for number in range(MANY)
    ]
    with house.arrange() as db:
        db.connection().execute(insert(Exchange), rows)


def read(db: Session, house: House, state: str | None = None) -> list[Exchange]:
    """All of the buyer's list, page by page."""
    found: list[Exchange] = []
    cursor = None
    while True:
        page = queries.exchanges_of(db, house.cast["pharma"].actor, state, cursor=cursor, limit=400)
        found += page.rows
        if (cursor := page.next) is None:
            return found


def test_a_page_of_the_list_is_read_by_index_in_its_order(house: House) -> None:
    with speaking(house, party="hospital", hosted="pharma") as peer:
        crowd(house, peer.connector.id)
    with house.runtime.database.reading() as db:
        found = read(db, house)
        assert len(found) == MANY * 2 // 3
        assert found == sorted(found, key=lambda one: (one.opened_at, one.id), reverse=True)
        offered = [one for one in found if one.state == "OFFERED"]
        assert read(db, house, "OFFERED") == offered
    index = "SEARCH dataspace_exchange USING INDEX ix_dataspace_exchange_participant_opened"
    first, _row_of_cursor, second, *_ = plans(house.runtime.database, lambda db: read(db, house))
    assert first == f"{index} (participant_id=?)"
    assert second == f"{index} (participant_id=? AND (opened_at,id)<(?,?))"
    (narrowed,) = plans(house.runtime.database, lambda db: read(db, house, "OFFERED"))
    assert narrowed == f"{index} (participant_id=?)"
