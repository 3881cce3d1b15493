"""Our own addresses in the protocol, and those of the other side."""

from __future__ import annotations

from marketplace.dataspace.messages import VERSION
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.states import Move, Protocol
from marketplace.dataspace.transcript import Course
from marketplace.kernel.errors import Invalid, shown
from marketplace.participants.connectors import AnyConnector
from marketplace.plumbing import outgoing
from marketplace.settings import Settings

PREFIX = "/dsp"
_COLLECTIONS = {Protocol.NEGOTIATION: "negotiations", Protocol.TRANSFER: "transfers"}
_FIRST = {"request": "request", "offer": "offers"}


class AddressNotRegistered(Invalid):
    """The address is not one that the connector was registered with."""


def path_of(participant_id: str) -> str:
    """The path under which a hosted participant speaks the protocol."""
    return f"{PREFIX}/{participant_id}/{VERSION}"


def base_of(settings: Settings, participant_id: str) -> str:
    """The base address of a hosted participant, which is its callback address too."""
    return settings.public_url.rstrip("/") + path_of(participant_id)


def require_address(connector: AnyConnector, url: str, settings: Settings) -> str:
    """Return a callback address without its last slash.  Raises OutgoingRefused, AddressNotRegistered."""
    if not outgoing.read_target(url, settings, connector.addresses).named:
        raise AddressNotRegistered(
            "a connector is called at its registered addresses only",
            expected=" or ".join(connector.addresses),
            got=shown(url),
            action="ask the platform operator to register the address",
        )
    return url.removesuffix("/")


def require_registered(connector: AnyConnector, url: str) -> str:
    """Return an address whose origin is registered for the connector.  Raises OutgoingRefused, AddressNotRegistered."""
    if outgoing.origin_of(url) not in connector.addresses:
        raise AddressNotRegistered(
            "data is put at a connector's registered addresses only",
            expected=" or ".join(connector.addresses),
            action="ask the platform operator to register the address",
        )
    return url


def address_of(exchange: Exchange | Course, move: Move) -> str:
    """Where a message of ours goes: the other side's path, under its own id once it has named one."""
    base = f"{exchange.address}/{_COLLECTIONS[Protocol(exchange.protocol)]}"
    return f"{base}/{exchange.peer_pid}/{move.path}" if exchange.peer_pid else f"{base}/{_FIRST[move.name]}"
