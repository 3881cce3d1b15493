"""The account of disclosures: who got what, when, for what, with proof; and who may ask."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest

from marketplace.audit import tree
from marketplace.audit.note import VerifierKey, open_checkpoint
from tests.audit.used import Used, open_used
from tests.house import House

REPORTS = "/v1/disclosure-reports"


@pytest.fixture
def used(house: House) -> Iterator[Used]:
    with open_used(house) as opened:
        yield opened


def test_each_use_stands_with_its_four_fields_and_its_place(used: Used) -> None:
    report = used.post("hospital", REPORTS, {"asset": "ast_1"}).json()
    first, second, third = report["items"]
    allowed, closed = used.entries("usage:allowed"), used.entries("transfer:closed")
    assert [one["entry"] for one in report["items"]] == [one["id"] for one in allowed]
    assert [one["index"] for one in report["items"]] == [one["index"] for one in allowed]
    assert [one["bytes"] for one in report["items"]] == [one["facts"]["bytes"] for one in closed]
    assert all(one["bytes"] > 0 for one in report["items"])
    assert [one["purpose"] for one in report["items"]] == ["model_training", "statistics", "statistics"]
    assert {(one["recipient"], one["recipient_name"], one["recipient_code"]) for one in report["items"]} == {
        ("prt_pharma", "=Example pharma", "CODEpharma")
    }
    assert (first["asset"], first["version"], first["agreement"]) == ("ast_1", "ver_1", "agr_1")
    files = used.get("pharma", "/v1/agreements/agr_1/manifest").json()["content"]["files"]
    assert (first["files"], third["files"]) == (len(files), 1)
    assert first["transformations"]
    assert first["description"].startswith(f"{len(files)} files of version ver_1 of asset ast_1, ")
    assert {one["outcome"] for one in report["items"]} == {"complete"}
    assert (first["person"], second["person"]) == (None, allowed[1]["actor"]["person"])
    assert second["person"] is not None
    assert first["date"] < second["date"] < third["date"]
    assert report["waiting"] == 0


def test_each_row_carries_a_proof_that_leads_to_the_cosigned_head(used: Used) -> None:
    report = used.post("auditor", REPORTS, {"participant": "prt_pharma"}).json()
    keys = used.get("auditor", "/log/keys").json()
    head = open_checkpoint(report["checkpoint"], VerifierKey.parse(keys["log"]), VerifierKey.parse(keys["witness"]))
    assert len(report["items"]) == 3
    for row in report["items"]:
        evidence = row["evidence"]
        path = [bytes.fromhex(step) for step in evidence["proof"]]
        leaf = tree.leaf_hash(evidence["body"].encode())
        assert tree.verify_inclusion(leaf, row["index"], head.size, path, head.root)
        assert row["entry"] in evidence["body"]
    plain = used.post("auditor", REPORTS, {"participant": "prt_pharma", "proofs": False}).json()
    assert not any("evidence" in one for one in plain["items"])


def test_the_report_is_itself_an_entry_with_its_scope(used: Used) -> None:
    used.post("hospital", REPORTS, {"asset": "ast_1", "from": "2026-09-02T00:00:00Z"})
    entry = used.entries("audit:disclosed")[-1]
    assert (entry["actor"]["participant"], entry["subject"]["asset"]) == ("prt_hospital", "ast_1")
    assert entry["facts"]["rows"] == 2
    assert entry["facts"]["scope"]["from"] == "2026-09-02T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("who", "asked", "status"),
    [
        ("hospital", {"asset": "ast_1"}, 200),
        ("hospital", {"asset": "ast_1", "participant": "prt_pharma"}, 200),
        ("hospital", {"participant": "prt_pharma"}, 403),
        ("hospital", {"asset": "ast_2"}, 403),
        ("hospital", {}, 403),
        ("pharma", {"participant": "prt_pharma"}, 200),
        ("pharma", {"participant": "prt_pharma", "asset": "ast_1"}, 200),
        ("pharma", {"asset": "ast_1"}, 403),
        ("pharma", {"participant": "prt_hospital"}, 403),
        ("operator", {"asset": "ast_1"}, 403),
        ("auditor", {}, 200),
        ("auditor", {"asset": "no such asset"}, 200),
    ],
)
def test_who_may_ask_for_what(used: Used, who: str, asked: dict[str, str], status: int) -> None:
    used.post(who, REPORTS, asked, status)
    assert len(used.entries("audit:disclosed" if status == 200 else "edge:refused")) == 1


def test_a_period_is_half_open_and_uses_outside_the_tree_are_counted(used: Used) -> None:
    days = [one["at"] for one in used.entries("usage:allowed")]
    asked = {"asset": "ast_1", "from": days[0], "to": days[1]}
    found = used.post("auditor", REPORTS, asked).json()["items"]
    assert [one["entry"] for one in found] == [used.entries("usage:allowed")[0]["id"]]
    used.use()
    report = used.post("auditor", REPORTS, {"asset": "ast_1"}).json()
    assert (len(report["items"]), report["waiting"]) == (3, 1)


@pytest.mark.parametrize(("path", "tag"), [(REPORTS, "audit:disclosed"), ("/v1/log-exports", "audit:exported")])
def test_what_a_caller_types_as_scope_enters_no_entry(used: Used, path: str, tag: str) -> None:
    used.post("auditor", path, {"asset": "Zhang Wei", "participant": "Li Na"})
    entry = used.entries(tag)[-1]
    assert "Zhang" not in str(entry)
    assert (entry["facts"]["scope"]["asset"], entry["facts"]["scope"]["participant"]) == ("unknown", "unknown")
    assert entry["subject"]["asset"] is None


@pytest.mark.parametrize("ask", [{"format": "csv"}, {}])
def test_as_csv_it_holds_the_same_rows_and_no_formula(used: Used, ask: dict[str, str]) -> None:
    headers = {} if ask else {"Accept": "text/csv"}
    answer = used.post("hospital", REPORTS, {"asset": "ast_1"} | ask, **headers)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline=""), strict=True))
    report = used.post("hospital", REPORTS, {"asset": "ast_1"}).json()["items"]
    assert [(one["entry"], int(one["index"]), int(one["bytes"])) for one in rows] == [
        (one["entry"], one["index"], one["bytes"]) for one in report
    ]
    assert {one["recipient_name"] for one in rows} == {"'=Example pharma"}
    assert {one["purpose"] for one in rows} == {"model_training", "statistics"}


def test_a_running_use_is_shown_as_running(used: Used) -> None:
    from marketplace.transfer import opening
    from marketplace.transfer.opening import Download
    from marketplace.usage.rules import UseRequest

    house = used.house
    asked = Download("agr_1", UseRequest("statistics"))
    opening.open_transfer(house.runtime, house.cast["pharma"].actor, asked, house.clock.now())
    used.integrate()
    last = used.post("hospital", REPORTS, {"asset": "ast_1"}).json()["items"][-1]
    assert (last["outcome"], last["bytes"]) == ("running", None)
