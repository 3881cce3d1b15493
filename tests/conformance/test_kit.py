"""Where the kit cannot be had, the command says what to do; classes that are not the kit's are not run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conformance import kit

CENTRAL_HAS_NONE = (
    "[ERROR] Failed to execute goal on project dsp-conformance: Could not resolve dependencies: "
    "org.eclipse.dataspacetck.dsp:dsp-tck:jar:1.0.1 was not found in the repository during a previous attempt"
)
NO_NETWORK = "[ERROR] Failed to execute goal: Could not transfer artifact org.junit:junit-bom:pom:6.1.0: Unknown host"


def test_where_the_best_version_is_not_published_the_next_is_run() -> None:
    asked = []

    def fetch(version: str) -> kit.Kit:
        asked.append(version)
        if version == "1.0.1":
            raise kit.why_missing(CENTRAL_HAS_NONE)
        return kit.Kit(version, "classes")

    assert kit.first_published(fetch).version == "1.0.0-RC6"
    assert asked == ["1.0.1", "1.0.0-RC6"]


def test_a_kit_that_is_not_published_at_all_is_answered_with_what_to_do() -> None:
    def fetch(_version: str) -> kit.Kit:
        raise kit.why_missing(f"[INFO] Scanning\n{CENTRAL_HAS_NONE}\n")

    with pytest.raises(kit.NoKit, match=r"KIT_CLASSPATH=.*tests/dataspace/test_flows.py"):
        kit.first_published(fetch)


def test_another_failure_of_maven_is_told_in_its_own_words_and_ends_the_search() -> None:
    assert kit.why_missing("").args[0].endswith("no reason given")
    asked = []

    def fetch(version: str) -> kit.Kit:
        asked.append(version)
        raise kit.why_missing(NO_NETWORK)

    with pytest.raises(kit.NoKit, match="Unknown host"):
        kit.first_published(fetch)
    assert asked == ["1.0.1"]


def test_every_version_that_is_asked_for_is_described() -> None:
    described = (kit.HERE / "pom.xml").read_text()
    assert [version for version in kit.PUBLISHED if f"<id>{version}</id>" in described] == list(kit.PUBLISHED)


@pytest.mark.skipif(shutil.which("javac") is None, reason="no Java compiler here")
def test_classes_that_are_not_the_kits_are_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KIT_CLASSPATH", str(tmp_path))
    with pytest.raises(kit.NoKit, match="does not name the classes of the kit"):
        kit.had()
