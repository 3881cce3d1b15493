"""Re-check the whole store against the tree and name every row that does not fit.

Rows are compared with the leaf hashes, the tiles of a level with those below, the roots with the signed checkpoints,
and the search columns with the signed body.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlmodel import Session, col, func, select

from marketplace.audit import lineage
from marketplace.audit.client import LogKeys
from marketplace.audit.columns import COLUMNS, EntryRow, differing, plainly_fit
from marketplace.audit.models import Entry, Tile
from marketplace.audit.outside import Held
from marketplace.audit.signedroots import Finding, compare_outside, signed_roots
from marketplace.audit.tiles import TILE_HEIGHT, WIDTH, split_hashes, tile_root
from marketplace.audit.tree import HASH_BYTES, Frontier, leaf_hash
from marketplace.plumbing.sqlite import despite_broken_text

PAGE = 5_000
NOWHERE = 1 << 62
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM entry WHERE leaf_index"  # noqa: S608 - our own column names
_FIRST_PAGE = text(f"{_SELECT} IS NOT NULL ORDER BY leaf_index LIMIT {PAGE}")
_TILES = text('SELECT "index", hashes FROM log_tile WHERE level = :level ORDER BY "index"')
_NEXT_PAGE = text(f"{_SELECT} > :after ORDER BY leaf_index LIMIT {PAGE}")


@dataclass
class Report:
    """What a check found.  entries: rows with a leaf number; waiting: rows without; size, root: of the tree."""

    entries: int = 0
    waiting: int = 0
    size: int = 0
    root: str = ""
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.findings


def fsck(
    db: Session, *, checkpoint: str | None = None, keys: LogKeys | None = None, heads: Sequence[Held] = ()
) -> Report:
    """Check everything.

    checkpoint: a signed note kept outside (by a party, a witness), compared as well; keys: to check signatures with;
    heads: what signer and witness hold, asked before this transaction began.
    """
    return despite_broken_text(db, lambda: _fsck(db, checkpoint, keys, heads))


def _fsck(db: Session, checkpoint: str | None, keys: LogKeys | None, heads: Sequence[Held]) -> Report:
    report = Report()
    if keys is not None:
        _check_statements(db, report, keys)
    roots = signed_roots(db, report.findings, keys)
    compare_outside(report.findings, roots, checkpoint, keys, heads)
    tree = _Tree(db, report, roots)
    tree.check_levels()
    report.size, report.root = tree.frontier.size, tree.frontier.root().hex()
    _check_rows(db, report, tree)
    return report


def _check_statements(db: Session, report: Report, keys: LogKeys) -> None:
    """Recoveries and new keys: those that no signatures tie to the keys of today, and those that are missing."""
    for one in lineage.judged(db, keys):
        if one.doubt:
            report.findings.append(Finding("statement", f"log_statement {one.number} does not count: {one.doubt}"))
    for entry, name in lineage.untold(db):
        detail = f"the statement {name} that this entry tells of is missing"
        report.findings.append(Finding("statement", detail, entry=entry))


class _Tree:
    """The tiles, read level by level."""

    def __init__(self, db: Session, report: Report, roots: dict[int, str]) -> None:
        self._db, self._report, self._roots = db, report, roots
        self.frontier = Frontier()
        self._fits_until = 0

    def leaf_tiles(self) -> Iterator[list[bytes]]:
        """Leaf hashes, tile by tile."""
        for tile in self._level(0):
            yield split_hashes(tile)

    def check_levels(self) -> None:
        """Compare each level with the one below and the roots with the checkpoints."""
        above: list[bytes] = []
        sizes = sorted(self._roots)
        for hashes in self.leaf_tiles():
            if len(hashes) == WIDTH:
                above.append(tile_root(hashes))
            start = self.frontier.size
            if len(hashes) == WIDTH and bisect_right(sizes, start) == bisect_left(sizes, start + WIDTH):
                self.frontier.append(above[-1], TILE_HEIGHT)
                if self.frontier.size in self._roots:
                    self._compare_root()
            else:
                self._append_singly(hashes)
        self._truncated()
        level = 1
        while above or self._has_level(level):
            above = self._check_level(level, above)
            level += 1

    def _append_singly(self, hashes: list[bytes]) -> None:
        """Append the leaves of a tile inside which a head was signed, or which is not full."""
        for one in hashes:
            self.frontier.append(one)
            if self.frontier.size in self._roots:
                self._compare_root()

    def positions(self, wanted: set[bytes]) -> dict[bytes, int]:
        """Where these leaf hashes stand in the tree."""
        found: dict[bytes, int] = {}
        for tile, hashes in enumerate(self.leaf_tiles()):
            for place, one in enumerate(hashes):
                if one in wanted:
                    found[one] = tile * WIDTH + place
        return found

    def _compare_root(self) -> None:
        size = self.frontier.size
        if self.frontier.root().hex() == self._roots[size]:
            self._fits_until = size
        elif not any(one.kind == "forked" for one in self._report.findings):
            detail = f"the tree at {size} leaves is not the one that was signed; it fits until {self._fits_until}"
            self._report.findings.append(Finding("forked", detail, index=self._fits_until))

    def _truncated(self) -> None:
        largest, size = max(self._roots, default=0), self.frontier.size
        if largest > size:
            detail = f"leaves {size} to {largest - 1} were signed and are missing from the tree"
            self._report.findings.append(Finding("truncated", detail, index=size))

    def _check_level(self, level: int, expected: list[bytes]) -> list[bytes]:
        stored = list(self._level(level))
        above: list[bytes] = []
        for index in range(max(len(stored), -(-len(expected) // WIDTH))):
            hashes = expected[index * WIDTH : (index + 1) * WIDTH]
            found = split_hashes(stored[index]) if index < len(stored) else []
            if found != hashes:
                self._name_subtree(level, index, found, hashes)
            if len(hashes) == WIDTH:
                above.append(tile_root(hashes))
        return above

    def _name_subtree(self, level: int, index: int, found: list[bytes], expected: list[bytes]) -> None:
        width = max(len(found), len(expected))
        wrong = [i for i in range(width) if found[i : i + 1] != expected[i : i + 1]]
        span = WIDTH**level
        for one in wrong:
            first = (index * WIDTH + one) * span
            detail = f"tile {level}/{index} does not fit the leaves {first} to {first + span - 1}"
            self._report.findings.append(Finding("tile", detail, index=first))

    def _has_level(self, level: int) -> bool:
        return self._db.exec(select(Tile.index).where(Tile.level == level).limit(1)).first() is not None

    def _level(self, level: int) -> Iterator[bytes]:
        """The tiles of a level; a gap ends it, because nothing behind a gap can be placed."""
        expected, short = 0, False
        rows = self._db.connection().execute(_TILES.execution_options(yield_per=256), {"level": level})
        for index, hashes in rows:
            if index != expected or short or not _is_tile(hashes):
                self._report.findings.append(Finding("tile", f"tile {level}/{index} has no place in the tree"))
                return
            yield hashes
            expected, short = expected + 1, len(hashes) < WIDTH * HASH_BYTES


def _is_tile(hashes: object) -> bool:
    return isinstance(hashes, bytes) and not len(hashes) % HASH_BYTES and 0 < len(hashes) <= WIDTH * HASH_BYTES


def _check_rows(db: Session, report: Report, tree: _Tree) -> None:
    rows = _rows(db)
    row = next(rows, None)
    strange: list[tuple[EntryRow, bytes]] = []
    expected = 0
    while row is not None and row.leaf_index < 0:
        report.findings.append(Finding("inserted", f"leaf number {row.leaf_index} does not exist", None, row.id))
        row = next(rows, None)
    for hashes in tree.leaf_tiles():
        for expected_hash in hashes:
            if row is None or row.leaf_index > expected:
                report.findings.append(Finding("deleted", f"the entry of leaf {expected} is missing", expected))
            else:
                hashed = leaf_hash(row.body)
                report.entries += 1
                if hashed != expected_hash:
                    strange.append((row, hashed))
                if hashed != expected_hash or not plainly_fit(row):
                    report.findings += _column_findings(row)
                row = next(rows, None)
            expected += 1
    while row is not None:
        detail = f"leaf number {row.leaf_index} is beyond the tree of {expected} leaves"
        report.findings.append(Finding("inserted", detail, row.leaf_index, row.id))
        row = next(rows, None)
    _name_strange(report, tree, strange)
    report.waiting = db.exec(select(func.count()).select_from(Entry).where(col(Entry.leaf_index).is_(None))).one()


def _name_strange(report: Report, tree: _Tree, strange: list[tuple[EntryRow, bytes]]) -> None:
    """A row whose hash is not the leaf's: moved when the hash stands elsewhere in the tree, else edited."""
    if not strange:
        return
    places = tree.positions({hashed for _, hashed in strange})
    for row, hashed in strange:
        if hashed in places:
            finding = Finding("reordered", f"this entry is leaf {places[hashed]}", row.leaf_index, row.id)
        else:
            finding = Finding("edited", "the body is not the one in the tree", row.leaf_index, row.id)
        report.findings.append(finding)


def _column_findings(row: EntryRow) -> list[Finding]:
    names = differing(row)
    if names is None:
        return [Finding("edited", "the body is not an entry", row.leaf_index, row.id)]
    return [
        Finding("column", f"column `{name}` differs from the signed body", row.leaf_index, row.id) for name in names
    ]


def _rows(db: Session) -> Iterator[EntryRow]:
    """Rows with a leaf number in leaf order, as the driver gives them: a million rows pass through."""
    after: object = None
    while True:
        page = db.connection().execute(_FIRST_PAGE if after is None else _NEXT_PAGE, {"after": after}).all()
        for found in page:
            row = EntryRow._make(found)
            if (type(row.id), type(row.body), type(row.leaf_index)) != (str, bytes, int):
                row = _of_types(row)
            yield row
        if len(page) < PAGE:
            return
        after = page[-1][-1]


def _of_types(row: EntryRow) -> EntryRow:
    """A row in which somebody stored a value of another type, which SQLite lets them: no leaf fits it."""
    body = row.body if isinstance(row.body, bytes) else str(row.body).encode(errors="replace")
    return row._replace(
        id=str(row.id), body=body, leaf_index=row.leaf_index if isinstance(row.leaf_index, int) else NOWHERE
    )
