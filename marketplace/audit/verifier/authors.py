"""Who must have signed a document: the party that it names, admitted in the role that this needs."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.audit.verifier.bundle import Bundle, Document
from marketplace.audit.verifier.keys import NotSigned
from marketplace.audit.verifier.report import Report
from marketplace.audit.verifier.signers import SERVICE, Life, Sound, lives, require_life
from marketplace.audit.verifier.text import string

OPERATOR = "platform_operator"

# kind -> where the document names a party, and the role in which that party signs
_NAMED: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "agreement": ((("parties", "provider", "id"), "provider"), (("parties", "buyer", "id"), "buyer")),
    "certificate": ((("registrar", "id"), "registrar"),),
    "opinion": ((("firm", "id"), "law_firm"),),
}
# What the service itself makes, so that its own signature alone counts.
_NOTICES = ("stop-notice", "duty-notice", "contract-notice")
_OWN = ("delivery-manifest", *_NOTICES)
# Entries by which a document takes effect; before them it is a draft and need not be signed.
_TAKES_EFFECT = {"registration:certificate_issued": "certificate", "legal:opinion_signed": "opinion"}


@dataclass(frozen=True)
class Admission:
    """An organisation's entry into the market.  index: leaf number; roles: what it was admitted as."""

    index: int
    roles: frozenset[str]


@dataclass(frozen=True)
class Operators:
    """Who may sign a recovery of the log: whom the log admitted as platform operator, with a registered key."""

    keys: dict[str, Life]
    admitted: dict[str, Admission]

    @classmethod
    def of(cls, bundle: Bundle) -> Operators:
        return cls(lives(bundle), admissions(bundle))

    def require(self, kid: str, at: int) -> None:
        """Raises NotSigned unless the key was an operator's at this leaf number."""
        life = self.keys.get(kid, Life())
        owner = min(life.owners, default=OPERATOR)
        require_life(life, owner, at)
        admission = self.admitted.get(owner)
        if admission is None or OPERATOR not in admission.roles or admission.index > at:
            raise NotSigned(f"no entry at hand admits {owner} as {OPERATOR} before entry {at}")


def admissions(bundle: Bundle) -> dict[str, Admission]:
    """Participant -> its admission; the first counts, nobody is admitted twice."""
    found: dict[str, Admission] = {}
    for entry in sorted(bundle.entries, key=lambda one: one.index):
        participant, roles = string(entry.facts, "participant"), entry.facts.get("roles")
        if entry.tag == "participant:admitted" and participant is not None and isinstance(roles, list):
            named = frozenset(one for one in roles if isinstance(one, str))
            found.setdefault(participant, Admission(entry.index, named))
    return found


def lacks(document: Document, sound: Sound, admitted: dict[str, Admission]) -> list[str]:
    """In words, what a document lacks to be signed by those whom it names; nothing when it is."""
    signed = sound.get(document.sha256, {})
    if document.kind in _OWN:
        return [] if SERVICE in signed else [f"no valid signature of the {SERVICE} itself"]
    said: list[str] = []
    for path, role in _NAMED.get(document.kind, ()):
        party = string(document.content, *path)
        if party is None:
            said.append(f"it does not name its {role}")
        elif party not in signed:
            said.append(f"no valid signature of {party}")
        elif party not in admitted or role not in admitted[party].roles:
            said.append(f"no entry at hand admits {party} as {role}")
        elif admitted[party].index > signed[party]:
            said.append(f"{party} signed before entry {admitted[party].index} admitted it")
    return said


def check(report: Report, bundle: Bundle, sound: Sound) -> None:
    """Ask it of every certificate and opinion that took effect, and of every notice."""
    asked = report.check("every certificate, opinion and notice is signed by the party that it names, in its role")
    admitted, in_effect = admissions(bundle), _in_effect(bundle)
    for document in bundle.documents.values():
        if document.kind in _NOTICES or (document.kind, document.sha256) in in_effect:
            asked.counted += 1
            for lack in lacks(document, sound, admitted):
                asked.fail(document.name, lack)


def _in_effect(bundle: Bundle) -> set[tuple[str, str]]:
    """(kind, hash) of what entries put into effect."""
    telling = [one for one in bundle.entries if one.tag in _TAKES_EFFECT]
    return {(_TAKES_EFFECT[one.tag], name) for one in telling if (name := string(one.facts, "document"))}
