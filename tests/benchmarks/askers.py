"""Clients of `bench decide`: many connections of one process, every request signed before the clock starts.

`python -m tests.benchmarks.askers PORT SECONDS` reads whole requests from standard input, a list of base64 texts a line
for each connection, and prints what it saw as JSON.  A connection that has sent all of its requests ends.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from dataclasses import dataclass


@dataclass
class Seen:
    """milliseconds: of each answer; statuses: how many answers had which."""

    milliseconds: list[float]
    statuses: dict[str, int]
    seconds: float


async def ask_all(port: int, plans: list[list[bytes]], seconds: float) -> Seen:
    """Send each connection's requests one after another until the time is over; all start together."""
    seen = Seen([], {}, 0)
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in plans]
    began = time.monotonic()
    await asyncio.gather(
        *(_ask(*stream, plan, began + seconds, seen) for stream, plan in zip(streams, plans, strict=True))
    )
    seen.seconds = time.monotonic() - began
    return seen


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, plan: list[bytes], until: float, seen: Seen
) -> None:
    for request in plan:
        if (asked := time.monotonic()) >= until:
            break
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        at = head.lower().index(b"content-length:") + len(b"content-length:")
        await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        seen.milliseconds.append(1e3 * (time.monotonic() - asked))
        status = head[9:12].decode()
        seen.statuses[status] = seen.statuses.get(status, 0) + 1
    writer.close()


def main() -> None:
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    plans = [[base64.b64decode(one) for one in json.loads(line)] for line in sys.stdin]
    print(json.dumps(asyncio.run(ask_all(port, plans, seconds)).__dict__), flush=True)


if __name__ == "__main__":
    main()
