"""The exchange over HTTP; what its catalogue answers is in `catalogue_routes`."""

from __future__ import annotations

from marketplace.assets import queries as assets
from marketplace.assets.schemas import PreparedDocument, SignatureIn
from marketplace.exchange import demands, forcing, queries, service
from marketplace.exchange.catalogue_routes import enforced
from marketplace.exchange.linting import obstacles, plans_of
from marketplace.exchange.models import Offer
from marketplace.exchange.schemas import (
    DemandIn,
    DemandOut,
    DemandPage,
    ListingOut,
    ListingPage,
    MarketReferenceOut,
    OfferIn,
    OfferOut,
    OfferPage,
    ReasonIn,
    SubmissionIn,
    TemplateOut,
)
from marketplace.exchange.templates import Template, templates
from marketplace.plumbing.paging import MOST, Cursor, Limit
from marketplace.plumbing.web import PublicView, Verb, View, router

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
def list_offers(view: View, cursor: Cursor = None, limit: Limit = MOST) -> OfferPage:
    """A page of the caller's offers, the first made first."""
    found = queries.own_offers(view.db, view.actor, cursor=cursor, limit=limit)
    return OfferPage(items=[_offer(one) for one in found.rows], next=found.next)


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
def list_listings(view: View, cursor: Cursor = None, limit: Limit = MOST) -> ListingPage:
    """A page of the caller's listings as provider or as exchange, in any state, the first made first; of all for
    auditors."""
    found = queries.own_listings(view.db, view.actor, cursor=cursor, limit=limit)
    return ListingPage(items=[ListingOut.model_validate(one) for one in found.rows], next=found.next)


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


@routes.get("/market-references", operation_id="list_market_references")
def list_market_references(view: PublicView) -> list[MarketReferenceOut]:
    """Products listed elsewhere, as public sources report them; not on sale here."""
    return [MarketReferenceOut.model_validate(one) for one in queries.market_references(view.db)]


@routes.post("/demands", status_code=201, operation_id="publish_demand")
def publish_demand(verb: Verb, asked: DemandIn) -> DemandOut:
    """A buyer says what it looks for."""
    return DemandOut.model_validate(demands.publish_demand(verb.db, verb.actor, asked, verb.now))


@routes.get("/demands", operation_id="list_demands")
def list_demands(view: View, cursor: Cursor = None, limit: Limit = MOST) -> DemandPage:
    """A page of what buyers look for, the latest first."""
    found = queries.demands(view.db, cursor=cursor, limit=limit)
    return DemandPage(items=[DemandOut.model_validate(one) for one in found.rows], next=found.next)


def _offer(offer: Offer) -> OfferOut:
    return OfferOut(**offer.model_dump(), **enforced(offer.uses))


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
