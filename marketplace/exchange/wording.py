"""A policy in words: every term of the profile with its limit, in Chinese and in English."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from marketplace.exchange.terms import PROFILE, PURPOSES
from marketplace.kernel.canonical import Json

_OPERATORS = {
    "eq": {"en": "{}", "zh": "{}"},
    "neq": {"en": "not {}", "zh": "非{}"},
    "isAnyOf": {"en": "{}", "zh": "{}"},
    "isNoneOf": {"en": "none of {}", "zh": "不含{}"},
    "lt": {"en": "less than {}", "zh": "少于 {}"},
    "lteq": {"en": "at most {}", "zh": "至多 {}"},
    "gt": {"en": "more than {}", "zh": "多于 {}"},
    "gteq": {"en": "at least {}", "zh": "至少 {}"},
}
_MOMENTS = {"lteq": {"en": "until {}", "zh": "截至 {}"}, "gteq": {"en": "from {}", "zh": "自 {}"}}
_DAYS = {"en": "{} days", "zh": "{} 日"}
_LISTED = {"en": ", ", "zh": "、"}
_BOTH = {"en": " and ", "zh": "且"}
_EITHER = {"en": " or ", "zh": "或"}
ENFORCEMENT_WORDS = {
    "enforced_here": {"en": "enforced here", "zh": "平台执行"},
    "attested_by_buyer": {"en": "attested by the buyer", "zh": "使用方声明履行"},
    "legal_only": {"en": "legal only", "zh": "仅具法律约束力"},
}
_RULES = (("permission", "actions"), ("prohibition", "prohibitions"))


@dataclass(frozen=True)
class TermWords:
    """One term in words.  pointer: where it stands (RFC 6901), as in the enforcement table; path: which rule and
    operand it is, the same in every policy that says it; name: what it is; limit: its value, empty where it has none.
    """

    pointer: str
    path: tuple[str, ...]
    name: str
    limit: str

    @property
    def sentence(self) -> str:
        """Name and limit in one."""
        return f"{self.name}: {self.limit}" if self.limit else self.name


def policy_in_words(uses: Json, language: str) -> list[TermWords]:
    """Every term of a checked policy in reading order, in `zh` or `en`."""
    return [term for name, table in _RULES for term in _rules(uses, name, table, language)]


def value_in_words(kind: str, value: Any, language: str) -> str:
    """A right operand or parameter of one of the profile's kinds of value in words."""
    if isinstance(value, list):
        return _LISTED[language].join(value_in_words(kind, one, language) for one in value)
    match kind:
        case "purpose":
            known: Json = PURPOSES["known"] | PURPOSES["denied_always"]
            return str(known[value][language]) if value in known else str(value)
        case "integer" | "decimal":
            return f"{int(value):,}"
        case "days":
            return _DAYS[language].format(value.strip("PD"))
        case _:
            return str(value)


def _rules(holder: Json, name: str, table: str, language: str) -> Iterator[TermWords]:
    for place, rule in enumerate(holder.get(name, [])):
        at, words = f"/{name}/{place}", PROFILE[table][rule["action"]][language]
        path = (name, str(rule["action"]))
        yield TermWords(f"{at}/action" if table == "actions" else at, path, words, "")
        yield from _constraints(rule, at, path, PROFILE["left_operands"], language)
        for number, duty in enumerate(rule.get("duty", [])):
            yield _duty(duty, f"{at}/duty/{number}", path, language)


def _duty(duty: Json, at: str, path: tuple[str, ...], language: str) -> TermWords:
    limits = [_limit(one, PROFILE["duty_operands"], language) for one in duty.get("constraint", [])]
    words = str(PROFILE["duties"][duty["action"]][language])
    return TermWords(at, (*path, "duty", str(duty["action"])), words, _BOTH[language].join(limits))


def _constraints(rule: Json, at: str, path: tuple[str, ...], table: Json, language: str) -> Iterator[TermWords]:
    for number, node in enumerate(rule.get("constraint", [])):
        here = f"{at}/constraint/{number}"
        if "leftOperand" in node:
            which = (*path, "constraint", str(node["leftOperand"]), str(node["operator"]))
            yield TermWords(here, which, table[node["leftOperand"]][language], _limit(node, table, language))
        else:
            words = _group(node, table, language)
            yield TermWords(here, (*path, "constraint", *sorted(node)), words, "")


def _group(node: Json, table: Json, language: str) -> str:
    if "leftOperand" in node:
        return f"{table[node['leftOperand']][language]}: {_limit(node, table, language)}"
    (kind, parts), *_ = node.items()
    joined = (_BOTH if kind == "and" else _EITHER)[language].join(_group(one, table, language) for one in parts)
    return f"({joined})" if language == "en" else f"（{joined}）"


def _limit(node: Json, table: Json, language: str) -> str:
    kind, operator = str(table[node["leftOperand"]]["value"]), str(node["operator"])
    phrases = _MOMENTS if kind == "moment" and operator in _MOMENTS else _OPERATORS
    return phrases[operator][language].format(value_in_words(kind, node["rightOperand"], language))
