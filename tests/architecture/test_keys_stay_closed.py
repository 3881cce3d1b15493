"""The server never opens the folder in which the parties keep their keys: watched at every open it makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from marketplace.client.api import connect
from seeds.chest_ct import Archive, generate
from seeds.story import tell
from tests.servers import free_port, market_server

# Loaded by every Python process that has its folder on PYTHONPATH, before anything else of the program.
WATCH = """
import os, subprocess, sys

_file = os.environ["OPENED_PATHS"]
_handle = os.open(_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_events = {
    "open", "os.listdir", "os.scandir", "os.rename", "os.remove", "os.link", "os.chmod", "shutil.copyfile",
    "sqlite3.connect",
}
_begin = subprocess.Popen.__init__


def _watch(event, arguments):
    if event in _events and arguments and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        os.write(_handle, (path + chr(10)).encode("utf-8", "surrogateescape"))


def _begin_watched(self, *arguments, **options):
    # The service gives its children an environment of their own; the watch goes with it.
    if options.get("env") is not None:
        kept = options["env"].get("PYTHONPATH")
        folders = [os.path.dirname(os.path.abspath(__file__)), *([kept] if kept else [])]
        options["env"] = {**options["env"], "PYTHONPATH": os.pathsep.join(folders), "OPENED_PATHS": _file}
    _begin(self, *arguments, **options)


subprocess.Popen.__init__ = _begin_watched
sys.addaudithook(_watch)
"""


@dataclass(frozen=True)
class Watched:
    """A running server and the file of everything it and its children opened."""

    url: str
    opened_file: Path

    def opened(self) -> set[Path]:
        return {Path(line) for line in self.opened_file.read_text(errors="surrogateescape").splitlines()}


@contextmanager
def watched_server(folder: Path, data: Path) -> Iterator[Watched]:
    """`marketplace serve` as a process of its own, with the audit hook in it and in its children."""
    hook = folder / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(WATCH)
    opened = folder / "opened.txt"
    environment = {"PYTHONPATH": str(hook), "OPENED_PATHS": str(opened), "PYTHONDONTWRITEBYTECODE": "1"}
    with market_server(data, free_port(), environment) as url:
        yield Watched(url, opened)


@pytest.mark.journey
def test_not_one_path_that_the_server_opens_lies_in_the_folder_of_the_keys(tmp_path: Path) -> None:
    data = tmp_path / "market"
    parties = tmp_path / "market-parties"
    scans = generate(tmp_path / "scans", Archive(patients=2, slices=2, size=48))
    told = tell(data, source=scans, json_file=tmp_path / "result.json")
    bundle = (tmp_path / told["artifacts"]["bundle"]).read_bytes()

    with watched_server(tmp_path, data) as server:
        _use_everything(server.url, parties, told, bundle)
        opened = server.opened()

    assert parties.is_dir()
    assert any(path.suffix == ".pem" for path in parties.rglob("*")), "the parties have no keys to find"
    assert [str(path) for path in opened if path == parties or parties in path.parents] == []
    # Proof that opening is seen: in the server itself, in the log processes and in the verifier it starts.
    assert any(path.suffix == ".rego" for path in opened)
    assert data / "service-key.pem" in opened
    assert any("verifier" in path.parts for path in opened)
    assert data / "log-signer" / "key.pem" in opened
    assert data / "witness" / "key.pem" in opened
    assert data / "market.sqlite3" in opened


def _use_everything(url: str, parties: Path, told: dict[str, object], bundle: bytes) -> None:
    """What parties and visitors do: tokens, reading, a refused use, pages, a bundle to check."""
    agreement = json.loads(json.dumps(told["agreement"]))["id"]
    version = json.loads(json.dumps(told["version"]))["id"]
    with connect(url, parties / "hospital") as hospital:
        assert hospital.get(f"/v1/versions/{version}/passport")
        assert hospital.get("/v1/agreements")["items"]
    with connect(url, parties / "pharma") as pharma:
        assert pharma.get("/v1/catalogue")["items"]
        assert pharma.get(f"/v1/agreements/{agreement}/manifest")
    with httpx2.Client(base_url=url, trust_env=False) as browser:
        for path in ("/", "/entries", f"/agreements/{agreement}", "/verify", "/docs", "/log/checkpoint", "/readyz"):
            assert browser.get(path).status_code == 200, path
        answer = browser.post("/verify?lang=en", files={"file": ("bundle.json", bundle)})
        assert "Everything in it holds." in answer.text


def test_the_watch_sees_an_open_and_a_listing(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(WATCH)
    secret = tmp_path / "keys"
    secret.mkdir()
    (secret / "key.pem").write_text("x")
    key = secret / "key.pem"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'open({str(key)!a})'], check=True)"
    for program, seen in (
        (f"open({str(key)!r}).close()", key),
        (f"import os; os.listdir({str(secret)!r})", secret),
        (f"import os; os.close(os.open({str(key)!r}, os.O_RDONLY))", key),
        (f"from pathlib import Path; Path({str(key)!r}).read_text()", key),
        (f"import sqlite3; sqlite3.connect({str(secret / 'a.sqlite3')!r}).close()", secret / "a.sqlite3"),
        (child.replace("'open(", '"open(').replace(")']", ')"]'), key),
    ):
        file = tmp_path / "opened.txt"
        file.unlink(missing_ok=True)
        environment = os.environ | {"PYTHONPATH": str(hook), "OPENED_PATHS": str(file)}
        subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
        assert seen in Watched("", file).opened(), program
