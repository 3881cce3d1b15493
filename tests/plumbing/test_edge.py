"""The edge: one transaction per request, refusals that stay, and one effect per Idempotency-Key."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event

from tests.plumbing.door import SECRET, Door

KEY = "key-00000001"


def test_the_effect_is_committed_before_the_first_byte_of_the_answer(either_door: Door) -> None:
    either_door.firsts.clear()
    assert either_door.hospital.knock("watched/knock").status_code == 200
    assert either_door.firsts == [0, 1]  # the token before it, then the knock


@pytest.mark.parametrize(("slug", "status"), [("door-shut", 409), ("not-for-you", 403)])
def test_a_raised_refusal_is_recorded_and_nothing_else_is_kept(either_door: Door, slug: str, status: int) -> None:
    assert either_door.hospital.knock(f"one/raise/{slug}").status_code == status
    (entry,) = either_door.entries("edge:refused")
    body = json.loads(entry.body)
    assert body["facts"] == {"reason": slug, "route": "POST /v1/door/{name}/raise/{slug}"}
    assert body["actor"]["participant"] == either_door.house.cast["hospital"].id
    assert either_door.number("one") == 0


def test_an_error_that_is_no_refusal_keeps_and_records_nothing(door: Door) -> None:
    for slug in ("invalid", "not-found", "unavailable"):
        door.hospital.knock(f"one/raise/{slug}")
    assert door.number("one") == 0
    assert door.entries("edge:refused") == []


def test_a_returned_refusal_commits(door: Door) -> None:
    assert door.hospital.knock("one/refuse").status_code == 403
    assert door.number("one") == 1
    assert door.entries("edge:refused") == []


def test_the_same_key_replays_the_first_answer(either_door: Door) -> None:
    first = either_door.hospital.knock("one/knock")
    again = either_door.hospital.knock("one/knock")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert either_door.number("one") == 1


def test_a_key_belongs_to_its_caller_its_path_and_its_body(door: Door) -> None:
    assert door.hospital.knock("one/knock").status_code == 200
    assert door.pharma.knock("one/knock").status_code == 200
    assert door.hospital.knock("two/knock").status_code == 200
    assert (door.number("one"), door.number("two")) == (2, 1)
    other = door.hospital.knock("one/knock", json={"other": "body"})
    assert other.status_code == 422
    assert other.json()["type"] == "/problems/key-reused"
    assert door.number("one") == 2


@pytest.mark.parametrize("key", [None, "short", "k" * 129])
def test_a_change_without_a_proper_key_is_refused(door: Door, key: str | None) -> None:
    assert door.hospital.knock("one/knock", key).status_code in {400, 422}
    assert door.number("one") == 0


def test_a_replayed_refusal_is_not_recorded_again_but_a_raised_one_may_succeed_later(door: Door) -> None:
    for _ in range(2):
        assert door.hospital.knock("one/refuse").status_code == 403
    assert door.number("one") == 1
    assert door.hospital.knock("two/raise/door-shut").status_code == 409
    assert door.hospital.knock("two/raise/door-shut").status_code == 409
    assert len(door.entries("edge:refused")) == 2


def test_an_answer_of_500_and_more_is_not_kept(door: Door) -> None:
    for expected in (1, 2):
        assert door.hospital.knock("one/answer/503").status_code == 503
        assert door.number("one") == expected
    for _ in range(2):
        assert door.hospital.knock("two/answer/404").status_code == 404
    assert door.number("two") == 1


def test_two_simultaneous_requests_with_one_key_have_one_effect(either_door: Door) -> None:
    door = either_door
    door.hospital.knock("warm/knock")
    answers = in_threads([lambda: door.hospital.knock("one/knock?seconds=0.3") for _ in range(4)])
    assert [one.status_code for one in answers] == [200] * 4
    assert len({one.content for one in answers}) == 1
    assert sorted(one.headers.get("Idempotency-Replayed", "no") for one in answers) == ["no", "true", "true", "true"]
    assert door.number("one") == 1


def test_two_simultaneous_requests_with_one_key_of_which_the_first_fails_have_one_effect(either_door: Door) -> None:
    door = either_door
    door.hospital.knock("warm/knock")
    answers = in_threads([lambda: door.hospital.knock("one/raise/door-shut") for _ in range(2)])
    assert [one.status_code for one in answers] == [409, 409]
    assert door.hospital.knock("one/knock", "key-00000002").status_code == 200
    assert door.number("one") == 1


def test_a_crowd_of_writers_does_not_lock_itself_out(either_door: Door) -> None:
    door = either_door
    door.hospital.knock("warm/knock")
    knocks = [lambda n=n: door.hospital.knock("one/knock", f"key-{n:08d}") for n in range(90)]
    answers = in_threads(knocks)
    assert [one.status_code for one in answers] == [200] * 90
    assert door.number("one") == 90


def test_a_body_that_would_fill_the_memory_is_refused_before_it_is_read(door: Door) -> None:
    door.hospital.knock("warm/knock")
    taken = 0

    def pieces() -> Any:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b"x" * (1 << 20)

    answer = door.hospital.knock("one/knock", content=pieces())
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/body-too-large"
    assert door.number("one") == 0
    assert door.hospital.knock("one/knock", json={"size": "x" * (1 << 20)}).status_code == 200


def test_a_full_database_answers_507_and_keeps_nothing_half(door: Door) -> None:
    door.hospital.knock("warm/knock")
    engine = door.house.runtime.database.engine
    pages: list[int] = []

    def limit(connection: Any, _record: Any) -> None:
        used = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {used + 20}")
        pages.append(used)

    engine.dispose()
    event.listen(engine, "connect", limit)
    full = door.hospital.knock("one/answer/200?size=1000000")
    event.remove(engine, "connect", limit)
    engine.dispose()
    assert pages
    assert full.status_code == 507
    assert full.headers["content-type"] == "application/problem+json"
    assert full.json()["type"] == "/problems/storage-full"
    assert "Traceback" not in full.text
    assert "SQL" not in full.text
    assert door.number("one") == 0
    assert door.hospital.knock("one/answer/200?size=1000000").status_code == 200
    assert door.number("one") == 1


def test_a_full_object_store_answers_507_and_keeps_nothing_half(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.hospital.knock("warm/knock")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        answer = door.hospital.knock("one/store")
    assert answer.status_code == 507
    assert answer.json()["type"] == "/problems/storage-full"
    assert door.number("one") == 0
    objects = door.house.runtime.settings.data_folder / "objects"
    assert [one for one in objects.rglob("*") if one.is_file()] == []
    assert door.hospital.knock("one/store").status_code == 200
    assert door.number("one") == 1


def test_a_database_that_is_away_answers_503_and_then_works(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.hospital.knock("warm/knock")
    database = door.house.runtime.database
    with database.transaction() as held, monkeypatch.context() as impatient:
        held.connection()  # takes the turn to write, and does not let go
        impatient.setattr(database._turn, "take", partial(database._turn.take, 0.1))
        answer = door.hospital.knock("one/knock")
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/database-busy"
    assert door.hospital.knock("one/knock").status_code == 200
    assert door.number("one") == 1


def test_what_nobody_expected_shows_a_trace_id_and_nothing_of_itself(door: Door) -> None:
    answer = door.hospital.knock("one/break")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["trace_id"].startswith("err_")
    for word in (SECRET, "RuntimeError", "Traceback", "door.py"):
        assert word not in answer.text
    assert door.number("one") == 0


def in_threads(functions: list[Callable[[], Any]]) -> list[Any]:
    """Call all at once; the answers in any order."""
    together = threading.Barrier(len(functions))
    answers: list[Any] = []

    def call(function: Callable[[], Any]) -> None:
        together.wait()
        answers.append(function())

    threads = [threading.Thread(target=call, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return answers
