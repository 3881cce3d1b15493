"""What a listing's page shows of a planned use: its price before anybody asks, by the engine that bills."""

from __future__ import annotations

from typing import Any

from marketplace.charging.preview import preview
from marketplace.console import formats
from marketplace.console.desks import codes
from marketplace.console.reader import Reader
from marketplace.exchange.catalogue import CatalogueRow
from marketplace.exchange.pricing import Month

MOST = 10**15 - 1
"""The largest quantity that a reader may ask for."""


def part(reader: Reader, row: CatalogueRow, quantity: int) -> dict[str, Any]:
    """`planned`: what access and so much use would cost in a fresh month; counted: what the plan measures, if any."""
    found = preview(row.offer.price_plan, Month(), quantity, reader.now)
    says = [reader.say("capped")] if found.charge.capped else []
    if found.charge.free:
        says.append(f"{reader.say('free_of_it')}: {found.charge.free:,}")
    lines = [
        ("price_of_use", found.charge.amount_fen, "; ".join(says)),
        ("price_of_access", found.access_fen, ""),
        ("fee_of_exchange", found.buyer_fee_fen, ""),
    ]
    return {
        "planned": {
            "quantity": quantity,
            "most": MOST,
            "counted": reader.name(codes.COUNTED, found.rate.measure) if found.rate else "",
            "lines": [
                {"name": reader.say(word), "amount": formats.money(fen, reader.language), "note": note}
                for word, fen, note in lines
            ],
            "total": formats.money(sum(fen for _, fen, _ in lines), reader.language),
        }
    }
