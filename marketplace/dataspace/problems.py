"""Errors as the protocol says them: a typed message with code and reasons, never a problem document."""

from __future__ import annotations

from starlette.responses import JSONResponse

from marketplace.dataspace.hearing import Declined
from marketplace.dataspace.messages import framed
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict, DomainError, Invalid
from marketplace.plumbing.problems import TooManyRequests, Unauthenticated, status_of

CATALOG = "CatalogError"
NEGOTIATION = "ContractNegotiationError"
TRANSFER = "TransferError"
# The protocol answers 400 to whatever is not well formed or does not follow from the state.
_BAD = 400


def typed(kind: str, error: DomainError, ids: Json) -> JSONResponse:
    """The typed error of a kind.  ids: the process ids that the call names; the catalogue has none."""
    status = _BAD if isinstance(error, Invalid | Conflict) else status_of(error)
    parts = {"expected": error.expected, "got": error.got, "action": error.action}
    said = [error.detail] + [f"{name}: {value}" for name, value in parts.items() if value is not None]
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = error.challenge
    if isinstance(error, TooManyRequests):
        headers |= error.headers
    return JSONResponse(_content(kind, error.slug, said, ids), status_code=status, headers=headers)


def declined(kind: str, answer: Declined, ids: Json) -> JSONResponse:
    """The typed error of an exchange that was refused and recorded as such."""
    return JSONResponse(_content(kind, "declined", list(answer.reasons), ids), status_code=_BAD)


def _content(kind: str, code: str, reasons: list[str], ids: Json) -> Json:
    named = {} if kind == CATALOG else {"providerPid": "", "consumerPid": ""} | ids
    return framed(kind, named | {"code": code, "reason": reasons})
