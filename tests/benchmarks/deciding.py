"""The server of `bench decide`: `python -m tests.benchmarks.deciding FOLDER`; prints its port.

The whole application over an arranged market, and beside it, in the same process and behind the same server, a bare
FastAPI application with one JSON route: the floor.  Only the limits of requests are raised: one client asks for all.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from marketplace.main import build_runtime, create_app
from marketplace.plumbing import sockets
from marketplace.settings import Settings

PUBLIC_URL = "http://bench.example"
FLOOR = "/floor"


def settings(folder: Path) -> Settings:
    """Of the server and of who arranges its market."""
    return Settings(
        data_folder=folder,
        public_url=PUBLIC_URL,
        parse_workers=1,
        access_token_seconds=3600,
        clock_skew_seconds=3600,  # proofs are signed before the clock of a round starts
        limit_participant_per_second=1_000_000,
        limit_participant_burst=1_000_000,
    )


def floor() -> FastAPI:
    """A bare route that answers as much JSON as a decision does."""
    app = FastAPI()

    @app.get(FLOOR)
    async def answer() -> dict[str, object]:
        return {"allow": True, "obligations": [], "revision": "0" * 64, "entry": "ent_" + "0" * 32}

    return app


def main() -> None:
    runtime = build_runtime(settings(Path(sys.argv[1])))
    ours, bare = create_app(runtime), floor()

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await (bare if scope["path"] == FLOOR else ours)(scope, receive, send)

    server = sockets.server(either, runtime.settings, log_level="critical", lifespan="off")
    sockets.freeze()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        print(f"port {listener.getsockname()[1]}", flush=True)
        server.run(sockets=[listener])
    runtime.close()


if __name__ == "__main__":
    main()
