"""Where the classes of Eclipse EDC come from: the version that is asked for, or the newest that was tried with us."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ASKED = "0.18.0"
TRIED = ("0.15.1",)
"""Versions that this command was run with, the newest first."""
_RUNTIME = "org/eclipse/edc/boot/system/runtime/BaseRuntime.class"
_FIRST_CLASS_VERSION = 44  # of Java 0, so to say: 61 is Java 17


class NoPeer(RuntimeError):
    """No control plane can be had on this machine."""


@dataclass(frozen=True)
class Classes:
    """A control plane ready to start.  path: as `java -cp` takes it."""

    version: str
    path: str


def classes(asked: str) -> tuple[Classes, list[str]]:
    """The classes of the version asked for, else of the newest tried one; and why others were passed over.

    Raises NoPeer.
    """
    if shutil.which("mvn") is None or shutil.which("java") is None:
        raise NoPeer("a peer needs Java 17 or newer and Maven")
    passed_over: list[str] = []
    for version in dict.fromkeys((asked, *TRIED)):
        try:
            return Classes(version, str(_fetched(version) / "*")), passed_over
        except NoPeer as error:
            passed_over.append(f"Eclipse EDC {version}: {error}")
    raise NoPeer("; ".join(passed_over))


def _fetched(version: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "marketplace-peer" / version
    options = [f"-Dedc={version}", f"-Dbuild.folder={cache}"]
    options += [f"-Dmaven.repo.local={folder}"] if (folder := os.environ.get("PEER_REPOSITORY")) else []
    command = ["mvn", "-B", "-q", "-Dstyle.color=never", *options, "-f", HERE / "pom.xml", "package"]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode != 0:
        raise NoPeer(_why(made.stdout))
    needed, here = _class_version(cache / "lib") - _FIRST_CLASS_VERSION, _java()
    if needed > here:
        raise NoPeer(f"it is compiled for Java {needed}, this is Java {here}")
    return cache / "lib"


def _why(said: str) -> str:
    errors = [line for line in said.splitlines() if "ERROR" in line]
    if re.search(r"Could not find artifact|was not found in", said):
        return "Maven's repositories do not have it"
    return errors[0][:300] if errors else "Maven gave no reason"


def _class_version(library: Path) -> int:
    for jar in sorted(library.glob("boot-*.jar")):
        with zipfile.ZipFile(jar) as opened:
            if _RUNTIME in opened.namelist():
                return int.from_bytes(opened.read(_RUNTIME)[6:8], "big")
    raise NoPeer("it has no runtime of the form that is known here")


def _java() -> int:
    said = subprocess.run(["java", "-version"], check=True, capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0
