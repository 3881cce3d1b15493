"""The job's state table and what may be governed; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from marketplace.assets.models import Version
from marketplace.assets.stages import STAGES, Stage
from marketplace.audit.entry import Tag
from marketplace.kernel.errors import Conflict
from marketplace.kernel.transitions import Machine, step

BATCH = 250
SMALL_CELL = 5

DUPLICATE_PIXELS = "duplicate_pixels"
DUPLICATE_INSTANCE = "duplicate_instance"
NOTHING_GOVERNED = "nothing_governed"
RAW_WITHDRAWN = "raw_version_withdrawn"


class NotGovernable(Conflict):
    """This version cannot be governed."""


class AlreadyRunning(Conflict):
    """A governance job of this version is still running."""


class JobState(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


JOB = Machine(
    name="governance job",
    steps=(
        step(JobState.QUEUED, JobState.RUNNING, "service", Tag.GOVERNANCE_STARTED),
        step(JobState.QUEUED, JobState.FAILED, "service", Tag.GOVERNANCE_FAILED),
        step(JobState.RUNNING, JobState.FINISHED, "service", Tag.GOVERNANCE_FINISHED),
        step(JobState.RUNNING, JobState.FAILED, "service", Tag.GOVERNANCE_FAILED),
    ),
    allows={
        JobState.QUEUED: frozenset({"work"}),
        JobState.RUNNING: frozenset({"work"}),
        JobState.FINISHED: frozenset({"sign"}),
    },
)


@dataclass(frozen=True)
class Candidate:
    """A governed file as duplicate detection sees it."""

    position: int
    pixels: str
    path: str


def require_governable(version: Version) -> None:
    """Only a raw version whose collection is signed.  Raises NotGovernable."""
    if version.kind != "raw":
        raise NotGovernable("only raw versions are governed", expected="kind raw", got=version.kind)
    if not STAGES.permits(Stage(version.stage), "govern"):
        raise NotGovernable(
            "the version is not at the right stage",
            expected="collected",
            got=version.stage,
            action="sign the collection record first",
        )


def duplicates(candidates: Iterable[Candidate]) -> dict[int, str]:
    """Position -> reason for every file that repeats an earlier one: same picture, or same instance id.

    The first in manifest order stays, whatever the order in which files were judged.
    """
    found: dict[int, str] = {}
    pixels: set[str] = set()
    paths: set[str] = set()
    for one in sorted(candidates, key=lambda candidate: candidate.position):
        if one.pixels in pixels:
            found[one.position] = DUPLICATE_PIXELS
        elif one.path in paths:
            found[one.position] = DUPLICATE_INSTANCE
        else:
            pixels.add(one.pixels)
            paths.add(one.path)
    return found


def batch_range(number: int, total: int) -> range:
    """The positions of a batch."""
    return range(number * BATCH, min((number + 1) * BATCH, total))
