"""What logging every window costs a stream: one fast reader over loopback, logged and plain in turn (goal G24)."""

from __future__ import annotations

import argparse
import http.client
import statistics
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures import Goal, Result, main
from tests.harness import crowd
from tests.harness.serving import Server, serving

GOALS = {
    "ratio.mb_per_s": Goal("G24", at_least=0.6),
    "mb_per_s": Goal("G24", at_least=200),
}


def measure(options: argparse.Namespace) -> Result:
    mebibytes, rounds = (64, 3) if options.quick else (256, 7)
    result = Result("throughput", "", GOALS)
    logged, plain = [], []
    with tempfile.TemporaryDirectory(prefix="bench-throughput-") as folder:
        market = Path(folder) / "market"
        crowd.arrange(market, agreements=1, size=mebibytes << 20)
        with serving(market) as ours, serving(market, "--plain", "--unlogged") as floor:
            _download(ours)
            _download(floor)
            for _ in range(rounds):
                logged.append(_download(ours))
                plain.append(_download(floor))
    result.figures = {"mb_per_s": statistics.median(logged)}
    result.floor = {"mb_per_s": statistics.median(plain)}
    result.ratio = {"mb_per_s": result.figures["mb_per_s"] / result.floor["mb_per_s"]}
    result.how = (
        f"one stream of {mebibytes} MiB over loopback, median of {rounds} rounds in turn, SQLite.  "
        "Floor: the same files and hashes, but no entry for a window, the web server's own sockets and no watch."
    )
    return result


def _download(server: Server) -> float:
    """Megabytes (10^6) a second."""
    connection = http.client.HTTPConnection(*server.address, timeout=120)
    path = f"/v1/agreements/{crowd.agreement_id(1)}/data/{crowd.PATH}?purpose={crowd.PURPOSE}"
    began, size = time.monotonic(), 0
    connection.request("GET", path, headers={"X-Caller": "pharma"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    while piece := answer.read1(1 << 18):
        size += len(piece)
    seconds = time.monotonic() - began
    connection.close()
    return size / seconds / 1e6


if __name__ == "__main__":
    main(measure)
