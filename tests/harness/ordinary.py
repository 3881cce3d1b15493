"""Ordinary work in one process, with a snapshot of database, signer and witness after each step."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import Any

from marketplace.client.delivery import wait_for_delivery
from marketplace.client.problem import ProblemError
from marketplace.kernel.clock import SystemClock
from marketplace.kernel.ids import new_id
from marketplace.settings import Settings
from seeds.forms import CHEST_CT
from seeds.world import World, open_world
from tests.harness.world import PURPOSE, Place
from workers.instance import Instance, open_instance

BUYERS = ("pharma", "ai_company", "insurer", "institute")


def snapshots(place: Place, world: Path, *, count: int, seed: int) -> None:
    """Work on a copy of the place: `variants/NNN` are snapshots on the way, `final` is the end; made once."""
    if (world / "final" / "checkpoint").is_file():
        return
    work = place.copy(world / "work")
    clock = SystemClock()
    settings = Settings(data_folder=work.data, log_file=work.data / "log.txt", window_kib=16)
    with (
        open_instance(settings, clock) as instance,
        open_world(instance.runtime, work.parties, clock, began=clock.now()) as opened,  # type: ignore[arg-type]
    ):
        steps = work_of(opened, place, random.Random(seed))
        for number in range(count):
            next(steps)
            _snapshot(work.data, world / "variants" / f"{number:03d}")
        _settle(instance)
        _snapshot(work.data, world / "final")
    shutil.copytree(work.data / "objects", world / "final" / "objects")


def work_of(world: World, place: Place, dice: random.Random) -> Iterator[None]:
    """Endless ordinary work, one call of the API at a time."""
    for round_number, buyer in enumerate(cycle(BUYERS)):
        yield from _contract(world, place, buyer, round_number, dice)
        yield from _others(world, place, round_number)


def _contract(world: World, place: Place, buyer: str, number: int, dice: random.Random) -> Iterator[None]:
    client, hospital = world[buyer], world["hospital"]
    words = f"round {number}"
    asked = client.post("/v1/requests", {"listing": place.listing, "purpose": PURPOSE, "justification": words})
    yield
    agreement = hospital.post(f"/v1/requests/{asked['id']}/approval", {})["id"]
    yield
    document = client.get(f"/v1/agreements/{agreement}")["document"]
    for party in (client, hospital):
        party.post(f"/v1/agreements/{agreement}/signature", party.sign(document, "agreement"))
        yield
    wait_for_delivery(client, agreement)
    yield
    for purpose in (PURPOSE, "advertising", PURPOSE):
        _use(client, agreement, purpose, whole=dice.random() < 0.7)
        yield
    if dice.random() < 0.4:
        hospital.post(f"/v1/agreements/{agreement}/termination", {"reason": "breach"})
        yield


def _others(world: World, place: Place, number: int) -> Iterator[None]:
    hospital, exchange = world["hospital"], world["exchange"]
    asset = hospital.post("/v1/assets", CHEST_CT | {"name": f"示例数据集 {number}"})["id"]
    yield
    hospital.post(f"/v1/assets/{asset}/versions")
    yield
    exchange.post(f"/v1/listings/{place.listing}/suspension", {"reason": "data_problem"})
    yield
    exchange.post(f"/v1/listings/{place.listing}/resumption", {"reason": "resolved"})
    yield


def _use(client: Any, agreement: str, purpose: str, *, whole: bool) -> None:
    headers = {"Idempotency-Key": new_id("key")}
    try:
        with client.stream(f"/v1/agreements/{agreement}/data", {"purpose": purpose}, headers) as response:
            for _ in response.iter_bytes():
                if not whole:
                    break
    except ProblemError as problem:
        if problem.status != 403:
            raise


def _settle(instance: Instance) -> None:
    """Until nothing waits for its leaf number, so that the last checkpoint covers everything."""
    limit = time.monotonic() + 60
    quiet = 0
    while quiet < 3:
        assert time.monotonic() < limit
        time.sleep(0.7)
        with instance.runtime.database.reading() as db:
            loose = db.connection().exec_driver_sql("SELECT count(*) FROM entry WHERE leaf_index IS NULL").scalar_one()
        quiet = 0 if loose else quiet + 1


def _snapshot(data: Path, target: Path) -> None:
    """The heads first: a database that is copied later holds at least what was signed before."""
    target.mkdir(parents=True)
    for name in ("log-signer", "witness"):
        shutil.copytree(data / name, target / name)
    with (
        closing(sqlite3.connect(data / "market.sqlite3")) as source,
        closing(sqlite3.connect(target / "market.sqlite3")) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        newest = copy.execute("SELECT note FROM log_checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    (target / "checkpoint").write_text(newest[0])
