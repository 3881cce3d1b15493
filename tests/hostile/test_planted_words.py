"""Names planted in every text that a caller can send enter no entry, no tile, no process log and no error (T35).

Each field of each valid form is replaced in turn, in three shapes: as people write, as a code, as an id; likewise the
free parts of addresses, query parameters, headers, and the person in the assertion.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlmodel import col, select

from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry, Tile
from marketplace.client.api import ApiClient
from marketplace.main import ROUTERS
from tests.architecture.authorization import ROWS
from tests.hostile import forms, knocking
from tests.hostile.knocking import Operation, Snapshot, knock, operations
from tests.hostile.story import AGREEMENT_STATES, Story, open_story, roll_agreement

SHAPES = ("Zhang Wei 张伟", "zhang_wei", "prt_zhangwei")
PERSON = "Zhang Wei, ward 7"
ACTING = ("owner", "buyer", "registrar", "operator")
PLANTED = re.compile(r"zhang.?wei|张伟|\\u5f20\\u4f1f", re.IGNORECASE)
# Organisations and their components stand in clear in entries: their names are no person's.
ORGANISATIONS = {("admit_participant", "legal_name"), ("admit_participant", "legal_name_en")}
ORGANISATIONS |= {("register_connector", one) for one in ("identifier", "software", "software_version")}
# A batch label and a query parameter may be anything of these forms.
IN_ADDRESSES = {"batch": "zhang_wei", "path": "zhang_wei.dcm"}
QUERIES = ("purpose", "action", "q", "search", "cursor", "actor", "asset", "agreement", "date", "sha256", "entry")


def _operations() -> dict[str, Operation]:
    app = FastAPI()
    for routes in ROUTERS:
        app.include_router(routes)
    return {one.name: one for one in operations(app.openapi()) if one.tag != "console"}


OPERATIONS = _operations()


def planted(value: Any, shape: str, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every way to put the shape in the place of one text."""
    match value:
        case str():
            yield at, shape
        case dict():
            for name, inner in value.items():
                for place, changed in planted(inner, shape, (*at, str(name))):
                    yield place, value | {name: changed}
        case list():
            for index, inner in enumerate(value):
                for place, changed in planted(inner, shape, (*at, str(index))):
                    yield place, [*value[:index], changed, *value[index + 1 :]]


class Watch:
    """Reads what was written since the last look."""

    def __init__(self, story: Story) -> None:
        self._story, self.seen, self.errors, self.accepted = story, 0, 0, 0
        self.hits: list[str] = []

    def look(self, answer: Any, what: str) -> None:
        if answer.status_code >= 400:
            self.errors += 1
            if PLANTED.search(answer.text):
                self.hits.append(f"{what}: error answer {answer.text[:300]}")
        else:
            self.accepted += 1
        for header in ("receipt", "location", "content-disposition"):
            if PLANTED.search(answer.headers.get(header, "")):
                self.hits.append(f"{what}: header {header}")
        self.read(what)

    def read(self, what: str) -> None:
        with self._story.house.runtime.database.reading() as db:
            bodies = db.exec(select(Entry.body).order_by(col(Entry.id).desc()).limit(40)).all()
        self.seen += len(bodies)
        self.hits += [f"{what}: entry {body.decode()[:400]}" for body in bodies if PLANTED.search(body.decode())]


def test_no_planted_name_leaves_through_log_errors_or_receipts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_story(tmp_path / "house") as story:
        for state in AGREEMENT_STATES[1:3]:
            roll_agreement(story, state)
        for identity in ACTING:
            story.clients[identity] = acting = _acting(story, identity)
            acting.get("/v1/assets")
        watch, snapshot = Watch(story), Snapshot(story, tmp_path)
        for name, operation in OPERATIONS.items():
            for what, answer in _attempts(story, operation, monkeypatch):
                watch.look(answer, f"{name} {what}")
                if answer.is_success and operation.method != "GET":
                    snapshot.restore()
        with story.house.runtime.database.reading() as db:
            tiles = b"".join(db.exec(select(Tile.hashes)).all())
    said = capfd.readouterr()

    assert sorted(set(watch.hits)) == []
    assert not PLANTED.search(said.out + said.err)
    assert not PLANTED.search(tiles.decode("latin-1"))
    # The attempts reached both sides of every door, so that the search was over something.
    assert watch.accepted > 60
    assert watch.errors > 300


def test_a_planted_name_in_an_entry_would_be_found(tmp_path: Path) -> None:
    with open_story(tmp_path / "house") as story:
        with story.house.db() as db:
            actor = replace(story.house.cast["hospital"].actor)
            record(db, actor, Tag.ASSET_REGISTERED, story.house.clock.now(), facts={"name": SHAPES[0]})
        watch = Watch(story)
        watch.read("planted")
        assert len(watch.hits) == 1


def _acting(story: Story, identity: str) -> ApiClient:
    old = story.clients[identity]
    assert old is not None
    base = story.house.runtime.settings.public_url
    return ApiClient(story.http, base, old.participant_id, old.key, story.house.clock, person=PERSON)


def _attempts(story: Story, operation: Operation, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any]]:
    """Every planted request to an operation, by one who is let in (and by a stranger)."""
    row = ROWS[operation.name]
    let_in = [one for one in (*ACTING, *sorted(row.let_in)) if one in row.let_in or row.public]
    inside, outside = (let_in or ["owner"])[0], "other_provider"
    for shape in SHAPES:
        yield from _in_forms(story, operation, inside, shape, monkeypatch)
    yield from _in_forms(story, operation, outside, SHAPES[0], monkeypatch)
    yield from _in_addresses(story, operation, inside, monkeypatch)


def _in_forms(
    story: Story, operation: Operation, caller: str, shape: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Any]]:
    form = forms.FORMS.get(operation.name)
    valid = form(story, caller) if form is not None else None
    if not isinstance(valid, dict):
        return
    for place, changed in planted(copy.deepcopy(valid), shape):
        if (operation.name, place[0]) in ORGANISATIONS:
            continue
        with monkeypatch.context() as patched:
            patched.setitem(knocking.FORMS, operation.name, lambda story, identity, sent=changed: sent)
            yield f"{'.'.join(place)}={shape}", knock(story, caller, operation)


def _in_addresses(
    story: Story, operation: Operation, caller: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Any]]:
    for parameter in sorted(set(operation.parameters) & set(IN_ADDRESSES)):
        with monkeypatch.context() as patched:
            patched.setitem(story.ids, parameter, IN_ADDRESSES[parameter])
            yield f"/{parameter}", knock(story, caller, operation)
    if operation.method == "GET":
        for parameter in QUERIES:
            asked = knocking.QUERIES.get(operation.name, {}) | {parameter: SHAPES[0]}
            with monkeypatch.context() as patched:
                patched.setitem(knocking.QUERIES, operation.name, asked)
                yield f"?{parameter}", knock(story, caller, operation)
