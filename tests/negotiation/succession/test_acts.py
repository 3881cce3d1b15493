"""What a side declares about a signed agreement: stops at once, signed acts in one chain, nobody else's signature."""

from __future__ import annotations

import json
from datetime import timedelta

import jsonschema
import pytest
from sqlmodel import Session, col, select

from marketplace.audit import documents
from marketplace.audit.models import Entry
from marketplace.exchange.terms import CONTRACTS
from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.signing import BadSignature, generate_key
from marketplace.kernel.transitions import WrongState
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.schemas import WhyIn
from marketplace.negotiation.succession import document, queries
from marketplace.negotiation.succession.signatures import ActOvertaken, NotYourAct
from marketplace.participants.signatures import UnknownKey
from marketplace.plumbing import epochs
from marketplace.transfer.models import StopNotice
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import (
    agreement_of,
    chain,
    declare_resumption,
    resume,
    sign_all,
    sign_as,
    suspend,
    terminate,
)
from workers.relay import run_due

SCHEMA = json.loads((CONTRACTS / "documents" / "agreement-act.schema.json").read_text("utf-8"))
NOTICE = json.loads((CONTRACTS / "documents" / "contract-notice.schema.json").read_text("utf-8"))


def tags(db: Session, agreement: str) -> list[str]:
    found = db.exec(select(Entry).where(Entry.agreement == agreement).order_by(col(Entry.id))).all()
    return [one.tag for one in found if one.tag.startswith("negotiation:")]


def settle(house: House) -> None:
    while run_due(house.runtime):
        pass


def notices(house: House, agreement: str, reason: str) -> list[StopNotice]:
    with house.runtime.database.reading() as db:
        return list(
            db.exec(select(StopNotice).where(StopNotice.agreement_id == agreement, StopNotice.reason == reason))
        )


@pytest.mark.parametrize("who", ["pharma", "hospital"])
def test_a_stop_is_in_effect_before_it_is_signed_and_shown_as_unsigned(house: House, who: str) -> None:
    agreement = finalized(house)
    with house.db() as db:
        before = epochs.total(db, [agreement.id])
    suspend(house, agreement.id, who)
    assert agreement_of(house, agreement.id).state == "suspended"
    with house.db() as db:
        assert epochs.total(db, [agreement.id]) == before + 1
    (act,) = chain(house, agreement.id).acts
    assert (act.kind, act.state, act.number, act.previous) == ("suspension", "unsigned", 1, agreement.document)
    assert act.signature is None
    (signed,) = sign_all(house, agreement.id, who)
    assert (signed.state, signed.document) == ("signed", act.document)
    (act,) = chain(house, agreement.id).acts
    assert act.signature is not None
    assert act.signature.signer == house.cast[who].id


def test_the_act_says_the_same_in_both_languages_and_fits_its_schema(house: House) -> None:
    agreement = finalized(house)
    suspend(house, agreement.id, "hospital")
    (act,) = chain(house, agreement.id).acts
    with house.db() as db:
        content = documents.content(db, act.document)
    jsonschema.validate(content, SCHEMA)
    assert set(document.WORDS["acts"]) == set(SCHEMA["properties"]["act"]["enum"])
    for language, reason in (("zh", "违反合同"), ("en", "breach of contract")):
        said = content["text"][language]["text"]
        for value in (agreement.id, agreement.document, content["at"], reason):
            assert value in said
        assert "{" not in said
    assert content["reason"] == "breach_of_contract"


def test_a_resumption_waits_for_its_signature(house: House) -> None:
    agreement = finalized(house)
    suspend(house, agreement.id, "hospital")
    act = declare_resumption(house, agreement.id, "hospital")
    assert declare_resumption(house, agreement.id, "hospital").document == act.document
    assert agreement_of(house, agreement.id).state == "suspended"
    shown = chain(house, agreement.id)
    assert [one.kind for one in shown.acts] == ["suspension"]
    assert [(one.kind, one.state, one.number) for one in shown.prepared] == [("resumption", "prepared", None)]
    sign_as(house, agreement.id, "hospital", act.document)
    assert agreement_of(house, agreement.id).state == "finalized"
    shown = chain(house, agreement.id)
    assert [(one.kind, one.state) for one in shown.acts] == [("suspension", "unsigned"), ("resumption", "signed")]
    assert shown.acts[1].previous == shown.acts[0].document
    with house.db() as db:
        assert tags(db, agreement.id)[-4:] == [
            "negotiation:agreement_suspended",
            "negotiation:act_prepared",
            "negotiation:act_signed",
            "negotiation:agreement_resumed",
        ]
        entry = db.exec(select(Entry).where(Entry.tag == "negotiation:agreement_resumed")).one()
    assert read_strictly(entry.body)["facts"]["act"] == act.document


def test_a_stop_overtakes_what_was_prepared_and_the_chain_stays_one_line(house: House) -> None:
    agreement = finalized(house)
    suspend(house, agreement.id, "hospital")
    waiting = declare_resumption(house, agreement.id, "hospital")
    terminate(house, agreement.id, "pharma")
    with pytest.raises(ActOvertaken):
        sign_as(house, agreement.id, "hospital", waiting.document)
    assert agreement_of(house, agreement.id).state == "terminated"
    shown = chain(house, agreement.id)
    assert [one.kind for one in shown.acts] == ["suspension", "termination"]
    assert [one.previous for one in shown.acts] == [agreement.document, shown.acts[0].document]
    assert shown.prepared == []
    with house.db() as db:
        assert queries.act(db, agreement.id, waiting.document).state == "overtaken"


def test_no_one_signs_the_other_sides_act_nor_with_another_key(house: House) -> None:
    agreement = finalized(house)
    suspend(house, agreement.id, "hospital")
    (act,) = chain(house, agreement.id).acts
    with pytest.raises(NotYourAct):
        sign_as(house, agreement.id, "pharma", act.document)
    with pytest.raises(UnknownKey):
        sign_as(house, agreement.id, "hospital", act.document, signer="pharma")
    house.cast["stranger"] = type(house.cast["pharma"])("prt_hospital", generate_key(), house.cast["hospital"].actor)
    with pytest.raises((UnknownKey, BadSignature)):
        sign_as(house, agreement.id, "hospital", act.document, signer="stranger")
    with pytest.raises(queries.NotAnAct):
        sign_as(house, agreement.id, "hospital", agreement.document)
    (act,) = chain(house, agreement.id).acts
    assert act.state == "unsigned"


def test_signing_again_changes_nothing(house: House) -> None:
    agreement = finalized(house)
    suspend(house, agreement.id, "pharma")
    (signed,) = sign_all(house, agreement.id, "pharma")
    house.clock.advance(timedelta(hours=1))
    again = sign_as(house, agreement.id, "pharma", signed.document)
    assert again.signed_at == signed.signed_at
    with house.db() as db:
        assert tags(db, agreement.id).count("negotiation:act_signed") == 1


def test_the_same_stop_again_makes_no_second_act(house: House) -> None:
    agreement = finalized(house)
    for _ in range(3):
        suspend(house, agreement.id, "hospital")
    assert len(chain(house, agreement.id).acts) == 1
    for _ in range(2):
        terminate(house, agreement.id, "hospital")
    assert [one.kind for one in chain(house, agreement.id).acts] == ["suspension", "termination"]
    with pytest.raises(WrongState):
        declare_resumption(house, agreement.id, "hospital")


def test_a_side_that_does_not_sign_is_reminded_twice_and_both_sides_are_told(house: House) -> None:
    agreement = finalized(house)
    suspend(house, agreement.id, "hospital")
    settle(house)
    assert notices(house, agreement.id, "act_not_signed") == []
    for days, told in ((1, 1), (3, 1), (3, 2), (30, 2)):
        house.clock.advance(timedelta(days=days))
        settle(house)
        assert len(notices(house, agreement.id, "act_not_signed")) == told
    with house.db() as db:
        for one in notices(house, agreement.id, "act_not_signed"):
            content = documents.content(db, one.document)
            jsonschema.validate(content, NOTICE)
            assert (content["party"], content["about"]) == ("prt_hospital", chain(house, agreement.id).acts[0].document)
            assert {kept.signer for kept in documents.signatures(db, one.document)} == {"service"}


def test_who_signed_in_time_is_not_reminded_and_a_resumption_is_told(house: House) -> None:
    agreement = finalized(house)
    suspend(house, agreement.id, "hospital")
    sign_all(house, agreement.id, "hospital")
    resume(house, agreement.id, "hospital")
    house.clock.advance(timedelta(days=20))
    settle(house)
    assert notices(house, agreement.id, "act_not_signed") == []
    assert len(notices(house, agreement.id, "resumption_in_effect")) == 1
    assert len(notices(house, agreement.id, "agreement_suspended")) == 1


def test_what_the_service_stops_is_no_act(house: House) -> None:
    agreement = finalized(house)
    with house.db() as db:
        stopping.hold(db, negotiation.agreement(db, agreement.id), "log_recovered", house.clock.now())
    assert chain(house, agreement.id).acts == []
    resume(house, agreement.id, "hospital")
    house.clock.advance_to(agreement.ends_at)
    settle(house)
    assert [one.kind for one in chain(house, agreement.id).acts] == ["resumption"]
    assert agreement_of(house, agreement.id).state == "expired"


def test_a_reason_outside_the_list_stays_out_of_the_entries(house: House) -> None:
    agreement = finalized(house)
    suspend(house, agreement.id, "hospital", WhyIn(reason="told_by_a_patient"))
    resume(house, agreement.id, "hospital")
    with house.db() as db:
        bodies = db.exec(select(Entry.body).where(Entry.agreement == agreement.id)).all()
    assert not any(b"told_by_a_patient" in body for body in bodies)
    assert chain(house, agreement.id).acts[0].reason == "told_by_a_patient"
