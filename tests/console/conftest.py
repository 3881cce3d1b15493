"""One small told world for all pages, told once a session."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from marketplace.main import build_runtime, create_app
from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings
from seeds.chest_ct import Archive, generate
from seeds.story import tell
from tests.console.trading import Trade, open_trade


@dataclass(frozen=True)
class Told:
    """A finished story: its data folder, the result it wrote, where its artifacts lie."""

    data: Path
    result: dict[str, Any]
    folder: Path

    @property
    def bundle(self) -> bytes:
        return (self.folder / self.result["artifacts"]["bundle"]).read_bytes()


@dataclass(frozen=True)
class Site:
    """The application over a told world, in process."""

    browser: TestClient
    runtime: Runtime
    told: Told
    listing: str
    agreement: str

    def page(self, address: str, **options: Any) -> str:
        """The text of a page that must be there."""
        answer = self.browser.get(address, **options)
        assert answer.status_code == 200, (address, answer.status_code, answer.text[:400])
        return answer.text


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("told")
    scans = generate(folder / "scans", Archive(patients=3, slices=2, size=48))
    tell(folder / "data", source=scans, json_file=folder / "result.json")
    return Told(folder / "data", json.loads((folder / "result.json").read_text()), folder)


@pytest.fixture(scope="session")
def site(told: Told, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Served from a copy, so that a test may change what it shows."""
    data = tmp_path_factory.mktemp("site") / "data"
    shutil.copytree(told.data, data, ignore=shutil.ignore_patterns("*.sock", "*.socket"))
    runtime = build_runtime(Settings(data_folder=data, parse_workers=1))
    try:
        with TestClient(create_app(runtime), headers={"accept": "text/html"}) as browser:
            agreement = told.result["agreement"]["id"]
            yield Site(browser, runtime, told, _listing_of(runtime, agreement), agreement)
    finally:
        runtime.close()


def _listing_of(runtime: Runtime, agreement: str) -> str:
    from marketplace.negotiation.models import Agreement

    with runtime.database.reading() as db:
        found = db.get(Agreement, agreement)
        assert found is not None
        return found.listing_id


@pytest.fixture(scope="session")
def trade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trade]:
    with open_trade(tmp_path_factory.mktemp("trade") / "house") as opened:
        yield opened
