"""Receipts: did the service sign this promise, and was it kept?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from marketplace.audit.verifier import keys, tree
from marketplace.audit.verifier.bundle import Bundle
from marketplace.audit.verifier.keys import NotSigned
from marketplace.audit.verifier.report import Check, Report
from marketplace.audit.verifier.signers import SERVICE, Life, lives
from marketplace.audit.verifier.text import Unreadable, read, string

TYP = "receipt+jwt"
MAX_RECEIPTS = 200_000
_HASH = re.compile(r"[0-9a-f]{64}")
_LISTED_NOTES = 20

# Leaf number and leaf hash in hex.
Leaf = tuple[int, str]


@dataclass
class Held:
    """What all files together show.

    leaves: entry id -> its places; authors: leaf hash -> who acted; numbers: of all leaves in bundles; proven: leaf
    hashes proven alone -> leaf number; cosigned_at: Unix second of the latest checkpoint, as the witness says.
    """

    leaves: dict[str, set[Leaf]] = field(default_factory=dict)
    authors: dict[str, str] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)
    proven: dict[str, int] = field(default_factory=dict)
    keys: dict[str, Life] = field(default_factory=dict)
    origins: set[str] = field(default_factory=set)
    cosigned_at: int = 0

    def add(self, bundle: Bundle) -> None:
        """Take in a bundle's entries and keys."""
        self.origins.add(bundle.origin)
        for kid, life in lives(bundle).items():
            mine = self.keys.setdefault(kid, life)
            mine.revoked = life.revoked if mine.revoked is None else mine.revoked
        self.numbers |= {entry.index for entry in bundle.entries}
        for entry in bundle.entries:
            if name := string(entry.content, "id"):
                leaf = tree.leaf(entry.body.encode()).hex()
                self.leaves.setdefault(name, set()).add((entry.index, leaf))
                self.authors[leaf] = string(entry.content, "actor", "participant") or ""


def read_receipts(text: str) -> tuple[str, ...] | None:
    """The JWS of a receipts file, one a line, bare or as member `receipt` of an object; None for another file."""
    found: list[str] = []
    for line in text.split("\n"):
        if not line.strip():
            continue
        jws = line.strip()
        if jws.startswith("{"):
            try:
                jws = string(read(jws), "receipt") or ""
            except Unreadable:
                return None
        if jws.count(".") != 2 or not re.fullmatch(r"[A-Za-z0-9_.-]+", jws) or len(found) == MAX_RECEIPTS:
            return None
        found.append(jws)
    return tuple(found) or None


def check(report: Report, receipts: tuple[str, ...], held: Held) -> None:
    """Ask of every receipt whether the service signed it, of every promised entry whether it is the promised one."""
    signed = report.check("every receipt is signed with a key that the log registered for the service")
    kept = report.check("every promised entry that is at hand is the one that was promised")
    absent: list[str] = []
    for number, jws in enumerate(receipts, start=1):
        signed.counted += 1
        name = f"receipt {number}"
        try:
            promise, life = _open(jws, held)
            promised = _promised(promise)
        except NotSigned as error:
            signed.fail(name, str(error))
            continue
        missing: list[str] = []
        places = [_listed(kept, name, entry, leaf, held, missing) for entry, leaf in promised]
        if "batch" in promise:
            places.append(_batch(kept, name, promise["batch"], held, missing))
        absent += [one + _due(promise, held) for one in missing]
        late = [place for place in places if place is not None and life.revoked is not None and place > life.revoked]
        if late:
            signed.fail(name, f"entry {late[0]} came after entry {life.revoked} had revoked the key")
        elif life.revoked is not None and None in places:
            report.notes.append(f"{name} is made with a key that entry {life.revoked} revoked; when, it does not show")
    report.notes += [f"not judged: {one}" for one in absent[:_LISTED_NOTES]]
    if len(absent) > _LISTED_NOTES:
        report.notes.append(f"not judged: {len(absent) - _LISTED_NOTES} more promises")


def _open(jws: str, held: Held) -> tuple[dict[str, Any], Life]:
    kid = str(keys.read_header(jws).get("kid"))
    life = held.keys.get(kid)
    if life is None or life.owners != {SERVICE}:
        raise NotSigned(f"no entry at hand registers its key {kid[:64]} for the service: give a bundle that does")
    keys.check_compact(jws, life.jwk, typ=TYP)
    promise = keys.read_payload(jws)
    log = string(promise, "log")
    if log is None or _base(log) not in {_base(one) for one in held.origins}:
        raise NotSigned(f"it is about the log {log}, not about {' or '.join(sorted(held.origins))}")
    return promise, life


def _promised(promise: dict[str, Any]) -> list[tuple[str, str]]:
    items = promise.get("entries", [])
    pairs = [(string(one, "id"), string(one, "leaf")) for one in items] if isinstance(items, list) else []
    if not pairs and not isinstance(promise.get("batch"), dict):
        raise NotSigned("it promises nothing")
    if any(entry is None or leaf is None or not _HASH.fullmatch(leaf) for entry, leaf in pairs):
        raise NotSigned("it does not name its entries by id and leaf hash")
    return [(str(entry), str(leaf)) for entry, leaf in pairs]


def _due(promise: dict[str, Any], held: Held) -> str:
    """In words, whether the log can still be waiting for what is absent."""
    within = promise.get("merge_within_seconds")
    try:
        due = datetime.fromisoformat(string(promise, "at") or "").timestamp() + int(str(within))
    except ValueError:
        return "; when it was due, the promise does not say"
    if held.cosigned_at <= due:
        return "; it was not due yet when the checkpoint at hand was cosigned"
    return "; it was due in the tree before the checkpoint at hand: a log that `audit prove` finds nothing in broke it"


def _listed(kept: Check, name: str, entry: str, leaf: str, held: Held, absent: list[str]) -> int | None:
    """Judge one promised entry; its leaf number, None when it is not at hand."""
    if leaf in held.proven:
        kept.counted += 1
        return held.proven[leaf]
    found = held.leaves.get(entry)
    if found is None:
        absent.append(f"{entry}, promised by {name}")
        return None
    kept.counted += 1
    for index, other in sorted(found):
        if other != leaf:
            kept.fail(name, f"BROKEN PROMISE: {entry} was promised with leaf {leaf}, the log holds {other} at {index}")
    return min(index for index, _ in found)


def _batch(kept: Check, name: str, batch: Any, held: Held, absent: list[str]) -> int | None:
    """Judge entries that were promised as one; their last leaf number, None when they are not known.

    The promise names the first and the last of them, and others' entries may stand between.  So it is kept when all
    those between, or all of one author, have its root.  It is broken only when every leaf from the first to the last is
    at hand and they are too few, or as many with another root.
    """
    first, last, root = (string(batch, part) or "" for part in ("first", "last", "root"))
    count = batch.get("count") if isinstance(batch, dict) else None
    between = [min(held.leaves[entry]) for entry in sorted(held.leaves) if first <= entry <= last]
    members = next((one for one in _candidates(between, held) if _root(one) == root), None)
    said = f"the {count} entries from {first} to {last}"
    hidden = type(count) is not int or len(between) > count or not _closed(first, last, held)
    if members is None and hidden:
        absent.append(f"{said}, promised as one by {name}: with the {len(between)} at hand it cannot be judged")
        return None
    kept.counted += 1
    if members is None:
        kept.fail(name, f"BROKEN PROMISE: {said} are not those that were promised")
    return max((index for index, _ in members or between), default=None)


def _candidates(between: list[Leaf], held: Held) -> Iterator[list[Leaf]]:
    yield between
    for author in sorted({held.authors[leaf] for _, leaf in between}):
        yield [one for one in between if held.authors[one[1]] == author]


def _root(leaves: list[Leaf]) -> str | None:
    return tree.root_of_leaves([bytes.fromhex(leaf) for _, leaf in leaves]).hex() if leaves else None


def _closed(first: str, last: str, held: Held) -> bool:
    """Whether the first and the last are at hand, and every leaf between theirs: nothing else can be hidden there."""
    if first not in held.leaves or last not in held.leaves:
        return False
    start, end = min(held.leaves[first])[0], min(held.leaves[last])[0]
    return start <= end < start + len(held.numbers) and held.numbers >= set(range(start, end + 1))


def _base(origin: str) -> str:
    """The origin without the number that a recovery of the log appends."""
    return re.sub(r"/r[1-9][0-9]{0,5}$", "", origin)
