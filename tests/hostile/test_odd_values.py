"""Odd texts and numbers in every form and address are answered, never a fault of ours, on both databases.

NUL is refused at the edge, because PostgreSQL has no text with it, SQLite has, and C libraries end at it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketplace.kernel.canonical import sha256_hex
from tests.architecture.authorization import ROWS
from tests.architecture.test_authorization import OPERATIONS
from tests.hostile.forms import FORMS, QUERIES
from tests.hostile.knocking import Operation, Snapshot, _send, address, knock
from tests.hostile.story import Story, open_story, roll_agreement
from tests.hostile.test_extra_members import NOT_JSON
from tests.servers import emptied

TEXTS: tuple[Any, ...] = ("a\0b", "\ud800", "\u202e", "x" * 100_000, "", " ", "1" * 400, "9" * 30)
NUMBERS: tuple[Any, ...] = (2**63, -(2**63) - 1, 2**200, -1, 0, 1.5, 1e308, True, "1")
SHAPES: tuple[Any, ...] = (None, [], {}, ["a\0b"], {"a\0b": 1}, [[[[]]]])
IN_ADDRESSES = ("a%00b", "%ed%a0%80", "%ff", "9" * 30, "-1", "x" * 3000, "%F0%9F%97%9D", "..")
IN_QUERIES = ("a\0b", "9" * 30, "-1", "x" * 500, "🗝", "%", "1e9")
ASKED_EVERYWHERE = frozenset({"q", "cursor", "limit", "index", "actor", "lang", "asset", "purpose", "from"})
SILENT = frozenset({"/problems/log-silent", "/problems/outgoing-failed"})
UNDONE_BY = {
    "suspend_participant": "reinstate_participant",
    "suspend_version": "resume_version",
    "suspend_certificate": "resume_certificate",
    "suspend_agreement": "resume_agreement",
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    url = "" if request.param == "sqlite" else emptied(request.getfixturevalue("database_url"))
    with open_story(tmp_path_factory.mktemp("odd") / "house", database_url=url) as opened:
        roll_agreement(opened, "signed_by_buyer")
        roll_agreement(opened, "finalized")
        yield opened


def places(form: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value of a form with its place."""
    inner = form.items() if isinstance(form, dict) else enumerate(form[:1]) if isinstance(form, list) else ()
    for name, value in inner:
        yield (*path, name), value
        yield from places(value, (*path, name))


def put(form: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(form)
    target = changed
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    return changed


def odd(value: Any, *, few: bool) -> tuple[Any, ...]:
    """What to put in the place of a value; few: only what the databases see differently."""
    if isinstance(value, dict | list):
        return SHAPES[3:] if few else SHAPES
    if few:
        return NUMBERS[:4] if isinstance(value, int) else (*TEXTS[:3], TEXTS[7])
    return (*(NUMBERS if isinstance(value, int) else TEXTS), *SHAPES)


def _undo(story: Story, name: str) -> Any:
    """End what an accepted suspension began, where no snapshot brings back what was."""
    operation = OPERATIONS[name]
    return knock(story, identity_of(operation), operation)


def has_nul(value: Any) -> bool:
    return "\\u0000" in json.dumps(value)


def identity_of(operation: Operation) -> str:
    """Who gets furthest with it."""
    row = ROWS[operation.name]
    return "owner" if row.public or "owner" in row.let_in else min(row.let_in)


@pytest.mark.parametrize("name", sorted(set(FORMS) & set(OPERATIONS) - NOT_JSON))
def test_an_odd_value_in_a_form_is_answered(story: Story, name: str, tmp_path: Path) -> None:
    operation, who = OPERATIONS[name], identity_of(OPERATIONS[name])
    form = FORMS[name](story, who)
    snapshot = Snapshot(story, tmp_path) if story.house.runtime.database.is_sqlite else None
    for number, (path, value) in enumerate(places(form)):
        for strange in odd(value, few=snapshot is None):
            body = json.dumps(put(form, path, strange)).encode()
            headers = {
                "Idempotency-Key": f"{name}-{number}-{sha256_hex(body)[:16]}",
                "Content-Type": "application/json",
            }
            answer = _send(story, story.clients[who], operation, headers, {"content": body})
            assert _is_answered(answer), (path, str(strange)[:40], answer.text[:300])
            if has_nul(strange):
                assert answer.status_code == 422, (path, strange, answer.status_code)
                assert answer.json()["type"] == "/problems/nul-character"
            if answer.is_success and snapshot is not None:
                snapshot.restore()
            elif answer.is_success and name in UNDONE_BY:
                assert _undo(story, UNDONE_BY[name]).is_success


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_json_in_another_encoding_brings_nothing_past_the_checks(story: Story, encoding: str) -> None:
    operation = OPERATIONS["publish_demand"]
    form = FORMS["publish_demand"](story, "owner") | {"title": "an example with a\0b"}
    headers = {"Idempotency-Key": f"encoded as {encoding}", "Content-Type": "application/json"}
    content = json.dumps(form).encode(encoding)
    answer = _send(story, story.clients[identity_of(operation)], operation, headers, {"content": content})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not-utf8")


def test_half_of_a_pair_is_refused_in_octets_as_it_is_in_an_escape(story: Story) -> None:
    operation = OPERATIONS["publish_demand"]
    form = FORMS["publish_demand"](story, "owner") | {"half \ud800 a pair": "x"}
    client, kind = story.clients[identity_of(operation)], {"Content-Type": "application/json"}
    octets = json.dumps(form, ensure_ascii=False).encode("utf-8", "surrogatepass")
    answer = _send(story, client, operation, kind | {"Idempotency-Key": "half in octets"}, {"content": octets})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not-utf8")
    escaped = json.dumps(form).encode()
    answer = _send(story, client, operation, kind | {"Idempotency-Key": "half in an escape"}, {"content": escaped})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/half-character")


@pytest.mark.parametrize("name", sorted(one for one in OPERATIONS if OPERATIONS[one].method == "GET"))
def test_an_odd_name_in_an_address_is_answered(story: Story, name: str) -> None:
    operation, client = OPERATIONS[name], story.clients[identity_of(OPERATIONS[name])]
    assert client is not None
    for parameter in operation.parameters:
        for strange in IN_ADDRESSES:
            path = address(story, operation).replace(story.id(name, parameter), strange)
            _answered(client, path, QUERIES.get(name), strange)


@pytest.mark.parametrize("name", sorted(one for one in OPERATIONS if OPERATIONS[one].method == "GET"))
def test_an_odd_value_in_a_query_is_answered(story: Story, name: str) -> None:
    operation, client = OPERATIONS[name], story.clients[identity_of(OPERATIONS[name])]
    assert client is not None
    for together in asked_together(operation):
        for strange in IN_QUERIES:
            query = (QUERIES.get(name) or {}) | dict.fromkeys(together, strange)
            _answered(client, address(story, operation), query, strange)


def asked_together(operation: Operation) -> list[tuple[str, ...]]:
    """Each parameter that an operation declares alone, because one that is refused hides the others; the rest at once.

    What an operation does not declare it does not read, so that there nothing hides.
    """
    return [*((one,) for one in operation.queries), tuple(sorted(ASKED_EVERYWHERE.difference(operation.queries)))]


def _is_answered(answer: Any) -> bool:
    """Not a fault of ours; that the log's own processes and connectors of others do not run here is no fault."""
    return answer.status_code < 500 or answer.json().get("type") in SILENT


def _answered(client: Any, path: str, query: dict[str, str] | None, strange: str) -> None:
    answer = client._open("GET", path, params=query)
    try:
        answer.read()
    finally:
        answer.close()
    assert _is_answered(answer), (path[:200], query, answer.text[:300])
    if "\0" in strange or "%00" in strange:
        assert answer.status_code in {404, 422}, (path, query)
