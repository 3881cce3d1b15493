"""A buyer that owes a provider an overdue certificate of deletion gets no new agreement with that provider."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from marketplace.audit.entry import Tag
from marketplace.exchange.models import Listing
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.duties.models import Duty
from marketplace.negotiation.duties.rules import DutyState, Kind
from marketplace.negotiation.eligibility import RefusedOnReview
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rules import Refusal
from marketplace.negotiation.signing import ProofOverdue
from tests.exchange.parts import listed
from tests.house import House, open_house
from tests.negotiation.duties.owed import entries
from tests.negotiation.parts import approve, ask, finalized, requested, sign

DAY = timedelta(days=1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path / "house") as opened:
        yield opened


def leave_undeleted(house: House, agreement: str) -> None:
    """A duty as `chase` leaves it; how it comes to that is told with the certificates."""
    now = house.clock.now()
    with house.arrange() as db:
        db.add(
            Duty(
                agreement_id=agreement,
                kind=Kind.DELETE,
                days=30,
                since=now - 60 * DAY,
                due_at=now - 30 * DAY,
                state=DutyState.OVERDUE,
                overdue_at=now,
            )
        )


def listing_of(house: House, agreement: str) -> Listing:
    with house.runtime.database.reading() as db:
        found = db.get(Listing, negotiation.agreement(db, agreement).listing_id)
    assert found is not None
    return found


def test_a_new_request_is_refused_with_its_reason_on_record(house: House) -> None:
    former = finalized(house)
    leave_undeleted(house, former.id)
    answer = ask(house, listing_of(house, former.id))
    assert isinstance(answer, Refusal)
    assert answer.reasons == ("deletion_certificate_missing",)
    assert entries(house, Tag.ACCESS_REFUSED)[0]["reasons"] == ["deletion_certificate_missing"]
    assert isinstance(ask(house, listing_of(house, former.id), "ai_company"), AccessRequest)


def test_a_request_that_was_open_is_not_approved_and_a_draft_not_signed(house: House) -> None:
    listing = listed(house)
    request, draft = (requested(house, listing, purpose=purpose) for purpose in ("model_training", "model_validation"))
    drafted = approve(house, draft)
    leave_undeleted(house, drafted.id)
    with pytest.raises(RefusedOnReview):
        approve(house, request)
    with pytest.raises(ProofOverdue):
        sign(house, drafted, "pharma")
