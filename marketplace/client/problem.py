"""A refused request, as a client sees it: the server's problem document (RFC 9457) as an exception."""

from __future__ import annotations

from typing import Any

import httpx2


class ProblemError(Exception):
    """The server refused.

    status: HTTP status; type: stable slug address; error: OAuth error code of the token endpoint, else None;
    body: the whole problem document, empty when the answer was none.
    """

    def __init__(self, status: int, title: str, body: dict[str, Any]) -> None:
        self.status = status
        self.title = title
        self.body = body
        self.type = str(body.get("type", "about:blank"))
        self.detail = _text(body, "detail")
        self.expected = _text(body, "expected")
        self.got = _text(body, "got")
        self.action = _text(body, "action")
        self.error = _text(body, "error")
        super().__init__(str(self))

    @property
    def slug(self) -> str:
        """The last part of `type`: `/problems/wrong-state` is `wrong-state`."""
        return self.type.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        parts = [f"{self.status} {self.title}"]
        parts += [f": {self.detail}"] if self.detail else []
        parts += [f"; expected {self.expected}"] if self.expected else []
        parts += [f"; got {self.got}"] if self.got else []
        parts += [f"; {self.action}"] if self.action else []
        return "".join(parts)


def problem_of(response: httpx2.Response) -> ProblemError:
    """The problem in a response that has been read; any other body leaves only the status line."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    return ProblemError(response.status_code, str(body.get("title", response.reason_phrase)), body)


def _text(body: dict[str, Any], name: str) -> str | None:
    return str(body[name]) if body.get(name) is not None else None
