"""Transfers over HTTP.

The data routes answer with a stream, so they are no transaction routes: each step commits by itself, before its bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Request, Response
from sqlmodel import Session

from marketplace.audit import documents, receipts
from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import Conflict, Forbidden
from marketplace.negotiation.queries import own_agreement, readable_agreement
from marketplace.participants.authentication import require_still
from marketplace.plumbing.conditional import UNCHANGED, IfNoneMatch, answer_of
from marketplace.plumbing.paging import MOST, Cursor, Limit
from marketplace.plumbing.problems import problem
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.turns import Turns, in_own_thread, waits_for_changes
from marketplace.plumbing.waiting import Waiting, WaitUntilThere
from marketplace.plumbing.web import RECEIPT, Gate, View, record_raised, router
from marketplace.transfer import opening, queries
from marketplace.transfer.asking import Action, Approval, AssetId, Place, ProofRequired, Purpose, require_bound
from marketplace.transfer.delivery import topic_of
from marketplace.transfer.opening import Download, Opened, OutsideRange, Refused, Representation
from marketplace.transfer.refusing import refusal_of
from marketplace.transfer.schemas import ManifestOut, ManifestSignature, TransferOut, TransferPage
from marketplace.transfer.stream import WindowResponse, WindowSource
from marketplace.usage.rules import ClockBehind, UseRequest

routes = router("transfer")
# Plain routes: the answer outlives any one transaction.
data = APIRouter(tags=["transfer"], responses=routes.responses)


RangeHeader = Annotated[str | None, Header(alias="Range", max_length=200)]
IfRange = Annotated[str | None, Header(alias="If-Range", max_length=200)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Your own id of this use: with the same key and a Range you go on with it, and it counts once.",
        min_length=8,
        max_length=128,
    ),
]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole, as a deterministic tar or one file", "content": {"application/octet-stream": {}}},
    206: {"description": "The range asked for", "content": {"application/octet-stream": {}}},
    416: {"description": "The range lies outside", "content": {"application/problem+json": {}}},
}


@data.get("/agreements/{agreement_id}/data", operation_id="download_data", responses=_STREAM, response_class=Response)
async def download_data(
    request: Request,
    agreement_id: str,
    purpose: Purpose,
    action: Action = "use",
    asset: AssetId = None,
    place: Place = None,
    ethics_approval: Approval = None,
    range_header: RangeHeader = None,
    if_range: IfRange = None,
    idempotency_key: Key = None,
) -> Response:
    """Use the data of an agreement: a tar of exactly the files of its delivery manifest.

    Every use is decided and recorded; a refusal answers 403 with its reason codes.
    """
    use = UseRequest(purpose, action, asset, place=place or "", ethics_approval=ethics_approval or "")
    asked = Download(agreement_id, use, None, range_header, if_range, idempotency_key)
    return await _as_known_caller(request, lambda runtime, actor: answer_download(request, runtime, actor, asked))


@data.get(
    "/agreements/{agreement_id}/data/{path:path}",
    operation_id="download_file",
    responses=_STREAM,
    response_class=Response,
)
async def download_file(
    request: Request,
    agreement_id: str,
    path: str,
    purpose: Purpose,
    action: Action = "use",
    asset: AssetId = None,
    place: Place = None,
    ethics_approval: Approval = None,
    range_header: RangeHeader = None,
    if_range: IfRange = None,
    idempotency_key: Key = None,
) -> Response:
    """Use one file of the delivery manifest."""
    use = UseRequest(purpose, action, asset, place=place or "", ethics_approval=ethics_approval or "")
    asked = Download(agreement_id, use, path, range_header, if_range, idempotency_key)
    return await _as_known_caller(request, lambda runtime, actor: answer_download(request, runtime, actor, asked))


@data.head("/agreements/{agreement_id}/data", operation_id="describe_data", include_in_schema=False)
async def describe_data(request: Request, agreement_id: str) -> Response:
    """Size and hash of what would be sent; no use."""
    return await _as_known_caller(request, lambda rt, who: _describe(rt, who, agreement_id, None))


@data.head("/agreements/{agreement_id}/data/{path:path}", operation_id="describe_file", include_in_schema=False)
async def describe_file(request: Request, agreement_id: str, path: str) -> Response:
    """Size and hash of one file; no use."""
    return await _as_known_caller(request, lambda rt, who: _describe(rt, who, agreement_id, path))


@routes.get(
    "/agreements/{agreement_id}/manifest",
    operation_id="get_delivery_manifest",
    response_model=ManifestOut,
    responses=UNCHANGED,
)
@waits_for_changes
async def get_delivery_manifest(
    view: View, request: Request, agreement_id: str, held: IfNoneMatch = None, wait: WaitUntilThere = 0
) -> Response:
    """The signed list of every file that is delivered under an agreement, for its parties and auditors.

    With `wait` it is answered as soon as the delivery is prepared.
    """

    def look() -> Response | None:
        found = readable_agreement(view.db, view.actor, agreement_id)
        delivery = queries.delivery(view.db, found.id)
        return None if delivery is None else answer_of(_manifest(view.db, delivery.manifest), held)

    judge = partial(require_still, view.db, view.actor, view.runtime)
    answer = await Waiting.until(request, view, topic_of(agreement_id), look, wait, judge, _is_there)
    if answer is None:
        raise _nothing_yet()
    return answer


@routes.get("/agreements/{agreement_id}/transfers", operation_id="list_transfers")
def list_transfers(view: View, agreement_id: str, cursor: Cursor = None, limit: Limit = MOST) -> TransferPage:
    """A page of the uses of an agreement, the oldest first, for its parties and auditors."""
    agreement = readable_agreement(view.db, view.actor, agreement_id)
    found = queries.of_agreement(view.db, agreement.id, cursor=cursor, limit=limit)
    return TransferPage(items=[TransferOut.model_validate(one) for one in found.rows], next=found.next)


async def _as_known_caller(request: Request, answer: Callable[[Runtime, Actor], Response]) -> Response:
    return await in_own_thread(Turns.DOWNLOADS.of(request.app), lambda: _answered(request, answer))


def _answered(request: Request, answer: Callable[[Runtime, Actor], Response]) -> Response:
    """Authenticate in a transaction of its own, answer, and record a raised refusal."""
    runtime: Runtime = request.app.state.runtime
    gate: Gate = request.app.state.gate
    with runtime.database.transaction() as db:
        actor = gate.authenticate(db, request, runtime.clock.now())
    try:
        require_bound(actor)
        return answer(runtime, actor)
    except (Forbidden, Conflict, ProofRequired, ClockBehind) as error:
        record_raised(request, actor, error)
        raise


def answer_download(request: Request, runtime: Runtime, actor: Actor, asked: Download) -> Response:
    """The answer to a known caller: the bytes, or why not; recorded either way.  Raises what `open_transfer` raises."""
    match opening.open_transfer(runtime, actor, asked, runtime.clock.now()):
        case Refused() as refused:
            refusal = refusal_of(runtime, asked.agreement_id, refused)
            refusal.headers[RECEIPT] = receipts.of_entry(runtime, refused.entry)
            return refusal
        case OutsideRange() as outside:
            record_raised(request, actor, outside.error)
            return _outside(outside, request.state.receipt)
        case Opened() as opened:
            span, size = opened.span, opened.whole.body.size
            headers = _headers(opened.whole, asked) | {
                "Content-Length": str(span.length),
                "X-Transfer-Id": opened.transfer,
                "X-Entry-Id": opened.entry,
                RECEIPT: receipts.of_entry(runtime, opened.entry),
            }
            if span.partial:
                headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
            source = WindowSource(runtime, actor, opened)
            status = 206 if span.partial else 200
            return WindowResponse(
                source,
                status_code=status,
                media_type=_media_type(asked.path),
                headers=headers,
                idle_seconds=runtime.settings.stream_idle_seconds,
            )


def _describe(runtime: Runtime, actor: Actor, agreement_id: str, path: str | None) -> Response:
    with runtime.database.reading() as db:
        delivery = queries.delivery(db, own_agreement(db, actor, agreement_id).id)
        if delivery is None:
            raise _nothing_yet()
        whole = opening.represent(db, delivery, path)
    asked = Download(agreement_id, UseRequest(purpose=""), path)
    headers = _headers(whole, asked) | {"Content-Length": str(whole.body.size)}
    return Response(status_code=200, media_type=_media_type(path), headers=headers)


def _manifest(db: Session, sha256: str) -> ManifestOut:
    signatures = [ManifestSignature.model_validate(one) for one in documents.signatures(db, sha256)]
    return ManifestOut(sha256=sha256, content=documents.content(db, sha256), signatures=signatures)


def _is_there(answer: Response | None) -> bool:
    return answer is not None


def _nothing_yet() -> queries.NoDelivery:
    return queries.NoDelivery("nothing has been prepared yet", action="try again in a few seconds, or ask with `wait`")


def _headers(whole: Representation, asked: Download) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(whole.sha256)).decode()
    return {
        "Accept-Ranges": "bytes",
        "ETag": whole.etag,
        "Repr-Digest": f"sha-256=:{digest}:",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
        "Link": f'</v1/agreements/{quote(asked.agreement_id)}/manifest>; rel="describedby"',
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(whole.name)}",
    }


def _media_type(path: str | None) -> str:
    if path is None:
        return "application/x-tar"
    return "application/dicom" if path.endswith(".dcm") else "application/octet-stream"


def _outside(outside: OutsideRange, receipt: str) -> Response:
    response = problem(outside.error, extra={"status": 416})
    response.status_code = 416
    response.headers["Content-Range"] = f"bytes */{outside.size}"
    response.headers[RECEIPT] = receipt
    return response


routes.include_router(data)
