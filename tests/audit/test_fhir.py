"""Usage entries leave as FHIR R4 AuditEvent resources, and that is an entry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from fhir.resources.R4B.bundle import Bundle

from marketplace.audit.fhir import BadDate, period
from tests.audit.used import Used, open_used
from tests.house import House

EVENTS = "/v1/fhir/AuditEvent"


@pytest.fixture
def used(house: House) -> Iterator[Used]:
    with open_used(house) as opened:
        yield opened


def events(used: Used, who: str, query: str = "") -> list[dict[str, Any]]:
    answer = used.get(who, f"{EVENTS}{query}")
    assert answer.headers["content-type"] == "application/fhir+json"
    bundle = answer.json()
    Bundle.model_validate(bundle)
    return [
        AuditEvent.model_validate(one["resource"]).model_dump() | one["resource"] for one in bundle.get("entry", [])
    ]


def details(event: dict[str, Any]) -> dict[str, str]:
    return {one["type"]: one["valueString"] for one in event["entity"][0]["detail"]}


def test_each_decision_and_each_closed_transfer_is_one_event(used: Used) -> None:
    found = events(used, "auditor", "?agreement=agr_1")
    tags = [one["subtype"][0]["code"] for one in found]
    assert tags == ["usage:allowed", "transfer:closed"] * 2 + ["usage:refused", "usage:allowed", "transfer:closed"]
    entries = used.entries("usage:allowed", "usage:refused", "transfer:closed")
    assert [details(one)["entry"] for one in found] == [one["id"] for one in entries]
    assert [details(one)["leaf_index"] for one in found] == [str(one["index"]) for one in entries]
    assert [one["outcome"] for one in found] == ["0", "0", "0", "0", "4", "0", "0"]
    assert {one["type"]["code"] for one in found if one["subtype"][0]["code"] == "transfer:closed"} == {"110106"}


def test_an_event_says_who_what_and_what_for(used: Used) -> None:
    closed = events(used, "auditor", "?asset=ast_1")[3]
    (agent,) = closed["agent"]
    assert agent["requestor"] is True
    assert agent["who"]["identifier"]["value"] == "CODEpharma"
    assert agent["who"]["display"] == "=Example pharma"
    assert agent["altId"] == used.entries("usage:allowed")[1]["actor"]["person"]
    assert agent["purposeOfUse"][0]["coding"][0]["code"] == "statistics"
    assert closed["purposeOfEvent"][0]["coding"][0]["code"] == "statistics"
    assert [one["what"]["identifier"]["value"] for one in closed["entity"]] == ["ver_1", "ast_1", "agr_1"]
    assert closed["source"]["observer"]["identifier"]["value"] == used.house.runtime.settings.log_origin
    assert int(details(closed)["bytes"]) > 0


def test_a_refusal_says_why(used: Used) -> None:
    refused = next(one for one in events(used, "auditor") if one["subtype"][0]["code"] == "usage:refused")
    assert refused["outcomeDesc"] == ", ".join(used.entries("usage:refused")[0]["facts"]["reasons"])


def test_each_export_is_an_entry_before_the_answer(used: Used) -> None:
    found = events(used, "pharma", "?agreement=agr_1&date=ge2026-09-01&date=lt2026-09-02")
    entry = used.entries("audit:exported")[-1]
    assert (entry["actor"]["participant"], entry["subject"]["agreement"]) == ("prt_pharma", "agr_1")
    assert (entry["facts"]["format"], entry["facts"]["entries"]) == ("fhir-r4", len(found))
    assert len(found) == 2
    assert entry["facts"]["scope"]["to"] == "2026-09-02T00:00:00.000000Z"


def test_everybody_gets_no_more_than_may_be_read(used: Used) -> None:
    assert len(events(used, "hospital", "?agreement=agr_1")) == 7
    assert {one["subtype"][0]["code"] for one in events(used, "hospital", "?asset=ast_1")} == {
        "usage:allowed",
        "transfer:closed",
    }
    assert events(used, "hospital") == []
    assert len(events(used, "pharma")) == 7
    assert events(used, "insurer", "?agreement=agr_1") == events(used, "insurer", "?asset=ast_1") == []
    assert used.client.get(EVENTS).status_code == 401


@pytest.mark.parametrize(
    ("dates", "start", "end"),
    [
        (["ge2026-01-01"], (2026, 1, 1), None),
        (["gt2026-01-01"], (2026, 1, 2), None),
        (["lt2026-02-01"], None, (2026, 2, 1)),
        (["le2026-01-31"], None, (2026, 2, 1)),
        (["2026-01-01"], (2026, 1, 1), (2026, 1, 2)),
        (["eq2026-01-01"], (2026, 1, 1), (2026, 1, 2)),
        (["ge2026-01-01", "ge2026-03-01", "lt2026-05-01", "lt2026-04-01"], (2026, 3, 1), (2026, 4, 1)),
        ([], None, None),
    ],
)
def test_dates_are_read_as_fhir_says(dates: list[str], start: tuple | None, end: tuple | None) -> None:
    assert period(dates) == tuple(datetime(*one, tzinfo=UTC) if one else None for one in (start, end))


@pytest.mark.parametrize(
    "date", ["", "ge", "ne2026-01-01", "yesterday", "ge2026-02-30", "ge2026-01-01T00:00:00", "9999-12-31"]
)
def test_a_date_that_cannot_be_read_is_refused(used: Used, date: str) -> None:
    with pytest.raises(BadDate):
        period([date])
    assert used.get("auditor", EVENTS, 422, params={"date": date}).json()["type"] == "/problems/bad-date"
    assert used.entries("audit:exported") == []
