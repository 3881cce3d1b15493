"""From the commit of a stop to the last byte at the client: 100 concurrent streams, fast and slow readers (goal G7).

A real server process and a process of clients over loopback.  Halfway one agreement is suspended (a fifth of the
streams), then the version under all of them.  The floor is the same with the web server's own sockets and no watch.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets import service as versions
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.schemas import WhyIn
from tests.benchmarks import readers
from tests.benchmarks.figures import Goal, Result, main
from tests.benchmarks.readers import Reading
from tests.harness import crowd
from tests.harness.serving import serving
from tests.house import House

AGREEMENTS = 5
GOALS = {
    "stop_p99_ms": Goal("G7", at_most=250),
    "bytes_after_most": Goal("G7", at_most=1.25 * (1 << 20)),
    "streams_stopped": Goal("G7", at_least=1),
}
WHY = WhyIn(reason="benchmark")


@dataclass
class Seen:
    """What became of stopped streams.  milliseconds and bytes after the commit, apart for fast and slow readers."""

    milliseconds: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    bytes_after: dict[bool, list[int]] = field(default_factory=lambda: {True: [], False: []})
    finished: int = 0
    commits: list[float] = field(default_factory=list)

    def add(self, reading: Reading, stopped_at: float) -> None:
        if reading.ended and reading.ended < stopped_at:
            self.finished += 1
            return
        self.milliseconds[reading.slow].append(max(0.0, reading.last() - stopped_at) * 1000)
        self.bytes_after[reading.slow].append(reading.after(stopped_at))

    def figures(self) -> dict[str, float]:
        milliseconds = self.milliseconds[True] + self.milliseconds[False]
        bytes_after = self.bytes_after[True] + self.bytes_after[False]
        return {
            "stop_p50_ms": statistics.median(milliseconds),
            "stop_p99_ms": _p99(milliseconds),
            "stop_slow_p99_ms": _p99(self.milliseconds[True]),
            "stop_fast_p99_ms": _p99(self.milliseconds[False]),
            "stop_most_ms": max(milliseconds),
            "bytes_after_p50": statistics.median(bytes_after),
            "bytes_after_most": max(bytes_after),
            "streams_stopped": len(milliseconds),
            "streams_finished_before": self.finished,
            "commit_ms": statistics.median(self.commits) * 1000,
        }


def measure(options: argparse.Namespace) -> Result:
    streams, rounds, mebibytes = (40, 1, 32) if options.quick else (100, 3, 64)
    result = Result("revoke", "", GOALS)
    seen, floor = Seen(), Seen()
    with tempfile.TemporaryDirectory(prefix="bench-revoke-") as folder:
        for at in range(rounds):
            for name, flags, into in (("ours", (), seen), ("plain", ("--plain",), floor)):
                market = Path(folder) / f"{name}-{at}"
                crowd.arrange(market, agreements=AGREEMENTS, size=mebibytes << 20)
                _round(market, flags, streams, into)
    result.figures, result.floor = seen.figures(), floor.figures()
    result.ratio = {name: seen.figures()[name] / max(floor.figures()[name], 1e-9) for name in ("stop_p99_ms",)}
    result.how = (
        f"{streams} streams of {mebibytes} MiB over loopback, {rounds} rounds, SQLite; half of them slow: "
        f"SO_RCVBUF {readers.SLOW_BUFFER >> 10} KiB, {readers.SLOW_PIECE >> 10} KiB each "
        f"{readers.SLOW_PAUSE * 1000:.0f} ms.  Floor: default socket buffers, no watch."
    )
    return result


def _round(market: Path, flags: tuple[str, ...], streams: int, seen: Seen) -> None:
    plan = [(crowd.agreement_id(1 + at % AGREEMENTS), at // AGREEMENTS % 2 == 0) for at in range(streams)]
    with serving(market, *flags) as server, crowd.enter(market) as house:
        process, results = readers.start(server.address, plan)
        assert results.recv() == streams, "some streams were not served"
        time.sleep(2)
        one, commit_one = _stop(house, _suspend_one)
        time.sleep(1.5)
        everything, commit_all = _stop(house, _suspend_all)
        readings: list[Reading] = results.recv()
        process.join(30)
    seen.commits += [commit_one, commit_all]
    for reading in readings:
        seen.add(reading, one if reading.agreement == crowd.agreement_id(1) else everything)


def _stop(house: House, verb: Callable[[Session, House], None]) -> tuple[float, float]:
    """The moment at which the commit of a stop was answered, and how long the commit took."""
    with house.runtime.database.session(write=True) as db:
        verb(db, house)
        began = time.monotonic()
        db.commit()
        done = time.monotonic()
    return done, done - began


def _suspend_one(db: Session, house: House) -> None:
    agreement = negotiation.agreement(db, crowd.agreement_id(1))
    stopping.suspend(db, house.cast["hospital"].actor, agreement, WHY, house.runtime.clock.now())


def _suspend_all(db: Session, house: House) -> None:
    version = assets.version(db, "ver_1")
    versions.suspend(db, house.cast["hospital"].actor, version, WHY.reason, house.runtime.clock.now())


def _p99(values: list[float]) -> float:
    """The value that 99 of 100 do not pass; the largest of fewer than 100."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, -(-len(ordered) * 99 // 100) - 1)]


if __name__ == "__main__":
    main(measure)
