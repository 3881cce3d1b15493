"""The Eclipse Dataspace TCK: where its classes come from, what it is told, and what it says of each test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from marketplace.dataspace.conformance import CONSUMES, KIT, PROVIDES, PULLS, SENDS, offer_of

HERE = Path(__file__).resolve().parent
IDENTIFIER = "TCK_PARTICIPANT"
ENABLED = 65
KIT_MODULE = "org.eclipse.dataspacetck"
PUBLISHED = ("1.0.1", "1.0.0-RC6")
"""Versions of the kit, best first, each a profile of pom.xml; they enable the same tests."""

LACKING = (
    f"Maven's repositories do not have the kit (org.eclipse.dataspacetck.dsp, {' or '.join(PUBLISHED)}). Name classes "
    "of it that lie on this machine: make conformance KIT_CLASSPATH='classes:lib/*' "
    "(docs/how-to/connect-a-dataspace.md, section 5), or try again later. Its flows run as tests everywhere: "
    "pytest tests/dataspace/test_flows.py"
)
_LINE = re.compile(r"KIT (passed|failed|skipped) ((?:MET|CAT|CN|CN_C|TP|TP_C):\d\d-\d\d|\S+):?\s?(.*)")


class NoKit(RuntimeError):
    """The kit cannot be had on this machine."""


class NotPublished(NoKit):
    """Maven's repositories do not have this version of the kit."""


@dataclass(frozen=True)
class Verdict:
    """What the kit says of one test.  ended: passed, failed or skipped."""

    ended: str
    name: str
    words: str


def cache() -> Path:
    """Where Maven keeps what it fetches: outside the repository."""
    chosen = os.environ.get("KIT_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "marketplace-kit"
    return Path(chosen).expanduser()


@dataclass(frozen=True)
class Kit:
    """The kit and our runner, ready to be run.  version: as published, or whose classes; classes: a class path."""

    version: str
    classes: str


def had() -> Kit:
    """The kit: its classes that KIT_CLASSPATH names, else the best that Maven finds published.  Raises NoKit."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    if named := os.environ.get("KIT_CLASSPATH"):
        return Kit(f"of {named}", os.pathsep.join([str(runner(named, folder / "runner")), named]))
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        raise NoKit("the conformance kit needs Java 17 or newer and Maven")
    return first_published(lambda version: fetched(maven, version, folder))


def first_published(fetch: Callable[[str], Kit]) -> Kit:
    """The best version that is published.  fetch: gives one or raises NotPublished.  Raises NoKit."""
    for version in PUBLISHED:
        with suppress(NotPublished):
            return fetch(version)
    raise NoKit(LACKING)


def fetched(maven: str, version: str, folder: Path) -> Kit:
    """The kit as Maven finds it published, and our runner compiled against it.  Raises NotPublished, NoKit."""
    build = folder / f"build-{version}"
    # -U: Maven remembers for a day that an artifact was missing, and would not ask again.
    options = ["-U", f"-P{version}", f"-Dmaven.repo.local={folder / 'repository'}", f"-Dbuild.folder={build}"]
    command = [maven, "-B", "-q", "-Dstyle.color=never", *options, "-f", HERE / "pom.xml", "package"]
    said = subprocess.run(command, check=False, capture_output=True, text=True)
    if said.returncode != 0:
        raise why_missing(said.stdout)
    return Kit(version, os.pathsep.join([str(build / "classes"), str(build / "lib" / "*")]))


def runner(classes: str, folder: Path) -> Path:
    """Compile our runner against classes of the kit.  Raises NoKit: there is no compiler, or they are not the kit's."""
    compiler = shutil.which("javac")
    if compiler is None:
        raise NoKit("the runner of the conformance kit needs the compiler of Java 17 or newer (javac)")
    sources = HERE / "src" / "main"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sources / "resources", folder)
    command = [compiler, "--release", "17", "-proc:none", "-d", folder, "-cp", classes, *sources.rglob("*.java")]
    compiled = subprocess.run(command, check=False, capture_output=True, text=True)
    if compiled.returncode != 0:
        first = (compiled.stderr.splitlines() or ["the compiler gave no reason"])[0]
        raise NoKit(f"KIT_CLASSPATH does not name the classes of the kit and its libraries: {first}")
    return folder


def why_missing(said: str) -> NoKit:
    """What a failure of Maven means: that this version is not published, or what it says itself.  said: its output."""
    errors = [line for line in said.splitlines() if "ERROR" in line]
    missing = re.compile(r"Could not find artifact|was not found in")
    if any(missing.search(line) and KIT_MODULE in line for line in errors):
        return NotPublished(errors[0])
    return NoKit(f"Maven could not fetch the kit: {errors[0] if errors else 'no reason given'}")


def properties(*, root: str, base: str, participant: str, callback_port: int) -> dict[str, str]:
    """What the kit is told.  root, base: of the hosted participant under test; callback_port: where the kit listens."""
    prefix, connector = "dataspacetck.dsp", "dataspacetck.dsp.connector"
    told = {
        "dataspacetck.debug": "false",
        "dataspacetck.ansi": "false",
        "dataspacetck.host": "127.0.0.1",
        "dataspacetck.port": str(callback_port),
        "dataspacetck.callback.address": f"http://127.0.0.1:{callback_port}",
        f"{prefix}.local.connector": "false",
        f"{prefix}.default.wait": "15",
        f"{connector}.agent.id": participant,
        f"{connector}.http.url": base,
        f"{connector}.http.base.url": root,
        f"{connector}.http.headers.authorization": KIT,
        f"{connector}.negotiation.initiate.url": f"{root}/conformance/negotiations",
        f"{connector}.transfer.initiate.url": f"{root}/conformance/transfers",
    }
    return told | dict(_ids())


def run(classes: str, told: Mapping[str, str], folder: Path, only: str = "") -> Iterator[Verdict]:
    """Run the kit and give what it says of each test as it says it.  only: an expression for names."""
    file = folder / "kit.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in told.items()))
    command = ["java", "-Xmx512m", "-cp", classes, "conformance.Kit", str(file), *([only] if only else [])]
    log = folder / "kit.log"
    with log.open("w") as written, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=written, text=True) as kit:
        assert kit.stdout is not None
        for line in kit.stdout:
            written.write(line)
            if found := _LINE.match(line):
                yield Verdict(*found.groups())


def _ids() -> Iterator[tuple[str, str]]:
    """Which data set, offer and agreement each test speaks of: the ids of the decision table."""
    for dataset in PROVIDES:
        test = _test(dataset.removeprefix("ACN"))
        yield f"CN_{test}_DATASETID", dataset
        yield f"CN_{test}_OFFERID", offer_of(dataset)
    for dataset in CONSUMES:
        yield f"CN_C_{_test(dataset.removeprefix('ACNC'))}_DATASETID", dataset
    for kind, table, prefix in (("TP", SENDS, "ATP"), ("TP_C", PULLS, "ATPC")):
        for agreement in table:
            test = _test(agreement.removeprefix(prefix))
            yield f"{kind}_{test}_AGREEMENTID", agreement
            yield f"{kind}_{test}_FORMAT", "HttpData-PULL"
    for number in ("0101", "0102", "0103"):
        yield f"CAT_{_test(number)}_DATASETID", f"CAT{number}"


def _test(number: str) -> str:
    return f"{number[:2]}_{number[2:]}"
