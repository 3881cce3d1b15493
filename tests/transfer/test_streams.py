"""Running streams over a real socket: whatever stops them bites at once, even while a slow reader holds them up."""

from __future__ import annotations

import http.client
import os
import time
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from marketplace.kernel.canonical import sha256_hex
from marketplace.plumbing import epochs
from marketplace.plumbing.epochs import Stop
from marketplace.transfer import queries, rules, watch
from marketplace.transfer.delivery import prepare
from marketplace.transfer.models import Transfer
from marketplace.usage.models import UsageQuota
from tests.transfer.doors import entries, reading, rest_of, served, wait_until, with_settings
from tests.usage.agreed import agree, uses
from tests.usage.plain import add_file

DATA = "/v1/agreements/agr_1/data?purpose=model_training"
PHARMA = {"X-Caller": "pharma"}
SIZE = 8 << 20


@pytest.fixture
def large(house):
    """A delivery of one file of 8 MiB, so that a stream outlasts every buffer."""
    agree(house, uses(count=50, duties=()), files=1)
    add_file(house, "ver_1", "noise.bin", os.urandom(SIZE))
    prepare(house.runtime, "agr_1")
    return house


def transfers(house) -> list[Transfer]:
    with house.runtime.database.reading() as db:
        return list(queries.of_agreement(db, "agr_1").rows)


def ended(house) -> bool:
    return all(row.state == "closed" for row in transfers(house))


def logged(house) -> int:
    return sum(entry["facts"]["length"] for entry in entries(house, "transfer:window_served"))


def stop(house) -> None:
    with house.arrange() as db:
        epochs.bump(db, "agr_1", Stop.AGREEMENT_TERMINATED)


def test_a_whole_download_is_complete_settled_and_logged_without_gap(large):
    with served(large) as address, reading(address, DATA, PHARMA) as answer:
        received, cut = rest_of(answer)
        wait_until(lambda: ended(large))
    (row,) = transfers(large)
    assert not cut
    assert (row.outcome, row.served) == ("complete", len(received))
    assert row.sha256 == sha256_hex(received)
    lengths = [entry["facts"]["length"] for entry in entries(large, "transfer:window_served")]
    assert sum(lengths) == len(received)
    assert max(lengths) <= 1 << 20


def test_a_stop_reaches_a_stream_that_waits_for_its_reader(large):
    with served(large) as address, reading(address, DATA, PHARMA) as answer:
        received = answer.read(100_000)
        time.sleep(0.3)  # the first window lies in the buffers, and the stream waits
        stop(large)
        wait_until(lambda: ended(large))  # nobody reads meanwhile
        rest, cut = rest_of(answer)
    (row,) = transfers(large)
    assert cut
    assert row.outcome == "agreement_terminated"
    assert len(received) + len(rest) <= row.served == logged(large)
    assert row.served - len(received) <= (1 << 20) + rules.SMALLEST_WINDOW
    with large.db() as db:
        quota = db.get(UsageQuota, "agr_1")
        assert (quota.uses_reserved, quota.uses_settled, quota.bytes_reserved) == (0, 1, 0)


def test_the_end_of_the_term_reaches_a_stream_that_waits_for_its_reader(large):
    with served(large) as address, reading(address, DATA, PHARMA) as answer:
        answer.read(10_000)
        large.clock.advance(timedelta(days=365))
        wait_until(lambda: ended(large))
    assert transfers(large)[0].outcome == "expired"


def test_a_client_that_reads_nothing_is_cut_off(large):
    with served(with_settings(large, stream_idle_seconds=1)) as address, reading(address, DATA, PHARMA) as answer:
        answer.read(10_000)
        wait_until(lambda: ended(large))
        assert rest_of(answer)[1]
    (row,) = transfers(large)
    assert row.outcome == "idle"
    assert row.served <= 2 << 20


def test_a_client_that_leaves_is_settled_at_what_was_logged(large):
    with served(large) as address:
        with reading(address, DATA, PHARMA) as answer:
            received = answer.read(300_000)
        wait_until(lambda: ended(large))
    (row,) = transfers(large)
    assert row.outcome == "broken"
    assert len(received) <= row.served == logged(large) < row.size


def test_forty_readers_that_stand_still_hold_up_nobody(large):
    with served(large) as address:
        still = [reading(address, DATA, PHARMA) for _ in range(40)]
        for one in still:
            one.__enter__()
        with reading(address, DATA, PHARMA) as answer:
            received, cut = rest_of(answer)
        assert (len(received), cut) == (transfers(large)[0].size, False)
        stop(large)
        wait_until(lambda: ended(large))
        for one in still:
            one.__exit__(None, None, None)
    outcomes = [row.outcome for row in transfers(large)]
    assert sorted(outcomes) == ["agreement_terminated"] * 40 + ["complete"]


def test_a_stop_of_another_agreement_stops_nothing(large):
    with served(large) as address, reading(address, DATA, PHARMA) as answer:
        first = answer.read(10_000)
        with large.arrange() as db:
            epochs.bump(db, "agr_other", Stop.AGREEMENT_TERMINATED)
        time.sleep(0.2)
        received, cut = rest_of(answer)
        wait_until(lambda: ended(large))
    assert not cut
    assert len(first) + len(received) == transfers(large)[0].size


def test_streams_that_nobody_can_watch_any_more_end(large, monkeypatch):
    monkeypatch.setattr(watch, "BLIND_SECONDS", 0.3)

    def gone(db: Session) -> int:
        raise OperationalError("the database is gone", None, Exception())

    with served(large) as address, reading(address, DATA, PHARMA) as answer:
        answer.read(10_000)
        monkeypatch.setattr(epochs, "changes", gone)
        wait_until(lambda: ended(large))
        assert rest_of(answer)[1]
    assert transfers(large)[0].outcome == "unwatched"


def test_the_watch_rests_when_no_stream_runs(large):
    with served(large) as address, reading(address, DATA, PHARMA) as answer:
        rest_of(answer)
        wait_until(lambda: ended(large))
    wait_until(lambda: large.runtime.database.engine.pool.checkedout() == 0)


def test_the_connection_of_a_finished_use_serves_the_next_one(large):
    with served(large) as address:
        connection = http.client.HTTPConnection(*address, timeout=20)
        lines = set()
        for _ in range(3):
            connection.request("GET", DATA, headers=PHARMA | {"Range": "bytes=0-99999"})
            assert len(connection.getresponse().read()) == 100_000
            lines.add(connection.sock.getsockname())
        connection.close()
        wait_until(lambda: ended(large))
    assert len(lines) == 1
    assert [row.outcome for row in transfers(large)] == ["complete"] * 3


def test_a_window_fits_the_reader():
    largest = 1 << 20
    assert rules.window(largest, 0, 0, 0.0) == rules.SMALLEST_WINDOW, "nothing is known of the client yet"
    sizes = [0]
    while sizes[-1] < largest:
        sizes.append(rules.window(largest, 0, sizes[-1], 0.001))
    assert sizes == [0, largest // 16, largest // 4, largest]
    assert rules.window(largest, 300_000, largest, 0.001) == largest - 300_000
    assert rules.window(largest, 0, largest, 1.0) == largest, "a fast reader gets the largest"
    assert rules.window(largest, 0, largest, 50.0) == largest // 10, "a slow one what it takes in five seconds"
    assert rules.window(largest, 0, 1000, 500.0) == rules.SMALLEST_WINDOW
    assert rules.window(1024, 5000, 0, 0.0) == 1024
