"""`/livez` says the process runs; `/readyz` says which parts answer."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlmodel import col, func, select

from marketplace.plumbing import policyreleases
from marketplace.plumbing.outbox import OutboxRow
from marketplace.plumbing.runtime import Runtime

MEDIA_TYPE = "application/health+json"

routes = APIRouter(tags=["health"])


class Liveness(BaseModel):
    """The process runs."""

    status: Literal["pass"] = "pass"


class Check(BaseModel):
    """One part.  output: what went wrong; outbox_waiting: work not yet done; revision: of the policies."""

    status: Literal["pass", "fail"]
    output: str | None = None
    outbox_waiting: int | None = None
    revision: str | None = None


class Readiness(BaseModel):
    """Every part that serving needs, by name; status is pass when all of them pass.

    test_mode: named when this instance answers a test kit by a fixed table or believes a peer unsigned, as production
    never does.
    """

    status: Literal["pass", "fail"]
    test_mode: str | None = None
    checks: dict[str, Check]


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Every part answers", "content": {MEDIA_TYPE: {}}},
    503: {"description": "A part that is needed does not answer", "content": {MEDIA_TYPE: {}}, "model": Readiness},
}


class HealthAnswer(JSONResponse):
    """A health document."""

    media_type = MEDIA_TYPE


@routes.get("/livez", operation_id="get_liveness")
def get_liveness() -> Liveness:
    """The process runs."""
    return Liveness()


@routes.get(
    "/readyz", operation_id="get_readiness", response_model=Readiness, response_class=HealthAnswer, responses=_ANSWERS
)
def get_readiness(request: Request) -> HealthAnswer:
    """Each part with its state; 503 when one that serving needs does not answer."""
    runtime: Runtime = request.app.state.runtime
    checks = {"database": _database(runtime), "policy": _policy(runtime), "log": _log(runtime)}
    failed = [name for name, check in checks.items() if check.status != "pass"]
    found = Readiness(status="fail" if failed else "pass", test_mode=runtime.settings.test_mode, checks=checks)
    return HealthAnswer(found.model_dump(exclude_none=True), status_code=503 if failed else 200)


def _database(runtime: Runtime) -> Check:
    try:
        with runtime.database.reading() as db:
            waiting = db.exec(select(func.count()).select_from(OutboxRow).where(col(OutboxRow.done_at).is_(None))).one()
    except Exception as error:  # noqa: BLE001 - whatever is wrong, the answer is "fail"
        return Check(status="fail", output=type(error).__name__)
    return Check(status="pass", outbox_waiting=waiting)


def _log(runtime: Runtime) -> Check:
    trouble = runtime.soundness.trouble
    return Check(status="fail" if trouble else "pass", output=trouble or None)


def _policy(runtime: Runtime) -> Check:
    # An empty input must be a well-formed denial; an engine that cannot answer says policy_unavailable.
    try:
        with runtime.database.reading() as db:
            accepted = policyreleases.newest(db)
    except Exception as error:  # noqa: BLE001 - whatever is wrong, the answer is "fail"
        return Check(status="fail", output=type(error).__name__)
    decision = policyreleases.decide(runtime, accepted, runtime.clock.now(), "access", {})
    healthy = not decision.allow and "policy_unavailable" not in decision.reasons
    return Check(status="pass" if healthy else "fail", revision=decision.revision)
