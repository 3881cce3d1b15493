"""The contract as PDF: both languages clause by clause, the hashes that bind it, and who signed.

Everything on the pages comes from the signed document and its signatures; nothing is asked of the service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from marketplace.exchange.templates import LANGUAGES
from marketplace.exchange.wording import ENFORCEMENT_WORDS, policy_in_words
from marketplace.kernel.canonical import Json, canonical, digest, read_strictly, sha256_hex
from marketplace.kernel.clock import parse_timestamp
from marketplace.kernel.errors import Invalid
from marketplace.kernel.signing import Jwk, verify_detached
from marketplace.negotiation.paper import Paragraph, Style, set_pages

TYP = "agreement+jws"
SIDES = ("provider", "buyer")
_SECTIONS = {
    "facts": ("合同要素", "Particulars"),
    "follows": ("所承接的合同及变更", "What it follows and what is otherwise"),
    "terms": ("机器可读条款及其执行", "Machine-readable terms and who makes sure of them"),
    "signatures": ("签署", "Signatures"),
}
_SIGNER = {"provider": ("数据提供方", "Provider"), "buyer": ("数据使用方", "Buyer")}
_UNSIGNED = "未附签名 / no signature beside this document"


class NotAnAgreement(Invalid):
    """The file is not an agreement as the parties sign it."""


@dataclass(frozen=True)
class Signature:
    """A party's detached JWS over the document's bytes with the public key that checks it."""

    signer: str
    jws: str
    jwk: Jwk


def read_agreement(body: bytes) -> Json:
    """The agreement that these exact bytes are.  Raises AmbiguousDocument, NotAnAgreement: another kind of document,
    bytes that are not canonical, or a text that its own hash does not fit."""
    document = read_strictly(body)
    if not isinstance(document, dict) or document.get("type") != "agreement":
        raise NotAnAgreement("not an agreement", expected="a document of type agreement")
    if canonical(document) != body:
        raise NotAnAgreement("not the bytes that were signed", expected="canonical JSON (RFC 8785)")
    for language in LANGUAGES:
        text = dict(document.get("text", {}).get(language, {}))
        if text.pop("sha256", None) != digest(text):
            raise NotAnAgreement("a text differs from its hash", expected=f"the {language} text that was signed")
    return document


def contract_pdf(body: bytes, signatures: Sequence[Signature]) -> bytes:
    """The contract as PDF, the same bytes for the same input.

    body: the exact bytes of the document; signatures: of its parties, all of which must fit the bytes; others' are
    left out.  Raises NotAnAgreement, BadSignature.
    """
    document, sha256 = read_agreement(body), sha256_hex(body)
    by_side = {side: _signature(document, side, body, signatures) for side in SIDES}
    paragraphs = [
        *_head(document),
        *_facts(document, sha256),
        *_follows(document),
        *_clauses(document),
        *_terms(document),
        *_signed(document, by_side),
    ]
    title = " / ".join(document["text"][language]["title"] for language in LANGUAGES)
    return set_pages(
        paragraphs,
        title=title,
        subject=f"{document['id']} sha256 {sha256}",
        foot=f"{document['id']}  sha256 {sha256}",
        dated=parse_timestamp(document["drafted_at"]),
    )


def _signature(document: Json, side: str, body: bytes, signatures: Sequence[Signature]) -> Signature | None:
    party = document["parties"][side]["id"]
    found = next((one for one in signatures if one.signer == party), None)
    if found is not None:
        verify_detached(found.jws, body, found.jwk, typ=TYP)
    return found


def _head(document: Json) -> Iterator[Paragraph]:
    for language in LANGUAGES:
        yield Paragraph(Style.TITLE, document["text"][language]["title"], han=language == "zh")


def _facts(document: Json, sha256: str) -> Iterator[Paragraph]:
    yield _heading("facts")
    asset, certificate, opinion = document["asset"], document["certificate"], document["opinion"]
    for side in SIDES:
        party = document["parties"][side]
        names = f"{party['legal_name']} / {party['legal_name_en']}"
        yield _fact(*_SIGNER[side], f"{names}, {party['credit_code']}, {party['id']}")
    for zh, en, value in (
        ("合同编号", "Agreement", document["id"]),
        ("模板", "Template", document["template"]),
        ("期限", "Term", f"{document['starts_at']} – {document['ends_at']}"),
        ("数据资产", "Asset", f"{asset['name']} / {asset['name_en']}, {asset['id']}"),
        ("版本", "Version", f"{asset['version_number']}, {asset['version']}"),
        ("版本根哈希", "Version root", asset["version_root"]),
        ("清单哈希", "Manifest SHA-256", asset["manifest"]),
        ("证书", "Certificate", certificate["code"]),
        ("证书哈希", "Certificate SHA-256", certificate["sha256"]),
        ("意见书", "Opinion", opinion["number"]),
        ("意见书哈希", "Opinion SHA-256", opinion["sha256"]),
        ("中文文本哈希", "SHA-256 of the Chinese text", document["text"]["zh"]["sha256"]),
        ("英文文本哈希", "SHA-256 of the English text", document["text"]["en"]["sha256"]),
        ("文件哈希", "SHA-256 of the document", sha256),
    ):
        yield _fact(zh, en, str(value))


def _follows(document: Json) -> Iterator[Paragraph]:
    """Of a successor: its predecessor and every change in words."""
    named = document.get("predecessor")
    if named is None:
        return
    yield _heading("follows")
    yield _fact("所承接的合同", "Predecessor", f"{named['id']} ({named['kind']})")
    yield _fact("其文件哈希", "SHA-256 of its document", named["sha256"])
    for zh, en in zip(*(named["changes"][language] for language in LANGUAGES), strict=True):
        yield Paragraph(Style.FACT, f"{zh} / {en}", han=False)


def _clauses(document: Json) -> Iterator[Paragraph]:
    texts = [document["text"][language]["clauses"] for language in LANGUAGES]
    for number, (zh, en) in enumerate(zip(*texts, strict=True), start=1):
        if zh["id"] != en["id"]:
            raise NotAnAgreement("the two texts differ in their clauses", expected=zh["id"], got=en["id"])
        yield Paragraph(Style.HEADING, f"{number}. {zh['title']} {en['title']} [{zh['id']}]", han=False)
        yield Paragraph(Style.BODY, zh["text"], han=True)
        yield Paragraph(Style.BODY, en["text"], han=False)


def _terms(document: Json) -> Iterator[Paragraph]:
    yield _heading("terms")
    held = {one["pointer"]: one["enforcement"] for one in document["enforcement"]}
    both = [policy_in_words(document["uses"], language) for language in LANGUAGES]
    for zh, en in zip(*both, strict=True):
        # The branches of a logical constraint stand in the table one by one, and here as one sentence.
        kinds = [kind for pointer, kind in held.items() if f"{pointer}/".startswith(f"{zh.pointer}/")]
        who = {language: _held(kinds, language) for language in LANGUAGES}
        yield _fact(f"{zh.sentence}（{who['zh']}）", f"{en.sentence} ({who['en']})", zh.pointer)


def _held(kinds: Sequence[str], language: str) -> str:
    return ", ".join(ENFORCEMENT_WORDS[kind][language] for kind in dict.fromkeys(kinds))


def _signed(document: Json, by_side: dict[str, Signature | None]) -> Iterator[Paragraph]:
    yield _heading("signatures")
    for side in SIDES:
        party, made = document["parties"][side], by_side[side]
        yield _fact(*_SIGNER[side], f"{party['legal_name']} / {party['legal_name_en']}")
        if made is None:
            yield Paragraph(Style.FACT, _UNSIGNED, han=False)
            continue
        yield _fact("密钥编号", "Key id", f"{made.jwk['kid']} ({made.jwk['alg']})")
        yield _fact("签名哈希", "SHA-256 of the JWS", sha256_hex(made.jws.encode()))


def _heading(section: str) -> Paragraph:
    return Paragraph(Style.HEADING, " ".join(_SECTIONS[section]), han=False)


def _fact(zh: str, en: str, value: str) -> Paragraph:
    return Paragraph(Style.FACT, f"{zh} / {en}: {value}", han=False)
