"""The log over HTTP: public proofs without entries, entries for those who may read them."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from marketplace.audit import queries, receipts, reports, search, service, tiles
from marketplace.audit.client import public_keys
from marketplace.audit.export import Scope, export
from marketplace.audit.models import Entry
from marketplace.audit.note import SIGNATURE
from marketplace.audit.schemas import (
    BundleOut,
    ConsistencyProofOut,
    EntryOut,
    EntryPage,
    ExportScope,
    FormerKeyOut,
    InclusionProofOut,
    LogKeysOut,
    ServiceKeyOut,
)
from marketplace.audit.succession import known_keys
from marketplace.kernel.errors import Invalid
from marketplace.plumbing.moments import Moment
from marketplace.plumbing.web import LoggedVerb, PublicView, View, router

public = router("log", prefix="/log")
own = router("log")

PLAIN = "text/plain; charset=utf-8"
GRAMMAR = "Qualifiers separated by spaces: actor: action: asset: agreement: from: to:, each at most once."
IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}


class WhichLeaf(Invalid):
    """Exactly one of index and entry must be given."""


@public.get("/checkpoint", operation_id="get_checkpoint", response_class=Response)
def get_checkpoint(view: PublicView) -> Response:
    """The latest tree head, signed by the log and cosigned by the witness (C2SP tlog-checkpoint)."""
    note = queries.published_checkpoint(view.db).note
    return Response(note, media_type=PLAIN, headers={"Cache-Control": "no-cache"})


@public.get("/tile/entries/{path:path}", operation_id="get_entry_bundle", response_class=Response)
def get_entry_bundle(view: View, path: str) -> Response:
    """The entries under a tile (C2SP tlog-tiles), for auditors alone; reading them is itself an entry."""
    rows = queries.bundle_for(view.db, view.actor, *tiles.place_of(path))
    headers = {"Cache-Control": "no-store"}
    with receipts.aside(view.runtime, headers) as db:
        search.record_reading(db, view.actor, queries.Qualifiers(), rows, view.now)
    content = tiles.entry_bundle([row.body for row in rows])
    return Response(content, media_type="application/octet-stream", headers=headers)


@public.get("/tile/{level}/{path:path}", operation_id="get_tile", response_class=Response)
def get_tile(view: PublicView, level: str, path: str) -> Response:
    """A tile of tree hashes (C2SP tlog-tiles): `/log/tile/0/x001/234.p/17`."""
    published = queries.published_checkpoint(view.db).size
    content = tiles.public_tile(view.db, level, path, published)
    return Response(content, media_type="application/octet-stream", headers=IMMUTABLE)


@public.get("/proof/inclusion", operation_id="get_inclusion_proof")
def get_inclusion_proof(
    view: PublicView,
    index: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
    entry: Annotated[str | None, Query(max_length=80)] = None,
) -> InclusionProofOut:
    """The inclusion proof of a leaf, by number or by entry id, under the latest checkpoint."""
    proof = _proof(view, index, entry)
    return InclusionProofOut(
        index=proof.index,
        size=proof.size,
        leaf=proof.leaf.hex(),
        proof=[one.hex() for one in proof.path],
        root=proof.root,
        checkpoint=proof.note,
    )


@public.get("/proof/file", operation_id="get_proof_file", response_class=Response)
def get_proof_file(
    view: PublicView,
    index: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
    entry: Annotated[str | None, Query(max_length=80)] = None,
) -> Response:
    """The same proof as one text file that other tools read (C2SP tlog-proof)."""
    return Response(_proof(view, index, entry).tlog_proof, media_type=PLAIN)


@public.get("/proof/consistency", operation_id="get_consistency_proof")
def get_consistency_proof(
    view: PublicView,
    old: Annotated[int, Query(alias="from", ge=0, lt=1 << 62)],
    new: Annotated[int, Query(alias="to", ge=0, lt=1 << 62)],
) -> ConsistencyProofOut:
    """The proof that the tree of `to` leaves extends the tree of `from` leaves."""
    return ConsistencyProofOut(old=old, new=new, proof=[one.hex() for one in service.prove_growth(view.db, old, new)])


@public.get("/keys", operation_id="get_log_keys")
def get_log_keys(view: PublicView) -> LogKeysOut:
    """The public keys that checkpoints and receipts are signed with, and those that were replaced."""
    keys = known_keys(view.db, view.runtime.settings)
    lives = [ServiceKeyOut.model_validate(one, from_attributes=True) for one in queries.service_keys(view.db)]
    return LogKeysOut(
        origin=keys.origin,
        log=str(keys.log),
        witness=str(keys.witness),
        service=view.runtime.service_key.public_jwk,
        service_keys=lives,
        former=[
            FormerKeyOut(
                role="log" if one.key.kind == SIGNATURE else "witness",
                key=str(one.key),
                until_size=one.until,
                ended_at=one.since,
                statement=one.statement,
            )
            for one in keys.former
        ],
    )


@own.get("/entries", operation_id="list_entries")
def list_entries(
    view: View,
    response: Response,
    q: Annotated[str | None, Query(max_length=search.LONGEST, description=GRAMMAR)] = None,
    actor: Annotated[str | None, Query(max_length=80)] = None,
    action: Annotated[str | None, Query(max_length=80, description="A tag, or a room: `usage:`.")] = None,
    asset: Annotated[str | None, Query(max_length=80)] = None,
    agreement: Annotated[str | None, Query(max_length=80)] = None,
    time_from: Annotated[Moment | None, Query(alias="from")] = None,
    time_to: Annotated[Moment | None, Query(alias="to", description="Exclusive.")] = None,
    cursor: Annotated[str | None, Query(max_length=80)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> EntryPage:
    """The caller's own entries, for auditors everybody's, oldest first; an auditor's reading is itself an entry."""
    asked = search.joined(q, queries.Qualifiers(actor, action, asset, agreement, time_from, time_to))
    rows = queries.entries_for(view.db, view.actor, asked, after=cursor, limit=limit)
    with receipts.aside(view.runtime, response.headers) as db:
        search.record_reading(db, view.actor, asked, rows, view.now)
    return EntryPage(items=[_out(row) for row in rows], next=rows[-1].id if len(rows) == limit else None)


@own.get("/entries/{entry_id}", operation_id="get_entry")
def get_entry(view: View, response: Response, entry_id: str) -> EntryOut:
    """One entry that the caller may read; an auditor's reading is itself an entry."""
    row = queries.entry_for(view.db, view.actor, entry_id)
    with receipts.aside(view.runtime, response.headers) as db:
        search.record_reading(db, view.actor, queries.Qualifiers(), [row], view.now)
    return _out(row)


@own.post("/log-exports", operation_id="export_log")
def export_log(verb: LoggedVerb, asked: ExportScope) -> BundleOut:
    """A bundle of entries with proofs and cited documents; the export is itself an entry."""
    scope = Scope(**asked.model_dump())
    keys = public_keys(verb.runtime.settings)
    return BundleOut.model_validate(export(verb.db, verb.actor, scope, verb.now, keys=keys))


routes = APIRouter()
routes.include_router(public)
routes.include_router(own)
routes.include_router(reports.routes)


def _proof(view: PublicView, index: int | None, entry: str | None) -> service.Proof:
    if (index is None) == (entry is None):
        raise WhichLeaf("give either `index` or `entry`")
    return service.prove(view.db, entry) if entry is not None else service.prove_leaf(view.db, index or 0)


def _out(row: Entry) -> EntryOut:
    body: dict[str, Any] = json.loads(row.body)
    return EntryOut(
        id=row.id,
        index=row.leaf_index,
        tag=row.tag,
        actor=row.actor,
        person=body["actor"].get("person"),
        at=row.at,
        asset=row.asset,
        version=row.version,
        agreement=row.agreement,
        facts=body["facts"],
        body=row.body.decode(),
    )
