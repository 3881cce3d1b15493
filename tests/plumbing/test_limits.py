"""Rate limits (T34): by participant, by address before that, in process or in Redis, and what of it is recorded."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from marketplace.audit.counted import write_counts
from marketplace.kernel.canonical import read_strictly
from marketplace.participants.tokens import ASSERTION_TYPE, GRANT_TYPE
from marketplace.plumbing.buckets import OwnBuckets, Rate, SharedBuckets
from marketplace.plumbing.limits import Limits, RateLimited, place_of
from marketplace.plumbing.problems import problem
from marketplace.plumbing.refusals import RefusalCounts
from tests.house import START, House
from tests.plumbing.door import Door, open_door
from tests.servers import redis_path, redis_server


@dataclass
class Ticks:
    """A monotonic clock that moves when told."""

    now: float = 1000

    def __call__(self) -> int:
        return int(self.now * 1_000_000_000)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    if redis_path() is None:
        pytest.skip("Redis is not installed here")
    with redis_server() as url:
        yield url


def drained(buckets: Any, name: str, rate: Rate) -> int:
    return sum(buckets.take(name, rate).allowed for _ in range(rate.burst * 2))


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    ticks, rate = Ticks(), Rate(per_second=10, burst=25)
    buckets = OwnBuckets(ticks)
    assert [buckets.take("a", rate).remaining for _ in range(3)] == [24, 23, 22]
    assert drained(buckets, "a", rate) == 22
    refused = buckets.take("a", rate)
    assert (refused.allowed, refused.remaining) == (False, 0)
    assert refused.retry_seconds == 1
    assert refused.reset_seconds == 3
    assert drained(buckets, "b", rate) == 25
    ticks.now += 0.5
    assert drained(buckets, "a", rate) == 5
    ticks.now += 3600
    assert drained(buckets, "a", rate) == 25


def test_one_of_many_threads_gets_the_last_token() -> None:
    rate, buckets, allowed = Rate(per_second=1, burst=200), OwnBuckets(Ticks()), []
    together = threading.Barrier(8)

    def take() -> None:
        together.wait()
        allowed.append(sum(buckets.take("a", rate).allowed for _ in range(100)))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(allowed) == 200


def test_inventing_names_neither_fills_the_memory_nor_frees_a_used_bucket() -> None:
    ticks, rate = Ticks(), Rate(per_second=1, burst=10)
    buckets = OwnBuckets(ticks, most=100)
    assert drained(buckets, "caught", rate) == 10
    assert sum(buckets.take(f"name {n}", rate).allowed for n in range(10_000)) == 99 + 10  # its own, then the shared
    assert len(buckets._full_at) <= 101
    assert not buckets.take("caught", rate).allowed
    ticks.now += 11
    assert drained(buckets, "new", rate) == 10
    assert len(buckets._full_at) == 1


def test_buckets_in_redis_are_one_for_all_processes(redis_url: str) -> None:
    rate = Rate(per_second=1, burst=50)
    first, second = SharedBuckets(redis_url, "test"), SharedBuckets(redis_url, "test")
    try:
        assert first.take("a", rate).remaining == 49
        assert second.take("a", rate).remaining == 48
        assert 48 <= drained(first, "a", rate) + drained(second, "a", rate) <= 50
        refused = second.take("a", rate)
        assert not refused.allowed
        assert refused.retry_seconds == 1
        assert drained(SharedBuckets(redis_url, "other"), "a", rate) >= 50
    finally:
        first.close()
        second.close()


def test_a_silent_redis_leaves_each_process_its_own_limit(capsys: pytest.CaptureFixture[str]) -> None:
    ticks, rate = Ticks(), Rate(per_second=1, burst=5)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts in the kernel, and never answers
        buckets = SharedBuckets(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", "test", ticks)
        try:
            assert drained(buckets, "a", rate) == 5
            assert not buckets.take("a", rate).allowed
        finally:
            buckets.close()


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_caller_is_counted_by_its_network(host: str, place: str) -> None:
    assert place_of(Request({"type": "http", "client": (host, 1) if host else None})) == place


@dataclass
class Small:
    """A door whose buckets are small and whose clock stands still."""

    door: Door
    ticks: Ticks = field(default_factory=Ticks)


@pytest.fixture
def small(both: House) -> Iterator[Small]:
    small = Small.__new__(Small)
    small.ticks = Ticks()
    tight = both.runtime.settings.model_copy(
        update={
            "limit_participant_per_second": 2,
            "limit_participant_burst": 6,
            "limit_address_per_second": 2,
            "limit_address_burst": 6,
        }
    )
    view = SimpleNamespace(settings=tight, refusals=both.runtime.refusals, clock=both.runtime.clock)
    limits = Limits(view, OwnBuckets(small.ticks), OwnBuckets(small.ticks))  # type: ignore[arg-type]
    with open_door(both, limits) as opened:
        small.door = opened
        yield small


def counted(door: Door) -> list[dict[str, Any]]:
    write_counts(door.house.runtime)
    return [read_strictly(one.body)["facts"] for one in door.entries("edge:refusals_counted")]  # type: ignore[index, call-overload, misc]


def test_a_participant_beyond_its_burst_gets_429_with_what_it_needs_to_wait(small: Small) -> None:
    door = small.door
    answers = [door.hospital.knock("one/knock", f"key-{n:08d}") for n in range(8)]
    assert [one.status_code for one in answers] == [200] * 6 + [429] * 2
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "/problems/rate-limited"
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["RateLimit-Policy"] == '"participant";q=6;w=3'
    assert refused.headers["RateLimit"] == '"participant";r=0;t=3'
    assert door.number("one") == 6
    assert door.pharma.knock("one/knock", "key-00000001").status_code == 200  # a neighbour does not notice
    small.ticks.now += 1
    assert door.hospital.knock("one/knock", "key-00000007").status_code == 200
    assert door.entries("edge:refused") == []
    (facts,) = counted(door)
    assert (facts["counts"], facts["participants"]) == ({}, {door.house.cast["hospital"].id: {"rate-limited": 2}})


def test_a_known_caller_who_asks_for_what_it_cannot_see_leaves_a_number(small: Small) -> None:
    door = small.door
    for number in range(3):
        assert door.hospital.knock("one/raise/not-found", f"key-{number:08d}").status_code == 404
    assert door.entries("edge:refused") == []
    (facts,) = counted(door)
    assert (facts["counts"], facts["participants"]) == ({}, {door.house.cast["hospital"].id: {"not-found": 3}})


def test_what_nobody_known_was_refused_becomes_one_entry_by_reason(small: Small) -> None:
    door = small.door
    assert door.hospital.knock("one/knock", "key-00000001").status_code == 200
    small.ticks.now += 60
    http = door.hospital._http
    wrong = {"Authorization": "Bearer not.a.token"}
    answers = [http.get("http://127.0.0.1:8000/v1/door/one", headers=wrong) for _ in range(3)]
    answers += [http.get("http://127.0.0.1:8000/v1/door/one") for _ in range(2)]
    answers += [http.post("http://127.0.0.1:8000/oauth/token", data={"a": "b"})]
    assert {one.status_code for one in answers} <= {400, 401, 404}
    before = len(answers)
    answers += [http.get("http://127.0.0.1:8000/v1/door/one", headers=wrong) for _ in range(4)]
    assert answers[-1].status_code == 429
    assert "WWW-Authenticate" not in answers[-1].headers
    assert door.entries("edge:refusals_counted") == []
    (facts,) = counted(door)
    assert facts["counts"]["invalid-token"] == 3
    assert facts["counts"]["authentication-required"] == 2
    assert facts["counts"]["rate-limited"] == len(answers) - max(6, before)
    assert facts["participants"] == {}
    assert facts["from"] == facts["to"]
    for word in ("127.0.0.1", "testclient", "not.a.token"):
        assert word not in json.dumps(facts)
    assert len(counted(door)) == 1  # nothing new, no new entry
    # Whoever proves who it is does not suffer from its neighbours at the same address.
    assert door.hospital.knock("one/knock", "key-00000002").status_code == 200


def test_tokens_are_counted_by_who_proved_to_ask_never_by_who_is_claimed_to(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital, pharma = small.door.hospital, small.door.pharma
    monkeypatch.setattr(Limits, "unknown", lambda *_: None)  # each from an address of its own

    def ask(**changed: str) -> int:
        form = {"grant_type": GRANT_TYPE, "client_assertion_type": ASSERTION_TYPE} | changed
        return int(hospital._http.post("http://127.0.0.1:8000/oauth/token", data=form).status_code)

    now = small.door.house.clock.now()
    stolen = hospital._assertion(now)
    assert ask(client_assertion=stolen) == 200
    for _ in range(8):
        assert ask(client_assertion="a.b.c", client_id=hospital.participant_id) == 401
        assert ask(client_assertion=pharma._assertion(now), client_id=hospital.participant_id) == 401
        assert ask(client_assertion=stolen) == 401  # shown a second time
    answers = [ask(client_assertion=hospital._assertion(now)) for _ in range(7)]
    assert answers == [200] * 5 + [429] * 2
    assert ask(client_assertion=pharma._assertion(now)) == 200
    small.ticks.now += 1
    assert ask(client_assertion=hospital._assertion(now)) == 200


def test_counts_stay_when_they_cannot_be_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = RefusalCounts()
    counts.add("invalid-token", START)

    def broken(**_options: object) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(house.runtime.database, "session", broken)
        with pytest.raises(OSError, match="no room"):
            counts.flush(house.runtime.database, START)
    counts.add("invalid-token", START)
    house.runtime.refusals._numbers.update(counts._numbers)
    write_counts(house.runtime)
    with open_door(house) as door:
        (entry,) = door.entries("edge:refusals_counted")
    assert json.loads(entry.body)["facts"]["counts"] == {"invalid-token": 2}


def test_the_refusal_itself_says_when_to_come_back() -> None:
    verdict = OwnBuckets(Ticks()).take("a", Rate(1, 1))
    answer = problem(RateLimited("participant", Rate(200, 5000), verdict))
    assert answer.status_code == 429
    assert answer.headers["RateLimit-Policy"] == '"participant";q=5000;w=25'


def test_the_pages_count_a_caller_too(small: Small) -> None:
    http = small.door.hospital._http
    answers = [http.get("http://127.0.0.1:8000/verify").status_code for _ in range(8)]
    assert answers == [200] * 6 + [429] * 2
    assert http.get("http://127.0.0.1:8000/livez").status_code == 200
