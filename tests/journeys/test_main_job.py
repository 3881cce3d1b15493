"""The main job, told on a small archive: from scans to a listed asset, a contract, a use, its proof and its cost.

Told on SQLite with the relay in process, and on PostgreSQL and Redis with a Celery worker of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, create_engine, func, select

from marketplace.audit.models import DocumentSignature, Entry
from marketplace.costing.formulas import Terms, break_even_sales, price_for_sales
from marketplace.costing.models import MeterEvent
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.negotiation.duties.models import UseReport
from marketplace.usage.models import UsageQuota
from seeds.chest_ct import Archive, generate
from seeds.story import tell
from tests.servers import initdb_path, postgresql, redis_path, redis_server

PATIENTS = 6
REFUSED = {
    "other purpose": "purpose_denied_always",
    "other asset": "wrong_asset",
    "wrong party": "wrong_party",
    "raw version": "raw-not-offered",
    "unknown policy term": "bad-parameters",
    "suspended certificate": "certificate_suspended",
    "policy engine failing": "policy_unavailable",
    "over quota": "quota_exceeded",
    "after expiry": "expired",
}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("scans"), Archive(patients=PATIENTS, slices=2, size=48))


@dataclass(frozen=True)
class Told:
    """A telling that ended.  result: what it wrote; database: an address for SQLAlchemy."""

    result: dict[str, Any]
    folder: Path
    database: str


@contextmanager
def production_parts(folder: Path) -> Iterator[dict[str, str]]:
    """PostgreSQL, Redis, and a Celery worker that shares the data folder; the schema is made by the migrations."""
    with postgresql() as database_url, redis_server() as redis_url:
        parts = {"database_url": database_url, "redis_url": redis_url}
        told = {"data_folder": str(folder)} | parts
        environment = os.environ | {f"MARKETPLACE_{name.upper()}": value for name, value in told.items()}
        subprocess.run([sys.executable, "-m", "marketplace", "migrate"], env=environment, check=True)
        with celery_worker(environment, folder.parent / "worker.log"):
            yield parts


@contextmanager
def celery_worker(environment: dict[str, str], log: Path) -> Iterator[None]:
    options = ["--concurrency", "2", "--loglevel", "WARNING"]
    command = [sys.executable, "-m", "celery", "-A", "tests.journeys.story_worker", "worker", *options]
    with log.open("wb") as written:
        worker = subprocess.Popen(command, env=environment, stdout=written, stderr=written)
        try:
            yield
        finally:
            _end(worker)


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.terminate()
    try:
        worker.wait(120)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def _servers_missing() -> str | None:
    missing = [name for name, found in (("PostgreSQL", initdb_path()), ("redis-server", redis_path())) if found is None]
    return f"{' and '.join(missing)} not installed here" if missing else None


@pytest.fixture(scope="module", params=["embedded", "production"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, scans: Path) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp(request.param)
    file = folder / "result.json"
    with ExitStack() as stack:
        parts: dict[str, str] = {}
        if request.param == "production":
            if missing := _servers_missing():
                pytest.skip(f"journey on PostgreSQL, Redis and Celery skipped: {missing}")
            parts = stack.enter_context(production_parts(folder / "data"))
        tell(folder / "data", source=scans, json_file=file, **parts)
        url = parts.get("database_url", f"sqlite:///{folder / 'data' / 'market.sqlite3'}")
        url = url.replace("postgresql://", "postgresql+psycopg://")
        yield Told(json.loads(file.read_text()), folder, url)


@pytest.fixture
def books(told: Told) -> Iterator[Session]:
    engine = create_engine(told.database)
    with Session(engine) as db:
        yield db
    engine.dispose()


def test_the_asset_is_listed_with_five_signed_stages(told: Told) -> None:
    result = told.result
    assert result["asset"]["stage"] == "listed"
    assert result["asset"]["records"] == PATIENTS
    assert [row["stage"] for row in result["passport"]] == [
        "collected",
        "governed",
        "assessed",
        "certified",
        "listed",
    ]
    assert all(row["evidence"] or row["stage"] == "collected" for row in result["passport"])
    assert len({row["signer"] for row in result["passport"]}) == 4


def test_the_certificate_has_the_code_of_the_national_guideline(told: Told) -> None:
    code = told.result["certificate"]["code"]
    assert len(code) == 15
    assert code.startswith("SJ")
    assert code[2:].isdigit()


def test_the_cost_is_what_the_ledger_and_the_formulas_say(told: Told) -> None:
    cost = told.result["cost"]
    assert cost["governance_fen"] == PATIENTS * 5500
    assert cost["legal_fen"] == 5_500_000
    assert cost["certificate_fen"] == 500_000
    assert cost["total_fen"] == PATIENTS * 5500 + 6_000_000
    terms = Terms(vat=Fraction(6, 100), surcharge=Fraction(12, 100), exchange_fee=Fraction(25, 1000))
    for price, sales in cost["break_even"].items():
        assert sales == break_even_sales(cost["total_fen"], int(price), 200_000, terms)
    assert cost["price_for"]["1"] == price_for_sales(cost["total_fen"], 1, 200_000, terms)


def test_every_attempt_that_must_fail_was_refused_with_its_reason(told: Told) -> None:
    assert {row["case"]: row["reason"] for row in told.result["refusals"]} == REFUSED


def test_the_served_bytes_are_those_of_the_signed_manifest(told: Told) -> None:
    result, folder = told.result, told.folder
    served = folder / result["artifacts"]["served"]
    assert hashlib.sha256(served.read_bytes()).hexdigest() == result["use"]["sha256"]
    assert served.stat().st_size == result["use"]["bytes"]
    manifest = json.loads(json.loads((folder / result["artifacts"]["manifest"]).read_text())["body"])
    promised = {row["path"]: row["sha256"] for row in manifest["files"]}
    with tarfile.open(served) as tar:
        found = {
            member.name: hashlib.sha256(tar.extractfile(member).read()).hexdigest()  # type: ignore[union-attr]
            for member in tar.getmembers()
        }
    assert found == promised
    assert len(found) == result["use"]["files"]


def test_no_planted_identifier_is_left_in_what_was_served(told: Told, scans: Path) -> None:
    result, folder = told.result, told.folder
    content = (folder / result["artifacts"]["served"]).read_bytes()
    planted = json.loads((scans.parent / "planted.json").read_text())
    assert len(planted) > PATIENTS * 5
    for text in planted:
        for encoding in ("utf-8", "gb18030", "utf-16-le"):
            assert text.encode(encoding) not in content, text


def test_the_log_is_cosigned_and_the_bundle_verifies_offline(told: Told) -> None:
    result, folder = told.result, told.folder
    assert result["log"]["cosigned"] is True
    assert result["log"]["verified"] is True
    bundle = folder / result["artifacts"]["bundle"]
    command = [sys.executable, "-m", "marketplace.audit.verifier"]
    assert subprocess.run([*command, str(bundle)], capture_output=True, check=False).returncode == 0
    changed = folder / "changed.json"
    changed.write_text(bundle.read_text().replace("usage:allowed", "usage:refused", 1))
    done = subprocess.run([*command, str(changed)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ent_" in done.stdout or "index" in done.stdout


def test_the_books_balance_and_nothing_is_counted_twice(told: Told, books: Session) -> None:
    assert told.result["ledger"]["imbalance_fen"] == 0
    assert books.exec(select(func.sum(Posting.amount_minor))).one() == 0
    events = books.exec(select(func.count()).select_from(MeterEvent)).one()
    assert books.exec(select(func.count()).select_from(LedgerTransaction)).one() == events
    kinds = [kind for kind in books.exec(select(MeterEvent.kind)).all() if not kind.startswith("use.")]
    assert sorted(kinds) == [
        "exchange.buyer_fee",
        "exchange.buyer_fee",
        "governance.scan",
        "legal.opinion",
        "registration.certificate",
        "sale.access",
        "sale.access",
    ]


def test_the_buyers_report_of_use_is_accepted_and_differs_from_the_log_in_nothing(told: Told, books: Session) -> None:
    said = told.result["use_report"]
    assert (said["uses"], said["differences"], said["late"]) == ({"product_development": 2}, [], False)
    row = books.exec(select(UseReport).where(UseReport.agreement_id == told.result["agreement"]["id"])).one()
    assert row.document == said["document"]
    signed = books.exec(select(DocumentSignature).where(DocumentSignature.document == row.document)).one()
    assert (signed.typ, row.period_to > row.period_from) == ("use-report+jws", True)


def test_the_quota_shows_two_uses_and_nothing_reserved(told: Told, books: Session) -> None:
    quota = books.exec(select(UsageQuota).where(UsageQuota.agreement_id == told.result["agreement"]["id"])).one()
    assert (quota.uses_settled, quota.uses_reserved) == (2, 0)


def test_nothing_that_is_recorded_lies_in_the_future(books: Session) -> None:
    last = books.exec(select(func.max(Entry.at))).one()
    assert last is not None
    assert last.timestamp() < time.time() + 60


@pytest.fixture(scope="module")
def retold(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> tuple[Told, Told]:
    """The same story twice on one folder: the first telling and the second."""
    folder = tmp_path_factory.mktemp("again")
    url = f"sqlite:///{folder / 'data' / 'market.sqlite3'}"
    files = (folder / "first.json", folder / "again.json")
    first, again = (Told(tell(folder / "data", source=scans, json_file=file), folder, url) for file in files)
    return first, again


def test_telling_it_again_changes_neither_books_nor_quota(retold: tuple[Told, Told]) -> None:
    first, again = retold
    for name in ("cost", "ledger", "use"):
        assert again.result[name] == first.result[name], name
    engine = create_engine(again.database)
    with Session(engine) as db:
        quota = db.exec(select(UsageQuota).where(UsageQuota.agreement_id == again.result["agreement"]["id"])).one()
        assert (quota.uses_settled, quota.uses_reserved) == (2, 0)
    engine.dispose()


def test_telling_it_again_finds_what_was_made_and_makes_nothing_beside_it(retold: tuple[Told, Told]) -> None:
    first, again = retold
    for name in ("asset", "version", "passport", "certificate", "agreement"):
        assert again.result[name] == first.result[name], name


def test_telling_it_again_is_in_the_log(retold: tuple[Told, Told]) -> None:
    first, again = retold
    assert again.result["log"]["size"] > first.result["log"]["size"]
    assert [one.result["log"]["verified"] for one in retold] == [True, True]
