"""Who signs for a party: its key in its own folder, or a signer service that keeps the key and answers with signatures.

A signer service is told exact bytes and the type of the document, and answers with a detached JWS.  Nothing that it
answers is believed: the signature is checked with the party's own public key before it goes anywhere.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2

from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.errors import DomainError, Invalid, Unavailable
from marketplace.kernel.signing import BadSignature, Jwk, require_public_jwk, verify_detached

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_LARGEST = 16_384


class SignerSilent(Unavailable):
    """The signer service gave no signature."""


class BadSignerAddress(Invalid):
    """The address of a signer service is not one."""


class WrongSigner(Invalid):
    """The signer service's signature is not by the party's key over these bytes."""


class Signer(Protocol):
    """What signs a party's documents.  `SigningKey` is one."""

    def sign_detached(self, payload: bytes, *, typ: str) -> str:
        """A compact JWS with detached payload (RFC 7797) over exact bytes; typ names the kind of document."""


@dataclass(frozen=True)
class SignerAddress:
    """Where a party's signer service is, and the public key it signs with (`signer.json` in the party's folder)."""

    url: str
    jwk: Jwk

    @classmethod
    def read(cls, content: bytes) -> SignerAddress:
        """From the bytes of `signer.json`: {url, jwk}.  Raises BadSignerAddress, BadKey."""
        said = read_strictly(content)
        if not isinstance(said, dict) or not isinstance(said.get("url"), str) or not isinstance(said.get("jwk"), dict):
            raise BadSignerAddress("signer.json lacks a member", expected='{"url": …, "jwk": …}')
        url = urlsplit(said["url"])
        if url.scheme != "https" and not (url.scheme == "http" and url.hostname in LOOPBACK):
            raise BadSignerAddress("what is to be signed would travel in clear", expected="https://…", got=said["url"])
        return cls(said["url"], require_public_jwk(said["jwk"]))


class SignerService:
    """A signer service over HTTP: POST {kid, typ, payload} with the bytes as base64, answered by {jws}."""

    def __init__(self, http: httpx2.Client, address: SignerAddress) -> None:
        self._http = http
        self._address = address

    def sign_detached(self, payload: bytes, *, typ: str) -> str:
        """Have exact bytes signed.  Raises SignerSilent, WrongSigner."""
        asked = {"kid": self._address.jwk["kid"], "typ": typ, "payload": base64.b64encode(payload).decode()}
        try:
            answer = self._http.post(self._address.url, json=asked, follow_redirects=False)
        except httpx2.HTTPError as error:
            raise SignerSilent("the signer service cannot be reached", got=type(error).__name__) from error
        if answer.status_code != HTTPStatus.OK:
            raise SignerSilent("the signer service did not sign", expected="200", got=str(answer.status_code))
        jws = _jws(answer.content)
        try:
            verify_detached(jws, payload, self._address.jwk, typ=typ)
        except BadSignature as error:
            raise WrongSigner(
                "the signer service signed something else, or with another key",
                expected=f"a signature of {self._address.jwk['kid']}",
                action="ask whoever runs the signer service; nothing was handed in",
            ) from error
        return jws


def _jws(content: bytes) -> str:
    try:
        said: Any = read_strictly(content) if len(content) <= _LARGEST else None
    except DomainError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("jws"), str):
        raise SignerSilent("the signer service answered with no signature", expected='{"jws": …}')
    return str(said["jws"])
