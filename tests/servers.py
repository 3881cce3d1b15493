"""Real PostgreSQL and Redis for the journeys, started on loopback from the machine's own binaries, and the service.

Where a binary is missing the journey is skipped and says so; where it is there, a server that does not start is a
failure.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import redis

ROOT = Path(__file__).resolve().parents[1]
BEGINS_IN_SECONDS = ENDS_IN_SECONDS = 120
"""What even a busy machine with a busy disk needs no more than."""


def initdb_path() -> Path | None:
    """PostgreSQL's initdb, also where Debian hides it; the newest version first."""
    hidden = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if hidden:
        return hidden[0]
    found = shutil.which("initdb")
    return Path(found) if found else None


def redis_path() -> str | None:
    return shutil.which("redis-server")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at, and that no other run of the tests is given while this one lasts.

    It lies below those that the system deals out: no connection takes it before our server binds it, nor while that
    server is killed and started again.
    """
    claims = Path(tempfile.gettempdir()) / f"marketplace-test-ports-{os.getuid()}"
    claims.mkdir(exist_ok=True)
    for port in range(20_000, 32_000):
        claim = os.open(claims / str(port), os.O_RDWR | os.O_CREAT, 0o600)
        with suppress(OSError), socket.socket() as probe:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.bind(("127.0.0.1", port))
            return port  # its claim stays open, so it is ours until this process ends
        os.close(claim)
    raise AssertionError("no port is free")


def _database_user() -> str | None:
    """PostgreSQL refuses to run as root: another user of this machine, None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("no unprivileged user to run PostgreSQL as")


@contextmanager
def postgresql() -> Iterator[str]:
    """A fresh PostgreSQL cluster; yields its SQLAlchemy address.  fsync stays on."""
    initdb = initdb_path()
    assert initdb is not None
    user = _database_user()
    folder = Path(tempfile.mkdtemp(prefix="mkt-pg-", dir="/tmp"))
    if user:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    common = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    made = subprocess.run(
        [initdb, "-D", data, "-U", "market", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"], check=False, **common
    )
    assert made.returncode == 0, made.stderr.decode()
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [initdb.with_name("postgres"), "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"],
        user=user,
        cwd=folder,
        stdout=log,
        stderr=log,
    )
    url = f"postgresql://market@127.0.0.1:{port}/postgres"
    try:
        _wait(lambda: psycopg.connect(url).close(), "PostgreSQL", server)
        yield url
    finally:
        server.send_signal(signal.SIGQUIT)  # nobody needs what it would still write before an orderly end
        server.wait(ENDS_IN_SECONDS)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def emptied(url: str) -> str:
    """The same database with nothing in it."""
    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return url


@contextmanager
def redis_server() -> Iterator[str]:
    """A fresh Redis with append-only file; yields its address."""
    binary = redis_path()
    assert binary is not None
    folder, port = tempfile.mkdtemp(prefix="mkt-redis-", dir="/tmp"), free_port()
    server = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--save", ""],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"redis://127.0.0.1:{port}/0"
    try:

        def ping() -> None:
            client = redis.Redis.from_url(url)
            try:
                client.ping()
            finally:
                client.close()

        _wait(ping, "Redis", server)
        yield url
    finally:
        server.terminate()
        server.wait(ENDS_IN_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def market_server(
    data: Path, port: int, environment: Mapping[str, str], *, test_mode: str | None = None
) -> Iterator[str]:
    """`marketplace serve` as anybody starts it; yields its address once it is ready, and ends with the block.

    environment: what is set besides our own; test_mode: what the service must say of itself.  Its log is `server.log`
    beside the data folder.
    """
    url, log = f"http://127.0.0.1:{port}", data.with_name("server.log")
    command = [sys.executable, "-m", "marketplace", "serve", "--data", str(data), "--port", str(port)]
    with log.open("wb") as written:
        server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=written, stderr=written)
        try:
            _wait(lambda: _ready(url), "the service", server, log)
            assert _ready(url).get("test_mode") == test_mode, "the service does not say whether it is a test"
            yield url
        finally:
            server.terminate()
            server.wait(ENDS_IN_SECONDS)


def _ready(url: str) -> dict[str, Any]:
    said: dict[str, Any] = httpx2.get(f"{url}/readyz", trust_env=False).raise_for_status().json()
    return said


def _wait(attempt: Callable[[], object], name: str, server: subprocess.Popen[bytes], log: Path | None = None) -> None:
    deadline = time.monotonic() + BEGINS_IN_SECONDS
    while True:
        try:
            attempt()
        except (OSError, httpx2.HTTPError, psycopg.Error, redis.RedisError):
            said = log.read_text()[-2000:] if log else ""
            assert server.poll() is None, f"{name} ended with {server.returncode}: {said}"
            assert time.monotonic() < deadline, f"{name} does not answer: {said}"
            time.sleep(0.05)
        else:
            return
