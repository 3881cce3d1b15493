"""Keyed MACs for what a service says to itself alone: HS256 (RFC 7515, RFC 7518 section 3.2), nothing else.

Whoever can check a MAC can make one, so nothing that others are to believe carries it: they are given signatures.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from marketplace.kernel.signing import PrivateKey, SigningKey

ALGORITHM = "HS256"
_OCTETS = 32


@dataclass(frozen=True)
class MacKey:
    """A secret of 32 bytes, and the id of the signing key that it was derived from."""

    secret: bytes = field(repr=False)
    kid: str

    def claims(self, claims: dict[str, Any], *, typ: str) -> str:
        """A claims set as compact JWT (RFC 7519) under this key."""
        return jwt.encode(claims, self.secret, algorithm=ALGORITHM, headers={"kid": self.kid, "typ": typ})

    def holds(self, said: bytes, mac: bytes) -> bool:
        """Whether a MAC over exact bytes is this key's; how long that takes tells nothing of the right one."""
        return hmac.compare_digest(hmac.digest(self.secret, said, "sha256"), mac)


# Derived once for the life of a key; an instance has one, its tests a few.
@lru_cache(maxsize=16)
def mac_key(key: SigningKey, purpose: str) -> MacKey:
    """The secret for one purpose that follows from a private key (HKDF, RFC 5869), and changes with it.

    purpose: secrets of different purposes tell nothing of each other, and none of them of the key.
    """
    derive = HKDF(SHA256(), _OCTETS, salt=None, info=f"marketplace/{ALGORITHM}/{purpose}".encode())
    return MacKey(derive.derive(_octets(key.private)), key.kid)


def _octets(private: PrivateKey) -> bytes:
    """The secret itself: its file could be written in several ways."""
    if isinstance(private, Ed25519PrivateKey):
        return private.private_bytes_raw()
    return private.private_numbers().private_value.to_bytes(_OCTETS)
