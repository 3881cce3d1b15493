"""The world that harnesses work on: the seed story told on a small archive, with one listing whose uses have a price.

It is told once into a folder; every run copies that folder.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace.client.keys import KeyFolder
from marketplace.kernel.clock import SystemClock
from marketplace.settings import Settings
from seeds.chest_ct import Archive, generate
from seeds.forms import CHEST_CT, OFFER
from seeds.stages import Scene
from seeds.world import open_world
from workers.instance import open_instance

PURPOSE = "product_development"
USE_PRICE_FEN = 12_300
# Few uses, so that quotas matter; a price for each, so that the books can be compared with the served windows.
PER_USE: dict[str, Any] = OFFER | {
    "parameters": OFFER["parameters"] | {"max_uses": 4},
    "price_plan": {"kind": "per_use", "price_fen": USE_PRICE_FEN},
}


@dataclass(frozen=True)
class Place:
    """A data folder with the parties' keys beside it.  listing: the one with a price for each use."""

    data: Path
    parties: Path
    listing: str
    version: str
    scans: Path

    def copy(self, folder: Path) -> Place:
        """The same world in another folder."""
        folder.mkdir(parents=True, exist_ok=True)
        data, parties = folder / "data", folder / "parties"
        shutil.copytree(self.data, data, symlinks=True)
        shutil.copytree(self.parties, parties)
        return Place(data, parties, self.listing, self.version, self.scans)

    @property
    def keys(self) -> KeyFolder:
        return KeyFolder(self.parties)


def prepare(folder: Path, *, slices: int = 6, size: int = 64, database_url: str = "") -> Place:
    """Tell the story in a folder, once; about ten seconds.  Told before, it is only read."""
    note = folder / "place.json"
    data, parties = folder / "market", folder / "market-parties"
    scans = folder / "scans"
    if not note.is_file():
        from seeds.story import tell

        folder.mkdir(parents=True, exist_ok=True)
        generate(scans, Archive(patients=4, slices=slices, size=size))
        with contextlib.redirect_stdout(io.StringIO()):
            told = tell(
                data,
                source=scans,
                json_file=folder / "told.json",
                declaration="defaced_before_collection",
                database_url=database_url,
            )
        version = str(told["version"]["id"])
        note.write_text(
            json.dumps({"listing": _list_per_use(data, parties, version, database_url), "version": version})
        )
    kept = json.loads(note.read_text())
    return Place(data, parties, kept["listing"], kept["version"], scans)


def _list_per_use(data: Path, parties: Path, version: str, database_url: str) -> str:
    clock = SystemClock()
    settings = Settings(data_folder=data, database_url=database_url, log_file=data / "story.log")
    with (
        open_instance(settings, clock) as instance,
        open_world(instance.runtime, parties, clock, began=clock.now()) as world,  # type: ignore[arg-type]
    ):
        return str(Scene(world, "harness-per-use", CHEST_CT).list(version, PER_USE)["listing"]["id"])
