"""Both parties hear of every step of a duty, once, by a signed notice in the inbox that they know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fastapi.testclient import TestClient

from marketplace.audit.entry import Tag
from marketplace.audit.verifier import keys
from marketplace.kernel.canonical import canonical, sha256_hex
from marketplace.negotiation.duties.rules import GRACE
from tests.generated import ROOT
from tests.house import House, open_house
from tests.negotiation.duties.owed import (
    AGREEMENT,
    EVERY,
    agreement,
    counted,
    entries,
    owe,
    pass_days,
    report_of,
    take,
    use,
)
from tests.transfer.stopping import WINDOW, calling, get, post, told

SCHEMA = json.loads((ROOT / "contracts" / "documents" / "duty-notice.schema.json").read_text("utf-8"))
HERE = f"/v1/agreements/{AGREEMENT}"

DUTIES = ("stop-notice", "duty-notice")


@pytest.fixture
def owing(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path / "house") as house:
        yield owe(house)


@pytest.fixture
def client(owing: House) -> Iterator[TestClient]:
    with calling(owing) as opened:
        yield opened


def signed_report(house: House, **changes: Any) -> dict[str, Any]:
    document = report_of(house, **changes)
    jws = house.cast["pharma"].key.sign_detached(canonical(document), typ="use-report+jws")
    return {"report": document, "jws": jws}


def test_reminder_demand_and_missing_report_are_told_to_both_parties(owing: House, client: TestClient) -> None:
    pass_days(owing, EVERY + GRACE.days - 1)
    running = take(owing)
    assert not isinstance(running, tuple)
    assert running.next()
    pass_days(owing, 1)
    assert running.next() is None
    for who in ("pharma", "hospital"):
        notices = told(client, who, DUTIES)
        assert sorted((one["kind"], one["reason"]) for one in notices) == [
            ("duty-notice", "use_report_demand"),
            ("duty-notice", "use_report_missing"),
            ("duty-notice", "use_report_reminder"),
            ("stop-notice", "use_report_missing"),
        ]
        for one in notices:
            body = get(client, who, f"/v1/documents/{one['document']}").content
            assert sha256_hex(body) == one["document"]
            (signature,) = one["signatures"]
            typ = f"{one['kind']}+jws"
            keys.check_jws(
                signature["jws"], body, signature["jwk"], typ=typ, kid=signature["kid"], alg=signature["alg"]
            )
            if one["kind"] == "duty-notice":
                jsonschema.validate(one["content"], SCHEMA)
    assert told(client, "pharma", DUTIES) == told(client, "hospital", DUTIES)
    (stop,) = [one["content"] for one in notices if one["kind"] == "stop-notice"]
    assert (stop["stopped_by"], [one["last_byte"] for one in stop["transfers"]]) == ("service", [2 * WINDOW - 1])
    assert get(client, "institute", "/v1/stop-notices").json()["items"] == []
    assert len(entries(owing, Tag.DUTY_NOTIFIED)) == 3


def test_the_notice_names_when_the_missing_report_has_consequences(owing: House, client: TestClient) -> None:
    pass_days(owing, EVERY)
    demand = told(client, kinds=DUTIES)[-1]["content"]
    assert demand["reason"] == "use_report_demand"
    owed = get(client, "pharma", f"{HERE}/duties").json()["duties"][0]
    assert (owed["state"], owed["due_at"][:19]) == ("demanded", demand["due_at"][:19])
    assert owed["consequence_at"][:19] == demand["consequence_at"][:19]
    pass_days(owing, GRACE.days)
    assert agreement(owing).state == "suspended"


def test_a_report_over_http_ends_the_suspension_and_names_every_difference(owing: House, client: TestClient) -> None:
    use(owing)
    pass_days(owing, EVERY + GRACE.days)
    before = get(client, "hospital", f"{HERE}/duties").json()
    assert before["report_from"][:19] == agreement(owing).starts_at.isoformat()[:19]
    answer = post(client, "pharma", f"{HERE}/use-reports", signed_report(owing, uses=counted(statistics=2)))
    assert answer.status_code == 201
    assert answer.json()["differences"] == [
        {"purpose": "model_training", "declared": 0, "logged": 1},
        {"purpose": "statistics", "declared": 2, "logged": 0},
    ]
    assert answer.json()["late"] is True
    assert get(client, "pharma", HERE).json()["state"] == "finalized"
    for who in ("pharma", "hospital", "auditor"):
        listed = get(client, who, f"{HERE}/use-reports").json()
        assert [one["document"] for one in listed] == [answer.json()["document"]]
    assert get(client, "institute", f"{HERE}/use-reports").status_code == 404


def test_deletion_is_certified_over_http_and_shown_to_the_auditor(owing: House, client: TestClient) -> None:
    use(owing)
    assert post(client, "hospital", f"{HERE}/termination", {"reason": "data_incident"}).status_code == 200
    pass_days(owing, 30 + GRACE.days)
    owed = {one["kind"]: one for one in get(client, "auditor", f"{HERE}/duties").json()["duties"]}
    assert owed["delete"]["state"] == "overdue"
    document = {
        "type": "deletion-certificate",
        "v": 1,
        "agreement": {"id": AGREEMENT, "sha256": agreement(owing).document},
        "deliveries": get(client, "pharma", f"{HERE}/duties").json()["delivered"],
        "method": "overwriting",
        "backups_deleted": True,
        "deleted_at": owing.clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }
    jws = owing.cast["pharma"].key.sign_detached(canonical(document), typ="deletion-certificate+jws")
    answer = post(client, "pharma", f"{HERE}/deletion-certificates", {"certificate": document, "jws": jws})
    assert (answer.status_code, answer.json()["late"]) == (201, True)
    listed = get(client, "hospital", f"{HERE}/deletion-certificates").json()
    assert listed == [answer.json()]
    owed = {one["kind"]: one for one in get(client, "hospital", f"{HERE}/duties").json()["duties"]}
    assert (owed["delete"]["state"], owed["delete"]["due_at"]) == ("met", None)


def test_a_report_with_free_words_is_refused_as_a_form(owing: House, client: TestClient) -> None:
    pass_days(owing, 1)
    body = signed_report(owing)
    body["report"]["staff"] = ["Dr Example Person"]
    assert post(client, "pharma", f"{HERE}/use-reports", body).status_code == 422
