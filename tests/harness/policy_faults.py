"""No grant while the decision path is impaired (goal G11, threat T30, fault F9, invariant I11).

`python -m tests.harness.policy_faults [--requests 50] [--seed N] [--seeded-bug] [--json]`
A server that plays OPA gives every odd answer that it knows, each to as many real uses; it knows the right echo, and
apart from its one oddity each answer says yes.  Every use goes the whole way: facts, engine, transaction, entry.
`--seeded-bug`: an engine that asks whether there is a result and whether it looks like yes.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
from sqlmodel import func, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.plumbing.policy import Decision, OpaEngine
from marketplace.settings import Settings
from marketplace.transfer import opening
from marketplace.transfer.delivery import prepare
from marketplace.transfer.opening import Download, Opened
from marketplace.usage.rules import UseRequest
from tests.house import House, open_house
from tests.usage.agreed import agree, uses

POLICIES = Path(__file__).resolve().parents[2] / "policies"
DEADLINE_MS = 250
PATIENT_MS = 60_000
LATEST_SECONDS = 1.0
PURPOSE = "model_training"
THREADS = 6
Yes = dict[str, Any]
Shape = Callable[["Handler", Yes], None]


class Handler(BaseHTTPRequestHandler):
    """Answers every question with the shape that is on."""

    protocol_version = "HTTP/1.1"
    server: Liar

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.close_connection = True
        yes = {"allow": True, "reasons": [], "obligations": [], "echo": asked["input"]["digest"]}
        with suppress(OSError):
            self.server.shape(self, yes)

    def do_GET(self) -> None:
        with suppress(OSError):
            _send(self, _result({"allow": True}))

    def log_message(self, *_: object) -> None:
        pass


class Liar(ThreadingHTTPServer):
    """A server in OPA's place.  shape: how it answers now."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        self.shape: Shape = _right
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


def _send(handler: Handler, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
    handler.send_response(status)
    for name, value in ({"Content-Type": "application/json", "Connection": "close"} | headers).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def _result(value: object, **rest: object) -> bytes:
    return json.dumps({"result": value, **rest}).encode()


def _right(handler: Handler, yes: Yes) -> None:
    _send(handler, _result(yes))


def _drip(handler: Handler, yes: Yes) -> None:
    body = _result(yes)
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    for byte in body:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(DEADLINE_MS / 1000 / 20)


def _late(handler: Handler, yes: Yes) -> None:
    time.sleep(DEADLINE_MS / 1000 * 1.5)
    _right(handler, yes)


def _changed(**values: object) -> Shape:
    return lambda handler, yes: _send(handler, _result(yes | values))


def _without(name: str) -> Shape:
    return lambda handler, yes: _send(handler, _result({key: value for key, value in yes.items() if key != name}))


def _edited(old: bytes, new: bytes) -> Shape:
    return lambda handler, yes: _send(handler, _result(yes).replace(old, new))


def _status(status: int, **headers: str) -> Shape:
    return lambda handler, yes: _send(handler, _result(yes), status, **headers)


def _redirect(handler: Handler, yes: Yes) -> None:
    port = handler.server.server_address[1]
    _send(handler, _result(yes), 307, Location=f"http://127.0.0.1:{port}/v1/data/yes")


SHAPES: dict[str, Shape] = {
    "undefined rule": lambda handler, yes: _send(handler, b"{}"),
    "null": lambda handler, yes: _send(handler, _result(None)),
    "bare true": lambda handler, yes: _send(handler, _result(True)),
    "allow alone": lambda handler, yes: _send(handler, _result({"allow": True})),
    "allow as text": _changed(allow="true"),
    "allow as number": _changed(allow=1),
    "allow as list": _changed(allow=[True]),
    "no reasons": _without("reasons"),
    "no echo": _without("echo"),
    "echo of other facts": _changed(echo="0" * 64),
    "echo as list": lambda handler, yes: _send(handler, _result(yes | {"echo": [yes["echo"]]})),
    "a member too many": _changed(warnings=[]),
    "yes with a reason": _changed(reasons=["expired"]),
    "reasons as text": _changed(reasons=""),
    "obligation as text": _changed(obligations=["attribute"]),
    "obligation without action": _changed(obligations=[{}]),
    "key twice": _edited(b'"allow": true', b'"allow": false, "allow": true'),
    "key twice, escaped": _edited(b'"allow": true', b'"allow": false, "\\u0061llow": true'),
    "NaN": _edited(b'"obligations": []', b'"obligations": NaN'),
    "comment": _edited(b"{", b"{/* yes */"),
    "UTF-16": lambda handler, yes: _send(handler, _result(yes).decode().encode("utf-16")),
    "deep nesting": _edited(b'"obligations": []', b'"obligations": ' + b"[" * 5000 + b"]" * 5000),
    "two documents": lambda handler, yes: _send(handler, _result(yes) * 2),
    "cut off": lambda handler, yes: _send(handler, _result(yes)[:-4]),
    "shorter than announced": lambda handler, yes: _send(handler, _result(yes)[:-4], length=len(_result(yes))),
    "huge": _changed(obligations=[{"action": "x" * (2 << 20)}]),
    "errors beside the result": lambda handler, yes: _send(handler, _result(yes, errors=[{"code": "internal"}])),
    "old bundle": lambda handler, yes: _send(
        handler, _result(yes, provenance={"bundles": {"market": {"revision": "0" * 64}}})
    ),
    "partial result": lambda handler, yes: _send(handler, json.dumps({"result": {"queries": [[]]}}).encode()),
    "HTML": lambda handler, yes: _send(handler, b"<html>true</html>"),
    "nothing": lambda handler, yes: _send(handler, b""),
    "redirect": _redirect,
    "status 201": _status(201),
    "status 404": _status(404),
    "status 500": _status(500),
    "status 503": _status(503),
    "compressed rubbish": lambda handler, yes: _send(handler, _result(yes), **{"Content-Encoding": "gzip"}),
    "closed at once": lambda handler, yes: handler.connection.close(),
    "late": _late,
    "dripping": _drip,
}
SLOW = {"late", "dripping"}
"""Denied by the deadline; all others for what they say, however busy the machine is."""


class Gullible(OpaEngine):
    """The bug that must be caught: whatever looks like yes is a yes."""

    def decide(self, package: str, facts: dict[str, Any]) -> Decision:
        url = f"http://127.0.0.1:{self._client.port}/v1/data/{package}/decision"  # type: ignore[attr-defined]
        try:
            asked = {"input": {**facts, "digest": ""}}
            answer = httpx2.post(url, json=asked, follow_redirects=True, timeout=60, trust_env=False).json()
            allow = bool(answer.get("result"))
        except Exception:  # noqa: BLE001 - even the bug denies when nobody answers
            allow = False
        return Decision(allow, () if allow else ("policy_unavailable",), (), self.revision)


@dataclass
class Finding:
    """What came of the requests.  grants: by shape; slowest: seconds of one decision with its record."""

    requests: int = 0
    grants: dict[str, int] = field(default_factory=dict)
    unrecorded: int = 0
    slowest: float = 0
    controls: list[bool] = field(default_factory=list)

    @property
    def met(self) -> bool:
        return not self.grants and not self.unrecorded and all(self.controls) and self.slowest <= LATEST_SECONDS


def sweep(folder: Path, requests: int, seed: int, *, seeded_bug: bool = False) -> Finding:
    """Put every shape to as many uses, in an order that the seed gives; a right answer before and after."""
    server, found = Liar(), Finding()
    kind = Gullible if seeded_bug else OpaEngine
    hasty, patient = (
        kind(Settings(opa_port=server.server_address[1], policy_deadline_ms=deadline), POLICIES)
        for deadline in (DEADLINE_MS, PATIENT_MS)
    )
    try:
        with open_house(folder) as house, ThreadPoolExecutor(THREADS) as pool:
            agree(house, uses(count=None), files=1)
            prepare(house.runtime, "agr_1")
            found.controls.append(_granted(_deciding(house, patient))[0])
            for name in random.Random(seed).sample(sorted(SHAPES), len(SHAPES)):
                server.shape = SHAPES[name]
                _put(_deciding(house, hasty if name in SLOW else patient), name, requests, pool, found)
            server.shape = _right
            found.controls.append(_granted(_deciding(house, patient))[0])
            found.unrecorded = found.requests - sum(found.grants.values()) - _refusals(house)
    finally:
        for engine in (hasty, patient):
            engine.close()
        server.stop()
    return found


def _deciding(house: House, engine: OpaEngine) -> House:
    """The same house, which asks another engine."""
    return replace(house, runtime=replace(house.runtime, policy=engine))


def _put(house: House, name: str, requests: int, pool: ThreadPoolExecutor, found: Finding) -> None:
    answers = list(pool.map(lambda _: _granted(house), range(requests)))
    found.requests += requests
    found.slowest = max(found.slowest, *(seconds for _, seconds in answers))
    if grants := sum(granted for granted, _ in answers):
        found.grants[name] = grants


def _granted(house: House) -> tuple[bool, float]:
    """Whether one use was opened, and how long the answer took."""
    actor, asked = house.cast["pharma"].actor, Download("agr_1", UseRequest(PURPOSE))
    began = time.monotonic()
    answer = opening.open_transfer(house.runtime, actor, asked, house.clock.now())
    return isinstance(answer, Opened), time.monotonic() - began


def _refusals(house: House) -> int:
    with house.runtime.database.reading() as db:
        return db.exec(select(func.count()).select_from(Entry).where(Entry.tag == Tag.USE_REFUSED.value)).one()


def main(arguments: list[str] | None = None) -> int:
    """Run the sweep and print what was found; 1 when something was granted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50, help="for each shape")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--seeded-bug", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = sweep(Path(folder) / "house", options.requests, options.seed, seeded_bug=options.seeded_bug)
    figures = {
        "shapes": len(SHAPES),
        "requests": found.requests,
        "grants": sum(found.grants.values()),
        "unrecorded": found.unrecorded,
        "slowest_ms": round(found.slowest * 1000),
    }
    goal = {"grants": 0, "unrecorded": 0, "slowest_ms": LATEST_SECONDS * 1000}
    said = {"name": "policy_faults", "seed": options.seed, "figures": figures, "goal": goal, "met": found.met}
    if options.json:
        print(json.dumps(said | {"granted": found.grants}))
    else:
        print(f"seed {options.seed}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
        for name, grants in found.grants.items():
            print(f"GRANTED {grants} times on: {name}")
        print("met" if found.met else f"NOT MET (controls {found.controls})")
    return 0 if found.met else 1


if __name__ == "__main__":
    sys.exit(main())
