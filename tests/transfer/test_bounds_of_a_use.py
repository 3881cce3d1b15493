"""What one counted use may take, and that setting the clock back revives nothing (decision 9, threat T13)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from marketplace.costing.models import MeterEvent
from marketplace.negotiation.models import Agreement
from marketplace.transfer import queries, rules, service
from marketplace.transfer.delivery import prepare
from marketplace.transfer.models import Transfer
from marketplace.usage.rules import ClockBehind
from tests.house import House
from tests.transfer.doors import app_of, entries, with_settings
from tests.transfer.one_use import charged, opened, quota, source_of, transfer
from tests.usage.agreed import agree, rewrite

DATA = "/v1/agreements/agr_1/data"
GOOD = {"purpose": "model_training"}
KEY = {"X-Caller": "pharma", "Idempotency-Key": "use-number-1"}


@pytest.fixture
def ready(house):
    agree(house, price=1500)
    prepare(house.runtime, "agr_1")
    return with_settings(house, window_kib=1)


@pytest.fixture
def client(ready):
    with TestClient(app_of(ready)) as opened:
        yield opened


def test_a_counted_use_sends_each_byte_twice_and_no_more(ready, client):
    codes = [client.get(DATA, params=GOOD, headers=KEY).status_code for _ in range(3)]
    assert codes == [200, 200, 409]
    row = transfer(ready)
    assert row.served == 2 * row.size
    assert quota(ready) == (0, 1, 0, 2 * row.size)
    assert charged(ready) == [1500]
    last = entries(ready, "edge:refused")[-1]
    assert last["facts"]["reason"] == "use-spent"


def test_parts_count_towards_what_a_use_may_send(ready, client):
    assert client.get(DATA, params=GOOD, headers=KEY).status_code == 200
    size = transfer(ready).size
    assert client.get(DATA, params=GOOD, headers=KEY | {"Range": "bytes=1-"}).status_code == 206
    answer = client.get(DATA, params=GOOD, headers=KEY | {"Range": "bytes=0-1"})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/use-spent")
    assert client.get(DATA, params=GOOD, headers=KEY | {"Range": "bytes=0-0"}).status_code == 206
    assert transfer(ready).served == 2 * size


def test_a_use_that_breaks_again_and_again_is_still_brought_to_its_end(ready):
    received, size = b"", None
    while size is None or len(received) < size:
        with TestClient(app_of(ready)) as client:
            headers = KEY | {"Range": f"bytes={len(received)}-{len(received) + 4095}"}
            answer = client.get(DATA, params=GOOD, headers=headers)
            assert answer.status_code == 206
        received += answer.content
        size = transfer(ready).size
    assert quota(ready) == (0, 1, 0, size)
    assert charged(ready) == [1500]


def test_a_use_has_a_limited_number_of_answers(ready):
    house = with_settings(ready, use_legs=3)
    one = KEY | {"Range": "bytes=100-100"}
    with TestClient(app_of(house)) as client:
        assert [client.get(DATA, params=GOOD, headers=one).status_code for _ in range(4)] == [206, 206, 206, 409]
        assert entries(house, "edge:refused")[-1]["facts"]["reason"] == "use-spent"
        assert client.get(DATA, params=GOOD, headers=one | {"Idempotency-Key": "use-number-2"}).status_code == 206
    assert len(entries(house, "usage:allowed")) == 4
    assert quota(house) == (0, 2, 0, 4)


def test_a_long_download_may_break_more_often():
    now = datetime(2026, 9, 1, tzinfo=UTC)
    long = 10 * rules.LEG_BYTES
    rules.check_continues(now, 0, long, 1, 12, now, hours=24, most_legs=3)
    for size, legs in ((long, 13), (rules.LEG_BYTES - 1, 3)):
        with pytest.raises(rules.UseSpent):
            rules.check_continues(now, 0, size, 1, legs, now, hours=24, most_legs=3)


def test_a_use_can_be_continued_for_a_day(ready, client):
    assert client.get(DATA, params=GOOD, headers=KEY).status_code == 200
    ready.clock.advance(timedelta(hours=24))
    assert client.get(DATA, params=GOOD, headers=KEY | {"Range": "bytes=0-9"}).status_code == 206
    ready.clock.advance(timedelta(seconds=1))
    answer = client.get(DATA, params=GOOD, headers=KEY | {"Range": "bytes=0-9"})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/use-spent")


def test_one_key_used_by_many_at_once_opens_one_use(ready):
    with TestClient(app_of(ready)) as client, ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(lambda _: client.get(DATA, params=GOOD, headers=KEY).status_code, range(8)))
    assert set(codes) <= {200, 409}
    row = transfer(ready)
    assert row.served <= 2 * row.size
    assert quota(ready) == (0, 1, 0, row.served)
    assert charged(ready) == [1500]


def test_the_charge_is_the_price_that_was_signed(ready):
    source = source_of(ready, opened(ready))
    assert source.next()
    rewrite(ready, Agreement, "agr_1", price_plan={"kind": "per_use", "price_fen": 1})
    source.close()
    assert charged(ready) == [1500]


def test_a_price_that_was_not_signed_refuses_the_use(ready, client):
    rewrite(ready, Agreement, "agr_1", price_plan={"kind": "per_use", "price_fen": 1})
    assert client.get(DATA, params=GOOD, headers=KEY).json()["reasons"] == ["terms_not_signed"]


def test_a_transfer_that_cannot_be_closed_does_not_hold_up_the_others(ready):
    first, second = opened(ready), opened(ready)
    assert source_of(ready, second).next()
    with ready.arrange() as db:
        row = db.get(Transfer, first.transfer)
        row.leg_uses = 3  # more than is reserved
        db.add(row)
    ready.clock.advance(timedelta(seconds=61))
    assert service.sweep(ready.runtime) == 1
    with ready.runtime.database.reading() as db:
        assert {row.id: row.state for row in queries.of_agreement(db, "agr_1").rows} == {
            first.transfer: "open",
            second.transfer: "closed",
        }


@pytest.mark.parametrize(
    ("hours", "served", "length", "allowed"),
    [(0, 0, 100, True), (24, 100, 100, True), (24, 101, 100, False), (25, 0, 1, False), (0, 200, 0, True)],
)
def test_how_far_a_use_may_go_on(hours, served, length, allowed):
    start = datetime.fromisoformat("2026-09-01T00:00:00Z")
    try:
        rules.check_continues(start, served, 100, length, 1, start + timedelta(hours=hours), hours=24, most_legs=9)
    except rules.UseSpent:
        assert not allowed
    else:
        assert allowed


class Jumping:
    """A clock that somebody sets: forward, back, wherever."""

    def __init__(self, start: datetime) -> None:
        self.moment = start

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def jumping(ready: House) -> House:
    return replace(ready, runtime=replace(ready.runtime, clock=Jumping(ready.clock.now())))


def jump(house: House, by: timedelta) -> None:
    house.runtime.clock.moment += by


def test_a_clock_set_back_revives_no_agreement_that_has_ended(jumping):
    jump(jumping, timedelta(days=366))
    with TestClient(app_of(jumping)) as client:
        headers = {"X-Caller": "pharma"}
        assert client.get(DATA, params=GOOD, headers=headers).json()["reasons"] == ["expired"]
        jump(jumping, timedelta(seconds=-59))
        assert client.get(DATA, params=GOOD, headers=headers).json()["reasons"] == ["expired"]
        for back in (timedelta(hours=-2), timedelta(days=-3), timedelta(days=-300)):
            jump(jumping, back)
            answer = client.get(DATA, params=GOOD, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/clock-behind")
            assert entries(jumping, "edge:refused")[-1]["facts"]["reason"] == "clock-behind"
            assert answer.json()["got"] < answer.json()["expected"]
    assert entries(jumping, "usage:allowed") == []


def test_a_clock_set_back_in_the_middle_stops_the_stream_and_settles_it(jumping):
    source = source_of(jumping, opened(jumping))
    assert source.next()
    jump(jumping, timedelta(hours=-2))
    assert source.next() is None
    source.close()
    row = transfer(jumping)
    assert (row.outcome, row.served) == ("clock_behind", 1024)
    assert row.closed_at >= row.opened_at
    assert quota(jumping) == (0, 1, 0, 1024)


def test_a_clock_a_little_behind_is_taken_as_the_time_of_the_log(jumping):
    source = source_of(jumping, opened(jumping))
    jump(jumping, timedelta(seconds=-30))
    assert source.next()
    (allowed,), (window,) = entries(jumping, "usage:allowed"), entries(jumping, "transfer:window_served")
    assert window["at"] == allowed["at"]
    source.close()


def test_a_clock_set_forward_ends_a_stream_and_set_back_again_revives_nothing(jumping):
    source = source_of(jumping, opened(jumping))
    assert source.next()
    jump(jumping, timedelta(days=365))
    assert source.next() is None
    source.close()
    assert transfer(jumping).outcome == "expired"
    jump(jumping, timedelta(days=-365))
    with pytest.raises(ClockBehind, match="behind its own log"):
        opened(jumping)


def test_jumps_from_two_hours_back_to_three_days_on_never_write_an_entry_into_the_past(jumping):
    source = source_of(jumping, opened(jumping))
    for hours in (-2, 72, -1, 3, -2, 72):
        jump(jumping, timedelta(hours=hours))
        source.next()
    source.close()
    times = [entry["at"] for entry in entries(jumping, "usage:allowed", "transfer:window_served", "transfer:closed")]
    assert times == sorted(times)
    assert quota(jumping)[0] == 0


def test_the_sweeper_settles_orphans_even_when_the_clock_was_set_back(jumping):
    source = source_of(jumping, opened(jumping))
    assert source.next()
    with TestClient(app_of(jumping)) as client:
        jump(jumping, timedelta(hours=1))
        client.get(DATA, params={"purpose": "education"}, headers={"X-Caller": "pharma"})  # an entry at the later hour
    jump(jumping, timedelta(hours=-1))
    assert service.sweep(jumping.runtime) == 1
    assert quota(jumping) == (0, 1, 0, 1024)


def test_two_who_meter_one_cause_at_once_meter_it_once(house):
    from marketplace.costing.service import meter
    from marketplace.kernel.actor import SERVICE_ACTOR

    def one(_: int) -> str:
        with house.db() as db:
            return meter(
                db,
                SERVICE_ACTOR,
                "governance.scan",
                1,
                house.clock.now(),
                key="cause",
                asset="ast_1",
                payer="prt_hospital",
            )

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(one, range(16)))) == 1
    (entry,) = entries(house, "costing:metered")
    with house.runtime.database.reading() as db:
        (event,) = db.exec(select(MeterEvent)).all()
        assert event.entry_id == entry["id"]
