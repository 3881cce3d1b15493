"""Proof of possession (DPoP, RFC 9449): a token is of no use to anybody who cannot sign with the key it is bound to."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from marketplace.kernel.signing import BadKey, Jwk
from marketplace.participants import compact, rules
from marketplace.participants.compact import BadToken

SCOPE = "dpop"
_TYP: frozenset[str | None] = frozenset({"dpop+jwt"})
_HEADER = frozenset({"alg", "typ", "jwk", "kid"})  # `kid` says nothing here: the key is `jwk`
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Proof(NamedTuple):
    """A valid proof, not yet spent.  thumbprint: RFC 7638 thumbprint of its key; expires_at: too old from then on."""

    thumbprint: str
    jti: str
    expires_at: datetime


def check(
    proofs: Sequence[str], *, method: str, url: str, now: datetime, skew: timedelta, access_token: str | None = None
) -> Proof:
    """Check the one proof of a request (RFC 9449 section 4.3); the caller spends its `jti`.

    proofs: all values of the DPoP header; url: ours for this request, without query; access_token: the token it comes
    with, None at the token endpoint.  Raises BadToken.
    """
    if len(proofs) != 1:
        raise BadToken("one DPoP proof is needed", expected="one DPoP header", got=str(len(proofs)))
    proof = compact.read(proofs[0])
    proof.require_header(typ=_TYP, known=_HEADER)
    key = _key(proof.header.get("jwk"))
    proof.require_signature(key)

    jti = proof.text_claim("jti")
    proof.text_claim("htm", method)
    _require_same_address(proof.text_claim("htu"), url)
    signed_at = proof.moment_claim("iat")
    if abs(signed_at - now) > skew:
        raise compact.wrong_moment("the proof was not made now", now, signed_at)
    if access_token is not None:
        proof.text_claim("ath", token_hash(access_token))
    return Proof(key["kid"], jti, signed_at + skew)


def token_hash(access_token: str) -> str:
    """The `ath` of an access token: base64url of its SHA-256."""
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).rstrip(b"=").decode()


def _key(jwk: object) -> Jwk:
    if not isinstance(jwk, dict):
        raise BadToken("header `jwk` is missing or not a key", expected="a public JWK")
    try:
        return rules.require_strong_key(jwk)
    except (BadKey, rules.WeakKey) as error:
        raise BadToken(
            f"header `jwk`: {error.detail}", expected=error.expected, got=error.got, action=error.action
        ) from error


def _require_same_address(htu: str, url: str) -> None:
    if htu != url and _normal(htu) != _normal(url):
        raise BadToken("the proof was made for another address", expected=url, got=htu)


def _normal(url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and path after syntax-based normalisation (RFC 3986 section 6.2.2); `%2F` stays itself."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadToken("claim `htu` is not an address", got=url[:80]) from error
    if parts.username is not None or parts.password is not None:
        raise BadToken("claim `htu` holds credentials")
    path = "/".join(quote(unquote(piece), safe="") for piece in (parts.path or "/").split("/"))
    return parts.scheme, parts.hostname or "", port or _DEFAULT_PORTS.get(parts.scheme), path
