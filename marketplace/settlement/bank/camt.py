"""Reading bank statements, camt.053: what is booked in yuan, and what of our own messages it is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from xml.etree import ElementTree as ET

from marketplace.kernel.canonical import canonical
from marketplace.kernel.errors import Invalid
from marketplace.settlement.bank.queries import LONGEST_ID
from marketplace.settlement.paying import name_of_reference

LARGEST = 1 << 20
_CREDITS_IN_ONE = 500
_ACCOUNT = (("Acct", "Id", "IBAN"), ("Acct", "Id", "Othr", "Id"))
_OUR_IDS = ("EndToEndId", "PmtInfId", "MsgId")


class UnreadableStatement(Invalid):
    """The bank statement is not one that this service reads."""


@dataclass(frozen=True)
class Credit:
    """Money that came in, or with `out` went out.  reference: the bank's own, unique.

    words: remittance information and end-to-end id; names: what of our own messages it is about, by our ids.
    original: where it takes another entry back, the reference which that one had if the bank says the same.
    """

    reference: str
    amount_fen: int
    words: str
    out: bool = False
    names: frozenset[str] = frozenset()
    original: str | None = None


def read_statement(text: str, *, ordered_only: bool = False) -> list[Credit]:
    """What is booked in yuan in a camt.053 file of any version.  Raises UnreadableStatement.

    ordered_only: only what may be about transfers that were ordered here, whatever else the file tells.
    Declarations of entities and document types are refused before anything is parsed.
    """
    if len(text.encode()) > LARGEST or "<!" in text.replace("<!--", ""):
        raise UnreadableStatement("no document type, no entities, at most 1 MiB", got=f"{len(text)} characters")
    try:
        root = ET.fromstring(text.encode())  # noqa: S314 - what makes XML dangerous was refused above
    except (ET.ParseError, ValueError, LookupError) as error:
        raise UnreadableStatement("the statement is not well-formed XML", expected="camt.053") from error
    if not re.fullmatch(r"\{urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.[0-9]{2}\}Document", root.tag):
        raise UnreadableStatement("another kind of message", expected="camt.053.001.xx", got=root.tag[:80])
    found = [
        credit
        for stated in root.iter(_in(root, "Stmt"))
        for entry in stated.iter(_in(root, "Ntry"))
        if not ordered_only or _may_be_ordered(root, entry)
        for credit in _credit(root, stated, entry)
    ]
    if len(found) > _CREDITS_IN_ONE:
        raise UnreadableStatement("too many credits in one file", expected=f"at most {_CREDITS_IN_ONE}")
    return found


def _may_be_ordered(root: ET.Element, entry: ET.Element) -> bool:
    """Whether it names ids as ours are, and went out or came back."""
    out = entry.findtext(_in(root, "CdtDbtInd")) == "DBIT"
    return out != _is_back(root, entry) and bool(_names(root, entry))


def _is_back(root: ET.Element, entry: ET.Element) -> bool:
    return (entry.findtext(_in(root, "RvslInd")) or "").strip() in {"true", "1"}


def _names(root: ET.Element, entry: ET.Element) -> frozenset[str]:
    return frozenset((one.text or "") for name in _OUR_IDS for one in entry.iter(_in(root, name)))


def _credit(root: ET.Element, stated: ET.Element, entry: ET.Element) -> Iterator[Credit]:
    way = entry.findtext(_in(root, "CdtDbtInd"))
    if way not in {"CRDT", "DBIT"} or not _booked(root, entry):
        return
    amount = entry.find(_in(root, "Amt"))
    if amount is None or amount.get("Ccy") != "CNY":
        return
    words = " ".join(
        (one.text or "") for name in ("Ustrd", "EndToEndId", "AddtlNtryInf") for one in entry.iter(_in(root, name))
    )
    names, back = _names(root, entry), _is_back(root, entry)
    if way == "DBIT" and not back and not (names and _told_reference(root, entry)):
        return  # fees of the bank, and what was paid from elsewhere
    reference = _reference(root, stated, entry)
    known = name_of_reference(f"reversal of {reference}") if back else reference
    original = reference if back else None
    yield Credit(known, _fen(amount.text or ""), words, way == "DBIT", names, original)


def _booked(root: ET.Element, entry: ET.Element) -> bool:
    status = entry.find(_in(root, "Sts"))
    return status is not None and "BOOK" in {status.text, status.findtext(_in(root, "Cd"))}


def _told_reference(root: ET.Element, entry: ET.Element) -> str | None:
    return entry.findtext(_in(root, "AcctSvcrRef")) or entry.findtext(_in(root, "NtryRef"))


def _reference(root: ET.Element, stated: ET.Element, entry: ET.Element) -> str:
    found = _told_reference(root, entry)
    if not found or len(found) > LONGEST_ID:
        raise UnreadableStatement("a credit has no reference of the bank", expected="AcctSvcrRef of 1 to 35 characters")
    if entry.findtext(_in(root, "AcctSvcrRef")):
        return name_of_reference(found)
    # NtryRef is unique within one statement only: the next one may count from 1 again.
    statement = stated.findtext(_in(root, "Id"))
    if not statement:
        raise UnreadableStatement("a statement without id names its credits by NtryRef", expected="Id of the statement")
    account = [one.text for path in _ACCOUNT for one in stated.findall("/".join(_in(root, name) for name in path))]
    return name_of_reference(canonical([statement, account, found]).decode())


def _fen(text: str) -> int:
    try:
        fen = Decimal(text) * 100
        whole = int(fen)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise UnreadableStatement(
            "an amount is not a number", expected="yuan with two places", got=text[:40]
        ) from error
    if fen != whole or not 0 < whole <= 10**15:
        raise UnreadableStatement("an amount is finer than one fen or out of range", got=text[:40])
    return whole


def _in(root: ET.Element, local: str) -> str:
    return f"{root.tag.partition('}')[0]}}}{local}"
