"""Every accepted signature is an entry, and no revocation slips in between the check and the commit."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from sqlmodel import col, select

from marketplace.audit import documents
from marketplace.audit.models import DocumentSignature, Entry
from marketplace.kernel.canonical import sha256_hex
from marketplace.participants import service, signatures
from marketplace.participants.signatures import UnknownKey
from tests.house import House
from tests.plumbing.conftest import both  # noqa: F401 - fixtures

SIGNED, REVOKED = "participant:signature_accepted", "participant:key_revoked"


def prepared(house: House, content: str = "合格") -> tuple[str, str]:
    """A kept opinion and the law firm's signature over it."""
    with house.arrange() as db:
        name = documents.keep(db, "opinion", {"says": content}, house.clock.now())
        body = documents.get(db, name).body
    return name, house.cast["law_firm"].key.sign_detached(body, typ="opinion+jws")


class Pause:
    """A transaction that has done its work and waits before its commit."""

    def __init__(self) -> None:
        self.reached, self.over = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.over.wait(20)


def accept(house: House, name: str, jws: str, pause: Pause | None = None) -> None:
    with house.db() as db:
        firm = house.cast["law_firm"]
        signatures.accept(db, firm.id, name, jws, typ="opinion+jws", now=house.clock.now())
        if pause is not None:
            pause()


def revoke(house: House, pause: Pause | None = None) -> None:
    with house.db() as db:
        firm = house.cast["law_firm"]
        service.revoke_key(db, firm.actor, firm.id, firm.key.kid, "lost", house.clock.now())
        if pause is not None:
            pause()


def entries(house: House) -> list[dict[str, Any]]:
    with house.runtime.database.reading() as db:
        rows = db.exec(select(Entry).where(col(Entry.tag).in_([SIGNED, REVOKED])).order_by(Entry.id)).all()
    return [json.loads(row.body) for row in rows]


def test_an_accepted_signature_is_recorded_once_with_its_key_and_hash(house: House) -> None:
    name, jws = prepared(house)
    accept(house, name, jws)
    accept(house, name, jws)
    firm = house.cast["law_firm"]
    (entry,) = entries(house)
    assert entry["facts"] == {
        "document": name,
        "kind": "opinion",
        "signer": firm.id,
        "kid": firm.key.kid,
        "jws_sha256": sha256_hex(jws.encode()),
    }
    assert entry["actor"] == {"participant": firm.id, "kid": firm.key.kid, "person": None}
    with house.runtime.database.reading() as db:
        assert db.exec(select(DocumentSignature.entry)).one() == entry["id"]


def test_a_signature_that_is_not_accepted_leaves_neither_row_nor_entry(house: House) -> None:
    name, jws = prepared(house)
    revoke(house)
    with pytest.raises(UnknownKey):
        accept(house, name, jws)
    assert [one["tag"] for one in entries(house)] == [REVOKED]
    with house.runtime.database.reading() as db:
        assert db.exec(select(DocumentSignature)).all() == []


def test_the_services_own_signature_is_recorded_too(house: House) -> None:
    name, _ = prepared(house)
    for _ in range(2):
        with house.db() as db:
            signatures.sign_as_service(db, name, house.runtime.service_key, now=house.clock.now())
    (entry,) = entries(house)
    assert (entry["facts"]["signer"], entry["facts"]["kid"]) == ("service", house.runtime.service_key.kid)


def test_a_revocation_waits_for_a_signature_that_is_being_accepted(both: House) -> None:  # noqa: F811
    name, jws = prepared(both)
    pause = Pause()
    signing = threading.Thread(target=accept, args=(both, name, jws, pause))
    revoking = threading.Thread(target=revoke, args=(both,))
    signing.start()
    assert pause.reached.wait(20)
    revoking.start()
    revoking.join(0.5)
    assert revoking.is_alive(), "the revocation went past a signature that is not committed yet"
    pause.over.set()
    signing.join(20)
    revoking.join(20)
    assert [one["tag"] for one in entries(both)] == [SIGNED, REVOKED]


def test_a_signature_waits_for_a_revocation_and_then_is_refused(both: House) -> None:  # noqa: F811
    name, jws = prepared(both)
    pause, refused = Pause(), threading.Event()
    revoking = threading.Thread(target=revoke, args=(both, pause))
    revoking.start()
    assert pause.reached.wait(20)

    def try_to_sign() -> None:
        with pytest.raises(UnknownKey):
            accept(both, name, jws)
        refused.set()

    signing = threading.Thread(target=try_to_sign)
    signing.start()
    signing.join(0.5)
    assert signing.is_alive()
    pause.over.set()
    revoking.join(20)
    signing.join(20)
    assert refused.is_set()
    assert [one["tag"] for one in entries(both)] == [REVOKED]
