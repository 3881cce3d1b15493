"""Whether what an offer lets leave of a version can leave: no delivery may break the files it is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlmodel import Session

from marketplace.assets.models import Version
from marketplace.exchange.terms import NotDeliverable, check_offer
from marketplace.exchange.terms.delivery import ATTRIBUTES
from marketplace.exchange.terms.findings import Finding
from marketplace.governance.queries import kinds_of
from marketplace.governance.required import Required, required
from marketplace.kernel.canonical import Json


def require_deliverable(db: Session, version: Version, uses: Json, delivery_mode: str) -> None:
    """Refuse uses that no delivery of this version could meet, or after which its files were no DICOM any more.

    Raises UnknownTerm, NoEnforcementPoint, NotDeliverable, with the RFC 6901 pointer of the first term in the way.
    """
    check_offer(uses, delivery_mode)
    for finding in left_out(uses, kinds_of(db, version.id)):
        raise NotDeliverable(finding)


def left_out(uses: Json, kinds: Collection[str]) -> Iterator[Finding]:
    """The duties of a checked policy that would leave out what DICOM requires with a value (Type 1).

    kinds: SOP class UIDs of the version's files; none known: what every kind requires.
    """
    known = required()
    asked = [known[one] for one in sorted(kinds) if one in known] or [_common(list(known.values()))]
    for place, permission in enumerate(uses["permission"]):
        for number, duty in enumerate(permission.get("duty", [])):
            if duty["action"] != ATTRIBUTES:
                continue
            named = set(duty["constraint"][0]["rightOperand"])
            for kind in asked:
                if missing := sorted(kind.valued - named):
                    at = f"/permission/{place}/duty/{number}/constraint/0/rightOperand"
                    detail = f"leaves out what {kind.keyword} requires with a value (Type 1)"
                    yield Finding(at, detail, ", ".join(missing), f"{len(named)} attributes")


def _common(known: list[Required]) -> Required:
    return Required("every kind", frozenset.intersection(*(one.valued for one in known)), frozenset(), frozenset())
