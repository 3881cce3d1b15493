"""Two instances with databases, keys and ports of their own that know each other as connectors: hospital and buyer."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from marketplace.dataspace import queries
from marketplace.dataspace.addresses import base_of
from marketplace.dataspace.beginning import move_on
from marketplace.dataspace.chosen import answering
from marketplace.dataspace.identity import SignedTokens
from marketplace.dataspace.models import Exchange
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import StoryClock
from marketplace.main import create_app
from marketplace.participants import connectors
from marketplace.participants.models import Connector
from marketplace.participants.schemas import ConnectorIn
from marketplace.plumbing import outgoing, sockets
from marketplace.plumbing.runtime import Runtime
from tests.house import START, House, SeedParty, open_house
from tests.transfer.doors import PATIENCE_SECONDS, wait_until
from workers.relay import run_due


@dataclass
class Instance:
    """One of the two.  here: the participant that it hosts for the other; other: the connector of the other side."""

    house: House
    here: SeedParty
    other: Connector
    there: str

    @property
    def runtime(self) -> Runtime:
        return self.house.runtime

    def exchange(self, exchange_id: str) -> Exchange:
        with self.runtime.database.reading() as db:
            return queries.exchange(db, exchange_id)

    def messages(self, exchange_id: str) -> list[Json]:
        """Bodies of what was said, in order."""
        with self.runtime.database.reading() as db:
            return [one.body for one in queries.messages(db, exchange_id) if one.state == "taken"]

    def call(self, path: str, body: Json) -> Json:
        """The other side's answer to a request of ours, with our own proof of who we are."""
        token = SignedTokens().header(self.here.id, self.there, self.house.clock.now(), self.runtime)
        headers = {"Authorization": token, "Content-Type": "application/json"}
        origins, settings = self.other.addresses, self.runtime.settings
        answer = outgoing.post(
            f"{self.there}{path}", json.dumps(body).encode(), headers=headers, settings=settings, origins=origins
        )
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def begin(self, verb: Any, *asked: Any, **more: Any) -> Exchange:
        """Open an exchange with the other side: `ask_for_contract` or `ask_for_data`."""
        with self.house.db() as db:
            where = (self.here.actor, self.other.id, self.there)
            opened: Exchange = verb(db, *where, *asked, *self._how(), **more)
            return opened

    def say(self, exchange_id: str, move: str, **extra: Any) -> None:
        """A further move of ours in an exchange."""
        with self.house.db() as db:
            move_on(db, queries.exchange(db, exchange_id), move, extra, *self._how())

    def _how(self) -> tuple[Any, ...]:
        return answering(self.runtime.settings), self.runtime, self.house.clock.now()


def settle(*instances: Instance) -> None:
    """Let both sides work until neither has anything to do now."""
    while sum(run_due(one.runtime) for one in instances):
        pass


@contextmanager
def two_instances(
    folder: Path, clock: StoryClock | None = None, **settings: Any
) -> Iterator[tuple[Instance, Instance]]:
    """The hospital's and the buyer's, each served on a port of its own; one clock, so that a test moves both."""
    with ExitStack() as stack:
        doors = [stack.enter_context(free_door()) for _ in range(2)]
        both = stack.enter_context(two_unserved(folder, doors, clock, **settings))
        for one, door in zip(both, doors, strict=True):
            stack.enter_context(served(one.runtime, door))
        yield both


@contextmanager
def two_unserved(
    folder: Path, doors: Sequence[socket.socket], clock: StoryClock | None = None, **settings: Any
) -> Iterator[tuple[Instance, Instance]]:
    """The same two before anybody serves them: each has the address of its door and knows the other's."""
    clock = clock or StoryClock(START)
    with ExitStack() as stack:
        hospital, buyer = (
            _placed(stack.enter_context(open_house(folder / name)), door, clock, settings)
            for name, door in zip(("hospital", "buyer"), doors, strict=True)
        )
        yield _knowing(hospital, "hospital", buyer, "pharma"), _knowing(buyer, "pharma", hospital, "hospital")


def free_door() -> socket.socket:
    """A listening socket of this machine on a port of its own."""
    return socket.create_server(("127.0.0.1", 0), backlog=128)


def _placed(house: House, door: socket.socket, clock: StoryClock, settings: dict[str, Any]) -> House:
    """The house with an address of its own, which it says to others."""
    changed = settings | {"public_url": f"http://127.0.0.1:{door.getsockname()[1]}"}
    runtime = replace(house.runtime, clock=clock, settings=house.runtime.settings.model_copy(update=changed))
    return replace(house, clock=clock, runtime=runtime)


@contextmanager
def served(runtime: Runtime, door: socket.socket) -> Iterator[None]:
    """The whole application behind a door, in a thread, until the block ends."""
    server = sockets.server(create_app(runtime), runtime.settings, log_level="critical", lifespan="off")
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)


def _knowing(house: House, here: str, other: House, there: str) -> Instance:
    """Register the other side's connector here, as its operator asks for it."""
    origin = other.runtime.settings.public_url
    key = other.runtime.service_key.public_jwk
    asked = ConnectorIn(
        participant_id=house.cast[there].id,
        identifier=other.cast[there].id,
        software="medical-data-marketplace",
        software_version="1.0",
        jwk={name: key[name] for name in ("kty", "crv", "x")},
        addresses=[origin],
        certified_by="Example certifier",
        certificate_number="EX-1",
        certified_until=house.clock.now() + timedelta(days=365),
    )
    with house.db() as db:
        connector = connectors.register(db, house.cast["operator"].actor, asked, house.clock.now())
    return Instance(house, house.cast[here], connector, base_of(other.runtime.settings, other.cast[there].id))
