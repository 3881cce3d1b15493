"""Where a transfer is pushed to: named by the consumer, checked, shown to nobody else, forgotten at the end."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from marketplace.dataspace import queries
from marketplace.dataspace.addresses import require_registered
from marketplace.dataspace.messages import HTTP_ENDPOINT, PUSHED
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.showing import without_values
from marketplace.dataspace.states import Protocol, Side
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid
from marketplace.participants import connectors
from marketplace.participants.models import Connector
from marketplace.plumbing import outgoing


class BadDestination(Invalid):
    """A push needs an address to deliver to, of the kind that its format names."""


@dataclass(frozen=True)
class Destination:
    """Where to put the bytes.  url: of a registered origin; authorization: what the receiver wants to see, or none."""

    url: str
    authorization: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": self.authorization} if self.authorization else {}


def is_pushed(exchange: Exchange) -> bool:
    """Whether the provider brings the bytes of this transfer, and the consumer waits for them."""
    return exchange.protocol == Protocol.TRANSFER and exchange.format in PUSHED


def require_destination(db: Session, exchange: Exchange, address: Json | None) -> None:
    """Check where we are asked to push to; a pull has no such address.

    Raises BadDestination, AddressNotRegistered, OutgoingRefused.
    """
    if is_pushed(exchange) and exchange.side == Side.PROVIDER:
        read_destination(connectors.connector(db, exchange.connector_id), address or {})


def read_destination(connector: Connector, address: Json) -> Destination:
    """The HTTP address of a push, with the authorization that the receiver named.

    Raises BadDestination, AddressNotRegistered, OutgoingRefused.
    """
    if address.get("endpointType") != HTTP_ENDPOINT or "endpoint" not in address:
        raise BadDestination("an HTTP push needs a dataAddress with endpoint", expected=HTTP_ENDPOINT)
    found = properties_of(address)
    token, kind = found.get("authorization", ""), found.get("authType", "")
    shown = f"Bearer {token}" if token and kind.lower() == "bearer" else token
    destination = Destination(require_registered(connector, address["endpoint"]), shown)
    outgoing.require_headers(destination.headers)
    return destination


def properties_of(address: Json) -> dict[str, str]:
    """The properties of an address by name."""
    listed = address.get("endpointProperties") or []
    return {one["name"]: one["value"] for one in (listed if isinstance(listed, list) else [listed])}


def forget_destination(db: Session, exchange: Exchange) -> None:
    """Keep nothing that opens the address of a push once the transfer is over; its form stays readable."""
    if not is_pushed(exchange):
        return
    exchange.data_address = without_values(exchange.data_address)
    for row in queries.messages(db, exchange.id):
        if "dataAddress" in row.body:
            row.body = row.body | {"dataAddress": without_values(row.body["dataAddress"])}
            db.add(row)
