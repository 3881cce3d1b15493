"""What may enter the books, as pure functions over values: no session, no clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from marketplace.kernel.errors import Conflict, Invalid
from marketplace.ledger.accounts import PostingRule, chart


class Unbalanced(Invalid):
    """The postings of a sub-ledger do not sum to zero."""


class PartyMissing(Invalid):
    """The event does not name a party that its posting rule needs."""


class ReversalIsFinal(Conflict):
    """A reversal is not reversed."""


class ReversalReason(StrEnum):
    """Why a transaction is taken back; codes, because entries hold no free text."""

    WRONG_RATE = "wrong_rate"
    TARIFF_CHANGED = "tariff_changed"
    CAUSE_CANCELLED = "cause_cancelled"
    METERED_TWICE = "metered_twice"


@dataclass(frozen=True)
class Dimensions:
    """What an amount is about; None where it does not apply.  stage: a passport stage."""

    asset: str | None = None
    version: str | None = None
    stage: str | None = None
    agreement: str | None = None

    def columns(self) -> dict[str, str | None]:
        return {"asset": self.asset, "version": self.version, "stage": self.stage, "agreement": self.agreement}


@dataclass(frozen=True)
class Line:
    """A posting that is not yet in the books.  amount_minor: debit positive, credit negative, never zero."""

    account: str
    owner: str
    amount_minor: int
    currency: str

    def columns(self) -> dict[str, str | int]:
        return {
            "account": self.account,
            "owner": self.owner,
            "currency": self.currency,
            "amount_minor": self.amount_minor,
        }


@dataclass(frozen=True)
class Draft:
    """A transaction that is not yet in the books.

    event_key: names the cause, the books take each key once; at: when it happened; entry_id: log entry of the cause.
    quantity, unit_price_minor, tariff: how the amount came about, so that it can be rated again.
    reverses: id of the transaction that this one takes back.
    """

    event_key: str
    kind: str
    at: datetime
    memo: str
    entry_id: str
    lines: tuple[Line, ...]
    quantity: int = 0
    unit_price_minor: int | None = None
    tariff: str | None = None
    meter_event: str | None = None
    reverses: str | None = None
    dims: Dimensions = field(default_factory=Dimensions)


def postings_for(
    rule: PostingRule, parties: Mapping[str, str | None], amounts: Mapping[str, int], currency: str = "CNY"
) -> tuple[Line, ...]:
    """The postings of an event by its rule: per line a debit and the equal credit in that party's sub-ledger.

    parties: `payer`, `payee`, `venue` -> participant id or None; amounts: parts of the split in minor units.
    Parts of zero and lines of an absent party leave no postings.  Raises PartyMissing.
    """
    missing = [name for name in rule.needs if not parties.get(name)]
    if missing:
        raise PartyMissing(
            f"{rule.kind} cannot be posted without {' and '.join(missing)}", expected=", ".join(rule.needs)
        )
    lines: list[Line] = []
    for row in rule.lines:
        owner, amount = parties.get(row.owner), amounts[row.amount]
        if owner and amount:
            lines += [Line(row.debit, owner, amount, currency), Line(row.credit, owner, -amount, currency)]
    return merged(lines)


def merged(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Lines of the same account and owner on the same side added up, in order of first appearance."""
    sums: dict[tuple[str, str, str, bool], int] = defaultdict(int)
    for line in lines:
        sums[line.account, line.owner, line.currency, line.amount_minor > 0] += line.amount_minor
    return tuple(Line(account, owner, total, currency) for (account, owner, currency, _), total in sums.items())


def imbalances(lines: Sequence[Line]) -> dict[tuple[str, str], int]:
    """(owner, currency) -> sum, for the sub-ledgers whose postings do not sum to zero."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for line in lines:
        sums[line.owner, line.currency] += line.amount_minor
    return {key: total for key, total in sums.items() if total}


def balanced(lines: Sequence[Line]) -> bool:
    """Whether every party's own postings sum to zero in every currency, and with them the whole."""
    return not imbalances(lines)


def check(draft: Draft) -> None:
    """Judge a draft.  Raises Unbalanced, or NoSuchAccount for an account that the chart lacks."""
    for line in draft.lines:
        chart().account(line.account)
    wrong = imbalances(draft.lines)
    if wrong:
        raise Unbalanced(
            f"transaction {draft.event_key} does not balance",
            expected="0 per participant and currency",
            got="; ".join(f"{owner} {currency} {total}" for (owner, currency), total in sorted(wrong.items())),
            action="send a debit for every credit",
        )


def reversal(original: Draft, transaction_id: str, reason: ReversalReason) -> Draft:
    """The draft that takes a transaction back: every amount and the quantity with the other sign, same dimensions."""
    return replace(
        original,
        event_key=reversal_key(transaction_id),
        memo=f"reversal of {transaction_id}: {reason}",
        quantity=-original.quantity,
        reverses=transaction_id,
        lines=tuple(replace(line, amount_minor=-line.amount_minor) for line in original.lines),
    )


def reversal_key(transaction_id: str) -> str:
    """The key that lets a transaction be taken back only once."""
    return f"reversal:{transaction_id}"
