"""What a provider elsewhere pushes to a participant hosted here: the address for it, and the bytes as they come.

The address is bound to the transfer by a token that lives as long as it.  What has come lies in a file of its own until
it is whole; then it is compared with the digest that the sender named and becomes an object of the store.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.dataspace import queries
from marketplace.dataspace.addresses import base_of
from marketplace.dataspace.destinations import is_pushed
from marketplace.dataspace.flowing import DataTokenRefused
from marketplace.dataspace.identity import ConnectorRefused, require_trusted
from marketplace.dataspace.messages import HTTP_ENDPOINT
from marketplace.dataspace.models import Arrival, Exchange
from marketplace.dataspace.states import Side, TransferState
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict, Invalid, NotFound
from marketplace.kernel.ids import new_id
from marketplace.participants import compact, connectors
from marketplace.participants import queries as participants
from marketplace.participants.compact import BadToken
from marketplace.plumbing.problems import BodyTooLarge
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.storage import CHUNK

TYP: Final = "dataspace-inbox+jwt"
_HEADER = frozenset({"alg", "kid", "typ"})


class NotExpected(Conflict):
    """Nothing is taken for this transfer now."""


class AnotherIsComing(Conflict):
    """Another answer of this transfer is not over yet."""


class DigestDiffers(Invalid):
    """The data that came is not the data that the sender named."""


class TooManyPushes(Conflict):
    """So many pushes are under way to this buyer already."""


class NothingArrived(NotFound):
    """Nothing was pushed under this transfer yet."""


def require_few_pushes(db: Session, buyer: Actor, most: int) -> None:
    """Raises TooManyPushes: each one under way may fill the disk here with as much as a push may bring.

    Two who ask at once, of different connectors too, are counted one after the other.
    """
    participants.lock(db, participants.participant(db, buyer.participant))
    under_way = queries.pushes_to_come(db, buyer.participant)
    if under_way >= most:
        raise TooManyPushes(
            "no more pushes are asked for at once",
            expected=f"fewer than {most} under way",
            got=str(under_way),
            action="wait until one has arrived, end one, or pull instead",
        )


def renewed_destination(db: Session, exchange: Exchange, runtime: Runtime, now: datetime) -> Json:
    """Where the provider puts the data, with a fresh token for this transfer alone.

    It has no end of its own: a provider may start after days and push for hours, and nothing is taken but of a started
    transfer from a trusted connector with the same key.
    """
    endpoint, issued_at = inbox_of(runtime, exchange), int(now.timestamp())
    connector = connectors.connector(db, exchange.connector_id)
    claims = {"iss": runtime.settings.public_url, "aud": endpoint, "sub": exchange.id, "jti": new_id("tok")}
    claims["connector_kid"] = connector.jwk["kid"]
    token = runtime.service_key.sign_claims(claims | {"iat": issued_at}, typ=TYP)
    properties = {"authorization": token, "authType": "bearer"}
    listed = [{"@type": "EndpointProperty", "name": name, "value": value} for name, value in properties.items()]
    return {
        "dataAddress": {
            "@type": "DataAddress",
            "endpointType": HTTP_ENDPOINT,
            "endpoint": endpoint,
            "endpointProperties": listed,
        }
    }


def inbox_of(runtime: Runtime, exchange: Exchange) -> str:
    """The address that takes the data of one transfer."""
    return f"{base_of(runtime.settings, exchange.participant_id)}/inbox/{exchange.id}"


def awaited(db: Session, token: str, exchange_id: str, endpoint: str, runtime: Runtime, now: datetime) -> Exchange:
    """The transfer that a token may bring data of now.  Raises DataTokenRefused, NotExpected."""
    try:
        found = compact.read(token)
        found.require_header(typ=frozenset({TYP}), known=_HEADER)
        found.require_signature(runtime.service_key.public_jwk)
        found.text_claim("aud", endpoint)
        found.text_claim("sub", exchange_id)
        issued_at = found.moment_claim("iat")
        if issued_at > now + _skew(runtime):
            raise compact.wrong_moment("the token is of a later moment", now, issued_at)
        exchange = queries.exchange(db, exchange_id)
        connector = connectors.connector(db, exchange.connector_id)
        found.text_claim("connector_kid", connector.jwk["kid"])
        require_trusted(db, connector, now)
    except (BadToken, ConnectorRefused, NotFound) as error:
        raise DataTokenRefused(error.detail, action="wait for the next start of the transfer") from error
    require_awaited(db, exchange)
    return exchange


def require_awaited(db: Session, exchange: Exchange) -> None:
    """Raises NotExpected unless a push of this transfer is under way and not here yet."""
    db.refresh(exchange)
    if not is_pushed(exchange) or (exchange.side, exchange.state) != (Side.CONSUMER, TransferState.STARTED):
        raise NotExpected("this transfer takes no data now", expected=TransferState.STARTED, got=exchange.state)


def inbox_folder(runtime: Runtime) -> Path:
    """Where the bytes of pushes lie until they are whole: a file for each transfer, of its id."""
    return runtime.settings.data_folder / "inbox"


@contextmanager
def part_of(runtime: Runtime, exchange: Exchange) -> Iterator[BinaryIO]:
    """The file of what has come so far, for one writer at a time.  Raises AnotherIsComing."""
    folder = inbox_folder(runtime)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / exchange.id, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(handle, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AnotherIsComing("another request still writes", action="try again in a moment") from error
        yield file


def forget_part(runtime: Runtime, exchange: Exchange) -> None:
    """Throw away what has come so far."""
    (inbox_folder(runtime) / exchange.id).unlink(missing_ok=True)


def require_room(runtime: Runtime, size: int) -> None:
    """Raises BodyTooLarge for more bytes than a push may bring."""
    largest = runtime.settings.dataspace_inbox_mib << 20
    if size > largest:
        raise BodyTooLarge("the push is too large", expected=f"at most {largest} bytes", got="more")


def keep(runtime: Runtime, exchange: Exchange, file: BinaryIO, named: str | None) -> None:
    """Take up what is whole now.  named: the `Repr-Digest` that came with it.

    Raises DigestDiffers, after which nothing is left of it, and NotExpected.  Records: dataspace:data_arrived.
    """
    expected = digest_in(named)
    found = _hash_of(file)
    if expected is not None and expected != found:
        forget_part(runtime, exchange)
        raise DigestDiffers("the data has another digest", expected=expected, got=found, action="send it again")
    largest = runtime.settings.dataspace_inbox_mib << 20
    stored = runtime.store.put(_chunks(file), limit=largest)

    with runtime.database.transaction() as db:
        held, now = queries.exchange(db, exchange.id), runtime.clock.now()
        queries.lock(db, held)
        require_awaited(db, held)
        given = expected is not None
        row = Arrival(exchange_id=held.id, sha256=stored.sha256, bytes=stored.size, digest_given=given, arrived_at=now)
        if db.get(Arrival, held.id) is None:
            db.add(row)
            db.flush()
            sender = participants.participant(db, connectors.connector(db, held.connector_id).participant_id)
            actor = Actor(sender.id, frozenset(sender.roles))
            facts: Json = {"exchange": held.id, "sha256": stored.sha256, "bytes": stored.size, "digest_given": given}
            record(db, actor, Tag.DATA_ARRIVED, now, facts=facts)
    forget_part(runtime, exchange)


def require_receiver(actor: Actor, exchange: Exchange) -> Exchange:
    """Return the exchange to who is given its data; whoever else may read it has no part in that.

    Raises NothingArrived.
    """
    if exchange.participant_id != actor.participant:
        raise NothingArrived("nothing has arrived for you", got=exchange.id)
    return exchange


def arrival(db: Session, exchange: Exchange) -> Arrival:
    """What was pushed under a transfer.  Raises NothingArrived."""
    found = db.get(Arrival, exchange.id)
    if found is None:
        raise NothingArrived("nothing has arrived", got=exchange.state, action="wait until the provider has completed")
    return found


def digest_in(named: str | None) -> str | None:
    """The SHA-256, in hex, of a Repr-Digest header (RFC 9530); None where it has none that can be read."""
    for member in (named or "").split(","):
        name, _, value = member.strip().partition("=")
        if name == "sha-256" and len(value) > 1 and value[0] == value[-1] == ":":
            try:
                return base64.b64decode(value[1:-1], validate=True).hex()
            except ValueError:
                return None
    return None


def _skew(runtime: Runtime) -> timedelta:
    return timedelta(seconds=runtime.settings.clock_skew_seconds)


def _hash_of(file: BinaryIO) -> str:
    running = hashlib.sha256()
    for chunk in _chunks(file):
        running.update(chunk)
    return running.hexdigest()


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(CHUNK):
        yield chunk
