"""The embedded form of signer and witness: child processes on sockets in a private folder.

They share the machine and the user with the service, so they protect against a changed database, not against the
operator of the machine; production points `log_signer_url` and `witness_url` at other parties.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import marketplace
from marketplace.audit.client import LogClient, LogSilent, Peer, has_keys, public_keys
from marketplace.audit.statements import base_origin
from marketplace.settings import Settings

READY_SECONDS = 30.0
_SOCKETS = "market-log-"


class LogProcesses:
    """Signer and witness for the length of a `with` block: child processes, or the configured addresses.

    client: what `integrate` speaks to.  Raises LogSilent when they are not ready in time.
    """

    client: LogClient

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._commands: dict[str, list[str]] = {}
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def tend(self) -> None:
        """Start a child again that has ended; its folder holds all it needs.  Raises LogSilent."""
        for name, child in list(self.children.items()):
            if child.poll() is not None:
                self._restart(name)
                self._await(name, self._peer(name))

    def _open(self) -> None:
        peers = {"signer": self._settings.log_signer_url, "witness": self._settings.witness_url}
        if not all(peers.values()):
            sockets = self._stack.enter_context(_socket_folder(self._settings.data_folder))
        for name, url in peers.items():
            if not url:
                self._commands[name] = self._command(name, sockets / f"{name}.sock")
                self.children[name] = self._start(name)
                self._stack.callback(self._stop, name)
        opened = {
            name: Peer(name, url or f"http://{name}", None if url else sockets / f"{name}.sock")
            for name, url in peers.items()
        }
        for name, peer in opened.items():
            self._stack.callback(peer.close)
            self._await(name, peer)
        self.client = LogClient(opened["signer"], opened["witness"], public_keys(self._settings))

    def _peer(self, name: str) -> Peer:
        return self.client.signer if name == "signer" else self.client.witness

    def _command(self, name: str, address: Path) -> list[str]:
        origin, data = self._settings.log_origin, self._settings.data_folder
        folder = data / ("log-signer" if name == "signer" else "witness")
        command = [sys.executable, "-m", f"marketplace.audit.{name}", "--with-parent"]
        command += ["--folder", str(folder), "--origin", origin, "--socket", str(address)]
        if name == "witness":
            command += ["--name", witness_name(origin)]
            if self._settings.log_signer_public_key:
                command += ["--log-key", self._settings.log_signer_public_key]
            else:
                command += ["--log-key-file", str(data / "log-signer" / "verifier.key")]
        return command

    def _stop(self, name: str) -> None:
        _end(self.children[name])

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        # The child ends when its standard input closes, so it cannot outlive this process.
        root = str(Path(marketplace.__file__).resolve().parent.parent)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MARKETPLACE_")}
        return subprocess.Popen(
            self._commands[name], stdin=subprocess.PIPE, env=kept | {"PYTHONPATH": root}, start_new_session=True
        )

    def _restart(self, name: str) -> None:
        _end(self.children[name])
        self.children[name] = self._start(name)

    def _await(self, name: str, peer: Peer) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not (peer.alive() and has_keys(self._settings)):
            if self._has_given_up() or time.monotonic() > deadline:
                raise LogSilent(f"the {name} did not become ready", action="read its message above")
            time.sleep(0.02)

    def _has_given_up(self) -> bool:
        """Whether a child ended by itself, which it would do again; one that was killed is started again."""
        ended = {name: child.returncode for name, child in self.children.items() if child.poll() is not None}
        for name, code in ended.items():
            if code < 0:
                self._restart(name)
        return any(code >= 0 for code in ended.values())


@contextmanager
def _socket_folder(data: Path) -> Iterator[Path]:
    """A private folder for the sockets, away from the data folder: a socket's path has room for 100 letters only.

    A link in the data folder remembers it, so that the one of a process that was killed goes when the next starts.
    """
    link = data / "log-sockets"
    data.mkdir(parents=True, exist_ok=True)
    _forget(link)
    folder = tempfile.mkdtemp(prefix=_SOCKETS)
    link.symlink_to(folder)
    try:
        yield Path(folder)
    finally:
        _forget(link)


def _forget(link: Path) -> None:
    if link.is_symlink():
        folder = link.readlink()
        link.unlink()
        if folder.name.startswith(_SOCKETS) and not any(_answers(one) for one in folder.glob("*.sock")):
            shutil.rmtree(folder, ignore_errors=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        return probe.connect_ex(str(path)) == 0


def witness_name(origin: str) -> str:
    """The name of the embedded witness, beside the log's origin: `market.example/log` has `market.example/witness`."""
    return f"{base_origin(origin).rsplit('/', 1)[0]}/witness"


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        child.stdin.close()
    child.terminate()
    try:
        child.wait(timeout=3)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
