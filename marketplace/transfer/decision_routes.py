"""Asking over HTTP whether a use would be allowed: a route of its own kind, because its answers are made in batches."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from sqlmodel import Session
from starlette.types import Receive, Scope, Send

from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import Conflict, Forbidden
from marketplace.plumbing.batches import Batches
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.web import RECEIPT, Gate, record_raised, router
from marketplace.transfer import deciding
from marketplace.transfer.asking import (
    Action,
    Approval,
    AssetId,
    Place,
    ProofRequired,
    Purpose,
    plainly,
    require_bound,
    use_of,
)
from marketplace.transfer.deciding import Decided, Failed, Question
from marketplace.transfer.opening import Refused
from marketplace.transfer.refusing import refusal_of
from marketplace.transfer.schemas import DecisionOut
from marketplace.usage.rules import ClockBehind, UseRequest

# Made once: `JSONResponse` would make an encoder for every answer.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class PlainRoute(APIRoute):
    """A route that answers a plainly worded question by itself and leaves every other one to the framework."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        use = plainly(scope["query_string"].decode("latin-1")) if scope["method"] == "GET" else None
        if use is None:
            await super().handle(scope, receive, send)
        else:
            answer = await _decided(Request(scope, receive, send), scope["path_params"]["agreement_id"], use)
            await answer(scope, receive, send)


routes = APIRouter(prefix="/v1", tags=["transfer"], responses=router("transfer").responses, route_class=PlainRoute)


@routes.get("/agreements/{agreement_id}/decision", operation_id="decide_use", response_model=DecisionOut)
async def decide_use(
    request: Request,
    agreement_id: str,
    purpose: Purpose,
    action: Action = "use",
    asset: AssetId = None,
    place: Place = None,
    ethics_approval: Approval = None,
) -> Response:
    """Whether a use would be allowed at this moment, without using: recorded, counted as no use, and binding nobody.

    A refusal answers 403 with its reason codes, as the use itself would.
    """
    return await _decided(request, agreement_id, use_of(purpose, action, asset, place, ethics_approval))


async def _decided(request: Request, agreement_id: str, use: UseRequest) -> Response:
    question = Question(partial(_recognised, request, runtime_of(request).clock.now()), agreement_id, use)
    match await _batches(request).ask(question):
        case Decided(decision, _, promised) as decided if decision.allow:
            return _told(request, decided, promised)
        case found:
            return await run_in_threadpool(_not_allowed, request, agreement_id, found)


def _batches(request: Request) -> Batches[Question, Decided | Failed]:
    """The batches of an application, made at its first question.  An OPA server answers several at once."""
    state, runtime = request.app.state, runtime_of(request)
    if getattr(state, "decisions", None) is None:
        at_once, most = (8, 4) if runtime.settings.policy_engine == "opa" else (1, 64)
        answer = lambda questions: deciding.decide_all(runtime, questions, runtime.clock.now())  # noqa: E731
        state.decisions = Batches(answer, most=most, at_once=at_once)
    found: Batches[Question, Decided | Failed] = state.decisions
    return found


def _recognised(request: Request, now: datetime, db: Session) -> tuple[Actor, deciding.Spend]:
    gate: Gate = request.app.state.gate
    actor, spend = gate.recognise(db, request, now)
    require_bound(actor)
    return actor, spend


def _told(request: Request, decided: Decided, promised: str) -> Response:
    gate: Gate = request.app.state.gate
    shown = {"allow": True, "obligations": decided.decision.obligations}
    shown |= {"revision": decided.decision.revision, "entry": decided.entry}
    headers = {"Cache-Control": "no-store", RECEIPT: gate.receipt(promised)}
    return Response(_encode(shown), headers=headers, media_type="application/json")


def _not_allowed(request: Request, agreement_id: str, found: Decided | Failed) -> Response:
    if isinstance(found, Failed):
        if found.actor is not None and isinstance(found.error, (Forbidden, Conflict, ProofRequired, ClockBehind)):
            record_raised(request, found.actor, found.error)
        raise found.error
    gate: Gate = request.app.state.gate
    answer = refusal_of(runtime_of(request), agreement_id, Refused(found.decision, found.entry))
    answer.headers[RECEIPT] = gate.receipt(found.promised)
    return answer


def runtime_of(request: Request) -> Runtime:
    """The instance that a request reached."""
    runtime: Runtime = request.app.state.runtime
    return runtime
