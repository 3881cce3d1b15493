"""`marketplace trace`: from an instance's own key, or offline from evidence that holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from marketplace.cli import app
from marketplace.kernel.canonical import sha256_hex
from tests.audit.world import Log, open_log, tell_story
from tests.house import House
from tests.transfer.scans import WOMAN, agreed_on_scans, delivered, images
from tests.usage.agreed import agree_again, uses
from tests.usage.duties import with_duties

LEAKED = b"mark/1 agreement=agr_1 buyer=prt_pharma tag=" + b"a" * 32
DELIVERY = {
    "agreement": {"id": "agr_1"},
    "buyer": "prt_pharma",
    "version": {"id": "ver_1"},
    "transformations": [],
    "files": [
        {"path": "NOTICE.txt", "sha256": sha256_hex(LEAKED), "bytes": 9, "source_path": None, "source_sha256": None}
    ],
    "mark": {"tag": "a" * 32},
}


def run(*words: str, code: int) -> str:
    done = CliRunner().invoke(app, ["trace", *words])
    assert done.exit_code == code, f"{done.output} {done.exception!r}"
    return done.output


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with open_log(tmp_path) as opened:
        yield opened


def test_the_service_tells_each_leaked_slice_its_agreement(house: House, tmp_path: Path) -> None:
    policy = with_duties(uses(), {"action": "mkt:watermark"})
    made = agreed_on_scans(house, policy, [WOMAN] * 2)
    agree_again(house, made, "agr_2", policy)
    found: list[str] = []
    for name in ("agr_1", "agr_2"):
        leaked = images(house, delivered(house, name))["1"]
        leaked.SeriesDescription = "saved anew"
        found.append(str(tmp_path / f"{name}.dcm"))
        leaked.save_as(found[-1], enforce_file_format=True)
    data = str(house.runtime.settings.data_folder)
    answers: list[dict[str, Any]] = json.loads(run(*found, "--data", data, "--json", code=0))
    assert [(one["certainty"], one["agreements"], one["traced"]) for one in answers] == [
        ("keyed", ["agr_1"], True),
        ("keyed", ["agr_2"], True),
    ]
    stranger = tmp_path / "stranger.dcm"
    stranger.write_bytes(b"nothing of ours")
    text = run(found[0], str(stranger), "--data", data, code=1)
    assert "agreement agr_1, keyed" in text
    assert "stranger.dcm: not traced" in text
    assert "does not show that it came from none" in text


def test_an_auditor_traces_offline_with_evidence_that_holds(log: Log, tmp_path: Path) -> None:
    tell_story(log, delivery=DELIVERY)
    log.round()
    bundle, leaked = tmp_path / "bundle.json", tmp_path / "leaked"
    bundle.write_text(json.dumps(log.bundle(agreement="agr_1")))
    leaked.write_bytes(LEAKED)
    assert "agreement agr_1, proven" in run(str(leaked), "--evidence", str(bundle), code=0)
    leaked.write_bytes(LEAKED + b" and more")
    assert "agreement agr_1, likely" in run(str(leaked), "--evidence", str(bundle), code=0)
    bundle.write_text(bundle.read_text().replace("a" * 32, "b" * 32))
    assert "does not hold is not used" in run(str(leaked), "--evidence", str(bundle), code=2)


def test_without_anything_to_compare_with_nothing_is_said(tmp_path: Path) -> None:
    leaked = tmp_path / "leaked"
    leaked.write_bytes(b"x")
    assert "--evidence" in run(str(leaked), code=2)
