"""Acts by the real verbs: declared by a side, signed with its own key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlmodel import Session

from marketplace.assets.schemas import SignatureIn
from marketplace.audit import documents
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.schemas import WhyIn
from marketplace.negotiation.succession import answering, proposing, queries, reviewing
from marketplace.negotiation.succession.models import AgreementAct, AgreementSuccessor
from marketplace.negotiation.succession.rules import SuccessorKind
from marketplace.negotiation.succession.schemas import SuccessionOut, SuccessorIn, SuccessorReviewIn
from marketplace.negotiation.succession.shown import succession
from marketplace.negotiation.succession.signatures import sign_act
from tests.house import House
from tests.legal.parts import signed
from workers.relay import run_due

BREACH = WhyIn(reason="breach_of_contract")


def agreement_of(house: House, name: str) -> Agreement:
    with house.runtime.database.reading() as db:
        return negotiation.agreement(db, name)


def suspend(house: House, name: str, who: str, why: WhyIn = BREACH) -> Agreement:
    with house.db() as db:
        return stopping.suspend(db, house.cast[who].actor, negotiation.agreement(db, name), why, house.clock.now())


def terminate(house: House, name: str, who: str, why: WhyIn = BREACH) -> Agreement:
    with house.db() as db:
        return stopping.terminate(db, house.cast[who].actor, negotiation.agreement(db, name), why, house.clock.now())


def declare_resumption(house: House, name: str, who: str, why: WhyIn = BREACH) -> AgreementAct:
    with house.db() as db:
        return stopping.resume(db, house.cast[who].actor, negotiation.agreement(db, name), why, house.clock.now())


def sign_as(house: House, name: str, who: str, document: str, signer: str = "") -> AgreementAct:
    """Sign an act as a side.  signer: whose key, if not its own."""
    with house.db() as db:
        body = documents.get(db, document).body
        jws = house.cast[signer or who].key.sign_detached(body, typ="agreement-act+jws")
        made = SignatureIn(document=document, jws=jws)
        return sign_act(db, house.cast[who].actor, negotiation.agreement(db, name), made, house.clock.now())


def sign_all(house: House, name: str, who: str) -> list[AgreementAct]:
    """Sign whatever acts of its own a side has left unsigned, in order."""
    with house.runtime.database.reading() as db:
        mine = [one.document for one in queries.unsigned(db, name) if one.party == house.cast[who].id]
    return [sign_as(house, name, who, one) for one in mine]


def resume(house: House, name: str, who: str) -> None:
    """Let uses begin again: declared and signed."""
    sign_as(house, name, who, declare_resumption(house, name, who).document)


def chain(house: House, name: str) -> SuccessionOut:
    with house.runtime.database.reading() as db:
        return succession(db, negotiation.agreement(db, name))


def amend(house: House, name: str, who: str, **changes: Any) -> Agreement:
    """Propose an amendment; nobody has signed it."""
    return _propose(house, name, who, SuccessorKind.AMENDMENT, changes)


def renew(house: House, name: str, who: str, **changes: Any) -> Agreement:
    """Propose a renewal; nobody has signed it."""
    return _propose(house, name, who, SuccessorKind.RENEWAL, changes)


def amended(house: House, name: str, **changes: Any) -> Agreement:
    """An amendment in force."""
    successor = amend(house, name, "pharma", **changes)
    sign_successor(house, successor.id, "pharma")
    return sign_successor(house, successor.id, "hospital")


def sign_successor(house: House, name: str, who: str) -> Agreement:
    with house.db() as db:
        return sign_successor_in(db, house, name, who)


def sign_successor_in(db: Session, house: House, name: str, who: str) -> Agreement:
    party, agreement, follows = house.cast[who], negotiation.agreement(db, name), queries.succession(db, name)
    assert follows is not None
    made = signed(party, db, agreement.document, "agreement")
    return answering.sign(db, party.actor, agreement, follows, made, house.clock.now())


def review_successor(house: House, name: str, person: str | None, office: str, who: str = "hospital") -> dict[str, int]:
    """Approve a successor as a person of a party; returns what is still missing."""
    actor = replace(house.cast[who].actor, person=person)
    with house.db() as db:
        found = negotiation.agreement(db, name)
        asked = SuccessorReviewIn.model_validate({"office": office, "document": found.document})
        reviewing.review(db, actor, found, asked, house.clock.now())
        return reviewing.missing(db, found)


def give_back(house: House, name: str, who: str, why: WhyIn = BREACH) -> AgreementSuccessor:
    with house.db() as db:
        return reviewing.give_back(db, house.cast[who].actor, negotiation.agreement(db, name), why, house.clock.now())


def settle(house: House) -> None:
    """Let the workers do what is due."""
    while run_due(house.runtime):
        pass


def _propose(house: House, name: str, who: str, kind: SuccessorKind, changes: dict[str, Any]) -> Agreement:
    asked = SuccessorIn.model_validate({"reason": "more_uses_needed", **changes})
    with house.db() as db:
        found = negotiation.agreement(db, name)
        return proposing.propose(db, house.cast[who].actor, found, kind, asked, house.clock.now())
