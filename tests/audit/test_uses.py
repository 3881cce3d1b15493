"""The bytes of each use add up: whatever entry is missing, moved or wrong is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketplace.audit.entry import Tag, record
from marketplace.audit.verifier.files import verify
from tests.audit.world import BUYER, NOW, PURPOSE, Log, tell_story

HASH = "cc" * 32
CHARGE = {"kind": "use.transfer", "quantity": 1, "key": "use.transfer:trf_2"}
ALLOWED = (Tag.USE_ALLOWED, {"from": 100, "to": 130, **PURPOSE})
FIRST = (Tag.WINDOW_SERVED, {"offset": 100, "length": 20, "running_sha256": "dd" * 32})
SECOND = (Tag.WINDOW_SERVED, {"offset": 120, "length": 10, "running_sha256": HASH})
CLOSED = (Tag.TRANSFER_CLOSED, {"outcome": "complete", "from": 100, "bytes": 30, "sha256": HASH})
CHARGED = (Tag.COST_METERED, CHARGE)


def changed(step: tuple[Tag, dict[str, Any]], **facts: Any) -> tuple[Tag, dict[str, Any]]:
    return step[0], step[1] | facts


def tell(log: Log, steps: list[tuple[Tag, dict[str, Any]]]) -> None:
    """A second use under the story's agreement, entry by entry."""
    tell_story(log)
    with log.database.transaction() as db:
        for tag, facts in steps:
            told = facts if tag is Tag.COST_METERED else facts | {"transfer": "trf_2", "leg": 1}
            record(db, BUYER, tag, NOW, asset="ast_1", agreement="agr_1", facts=told)
    log.round()


def findings(log: Log, **scope: str) -> list[str]:
    report = verify("b", json.dumps(log.bundle(**(scope or {"agreement": "agr_1"}))).encode())
    return [failure.detail for one in report.checks for failure in one.failures]


def test_a_whole_use_is_in_order(log: Log) -> None:
    tell(log, [ALLOWED, FIRST, SECOND, CLOSED, CHARGED])
    assert findings(log) == []


def test_a_use_that_is_still_running_is_in_order(log: Log) -> None:
    tell(log, [ALLOWED, FIRST])
    assert findings(log) == []


@pytest.mark.parametrize("scope", [{"asset": "ast_1"}, {"participant": "prt_pharma"}])
def test_a_narrower_bundle_holds_the_whole_of_each_use_all_the_same(log: Log, scope: dict[str, str]) -> None:
    tell(log, [ALLOWED, FIRST, SECOND, CLOSED, CHARGED])
    with log.database.transaction() as db:
        facts = {"transfer": "trf_1", "leg": 2, "from": 0, "to": 5, **PURPOSE}
        record(db, BUYER, Tag.USE_ALLOWED, NOW, agreement="agr_1", facts=facts)
    log.round()
    assert findings(log, **scope) == []


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([FIRST, SECOND, CLOSED], "no entry shows that this use was allowed"),
        ([FIRST, ALLOWED, SECOND, CLOSED], "it was logged before"),
        ([ALLOWED, SECOND, CLOSED], "it begins at byte 120, the one before ended at 100"),
        ([ALLOWED, FIRST, FIRST, SECOND, CLOSED], "it begins at byte 100, the one before ended at 120"),
        ([ALLOWED, FIRST, changed(SECOND, length=11), CLOSED], "it goes up to byte 131, allowed were those before 130"),
        ([ALLOWED, FIRST, SECOND, changed(CLOSED, bytes=29)], "it says 29 bytes, the windows add up to 30"),
        ([ALLOWED, FIRST, SECOND, changed(CLOSED, sha256="ee" * 32)], "its hash is not that of the last window"),
        ([ALLOWED, FIRST, CLOSED, SECOND], "it was served after"),
        ([ALLOWED, FIRST, SECOND, CLOSED, CLOSED], "had closed it already"),
        ([ALLOWED, ALLOWED, FIRST, SECOND, CLOSED], "allowed already"),
        ([ALLOWED, changed(FIRST, offset="100"), SECOND, CLOSED], "it does not say which bytes it is about"),
        ([ALLOWED, FIRST, SECOND, CLOSED, CHARGED, CHARGED], "charges the same transfer"),
        ([changed(CHARGED, key="use.transfer:trf_9")], "of which nothing is in the bundle"),
    ],
)
def test_what_does_not_add_up_is_named(log: Log, steps: list[tuple[Tag, dict[str, Any]]], said: str) -> None:
    tell(log, steps)
    found = findings(log)
    assert any(said in one for one in found), found
