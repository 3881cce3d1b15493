"""Parts of the story that tests of registration start from, made by the real verbs."""

from __future__ import annotations

from typing import Any

from marketplace.assets import queries as assets
from marketplace.assets.models import Version
from marketplace.registration import certificates, queries, service
from marketplace.registration.models import Application, Certificate
from marketplace.registration.schemas import ApplicationIn, ReviewIn
from tests.house import House
from tests.legal.parts import assess, governed, signed

REVIEW = ReviewIn(accuracy="fits", legality="self-collected", clarity="one holder")
THREE = [{"kind": kind} for kind in ("holding", "use", "operating")]


def application_in(house: House, version: Version, form: dict[str, Any] | None = None, **rest: Any) -> ApplicationIn:
    body = {
        "version": version.id,
        "registrar": house.cast["registrar"].id,
        "rights": THREE,
        "form": {"origin": "producer"} | (form or {}),
    }
    return ApplicationIn.model_validate(body | rest)


def assessed(house: House, **changes: Any) -> Version:
    version = governed(house, **changes)
    assess(house, version, number=f"EX-OP-{version.id}")
    return version


def filed(house: House, version: Version | None = None, form: dict[str, Any] | None = None, **rest: Any) -> Application:
    version = version or assessed(house)
    with house.db() as db:
        asked = application_in(house, version, form, **rest)
        return service.file(db, house.cast["hospital"].actor, assets.version(db, version.id), asked, house.clock.now())


def noticed(house: House, version: Version | None = None, **rest: Any) -> Application:
    found, registrar = filed(house, version, **rest), house.cast["registrar"].actor
    with house.db() as db:
        found = queries.application(db, found.id)
        service.accept(db, registrar, found, house.clock.now())
        return service.open_notice(db, registrar, found, REVIEW, house.clock.now())


def prepared(house: House, version: Version | None = None, **rest: Any) -> Application:
    found = noticed(house, version, **rest)
    house.clock.advance_to(found.notice_until)
    return prepare(house, found)


def prepare(house: House, found: Application) -> Application:
    with house.db() as db:
        found = queries.application(db, found.id)
        return certificates.prepare(db, house.cast["registrar"].actor, found, house.clock.now())


def issue(house: House, found: Application) -> Certificate:
    registrar = house.cast["registrar"]
    with house.db() as db:
        found = queries.application(db, found.id)
        made = signed(registrar, db, found.certificate_document, "certificate")
        return certificates.issue(db, registrar.actor, found, made, house.clock.now())


def certified(house: House, version: Version | None = None, **rest: Any) -> Certificate:
    return issue(house, prepared(house, version, **rest))
