"""Which root the log must have at which size: what stored checkpoints, a kept one, signer and witness say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from marketplace.audit.client import LogKeys
from marketplace.audit.columns import moment
from marketplace.audit.note import BadNote, TreeHead, open_checkpoint
from marketplace.audit.outside import Held
from marketplace.kernel.clock import parse_timestamp

_CHECKPOINTS = text("SELECT size, root, note, at FROM log_checkpoint ORDER BY size")


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit.

    kind: `edited`, `deleted`, `inserted`, `reordered`, `column`, `tile`, `checkpoint`, `statement`, `held`,
    `truncated` or `forked`.
    index: leaf number, entry: entry id, where there is one.
    """

    kind: str
    detail: str
    index: int | None = None
    entry: str | None = None


def signed_roots(db: Session, findings: list[Finding], keys: LogKeys | None) -> dict[int, str]:
    """Tree size -> root hex of every stored checkpoint; findings for those that are not well signed."""
    roots: dict[int, str] = {}
    for row in db.connection().execute(_CHECKPOINTS).all():
        if not _of_types(row):
            findings.append(Finding("checkpoint", f"checkpoint {row.size}: its row holds what its columns cannot hold"))
            continue
        roots[row.size] = row.root
        try:
            head = _opened(row.note, keys)
        except BadNote as error:
            findings.append(Finding("checkpoint", f"checkpoint {row.size}: {error}"))
            continue
        roots[row.size] = head.root.hex()
        if (head.size, head.root.hex()) != (row.size, row.root):
            findings.append(Finding("checkpoint", f"checkpoint {row.size}: the columns differ from the note"))
    return roots


def compare_outside(
    findings: list[Finding], roots: dict[int, str], checkpoint: str | None, keys: LogKeys | None, heads: Sequence[Held]
) -> None:
    """Add the roots that are known outside the database; findings where they are others than the stored ones."""
    known: list[tuple[str, int, str]] = []
    if checkpoint is not None:
        try:
            kept = _opened(checkpoint, keys)
            known.append(("the checkpoint that was kept", kept.size, kept.root.hex()))
        except BadNote as error:
            findings.append(Finding("checkpoint", f"the checkpoint that was kept: {error}"))
    for one in heads:
        if one.head is None:
            findings.append(Finding("held", f"the {one.name} has a key, but the head that it signed last is lost"))
        elif keys is not None and one.origin != keys.origin:
            findings.append(Finding("held", f"the {one.name} signs under {one.origin}, this is {keys.origin}"))
        elif one.head.size:
            known.append((f"the {one.name}", one.head.size, one.head.root.hex()))
    for name, size, root in known:
        if roots.setdefault(size, root) != root:
            findings.append(Finding("forked", f"{name} says that another root was signed at {size} leaves"))


def _of_types(row: Any) -> bool:
    try:
        parse_timestamp(moment(row.at))
    except ValueError:
        return False
    return type(row.size) is int and isinstance(row.root, str) and isinstance(row.note, str)


def _opened(note: str, keys: LogKeys | None) -> TreeHead:
    return keys.open(note) if keys else open_checkpoint(note)
