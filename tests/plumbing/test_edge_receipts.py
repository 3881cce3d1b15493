"""Receipts at the edge: over what was committed, after the commit, the same for a replayed answer."""

from __future__ import annotations

import base64
import errno
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, text

from marketplace.audit.tree import leaf_hash
from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.clock import timestamp
from marketplace.kernel.signing import SigningKey, verify_compact
from tests.plumbing.door import WORKED, Door


def receipt_of(answer: Any) -> Any:
    """What the receipt of an answer says; it is signed by the service's key, which anyone may ask for."""
    return read_strictly(base64url(answer.headers["Receipt"].split(".")[1]))


def base64url(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_an_answer_carries_a_receipt_over_exactly_the_entries_it_left(either_door: Door) -> None:
    door = either_door
    answer = door.hospital.knock("one/knock")
    left = [*door.entries(WORKED), *door.entries("audit:rows_sealed")]
    assert len(left) == 2
    key = door.house.runtime.service_key
    signed = verify_compact(answer.headers["Receipt"], key.public_jwk, typ="receipt+jwt")
    assert read_strictly(signed) == {
        "v": 1,
        "log": door.house.runtime.settings.log_origin,
        "at": timestamp(door.house.clock.now()),
        "entries": [{"id": entry.id, "leaf": leaf_hash(entry.body).hex()} for entry in left],
        "merge_within_seconds": 60,
    }


def test_a_replayed_answer_carries_the_same_receipt_whenever_it_is_asked_for(either_door: Door) -> None:
    first = either_door.hospital.knock("one/knock")
    either_door.house.clock.advance(timedelta(days=3))
    again = either_door.hospital.knock("one/knock")
    assert again.headers["Receipt"] == first.headers["Receipt"]
    refused = [either_door.hospital.knock("two/refuse").headers["Receipt"] for _ in range(2)]
    assert refused[0] == refused[1] != first.headers["Receipt"]


@pytest.mark.parametrize(
    "change",
    [
        'promise = \'{"forged":"anything"}\'',
        "promise = NULL",
        "status = 403",
        "location = '/v1/elsewhere'",
        "kept_at = '2026-01-01 00:00:00'",
        'body_hash = body_hash, body = CAST(\'{"name":"one","word":"go away"}\' AS BLOB)',
        "mark = ''",
    ],
)
def test_an_answer_that_was_changed_in_the_database_is_neither_served_nor_signed(door: Door, change: str) -> None:
    door.hospital.knock("one/knock")
    with door.house.runtime.database.engine.begin() as connection:
        assert connection.execute(text(f"UPDATE idempotency SET {change}")).rowcount == 1
    answer = door.hospital.knock("one/knock")
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/answer-altered"
    assert door.number("one") == 1


@pytest.mark.parametrize("path", ["one/refuse", "one/raise/door-shut", "one/raise/not-for-you"])
def test_a_refusal_carries_a_receipt_over_its_entry(door: Door, path: str) -> None:
    answer = door.hospital.knock(path)
    left = [*door.entries(WORKED), *door.entries("edge:refused"), *door.entries("audit:rows_sealed")]
    assert [one["id"] for one in receipt_of(answer)["entries"]] == [entry.id for entry in left]


@pytest.mark.parametrize("path", ["one/raise/invalid", "one/raise/unavailable", "one/break"])
def test_what_left_no_entry_carries_no_receipt(door: Door, path: str) -> None:
    assert "Receipt" not in door.hospital.knock(path).headers
    assert "Receipt" not in door.hospital._open("GET", "/v1/door/one").headers


def test_nothing_is_promised_that_was_not_committed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.hospital.knock("warm/knock")
    signed: list[bytes] = []
    sign = SigningKey.sign_compact

    def noted(key: SigningKey, payload: bytes, *, typ: str) -> str:
        signed.append(payload)
        return sign(key, payload, typ=typ)

    def full(_db: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SigningKey, "sign_compact", noted)
    with monkeypatch.context() as patch:
        patch.setattr(Session, "commit", full)
        answer = door.hospital.knock("one/knock")
    assert answer.status_code == 507
    assert "Receipt" not in answer.headers
    assert signed == []
    assert door.number("one") == 0
    assert "Receipt" in door.hospital.knock("one/knock").headers
