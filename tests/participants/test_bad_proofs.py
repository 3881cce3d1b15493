"""A bound token is of no use without its key, and a proof is of no use twice or anywhere else."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import timedelta

import pytest

from marketplace.kernel.macs import mac_key
from marketplace.kernel.signing import generate_key
from marketplace.participants import service
from tests.participants.small_market import ath, b64, bare, compact, hmac_signer, signer

KEY = generate_key()
OTHER = generate_key("ES256")


def _with(**changes):
    return lambda m, t: m.resource_proof(KEY, t, **{k: v(m, t) if callable(v) else v for k, v in changes.items()})


def _with_header(**header):
    return lambda m, t: m.resource_proof(KEY, t, header)


def _private(m, t):
    secret = b64(KEY.private.private_bytes_raw())
    return m.resource_proof(KEY, t, {"jwk": bare(KEY) | {"d": secret}})


def _symmetric(m, t):
    claims = {"jti": "a", "htm": "GET", "htu": f"{m.url}/v1/participants", "iat": m.seconds(), "ath": ath(t)}
    header = {"alg": "HS256", "typ": "dpop+jwt", "jwk": {"kty": "oct", "k": b64(b"secret")}}
    return compact(header, claims, hmac_signer(b"secret"))


def _none(m, t):
    claims = {"jti": "a", "htm": "GET", "htu": f"{m.url}/v1/participants", "iat": m.seconds(), "ath": ath(t)}
    return compact({"alg": "none", "typ": "dpop+jwt", "jwk": bare(KEY)}, claims, lambda _: b"x")


def _signed_by_another(m, t):
    claims = {"jti": "a", "htm": "GET", "htu": f"{m.url}/v1/participants", "iat": m.seconds(), "ath": ath(t)}
    return compact({"alg": "EdDSA", "typ": "dpop+jwt", "jwk": bare(KEY)}, claims, signer(generate_key()))


def _duplicate(m, t):
    claims = f'{{"jti":"a","htm":"GET","htm":"POST","htu":"{m.url}","iat":{m.seconds()},"ath":"{ath(t)}"}}'
    return compact({"alg": "EdDSA", "typ": "dpop+jwt", "jwk": bare(KEY)}, claims.encode(), signer(KEY))


def _small_order(m, t):
    """The all-zero point: anybody can make signatures that fit it."""
    claims = {"jti": "a", "htm": "GET", "htu": f"{m.url}/v1/participants", "iat": m.seconds(), "ath": ath(t)}
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(b"\1" + b"\0" * 31)}
    return compact({"alg": "EdDSA", "typ": "dpop+jwt", "jwk": jwk}, claims, lambda _: b"\1" + b"\0" * 63)


def _second_spelling(m, t):
    x = bare(KEY)["x"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return m.resource_proof(KEY, t, {"jwk": bare(KEY) | {"x": x[:-1] + alphabet[alphabet.index(x[-1]) | 1]}})


CORPUS = {
    "none at all": (lambda m, t: None, "one DPoP proof"),
    "other key": (lambda m, t: m.resource_proof(OTHER, t), "another key"),
    "other method": (_with(htm="POST"), "htm"),
    "method in small letters": (_with(htm="get"), "htm"),
    "no method": (_with(htm=None), "htm"),
    "other path": (_with(htu=lambda m, t: f"{m.url}/v1/assets"), "address"),
    "other host": (_with(htu="http://evil.example/v1/participants"), "address"),
    "other scheme": (_with(htu=lambda m, t: f"{m.url}/v1/participants".replace("http:", "https:")), "address"),
    "other port": (_with(htu="http://127.0.0.1:8001/v1/participants"), "address"),
    "credentials in address": (_with(htu="http://a:b@127.0.0.1:8000/v1/participants"), "credentials"),
    "bad port": (_with(htu="http://127.0.0.1:x/v1/participants"), "address"),
    "path with a coded slash": (_with(htu=lambda m, t: f"{m.url}/v1%2Fparticipants"), "address"),
    "no address": (_with(htu=None), "htu"),
    "old": (_with(iat=lambda m, t: m.seconds(-61)), "not made now"),
    "from the future": (_with(iat=lambda m, t: m.seconds(61)), "not made now"),
    "iat is a float": (_with(iat=lambda m, t: m.seconds() + 0.5), "canonical form"),
    "no iat": (_with(iat=None), "iat"),
    "no jti": (_with(jti=None), "jti"),
    "no ath": (_with(ath=None), "ath"),
    "ath of another token": (_with(ath=lambda m, t: ath(t + "x")), "ath"),
    "typ of a JWT": (_with_header(typ="JWT"), "typ"),
    "no typ": (_with_header(typ=None), "typ"),
    "private key in the header": (_private, "private"),
    "no key": (_with_header(jwk=None), "jwk"),
    "key is text": (_with_header(jwk="key"), "jwk"),
    "key by address": (_with_header(jku="https://evil.example"), "header members"),
    "crit": (_with_header(crit=["iat"]), "header members"),
    "algorithm is not the key's": (_with_header(alg="ES256"), "algorithm"),
    "HMAC with its own key": (_symmetric, "unsupported key"),
    "RSA key": (_with_header(jwk={"kty": "RSA", "n": "AQAB", "e": "AQAB"}), "unsupported key"),
    "point not on the curve": (_with_header(jwk={"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}), "key"),
    "not signed": (_none, "algorithm"),
    "signed by another key": (_signed_by_another, "signature"),
    "duplicate claim": (_duplicate, "same key twice"),
    "key of small order": (_small_order, "no one's key"),
    "second spelling of the key": (_second_spelling, "spelling"),
    "proof of the token request": (lambda m, t: m.proof(KEY), "htm"),
    "not a token": (lambda m, t: "proof", "compact"),
}


@pytest.mark.parametrize("case", CORPUS)
def test_a_bad_proof_opens_nothing(market, case):
    make, fragment = CORPUS[case]
    token = market.token("pharma", KEY)
    answer = market.read(token, make(market, token))
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/invalid-proof"), answer.text
    assert 'error="invalid_dpop_proof"' in answer.headers["www-authenticate"]
    said = " ".join(str(answer.json().get(name, "")) for name in ("detail", "expected", "got"))
    assert fragment in said, said
    assert market.read(token, market.resource_proof(KEY, token)).status_code == 200


TOKEN_PROOFS = {
    "for another address": lambda m: m.proof(KEY, htu=f"{m.url}/v1/participants"),
    "for another method": lambda m: m.proof(KEY, htm="GET"),
    "old": lambda m: m.proof(KEY, iat=m.seconds(-90)),
    "no jti": lambda m: m.proof(KEY, jti=None),
    "typ of a JWT": lambda m: m.proof(KEY, {"typ": "JWT"}),
    "nonsense": lambda m: "a.b.c",
}


@pytest.mark.parametrize("case", TOKEN_PROOFS)
def test_a_bad_proof_gets_no_token_and_does_not_spend_the_assertion(market, case):
    assertion = market.assertion(market.house.cast["pharma"])
    refused = market.ask(assertion, TOKEN_PROOFS[case](market))
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_dpop_proof")
    assert market.ask(assertion).status_code == 200


def test_a_replayed_proof_gets_no_token_and_the_assertion_with_it_is_not_spent(market):
    pharma, proof = market.house.cast["pharma"], market.proof(KEY)
    assert market.ask(market.assertion(pharma), proof).status_code == 200
    assertion = market.assertion(pharma)
    refused = market.ask(assertion, proof)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_dpop_proof")
    assert market.ask(assertion).status_code == 200


def test_two_proof_headers_are_refused(market):
    token = market.token("pharma", KEY)
    proofs = [("DPoP", market.resource_proof(KEY, token)) for _ in range(2)]
    answer = market.http.get(f"{market.url}/v1/participants", headers=[("Authorization", f"DPoP {token}"), *proofs])
    assert (answer.status_code, answer.json()["got"]) == (401, "2")


def test_a_proof_works_once_also_for_reading(market):
    token = market.token("pharma", KEY)
    proof = market.resource_proof(KEY, token)
    assert market.read(token, proof).status_code == 200
    again = market.read(token, proof)
    assert (again.status_code, again.json()["type"]) == (401, "/problems/invalid-proof")
    assert "used before" in again.json()["detail"]


def test_a_proof_shown_for_a_reading_request_is_spent_even_if_the_thing_is_not_found(market):
    token = market.token("pharma", KEY)
    proof = market.resource_proof(KEY, token, htu=f"{market.url}/v1/participants/prt_nobody")
    path = "/v1/participants/prt_nobody"
    assert market.read(token, proof, path=path).status_code == 404
    assert market.read(token, proof, path=path).status_code == 401


def test_a_bound_token_is_not_a_bearer_token(market):
    token = market.token("pharma", KEY)
    for proof in (None, market.resource_proof(KEY, token)):
        answer = market.read(token, proof, scheme="Bearer")
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/invalid-token")


def test_an_unbound_token_cannot_be_shown_with_a_proof(market):
    token = market.token("pharma")
    assert market.read(token, scheme="Bearer").status_code == 200
    assert market.read(token, market.resource_proof(KEY, token)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Basic YTpi")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer  x")],
        [("Authorization", "Bearer x"), ("Authorization", "Bearer y")],
    ],
)
def test_without_one_clear_token_the_challenge_says_where_to_get_one(market, headers):
    answer = market.http.get(f"{market.url}/v1/participants", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/authentication-required")
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert "DPoP algs=" in challenge
    assert f"{market.url}/.well-known/oauth-protected-resource" in challenge


def _secret(m, purpose="at+jwt"):
    return mac_key(m.house.runtime.service_key, purpose).secret


def _access(m, sign=None, header=None, **changes):
    """An access token as the service makes it, unless something about it is said otherwise."""
    pharma = m.house.cast["pharma"]
    claims = {
        "iss": m.url, "aud": m.url, "sub": pharma.id, "client_id": pharma.id,
        "iat": m.seconds(), "exp": m.seconds(300), "jti": "t", "kid": pharma.key.kid,
    }  # fmt: skip
    kept = {name: value for name, value in (claims | changes).items() if value is not None}
    head = {"alg": "HS256", "kid": m.house.runtime.service_key.kid, "typ": "at+jwt"} | (header or {})
    return compact(head, kept, sign or hmac_signer(_secret(m)))


def _cut(m, octets):
    whole = hmac_signer(_secret(m))
    return lambda data: whole(data)[:octets]


# What makes it, of the market `m` and the service key `s`, and what its refusal names.
ACCESS = {
    "signed by the participant": (
        lambda m, s: _access(m, signer(m.house.cast["pharma"].key), {"alg": "ES256"}), "`alg`"
    ),
    "signed by anybody under our kid": (lambda m, s: _access(m, signer(generate_key()), {"alg": "EdDSA"}), "`alg`"),
    "signed by the service, as once": (lambda m, s: _access(m, signer(s), {"alg": "EdDSA"}), "`alg`"),
    "its signature said to be a MAC": (lambda m, s: _access(m, signer(s)), "not made here"),
    "not signed": (lambda m, s: _access(m, lambda _: b"x", {"alg": "none"}), "`alg`"),
    "a MAC said to be a signature": (lambda m, s: _access(m, header={"alg": "EdDSA"}), "`alg`"),
    "a MAC of another length": (lambda m, s: _access(m, header={"alg": "HS512"}), "`alg`"),
    "no algorithm": (lambda m, s: _access(m, header={"alg": None}), "`alg`"),
    "HMAC with our public key": (
        lambda m, s: _access(m, hmac_signer(json.dumps(s.public_jwk).encode())), "not made here"
    ),
    "HMAC with the octets of our public key": (
        lambda m, s: _access(m, hmac_signer(urlsafe_b64decode(s.public_jwk["x"] + "="))), "not made here"
    ),
    "HMAC with nothing": (lambda m, s: _access(m, hmac_signer(b"")), "not made here"),
    "HMAC for another purpose": (lambda m, s: _access(m, hmac_signer(_secret(m, "receipt"))), "not made here"),
    "HMAC of anybody under our kid": (
        lambda m, s: _access(m, hmac_signer(mac_key(generate_key(), "at+jwt").secret)), "not made here"
    ),
    "half of the MAC": (lambda m, s: _access(m, _cut(m, 16)), "not made here"),
    "an octet of the MAC": (lambda m, s: _access(m, _cut(m, 1)), "not made here"),
    "kid of another key": (lambda m, s: _access(m, header={"kid": generate_key().kid}), "`kid`"),
    "no kid": (lambda m, s: _access(m, header={"kid": None}), "`kid`"),
    "typ of a JWT": (lambda m, s: _access(m, header={"typ": "JWT"}), "`typ`"),
    "expired": (lambda m, s: _access(m, exp=m.seconds()), "expired"),
    "from the future": (lambda m, s: _access(m, iat=m.seconds(61)), "future"),
    "other issuer": (lambda m, s: _access(m, iss="https://evil.example"), "`iss`"),
    "other audience": (lambda m, s: _access(m, aud="https://evil.example"), "`aud`"),
    "no client key": (lambda m, s: _access(m, kid=None), "`kid`"),
    "key of another": (lambda m, s: _access(m, kid=m.house.cast["insurer"].key.kid), "no longer valid"),
    "unknown participant": (lambda m, s: _access(m, sub="prt_nobody"), "no longer valid"),
    "an assertion": (lambda m, s: m.assertion(m.house.cast["pharma"]), "`typ`"),
    "nonsense": (lambda m, s: "x.y.z", "base64url"),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCESS)
def test_a_forged_or_stale_access_token_opens_nothing(market, case):
    make, fragment = ACCESS[case]
    assert market.read(_access(market), scheme="Bearer").status_code == 200
    answer = market.read(make(market, market.house.runtime.service_key), scheme="Bearer")
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/invalid-token")
    assert fragment in answer.json()["detail"]
    assert answer.json()["action"] in {"get a fresh token", "get a token with a valid key"}
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_token_ends_with_its_time_its_key_and_its_participant(market):
    operator, pharma = market.house.cast["operator"].actor, market.house.cast["pharma"]
    token = market.token("pharma")
    assert market.read(token, scheme="Bearer").status_code == 200
    with market.house.db() as db:
        service.suspend(db, operator, pharma.id, "identity in doubt", market.house.clock.now())
    suspended = market.read(token, scheme="Bearer")
    assert (suspended.status_code, suspended.json()["type"]) == (401, "/problems/participant-suspended")
    with market.house.db() as db:
        service.reinstate(db, operator, pharma.id, "identity proven", market.house.clock.now())
    assert market.read(token, scheme="Bearer").status_code == 200
    with market.house.db() as db:
        service.revoke_key(db, operator, pharma.id, pharma.key.kid, "compromised", market.house.clock.now())
    revoked = market.read(token, scheme="Bearer")
    assert (revoked.status_code, revoked.json()["type"]) == (401, "/problems/invalid-token")
    other = market.token("insurer")
    market.house.clock.advance(timedelta(seconds=299))
    assert market.read(other, scheme="Bearer").status_code == 200
    market.house.clock.advance(timedelta(seconds=1))
    assert market.read(other, scheme="Bearer").status_code == 401
