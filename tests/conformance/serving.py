"""The service as anybody starts it, in the conformance mode, with a hosted participant and the kit's connector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.signing import generate_key
from marketplace.main import build_runtime
from marketplace.participants import connectors, service
from marketplace.participants.models import Participant
from marketplace.participants.schemas import ConnectorIn, ParticipantIn
from marketplace.plumbing.migrations import migrate
from marketplace.settings import Settings
from seeds.cast import CAST
from tests.conformance.kit import IDENTIFIER
from tests.servers import market_server

TEST_MODE = "dataspace_conformance"


@dataclass(frozen=True)
class Served:
    """A running service.  participant: the hosted one under test; root: its protocol root, without the version."""

    url: str
    participant: str

    @property
    def root(self) -> str:
        return f"{self.url}/dsp/{self.participant}"

    @property
    def base(self) -> str:
        return f"{self.root}/2025-1"


@contextmanager
def served(folder: Path, port: int, callback_port: int) -> Iterator[Served]:
    """Admit the parties, register the kit's connector, start `marketplace serve`; everything ends with the block."""
    data = folder / "market"
    participant = _prepare(Settings(data_folder=data), callback_port)
    with market_server(data, port, {"MARKETPLACE_DATASPACE_CONFORMANCE": IDENTIFIER}, test_mode=TEST_MODE) as url:
        yield Served(url, participant)


def _prepare(settings: Settings, callback_port: int) -> str:
    """Admit the operator, the hosted participant and the kit's, and register its connector, by the usual verbs."""
    runtime = build_runtime(settings)
    now = datetime.now(UTC)
    try:
        migrate(runtime.database)
        with runtime.database.transaction() as db:
            first = service.bootstrap_operator(db, _form("operator"), now)
            operator = Actor(first.id, frozenset(first.roles))
            hospital = service.admit(db, operator, _form("hospital"), now)
            kit = service.admit(db, operator, _form("pharma"), now)
            connectors.register(db, operator, _connector(kit, callback_port, now), now)
            return hospital.id
    finally:
        runtime.close()


def _form(name: str) -> ParticipantIn:
    part = next(one for one in CAST if one.name == name)
    return ParticipantIn(
        legal_name=part.legal_name,
        legal_name_en=part.legal_name_en,
        credit_code=part.credit_code,
        kind=part.kind,
        # The kit speaks with one participant as provider and as consumer.
        roles=[Role.PROVIDER, Role.BUYER] if part.name == "hospital" else list(part.roles),
        licence_number=part.licence_number,
        verified_by="conformance",
        verification_method="invented for the conformance kit",
        is_example=True,
        jwk=generate_key(part.algorithm).public_jwk,
    )


def _connector(kit: Participant, callback_port: int, now: datetime) -> ConnectorIn:
    return ConnectorIn(
        participant_id=kit.id,
        identifier=IDENTIFIER,
        software="dataspace-tck",
        software_version="1.0.1",
        jwk=generate_key().public_jwk,
        addresses=[f"http://127.0.0.1:{callback_port}"],
        certified_by="conformance",
        certificate_number="example",
        certified_until=now + timedelta(days=1),
    )
