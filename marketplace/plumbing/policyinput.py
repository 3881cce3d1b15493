"""What is sent to a policy engine: the facts and their digest, as one text.

Most parts of the facts are the same for one use after another.  Such a part is kept with its text, so that it is judged
and written once; the text of the whole is that of `canonical`, whoever wrote its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final, NoReturn

from marketplace.kernel.canonical import Json, canonical_text, sha256_hex


class Kept(dict[str, Any]):
    """An object of the facts with its canonical text.  Nobody changes it or what is in it; a copy is a plain object.

    Raises AmbiguousDocument as `canonical`, for the object as a member of another; TypeError: it was to be changed.
    """

    __slots__ = ("text",)

    def __init__(self, part: Json) -> None:
        super().__init__(part)
        self.text: Final = canonical_text(part, depth=1)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a kept part of the facts does not change: copy it")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse

    def __copy__(self) -> Json:
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Json:
        return deepcopy(dict(self), memo)


def with_digest(facts: Mapping[str, Any]) -> tuple[str, str]:
    """The input as it is sent, facts and their digest, and that digest: the policy must echo it (threat T30)."""
    text = _text(facts)
    name = sha256_hex(text.encode())
    return f'{text[:-1]}{"," if facts else ""}"digest":"{name}"}}', name


def _text(facts: Mapping[str, Any]) -> str:
    """The canonical text; what stands between two kept members is written together."""
    written, between = list[str](), Json()
    for name in sorted(facts):
        if type(facts[name]) is not Kept:
            between[name] = facts[name]
            continue
        if between:
            written.append(canonical_text(between)[1:-1])
            between = {}
        written.append(f'"{name}":{facts[name].text}')
    if not written:
        return canonical_text(dict(facts))
    if between:
        written.append(canonical_text(between)[1:-1])
    return f"{{{','.join(written)}}}"
