"""The profile of Rego that every engine reads alike; a policy outside it is not taken.

Built-ins are a closed list: each was compared between OPA and the engine in process (tests/policies/test_profile.py).
Everything else that the engines read differently, or that would make a decision depend on more than its input, is
named by a pattern.  Strings and comments are taken out before anything is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from marketplace.plumbing.policyfiles import PolicyFiles

BUILT_INS: Final = frozenset(
    {
        "array.concat",
        "concat",
        "count",
        "endswith",
        "intersection",
        "is_array",
        "is_boolean",
        "is_number",
        "is_object",
        "is_string",
        "max",
        "min",
        "object.get",
        "object.keys",
        "regex.match",
        "sort",
        "startswith",
        "sum",
        "union",
    }
)
"""Built-in functions that the engines agree on.  Times are integers, so none of `time` is needed."""

_OF_TESTS: Final = frozenset({"format_int", "json.patch", "object.remove", "object.union"})
_KEYWORDS: Final = frozenset({"as", "contains", "else", "every", "if", "in", "not", "some", "with"})

_PATTERNS: Final = {
    "interpolated string": r"\$[\"`]",
    "replaced facts outside tests": r"\bwith\s+(input|data)\b",
    "allow by the absence of a denial": r"\bcount\((deny|reasons|violations)\)\s*==\s*0",
    "floating point": r"(?<![\w.\]])\d+(\.\d|[eE][+-]?\d)",
    "division": r"(?<=[\w)\]])\s*/\s*(?=[\w(])",
    # OPA 1.21 and 1.22 find nothing in a collection that is built from references where it is asked.
    "membership of a built literal": r"\bin\s*[\[{][^\]}]*\b(input|data)\b",
    "facts under another name": r"^import\s+input\b",
    "old syntax": r"^\s*default \w+\s*=\s",
}
# Rust reads these by Unicode, Go by ASCII.
_CLASSES = re.compile(r"\\[dDwWsSbB]|\(\?[a-z]*i|\[\[:")
_LITERAL = re.compile(r"(\$?)\"(?:[^\"\\\n]|\\.)*\"|(\$?)`[^`]*`|#[^\n]*")
_CALL = re.compile(r"(?<![\w.])([a-z_][\w.]*)[ \t]*\(")
_DEFINED = re.compile(r"^(?:default\s+)?([a-z_]\w*)\(", re.MULTILINE)
_IMPORTED = re.compile(r"^import\s+data\.([\w.]+)(?:\s+as\s+(\w+))?", re.MULTILINE)
_PACKAGE = re.compile(r"^package\s+([\w.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Offence:
    """What in a policy lies outside the profile."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def lint(files: PolicyFiles) -> list[Offence]:
    """Everything in policies that the engines may read differently; nothing when they keep to the profile."""
    return offences(files.texts.items())


def offences(texts: Iterable[tuple[str, str]]) -> list[Offence]:
    """As `lint`, of texts by name; those of tests (`*_test.rego`) may replace facts and use a few built-ins more."""
    written = {name: text for name, text in texts if name.endswith(".rego")}
    policies = {name: _bare(text) for name, text in written.items()}
    functions = {f"{_package(code)}.{one}" for code in policies.values() for one in _DEFINED.findall(code)}
    return [
        Offence(name, what) for name, code in policies.items() for what in _found(name, code, written[name], functions)
    ]


def _found(name: str, code: str, text: str, functions: set[str]) -> Iterator[str]:
    is_test = name.endswith("_test.rego")
    for what, pattern in _PATTERNS.items():
        if re.search(pattern, code, re.MULTILINE) and not (is_test and what.startswith("replaced")):
            yield what
    if not is_test and "import rego.v1" not in code:
        yield "no rego.v1 import"
    known = BUILT_INS | _KEYWORDS | (_OF_TESTS if is_test else frozenset())
    for called in sorted(set(_CALL.findall(code)) - known):
        if _resolved(called, code) not in functions:
            yield f"built-in {called}"
    if any(_CLASSES.search(one.group()) for one in _LITERAL.finditer(text) if not one.group().startswith("#")):
        yield "regular expression with a class that depends on the alphabet"


def _package(code: str) -> str:
    found = _PACKAGE.search(code)
    return found.group(1) if found else ""


def _resolved(called: str, code: str) -> str:
    """The full name of a function of ours that is called by its own name or through an import."""
    alias, _, rest = called.rpartition(".")
    imported = {short or full.rpartition(".")[2]: full for full, short in _IMPORTED.findall(code)}
    return f"{imported.get(alias, '?')}.{rest}" if alias else f"{_package(code)}.{called}"


def _bare(text: str) -> str:
    """The code with every string emptied and every comment gone."""
    return _LITERAL.sub(
        lambda one: "" if one.group().startswith("#") else f'{one.group(1) or one.group(2) or ""}""', text
    )
