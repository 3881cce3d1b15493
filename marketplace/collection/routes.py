"""Collection over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.routing import APIRoute
from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets.schemas import PreparedDocument, SignatureIn, StageRecordOut, VersionOut
from marketplace.collection import consent, queries, service
from marketplace.collection.models import CollectedFile, Collection
from marketplace.collection.receiving import receive
from marketplace.collection.rules import Reason, counts
from marketplace.collection.schemas import (
    BatchLabel,
    BatchOut,
    CollectedFileOut,
    ConsentWithdrawalIn,
    ConsentWithdrawalOut,
    FilePage,
    LeftOutFile,
    LeftOutPage,
    SealedOut,
    SealRequest,
    VerdictOut,
)
from marketplace.collection.upload import RequestBody, acting
from marketplace.plumbing.bodies import LARGE, takes_body_of
from marketplace.plumbing.paging import MOST, Cursor, Limit
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.turns import Turns, in_own_thread
from marketplace.plumbing.web import RECEIPT, Verb, View, router

_TAR: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/x-tar": {"schema": {"type": "string", "format": "binary"}}},
    }
}

routes = router("collection")
# Streams its body, so it cannot be a TransactionRoute, which holds one transaction for the whole request.
uploads = APIRouter(route_class=APIRoute)


@routes.post("/assets/{asset_id}/versions", status_code=201, operation_id="open_version")
def open_version(verb: Verb, asset_id: str) -> VersionOut:
    """Open a raw draft version of an own asset, to be filled with files."""
    return VersionOut.model_validate(service.open_version(verb.db, verb.actor, asset_id, verb.now))


@uploads.put("/versions/{version_id}/files/{batch}", operation_id="put_files", openapi_extra=_TAR)
async def put_files(
    request: Request, response: Response, version_id: str, batch: Annotated[BatchLabel, Path()]
) -> BatchOut:
    """Send files as one uncompressed tar; broken and unfit ones are reported one by one and left out.

    The label names this tar within the version and is the sender's choice (no personal data): the same tar sent again
    under it, after a crash or a lost answer, changes nothing and gives the first verdicts; another tar under it is
    refused.  That makes PUT safe to repeat, so no Idempotency-Key is asked for.  File names are not kept.
    """
    body, turns = RequestBody(request), Turns.UPLOADS.of(request.app)
    answer = await in_own_thread(turns, lambda: _put_files(request, body, version_id, batch))
    if receipt := getattr(request.state, "receipt", None):
        response.headers[RECEIPT] = receipt
    return answer


def _put_files(request: Request, body: RequestBody, version_id: str, batch: str) -> BatchOut:
    runtime: Runtime = request.app.state.runtime
    with acting(request) as (db, actor):
        service.expect_batch(db, actor, version_id, batch)
    received = receive(runtime, body)
    with acting(request, actor) as (db, actor):
        rows = service.record_batch(db, actor, version_id, batch, received, runtime.clock.now())
        return _batch_out(version_id, batch, rows)


routes.include_router(uploads)


@routes.post("/versions/{version_id}/seal", operation_id="seal_version")
def seal_version(verb: Verb, version_id: str, asked: SealRequest) -> SealedOut:
    """Make a raw version immutable and prepare its collection record for signature."""
    statement = asked.source_statement
    sealed = service.seal(verb.db, verb.actor, version_id, statement, verb.runtime.store, verb.now)
    return _sealed_out(verb.db, sealed)


@routes.post("/versions/{version_id}/collection", operation_id="sign_collection_record")
def sign_collection_record(verb: Verb, version_id: str, asked: SignatureIn) -> StageRecordOut:
    """Sign the collection record of a sealed version, which takes it to `collected`."""
    return StageRecordOut.model_validate(service.sign(verb.db, verb.actor, version_id, asked, verb.now))


@routes.post("/versions/{version_id}/consent-withdrawals", status_code=201, operation_id="withdraw_consent")
@takes_body_of(LARGE)
def withdraw_consent(verb: Verb, version_id: str, asked: ConsentWithdrawalIn) -> ConsentWithdrawalOut:
    """The provider records that consent was withdrawn for files: no version with them is used any more."""
    version = assets.own_version(verb.db, verb.actor, version_id)
    done = consent.withdraw_consent(verb.db, verb.actor, version, asked.files, asked.reference, verb.now)
    return ConsentWithdrawalOut.model_validate(done)


@routes.get("/versions/{version_id}/files", operation_id="list_files")
def list_files(view: View, version_id: str, cursor: Cursor = None, limit: Limit = MOST) -> FilePage:
    """A page of the files of an own sealed version in manifest order; paths of a raw version hold the original UIDs."""
    version = assets.own_version(view.db, view.actor, version_id)
    found = queries.files(view.db, version, cursor=cursor, limit=limit)
    return FilePage(items=[CollectedFileOut.model_validate(row) for row in found.rows], next=found.next)


@routes.get("/versions/{version_id}/left-out", operation_id="list_left_out_files")
def list_left_out_files(view: View, version_id: str, cursor: Cursor = None, limit: Limit = MOST) -> LeftOutPage:
    """A page of the files of an own raw version that were left out, each with its reason."""
    version = assets.own_version(view.db, view.actor, version_id)
    found = queries.left_out(view.db, version, cursor=cursor, limit=limit)
    return LeftOutPage(items=[LeftOutFile.model_validate(row) for row in found.rows], next=found.next)


@routes.get("/versions/{version_id}/manifest", operation_id="get_manifest", response_class=Response)
def get_manifest(view: View, version_id: str) -> Response:
    """The exact bytes of an own sealed version's manifest."""
    version = assets.own_version(view.db, view.actor, version_id)
    if not version.manifest:
        raise queries.NotSealed("the version is not sealed", got=version.id, action="seal it first")
    return Response(b"".join(view.runtime.store.read(version.manifest)), media_type="application/json")


def _batch_out(version_id: str, batch: str, rows: Sequence[CollectedFile]) -> BatchOut:
    files = [
        VerdictOut(
            position=row.position,
            sha256=row.sha256,
            bytes=row.bytes,
            accepted=not row.reason,
            reason=Reason(row.reason) if row.reason else None,
        )
        for row in rows
    ]
    accepted = sum(file.accepted for file in files)
    return BatchOut(version_id=version_id, batch=batch, accepted=accepted, left_out=len(files) - accepted, files=files)


def _sealed_out(db: Session, sealed: Collection) -> SealedOut:
    version = assets.version(db, sealed.version_id)
    reasons = [row.reason for row in queries.received(db, version) if row.reason]
    return SealedOut(
        version=VersionOut.model_validate(version),
        document=PreparedDocument(kind=service.RECORD, sha256=sealed.record, sign_as=service.SIGN_AS),
        left_out=counts(reasons),
    )
