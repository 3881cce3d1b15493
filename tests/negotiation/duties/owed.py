"""An agreement whose buyer owes reports and a certificate of deletion, used by the real verbs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlmodel import select

from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.kernel.canonical import Json, canonical, read_strictly
from marketplace.kernel.clock import timestamp
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.duties import queries
from marketplace.negotiation.duties.deletions import certify_deletion
from marketplace.negotiation.duties.models import DeletionCertificate, Duty, UseReport
from marketplace.negotiation.duties.opening import open_reports
from marketplace.negotiation.duties.reports import report_use
from marketplace.negotiation.duties.rules import Kind
from marketplace.negotiation.duties.schemas import DeletionCertificateIn, UseReportIn
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.schemas import WhyIn
from marketplace.plumbing import outbox
from marketplace.transfer import opening
from marketplace.transfer.delivery import prepare
from marketplace.transfer.opening import Download, Opened
from marketplace.transfer.stream import WindowSource
from marketplace.usage.rules import UseRequest
from tests.house import House, open_house
from tests.transfer.doors import with_settings
from tests.usage.agreed import agree, uses
from workers.relay import run_due
from workers.tasks.negotiation import end

EVERY = 90
DELETE_WITHIN = 30
AGREEMENT = "agr_1"
WHY = WhyIn(reason="data_incident")


def owing(count: int = 50) -> dict[str, Any]:
    """Uses that ask for a report every 90 days and for deletion within 30."""
    policy = uses(count=count)
    days = [("mkt:reportUse", EVERY), ("delete", DELETE_WITHIN)]
    policy["permission"][0]["duty"] += [
        {
            "action": action,
            "constraint": [{"leftOperand": "elapsedTime", "operator": "lteq", "rightOperand": f"P{number}D"}],
        }
        for action, number in days
    ]
    return policy


def owe(house: House) -> House:
    """An agreement in force from now on, its delivery prepared, duties begun, end asked for; windows of 1 KiB."""
    agree(house, owing())
    prepare(house.runtime, AGREEMENT)
    with house.db() as db:
        agreement, now = negotiation.agreement(db, AGREEMENT), house.clock.now()
        # The rows of this agreement are made by hand, so its last step is taken here.
        record(db, house.cast["hospital"].actor, Tag.AGREEMENT_FINALIZED, now, agreement=AGREEMENT)
        open_reports(db, agreement, now)
        outbox.enqueue(db, "negotiation.end", {"agreement": AGREEMENT}, key=AGREEMENT, now=now, due=agreement.ends_at)
    return with_settings(house, window_kib=1)


@contextmanager
def opened(folder: Path, url: str = "") -> Iterator[House]:
    with open_house(folder, url) as house:
        yield owe(house)


def take(house: House, purpose: str = "model_training") -> WindowSource | tuple[str, ...]:
    """A use with its first window served, or the reasons of its refusal."""
    asked = Download(AGREEMENT, UseRequest(purpose))
    answer = opening.open_transfer(house.runtime, house.cast["pharma"].actor, asked, house.clock.now())
    if not isinstance(answer, Opened):
        return answer.decision.reasons
    source = WindowSource(house.runtime, house.cast["pharma"].actor, answer)
    assert source.next()
    return source


def use(house: House, purpose: str = "model_training") -> None:
    """One whole use."""
    source = take(house, purpose)
    assert isinstance(source, WindowSource)
    while source.next():
        pass
    source.close()


def pass_days(house: House, days: float) -> None:
    """Let time pass, and the workers do what falls due, a day at a time."""
    end_of_wait = house.clock.now() + timedelta(days=days)
    while house.clock.now() < end_of_wait:
        house.clock.advance_to(min(end_of_wait, house.clock.now() + timedelta(days=1)))
        settle(house)


def settle(house: House) -> None:
    while run_due(house.runtime):
        pass


def agreement(house: House) -> Agreement:
    with house.runtime.database.reading() as db:
        return negotiation.agreement(db, AGREEMENT)


def duty(house: House, kind: Kind = Kind.REPORT_USE) -> Duty:
    with house.runtime.database.reading() as db:
        found = queries.duty(db, AGREEMENT, kind)
    assert found is not None
    return found


def reported_to(house: House) -> datetime:
    with house.runtime.database.reading() as db:
        return queries.reported_to(db, negotiation.agreement(db, AGREEMENT))


def report_of(house: House, *, until: datetime | None = None, **changes: Any) -> Json:
    """A report from where the last one ended, up to now or a given moment."""
    period = {"from": timestamp(reported_to(house)), "to": timestamp(until or house.clock.now())}
    document: Json = {
        "type": "use-report",
        "v": 1,
        "agreement": {"id": AGREEMENT, "sha256": agreement(house).document},
        "period": period,
        "uses": [],
        "results": ["none"],
        "staff": ["data_science"],
    }
    return document | changes


def counted(**numbers: int) -> list[Json]:
    return [{"purpose": purpose, "number": number} for purpose, number in numbers.items()]


def hand_in(house: House, document: Json, who: str = "pharma", signer: str = "") -> UseReport:
    """Sign a report and hand it in.  signer: whose key, if not the caller's own."""
    key = house.cast[signer or who].key
    asked = UseReportIn.model_validate(
        {"report": document, "jws": key.sign_detached(canonical(document), typ="use-report+jws")}
    )
    with house.db() as db:
        found = negotiation.agreement(db, AGREEMENT)
        return report_use(db, house.cast[who].actor, found, asked, house.clock.now())


def certificate_of(house: House, **changes: Any) -> Json:
    with house.runtime.database.reading() as db:
        delivered = sorted({one.manifest for one in queries.uses(db, AGREEMENT)})
    document: Json = {
        "type": "deletion-certificate",
        "v": 1,
        "agreement": {"id": AGREEMENT, "sha256": agreement(house).document},
        "deliveries": delivered,
        "method": "cryptographic_erasure",
        "backups_deleted": True,
        "deleted_at": timestamp(house.clock.now()),
    }
    return document | changes


def certify(house: House, document: Json, who: str = "pharma") -> DeletionCertificate:
    key = house.cast[who].key
    jws = key.sign_detached(canonical(document), typ="deletion-certificate+jws")
    asked = DeletionCertificateIn.model_validate({"certificate": document, "jws": jws})
    with house.db() as db:
        found = negotiation.agreement(db, AGREEMENT)
        return certify_deletion(db, house.cast[who].actor, found, asked, house.clock.now())


def terminate(house: House) -> None:
    with house.db() as db:
        found = negotiation.agreement(db, AGREEMENT)
        stopping.terminate(db, house.cast["hospital"].actor, found, WHY, house.clock.now())


def expire(house: House) -> None:
    house.clock.advance_to(agreement(house).ends_at)
    end(house.runtime, {"agreement": AGREEMENT})


def entries(house: House, tag: Tag) -> list[Json]:
    """The facts of the entries of a tag, in order."""
    with house.runtime.database.reading() as db:
        rows = db.exec(select(Entry.body).where(Entry.tag == str(tag)).order_by(Entry.id)).all()
    return [read_strictly(body)["facts"] for body in rows]
