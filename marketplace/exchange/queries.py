"""Reading offers, listings, demands and market references; the public catalogue is in `catalogue`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlmodel import Session, col, select

from marketplace.audit.documents import EVERYBODY
from marketplace.exchange.catalogue import CataloguePage, CatalogueRow, Wanted, parts, visible, visible_listing
from marketplace.exchange.models import Demand, Listing, MarketReference, Offer, OfferBuyer
from marketplace.exchange.rules import DELISTED_FROM, ListingState
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound
from marketplace.plumbing import paging
from marketplace.plumbing.paging import Order, Paged, PartyList
from marketplace.plumbing.snapshots import once_per_snapshot

__all__ = ["CataloguePage", "CatalogueRow", "Wanted", "parts", "visible", "visible_listing"]

_OFFERS: Final = PartyList(Offer, col(Offer.made_at), sides=(col(Offer.provider_id),), overseers=frozenset())
# Not by the moment of submission, which moves when a returned one is handed in again.
_LISTINGS: Final = Order((col(Listing.id),), (col(Listing.id),))
_LATEST_DEMANDS: Final = Order((col(Demand.published_at), col(Demand.id)), (col(Demand.id),), latest_first=True)


class NoSuchOffer(NotFound):
    """No such offer."""


class NoSuchListing(NotFound):
    """No such listing."""


def offer(db: Session, offer_id: str) -> Offer:
    """One offer, whoever made it: for other rooms.  Raises NoSuchOffer."""
    found = db.get(Offer, offer_id)
    if found is None:
        raise NoSuchOffer("no offer with this id", got=offer_id)
    return found


def own_offer(db: Session, actor: Actor, offer_id: str) -> Offer:
    """An offer of the caller.  Raises NoSuchOffer."""
    found = offer(db, offer_id)
    if found.provider_id != actor.participant:
        raise NoSuchOffer("no offer with this id", got=offer_id)
    return found


def own_offers(db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[Offer]:
    """A page of the caller's offers in order of making.  Raises NotOnThisList."""
    return _OFFERS.page(db, actor, cursor, limit)


@once_per_snapshot
def listing(db: Session, listing_id: str) -> Listing:
    """One listing in any state: for other rooms.  Raises NoSuchListing."""
    found = db.get(Listing, listing_id)
    if found is None:
        raise NoSuchListing("no listing with this id", got=listing_id)
    return found


def lock(db: Session, found: Offer | Listing) -> None:
    """Read a listing or its offer anew and hold it to the end of the transaction: both sides may move at once."""
    db.refresh(found, with_for_update=True)


def own_listing(db: Session, actor: Actor, listing_id: str) -> Listing:
    """A listing of the caller as its provider or its exchange; auditors read all.  Raises NoSuchListing."""
    found = listing(db, listing_id)
    provider = offer(db, found.offer_id).provider_id
    if actor.participant not in {provider, found.operator_id} and not actor.has(Role.AUDITOR):
        raise NoSuchListing("no listing with this id", got=listing_id)
    return found


def operated_listing(db: Session, actor: Actor, listing_id: str) -> Listing:
    """A listing at the calling exchange.  Raises NoSuchListing."""
    found = listing(db, listing_id)
    if found.operator_id != actor.participant:
        raise NoSuchListing("no listing with this id", got=listing_id)
    return found


def own_listings(db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[Listing]:
    """A page of the listings of the caller as provider or as exchange, of all for auditors, the first made first.

    Raises NotOnThisList.
    """
    if actor.has(Role.AUDITOR):
        return _LISTINGS.page(db, select(Listing), cursor, limit)
    operated = col(Listing.operator_id) == actor.participant
    offered = select(Listing).join(Offer, col(Offer.id) == col(Listing.offer_id))
    offered = offered.where(Offer.provider_id == actor.participant, ~operated)
    return _LISTINGS.page_of_parts(db, [select(Listing).where(operated), offered], cursor, limit)


def public_listings(db: Session, asset_id: str) -> Sequence[Listing]:
    """Listings of an asset that are on the market, or would be without a stop that may pass."""
    kept = (*DELISTED_FROM, ListingState.FORCED_OFF)
    return db.exec(select(Listing).where(Listing.asset_id == asset_id, col(Listing.state).in_(kept))).all()


def listing_of(db: Session, offer_id: str) -> Listing | None:
    """The listing of an offer, if it was ever submitted."""
    return db.exec(select(Listing).where(Listing.offer_id == offer_id)).first()


def readers(db: Session, listing: Listing, offer: Offer) -> Sequence[str]:
    """Who may read the document of a listing: everybody, but of a private offer its two sides and its exchange."""
    buyers = db.exec(select(OfferBuyer.buyer_id).where(OfferBuyer.offer_id == offer.id)).all()
    return sorted({offer.provider_id, listing.operator_id, *buyers}) if buyers else EVERYBODY


def held_listing_of(db: Session, offer: Offer) -> Listing | None:
    """The listing of an offer, both held to the end of the transaction: nobody submits the offer beside."""
    lock(db, offer)
    found = listing_of(db, offer.id)
    if found is not None:
        lock(db, found)
    return found


def assets_of(db: Session, listing_ids: Collection[str]) -> dict[str, str]:
    """Listing -> the asset that it offers."""
    rows = select(Listing.id, Listing.asset_id).where(col(Listing.id).in_(set(listing_ids)))
    return dict(db.exec(rows).all())


def demands(db: Session, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[Demand]:
    """A page of what buyers look for, the latest first.  Raises NotOnThisList."""
    return _LATEST_DEMANDS.page(db, select(Demand), cursor, limit)


def market_references(db: Session) -> Sequence[MarketReference]:
    """Products listed elsewhere, by date."""
    return db.exec(select(MarketReference).order_by(col(MarketReference.date), col(MarketReference.id))).all()
