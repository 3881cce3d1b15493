"""The books on the command line: where one is paid, and orders that are placed only with their file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from marketplace.cli import app
from marketplace.client.api import ApiClient, in_process
from marketplace.commands import books
from marketplace.main import create_app
from tests.house import House
from tests.settlement.owing import payables

BANK = "102100099996"
Run = Callable[..., Result]


@pytest.fixture
def run(owing: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run `marketplace books …` as a party of the house, over its API."""
    url = owing.runtime.settings.public_url
    with in_process(create_app(owing.runtime), url) as http:

        @contextmanager
        def here(_url: str, folder: Path) -> Iterator[ApiClient]:
            member = owing.cast[folder.name]
            yield ApiClient(http, url, member.id, member.key, owing.clock)

        monkeypatch.setattr(books, "client_of", here)
        yield lambda who, *words: CliRunner().invoke(app, ["books", *words, "--as", f"/parties/{who}"])


def account(number: str) -> tuple[str, ...]:
    return ("account", "--holder", "示例户名", "--account", number, "--bank", BANK)


def states(house: House) -> dict[str, str]:
    return {kind: one.state for kind, one in payables(house).items()}


def test_a_hospital_names_its_account_and_orders_what_it_owes(owing: House, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bank" / "pay.xml"
    file.parent.mkdir()
    refused = run("hospital", "pay", "--file", str(file))
    assert (refused.exit_code, list(file.parent.iterdir())) == (1, [])  # no account, no order, no file
    for who, number in (("hospital", "6222000000000001"), ("law_firm", "6222000000000002")):
        assert run(who, *account(number)).exit_code == 0
    assert run("hospital", "pay", "--file", str(file)).exit_code == 0
    assert list(file.parent.iterdir()) == [file]
    assert "6222000000000002" in file.read_text("utf-8")
    assert states(owing) == {"legal.opinion": "ordered", "registration.certificate": "owed"}


def test_nothing_is_ordered_where_the_file_for_the_bank_cannot_be_written(
    owing: House, run: Run, tmp_path: Path
) -> None:
    for who, number in (("hospital", "6222000000000001"), ("law_firm", "6222000000000002")):
        run(who, *account(number))
    lost = run("hospital", "pay", "--file", str(tmp_path / "nowhere" / "pay.xml"))
    assert isinstance(lost.exception, FileNotFoundError)
    folder = run("hospital", "pay", "--file", str(tmp_path))
    assert (folder.exit_code, list(tmp_path.parent.glob("*.part"))) == (2, [])  # nor where it is a folder
    assert set(states(owing).values()) == {"owed"}
