"""Consent withdrawn for a file ends every version that holds it or was made from one that does, for good."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import select

from marketplace.assets import service as assets
from marketplace.assets.models import Version, VersionFile
from marketplace.assets.queries import versions
from marketplace.assets.schemas import SignatureIn
from marketplace.audit import documents
from marketplace.audit.models import Entry
from marketplace.client.problem import ProblemError
from marketplace.collection import consent, queries
from marketplace.collection.models import ConsentWithdrawal
from marketplace.governance import service as governance
from marketplace.governance.queries import job_of_governed
from marketplace.kernel.canonical import digest, read_strictly, sha256_hex
from marketplace.kernel.transitions import WrongState
from marketplace.plumbing import epochs
from tests.collection import corpus
from tests.collection.conftest import Market
from tests.governance import corpus as patients
from tests.governance.stage import collected, run_all, start
from tests.house import House

REFERENCE = "ab" * 32
FIRST, SECOND = corpus.dicom(1), corpus.dicom(2, study="1.2.4")


def withdraw(market: Market, version: str, *files: str, who: str = "hospital") -> dict[str, Any]:
    asked = {"files": list(files), "reference": REFERENCE}
    answer: dict[str, Any] = market.clients[who].post(f"/v1/versions/{version}/consent-withdrawals", asked)
    return answer


def sealed_version(market: Market, batch: str = "a") -> str:
    version = market.version()
    market.put(version, batch, [("1.dcm", FIRST), ("2.dcm", SECOND)])
    market.seal(version)
    return version


def entries(house: House, tag: str) -> list[dict[str, Any]]:
    with house.runtime.database.reading() as db:
        rows = db.exec(select(Entry).where(Entry.tag == tag).order_by(Entry.id)).all()
    return [read_strictly(row.body) for row in rows]


def governed(house: House) -> tuple[str, str, str]:
    """A raw version of two patients, and two governed versions made from it."""
    raw = collected(house, [patients.plant(1).body, patients.plant(2).body])
    for _ in range(2):
        start(house, raw)
        run_all(house)
    with house.runtime.database.reading() as db:
        first, *rest = versions(db, raw.asset_id)
        assert [first.id, *(one.parent_id for one in rest)] == [raw.id] * 3
        return raw.id, rest[0].id, rest[1].id


def name_of(house: House, version_id: str, column: str, position: int = 0) -> str:
    with house.runtime.database.reading() as db:
        return str(getattr(db.get_one(VersionFile, (version_id, position)), column))


def stop_reasons(house: House) -> dict[str, tuple[str, str]]:
    with house.runtime.database.reading() as db:
        return {one.id: (one.stage, one.stop_reason) for one in db.exec(select(Version)).all()}


@pytest.mark.parametrize(("named", "column"), [(0, "sha256"), (0, "path"), (1, "sha256"), (1, "path")])
def test_the_raw_version_and_everything_made_from_it_stop_whichever_file_is_named(
    house: House, named: int, column: str
) -> None:
    ids = governed(house)
    file = name_of(house, ids[named], column)
    with house.runtime.database.reading() as db:
        before = epochs.changes(db)
    with house.db() as db:
        version = db.get_one(Version, ids[named])
        done = consent.withdraw_consent(db, house.cast["hospital"].actor, version, [file], REFERENCE, house.clock.now())
    assert (done.files, set(done.versions)) == (1, set(ids))
    # The governed versions are drafts, which nobody could use: they are barred where they are.
    assert stop_reasons(house) == {
        ids[0]: ("suspended", "consent_withdrawn"),
        ids[1]: ("draft", "consent_withdrawn"),
        ids[2]: ("draft", "consent_withdrawn"),
    }
    with house.runtime.database.reading() as db:
        (row,) = db.exec(select(ConsentWithdrawal)).all()
        assert epochs.changes(db) == before + 3
        assert {epochs.reason_of(db, [one]) for one in ids} == {"consent_withdrawn"}
        source = db.get_one(VersionFile, (ids[named], 0)).source
    raw_hash = source or name_of(house, ids[0], "sha256")
    assert (row.sha256, row.reference) == (raw_hash, REFERENCE)
    (entry,) = entries(house, "collection:consent_withdrawn")
    assert entry["facts"] == {
        "files": 1,
        "digest": digest([raw_hash]),
        "reference": REFERENCE,
        "versions": list(done.versions),
    }
    assert len(entries(house, "asset:version_suspended")) == 1


def test_a_version_without_consent_is_never_resumed_only_retired(house: House) -> None:
    raw, _, made = governed(house)
    actor, now = house.cast["hospital"].actor, house.clock.now()
    with house.db() as db:
        assets.suspend(db, actor, db.get_one(Version, raw), "data_incident", now)
    with house.db() as db:
        consent.withdraw_consent(db, actor, db.get_one(Version, raw), [name_of(house, raw, "sha256")], REFERENCE, now)
    assert stop_reasons(house)[raw] == ("suspended", "consent_withdrawn")
    with house.db() as db:
        with pytest.raises(assets.ConsentWithdrawn):
            assets.resume(db, actor, db.get_one(Version, raw), "data_incident", now)
        with pytest.raises(WrongState):
            assets.suspend(db, actor, db.get_one(Version, made), "data_incident", now)
        for one in (raw, made):
            assets.retire(db, actor, db.get_one(Version, one), "consent_withdrawn", now)
    assert set(stop_reasons(house).values()) == {("retired", "consent_withdrawn"), ("draft", "consent_withdrawn")}


def test_governance_that_runs_when_consent_is_withdrawn_delivers_nothing(house: House) -> None:
    raw = collected(house, [patients.plant(1).body])
    job = start(house, raw)
    with house.db() as db:
        consent.withdraw_consent(
            db, house.cast["hospital"].actor, db.get_one(Version, raw.id), ["raw/0.dcm"], REFERENCE, house.clock.now()
        )
    run_all(house)
    with house.runtime.database.reading() as db:
        assert db.get_one(type(job), job.id).state == "failed"
        assert [one.id for one in versions(db, raw.asset_id)] == [raw.id]


def test_a_record_of_a_version_without_consent_cannot_be_signed(house: House) -> None:
    raw, made, _ = governed(house)
    hospital, now = house.cast["hospital"], house.clock.now()
    with house.db() as db:
        consent.withdraw_consent(db, hospital.actor, db.get_one(Version, raw), ["raw/0.dcm"], REFERENCE, now)
    with house.runtime.database.reading() as db:
        document = str(job_of_governed(db, made).document)
        jws = hospital.key.sign_detached(documents.get(db, document).body, typ="governance-record+jws")
    with house.db() as db, pytest.raises(governance.FactsChanged):
        governance.sign(db, hospital.actor, made, SignatureIn(document=document, jws=jws), now)


def test_the_files_come_into_no_new_version_and_the_others_do(market: Market) -> None:
    old = sealed_version(market)
    assert withdraw(market, old, sha256_hex(FIRST))["versions"] == [old]
    new = market.version()
    assert market.reasons(new, "a", [("1.dcm", FIRST), ("2.dcm", SECOND)]) == ["consent_withdrawn", None]
    done = market.seal(new)
    assert (done["version"]["files"], done["left_out"]) == (1, {"consent_withdrawn": 1})
    shown = market.hospital.get(f"/v1/versions/{new}/files")["items"]
    assert [one["sha256"] for one in shown] == [sha256_hex(SECOND)]
    assert market.hospital.get(f"/v1/versions/{new}")["stop_reason"] == ""


def test_a_draft_only_loses_the_file_also_when_it_came_before_the_withdrawal(market: Market) -> None:
    draft = market.version()
    market.put(draft, "a", [("1.dcm", FIRST), ("2.dcm", SECOND)])
    answer = withdraw(market, draft, sha256_hex(FIRST))
    assert (answer["files"], answer["versions"]) == (1, [])
    done = market.seal(draft)
    assert (done["version"]["files"], done["left_out"]) == (1, {"consent_withdrawn": 1})
    assert stop_reasons(market.house)[draft] == ("draft", "")


def test_the_same_file_in_two_versions_stops_both_and_naming_it_again_changes_nothing(market: Market) -> None:
    one, other = sealed_version(market), sealed_version(market)
    first = withdraw(market, one, sha256_hex(FIRST))
    assert (first["files"], first["versions"]) == (1, [one, other])
    again = withdraw(market, other, sha256_hex(FIRST))
    assert (again["files"], again["versions"], again["entry"]) == (0, [one, other], None)
    assert len(entries(market.house, "collection:consent_withdrawn")) == 1


@pytest.mark.parametrize(
    ("who", "status"), [("pharma", 404), ("registrar", 404), ("exchange", 404), ("operator", 404), ("auditor", 403)]
)
def test_only_the_provider_records_a_withdrawal(market: Market, who: str, status: int) -> None:
    version = sealed_version(market)
    with pytest.raises(ProblemError) as refused:
        withdraw(market, version, sha256_hex(FIRST), who=who)
    assert refused.value.status == status
    with market.house.runtime.database.reading() as db:
        assert queries.withdrawn_hashes(db, market.asset) == set()


def test_a_file_that_the_version_does_not_hold_is_refused_and_its_name_is_not_repeated(market: Market) -> None:
    version = sealed_version(market)
    with pytest.raises(ProblemError) as refused:
        withdraw(market, version, sha256_hex(FIRST), "Zhang San.dcm")
    assert refused.value.status == 422
    assert "Zhang" not in str(refused.value)
    assert entries(market.house, "collection:consent_withdrawn") == []
    with market.house.runtime.database.reading() as db:
        assert db.exec(select(ConsentWithdrawal)).all() == []
