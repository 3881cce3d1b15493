"""Reading a compact JWT strictly (RFC 7515, 7519): every part is parsed here before the library sees the token.

The library takes the last of two equal keys and rounds floats (threat T18), and judges times by its own clock.  So it
only checks the signature; header and claims are read and judged by us, against the injected clock.
"""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from marketplace.kernel.canonical import Json, read_strictly
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Invalid
from marketplace.kernel.macs import ALGORITHM, MacKey
from marketplace.kernel.signing import ALGORITHMS, Jwk, holds

MAX_TOKEN = 8192
MAX_ID = 256
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# By the length of a part modulo 4: the last characters of the one spelling; no part is one character longer than whole.
_LAST = (frozenset(_ALPHABET), frozenset[str](), frozenset(_ALPHABET[::16]), frozenset(_ALPHABET[::4]))
_LAST_SECOND = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())


class BadToken(Invalid):
    """The token is not one that we accept."""


class Compact(NamedTuple):
    """A compact JWT, read and not yet verified.  signed: what its signature is over."""

    header: Json
    claims: Json
    signed: bytes
    signature: bytes

    def require_header(self, *, typ: frozenset[str | None], known: frozenset[str]) -> None:
        """Refuse a header member outside `known` (so `crit`, `jku`, `x5u`, `jwk` …) or a `typ` of another document."""
        strangers = sorted(set(self.header) - known)
        if strangers:
            raise BadToken(
                "header members that are not accepted",
                expected=", ".join(sorted(known)),
                got=", ".join(strangers)[:200],
            )
        stated = self.header.get("typ")
        if not isinstance(stated, str | None) or stated not in typ:
            names = " or ".join(sorted(name or "none" for name in typ))
            raise BadToken("header `typ` names another kind of token", expected=names, got=_short(stated))

    def require_signature(self, jwk: Jwk) -> None:
        """Check the signature with one key and its one algorithm."""
        if self.header.get("alg") != jwk["alg"]:
            raise BadToken("the algorithm is not the key's", expected=jwk["alg"], got=_short(self.header.get("alg")))
        if jwk["alg"] not in ALGORITHMS or not holds(self.signed, self.signature, jwk):
            raise BadToken("the signature was not made over this token with this key")

    def require_mac(self, key: MacKey) -> None:
        """Check that we made the token ourselves, with the one secret and its one algorithm."""
        for name, expected in (("alg", ALGORITHM), ("kid", key.kid)):
            if self.header.get(name) != expected:
                raise BadToken(
                    f"header `{name}` is not that of the tokens given now",
                    expected=expected,
                    got=_short(self.header.get(name)),
                )
        if not key.holds(self.signed, self.signature):
            raise BadToken("the token was not made here, or was changed since")

    def text_claim(self, name: str, expected: str | None = None) -> str:
        """A required claim that is one string of 1 to 256 printable characters, the expected one if that is given."""
        value = self.claims.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= MAX_ID or not value.isprintable():
            raise BadToken(f"claim `{name}` is missing or not one string", got=_short(value))
        if expected is not None and value != expected:
            raise BadToken(f"claim `{name}` differs", expected=expected, got=value)
        return value

    def moment_claim(self, name: str) -> datetime:
        """A required claim that is whole seconds since 1970; a float has two readings and is refused."""
        value = self.claims.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LAST_SECOND:
            raise BadToken(f"claim `{name}` is missing or not whole seconds since 1970", got=_short(value))
        return datetime.fromtimestamp(value, UTC)


def read(token: str) -> Compact:
    """Split and parse a compact JWT.  Raises BadToken: size, shape, base64url with a second spelling, unclear JSON."""
    if len(token) > MAX_TOKEN:
        raise BadToken("the token is too long", expected=f"at most {MAX_TOKEN} characters", got=str(len(token)))
    match = _COMPACT.fullmatch(token)
    if match is None:
        raise BadToken("not a compact JWT", expected="three base64url parts with dots between")
    header, claims, signature = match.groups()
    signed = token[: match.end(2)].encode()
    return Compact(_header(header), _object("claims", _octets(claims)), signed, _octets(signature))


def wrong_moment(what: str, bound: datetime, got: datetime) -> BadToken:
    """A refusal that names both moments."""
    return BadToken(what, expected=timestamp(bound), got=timestamp(got), action="check the clock and sign anew")


def _octets(part: str) -> bytes:
    """The octets of a part that holds the characters of base64url alone; bits of the last one may stand for nothing."""
    if part[-1] not in _LAST[len(part) % 4]:
        raise BadToken("a part of the token is not the one base64url spelling of its octets")
    return binascii.a2b_base64(part.encode().translate(_STANDARD) + b"==")


# A client sends the same header again and again; nobody changes it.
@lru_cache(maxsize=256)
def _header(part: str) -> Json:
    return _object("header", _octets(part))


def _object(name: str, octets: bytes) -> Json:
    try:
        document = read_strictly(octets)
    except Invalid as error:
        raise BadToken(f"the token's {name}: {error.detail}", expected=error.expected, got=error.got) from error
    if not isinstance(document, dict):
        raise BadToken(f"the token's {name} is not an object", got=type(document).__name__)
    return document


def _short(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:80]
