"""Which studies a leg of a transfer has served bytes of, for plans that are priced by them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.negotiation.models import Agreement
from marketplace.transfer import queries
from marketplace.transfer.body import Part, tar_body
from marketplace.transfer.models import DeliveryFile, Transfer


def studies_served(db: Session, agreement: Agreement, row: Transfer) -> frozenset[str]:
    """The studies of which the present leg has served at least one byte; reads the whole list of files."""
    low, high = row.leg_start, row.leg_start + row.leg_served
    files = queries.files(db, agreement.id)
    if row.path:
        touched = [one for one in files if one.path == row.path and low < high]
    else:
        touched = [one for one, start in _in_tar(files) if start < high and start + one.bytes > low]
    sources = {one.source_path for one in touched}
    version = assets.files(db, agreement.version_id)
    return frozenset(one.study for one in version if one.path in sources and one.study)


def _in_tar(files: Sequence[DeliveryFile]) -> Iterator[tuple[DeliveryFile, int]]:
    """Each file that has bytes with the offset of its content in the tar."""
    filled = sorted((one for one in files if one.bytes), key=lambda one: one.path.encode())
    body = tar_body([Part(one.path, one.sha256, one.bytes) for one in files])
    stored = [piece.offset for piece in body.pieces if piece.stored is not None]
    yield from zip(filled, stored, strict=True)
