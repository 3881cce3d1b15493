"""What differs between two versions of a contract, a template or an offer, in words a person can agree to."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from marketplace.exchange.models import Offer
from marketplace.exchange.pricing import describe
from marketplace.exchange.templates import LANGUAGES, Template, template
from marketplace.exchange.terms import CONTRACTS
from marketplace.exchange.wording import policy_in_words, value_in_words
from marketplace.kernel.canonical import Json
from marketplace.negotiation.clauses import DELIVERY, fill_known

WORDS: Json = json.loads((CONTRACTS / "terms" / "words.json").read_text("utf-8"))
_FACTS = {
    "template": {"en": "template", "zh": "模板"},
    "provider": {"en": "provider", "zh": "数据提供方"},
    "buyer": {"en": "buyer", "zh": "数据使用方"},
    "asset": {"en": "asset", "zh": "数据资产"},
    "version": {"en": "version", "zh": "版本"},
    "certificate": {"en": "certificate", "zh": "证书"},
    "opinion": {"en": "opinion", "zh": "意见书"},
    "price": {"en": "price", "zh": "价款"},
    "delivery": {"en": "delivery", "zh": "交付方式"},
    "term": {"en": "term", "zh": "期限"},
    "purpose": {"en": "purpose", "zh": "用途"},
    "start": {"en": "start", "zh": "起始"},
}
_ADDED = {"en": "added: {}", "zh": "新增：{}"}
_REMOVED = {"en": "removed: {}", "zh": "删去：{}"}
_CHANGED = "{} → {}"
_CLAUSE = {"en": "clause {} “{}”", "zh": "第 {} 条“{}”"}
_QUOTED = "“{}”"
_NOTHING = "–"
_BETWEEN = {"en": "; ", "zh": "；"}
# A Latin word or number, or one other character: what a change of a sentence is told in.
_WORD = re.compile(r"[A-Za-z0-9_.:'’-]+\s*|.\s*", re.DOTALL)
# With less than this in common a sentence is told whole.
_ALIKE = 0.6


class Part(StrEnum):
    """Where a difference lies."""

    FACT = "fact"
    PARAMETER = "parameter"
    TERM = "term"
    CLAUSE = "clause"


class Change(StrEnum):
    """What happened between the two versions."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class Difference:
    """One difference.  at: name of the fact or parameter, path of the term, id of the clause; zh, en: in words."""

    part: Part
    change: Change
    at: str
    zh: str
    en: str


@dataclass(frozen=True)
class Paper:
    """What is compared.  facts: name -> language -> words; clauses: language -> [{id, title, text}]."""

    facts: Mapping[str, Mapping[str, str]]
    parameters: Json
    uses: Json
    clauses: Mapping[str, list[Json]]


def paper_of_agreement(document: Json) -> Paper:
    """An agreement document as it was signed or is to be signed."""
    parties, asset = document["parties"], document["asset"]
    facts = {
        "template": _same(document["template"]),
        "provider": {"zh": parties["provider"]["legal_name"], "en": parties["provider"]["legal_name_en"]},
        "buyer": {"zh": parties["buyer"]["legal_name"], "en": parties["buyer"]["legal_name_en"]},
        "asset": {"zh": asset["name"], "en": asset["name_en"]},
        "version": _same(f"{asset['version_number']} ({asset['version_root']})"),
        "certificate": _same(document["certificate"]["code"]),
        "opinion": _same(document["opinion"]["number"]),
        "term": _same(f"{document['starts_at']} – {document['ends_at']}"),
        **_deal(document["price_plan"], document["delivery_mode"]),
    }
    clauses = {language: document["text"][language]["clauses"] for language in LANGUAGES}
    return Paper(facts, document["parameters"], document["uses"], clauses)


def paper_of_offer(offer: Offer) -> Paper:
    """An offer: its parameters stand in the clauses, what only an agreement knows stays a place."""
    chosen = template(offer.template)
    days = {"zh": f"{offer.term_days} 日", "en": f"{offer.term_days} days"}
    facts = {"template": _same(offer.template), "term": days, **_deal(offer.price_plan, offer.delivery_mode)}
    known = {name: str(value) for name, value in offer.parameters.items() if not isinstance(value, list)}
    clauses = {
        language: [one | {"text": fill_known(one["text"], known)} for one in chosen.clauses[language]["clauses"]]
        for language in LANGUAGES
    }
    return Paper(facts, offer.parameters, offer.uses, clauses)


def paper_of_template(chosen: Template) -> Paper:
    """A template as it is written: the purposes it may be filled with; terms and clauses with their places."""
    clauses = {language: chosen.clauses[language]["clauses"] for language in LANGUAGES}
    purposes = chosen.schema["properties"]["purposes"]["items"]["enum"]
    return Paper({"template": _same(chosen.name)}, {"purposes": purposes}, chosen.every_term, clauses)


def differences(old: Paper, new: Paper) -> list[Difference]:
    """Everything that differs, in the order facts, parameters, terms, clauses; empty when nothing does.

    A changed value is told as `at most 10 uses → at most 25 uses`, a changed clause by what was put for what.
    """
    return [*_facts(old, new), *_parameters(old, new), *_terms(old, new), *_clauses(old, new)]


def _facts(old: Paper, new: Paper) -> Iterator[Difference]:
    for name in dict.fromkeys([*old.facts, *new.facts]):
        before, after = old.facts.get(name), new.facts.get(name)
        if before != after:
            words = {
                language: f"{_FACTS[name][language]}: " + _told(_in(before, language), _in(after, language), language)
                for language in LANGUAGES
            }
            yield _difference(Part.FACT, name, before, after, words)


def _parameters(old: Paper, new: Paper) -> Iterator[Difference]:
    for name in dict.fromkeys([*old.parameters, *new.parameters]):
        before, after = old.parameters.get(name), new.parameters.get(name)
        if before != after:
            words = {language: _parameter(name, before, after, language) for language in LANGUAGES}
            yield _difference(Part.PARAMETER, name, before, after, words)


def _parameter(name: str, before: Any, after: Any, language: str) -> str:
    def say(value: Any) -> str | None:
        if value is None:
            return None
        return str(WORDS[name][language]).format(value_in_words(WORDS[name]["kind"], value, language))

    if not (isinstance(before, list) and isinstance(after, list)):
        return _told(say(before), say(after), language)
    lost, won = ([one for one in these if one not in those] for these, those in ((before, after), (after, before)))
    parts = [
        phrase[language].format(value_in_words(WORDS[name]["kind"], values, language))
        for phrase, values in ((_REMOVED, lost), (_ADDED, won))
        if values
    ]
    # The same values in another order.
    said = _BETWEEN[language].join(parts) or _told(say(before), say(after), language)
    return str(WORDS[name][language]).format(said) if parts else said


def _terms(old: Paper, new: Paper) -> Iterator[Difference]:
    before, after = ({language: _by_path(one.uses, language) for language in LANGUAGES} for one in (old, new))
    for path in dict.fromkeys([*before["en"], *after["en"]]):
        said = {language: (before[language].get(path), after[language].get(path)) for language in LANGUAGES}
        if any(was != now for was, now in said.values()):
            words = {language: _told(*said[language], language) for language in LANGUAGES}
            yield _difference(Part.TERM, path, *said["en"], words)


def _by_path(uses: Json, language: str) -> dict[str, str]:
    """Path of a term -> its sentence; the second of the same kind in a rule has its number behind."""
    met: Counter[str] = Counter()
    found = {}
    for term in policy_in_words(uses, language):
        path = "/".join(term.path)
        met[path] += 1
        said = f"{term.rule} · {term.sentence}" if term.rule else term.sentence
        found[path if met[path] == 1 else f"{path}/{met[path]}"] = said
    return found


def _clauses(old: Paper, new: Paper) -> Iterator[Difference]:
    before, after = ({language: _numbered(one, language) for language in LANGUAGES} for one in (old, new))
    for name in dict.fromkeys([*before["zh"], *after["zh"]]):
        pairs = {language: (before[language].get(name), after[language].get(name)) for language in LANGUAGES}
        if any(_said(was) != _said(now) for was, now in pairs.values()):
            words = {language: _clause(*pairs[language], language) for language in LANGUAGES}
            yield _difference(Part.CLAUSE, name, *pairs["zh"], words)


def _numbered(one: Paper, language: str) -> dict[str, tuple[int, Json]]:
    return {clause["id"]: (number, clause) for number, clause in enumerate(one.clauses[language], start=1)}


def _said(numbered: tuple[int, Json] | None) -> tuple[str, str] | None:
    return numbered and (numbered[1]["title"], numbered[1]["text"])


def _clause(was: tuple[int, Json] | None, now: tuple[int, Json] | None, language: str) -> str:
    number, clause = now or was or (0, {})
    head = _CLAUSE[language].format(number, clause["title"])
    if was is None or now is None:
        return (_ADDED if was is None else _REMOVED)[language].format(head)
    titles = [_retold(was[1]["title"], now[1]["title"])] if was[1]["title"] != now[1]["title"] else []
    return f"{head}: " + _BETWEEN[language].join([*titles, *_edits(was[1]["text"], now[1]["text"])])


def _edits(before: str, after: str) -> Iterator[str]:
    old, new = _WORD.findall(before), _WORD.findall(after)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < _ALIKE:
        yield _retold(before, after)
        return
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind != "equal":
            yield _retold("".join(old[i:j]), "".join(new[k:m]))


def _retold(before: str, after: str) -> str:
    return _CHANGED.format(*(_QUOTED.format(one) if one else _NOTHING for one in (before.strip(), after.strip())))


def _told(before: str | None, after: str | None, language: str) -> str:
    if before is None:
        return _ADDED[language].format(after)
    return _REMOVED[language].format(before) if after is None else _CHANGED.format(before, after)


def _difference(part: Part, at: str, before: Any, after: Any, words: Mapping[str, str]) -> Difference:
    change = Change.ADDED if before is None else Change.REMOVED if after is None else Change.CHANGED
    return Difference(part, change, at, words["zh"], words["en"])


def _deal(price_plan: Json, delivery_mode: str) -> dict[str, dict[str, str]]:
    return {
        "price": {language: describe(price_plan, language) for language in LANGUAGES},
        "delivery": {language: DELIVERY[delivery_mode][language] for language in LANGUAGES},
    }


def _same(text: str) -> dict[str, str]:
    return dict.fromkeys(LANGUAGES, text)


def _in(words: Mapping[str, str] | None, language: str) -> str | None:
    return words[language] if words else None
