"""What terms must meet before anybody may offer them: at publishing, and in every round of a negotiation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlmodel import Session

from marketplace.assets.models import Asset, Version
from marketplace.exchange.leaving import require_deliverable
from marketplace.exchange.linting import check_plan
from marketplace.exchange.pricing import PlanDoesNotFit, PricePlan, Results, check_fit
from marketplace.exchange.templates import Template, render_uses
from marketplace.exchange.terms import permitted_purposes
from marketplace.exchange.terms.delivery import duty_actions
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid
from marketplace.participants import queries as participants

RESEARCH = frozenset({"scientific_research"})


class ResearchOnly(Invalid):
    """This data may be offered for research only."""


class UnknownParty(Invalid):
    """The offer names somebody who is no participant."""


def fitting_uses(
    db: Session,
    version: Version,
    asset: Asset,
    chosen: Template,
    *,
    parameters: dict[str, Any],
    price_plan: PricePlan,
    delivery_mode: str,
    term_days: int,
) -> Json:
    """The uses that a template with these parameters grants of a version, once everything about them fits.

    Raises BadParameters, UnknownTerm, NoEnforcementPoint, NotDeliverable, PlanDoesNotFit, ResearchOnly.
    """
    uses = render_uses(chosen, parameters, asset.id)
    require_deliverable(db, version, uses, delivery_mode)
    check_plan(chosen, price_plan)
    check_fit(price_plan, term_days=term_days, contains_genomic=asset.contains_genomic, duties=duty_actions(uses))
    _require_neutral(db, asset, price_plan)
    _require_lawful_purposes(asset, uses)
    return uses


def require_known(db: Session, named: Iterable[str]) -> None:
    """Raises UnknownParty: somebody whom an offer names is no participant."""
    if not all(participants.known(db, one) for one in named):
        raise UnknownParty("an offer names participants only", expected="ids of participants, GET /v1/participants")


def _require_neutral(db: Session, asset: Asset, plan: PricePlan) -> None:
    """Whoever verifies results is a participant and not the provider itself."""
    if not isinstance(plan, Results):
        return
    if plan.verifier == asset.provider_id:
        raise PlanDoesNotFit("a provider does not verify its own results", expected="another participant")
    require_known(db, [plan.verifier])


def _require_lawful_purposes(asset: Asset, uses: Json) -> None:
    purposes = permitted_purposes(uses)
    if asset.contains_genomic and not purposes <= RESEARCH:
        raise ResearchOnly(
            "data with genomic fields serves research only (gate H4)",
            expected=" or ".join(sorted(RESEARCH)),
            got=", ".join(sorted(purposes)),
        )
