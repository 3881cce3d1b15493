"""The bundle: entries with proofs, the documents they cite, the keys; what the verifier reads, offline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col

from marketplace.audit import documents, queries
from marketplace.audit.client import LogKeys
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Checkpoint, Document, Entry
from marketplace.audit.service import prove_leaves
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Forbidden, Invalid

LIMIT = 20_000


class NotYourEntries(Forbidden):
    """The caller may not export these entries."""


class ScopeTooWide(Invalid):
    """The export would hold too many entries."""


@dataclass(frozen=True)
class Scope:
    """Which entries to export; all given conditions must hold.  time_to is exclusive.

    participant: entries by which it acted.
    """

    asset: str | None = None
    agreement: str | None = None
    participant: str | None = None
    time_from: datetime | None = None
    time_to: datetime | None = None

    @property
    def facts(self) -> Json:
        """The scope as it stands in the log."""
        return {
            "asset": self.asset,
            "agreement": self.agreement,
            "participant": self.participant,
            "from": timestamp(self.time_from) if self.time_from else None,
            "to": timestamp(self.time_to) if self.time_to else None,
        }


def export(db: Session, actor: Actor, scope: Scope, now: datetime, *, keys: LogKeys) -> Json:
    """A bundle that proves the entries of a scope under the latest checkpoint.

    An auditor may ask for anything; others for their own entries, or for an agreement they are a party of.
    waiting: entries of the scope that no cosigned tree holds yet; they are not in the bundle.
    Raises NotYourEntries, ScopeTooWide, NoSuchCheckpoint.  Records: audit:exported.
    """
    checkpoint = queries.published_checkpoint(db)
    where = _readable(db, actor, scope)
    entries = list(queries.leaves(db, where, checkpoint.size, LIMIT + 1))
    if len(entries) > LIMIT:
        raise ScopeTooWide("too many entries for one bundle", expected=f"at most {LIMIT}", action="narrow the period")

    entries = _with_companions(db, actor, entries, checkpoint.size)
    cited = _cited_documents(db, actor, entries)
    entries = _with_key_entries(db, entries, cited, checkpoint.size)
    bundle = _bundle(db, checkpoint, entries, cited, keys)
    waiting = queries.count_waiting(db, where, checkpoint.size)

    record(
        db,
        actor,
        Tag.LOG_EXPORTED,
        now,
        asset=scope.asset,
        agreement=scope.agreement,
        facts={"scope": scope.facts, "entries": len(entries), "tree_size": checkpoint.size},
    )
    return bundle | {"waiting": waiting}


def _readable(db: Session, actor: Actor, scope: Scope) -> list[Any]:
    asked = queries.Qualifiers(
        actor=scope.participant,
        asset=scope.asset,
        agreement=scope.agreement,
        time_from=scope.time_from,
        time_to=scope.time_to,
    )
    where = queries.conditions(asked)
    if actor.has(Role.AUDITOR):
        return where
    if scope.agreement is not None:
        readable = queries.readable_agreement_entries(db, actor, scope.agreement)
        if readable is not None:
            return [*where, *readable]
    if scope.participant not in (None, actor.participant):
        raise NotYourEntries(
            "only an auditor exports another participant's entries",
            expected=actor.participant,
            got=scope.participant,
            action="ask for your own entries or for an agreement of yours",
        )
    return [*where, Entry.actor == actor.participant]


def _with_companions(db: Session, actor: Actor, entries: list[Entry], size: int) -> list[Entry]:
    """Add the entries by which the agreements came about, so that a use can be tied to its contract."""
    named = sorted({one.agreement for one in entries if one.agreement})
    if not actor.has(Role.AUDITOR):
        named = [one for one in named if actor.participant in queries.parties(db, one)]
    return _merged(entries, queries.negotiation_entries(db, named), size)


def _cited_documents(db: Session, actor: Actor, entries: Sequence[Entry]) -> list[Document]:
    """The documents that the entries cite, and those cite, as far as the caller may read them."""
    found: dict[str, Document] = {}
    bodies = [one.body for one in entries]
    while bodies:
        fresh = [one for one in queries.cited(db, bodies) if one.sha256 not in found and _may_read(actor, one)]
        found |= {one.sha256: one for one in fresh}
        bodies = [one.body for one in fresh]
    return list(found.values())


def _with_key_entries(db: Session, entries: list[Entry], cited: Sequence[Document], size: int) -> list[Entry]:
    """Add the entries by which the signers of the documents registered their keys."""
    kids = {signature.kid for one in cited for signature in documents.signatures(db, one.sha256)}
    about_keys = queries.leaves(db, [col(Entry.tag).in_([Tag.KEY_REGISTERED, Tag.KEY_REVOKED])], size, LIMIT)
    mine = [one for one in about_keys if json.loads(one.body)["facts"].get("kid") in kids]
    return _merged(entries, mine, size)


def _merged(entries: Sequence[Entry], more: Sequence[Entry], size: int) -> list[Entry]:
    inside = {one.leaf_index: one for one in [*entries, *more] if one.leaf_index is not None and one.leaf_index < size}
    return [inside[index] for index in sorted(inside)]


def _bundle(
    db: Session, checkpoint: Checkpoint, entries: Sequence[Entry], cited: Sequence[Document], keys: LogKeys
) -> Json:
    proofs = prove_leaves(db, checkpoint, [one.leaf_index for one in entries if one.leaf_index is not None])
    return {
        "bundle": "v1",
        "origin": keys.origin,
        "checkpoint": checkpoint.note,
        "entries": [
            {"index": proof.index, "body": one.body.decode(), "proof": [step.hex() for step in proof.path]}
            for one, proof in zip(entries, proofs, strict=True)
        ],
        "documents": [
            {
                "sha256": one.sha256,
                "kind": one.kind,
                "body": one.body.decode(),
                "signatures": [
                    {name: getattr(signature, name) for name in ("signer", "kid", "alg", "typ", "jws", "jwk")}
                    for signature in documents.signatures(db, one.sha256)
                ],
            }
            for one in cited
        ],
        "keys": {"log": str(keys.log), "witness": str(keys.witness)},
    }


def _may_read(actor: Actor, document: Document) -> bool:
    return "*" in document.readers or actor.participant in document.readers or actor.has(Role.AUDITOR)
