"""Exports of the books: other bookkeeping reads them and comes to the same balances."""

import csv
import io
import json
import re
from contextlib import nullcontext
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from marketplace.client.problem import ProblemError
from marketplace.commands import books as commands
from marketplace.costing.service import post_event
from marketplace.kernel.actor import SERVICE_ACTOR, Actor, Role
from marketplace.ledger import queries
from marketplace.ledger.exports import FORMATS, MEDIA_TYPES, _bean_account, _hledger_account
from marketplace.ledger.journal import major
from marketplace.ledger.rules import ReversalReason
from marketplace.ledger.service import reverse
from marketplace.main import ROUTERS
from tests.costing.books import NOW, meter_asset, meter_event, meter_sale, open_books, post_all
from tests.ledger.tools import run
from tests.participants.small_market import open_market

AUDITOR = Actor("prt_auditor", frozenset({Role.AUDITOR}))
HOSPITAL = Actor("prt_hospital", frozenset({Role.PROVIDER}))
SEPTEMBER, OCTOBER = ("2026-09", "2026-09"), ("2026-10", "2026-10")


def fill(db):
    """Two months: an asset, sales, one taken back, a cost that names an odd text, and an event of October."""
    sales = [post_event(db, meter_sale(db, 3_000_001 + n, key=f"s:{n}"), NOW) for n in range(3)]
    reverse(db, SERVICE_ACTOR, sales[0].id, ReversalReason.WRONG_RATE, NOW)
    post_all(db, meter_asset(db))
    post_event(db, meter_event(db, "legal.opinion", key="o", now=NOW + timedelta(days=40)), NOW + timedelta(days=41))


@pytest.fixture
def books(tmp_path):
    with open_books(tmp_path) as database:
        with database.transaction() as db:
            fill(db)
        yield database


def export(books, form, months=("2026-09", "2026-10"), actor=AUDITOR):
    with books.reading() as db:
        return "".join(FORMATS[form](queries.journal(db, actor, *months)))


def held(books, owner=None):
    """(owner, account, currency) -> minor units, as the market has them."""
    with books.reading() as db:
        return {
            (one.owner, one.account, one.currency): one.amount_minor
            for one in queries.balances(db, owner=owner)
            if one.amount_minor
        }


def test_the_json_holds_every_posting_and_its_log_entries_and_sums_to_the_books(books):
    told = json.loads(export(books, "json"))
    with books.reading() as db:
        transactions, postings = queries.counts(db)
    assert len(told["transactions"]) == transactions
    assert sum(len(one["postings"]) for one in told["transactions"]) == postings
    assert all(one["posting_entry"].startswith("ent_") for one in told["transactions"])
    closing = {(one["owner"], one["account"], one["currency"]): int(one["amount_minor"]) for one in told["closing"]}
    assert {key: minor for key, minor in closing.items() if minor} == held(books)


def test_the_csv_holds_debits_and_credits_that_sum_to_the_books(books):
    rows = list(csv.DictReader(io.StringIO(export(books, "csv"))))
    sums = {}
    for row in rows:
        key = row["owner"], row["account"], row["currency"]
        minor = round(float(row["debit"] or 0) * 100) - round(float(row["credit"] or 0) * 100)
        sums[key] = sums.get(key, 0) + minor
    assert {key: minor for key, minor in sums.items() if minor} == held(books)


@pytest.mark.parametrize("months", [("2026-09", "2026-10"), SEPTEMBER, OCTOBER])
def test_beancount_accepts_the_export_with_the_same_balances(books, tmp_path, months):
    file = tmp_path / "books.beancount"
    file.write_text(export(books, "beancount", months), encoding="utf-8")
    done = run("bean-check", file)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    off_by_a_fen = file.read_text(encoding="utf-8").replace("  55000.00 CNY", "  55000.01 CNY", 1)
    file.write_text(off_by_a_fen, encoding="utf-8")
    assert run("bean-check", file).returncode != 0


@pytest.mark.parametrize("owner", ["prt_hospital", "prt_exchange:service-fee"])
def test_every_part_of_a_beancount_account_begins_with_a_capital(owner):
    name = _bean_account(owner, "asset:cash")
    assert re.fullmatch("Assets(:[A-Z0-9][A-Za-z0-9-]*)+:Cash", name), name


@pytest.mark.parametrize("months", [("2026-09", "2026-10"), SEPTEMBER, OCTOBER])
def test_hledger_accepts_the_export_strictly_with_the_same_balances(books, tmp_path, months):
    file = tmp_path / "books.journal"
    file.write_text(export(books, "hledger", months), encoding="utf-8")
    checked = run("hledger", "-f", file, "check", "--strict")
    assert (checked.returncode, checked.stderr) == (0, "")
    if months != SEPTEMBER:
        ours = {_hledger_account(owner, code): major(minor) for (owner, code, _), minor in held(books).items()}
        assert balances_of_hledger(file) == ours


def balances_of_hledger(file):
    """Account -> amount in yuan, as hledger has them; those of nothing left out."""
    shown = run("hledger", "-f", file, "balance", "--flat", "-N", "-O", "csv").stdout
    rows = [row for row in csv.reader(io.StringIO(shown)) if row[0] != "account"]
    return {name: amount.removesuffix(" CNY") for name, amount in rows if amount != "0"}


def test_a_participant_exports_its_own_sub_ledger_and_it_balances(books):
    told = json.loads(export(books, "json", actor=HOSPITAL))
    postings = [line for one in told["transactions"] for line in one["postings"]]
    assert {line["owner"] for line in postings} == {"prt_hospital"}
    assert sum(int(line["amount_minor"]) for line in postings) == 0


def test_a_later_month_opens_with_what_counted_before(books):
    first, second = (json.loads(export(books, "json", months)) for months in (SEPTEMBER, OCTOBER))
    nonzero = [one for one in first["closing"] if one["amount_minor"] != "0"]
    assert second["opening"] == nonzero
    assert len(second["transactions"]) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_is_exported_over_http_and_the_same_on_the_command_line(house, form, monkeypatch, tmp_path):
    with house.db() as db:
        fill(db)
    with open_market(house, ROUTERS) as market:
        client = market.client("hospital")
        asked = {"from": "2026-09", "to": "2026-10", "format": form}
        answer = client._open("GET", "/v1/ledger/export", params=asked)
        body = answer.read().decode()
        assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPES[form])

        monkeypatch.setattr(commands, "client_of", lambda url, party: nullcontext(client))
        monkeypatch.setattr(commands, "PAGE", 2)
        arguments = ["export", "--as", str(tmp_path), "--from", "2026-09", "--to", "2026-10", "--format", form]
        written = CliRunner().invoke(commands.books_commands, arguments)
        assert written.exit_code == 0, written.output
        assert written.stdout.splitlines() == body.splitlines()


def test_odd_months_and_too_many_transactions_are_refused_in_words(house, monkeypatch):
    with house.db() as db:
        fill(db)
    with open_market(house, ROUTERS) as market:
        client = market.client("hospital")
        for asked in ({"from": "2026-10", "to": "2026-09"}, {"from": "2026-1", "to": "2026-09"}):
            with pytest.raises(ProblemError) as refused:
                client.get("/v1/ledger/export", asked)
            assert (refused.value.status, refused.value.slug) == (422, "no-period")
        monkeypatch.setattr(queries, "EXPORTED", 3)
        with pytest.raises(ProblemError) as refused:
            client.get("/v1/ledger/export", {"from": "2026-09", "to": "2026-10"})
        assert refused.value.slug == "too-much-to-export"
