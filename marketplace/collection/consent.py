"""Consent of persons is withdrawn: every version that holds their files, or was made from one that does, ends its uses.

The service knows files, not persons: the provider names the files by hash or path, and keeps who it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets import service as passport
from marketplace.assets.models import Version
from marketplace.audit.entry import Tag, record
from marketplace.collection import queries
from marketplace.collection.models import ConsentWithdrawal
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, digest
from marketplace.kernel.errors import Invalid
from marketplace.plumbing import epochs
from marketplace.plumbing.epochs import Stop


class UnknownFiles(Invalid):
    """Not every file that was named is in this version."""


@dataclass(frozen=True)
class Withdrawn:
    """files: how many withdrawals are new; versions: every version that is used no more for the files named."""

    files: int
    versions: list[str]
    entry: str | None


def withdraw_consent(
    db: Session, actor: Actor, version: Version, files: list[str], reference: str, now: datetime
) -> Withdrawn:
    """Record that consent was withdrawn for files of an own version, which with its whole lineage is used no more.

    files: SHA-256 or path of each, of the raw or the governed file; reference: SHA-256 of the provider's own record.
    A draft that is not sealed yet only loses the files.  Naming the same files again changes nothing.
    Raises UnknownFiles.  Records: collection:consent_withdrawn, asset:version_suspended.
    """
    assets.lock_asset(db, version.asset_id)
    named = queries.named_files(db, version, files)
    if set(files) - set(named):
        raise UnknownFiles(
            "files were named that this version does not hold",
            expected="SHA-256 or path of files of this version",
            got=f"{len(set(files) - set(named))} others",
            action="see GET /v1/versions/{version_id}/files",
        )
    hashes = set[str]().union(*named.values())
    fresh = hashes - queries.withdrawn_hashes(db, version.asset_id)
    held = queries.versions_with(db, version.asset_id, hashes)
    if not fresh:
        return Withdrawn(0, [one.id for one in held], None)

    for one in held:
        passport.bar(db, actor, one, now)

    facts: Json = {"files": len(fresh), "digest": digest(sorted(fresh)), "reference": reference}
    facts |= {"versions": [one.id for one in held]}
    entry = record(db, actor, Tag.CONSENT_WITHDRAWN, now, asset=version.asset_id, version=version.id, facts=facts)
    db.add_all(_rows(version, fresh, reference, entry, now))
    db.flush()
    epochs.stop(db, [one.id for one in held], Stop.CONSENT_WITHDRAWN, actor, entry, now)
    return Withdrawn(len(fresh), [one.id for one in held], entry)


def _rows(version: Version, hashes: set[str], reference: str, entry: str, now: datetime) -> list[ConsentWithdrawal]:
    return [
        ConsentWithdrawal(
            asset_id=version.asset_id,
            sha256=one,
            version_id=version.id,
            reference=reference,
            entry_id=entry,
            recorded_at=now,
        )
        for one in sorted(hashes)
    ]
