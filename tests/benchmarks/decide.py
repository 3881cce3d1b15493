"""What a decision costs: the policy port against the bare engine, and audited decisions over HTTP against a bare route.

Over HTTP everything is real: sockets, an access token bound to the buyer's key, a fresh proof for every request, the
facts, the policy, the entry on the disk before the answer, and its signed receipt.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import func
from sqlmodel import col, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.client.api import ApiClient, in_process
from marketplace.kernel.clock import SystemClock
from marketplace.kernel.ids import new_id
from marketplace.kernel.signing import SigningKey
from marketplace.main import build_runtime, create_app
from marketplace.participants.dpop import token_hash
from marketplace.plumbing.policy import RegorusEngine
from marketplace.plumbing.policyfiles import PolicyFiles
from marketplace.usage.policies.trial import PACKAGE, example
from tests.benchmarks import deciding
from tests.benchmarks.figures import Goal, Result, main
from tests.house import House, open_house
from tests.policies.test_access import POLICIES
from tests.usage.agreed import agree, agree_again, uses

CONNECTIONS = 64
GOALS = {
    "ratio.evaluate_p50_us": Goal("4", at_most=1.25),
    "ratio.decisions_per_s": Goal("4", at_least=0.20),
    "decide_p99_to_p50": Goal("4", at_most=3),
}


def measure(options: argparse.Namespace) -> Result:
    rounds, seconds, evaluations = (3, 2.0, 300) if options.quick else (7, 4.0, 3000)
    result = Result("decide", "", GOALS)
    _evaluate(result, rounds, evaluations)
    with tempfile.TemporaryDirectory(prefix="bench-decide-") as folder:
        _over_http(result, Path(folder) / "market", rounds, seconds)
    result.how = (
        f"evaluate: the policy port's answer to the facts of one use, {rounds} rounds of {evaluations} in turn with "
        "the bare engine given the same input as JSON.  "
        f"decisions: {CONNECTIONS} connections, one process, SQLite with synchronous=FULL, token and fresh proof for "
        f"each, entry durable and receipt signed before the answer; median of {rounds} rounds of {seconds:g} s in turn "
        "with a bare FastAPI JSON route in the same server."
    )
    return result


def _evaluate(result: Result, rounds: int, number: int) -> None:
    engine, facts = RegorusEngine(POLICIES), example()
    bare, sent = PolicyFiles(POLICIES).load(), json.dumps(facts | {"digest": "0" * 64})

    def ask_bare() -> None:
        bare.set_input_json(sent)
        bare.eval_rule_as_json("data.access.decision")

    assert engine.decide(PACKAGE, facts).allow
    ours, floor = [], []
    for _ in range(rounds):
        floor.append(_p50_us(ask_bare, number))
        ours.append(_p50_us(lambda: engine.decide(PACKAGE, facts), number))
    result.figures["evaluate_p50_us"] = round(statistics.median(ours), 1)
    result.floor["evaluate_p50_us"] = round(statistics.median(floor), 1)
    result.ratio["evaluate_p50_us"] = round(statistics.median(a / b for a, b in zip(ours, floor, strict=True)), 3)


def _p50_us(work: Callable[[], object], number: int) -> float:
    took = []
    for _ in range(number):
        began = time.perf_counter_ns()
        work()
        took.append(time.perf_counter_ns() - began)
    return statistics.median(took) / 1e3


def _over_http(result: Result, market: Path, rounds: int, seconds: float) -> None:
    buyer = arrange(market)
    ours, floor = list[dict[str, Any]](), list[dict[str, Any]]()
    bare = [[b"GET /floor HTTP/1.1\r\nhost: bench.example\r\n\r\n"] * int(seconds * 1500)] * CONNECTIONS
    with _serving(market) as port:
        warm = _asked(port, [buyer.requests(at, 20) for at in range(CONNECTIONS)], seconds)
        for _ in range(rounds):
            floor.append(_asked(port, bare, seconds))
            most = int(seconds * max(one["per_second"] for one in floor) / CONNECTIONS) + 20
            ours.append(_asked(port, [buyer.requests(at, most) for at in range(CONNECTIONS)], seconds))
    answered = sum(one["statuses"]["200"] for one in [warm, *ours])
    assert buyer.entries(market) >= answered, "an answered decision is not in the log"
    result.figures |= {
        "decisions_per_s": round(statistics.median(one["per_second"] for one in ours), 1),
        "decide_p50_ms": round(statistics.median(one["p50"] for one in ours), 2),
        "decide_p99_ms": round(statistics.median(one["p99"] for one in ours), 2),
        "decide_p99_to_p50": round(statistics.median(one["p99"] / one["p50"] for one in ours), 2),
    }
    result.floor["decisions_per_s"] = round(statistics.median(one["per_second"] for one in floor), 1)
    ratios = [mine["per_second"] / bare["per_second"] for mine, bare in zip(ours, floor, strict=True)]
    result.ratio["decisions_per_s"] = round(statistics.median(ratios), 3)


class Buyer:
    """A buyer with a token of its own, who signs a proof for every request."""

    def __init__(self, key: SigningKey, token: str) -> None:
        self._key, self._token = key, token
        self._jwk = {name: value for name, value in key.public_jwk.items() if name not in {"kid", "alg"}}

    def requests(self, agreement: int, number: int) -> list[bytes]:
        """Whole requests about one agreement, each with a proof of its own."""
        path = f"/v1/agreements/agr_{agreement + 1}/decision"
        now, ath = int(time.time()), token_hash(self._token)
        claims = {"htm": "GET", "htu": deciding.PUBLIC_URL + path, "iat": now, "ath": ath}
        return [self._request(path, claims | {"jti": new_id("jti")}) for _ in range(number)]

    def _request(self, path: str, claims: dict[str, object]) -> bytes:
        proof = self._key.sign_claims(claims, typ="dpop+jwt", headers={"jwk": self._jwk})
        head = f"GET {path}?purpose=model_training HTTP/1.1\r\nhost: bench.example\r\n"
        return f"{head}authorization: DPoP {self._token}\r\ndpop: {proof}\r\n\r\n".encode()

    def entries(self, market: Path) -> int:
        """How many decisions the log holds."""
        runtime = build_runtime(deciding.settings(market))
        try:
            with runtime.database.reading() as db:
                return db.exec(select(func.count()).where(col(Entry.tag) == Tag.USE_DECIDED)).one()
        finally:
            runtime.close()


def arrange(market: Path) -> Buyer:
    """An agreement for every connection, and a token that the service gave the buyer."""
    policy = uses(count=None, duties=())
    with open_house(market) as house:
        runtime = replace(house.runtime, clock=SystemClock(), settings=deciding.settings(market))
        now: House = replace(house, clock=runtime.clock, runtime=runtime)  # type: ignore[arg-type]
        made = agree(now, policy, files=1)
        for number in range(2, CONNECTIONS + 1):
            agree_again(now, made, f"agr_{number}", policy)
        party = house.cast["pharma"]
        with in_process(create_app(runtime), deciding.PUBLIC_URL) as http:
            client = ApiClient(http, deciding.PUBLIC_URL, party.id, party.key, SystemClock())
            client.get("/v1/agreements")
            assert client._token is not None
            return Buyer(party.key, client._token[0])


@contextmanager
def _serving(market: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.benchmarks.deciding", str(market)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().split()[1])
        finally:
            process.terminate()


def _asked(port: int, plans: list[list[bytes]], seconds: float) -> dict[str, Any]:
    """One round by a process of clients; every answer must be a decision."""
    lines = "\n".join(json.dumps([base64.b64encode(one).decode() for one in plan]) for plan in plans)
    command = [sys.executable, "-m", "tests.benchmarks.askers", str(port), str(seconds)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    assert set(seen["statuses"]) == {"200"}, seen["statuses"]
    took = sorted(seen.pop("milliseconds"))
    seen["per_second"] = len(took) / seen["seconds"]
    return seen | {"p50": took[len(took) // 2], "p99": took[-(-len(took) * 99 // 100) - 1]}


if __name__ == "__main__":
    main(measure)
