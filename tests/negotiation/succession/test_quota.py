"""What was used before an amendment counts after it; a renewal begins with a fresh quota."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.negotiation.models import Agreement
from marketplace.transfer import deciding
from marketplace.transfer.deciding import Decided, Question
from marketplace.transfer.recheck import recheck
from marketplace.usage import queries, quotas, rules
from marketplace.usage import service as usage
from marketplace.usage.facts import compile_uses
from marketplace.usage.models import UsageQuota
from marketplace.usage.rules import Limits, UseRequest
from tests.exchange.parts import listed
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import agreement_of, amended, renew, sign_successor


def limits(agreement: Agreement) -> Limits:
    return rules.limits(compile_uses(agreement.uses).model_dump())


def take(house: House, agreement: Agreement, uses: int) -> bool:
    """Reserve and settle uses as a download does, without its bytes."""
    with house.arrange() as db:
        left = limits(agreement).less(*queries.carried(db, agreement.id))
        quotas.hold(db, agreement.id, left)
        if not quotas.reserve(db, agreement.id, uses=uses, volume=uses * 10):
            return False
        served = {"uses_served": uses, "volume": uses * 10, "volume_served": uses * 10}
        quotas.settle(db, agreement.id, uses=uses, **served)
    return True


def reasons(house: House, agreement: Agreement) -> tuple[str, ...]:
    with house.runtime.database.reading() as db:
        now, asked = house.clock.now(), UseRequest("model_training")
        found = agreement_of(house, agreement.id)
        return usage.authorize(db, house.cast["pharma"].actor, found, asked, now, house.runtime).decision.reasons


def together(house: House, *agreements: Agreement) -> list[tuple[str, ...]]:
    """The reasons of questions that are answered from one snapshot."""
    who, use = house.cast["pharma"].actor, UseRequest("model_training")
    asked = [Question(lambda _db: (who, lambda _: None), one.id, use) for one in agreements]
    found = deciding.decide_all(house.runtime, asked, house.clock.now())
    return [one.decision.reasons for one in found if isinstance(one, Decided)]


def test_uses_before_an_amendment_count_after_it(house: House) -> None:
    first = finalized(house)
    most = limits(first).uses
    assert most is not None
    assert take(house, first, most - 1)
    second = amended(house, first.id, price_plan={"kind": "one_off", "price_fen": 1})
    third = amended(house, second.id, parameters={"max_uses": most + 1})
    with house.runtime.database.reading() as db:
        assert queries.carried(db, third.id) == (most - 1, (most - 1) * 10)
    assert reasons(house, third) == ()
    assert not take(house, third, 3)
    assert take(house, third, 2)
    assert reasons(house, third) == ("quota_exceeded",)
    assert reasons(house, first) == ("agreement_superseded",)
    assert together(house, first, third) == [("agreement_superseded",), ("quota_exceeded",)]
    with house.runtime.database.reading() as db:
        row = db.get_one(UsageQuota, third.id)
    assert (row.uses_limit, row.uses_settled) == (2, 2)


def test_an_amendment_to_less_than_was_used_allows_nothing_more(house: House) -> None:
    first = finalized(house)
    assert take(house, first, 3)
    second = amended(house, first.id, parameters={"max_uses": 2})
    assert reasons(house, second) == ("quota_exceeded",)
    assert not take(house, second, 1)


def test_a_renewal_has_a_quota_of_its_own(house: House) -> None:
    first = finalized(house, listing=listed(house, term_days=30))
    most = limits(first).uses
    assert most is not None
    assert take(house, first, most)
    assert reasons(house, first) == ("quota_exceeded",)
    second = renew(house, first.id, "pharma")
    for who in ("pharma", "hospital"):
        sign_successor(house, second.id, who)
    assert reasons(house, second) == ("not_started",)
    house.clock.advance_to(first.ends_at + timedelta(seconds=1))
    assert reasons(house, second) == ()
    assert take(house, second, most)


@pytest.mark.parametrize(("limit", "found"), [(2, False), (1, False), (3, True)])
def test_the_recheck_knows_the_limit_that_is_left(house: House, limit: int, found: bool) -> None:
    first = finalized(house)
    most = limits(first).uses
    assert most is not None
    assert take(house, first, most - 2)
    second = amended(house, first.id, price_plan={"kind": "one_off", "price_fen": 1})
    with house.arrange() as db:
        quotas.hold(db, second.id, Limits(limit, None if limits(second).bytes is None else 5))
    with house.runtime.database.reading() as db:
        named = [one.detail for one in recheck(db) if (one.table, one.key) == ("usage_quota", second.id)]
    assert ("column `uses_limit` differs" in named) == found


def test_elapsed_time_goes_on_from_the_first_signature(house: House) -> None:
    first = finalized(house)
    house.clock.advance(timedelta(days=40))
    second = amended(house, first.id, parameters={"max_uses": 9})
    with house.runtime.database.reading() as db:
        assert queries.final_at(db, second) == first.finalized_at
