"""A push between two participants hosted here, over real sockets: each side speaks to the other as to a connector."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from marketplace.audit.entry import Tag
from marketplace.dataspace import queries
from marketplace.dataspace.beginning import ask_for_data
from marketplace.dataspace.chosen import answering
from marketplace.dataspace.models import Arrival, Exchange, Push
from marketplace.main import create_app
from marketplace.participants import connectors
from marketplace.participants.models import Connector
from marketplace.plumbing import sockets
from marketplace.transfer.outflow import Outflow
from tests.dataspace.peer import connector_in, speaking
from tests.dataspace.test_house import agreed, put_files
from tests.exchange.parts import certified, listed
from tests.house import House
from tests.transfer.doors import PATIENCE_SECONDS, entries, wait_until
from workers.relay import run_due


@contextmanager
def serving(house: House) -> Iterator[House]:
    """The same house behind a real socket, which its public address names."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = house.runtime.settings.model_copy(update={"public_url": origin, "window_kib": 1})
        house = replace(house, runtime=replace(house.runtime, settings=settings))
        app = create_app(house.runtime)
        server = sockets.server(app, settings, log_level="critical", lifespan="off")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        try:
            yield house
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)


def hosted_connector(house: House, party: str) -> Connector:
    """The component through which a participant hosted here speaks: it is this service."""
    asked = connector_in(house.cast[party].id, house.runtime.service_key, house.runtime.settings.public_url, house)
    asked = asked.model_copy(update={"identifier": house.cast[party].id})
    with house.db() as db:
        return connectors.register(db, house.cast["operator"].actor, asked, house.clock.now())


def settle(house: House) -> None:
    """Let everything that is due be done, until nothing is."""
    for _ in range(30):
        house.clock.advance(timedelta(seconds=1))
        if not run_due(house.runtime, only=["dataspace.send", "dataspace.push"]):
            return
    raise AssertionError("it does not come to an end")


def test_what_one_side_pushes_the_other_has_also_after_a_broken_line(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = certified(house)
    put_files(house, version)
    listing = listed(house, version)
    with speaking(house) as peer:
        _, agreement = agreed(peer, listing)
    real, broken = Outflow.part, list[int]()

    def breaking(outflow: Outflow, length: int) -> Iterator[bytes]:
        for window in real(outflow, length):
            yield window
            if outflow.sent > 4096 and not broken:
                broken.append(outflow.sent)
                raise OSError("the line is cut")

    monkeypatch.setattr(Outflow, "part", breaking)
    with serving(house) as here:
        hospital, buyer = hosted_connector(here, "hospital"), here.cast["pharma"].actor
        hosted_connector(here, "pharma")
        where: tuple[Any, ...] = (
            hospital.id,
            f"{here.runtime.settings.public_url}/dsp/{here.cast['hospital'].id}/2025-1",
        )
        with here.db() as db:
            answers, now = answering(here.runtime.settings), here.clock.now()
            form = {"transfer_format": "HttpData-PUSH"}
            asked = ask_for_data(db, buyer, *where, agreement, answers, here.runtime, now, **form).id
        settle(here)

    with house.runtime.database.reading() as db:
        ours = queries.exchange(db, asked)
        theirs = db.exec(select(Exchange).where(Exchange.peer_pid == asked)).one()
        arrived, pushed = db.get_one(Arrival, asked), db.get_one(Push, theirs.id)
    assert (ours.state, theirs.state, ours.peer_pid) == ("COMPLETED", "COMPLETED", theirs.id)
    legs = [one["facts"] for one in entries(house, Tag.TRANSFER_CLOSED)]
    assert [one["outcome"] for one in legs] == ["broken", "complete"]
    assert legs[1]["from"] > 0, "the second leg begins where the first one ended"
    assert legs[1]["from"] + legs[1]["bytes"] == arrived.bytes == pushed.size
    (first, _) = entries(house, Tag.USE_ALLOWED)
    assert (arrived.sha256, arrived.digest_given) == (first["facts"]["sha256"], True)
    (told,) = entries(house, Tag.DATA_ARRIVED)
    assert told["facts"]["sha256"] == arrived.sha256
