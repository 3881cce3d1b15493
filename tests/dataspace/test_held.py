"""What a buyer here has agreed with a provider elsewhere: held as both said it, visible to it, used when it pulls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jsonschema
import pytest

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.audit.recheck import sealed_rows
from marketplace.dataspace import queries
from marketplace.dataspace.beginning import ask_for_contract, ask_for_data, move_on
from marketplace.dataspace.chosen import answering
from marketplace.dataspace.holding import AgreementOver
from marketplace.dataspace.messages import SIGNED
from marketplace.dataspace.models import Exchange, HeldAgreement
from marketplace.dataspace.showing import WITHHELD, shown, shown_message
from marketplace.dataspace.states import Protocol
from marketplace.exchange.terms import CONTRACTS
from marketplace.kernel.canonical import Json, canonical, digest
from marketplace.kernel.clock import timestamp
from marketplace.kernel.signing import generate_key
from marketplace.participants import queries as participants
from tests.dataspace.peer import Peer, message, speaking
from tests.house import House
from tests.transfer.doors import entries
from workers.relay import run_due

N, T = Protocol.NEGOTIATION, Protocol.TRANSFER
OFFER = {"@id": "offer-1", "@type": "Offer", "target": "dataset-1", "permission": [{"action": "use"}]}
AGREED = "urn:agreement:1"


@pytest.fixture
def peer(house: House) -> Iterator[Peer]:
    with speaking(house, party="hospital", hosted="pharma") as found:
        yield found


def where(peer: Peer) -> tuple[str, str]:
    return peer.connector.id, f"{peer.heard.origin}/dsp/theirs/2025-1"


def begun(peer: Peer, offer: Json = OFFER) -> Exchange:
    """A negotiation that the provider elsewhere has taken."""
    house = peer.house
    with house.db() as db:
        answers, buyer = answering(house.runtime.settings), house.cast["pharma"].actor
        asked = ask_for_contract(db, buyer, *where(peer), offer, answers, house.runtime, house.clock.now())
    assert peer.deliver() == 1
    return now(peer, asked)


def now(peer: Peer, exchange: Exchange) -> Exchange:
    with peer.house.runtime.database.reading() as db:
        return queries.exchange(db, exchange.id)


def hear(peer: Peer, exchange: Exchange, move: str, path: str, **content: Any) -> Any:
    kind = Protocol(exchange.protocol)
    body = message(kind, move, providerPid=peer.heard.pid, consumerPid=exchange.id, **content)
    return peer.post(f"/{'negotiations' if kind is N else 'transfers'}/{exchange.id}/{path}", body)


def say(peer: Peer, exchange: Exchange, move: str, **extra: Any) -> str:
    house = peer.house
    with house.db() as db:
        found = queries.exchange(db, exchange.id)
        move_on(db, found, move, extra, answering(house.runtime.settings), house.runtime, house.clock.now())
    assert peer.deliver() == 1
    return now(peer, exchange).state


def agreement(peer: Peer, offer: Json = OFFER) -> Json:
    parties = {"assigner": peer.connector.identifier, "assignee": peer.hosted}
    when = {"timestamp": timestamp(peer.house.clock.now())}
    return offer | {"@id": AGREED, "@type": "Agreement"} | parties | when


def contract(peer: Peer, **changes: Any) -> Json:
    """What our extension carries, drafted elsewhere and signed by the provider."""
    ends_at = timestamp(peer.house.clock.now() + timedelta(days=30))
    sides = {"provider": "hospital", "buyer": "pharma"}
    with peer.house.runtime.database.reading() as db:
        found = {side: participants.participant(db, peer.house.cast[who].id) for side, who in sides.items()}
    parties = {side: {"id": one.id, "credit_code": one.credit_code} for side, one in found.items()}
    bounds = [{"leftOperand": "recipient", "operator": "eq", "rightOperand": peer.hosted}]
    uses = {"profile": "urn:profile", "permission": [{"action": "use", "constraint": bounds}]}
    content = {"type": "agreement", "id": AGREED, "ends_at": ends_at, "parties": parties, "uses": uses} | changes
    jws = peer.house.cast["hospital"].key.sign_detached(canonical(content), typ="agreement+jws")
    return {"document": digest(content), "content": content, "signatures": [{"jws": jws}]}


def held(peer: Peer) -> HeldAgreement:
    with peer.house.runtime.database.reading() as db:
        (found,) = queries.held_of(db, peer.house.cast["pharma"].actor).rows
        assert queries.held_of(db, peer.house.cast["hospital"].actor).rows == []
        return found


def content(peer: Peer, sha256: str) -> Json:
    with peer.house.runtime.database.reading() as db:
        return documents.content(db, sha256)


def signers(peer: Peer, sha256: str) -> set[str]:
    with peer.house.runtime.database.reading() as db:
        return {one.signer for one in documents.signatures(db, sha256)}


def finalized(peer: Peer, offer: Json = OFFER) -> Exchange:
    """With a plain connector, that agrees at once and signs nothing."""
    exchange = begun(peer, offer)
    assert hear(peer, exchange, "agree", "agreement", agreement=agreement(peer, offer)).status_code == 200
    assert peer.deliver() == 0, "without a contract the buyer decides by itself whether to verify"
    assert say(peer, exchange, "verify") == "VERIFIED"
    assert hear(peer, exchange, "finalize", "events").status_code == 200
    return exchange


def test_with_a_plain_connector_what_both_said_is_held_in_words(peer: Peer) -> None:
    exchange = finalized(peer)
    found = held(peer)
    assert (found.agreement, found.dataset, found.contract, found.state) == (AGREED, "dataset-1", "", "in_force")
    said = content(peer, found.document)
    schema = json.loads((CONTRACTS / "documents" / "held-agreement.schema.json").read_text("utf-8"))
    jsonschema.validate(said, schema)
    assert "signs no document" in said["unsigned"]["en"]
    assert [(one["by"], one["move"]) for one in said["said"]] == [
        ("buyer", "request"),
        ("provider", "agree"),
        ("buyer", "verify"),
        ("provider", "finalize"),
    ]
    assert signers(peer, found.document) == {"service"}
    (told,) = entries(peer.house, Tag.AGREEMENT_HELD)
    assert (told["facts"]["document"], told["facts"]["exchange"]) == (found.document, exchange.id)
    with peer.house.runtime.database.reading() as db:
        assert [one for one in sealed_rows(db) if "dataspace" in str(one)] == []


def test_a_message_changes_only_what_its_type_carries(peer: Peer) -> None:
    house, exchange = peer.house, begun(peer)
    elsewhere = agreement(peer, OFFER | {"target": "dataset-2"})
    answer = hear(peer, exchange, "agree", "agreement", agreement=elsewhere, offer=OFFER)
    assert (answer.status_code, answer.json()["code"]) == (400, "other-terms")
    assert now(peer, exchange) == exchange

    stray = {"offer": "", "agreement": [], "dataAddress": "a secret of somebody"}
    assert hear(peer, exchange, "terminate", "termination", **stray).status_code == 200
    transfer = asked(peer)
    peer.deliver()
    for move, path in (("start", "start"), ("suspend", "suspension"), ("start", "start")):
        more = {"dataAddress": None} if move == "start" else stray
        assert hear(peer, transfer, move, path, **more).status_code == 200, move
    with house.runtime.database.reading() as db:
        buyer = house.cast["pharma"].actor
        seen = {one.id: shown(buyer, one) for one in queries.exchanges_of(db, buyer).rows}
        auditor = house.cast["auditor"].actor
        told = [shown_message(auditor, transfer, one).body for one in queries.messages(db, transfer.id)]
    assert (seen[exchange.id].state, seen[exchange.id].terms, seen[exchange.id].agreement) == ("TERMINATED", OFFER, {})
    assert (seen[transfer.id].state, seen[transfer.id].data_address) == ("STARTED", {})
    assert [one["dataAddress"] for one in told if one.get("dataAddress")] == [WITHHELD]


def test_with_our_extension_the_contract_is_held_with_both_signatures(peer: Peer) -> None:
    house, exchange, made = peer.house, begun(peer), contract(peer)
    assert hear(peer, exchange, "offer", "offers", offer=OFFER, **{SIGNED: made}).status_code == 200
    body = canonical(made["content"])
    jws = house.cast["pharma"].key.sign_detached(body, typ="agreement+jws")
    assert say(peer, exchange, "accept", **{SIGNED: {"jws": jws}}) == "ACCEPTED"

    stranger = generate_key().sign_detached(body, typ="agreement+jws")
    wrong = [
        made | {"content": made["content"] | {"text": "something else"}},
        made | {"signatures": [{"jws": stranger}]},
        made | {"signatures": []},
        contract(peer, text="another contract than the buyer signed"),
        contract(peer, ends_at="never"),
        contract(peer, id="urn:agreement:2"),
        contract(peer, parties={"provider": {"credit_code": "1"}, "buyer": {"credit_code": "2"}}),
        contract(peer, uses={"profile": "urn:profile", "permission": [{"action": "distribute"}]}),
        contract(peer, uses="anything"),
        "no contract",
    ]
    for one in wrong:
        answer = hear(peer, exchange, "agree", "agreement", agreement=agreement(peer), **{SIGNED: one})
        assert (answer.status_code, now(peer, exchange).state) == (400, "ACCEPTED"), answer.text
    assert hear(peer, exchange, "agree", "agreement", agreement=agreement(peer), **{SIGNED: made}).status_code == 200
    assert peer.deliver() == 1, "both signatures are checked, so the service verifies by itself"
    assert now(peer, exchange).state == "VERIFIED"
    for _ in range(2):
        assert hear(peer, exchange, "finalize", "events").status_code in {200, 400}

    found = held(peer)
    assert found.contract == made["document"]
    assert timestamp(found.ends_at or house.clock.now()) == made["content"]["ends_at"]
    assert signers(peer, found.contract) == {house.cast["hospital"].id, house.cast["pharma"].id}
    assert content(peer, found.document)["unsigned"] is None


def test_an_old_contract_binds_nobody_again(peer: Peer) -> None:
    house, made = peer.house, contract(peer)
    jws = house.cast["pharma"].key.sign_detached(canonical(made["content"]), typ="agreement+jws")

    def accepted() -> Exchange:
        peer.heard.pid = ""
        exchange = begun(peer)
        assert hear(peer, exchange, "offer", "offers", offer=OFFER, **{SIGNED: made}).status_code == 200
        say(peer, exchange, "accept", **{SIGNED: {"jws": jws}})
        assert hear(peer, exchange, "agree", "agreement", **said).status_code == 200
        assert peer.deliver() == 1
        return exchange

    said = {"agreement": agreement(peer), SIGNED: made}
    first = accepted()
    assert hear(peer, first, "terminate", "termination").status_code == 200

    peer.heard.pid = ""
    second = begun(peer)
    assert hear(peer, second, "agree", "agreement", **said).status_code == 200
    assert (peer.deliver(), now(peer, second).state) == (0, "AGREED"), "the buyer signed nothing in this negotiation"

    assert hear(peer, accepted(), "finalize", "events").status_code == 200
    assert held(peer).contract == made["document"]
    peer.heard.pid = ""
    third = begun(peer)
    answer = hear(peer, third, "agree", "agreement", **said)
    assert (answer.status_code, answer.json()["code"]) == (400, "not-the-contract")
    assert now(peer, third).state == "REQUESTED"


def asked(peer: Peer) -> Exchange:
    house = peer.house
    with house.db() as db:
        answers, buyer = answering(house.runtime.settings), house.cast["pharma"].actor
        return ask_for_data(db, buyer, *where(peer), AGREED, answers, house.runtime, house.clock.now())


def test_an_agreement_that_the_provider_ended_carries_no_further_pull(peer: Peer) -> None:
    finalized(peer)
    first, second = asked(peer), asked(peer)
    peer.deliver()
    assert hear(peer, first, "terminate", "termination", code="no_longer_wanted").status_code == 200
    assert held(peer).state == "in_force", "a transfer ends without its agreement"
    assert hear(peer, second, "terminate", "termination", code="agreement_terminated").status_code == 200
    assert (held(peer).state, held(peer).reason) == ("terminated", "agreement_terminated")
    assert [one["facts"]["by"] for one in entries(peer.house, Tag.HELD_AGREEMENT_ENDED)] == ["provider"]
    with pytest.raises(AgreementOver):
        asked(peer)


def test_an_agreement_that_permits_nothing_says_no_end(peer: Peer) -> None:
    forbids = OFFER | {"permission": None, "prohibition": {"action": "distribute"}}
    finalized(peer, forbids)
    assert (held(peer).state, held(peer).ends_at) == ("in_force", None)


def test_an_agreement_ends_with_its_term(peer: Peer) -> None:
    house = peer.house
    end = house.clock.now() + timedelta(days=2)
    until = {"leftOperand": "dateTime", "operator": "lteq", "rightOperand": timestamp(end)}
    whole = OFFER | {"permission": [{"action": "use", "constraint": [until]}]}
    lenient = until | {"leftOperand": "odrl:dateTime", "rightOperand": {"@value": timestamp(end)}}
    alone = {"permission": {"action": "odrl:use", "constraint": lenient}, "prohibition": None}
    exchange = begun(peer, whole)
    wider = alone | {"permission": {"action": "odrl:use"}}
    for said, status in ((wider, 400), (alone, 200)):
        answer = hear(peer, exchange, "agree", "agreement", agreement=agreement(peer) | said)
        assert answer.status_code == status, answer.text
    assert say(peer, exchange, "verify") == "VERIFIED"
    assert hear(peer, exchange, "finalize", "events").status_code == 200
    assert held(peer).ends_at == end, "however its sender spells it"
    house.clock.advance(timedelta(days=2))
    with pytest.raises(AgreementOver):
        asked(peer)
    for _ in range(2):
        run_due(house.runtime)
    assert (held(peer).state, held(peer).reason) == ("expired", "agreement_expired")
    assert len(entries(house, Tag.HELD_AGREEMENT_ENDED)) == 1
