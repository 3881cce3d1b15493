"""Answers that a reader may already hold: an ETag over the bytes, and 304 where nothing changed (RFC 9110, 13.1.2)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Response
from pydantic import BaseModel

from marketplace.kernel.canonical import sha256_hex

IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", max_length=4000, description="ETags that the caller holds.")
]

# Declared by a route that answers so.
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "The caller holds this very answer."}}


def answer(body: bytes, media_type: str, held: str | None, *, vary: str | None = None) -> Response:
    """The body with its ETag, or 304 without it where the caller holds these very bytes.

    held: the header If-None-Match; vary: request headers that the choice of the body depended on.
    """
    headers = {"ETag": f'"{sha256_hex(body)[:32]}"', "Cache-Control": "no-cache"} | ({"Vary": vary} if vary else {})
    if held is not None and holds(held, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def answer_model(model: BaseModel, held: str | None) -> Response:
    """The same for a JSON answer."""
    return answer(model.model_dump_json().encode(), "application/json", held)


def holds(held: str, etag: str) -> bool:
    """Whether an If-None-Match names an ETag, compared weakly."""
    return held.strip() == "*" or etag in {one.strip().removeprefix("W/") for one in held.split(",")}
