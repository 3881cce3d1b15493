"""The catalogue shows what is listed and still valid now, in a constant number of queries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from alembic import command
from sqlalchemy import event
from sqlmodel import select

from marketplace.assets import queries as assets
from marketplace.assets import service as passport
from marketplace.exchange import queries, searching, service
from marketplace.exchange.catalogue import BadCursor, NotInCatalogue
from marketplace.exchange.models import MarketReference
from marketplace.exchange.standing import require_standing
from marketplace.exchange.terms.purposes import UnknownCode
from marketplace.kernel.errors import DomainError
from marketplace.legal.models import Opinion, OpinionCondition
from marketplace.participants.models import Participant
from marketplace.plumbing.migrations import alembic_config, migrate
from marketplace.registration import certificates
from marketplace.registration import queries as registration
from marketplace.registration.models import Right
from tests.exchange.parts import WHY, certified, found, listed, offer_in, suspend_certificate, terms_of
from tests.house import House


def lung(house: House) -> str:
    version = certified(
        house,
        name="2025早期肺癌筛查影像集",
        name_en="Early lung cancer screening studies",
        keywords=["肺结节", "low dose"],
        overview="低剂量胸部影像",
        overview_en="Low-dose chest scans with reports",
    )
    return listed(house, version).id


def heart(house: House) -> str:
    version = certified(
        house,
        name="2025冠状动脉影像集",
        name_en="Coronary arteries",
        body_part="HEART",
        overview="心脏影像",
        overview_en="Heart CT; no cancer",
    )
    research = offer_in().parameters | {"purposes": ["scientific_research"]}
    return listed(house, version, template="research-use/v1", parameters=research).id


def participant(house: House, name: str) -> Participant:
    with house.runtime.database.reading() as db:
        return db.get_one(Participant, house.cast[name].id)


def test_chinese_and_english_words_find_the_listing(house: House) -> None:
    lungs, hearts = lung(house), heart(house)
    for text in ("肺癌", "肺", "癌筛", "肺结节", "lung", "LUNG cancers", "study", "scan", "肺癌 screening", "医院"):
        assert lungs in found(house, text), text
    assert found(house, "肺癌") == [lungs]
    assert found(house, "心肺") == []
    assert found(house, "lung arteries") == []
    assert found(house, "lun") == []
    assert found(house, "?!") == []
    assert set(found(house)) == {lungs, hearts}


def test_a_name_counts_more_than_an_overview(house: House) -> None:
    lungs, hearts = lung(house), heart(house)
    assert found(house, "cancer") == [lungs, hearts]
    assert found(house, "heart") == [hearts]


def test_filters_narrow_the_catalogue(house: House) -> None:
    lungs, hearts = lung(house), heart(house)
    assert found(house, body_part="heart") == [hearts]
    assert found(house, purpose="model_training") == [lungs]
    assert found(house, purpose="scientific_research") == [hearts]
    assert found(house, purpose="duo:GSO") == [hearts]
    assert found(house, purpose="scenario:drug_development") == found(house, purpose="ehds:marketing") == []
    assert found(house, purpose="duo:PUB") == []
    with pytest.raises(UnknownCode):
        found(house, purpose="duo:ZZ")
    assert found(house, modality="MR") == []
    assert found(house, provider=house.cast["pharma"].id) == []
    assert set(found(house, provider=house.cast["hospital"].id, modality="ct")) == {lungs, hearts}


def test_all_words_are_found_whichever_list_of_the_index_is_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    lungs, hearts = lung(house), heart(house)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("CT", {}),
        ("CT", {"body_part": "HEART"}),
        ("影像 cancer", {}),
        ("影像", {"purpose": "scientific_research", "provider": house.cast["hospital"].id}),
        ("", {"modality": "CT", "purpose": "model_training"}),
    ]
    short = [found(house, text, **filters) for text, filters in asked]
    monkeypatch.setattr(searching, "SHORT", 1)
    assert [found(house, text, **filters) for text, filters in asked] == short
    assert short == [[hearts, lungs], [hearts], [lungs, hearts], [hearts], [lungs]]


def test_a_participant_is_shown_what_it_may_ask_for(house: House) -> None:
    version = certified(house)
    insurers = listed(house, version, **terms_of("insurance-actuarial/v1")).id
    everybody = listed(house, version, **terms_of("research-use/v1")).id
    genomic = certified(house, name="示例基因数据集", contains_genomic=True)
    cost = {"kind": "one_off", "price_fen": 100, "regime": "cost_only", "cost_fen": 100}
    science = terms_of("research-use/v1", purposes=["scientific_research"])
    research = listed(house, genomic, **science | {"price_plan": cost}).id
    pharma, insurer = (participant(house, name) for name in ("pharma", "insurer"))
    assert set(found(house)) == {insurers, everybody, research}
    assert set(found(house, asker=pharma)) == {everybody, research}
    assert set(found(house, asker=insurer)) == {insurers, everybody, research}
    pharma.foreign_controlled = True
    assert found(house, asker=pharma) == [everybody]


def test_pages_follow_each_other_without_gap_or_repetition(house: House) -> None:
    version = certified(house)
    ids = [listed(house, version, term_days=days).id for days in (10, 20, 30, 40, 50)]
    for text in ("", "CT"):
        seen: list[str] = []
        cursor: str | None = None
        for size in (2, 2, 1):
            with house.runtime.database.reading() as db:
                page = queries.visible(db, house.clock.now(), queries.Wanted(text=text), cursor=cursor, limit=2)
            assert len(page.rows) == size
            seen += [row.listing.id for row in page.rows]
            cursor = page.next_cursor
        assert cursor is None
        assert seen == ids[::-1]


def test_hidden_lines_leave_no_gap_in_a_page(house: House) -> None:
    version, provider = certified(house), house.cast["hospital"].actor
    ids = [listed(house, version, term_days=days).id for days in range(10, 20)]
    with house.db() as db:
        for hidden in ids[2:]:
            service.suspend(db, provider, queries.listing(db, hidden), WHY, house.clock.now())
    with house.runtime.database.reading() as db:
        first = queries.visible(db, house.clock.now(), limit=1)
        second = queries.visible(db, house.clock.now(), limit=1, cursor=first.next_cursor)
    assert [row.listing.id for page in (first, second) for row in page.rows] == [ids[1], ids[0]]
    assert second.next_cursor is None


@pytest.mark.parametrize("cursor", ["%%%", "bm90IGpzb24", "WzEsMl0", "WzEsIngiLCJ5Il0", "AA"])
def test_a_cursor_that_is_not_ours_is_refused(house: House, cursor: str) -> None:
    with pytest.raises(BadCursor):
        found(house, cursor=cursor)


def test_a_suspended_certificate_hides_the_listing_until_it_is_resumed(house: House) -> None:
    listing_id = lung(house)
    with house.db() as db:
        version = assets.version(db, queries.listing(db, listing_id).version_id)
        code = registration.valid_certificate(db, version, house.clock.now()).code
    suspend_certificate(house, version.id)
    assert found(house) == []
    with house.db() as db, pytest.raises(NotInCatalogue):
        queries.visible_listing(db, listing_id, house.clock.now())
    with house.db() as db:
        registrar = house.cast["registrar"].actor
        certificates.resume(db, registrar, registration.certificate(db, code), "order_lifted", house.clock.now())
    assert found(house) == [listing_id]


def test_an_expired_opinion_hides_the_listing_at_that_very_moment(house: House) -> None:
    listing_id = lung(house)
    with house.db() as db:
        expires = db.exec(select(Opinion.expires_at)).one()
    house.clock.advance_to(expires - timedelta(microseconds=1))
    assert found(house) == [listing_id]
    house.clock.advance(timedelta(microseconds=1))
    assert found(house) == []


def test_a_lapsed_certificate_hides_the_listing_by_the_clock_alone(house: House) -> None:
    listing_id = lung(house)
    with house.arrange() as db:
        opinion = db.exec(select(Opinion)).one()
        version = assets.version(db, opinion.version_id)
        until = registration.valid_certificate(db, version, house.clock.now()).valid_until
        opinion.expires_at = until + timedelta(days=1)
        db.add(opinion)
    house.clock.advance_to(until - timedelta(microseconds=1))
    assert found(house) == [listing_id]
    house.clock.advance(timedelta(microseconds=1))
    assert found(house) == []


def _missed_condition(house: House, db: Any, version: Any) -> None:
    opinion = db.exec(select(Opinion)).one()
    db.add(
        OpinionCondition(
            id="con_1",
            opinion_id=opinion.id,
            item=19,
            condition="file",
            owner=house.cast["hospital"].id,
            due_at=house.clock.now(),
        )
    )


def _later_fail(house: House, db: Any, version: Any) -> None:
    first = db.exec(select(Opinion)).one()
    later = first.model_dump() | {"id": "opn_later", "outcome": "FAIL", "signed_at": house.clock.now()}
    db.add(Opinion(**later))


def _other_law(house: House, db: Any, version: Any) -> None:
    opinion = db.exec(select(Opinion)).one()
    opinion.law_profile = "CN-old"
    db.add(opinion)


def _other_root(house: House, db: Any, version: Any) -> None:
    version.root = "00" * 32
    db.add(version)


def _suspended_version(house: House, db: Any, version: Any) -> None:
    passport.suspend(db, house.cast["hospital"].actor, version, "incident", house.clock.now())


def _suspended_provider(house: House, db: Any, version: Any) -> None:
    from marketplace.participants.models import Participant

    provider = db.get_one(Participant, house.cast["hospital"].id)
    provider.suspended_at = house.clock.now()
    db.add(provider)


def _right_ended(house: House, db: Any, version: Any) -> None:
    for right in db.exec(select(Right).where(Right.kind == "operating")):
        right.ends_at = house.clock.now()
        db.add(right)


@pytest.mark.parametrize(
    "change",
    [
        None,
        _missed_condition,
        _later_fail,
        _other_law,
        _other_root,
        _suspended_version,
        _suspended_provider,
        _right_ended,
    ],
)
def test_the_catalogue_and_the_gate_of_one_version_say_the_same(house: House, change: Any) -> None:
    listing_id = lung(house)
    with house.arrange() as db:
        version = assets.version(db, queries.listing(db, listing_id).version_id)
        if change is not None:
            change(house, db, version)
    with house.db() as db:
        version = assets.version(db, version.id)
        try:
            require_standing(db, version, house.cast["hospital"].id, house.clock.now())
            stands = True
        except DomainError:
            stands = False
    assert stands is (change is None)
    assert (found(house) == [listing_id]) is stands


def test_the_number_of_queries_does_not_grow_with_the_catalogue(house: House) -> None:
    version = certified(house)
    counts = []
    for days in (10, 20, 30):
        listed(house, version, term_days=days)
        statements: list[str] = []

        def note(*args: Any, into: list[str] = statements) -> None:
            into.append(args[2])

        event.listen(house.runtime.database.engine, "before_cursor_execute", note)
        with house.runtime.database.reading() as db:
            rows = queries.visible(db, house.clock.now(), queries.Wanted(text="CT")).rows
            _ = [(row.asset.name, row.provider.legal_name, row.certificate.code, row.opinion.number) for row in rows]
        event.remove(house.runtime.database.engine, "before_cursor_execute", note)
        counts.append(len([one for one in statements if one.startswith("SELECT")]))
    assert counts == [3, 3, 3]


def test_a_cursor_of_another_search_is_refused(house: House) -> None:
    version = certified(house)
    for days in (10, 20):
        listed(house, version, term_days=days)
    with house.runtime.database.reading() as db:
        cursor = queries.visible(db, house.clock.now(), queries.Wanted(text="CT"), limit=1).next_cursor
    assert len(found(house, "CT", cursor=cursor)) == 1
    with pytest.raises(BadCursor):
        found(house, "胸部", cursor=cursor)


def test_market_references_are_read_by_date(house: House) -> None:
    with house.db() as db:
        for number, date in (("b", "2025-06-05"), ("a", "2024-12")):
            db.add(
                MarketReference(
                    id=f"mrf_{number}", date=date, product="x", kind="dataset", provider="y", venue="z", note="",
                    grade="S", source="M1",
                )
            )  # fmt: skip
        db.flush()
        assert [one.id for one in queries.market_references(db)] == ["mrf_a", "mrf_b"]


def test_an_index_of_before_is_carried_over_when_the_service_is_upgraded(house: House) -> None:
    lungs, hearts = lung(house), heart(house)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("cancer", {}),
        ("肺癌", {"modality": "CT"}),
        ("", {"purpose": "model_training", "asker": participant(house, "pharma")}),
        ("", {"provider": house.cast["hospital"].id, "body_part": "heart"}),
    ]
    before = [found(house, text, **filters) for text, filters in asked]
    command.downgrade(alembic_config(house.runtime.database), "0013")
    migrate(house.runtime.database)
    assert [found(house, text, **filters) for text, filters in asked] == before
    assert before == [[lungs, hearts], [lungs], [lungs], [hearts]]
