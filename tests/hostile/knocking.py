"""Sending one operation of the OpenAPI document as one identity, and putting the world back afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace.client.api import ApiClient
from marketplace.kernel.ids import new_id
from tests.hostile.forms import FORMS, QUERIES
from tests.hostile.story import Story


@dataclass(frozen=True)
class Operation:
    """One method of one path.  queries: the query parameters that it declares."""

    name: str
    method: str
    path: str
    tag: str
    has_body: bool
    queries: tuple[str, ...] = ()

    @property
    def parameters(self) -> list[str]:
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Every operation of an OpenAPI document."""
    for path, item in document["paths"].items():
        for method, one in item.items():
            if method in {"get", "put", "post", "patch", "delete", "head"}:
                tag = next(iter(one.get("tags", [])), "")
                queries = tuple(part["name"] for part in one.get("parameters", []) if part["in"] == "query")
                yield Operation(one["operationId"], method.upper(), path, tag, "requestBody" in one, queries)


def address(story: Story, operation: Operation) -> str:
    """The path with an id for every parameter."""
    path = operation.path
    for parameter in operation.parameters:
        path = path.replace(f"{{{parameter}}}", story.id(operation.name, parameter))
    return path


def knock(story: Story, identity: str, operation: Operation) -> Any:
    """The answer to a valid request of an identity; its body is read."""
    client = story.clients[identity]
    parts: dict[str, Any] = {"params": QUERIES.get(operation.name)}
    if operation.name in FORMS:
        form = FORMS[operation.name](story, identity)
        parts["content" if isinstance(form, bytes) else "json"] = form
    headers = {"Idempotency-Key": new_id("key")} if operation.method == "POST" else {}
    return _send(story, client, operation, headers, parts)


def _send(
    story: Story, client: ApiClient | None, operation: Operation, headers: dict[str, str], parts: dict[str, Any]
) -> Any:
    path = address(story, operation)
    if client is None:
        base = story.house.runtime.settings.public_url
        return story.http.request(operation.method, base + path, headers=headers, **parts)
    answer = client._open(operation.method, path, headers=headers, **parts)
    try:
        answer.read()
    finally:
        answer.close()
    return answer


class Snapshot:
    """The whole SQLite database as it was, to go back to."""

    def __init__(self, story: Story, folder: Path) -> None:
        self._story, self._now = story, story.house.clock.now()
        self._live = str(story.house.runtime.database.url.database)
        self._kept = str(folder / f"{new_id('snap')}.sqlite3")
        self._copy(self._live, self._kept)

    def restore(self) -> None:
        """Put the database back; open connections see it from their next transaction on."""
        self._copy(self._kept, self._live)
        if self._story.house.clock.now() != self._now:
            self._story.house.clock._now = self._now
            for client in self._story.clients.values():
                if client is not None:
                    client._token = None

    @staticmethod
    def _copy(source: str, target: str) -> None:
        with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
            one.backup(other)
