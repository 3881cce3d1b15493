"""The shape of the repository: layers, sizes, generated documents, and what no tracked file may hold."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from marketplace.console.codes import SIDES
from marketplace.settings import Settings
from tests.generated import ROOT, differences

LONGEST = 400
# A line of the locks or of the licence text may name a package index or a project's site; nothing else may.
BINARY = {".png", ".jpg", ".dcm", ".gz", ".tar", ".zip", ".woff2"}
PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=]{16}|\"d\"\s*:\s*\"[A-Za-z0-9_-]{43}\""
)
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|home|Users)/[a-z][\w.-]*/|(?<![\w./])/r[o]ot/")
TOKEN = re.compile(r"\b(?:ghp_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}|xox[bp]-[0-9A-Za-z-]{20,}|sk-[A-Za-z0-9]{32,})\b")
REGISTRY = re.compile(r"https?://[^\s\"']*(?:/simple/?|/pypi/|artifactory|nexus|:\d+/(?:root|repository)/)[^\s\"']*")


@cache
def tracked() -> dict[Path, str]:
    """Every tracked text file with its content."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [ROOT / name for name in listed.decode().split("\0") if name]
    return {
        path: path.read_text("utf-8", errors="replace")
        for path in files
        if path.is_file() and path.suffix not in BINARY
    }


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {hit.group()[:80]}"
        for path, text in tracked().items()
        for hit in pattern.finditer(text)
    ]


def test_the_rooms_stand_in_order() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "0 broken" in done.stdout


def test_generated_documents_say_what_the_code_says() -> None:
    assert differences() == [], "run `make generate` and look at the difference"


def test_no_source_file_is_too_long_to_read() -> None:
    sources = [path for path in tracked() if path.suffix == ".py" and "tests" not in path.relative_to(ROOT).parts]
    assert len(sources) > 100
    long = {str(path.relative_to(ROOT)): text.count("\n") for path, text in tracked().items() if path in sources}
    assert {name: lines for name, lines in long.items() if lines > LONGEST} == {}


@pytest.mark.parametrize("text", ["-----BEGIN PRIVATE " + "KEY-----\nMC4CAQAwBQYDK2VwBCIE", '"d": "' + "a" * 43 + '"'])
def test_a_private_key_would_be_noticed(text: str) -> None:
    assert PRIVATE_KEY.search(text)


def test_no_tracked_file_holds_a_key_or_a_token() -> None:
    assert found(PRIVATE_KEY) == []
    assert found(TOKEN) == []


def test_no_tracked_file_names_a_place_on_somebodys_machine() -> None:
    mine = Path(__file__).resolve()
    assert [hit for hit in found(MACHINE_PATH) if not hit.startswith(str(mine.relative_to(ROOT)))] == []


def test_no_tracked_file_names_a_package_index() -> None:
    mine = str(Path(__file__).resolve().relative_to(ROOT))
    assert [hit for hit in found(REGISTRY) if not hit.startswith(mine)] == []
    for host in _configured_hosts():
        assert found(re.compile(re.escape(host))) == [], host


def _configured_hosts() -> set[str]:
    """Hosts that this machine's own package tools are set up with."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    hosts = {urlsplit(word).hostname for word in re.findall(r"https?://[^\s'\"]+", done.stdout)}
    npm = Path.home() / ".npmrc"
    if npm.is_file():
        parser = configparser.ConfigParser()
        parser.read_string("[npm]\n" + npm.read_text())
        hosts |= {urlsplit(value).hostname for value in parser["npm"].values()}
    own = {None, "localhost", "127.0.0.1"}
    return {host for host in hosts if host not in own and "." in str(host)}  # type: ignore[misc]


def test_every_setting_is_explained_and_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert f"`{name}`" in reference, name
    here = {path.relative_to(ROOT): text for path, text in tracked().items() if path.suffix == ".py"}
    used = "\n".join(text for path, text in here.items() if "tests" not in path.parts)
    for name in Settings.model_fields:
        assert len(re.findall(rf"\b{name}\b", used)) > 1, f"{name} is a setting that nothing reads"


def test_every_reason_code_is_explained_and_given_somewhere() -> None:
    reasons = json.loads((ROOT / "contracts" / "policy" / "reasons.json").read_text())
    reference = (ROOT / "docs" / "reference" / "reasons.md").read_text()
    schema = (ROOT / "contracts" / "policy" / "access-decision.schema.json").read_text()
    judged = "\n".join(
        text
        for path, text in tracked().items()
        if (path.suffix == ".rego" and "_test" not in path.name)
        or (path.suffix == ".py" and path.is_relative_to(ROOT / "marketplace"))
    )
    for code, words in reasons.items():
        assert words["en"], code
        assert words["zh"], code
        assert f"`{code}`" in reference, code
        assert re.search(rf'"{code}"', judged), f"{code} is never given"
        assert code in schema or "enum" not in schema, code


def test_reasons_call_the_parties_what_the_pages_call_them() -> None:
    reference = (ROOT / "docs" / "reference" / "reasons.md").read_text()
    rows = re.findall(r"^\| `[a-z_]+` \| (.+?) \| (.+?) \|$", reference, re.MULTILINE)
    for side, (english, chinese) in SIDES.items():
        about = [words for told, words in rows if re.match(rf"The {english}('s)? ", told)]
        assert about, side
        assert [words for words in about if chinese not in words] == []
    assert not re.search("使用方(?!式)|提供方(?!式)", reference)


def test_every_reason_that_a_policy_gives_is_explained() -> None:
    reasons = set(json.loads((ROOT / "contracts" / "policy" / "reasons.json").read_text()))
    given: set[str] = set()
    for path, text in tracked().items():
        if path.suffix == ".rego" and "_test" not in path.name and path.is_relative_to(ROOT / "policies" / "access"):
            given |= set(re.findall(r'reasons contains "([a-z_]+)"', text))
    assert given
    assert given <= reasons
