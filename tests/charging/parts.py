"""An agreement with a price plan of its own, its uses as the transfer room would close them."""

from __future__ import annotations

from typing import Any

from sqlmodel import select

from marketplace.charging import queries, service
from marketplace.charging.rules import Used
from marketplace.costing.models import MeterEvent
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from tests.house import House
from tests.usage.agreed import Agreed, agree, agree_again, sign_anew


def agreed_on(house: House, plan: dict[str, Any], *, files: int = 4) -> str:
    """A finalized agreement whose signed document has this plan; its id."""
    made = agree(house, files=files)
    sign_plan(house, made.agreement, plan)
    return made.agreement


def sign_plan(house: House, agreement_id: str, plan: dict[str, Any]) -> None:
    with house.arrange() as db:
        agreement = db.get(Agreement, agreement_id)
        assert agreement is not None
        agreement.price_plan, agreement.finalized_at = plan, house.clock.now()
        db.add(agreement)
        uses = agreement.uses
    sign_anew(house, Agreed(agreement_id, "ast_1", "ver_1", "opn_1"), uses)


def agreed_beside(house: House, name: str, plan: dict[str, Any]) -> str:
    """A further agreement on the same version with another plan; name: its id, `agr_<something>`."""
    agree_again(house, Agreed("agr_1", "ast_1", "ver_1", "opn_1"), name)
    sign_plan(house, name, plan)
    return name


def use(house: House, agreement_id: str, number: int, *, uses: int = 1, size: int = 0, studies: str = "") -> int:
    """Charge one use; studies: one letter each."""
    with house.db() as db:
        agreement = negotiation.agreement(db, agreement_id)
        used = Used(f"trf_{number}", 1, uses, size, frozenset(studies))
        plan = queries.signed_plan(db, agreement)
        return service.charge(db, house.cast["pharma"].actor, agreement, plan, used, house.clock.now())


def metered(house: House) -> dict[str, int]:
    """Key of each metered event -> its price, without those of zero."""
    with house.runtime.database.reading() as db:
        rows = db.exec(select(MeterEvent)).all()
    return {row.event_key: row.unit_price_fen for row in rows if row.unit_price_fen}
