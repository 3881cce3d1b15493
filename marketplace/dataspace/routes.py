"""Exchanges with connectors elsewhere over our own API: what a participant hosted here begins, reads and says next."""

from __future__ import annotations

import base64
from functools import partial
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import FileResponse

from marketplace.dataspace import queries
from marketplace.dataspace.beginning import ask_for_contract, ask_for_data, move_on
from marketplace.dataspace.chosen import answering
from marketplace.dataspace.looking import ask_for_catalogue, put
from marketplace.dataspace.messages import SIGNED, TERMS
from marketplace.dataspace.models import Arrival, Push
from marketplace.dataspace.moving import topic_of
from marketplace.dataspace.receiving import arrival, require_receiver
from marketplace.dataspace.schemas import (
    ExchangeDetail,
    ExchangeOut,
    ExchangePage,
    HeldAgreementOut,
    HeldAgreementPage,
    MessageOut,
    MoveIn,
    NegotiationIn,
    RemoteCatalogueIn,
    RemoteCatalogueOut,
    RemoteOfferIn,
    TransferIn,
)
from marketplace.dataspace.showing import shown, shown_in_full, shown_message
from marketplace.dataspace.unasked import offer_unasked
from marketplace.kernel.canonical import Json
from marketplace.negotiation.replies import refused
from marketplace.negotiation.rounds.schemas import TermsIn
from marketplace.negotiation.rules import Refusal
from marketplace.participants.authentication import require_still
from marketplace.plumbing.conditional import UNCHANGED, IfNoneMatch, answer_of
from marketplace.plumbing.paging import MOST, Cursor, Limit
from marketplace.plumbing.turns import waits_for_changes, waits_for_others
from marketplace.plumbing.waiting import Wait, Waiting
from marketplace.plumbing.web import Verb, View, router

routes = router("dataspace")
State = Annotated[str | None, Query(max_length=40, description="Only those in this state, e.g. OFFERED.")]


@routes.post("/dataspace/catalogues", operation_id="ask_for_catalogue")
@waits_for_others
def catalogue(verb: Verb, asked: RemoteCatalogueIn) -> RemoteCatalogueOut:
    """What a provider behind a registered connector offers, asked for there: for buyers."""
    answers = answering(verb.runtime.settings)
    question = ask_for_catalogue(verb.db, verb.actor, asked, answers, verb.runtime, verb.now)
    verb.db.commit()  # that we asked stays recorded whatever the answer is, and nobody waits for it here
    return put(question, verb.runtime)


@routes.post("/dataspace/negotiations", status_code=201, operation_id="ask_for_contract")
def negotiate(verb: Verb, asked: NegotiationIn) -> ExchangeOut:
    """Open a negotiation with a provider behind a registered connector: for buyers."""
    where, answers = (asked.connector_id, asked.address), answering(verb.runtime.settings)
    beside = _beside(asked.terms)
    opened = ask_for_contract(verb.db, verb.actor, *where, asked.offer, answers, verb.runtime, verb.now, beside)
    return shown(verb.actor, opened)


@routes.post("/dataspace/offers", status_code=201, operation_id="offer_elsewhere", response_model=ExchangeOut)
def offer(verb: Verb, asked: RemoteOfferIn) -> ExchangeOut | Response:
    """Offer to a buyer behind a registered connector that has not asked; a refusal is a recorded 403 with its codes."""
    opened = offer_unasked(verb.db, verb.actor, asked, answering(verb.runtime.settings), verb.runtime, verb.now)
    return refused(opened) if isinstance(opened, Refusal) else shown(verb.actor, opened)


@routes.post("/dataspace/transfers", status_code=201, operation_id="ask_for_data")
def transfer(verb: Verb, asked: TransferIn) -> ExchangeOut:
    """Open a transfer under an agreement with a provider behind a registered connector: for buyers."""
    opened = ask_for_data(
        verb.db,
        verb.actor,
        asked.connector_id,
        asked.address,
        asked.agreement_id,
        answering(verb.runtime.settings),
        verb.runtime,
        verb.now,
        transfer_format=asked.format,
    )
    return shown(verb.actor, opened)


@routes.get("/dataspace/exchanges", operation_id="list_exchanges", response_model=ExchangePage, responses=UNCHANGED)
@waits_for_changes
async def list_exchanges(
    view: View,
    request: Request,
    state: State = None,
    cursor: Cursor = None,
    limit: Limit = MOST,
    held: IfNoneMatch = None,
    wait: Wait = 0,
) -> Response:
    """A page of the caller's negotiations and transfers with connectors elsewhere, the latest first; all for auditors.

    With `wait` and the ETag of the last answer it is answered as soon as one of them has moved.
    """

    def look() -> Response:
        found = queries.exchanges_of(view.db, view.actor, state, cursor=cursor, limit=limit)
        return answer_of(ExchangePage(items=[shown(view.actor, one) for one in found.rows], next=found.next), held)

    judge = partial(require_still, view.db, view.actor, view.runtime)
    return await Waiting.until_changed(request, view, topic_of(view.actor.participant), look, wait, judge)


@routes.get(
    "/dataspace/exchanges/{exchange_id}",
    operation_id="get_exchange",
    response_model=ExchangeDetail,
    responses=UNCHANGED,
)
@waits_for_changes
async def get_exchange(
    view: View, request: Request, exchange_id: str, held: IfNoneMatch = None, wait: Wait = 0
) -> Response:
    """One exchange with everything that was said and how each message of ours ended.

    With `wait` and the ETag of the last answer it is answered as soon as it is another one.
    """

    def look() -> Response:
        found = queries.own(view.db, view.actor, exchange_id)
        said, pushed = queries.messages(view.db, found.id), view.db.get(Push, found.id)
        arrived = view.db.get(Arrival, found.id)
        return answer_of(shown_in_full(view.actor, found, said, pushed, arrived), held)

    judge = partial(require_still, view.db, view.actor, view.runtime)
    return await Waiting.until_changed(request, view, topic_of(view.actor.participant), look, wait, judge)


@routes.get(
    "/dataspace/exchanges/{exchange_id}/content",
    operation_id="get_pushed_content",
    response_class=FileResponse,
    responses={200: {"content": {"application/x-tar": {}}, "description": "The tar as it was pushed, with Range"}},
)
def get_pushed_content(view: View, exchange_id: str) -> FileResponse:
    """The data that a provider elsewhere pushed to the caller."""
    found = queries.own(view.db, view.actor, exchange_id)
    arrived = arrival(view.db, require_receiver(view.actor, found))
    digest = base64.b64encode(bytes.fromhex(arrived.sha256)).decode()
    headers = {"ETag": f'"{arrived.sha256}"', "Repr-Digest": f"sha-256=:{digest}:", "Cache-Control": "no-store"}
    path = view.runtime.store.local_path(arrived.sha256)
    return FileResponse(path, media_type="application/x-tar", filename=f"{found.id}.tar", headers=headers)


@routes.post("/dataspace/exchanges/{exchange_id}/moves", status_code=202, operation_id="move_exchange")
def move_exchange(verb: Verb, exchange_id: str, asked: MoveIn) -> MessageOut:
    """Have a move of ours sent; the state follows when the other side took it."""
    found = queries.own(verb.db, verb.actor, exchange_id)
    extra = _beside(asked.terms) | ({SIGNED: {"jws": asked.signature}} if asked.signature else {})
    extra |= {"offer": asked.offer} if asked.offer else {}
    answers = answering(verb.runtime.settings)
    said = move_on(verb.db, found, asked.move, extra, answers, verb.runtime, verb.now)
    return shown_message(verb.actor, found, queries.message(verb.db, said))


@routes.get("/dataspace/agreements", operation_id="list_held_agreements")
def list_held_agreements(view: View, cursor: Cursor = None, limit: Limit = MOST) -> HeldAgreementPage:
    """A page of what the caller has agreed with providers elsewhere, the latest first; of all for auditors."""
    found = queries.held_of(view.db, view.actor, cursor=cursor, limit=limit)
    return HeldAgreementPage(items=[HeldAgreementOut.model_validate(one) for one in found.rows], next=found.next)


@routes.get("/dataspace/agreements/{held_id}", operation_id="get_held_agreement")
def get_held_agreement(view: View, held_id: str) -> HeldAgreementOut:
    """One agreement with a provider elsewhere: whether it is in force, and the documents that say what was agreed."""
    return HeldAgreementOut.model_validate(queries.own_held(view.db, view.actor, held_id))


def _beside(terms: TermsIn | None) -> Json:
    return {TERMS: terms.model_dump(mode="json", exclude_none=True)} if terms else {}
