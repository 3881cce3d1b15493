"""A hospital in one instance, a buyer in another with a port and a database of its own, over the Dataspace Protocol.

Three rounds, both signatures, a pull over a line that is cut and goes on, an end by the buyer while bytes run; at last
the logs of both sides say the same, entry by entry.
"""

from __future__ import annotations

import copy
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.audit.recheck import sealed_rows
from marketplace.dataspace import queries
from marketplace.dataspace.beginning import ask_for_contract, ask_for_data
from marketplace.dataspace.messages import CONTEXT, SIGNED, TERMS
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import Json, canonical
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.plumbing import connections, sockets, wires
from marketplace.plumbing.addresses import Address
from marketplace.transfer import delivery
from marketplace.transfer.recheck import recheck
from tests.dataspace.instances import Instance, settle, two_instances
from tests.exchange.parts import PARAMETERS, PRICE_FEN, certified, listed
from tests.hostile.story import _files as put_files
from tests.negotiation.parts import approve, sign, state
from tests.negotiation.rounds.parts import offer, proposals
from tests.transfer.doors import entries, reading, rest_of, wait_until

CHEAPER = {"kind": "one_off", "price_fen": PRICE_FEN - 400_000}
PIXELS = 1500  # of each side of two slices: some megabytes, more than all buffers between the two hold


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Instance, Instance]]:
    with two_instances(tmp_path, window_kib=64) as found:
        yield found


def with_uses(offer: Json, most: int) -> Json:
    changed = copy.deepcopy(offer)
    for rule in changed["permission"]:
        for constraint in rule.get("constraint", []):
            if constraint["leftOperand"] == "count":
                constraint["rightOperand"] = str(most)
    return changed


def catalogue(buyer: Instance) -> Json:
    """The one data set that the hospital offers, as its catalogue shows it to the buyer."""
    body = {"@context": [CONTEXT], "@type": "CatalogRequestMessage"}
    (dataset,) = buyer.call("/catalog/request", body)["dataset"]
    return dataset


def latest(one: Instance, exchange_id: str) -> Json:
    return one.messages(exchange_id)[-1]


def negotiated(hospital: Instance, buyer: Instance, listing: Listing) -> tuple[str, Agreement]:
    """Three rounds and both signatures; returns the buyer's process id and the hospital's agreement."""
    offered = catalogue(buyer)["hasPolicy"][0] | {"target": listing.id}
    first = buyer.begin(ask_for_contract, with_uses(offered, 12), beside={TERMS: {"price_plan": CHEAPER}}).id
    settle(buyer, hospital)
    with hospital.runtime.database.reading() as db:
        (request,) = negotiation.request_page(db, hospital.here.actor).rows

    offer(hospital.house, request, parameters=PARAMETERS)
    settle(hospital, buyer)
    told = latest(buyer, first)
    assert (told["@type"], buyer.exchange(first).state) == ("ContractOfferMessage", "OFFERED")
    buyer.say(first, "request", offer=with_uses(told["offer"], 9))
    settle(buyer, hospital)
    rounds = [(one.by, one.parameters["max_uses"]) for one in proposals(hospital.house, request)]
    assert rounds == [("buyer", 12), ("provider", PARAMETERS["max_uses"]), ("buyer", 9)]

    agreement = approve(hospital.house, request)
    settle(hospital, buyer)
    contract = latest(buyer, first)[SIGNED]
    jws = buyer.here.key.sign_detached(canonical(contract["content"]), typ="agreement+jws")
    buyer.say(first, "accept", **{SIGNED: {"jws": jws}})
    settle(buyer, hospital)
    sign(hospital.house, agreement, "hospital")
    settle(hospital, buyer)
    assert [one.exchange(name).state for one, name in ((buyer, first), (hospital, other_id(buyer, first)))] == [
        "FINALIZED",
        "FINALIZED",
    ]
    assert state(hospital.house, agreement) == ("FINALIZED", "finalized")
    return first, agreement


def other_id(buyer: Instance, exchange_id: str) -> str:
    return buyer.exchange(exchange_id).peer_pid


def moves(one: Instance, exchange_id: str) -> list[tuple[str, str, str]]:
    """What the log says of an exchange: each move, the hash of its message, the state that it led to."""
    facts = [entry["facts"] for entry in entries(one.house, Tag.EXCHANGE_MOVED)]
    return [(fact["move"], fact["message"], fact["state"]) for fact in facts if fact["exchange"] == exchange_id]


def test_a_contract_and_its_data_between_two_instances(both: tuple[Instance, Instance]) -> None:
    hospital, buyer = both
    version = certified(hospital.house)
    put_files(hospital.house, version, PIXELS)
    listing = listed(hospital.house, version)

    negotiation_id, agreement = negotiated(hospital, buyer, listing)
    with buyer.runtime.database.reading() as db:
        (held,) = queries.held_of(db, buyer.here.actor).rows
        assert (held.agreement, held.contract) == (agreement.id, agreement.document)
        mine, theirs = (signatures(one, agreement.document) for one in (buyer, hospital))
        assert mine == theirs
        assert {signer for signer, _ in mine} == {buyer.here.id, hospital.here.id}
    delivery.prepare(hospital.runtime, agreement.id)

    first, second = (buyer.begin(ask_for_data, held.agreement).id for _ in range(2))
    settle(buyer, hospital)
    assert [buyer.exchange(one).state for one in (first, second)] == ["STARTED", "STARTED"]
    whole, part = pulled_over_a_cut_line(buyer, first)
    assert len(part) < len(whole)
    assert whole.startswith(part), "what came before the cut and what came after it are one delivery"
    buyer.say(first, "complete")

    with pull(buyer, second) as running:
        assert len(running.read(1 << 16)) == 1 << 16
        buyer.say(second, "terminate")
        settle(buyer, hospital)
        rest, was_cut = rest_of(running)
        assert was_cut
        assert len(rest) < len(whole) - (1 << 16)
    wait_until(lambda: len(entries(hospital.house, Tag.TRANSFER_CLOSED)) >= 1)
    with pull(buyer, second) as refused:
        assert refused.status == 401

    for one in (negotiation_id, first, second):
        said, heard = moves(buyer, one), moves(hospital, other_id(buyer, one))
        assert said == heard
    assert [name for name, _, _ in moves(buyer, negotiation_id)] == (
        ["request", "offer", "request", "offer", "accept", "agree", "verify", "finalize"]
    )
    for one, last in ((first, "complete"), (second, "terminate")):
        assert [name for name, _, _ in moves(buyer, one)] == ["request", "start", last]
    for instance in both:
        with instance.runtime.database.reading() as db:
            assert list(recheck(db)) == []
            assert [row for row in sealed_rows(db) if "dataspace" in str(row)] == []


def test_the_messages_of_a_negotiation_reach_each_side_over_one_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where, name in ((connections, "IDLE_SECONDS"), (connections, "AGE_SECONDS"), (sockets, "SILENT_SECONDS")):
        monkeypatch.setattr(where, name, 3600)  # however slow this machine is
    with two_instances(tmp_path) as (hospital, buyer):
        dialled = [counted(one) for one in (hospital, buyer)]
        negotiated(hospital, buyer, listed(hospital.house))
    assert dialled == [[1], [1]]


def counted(one: Instance) -> list[int]:
    """The number of connections that an instance makes for its messages from now on."""
    made = [0]

    def dial(address: Address, port: int, seconds: float) -> socket.socket:
        made[0] += 1
        return wires.dial(address, port, seconds)

    one.runtime.connections.network = wires.Network(dial=dial)
    return made


def signatures(one: Instance, document: str) -> list[tuple[str, str]]:
    with one.runtime.database.reading() as db:
        return sorted((found.signer, found.jws) for found in documents.signatures(db, document))


def pull(buyer: Instance, transfer_id: str, **headers: str) -> AbstractContextManager[HTTPResponse]:
    """The answer to a GET of the data, by the address that the buyer was given."""
    address = buyer.exchange(transfer_id).data_address
    token = next(one["value"] for one in address["endpointProperties"] if one["name"] == "authorization")
    where = urlsplit(address["endpoint"])
    host = (where.hostname or "", where.port or 0)
    return reading(host, where.path, {"Authorization": f"Bearer {token}"} | headers)


def pulled_over_a_cut_line(buyer: Instance, transfer_id: str) -> tuple[bytes, bytes]:
    """The whole delivery in two answers, the first of which the line cuts, and what came before the cut."""
    with pull(buyer, transfer_id) as first:
        part, tag, size = first.read(300_000), first.headers["ETag"], int(first.headers["Content-Length"])
    again = {"Range": f"bytes={len(part)}-", "If-Range": tag}
    with pull(buyer, transfer_id, **again) as second:
        assert second.status == 206
        whole = part + second.read()
    assert len(whole) == size
    return whole, part
