"""A contract opened by someone else: its PDF read by other libraries, its signatures by another JOSE library."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from joserfc import jwk, jws
from joserfc.errors import BadSignatureError
from pdfminer.high_level import extract_text
from pypdf import PdfReader

from marketplace.audit import documents
from marketplace.exchange.templates import template
from marketplace.kernel.canonical import AmbiguousDocument, canonical, sha256_hex
from marketplace.kernel.signing import BadSignature
from marketplace.negotiation.contract import NotAnAgreement, Signature, contract_pdf, read_agreement
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.paper import Paragraph, Style, lines_of
from tests.exchange.parts import OFFERABLE, certified, listed, terms_of
from tests.house import House
from tests.negotiation.parts import approve, drafted, finalized, requested

FOOT = re.compile(r"^(agr_\w+)  sha256 ([0-9a-f]{64})  (\d+)/(\d+)$")


def papers(house: House, agreement: Agreement) -> tuple[bytes, list[Signature]]:
    """A contract as it leaves the house: exact bytes and signatures."""
    with house.db() as db:
        made = documents.signatures(db, agreement.document)
        return documents.get(db, agreement.document).body, [Signature(one.signer, one.jws, one.jwk) for one in made]


def lines(pdf: bytes) -> list[str]:
    return [line for page in PdfReader(BytesIO(pdf)).pages for line in page.extract_text().split("\n")]


def running_text(pdf: bytes) -> str:
    """All the text of a PDF as another library reads it, without what stands at the foot of its pages."""
    return "".join(line for line in lines(pdf) if not FOOT.match(line.strip()))


def clauses(document: dict[str, Any]) -> list[str]:
    """Each clause as it is to be read: number, titles, id, then the text in both languages."""
    both = zip(*(document["text"][language]["clauses"] for language in ("zh", "en")), strict=True)
    return [
        f"{number}. {zh['title']} {en['title']} [{zh['id']}]{zh['text']}{en['text']}"
        for number, (zh, en) in enumerate(both, start=1)
    ]


def bare(text: str) -> str:
    """A text without white space: pdfminer.six drops the spaces at the ends of lines."""
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("name", OFFERABLE)
def test_the_pdf_says_the_clauses_word_for_word_in_both_languages(house: House, name: str) -> None:
    purposes = template(name).schema["properties"]["purposes"]["items"]["enum"][:1]
    listing = listed(house, **terms_of(name, purposes=purposes))
    body, _ = papers(house, approve(house, requested(house, listing, purpose=purposes[0])))
    pdf, document = contract_pdf(body, []), json.loads(body)
    assert "".join(clauses(document)) in running_text(pdf)
    by_another = bare(re.sub(r"(?m)^agr_\w+  sha256 .*$", "", extract_text(BytesIO(pdf))))
    assert bare("".join(clauses(document))) in by_another


def test_names_with_rare_characters_come_out_as_they_went_in(house: House) -> None:
    version = certified(house, name="示例·𠮷野{price}“集”", name_en="Déjà vu – l’été, 吉 set…")
    body, _ = papers(house, approve(house, requested(house, listed(house, version))))
    assert "".join(clauses(json.loads(body))) in running_text(contract_pdf(body, []))


def test_every_page_bears_the_hash_of_the_document_and_its_own_number(house: House) -> None:
    body, signatures = papers(house, finalized(house))
    feet = [match for line in lines(contract_pdf(body, signatures)) if (match := FOOT.match(line.strip()))]
    pages = len(PdfReader(BytesIO(contract_pdf(body, signatures))).pages)
    assert pages > 3
    assert [foot.groups() for foot in feet] == [
        (json.loads(body)["id"], sha256_hex(body), str(number), str(pages)) for number in range(1, pages + 1)
    ]


def test_the_pdf_names_parties_hashes_keys_and_signatures(house: House) -> None:
    body, signatures = papers(house, finalized(house))
    document, text = json.loads(body), running_text(contract_pdf(body, signatures))
    said = [document["asset"]["version_root"], document["asset"]["manifest"], sha256_hex(body)]
    said += [document[one]["sha256"] for one in ("certificate", "opinion")]
    said += [document["text"][one]["sha256"] for one in ("zh", "en")]
    said += [document["text"][one]["title"] for one in ("zh", "en")]
    for party in document["parties"].values():
        said += [party["legal_name"], party["legal_name_en"], party["credit_code"]]
    for one in signatures:
        said += [one.jwk["kid"], sha256_hex(one.jws.encode())]
    assert [one for one in said if one not in text] == []
    assert len(signatures) == 2
    assert "no signature beside this document" not in text
    assert running_text(contract_pdf(body, signatures[:1])).count("no signature beside this document") == 1


def test_the_pdf_holds_no_other_date_than_that_of_the_draft(house: House) -> None:
    body, _ = papers(house, drafted(house))
    meta = PdfReader(BytesIO(contract_pdf(body, []))).metadata
    assert meta is not None
    drafted_at = re.sub(r"\D", "", json.loads(body)["drafted_at"])[:14]
    assert {meta["/CreationDate"], meta["/ModDate"]} == {f"D:{drafted_at}Z"}


def test_the_command_line_writes_the_same_bytes_offline_and_reads_the_text(house: House, tmp_path: Path) -> None:
    body, signatures = papers(house, finalized(house))
    file, answer, out = tmp_path / "agreement.json", tmp_path / "answer.json", tmp_path / "contract.pdf"
    file.write_bytes(body)
    answer.write_text(json.dumps({"signatures": [vars(one) for one in signatures]}))
    bundle = tmp_path / "bundle.json"
    kept = {"kind": "agreement", "body": body.decode(), "signatures": [vars(one) for one in signatures]}
    bundle.write_text(json.dumps({"bundle": "v1", "documents": [kept]}))
    for given_ in ([str(file), "--signatures", str(answer)], [str(bundle)]):
        command_line(["pdf", *given_, "--out", str(out)])
        assert out.read_bytes() == contract_pdf(body, signatures)
        out.unlink()
    text = command_line(["text", str(file), "--lang", "en"])
    assert all(one["text"] in text for one in json.loads(body)["text"]["en"]["clauses"])


def command_line(arguments: list[str]) -> str:
    """A process of its own on another day's clock: its time zone and hash seed differ from ours."""
    environment = os.environ | {"TZ": "Pacific/Apia", "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-m", "marketplace", "agreement", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def test_a_document_that_was_touched_is_not_set(house: House) -> None:
    body, signatures = papers(house, finalized(house))
    document = json.loads(body)
    with pytest.raises(NotAnAgreement, match="canonical"):
        contract_pdf(json.dumps(document).encode(), signatures)
    document["text"]["en"]["clauses"][0]["text"] += " And a pony."
    with pytest.raises(NotAnAgreement, match="hash"):
        read_agreement(canonical(document))
    document = json.loads(body) | {"price_fen": 1}
    with pytest.raises(BadSignature):
        contract_pdf(canonical(document), signatures)
    stranger = replace(signatures[0], jws=signatures[1].jws)
    with pytest.raises(BadSignature):
        contract_pdf(body, [stranger])


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"type":"listing"}', b"{", b'{"type":"agreement"}'])
def test_another_file_is_refused_with_a_sentence(body: bytes) -> None:
    with pytest.raises((NotAnAgreement, AmbiguousDocument)):
        read_agreement(body)


def elsewhere(signature: Signature, body: bytes) -> dict[str, Any]:
    """The header of a signature over detached bytes, as a library finds it that shares no JOSE code with us."""
    key = jwk.import_key(signature.jwk)
    verified = jws.deserialize_compact(signature.jws, key, algorithms=["EdDSA", "ES256"], payload=body)
    assert verified.payload == body
    return verified.headers()


# joserfc would rather have RFC 9864's name `Ed25519`; the agreement's keys are named as RFC 8037 does.
by_its_older_name = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@by_its_older_name
def test_another_jose_library_verifies_both_signatures_over_the_same_bytes(house: House) -> None:
    body, signatures = papers(house, finalized(house))
    headers = [elsewhere(one, body) for one in signatures]
    assert {one["alg"] for one in headers} == {"EdDSA", "ES256"}
    assert {one["typ"] for one in headers} == {"agreement+jws"}
    assert [one["kid"] for one in headers] == [jwk.import_key(one.jwk).thumbprint() for one in signatures]


@by_its_older_name
@pytest.mark.parametrize("place", [0, 1, 500, -1])
def test_with_one_byte_changed_no_signature_verifies_elsewhere(house: House, place: int) -> None:
    body, signatures = papers(house, finalized(house))
    changed = bytearray(body)
    changed[place] ^= 1
    for one in signatures:
        with pytest.raises(BadSignatureError):
            elsewhere(one, bytes(changed))


TEXTS = st.text(alphabet=st.sampled_from("abc de（）《》。，“”模型训练数据éß𠮷 …-"), max_size=120)


@example(text="“（aab。", width=40, han=False)  # a word that is cut takes its stop along
@given(text=TEXTS, width=st.integers(40, 300), han=st.booleans())
def test_lines_joined_are_the_text_and_none_begins_with_a_stop(text: str, width: int, han: bool) -> None:
    paragraph = Paragraph(Style.BODY, text, han)
    found = lines_of(paragraph, width)
    assert "".join(found) == text
    for line in found[1:]:
        # Only a run of stops longer than a line may go on in the next one.
        assert line[0] not in "）》。，" or set(found[found.index(line) - 1]) & set("）》。，…”")
