"""The production form as processes that can be killed: API, scheduler, worker, signer, witness, PostgreSQL, Redis.

Everything listens on loopback; where the machine has no PostgreSQL or Redis, `missing` says so.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests import servers
from tests.harness.running import LEASE_SECONDS, ROOT, WINDOW_KIB, kill
from tests.harness.world import Place, prepare

ORIGIN = "marketplace.example/log"


def missing() -> str:
    """What this machine lacks for the production form, in words; empty when it has everything."""
    lacks = [
        name for name, found in (("PostgreSQL", servers.initdb_path()), ("Redis", servers.redis_path())) if not found
    ]
    return f"no {' and no '.join(lacks)} here: on Debian, `apt-get install postgresql redis-server`" if lacks else ""


@dataclass
class Production:
    """The processes by kind; `start` starts whichever has ended."""

    folder: Path
    place: Place | None = None
    ports: dict[str, int] = field(default_factory=dict)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    KINDS = ("api", "scheduler", "worker", "signer", "witness", "database", "redis")

    def __post_init__(self) -> None:
        self.ports = {name: servers.free_port() for name in ("api", "signer", "witness", "database", "redis")}
        self.user = servers._database_user()
        # Apart from the rest: the database's own user must reach it.
        self.cluster = Path(tempfile.mkdtemp(prefix="mkt-pg-", dir="/tmp"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._initdb()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['api']}"

    @property
    def database_url(self) -> str:
        return f"postgresql://market@127.0.0.1:{self.ports['database']}/postgres"

    @property
    def folders(self) -> tuple[Path, Path]:
        assert self.place is not None
        return self.place.data / "log-signer", self.place.data / "witness"

    def _initdb(self) -> None:
        initdb = servers.initdb_path()
        assert initdb is not None
        self._postgres = initdb.with_name("postgres")
        if self.user:
            shutil.chown(self.cluster, self.user)
        command = [initdb, "-D", self.cluster / "data", "-U", "market", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(command, user=self.user, cwd=self.cluster, check=True, stdout=subprocess.DEVNULL)

    def start_database(self) -> None:
        """PostgreSQL alone, for telling the story; waits until it answers."""
        self._keep("database")
        limit = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.database_url).close()
            except psycopg.Error:
                assert time.monotonic() < limit, "PostgreSQL does not answer"
                time.sleep(0.1)
            else:
                return

    def start(self) -> None:
        """Start what has ended; does not wait."""
        for name in ("database", "redis", "signer", "witness", "worker", "scheduler", "api"):
            self._keep(name)

    def _keep(self, name: str) -> None:
        process = self._running.get(name)
        if process is not None and process.poll() is None:
            return
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(part) for part in self._command(name)],
                cwd=self.cluster if name == "database" else ROOT,
                user=self.user if name == "database" else None,
                env=os.environ | self._settings(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _command(self, name: str) -> list[Any]:
        python, port = [sys.executable, "-m"], self.ports.get(name)
        match name:
            case "database":
                where = [
                    "-p",
                    port,
                    "-k",
                    self.cluster,
                    "-h",
                    "127.0.0.1",
                    "-c",
                    "fsync=on",
                    "-c",
                    "max_connections=200",
                ]
                return [self._postgres, "-D", self.cluster / "data", *where]
            case "redis":
                files = ["--dir", self.folder, "--appendonly", "yes", "--save", ""]
                return [servers.redis_path(), "--port", port, "--bind", "127.0.0.1", *files]
            case "signer" | "witness":
                mine = self.folders[name == "witness"]
                command = [*python, f"marketplace.audit.{name}", "--folder", mine, "--origin", ORIGIN, "--port", port]
                key = ["--name", "marketplace.example/witness", "--log-key-file", self.folders[0] / "verifier.key"]
                return command + (key if name == "witness" else [])
            case "worker":
                return [*python, "celery", "-A", "workers.app", "worker", "-c", "1", "--loglevel", "warning"]
            case "scheduler":
                return [*python, "marketplace", "scheduler"]
            case _:
                return [*python, "tests.harness.loopback_api", port]

    def _settings(self) -> dict[str, str]:
        if self.place is None:
            return {}
        values: dict[str, Any] = {
            "DATA_FOLDER": self.place.data,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": f"redis://127.0.0.1:{self.ports['redis']}/0",
            "PUBLIC_URL": self.url,
            "LOG_SIGNER_URL": f"http://127.0.0.1:{self.ports['signer']}",
            "WITNESS_URL": f"http://127.0.0.1:{self.ports['witness']}",
            "WINDOW_KIB": WINDOW_KIB,
            "TRANSFER_LEASE_SECONDS": LEASE_SECONDS,
            "PARSE_WORKERS": 1,
        }
        return {f"MARKETPLACE_{name}": str(value) for name, value in values.items()}

    def victim(self, kind: str) -> int | None:
        process = self._running.get(kind)
        if process is None or process.poll() is not None:
            return None
        if kind == "worker":  # the pool's child as often as its parent
            from tests.harness.running import descendants

            return random.choice([process.pid, *descendants(process.pid)])
        return process.pid

    def end(self) -> None:
        """End everything that was started here, the database last."""
        for name in ("api", "scheduler", "worker", "witness", "signer", "redis", "database"):
            process = self._running.pop(name, None)
            if process is None:
                continue
            process.send_signal(signal.SIGINT if name == "database" else signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                kill(process.pid)
                process.wait()
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(self.cluster, ignore_errors=True)


def run(folder: Path, *, kills: int, seed: int) -> dict[str, Any]:
    """Tell the story on PostgreSQL, then kill."""
    from tests.harness.crash import figures

    form = Production(folder / "production")
    try:
        form.start_database()
        form.place = prepare(folder / "production" / "story", database_url=form.database_url)
        return figures(form, form.place, kills, seed)
    finally:
        form.end()
