"""Connectors are registered by the operator alone, with key, certification and addresses; every change is an entry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from marketplace.audit.entry import Tag
from marketplace.kernel.errors import DomainError
from marketplace.kernel.signing import generate_key
from marketplace.participants import connectors
from marketplace.participants.connectors import (
    CertificationEnded,
    ConnectorAlreadySuspended,
    ConnectorNotSuspended,
    IdentifierTaken,
    NotTheRegistrarOfConnectors,
)
from marketplace.participants.models import Connector
from marketplace.participants.schemas import ConnectorIn
from marketplace.plumbing.outgoing import OutgoingRefused
from tests.house import House
from tests.transfer.doors import entries


def register(house: House, who: str = "operator", **changes: Any) -> Connector:
    form = {
        "participant_id": house.cast["pharma"].id,
        "identifier": "did:web:connector.example",
        "software": "example-connector",
        "software_version": "1.0",
        "jwk": generate_key().public_jwk,
        "addresses": ["https://connector.example:443"],
        "certified_by": "Example certifier",
        "certificate_number": "EX-1",
        "certified_until": house.clock.now() + timedelta(days=30),
    }
    with house.db() as db:
        asked = ConnectorIn.model_validate(form | changes)
        return connectors.register(db, house.cast[who].actor, asked, house.clock.now())


def test_the_entry_says_who_may_be_called_where_and_until_when(house: House) -> None:
    made = register(house)
    (told,) = entries(house, Tag.CONNECTOR_REGISTERED)
    assert told["facts"]["connector"] == made.id
    assert told["facts"]["participant"] == house.cast["pharma"].id
    assert told["facts"]["addresses"] == ["https://connector.example:443"]
    assert told["facts"]["certified_until"].startswith("2026-10-01")
    assert told["facts"]["kid"] == made.jwk["kid"]


@pytest.mark.parametrize("who", ["pharma", "hospital", "registrar", "exchange", "auditor"])
def test_nobody_but_the_operator_registers_or_suspends(house: House, who: str) -> None:
    with pytest.raises(NotTheRegistrarOfConnectors):
        register(house, who)
    made = register(house)
    for verb in (connectors.suspend, connectors.reinstate):
        with pytest.raises(NotTheRegistrarOfConnectors), house.db() as db:
            verb(db, house.cast[who].actor, made.id, "because", house.clock.now())


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"addresses": ["https://connector.example"]}, OutgoingRefused),
        ({"addresses": ["https://connector.example:443/"]}, OutgoingRefused),
        ({"addresses": ["ftp://connector.example:21"]}, OutgoingRefused),
        ({"addresses": ["http://user@10.0.0.1:80"]}, OutgoingRefused),
        ({"addresses": ["http://10.0.0.1:80000"]}, OutgoingRefused),
        ({"certified_until": "2026-09-01T01:00:00Z"}, CertificationEnded),
        ({"participant_id": "prt_nobody"}, DomainError),
        ({"jwk": {"kty": "oct", "k": "AA"}}, DomainError),
    ],
)
def test_what_cannot_be_trusted_is_not_registered(house: House, changes: Any, error: type[DomainError]) -> None:
    with pytest.raises(error):
        register(house, **changes)
    assert entries(house, Tag.CONNECTOR_REGISTERED) == []


def test_a_name_on_the_wire_belongs_to_one_connector(house: House) -> None:
    register(house)
    with pytest.raises(IdentifierTaken):
        register(house, participant_id=house.cast["ai_company"].id)


def test_suspension_and_its_end_are_entries_with_their_reasons(house: House) -> None:
    made, operator = register(house), house.cast["operator"].actor
    with house.db() as db:
        connectors.suspend(db, operator, made.id, "a key was lost", house.clock.now())
    with pytest.raises(ConnectorAlreadySuspended), house.db() as db:
        connectors.suspend(db, operator, made.id, "again", house.clock.now())
    with house.db() as db:
        assert connectors.trouble(db, connectors.connector(db, made.id), house.clock.now()) == "connector_suspended"
        connectors.reinstate(db, operator, made.id, "a new key is in place", house.clock.now())
    with pytest.raises(ConnectorNotSuspended), house.db() as db:
        connectors.reinstate(db, operator, made.id, "again", house.clock.now())
    told = entries(house, Tag.CONNECTOR_SUSPENDED, Tag.CONNECTOR_REINSTATED)
    assert [one["tag"] for one in told] == ["participant:connector_suspended", "participant:connector_reinstated"]
    assert all(one["facts"]["words"] for one in told)


def test_a_connector_is_trusted_until_its_certification_ends(house: House) -> None:
    made = register(house)
    with house.db() as db:
        found = connectors.connector(db, made.id)
        assert connectors.trouble(db, found, house.clock.now()) is None
        assert connectors.trouble(db, found, made.certified_until) == "certification_ended"
