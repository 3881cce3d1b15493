"""Rating: a metered event times its tariff or agreed price gives the amounts that enter the books; pure."""

from __future__ import annotations

from marketplace.costing.formulas import split_price
from marketplace.costing.models import MeterEvent
from marketplace.costing.tariffs import TariffBook
from marketplace.kernel.canonical import MAX_INTEGER
from marketplace.kernel.errors import Invalid
from marketplace.ledger.accounts import PostingRule
from marketplace.ledger.rules import Dimensions, Draft, postings_for

# Stands for the exchange where the event names no venue.
UNNAMED_VENUE = "exchange"


class AmountTooLarge(Invalid):
    """The amount is beyond what the books hold."""


def event_key(event_id: str) -> str:
    """The key under which an event enters the books the first time."""
    return f"meter:{event_id}"


def rate(event: MeterEvent, rule: PostingRule, book: TariffBook) -> Draft:
    """Rate an event at the tariff in force when it happened, or at its agreed price, into a balanced draft.

    Raises NoTariff, PartyMissing, AmountTooLarge.
    """
    unit_price, tariff = event.unit_price_fen, None
    if unit_price is None:
        published = book.at(event.kind, event.at, event.attributes)
        unit_price, tariff = published.tariff.unit_price(event.attributes), published.id
    price = event.quantity * unit_price
    if price > MAX_INTEGER:
        raise AmountTooLarge("the amount is too large", expected=f"at most {MAX_INTEGER} fen", got=f"{price} fen")

    amounts = {"price": price}
    if rule.split == "sale":
        amounts = split_price(price, book.terms(event.at)).amounts()
    parties = {"payer": event.payer_id, "payee": event.payee_id, "venue": event.venue_id or UNNAMED_VENUE}

    return Draft(
        event_key=event_key(event.id),
        kind=event.kind,
        at=event.at,
        memo=f"{event.quantity} × {event.kind}",
        entry_id=event.entry_id,
        lines=postings_for(rule, parties, amounts),
        quantity=event.quantity,
        unit_price_minor=unit_price,
        tariff=tariff,
        meter_event=event.id,
        dims=Dimensions(event.asset_id, event.version_id, event.stage or rule.stage, event.agreement_id),
    )
