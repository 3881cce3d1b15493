"""The five kinds of error that a verb may raise; `plumbing.web` owns the only map to HTTP (RFC 9457)."""

from __future__ import annotations

import re

_OURS = re.compile(r"[a-z]{3}_[0-9a-f]{32}|[0-9a-f]{64}")


def shown(typed: str) -> str:
    """What an answer may say back of a text that a caller typed: an id or a hash of ours, else only its length.

    Answers are logged and passed on by clients, and any text could be a person's name (threat T35).
    """
    return typed if _OURS.fullmatch(typed) else f"a text of {len(typed)} characters"


class DomainError(Exception):
    """A verb could not do what was asked.

    A subclass names one situation: its docstring is the problem's title, its class name the stable slug.
    detail: what is wrong; expected and got: the two sides of the comparison, where there is one;
    action: what the caller can do now.  None of them may hold patient data.
    """

    def __init__(
        self,
        detail: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        action: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.expected = expected
        self.got = got
        self.action = action

    @property
    def slug(self) -> str:
        """The class name in kebab case: `WrongStage` is `wrong-stage`."""
        name = type(self).__name__
        return "".join(("-" if i and c.isupper() else "") + c.lower() for i, c in enumerate(name))

    @property
    def title(self) -> str:
        """The first line of the class docstring, without its full stop."""
        return (type(self).__doc__ or self.slug).strip().splitlines()[0].rstrip(".")

    def __str__(self) -> str:
        parts = [self.detail]
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.got is not None:
            parts.append(f"got {self.got}")
        if self.action is not None:
            parts.append(self.action)
        return "; ".join(parts)


class NotFound(DomainError):
    """No such thing, or not visible to the caller."""


class Conflict(DomainError):
    """The present state does not allow this."""


class Invalid(DomainError):
    """The request is not well formed."""


class Forbidden(DomainError):
    """The caller may not do this."""


class Unavailable(DomainError):
    """A part that is needed does not answer."""
