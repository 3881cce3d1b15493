"""Answers that a reader may already hold: an ETag, and 304 where nothing changed (RFC 9110, 13.1.2).

The ETag of a long answer comes before it, from what decides it, so that what the reader holds is never made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import Header, Response
from pydantic import BaseModel

from marketplace.kernel.canonical import sha256_hex

IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", max_length=4000, description="ETags that the caller holds.")
]

# Declared by a route that answers so.
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "The caller holds this very answer."}}
_SPACE: Final = " \t"  # of RFC 9110, 5.6.3; Python knows more, which a server leaves in a header


def answer(
    etag: str, held: str | None, make: Callable[[], Response], *, vary: str | None = None, private: bool = False
) -> Response:
    """What `make` makes, with its ETag, or 304 without making it where the caller names that ETag.

    held: the header If-None-Match; vary: request headers that the choice of the answer depended on; private: it is for
    the caller alone.  `*` stands for any answer, so whether there is one is found out first and what was made is
    thrown away: where `is_any`, `make` makes a short one, which holds nothing open.
    """
    if is_any(held):
        make()
        response = Response(status_code=304)
    elif held is not None and holds(held, etag):
        response = Response(status_code=304)
    else:
        response = make()
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache" if private else "no-cache"
    if vary:
        response.headers["Vary"] = vary
    return response


def answer_of(model: BaseModel, held: str | None) -> Response:
    """A short answer for the caller alone, whose ETag is the hash of its own JSON."""
    body = model.model_dump_json().encode()
    etag = f'"{sha256_hex(body)[:32]}"'
    return answer(etag, held, lambda: Response(body, media_type="application/json"), private=True)


def is_any(held: str | None) -> bool:
    """Whether an If-None-Match is `*`: any answer."""
    return held is not None and held.strip(_SPACE) == "*"


def holds(held: str, etag: str) -> bool:
    """Whether an If-None-Match names an ETag, compared weakly."""
    opaque = etag.removeprefix("W/")
    return is_any(held) or opaque in {one.strip(_SPACE).removeprefix("W/") for one in held.split(",")}
