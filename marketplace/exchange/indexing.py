"""What a listing is found by: its search terms, written when it is published."""

from __future__ import annotations

from sqlmodel import Session

from marketplace.assets.models import Asset
from marketplace.exchange.models import CatalogueTerm, Listing, Offer
from marketplace.exchange.rules import weigh
from marketplace.exchange.terms import permitted_purposes
from marketplace.participants import queries as participants


def index_listing(db: Session, listing: Listing, offer: Offer, asset: Asset) -> None:
    """Write the terms of both names, keywords, provider, overview, and the permitted purposes."""
    provider = participants.participant(db, offer.provider_id)
    names = (provider.legal_name, provider.legal_name_en, asset.modality, asset.body_part, asset.region)
    weighted = [(asset.name, 8), (asset.name_en, 8), *((word, 5) for word in asset.keywords)]
    weighted += [*((name, 3) for name in names), (asset.overview, 1), (asset.overview_en, 1)]
    terms = weigh(weighted) | {f"purpose:{code}": 0 for code in permitted_purposes(offer.uses)}
    for term, weight in sorted(terms.items()):
        db.add(CatalogueTerm(listing_id=listing.id, term=term, weight=weight))
    db.flush()
