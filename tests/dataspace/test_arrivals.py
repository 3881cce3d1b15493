"""What a provider elsewhere pushes to a buyer here: by its token alone, whole or in parts, compared with its digest."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.audit.recheck import sealed_rows
from marketplace.dataspace import queries
from marketplace.dataspace.beginning import ask_for_data
from marketplace.dataspace.chosen import answering
from marketplace.dataspace.leftovers import sweep_parts
from marketplace.dataspace.models import Arrival
from marketplace.dataspace.receiving import (
    NothingArrived,
    TooManyPushes,
    arrival,
    inbox_folder,
    part_of,
    require_receiver,
)
from marketplace.dataspace.routes import routes
from marketplace.dataspace.states import Protocol
from marketplace.kernel.canonical import Json
from marketplace.kernel.signing import generate_key
from marketplace.participants import connectors
from marketplace.plumbing.limits import Limits
from tests.dataspace.peer import Peer, connector_in, message, speaking
from tests.dataspace.schemas import problems_of
from tests.house import House, open_house
from tests.transfer.doors import app_of, entries

T = Protocol.TRANSFER
CONTENT = bytes(range(256)) * 40
DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()}:"


@pytest.fixture
def peer(house: House) -> Iterator[Peer]:
    settings = house.runtime.settings.model_copy(update={"dataspace_inbox_mib": 1})
    small = replace(house, runtime=replace(house.runtime, settings=settings))
    with speaking(small, party="hospital", hosted="pharma") as found:
        yield found


def asked(peer: Peer) -> tuple[str, Json]:
    """A push that the buyer asked for; returns our process id and the address that it named."""
    house, where = peer.house, (peer.connector.id, f"{peer.heard.origin}/dsp/theirs/2025-1")
    with house.db() as db:
        answers, now, buyer = answering(house.runtime.settings), house.clock.now(), house.cast["pharma"].actor
        form = {"transfer_format": "HttpData-PUSH"}
        ours = ask_for_data(db, buyer, *where, "urn:agreement:1", answers, house.runtime, now, **form).id
    peer.deliver()
    ((_, request, _),) = peer.heard.received
    peer.heard.received.clear()
    assert (problems_of(request), request["format"]) == ([], "HttpData-PUSH")
    return ours, request["dataAddress"]


def started(peer: Peer) -> tuple[str, Json]:
    ours, address = asked(peer)
    assert say(peer, ours, "start", "start") == 200
    return ours, address


def say(peer: Peer, ours: str, move: str, path: str) -> int:
    body = message(T, move, providerPid=peer.heard.pid, consumerPid=ours)
    return int(peer.post(f"/transfers/{ours}/{path}", body).status_code)


def put(peer: Peer, address: Json, content: bytes = CONTENT, **headers: str) -> Any:
    found = {one["name"]: one["value"] for one in address["endpointProperties"]}
    sent = {"Authorization": f"Bearer {found['authorization']}", "Repr_Digest": DIGEST} | headers
    named = {name.replace("_", "-"): value for name, value in sent.items() if value}
    return peer.http.put(address["endpoint"], content=content, headers=named)


def test_a_buyer_asks_for_a_push_and_has_what_was_pushed(peer: Peer, house: House) -> None:
    ours, address = asked(peer)
    assert put(peer, address).status_code == 409, "nothing is taken before the start"
    assert say(peer, ours, "start", "start") == 200
    assert put(peer, address).status_code == 201
    assert put(peer, address).status_code == 200, "what has arrived is not taken twice"
    assert say(peer, ours, "complete", "completion") == 200
    assert put(peer, address).status_code == 409

    buyer, auditor = house.cast["pharma"].actor, house.cast["auditor"].actor
    with house.runtime.database.reading() as db:
        exchange = queries.own(db, buyer, ours)
        found = arrival(db, require_receiver(buyer, exchange))
        assert b"".join(house.runtime.store.read(found.sha256)) == CONTENT
        with pytest.raises(NothingArrived):
            require_receiver(auditor, exchange)
        kept = exchange.model_dump_json() + "".join(one.model_dump_json() for one in queries.messages(db, ours))
        assert [one for one in sealed_rows(db) if "dataspace" in str(one)] == []
    assert (found.bytes, found.digest_given) == (len(CONTENT), True)
    token = address["endpointProperties"][0]["value"]
    assert token not in kept, "the token is forgotten with the end of the transfer"
    app = app_of(house)
    app.include_router(routes)
    path = f"/v1/dataspace/exchanges/{ours}"
    with TestClient(app) as http:
        whole = http.get(f"{path}/content", headers={"X-Caller": "pharma"})
        part = http.get(f"{path}/content", headers={"X-Caller": "pharma", "Range": "bytes=10-19"})
        assert (whole.status_code, whole.content, whole.headers["repr-digest"]) == (200, CONTENT, DIGEST)
        assert (part.status_code, part.content) == (206, CONTENT[10:20])
        for other in ("auditor", "hospital"):
            assert http.get(f"{path}/content", headers={"X-Caller": other}).status_code == 404
        detail = http.get(path, headers={"X-Caller": "pharma"}).json()
        assert (detail["arrival"]["sha256"], detail["push"]) == (found.sha256, None)
    (told,) = entries(house, Tag.DATA_ARRIVED)
    assert told["facts"] == {
        "exchange": ours,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "bytes": len(CONTENT),
        "digest_given": True,
    }
    assert not list((peer.house.runtime.settings.data_folder / "inbox").iterdir())


def test_parts_follow_each_other_and_the_sender_may_ask_what_has_come(peer: Peer, house: House) -> None:
    ours, address = started(peer)
    size = len(CONTENT)
    ask = {"Content_Range": f"bytes */{size}"}
    nothing = put(peer, address, b"", **ask)
    assert (nothing.status_code, "range" in nothing.headers) == (308, False)
    first = put(peer, address, CONTENT[:1000], Content_Range=f"bytes 0-999/{size}")
    assert (first.status_code, first.headers["range"]) == (308, "bytes=0-999")
    assert put(peer, address, b"", **ask).headers["range"] == "bytes=0-999"
    assert put(peer, address, CONTENT[2000:], Content_Range=f"bytes 2000-{size - 1}/{size}").status_code == 422
    assert put(peer, address, CONTENT[1000:2000], Content_Range=f"bytes 1000-9/{size}").status_code == 422
    assert put(peer, address, CONTENT[900:], Content_Range=f"bytes 900-{size - 1}/{size}").status_code == 201
    with house.runtime.database.reading() as db:
        assert db.get_one(Arrival, ours).sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_other_data_than_the_digest_names_is_thrown_away(peer: Peer, house: House) -> None:
    ours, address = started(peer)
    assert put(peer, address, CONTENT + b"!").status_code == 422
    assert put(peer, address, b"", Content_Range="bytes */9").headers.get("range") is None
    assert entries(house, Tag.DATA_ARRIVED) == []
    assert put(peer, address, Repr_Digest="").status_code == 201, "a sender that names none is taken at its word"
    with house.runtime.database.reading() as db:
        assert db.get_one(Arrival, ours).digest_given is False


def test_more_than_a_buyer_takes_is_refused_before_it_is_kept(peer: Peer, house: House) -> None:
    _, address = started(peer)
    large = bytes((1 << 20) + 1)
    assert put(peer, address, large).status_code == 413
    unannounced = iter([large[: 1 << 19]] * 3)
    token = address["endpointProperties"][0]["value"]
    answer = peer.http.put(address["endpoint"], content=unannounced, headers={"Authorization": token})
    assert answer.status_code == 413
    assert put(peer, address, b"x", Content_Range="bytes 0-0/99999999").status_code == 413
    assert entries(house, Tag.DATA_ARRIVED) == []


def test_who_pushes_is_counted_and_not_the_buyer_that_it_pushes_to(house: House) -> None:
    rates = {"limit_participant_burst": 30, "limit_participant_per_second": 1}
    settings = house.runtime.settings.model_copy(update=rates)
    small = replace(house, runtime=replace(house.runtime, settings=settings))
    with speaking(small, party="hospital", hosted="pharma") as peer:
        _, address = started(peer)
        statuses = [put(peer, address, b"", Content_Range="bytes */9").status_code for _ in range(60)]
        assert 429 in statuses
        for _ in range(30):
            Limits.of(Request({"type": "http", "app": peer.http.app})).known("prt_pharma")


def test_a_token_opens_one_inbox_while_its_transfer_lasts_and_for_a_trusted_connector(peer: Peer, house: House) -> None:
    ours, address = started(peer)
    theirs, peer.heard.pid = peer.heard.pid, ""
    _, elsewhere = started(peer)
    peer.heard.pid = theirs
    mixed = elsewhere | {"endpoint": address["endpoint"]}
    assert put(peer, mixed).status_code == 401
    assert put(peer, address, Authorization="Bearer x").status_code == 401
    assert say(peer, ours, "suspend", "suspension") == 200
    assert put(peer, address).status_code == 409, "a suspended transfer takes nothing"
    house.clock.advance(timedelta(days=3))
    half = put(peer, elsewhere, CONTENT[:1000], Content_Range=f"bytes 0-999/{len(CONTENT)}")
    assert half.status_code == 308, "a long push is gone on with by the same token"
    with house.db() as db:
        operator = house.cast["operator"].actor
        connectors.suspend(db, operator, peer.connector.id, "found out of order", house.clock.now())
    assert put(peer, elsewhere).status_code == 401
    assert entries(house, Tag.DATA_ARRIVED) == []


def parts_of(peer: Peer) -> set[str]:
    """The transfers of which a part lies in the inbox."""
    return {one.name for one in inbox_folder(peer.house.runtime).iterdir()}


def test_what_came_of_a_push_goes_once_that_is_over_and_of_no_other(peer: Peer, house: House) -> None:
    half = {"Content-Range": f"bytes 0-99/{len(CONTENT)}", "Repr_Digest": ""}
    (ended, address), (resting, other), (running, third) = (started(peer) for _ in range(3))
    for where in (address, other, third):
        assert put(peer, where, CONTENT[:100], **half).status_code == 308
    kept, whole = started(peer)
    assert put(peer, whole).status_code == 201
    assert parts_of(peer) == {ended, resting, running}

    assert say(peer, ended, "terminate", "termination") == 200
    assert say(peer, resting, "suspend", "suspension") == 200
    folder, runtime = inbox_folder(house.runtime), house.runtime
    (folder / kept).write_bytes(b"a process died before it could throw this away")
    (folder / "dex_of_nobody").write_bytes(b"")
    with runtime.database.reading() as db, part_of(runtime, queries.exchange(db, ended)):
        assert (sweep_parts(runtime), parts_of(peer)) == (1, {ended, resting, running, "dex_of_nobody"})
    assert (sweep_parts(runtime), sweep_parts(runtime)) == (1, 0)
    assert parts_of(peer) == {resting, running, "dex_of_nobody"}

    with runtime.database.reading() as db:
        found = arrival(db, queries.exchange(db, kept))
    assert b"".join(runtime.store.read(found.sha256)) == CONTENT
    rest = {"Content-Range": f"bytes 100-{len(CONTENT) - 1}/{len(CONTENT)}"}
    assert put(peer, third, CONTENT[100:], **rest).status_code == 201


def test_a_buyer_asks_for_so_many_pushes_at_once(peer: Peer, house: House) -> None:
    most = house.runtime.settings.dataspace_pushes_asked
    begun = [started(peer) for _ in range(most)]
    with pytest.raises(TooManyPushes, match=f"fewer than {most}"):
        asked(peer)
    assert len(entries(house, Tag.EXCHANGE_OPENED)) == most
    assert put(peer, begun[0][1]).status_code == 201, "what is here is not under way"
    asked(peer)


def test_two_pushes_asked_for_at_once_are_counted_one_after_the_other(either_url: str, tmp_path: Path) -> None:
    with (
        open_house(tmp_path / "other", either_url) as house,
        speaking(house, party="hospital", hosted="pharma") as peer,
    ):
        settings = house.runtime.settings.model_copy(update={"dataspace_pushes_asked": 1})
        runtime = replace(house.runtime, settings=settings)
        second = connector_in(house.cast["hospital"].id, generate_key(), peer.heard.origin, house)
        second = second.model_copy(update={"identifier": "did:web:second.example"})
        with house.db() as db:
            other = connectors.register(db, house.cast["operator"].actor, second, house.clock.now())
        answers, buyer, now = answering(settings), house.cast["pharma"].actor, house.clock.now()

        def ask(db: Session, connector: str) -> None:
            where = connector, f"{peer.heard.origin}/dsp/theirs/2025-1"
            form = {"transfer_format": "HttpData-PUSH"}
            ask_for_data(db, buyer, *where, "urn:agreement:1", answers, runtime, now, **form)

        def ask_too() -> None:
            with house.db() as db:
                ask(db, other.id)

        with ThreadPoolExecutor(1) as others:
            with house.db() as db:
                ask(db, peer.connector.id)
                late = others.submit(ask_too)
                assert not wait([late], 0.3).done, "nobody counts while another asks"
            with pytest.raises(TooManyPushes):
                late.result(30)
