"""Many agreements over one large file, on the real clock, for the harnesses of uses; several processes may enter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from marketplace.kernel.actor import Actor
from marketplace.kernel.clock import SystemClock
from marketplace.kernel.signing import generate_key
from marketplace.main import build_runtime
from marketplace.settings import Settings
from marketplace.transfer.delivery import prepare
from seeds.cast import CAST
from tests.house import House, SeedParty, open_house
from tests.usage.agreed import Agreed, agree, agree_again, uses
from tests.usage.plain import add_file

PATH = "noise.bin"
PURPOSE = "model_training"


def agreement_id(number: int) -> str:
    return f"agr_{number}"


def arrange(
    folder: Path,
    database_url: str = "",
    *,
    agreements: int,
    size: int,
    policy: dict[str, Any] | None = None,
    price: int = 0,
) -> Agreed:
    """A fresh market: a version with one file of random bytes, agreements `agr_1`, `agr_2`, … with their deliveries."""
    with open_house(folder, database_url) as opened:
        house = _on_real_clock(opened)
        policy = policy or uses(count=None, duties=())
        made = agree(house, policy, files=0, price=price)
        add_file(house, made.version, PATH, os.urandom(size))
        for number in range(2, agreements + 1):
            agree_again(house, made, agreement_id(number), policy, price=price)
        for number in range(1, agreements + 1):
            prepare(house.runtime, agreement_id(number))
        return made


@contextmanager
def enter(folder: Path, database_url: str = "", **settings: Any) -> Iterator[House]:
    """Another process's own runtime on an arranged market."""
    runtime = build_runtime(Settings(data_folder=folder, database_url=database_url, parse_workers=1, **settings))
    key = generate_key()
    cast = {
        part.name: SeedParty(f"prt_{part.name}", key, Actor(f"prt_{part.name}", frozenset(map(str, part.roles))))
        for part in CAST
    }
    try:
        yield House(runtime, runtime.clock, cast)  # type: ignore[arg-type]
    finally:
        runtime.close()


def _on_real_clock(house: House) -> House:
    clock: Any = SystemClock()
    return replace(house, clock=clock, runtime=replace(house.runtime, clock=clock))
