"""What of an exchange is shown to whom: the address of data, with the token in it, to the side that pulls alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from marketplace.dataspace.models import Arrival, Exchange, ExchangeMessage, Push
from marketplace.dataspace.schemas import ArrivalOut, ExchangeDetail, ExchangeOut, MessageOut, PushOut
from marketplace.dataspace.states import Side
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json

WITHHELD: Final = "withheld"
"""Stands for whatever of an address of data could open it."""
_HARMLESS = frozenset({"@type", "endpointType"})


def shown(actor: Actor, exchange: Exchange) -> ExchangeOut:
    """An exchange as the caller may see it."""
    found = ExchangeOut.model_validate(exchange)
    return (
        found
        if _pulls(actor, exchange)
        else found.model_copy(update={"data_address": without_values(found.data_address)})
    )


def shown_message(actor: Actor, exchange: Exchange, row: ExchangeMessage) -> MessageOut:
    """A message as the caller may see it; sha256 is that of what was said."""
    found = MessageOut.model_validate(row)
    return found if _pulls(actor, exchange) else found.model_copy(update={"body": without_address(found.body)})


def shown_in_full(
    actor: Actor,
    exchange: Exchange,
    said: Sequence[ExchangeMessage],
    push: Push | None = None,
    arrival: Arrival | None = None,
) -> ExchangeDetail:
    """An exchange with its messages and the bytes that were pushed, as the caller may see them."""
    messages = [shown_message(actor, exchange, one) for one in said]
    more = {
        "push": PushOut.model_validate(push) if push else None,
        "arrival": ArrivalOut.model_validate(arrival) if arrival else None,
    }
    return ExchangeDetail(**shown(actor, exchange).model_dump(), messages=messages, **more)


def _pulls(actor: Actor, exchange: Exchange) -> bool:
    return exchange.side == Side.CONSUMER and exchange.participant_id == actor.participant


def without_address(body: Json) -> Json:
    """A message without the values of its address of data; where a type has none, anything may stand under the name."""
    address = body.get("dataAddress")
    if address is None:
        return body
    return body | {"dataAddress": without_values(address) if isinstance(address, dict) else WITHHELD}


def without_values(address: Json) -> Json:
    """The address without values: its properties may be tokens, and an address may be one by itself."""
    return {name: value if name in _HARMLESS else WITHHELD for name, value in address.items()}
