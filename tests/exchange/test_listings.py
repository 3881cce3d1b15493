"""From offer to listing: what it must rest on, who moves it, what the signature binds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from marketplace.assets import queries as assets
from marketplace.assets.models import Version
from marketplace.assets.stages import Stage
from marketplace.audit import documents
from marketplace.audit.models import Entry
from marketplace.exchange import demands, queries, service
from marketplace.exchange.fitness import ResearchOnly
from marketplace.exchange.parameters import BadParameters
from marketplace.exchange.pricing import PlanDoesNotFit
from marketplace.exchange.schemas import DemandIn, SubmissionIn
from marketplace.exchange.standing import NotOfferable, NoValidCertificate, NoValidOpinion, RawNotOffered
from marketplace.kernel.errors import Invalid
from marketplace.kernel.signing import BadSignature, verify_detached
from marketplace.kernel.transitions import NotYourStep, WrongState
from marketplace.legal.models import Opinion
from marketplace.participants.signatures import UnknownKey
from marketplace.plumbing.paging import NotOnThisList
from tests.exchange.parts import (
    WHY,
    approved,
    certified,
    found,
    listed,
    offer_in,
    offered,
    publish,
    submitted,
    suspend_certificate,
)
from tests.house import House
from tests.legal.parts import governed, signed


def expire_opinion(db: Session, house: House, version_id: str) -> None:
    for one in db.exec(select(Opinion).where(Opinion.version_id == version_id)):
        one.expires_at = house.clock.now()
        db.add(one)


def make(house: House, version: Version, **changes: Any) -> None:
    with house.db() as db:
        version = assets.version(db, version.id)
        service.make_offer(db, house.cast["hospital"].actor, version, offer_in(**changes), house.clock.now())


def test_a_raw_version_is_never_offered(house: House) -> None:
    version = certified(house)
    with house.arrange() as db:
        raw = assets.version(db, version.id)
        raw.kind = "raw"
        db.add(raw)
    with pytest.raises(RawNotOffered):
        make(house, version)


def test_a_version_that_is_not_certified_is_not_offered(house: House) -> None:
    with pytest.raises(NotOfferable):
        make(house, governed(house))


def test_an_offer_needs_an_opinion_in_date(house: House) -> None:
    version = certified(house)
    with house.arrange() as db:
        expire_opinion(db, house, version.id)
    with pytest.raises(NoValidOpinion):
        make(house, version)


def test_an_offer_needs_a_certificate_that_is_not_suspended(house: House) -> None:
    version = certified(house)
    suspend_certificate(house, version.id)
    with pytest.raises(NoValidCertificate):
        make(house, version)


def test_an_offer_needs_proofs_for_that_very_root(house: House) -> None:
    version = certified(house)
    with house.arrange() as db:
        changed = assets.version(db, version.id)
        changed.root = "00" * 32
        db.add(changed)
    with pytest.raises(NoValidOpinion):
        make(house, version)


def test_an_offer_with_unknown_parameters_or_an_unfit_price_is_refused(house: House) -> None:
    version = certified(house)
    with pytest.raises(BadParameters):
        make(house, version, parameters={"purposes": ["marketing"]})
    with pytest.raises(PlanDoesNotFit):
        make(house, version, price_plan={"kind": "subscription", "price_fen": 1, "period_days": 30})


def test_genomic_data_is_offered_at_cost_for_research_only(house: House) -> None:
    version = certified(house)
    with house.arrange() as db:
        asset = assets.asset(db, version.asset_id)
        asset.contains_genomic = True
        db.add(asset)
    cost = {"kind": "one_off", "price_fen": 10, "regime": "cost_only", "cost_fen": 10}
    research = offer_in().parameters | {"purposes": ["scientific_research"]}
    with pytest.raises(PlanDoesNotFit):
        make(house, version)
    with pytest.raises(ResearchOnly):
        make(house, version, price_plan=cost)
    make(house, version, price_plan=cost, template="research-use/v1", parameters=research)


def test_publishing_takes_the_passport_to_listed_with_the_operators_signature(house: House) -> None:
    listing = listed(house)
    with house.db() as db:
        version = assets.version(db, listing.version_id)
        last = assets.stage_records(db, version.id)[-1]
        body = documents.get(db, str(listing.document)).body
        content = documents.content(db, str(listing.document))
    assert (version.stage, last.stage, last.signer) == (Stage.LISTED, "listed", house.cast["exchange"].id)
    assert last.document == listing.document
    verify_detached(last.jws, body, house.cast["exchange"].key.public_jwk, typ="listing+jws")
    assert content["version_root"] == version.root
    assert {one["kind"] for one in last.evidence} == {"certificate", "opinion"}


def test_a_second_listing_of_a_listed_version_does_not_advance_it_again(house: House) -> None:
    first = listed(house)
    with house.db() as db:
        version = assets.version(db, first.version_id)
    second = listed(house, version, term_days=30)
    with house.db() as db:
        records = [one.stage for one in assets.stage_records(db, version.id)]
    assert records.count("listed") == 1
    assert found(house) == [second.id, first.id]


def test_submitting_again_changes_nothing_until_it_is_returned(house: House) -> None:
    offer = offered(house)
    first, exchange = submitted(house, offer), house.cast["exchange"].actor
    assert submitted(house, offer).id == first.id
    with house.db() as db:
        returned = service.return_(db, exchange, queries.listing(db, first.id), WHY, house.clock.now())
        assert (returned.state, returned.reason) == ("returned", WHY.reason)
    again = submitted(house, offer)
    assert (again.id, again.state, again.reason) == (first.id, "submitted", "")


def test_an_unknown_exchange_is_refused(house: House) -> None:
    made, asked = offered(house), SubmissionIn(operator_id=house.cast["registrar"].id)
    with house.db() as db, pytest.raises(service.WhichExchange):
        service.submit(db, house.cast["hospital"].actor, queries.offer(db, made.id), asked, house.clock.now())


def test_only_the_exchange_reviews_and_publishes(house: House) -> None:
    listing, hospital = approved(house), house.cast["hospital"]
    with house.db() as db:
        made = signed(hospital, db, str(listing.document), "listing")
    with house.db() as db, pytest.raises(NotYourStep):
        service.publish(db, hospital.actor, queries.listing(db, listing.id), made, house.clock.now())
    with house.db() as db, pytest.raises(queries.NoSuchListing):
        queries.operated_listing(db, hospital.actor, listing.id)


@pytest.mark.parametrize("case", ["other key", "other type", "other bytes"])
def test_a_bad_signature_publishes_nothing(house: House, case: str) -> None:
    listing, exchange = approved(house), house.cast["exchange"]
    with house.db() as db:
        made = signed(house.cast["hospital"] if case == "other key" else exchange, db, str(listing.document), "listing")
        if case == "other type":
            made = signed(exchange, db, str(listing.document), "agreement")
        if case == "other bytes":
            made.jws = exchange.key.sign_detached(b"{}", typ="listing+jws")
    with pytest.raises((UnknownKey, BadSignature)), house.db() as db:
        service.publish(db, exchange.actor, queries.listing(db, listing.id), made, house.clock.now())
    with house.db() as db:
        assert queries.listing(db, listing.id).state == "approved"
        assert assets.version(db, listing.version_id).stage == "certified"
        assert documents.signatures(db, str(listing.document)) == []
    assert found(house) == []


def test_a_signature_over_an_outdated_document_is_refused(house: House) -> None:
    listing, exchange = approved(house), house.cast["exchange"]
    with house.db() as db:
        old = signed(exchange, db, str(listing.document), "listing")
    house.clock.advance(timedelta(minutes=1))
    with house.db() as db:
        service.prepare_listing(db, exchange.actor, queries.listing(db, listing.id), house.clock.now())
    with house.db() as db, pytest.raises(service.NotTheListing):
        service.publish(db, exchange.actor, queries.listing(db, listing.id), old, house.clock.now())


def test_proofs_are_checked_again_when_the_operator_signs(house: House) -> None:
    listing = approved(house)
    suspend_certificate(house, listing.version_id)
    with pytest.raises(NoValidCertificate):
        publish(house, listing)
    assert found(house) == []


def test_publishing_twice_with_the_same_signature_has_one_effect(house: House) -> None:
    listing = listed(house)
    assert publish(house, listing).listed_at == listing.listed_at
    with house.db() as db:
        tags = list(db.exec(select(Entry.tag)))
    assert tags.count("exchange:listing_published") == 1


def test_a_suspended_listing_leaves_the_catalogue_and_comes_back(house: House) -> None:
    listing, hospital, exchange = listed(house), house.cast["hospital"].actor, house.cast["exchange"].actor
    with house.db() as db:
        service.suspend(db, hospital, queries.listing(db, listing.id), WHY, house.clock.now())
    assert found(house) == []
    with house.db() as db, pytest.raises(NotYourStep):
        service.resume(db, hospital, queries.listing(db, listing.id), WHY, house.clock.now())
    with house.db() as db:
        service.resume(db, exchange, queries.listing(db, listing.id), WHY, house.clock.now())
    assert found(house) == [listing.id]


def test_a_withdrawn_listing_never_returns(house: House) -> None:
    listing, exchange = listed(house), house.cast["exchange"].actor
    with house.db() as db:
        service.withdraw(db, house.cast["hospital"].actor, queries.listing(db, listing.id), WHY, house.clock.now())
    assert found(house) == []
    with house.db() as db, pytest.raises(WrongState):
        service.resume(db, exchange, queries.listing(db, listing.id), WHY, house.clock.now())


def test_strangers_see_no_listing_that_is_not_public(house: House) -> None:
    listing = submitted(house)
    with house.db() as db:
        for name in ("hospital", "exchange", "auditor"):
            assert queries.own_listing(db, house.cast[name].actor, listing.id).id == listing.id
        for name in ("pharma", "registrar"):
            with pytest.raises(queries.NoSuchListing):
                queries.own_listing(db, house.cast[name].actor, listing.id)


def test_a_buyer_publishes_what_it_looks_for(house: House) -> None:
    asked = DemandIn(title="Chest CT of lung nodules", purpose="model_training", modality="CT")
    refused = asked.model_copy(update={"purpose": "marketing"})
    with house.db() as db:
        demand = demands.publish_demand(db, house.cast["pharma"].actor, asked, house.clock.now())
        assert [one.id for one in queries.demands(db).rows] == [demand.id]
        with pytest.raises(demands.NotABuyer):
            demands.publish_demand(db, house.cast["hospital"].actor, asked, house.clock.now())
        with pytest.raises(Invalid):
            demands.publish_demand(db, house.cast["pharma"].actor, refused, house.clock.now())


def test_demands_are_read_page_by_page_also_those_of_one_moment(house: House) -> None:
    asked = DemandIn(title="Chest CT of lung nodules", purpose="model_training", modality="CT")
    for seconds in (0, 0, 1):
        house.clock.advance(timedelta(seconds=seconds))
        with house.db() as db:
            demands.publish_demand(db, house.cast["pharma"].actor, asked, house.clock.now())
    with house.runtime.database.reading() as db:
        whole, pages, cursor = queries.demands(db), list[str](), None
        assert (whole.rows[0].published_at, len(whole.rows), whole.next) == (house.clock.now(), 3, None)
        for left in (2, 1, 0):
            page = queries.demands(db, cursor=cursor, limit=1)
            pages, cursor = [*pages, *(one.id for one in page.rows)], page.next
            assert (cursor is None) == (left == 0)
        assert pages == [one.id for one in whole.rows]
        with pytest.raises(NotOnThisList):
            queries.demands(db, cursor="dem_none")


def test_a_listing_that_is_handed_in_again_while_a_list_is_read_hides_none(house: House) -> None:
    version, hospital, exchange = certified(house), house.cast["hospital"].actor, house.cast["exchange"].actor
    offers, ids = [offered(house, version) for _ in range(3)], []
    for one in offers:
        ids.append(submitted(house, one).id)
        house.clock.advance(timedelta(hours=1))
    for reader in (hospital, exchange):
        with house.db() as db:
            begun = queries.own_listings(db, reader, limit=1)
            service.return_(db, exchange, queries.listing(db, ids[0]), WHY, house.clock.now())
        submitted(house, offers[0])
        with house.db() as db:
            rest = queries.own_listings(db, reader, cursor=begun.next)
            assert [one.id for one in (*begun.rows, *rest.rows)] == ids
