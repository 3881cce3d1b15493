"""Questions about uses and contracts: is each use under an agreement that both signed, about certified content?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from marketplace.audit.verifier.bundle import Bundle, Document, Entry
from marketplace.audit.verifier.report import Check, Report
from marketplace.audit.verifier.text import mapping, string

_HASH = re.compile(r"[0-9a-f]{64}")

# document -> signers whose signature over it holds
Sound = dict[str, set[str]]


def check(report: Report, bundle: Bundle, sound: Sound) -> None:
    """Ask all of them."""
    agreements = [one for one in bundle.documents.values() if one.kind == "agreement"]
    _signed_by_both(report, agreements, sound)
    _rests_on(report, bundle, agreements, sound)
    contract_of = _uses(report, bundle)
    _manifests(report, bundle, contract_of, sound)


def reachable(bundle: Bundle) -> set[str]:
    """Documents that the entries lead to, directly or through other documents."""
    found: set[str] = set()
    wave = [text for entry in bundle.entries for text in _texts(entry.facts)]
    while wave:
        fresh = {text for text in wave if text in bundle.documents} - found
        found |= fresh
        wave = [text for name in fresh for text in _texts(bundle.documents[name].content)]
    return found


def _signed_by_both(report: Report, agreements: list[Document], sound: Sound) -> None:
    asked = report.check("every agreement is signed by provider and buyer")
    for document in agreements:
        asked.counted += 1
        provider, buyer = (string(document.content, "parties", side, "id") for side in ("provider", "buyer"))
        if provider is None or buyer is None:
            asked.fail(document.name, "it does not name provider and buyer")
            continue
        if provider == buyer:
            asked.fail(document.name, "provider and buyer are the same")
        missing = sorted({provider, buyer} - sound.get(document.sha256, set()))
        if missing:
            asked.fail(document.name, f"no valid signature of {' and '.join(missing)}")


def _rests_on(report: Report, bundle: Bundle, agreements: list[Document], sound: Sound) -> None:
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
                _basis(asked, kind, basis, root, sound)


def _basis(asked: Check, kind: str, basis: Document, root: str, sound: Sound) -> None:
    if basis.kind != kind:
        asked.fail(basis.name, f"it is cited as {kind}")
    bound = string(basis.content, "version_root")
    if bound != root:
        asked.fail(basis.name, f"it is bound to the version root {bound}, the agreement to {root}")
    if not sound.get(basis.sha256):
        asked.fail(basis.name, "it carries no valid signature")


def _uses(report: Report, bundle: Bundle) -> dict[str, Document]:
    """Check that each use names a contract; returns agreement id -> its document."""
    asked = report.check("every use is under an agreement in the bundle")
    contract_of = _contracts(bundle)
    for entry in bundle.entries:
        if entry.tag != "usage:allowed" and not entry.tag.startswith("transfer:"):
            continue
        asked.counted += 1
        document = contract_of.get(entry.agreement or "")
        if entry.agreement is None or document is None:
            asked.fail(entry.name, f"its agreement {entry.agreement} has no document in the bundle")
            continue
        buyer = string(document.content, "parties", "buyer", "id")
        actor = string(entry.content, "actor", "participant")
        if entry.tag == "usage:allowed" and actor != buyer:
            asked.fail(entry.name, f"used by {actor}, the buyer is {buyer}")
        asset, bought = string(entry.content, "subject", "asset"), string(document.content, "asset", "id")
        if None not in (asset, bought) and asset != bought:
            asked.fail(entry.name, f"it is about the asset {asset}, the agreement about {bought}")
    return contract_of


def _contracts(bundle: Bundle) -> dict[str, Document]:
    """Agreement id -> document: as the log's negotiation entries tie them, or as the document says itself."""
    found: dict[str, Document] = {}
    for document in bundle.documents.values():
        own_id = string(document.content, "id")
        if document.kind == "agreement" and own_id is not None:
            found[own_id] = document
    for entry in bundle.entries:
        if entry.agreement is not None and entry.tag.startswith("negotiation:"):
            for document in _cited(bundle, entry):
                if document.kind == "agreement":
                    found[entry.agreement] = document
    return found


def _manifests(report: Report, bundle: Bundle, contract_of: dict[str, Document], sound: Sound) -> None:
    asked = report.check("every delivery manifest is signed and fits its agreement")
    citing = {document.sha256: entry for entry in bundle.entries for document in _cited(bundle, entry)}
    for document in bundle.documents.values():
        if document.kind != "delivery-manifest":
            continue
        asked.counted += 1
        if not sound.get(document.sha256):
            asked.fail(document.name, "it carries no valid signature")
        entry = citing.get(document.sha256)
        if entry is None:
            asked.fail(document.name, "no entry of the bundle cites it")
            continue
        contract = contract_of.get(entry.agreement or "")
        told = _agreement_named(document)
        if told is not None and contract is not None and told not in (entry.agreement, contract.sha256):
            asked.fail(document.name, f"it is for the agreement {told}, logged under {entry.agreement}")
        root = string(document.content, "version_root")
        bought = string(contract.content, "asset", "version_root") if contract else None
        if None not in (root, bought) and root != bought:
            asked.fail(document.name, f"it serves the version root {root}, the agreement is about {bought}")


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
