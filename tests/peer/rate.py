"""How fast two Eclipse EDC control planes negotiate with each other: one JSON object on standard output.

`python -m tests.peer.rate [negotiations at once] [how many]`.  Exit code 2 when no control plane can be had here.
figures: by iteration wait of their state machines in ms, {finalized, lost, seconds, per_second, p50_ms, p95_ms} of what
lies between the request over the management API and FINALIZED at the consumer; in-memory stores, mock identity, no
signature.  lost: ended by EDC itself, whose provider may answer before its consumer has written down what it asked.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from marketplace.kernel.canonical import Json
from tests.peer import artifacts
from tests.peer.artifacts import Classes
from tests.peer.controlplane import ControlPlane, running

WAITS_MS = (100, 1000)
"""What EDC is set to for tests, and what it does when nothing is set."""
_ASSET = "measured"
_CONSUMER, _PROVIDER = "edc-consumer", "edc-provider"


def measure(made: Classes, folder: Path, at_once: int, many: int) -> Json:
    """The figures for every iteration wait, two fresh control planes each."""
    figures = {str(wait): _at(made, folder / str(wait), wait, at_once, many) for wait in WAITS_MS}
    return {"name": "edc_negotiate", "edc": made.version, "at_once": at_once, "figures": figures}


def _at(made: Classes, folder: Path, wait_ms: int, at_once: int, many: int) -> Json:
    with ExitStack() as stack:
        consumer, provider = (
            stack.enter_context(running(made, folder, name, wait_ms)) for name in (_CONSUMER, _PROVIDER)
        )
        provider.register_data_plane("http://127.0.0.1:1/dataflows")  # without one it offers nothing
        provider.offer(_ASSET)
        (dataset,) = _listed(consumer.catalogue(provider.base, _PROVIDER)["dataset"])
        _negotiated(consumer, provider, dataset)  # the first one loads classes
        begun = time.monotonic()
        with ThreadPoolExecutor(at_once) as pool:
            ended = list(pool.map(lambda _: _negotiated(consumer, provider, dataset), range(many)))
        seconds = time.monotonic() - begun
    took = sorted(one for one in ended if one is not None)
    return {
        "finalized": len(took),
        "lost": many - len(took),
        "seconds": round(seconds, 3),
        "per_second": round(len(took) / seconds, 2),
        "p50_ms": round(1000 * statistics.median(took)),
        "p95_ms": round(1000 * took[int(0.95 * (len(took) - 1))]),
    }


def _negotiated(consumer: ControlPlane, provider: ControlPlane, dataset: Json) -> float | None:
    """Seconds from the request to FINALIZED; None when EDC ended it."""
    begun = time.monotonic()
    process = consumer.negotiate(provider.base, _PROVIDER, _ASSET, _listed(dataset["hasPolicy"])[0])
    found = consumer.reached(f"/contractnegotiations/{process}", {"FINALIZED", "TERMINATED"}, pause=0.05)
    return time.monotonic() - begun if found["state"] == "FINALIZED" else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def main(at_once: str = "20", many: str = "60") -> int:
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
