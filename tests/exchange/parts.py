"""Parts of the story that tests of the exchange and of negotiation start from, made by the real verbs."""

from __future__ import annotations

import json
from typing import Any

from marketplace.assets import queries as assets
from marketplace.assets.models import Version
from marketplace.exchange import queries, service
from marketplace.exchange.linting import obstacles
from marketplace.exchange.models import Listing, Offer
from marketplace.exchange.schemas import OfferIn, ReasonIn, SubmissionIn
from marketplace.exchange.templates import templates
from marketplace.exchange.terms import CONTRACTS
from marketplace.registration import certificates
from marketplace.registration import queries as registration
from tests.house import House
from tests.legal.parts import signed
from tests.registration.parts import assessed
from tests.registration.parts import certified as certify

PARAMETERS = {
    "purposes": ["model_training", "model_validation"],
    "max_uses": 5,
    "max_bytes": "1000000000",
    "deletion_days": 37,
    "report_days": 91,
}
PRICE_FEN = 5_000_000
WHY = ReasonIn(reason="example_reason", note="because")


OFFERABLE = sorted(name for name, one in templates().items() if not obstacles(one))
PLANS = {
    "buyout/v1": {"kind": "buyout", "price_fen": PRICE_FEN},
    "per-case/v1": {"kind": "per_use", "price_fen": 90_000, "access_fen": PRICE_FEN},
    "subscription/v1": {"kind": "subscription", "price_fen": PRICE_FEN, "period_days": 365},
    "open-data/v1": {"kind": "one_off", "price_fen": 0, "regime": "free"},
}


def parameters_of(name: str, **changes: Any) -> dict[str, Any]:
    """The typical parameters of a template, changed where it has such a parameter."""
    folder = CONTRACTS / "terms" / name / "examples" / "valid"
    typical = json.loads((folder / "typical.json").read_text("utf-8"))
    return typical | {parameter: value for parameter, value in changes.items() if parameter in typical}


def terms_of(name: str, **changes: Any) -> dict[str, Any]:
    """What an offer of a template says: parameters of its own and a price plan that its clauses speak of."""
    plan = PLANS.get(name, {"kind": "one_off", "price_fen": PRICE_FEN})
    return {"template": name, "parameters": parameters_of(name, **changes), "price_plan": plan}


def offer_in(**changes: Any) -> OfferIn:
    body = {
        "template": "model-training/v1",
        "parameters": PARAMETERS,
        "price_plan": {"kind": "one_off", "price_fen": PRICE_FEN},
        "term_days": 365,
    }
    return OfferIn.model_validate(body | changes)


def certified(house: House, **changes: Any) -> Version:
    """A certified version of the hospital."""
    version = assessed(house, **changes)
    certify(house, version)
    with house.db() as db:
        return assets.version(db, version.id)


def offered(house: House, version: Version | None = None, **changes: Any) -> Offer:
    version = version or certified(house)
    with house.db() as db:
        version = assets.version(db, version.id)
        return service.make_offer(db, house.cast["hospital"].actor, version, offer_in(**changes), house.clock.now())


def submitted(house: House, offer: Offer | None = None) -> Listing:
    offer = offer or offered(house)
    with house.db() as db:
        offer = queries.offer(db, offer.id)
        return service.submit(db, house.cast["hospital"].actor, offer, SubmissionIn(), house.clock.now())


def approved(house: House, offer: Offer | None = None) -> Listing:
    exchange, listing = house.cast["exchange"].actor, submitted(house, offer)
    with house.db() as db:
        listing = queries.listing(db, listing.id)
        service.review(db, exchange, listing, house.clock.now())
        service.prepare_listing(db, exchange, listing, house.clock.now())
        return listing


def publish(house: House, listing: Listing) -> Listing:
    exchange = house.cast["exchange"]
    with house.db() as db:
        listing = queries.listing(db, listing.id)
        made = signed(exchange, db, str(listing.document), "listing")
        return service.publish(db, exchange.actor, listing, made, house.clock.now())


def listed(house: House, version: Version | None = None, **changes: Any) -> Listing:
    """A listing of a certified version, public."""
    return publish(house, approved(house, offered(house, version, **changes)))


def found(house: House, text: str = "", *, cursor: str | None = None, limit: int = 20, **filters: Any) -> list[str]:
    """Ids of what the catalogue shows now."""
    with house.runtime.database.reading() as db:
        page = queries.visible(db, house.clock.now(), queries.Wanted(text=text, **filters), cursor=cursor, limit=limit)
        return [row.listing.id for row in page.rows]


def suspend_certificate(house: House, version_id: str) -> None:
    with house.db() as db:
        version = assets.version(db, version_id)
        certificate = registration.valid_certificate(db, version, house.clock.now())
        assert certificate is not None
        certificates.suspend(db, house.cast["registrar"].actor, certificate, "court_order", house.clock.now())
