"""A marketplace as real processes that can be killed and started again: the embedded form."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from tests.harness.world import Place
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
WINDOW_KIB = 4
LEASE_SECONDS = 3


def descendants(pid: int) -> dict[int, str]:
    """The living processes below one, with their command lines."""
    found: dict[int, str] = {}
    todo = [pid]
    while todo:
        for task in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
            with suppress(OSError):
                for child in map(int, task.read_text().split()):
                    line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[child] = line
                    todo.append(child)
    return found


def kill(pid: int) -> bool:
    """End a process at once; False when it was gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@dataclass
class Embedded:
    """`marketplace serve` on a data folder; signer, witness and parsers are its children.  bug: planted, if any."""

    place: Place
    bug: str = ""
    port: int = field(default_factory=free_port)
    log: Path | None = None
    _server: subprocess.Popen[bytes] | None = None

    KINDS = ("server", "signer", "witness", "parser")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.place.data / 'market.sqlite3'}"

    @property
    def folders(self) -> tuple[Path, Path]:
        return self.place.data / "log-signer", self.place.data / "witness"

    def start(self) -> None:
        """Start what is not running; does not wait."""
        if self._server is not None and self._server.poll() is None:
            return
        module = ["tests.harness.broken", self.bug] if self.bug else ["marketplace"]
        command = [sys.executable, "-m", *module, "serve", "--data", str(self.place.data), "--port", str(self.port)]
        settings = {"WINDOW_KIB": WINDOW_KIB, "TRANSFER_LEASE_SECONDS": LEASE_SECONDS, "PARSE_WORKERS": 1}
        environment = os.environ | {f"MARKETPLACE_{name}": str(value) for name, value in settings.items()}
        with (self.log or Path(os.devnull)).open("ab") as log:
            self._server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def victim(self, kind: str) -> int | None:
        """The process of a kind, None while it is not there."""
        if self._server is None or self._server.poll() is not None:
            return None
        if kind == "server":
            return self._server.pid
        sign = {"signer": "marketplace.audit.signer", "witness": "marketplace.audit.witness", "parser": "sandbox_child"}
        below = [pid for pid, line in descendants(self._server.pid).items() if sign[kind] in line]
        return random.choice(below) if below else None

    def end(self) -> None:
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(20)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()


def wait_until_up(url: str, seconds: float = 180) -> float:
    """Wait for the first good answer, also on a machine that others have too; returns how long it took.

    Raises TimeoutError, which says what came instead of it last.
    """
    began, last = time.monotonic(), "nothing"
    while time.monotonic() - began < seconds:
        try:
            answer = httpx2.get(f"{url}/readyz", timeout=10, trust_env=False)
            if answer.status_code == 200:
                return time.monotonic() - began
            last = f"{answer.status_code} {answer.text[:300]}"
        except (httpx2.TransportError, OSError) as error:
            last = f"{type(error).__name__} {error}"
        time.sleep(0.05)
    raise TimeoutError(f"{url} was not ready in {seconds:.0f} s; last came {last}")
