"""What a law firm's own verbs cost the provider: an opinion, the firm's documents in it, its confirmations."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets.models import Asset
from marketplace.assets.stages import Stage
from marketplace.audit import documents
from marketplace.costing.queries import engagements
from marketplace.costing.service import meter
from marketplace.costing.tariffs import Attributes
from marketplace.kernel.actor import Actor
from marketplace.legal import document, queries
from marketplace.legal.models import Opinion, OpinionCondition


def meter_opinion(db: Session, actor: Actor, opinion: Opinion, asset: Asset, now: datetime) -> None:
    """Meter a signed opinion, and each document of the firm's own that it cites, once however many opinions cite it.

    Records: costing:metered for each.
    """
    attributes: Attributes = {
        "engagements_12m": engagements(db, "legal.opinion", asset.provider_id, opinion.firm_id, now),
        "records": assets.version(db, opinion.version_id).records,
    }
    _meter(db, actor, "legal.opinion", f"opinion:{opinion.id}", opinion, asset, now, attributes)
    cited = document.cited_in(documents.content(db, opinion.document))
    for one in queries.evidence_of(db, asset.id, opinion.firm_id, cited):
        _meter(db, actor, "legal.document", f"evidence:{one}", opinion, asset, now)


def meter_confirmation(
    db: Session, actor: Actor, opinion: Opinion, condition: OpinionCondition, asset: Asset, now: datetime
) -> None:
    """Meter the firm's confirmation that a condition was met, a document.  Records: costing:metered."""
    _meter(db, actor, "legal.document", f"condition:{condition.id}", opinion, asset, now)


def _meter(
    db: Session,
    actor: Actor,
    kind: str,
    key: str,
    opinion: Opinion,
    asset: Asset,
    now: datetime,
    attributes: Attributes | None = None,
) -> None:
    meter(
        db,
        actor,
        kind,
        1,
        now,
        key=key,
        asset=asset.id,
        version=opinion.version_id,
        stage=Stage.ASSESSED,
        payer=asset.provider_id,
        payee=opinion.firm_id,
        attributes=attributes,
    )
