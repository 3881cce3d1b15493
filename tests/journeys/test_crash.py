"""A telling that is killed anywhere and told again ends like one that was left alone, with nothing counted twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session, col, select

from marketplace.audit.client import public_keys
from marketplace.audit.fsck import fsck
from marketplace.audit.models import Entry
from marketplace.costing.models import MeterEvent
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.plumbing.db import Database
from marketplace.plumbing.outbox import OutboxRow
from marketplace.settings import Settings
from marketplace.transfer.models import Transfer
from marketplace.usage.models import UsageQuota
from seeds.chest_ct import Archive, generate

ROOT = Path(__file__).resolve().parents[2]

# The kills of one row follow one another on the same data folder, then the story is told to its end.
# A float is a part of the time that an undisturbed telling takes, a whole number counts commits of the process.
KILLS: dict[str, tuple[float | int, ...]] = {
    "early": (0.25, 40, 0.40, 75, 0.50, 100),
    "late": (0.85, 90, 0.60, 120),
}
TELLING_SECONDS = 900
# What is done anew by every telling and must be recorded anew: attempts, exports, the suspension, parts of a stream.
RECORDED_AGAIN = {
    "audit:exported",
    "asset:version_resumed",
    "audit:rows_sealed",
    "asset:version_suspended",
    "edge:refused",
    "edge:refusals_counted",
    "exchange:listing_resumed",
    "exchange:listing_suspended",
    "registration:certificate_resumed",
    "registration:certificate_suspended",
    "transfer:closed",
    "transfer:stop_notified",
    "transfer:window_served",
    "usage:allowed",
    "usage:refused",
}
# Tables whose size follows from those entries, or from time: how often one who waits for bytes is told `no-delivery`.
GROWING = {"entry", "log_tile", "log_checkpoint", "seen_token", "idempotency", "stop_notice", "stop_notice_reader"}
GROWING |= {"refusal_count"}
# Each suspension of the certificate has its own notice and its own words, so these are compared without them.
COMPARED = {
    "document": "kind NOT IN ('stop-notice', 'words')",
    "document_signature": "typ <> 'stop-notice+jws'",
    "outbox": "task <> 'transfer.notify_stop'",
}


@dataclass(frozen=True)
class Place:
    """A folder in which a story is told, and the scans it is told of."""

    folder: Path
    scans: Path
    temporary: Path

    @property
    def data(self) -> Path:
        return self.folder / f"data-{self.scans.resolve().name}"

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    def begin(self, die_at_commit: int = 0) -> subprocess.Popen[str]:
        """Start a telling in a process group of its own, as a terminal would."""
        command = [sys.executable, "-m", "tests.journeys.killed", str(die_at_commit), "demo"]
        command += ["--data", str(self.folder / "data"), "--source", str(self.scans), "--json-file", str(self.result)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        return subprocess.Popen(command, cwd=ROOT, text=True, start_new_session=True, env=environment, **pipes)

    def tell(self) -> dict[str, Any]:
        """Tell to the end."""
        telling = self.begin()
        out, err = telling.communicate(timeout=TELLING_SECONDS)
        assert telling.returncode == 0, out[-2000:] + err[-4000:]
        told: dict[str, Any] = json.loads(self.result.read_text())
        return told

    def tell_until(self, moment: float, whole: float) -> str:
        """Tell and be killed; returns the last line the story had come to, or `the end` when it was faster."""
        telling = self.begin(moment if isinstance(moment, int) else 0)
        if isinstance(moment, float):
            _pause(telling, moment * whole)
            _kill_group(telling)
        out, err = telling.communicate(timeout=TELLING_SECONDS)
        assert telling.returncode in {0, -signal.SIGKILL}, out[-2000:] + err[-4000:]
        said = [line.strip() for line in out.splitlines() if line.strip()]
        return "the end" if telling.returncode == 0 else (said or ["nothing yet"])[-1][:60]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("scans"), Archive(patients=6, slices=2, size=48))


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    """A folder for temporary files of the tellings, with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="crash-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, scans: Path, temporary: Path) -> tuple[dict[str, Any], float]:
    """What a telling comes to when nobody kills it, and how many seconds it takes."""
    place = Place(tmp_path_factory.mktemp("undisturbed"), scans, temporary)
    began = time.monotonic()
    place.tell()
    seconds = time.monotonic() - began
    return outcome(place), seconds


@pytest.mark.parametrize("name", KILLS)
def test_a_killed_telling_ends_like_an_undisturbed_one(
    tmp_path: Path, scans: Path, temporary: Path, undisturbed: tuple[dict[str, Any], float], name: str
) -> None:
    place = Place(tmp_path, scans, temporary)
    expected, seconds = undisturbed
    for moment in KILLS[name]:
        when = f"commit {moment}" if isinstance(moment, int) else f"{moment * seconds:.1f} of {seconds:.1f} s"
        print(f"killed at {when}: {place.tell_until(moment, seconds)}")
    place.tell()
    assert outcome(place) == expected
    assert [one.name for one in temporary.iterdir()] == []


def test_a_second_process_on_the_same_folder_is_turned_away(tmp_path: Path, scans: Path, temporary: Path) -> None:
    place = Place(tmp_path, scans, temporary)
    first = place.begin()
    lock = place.data / "lock"
    _wait_until(lambda: lock.is_file() and lock.read_text() == str(first.pid))
    second = place.begin()
    _, err = second.communicate(timeout=TELLING_SECONDS)
    assert second.returncode == 1
    assert "is in use" in err
    assert str(first.pid) in err
    assert "Traceback" not in err
    _kill_group(first)
    first.communicate()


def outcome(place: Place) -> dict[str, Any]:
    """Everything that must not depend on how often the story was told; asserts that the evidence is sound."""
    told = json.loads(place.result.read_text())
    assert told["log"]["verified"] is True
    assert told["ledger"]["imbalance_fen"] == 0
    settings = Settings(data_folder=place.data)
    database = Database(settings.effective_database_url)
    try:
        with database.reading() as db:
            report = fsck(db, keys=public_keys(settings))
            assert report.findings == []
            return _story(told) | _books(db) | _rows(db)
    finally:
        database.dispose()


def _story(told: dict[str, Any]) -> dict[str, Any]:
    kept = {name: told[name] for name in ("cost", "ledger")}
    return kept | {
        "refusals": {row["case"]: (row["status"], _reasons(row["reason"])) for row in told["refusals"]},
        "asset": {name: told["asset"][name] for name in ("name", "records", "stage")},
        "version": {name: told["version"][name] for name in ("files", "rejected", "held_back")},
        "use": {name: told["use"][name] for name in ("bytes", "files")},
        "passport": [(row["stage"], len(row["evidence"]), row["cost_fen"]) for row in told["passport"]],
    }


def _reasons(words: str) -> set[str]:
    """A quota that an earlier telling used up is one more reason against the same attempt, never the only new one."""
    reasons = set(words.split(", "))
    return reasons - {"quota_exceeded"} or reasons


def _books(db: Session) -> dict[str, Any]:
    events = Counter((one.kind, one.quantity, one.unit_price_fen) for one in db.exec(select(MeterEvent)))
    transactions = Counter(db.exec(select(LedgerTransaction.kind)))
    quotas = [(one.uses_reserved, one.uses_settled, one.bytes_reserved) for one in db.exec(select(UsageQuota))]
    return {
        "events": events,
        "transactions": transactions,
        "postings": Counter(db.exec(select(Posting.account, Posting.amount_minor))),
        "quotas": sorted(quotas),
        "open transfers": [one.id for one in db.exec(select(Transfer).where(Transfer.state == "open"))],
        "unfinished work": list(db.exec(select(OutboxRow.task).where(col(OutboxRow.done_at).is_(None)))),
        "given up": list(db.exec(select(OutboxRow.task).where(col(OutboxRow.given_up_at).is_not(None)))),
    }


def _rows(db: Session) -> dict[str, Any]:
    """Sizes of all tables and numbers of entries by tag, but for what every telling adds to."""
    tables = list(db.connection().scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")))
    sizes = {
        name: db.connection().scalar(text(f'SELECT count(*) FROM "{name}" WHERE {COMPARED.get(name, "1 = 1")}'))
        for name in tables
        if name not in GROWING
    }
    written = db.exec(select(Entry.tag, Entry.body))
    tags = Counter(tag for tag, body in written if tag not in RECORDED_AGAIN and b"stop-notice" not in body)
    return {"tables": sizes, "entries": tags}


def _pause(telling: subprocess.Popen[str], seconds: float) -> None:
    try:
        telling.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _kill_group(telling: subprocess.Popen[str]) -> None:
    try:
        os.killpg(telling.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _wait_until(ready: Any) -> None:
    limit = time.monotonic() + TELLING_SECONDS
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.02)
