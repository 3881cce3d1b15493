"""The command says in one sentence what is wrong; a user never sees a traceback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

from marketplace.client.keys import KeyFolder
from seeds.chest_ct import Archive, generate


def _marketplace(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "marketplace", *words], capture_output=True, text=True, check=False)


def test_a_folder_without_scans_ends_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "letter.txt").write_text("no scan")
    done = _marketplace("demo", "--data", str(tmp_path / "data"), "--source", str(tmp_path / "source"))
    assert done.returncode == 1
    assert "marketplace: " in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_head_scans_without_a_declaration_end_with_their_reason(tmp_path: Path) -> None:
    scans = generate(tmp_path / "scans", Archive(patients=2, slices=1, size=32))
    for path in scans.rglob("IM*.dcm"):
        scan = dcmread(path)
        scan.BodyPartExamined = "HEAD"
        scan.save_as(path)
    told = ("demo", "--data", str(tmp_path / "data"), "--source", str(scans), "--declare", "no")
    done = _marketplace(*told)
    assert done.returncode == 1
    assert "head needs declaration" in done.stdout
    assert "no file of this folder can be governed" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words", [("asset", "register", "form.json", "--as", "/nowhere"), ("nonsense",), ("demo", "-x")]
)
def test_a_wrong_call_ends_with_a_sentence(words: tuple[str, ...]) -> None:
    done = _marketplace(*words)
    assert done.returncode in {1, 2}
    assert done.stderr.startswith("marketplace: ")
    assert "Traceback" not in done.stderr


NOT_JSON = Path(__file__)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("asset", "register", "{nowhere}/form.json", "--as", "{party}"), "{nowhere}/form.json: No such file"),
        (("asset", "register", str(NOT_JSON), "--as", "{party}"), f"{NOT_JSON} is not JSON"),
        (("party", "page", "director", "--out", "{nowhere}/p.html", "--lang", "fr", "--as", "{party}"), "--lang"),
        (("books", "pay", "--file", "{nowhere}/pay.xml", "--as", "{party}"), "{nowhere}/pay.xml.part: No such file"),
        (("audit", "fsck", "--data", "{nowhere}"), "{nowhere} holds no instance"),
        (("keys", "rotate", "service", "--data", "{nowhere}"), "{nowhere} holds no instance"),
        (("keys", "rotate", "witness", "--data", "{nowhere}"), "{nowhere} holds no instance"),
        (("work", "retry", "--data", "{nowhere}"), "{nowhere} holds no instance"),
        (("demo", "--source", "{nowhere}"), "{nowhere}"),
    ],
)
def test_a_file_or_folder_that_is_not_there_is_named_and_nothing_is_made(
    tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    party, nowhere = tmp_path / "hospital", tmp_path / "nowhere"
    KeyFolder(tmp_path).create("hospital")
    before = sorted(tmp_path.rglob("*"))
    done = _marketplace(*(word.format(party=party, nowhere=nowhere) for word in words))
    assert done.returncode in {1, 2}
    assert done.stderr.startswith("marketplace: ")
    assert named.format(nowhere=nowhere) in " ".join(done.stderr.split())
    assert "unexpected" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_the_doctor_says_that_a_folder_holds_no_instance_and_makes_none(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    for folder, missing in ((nowhere, {"data folder", "database", "work"}), (tmp_path, {"database", "work"})):
        done = _marketplace("doctor", "--data", str(folder), "--json")
        assert (done.returncode, done.stderr) == (1, "")
        found = {one["name"]: one for one in json.loads(done.stdout)}
        assert {name for name, one in found.items() if not one["ok"]} == missing
        assert f"there is no {folder / 'market.sqlite3'}; name the folder of an instance" in found["database"]["words"]
        assert list(tmp_path.iterdir()) == []


def test_who_serves_says_where_only_once_it_is_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _marketplace("serve", "--data", str(tmp_path / "data"), "--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    said = " ".join(done.stderr.split())
    assert f"nobody can be served at 127.0.0.1:{port}" in said
    assert "Address already in use" in said
    assert "give another port" in said
