"""The auditor reads everything that is evidence and changes nothing, whatever routes are added later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from sqlmodel import SQLModel, col, func, select

from marketplace.audit.models import Entry
from marketplace.main import ROUTERS
from tests.hostile.knocking import Operation, knock, operations
from tests.hostile.story import Story, open_story

# Open to a role that only reads: they change nothing but the log, or the auditor's own keys and persons.
LOGGED = {"export_log", "report_disclosures"}
OWN = {"register_key", "revoke_key", "erase_person"}
WITHOUT_CALLER = {"issue_token"}
# What the log itself needs; everything else is the domain.
OF_THE_LOG = {"entry", "log_tile", "log_checkpoint", "idempotency", "seen_token", "refusal_count"}


def _operations() -> list[Operation]:
    app = FastAPI()
    for routes in ROUTERS:
        app.include_router(routes)
    return [one for one in operations(app.openapi()) if one.tag != "console"]


CHANGING = {one.name: one for one in _operations() if one.method not in {"GET", "HEAD"}}
READING = {one.name: one for one in _operations() if one.method == "GET"}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with open_story(tmp_path_factory.mktemp("auditor") / "house") as opened:
        yield opened


def domain(story: Story) -> dict[str, list[Any]]:
    """Every row of the domain."""
    with story.house.runtime.database.engine.connect() as connection:
        return {
            name: sorted(map(repr, connection.execute(table.select())))
            for name, table in SQLModel.metadata.tables.items()
            if name not in OF_THE_LOG
        }


def count(story: Story, tag: str) -> int:
    with story.house.runtime.database.reading() as db:
        return db.exec(select(func.count()).select_from(Entry).where(col(Entry.tag) == tag)).one()


@pytest.mark.parametrize("name", sorted(set(CHANGING) - LOGGED - OWN - WITHOUT_CALLER))
def test_a_verb_that_changes_something_refuses_the_auditor_on_record(story: Story, name: str) -> None:
    before, refusals = domain(story), count(story, "edge:refused")
    answer = knock(story, "auditor", CHANGING[name])
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/read-only-role")
    assert domain(story) == before
    assert count(story, "edge:refused") == refusals + 1


@pytest.mark.parametrize("name", sorted(LOGGED))
def test_exports_and_reports_change_nothing_but_the_log(story: Story, name: str) -> None:
    before = domain(story)
    answer = knock(story, "auditor", CHANGING[name])
    # Nothing is cosigned in this house, so some answer that there is no log to prove with.
    assert answer.status_code in {200, 404, 503}, answer.text
    assert domain(story) == before


@pytest.mark.parametrize("name", sorted(OWN))
def test_of_others_keys_and_persons_the_auditor_changes_nothing(story: Story, name: str) -> None:
    before = domain(story)
    assert knock(story, "auditor", CHANGING[name]).status_code == 403
    assert domain(story) == before


@pytest.mark.parametrize("name", sorted(READING))
def test_reading_changes_nothing_but_the_log(story: Story, name: str) -> None:
    before = domain(story)
    knock(story, "auditor", READING[name])
    assert domain(story) == before


@pytest.mark.parametrize("name", ["download_data", "download_file"])
def test_the_auditor_cannot_fetch_data(story: Story, name: str) -> None:
    assert knock(story, "auditor", READING[name]).status_code == 403


def test_the_auditor_sees_the_entries_of_all_participants(story: Story) -> None:
    client = story.clients["auditor"]
    assert client is not None
    hospital = story.house.cast["hospital"].id
    seen = {one["actor"] for one in client.get("/v1/entries", {"limit": 500})["items"]}
    assert {hospital, story.house.cast["pharma"].id, story.house.cast["law_firm"].id} <= seen
    found = client.get("/v1/entries", {"q": f"actor:{hospital} action:asset:"})["items"]
    assert {(one["actor"], one["tag"].partition(":")[0]) for one in found} == {(hospital, "asset")}
