"""Connectors: registered technical components; whoever speaks the Dataspace Protocol from elsewhere is one of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Select, bindparam
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from marketplace.audit.entry import Tag, record
from marketplace.audit.words import keep_text
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json, sha256_hex
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict, Forbidden, Invalid, NotFound, shown
from marketplace.kernel.ids import new_id
from marketplace.participants import queries, rules
from marketplace.participants.models import Connector
from marketplace.participants.schemas import ConnectorIn
from marketplace.plumbing import epochs, paging
from marketplace.plumbing.outgoing import require_origin
from marketplace.plumbing.paging import Order, Paged
from marketplace.plumbing.questions import Question

SUSPENDED: Final = "connector_suspended"
_AS_REGISTERED: Final = Order((col(Connector.id),), (col(Connector.id),))


class Registered(NamedTuple):
    """What every message asks of a connector; members as in `models.Connector`."""

    id: str
    participant_id: str
    identifier: str
    jwk: dict[str, Any]
    addresses: list[str]
    certified_until: datetime
    signs: bool
    suspended_at: datetime | None


AnyConnector: TypeAlias = Connector | Registered
_REGISTERED: Final[Select[Any]] = sql_select(*(col(getattr(Connector, name)) for name in Registered._fields))
_BY_ID: Final = Question(_REGISTERED.where(col(Connector.id) == bindparam("connector")), Registered)
_HELD: Final = Question(_REGISTERED.where(col(Connector.id) == bindparam("connector")).with_for_update(), Registered)
_BY_IDENTIFIER: Final = Question(_REGISTERED.where(col(Connector.identifier) == bindparam("name")), Registered)


class NoSuchConnector(NotFound):
    """No such connector."""


class NotTheRegistrarOfConnectors(Forbidden):
    """Only the platform operator registers and suspends connectors."""


class IdentifierTaken(Conflict):
    """Another connector has this identifier."""


class CertificationEnded(Invalid):
    """The certification would have ended already."""


class ConnectorAlreadySuspended(Conflict):
    """The connector is suspended already."""


class ConnectorNotSuspended(Conflict):
    """The connector is not suspended."""


def register(db: Session, actor: Actor, asked: ConnectorIn, now: datetime) -> Connector:
    """Make a component known, with its key, its certification and the only addresses that are called for it.

    Raises NotTheRegistrarOfConnectors, NoSuchParticipant, OutgoingRefused, BadKey, WeakKey, CertificationEnded,
    IdentifierTaken.  Records: participant:connector_registered.
    """
    if not queries.known(db, asked.participant_id):
        raise queries.NoSuchParticipant("no participant with this id", got=shown(asked.participant_id))
    owner = queries.participant(db, asked.participant_id)
    queries.lock(db, owner)

    _require_operator(actor)
    public = rules.require_strong_key(asked.jwk)
    addresses = sorted({require_origin(one) for one in asked.addresses})
    _require_certified(asked, now)
    if by_identifier(db, asked.identifier) is not None:
        raise IdentifierTaken("another connector has this identifier", action="suspend that one, or use another name")

    fields = asked.model_dump(exclude={"jwk", "addresses"})
    connector = Connector(id=new_id("con"), jwk=public, addresses=addresses, registered_at=now, **fields)
    db.add(connector)
    db.flush()

    record(db, actor, Tag.CONNECTOR_REGISTERED, now, facts=_registered(connector))
    return connector


def suspend(db: Session, actor: Actor, connector_id: str, reason: str, now: datetime) -> Connector:
    """Refuse a component from this moment; its running answers end within one window.

    reason: free text, kept as a document for its operator.

    Raises NoSuchConnector, NotTheRegistrarOfConnectors, ConnectorAlreadySuspended.
    Records: participant:connector_suspended.
    """
    found = held(db, connector_id)

    _require_operator(actor)
    if found.suspended_at is not None:
        raise ConnectorAlreadySuspended("the connector is suspended already", got=timestamp(found.suspended_at))

    found.suspended_at = now
    db.add(found)
    db.flush()
    number = epochs.bump(db, found.id, SUSPENDED)

    words = keep_text(db, reason, now, (found.participant_id, actor.participant))
    record(db, actor, Tag.CONNECTOR_SUSPENDED, now, facts=_named(found) | {"epoch": number, "words": words})
    return found


def reinstate(db: Session, actor: Actor, connector_id: str, reason: str, now: datetime) -> Connector:
    """End a suspension.  reason: as for `suspend`.

    Raises NoSuchConnector, NotTheRegistrarOfConnectors, ConnectorNotSuspended.
    Records: participant:connector_reinstated.
    """
    found = held(db, connector_id)

    _require_operator(actor)
    if found.suspended_at is None:
        raise ConnectorNotSuspended("the connector is not suspended", got=connector_id)

    found.suspended_at = None
    db.add(found)
    db.flush()

    words = keep_text(db, reason, now, (found.participant_id, actor.participant))
    record(db, actor, Tag.CONNECTOR_REINSTATED, now, facts=_named(found) | {"words": words})
    return found


def connector(db: Session, connector_id: str) -> Connector:
    """One connector.  Raises NoSuchConnector."""
    found = db.get(Connector, connector_id)
    if found is None:
        raise NoSuchConnector("no connector with this id", got=shown(connector_id))
    return found


def held(db: Session, connector_id: str) -> Connector:
    """One connector, read anew and held to the end of the transaction.  Raises NoSuchConnector."""
    found = connector(db, connector_id)
    db.refresh(found, with_for_update=True)
    return found


def registered(db: Session, connector_id: str, *, held: bool = False) -> Registered:
    """What a message asks of one connector.  held: read anew, held to the end of the transaction.

    Raises NoSuchConnector.
    """
    found = (_HELD if held else _BY_ID).first(db, connector=connector_id)
    if found is None:
        raise NoSuchConnector("no connector with this id", got=shown(connector_id))
    return found


def by_identifier(db: Session, identifier: str) -> Registered | None:
    """The connector with a name on the wire, if there is one."""
    return _BY_IDENTIFIER.first(db, name=identifier)


def all_connectors(db: Session, *, cursor: str | None = None, limit: int = paging.MOST) -> Paged[Connector]:
    """A page of every connector, in order of registration.  Raises NotOnThisList."""
    return _AS_REGISTERED.page(db, select(Connector), cursor, limit)


def trouble(db: Session, found: AnyConnector, now: datetime) -> str | None:
    """Why a component is refused now: `connector_suspended`, `certification_ended` or `party_suspended`; else None."""
    if found.suspended_at is not None:
        return SUSPENDED
    if found.certified_until <= now:
        return "certification_ended"
    return "party_suspended" if queries.party(db, found.participant_id).suspended_at is not None else None


def _require_certified(asked: ConnectorIn, now: datetime) -> None:
    if asked.certified_until <= now:
        raise CertificationEnded(
            "a component is registered while it is certified",
            expected=f"after {timestamp(now)}",
            got=timestamp(asked.certified_until),
        )


def _registered(connector: Connector) -> Json:
    return _named(connector) | {
        "kid": connector.jwk["kid"],
        "jwk": connector.jwk,
        "addresses": connector.addresses,
        "software": connector.software,
        "software_version": connector.software_version,
        "certificate": sha256_hex(connector.certificate_number.encode()),
        "certified_until": timestamp(connector.certified_until),
        "signs": connector.signs,
    }


def _named(found: Connector) -> Json:
    return {"connector": found.id, "participant": found.participant_id, "identifier": found.identifier}


def _require_operator(actor: Actor) -> None:
    if not actor.has(Role.PLATFORM_OPERATOR):
        raise NotTheRegistrarOfConnectors(
            "this needs the role platform_operator", got=", ".join(sorted(actor.roles)) or "no role"
        )
