"""Questions about uses and contracts: is each use under an agreement that both signed, about certified content?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from marketplace.audit.verifier import acts, authors, deliveries, standing, terms
from marketplace.audit.verifier.authors import Admission
from marketplace.audit.verifier.bundle import Bundle, Document, Entry
from marketplace.audit.verifier.report import Check, Report
from marketplace.audit.verifier.signers import Sound
from marketplace.audit.verifier.text import mapping, string

_HASH = re.compile(r"[0-9a-f]{64}")


def check(report: Report, bundle: Bundle, sound: Sound) -> None:
    """Ask all of them."""
    admitted, contract_of = authors.admissions(bundle), _contracts(bundle)
    agreements = _relied_on(report, bundle, contract_of)
    _signed_by_both(report, agreements, sound, admitted)
    _rests_on(report, bundle, agreements, sound, admitted)
    authors.check(report, bundle, sound)
    _uses(report, bundle, contract_of)
    standing.check(report, bundle, contract_of)
    acts.check(report, bundle, contract_of, sound)
    terms.check(report, bundle, contract_of)
    _manifests(report, bundle, contract_of, sound)
    _carried_out(report, bundle, contract_of)


def reachable(bundle: Bundle) -> set[str]:
    """Documents that the entries lead to, directly or through other documents."""
    found: set[str] = set()
    wave = [text for entry in bundle.entries for text in _texts(entry.facts)]
    while wave:
        fresh = {text for text in wave if text in bundle.documents} - found
        found |= fresh
        wave = [text for name in fresh for text in _texts(bundle.documents[name].content)]
    return found


def _relied_on(report: Report, bundle: Bundle, contract_of: dict[str, Document]) -> list[Document]:
    """The agreements that came into force or that something was done under; drafts need no signature yet."""
    named = {entry.agreement for entry in bundle.entries if entry.tag == standing.FINALIZED or _is_of_use(entry)}
    names = {contract_of[one].sha256 for one in named if one in contract_of}
    every = [one for one in bundle.documents.values() if one.kind == "agreement"]
    if drafts := len(every) - len(names):
        report.notes.append(f"{drafts} of {len(every)} agreements never came into force, as far as the entries tell")
    return [one for one in every if one.sha256 in names]


def _signed_by_both(report: Report, agreements: list[Document], sound: Sound, admitted: dict[str, Admission]) -> None:
    asked = report.check("every agreement is signed by provider and buyer")
    for document in agreements:
        asked.counted += 1
        provider, buyer = (string(document.content, "parties", side, "id") for side in ("provider", "buyer"))
        if provider is not None and provider == buyer:
            asked.fail(document.name, "provider and buyer are the same")
        for lack in authors.lacks(document, sound, admitted):
            asked.fail(document.name, lack)


def _rests_on(
    report: Report, bundle: Bundle, agreements: list[Document], sound: Sound, admitted: dict[str, Admission]
) -> None:
    asked = report.check("every agreement rests on a signed certificate and opinion for its version")
    for document in agreements:
        asked.counted += 1
        root = string(document.content, "asset", "version_root")
        if root is None:
            asked.fail(document.name, "it does not name the version root of the asset")
            continue
        for kind in ("certificate", "opinion"):
            cited = string(document.content, kind, "sha256")
            basis = bundle.documents.get(cited) if cited else None
            if cited is None:
                asked.fail(document.name, f"it does not cite the {kind} by hash")
            elif basis is None:
                asked.fail(document.name, f"the {kind} {cited} is not in the bundle")
            else:
                _basis(asked, kind, basis, root)
                for lack in authors.lacks(basis, sound, admitted):
                    asked.fail(basis.name, lack)


def _basis(asked: Check, kind: str, basis: Document, root: str) -> None:
    if basis.kind != kind:
        asked.fail(basis.name, f"it is cited as {kind}")
    bound = string(basis.content, "version_root")
    if bound != root:
        asked.fail(basis.name, f"it is bound to the version root {bound}, the agreement to {root}")


def _is_of_use(entry: Entry) -> bool:
    # Where somebody wants notices sent is of no agreement.
    about_use = entry.tag.startswith("transfer:") and not entry.tag.startswith("transfer:notice_address_")
    return entry.tag == "usage:allowed" or about_use


def _uses(report: Report, bundle: Bundle, contract_of: dict[str, Document]) -> None:
    asked = report.check("every use is under an agreement in the bundle")
    for entry in bundle.entries:
        if not _is_of_use(entry):
            continue
        asked.counted += 1
        document = contract_of.get(entry.agreement or "")
        if entry.agreement is None or document is None:
            asked.fail(entry.name, f"its agreement {entry.agreement} has no document in the bundle")
            continue
        told = string(document.content, "id")
        if told not in (None, entry.agreement):
            asked.fail(entry.name, f"its agreement is {entry.agreement}, the document is of {told}")
        buyer = string(document.content, "parties", "buyer", "id")
        actor = string(entry.content, "actor", "participant")
        if entry.tag == "usage:allowed" and actor != buyer:
            asked.fail(entry.name, f"used by {actor}, the buyer is {buyer}")
        asset, bought = string(entry.content, "subject", "asset"), string(document.content, "asset", "id")
        if None not in (asset, bought) and asset != bought:
            asked.fail(entry.name, f"it is about the asset {asset}, the agreement about {bought}")


def _contracts(bundle: Bundle) -> dict[str, Document]:
    """Agreement id -> document: as the entries that put it in force tie them, else others, else the document itself."""
    found: dict[str, Document] = {}
    for document in bundle.documents.values():
        own_id = string(document.content, "id")
        if document.kind == "agreement" and own_id is not None:
            found[own_id] = document
    negotiated = [one for one in bundle.entries if one.tag.startswith("negotiation:")]
    for entry in sorted(negotiated, key=lambda one: (one.tag == standing.FINALIZED, -one.index)):
        for document in _cited(bundle, entry):
            if document.kind == "agreement" and entry.agreement is not None:
                found[entry.agreement] = document
    return found


def _manifests(report: Report, bundle: Bundle, contract_of: dict[str, Document], sound: Sound) -> None:
    asked = report.check("every delivery manifest is signed and fits its agreement")
    citing = {document.sha256: entry for entry in bundle.entries for document in _cited(bundle, entry)}
    for document in bundle.documents.values():
        if document.kind != "delivery-manifest":
            continue
        asked.counted += 1
        for lack in authors.lacks(document, sound, {}):
            asked.fail(document.name, lack)
        entry = citing.get(document.sha256)
        if entry is None:
            asked.fail(document.name, "no entry of the bundle cites it")
            continue
        contract = contract_of.get(entry.agreement or "")
        told = _agreement_named(document)
        if told is not None and contract is not None and told not in (entry.agreement, contract.sha256):
            asked.fail(document.name, f"it is for the agreement {told}, logged under {entry.agreement}")
        root = string(document.content, "version", "root") or string(document.content, "version_root")
        bought = string(contract.content, "asset", "version_root") if contract else None
        if None not in (root, bought) and root != bought:
            asked.fail(document.name, f"it serves the version root {root}, the agreement is about {bought}")


def _carried_out(report: Report, bundle: Bundle, contract_of: dict[str, Document]) -> None:
    asked = report.check("every delivery carried out what its signed terms demand of what leaves")
    # By the entry that cites it, so that no manifest escapes by naming another agreement or none.
    cited = {document.sha256: (document, entry) for entry in bundle.entries for document in _cited(bundle, entry)}
    for document, entry in cited.values():
        contract = contract_of.get(entry.agreement or "")
        if document.kind != "delivery-manifest" or contract is None:
            continue
        asked.counted += 1
        for lack in deliveries.shortfalls(document.content, contract):
            asked.fail(document.name, lack)


def _agreement_named(document: Document) -> str | None:
    named = document.content.get("agreement")
    return named if isinstance(named, str) else string(mapping(document.content, "agreement"), "id")


def _cited(bundle: Bundle, entry: Entry) -> Iterator[Document]:
    for text in _texts(entry.facts):
        if _HASH.fullmatch(text) and text in bundle.documents:
            yield bundle.documents[text]


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            yield from value
            for item in value.values():
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)
