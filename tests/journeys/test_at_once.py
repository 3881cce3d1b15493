"""Two who move the same thing at once on PostgreSQL: the second one judges what the first one left, not what it read.

SQLite lets one write transaction in at a time, so there the question does not arise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlmodel import Session, select

from marketplace.assets import queries as assets
from marketplace.assets import service as passport
from marketplace.assets.models import StageRecord
from marketplace.audit.models import Entry
from marketplace.dataspace.chosen import answering
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.schemas import RemoteOfferIn
from marketplace.dataspace.unasked import offer_unasked
from marketplace.exchange import queries as exchange
from marketplace.exchange import service as listings
from marketplace.exchange.schemas import ReasonIn, SubmissionIn
from marketplace.governance import service as governance
from marketplace.governance.models import GovernanceJob
from marketplace.governance.rules import AlreadyRunning
from marketplace.kernel.signing import generate_key
from marketplace.kernel.transitions import WrongState
from marketplace.legal import lapsing as opinions_lapsing
from marketplace.legal import queries as legal
from marketplace.legal import service as opinions
from marketplace.legal.models import Opinion
from marketplace.negotiation import service as negotiation
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.schemas import RequestIn
from marketplace.participants import connectors
from marketplace.participants import queries as people
from marketplace.participants import service as participants
from marketplace.plumbing import outbox
from marketplace.registration import certificates, lapsing, objections, queries, service
from marketplace.registration.schemas import ObjectionIn, SettlementIn
from marketplace.transfer import inbox
from marketplace.transfer.models import NoticeAddress
from tests.dataspace.peer import connector_in
from tests.exchange.parts import approved, listed, submitted
from tests.house import House, open_house
from tests.legal.parts import assess, card_of, condition, governed, opinion_in, registration, signed
from tests.registration.parts import application_in, assessed, certified, filed, noticed
from tests.transfer.doors import wait_until

Act = Callable[[House, Session, str], Any]
WHY = ReasonIn(reason="example_reason", note="because")


@pytest.fixture(scope="module")
def house(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    with open_house(tmp_path_factory.mktemp("at-once"), database_url) as opened:
        yield opened


@dataclass(frozen=True)
class Race:
    """arrange: makes the thing and returns its id; refused: how the second one ends; left: what is read afterwards."""

    name: str
    arrange: Callable[[House], str]
    first: Act
    second: Act
    refused: type[Exception] | None
    left: Callable[[Session, str], Any]
    expected: Any


def certificate(verb: Callable[..., Any]) -> Act:
    return lambda house, db, code: verb(
        db, house.cast["registrar"].actor, queries.certificate(db, code), "court order", house.clock.now()
    )


def suspended_certificate(house: House) -> str:
    code = certified(house, assessed(house)).code
    with house.db() as db:
        certificate(certificates.suspend)(house, db, code)
    return code


def at_its_end(house: House, db: Session, code: str) -> None:
    lapsing.lapse(db, code, queries.certificate(db, code).valid_until)


def opinion_at_its_end(house: House, db: Session, opinion: str) -> None:
    opinions_lapsing.lapse(db, opinion, db.get_one(Opinion, opinion).expires_at)


def told(tag: str, name: str) -> Callable[[Session, str], int]:
    """How many entries of a tag name a thing."""
    return lambda db, key: sum(
        f'"{name}":"{key}"' in one.body.decode() for one in db.exec(select(Entry).where(Entry.tag == tag))
    )


def application(verb: Callable[..., Any], who: str, *rest: Any) -> Act:
    return lambda house, db, key: verb(
        db, house.cast[who].actor, queries.application(db, key), *rest, house.clock.now()
    )


def apply_for(house: House, db: Session, version: str) -> None:
    found = assets.version(db, version)
    service.file(db, house.cast["hospital"].actor, found, application_in(house, found), house.clock.now())


def objected(house: House) -> str:
    """An application with one open objection; its id and the objection's."""
    found = noticed(house)
    with house.db() as db:
        asked = ObjectionIn(grounds="the data are ours")
        row = queries.application(db, found.id)
        one = objections.object_to(db, house.cast["ai_company"].actor, row, asked, house.clock.now())
    return f"{found.id} {one.id}"


def settle(upheld: bool) -> Act:
    def act(house: House, db: Session, key: str) -> None:
        application_id, objection_id = key.split()
        found, one = queries.application(db, application_id), queries.open_objection(db, application_id, objection_id)
        asked = SettlementIn(upheld=upheld, ruling="as the court said")
        objections.settle_objection(db, house.cast["registrar"].actor, found, one, asked, house.clock.now())

    return act


def drafted(house: House) -> str:
    version, firm = governed(house), house.cast["law_firm"].actor
    with house.db() as db:
        version = assets.version(db, version.id)
        asked = opinion_in(card_of(db, version), number=f"EX-OP-{version.id}")
        return opinions.draft(db, firm, version, asked, house.clock.now()).id


def sign_opinion(house: House, db: Session, key: str) -> None:
    firm, found = house.cast["law_firm"], db.get_one(Opinion, key)
    opinions.sign(db, firm.actor, found, signed(firm, db, found.document, "opinion"), house.clock.now())


def conditional(house: House) -> str:
    version = governed(house)
    due = condition(house, house.clock.now() + timedelta(days=30))
    return assess(house, version, number=f"EX-OP-{version.id}", item19=due).id


def meet(house: House, db: Session, key: str) -> None:
    found, (one,) = db.get_one(Opinion, key), legal.conditions(db, key)
    proof = card_of(db, assets.version(db, found.version_id))
    opinions.meet_condition(db, house.cast["law_firm"].actor, found, one.id, proof, house.clock.now())


def version(verb: Callable[..., Any]) -> Act:
    return lambda house, db, key: verb(
        db, house.cast["hospital"].actor, assets.version(db, key), "data_incident", house.clock.now()
    )


def suspended_version(house: House) -> str:
    key = assessed(house).id
    with house.db() as db:
        version(passport.suspend)(house, db, key)
    return key


def suspend_version_of(house: House, db: Session, listing: str) -> None:
    version(passport.suspend)(house, db, exchange.listing(db, listing).version_id)


def publish(house: House, db: Session, key: str) -> None:
    party, found = house.cast["exchange"], exchange.listing(db, key)
    assets.version(db, found.version_id)  # read while it is still certified
    made = signed(party, db, str(found.document), "listing")
    listings.publish(db, party.actor, found, made, house.clock.now())


def stage_of_listing(db: Session, key: str) -> tuple[str, str]:
    found = assets.version(db, exchange.listing(db, key).version_id)
    return found.stage, found.stop_reason


def returned(house: House) -> str:
    found, operator = submitted(house), house.cast["exchange"].actor
    with house.db() as db:
        row = exchange.listing(db, found.id)
        listings.review(db, operator, row, house.clock.now())
        listings.return_(db, operator, row, WHY, house.clock.now())
    return found.id


def withdraw(house: House, db: Session, key: str) -> None:
    listings.withdraw(db, house.cast["hospital"].actor, exchange.listing(db, key), WHY, house.clock.now())


def submit(house: House, db: Session, key: str) -> None:
    offer = exchange.offer(db, exchange.listing(db, key).offer_id)
    listings.submit(db, house.cast["hospital"].actor, offer, SubmissionIn(), house.clock.now())


def force(verb: Callable[..., Any]) -> Act:
    return lambda house, db, key: verb(
        db, house.cast["exchange"].actor, exchange.listing(db, key), WHY, house.clock.now()
    )


def collected(house: House) -> str:
    now = house.clock.now()
    with house.arrange() as db:
        asset = passport.register(db, house.cast["hospital"].actor, registration(), now)
        raw = passport.open_version(db, asset, now, kind="raw")
        raw.stage, raw.sealed_at, raw.files = "collected", now, 1
        db.add(raw)
        return raw.id


def govern(house: House, db: Session, key: str) -> None:
    governance.ask(db, house.cast["hospital"].actor, key, house.clock.now())


def party(name: str) -> Callable[[House], str]:
    return lambda house: house.cast[name].id


def member(verb: Callable[..., Any]) -> Act:
    return lambda house, db, key: (
        people.participant(db, key),
        verb(db, house.cast["operator"].actor, key, "example", house.clock.now()),
    )


def end_key(house: House, db: Session, key: str) -> None:
    (one,) = people.keys(db, key)
    participants.revoke_key(db, house.cast["operator"].actor, key, one.kid, "lost", house.clock.now())


def first_address(house: House, db: Session, key: str) -> None:
    inbox.set_address(
        db,
        house.cast["pharma"].actor,
        "https://connector.example.org/notices",
        None,
        house.runtime.settings,
        house.clock.now(),
    )


def ask_for_work(house: House, db: Session, key: str) -> None:
    outbox.enqueue(db, "test.nothing", {}, key=key, now=house.clock.now())


def on_the_market(house: House) -> str:
    return listed(house).id


def ask_for_access(house: House, db: Session, key: str) -> None:
    asked = RequestIn(listing=key, purpose="model_training", justification="to find nodules")
    negotiation.request_access(db, house.cast["pharma"].actor, asked, house.clock.now())


def with_two_connectors(house: House) -> str:
    """A listing and two connectors of one buyer; their ids."""
    keys = [on_the_market(house)]
    with house.db() as db:
        for name in ("first", "second"):
            asked = connector_in(house.cast["pharma"].id, generate_key(), "https://127.0.0.1:9", house)
            asked = asked.model_copy(update={"identifier": f"did:web:{name}.pharma.example.org"})
            keys.append(connectors.register(db, house.cast["operator"].actor, asked, house.clock.now()).id)
    return " ".join(keys)


def offer_through(place: int) -> Act:
    """Offer unasked, and the same, through one of the connectors."""

    def act(house: House, db: Session, key: str) -> None:
        said = {"listing": key.split(maxsplit=1)[0], "purpose": "model_training", "connector_id": key.split()[place]}
        asked = RemoteOfferIn.model_validate(said | {"address": "https://127.0.0.1:9"})
        answers = answering(house.runtime.settings)
        offer_unasked(db, house.cast["hospital"].actor, asked, answers, house.runtime, house.clock.now())

    return act


def opened(db: Session, key: str) -> tuple[int, int]:
    """Negotiations under a listing, and exchanges with connectors about it."""
    listing = key.split(maxsplit=1)[0]
    requests = db.exec(select(AccessRequest).where(AccessRequest.listing_id == listing)).all()
    return len(requests), len(db.exec(select(Exchange).where(Exchange.subject == listing)).all())


def state_of_certificate(db: Session, key: str) -> str:
    return queries.certificate(db, key).state


def state_of_application(db: Session, key: str) -> str:
    return queries.application(db, key.split(maxsplit=1)[0]).state


RACES = [
    Race(
        "a cancelled certificate is not resumed",
        suspended_certificate,
        certificate(certificates.cancel),
        certificate(certificates.resume),
        WrongState,
        state_of_certificate,
        "cancelled",
    ),
    Race(
        "a cancelled certificate is not suspended",
        lambda house: certified(house, assessed(house)).code,
        certificate(certificates.cancel),
        certificate(certificates.suspend),
        WrongState,
        state_of_certificate,
        "cancelled",
    ),
    Race(
        "a returned application is not accepted",
        lambda house: filed(house).id,
        application(service.send_back, "registrar", "a sample is missing"),
        application(service.accept, "registrar"),
        WrongState,
        state_of_application,
        "returned",
    ),
    Race(
        "an answered application is not accepted by silence",
        lambda house: filed(house).id,
        application(service.send_back, "registrar", "a sample is missing"),
        lambda house, db, key: service.accept_by_silence(
            db, queries.application(db, key), house.clock.now() + timedelta(days=30)
        ),
        None,
        state_of_application,
        "returned",
    ),
    Race(
        "one application for a version runs",
        lambda house: assessed(house).id,
        apply_for,
        apply_for,
        service.AlreadyApplied,
        told("registration:application_filed", "version"),
        1,
    ),
    Race(
        "an objection is ruled upon once",
        objected,
        settle(True),
        settle(False),
        queries.NoSuchObjection,
        state_of_application,
        "refused",
    ),
    Race(
        "an opinion is signed once",
        drafted,
        sign_opinion,
        sign_opinion,
        opinions.NotTheDraft,
        told("legal:opinion_signed", "opinion"),
        1,
    ),
    Race(
        "a condition is met once",
        conditional,
        meet,
        meet,
        opinions.ConditionClosed,
        told("legal:condition_met", "opinion"),
        1,
    ),
    Race(
        "a suspended version is not published out of its suspension",
        lambda house: approved(house).id,
        suspend_version_of,
        publish,
        WrongState,
        stage_of_listing,
        ("suspended", "version_suspended"),
    ),
    Race(
        "a retired version is not resumed",
        suspended_version,
        version(passport.retire),
        version(passport.resume),
        WrongState,
        lambda db, key: assets.version(db, key).stage,
        "retired",
    ),
    Race(
        "a retired version is not suspended",
        lambda house: assessed(house).id,
        version(passport.retire),
        version(passport.suspend),
        WrongState,
        lambda db, key: assets.version(db, key).stage,
        "retired",
    ),
    Race(
        "a withdrawn listing is not submitted",
        returned,
        withdraw,
        submit,
        WrongState,
        lambda db, key: exchange.listing(db, key).state,
        "withdrawn",
    ),
    Race(
        "a withdrawn listing is not suspended",
        lambda house: listed(house).id,
        withdraw,
        force(listings.suspend),
        WrongState,
        lambda db, key: exchange.listing(db, key).state,
        "withdrawn",
    ),
    Race(
        "a version is governed once",
        collected,
        govern,
        govern,
        AlreadyRunning,
        lambda db, key: len(db.exec(select(GovernanceJob).where(GovernanceJob.raw_version_id == key)).all()),
        1,
    ),
    Race(
        "a participant is suspended once",
        party("ai_company"),
        member(participants.suspend),
        member(participants.suspend),
        participants.AlreadySuspended,
        told("participant:suspended", "participant"),
        1,
    ),
    Race(
        "a participant is reinstated once",
        party("ai_company"),
        member(participants.reinstate),
        member(participants.reinstate),
        participants.NotSuspended,
        told("participant:reinstated", "participant"),
        1,
    ),
    Race(
        "a key is revoked once",
        party("ai_company"),
        end_key,
        end_key,
        participants.KeyAlreadyRevoked,
        told("participant:key_revoked", "participant"),
        1,
    ),
    Race(
        "a first address for notices is set once",
        party("pharma"),
        first_address,
        first_address,
        inbox.AddressChanged,
        lambda db, key: db.get_one(NoticeAddress, key).number,
        1,
    ),
    Race(
        "the same work is asked for once",
        party("pharma"),
        ask_for_work,
        ask_for_work,
        None,
        lambda db, key: outbox.asked(db, "test.nothing", key) is not None,
        True,
    ),
    Race(
        "the same request for access is one",
        on_the_market,
        ask_for_access,
        ask_for_access,
        None,
        opened,
        (1, 0),
    ),
    Race(
        "an offer that nobody asked for is one, through whichever connector",
        with_two_connectors,
        offer_through(1),
        offer_through(2),
        None,
        opened,
        (1, 1),
    ),
    Race(
        "a certificate lapses once",
        lambda house: certified(house, assessed(house)).code,
        at_its_end,
        at_its_end,
        None,
        told("registration:certificate_lapsed", "code"),
        1,
    ),
    Race(
        "an opinion lapses once",
        conditional,
        opinion_at_its_end,
        opinion_at_its_end,
        None,
        told("legal:opinion_lapsed", "opinion"),
        1,
    ),
]


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_the_second_sees_what_the_first_did(house: House, race: Race) -> None:
    key = race.arrange(house)

    def follow() -> None:
        with house.db() as db:
            race.second(house, db, key)

    with ThreadPoolExecutor(1) as pool:
        with house.db() as db:
            race.first(house, db, key)
            second = pool.submit(follow)
            _until_it_waits(house, second)
        if race.refused is None:
            second.result(120)
        else:
            with pytest.raises(race.refused):
                second.result(120)
    with house.runtime.database.reading() as db:
        assert race.left(db, key) == race.expected


def test_every_passport_line_of_the_races_stands_once(house: House) -> None:
    with house.runtime.database.reading() as db:
        lines = [(one.version_id, one.stage) for one in db.exec(select(StageRecord))]
    assert len(lines) == len(set(lines)) > 0


def _until_it_waits(house: House, second: Future[None]) -> None:
    """Until the second one waits for a lock of the first, or ended without."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

    def waits() -> bool:
        with house.runtime.database.engine.connect() as connection:
            return bool(connection.exec_driver_sql(waiting).scalar())

    wait_until(lambda: second.done() or waits())
