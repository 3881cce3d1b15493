"""The catalogue over HTTP: answers with an ETag that is read before them, long pages written part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Final

from fastapi import Depends, Query, Request, Response

from marketplace.exchange import queries, revision
from marketplace.exchange.catalogue import LONGEST_PAGE, MAX_PAGE, CataloguePage
from marketplace.exchange.facets import FacetCounts
from marketplace.exchange.queries import CatalogueRow, Wanted
from marketplace.exchange.schemas import CatalogueDetail, CatalogueItem, CatalogueOut, FacetsOut, PurposeMatch
from marketplace.exchange.terms import enforced_permille, enforcement, enforcement_table, permitted_purposes
from marketplace.exchange.terms.purposes import match
from marketplace.kernel.canonical import Json
from marketplace.participants import queries as participants
from marketplace.plumbing.conditional import UNCHANGED, IfNoneMatch, answer, is_any
from marketplace.plumbing.pieces import in_pieces, written
from marketplace.plumbing.web import Call, OpenView, PublicView, View, router

JSON: Final = "application/json"

routes = router("exchange")

PurposeCode = Annotated[
    str | None,
    Query(max_length=40, description="A purpose of ours or a code: `duo:HMB`, `ehds:research`, `scenario:research`."),
]


def _wanted(
    q: Annotated[str, Query(max_length=200, description="Words or Chinese text, all of which must occur.")] = "",
    modality: Annotated[str | None, Query(max_length=16)] = None,
    body_part: Annotated[str | None, Query(max_length=64)] = None,
    purpose: PurposeCode = None,
    provider: Annotated[str | None, Query(max_length=80)] = None,
) -> Wanted:
    return Wanted(text=q, modality=modality, body_part=body_part, purpose=purpose, provider=provider)


Narrowed = Annotated[Wanted, Depends(_wanted)]
Cursor = Annotated[str | None, Query(max_length=400)]
Limit = Annotated[
    int,
    Query(ge=1, le=LONGEST_PAGE, description=f"Above {MAX_PAGE} the answer is written while the catalogue is read."),
]


@routes.get("/catalogue", operation_id="search_catalogue", response_model=CatalogueOut, responses=UNCHANGED)
def search_catalogue(
    view: PublicView,
    request: Request,
    wanted: Narrowed,
    held: IfNoneMatch = None,
    cursor: Cursor = None,
    limit: Limit = 20,
) -> Response:
    """What is listed and still valid now, by the weight of the rarest word, then the latest first."""
    return _page(request, view, wanted, cursor, limit, held)


@routes.get(
    "/participants/me/catalogue",
    operation_id="search_own_catalogue",
    response_model=CatalogueOut,
    responses=UNCHANGED,
)
def search_own_catalogue(
    view: View, request: Request, wanted: Narrowed, held: IfNoneMatch = None, cursor: Cursor = None, limit: Limit = 20
) -> Response:
    """The part of the catalogue whose terms are open to the caller: to its kind or to itself by name, and no genomic
    data for a foreign-controlled party."""
    asker = participants.participant(view.db, view.actor.participant)
    return _page(request, view, replace(wanted, asker=asker), cursor, limit, held)


@routes.get("/private-listings", operation_id="list_private_listings", response_model=CatalogueOut, responses=UNCHANGED)
def list_private_listings(
    view: View, request: Request, held: IfNoneMatch = None, cursor: Cursor = None, limit: Limit = 20
) -> Response:
    """What is listed for the caller and other named buyers alone; the public catalogue shows none of it."""
    return _page(request, view, Wanted(named=view.actor.participant), cursor, limit, held)


@routes.get("/facets", operation_id="count_catalogue")
def count_catalogue(view: PublicView, request: Request, wanted: Narrowed) -> FacetsOut:
    """How many listings each further filter would leave; a count of a large catalogue is kept for a while."""
    found = FacetCounts.of(request.app).facets(view.db, view.now, wanted)
    return FacetsOut(counted_at=found.counted_at, listings=found.listings, **found.values)


@routes.get(
    "/catalogue/{listing_id}",
    operation_id="get_catalogue_listing",
    response_model=CatalogueDetail,
    responses=UNCHANGED,
)
def get_catalogue_listing(
    view: OpenView, listing_id: str, purpose: PurposeCode = None, held: IfNoneMatch = None
) -> Response:
    """One visible listing in full, with the terms that are enforced and the proofs it rests on.

    Asked with a purpose, it says which permission permits it, or why none does.
    """
    reader = view.actor.participant

    def make() -> Response:
        row = queries.visible_listing(view.db, listing_id, view.now, reader=reader)
        found = match(row.offer.uses, purpose) if purpose is not None else None
        detail = CatalogueDetail(**_detail(row), purpose_match=found and PurposeMatch.model_validate(found))
        return Response(detail.model_dump_json().encode(), media_type=JSON)

    etag = revision.etag(view.db, view.now, "listing", listing_id, purpose, reader)
    return answer(etag, held, make, vary="Authorization", private=bool(view.actor.roles))


def enforced(uses: Json) -> Json:
    """The terms of uses with who enforces them, and the share that is enforced here."""
    return {"enforcement": enforcement_table(uses), "enforced_permille": enforced_permille(enforcement(uses))}


def _page(request: Request, view: Call, wanted: Wanted, cursor: str | None, limit: int, held: str | None) -> Response:
    size = 1 if is_any(held) else limit  # who asks whether there is any answer is told by the shortest

    def make() -> Response:
        parts = queries.parts(view.db, view.now, wanted, cursor=cursor, limit=size)
        return written(request, view, in_pieces(page_texts(parts)), JSON, long=size > MAX_PAGE)

    etag = revision.etag(view.db, view.now, "page", *revision.asked(wanted), cursor, limit)
    return answer(etag, held, make, private=bool(view.actor.roles))


def page_texts(parts: Iterable[CataloguePage]) -> Iterator[str]:
    """A CatalogueOut as JSON, in texts of one item each."""
    before, following = '{"items":[', None
    for part in parts:
        for row in part.rows:
            yield before + CatalogueItem(**_item(row)).model_dump_json()
            before = ","
        following = part.next_cursor
    end = CatalogueOut(items=[], next_cursor=following).model_dump_json().removeprefix('{"items":[')
    yield (before if before != "," else "") + end


def _item(row: CatalogueRow) -> Json:
    asset, offer, listing, provider = row.asset, row.offer, row.listing, row.provider
    shown = ["name", "name_en", "overview", "overview_en", "modality", "body_part", "keywords", "is_example"]
    return {
        **{name: getattr(asset, name) for name in shown},
        "listing_id": listing.id,
        "asset_id": asset.id,
        "version_id": row.version.id,
        "records": row.version.records,
        "provider_id": provider.id,
        "provider": provider.legal_name,
        "provider_en": provider.legal_name_en,
        "purposes": sorted(permitted_purposes(offer.uses)),
        "price_plan": offer.price_plan,
        "term_days": offer.term_days,
        "delivery_mode": offer.delivery_mode,
        "listed_at": listing.listed_at,
    }


def _detail(row: CatalogueRow) -> Json:
    shown = ["region", "time_from", "time_to", "update_frequency"]
    return {
        **_item(row),
        **enforced(row.offer.uses),
        **{name: getattr(row.asset, name) for name in shown},
        "version_root": row.version.root,
        "files": row.version.files,
        "bytes": row.version.bytes,
        "template": row.offer.template,
        "uses": row.offer.uses,
        "certificate_code": row.certificate.code,
        "certificate_valid_until": row.certificate.valid_until,
        "opinion_number": row.opinion.number,
        "opinion_outcome": row.opinion.outcome,
        "opinion_expires_at": row.opinion.expires_at,
        "document": row.listing.document,
        "operator_id": row.listing.operator_id,
    }
