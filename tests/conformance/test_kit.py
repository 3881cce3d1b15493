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


def test_a_kit_that_is_not_published_is_answered_with_what_to_do() -> None:
    said = kit.why_missing(f"[INFO] Scanning\n{CENTRAL_HAS_NONE}\n")
    assert "KIT_CLASSPATH=" in said
    assert "tests/dataspace/test_flows.py" in said


def test_another_failure_of_maven_is_told_in_its_own_words() -> None:
    assert "Unknown host" in kit.why_missing(NO_NETWORK)
    assert kit.why_missing("").endswith("no reason given")


@pytest.mark.skipif(shutil.which("javac") is None, reason="no Java compiler here")
def test_classes_that_are_not_the_kits_are_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KIT_CLASSPATH", str(tmp_path))
    with pytest.raises(kit.NoKit, match="does not name the classes of the kit"):
        kit.class_path()
