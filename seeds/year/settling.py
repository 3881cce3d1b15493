"""The money of the year: what invoices bring in by bank statement, what goes out, what is taken back, month closes."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

from marketplace.client.lists import LONG_PAGES, items
from marketplace.client.problem import ProblemError
from marketplace.kernel.canonical import canonical
from seeds.year.state import Year

CAMT = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
SCHEME = "full-waterfall-v1"
PARTS = ("department", "annotators", "patient_benefit_fund")
BANK = "102100099996"


def settle_in(year: Year) -> None:
    """The hospital chooses how its sales are divided; everybody who is paid says where."""
    hospital = year["hospital"]
    operator = year.world.ids["operator"]
    hospital.post(
        "/v1/settlement/scheme", {"scheme": SCHEME, "owners": {"operator": operator, "service_fee": operator}}
    )
    for number, (party, part) in enumerate(
        [
            *(("exchange", None), ("operator", None), ("hospital", None)),
            *(("hospital", part) for part in PARTS),
            *(("law_firm", None), ("registrar", None)),
        ]
    ):
        account = {"holder": f"示例户名{party}", "account": f"62220000{number:08d}", "bank": BANK}
        year[party].post("/v1/bank-accounts", account | ({"part": part} if part else {}))


def look_for(year: Year, *, buyers: Iterable[str]) -> None:
    """Buyers publish what they look for and read what fits."""
    for number, buyer in enumerate(buyers):
        modality, part, purpose, budget = DEMANDS[number % len(DEMANDS)]
        body = {"title": f"示例需求 {modality} {part}", "modality": modality, "body_part": part, "purpose": purpose}
        demand = year[buyer].post("/v1/demands", body | {"budget_fen": budget})
        found = items(year[buyer], f"/v1/demands/{demand['id']}/matches", {"limit": 100})
        year.note("looked_for", buyer=buyer, purpose=purpose, fitting=sum(one["fits"] for one in found))


DEMANDS = (
    ("CT", "CHEST", "product_development", 6_000_000),
    ("MR", "KNEE", "scientific_research", 2_000_000),
    ("PT", "BRAIN", "model_training", 9_000_000),
    ("", "", "actuarial_pricing", 5_000_000),
)


def pay_due(year: Year, *, but: Iterable[str] = ()) -> None:
    """The bank sends one statement with the payments of every buyer for what is open."""
    late = {year.world.ids[one] for one in but if one in year.world.ids}
    exchange = year["exchange"]
    invoices = [one for one in items(exchange, "/v1/invoices", LONG_PAGES) if one["kind"] == "invoice"]
    payable = [one for one in invoices if one["state"] in {"issued", "overdue"} and one["buyer_id"] not in late]
    if not payable:
        return
    year.statement += 1
    taken = exchange.post("/v1/bank-statements", {"statement": _camt(year.statement, payable)})
    outcomes = {one["outcome"] for one in taken}
    assert outcomes == {"paid"}, taken
    year.note("paid", invoices=len(taken), fen=sum(one["amount_fen"] for one in taken))


def order_payments(year: Year) -> None:
    """The exchange orders every share that waits, as one file for its bank."""
    try:
        order = year["exchange"].post("/v1/payment-orders")
    except ProblemError as nothing:
        if nothing.slug != "nothing-to-pay":
            raise
        return
    file = year["exchange"].get_bytes(f"/v1/payment-orders/{order['id']}/pain.001.xml")
    year.note("ordered", payments=order["payments"], fen=order["total_fen"], bytes=len(file))


def order_stages(year: Year) -> None:
    """The hospital orders what it owes for stages, as one file for its bank."""
    hospital = year["hospital"]
    if any(one["state"] == "owed" for one in items(hospital, "/v1/payables", LONG_PAGES)):
        order = hospital.post("/v1/payables/payment-orders", {"events": []})
        year.note("ordered_stages", payments=order["payments"], fen=order["total_fen"])


def confirm_orders(year: Year, *, party: str) -> None:
    """A party's bank tells that it has carried out what was ordered."""
    for order in list(items(year[party], "/v1/payment-orders", LONG_PAGES)):
        if order["state"] == "placed":
            year.statement += 1
            (taken,) = year[party].post("/v1/bank-statements", {"statement": _debit(year.statement, order)})
            assert taken["outcome"] == "paid_out", taken
            year.note("confirmed", party=party, fen=taken["amount_fen"])


def cancel_stages(year: Year) -> None:
    """The bank has not carried out what the hospital ordered for stages: the order is cancelled."""
    hospital = year["hospital"]
    for order in list(items(hospital, "/v1/payment-orders", LONG_PAGES)):
        if order["state"] == "placed":
            hospital.post(f"/v1/payment-orders/{order['id']}/cancellation", {"reason": "not_carried_out"})
            year.note("cancelled_order", fen=order["total_fen"])


def close_month(year: Year, period: str) -> None:
    """The platform operator signs the books of a month that is over."""
    operator, at = year["operator"], f"/v1/ledger/periods/{period}/closing"
    document = operator.get(at)
    jws = operator.signer.sign_detached(canonical(document), typ="period-close+jws")
    operator.post(at, {"document": document, "jws": jws})
    year.note("closed", period=period)


def credit_use(year: Year, *, product: str, buyer: str) -> None:
    """A failed use is taken back: a credit note for the latest line of a use that no payment order holds."""
    agreements, exchange = year.deal(product, buyer).line, year["exchange"]
    issued = sorted(items(exchange, "/v1/invoices", LONG_PAGES), key=lambda one: one["issued_at"], reverse=True)
    for invoice in [one for one in issued if one["kind"] == "invoice"]:
        for line in exchange.get(f"/v1/invoices/{invoice['id']}")["lines"]:
            if line["agreement_id"] in agreements and line["price_fen"] and line["kind"].startswith("use."):
                asked = {"positions": [line["position"]], "reason": "cause_cancelled"}
                note = exchange.post(f"/v1/invoices/{invoice['id']}/credit-notes", asked)
                year.note("credited", number=note["number"], fen=note["total_fen"])
                return
    raise AssertionError(f"no line of a use by {buyer} of {product} to credit")


def declare(year: Year, *, product: str, buyer: str, permille: int) -> None:
    """The verifier says what was measured."""
    agreement = year.agreement(product, buyer)
    found = year["institute"].post(f"/v1/agreements/{agreement}/outcome", {"value_permille": permille})
    year.note("declared", product=product, permille=permille, met=found["met"])


def dispute(year: Year, *, product: str, buyer: str, by: str) -> None:
    """A party disputes what was measured."""
    agreement = year.agreement(product, buyer)
    year[by].post(f"/v1/agreements/{agreement}/outcome/dispute", {"reason": "wrong_measurement"})
    year.note("disputed", product=product, by=by)


def _camt(number: int, invoices: Iterable[dict[str, Any]]) -> str:
    """A camt.053 statement of so many booked credits, one for each invoice."""
    entries = "".join(
        f"<Ntry><Amt Ccy='CNY'>{Decimal(one['total_fen'] - one['credited_fen']).scaleb(-2)}</Amt>"
        f"<CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><AcctSvcrRef>YEAR{number:04d}-{place}</AcctSvcrRef>"
        f"<NtryDtls><TxDtls><RmtInf><Ustrd>{escape(one['number'])}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
        for place, one in enumerate(invoices)
    )
    return _statement(entries)


def _debit(number: int, order: dict[str, Any]) -> str:
    """A statement of one booked debit over a whole payment order, by the order's id."""
    return _statement(
        f"<Ntry><Amt Ccy='CNY'>{Decimal(order['total_fen']).scaleb(-2)}</Amt><CdtDbtInd>DBIT</CdtDbtInd>"
        f"<Sts><Cd>BOOK</Cd></Sts><AcctSvcrRef>YEAR{number:04d}-out</AcctSvcrRef>"
        f"<NtryDtls><TxDtls><Refs><PmtInfId>{order['id'][:35]}</PmtInfId></Refs></TxDtls></NtryDtls></Ntry>"
    )


def _statement(entries: str) -> str:
    return f"<Document xmlns='{CAMT}'><BkToCstmrStmt><Stmt>{entries}</Stmt></BkToCstmrStmt></Document>"
