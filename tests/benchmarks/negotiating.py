"""The two instances of `bench negotiate`, each in a process of its own with the system of the party that it hosts.

Each has a database, port and keys of its own and is served and relayed as `make run` does it, without the integrator
of the log.  Whoever measures arranges both, starts the two processes, and holds one end of a line to each: over the
buyer's it asks for negotiations and is told of each that is in force there.  An instance ends when its line does, be
it that the other end was closed or that its process is gone.
"""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sqlmodel import col, or_, select

from marketplace.assets.schemas import SignatureIn
from marketplace.audit import documents
from marketplace.dataspace.beginning import ask_for_contract
from marketplace.dataspace.messages import CONTEXT, SIGNED
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.moving import topic_of
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import canonical
from marketplace.kernel.clock import RunningStoryClock
from marketplace.kernel.signing import load_private_key
from marketplace.main import build_runtime
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.signing import sign
from marketplace.participants.models import Connector
from marketplace.plumbing.sockets import freeze
from marketplace.plumbing.waiting import LOOK_SECONDS
from marketplace.settings import Settings
from tests.dataspace.instances import Instance, free_door, served, two_unserved
from tests.exchange.parts import PRICE_FEN, certified, listed
from tests.house import START, House, SeedParty
from tests.negotiation.rounds.parts import set_rule
from workers.relay import embedded_relays

RULE = {
    "purposes": ["model_training"],
    "buyer_kinds": ["pharma"],
    "price_not_below_fen": PRICE_FEN,
    "rounds_at_most": 20,
}
LONGEST_SECONDS = 60.0
_END_SECONDS = 20.0
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Arranged:
    """An instance that another process takes up.  key: of its party, PEM; other: id of the connector that it knows.

    zero: the story's moment when time.monotonic, which all processes of a machine share, was 0.
    """

    settings: Settings
    actor: Actor
    key: bytes
    other: str
    there: str
    zero: datetime

    @classmethod
    def of(cls, instance: Instance, zero: datetime) -> Arranged:
        here = instance.here
        return cls(instance.runtime.settings, here.actor, here.key.to_pem(), instance.other.id, instance.there, zero)

    @contextmanager
    def taken_up(self) -> Iterator[Instance]:
        """The instance in this process, at the same moment of the story as in every other."""
        clock = RunningStoryClock(self.zero + timedelta(seconds=time.monotonic()))
        runtime = build_runtime(self.settings, clock)
        try:
            with runtime.database.reading() as db:
                other = db.get_one(Connector, self.other)
                db.expunge(other)
            here = SeedParty(self.actor.participant, load_private_key(self.key), self.actor)
            yield Instance(House(runtime, clock, {}), here, other, self.there)
        finally:
            runtime.close()


class Party(ABC):
    """A party's own system beside its instance: woken by it, as the product's long poll is, it does what awaits it."""

    def __init__(self, instance: Instance, line: Connection) -> None:
        self.instance, self.line = instance, line
        self._over = threading.Event()

    @abstractmethod
    def begin(self) -> None:
        """Begin a negotiation."""

    @abstractmethod
    def work(self) -> None:
        """Do what awaits the party by now."""

    @contextmanager
    def attending(self) -> Iterator[None]:
        topic = topic_of(self.instance.here.id)
        thread = threading.Thread(target=self._attend, args=(topic,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            self.instance.runtime.database.bell.ring([topic])
            thread.join(10)

    def _attend(self, topic: str) -> None:
        with self.instance.runtime.database.bell.listening(topic) as bell:
            while not self._over.is_set():
                heard = bell.rings
                self.work()
                bell.wait(heard, LOOK_SECONDS)


class Buyer(Party):
    """Asks for a contract each time the line asks for one, signs what is offered, and tells what is in force."""

    def __init__(self, instance: Instance, line: Connection) -> None:
        super().__init__(instance, line)
        self._accepted: set[str] = set()
        self._open: set[str] = set()
        body = {"@context": [CONTEXT], "@type": "CatalogRequestMessage"}
        (dataset,) = instance.call("/catalog/request", body)["dataset"]
        self._offer = dataset["hasPolicy"][0] | {"target": dataset["@id"]}

    def begin(self) -> None:
        self._open.add(self.instance.begin(ask_for_contract, self._offer).id)

    def work(self) -> None:
        mine = or_(col(Exchange.state) == "OFFERED", col(Exchange.id).in_(list(self._open)))
        with self.instance.runtime.database.reading() as db:
            found = db.exec(select(Exchange.id, Exchange.state).where(mine)).all()
        for name, state in found:
            if state == "OFFERED" and name not in self._accepted:
                self._accepted.add(name)
                body = canonical(self.instance.messages(name)[-1][SIGNED]["content"])
                jws = self.instance.here.key.sign_detached(body, typ="agreement+jws")
                self.instance.say(name, "accept", **{SIGNED: {"jws": jws}})
            elif state == "FINALIZED":
                self._open.discard(name)
                self.line.send(name)


class Provider(Party):
    """Signs every agreement that was accepted, and begins nothing."""

    def begin(self) -> None:
        raise RuntimeError("only the buyer begins negotiations")

    def work(self) -> None:
        house, here = self.instance.house, self.instance.here
        with self.instance.runtime.database.reading() as db:
            waiting = db.exec(select(AccessRequest.id).where(AccessRequest.state == "ACCEPTED")).all()
        for name in waiting:
            with house.db() as db:
                agreement = negotiation.agreement(db, negotiation.request(db, name).agreement_id or "")
                body = documents.get(db, agreement.document).body
                signature = SignatureIn(
                    document=agreement.document, jws=here.key.sign_detached(body, typ="agreement+jws")
                )
                sign(db, here.actor, agreement, signature, house.clock.now())


def run(
    arranged: Arranged, kind: Callable[[Instance, Connection], Party], door: socket.socket, line: Connection
) -> None:
    """Serve an instance and its party in this process until the line ends; says `ready` over it first."""
    with ExitStack() as stack:
        instance = stack.enter_context(arranged.taken_up())
        stack.enter_context(served(instance.runtime, door))
        for loop in embedded_relays(instance.runtime):
            loop.start()
            stack.callback(loop.stop)
        party = kind(instance, line)
        stack.enter_context(party.attending())
        freeze()
        line.send("ready")
        with suppress(EOFError, KeyboardInterrupt):
            while line.recv():
                party.begin()


class Market:
    """Two instances at work.  line: to the buyer's."""

    def __init__(self, line: Connection) -> None:
        self._line = line

    def begin(self, number: int, at_once: int = 1) -> float:
        """Have so many negotiations made; returns the seconds until the last is in force on both sides."""
        began, under_way = time.monotonic(), 0
        for _ in range(number):
            self._line.send("begin")
            under_way += 1
            while under_way >= at_once:
                under_way -= _heard(self._line)
        while under_way:
            under_way -= _heard(self._line)
        return time.monotonic() - began


@contextmanager
def negotiating(folder: Path) -> Iterator[Market]:
    """Two instances at work, with a listing whose rule offers it as asked; both end with the block."""
    clock = RunningStoryClock(START)
    with ExitStack() as stack:
        doors = [stack.enter_context(free_door()) for _ in range(2)]
        with two_unserved(folder, doors, clock, outgoing_seconds=15) as both:
            hospital, _ = both
            listing = listed(hospital.house, certified(hospital.house))
            set_rule(hospital.house, listing.id, automatic=RULE)
            zero = clock.now() - timedelta(seconds=time.monotonic())  # the clock has been moved meanwhile
            arranged = [Arranged.of(one, zero) for one in both]
        work = zip(arranged, (Provider, Buyer), doors, strict=True)
        _, line = [stack.enter_context(_running(*one)) for one in work]
        yield Market(line)


@contextmanager
def _running(
    arranged: Arranged, kind: Callable[[Instance, Connection], Party], door: socket.socket
) -> Iterator[Connection]:
    """Our end of the line to a process that is ready; it ends with the block."""
    ours, theirs = _SPAWN.Pipe()
    process: Any = _SPAWN.Process(target=run, args=(arranged, kind, door, theirs), daemon=True)
    process.start()
    theirs.close()
    door.close()  # the process has its own
    try:
        _heard(ours)
        yield ours
    finally:
        ours.close()
        process.join(_END_SECONDS)
        process.kill()
        process.join()


def _heard(line: Connection) -> int:
    """One word over the line.  Raises EOFError when the process at its other end is gone."""
    assert line.poll(LONGEST_SECONDS), "an instance is not ready, or a negotiation came to no end"
    line.recv()
    return 1
