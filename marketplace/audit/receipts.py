"""Receipts: what the service promises about the entries of an answer, signed by its own key after the commit.

A receipt is to an entry what an SCT is to a certificate (RFC 9162 section 4.8): the promise that exactly this leaf is
in the tree before long.  Whoever keeps it can show later that an entry was removed or replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache

from sqlmodel import Session
from starlette.datastructures import MutableHeaders

from marketplace.audit import queries
from marketplace.audit.evidence import require_entry
from marketplace.audit.seals import write_seals
from marketplace.audit.tree import leaf_hash, root_of_hashes
from marketplace.kernel.canonical import Json, canonical_text
from marketplace.kernel.clock import timestamp
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.web import RECEIPT
from marketplace.settings import Settings

TYP = "receipt+jwt"
# So many entries are listed one by one; a header stays below 6 KB with them.
LISTED = 24

# An entry's id and its leaf hash in hex, as `record` notes them.
Recorded = tuple[str, str]


def issue(runtime: Runtime, entries: Sequence[Recorded], now: datetime) -> str:
    """The receipt over committed entries: a compact JWS.  Call it only after their commit.

    entries: in order of writing, at least one.  The same entries and moment give the same receipt under the same key.
    """
    return sign(runtime, promise(runtime.settings, entries, now))


def of_entry(runtime: Runtime, entry_id: str) -> str:
    """The receipt over one entry, read back, so that it is committed by then.  Raises NoSuchEntry."""
    with runtime.database.reading() as db:
        leaf = leaf_hash(queries.entry(db, entry_id).body)
    return issue(runtime, [(entry_id, leaf.hex())], runtime.clock.now())


def promise(settings: Settings, entries: Sequence[Recorded], now: datetime) -> str:
    """What a receipt says, as canonical JSON: {v, log, at, entries, merge_within_seconds}, not signed yet.

    entries: [{id, leaf}].  More than 24 of them are promised as one instead, `batch`: {count, first, last, root}, root
    being that of the RFC 9162 tree over their leaf hashes in order of ids.
    """
    # Written in its canonical order by hand, at a third of the cost: ids, hashes and moments are plain ASCII.
    if len(entries) <= LISTED:
        listed = ",".join([f'{{"id":"{entry}","leaf":"{leaf}"}}' for entry, leaf in entries])
        told, batch = f'"entries":[{listed}],', ""
    else:
        told, batch = "", f'"batch":{canonical_text(_batch(sorted(entries)))},'
    log, within = _text(settings.log_origin), settings.receipt_merge_seconds
    return f'{{"at":"{timestamp(now)}",{batch}{told}"log":{log},"merge_within_seconds":{within},"v":1}}'


# An instance has one log.
@lru_cache(maxsize=16)
def _text(text: str) -> str:
    return canonical_text(text)


def sign(runtime: Runtime, promised: str) -> str:
    """Sign a promise with the present service key; it says no more than what was committed with the answer."""
    return runtime.service_key.sign_compact(promised.encode(), typ=TYP)


@contextmanager
def aside(runtime: Runtime, headers: MutableHeaders | dict[str, str]) -> Iterator[Session]:
    """A transaction for what a reading request leaves in the log; afterwards its receipt is among the headers.

    A reading request has no transaction of its own to write in; without the entry there is no answer.
    """
    gate = Promises(runtime)
    with runtime.database.transaction() as db:
        yield db
        promised = gate.promise(db)
    if promised is not None:
        headers[RECEIPT] = gate.receipt(promised)


class Promises:
    """The edge's part of receipts: a gate that inherits it promises and signs."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def promise(self, db: Session) -> str | None:
        """What the entries of this transaction would be promised, its seals among them; None without entries.

        Raises NoEntry.
        """
        require_entry(db)
        write_seals(db)
        entries: list[Recorded] = db.info.get("entries", [])
        return promise(self._runtime.settings, entries, self._runtime.clock.now()) if entries else None

    def receipt(self, promised: str) -> str:
        """The signed promise.  Call it only after the commit."""
        return sign(self._runtime, promised)


def _batch(entries: Sequence[Recorded]) -> Json:
    root = root_of_hashes([bytes.fromhex(leaf) for _, leaf in entries])
    return {"count": len(entries), "first": entries[0][0], "last": entries[-1][0], "root": root.hex()}
