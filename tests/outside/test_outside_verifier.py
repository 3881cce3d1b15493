"""A verifier that is not ours agrees: a real log of ours, served on loopback, read by the Go ecosystem's own tools.

`spicy -verify` is a command line tool of filippo.io/torchwood, built unchanged.  `check.go` calls golang.org/x/mod's
sumdb packages and torchwood on /log/checkpoint and /log/tile/….  Both are pinned in go.mod and go.sum.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from sqlmodel import select

from marketplace.audit import queries
from marketplace.audit.models import Checkpoint, Entry, Tile
from marketplace.audit.routes import public
from marketplace.audit.service import prove
from marketplace.kernel.clock import StoryClock
from marketplace.kernel.signing import generate_key
from marketplace.plumbing import problems
from marketplace.plumbing.runtime import Runtime
from tests.audit.test_log_routes import HeaderGate
from tests.audit.world import NOW, Log, open_log, tell_story

HERE = Path(__file__).parent
BUILD_SECONDS = 600


def wrong_root(text: str) -> str:
    """The checkpoint in a text with another root under the same signatures."""
    return re.sub(r"(\n\d+\n)(.)", lambda found: found[1] + ("A" if found[2] != "A" else "B"), text, count=1)


@dataclass
class Tools:
    """The two programs, and how a run of one ended."""

    spicy: Path
    check: Path

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed: no verifier but ours was asked")
    built = tmp_path_factory.mktemp("outside")
    for name, package in (("spicy", "filippo.io/torchwood/cmd/spicy"), ("check", ".")):
        command = [go, "-C", str(HERE), "build", "-o", str(built / name), package]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.skip(f"the Go modules were not had in {BUILD_SECONDS} seconds")
        if done.returncode:
            words = done.stderr.strip().splitlines()
            pytest.skip(f"the Go modules cannot be had here: {words[-1] if words else 'no word from go'}")
    return Tools(built / "spicy", built / "check")


@dataclass
class Served:
    """A log of some 310 entries behind a real socket, with files of one entry, its proof and an older checkpoint."""

    log: Log
    url: str
    folder: Path
    index: int

    @property
    def entry(self) -> Path:
        return self.folder / "entry.json"

    @property
    def spicy(self) -> Path:
        return self.folder / "entry.json.spicy"

    @property
    def keys(self) -> list[str]:
        keys = self.log.processes.client.keys
        return ["-log-key", str(keys.log), "-witness-key", str(keys.witness)]

    def question(self) -> list[str | Path]:
        about: list[str | Path] = ["-entry", self.entry, "-index", str(self.index), "-old", self.folder / "old.txt"]
        return ["-log", f"{self.url}/log", *self.keys, *about]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with open_log(tmp_path / "log") as log:
        log.write(100)
        tell_story(log)
        log.round()
        with log.database.reading() as db:
            (tmp_path / "old.txt").write_text(queries.published_checkpoint(db).note)
            entry = db.exec(select(Entry).where(Entry.tag == "usage:allowed")).one()
        log.write(200)
        log.round()
        with log.database.reading() as db:
            proof = prove(db, entry.id)
        (tmp_path / "entry.json").write_bytes(entry.body)
        # The tool reads the form from before the specification's first line and `extra`.
        older_form = "".join(line for line in proof.tlog_proof.splitlines(True)[2:])
        (tmp_path / "entry.json.spicy").write_text(older_form)
        with PublicLog(log) as url:
            yield Served(log, url, tmp_path, proof.index)


class PublicLog:
    """The public routes of the log on a loopback port."""

    def __init__(self, log: Log) -> None:
        unused: Any = None
        runtime = Runtime(
            log.settings, log.database, StoryClock(NOW), unused, unused, unused, generate_key(), b"secret"
        )  # fmt: skip
        app = FastAPI()
        app.state.runtime, app.state.gate = runtime, HeaderGate(runtime)
        problems.install(app)
        app.include_router(public)
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            self._thread.join(0.01)
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


def test_an_unchanged_tool_accepts_our_inclusion_proof_and_checkpoint(tools: Tools, served: Served) -> None:
    key = served.keys[1]
    done = tools.run(tools.spicy, "-verify", key, served.entry)
    assert done.returncode == 0, done.stderr
    assert "verified" in done.stderr


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("entry.json", lambda text: text.replace('"bytes":10', '"bytes":11'), "could not verify inclusion"),
        ("entry.json.spicy", lambda text: re.sub(r"^index \d+", "index 7", text), "could not verify inclusion"),
        ("entry.json.spicy", lambda text: re.sub(r"\n[^z]", "\nz", text, count=1), "could not verify inclusion"),
        ("entry.json.spicy", wrong_root, "could not verify checkpoint"),
    ],
)
def test_the_same_tool_refuses_what_was_tampered_with(
    tools: Tools, served: Served, file: str, change: Callable[[str], str], said: str
) -> None:
    path = served.folder / file
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    assert_refused(tools.run(tools.spicy, "-verify", served.keys[1], served.entry), said)


def test_the_same_tool_refuses_another_logs_key(tools: Tools, served: Served, tmp_path: Path) -> None:
    with open_log(tmp_path / "other") as other:
        key = str(other.processes.client.keys.log)
    assert_refused(tools.run(tools.spicy, "-verify", key, served.entry), "note has no verifiable signatures")


def test_their_libraries_read_checkpoint_cosignature_and_tiles_over_http(tools: Tools, served: Served) -> None:
    done = tools.run(tools.check, *served.question())
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"log \S+ of \d+ entries: cosigned; entry {served.index} is in it\n", done.stdout)


def test_their_libraries_refuse_a_changed_tile(tools: Tools, served: Served) -> None:
    with served.log.database.transaction() as db:
        tile = db.get(Tile, (0, 0))
        assert tile is not None
        tile.hashes = bytes([tile.hashes[0] ^ 1]) + tile.hashes[1:]
    assert_refused(tools.run(tools.check, *served.question()), "invalid transparency proof")


@pytest.mark.parametrize(
    ("change", "said"),
    [("root", "invalid signature for key"), ("witness", "signed by 1 of 2 keys"), ("old", "invalid signature for key")],
)
def test_their_libraries_refuse_a_wrong_root_a_missing_cosignature_and_an_old_checkpoint_that_does_not_fit(
    tools: Tools, served: Served, change: str, said: str
) -> None:
    if change == "old":
        path = served.folder / "old.txt"
        path.write_text(wrong_root(path.read_text()))
    else:
        with served.log.database.transaction() as db:
            row = db.exec(select(Checkpoint).order_by(Checkpoint.size.desc())).first()  # type: ignore[attr-defined]
            assert row is not None
            lines = row.note.splitlines(True)
            row.note = wrong_root(row.note) if change == "root" else "".join(x for x in lines if "/witness " not in x)
            db.add(row)
    assert_refused(tools.run(tools.check, *served.question()), said)


def assert_refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    """That a program found a fault, and that one: where it reached nobody it would end alike."""
    assert done.returncode != 0
    assert said in done.stderr
