"""The exchange over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from marketplace.assets import queries as assets
from marketplace.assets.schemas import PreparedDocument, SignatureIn
from marketplace.exchange import demands, forcing, queries, service
from marketplace.exchange.facets import FacetCounts
from marketplace.exchange.linting import obstacles, plans_of
from marketplace.exchange.models import Offer
from marketplace.exchange.queries import CatalogueRow, Wanted
from marketplace.exchange.schemas import (
    CatalogueDetail,
    CatalogueItem,
    CatalogueOut,
    DemandIn,
    DemandOut,
    FacetsOut,
    ListingOut,
    MarketReferenceOut,
    OfferIn,
    OfferOut,
    PurposeMatch,
    ReasonIn,
    SubmissionIn,
    TemplateOut,
)
from marketplace.exchange.templates import Template, templates
from marketplace.exchange.terms import enforced_permille, enforcement, enforcement_table, permitted_purposes
from marketplace.exchange.terms.purposes import match
from marketplace.kernel.canonical import Json
from marketplace.participants import queries as participants
from marketplace.plumbing.conditional import UNCHANGED, IfNoneMatch, answer_model
from marketplace.plumbing.web import Call, OpenView, PublicView, Verb, View, router

routes = router("exchange")


@routes.get("/terms", operation_id="list_terms")
def list_terms(view: PublicView) -> list[TemplateOut]:
    """The contract templates an offer may use, with the schema of their parameters and their clauses."""
    assert view.db is not None
    return [_template(one) for one in templates().values()]


@routes.post("/versions/{version_id}/offers", status_code=201, operation_id="make_offer")
def make_offer(verb: Verb, version_id: str, asked: OfferIn) -> OfferOut:
    """Say what may be bought of a certified version, and for what price."""
    version = assets.own_version(verb.db, verb.actor, version_id)
    return _offer(service.make_offer(verb.db, verb.actor, version, asked, verb.now))


@routes.get("/offers", operation_id="list_offers")
def list_offers(view: View) -> list[OfferOut]:
    """The caller's offers."""
    return [_offer(one) for one in queries.own_offers(view.db, view.actor)]


@routes.get("/offers/{offer_id}", operation_id="get_offer")
def get_offer(view: View, offer_id: str) -> OfferOut:
    """One offer of the caller."""
    return _offer(queries.own_offer(view.db, view.actor, offer_id))


@routes.post("/offers/{offer_id}/listing", status_code=201, operation_id="submit_listing")
def submit_listing(verb: Verb, offer_id: str, asked: SubmissionIn) -> ListingOut:
    """Hand an offer to an exchange; also after it was returned."""
    offer = queries.own_offer(verb.db, verb.actor, offer_id)
    return ListingOut.model_validate(service.submit(verb.db, verb.actor, offer, asked, verb.now))


@routes.get("/listings", operation_id="list_listings")
def list_listings(view: View) -> list[ListingOut]:
    """Listings of the caller as provider or as exchange, in any state; all of them for auditors."""
    return [ListingOut.model_validate(one) for one in queries.own_listings(view.db, view.actor)]


@routes.get("/listings/{listing_id}", operation_id="get_listing")
def get_listing(view: View, listing_id: str) -> ListingOut:
    """One listing in any state, for its provider and its exchange."""
    return ListingOut.model_validate(queries.own_listing(view.db, view.actor, listing_id))


@routes.post("/listings/{listing_id}/review", operation_id="review_listing")
def review_listing(verb: Verb, listing_id: str) -> ListingOut:
    """The exchange takes a submitted listing into review."""
    listing = queries.operated_listing(verb.db, verb.actor, listing_id)
    return ListingOut.model_validate(service.review(verb.db, verb.actor, listing, verb.now))


@routes.post("/listings/{listing_id}/return", operation_id="return_listing")
def return_listing(verb: Verb, listing_id: str, why: ReasonIn) -> ListingOut:
    """The exchange gives a listing back for correction."""
    listing = queries.operated_listing(verb.db, verb.actor, listing_id)
    return ListingOut.model_validate(service.return_(verb.db, verb.actor, listing, why, verb.now))


@routes.post("/listings/{listing_id}/document", operation_id="prepare_listing")
def prepare_listing(verb: Verb, listing_id: str) -> PreparedDocument:
    """The exchange approves a listing and gets the document to sign."""
    listing = queries.operated_listing(verb.db, verb.actor, listing_id)
    sha256 = service.prepare_listing(verb.db, verb.actor, listing, verb.now)
    return PreparedDocument(kind="listing", sha256=sha256, sign_as="listing+jws")


@routes.post("/listings/{listing_id}/signature", operation_id="publish_listing")
def publish_listing(verb: Verb, listing_id: str, signature: SignatureIn) -> ListingOut:
    """The exchange makes a listing public with its signature."""
    listing = queries.operated_listing(verb.db, verb.actor, listing_id)
    return ListingOut.model_validate(service.publish(verb.db, verb.actor, listing, signature, verb.now))


@routes.post("/listings/{listing_id}/suspension", operation_id="suspend_listing")
def suspend_listing(verb: Verb, listing_id: str, why: ReasonIn) -> ListingOut:
    """Provider or exchange takes a listing out of the catalogue for a time."""
    listing = queries.own_listing(verb.db, verb.actor, listing_id)
    return ListingOut.model_validate(service.suspend(verb.db, verb.actor, listing, why, verb.now))


@routes.post("/listings/{listing_id}/resumption", operation_id="resume_listing")
def resume_listing(verb: Verb, listing_id: str, why: ReasonIn) -> ListingOut:
    """The exchange puts a suspended listing back."""
    listing = queries.operated_listing(verb.db, verb.actor, listing_id)
    return ListingOut.model_validate(service.resume(verb.db, verb.actor, listing, why, verb.now))


@routes.post("/listings/{listing_id}/force-off", operation_id="force_listing_off")
def force_listing_off(verb: Verb, listing_id: str, why: ReasonIn) -> ListingOut:
    """The exchange hides a listing and stops every use under agreements made from it, at once."""
    listing = queries.operated_listing(verb.db, verb.actor, listing_id)
    return ListingOut.model_validate(forcing.force_off(verb.db, verb.actor, listing, why, verb.now))


@routes.post("/listings/{listing_id}/reinstatement", operation_id="reinstate_listing")
def reinstate_listing(verb: Verb, listing_id: str, why: ReasonIn) -> ListingOut:
    """The exchange undoes a forcing off: uses may begin again."""
    listing = queries.operated_listing(verb.db, verb.actor, listing_id)
    return ListingOut.model_validate(forcing.reinstate(verb.db, verb.actor, listing, why, verb.now))


@routes.post("/listings/{listing_id}/withdrawal", operation_id="withdraw_listing")
def withdraw_listing(verb: Verb, listing_id: str, why: ReasonIn) -> ListingOut:
    """Provider or exchange ends a listing for good."""
    listing = queries.own_listing(verb.db, verb.actor, listing_id)
    return ListingOut.model_validate(service.withdraw(verb.db, verb.actor, listing, why, verb.now))


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
Limit = Annotated[int, Query(ge=1, le=100)]


@routes.get("/catalogue", operation_id="search_catalogue", response_model=CatalogueOut, responses=UNCHANGED)
def search_catalogue(
    view: PublicView, wanted: Narrowed, held: IfNoneMatch = None, cursor: Cursor = None, limit: Limit = 20
) -> Response:
    """What is listed and still valid now, by the weight of the rarest word, then the latest first."""
    return answer_model(_page(view, wanted, cursor, limit), held)


@routes.get("/participants/me/catalogue", operation_id="search_own_catalogue")
def search_own_catalogue(view: View, wanted: Narrowed, cursor: Cursor = None, limit: Limit = 20) -> CatalogueOut:
    """The part of the catalogue whose terms are open to the caller: to its kind or to itself by name, and no genomic
    data for a foreign-controlled party."""
    asker = participants.participant(view.db, view.actor.participant)
    return _page(view, replace(wanted, asker=asker), cursor, limit)


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
    row = queries.visible_listing(view.db, listing_id, view.now, reader=view.actor.participant)
    found = match(row.offer.uses, purpose) if purpose is not None else None
    detail = CatalogueDetail(**_detail(row), purpose_match=found and PurposeMatch.model_validate(found))
    return answer_model(detail, held)


@routes.get("/private-listings", operation_id="list_private_listings")
def list_private_listings(
    view: View,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> CatalogueOut:
    """What is listed for the caller and other named buyers alone; the public catalogue shows none of it."""
    page = queries.visible(view.db, view.now, queries.Wanted(named=view.actor.participant), cursor=cursor, limit=limit)
    return CatalogueOut(items=[CatalogueItem(**_item(row)) for row in page.rows], next_cursor=page.next_cursor)


@routes.get("/market-references", operation_id="list_market_references")
def list_market_references(view: PublicView) -> list[MarketReferenceOut]:
    """Products listed elsewhere, as public sources report them; not on sale here."""
    return [MarketReferenceOut.model_validate(one) for one in queries.market_references(view.db)]


@routes.post("/demands", status_code=201, operation_id="publish_demand")
def publish_demand(verb: Verb, asked: DemandIn) -> DemandOut:
    """A buyer says what it looks for."""
    return DemandOut.model_validate(demands.publish_demand(verb.db, verb.actor, asked, verb.now))


@routes.get("/demands", operation_id="list_demands")
def list_demands(view: View) -> list[DemandOut]:
    """What buyers look for, the latest first."""
    return [DemandOut.model_validate(one) for one in queries.demands(view.db)]


def _offer(offer: Offer) -> OfferOut:
    return OfferOut(**offer.model_dump(), **_enforcement(offer.uses))


def _enforcement(uses: Json) -> Json:
    return {"enforcement": enforcement_table(uses), "enforced_permille": enforced_permille(enforcement(uses))}


def _page(view: Call, wanted: Wanted, cursor: str | None, limit: int) -> CatalogueOut:
    page = queries.visible(view.db, view.now, wanted, cursor=cursor, limit=limit)
    return CatalogueOut(items=[CatalogueItem(**_item(row)) for row in page.rows], next_cursor=page.next_cursor)


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
        **_enforcement(row.offer.uses),
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


def _template(one: Template) -> TemplateOut:
    return TemplateOut(
        name=one.name,
        title={language: text["title"] for language, text in one.clauses.items()},
        parameters_schema=one.schema,
        offer=one.offer,
        clauses={language: text["clauses"] for language, text in one.clauses.items()},
        obstacles=obstacles(one),
        price_plans=plans_of(one),
    )
