"""The public catalogue: what is listed and still valid at this moment, in a constant number of statements.

A page costs the same whatever the size of the catalogue: it is read along one list of the search index, in order, from
the cursor on (`searching`), and each line's proofs are looked up as they stand now (`visibility`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from marketplace.assets.models import Asset, Version
from marketplace.exchange.models import CatalogueLine, Listing, Offer
from marketplace.exchange.searching import BadCursor, Search, search
from marketplace.exchange.visibility import named, standing
from marketplace.kernel.errors import NotFound, shown
from marketplace.legal.models import Opinion
from marketplace.participants.models import Participant
from marketplace.registration.models import Certificate

__all__ = ["BadCursor", "CataloguePage", "CatalogueRow", "NotInCatalogue", "Wanted", "visible", "visible_listing"]

MAX_PAGE = 100


class NotInCatalogue(NotFound):
    """No such listing in the catalogue now."""


@dataclass(frozen=True)
class Wanted:
    """What a catalogue is narrowed to.

    text: words and Chinese text, all of which must occur; purpose: ours or a code of `terms.purposes`, e.g. `duo:HMB`;
    asker: only what this participant may ask for, by its kind and by gate H5; None = what anybody sees.
    named: the private offers to this buyer and nothing else; None = what everybody sees.
    """

    text: str = ""
    modality: str | None = None
    body_part: str | None = None
    purpose: str | None = None
    provider: str | None = None
    asker: Participant | None = None
    named: str | None = None


@dataclass(frozen=True)
class CatalogueRow:
    """A visible listing with everything its line shows."""

    listing: Listing
    offer: Offer
    asset: Asset
    version: Version
    provider: Participant
    certificate: Certificate
    opinion: Opinion


@dataclass(frozen=True)
class CataloguePage:
    """Rows by weight of the rarest word, then the latest first; next_cursor: None on the last page."""

    rows: Sequence[CatalogueRow]
    next_cursor: str | None


_PARTS = (Listing, Offer, Asset, Version, Participant, Certificate, Opinion)


def visible(
    db: Session, now: datetime, wanted: Wanted | None = None, *, cursor: str | None = None, limit: int = 20
) -> CataloguePage:
    """A page of what is listed and valid now, in two statements whatever the size of page and catalogue.

    Raises BadCursor, UnknownCode.
    """
    found = search(db, wanted or Wanted(), cursor)
    if found is None:
        return CataloguePage((), None)
    size = max(1, min(limit, MAX_PAGE))
    found_lines = lines(found, wanted or Wanted(), now, (found.weight, found.along.number, *_PARTS))
    rows = list(db.exec(found_lines.order_by(*found.order).limit(size + 1)))
    page = [CatalogueRow(*row[2:]) for row in rows[:size]]
    return CataloguePage(page, found.cursor(*rows[size - 1][:2]) if len(rows) > size else None)


def visible_listing(db: Session, listing_id: str, now: datetime, *, reader: str | None = None) -> CatalogueRow:
    """One listing, if it is visible now.  reader: sees the private offers to it too.  Raises NotInCatalogue."""
    row = db.exec(standing(sa.select(*_PARTS), now, reader).where(Listing.id == listing_id)).first()
    if row is None:
        raise NotInCatalogue(
            "no listing with this id is visible now",
            got=shown(listing_id),
            action="it may be suspended or withdrawn, or its certificate or opinion is not valid now",
        )
    return CatalogueRow(*row)


def lines(found: Search, wanted: Wanted, now: datetime, columns: Sequence[Any]) -> Any:
    """Columns of the lines that were found and are visible; in no order."""
    along = sa.select(*columns).select_from(found.along)
    along = along.join(CatalogueLine, col(CatalogueLine.number) == col(found.along.number))
    along = along.join(Listing, col(Listing.id) == col(CatalogueLine.listing_id))
    if wanted.asker is not None and wanted.asker.foreign_controlled:
        along = along.where(col(Asset.contains_genomic).is_(False))
    if wanted.named is not None:
        along = along.where(named(wanted.named))
    return standing(along, now, wanted.named).where(*found.conditions)
