"""Purposes in one matcher: our own, EHDS articles 53 and 54, DUO codes, the Chinese scenario categories.

Contracts are signed in our own purposes only.  The codes of others are read here into these, as
`contracts/odrl/purposes.json` says; what a code asks beyond a purpose is told and never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from marketplace.exchange.terms.amounts import permitted_purposes
from marketplace.exchange.terms.profile import PROFILE, PURPOSES
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid, shown

LANGUAGES: Final = ("en", "zh")


class UnknownCode(Invalid):
    """No purpose and no code of a known scheme."""


@dataclass(frozen=True)
class Reading:
    """What codes come to together.

    purposes: ours that they permit; recipients: kinds that they are for, None = any; terms: operands of the profile
    that say the rest; texts: what only a contract's text can say, by language; denied: a code that is never permitted.
    """

    purposes: frozenset[str]
    recipients: frozenset[str] | None
    terms: frozenset[str]
    texts: tuple[Json, ...]
    denied: str | None


@dataclass(frozen=True)
class Match:
    """Whether a policy permits what a code asks for, and why or why not, permission by permission.

    reasons: one object with `en` and `zh` for each permission, or one for all when none could matter.
    """

    fits: bool
    reasons: tuple[Json, ...]


def read_codes(codes: Iterable[str]) -> Reading:
    """Several codes as one, e.g. `duo:HMB` with `duo:NPU`: permitted is what any permits and none excludes.

    codes: `<purpose>` of ours or `<scheme>:<code>`.  Raises UnknownCode.
    """
    found = {code: _entry(code) for code in codes}
    permitted: set[str] = set().union(*(one.get("purposes", []) for one in found.values()))
    excluded: set[str] = set().union(*(one.get("excludes", []) for one in found.values()))
    kinds = [frozenset(one["recipients"]) for one in found.values() if "recipients" in one]
    return Reading(
        frozenset(permitted - excluded),
        frozenset.intersection(*kinds) if kinds else None,
        frozenset(one["term"] for one in found.values() if "term" in one),
        tuple(_left_to_text(one) for one in found.values() if "text" in one),
        next((code for code, one in found.items() if one.get("denied")), None),
    )


def match(uses: Json, code: str, recipient_kind: str | None = None) -> Match:
    """Whether some permission of a checked policy permits all that one code asks for.

    recipient_kind: what the asking participant is, as the exchange admitted it; None = not looked at.  Raises
    UnknownCode.
    """
    reading, name = read_codes([code]), _name(code)
    if reading.denied:
        return Match(
            False, (_said("{} ({}) is refused whatever a contract says", "{}（{}）在任何合同下均被禁止", name, code),)
        )
    if not reading.purposes:
        return Match(False, reading.texts or (_said("{} ({}) names no purpose", "{}（{}）不构成使用目的", name, code),))
    if recipient_kind and reading.recipients is not None and recipient_kind not in reading.recipients:
        kinds = PROFILE["values"]["recipient_kind"]
        only = {one: _words({kind: kinds[kind] for kind in sorted(reading.recipients)}, one) for one in LANGUAGES}
        words = _said("{} ({}) is for these only: ", "{}（{}）仅适用于：", name, code)
        return Match(False, ({one: words[one] + only[one] for one in LANGUAGES},))
    found = [_against(permission, place, reading.purposes, code) for place, permission in enumerate(uses["permission"])]
    return Match(any(fits for fits, _ in found), tuple(words for _, words in found))


def _against(permission: Json, place: int, asked: frozenset[str], code: str) -> tuple[bool, Json]:
    allowed = permitted_purposes({"permission": [permission]})
    missing, at = asked - allowed, f"/permission/{place}"
    if not missing:
        return True, {"en": f"{at} permits {code}", "zh": f"{at} 许可 {code}"}
    lacks, has = ({name: PURPOSES["known"][name] for name in sorted(names)} for names in (missing, allowed))
    return False, {
        "en": f"{at} permits {_words(has, 'en') or 'nothing'}; {code} also means {_words(lacks, 'en')}",
        "zh": f"{at} 许可：{_words(has, 'zh') or '无'}；{code} 还包括：{_words(lacks, 'zh')}",
    }


def _entry(code: str) -> Json:
    if code in PURPOSES["known"]:
        return {**PURPOSES["known"][code], "purposes": [code]}
    if code in PURPOSES["denied_always"]:
        return {**PURPOSES["denied_always"][code], "denied": True}
    scheme, _, name = code.partition(":")
    entry: Json | None = PURPOSES["schemes"].get(scheme, {}).get("codes", {}).get(name)
    if entry is None:
        schemes = ", ".join(f"{one}:…" for one in PURPOSES["schemes"])
        raise UnknownCode("no such purpose or code", expected=f"a purpose, or {schemes}", got=shown(code))
    return entry


def _left_to_text(entry: Json) -> Json:
    return {"en": f"{entry['en']}: {entry['text']}", "zh": f"{entry['zh']}：{entry['text_zh']}"}


def _name(code: str) -> Json:
    entry = _entry(code)
    return {language: entry[language] for language in LANGUAGES}


def _said(en: str, zh: str, name: Json, code: str) -> Json:
    return {"en": en.format(name["en"], code), "zh": zh.format(name["zh"], code)}


def _words(entries: Json, language: str) -> str:
    return (", " if language == "en" else "、").join(f"{one[language]} ({code})" for code, one in entries.items())
