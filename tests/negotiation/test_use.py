"""What a signed agreement grants when the real policy reads it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from marketplace.negotiation import queries, stopping
from marketplace.negotiation.models import Agreement
from marketplace.usage.rules import UseRequest
from marketplace.usage.service import authorize
from tests.exchange.parts import suspend_certificate
from tests.house import House
from tests.negotiation.parts import WHY, drafted, finalized


def reasons(house: House, agreement: Agreement, who: str = "pharma", **asked: Any) -> tuple[str, ...]:
    use = UseRequest(**({"purpose": "model_training", "action": "use"} | asked))
    with house.db() as db:
        found = queries.agreement(db, agreement.id)
        ruling = authorize(db, house.cast[who].actor, found, use, house.clock.now(), house.runtime)
    assert ruling.decision.allow is (ruling.decision.reasons == ())
    return ruling.decision.reasons


def test_a_use_within_the_agreement_is_granted_and_any_other_is_refused(house: House) -> None:
    agreement = finalized(house)
    assert reasons(house, agreement) == ()
    assert reasons(house, agreement, purpose="model_validation", action="train") == ()
    assert reasons(house, agreement, purpose="education") == ("purpose_not_permitted",)
    assert "wrong_party" in reasons(house, agreement, "ai_company")
    house.clock.advance_to(agreement.ends_at + timedelta(seconds=1))
    assert "expired" in reasons(house, agreement)


def test_a_draft_grants_nothing(house: House) -> None:
    assert "agreement_not_final" in reasons(house, drafted(house))


@pytest.mark.parametrize("end", ["terminated", "certificate"])
def test_what_was_granted_ends_with_the_agreement_or_the_certificate(house: House, end: str) -> None:
    agreement = finalized(house)
    if end == "terminated":
        with house.db() as db:
            found = queries.agreement(db, agreement.id)
            stopping.terminate(db, house.cast["hospital"].actor, found, WHY, house.clock.now())
        assert reasons(house, agreement) == ("agreement_terminated",)
    else:
        suspend_certificate(house, agreement.version_id)
        assert reasons(house, agreement) == ("certificate_suspended",)
