"""Where a transfer is pushed to: named by the consumer, checked, shown to nobody else, forgotten at the end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sqlmodel import Session

from marketplace.dataspace import queries
from marketplace.dataspace.addresses import require_registered
from marketplace.dataspace.messages import BUCKET_ENDPOINT, BUCKET_PUSH, HTTP_ENDPOINT, PUSHED
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.showing import without_address, without_values
from marketplace.dataspace.states import Protocol, Side
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid
from marketplace.participants import connectors
from marketplace.participants.models import Connector
from marketplace.plumbing import outgoing
from marketplace.plumbing.sigv4 import Keys

_EDC = "https://w3id.org/edc/v0.0.1/ns/"
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)*")


class BadDestination(Invalid):
    """A push needs an address to deliver to, of the kind that its format names."""


@dataclass(frozen=True)
class Destination:
    """Where to put the bytes.  url: of a registered origin; authorization: what the receiver wants to see, or none."""

    url: str
    authorization: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": self.authorization} if self.authorization else {}


@dataclass(frozen=True)
class BucketDestination:
    """Where to put the bytes as an object.  endpoint: of a registered origin; keys: the receiver's, short-lived."""

    endpoint: str
    region: str
    bucket: str
    key: str
    keys: Keys


def is_pushed(exchange: Exchange) -> bool:
    """Whether the provider brings the bytes of this transfer, and the consumer waits for them."""
    return exchange.protocol == Protocol.TRANSFER and exchange.format in PUSHED


def require_destination(db: Session, exchange: Exchange, address: Json | None) -> None:
    """Check where we are asked to push to; a pull has no such address.

    Raises BadDestination, AddressNotRegistered, OutgoingRefused.
    """
    if is_pushed(exchange) and exchange.side == Side.PROVIDER:
        read_destination(connectors.connector(db, exchange.connector_id), exchange, address or {})


def read_destination(connector: Connector, exchange: Exchange, address: Json) -> Destination | BucketDestination:
    """The address of a push with what opens it, by the format of the transfer.

    Raises BadDestination, AddressNotRegistered, OutgoingRefused.
    """
    if exchange.format == BUCKET_PUSH:
        return _read_bucket(connector, exchange, address)
    if address.get("endpointType") != HTTP_ENDPOINT or not address.get("endpoint"):
        raise BadDestination("an HTTP push needs a dataAddress with endpoint", expected=HTTP_ENDPOINT)
    found = properties_of(address)
    token, kind = found.get("authorization", ""), found.get("authType", "")
    shown = f"Bearer {token}" if token and kind.lower() == "bearer" else token
    destination = Destination(require_registered(connector, address["endpoint"]), shown)
    outgoing.require_headers(destination.headers)
    return destination


def _read_bucket(connector: Connector, exchange: Exchange, address: Json) -> BucketDestination:
    """A bucket by the names of properties that Eclipse EDC uses; without `endpointOverride` it is one of Amazon's."""
    found = properties_of(address)
    missing = [name for name in ("region", "bucketName", "accessKeyId", "secretAccessKey") if not found.get(name)]
    if address.get("endpointType", "").removeprefix(_EDC) != BUCKET_ENDPOINT or missing:
        raise BadDestination(
            "a push into a bucket needs a dataAddress with its properties",
            expected=f"{BUCKET_ENDPOINT} with region, bucketName, accessKeyId, secretAccessKey",
            got=f"without {', '.join(missing)}" if missing else "another endpointType",
        )
    region, bucket, key = found["region"], found["bucketName"], found.get("objectName") or f"{exchange.subject}.tar"
    if not _REGION.fullmatch(region) or not _BUCKET.fullmatch(bucket) or not _KEY.fullmatch(key) or ".." in key:
        raise BadDestination("region, bucketName or objectName is none", expected="names of S3 in plain characters")
    endpoint = found.get("endpointOverride") or f"https://s3.{region}.amazonaws.com"
    keys = Keys(found["accessKeyId"], found["secretAccessKey"], found.get("sessionToken", ""))
    outgoing.require_headers({"keys": f"{keys.identity}{keys.session}"})
    return BucketDestination(require_registered(connector, endpoint), region, bucket, key, keys)


def properties_of(address: Json) -> dict[str, str]:
    """The properties of an address by name; Eclipse EDC writes the names in full."""
    listed = address.get("endpointProperties") or []
    return {one["name"].removeprefix(_EDC): one["value"] for one in (listed if isinstance(listed, list) else [listed])}


def forget_destination(db: Session, exchange: Exchange) -> None:
    """Keep nothing that opens the address of a push once the transfer is over; its form stays readable."""
    if not is_pushed(exchange):
        return
    exchange.data_address = without_values(exchange.data_address)
    for row in queries.messages(db, exchange.id):
        row.body = without_address(row.body)
        db.add(row)
