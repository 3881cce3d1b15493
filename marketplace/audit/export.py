"""The bundle: entries with proofs, the documents they cite, the keys; what the verifier reads, offline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel import Session, col

from marketplace.audit import companions, documents, queries, succession
from marketplace.audit.client import LogKeys
from marketplace.audit.companions import LIMIT, ScopeTooWide
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Checkpoint, Document, DocumentSignature, Entry
from marketplace.audit.service import prove_growth, prove_leaves
from marketplace.audit.tiles import StoredTree
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json, sha256_hex
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Forbidden, shown

# document -> its signatures
Signatures = dict[str, list[DocumentSignature]]


class NotYourEntries(Forbidden):
    """The caller may not export these entries."""


@dataclass(frozen=True)
class Scope:
    """Which entries to export; all given conditions must hold.  time_to is exclusive.

    participant: entries by which it acted.  since: sizes of trees that the bundle shall be
    shown to extend.
    """

    asset: str | None = None
    agreement: str | None = None
    participant: str | None = None
    time_from: datetime | None = None
    time_to: datetime | None = None
    since: tuple[int, ...] = ()

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
    Beside the entries of the scope it holds those that they are judged by: how the agreements came about and what
    stopped them, the whole of each use, every signature on a cited document, its key's life, its signer's admission.
    Raises NotYourEntries, ScopeTooWide, BadTreeSize, NoSuchCheckpoint.  Records: audit:exported.
    """
    checkpoint = queries.published_checkpoint(db)
    where = _readable(db, actor, scope)
    entries = list(queries.leaves(db, where, checkpoint.size, LIMIT + 1))
    if len(entries) > LIMIT:
        raise ScopeTooWide("too many entries for one bundle", expected=f"at most {LIMIT}", action="narrow the period")

    statements = succession.as_bundle(db)
    entries, cited, made = _complete(db, actor, entries, [one["body"] for one in statements], checkpoint.size)
    bundle = _bundle(db, checkpoint, entries, cited, made, keys)
    bundle |= {"consistency": _growth(db, scope.since, checkpoint), "statements": statements}
    waiting = queries.count_waiting(db, where, checkpoint.size)

    said = replace(
        scope,
        asset=queries.named(db, Entry.asset, scope.asset),
        agreement=queries.named(db, Entry.agreement, scope.agreement),
        participant=queries.named(db, Entry.actor, scope.participant),
    )
    record(
        db,
        actor,
        Tag.LOG_EXPORTED,
        now,
        asset=queries.subject(said.asset),
        agreement=queries.subject(said.agreement),
        facts={"scope": said.facts, "entries": len(entries), "tree_size": checkpoint.size},
    )
    return bundle | {"waiting": waiting}


def _complete(
    db: Session, actor: Actor, entries: Sequence[Entry], statements: Iterable[str], size: int
) -> tuple[list[Entry], list[Document], Signatures]:
    """Add the entries and documents that these are judged by, and the signatures with theirs."""
    entries = _merged(entries, companions.of_entries(db, actor, entries, size), size)
    about_log = queries.leaves(db, [col(Entry.tag).in_([Tag.LOG_RECOVERED, Tag.KEY_ROTATED])], size, LIMIT)
    entries = _merged(entries, about_log, size)
    cited = _cited_documents(db, actor, entries)
    made = _signatures(db, {one.sha256 for one in cited} | {sha256_hex(one.encode()) for one in statements}, size)
    judging = companions.of_signatures(db, [one for some in made.values() for one in some], size)
    return _merged(entries, judging, size), cited, made


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
            got=shown(scope.participant or ""),
            action="ask for your own entries or for an agreement of yours",
        )
    return [*where, Entry.actor == actor.participant]


def _cited_documents(db: Session, actor: Actor, entries: Sequence[Entry]) -> list[Document]:
    """The documents that the entries cite, and those cite, as far as the caller may read them.

    Whoever may read an agreement may read the certificate and the opinion that it rests on: it was signed upon them.
    """
    found: dict[str, Document] = {}
    bodies, basis = [one.body for one in entries], set[str]()
    while bodies:
        named = [one for one in queries.cited(db, bodies) if one.sha256 not in found]
        fresh = [one for one in named if one.sha256 in basis or _may_read(actor, one)]
        found |= {one.sha256: one for one in fresh}
        basis |= {name for one in fresh if one.kind == "agreement" for name in _basis(one)}
        bodies = [one.body for one in fresh]
    return list(found.values())


def _basis(agreement: Document) -> set[str]:
    content = json.loads(agreement.body)
    return {str(content.get(kind, {}).get("sha256")) for kind in ("certificate", "opinion")}


def _signatures(db: Session, names: Iterable[str], size: int) -> Signatures:
    """Document -> its signatures, without those whose entry the tree of this size does not hold yet."""
    made = {name: documents.signatures(db, name) for name in names}
    recorded = queries.by_ids(db, [one.entry for some in made.values() for one in some if one.entry is not None])
    inside = {one.id for one in recorded if one.leaf_index is not None and one.leaf_index < size}
    return {name: [one for one in some if one.entry in inside] for name, some in made.items()}


def _growth(db: Session, since: Sequence[int], checkpoint: Checkpoint) -> list[Json]:
    """Proofs that the exported tree extends the trees of these sizes.  Raises BadTreeSize."""
    tree, found = StoredTree(db), list[Json]()
    for size in since:
        proof = [one.hex() for one in prove_growth(db, size, checkpoint.size)]
        found.append({"old_size": size, "old_root": tree.root(size).hex(), "proof": proof})
    return found


def _merged(entries: Sequence[Entry], more: Sequence[Entry], size: int) -> list[Entry]:
    inside = {one.leaf_index: one for one in [*entries, *more] if one.leaf_index is not None and one.leaf_index < size}
    return [inside[index] for index in sorted(inside)]


def _bundle(
    db: Session,
    checkpoint: Checkpoint,
    entries: Sequence[Entry],
    cited: Sequence[Document],
    made: Signatures,
    keys: LogKeys,
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
                    for signature in made[one.sha256]
                ],
            }
            for one in cited
        ],
        "keys": {"log": str(keys.log), "witness": str(keys.witness)},
    }


def _may_read(actor: Actor, document: Document) -> bool:
    return "*" in document.readers or actor.participant in document.readers or actor.has(Role.AUDITOR)
