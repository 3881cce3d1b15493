"""The client's own proofs of use, taken by the real application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marketplace.cli import app
from marketplace.client import proofs
from marketplace.client.api import ApiClient, in_process
from marketplace.client.problem import ProblemError
from marketplace.commands import party
from marketplace.main import create_app
from tests.house import House, open_house
from tests.negotiation.duties.owed import AGREEMENT, agreement, owe, pass_days, terminate, use


@pytest.fixture
def owing(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path / "house") as house:
        yield owe(house)


@pytest.fixture
def buyer(owing: House) -> Iterator[ApiClient]:
    url = owing.runtime.settings.public_url
    pharma = owing.cast["pharma"]
    with in_process(create_app(owing.runtime), url) as http:
        yield ApiClient(http, url, pharma.id, pharma.key, owing.clock)


def test_reports_follow_one_another_to_the_end_and_then_nothing_is_left(owing: House, buyer: ApiClient) -> None:
    use(owing)
    pass_days(owing, 40)
    first = proofs.report_use(buyer, AGREEMENT, {"model_training": 1}, results=["model"], staff=["research"])
    pass_days(owing, 30)
    terminate(owing)
    pass_days(owing, 1)
    last = proofs.report_use(buyer, AGREEMENT, {}, results=["none"], staff=["research"])
    assert (first["differences"], last["differences"], last["period_from"]) == ([], [], first["period_to"])
    with pytest.raises(proofs.NothingToReport):
        proofs.report_use(buyer, AGREEMENT, {}, results=["none"], staff=["research"])


def test_deletion_is_certified_after_the_end_only(owing: House, buyer: ApiClient) -> None:
    use(owing)
    with pytest.raises(ProblemError, match="after the end"):
        proofs.certify_deletion(buyer, AGREEMENT, method="overwriting")
    terminate(owing)
    pass_days(owing, 2)
    made = proofs.certify_deletion(buyer, AGREEMENT, method="overwriting")
    assert (made["manifests"], made["late"]) == (buyer.get(f"/v1/agreements/{AGREEMENT}/duties")["delivered"], False)


def test_the_command_line_reports_and_certifies(
    owing: House, buyer: ApiClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from contextlib import contextmanager

    @contextmanager
    def here(url: str, folder: Path) -> Iterator[ApiClient]:
        yield buyer

    monkeypatch.setattr(party, "client_of", here)
    run = CliRunner().invoke
    use(owing)
    pass_days(owing, 5)
    words = [AGREEMENT, "--as", str(tmp_path), "--json"]
    done = run(app, ["party", "report-use", *words, "--use", "model_training=1", "--staff", "clinical"])
    assert '"differences": []' in done.output, done.output
    assert '"state": "pending"' in run(app, ["party", "duties", *words]).output
    terminate(owing)
    assert agreement(owing).state == "terminated"
    done = run(app, ["party", "certify-deletion", *words, "--method", "cryptographic_erasure"])
    assert '"late": false' in done.output, done.output


@pytest.mark.parametrize("typed", [["model_training"], ["model_training=-1"], ["a=1", "a=2"], ["a=1.5"]])
def test_a_count_that_is_none_is_refused(typed: list[str]) -> None:
    with pytest.raises(proofs.NotACount):
        proofs.read_uses(typed)
