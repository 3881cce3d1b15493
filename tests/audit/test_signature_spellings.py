"""A signature that is accepted here is one that the verifier finds: nobody signs so that others cannot check it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jwt.utils import base64url_encode

from marketplace.audit.verifier.keys import NotSigned, check_compact, check_jws
from marketplace.kernel.signing import BadSignature, SigningKey, generate_key, verify_compact, verify_detached

BODY, TYP = b'{"a":1}', "agreement+jws"
DETACHED = {"b64": False, "crit": ["b64"]}
HEADERS: dict[str, dict[str, Any]] = {
    "critical twice": {"b64": False, "crit": ["b64", "b64"]},
    "not critical": {"b64": False},
    "nothing critical": {"b64": False, "crit": []},
    "a stranger critical": {"b64": False, "crit": ["b64", "x"], "x": 1},
}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def header(key: SigningKey, about: dict[str, Any]) -> str:
    said = {"alg": key.algorithm, "kid": key.kid, "typ": TYP} | about
    padded = json.dumps(said) + " " * (2 - len(json.dumps(said)) % 3)  # its last character has bits to spare
    return base64url_encode(padded.encode()).decode()


def signed(key: SigningKey, first: str, payload: str = "") -> str:
    """A JWS by another program, over a header as it stands."""
    raw = key.private.sign(first.encode() + b"." + (payload.encode() or BODY))
    return f"{first}.{payload}.{base64url_encode(raw).decode()}"


def other(text: str) -> str:
    """The same octets, with the bits of the last character that no octet takes."""
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) ^ 1]


def detached(key: SigningKey) -> dict[str, str]:
    plain = header(key, DETACHED)
    whole = signed(key, plain)
    return {
        "signature padded": f"{whole}==",
        "signature with other last bits": other(whole),
        "signature with a blank": f"{whole} ",
        "header padded": signed(key, f"{plain}="),
        "header with other last bits": signed(key, other(plain)),
        "header with a stranger": signed(key, f"{plain[:4]}!{plain[4:]}"),
        **{name: signed(key, header(key, about)) for name, about in HEADERS.items()},
    }


@pytest.mark.parametrize("spelling", sorted(detached(generate_key())))
def test_a_detached_signature_in_a_second_spelling_is_refused_here_and_by_the_verifier(spelling: str) -> None:
    key = generate_key()
    names = {"kid": key.kid, "alg": key.algorithm, "typ": TYP}
    plain = signed(key, header(key, DETACHED))
    verify_detached(plain, BODY, key.public_jwk, typ=TYP)
    check_jws(plain, BODY, key.public_jwk, **names)
    with pytest.raises(BadSignature):
        verify_detached(detached(key)[spelling], BODY, key.public_jwk, typ=TYP)
    with pytest.raises(NotSigned):
        check_jws(detached(key)[spelling], BODY, key.public_jwk, **names)


def test_a_compact_one_too() -> None:
    key = generate_key()
    plain, payload = header(key, {}), base64url_encode(BODY).decode()
    whole = signed(key, plain, payload)
    assert verify_compact(whole, key.public_jwk, typ=TYP) == BODY
    check_compact(whole, key.public_jwk, typ=TYP)
    critical = header(key, {"b64": True, "crit": ["b64"]})
    for spelling in (f"{whole}==", other(whole), signed(key, other(plain), payload), signed(key, critical, payload)):
        with pytest.raises(BadSignature):
            verify_compact(spelling, key.public_jwk, typ=TYP)
        with pytest.raises(NotSigned):
            check_compact(spelling, key.public_jwk, typ=TYP)
