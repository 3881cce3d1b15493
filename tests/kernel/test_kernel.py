"""The kernel keeps its promises."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import jwt
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_decode, der_to_raw_signature

from marketplace.kernel.canonical import AmbiguousDocument, canonical, read_strictly
from marketplace.kernel.clock import StoryClock, parse_timestamp, timestamp
from marketplace.kernel.ids import new_id
from marketplace.kernel.macs import mac_key
from marketplace.kernel.money import Money, yuan
from marketplace.kernel.signing import (
    _JWS,
    ALGORITHMS,
    BadKey,
    BadSignature,
    generate_key,
    holds,
    load_private_key,
    require_public_jwk,
    thumbprint,
    verify_compact,
    verify_detached,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(minor=st.integers(-(10**12), 10**12), weights=st.lists(st.integers(0, 1000), min_size=1).filter(any))
def test_a_split_always_sums_to_the_whole(minor: int, weights: list[int]) -> None:
    parts = Money(minor).split(weights)
    assert sum(part.minor for part in parts) == minor
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part.minor - Fraction(minor * weight, sum(weights))) < 1


def test_money_of_two_currencies_does_not_mix() -> None:
    with pytest.raises(ValueError, match="CNY"):
        yuan(1) + Money(1, "EUR")


def test_money_refuses_a_float() -> None:
    with pytest.raises(TypeError):
        Money(1.5)  # type: ignore[arg-type]


def test_yuan_refuses_what_is_finer_than_a_fen() -> None:
    assert yuan("0.01") == Money(1)
    with pytest.raises(ValueError, match="fen"):
        yuan("0.001")


@given(JSON)
def test_canonical_bytes_read_back_to_the_same_document(document: object) -> None:
    assert read_strictly(canonical(document)) == document
    assert canonical(read_strictly(canonical(document))) == canonical(document) == rfc8785.dumps(document)


@pytest.mark.parametrize("value", [1.0, 2**53, float("nan"), b"x", {1: 2}, object()])
def test_a_value_without_one_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(AmbiguousDocument):
        canonical({"v": value})


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":2}', '{"a":NaN}', '{"a":1.5}', "[" * 40 + "]" * 40, "{", '{"a":9007199254740993}', "\ud800"]
)
def test_a_document_that_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(AmbiguousDocument):
        read_strictly(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_a_detached_signature_holds_for_its_bytes_only(algorithm: str) -> None:
    key = generate_key(algorithm)
    token = key.sign_detached(b"the document", typ="opinion+jws")
    verify_detached(token, b"the document", key.public_jwk, typ="opinion+jws")
    other = generate_key(algorithm)
    for bytes_, jwk, typ in (
        (b"the documenT", key.public_jwk, "opinion+jws"),
        (b"the document", other.public_jwk, "opinion+jws"),
        (b"the document", key.public_jwk, "certificate+jws"),
        (b"the document", other.public_jwk | {"kid": key.kid}, "opinion+jws"),
    ):
        with pytest.raises(BadSignature):
            verify_detached(token, bytes_, jwk, typ=typ)


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_signing_the_same_document_again_gives_the_same_bytes(algorithm: str) -> None:
    key = generate_key(algorithm)
    assert key.sign_detached(b"x", typ="a+jws") == key.sign_detached(b"x", typ="a+jws")
    assert key.sign_detached(b"x", typ="a+jws") != key.sign_detached(b"y", typ="a+jws")


def test_a_symmetric_signature_is_never_accepted() -> None:
    key = generate_key()
    token = jwt.api_jws.PyJWS().encode(b"x", "k" * 32, algorithm="HS256", headers={"kid": key.kid, "typ": "a+jws"})
    with pytest.raises(BadSignature, match="alg"):
        verify_detached(token, b"x", key.public_jwk, typ="a+jws")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_mac_is_hs256_under_a_secret_that_only_the_private_key_and_the_purpose_give(algorithm: str) -> None:
    key = generate_key(algorithm)
    ours = mac_key(key, "at+jwt")
    octets = (
        key.private.private_bytes_raw()
        if isinstance(key.private, Ed25519PrivateKey)
        else key.private.private_numbers().private_value.to_bytes(32)
    )
    # RFC 5869 by hand: extract with a salt of zeros, one block of expand.  Every process must come to the same secret.
    extracted = hmac.digest(bytes(32), octets, "sha256")
    assert ours.secret == hmac.digest(extracted, b"marketplace/HS256/at+jwt\x01", "sha256")
    assert mac_key(load_private_key(key.to_pem()), "at+jwt") == ours
    assert ours.secret not in (mac_key(key, "x").secret, mac_key(generate_key(algorithm), "at+jwt").secret)
    assert ours.secret.hex() not in repr(ours)

    token = ours.claims({"sub": "prt_1"}, typ="at+jwt")
    assert jwt.decode(token, ours.secret, algorithms=["HS256"]) == {"sub": "prt_1"}
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "kid": key.kid, "typ": "at+jwt"}
    said, _, part = token.rpartition(".")
    mac = base64url_decode(part)
    assert ours.holds(said.encode(), mac)
    for bad in (b"", mac[:16], mac[:-1], mac + b"\0", bytes(32)):
        assert not ours.holds(said.encode(), bad)
    assert not ours.holds(said.encode() + b"x", mac)
    assert not holds(said.encode(), mac, key.public_jwk), "a MAC is no signature"


def test_a_key_survives_its_file_and_its_id_is_the_thumbprint() -> None:
    key = generate_key("ES256")
    again = load_private_key(key.to_pem())
    assert again.kid == key.kid == thumbprint(key.public_jwk)


def test_the_thumbprint_is_that_of_rfc_8037_appendix_a3() -> None:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert thumbprint(jwk) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize(
    "change", [{"d": "AA"}, {"crv": "X25519"}, {"kty": "oct"}, {"x": "AA"}, {"alg": "HS256"}, {"x": None}]
)
def test_a_key_that_is_not_a_public_signing_key_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadKey):
        require_public_jwk(generate_key().public_jwk | change)


def test_ids_carry_their_kind_and_increase() -> None:
    ids = [new_id("ast") for _ in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5000
    assert all(one.startswith("ast_") and len(one) == 36 for one in ids)


def test_the_story_clock_never_runs_backwards() -> None:
    clock = StoryClock(datetime(2026, 1, 1, tzinfo=UTC))
    clock.advance(timedelta(days=1))
    clock.advance_to(datetime(2025, 1, 1, tzinfo=UTC))
    assert clock.now() == datetime(2026, 1, 2, tzinfo=UTC)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(timedelta(seconds=-1))


def test_a_naive_moment_is_refused_and_a_timestamp_reads_back() -> None:
    moment = datetime(2026, 11, 21, 4, 5, 6, 789, tzinfo=UTC)
    assert parse_timestamp(timestamp(moment)) == moment
    with pytest.raises(ValueError, match="naive"):
        timestamp(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_compact_signature_is_what_the_library_would_write_byte_for_byte(algorithm: str) -> None:
    key = generate_key(algorithm)
    headers = {"kid": key.kid, "typ": "receipt+jwt"}
    written = _JWS.encode(b'{"v":1}', key.private, algorithm=algorithm, headers=headers)
    assert key.sign_compact(b'{"v":1}', typ="receipt+jwt") == written
    assert verify_compact(written, key.public_jwk, typ="receipt+jwt") == b'{"v":1}'


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_bare_signature_holds_for_its_bytes_its_length_and_a_public_key_alone(algorithm: str) -> None:
    key = generate_key(algorithm)
    signed, _, part = key.sign_compact(b"{}", typ="receipt+jwt").rpartition(".")
    octets = base64url_decode(part)
    assert holds(signed.encode(), octets, key.public_jwk)
    assert not holds(b"other", octets, key.public_jwk)
    for bad in (b"", octets[:-1], octets + b"\0", bytes(64), b"\xff" * 64):
        assert not holds(signed.encode(), bad, key.public_jwk)
    assert not holds(signed.encode(), octets, generate_key(algorithm).public_jwk)
    assert not holds(signed.encode(), octets, {**key.public_jwk, "alg": "HS256"})
    assert not holds(signed.encode(), octets, {**key.public_jwk, "d": key.public_jwk["x"]}), "no public half"


def test_es256_is_of_one_curve() -> None:
    private = generate_private_key(SECP384R1())
    jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True) | {"alg": "ES256"}
    octets = der_to_raw_signature(private.sign(b"{}", ECDSA(SHA256())), private.curve)
    assert not holds(b"{}", octets, jwk)
