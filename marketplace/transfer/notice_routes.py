"""Notices of stops over HTTP: the inbox, and the address they are sent to."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Response
from sqlmodel import Session

from marketplace.audit import documents
from marketplace.plumbing.paging import MOST, Cursor, Limit
from marketplace.plumbing.web import Verb, View, router
from marketplace.transfer import inbox, queries
from marketplace.transfer.models import NoticeAddress, StopNotice
from marketplace.transfer.schemas import (
    ManifestSignature,
    NoticeAddressIn,
    NoticeAddressOut,
    NoticePage,
    NoticePush,
    StopNoticeDetail,
    StopNoticeOut,
)

routes = router("transfer")

IfMatch = Annotated[str | None, Header(alias="If-Match", description="ETag of the address it replaces.", max_length=80)]


@routes.get("/stop-notices", operation_id="list_stop_notices")
def list_stop_notices(view: View, cursor: Cursor = None, limit: Limit = MOST) -> NoticePage:
    """A page of the caller's notices, of all for auditors, the latest first."""
    found = queries.notices(view.db, view.actor, cursor=cursor, limit=limit)
    return NoticePage(items=[StopNoticeOut.model_validate(one) for one in found.rows], next=found.next)


@routes.get("/stop-notices/{notice_id}", operation_id="get_stop_notice")
def get_stop_notice(view: View, notice_id: str) -> StopNoticeDetail:
    """One notice with its signature, for both parties and auditors; its exact bytes are at /v1/documents/{document}."""
    notice = queries.readable_notice(view.db, view.actor, notice_id)
    return StopNoticeDetail(
        **notice.model_dump(),
        content=documents.content(view.db, notice.document),
        signatures=[ManifestSignature.model_validate(one) for one in documents.signatures(view.db, notice.document)],
        push=_push(view.db, notice, view.actor.participant),
    )


@routes.get("/participants/me/notice-address", operation_id="get_notice_address")
def get_notice_address(view: View, response: Response) -> NoticeAddressOut:
    """Where the caller's notices are sent."""
    return _shown(queries.own_notice_address(view.db, view.actor), response)


@routes.put("/participants/me/notice-address", operation_id="set_notice_address")
def set_notice_address(
    verb: Verb, asked: NoticeAddressIn, response: Response, seen: IfMatch = None
) -> NoticeAddressOut:
    """Have the caller's notices sent to a public https address: from the next stop on, beside the inbox."""
    found = inbox.set_address(verb.db, verb.actor, asked.url, seen, verb.runtime.settings, verb.now)
    return _shown(found, response)


@routes.delete("/participants/me/notice-address", status_code=204, operation_id="remove_notice_address")
def remove_notice_address(verb: Verb, seen: IfMatch = None) -> None:
    """Send the caller no more notices; the inbox keeps them."""
    inbox.remove_address(verb.db, verb.actor, seen, verb.now)


def _shown(address: NoticeAddress, response: Response) -> NoticeAddressOut:
    response.headers["ETag"] = inbox.etag(address)
    return NoticeAddressOut.model_validate(address)


def _push(db: Session, notice: StopNotice, party: str) -> NoticePush | None:
    found = queries.pushed(db, notice.id, party)
    return NoticePush(**found) if found is not None else None
