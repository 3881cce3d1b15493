"""Accepting a policy bundle: from the commit on it decides, in every process of this instance."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import AmbiguousDocument, Json, sha256_hex
from marketplace.kernel.errors import Forbidden, Invalid
from marketplace.kernel.signing import BadSignature
from marketplace.plumbing import epochs, policybundle, policyreleases
from marketplace.plumbing.policybundle import Bundle, BundleUnreadable, BundleUnsigned
from marketplace.plumbing.policyreleases import PolicyRelease
from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings
from marketplace.usage.policies.rules import Fault, fault_of


class NotThePolicyOperator(Forbidden):
    """Only the platform operator replaces policies."""


class NotBase64(Invalid):
    """The bundle is not base64."""


@dataclass(frozen=True)
class Refused:
    """A refused bundle, already recorded; the policies that decided before still decide."""

    fault: Fault
    entry: str


def accept(db: Session, actor: Actor, content: bytes, now: datetime, runtime: Runtime) -> PolicyRelease | Refused:
    """Let the policies of a bundle decide from this transaction's commit on, if publisher, version and trial allow it.

    content: the bundle as `marketplace policy bundle` writes it.  Uses decided before and not yet recorded are refused
    at their commit.  Raises NotThePolicyOperator.  Records: usage:policy_accepted or usage:policy_refused.
    """
    if not actor.has(Role.PLATFORM_OPERATOR):
        raise NotThePolicyOperator("only the platform operator replaces policies", action="ask the platform operator")
    # Before the former one is read: of two at once, the later sees what the earlier accepted.
    epochs.hold_off_uses(db)
    former = next(iter(policyreleases.releases(db)), None)

    found = _readable(content, runtime.settings)
    fault = found if isinstance(found, Fault) else fault_of(found, former.version if former else 0)
    facts: Json = {"bundle": sha256_hex(content), "before": former.revision if former else runtime.policy.revision}
    if fault is not None:
        return Refused(fault, record(db, actor, Tag.POLICY_REFUSED, now, facts=facts | {"fault": str(fault)}))

    assert isinstance(found, Bundle)
    stored = runtime.store.put([content], limit=policybundle.LARGEST)
    runtime.policy.learn(found.files)
    facts |= {"revision": found.revision, "version": found.version, "publisher": found.kid}

    entry = record(db, actor, Tag.POLICY_ACCEPTED, now, facts=facts)
    row = PolicyRelease(
        version=found.version,
        revision=found.revision,
        bundle=stored.sha256,
        kid=found.kid,
        accepted_by=actor.participant,
        accepted_at=now,
        entry_id=entry,
    )
    db.add(row)

    db.flush()
    return row


def decoded(text: str) -> bytes:
    """The bytes of a bundle sent as base64.  Raises NotBase64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotBase64(
            "the bundle is not base64", action="send the file as `marketplace policy accept` does"
        ) from error


def _readable(content: bytes, settings: Settings) -> Bundle | Fault:
    if not settings.policy_publisher_key:
        return Fault.NO_PUBLISHER
    try:
        return policybundle.read(content, policyreleases.publisher(settings.policy_publisher_key))
    except BundleUnsigned:
        return Fault.UNSIGNED
    except (BundleUnreadable, AmbiguousDocument, BadSignature):
        return Fault.UNREADABLE
