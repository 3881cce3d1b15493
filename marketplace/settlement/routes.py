"""Invoices, payments and shares over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Response
from sqlmodel import Session

from marketplace.audit import documents
from marketplace.negotiation.queries import own_agreement
from marketplace.plumbing.paging import MOST, Cursor, Limit
from marketplace.plumbing.web import PublicView, Verb, View, router
from marketplace.settlement import billing, choosing, crediting, paying, queries, results
from marketplace.settlement.bank import cancelling, orders, statements
from marketplace.settlement.bank.queries import order, orders_of, own_order, refunds_of, states_of
from marketplace.settlement.bank.schemas import (
    CancellationIn,
    CreditOutcomeOut,
    PaymentOrderOut,
    PaymentOrderPage,
    ResolutionIn,
    StatementIn,
)
from marketplace.settlement.document import invoice_pdf
from marketplace.settlement.models import Invoice, PaymentOrder
from marketplace.settlement.payables import service as payables
from marketplace.settlement.payables.queries import payables_of
from marketplace.settlement.schemas import (
    BankAccountIn,
    BankAccountOut,
    CreditIn,
    DisputeIn,
    InvoiceDetail,
    InvoiceIn,
    InvoiceLineOut,
    InvoiceOut,
    InvoicePage,
    IssuedOut,
    MeasuredIn,
    OutcomeOut,
    PaidByHandIn,
    PayableOut,
    PayablePage,
    PayablesIn,
    PaymentIn,
    RefundOut,
    RefundPage,
    SchemeChoiceIn,
    SchemeChoiceOut,
    SchemeOut,
    ShareOut,
    SharePage,
)
from marketplace.settlement.waterfall import schemes

routes = router("settlement")


@routes.post("/invoices", status_code=201, operation_id="issue_invoice")
def issue_invoice(verb: Verb, asked: InvoiceIn) -> IssuedOut:
    """The exchange bills a buyer for everything charged and on no invoice yet; billing again issues nothing."""
    found = billing.issue(verb.db, verb.actor, verb.actor.participant, asked.buyer, verb.now, month=asked.month)
    return IssuedOut(invoice=InvoiceOut.model_validate(found) if found else None)


@routes.get("/invoices", operation_id="list_invoices")
def list_invoices(view: View, cursor: Cursor = None, limit: Limit = MOST) -> InvoicePage:
    """A page of the caller's invoices as buyer and as exchange, the latest first; of all for auditors."""
    found = queries.invoices_of(view.db, view.actor, cursor=cursor, limit=limit)
    return InvoicePage(items=[_invoice(one) for one in found.rows], next=found.next)


@routes.get("/invoices/{invoice_id}", operation_id="get_invoice")
def get_invoice(view: View, invoice_id: str) -> InvoiceDetail:
    """One invoice with its lines, each with the log entries that prove it."""
    found = queries.readable_invoice(view.db, view.actor, invoice_id)
    credited = found.kind == "credit_note"
    lines = queries.credited_lines(view.db, found.id) if credited else queries.lines(view.db, found.id)
    return InvoiceDetail(**found.model_dump(), lines=[InvoiceLineOut.model_validate(one) for one in lines])


@routes.get("/invoices/{invoice_id}/invoice.pdf", operation_id="get_invoice_pdf", response_class=Response)
def get_invoice_pdf(view: View, invoice_id: str) -> Response:
    """The invoice as PDF in both languages, from its document; the same bytes every time."""
    found = queries.readable_invoice(view.db, view.actor, invoice_id)
    pdf = invoice_pdf(documents.content(view.db, found.document), found.document)
    headers = {"Content-Disposition": f'attachment; filename="{found.number}.pdf"'}
    return Response(pdf, media_type="application/pdf", headers=headers)


@routes.post("/invoices/{invoice_id}/payment", operation_id="pay_invoice")
def pay_invoice(verb: Verb, invoice_id: str, asked: PaymentIn) -> InvoiceOut:
    """The exchange says what was paid, whole or a part; when all is paid, the lines are settled into shares."""
    found = queries.issued_invoice(verb.db, verb.actor, invoice_id)
    return _invoice(
        paying.pay(verb.db, verb.actor, found, paying.name_of_reference(asked.reference), asked.amount_fen, verb.now)
    )


@routes.post("/invoices/{invoice_id}/credit-notes", status_code=201, operation_id="credit_invoice")
def credit_invoice(verb: Verb, invoice_id: str, asked: CreditIn) -> InvoiceOut:
    """The exchange takes lines of an invoice back; what was paid for them is owed back."""
    found = queries.issued_invoice(verb.db, verb.actor, invoice_id)
    return _invoice(crediting.credit(verb.db, verb.actor, found, set(asked.positions), asked.reason, verb.now))


@routes.get("/shares", operation_id="list_shares")
def list_shares(view: View, cursor: Cursor = None, limit: Limit = MOST) -> SharePage:
    """A page of what the caller's sales were divided into, and of what the caller gets of others' sales."""
    found = queries.shares_of(view.db, view.actor, cursor=cursor, limit=limit)
    return SharePage(items=[ShareOut.model_validate(one) for one in found.rows], next=found.next)


@routes.get("/settlement/schemes", operation_id="list_settlement_schemes")
def list_settlement_schemes(view: PublicView) -> list[SchemeOut]:
    """Every published scheme by which sales are divided."""
    assert view.db is not None
    return [SchemeOut.model_validate(one.model_dump()) for one in schemes().values()]


@routes.post("/settlement/scheme", operation_id="choose_settlement_scheme")
def choose_settlement_scheme(verb: Verb, asked: SchemeChoiceIn) -> SchemeChoiceOut:
    """A provider chooses how its sales are divided from now on."""
    return SchemeChoiceOut.model_validate(choosing.choose_scheme(verb.db, verb.actor, asked, verb.now))


@routes.post("/bank-accounts", operation_id="set_bank_account")
def set_bank_account(verb: Verb, asked: BankAccountIn) -> BankAccountOut:
    """Say where the caller, or a part of it, is paid."""
    return BankAccountOut.model_validate(choosing.set_account(verb.db, verb.actor, asked, verb.now))


@routes.post("/payment-orders", status_code=201, operation_id="order_payments")
def order_payments(verb: Verb) -> PaymentOrderOut:
    """The exchange orders every share and refund that waits: one file for its bank, each once."""
    return _orders(verb.db, [orders.order_payments(verb.db, verb.actor, verb.now)])[0]


@routes.get("/payment-orders", operation_id="list_payment_orders")
def list_payment_orders(view: View, cursor: Cursor = None, limit: Limit = MOST) -> PaymentOrderPage:
    """A page of the caller's payment orders, the latest first; of all for auditors."""
    found = orders_of(view.db, view.actor, cursor=cursor, limit=limit)
    return PaymentOrderPage(items=_orders(view.db, found.rows), next=found.next)


@routes.get("/payment-orders/{order_id}/pain.001.xml", operation_id="get_payment_file", response_class=Response)
def get_payment_file(view: View, order_id: str) -> Response:
    """The ISO 20022 file for the bank, pain.001.001.09."""
    found = order(view.db, view.actor, order_id)
    headers = {"Content-Disposition": f'attachment; filename="{found.id}.xml"'}
    return Response(found.message, media_type="application/xml", headers=headers)


@routes.post("/payment-orders/{order_id}/cancellation", operation_id="cancel_payment_order")
def cancel_payment_order(verb: Verb, order_id: str, asked: CancellationIn) -> PaymentOrderOut:
    """Cancel what the bank has not carried out of a payment order of the caller's: it is owed as before."""
    found = own_order(verb.db, verb.actor, order_id)
    return _orders(verb.db, [cancelling.cancel(verb.db, verb.actor, found, asked.reason, verb.now)])[0]


@routes.post("/payment-orders/{order_id}/resolution", operation_id="resolve_payment_order")
def resolve_payment_order(verb: Verb, order_id: str, asked: ResolutionIn) -> PaymentOrderOut:
    """Say what became of a cancelled payment order that the bank carried out after all."""
    found = own_order(verb.db, verb.actor, order_id)
    return _orders(verb.db, [cancelling.resolve(verb.db, verb.actor, found, asked.decision, verb.now)])[0]


@routes.get("/payables", operation_id="list_payables")
def list_payables(view: View, cursor: Cursor = None, limit: Limit = MOST) -> PayablePage:
    """A page of what the caller owes for stages as provider, or is owed as who did the work, by time; of all for
    auditors."""
    found = payables_of(view.db, view.actor, cursor=cursor, limit=limit)
    return PayablePage(items=[PayableOut.model_validate(one) for one in found.rows], next=found.next)


@routes.post("/payables/payment-orders", status_code=201, operation_id="order_payables")
def order_payables(verb: Verb, asked: PayablesIn) -> PaymentOrderOut:
    """A provider orders what it owes for stages: one file for its bank, one transfer to each payee, each cost once."""
    return _orders(verb.db, [payables.order_payables(verb.db, verb.actor, asked.events, verb.now)])[0]


@routes.post("/payables/{event_id}/payment", operation_id="pay_payable")
def pay_payable(verb: Verb, event_id: str, asked: PaidByHandIn) -> PayableOut:
    """A provider says that it paid what it owes for a stage, in another way than by an order of here."""
    paid = payables.pay_by_hand(verb.db, verb.actor, event_id, asked.reference, verb.now, part=asked.part)
    return PayableOut.model_validate(paid)


@routes.post("/bank-statements", operation_id="take_bank_statement")
def take_bank_statement(verb: Verb, asked: StatementIn) -> list[CreditOutcomeOut]:
    """Hand in the bank's statement, camt.053: credits pay an exchange's invoices, debits confirm its transfers and a
    provider's, what comes back is owed again; each once."""
    taken = statements.take_statement(verb.db, verb.actor, asked.statement, verb.now)
    return [CreditOutcomeOut.model_validate(one) for one in taken]


@routes.get("/refunds", operation_id="list_refunds")
def list_refunds(view: View, cursor: Cursor = None, limit: Limit = MOST) -> RefundPage:
    """A page of what the caller owes back as exchange or gets back as buyer, the latest first; of all for auditors."""
    found = refunds_of(view.db, view.actor, cursor=cursor, limit=limit)
    return RefundPage(items=[RefundOut.model_validate(one) for one in found.rows], next=found.next)


@routes.get("/agreements/{agreement_id}/outcomes", operation_id="list_outcomes")
def list_outcomes(view: View, agreement_id: str) -> list[OutcomeOut]:
    """What the verifier of a pay-for-results agreement found, or nothing yet; for parties, verifier and auditors."""
    agreement = results.readable_agreement(view.db, view.actor, agreement_id)
    found = results.outcome(view.db, agreement.id)
    return [OutcomeOut.model_validate(found)] if found else []


@routes.post("/agreements/{agreement_id}/outcome", status_code=201, operation_id="declare_outcome")
def declare_outcome(verb: Verb, agreement_id: str, asked: MeasuredIn) -> OutcomeOut:
    """The agreed verifier says what was measured after the window."""
    agreement = results.readable_agreement(verb.db, verb.actor, agreement_id)
    return OutcomeOut.model_validate(results.declare(verb.db, verb.actor, agreement, asked.value_permille, verb.now))


@routes.post("/agreements/{agreement_id}/outcome/dispute", operation_id="dispute_outcome")
def dispute_outcome(verb: Verb, agreement_id: str, asked: DisputeIn) -> OutcomeOut:
    """A party disputes what was declared, once and within 14 days."""
    agreement = own_agreement(verb.db, verb.actor, agreement_id)
    return OutcomeOut.model_validate(results.dispute(verb.db, verb.actor, agreement, asked.reason, verb.now))


def _orders(db: Session, found: Sequence[PaymentOrder]) -> list[PaymentOrderOut]:
    states = states_of(db, found)
    return [PaymentOrderOut.model_validate(one.model_dump() | {"state": states[one.id]}) for one in found]


def _invoice(found: Invoice) -> InvoiceOut:
    return InvoiceOut.model_validate(found)
