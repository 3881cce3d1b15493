"""The rounds of a negotiation over the protocol: each message is a move of the negotiation room."""

from __future__ import annotations

import copy
from typing import Any

from marketplace.audit.entry import Tag
from marketplace.dataspace import queries
from marketplace.dataspace.messages import SIGNED, TERMS
from marketplace.dataspace.policies import rules_of
from marketplace.dataspace.states import Protocol
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import Json, digest
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rules import ANSWER_WITHIN
from tests.dataspace.peer import Peer
from tests.dataspace.peer import message as written
from tests.dataspace.schemas import problems_of
from tests.dataspace.test_house import THEIRS, ask, offer_of, say, settle
from tests.exchange.parts import PARAMETERS, PRICE_FEN
from tests.house import House
from tests.legal.parts import signed
from tests.negotiation.parts import approve, sign, state
from tests.negotiation.rounds.parts import draft_to_sign, offer, proposals, seen, set_rule
from tests.transfer.doors import entries

N = Protocol.NEGOTIATION
CHEAPER = {"kind": "one_off", "price_fen": PRICE_FEN - 400_000}
RULE = {"purposes": ["model_training"], "buyer_kinds": ["pharma"], "price_not_below_fen": PRICE_FEN - 500_000}


def request_of(peer: Peer) -> AccessRequest:
    with peer.house.runtime.database.reading() as db:
        return negotiation.request_page(db, peer.house.cast["pharma"].actor).rows[0]


def with_uses(offer: Json, most: int) -> Json:
    """The same offer with another number of uses in its rules, wherever they stand."""
    changed = copy.deepcopy(offer)
    for rule in changed["permission"]:
        for constraint in rule.get("constraint", []):
            if constraint["leftOperand"] == "count":
                constraint["rightOperand"] = str(most)
    return changed


def counter(peer: Peer, ours: str, offer: Json, **more: Any) -> Any:
    return say(peer, N, ours, "request", "request", offer=offer, **more)


def wire(peer: Peer, ours: str) -> str:
    return str(peer.get(f"/negotiations/{ours}").json()["state"])


def worked(peer: Peer) -> list[Json]:
    """What the other side gets once the work that follows from work is done too."""
    return [*settle(peer), *settle(peer)]


def signature(peer: Peer, document: str) -> Json:
    with peer.house.db() as db:
        return {SIGNED: {"jws": signed(peer.house.cast["pharma"], db, document, "agreement").jws}}


def test_three_rounds_over_the_protocol_are_three_rounds_here(peer: Peer, listing: Listing, house: House) -> None:
    ours = ask(peer, listing, offer=with_uses(offer_of(peer, listing), 12)).json()["providerPid"]
    request = request_of(peer)
    assert seen(house, request) == ("REQUESTED", "asked", "provider")

    offer(house, request, parameters=PARAMETERS, price_plan=CHEAPER)
    (told,) = settle(peer)
    assert problems_of(told) == []
    assert (told["@type"], told[TERMS]["price_plan"]["price_fen"]) == ("ContractOfferMessage", CHEAPER["price_fen"])
    assert told["offer"]["@id"] != listing.offer_id, "other terms are another offer"
    assert digest(told[SIGNED]["content"]) == told[SIGNED]["document"]

    said = written(N, "request", providerPid=ours, consumerPid=THEIRS, offer=with_uses(told["offer"], 9))
    for _ in range(2):
        assert peer.post(f"/negotiations/{ours}/request", said).status_code == 200
    assert (wire(peer, ours), seen(house, request)) == ("REQUESTED", ("REQUESTED", "counter_offered", "provider"))
    rounds = proposals(house, request)
    assert [(one.by, one.parameters["max_uses"]) for one in rounds] == [
        ("buyer", 12),
        ("provider", PARAMETERS["max_uses"]),
        ("buyer", 9),
    ]
    assert rounds[2].price_plan == rounds[1].price_plan, "what the rules have no words for stays"

    agreement = approve(house, request)
    (told,) = settle(peer)
    assert peer.post(f"/negotiations/{ours}/request", said).status_code == 200
    assert wire(peer, ours) == "OFFERED", "a message that was taken long ago moves nothing"
    stray = {"offer": with_uses(told["offer"], 999), "agreement": "anything", "dataAddress": "anywhere"}
    accepted = signature(peer, told[SIGNED]["document"]) | stray
    assert say(peer, N, ours, "accept", "events", **accepted).status_code == 200
    assert (wire(peer, ours), state(house, agreement)) == ("ACCEPTED", ("ACCEPTED", "drafted"))
    sign(house, agreement, "hospital")
    (told,) = settle(peer)
    assert (told["agreement"]["@id"], rules_of(told["agreement"])) == (
        agreement.id,
        rules_of(with_uses(offer_of(peer, listing), 9)),
    )
    assert say(peer, N, ours, "verify", "agreement/verification").status_code == 200
    settle(peer)
    assert (wire(peer, ours), state(house, agreement)) == ("FINALIZED", ("FINALIZED", "finalized"))


def test_what_the_negotiation_room_refuses_moves_nothing(peer: Peer, listing: Listing, house: House) -> None:
    listed_offer = offer_of(peer, listing)
    ours = ask(peer, listing).json()["providerPid"]
    request = request_of(peer)
    assert counter(peer, ours, with_uses(listed_offer, 9)).json()["code"] == "wrong-state"
    assert wire(peer, ours) == "REQUESTED"

    agreement = approve(house, request)
    settle(peer)
    before = proposals(house, request)
    codes = [
        counter(peer, ours, listed_offer),
        counter(peer, ours, listed_offer | {"permission": [{"action": "use"}]}),
        counter(peer, ours, listed_offer, **{TERMS: {"parameters": PARAMETERS | {"max_uses": 9}}}),
        counter(peer, ours, listed_offer, **{TERMS: {"price_fen": 1}}),
        counter(peer, ours, with_uses(listed_offer, 10**9)),
        counter(peer, ours, listed_offer, **{TERMS: {"purpose": "insurance_pricing"}}),
        say(peer, N, ours, "accept", "events", **{SIGNED: {"jws": "e30..e30"}}),
        say(peer, N, ours, "verify", "agreement/verification"),
    ]
    assert {one.status_code for one in codes} <= {400, 403}
    assert [one.json()["code"] for one in codes][:6] == [
        "nothing-countered",
        "not-negotiable",
        "not-negotiable",
        "bad-message",
        "not-negotiable",
        "declined",
    ]
    assert all(problems_of(one.json()) == [] for one in codes)
    assert entries(house, Tag.ACCESS_REFUSED)[-1]["facts"]["reasons"]
    assert (wire(peer, ours), state(house, agreement)) == ("OFFERED", ("OFFERED", "drafted"))
    assert proposals(house, request) == before


def test_a_rule_answers_over_the_protocol_and_a_deadline_ends_it(peer: Peer, listing: Listing, house: House) -> None:
    set_rule(house, listing.id, automatic=RULE)
    ours = ask(peer, listing, **{TERMS: {"price_plan": CHEAPER}}).json()["providerPid"]
    assert [one["@type"] for one in worked(peer)] == ["ContractOfferMessage"]
    assert (wire(peer, ours), seen(house, request_of(peer))) == ("OFFERED", ("OFFERED", "offered_by_rule", "buyer"))
    house.clock.advance(ANSWER_WITHIN)
    (told,) = worked(peer)
    assert (told["@type"], told["code"]) == ("ContractNegotiationTerminationMessage", "deadline_passed")
    assert wire(peer, ours) == "TERMINATED"


def test_a_provider_that_agrees_at_once_signs_first_and_the_buyer_with_its_verification(
    peer: Peer, listing: Listing, house: House
) -> None:
    ours = ask(peer, listing).json()["providerPid"]
    agreement = draft_to_sign(house, request_of(peer))
    sign(house, agreement, "hospital")
    (told,) = settle(peer)
    assert (told["@type"], len(told[SIGNED]["signatures"])) == ("ContractAgreementMessage", 1)
    assert say(peer, N, ours, "verify", "agreement/verification").json()["code"] == "signature-needed"
    assert (wire(peer, ours), state(house, agreement)) == ("AGREED", ("AGREED", "drafted"))
    said = signature(peer, agreement.document)
    assert say(peer, N, ours, "verify", "agreement/verification", **said).status_code == 200
    settle(peer)
    assert (wire(peer, ours), state(house, agreement)) == ("FINALIZED", ("FINALIZED", "finalized"))


def test_two_processes_of_one_buyer_are_two_negotiations(peer: Peer, listing: Listing, house: House) -> None:
    first, second = (ask(peer, listing, consumerPid=f"urn:peer:{number}").json()["providerPid"] for number in (1, 2))
    assert ask(peer, listing, consumerPid="urn:peer:1").json()["providerPid"] == first, "the same process is the same"
    with house.runtime.database.reading() as db:
        requests = negotiation.request_page(db, house.cast["pharma"].actor).rows
        assert {queries.exchange(db, one).request_id for one in (first, second)} == {one.id for one in requests}
    assert len(requests) == 2


def test_a_buyer_that_ends_it_before_the_last_step_ends_the_contract(
    peer: Peer, listing: Listing, house: House
) -> None:
    ours = ask(peer, listing).json()["providerPid"]
    agreement = approve(house, request_of(peer))
    (told,) = settle(peer)
    say(peer, N, ours, "accept", "events", **signature(peer, told[SIGNED]["document"]))
    sign(house, agreement, "hospital")
    settle(peer)
    assert (wire(peer, ours), state(house, agreement)) == ("AGREED", ("FINALIZED", "finalized"))
    assert say(peer, N, ours, "terminate", "termination").status_code == 200
    assert (wire(peer, ours), state(house, agreement)) == ("TERMINATED", ("FINALIZED", "terminated"))
