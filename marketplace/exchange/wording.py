"""A policy in words: every term of the profile with its limit, in Chinese and in English."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from marketplace.exchange.terms import PROFILE, PURPOSES
from marketplace.exchange.terms.profile import group_operator
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
_WITHIN = {"en": "within {}", "zh": "{}内"}
_DUE = {"mkt:reportUse": {"en": "at least once in {}", "zh": "至少每 {}一次"}}
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
    operand it is, the same in every policy that says it; rule: the permission it belongs to, empty for a rule itself;
    name: what it is; limit: its value, empty where it has none.
    """

    pointer: str
    path: tuple[str, ...]
    rule: str
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
    """A right operand or parameter of one of the profile's kinds of value in words; a template's place as `{name}`."""
    if isinstance(value, list):
        return _LISTED[language].join(value_in_words(kind, one, language) for one in value)
    return "{" + str(*value.values()) + "}" if isinstance(value, dict) else _value(kind, value, language)


def _value(kind: str, value: Any, language: str) -> str:
    match kind:
        case "purpose":
            known: Json = PURPOSES["known"] | PURPOSES["denied_always"]
            return str(known[value][language]) if value in known else str(value)
        case "year":
            return str(value)
        case "integer" | "decimal":
            return f"{int(value):,}"
        case "days":
            return _DAYS[language].format(value.strip("PD"))
        case _ if kind in PROFILE["values"]:
            return str(PROFILE["values"][kind][value][language])
        case _:
            return str(value)


def _rules(holder: Json, name: str, table: str, language: str) -> Iterator[TermWords]:
    for place, rule in enumerate(holder.get(name, [])):
        at, path, words = f"/{name}/{place}", (name, str(rule["action"])), PROFILE[table][rule["action"]][language]
        yield TermWords(f"{at}/action" if table == "actions" else at, path, "", words, "")
        for number, node in enumerate(rule.get("constraint", [])):
            which, said, limit = _constraint(node, language)
            yield TermWords(f"{at}/constraint/{number}", (*path, "constraint", *which), words, said, limit)
        for number, duty in enumerate(rule.get("duty", [])):
            limits = [_due(duty["action"], one, language) for one in duty.get("constraint", [])]
            said = PROFILE["duties"][duty["action"]][language]
            which = ("duty", str(duty["action"]))
            yield TermWords(f"{at}/duty/{number}", (*path, *which), words, said, _BOTH[language].join(limits))


def limit_of_duty(node: Json, language: str) -> str:
    """One comparison of a duty on what leaves: its name and its limit."""
    return _group(node, PROFILE["duty_operands"], language)


def _due(duty: str, node: Json, language: str) -> str:
    if node["leftOperand"] != "elapsedTime":
        return limit_of_duty(node, language)
    value = value_in_words(PROFILE["duty_operands"][node["leftOperand"]]["value"], node["rightOperand"], language)
    return _DUE.get(duty, _WITHIN)[language].format(value)


def _constraint(node: Json, language: str) -> tuple[tuple[str, ...], str, str]:
    """What it is called in a path, its name in words, its limit."""
    operands = PROFILE["left_operands"]
    if group_operator(node):
        return tuple(node), _group(node, operands, language), ""
    which = (str(node["leftOperand"]), str(node["operator"]))
    return which, operands[node["leftOperand"]][language], _limit(node, operands, language)


def _group(node: Json, table: Json, language: str) -> str:
    if not group_operator(node):
        return f"{table[node['leftOperand']][language]}: {_limit(node, table, language)}"
    (kind, parts), *_ = node.items()
    joined = (_BOTH if kind == "and" else _EITHER)[language].join(_group(one, table, language) for one in parts)
    return f"({joined})" if language == "en" else f"（{joined}）"


def _limit(node: Json, table: Json, language: str) -> str:
    kind, operator = str(table[node["leftOperand"]]["value"]), str(node["operator"])
    phrases = _MOMENTS if kind == "moment" and operator in _MOMENTS else _OPERATORS
    return phrases[operator][language].format(value_in_words(kind, node["rightOperand"], language))
