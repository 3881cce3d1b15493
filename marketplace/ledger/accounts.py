"""The chart of accounts and the posting rules, read from `contracts/accounts/` and refused when inconsistent."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from marketplace.kernel.errors import Invalid

FOLDER = Path(__file__).resolve().parents[2] / "contracts" / "accounts"

Party = Literal["payer", "payee", "venue"]
Sheet = Literal["cost", "revenue", "selling_cost", "output_tax"]


class NoSuchAccount(Invalid):
    """The chart has no such account."""


class NoPostingRule(Invalid):
    """No posting rule for this kind of event."""


class Account(BaseModel):
    """One account of every sub-ledger.

    code: stable name; kind: decides the statement it belongs to and, in exports, its root.
    sheet: the line of an asset's cost sheet that its postings feed, None for no line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern=r"^[a-z]+(:[a-z]+(-[a-z]+)*)?$")
    kind: Literal["asset", "liability", "income", "expense"]
    name: str
    name_zh: str
    sheet: Sheet | None
    note: str


class Chart(BaseModel):
    """A version of the chart of accounts; a published version is never edited, a new one adds to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    title_zh: str
    sign: Literal["debit positive, credit negative"]
    accounts: tuple[Account, ...]

    @model_validator(mode="after")
    def _codes_are_unique(self) -> Self:
        codes = [one.code for one in self.accounts]
        if len(set(codes)) != len(codes):
            raise ValueError("an account code appears twice")
        return self

    def account(self, code: str) -> Account:
        """One account.  Raises NoSuchAccount."""
        for one in self.accounts:
            if one.code == code:
                return one
        raise NoSuchAccount("no such account in the chart", expected=f"a code of {self.id}", got=code)

    def feeding(self, sheet: Sheet) -> frozenset[str]:
        """Codes of the accounts that feed a line of the cost sheet."""
        return frozenset(one.code for one in self.accounts if one.sheet == sheet)


class RuleLine(BaseModel):
    """One debit and its equal credit in one party's sub-ledger.  amount: name of a part of the split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: Party
    debit: str
    credit: str
    amount: Literal["price", "net", "vat", "surcharge", "exchange_fee"]


class PostingRule(BaseModel):
    """How a kind of event enters the books.

    stage: passport stage whose cost it is, None when it is no stage cost; split: `whole` knows only `price`, `sale`
    knows every part; needs: parties without which it cannot be posted; lines of an absent party are left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    stage: str | None
    split: Literal["whole", "sale"]
    needs: tuple[Party, ...]
    lines: tuple[RuleLine, ...]

    @model_validator(mode="after")
    def _whole_knows_only_the_price(self) -> Self:
        if self.split == "whole" and {line.amount for line in self.lines} != {"price"}:
            raise ValueError(f"{self.kind}: a whole amount has no parts")
        return self


class PostingRules(BaseModel):
    """A version of the posting rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    chart: str
    rules: tuple[PostingRule, ...]

    def rule(self, kind: str) -> PostingRule:
        """The rule of a kind of event.  Raises NoPostingRule."""
        for one in self.rules:
            if one.kind == kind:
                return one
        raise NoPostingRule(
            "this kind of event has no posting rule",
            expected=", ".join(sorted(one.kind for one in self.rules)),
            got=kind,
            action=f"add the kind to a new version of {self.id}",
        )

    def stage_kinds(self) -> frozenset[str]:
        """Kinds that are the cost of a passport stage."""
        return frozenset(one.kind for one in self.rules if one.stage is not None)


@cache
def chart() -> Chart:
    """The chart in force."""
    return Chart.model_validate_json((FOLDER / "chart-v1.json").read_bytes())


@cache
def posting_rules() -> PostingRules:
    """The posting rules in force.  Raises NoSuchAccount when a rule names an account that the chart lacks."""
    rules = PostingRules.model_validate_json((FOLDER / "posting-rules-v1.json").read_bytes())
    for rule in rules.rules:
        for line in rule.lines:
            chart().account(line.debit)
            chart().account(line.credit)
    return rules
