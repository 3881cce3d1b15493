"""Uses that differ from what was fixed when they were opened, and stops of which nobody was told, are named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlmodel import text

from marketplace.audit.entry import Tag, record
from marketplace.transfer.recheck import TOLD_WITHIN, recheck
from tests.house import House
from tests.transfer.stopping import WHY, a_prepared_delivery, calling, post, running, settle, transfers


@pytest.fixture
def ready(house: House) -> House:
    return a_prepared_delivery(house)


@pytest.fixture
def client(ready: House) -> Iterator[TestClient]:
    with calling(ready) as opened:
        yield opened


def found(house: House, table: str) -> list[tuple[str, str]]:
    with house.runtime.database.reading() as db:
        return [(one.key, one.detail) for one in recheck(db) if one.table == table]


def change(house: House, statement: str) -> None:
    with house.runtime.database.engine.begin() as connection:
        assert connection.execute(text(statement)).rowcount


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("subjects", "'[]'"),
        ("size", "size + 1"),
        ("key", "'another'"),
        ("path", "'another'"),
        ("opened_at", "'2026-01-01 00:00:00.000000'"),
        ("lease_until", "'2099-01-01 00:00:00.000000'"),
        ("closed_at", "'2026-09-01 01:00:00.000000'"),
    ],
)
def test_what_was_fixed_at_opening_is_compared(ready: House, client: TestClient, column: str, value: str) -> None:
    running(ready)
    (opened,) = transfers(ready)
    assert found(ready, "transfer") == []
    change(ready, f"UPDATE transfer SET {column} = {value}")
    name = "path_sha256" if column == "path" else column
    assert found(ready, "transfer") == [(opened.id, f"column `{name}` differs")]


def test_a_use_that_nobody_can_read_any_more_is_named(ready: House, client: TestClient) -> None:
    running(ready)
    (opened,) = transfers(ready)
    change(ready, "UPDATE transfer SET subjects = '{broken'")
    assert found(ready, "transfer") == [(opened.id, "the row holds what its columns cannot hold")]


def test_a_stop_of_which_nobody_was_told_is_named(ready: House, client: TestClient) -> None:
    running(ready)
    assert post(client, "hospital", "/v1/agreements/agr_1/termination", WHY).status_code == 200
    assert found(ready, "stop_notice") == []
    ready.clock.advance(TOLD_WITHIN + timedelta(seconds=1))
    with ready.db() as db:
        record(db, ready.cast["operator"].actor, Tag.LOG_EXPORTED, ready.clock.now())
    assert len(found(ready, "stop_notice")) == 1
    settle(ready)
    assert found(ready, "stop_notice") == []
    assert found(ready, "transfer") == []


def test_a_stop_whose_work_was_deleted_is_named_at_once(ready: House, client: TestClient) -> None:
    running(ready)
    assert post(client, "hospital", "/v1/agreements/agr_1/termination", WHY).status_code == 200
    change(ready, "DELETE FROM outbox WHERE task = 'transfer.notify_stop'")
    ((key, detail),) = found(ready, "stop_notice")
    assert key.startswith("agr_1/ent_")
    assert detail == "the parties of agr_1 were not told of this stop"
