"""A usage policy in plain words: every term with its value and with who makes sure of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace.console import codes, formats
from marketplace.console.words import Language
from marketplace.exchange import terms
from marketplace.exchange.terms import PROFILE, PURPOSES
from marketplace.exchange.wording import limit_of_duty
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import parse_timestamp

_TABLES = {"action": "actions", "constraint": "left_operands", "duty": "duties", "prohibition": "prohibitions"}
_AT_MOST = {"en": "at most {}", "zh": "至多 {}"}
_AT_LEAST = {"en": "at least {}", "zh": "至少 {}"}
_WITHIN = {"en": "within {} days", "zh": "{} 日内"}
_UNTIL = {"lteq": {"en": "until {}", "zh": "截至 {}"}, "gteq": {"en": "from {}", "zh": "自 {}"}}


def term_rows(uses: Json, language: Language, name_of: Callable[[str], str]) -> list[dict[str, str]]:
    """Every term of a checked policy: its words, its value in words (may be empty), how it is held.

    name_of: the name of a participant, by id.
    """
    rows = []
    for term in terms.enforcement(uses):
        parts = term.pointer.strip("/").split("/")
        table = _TABLES[next(part for part in reversed(parts) if part in _TABLES)]
        rows.append(
            {
                "term": PROFILE[table][term.term][language],
                "value": _value(_at(uses, parts), language, name_of),
                "kind": codes.name(codes.ENFORCEMENT, term.kind.value, language),
                "slug": term.kind.value.replace("_", "-"),
            }
        )
    return rows


def purposes(uses: Json, language: Language) -> list[str]:
    """The permitted purposes in plain words, in the order of the closed list."""
    permitted = terms.permitted_purposes(uses)
    return [words[language] for code, words in PURPOSES["known"].items() if code in permitted]


def prohibitions(uses: Json, language: Language) -> list[str]:
    """What is forbidden in plain words."""
    return [PROFILE["prohibitions"][rule["action"]][language] for rule in uses.get("prohibition", [])]


def purpose(code: str, language: Language) -> str:
    """A purpose in plain words, known or always denied; another one, as only a refused use can name, as it is."""
    known: Json = PURPOSES["known"] | PURPOSES["denied_always"]
    return str(known[code][language]) if code in known else code


def _at(uses: Json, parts: Sequence[str]) -> Any:
    found: Any = uses
    for part in parts:
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found


def _value(node: Any, language: Language, name_of: Callable[[str], str]) -> str:
    if not isinstance(node, dict):
        return ""
    if "leftOperand" in node:
        return _constraint(node, language, name_of)
    limits = [_constraint(one, language, name_of) for one in node.get("constraint", [])]
    return (", " if language == "en" else "，").join(limits)


def _constraint(node: Json, language: Language, name_of: Callable[[str], str]) -> str:
    operand, value = node["leftOperand"], node["rightOperand"]
    limit = (_AT_LEAST if node["operator"] == "gteq" else _AT_MOST)[language]
    match operand:
        case "mkt:volumeBytes":
            return limit.format(formats.volume(int(value)))
        case "dateTime":
            return _UNTIL[node["operator"]][language].format(formats.plain_day(parse_timestamp(value), language))
        case "elapsedTime":
            return _WITHIN[language].format(value.strip("PD"))
        case "count" | "mkt:minimumGroupSize":
            return limit.format(f"{value:,}")
        case _ if operand not in PROFILE["left_operands"]:
            return limit_of_duty(node, language)
        case _:
            named = _names(PROFILE["left_operands"][operand]["value"], language, name_of)
            words = [named(one) for one in ([value] if isinstance(value, str) else value)]
            return (", " if language == "en" else "、").join(words)


def _names(kind: str, language: Language, name_of: Callable[[str], str]) -> Callable[[str], str]:
    match kind:
        case "purpose":
            return lambda code: purpose(code, language)
        case "participant":
            return name_of
        case "place":
            return str
        case _:
            return lambda code: str(PROFILE["values"][kind][code][language])
