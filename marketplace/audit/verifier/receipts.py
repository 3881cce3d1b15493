"""Receipts: did the service sign this promise, and was it kept?"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
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


@dataclass
class Held:
    """What all files together show: entry id -> leaf numbers and hashes; leaf hashes proven alone; keys; origins."""

    leaves: dict[str, set[tuple[int, str]]] = field(default_factory=dict)
    proven: dict[str, int] = field(default_factory=dict)
    keys: dict[str, Life] = field(default_factory=dict)
    origins: set[str] = field(default_factory=set)

    def add(self, bundle: Bundle) -> None:
        """Take in a bundle's entries and keys."""
        self.origins.add(bundle.origin)
        for kid, life in lives(bundle).items():
            mine = self.keys.setdefault(kid, life)
            mine.revoked = life.revoked if mine.revoked is None else mine.revoked
        for entry in bundle.entries:
            if name := string(entry.content, "id"):
                self.leaves.setdefault(name, set()).add((entry.index, tree.leaf(entry.body.encode()).hex()))


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
        places = [_listed(kept, name, entry, leaf, held, absent) for entry, leaf in promised]
        if "batch" in promise:
            places.append(_batch(kept, name, promise["batch"], held, absent))
        late = [place for place in places if place is not None and life.revoked is not None and place > life.revoked]
        if late:
            signed.fail(name, f"entry {late[0]} came after entry {life.revoked} had revoked the key")
        elif life.revoked is not None and None in places:
            report.notes.append(f"{name} is made with a key that entry {life.revoked} revoked; when, it does not show")
    report.notes += [f"not in this bundle: {one}" for one in absent[:_LISTED_NOTES]]
    if len(absent) > _LISTED_NOTES:
        report.notes.append(f"not in this bundle: {len(absent) - _LISTED_NOTES} more promised entries")


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


def _listed(kept: Check, name: str, entry: str, leaf: str, held: Held, absent: list[str]) -> int | None:
    """Judge one promised entry; its leaf number, None when it is not at hand."""
    if leaf in held.proven:
        kept.counted += 1
        return held.proven[leaf]
    found = held.leaves.get(entry)
    if found is None:
        absent.append(f"{entry}, promised by {name}; `audit prove` asks the log for it")
        return None
    kept.counted += 1
    for index, other in sorted(found):
        if other != leaf:
            kept.fail(name, f"BROKEN PROMISE: {entry} was promised with leaf {leaf}, the log holds {other} at {index}")
    return min(index for index, _ in found)


def _batch(kept: Check, name: str, batch: Any, held: Held, absent: list[str]) -> int | None:
    """Judge entries that were promised as one: those between the first and the last id."""
    first, last, root = (string(batch, part) or "" for part in ("first", "last", "root"))
    between = sorted((entry, one) for entry, one in held.leaves.items() if first <= entry <= last)
    count = batch.get("count") if isinstance(batch, dict) else None
    hashes = [bytes.fromhex(min(one)[1]) for _, one in between]
    whole = bool(hashes) and tree.root_of_leaves(hashes).hex() == root
    if not whole and count != len(hashes):
        absent.append(f"{count} entries from {first} to {last}, promised by {name} as one; at hand are {len(hashes)}")
        return None
    kept.counted += 1
    if not whole:
        kept.fail(name, f"BROKEN PROMISE: the {count} entries from {first} to {last} are not those that were promised")
    return max(min(one)[0] for _, one in between)


def _base(origin: str) -> str:
    """The origin without the number that a recovery of the log appends."""
    return re.sub(r"/r[1-9][0-9]{0,5}$", "", origin)
