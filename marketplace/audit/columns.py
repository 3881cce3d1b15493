"""Whether the search columns of an entry say what its signed body says."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from marketplace.kernel.canonical import canonical
from marketplace.kernel.clock import timestamp

_NONCE_HEX = 32


class EntryRow(NamedTuple):
    """The columns of an entry as the driver gives them; in a changed database each may be of any type."""

    id: str
    tag: str
    actor: str
    at: datetime | str
    asset: str | None
    version: str | None
    agreement: str | None
    body: bytes
    leaf_index: int


COLUMNS = EntryRow._fields


def plainly_fit(row: EntryRow) -> bool:
    """Whether the bytes alone show that the columns fit; false only means that the body must be read.

    For a body whose hash is the signed one, hence canonical JSON that `entry.record` made: a quote inside a text is
    escaped there, so `,"tag":"` and its like are members, and the last of them are members of the outermost object.
    """
    head = row.body[: row.body.find(b',"facts":')]
    actor = b',"participant":' + _quoted(row.actor)
    at = moment(row.at).encode()
    if not head.endswith(b'},"at":"%b"' % at) or not (actor + b',"p' in head or actor + b"}" in head):
        return False
    subject = b'","subject":{"agreement":%b,"asset":%b,"version":%b},"tag":%b,"v":1}' % (
        _quoted(row.agreement),
        _quoted(row.asset),
        _quoted(row.version),
        _quoted(row.tag),
    )
    if not (isinstance(row.id, str) and row.id.isidentifier()):
        return False
    name = b',"id":"%b","nonce":"' % row.id.encode()
    start = len(row.body) - len(subject) - _NONCE_HEX - len(name)
    return row.body.endswith(subject) and row.body.startswith(name, start)


def differing(row: EntryRow) -> list[str] | None:
    """Names of the columns that differ from the body; None when the body is not an entry."""
    try:
        body: dict[str, Any] = json.loads(row.body)
        subject = body["subject"]
        told = [body["id"], body["tag"], body["actor"]["participant"], body["at"]]
        told += [subject["asset"], subject["version"], subject["agreement"]]
    except (ValueError, KeyError, TypeError):
        return None
    held = (row.id, row.tag, row.actor, moment(row.at), row.asset, row.version, row.agreement)
    return [name for name, mine, theirs in zip(COLUMNS, held, told, strict=False) if mine != theirs]


def moment(stored: object) -> str:
    """A stored moment in the form of a body; SQLite keeps it as text with a blank for the T and without the Z."""
    if isinstance(stored, datetime):
        return timestamp(stored)
    return f"{stored}".replace(" ", "T", 1) + "Z"


@lru_cache(maxsize=4096)
def _quoted(text: object) -> bytes:
    """As in the body; for what no body holds there, something that is in none."""
    return canonical(text) if text is None or isinstance(text, str) else b"\0"
