"""Descriptions in DCAT 3 and HealthDCAT-AP over HTTP, as JSON-LD or Turtle."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import Header, Query, Response

from marketplace.exchange import queries
from marketplace.exchange.dcat.catalogue import describe_catalogue
from marketplace.exchange.dcat.describing import describe
from marketplace.exchange.dcat.facts import gather
from marketplace.exchange.dcat.graph import Graph
from marketplace.kernel.actor import Role
from marketplace.participants import queries as participants
from marketplace.plumbing.conditional import UNCHANGED, IfNoneMatch, answer
from marketplace.plumbing.web import PublicView, router

JSON_LD: Final = "application/ld+json"
TURTLE: Final = "text/turtle"
FORMATS: Final = {"jsonld": JSON_LD, "turtle": TURTLE}
_DECLARED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The description, in the format asked for.",
        "content": {JSON_LD: {"schema": {"type": "object"}}, TURTLE: {"schema": {"type": "string"}}},
    },
    **UNCHANGED,
}

Accept = Annotated[str, Header(max_length=1000, description=f"`{JSON_LD}` (without one) or `{TURTLE}`.")]
Format = Annotated[
    Literal["jsonld", "turtle"] | None, Query(alias="format", description="The same for links; it beats the header.")
]

routes = router("dcat")


@routes.get("/dcat", operation_id="describe_catalogue", response_class=Response, responses=_DECLARED)
def get_catalogue(
    view: PublicView,
    accept: Accept = "",
    form: Format = None,
    held: IfNoneMatch = None,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """The catalogue as dcat:Catalog, the latest listing first; `hydra:next` of a page's view leads to the next."""
    page = queries.visible(view.db, view.now, cursor=cursor, limit=limit)
    base = view.runtime.settings.public_url.rstrip("/")
    publisher = participants.with_role(view.db, Role.PLATFORM_OPERATOR)[0]
    graph = describe_catalogue(
        gather(view.db, page.rows),
        base,
        publisher,
        page=_address(base, limit, cursor),
        next_page=_address(base, limit, page.next_cursor) if page.next_cursor else None,
    )
    return _answer(graph, accept, form, held)


@routes.get("/dcat/{listing_id}", operation_id="describe_listing", response_class=Response, responses=_DECLARED)
def get_listing(
    view: PublicView, listing_id: str, accept: Accept = "", form: Format = None, held: IfNoneMatch = None
) -> Response:
    """One visible listing as dcat:Dataset of HealthDCAT-AP."""
    facts = gather(view.db, [queries.visible_listing(view.db, listing_id, view.now)])
    graph = Graph()
    describe(graph, facts[0], view.runtime.settings.public_url.rstrip("/"))
    return _answer(graph, accept, form, held)


def _answer(graph: Graph, accept: str, form: str | None, held: str | None) -> Response:
    chosen = FORMATS[form] if form else preferred(accept)
    written = graph.as_turtle() if chosen == TURTLE else graph.as_json_ld()
    return answer(written.encode(), chosen, held, vary="Accept")


def preferred(accept: str) -> str:
    """The format that an Accept header likes better; JSON-LD when it likes both the same or neither."""
    return max(FORMATS.values(), key=lambda one: _liking(accept, one))


def _liking(accept: str, media_type: str) -> float:
    """The weight that the most precise range of an Accept header gives to a media type (RFC 9110, 12.5.1)."""
    found = {"": 0.0}
    for part in accept.split(","):
        name, *parameters = (one.strip().lower() for one in part.split(";"))
        found[name] = next((_weight(one[2:]) for one in parameters if one.startswith("q=")), 1.0)
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*", "")
    return next(found[one] for one in ranges if one in found)


def _weight(words: str) -> float:
    try:
        return float(words)
    except ValueError:
        return 0.0


def _address(base: str, limit: int, cursor: str | None) -> str:
    return f"{base}/v1/dcat?" + urlencode({"limit": limit} | ({"cursor": cursor} if cursor else {}))
