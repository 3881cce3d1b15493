"""One document, two signatures, two languages; what it starts and how it ends."""

from __future__ import annotations

import copy
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import jsonschema
import pytest
from sqlmodel import select

from marketplace.audit import documents
from marketplace.audit.models import Entry
from marketplace.costing.models import MeterEvent
from marketplace.exchange import queries as exchange
from marketplace.exchange.service import withdraw
from marketplace.exchange.standing import NoValidCertificate
from marketplace.exchange.templates import LANGUAGES, render_uses, template
from marketplace.exchange.terms import CONTRACTS, check_terms
from marketplace.kernel.canonical import canonical, digest, read_strictly, sha256_hex
from marketplace.kernel.signing import BadSignature, generate_key, verify_detached
from marketplace.kernel.transitions import WrongState
from marketplace.negotiation import queries, signing, stopping
from marketplace.negotiation.agreement import agreement_text
from marketplace.negotiation.clauses import Facts, render_text, what_leaves
from marketplace.negotiation.models import Agreement
from marketplace.participants.signatures import UnknownKey
from marketplace.plumbing import epochs, outbox
from marketplace.usage.facts import compile_uses
from tests.contracts.test_documents import kind_of
from tests.exchange.parts import OFFERABLE, PRICE_FEN, certified, listed, suspend_certificate, terms_of
from tests.exchange.parts import WHY as LISTING_WHY
from tests.house import House
from tests.legal.parts import signed
from tests.negotiation.parts import WHY, approve, drafted, finalized, requested, sign, state
from workers.tasks import negotiation as tasks


def content(house: House, agreement: Agreement) -> dict[str, Any]:
    with house.db() as db:
        return documents.content(db, agreement.document)


def test_both_signatures_over_the_same_bytes_are_checked_offline(house: House) -> None:
    agreement = finalized(house)
    with house.db() as db:
        body = documents.get(db, agreement.document).body
        kept = documents.signatures(db, agreement.document)
    assert sha256_hex(body) == agreement.document
    assert {one.signer for one in kept} == {agreement.buyer_id, agreement.provider_id}
    assert {one.alg for one in kept} == {"EdDSA", "ES256"}
    for one in kept:
        party = next(party for party in house.cast.values() if party.id == one.signer)
        verify_detached(one.jws, body, party.key.public_jwk, typ="agreement+jws")
        with pytest.raises(BadSignature):
            verify_detached(one.jws, body + b" ", party.key.public_jwk, typ="agreement+jws")


def test_buyer_then_provider_walks_through_every_state(house: House) -> None:
    agreement = drafted(house)
    assert state(house, agreement) == ("OFFERED", "drafted")
    sign(house, agreement, "pharma")
    assert state(house, agreement) == ("ACCEPTED", "drafted")
    sign(house, agreement, "hospital")
    assert state(house, agreement) == ("FINALIZED", "finalized")
    with house.db() as db:
        bodies = db.exec(select(Entry.body).where(Entry.agreement == agreement.id).order_by(Entry.id))
        seen = [read_strictly(body) for body in bodies]
    steps = [(one["tag"], one["facts"].get("state")) for one in seen if one["tag"].startswith("negotiation:")]
    assert steps == [
        ("negotiation:offer_made", "OFFERED"),
        ("negotiation:offer_accepted", "ACCEPTED"),
        ("negotiation:agreement_signed", "ACCEPTED"),
        ("negotiation:agreement_signed", "AGREED"),
        ("negotiation:agreement_verified", "VERIFIED"),
        ("negotiation:agreement_finalized", "FINALIZED"),
    ]
    final = next(one for one in seen if one["tag"] == "negotiation:agreement_finalized")
    assert final["facts"]["document"] == agreement.document
    assert len(final["facts"]["signatures"]) == 2


def test_the_provider_may_sign_first(house: House) -> None:
    agreement = drafted(house)
    sign(house, agreement, "hospital")
    assert state(house, agreement) == ("OFFERED", "drafted")
    sign(house, agreement, "pharma")
    assert state(house, agreement) == ("FINALIZED", "finalized")


def test_finalizing_charges_prepares_and_opens_epochs_once(house: House) -> None:
    agreement = finalized(house)
    for who in ("pharma", "hospital", "pharma"):
        assert sign(house, agreement, who).state == "finalized"
    with house.db() as db:
        sale = db.exec(select(MeterEvent).where(MeterEvent.kind == "sale.access")).one()
        fee = db.exec(select(MeterEvent).where(MeterEvent.kind == "exchange.buyer_fee")).one()
        task = db.exec(select(outbox.OutboxRow).where(outbox.OutboxRow.task == "transfer.prepare")).one()
        for subject in (agreement.id, agreement.version_id, agreement.certificate_code, agreement.opinion_id):
            assert db.get(epochs.Epoch, subject) is not None
    assert (sale.quantity, sale.unit_price_fen, sale.event_key) == (1, PRICE_FEN, f"sale:{agreement.id}")
    assert (sale.payer_id, sale.payee_id) == (agreement.buyer_id, agreement.provider_id)
    assert (fee.payer_id, fee.payee_id, fee.unit_price_fen) == (agreement.buyer_id, house.cast["exchange"].id, None)
    assert task.args == {"agreement": agreement.id}


def test_the_buyers_fee_is_due_with_the_first_agreement_only(house: House) -> None:
    version = certified(house)
    for days in (30, 60):
        agreement = approve(house, requested(house, listed(house, version, term_days=days)))
        for who in ("pharma", "hospital"):
            sign(house, agreement, who)
    with house.db() as db:
        kinds = [one.kind for one in db.exec(select(MeterEvent).where(MeterEvent.agreement_id.is_not(None)))]
    assert sorted(kinds) == ["exchange.buyer_fee", "sale.access", "sale.access"]


@pytest.mark.parametrize(
    "case", ["other party's key", "unregistered key", "other bytes", "other type", "other document"]
)
def test_a_signature_that_does_not_fit_leaves_nothing_behind(house: House, case: str) -> None:
    agreement, pharma = drafted(house), house.cast["pharma"]
    with house.arrange() as db:
        made = signed(pharma, db, agreement.document, "agreement")
        body = documents.get(db, agreement.document).body
        other = documents.keep(db, "agreement", {"type": "agreement", "id": "other"}, house.clock.now())
        entries = len(db.exec(select(Entry.id)).all())
    match case:
        case "other party's key":
            made.jws = house.cast["hospital"].key.sign_detached(body, typ="agreement+jws")
        case "unregistered key":
            made.jws = generate_key("ES256").sign_detached(body, typ="agreement+jws")
        case "other bytes":
            made.jws = pharma.key.sign_detached(body + b"\n", typ="agreement+jws")
        case "other type":
            made.jws = pharma.key.sign_detached(body, typ="listing+jws")
        case _:
            made.document = other
    with pytest.raises((UnknownKey, BadSignature, signing.NotTheAgreement)), house.db() as db:
        signing.sign(db, pharma.actor, queries.agreement(db, agreement.id), made, house.clock.now())
    assert state(house, agreement) == ("OFFERED", "drafted")
    with house.db() as db:
        assert documents.signatures(db, agreement.document) == []
        assert len(db.exec(select(Entry.id)).all()) == entries


def test_facts_are_judged_again_when_a_party_signs(house: House) -> None:
    agreement = drafted(house)
    sign(house, agreement, "pharma")
    suspend_certificate(house, agreement.version_id)
    with pytest.raises(NoValidCertificate):
        sign(house, agreement, "hospital")
    assert state(house, agreement) == ("ACCEPTED", "drafted")


def test_an_agreement_is_not_signed_once_its_listing_has_ended(house: House) -> None:
    agreement = drafted(house)
    sign(house, agreement, "pharma")
    with house.db() as db:
        listing = exchange.listing(db, agreement.listing_id)
        withdraw(db, house.cast["hospital"].actor, listing, LISTING_WHY, house.clock.now())
    with pytest.raises(signing.ListingEnded):
        sign(house, agreement, "hospital")
    with house.db() as db:
        assert queries.agreement(db, agreement.id).state == "drafted"
        assert len(documents.signatures(db, agreement.document)) == 1


def test_a_third_party_cannot_read_the_agreement_an_auditor_can(house: House) -> None:
    agreement = finalized(house)
    with house.db() as db:
        for name in ("pharma", "hospital"):
            assert queries.own_agreement(db, house.cast[name].actor, agreement.id).id == agreement.id
            assert documents.get_for(db, house.cast[name].actor, agreement.document)
        for name in ("ai_company", "exchange", "registrar", "law_firm", "operator"):
            with pytest.raises(queries.NoSuchAgreement):
                queries.readable_agreement(db, house.cast[name].actor, agreement.id)
            with pytest.raises(documents.NoSuchDocument):
                documents.get_for(db, house.cast[name].actor, agreement.document)
            assert queries.agreements_of(db, house.cast[name].actor).rows == []
        assert queries.readable_agreement(db, house.cast["auditor"].actor, agreement.id)
        with pytest.raises(queries.NoSuchAgreement):
            queries.own_agreement(db, house.cast["auditor"].actor, agreement.id)


@pytest.mark.parametrize("who", ["pharma", "hospital"])
def test_either_side_ends_an_agreement_in_force_and_uses_stop_at_once(house: House, who: str) -> None:
    agreement = finalized(house)
    with house.db() as db:
        before = epochs.total(db, [agreement.id])
    for _ in range(2):
        with house.db() as db:
            found = queries.agreement(db, agreement.id)
            stopping.terminate(db, house.cast[who].actor, found, WHY, house.clock.now())
    assert state(house, agreement) == ("FINALIZED", "terminated")
    with house.db() as db:
        assert epochs.total(db, [agreement.id]) == before + 1
        entry = db.exec(select(Entry).where(Entry.tag == "negotiation:agreement_terminated")).one()
        facts = read_strictly(entry.body)["facts"]
        words = documents.get(db, facts["words"])
    # A code outside the closed list is words as well: both stay with the parties.
    assert facts["reason"] == "other"
    assert read_strictly(words.body)["text"] == f"{WHY.reason}: {WHY.note}"
    assert words.readers == ["prt_hospital", "prt_pharma"]


def test_an_agreement_in_force_expires_at_its_end_and_not_before(house: House) -> None:
    agreement = finalized(house)
    with house.db() as db:
        rows = db.exec(select(outbox.OutboxRow).where(outbox.OutboxRow.task == "negotiation.end")).all()
    assert [(row.args, row.due_at) for row in rows] == [({"agreement": agreement.id}, agreement.ends_at)]
    house.clock.advance_to(agreement.ends_at - timedelta(seconds=1))
    tasks.end(house.runtime, rows[0].args)
    assert state(house, agreement) == ("FINALIZED", "finalized")
    house.clock.advance(timedelta(seconds=1))
    for _ in range(2):
        tasks.end(house.runtime, rows[0].args)
    assert state(house, agreement) == ("FINALIZED", "expired")
    with house.db() as db:
        assert len(db.exec(select(Entry).where(Entry.tag == "negotiation:agreement_expired")).all()) == 1
        with pytest.raises(WrongState):
            stopping.terminate(
                db, house.cast["hospital"].actor, queries.agreement(db, agreement.id), WHY, house.clock.now()
            )


def test_ending_a_draft_ends_its_negotiation(house: House) -> None:
    agreement = drafted(house)
    with house.db() as db:
        found = queries.agreement(db, agreement.id)
        stopping.terminate(db, house.cast["pharma"].actor, found, WHY, house.clock.now())
    assert state(house, agreement) == ("TERMINATED", "terminated")


def test_the_document_says_everything_that_binds(house: House) -> None:
    agreement = drafted(house)
    document = content(house, agreement)
    jsonschema.validate(document, schema("agreement"))
    check_terms(document["uses"])
    assert document["uses"] == agreement.uses
    assert (document["uses"]["assigner"], document["uses"]["assignee"]) == (agreement.provider_id, agreement.buyer_id)
    assert document["asset"]["version"] == agreement.version_id
    assert document["certificate"]["code"] == agreement.certificate_code
    assert (document["price_fen"], document["currency"], document["law"]) == (PRICE_FEN, "CNY", "CN")
    operands = [one["leftOperand"] for one in document["uses"]["permission"][0]["constraint"]]
    assert operands == ["purpose", "count", "mkt:volumeBytes", "recipient", "dateTime", "dateTime"]
    assert 0 < document["enforced_permille"] < 1000


def test_the_usage_room_reads_every_term_of_it(house: House) -> None:
    compiled = compile_uses(drafted(house).uses)
    assert compiled.unknown == []
    assert [one.action for one in compiled.permissions] == ["use", "train"]


# One of its own for each parameter, so that none is taken for another.
NUMBERS = {"max_uses": 4321, "max_bytes": "987654321", "deletion_days": 37, "report_days": 91, "min_group_size": 53}
NUMBERS |= {"evaluation_days": 173, "result_share_percent": 17, "result_years": 13}


@pytest.mark.parametrize("name", OFFERABLE)
def test_both_texts_carry_the_same_clauses_and_every_parameter(house: House, name: str) -> None:
    purposes = template(name).schema["properties"]["purposes"]["items"]["enum"][:2]
    terms = terms_of(name, purposes=purposes, **NUMBERS)
    days = terms["price_plan"].get("period_days", 123)
    listing = listed(house, **terms, term_days=days)
    document = content(house, approve(house, requested(house, listing, purpose=purposes[0])))
    zh, en = (document["text"][language] for language in ("zh", "en"))
    assert [one["id"] for one in zh["clauses"]] == [one["id"] for one in en["clauses"]]
    shared = [*purposes, *(str(value) for name, value in terms["parameters"].items() if name != "purposes")]
    shared += [str(days), document["starts_at"], document["ends_at"]]
    shared += [document["asset"]["version_root"], document["asset"]["id"], document["certificate"]["code"]]
    shared += [document["opinion"]["number"], document["parties"]["buyer"]["credit_code"]]
    shared += [f"{document[price] / 100:,.2f}" for price in ("price_fen", "price_per_use_fen") if document[price]]
    for language, legal_name, asset_name in (("zh", "legal_name", "name"), ("en", "legal_name_en", "name_en")):
        clauses = " ".join(one["text"] for one in document["text"][language]["clauses"])
        named = [document["parties"]["provider"][legal_name], document["asset"][asset_name]]
        for value in [*shared, *named]:
            assert value in clauses, (language, value)
        assert not re.search(r"\{[a-z_]+\}", clauses)
        text = {key: value for key, value in document["text"][language].items() if key != "sha256"}
        assert document["text"][language]["sha256"] == digest(text)
        plain = agreement_text(document, language)
        assert all(one["text"] in plain and one["title"] in plain for one in document["text"][language]["clauses"])
        assert document["id"] in plain
    assert not re.search(r"[\u4e00-\u9fff]", agreement_text(document, "en"))


def test_a_template_that_cannot_be_offered_yet_has_its_text_ready(house: House) -> None:
    name = "secure-environment-only/v1"
    assert name not in OFFERABLE
    with house.db() as db:
        row = exchange.visible_listing(db, listed(house).id, house.clock.now())
        row.offer.template, row.offer.parameters = name, terms_of(name, **NUMBERS)["parameters"]
        facts = Facts(row.offer, row.asset, row.version, row.provider, row.provider, "SJ1", "OP1", "then", "later")
        text = render_text(facts)
        db.rollback()
    for language in ("zh", "en"):
        clauses = " ".join(one["text"] for one in text[language]["clauses"])
        assert not re.search(r"\{[a-z_]+\}", clauses)
        assert "4321" in clauses
        assert "53" in clauses


def test_braces_in_a_name_stay_what_they_are(house: House) -> None:
    version = certified(house, name="示例{price}影像集", name_en="Example {price} set")
    document = content(house, approve(house, requested(house, listed(house, version))))
    subject = next(one for one in document["text"]["en"]["clauses"] if one["id"] == "subject")
    assert "“Example {price} set”" in subject["text"]


def schema(kind: str) -> dict[str, Any]:
    return json.loads((CONTRACTS / "documents" / f"{kind}.schema.json").read_text("utf-8"))


@pytest.mark.parametrize("kind", ["agreement", "listing"])
def test_document_schemas_take_their_valid_examples_and_no_other(kind: str) -> None:
    folder = CONTRACTS / "documents" / "examples"
    jsonschema.Draft202012Validator.check_schema(schema(kind))
    valid, invalid = (
        [path for path in sorted((folder / name).glob(f"{kind}*.json")) if kind_of(path) == kind]
        for name in ("valid", "invalid")
    )
    assert valid
    assert invalid
    for path in valid:
        document = json.loads(path.read_text("utf-8"))
        jsonschema.validate(document, schema(kind))
        assert canonical(document)
        for key in document.keys() - {"predecessor"}:
            less = {name: value for name, value in document.items() if name != key}
            assert not jsonschema.Draft202012Validator(schema(kind)).is_valid(less)
        more = copy.deepcopy(document) | {"surprise": 1}
        assert not jsonschema.Draft202012Validator(schema(kind)).is_valid(more)
    for path in invalid:
        assert not jsonschema.Draft202012Validator(schema(kind)).is_valid(json.loads(path.read_text("utf-8")))


def test_a_listing_document_fits_its_schema(house: House) -> None:
    listing = listed(house)
    with house.db() as db:
        content = documents.content(db, str(listing.document))
    of = schema("listing")
    assert list(jsonschema.validators.validator_for(of)(of).iter_errors(content)) == []


def test_withdrawing_the_listing_leaves_the_agreement_in_force(house: House) -> None:
    agreement = finalized(house)
    with house.db() as db:
        before = epochs.total(db, [agreement.id, agreement.listing_id])
        listing = exchange.listing(db, agreement.listing_id)
        withdraw(db, house.cast["hospital"].actor, listing, LISTING_WHY, house.clock.now())
        assert epochs.total(db, [agreement.id, agreement.listing_id]) == before
    assert state(house, agreement) == ("FINALIZED", "finalized")
    assert agreement.ends_at == agreement.starts_at + timedelta(days=365)


def test_two_parties_that_sign_at_the_same_moment_end_in_one_agreement_in_force(house: House) -> None:
    agreement, barrier = drafted(house), Barrier(2)

    def at_once(who: str) -> None:
        barrier.wait()
        sign(house, agreement, who)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(at_once, ("pharma", "hospital")))
    assert state(house, agreement) == ("FINALIZED", "finalized")
    with house.db() as db:
        assert len(db.exec(select(MeterEvent).where(MeterEvent.kind == "sale.access")).all()) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_text_says_in_words_what_leaves(language: str) -> None:
    folder = CONTRACTS / "terms" / "research-use/v1" / "examples" / "valid"
    chosen = template("research-use/v1")
    said = [
        what_leaves(render_uses(chosen, json.loads((folder / f"{name}.json").read_text("utf-8")), "ast_1"), language)
        for name in ("typical", "narrowed")
    ]
    assert said[0] == {"en": "no further limits", "zh": "无其他限制"}[language]
    for word in ("SliceThickness", "CHEST", "2019", "5"):
        assert word in said[1]
    assert {"en": "mark what leaves", "zh": "添加水印"}[language] in said[1]
    assert "{" not in said[1]
