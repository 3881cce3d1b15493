"""The auditor's commands over a served house: search, disclosures, FHIR, persons."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from marketplace.cli import app
from marketplace.client.api import ApiClient
from marketplace.commands import auditing
from tests.audit.used import PERSON, Used, open_used
from tests.house import House
from tests.participants.small_market import open_market


@pytest.fixture
def used(house: House) -> Iterator[Used]:
    with open_used(house) as opened:
        yield opened


@pytest.fixture
def run(used: Used, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs a command as a party of the cast; `--as NAME` names it, the network is in process."""
    from marketplace.audit import routes as audit

    with open_market(used.house, (audit.routes,)) as market:

        @contextmanager
        def as_named(_url: str, party: Path) -> Iterator[ApiClient]:
            yield market.client(party.name)

        monkeypatch.setattr(auditing, "client_of", as_named)

        def command(*words: str, code: int = 0) -> str:
            done = CliRunner().invoke(app, ["audit", *words])
            assert done.exit_code == code, f"{done.output} {done.exception!r}"
            return done.output

        yield command


def test_search_prints_a_line_for_each_entry(run: Any) -> None:
    lines = run("search", "action:usage: agreement:agr_1", "--as", "auditor").splitlines()
    assert [line.split()[1] for line in lines] == ["usage:allowed"] * 2 + ["usage:refused", "usage:allowed"]
    found = json.loads(run("search", "action:usage:refused", "--as", "pharma", "--json"))
    assert [one["tag"] for one in found] == ["usage:refused"]
    assert run("search", "actor:prt_nobody", "--as", "auditor").strip() == "no entry fits"


def test_disclosures_as_lines_json_and_csv(run: Any, tmp_path: Path) -> None:
    lines = run("disclosures", "--asset", "ast_1", "--as", "hospital").splitlines()
    assert lines[-1] == "3 disclosures"
    assert all("=Example pharma (prt_pharma)" in line for line in lines[:-1])
    period = ("--from", "2026-09-02", "--to", "2026-09-03")
    report = json.loads(run("disclosures", "--participant", "prt_pharma", *period, "--json", "--as", "pharma"))
    assert [one["purpose"] for one in report["items"]] == ["statistics"]
    file = tmp_path / "report.csv"
    run("disclosures", "--asset", "ast_1", "--csv", "--file", str(file), "--as", "auditor")
    assert len(run("disclosures", "--asset", "ast_1", "--csv", "--as", "auditor").splitlines()) == 4
    rows = list(csv.DictReader(io.StringIO(file.read_bytes().decode(), newline=""), strict=True))
    assert [one["recipient_name"] for one in rows] == ["'=Example pharma"] * 3


def test_fhir_and_persons(run: Any, used: Used) -> None:
    bundle = json.loads(run("fhir", "--agreement", "agr_1", "--from", "2026-09-02", "--as", "pharma"))
    assert (bundle["resourceType"], len(bundle["entry"])) == ("Bundle", 5)
    (commitment,) = [line.split()[0] for line in run("persons", "--as", "auditor").splitlines()]
    assert PERSON in run("person", commitment, "--as", "pharma")
    assert len(used.entries("participant:person_disclosed")) == 1


def test_a_day_that_is_none_ends_with_a_sentence(run: Any) -> None:
    assert "2026-01-01" in run("disclosures", "--asset", "ast_1", "--from", "soon", "--as", "auditor", code=2)
