"""Text that no caller may send: the character NUL, half of a surrogate pair, and JSON in another encoding than UTF-8.

Databases, file systems and C libraries disagree about NUL; half a pair is no character and has no UTF-8, so it could be
neither stored nor signed.  A reader of JSON that knows UTF-16 would find in a body what none of these checks has seen.
"""

from __future__ import annotations

import json
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from marketplace.kernel.errors import Invalid
from marketplace.plumbing.problems import problem

# An escaped NUL in JSON: an odd number of backslashes before it.  A bare NUL byte is no JSON at all.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_MAYBE_HALF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_HALF_IN_OCTETS = re.compile(rb"\xed[\xa0-\xbf]")


class NulCharacter(Invalid):
    """Text with the character NUL is not accepted."""


class HalfCharacter(Invalid):
    """Text with half of a surrogate pair is not accepted."""


class NotUtf8(Invalid):
    """JSON comes as UTF-8."""


def refuse_other_encodings(body: bytes) -> None:
    """Check the encoding of a JSON body by its first bytes (RFC 8259, 8.1) and for octets of half a pair.

    Raises NotUtf8.
    """
    found: str = json.detect_encoding(body)
    # Python's reader of JSON lets these octets pass, and only these, though UTF-8 has none of them.
    if found.startswith("utf-8") and _HALF_IN_OCTETS.search(body):
        found = "octets of half a surrogate pair"
    if not found.startswith("utf-8"):
        raise NotUtf8("the body is JSON in another encoding", expected="utf-8", got=found, action="send it as UTF-8")


def refuse_bad_text(body: bytes) -> None:
    """Check a JSON body; what is no JSON is left to whoever reads it.  Raises NulCharacter, HalfCharacter."""
    if b"\\u0000" in body and _NUL.search(body):
        raise _nul("the body")
    if _MAYBE_HALF_A_PAIR.search(body):
        try:
            json.dumps(json.loads(body), ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise HalfCharacter("the body holds half of a surrogate pair", action="send whole characters") from error
        except (ValueError, RecursionError):
            return


class NoNul:
    """ASGI middleware: refuses a request whose path or query holds NUL, before any route sees it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and ("\0" in scope["path"] or b"%00" in scope["query_string"]):
            await problem(_nul("the address"))(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _nul(where: str) -> NulCharacter:
    return NulCharacter(f"{where} holds the character NUL", action="send the text without it")
