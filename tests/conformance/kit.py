"""The Eclipse Dataspace TCK: where its classes come from, what it is told, and what it says of each test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from marketplace.dataspace.conformance import CONSUMES, KIT, PROVIDES, PULLS, SENDS, offer_of

HERE = Path(__file__).resolve().parent
IDENTIFIER = "TCK_PARTICIPANT"
ENABLED = 65
_LINE = re.compile(r"KIT (passed|failed|skipped) ((?:MET|CAT|CN|CN_C|TP|TP_C):\d\d-\d\d|\S+):?\s?(.*)")


class NoKit(RuntimeError):
    """The kit cannot be had on this machine."""


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


def class_path() -> str:
    """The kit's classes: those that KIT_CLASSPATH names, else fetched by Maven from its published artifacts.

    Raises NoKit.
    """
    if named := os.environ.get("KIT_CLASSPATH"):
        return named
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        raise NoKit("the conformance kit needs Java 17 or newer and Maven")
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    options = [f"-Dmaven.repo.local={folder / 'repository'}", f"-Dbuild.folder={folder / 'build'}"]
    command = [maven, "-B", "-q", "-Dstyle.color=never", *options, "-f", HERE / "pom.xml", "package"]
    fetched = subprocess.run(command, check=False, capture_output=True, text=True)
    if fetched.returncode != 0:
        said = [line for line in fetched.stdout.splitlines() if "ERROR" in line]
        raise NoKit(f"Maven could not fetch the kit: {said[0] if said else 'no reason given'}")
    return os.pathsep.join([str(folder / "build" / "classes"), str(folder / "build" / "lib" / "*")])


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
