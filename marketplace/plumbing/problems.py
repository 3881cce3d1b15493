"""The only map from errors to HTTP: RFC 9457 problem documents with stable `type` slugs."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from structlog import get_logger

from marketplace.kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable
from marketplace.kernel.ids import new_id

MEDIA_TYPE = "application/problem+json"
STATUS: dict[type[DomainError], int] = {
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
    Forbidden: 403,
    Unavailable: 503,
}


class Unauthenticated(DomainError):
    """The caller did not prove who it is."""

    def __init__(self, detail: str, *, challenge: str = "Bearer", **rest: str | None) -> None:
        super().__init__(detail, **rest)
        self.challenge = challenge


class BadRequest(DomainError):
    """The request lacks something at the HTTP level."""


class TooManyRequests(DomainError):
    """Too many requests in a short time."""

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None, **rest: str | None) -> None:
        super().__init__(detail, **rest)
        self.headers = headers or {}


class BodyTooLarge(DomainError):
    """The body of the request is larger than this service accepts."""


class StorageFull(DomainError):
    """There is no room to record what was asked, so it was not done."""


class SomebodyWasFaster(Conflict):
    """Another request made the same thing at the same moment."""


class DatabaseBusy(Unavailable):
    """The database does not answer in time."""


_EDGE_STATUS: dict[type[DomainError], int] = {
    Unauthenticated: 401,
    BadRequest: 400,
    BodyTooLarge: 413,
    TooManyRequests: 429,
    StorageFull: 507,
}


_MOST_FINDINGS = 100

# EFBIG is what a process gets that reached a limit on the size of its files.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# What SQLite says, and PostgreSQL's SQLSTATEs of class 53 for the same.
_FULL_WORDS = "database or disk is full"
_FULL_STATES = frozenset({"53100"})
# A second row of a unique key.  Other broken constraints are faults of ours and stay unexpected.
_TAKEN_STATES = frozenset({"23505"})
_TAKEN_NAMES = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})


def domain_error_of(error: Exception) -> DomainError | None:
    """What an error of the machine under us means to the caller; None when it means nothing that could be named."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return _no_room()
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        if _FULL_WORDS in str(error.orig) or state in _FULL_STATES:
            return _no_room()
    if isinstance(error, IntegrityError) and _is_taken(error):
        return SomebodyWasFaster(
            "another request made the same thing at this moment",
            action="nothing was changed by this one; read again, then decide",
        )
    if isinstance(error, DataError):
        return Invalid("a value is not one that can be stored", action="check lengths, ranges and characters")
    if isinstance(error, OperationalError | PoolTimeout):
        return DatabaseBusy(
            "the database did not answer",
            action="send the request again with the same Idempotency-Key: it takes effect once",
        )
    return None


def _is_taken(error: IntegrityError) -> bool:
    state, name = getattr(error.orig, "sqlstate", None), getattr(error.orig, "sqlite_errorname", None)
    return state in _TAKEN_STATES or name in _TAKEN_NAMES


def _no_room() -> StorageFull:
    return StorageFull(
        "the storage of this service is full",
        action="nothing was changed; tell the platform operator, then send the same request again",
    )


def status_of(error: DomainError) -> int:
    """The HTTP status of a domain error; a class may pin its own with `http_status`."""
    for kind, status in (_EDGE_STATUS | STATUS).items():
        if isinstance(error, kind):
            return status
    return 500


def problem(error: DomainError, *, extra: dict[str, Any] | None = None) -> JSONResponse:
    """The problem document of an error."""
    status = status_of(error)
    body: dict[str, Any] = {
        "type": f"/problems/{error.slug}",
        "title": error.title,
        "status": status,
        "detail": error.detail,
    }
    for name in ("expected", "got", "action"):
        if (value := getattr(error, name)) is not None:
            body[name] = value
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = error.challenge
    if isinstance(error, TooManyRequests):
        headers |= error.headers
    return JSONResponse(body | (extra or {}), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def http_problem(error: HTTPException) -> JSONResponse:
    """The problem document of an error that the framework raised, such as an unknown address."""
    body = {"type": "about:blank", "title": str(error.detail), "status": error.status_code}
    return JSONResponse(body, status_code=error.status_code, media_type=MEDIA_TYPE, headers=dict(error.headers or {}))


def template_of(request: Request) -> str:
    """The address as it is declared, for what the process writes: real paths can hold what a caller typed."""
    return str(getattr(request.scope.get("route"), "path", "no such address"))


def _plainly(found: dict[str, Any]) -> str:
    """The finding of a validation without what the caller typed."""
    if found["type"] == "union_tag_invalid":
        return f"Input should be one of {found['ctx']['expected_tags']}"
    return str(found["msg"])


def install(app: FastAPI) -> None:
    """Answer every error, ours and the framework's, as a problem document without a traceback."""

    @app.exception_handler(DomainError)
    async def _domain(request: Request, error: DomainError) -> JSONResponse:
        answer = problem(error)
        if receipt := getattr(request.state, "receipt", None):
            answer.headers["Receipt"] = receipt
        return answer

    @app.exception_handler(RequestValidationError)
    async def _validation(_request: Request, error: RequestValidationError) -> JSONResponse:
        findings = [
            {"pointer": "/" + "/".join(str(part) for part in found["loc"]), "detail": _plainly(found)}
            for found in error.errors()[:_MOST_FINDINGS]
        ]
        first = findings[0]
        return problem(
            Invalid(f"{first['pointer']}: {first['detail']}", action="correct the fields listed in `errors`"),
            extra={"errors": findings},
        )

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        return http_problem(error)

    @app.exception_handler(OverflowError)
    async def _too_large(_request: Request, _error: OverflowError) -> JSONResponse:
        # The driver of SQLite says so; others say DataError.
        return problem(Invalid("a number is larger than any that can be stored", action="correct the numbers"))

    @app.exception_handler(OSError)
    @app.exception_handler(SQLAlchemyError)
    async def _machine(request: Request, error: Exception) -> JSONResponse:
        meaning = domain_error_of(error)
        if meaning is None:
            return await _unexpected(request, error)
        get_logger().error("machine", problem=meaning.slug, path=template_of(request), exc_info=error)
        return problem(meaning)

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        trace_id = new_id("err")
        get_logger().error("unexpected", trace_id=trace_id, path=template_of(request), exc_info=error)
        body = {
            "type": "/problems/unexpected",
            "title": "Something went wrong on our side",
            "status": 500,
            "detail": "Nothing was changed.",
            "trace_id": trace_id,
            "action": "try again; if it stays, send the trace_id to the platform operator",
        }
        return JSONResponse(body, status_code=500, media_type=MEDIA_TYPE)
