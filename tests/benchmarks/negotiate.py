"""From a request to a contract in force over the Dataspace Protocol, between two instances (REQUESTED to FINALIZED).

Two instances with databases, ports, keys and processes of their own, served and relayed as `make run` does it, without
the integrator of the log (`tests.benchmarks.negotiating`).  Six messages: request, offer by the provider's rule,
acceptance with the buyer's signature, agreement with the provider's, verification, finalization.  Each party's own
system runs in the process of its instance and signs when that has something for it.  This process only asks the buyer's
for negotiations and is told of each that is in force.  The floor sends as many messages over loopback, durable on both
sides.

`--peer run`: two control planes of Eclipse EDC negotiate with each other in the same run, with as many under way, once
as EDC is published and once tuned for tests (`tests.peer.rate`).  The goal compares with the published defaults; the
tuned rate stands beside it as `edc_tuned`.  `--peer` with an address or a file reads the same JSON from there.
`one_by_one`: negotiations per second of either, one after the other, without a goal.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.benchmarks.figures import Goal, Result, main
from tests.benchmarks.negotiating import LONGEST_SECONDS, negotiating
from tests.peer.rate import DEFAULT_MS, TUNED_MS

MESSAGES = 6
AT_ONCE = 8
GOALS = {"p50_ms": Goal("issue 5", at_most=100)}
EDC = Goal("issue 5", at_least=10)


def measure(options: argparse.Namespace) -> Result:
    alone, together = (10, 40) if options.quick else (100, 400)
    result = Result("negotiate", "", dict(GOALS))
    with tempfile.TemporaryDirectory(prefix="bench-negotiate-") as folder, ExitStack() as stack:
        market = stack.enter_context(negotiating(Path(folder)))
        market.begin(3)
        seconds = [market.begin(1) for _ in range(alone)]
        began = time.monotonic()
        market.begin(together, at_once=AT_ONCE)
        rate = together / (time.monotonic() - began)
        floor = stack.enter_context(messaging(Path(folder)))
        bare = [floor() for _ in range(alone)]
    result.figures = {"p50_ms": _median_ms(seconds), "p95_ms": _p95_ms(seconds), "negotiations_per_second": rate}
    result.figures["one_by_one"] = alone / sum(seconds)
    result.floor = {"p50_ms": _median_ms(bare)}
    result.ratio = {"p50_ms": result.figures["p50_ms"] / result.floor["p50_ms"]}
    result.how = (
        f"{alone} negotiations one after the other, then {together} with {AT_ONCE} under way, both signatures, SQLite, "
        "each instance with its party's system in a process of its own.  "
        f"Floor: {MESSAGES} durable messages over loopback."
    )
    edc = peers_rates(options.peer, 16 if options.quick else 40)
    if edc is None:
        result.how += "  Eclipse EDC: not measured."
        return result
    result.how += f"  Eclipse EDC {edc.version}, {edc.at_once} under way, in memory and without signatures."
    result.figures |= {"edc_defaults_per_second": edc.defaults, "edc_tuned_per_second": edc.tuned}
    result.figures |= {"edc_defaults_one_by_one": edc.defaults_alone, "edc_tuned_one_by_one": edc.tuned_alone}
    result.ratio |= {"edc_defaults": rate / edc.defaults, "edc_tuned": rate / edc.tuned}
    result.goals["ratio.edc_defaults"] = EDC
    return result


@dataclass(frozen=True)
class PeersRates:
    """Negotiations per second of Eclipse EDC.  defaults: as it is published; tuned: looking for work every 100 ms.

    alone: one after the other.
    """

    version: str
    at_once: int
    defaults: float
    tuned: float
    defaults_alone: float
    tuned_alone: float


def peers_rates(peer: str, many: int) -> PeersRates | None:
    """What `tests.peer.rate` says: run now, or kept at an address or in a file; None where no peer is named or had."""
    if not peer:
        return None
    if peer == "run":
        command = [sys.executable, "-m", "tests.peer.rate", str(AT_ONCE), str(many)]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            return None
        said = json.loads(done.stdout)
    elif Path(peer).is_file():
        said = json.loads(Path(peer).read_text("utf-8"))
    else:
        with urllib.request.urlopen(peer, timeout=LONGEST_SECONDS) as answer:
            said = json.load(answer)
    rates = [
        float(said[run][str(wait)]["per_second"])
        for run in ("figures", "one_by_one")
        for wait in (DEFAULT_MS, TUNED_MS)
    ]
    return PeersRates(said["edc"], said["at_once"], *rates)


@contextmanager
def messaging(folder: Path) -> Iterator[Callable[[], float]]:
    """The floor: each message is written durably, sent, written durably by the other side, answered."""
    with ExitStack() as stack:
        write = _writing(folder / "theirs.sqlite")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                write(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        stack.callback(thread.join, 10)
        stack.callback(server.shutdown)
        ours = _writing(folder / "ours.sqlite")
        yield lambda: _messages(server.server_address[1], ours)


def _messages(port: int, write: Callable[[bytes], None]) -> float:
    began, body = time.monotonic(), b"x" * 8192
    for _ in range(MESSAGES):
        write(body)
        with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("POST", "/", body)
            connection.getresponse().read()
        write(b"taken")
    return time.monotonic() - began


def _writing(path: Path) -> Callable[[bytes], None]:
    """Writes rows to a database as durably as ours."""

    def write(body: bytes) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("INSERT INTO said VALUES (?)", (body,))

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE said (body BLOB)")
    return write


def _median_ms(seconds: list[float]) -> float:
    return statistics.median(seconds) * 1000


def _p95_ms(seconds: list[float]) -> float:
    return sorted(seconds)[min(len(seconds) - 1, -(-len(seconds) * 95 // 100) - 1)] * 1000


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--peer", default="", help="`run` to measure Eclipse EDC too, or where its rates are kept")


if __name__ == "__main__":
    main(measure, more=_options)
