"""Killed streams: no byte at a client without its logged window, none charged that was not settled (goal G8).

`python -m tests.harness.streams [--streams 300] [--at-once 20] [--seed N] [--seeded-bug] [--json]`
A real server process and real sockets.  In turn the server is killed with SIGKILL, every client leaves at a random
byte, or the agreement is stopped; afterwards orphans are swept and log, quota, transfers, meter and books are compared
with the bytes that the clients hold.  `--seeded-bug`: each window is logged after its bytes were sent.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel import Session, col, func, select

from marketplace.assets.models import VersionFile
from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.costing import service as costing
from marketplace.costing.models import MeterEvent
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.ledger import queries as ledger
from marketplace.ledger.models import LedgerTransaction
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.schemas import WhyIn
from marketplace.participants.service import register_key
from marketplace.transfer import service
from marketplace.transfer.models import Transfer
from marketplace.usage.models import UsageQuota
from tests.harness import crowd
from tests.harness.clients import AGREEMENT, LEFT, SIZE, Client, Held
from tests.harness.serving import Server
from tests.house import House
from tests.negotiation.succession.parts import resume

PRICE_FEN = 1_300
WINDOW = 1 << 20
WAYS = ("server killed", LEFT, "stopped")
WHY = WhyIn(reason="harness")


@dataclass
class Report:
    seed: int
    streams: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    most_beyond: int = 0
    violations: list[str] = field(default_factory=list)
    seconds: float = 0


class Run:
    """One run over one market; each round cuts a number of streams in one way."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder, self._options = folder, options
        self._dice = random.Random(options.seed)
        self._flags = ["--late-log"] if options.seeded_bug else []
        self._all: list[Held] = []
        self.report = Report(options.seed)

    def run(self) -> Report:
        began = time.monotonic()
        made = crowd.arrange(self._folder, agreements=1, size=SIZE, price=PRICE_FEN)
        with crowd.enter(self._folder, transfer_lease_seconds=1) as house:
            content = _content(house, made.version)
            _bring_key(house)
            server = self._server()
            rounds = 0
            while sum(self.report.streams.values()) < self._options.streams and rounds < 60:
                way = WAYS[rounds % len(WAYS)]
                server = self._round(house, server, way, content)
                rounds += 1
            server.stop()
            self._settle(house)
            with house.runtime.database.reading() as db:
                _Check(db, self.report).everything(self._all)
        self.report.seconds = time.monotonic() - began
        return self.report

    def _server(self) -> Server:
        return Server(self._folder, *self._flags, transfer_lease_seconds=1)

    def _round(self, house: House, server: Server, way: str, content: bytes) -> Server:
        left = self._options.streams - sum(self.report.streams.values())
        clients = []
        for _ in range(min(self._options.at_once, left)):
            held = Held(way, self._dice.choice([0, 0, self._dice.randrange(SIZE // 2)]))
            dice = random.Random(self._dice.random())
            clients.append(Client(server.address, content, held, dice))
        for client in clients:
            client.start()
        for client in clients:
            client.began.wait(10)
        time.sleep(self._dice.uniform(0, 0.5))
        if way == "server killed":
            server.kill()
        elif way == "stopped":
            _suspend(house)
        for client in clients:
            client.join(90)
            self._all.append(client.held)
            if client.held.cut and client.held.way == way:
                self.report.streams[way] += 1
        if way == "stopped":
            _resume(house)
        return self._server() if way == "server killed" else server

    def _settle(self, house: House) -> None:
        """What scheduler and workers do: sweep orphans once their lease has passed, post what was metered."""
        time.sleep(2.5)
        service.sweep(house.runtime)
        with house.runtime.database.transaction() as db:
            while costing.post_pending(db, house.runtime.clock.now()).posted:
                pass


def _content(house: House, version: str) -> bytes:
    with house.runtime.database.reading() as db:
        file = db.exec(select(VersionFile).where(VersionFile.version_id == version)).one()
    return b"".join(house.runtime.store.read(file.sha256))


def _bring_key(house: House) -> None:
    """The hospital of this process signs with a key of its own, added as any participant adds one."""
    hospital = house.cast["hospital"]
    with house.runtime.database.transaction() as db:
        register_key(db, hospital.actor, hospital.id, hospital.key.public_jwk, house.runtime.clock.now())


def _suspend(house: House) -> None:
    with house.runtime.database.transaction() as db:
        agreement = negotiation.agreement(db, AGREEMENT)
        stopping.suspend(db, house.cast["hospital"].actor, agreement, WHY, house.runtime.clock.now())


def _resume(house: House) -> None:
    resume(house, AGREEMENT, "hospital")


class _Check:
    """Compares what clients hold with log, transfers, quota, meter and books."""

    def __init__(self, db: Session, report: Report) -> None:
        self._db, self._report = db, report
        self._rows = {row.id: row for row in db.exec(select(Transfer)).all()}
        self._windows: dict[str, list[Json]] = defaultdict(list)
        for body in db.exec(select(Entry.body).where(Entry.tag == Tag.WINDOW_SERVED.value).order_by(Entry.id)).all():
            facts: Json = read_strictly(body)["facts"]
            self._windows[facts["transfer"]].append(facts)

    def everything(self, clients: list[Held]) -> None:
        for held in clients:
            if held.transfer:
                self._client(held)
        for row in self._rows.values():
            self._row(row)
        self._sums()

    def _client(self, held: Held) -> None:
        """Every byte the client holds is covered by a logged window, and little else is logged."""
        self._report.checked += 1
        position = held.start
        for window in self._windows[held.transfer]:
            if window["offset"] != position:
                self._say(held.transfer, f"a window starts at {window['offset']} instead of {position}")
            if window["length"] > WINDOW:
                self._say(held.transfer, f"a window of {window['length']} bytes")
            position += window["length"]
        beyond = position - held.start - held.came
        self._report.most_beyond = max(self._report.most_beyond, beyond)
        if beyond < 0:
            self._say(held.transfer, f"the client holds {-beyond} bytes that no window covers ({held.way})")
        if beyond > WINDOW:
            self._say(held.transfer, f"{beyond} bytes are logged that the client never got ({held.way})")
        if held.wrong:
            self._say(held.transfer, "the client got other bytes than the file's")

    def _row(self, row: Transfer) -> None:
        logged = sum(window["length"] for window in self._windows[row.id])
        if row.state != "closed":
            self._say(row.id, "is still open")
        if row.served != logged:
            self._say(row.id, f"settled {row.served} bytes, logged {logged}")
        if row.uses != (logged > 0):
            self._say(row.id, f"counts {row.uses} uses for {logged} bytes")

    def _sums(self) -> None:
        db, used = self._db, sum(row.uses for row in self._rows.values())
        quota = db.get(UsageQuota, AGREEMENT) or UsageQuota(agreement_id="")
        metered = db.exec(select(MeterEvent)).all()
        posted = select(
            func.coalesce(func.sum(col(LedgerTransaction.quantity) * LedgerTransaction.unit_price_minor), 0)
        )
        expected = {
            "uses reserved": (0, quota.uses_reserved),
            "bytes reserved": (0, quota.bytes_reserved),
            "uses settled": (used, quota.uses_settled),
            "bytes settled": (sum(row.served for row in self._rows.values()), quota.bytes_settled),
            "uses metered": (used, sum(event.quantity for event in metered)),
            "prices metered": ({PRICE_FEN} if used else set(), {event.unit_price_fen for event in metered}),
            "fen charged in the books": (used * PRICE_FEN, db.exec(posted).one()),
            "imbalance of the books": (0, ledger.imbalance(db)),
        }
        for what, (wanted, got) in expected.items():
            if wanted != got:
                self._report.violations.append(f"{what}: {got} instead of {wanted}")

    def _say(self, transfer: str, words: str) -> None:
        self._report.violations.append(f"{transfer}: {words}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--seeded-bug", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="streams-") as folder:
        report = Run(Path(folder) / "market", options).run()
    killed = sum(report.streams.values())
    if killed < options.streams:
        report.violations.append(f"only {killed} streams were cut, {options.streams} were wanted")
    if options.json:
        print(json.dumps({"name": "streams", **report.__dict__, "met": not report.violations}))
    else:
        ways = ", ".join(f"{way} {count}" for way, count in report.streams.items())
        print(
            f"streams: seed {report.seed}, {killed} cut in {report.seconds:.1f} s ({ways}), {report.checked} compared"
        )
        print(
            f"  at most {report.most_beyond} bytes logged beyond what a client got; {len(report.violations)} violations"
        )
        for words in report.violations[:20]:
            print(f"    VIOLATION {words}")
    return 0 if not report.violations else 1


if __name__ == "__main__":
    sys.exit(main())
