"""The invoice and the credit note: the document that issuer and buyer read, and the same on paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.money import Money
from marketplace.negotiation.paper import Paragraph, Style, set_pages
from marketplace.participants.models import Participant
from marketplace.settlement.models import Invoice, InvoiceLine
from marketplace.settlement.queries import Billable

_TITLES = {"invoice": ("账单", "Invoice"), "credit_note": ("红字账单", "Credit note")}
_KINDS = {
    "sale.access": ("数据使用权", "Access to data"),
    "use.transfer": ("数据使用计费", "Use of data"),
    "exchange.buyer_fee": ("交易所需方服务费", "Fee of the exchange"),
    "sale.success": ("效果价款", "Price of the result"),
    "escrow.deposit": ("保证金", "Deposit"),
}


def invoice_document(
    found: Invoice,
    issuer: Participant,
    buyer: Participant,
    lines: Sequence[InvoiceLine | Billable],
    *,
    credited: str | None = None,
    reason: str | None = None,
) -> Json:
    """The document of `contracts/documents/invoice.schema.json`; moments as text, amounts in whole fen.

    credited: number of the invoice that a credit note is about; its amounts are what is taken off.
    """
    return {
        "type": "invoice",
        "v": 1,
        "id": found.id,
        "kind": found.kind,
        "number": found.number,
        "credits": credited,
        "reason": reason,
        "issuer": _party(issuer),
        "buyer": _party(buyer),
        "currency": found.currency,
        "period": found.period,
        "issued_at": timestamp(found.issued_at),
        "due_at": timestamp(found.due_at),
        "lines": [_line(place, one) for place, one in enumerate(lines, start=1)],
        "total_fen": found.total_fen,
        "vat_fen": found.vat_fen,
        "net_fen": found.total_fen - found.vat_fen,
    }


def invoice_pdf(document: Json, sha256: str) -> bytes:
    """The document as PDF in both languages, the same bytes for the same document."""
    zh, en = _TITLES[document["kind"]]
    return set_pages(
        [*_head(document, sha256), *_lines(document), *_sums(document)],
        title=f"{zh} {en} {document['number']}",
        subject=f"{document['number']} sha256 {sha256}",
        foot=f"{document['number']}  sha256 {sha256}",
        dated=parse_timestamp(document["issued_at"]),
    )


def _party(one: Participant) -> Json:
    return {
        "id": one.id,
        "legal_name": one.legal_name,
        "legal_name_en": one.legal_name_en,
        "credit_code": one.credit_code,
    }


def _line(place: int, one: InvoiceLine | Billable) -> Json:
    return {
        "position": place,
        "kind": one.kind,
        "at": timestamp(one.at),
        "agreement": one.agreement_id,
        "asset": one.asset_id,
        "provider": one.provider_id,
        "price_fen": one.price_fen,
        "vat_fen": one.vat_fen,
        "transaction": one.transaction_id,
        "cause_entry": one.entry_id,
        "posting_entry": one.posting_entry_id,
    }


def _head(document: Json, sha256: str) -> Iterator[Paragraph]:
    zh, en = _TITLES[document["kind"]]
    yield Paragraph(Style.TITLE, f"{zh} {en} {document['number']}", han=False)
    for label, value in (
        ("开具方 / Issuer", _named(document["issuer"])),
        ("购买方 / Buyer", _named(document["buyer"])),
        ("账期 / Period", document["period"]),
        ("开具时间 / Issued", document["issued_at"]),
        ("付款期限 / Due", document["due_at"]),
        ("冲销账单 / Credits", document["credits"] or "-"),
        ("文件哈希 / SHA-256 of the document", sha256),
    ):
        yield Paragraph(Style.FACT, f"{label}: {value}", han=False)


def _lines(document: Json) -> Iterator[Paragraph]:
    yield Paragraph(Style.HEADING, "明细 Lines", han=False)
    for one in document["lines"]:
        zh, en = _KINDS[one["kind"]]
        said = f"{one['position']}. {zh} / {en}  {one['at']}  {_yuan(one['price_fen'])}"
        yield Paragraph(Style.BODY, said, han=False)
        where = f"{one['agreement'] or '-'}  {one['asset'] or '-'}  {one['provider']}"
        yield Paragraph(Style.FACT, where, han=False)
        proof = f"日志 / Log: {one['cause_entry']}, {one['posting_entry']}; 账 / Books: {one['transaction']}"
        yield Paragraph(Style.FACT, proof, han=False)


def _sums(document: Json) -> Iterator[Paragraph]:
    yield Paragraph(Style.HEADING, "合计 Total", han=False)
    for label, name in (
        ("不含税 / Without VAT", "net_fen"),
        ("增值税 / VAT", "vat_fen"),
        ("价税合计 / Total", "total_fen"),
    ):
        yield Paragraph(Style.FACT, f"{label}: {_yuan(document[name])}", han=False)


def _named(party: dict[str, Any]) -> str:
    return f"{party['legal_name']} / {party['legal_name_en']}, {party['credit_code']}"


def _yuan(fen: int) -> str:
    return f"CNY {Money(fen).decimal:,.2f}"
