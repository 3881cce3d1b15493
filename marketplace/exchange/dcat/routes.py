"""Descriptions in DCAT 3 and HealthDCAT-AP over HTTP, as JSON-LD or Turtle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import Header, Query, Request, Response

from marketplace.exchange import queries, revision
from marketplace.exchange.catalogue import LONGEST_PAGE, MAX_PAGE, Wanted
from marketplace.exchange.dcat.catalogue import describe_catalogue, describe_further, tell_next
from marketplace.exchange.dcat.describing import describe
from marketplace.exchange.dcat.facts import gather
from marketplace.exchange.dcat.graph import Graph, as_json_ld, as_turtle
from marketplace.kernel.actor import Role
from marketplace.participants import queries as participants
from marketplace.plumbing.conditional import UNCHANGED, IfNoneMatch, answer, is_any
from marketplace.plumbing.pieces import in_pieces, written
from marketplace.plumbing.web import Call, PublicView, router

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
    request: Request,
    accept: Accept = "",
    form: Format = None,
    held: IfNoneMatch = None,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 20,
) -> Response:
    """The catalogue as dcat:Catalog, the latest listing first; `hydra:next` of a page's view leads to the next."""
    size = 1 if is_any(held) else limit  # who asks whether there is any answer is told by the shortest
    chosen = _chosen(accept, form)

    def make() -> Response:
        return _written(request, view, _page(view, cursor, size), chosen, long=size > MAX_PAGE)

    base = view.runtime.settings.public_url
    return answer(revision.etag(view.db, view.now, "dcat", base, chosen, cursor, limit), held, make, vary="Accept")


@routes.get("/dcat/{listing_id}", operation_id="describe_listing", response_class=Response, responses=_DECLARED)
def get_listing(
    view: PublicView,
    request: Request,
    listing_id: str,
    accept: Accept = "",
    form: Format = None,
    held: IfNoneMatch = None,
) -> Response:
    """One visible listing as dcat:Dataset of HealthDCAT-AP."""
    chosen, base = _chosen(accept, form), view.runtime.settings.public_url.rstrip("/")

    def make() -> Response:
        facts = gather(view.db, [queries.visible_listing(view.db, listing_id, view.now)])
        graph = Graph()
        describe(graph, facts[0], base)
        return _written(request, view, iter([graph]), chosen, long=False)

    return answer(revision.etag(view.db, view.now, "dcat", base, chosen, listing_id), held, make, vary="Accept")


def _page(view: Call, cursor: str | None, limit: int) -> Iterator[Graph]:
    """A page of the catalogue in graphs, one for each part that is read."""
    base = view.runtime.settings.public_url.rstrip("/")
    page = _address(base, limit, cursor)
    for place, part in enumerate(queries.parts(view.db, view.now, Wanted(), cursor=cursor, limit=limit)):
        facts = gather(view.db, part.rows)
        if place:
            graph = describe_further(facts, base)
        else:
            publisher = participants.with_role(view.db, Role.PLATFORM_OPERATOR)[0]
            graph = describe_catalogue(facts, base, publisher, page=page)
        if part.next_cursor:
            tell_next(graph, page, _address(base, limit, part.next_cursor))
        yield graph


def _written(request: Request, view: Call, graphs: Iterable[Graph], chosen: str, *, long: bool) -> Response:
    texts = as_turtle(graphs) if chosen == TURTLE else as_json_ld(graphs)
    return written(request, view, in_pieces(texts), chosen, long=long)


def _chosen(accept: str, form: str | None) -> str:
    return FORMATS[form] if form else preferred(accept)


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
