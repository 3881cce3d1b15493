"""What a leg of a transfer has served, for plans that are priced by it: studies, and bytes that its use had not had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.audit.entry import Tag
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


def bytes_first_served(db: Session, row: Transfer) -> int:
    """Bytes of the present leg that no earlier leg of the same use served, by the log's entries of their ends.

    Whoever asks again for what was lost on the way gets it once more, but pays for it once (decision 7).
    """
    low, high = row.leg_start, row.leg_start + row.leg_served
    if row.leg == 1:
        return high - low
    ends = queries.uses_logged(db, row.agreement_id, Tag.TRANSFER_CLOSED, row.opened_at)
    earlier = [one for _, one in ends if one["transfer"] == row.id and one["leg"] < row.leg]
    return uncovered(low, high, [(one["from"], one["from"] + one["bytes"]) for one in earlier])


def uncovered(low: int, high: int, spans: Iterable[tuple[int, int]]) -> int:
    """How much of low to high no span covers; spans may overlap and come in any order."""
    left, at = 0, low
    for start, end in sorted(spans):
        left += max(min(start, high) - at, 0)
        at = min(max(at, end), high)
    return left + max(high - at, 0)


def _in_tar(files: Sequence[DeliveryFile]) -> Iterator[tuple[DeliveryFile, int]]:
    """Each file that has bytes with the offset of its content in the tar."""
    filled = sorted((one for one in files if one.bytes), key=lambda one: one.path.encode())
    body = tar_body([Part(one.path, one.sha256, one.bytes) for one in files])
    stored = [piece.offset for piece in body.pieces if piece.stored is not None]
    yield from zip(filled, stored, strict=True)
