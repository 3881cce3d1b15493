"""Certificates of deletion: due after the end, demanded, and what a missing one bars."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from marketplace.audit.entry import Tag
from marketplace.kernel.clock import timestamp
from marketplace.kernel.signing import BadSignature
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.duties import queries, shown
from marketplace.negotiation.duties.deletions import (
    AlreadyCertified,
    MomentOutside,
    NotEndedYet,
    NotWhatWasDelivered,
    certify_deletion,
)
from marketplace.negotiation.duties.reports import NotTheBuyer
from marketplace.negotiation.duties.rules import DutyState, Kind
from marketplace.negotiation.duties.schemas import DeletionCertificateIn
from marketplace.negotiation.rules import Buyer, refusal
from tests.house import House, open_house
from tests.negotiation.duties.owed import (
    AGREEMENT,
    DELETE_WITHIN,
    agreement,
    certificate_of,
    certify,
    duty,
    entries,
    expire,
    owe,
    pass_days,
    terminate,
    use,
)

DAY = timedelta(days=1)


@pytest.fixture
def used(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path / "house") as house:
        owe(house)
        use(house)
        yield house


@pytest.fixture
def either(either_url: str, tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path / "house", either_url) as house:
        owe(house)
        use(house)
        yield house


def barred(house: House) -> list[str]:
    with house.runtime.database.reading() as db:
        return queries.overdue_between(db, "prt_pharma", "prt_hospital")


@pytest.mark.parametrize("end", [terminate, expire])
def test_deletion_is_due_so_many_days_after_the_end_however_it_ends(used: House, end: object) -> None:
    end(used)  # type: ignore[operator]
    assert duty(used, Kind.DELETE).due_at == used.clock.now() + DELETE_WITHIN * DAY


def test_a_certificate_in_time_meets_the_duty(either: House) -> None:
    terminate(either)
    either.clock.advance(3 * DAY)
    made = certify(either, certificate_of(either))
    assert (made.late, made.method) == (False, "cryptographic_erasure")
    assert duty(either, Kind.DELETE).state == DutyState.MET
    pass_days(either, 2 * DELETE_WITHIN)
    assert entries(either, Tag.DUTY_DEMANDED) == []
    (facts,) = entries(either, Tag.DELETION_CERTIFIED)
    assert (facts["document"], facts["deliveries"]) == (made.document, made.manifests)


def test_a_missing_certificate_is_demanded_then_overdue_and_bars_new_agreements_until_it_comes(either: House) -> None:
    terminate(either)
    pass_days(either, DELETE_WITHIN - 7)
    assert duty(either, Kind.DELETE).state == DutyState.REMINDED
    pass_days(either, 7)
    assert (duty(either, Kind.DELETE).state, barred(either)) == (DutyState.DEMANDED, [])
    pass_days(either, 14)
    assert (duty(either, Kind.DELETE).state, barred(either)) == (DutyState.OVERDUE, ["deletion_certificate_missing"])
    refused = refusal(
        "model_training",
        {"model_training"},
        Buyer(verified=True, suspended=False, foreign_controlled=False, overdue=tuple(barred(either))),
        contains_genomic=False,
    )
    assert refused is not None
    assert refused.reasons == ("deletion_certificate_missing",)

    assert certify(either, certificate_of(either)).late
    assert (duty(either, Kind.DELETE).state, barred(either)) == (DutyState.MET, [])


def test_the_bar_stands_between_this_buyer_and_this_provider_only(used: House) -> None:
    terminate(used)
    pass_days(used, DELETE_WITHIN + 14)
    with used.runtime.database.reading() as db:
        assert queries.overdue_between(db, "prt_ai_company", "prt_hospital") == []
        assert queries.overdue_between(db, "prt_pharma", "prt_institute") == []


def test_where_nothing_was_delivered_nothing_is_to_be_deleted(tmp_path: Path) -> None:
    with open_house(tmp_path / "house") as house:
        owe(house)
        terminate(house)
        with house.runtime.database.reading() as db:
            assert queries.duty(db, AGREEMENT, Kind.DELETE) is None
        with pytest.raises(NotWhatWasDelivered):
            certify(house, certificate_of(house, deliveries=["ab" * 32]))


def test_deletion_is_not_certified_while_the_agreement_runs(used: House) -> None:
    with pytest.raises(NotEndedYet):
        certify(used, certificate_of(used))
    with used.runtime.database.reading() as db:
        (reports, deletion) = shown.duties(db, negotiation.agreement(db, AGREEMENT), used.clock.now()).duties
    assert (reports.kind, deletion.kind, deletion.since) == ("mkt:reportUse", "delete", None)
    assert deletion.due_at == agreement(used).ends_at + DELETE_WITHIN * DAY


def test_a_certificate_names_exactly_what_was_delivered(used: House) -> None:
    terminate(used)
    right = certificate_of(used)["deliveries"]
    for wrong in (["ab" * 32], [*right, "ab" * 32]):
        with pytest.raises(NotWhatWasDelivered):
            certify(used, certificate_of(used, deliveries=wrong))
    assert certify(used, certificate_of(used)).manifests == right


@pytest.mark.parametrize("shift", [-DAY, DAY])
def test_the_moment_of_deletion_lies_between_the_last_use_and_now(used: House, shift: timedelta) -> None:
    last_use = used.clock.now()
    used.clock.advance(2 * DAY)
    terminate(used)
    moment = last_use + shift if shift < timedelta(0) else used.clock.now() + shift
    with pytest.raises(MomentOutside):
        certify(used, certificate_of(used, deleted_at=timestamp(moment)))


def test_twice_the_same_certificate_has_one_effect_and_another_is_refused(either: House) -> None:
    terminate(either)
    document = certificate_of(either)
    first = certify(either, document)
    either.clock.advance(DAY)
    assert certify(either, document).entry_id == first.entry_id
    assert len(entries(either, Tag.DELETION_CERTIFIED)) == 1
    with pytest.raises(AlreadyCertified):
        certify(either, certificate_of(either, method="overwriting"))


def test_only_the_buyer_certifies_with_a_signature_over_these_bytes(used: House) -> None:
    terminate(used)
    document = certificate_of(used)
    with pytest.raises(NotTheBuyer):
        certify(used, document, "hospital")
    pharma = used.cast["pharma"]
    jws = pharma.key.sign_detached(b"other bytes", typ="deletion-certificate+jws")
    asked = DeletionCertificateIn.model_validate({"certificate": document, "jws": jws})
    with pytest.raises(BadSignature), used.db() as db:
        certify_deletion(db, pharma.actor, negotiation.agreement(db, AGREEMENT), asked, used.clock.now())
    assert entries(used, Tag.DELETION_CERTIFIED) == []
