"""What a listing is found by: its line in the search index, written when it is published."""

from __future__ import annotations

from typing import Final

from sqlalchemy import insert
from sqlmodel import Session, select

from marketplace.assets.models import Asset
from marketplace.exchange.models import CatalogueLine, CatalogueTerm, Listing, Offer, OfferBuyer
from marketplace.exchange.rules import weigh
from marketplace.exchange.terms import permitted_purposes
from marketplace.exchange.terms.amounts import OTHER_KIND, RECIPIENT_KINDS, named_recipients, permitted_kinds
from marketplace.participants import queries as participants
from marketplace.participants.models import Participant

# What a word weighs by where it stands: name, keyword, other short fields, overview.
NAME, KEYWORD, FIELD, OVERVIEW = WEIGHTS = (8, 5, 3, 1)

# A label is a term that no search text can be: it holds a colon.  This one is on every line.
EVERY: Final = "every:"


def label(kind: str, value: str) -> str:
    """The term of a filter, e.g. `modality:ct`; it weighs nothing."""
    return f"{kind}:{value.lower()}"


def audience_of(asker: Participant) -> list[str]:
    """Labels of which a line must hold one so that this participant may ask for it: by its kind, or by name."""
    kind = asker.kind if asker.kind in RECIPIENT_KINDS else OTHER_KIND
    return [label("for", kind), label("for", asker.id)]


def index_listing(db: Session, listing: Listing, offer: Offer, asset: Asset) -> None:
    """Write the listing's line and its terms: words of names, keywords, provider and overview, the filters, and whom a
    private offer is for."""
    provider = participants.participant(db, offer.provider_id)
    line = CatalogueLine(listing_id=listing.id)
    db.add(line)
    db.flush()
    named = db.exec(select(OfferBuyer.buyer_id).where(OfferBuyer.offer_id == offer.id))
    terms = terms_of(offer, asset, provider) | {label("named", one): 0 for one in named}
    rows = [{"term": term, "weight": weight, "number": line.number} for term, weight in sorted(terms.items())]
    db.execute(insert(CatalogueTerm), rows)


def terms_of(offer: Offer, asset: Asset, provider: Participant) -> dict[str, int]:
    """Term -> weight of a listing."""
    fields = (provider.legal_name, provider.legal_name_en, asset.modality, asset.body_part, asset.region)
    words = weigh(
        [
            *((text, NAME) for text in (asset.name, asset.name_en)),
            *((text, KEYWORD) for text in asset.keywords),
            *((text, FIELD) for text in fields),
            *((text, OVERVIEW) for text in (asset.overview, asset.overview_en)),
        ]
    )
    filters = {label("modality", asset.modality), label("body_part", asset.body_part), label("provider", provider.id)}
    filters |= {label("purpose", one) for one in permitted_purposes(offer.uses)}
    filters |= {label("for", one) for one in permitted_kinds(offer.uses) | named_recipients(offer.uses)}
    return words | dict.fromkeys(filters | {EVERY}, 0)
