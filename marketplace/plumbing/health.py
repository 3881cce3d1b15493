"""`/livez` says the process runs; `/readyz` says which parts answer."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlmodel import func, select

from marketplace.plumbing.outbox import OutboxRow
from marketplace.plumbing.runtime import Runtime

routes = APIRouter(tags=["health"])


@routes.get("/livez", operation_id="get_liveness")
def get_liveness() -> dict[str, str]:
    """The process runs."""
    return {"status": "pass"}


@routes.get("/readyz", operation_id="get_readiness")
def get_readiness(request: Request) -> JSONResponse:
    """Each part with its state; 503 when one that serving needs does not answer."""
    runtime: Runtime = request.app.state.runtime
    checks: dict[str, Any] = {"database": _database(runtime), "policy": _policy(runtime)}
    failed = [name for name, check in checks.items() if check["status"] != "pass"]
    body = {"status": "fail" if failed else "pass", "checks": checks}
    return JSONResponse(body, status_code=503 if failed else 200, media_type="application/health+json")


def _database(runtime: Runtime) -> dict[str, Any]:
    try:
        with runtime.database.reading() as db:
            db.exec(select(1)).one()
            waiting = db.exec(select(func.count()).select_from(OutboxRow).where(text("done_at IS NULL"))).one()
    except Exception as error:  # noqa: BLE001 - whatever is wrong, the answer is "fail"
        return {"status": "fail", "output": type(error).__name__}
    return {"status": "pass", "outbox_waiting": waiting}


def _policy(runtime: Runtime) -> dict[str, Any]:
    # An empty input must be a well-formed denial; an engine that cannot answer says policy_unavailable.
    decision = runtime.policy.decide("access", {})
    healthy = not decision.allow and "policy_unavailable" not in decision.reasons
    return {"status": "pass" if healthy else "fail", "revision": decision.revision}
