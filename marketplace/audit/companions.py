"""The entries that others are judged by: of a use the whole, of a contract its course, of a signature its key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlmodel import Session, col

from marketplace.audit import queries
from marketplace.audit.entry import Tag
from marketplace.audit.models import DocumentSignature, Entry
from marketplace.kernel.actor import SERVICE, Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid

LIMIT = 20_000
_CHARGE = "use.transfer:"
_OF_USES = (Tag.USE_ALLOWED, Tag.WINDOW_SERVED, Tag.TRANSFER_CLOSED, Tag.COST_METERED)
_OF_VERSIONS = (
    Tag.VERSION_SUSPENDED,
    Tag.VERSION_RESUMED,
    Tag.VERSION_RETIRED,
    Tag.CERTIFICATE_SUSPENDED,
    Tag.CERTIFICATE_RESUMED,
    Tag.CERTIFICATE_CANCELLED,
    Tag.CERTIFICATE_LAPSED,
)


class ScopeTooWide(Invalid):
    """The export would hold too many entries."""


def of_entries(db: Session, actor: Actor, entries: Iterable[Entry], size: int) -> list[Entry]:
    """What uses are judged by: all entries of each, how its agreement came about, and what stopped it or let it go on.

    An agreement comes with those that it follows and those that follow it.
    Of agreements that the caller is a party of; an auditor's are all.  size: of the tree.  Raises ScopeTooWide.
    """
    known = list(entries)
    named = sorted({one.agreement for one in known if one.agreement})
    if not actor.has(Role.AUDITOR):
        named = [one for one in named if actor.participant in queries.parties(db, one)]
    negotiated = _of_line(db, named)
    begun = {transfer for one in known if (transfer := _transfer(_facts(one.body))) is not None}
    return [*negotiated, *_of_uses(db, named, begun, size), *_of_contracts(db, negotiated, size)]


def of_signatures(db: Session, made: Sequence[DocumentSignature], size: int) -> list[Entry]:
    """What signatures are judged by: their entries, the life of their keys, the admission of their signers.

    The service's keys are always among them, because receipts are made with them.
    """
    kids, signers = {one.kid for one in made}, {one.signer for one in made}
    accepted = [one.entry for one in made if one.entry is not None]

    def about_keys(facts: Json) -> bool:
        return facts.get("kid") in kids or facts.get("participant") == SERVICE

    lives = _picked(db, (Tag.KEY_REGISTERED, Tag.KEY_REVOKED), [], size, about_keys)
    admitted = _picked(db, (Tag.PARTICIPANT_ADMITTED,), [], size, lambda facts: facts.get("participant") in signers)
    return [*queries.by_ids(db, accepted), *lives, *admitted]


def _of_line(db: Session, agreements: Sequence[str]) -> list[Entry]:
    """How agreements came about and ended, with their predecessors and successors: these have the same parties."""
    found, wave, seen = list[Entry](), set(agreements), set[str]()
    while wave:
        seen |= wave
        fresh = queries.negotiation_entries(db, sorted(wave))
        found += fresh
        facts = [_facts(one.body) for one in fresh]
        wave = {str(one[name]) for one in facts for name in ("predecessor", "successor") if name in one} - seen
    return sorted(found, key=lambda one: one.id)


def _of_uses(db: Session, agreements: Sequence[str], begun: set[str], size: int) -> Sequence[Entry]:
    if not begun:
        return []
    where = [col(Entry.agreement).in_(agreements)]
    return _picked(db, _OF_USES, where, size, lambda facts: _transfer(facts) in begun)


def _of_contracts(db: Session, negotiated: Sequence[Entry], size: int) -> list[Entry]:
    """What stopped the versions, certificates and parties of agreements, and what let them go on."""
    cited = queries.cited(db, [one.body for one in negotiated])
    contracts = [json.loads(one.body) for one in cited if one.kind == "agreement"]
    versions = {one.get("asset", {}).get("version") for one in contracts} - {None}
    parties = {side.get("id") for one in contracts for side in one.get("parties", {}).values()}
    of_versions = _picked(db, _OF_VERSIONS, [col(Entry.version).in_(versions)], size, lambda _: True)
    tags = (Tag.PARTICIPANT_SUSPENDED, Tag.PARTICIPANT_REINSTATED)
    return [*of_versions, *_picked(db, tags, [], size, lambda facts: facts.get("participant") in parties)]


def _picked(
    db: Session, tags: Sequence[Tag], where: Sequence[Any], size: int, wanted: Callable[[Json], bool]
) -> Sequence[Entry]:
    """The entries of these tags whose facts are wanted: all of them, or ScopeTooWide."""
    found: list[str] = []
    for name, body in queries.entries_about(db, tags, where, size):
        if wanted(_facts(body)):
            found.append(name)
        if len(found) > LIMIT:
            raise ScopeTooWide(
                "too many entries for one bundle: what is asked for comes with the whole of each use",
                expected=f"at most {LIMIT} entries that others are judged by",
                action="narrow the period, and export it in several bundles",
            )
    return queries.by_ids(db, found)


def _transfer(facts: Json) -> str | None:
    """The transfer that an entry is about."""
    key = str(facts.get("key", ""))
    return facts.get("transfer") or (key.removeprefix(_CHARGE) if key.startswith(_CHARGE) else None)


def _facts(body: bytes) -> Json:
    facts: Json = json.loads(body)["facts"]
    return facts
