"""The listing document: what the exchange operator signs when it makes an offer public."""

from __future__ import annotations

from datetime import datetime

from marketplace.assets.models import Asset, Version
from marketplace.exchange.models import Listing, Offer
from marketplace.exchange.standing import Standing
from marketplace.exchange.terms import enforced_permille, enforcement, enforcement_table
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.participants.models import Participant


def listing_document(
    listing: Listing,
    offer: Offer,
    asset: Asset,
    version: Version,
    standing: Standing,
    provider: Participant,
    now: datetime,
) -> Json:
    """The document of `contracts/documents/listing.schema.json`; moments as text, no float."""
    opinion, certificate = standing.opinion, standing.certificate
    return {
        "type": "listing",
        "v": 1,
        "listing": listing.id,
        "offer": offer.id,
        "template": offer.template,
        "asset": {"id": asset.id, "name": asset.name, "name_en": asset.name_en},
        "version": version.id,
        "version_root": version.root,
        "provider": {
            "id": provider.id,
            "legal_name": provider.legal_name,
            "legal_name_en": provider.legal_name_en,
        },
        "certificate": {
            "code": certificate.code,
            "sha256": certificate.document,
            "valid_until": timestamp(certificate.valid_until),
        },
        "opinion": {
            "number": opinion.number,
            "sha256": opinion.document,
            "outcome": opinion.outcome,
            "expires_at": timestamp(opinion.expires_at),
        },
        "uses": offer.uses,
        "enforcement": enforcement_table(offer.uses),
        "enforced_permille": enforced_permille(enforcement(offer.uses)),
        "price_plan": offer.price_plan,
        "delivery_mode": offer.delivery_mode,
        "term_days": offer.term_days,
        "operator": listing.operator_id,
        "listed_at": timestamp(now),
    }
