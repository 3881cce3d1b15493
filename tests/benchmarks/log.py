"""How fast entries become durable and cosigned, and how fast a million of them is checked (goals G5, G6, G10)."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.benchmarks.appending import measure_appending
from tests.benchmarks.figures import Goal, Result, main
from tests.benchmarks.verifying import measure_verifying

GOALS = {
    "appends_per_s": Goal("G6", at_least=3000),
    "append_p99_ms": Goal("G6", at_most=100),
    "ratio.appends_per_s": Goal("G6", at_least=0.5),
    "cosigned_p99_s": Goal("G5", at_most=2),
    "cosigned_max_s": Goal("G5", at_most=5),
    "verify_1m_s": Goal("G10", at_most=15),
    "proof_bytes": Goal("G10", at_most=2048),
    "proof_verify_s": Goal("G10", at_most=1),
}


def measure(options: argparse.Namespace) -> Result:
    """Appending under load first, then checking a large tree."""
    entries, seconds = (100_000, 6.0) if options.quick else (1_000_000, 60.0)
    result = Result("log", "", GOALS)
    with tempfile.TemporaryDirectory(prefix="bench-log-") as folder:
        appending = measure_appending(Path(folder) / "appending", result, seconds)
        verifying = measure_verifying(Path(folder) / "verifying", result, entries)
    result.how = f"{appending} {verifying}"
    return result


if __name__ == "__main__":
    main(measure)
