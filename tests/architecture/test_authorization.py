"""Object-level authorisation as a matrix of operations, identities and agreement states (G18; T1, T4, T33).

Generated from the application's own OpenAPI document: an operation without a row in `authorization.py` fails, and so
does a row without an operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI

from marketplace import openapi
from marketplace.main import ROUTERS
from tests.architecture.authorization import BY_STATE, KNOWN, ROWS, Row
from tests.hostile.knocking import Operation, Snapshot, knock, operations
from tests.hostile.story import AGREEMENT_STATES, IDENTITIES, MARKERS, Story, open_story, roll_agreement

# Refusals that a caller who is let in may meet because of the state of things, never because of who it is.
OF_THE_THING = frozenset({400, 409, 412, 416, 422, 428, 503})
# The log's own processes and the connectors of others do not run in these tests.
NOT_THERE = frozenset({"log-silent", "outgoing-failed"})
# "It is not there yet", to somebody who may see that: told apart by the problem's own name.
NOT_THERE_YET = frozenset(
    {
        "no-acceptance-rule", "no-answer-rule", "no-bundle", "no-delivery", "no-notice-address", "no-such-checkpoint",
        "no-such-declaration", "no-such-file", "no-such-job", "not-sealed", "nothing-arrived",
    }
)  # fmt: skip


def _document() -> dict[str, Any]:
    app = FastAPI()
    for routes in ROUTERS:
        app.include_router(routes)
    return app.openapi()


OPERATIONS = {one.name: one for one in operations(_document()) if one.tag != "console"}
ON_AGREEMENTS = [name for name, one in OPERATIONS.items() if "agreement_id" in one.parameters]
HIDDEN = [name for name, row in ROWS.items() if row.others == 404 and not row.public and row.let_in != KNOWN]


@dataclass
class World:
    """The story and its database in every agreement state."""

    story: Story
    states: dict[str, Snapshot]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("matrix")
    with open_story(folder / "house") as story:
        states = {}
        for state in AGREEMENT_STATES:
            if state in ("expired", "superseded"):
                states["finalized"].restore()
            if state != AGREEMENT_STATES[0]:
                roll_agreement(story, state)
            states[state] = Snapshot(story, folder)
        yield World(story, states)


def ask(world: World, state: str, identity: str, operation: Operation) -> Any:
    """The answer, after which the world is as it was; no answer may hold what its reader must not see."""
    answer = knock(world.story, identity, operation)
    if operation.method != "GET" and answer.is_success:
        world.states[state].restore()
    for marker, readers in MARKERS.items():
        if identity not in readers:
            assert marker not in answer.text, f"{identity} sees {marker} in {operation.name}"
    return answer


def wrong(answer: Any, identity: str, row: Row, *, in_state: bool = True) -> str:
    """What is wrong with an answer; empty when it is as the row says."""
    status, slug = answer.status_code, _slug(answer)
    expected = row.refusal(identity)
    if identity == "auditor" and expected is not None and answer.request.method != "GET":
        expected = 403  # who only reads is refused before anything is looked up
    if status >= 500 and slug not in NOT_THERE:
        return f"{identity}: {status} {slug}"
    if expected == BY_STATE or (expected is None and not in_state):
        return "" if status in {403, 404, 409} else f"{identity}: expected a refusal by state, got {status} {slug}"
    if expected is not None:
        return "" if status == expected else f"{identity}: expected {expected}, got {status} {slug}"
    let_in = answer.is_success or status in OF_THE_THING or slug in NOT_THERE_YET
    return "" if let_in else f"{identity}: expected to be let in, got {status} {slug}"


def _slug(answer: Any) -> str:
    if answer.headers.get("content-type") != "application/problem+json":
        return ""
    return str(answer.json()["type"]).rpartition("/")[2]


def test_every_operation_has_a_row_and_every_row_an_operation() -> None:
    assert sorted(set(OPERATIONS) - set(ROWS)) == [], "say in authorization.py who may"
    assert sorted(set(ROWS) - set(OPERATIONS)) == []
    assert len(IDENTITIES) >= 8
    assert len(AGREEMENT_STATES) >= 6
    assert len(OPERATIONS) * len(IDENTITIES) > 1500


def test_what_the_document_calls_public_is_what_the_table_calls_public() -> None:
    assert {name for name, row in ROWS.items() if row.public} == openapi.PUBLIC


def test_nobody_is_refused_and_let_in_at_once() -> None:
    for name, row in ROWS.items():
        assert row.let_in <= KNOWN, name
        assert not row.let_in & set(row.also), name
        assert row.public or row.let_in, f"{name} is for nobody"


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) & set(ROWS)))
def test_an_operation_is_for_those_whom_its_row_names(world: World, name: str) -> None:
    state, row, operation = "finalized", ROWS[name], OPERATIONS[name]
    world.states[state].restore()
    answers = {identity: ask(world, state, identity, operation) for identity in IDENTITIES}
    in_state = row.states is None or state in row.states
    assert [said for who, answer in answers.items() if (said := wrong(answer, who, row, in_state=in_state))] == []
    if row.public:
        assert len({answer.status_code for answer in answers.values()}) == 1
    elif operation.method == "GET" and name != "get_notice_address":
        assert any(answers[who].is_success or _slug(answers[who]) in NOT_THERE_YET for who in row.let_in)


@pytest.mark.parametrize("state", AGREEMENT_STATES)
def test_the_rights_on_an_agreement_hold_in_each_of_its_states(world: World, state: str) -> None:
    world.states[state].restore()
    found = []
    for name in ON_AGREEMENTS:
        row = ROWS[name]
        for identity in IDENTITIES:
            answer = ask(world, state, identity, OPERATIONS[name])
            said = wrong(answer, identity, row, in_state=row.states is None or state in row.states)
            found += [f"{name}: {said}"] if said else []
    assert found == []


def _may_see(parameters: list[str]) -> set[str]:
    """Who may know of the objects of some parameters, by any operation."""
    rows = [ROWS[name] for name, one in OPERATIONS.items() if set(one.parameters) & set(parameters) and name in HIDDEN]
    return {identity for row in rows for identity in (*row.let_in, *row.also)}


@pytest.mark.parametrize("name", sorted(set(HIDDEN) & set(OPERATIONS)))
def test_what_is_hidden_looks_like_what_is_not_there(world: World, name: str) -> None:
    """Whoever is not let in cannot tell an object of others from none at all."""
    operation, story = OPERATIONS[name], world.story
    parameter = next((one for one in operation.parameters if one != "batch"), None)
    if parameter is None:
        return
    world.states["finalized"].restore()
    real = story.id(name, parameter)
    unreal = re.sub(r"[0-9a-f]{12}$", "0" * 12, real) if re.search(r"[0-9a-f]{12}$", real) else real + "0"
    kept = dict(story.ids)
    for identity in sorted(KNOWN - _may_see(operation.parameters)):
        hidden = ask(world, "finalized", identity, operation)
        story.ids[f"{name}.{parameter}"] = unreal
        absent = ask(world, "finalized", identity, operation)
        story.ids.clear()
        story.ids.update(kept)
        same = [one.text.replace(real, "ID").replace(unreal, "ID") for one in (hidden, absent)]
        assert same[0] == same[1], f"{identity} can tell that {name} has this object"
