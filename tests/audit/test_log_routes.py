"""The log over HTTP, as other people's tools read it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from sqlmodel import Session, SQLModel, select

from marketplace.audit import tree
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.audit.note import VerifierKey, open_checkpoint
from marketplace.audit.receipts import Promises
from marketplace.audit.routes import routes
from marketplace.audit.verifier.files import verify
from marketplace.kernel.actor import Actor
from marketplace.kernel.clock import StoryClock
from marketplace.kernel.errors import DomainError
from marketplace.kernel.signing import generate_key, verify_compact
from marketplace.plumbing import problems
from marketplace.plumbing.runtime import Runtime
from tests.audit.world import AUDITOR, BUYER, NOW, PROVIDER, Log, tell_story
from workers.tasks.audit import integrate_once

ACTORS = {actor.participant: actor for actor in (AUDITOR, BUYER, PROVIDER)}


class HeaderGate(Promises):
    """Says who calls by a header; the real one stands above this room."""

    def judge_headers(self, request: Request, now: datetime) -> None:
        """Nothing is known before the body."""

    def authenticate(self, db: Session, request: Request, now: datetime) -> Actor:
        name = request.headers.get("who")
        if name is None:
            raise problems.Unauthenticated("nobody")
        return ACTORS[name]

    def record_refusal(self, db: Session, actor: Actor, route: str, error: DomainError, now: datetime) -> None:
        record(db, actor, Tag.REQUEST_REFUSED, now, facts={"route": route, "reason": error.slug})


@dataclass
class Web:
    client: TestClient
    log: Log

    def get(self, path: str, who: str | None = None, status: int = 200) -> Any:
        answer = self.client.get(path, headers={"who": who} if who else {})
        assert answer.status_code == status, answer.text
        return answer


@pytest.fixture
def web(log: Log) -> Iterator[Web]:
    SQLModel.metadata.create_all(log.database.engine, tables=[SQLModel.metadata.tables["idempotency"]])
    unused: Any = None
    runtime = Runtime(
        log.settings, log.database, StoryClock(NOW), unused, unused, unused, generate_key(), b"secret"
    )  # fmt: skip
    app = FastAPI()
    app.state.runtime, app.state.gate = runtime, HeaderGate(runtime)
    problems.install(app)
    app.include_router(routes)
    log.write(70_000 // 256 + 16, PROVIDER)
    tell_story(log)
    assert integrate_once(runtime, log.processes).integrated == 310
    with TestClient(app) as client:
        yield Web(client, log)


def test_an_outsider_rebuilds_the_cosigned_root_from_public_tiles(web: Web) -> None:
    keys = web.get("/log/keys").json()
    note = web.get("/log/checkpoint").text
    head = open_checkpoint(note, VerifierKey.parse(keys["log"]), VerifierKey.parse(keys["witness"]))
    assert head.size == 310
    blob = web.get("/log/tile/0/000").content + web.get("/log/tile/0/001.p/54").content
    hashes = [blob[i : i + 32] for i in range(0, len(blob), 32)]
    assert tree.root_of_hashes(hashes) == head.root
    assert web.get("/log/tile/1/000.p/1").content == tree.root_of_hashes(hashes[:256])
    assert web.get("/log/tile/0/001.p/17").content == blob[256 * 32 : 273 * 32]


@pytest.mark.parametrize(
    "path",
    [
        "0/001", "0/001.p/55", "0/002", "0/000.p/256", "0/000.p/0", "0/1", "0/x000/001", "00/000", "64/000", "-1/000",
        "entrance/000", "0/x999/999", "0/" + "x999/" * 30 + "999", "0/000.p/1/x", "2/000.p/1", "0/..%2f000", "0/٠٠٠",
    ],
)  # fmt: skip
def test_no_tile_outside_the_published_tree(web: Web, path: str) -> None:
    assert web.get(f"/log/tile/{path}", status=404).status_code == 404


def test_an_auditor_alone_reads_entry_bundles_and_they_are_the_leaves_of_the_tree(web: Web) -> None:
    content = b"".join(web.get(f"/log/tile/entries/{path}", "prt_auditor").content for path in ("000", "001.p/54"))
    bodies = []
    while content:
        length = int.from_bytes(content[:2], "big")
        bodies.append(content[2 : 2 + length])
        content = content[2 + length :]
    blob = web.get("/log/tile/0/000").content + web.get("/log/tile/0/001.p/54").content
    assert b"".join(tree.leaf_hash(one) for one in bodies) == blob
    notes = web.get("/v1/entries?action=audit:exported", "prt_auditor").json()["items"]
    assert [one["facts"]["entries"] for one in notes] == [256, 54]
    web.get("/log/tile/entries/000", "prt_pharma", status=403)
    web.get("/log/tile/entries/000", status=401)
    for path in ("001", "001.p/55", "002.p/1", "0", "x000/001"):
        web.get(f"/log/tile/entries/{path}", "prt_auditor", status=404)


def test_proofs_over_http_hold(web: Web) -> None:
    with web.log.database.reading() as db:
        entry = db.exec(select(Entry).where(Entry.tag == "usage:allowed")).one()
    by_entry = web.get(f"/log/proof/inclusion?entry={entry.id}").json()
    assert by_entry == web.get(f"/log/proof/inclusion?index={entry.leaf_index}").json()
    path, root = [bytes.fromhex(one) for one in by_entry["proof"]], bytes.fromhex(by_entry["root"])
    assert tree.verify_inclusion(tree.leaf_hash(entry.body), by_entry["index"], by_entry["size"], path, root)
    growth = web.get("/log/proof/consistency?from=200&to=310").json()
    blob = web.get("/log/tile/0/000").content
    old = tree.root_of_hashes([blob[i : i + 32] for i in range(0, 200 * 32, 32)])
    assert tree.verify_consistency(200, 310, [bytes.fromhex(one) for one in growth["proof"]], old, root)
    file = web.get(f"/log/proof/file?index={entry.leaf_index}").text
    extra = base64.b64encode(bytes.fromhex(by_entry["leaf"])).decode()
    assert file.startswith(f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex {entry.leaf_index}\n")
    assert file.endswith(by_entry["checkpoint"])
    assert len(file) < 2048


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/log/proof/inclusion", 422),
        ("/log/proof/inclusion?index=1&entry=x", 422),
        ("/log/proof/inclusion?index=310", 404),
        ("/log/proof/inclusion?entry=ent_x", 404),
        ("/log/proof/consistency?from=9&to=3", 422),
        ("/log/proof/consistency?from=0&to=311", 422),
        ("/v1/entries", 401),
    ],
)
def test_what_cannot_be_answered_says_so(web: Web, path: str, status: int) -> None:
    assert web.get(path, status=status).headers["content-type"] == "application/problem+json"


def everything(web: Web, *, limit: int) -> list[str]:
    """All ids that the auditor gets to see page by page, its own notes of reading among them."""
    seen, cursor = [], ""
    while cursor is not None:
        page = web.get(f"/v1/entries?limit={limit}&cursor={cursor}", "prt_auditor")
        assert ("Receipt" in page.headers) == any(one["actor"] != "prt_auditor" for one in page.json()["items"])
        seen += [one["id"] for one in page.json()["items"]]
        cursor = page.json()["next"]
    return seen


def test_reading_ones_own_notes_ends(web: Web) -> None:
    seen = everything(web, limit=1)
    assert len(seen) == 2 * 310


def test_a_participant_sees_its_own_entries_and_an_auditor_all_in_pages(web: Web) -> None:
    mine = web.get("/v1/entries?limit=500", "prt_pharma").json()
    assert {one["actor"] for one in mine["items"]} == {"prt_pharma"}
    assert mine["next"] is None
    seen = everything(web, limit=100)
    assert seen == sorted(set(seen))
    notes = [one["facts"] for one in web.get("/v1/entries?action=audit:exported", "prt_auditor").json()["items"]]
    # Four pages showed entries of others; what stands in the fourth beside them are notes of the first three.
    assert len(seen) == 310 + 3
    assert [one["entries"] for one in notes] == [100, 100, 100, 13]
    assert [one["first"] for one in notes] == seen[::100]
    uses = web.get("/v1/entries?action=usage:&agreement=agr_1&asset=ast_1&actor=prt_pharma", "prt_auditor").json()
    assert [one["tag"] for one in uses["items"]] == ["usage:allowed"]
    assert web.get("/v1/entries?to=2026-09-01T01:00:00Z", "prt_auditor").json()["items"] == []
    found = uses["items"][0]["id"]
    assert web.get(f"/v1/entries/{found}", "prt_pharma").json() == uses["items"][0]
    web.get(f"/v1/entries/{found}", "prt_hospital", status=404)


def test_an_export_over_http_is_a_bundle_that_verifies_and_an_entry(web: Web) -> None:
    headers = {"who": "prt_pharma", "Idempotency-Key": "export-0001"}
    answers = [web.client.post("/v1/log-exports", json={"agreement": "agr_1"}, headers=headers) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    keys = web.get("/log/keys").json()
    report = verify("bundle", answers[0].content, keys["log"], keys["witness"])
    assert report.exit_code == 0, report.plain()
    exported = web.get("/v1/entries?action=audit:exported", "prt_auditor").json()["items"]
    assert len(exported) == 1
    refused = web.client.post(
        "/v1/log-exports",
        json={"participant": "prt_hospital"},
        headers={"who": "prt_pharma", "Idempotency-Key": "export-0002"},
    )
    assert refused.status_code == 403
    assert Path(web.log.settings.data_folder, "log-signer").is_dir()


def test_an_export_of_a_period_and_since_an_older_tree_over_http(web: Web) -> None:
    def export(number: int, **asked: Any) -> Any:
        headers = {"who": "prt_auditor", "Idempotency-Key": f"export-{number:04d}"}
        return web.client.post("/v1/log-exports", json=asked, headers=headers)

    whole = export(1, **{"from": "2026-09-01T00:00:00Z", "to": "2026-09-01T02:00:00Z", "since": [200, 310]}).json()
    assert len(whole["entries"]) == 310
    assert [one["old_size"] for one in whole["consistency"]] == [200, 310]
    report = verify("bundle", json.dumps(whole).encode())
    assert report.exit_code == 0, report.plain()
    assert report.checks[-1].counted == 3
    nothing = export(2, to="2026-09-01T01:00:00Z").json()
    assert [json.loads(one["body"])["tag"] for one in nothing["entries"]] == ["participant:key_registered"]
    for number, since in ((3, [311]), (4, [-1]), (5, list(range(9)))):
        assert export(number, since=since).status_code == 422


def test_the_service_key_is_told_beside_the_logs_keys(web: Web) -> None:
    headers = {"who": "prt_pharma", "Idempotency-Key": "export-0001"}
    answer = web.client.post("/v1/log-exports", json={}, headers=headers)
    verify_compact(answer.headers["Receipt"], web.get("/log/keys").json()["service"], typ="receipt+jwt")
