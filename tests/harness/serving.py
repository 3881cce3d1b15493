"""A real server process over an arranged market, for harnesses and benchmarks that stop or kill it.

`python -m tests.harness.serving FOLDER [--plain] [--unlogged] [--late-log] [--set name=value …]`; prints its port.
--plain: the web server's own sockets and no watch over running streams, as a floor to compare with.
--unlogged: windows leave without a transaction, as a floor to compare with.
--late-log: a window is logged after its bytes were sent, the bug that `tests.harness.streams` must catch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from marketplace.plumbing import sockets
from marketplace.transfer import routes
from marketplace.transfer.stream import WindowSource
from marketplace.transfer.watch import Watch
from tests.harness import crowd
from tests.transfer.doors import app_of


class LateSource(WindowSource):
    """Hands out a window first and logs it when the next one is asked for."""

    _owed = 0

    def next(self, size: int | None = None) -> bytes | None:
        if self._owed:
            owed, self._owed = self._owed, 0
            self._runtime.database.grouped(lambda db: self._grant(db, length=owed))
        if self._granted == self.opened.span.length:
            return super().next(size)
        window = self._take(min(size or self.largest, self.largest))
        self._granted += len(window)
        self._owed = len(window)
        return window


class UnloggedSource(WindowSource):
    """Hands out windows that nobody recorded."""

    def next(self, size: int | None = None) -> bytes | None:
        if self._granted == self.opened.span.length:
            return super().next(size)
        window = self._take(min(size or self.largest, self.largest))
        self._granted += len(window)
        return window


class Server:
    """A server process.  address: where it listens."""

    def __init__(self, folder: Path, *flags: str, database_url: str = "", **settings: Any) -> None:
        given = [f"--set={name}={json.dumps(value)}" for name, value in settings.items()]
        command = [sys.executable, "-m", "tests.harness.serving", str(folder), *flags, *given]
        command += [f"--database-url={database_url}"] if database_url else []
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("port "), f"the server did not start: {line!r}"
        self.address = ("127.0.0.1", int(line.split()[1]))

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """Kill it as a power cut would: nothing is closed in order."""
        self._process.send_signal(signal.SIGKILL)
        self._end()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._end()

    def _end(self) -> None:
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def serving(folder: Path, *flags: str, **settings: Any) -> Iterator[Server]:
    server = Server(folder, *flags, **settings)
    try:
        yield server
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--database-url", default="")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--unlogged", action="store_true")
    parser.add_argument("--late-log", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    settings = {name: json.loads(value) for name, value in (one.split("=", 1) for one in options.set)}
    if options.plain:
        Watch.over = lambda *_: contextlib.nullcontext()  # type: ignore[method-assign,assignment,misc,return-value]
    if options.late_log or options.unlogged:
        routes.WindowSource = LateSource if options.late_log else UnloggedSource  # type: ignore[misc]
    with crowd.enter(options.folder, options.database_url, **settings) as house:
        app, how = app_of(house), {"log_level": "critical", "lifespan": "off", "timeout_graceful_shutdown": 2}
        if options.plain:
            server = uvicorn.Server(uvicorn.Config(app, **how))  # type: ignore[arg-type]
        else:
            server = sockets.server(app, house.runtime.settings, **how)
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            print(f"port {listener.getsockname()[1]}", flush=True)
            server.run(sockets=[listener])


if __name__ == "__main__":
    main()
