"""What a buyer owes does not go away with an amendment: it stays due, and stops what stands in its place."""

from __future__ import annotations

from datetime import timedelta

from marketplace.kernel.canonical import Json, canonical
from marketplace.kernel.clock import timestamp
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.duties import queries
from marketplace.negotiation.duties.reports import report_use
from marketplace.negotiation.duties.rules import Kind
from marketplace.negotiation.duties.schemas import UseReportIn
from marketplace.negotiation.models import Agreement
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import agreement_of, amended, settle


def pass_days(house: House, days: int) -> None:
    for _ in range(days):
        house.clock.advance(timedelta(days=1))
        settle(house)


def state_of(house: House, agreement: Agreement) -> str:
    with house.runtime.database.reading() as db:
        found = queries.duty(db, agreement.id, Kind.REPORT_USE)
    assert found is not None
    return found.state


def report(house: House, agreement: Agreement) -> None:
    """Report that nothing was used, as far as can be reported now."""
    with house.db() as db:
        found, now = negotiation.agreement(db, agreement.id), house.clock.now()
        period = {
            "from": timestamp(queries.reported_to(db, found)),
            "to": timestamp(min(now, queries.term(found)[1])),
        }
        said: Json = {"type": "use-report", "v": 1, "agreement": {"id": found.id, "sha256": found.document}}
        said |= {"period": period, "uses": [], "results": ["none"], "staff": ["research"]}
        jws = house.cast["pharma"].key.sign_detached(canonical(said), typ="use-report+jws")
        asked = UseReportIn.model_validate({"report": said, "jws": jws})
        report_use(db, house.cast["pharma"].actor, found, asked, now)


def test_a_missing_report_of_the_time_before_stops_the_amendment_until_it_comes(house: House) -> None:
    first = finalized(house)
    pass_days(house, 10)
    second = amended(house, first.id, parameters={"max_uses": 9})
    pass_days(house, 50)
    report(house, second)
    assert agreement_of(house, second.id).state == "finalized"
    pass_days(house, 45)
    assert (state_of(house, first), state_of(house, second)) == ("overdue", "pending")
    stopped = agreement_of(house, second.id)
    assert (stopped.state, stopped.suspended_by, stopped.reason) == ("suspended", "service", "use_report_missing")
    report(house, second)
    assert agreement_of(house, second.id).state == "suspended"
    report(house, first)
    assert (state_of(house, first), agreement_of(house, second.id).state) == ("met", "finalized")


def test_everything_reported_before_an_amendment_leaves_nothing_due(house: House) -> None:
    first = finalized(house)
    pass_days(house, 10)
    report(house, first)
    second = amended(house, first.id, parameters={"max_uses": 9})
    assert (state_of(house, first), state_of(house, second)) == ("met", "pending")
