"""A law firm's documents, counted by its own verbs: those of its own that it cites, and its confirmations."""

from __future__ import annotations

from datetime import timedelta

from marketplace.assets import queries as assets
from marketplace.audit.entry import Tag
from marketplace.ledger import queries as books
from marketplace.legal import evidence, queries, service
from marketplace.legal.models import Opinion
from marketplace.legal.schemas import EvidenceIn
from tests.house import House
from tests.legal.parts import card_of, condition, governed, opinion_in, signed
from tests.settlement.parts import balance, post
from tests.transfer.doors import entries

OPINION_FEN, DOCUMENT_FEN = 5_500_000, 20_000


def sends(house: House, version, who: str, text: str) -> str:
    asked = EvidenceIn(asset=version.asset_id, kind="security_filing", title="Waiver", text=text)
    with house.db() as db:
        return evidence.add(db, house.cast[who].actor, asked, house.runtime.store, house.clock.now()).sha256


def cites(house: House, version, number: str, *cited: str, **answers) -> Opinion:
    """The firm signs an opinion whose items cite the quality card, and item 7 these files."""
    firm, now = house.cast["law_firm"], house.clock.now()
    with house.db() as db:
        found = assets.version(db, version.id)
        own = {"item7": {"result": "met", "evidence": list(cited)}} if cited else {}
        drafted = service.draft(db, firm.actor, found, opinion_in(card_of(db, found), number, **own, **answers), now)
        return service.sign(db, firm.actor, drafted, signed(firm, db, drafted.document, "opinion"), now)


def counted(house: House) -> list[str]:
    return [one["facts"]["key"] for one in entries(house, Tag.COST_METERED) if one["facts"]["kind"] == "legal.document"]


def test_a_firms_documents_are_counted_once_by_what_it_signs(house: House) -> None:
    version, firm = governed(house), house.cast["law_firm"].id
    own = [sends(house, version, "law_firm", text) for text in ("waiver one", "waiver two", "never cited")]
    theirs = sends(house, version, "hospital", "the hospital's own paper")
    assert counted(house) == []  # sending alone costs nobody anything
    due = house.clock.now() + timedelta(days=30)
    opinion = cites(house, version, "EX-OP-1", own[0], theirs, item19=condition(house, due))
    with house.db() as db:
        names = [queries.evidence_row(db, version.asset_id, sha256).id for sha256 in own]
        open_one = queries.conditions(db, opinion.id)[0].id
    assert counted(house) == [f"evidence:{names[0]}"]

    with house.db() as db:
        held = db.get_one(Opinion, opinion.id)
        service.meet_condition(db, house.cast["law_firm"].actor, held, open_one, theirs, house.clock.now())
    assert counted(house)[1:] == [f"condition:{open_one}"]
    cites(house, version, "EX-OP-2", *own[:2])
    assert counted(house)[2:] == [f"evidence:{names[1]}"]

    post(house)
    assert balance(house, firm, "revenue:service") == -(2 * OPINION_FEN + 3 * DOCUMENT_FEN)
    with house.db() as db:
        spent = books.asset_sums(db, version.asset_id)[("expense:legal", "assessed")]
        assert (spent, books.imbalance(db)) == (2 * OPINION_FEN + 3 * DOCUMENT_FEN, 0)
