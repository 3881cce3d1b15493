"""How fast two Eclipse EDC control planes negotiate with each other: one JSON object on standard output.

`python -m tests.peer.rate [negotiations at once] [how many]`.  Exit code 2 when no control plane can be had here.
figures: by iteration wait of their state machines in ms, {finalized, lost, seconds, per_second, p50_ms, p95_ms} of what
lies between a request over the management API and FINALIZED, as the consumer's own events tell; in-memory stores, mock
identity, no signature.  one_by_one: the same of a quarter as many, one after the other.  lost: ended by EDC itself,
whose provider may answer before its consumer has written down what it asked for.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace.kernel.canonical import Json
from tests.peer import artifacts
from tests.peer.artifacts import Classes
from tests.peer.controlplane import running
from tests.peer.plane import serving
from tests.peer.steps import waited

TUNED_MS, DEFAULT_MS = 100, 1000
"""What EDC is set to for tests, and what it does when nothing is set; its batches are of the default size in both."""
_ASSET = "measured"
_WARM = 5
_FEWEST = 4
_CONSUMER, _PROVIDER = "edc-consumer", "edc-provider"


@dataclass(frozen=True)
class Times:
    """One negotiation, in milliseconds since 1970."""

    begin_ms: int
    end_ms: int
    finalized: bool


def measure(made: Classes, folder: Path, at_once: int, many: int) -> Json:
    """The figures for every iteration wait, two fresh control planes each."""
    few = max(_FEWEST, many // 4)
    found = {
        str(wait): _at(made, folder / str(wait), wait, ((at_once, many), (1, few))) for wait in (TUNED_MS, DEFAULT_MS)
    }
    figures, alone = ({wait: both[place] for wait, both in found.items()} for place in (0, 1))
    return {"name": "edc_negotiate", "edc": made.version, "at_once": at_once, "figures": figures, "one_by_one": alone}


def _at(made: Classes, folder: Path, wait_ms: int, runs: Sequence[tuple[int, int]]) -> list[Json]:
    """The figures of each run.  runs: how many negotiations are under way at once, and how many there are."""
    with ExitStack() as stack:
        consumer, provider = (
            stack.enter_context(running(made, folder, name, wait_ms)) for name in (_CONSUMER, _PROVIDER)
        )
        told = stack.enter_context(serving(b""))
        provider.register_data_plane(told.url + "/dataflows")  # without one it offers nothing
        provider.offer(_ASSET)
        (dataset,) = _listed(consumer.catalogue(provider.base, _PROVIDER)["dataset"])
        offer = _listed(dataset["hasPolicy"])[0]

        def negotiated(_: int) -> Times:
            process = consumer.negotiate(provider.base, _PROVIDER, _ASSET, offer, told.url + "/events")
            return waited(lambda: _times(told.events, process), "the end of a negotiation", 300)

        for number in range(_WARM):
            negotiated(number)
        return [_figures(_ended(negotiated, *run), run[1]) for run in runs]


def _ended(negotiated: Callable[[int], Times], at_once: int, many: int) -> list[Times]:
    with ThreadPoolExecutor(at_once) as pool:
        return [one for one in pool.map(negotiated, range(many)) if one.finalized]


def _figures(finalized: list[Times], many: int) -> Json:
    took = sorted(one.end_ms - one.begin_ms for one in finalized)
    seconds = (max(one.end_ms for one in finalized) - min(one.begin_ms for one in finalized)) / 1000
    return {
        "finalized": len(took),
        "lost": many - len(took),
        "seconds": round(seconds, 3),
        "per_second": round(len(took) / seconds, 2),
        "p50_ms": round(statistics.median(took)),
        "p95_ms": took[int(0.95 * (len(took) - 1))],
    }


def _times(events: list[Json], process: str) -> Times | None:
    """When a negotiation began and ended by the consumer's own clock, once it has ended."""
    mine = {one["type"]: one["at"] for one in events if one["payload"].get("contractNegotiationId") == process}
    for name in ("ContractNegotiationFinalized", "ContractNegotiationTerminated"):
        if name in mine:
            return Times(mine["ContractNegotiationInitiated"], mine[name], name.endswith("Finalized"))
    return None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def main(at_once: str = "8", many: str = "40") -> int:
    """Print the figures; returns the exit code."""
    try:
        made, _ = artifacts.classes(artifacts.ASKED)
    except artifacts.NoPeer as error:
        print(f"peer: {error}", file=sys.stderr)
        return 2
    print(json.dumps(measure(made, Path(tempfile.mkdtemp(prefix="mkt-peer-")), int(at_once), int(many)), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
