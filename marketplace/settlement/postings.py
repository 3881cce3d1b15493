"""The posting rules of payments, `contracts/accounts/settlement-rules-v1.json`, and drafts made by them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from marketplace.ledger.accounts import FOLDER, chart
from marketplace.ledger.rules import Dimensions, Draft, Line, merged
from marketplace.settlement.models import InvoiceLine

Party = Literal["buyer", "provider", "venue", "beneficiary", "payer", "payee"]


class PaymentLine(BaseModel):
    """One debit and its equal credit in one party's sub-ledger."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: Party
    debit: str
    credit: str
    amount: Literal["amount", "to_provider", "exchange_fee"]


class PaymentRule(BaseModel):
    """How one kind of payment enters the books."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    lines: tuple[PaymentLine, ...]


@cache
def payment_rules() -> dict[str, PaymentRule]:
    """Every rule by its kind.  Raises NoSuchAccount when one names an account that the chart lacks."""
    import json

    data = json.loads((FOLDER / "settlement-rules-v1.json").read_bytes())
    rules = [PaymentRule.model_validate(one) for one in data["rules"]]
    for rule in rules:
        for line in rule.lines:
            chart().account(line.debit)
            chart().account(line.credit)
    return {rule.kind: rule for rule in rules}


def payment_key(line: InvoiceLine, what: str) -> str:
    """The key under which a payment about a line enters the books."""
    return f"settlement:{line.id}:{what}"


def payment(
    kind: str,
    key: str,
    parties: Mapping[Party, str],
    amounts: Mapping[str, int],
    *,
    entry: str,
    at: datetime,
    about: Dimensions,
) -> Draft:
    """The draft of a payment by its rule; parts of zero leave no postings.

    key: names the cause, the books take it once; entry: log entry of the cause; amounts: fen.
    """
    lines: list[Line] = []
    for row in payment_rules()[kind].lines:
        amount = amounts[row.amount]
        if amount:
            owner = parties[row.owner]
            lines += [Line(row.debit, owner, amount, "CNY"), Line(row.credit, owner, -amount, "CNY")]
    return Draft(key, kind, at, kind, entry, merged(lines), dims=about)
