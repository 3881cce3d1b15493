"""Accepted policy bundles: the newest one decides, in every process, from the commit that accepted it on.

The rows lie below every room because whoever decides, confirms or answers for its health asks for them.  No process is
told of a reload: each reads the rows together with the facts of a use, and once more in the transaction that records
it.  So nothing is decided by a bundle that was replaced, except by an OPA server, which fetches bundles at its own
pace: it may lag behind for `policy_overlap_seconds`, and after that its answers are no decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from sqlmodel import Field, Session, SQLModel, col, select
from structlog import get_logger

from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.errors import DomainError
from marketplace.kernel.signing import Jwk, require_public_jwk
from marketplace.plumbing import policybundle
from marketplace.plumbing.db import UtcDateTime
from marketplace.plumbing.policy import UNAVAILABLE, Decision, denial
from marketplace.plumbing.questions import Question
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.snapshots import once_per_snapshot
from marketplace.settings import Settings


class PolicyRelease(SQLModel, table=True):
    """An accepted bundle.  bundle: SHA-256 of its bytes, its name in the object store; kid: the publisher's key."""

    __tablename__ = "policy_release"

    version: int = Field(primary_key=True)
    revision: str
    bundle: str
    kid: str
    accepted_by: str
    accepted_at: datetime = Field(sa_type=UtcDateTime)
    entry_id: str


class Accepted(NamedTuple):
    """What of an accepted bundle a decision needs."""

    revision: str
    bundle: str
    accepted_at: datetime


_NEWEST = Question(
    select(PolicyRelease.revision, PolicyRelease.bundle, PolicyRelease.accepted_at)
    .order_by(col(PolicyRelease.version).desc())
    .limit(2),
    Accepted,
)


def releases(db: Session) -> Sequence[PolicyRelease]:
    """The accepted bundles, the newest first."""
    return db.exec(select(PolicyRelease).order_by(col(PolicyRelease.version).desc())).all()


@once_per_snapshot
def newest(db: Session) -> tuple[Accepted, ...]:
    """The newest accepted bundle and the one before it; none while only the policies of the release were there."""
    return tuple(_NEWEST.rows(db))


def may_decide(found: Sequence[Accepted], now: datetime, settings: Settings) -> Sequence[Accepted]:
    """Those of the newest bundles that may decide now: one, and for a short while the one before it (OPA server)."""
    lag = timedelta(seconds=settings.policy_overlap_seconds if settings.policy_engine == "opa" else 0)
    return found if found and now < found[0].accepted_at + lag else found[:1]


def decide(runtime: Runtime, found: Sequence[Accepted], now: datetime, package: str, facts: dict[str, Any]) -> Decision:
    """Ask for a decision by a bundle that may decide; where a publisher is set, nothing else ever decides."""
    may = may_decide(found, now, runtime.settings)
    if not may:
        wanted = runtime.settings.policy_publisher_key
        return denial(UNAVAILABLE, "") if wanted else runtime.policy.decide(package, facts)
    for one in may:
        if not runtime.policy.knows(one.revision) and not _learned(runtime, one):
            return denial(UNAVAILABLE, one.revision)
    return runtime.policy.decide(package, facts, tuple(one.revision for one in may))


def still_decides(db: Session, decision: Decision, now: datetime, settings: Settings) -> bool:
    """Whether the policies of a decision may decide in this transaction too."""
    may = may_decide(newest(db), now, settings)
    return not may or decision.revision in {one.revision for one in may}


@lru_cache(maxsize=4)
def publisher(text: str) -> Jwk:
    """The publisher's public key as the settings give it.  Raises AmbiguousDocument, BadKey."""
    return require_public_jwk(read_strictly(text))


def _learned(runtime: Runtime, wanted: Accepted) -> bool:
    """Read an accepted bundle, its signature checked once more: a row alone gives no policy any force."""
    try:
        key = publisher(runtime.settings.policy_publisher_key)
        found = policybundle.read(b"".join(runtime.store.read(wanted.bundle)), key)
        told = (found.revision, found.sha256, found.interface)
        if told != (wanted.revision, wanted.bundle, policybundle.interface()):
            raise policybundle.BundleUnreadable("not the bundle that was accepted", expected=wanted.bundle)
        runtime.policy.learn(found.files)
    except (DomainError, RuntimeError, ValueError, OSError) as error:
        get_logger().error("policy bundle not loaded", bundle=wanted.bundle, kind=type(error).__name__)
        return False
    return True
