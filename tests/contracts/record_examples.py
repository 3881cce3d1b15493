"""Writes `contracts/openapi-examples.json`: for every operation that the story calls, what was really sent and
answered; for the others a value made from the schema.  Run it when an operation is added or changes its shape:

    python -m tests.contracts.record_examples
"""

from __future__ import annotations

import itertools
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import seeds.world
from marketplace.client.api import ApiClient, in_process
from marketplace.client.keys import KeyFolder
from marketplace.client.problem import ProblemError
from marketplace.kernel.clock import SystemClock
from marketplace.main import build_runtime
from marketplace.openapi import EXAMPLES, operations
from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings
from seeds.cast import CAST
from seeds.chest_ct import Archive, generate
from seeds.story import tell

LONGEST_LIST = 2
LONGEST_TEXT = 600
# A token is no example to publish, however short its life.
MADE_UP = {"access_token": "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJleGFtcGxlIn0.c2lnbmF0dXJl"}
BY_NAME: dict[str, Any] = {
    "currency": "CNY",
    "minor": "5000000",
    "id": "exm_01a1f0000000700080000000000000aa",
    "reason": "made for this example",
    "note": "made for this example",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "status": "pass",
}
BY_PATTERN = {
    r"^20\d{2}-(0[1-9]|1[0-2])$": "2026-01",
    r"^\d{4}-\d{2}-\d{2}$": "2026-09-01",
    r"^[a-z]{3}_[A-Za-z0-9_]{1,60}$": BY_NAME["id"],
    r"^[A-Z0-9][A-Z0-9-]{0,31}$": "2026-0042",
    r"^[0-9a-f]{32}$": "8d3c0b6f5a2e47199c7e1f04b6a8d5c2",
}


Kept: TypeAlias = dict[tuple[str, str], tuple[Any, Any]]
IDS = {
    "asset_id": r"ast_[0-9a-f]{32}",
    "version_id": r"ver_[0-9a-f]{32}",
    "listing_id": r"lst_[0-9a-f]{32}",
    "offer_id": r"off_[0-9a-f]{32}",
    "opinion_id": r"opn_[0-9a-f]{32}",
    "application_id": r"app_[0-9a-f]{32}",
    "request_id": r"req_[0-9a-f]{32}",
    "agreement_id": r"agr_[0-9a-f]{32}",
    "earlier_id": r"agr_[0-9a-f]{32}",
    "participant_id": r"prt_[0-9a-f]{32}",
    "entry_id": r"ent_[0-9a-f]{32}",
    "job_id": r"gov_[0-9a-f]{32}",
    "exchange_id": r"dex_[0-9a-f]{32}",
    "connector_id": r"con_[0-9a-f]{32}",
    "code": r"SJ\d{13}",
}
QUERIES: dict[str, dict[str, Any]] = {
    "get_inclusion_proof": {"index": 5},
    "get_consistency_proof": {"from": 3, "to": 9},
    "list_entries": {"limit": 2},
}


class Recorder:
    """Keeps the first good exchange of each operation."""

    def __init__(self, app: ASGIApp, kept: Kept) -> None:
        self._app, self._kept = app, kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked, answered, status = bytearray(), bytearray(), 0

        async def listen() -> Message:
            message = await receive()
            if len(asked) < 1 << 20:
                asked.extend(message.get("body", b""))
            return message

        async def speak(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if len(answered) < 1 << 20:
                answered.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, listen, speak)
        if 200 <= status < 300:
            self._kept.setdefault((scope["method"], scope["path"]), (_json(asked), _json(answered)))


def record() -> dict[str, dict[str, Any]]:
    """Tell a small story and return {operation id: {request?, response?}}."""
    kept: Kept = {}
    apps: list[FastAPI] = []
    real = seeds.world.create_app

    def recorded(runtime: Any) -> FastAPI:
        app = real(runtime)
        app.add_middleware(Recorder, kept=kept)
        apps.append(app)
        return app

    seeds.world.create_app = recorded
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            scans = generate(folder / "scans", Archive(patients=3, slices=2, size=48))
            tell(folder / "data", source=scans, json_file=folder / "result.json")
            _read_everything(folder / "data", recorded, kept)
    finally:
        seeds.world.create_app = real
    return _examples(apps[-1].openapi(), kept)


def _read_everything(data: Path, application: Callable[[Runtime], FastAPI], kept: Kept) -> None:
    """Ask each reading operation that the story left out, as each party in turn until one is answered."""
    text = json.dumps([[*key, *value] for key, value in kept.items()])
    runtime = build_runtime(Settings(data_folder=data, parse_workers=1))
    folder = KeyFolder(data.parent / f"{data.name}-parties")
    try:
        app = application(runtime)
        with in_process(app, runtime.settings.public_url) as http:
            parties = [folder.load(part.name) for part in CAST]
            clients = [
                ApiClient(http, runtime.settings.public_url, party.participant_id or "", party.key, SystemClock())
                for party in parties
            ]
            for method, path, operation in operations(app.openapi()):
                if method == "GET" and _bodies(operation) and _exchange(kept, method, path) is None:
                    _read(clients, path, operation["operationId"], text)
    finally:
        runtime.close()


def _read(clients: list[ApiClient], path: str, name: str, text: str) -> None:
    """One operation with ids from the story.  The recorder keeps what is answered."""
    parameters = re.findall(r"\{(\w+)\}", path)
    found = [sorted(set(re.findall(IDS[one], text)))[:6] if one in IDS else [] for one in parameters]
    for chosen in itertools.product(*found):
        filled = path
        for parameter, value in zip(parameters, chosen, strict=True):
            filled = filled.replace(f"{{{parameter}}}", value)
        for client in clients:
            try:
                if client.get(filled, QUERIES.get(name)) not in ([], {"items": [], "next": None}):
                    return
            except ProblemError:
                continue


def _examples(document: dict[str, Any], kept: Kept) -> dict[str, dict[str, Any]]:
    """What was seen; else what another operation answered in the same shape; else a value made from the schema."""
    found: dict[str, dict[str, Any]] = {}
    shapes: dict[str, Any] = {}
    for method, path, operation in operations(document):
        exchange = _exchange(kept, method, path)
        for place, name, schema in _bodies(operation):
            seen = exchange[place] if exchange else None
            if seen not in (None, []):
                found.setdefault(operation["operationId"], {})[name] = _shortened(seen)
                shapes.setdefault(json.dumps(schema.get("$ref")), _shortened(seen))
    for _, _, operation in operations(document):
        for _, name, schema in _bodies(operation):
            row = found.setdefault(operation["operationId"], {})
            if name not in row:
                row[name] = _like(document, schema, shapes)
    return found


def _exchange(kept: Kept, method: str, path: str) -> tuple[Any, Any] | None:
    pattern = re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path)) + "$")
    answers = [value for key, value in kept.items() if key[0] == method and pattern.match(key[1])]
    return next((one for one in answers if one[1] not in ([], None)), answers[0] if answers else None)


def _like(document: dict[str, Any], schema: dict[str, Any], shapes: dict[str, Any]) -> Any:
    one = json.dumps(schema.get("$ref"))
    if one in shapes and "$ref" in schema:
        return shapes[one]
    item = schema.get("items", {}).get("$ref")
    if item is not None and json.dumps(item) in shapes:
        return [shapes[json.dumps(item)]]
    return _made(document, schema, "")


def _bodies(operation: dict[str, Any]) -> list[tuple[int, str, dict[str, Any]]]:
    bodies = []
    for place, name, holder in (
        (0, "request", operation.get("requestBody", {})),
        (1, "response", next(answer for code, answer in operation["responses"].items() if code.startswith("2"))),
    ):
        for media, content in holder.get("content", {}).items():
            if media in {"application/json", "application/health+json"}:
                bodies.append((place, name, content["schema"]))
    return bodies


def _json(body: bytearray) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: MADE_UP.get(name) or _shortened(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shortened(one) for one in value[:LONGEST_LIST]]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[:LONGEST_TEXT]
    return value


def _made(document: dict[str, Any], schema: dict[str, Any], name: str) -> Any:  # noqa: C901, PLR0911, PLR0912 - one case a line
    """A value that fits a schema."""
    if "$ref" in schema:
        return _made(document, document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], name)
    for given in ("const", "default"):
        if given in schema:
            return schema[given]
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return _made(document, schema[several][0], name)
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {one: _made(document, fields.get(one, {}), one) for one in schema.get("required", [])}
        case "array" if "prefixItems" in schema:
            return [_made(document, one, name) for one in schema["prefixItems"]]
        case "array":
            return [_made(document, schema.get("items", {}), name) for _ in range(max(1, schema.get("minItems", 1)))]
        case "integer":
            return schema.get("minimum", 1)
        case "number":
            return 1.5
        case "boolean":
            return True
        case _:
            return _text(schema, name)


def _text(schema: dict[str, Any], name: str) -> str:
    if schema.get("format") == "date":
        return "2026-09-01"
    if schema.get("format") == "date-time":
        return "2026-09-01T01:00:00.000000Z"
    pattern = schema.get("pattern", "")
    if "0-9a-f]{64}" in pattern:
        return str(BY_NAME["sha256"])
    if pattern in BY_PATTERN:
        return BY_PATTERN[pattern]
    if name in BY_NAME:
        return str(BY_NAME[name])[: schema.get("maxLength", 100)]
    text = f"{name or 'text'} of this example"
    return text[: schema.get("maxLength", 100)].ljust(schema.get("minLength", 0), ".")


def main() -> None:
    EXAMPLES.write_text(json.dumps(record(), ensure_ascii=False, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
