"""Every way of asking for a token that must not work: each is refused as a problem, and leaves nothing behind."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms
from sqlmodel import func, select

from marketplace.kernel.signing import generate_key
from marketplace.participants import service
from marketplace.participants.models import SeenToken
from tests.participants.small_market import b64, bare, compact, hmac_signer, signer


def _public_pem(party):
    return party.key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _raw(market, party, claims_text):
    header = {"alg": party.key.algorithm, "kid": party.key.kid, "typ": "JWT"}
    return compact(header, claims_text.encode(), signer(party.key))


def _claims_text(market, party, **changes):
    return json.dumps(market.assertion_claims(party, **changes))


def _unsigned(m, p):
    return compact({"alg": "none", "kid": p.key.kid}, m.assertion_claims(p), lambda _: b"x")


def _unsigned_empty(m, p):
    return compact({"alg": "none", "kid": p.key.kid}, m.assertion_claims(p), lambda _: b"")


def _hmac_with_pem(m, p):
    return compact({"alg": "HS256", "kid": p.key.kid}, m.assertion_claims(p), hmac_signer(_public_pem(p)))


def _hmac_with_jwk(m, p):
    secret = json.dumps(p.key.public_jwk).encode()
    return compact({"alg": "HS256", "kid": p.key.kid}, m.assertion_claims(p), hmac_signer(secret))


def _es256_key_says_eddsa(m, _):
    pharma = m.house.cast["pharma"]
    return m.assertion(pharma, {"alg": "EdDSA"})


def _rsa(m, p):
    rsa = generate_rsa(65537, 2048)
    sign = get_default_algorithms()["RS256"].sign
    return compact({"alg": "RS256", "kid": p.key.kid}, m.assertion_claims(p), lambda data: sign(data, rsa))


def _other_key_same_kid(m, p):
    return compact({"alg": "EdDSA", "kid": p.key.kid}, m.assertion_claims(p), signer(generate_key()))


def _key_of_another(m, p):
    other = m.house.cast["insurer"].key
    return compact({"alg": "EdDSA", "kid": other.kid}, m.assertion_claims(p), signer(other))


def _changed_claims(m, p):
    header, _, signature = m.assertion(p).split(".")
    return f"{header}.{b64(_claims_text(m, p, exp=m.seconds(299)).encode())}.{signature}"


def _second_spelling(m, p):
    """The last character of an Ed25519 signature has unused bits: another text for the same octets."""
    token = m.assertion(p)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) | 1]


def _duplicate_claim(m, p):
    return _raw(m, p, _claims_text(m, p)[:-1] + ', "aud": "https://evil.example"}')


def _duplicate_header(m, p):
    header = f'{{"alg":"none","alg":"EdDSA","kid":"{p.key.kid}"}}'
    return compact(header.encode(), m.assertion_claims(p), signer(p.key))


def _nan(m, p):
    return _raw(m, p, _claims_text(m, p)[:-1] + ', "x": NaN}')


def _deep(m, p):
    return _raw(m, p, _claims_text(m, p)[:-1] + ', "x": ' + "[" * 40 + "]" * 40 + "}")


def _very_deep(m, p):
    return _raw(m, p, '{"x": ' + "[" * 2000 + "]" * 2000 + "}")


def _cross(m, p):
    return compact({"alg": "ES256", "kid": p.key.kid}, m.assertion_claims(p), signer(m.house.cast["pharma"].key))


def _embedded(m, p):
    key = generate_key()
    return compact({"alg": "EdDSA", "kid": p.key.kid, "jwk": bare(key)}, m.assertion_claims(p), signer(key))


def _with_header(**header):
    return lambda m, p: m.assertion(p, header)


def _with(**changes):
    return lambda m, p: m.assertion(p, **{k: v(m, p) if callable(v) else v for k, v in changes.items()})


CORPUS = {
    "not signed": (_unsigned, "algorithm"),
    "not signed, empty signature": (_unsigned_empty, "compact"),
    "HMAC with the public PEM": (_hmac_with_pem, "algorithm"),
    "HMAC with the public JWK": (_hmac_with_jwk, "algorithm"),
    "P-256 key that says EdDSA": (_es256_key_says_eddsa, "algorithm"),
    "Ed25519 key that says ES256": (_cross, "algorithm"),
    "RSA": (_rsa, "algorithm"),
    "algorithm in other letters": (_with_header(alg="eddsa"), "algorithm"),
    "algorithm None": (_with_header(alg="None"), "algorithm"),
    "no algorithm": (_with_header(alg=None), "algorithm"),
    "algorithm is a list": (_with_header(alg=["EdDSA"]), "algorithm"),
    "another key under our kid": (_other_key_same_kid, "signature"),
    "key of another participant": (_key_of_another, "kid"),
    "unknown kid": (_with_header(kid="nobody"), "kid"),
    "kid is a path": (_with_header(kid="../../../../dev/null"), "kid"),
    "kid is an injection": (_with_header(kid="' OR '1'='1"), "kid"),
    "kid is a number": (_with_header(kid=1), "kid"),
    "no kid": (_with_header(kid=None), "kid"),
    "crit": (_with_header(crit=["exp"]), "header members"),
    "crit b64": (_with_header(crit=["b64"], b64=False), "header members"),
    "jku": (_with_header(jku="https://evil.example/keys"), "header members"),
    "x5u": (_with_header(x5u="https://evil.example/chain"), "header members"),
    "x5c": (_with_header(x5c=["MIIB"]), "header members"),
    "embedded jwk": (_embedded, "header members"),
    "unknown header": (_with_header(zip="DEF"), "header members"),
    "typ of an access token": (_with_header(typ="at+jwt"), "typ"),
    "typ of a proof": (_with_header(typ="dpop+jwt"), "typ"),
    "typ of a document": (_with_header(typ="agreement+jws"), "typ"),
    "typ is a number": (_with_header(typ=7), "typ"),
    "duplicate claim": (_duplicate_claim, "same key twice"),
    "duplicate header": (_duplicate_header, "same key twice"),
    "NaN": (_nan, "NaN"),
    "deep": (_deep, "nested"),
    "very deep": (_very_deep, "claims"),
    "exp is a float": (_with(exp=lambda m, p: m.seconds(60) + 0.5), "canonical form"),
    "iat is 1e400": (lambda m, p: _raw(m, p, _claims_text(m, p)[:-1] + ', "y": 1e400}'), "canonical form"),
    "exp is text": (_with(exp=lambda m, p: str(m.seconds(60))), "claim `exp`"),
    "exp is true": (_with(exp=True), "claim `exp`"),
    "exp is huge": (_with(exp=2**53 - 1), "exp"),
    "no exp": (_with(exp=None), "exp"),
    "no iat": (_with(iat=None), "iat"),
    "no jti": (_with(jti=None), "jti"),
    "empty jti": (_with(jti=""), "jti"),
    "jti is a number": (_with(jti=1), "jti"),
    "very long jti": (_with(jti="x" * 257), "jti"),
    "expired": (_with(iat=lambda m, p: m.seconds(-200), exp=lambda m, p: m.seconds(-60)), "expired"),
    "iat in the future": (_with(iat=lambda m, p: m.seconds(61), exp=lambda m, p: m.seconds(120)), "future"),
    "nbf in the future": (_with(nbf=lambda m, p: m.seconds(90)), "future"),
    "lives too long": (_with(exp=lambda m, p: m.seconds(301)), "too long"),
    "ends before it begins": (_with(iat=lambda m, p: m.seconds(10), exp=lambda m, p: m.seconds(5)), "too long"),
    "audience of another": (_with(aud="https://evil.example"), "aud"),
    "audience is a list": (_with(aud=lambda m, p: [m.url, "https://evil.example"]), "aud"),
    "audience with a tail": (_with(aud=lambda m, p: m.url + ".evil.example"), "aud"),
    "no audience": (_with(aud=None), "aud"),
    "issuer differs from subject": (_with(sub="prt_insurer"), "sub"),
    "no subject": (_with(sub=None), "sub"),
    "no issuer": (_with(iss=None), "iss"),
    "issuer is unknown": (_with(iss="prt_nobody", sub="prt_nobody"), "kid"),
    "changed after signing": (_changed_claims, "signature"),
    "second spelling of the signature": (_second_spelling, "spelling"),
    "four parts": (lambda m, p: m.assertion(p) + ".x", "compact"),
    "two parts": (lambda m, p: m.assertion(p).rsplit(".", 1)[0], "compact"),
    "line break": (lambda m, p: m.assertion(p) + "\n", "compact"),
    "padding": (lambda m, p: m.assertion(p) + "=", "compact"),
    "claims are a list": (lambda m, p: _raw(m, p, "[]"), "object"),
    "claims are not JSON": (lambda m, p: _raw(m, p, "exp=1"), "claims"),
    "too long": (_with(filler="x" * 8200), "too long"),
    "empty": (lambda m, p: "", "compact"),
}


@pytest.mark.parametrize("case", CORPUS)
def test_a_bad_assertion_gets_no_token(market, case):
    make, fragment = CORPUS[case]
    answer = market.ask(make(market, market.house.cast["hospital"]))
    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["error"], body["type"]) == ("invalid_client", "/problems/invalid-client")
    said = " ".join(str(body.get(name, "")) for name in ("detail", "expected", "got"))
    assert fragment in said, said
    with market.house.runtime.database.reading() as db:
        assert db.exec(select(func.count()).select_from(SeenToken)).one() == 0


def test_the_corpus_is_large_enough():
    assert len(CORPUS) >= 60


def test_an_assertion_works_once(market):
    assertion = market.assertion(market.house.cast["hospital"])
    assert market.ask(assertion).status_code == 200
    again = market.ask(assertion)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    assert "used before" in again.json()["detail"]


def test_an_assertion_is_remembered_for_as_long_as_it_could_be_accepted(market):
    assertion = market.assertion(market.house.cast["hospital"], exp=market.seconds(300))
    assert market.ask(assertion).status_code == 200
    for _ in range(8):  # also past the end of the claims, while the skew still tolerates them
        market.house.clock.advance(timedelta(seconds=50))
        assert market.ask(assertion).status_code == 401
        assert market.ask(market.assertion(market.house.cast["insurer"])).status_code == 200  # drops what is old


def test_the_same_jti_of_two_participants_is_two_ids(market):
    for name in ("hospital", "insurer"):
        assert market.ask(market.assertion(market.house.cast[name], jti="one")).status_code == 200


def test_a_revoked_key_gets_no_token_and_an_older_one_still_does(market):
    hospital = market.house.cast["hospital"]
    with market.house.db() as db:
        fresh = generate_key()
        service.register_key(db, hospital.actor, hospital.id, fresh.public_jwk, market.house.clock.now())
        service.revoke_key(db, hospital.actor, hospital.id, hospital.key.kid, "superseded", market.house.clock.now())
    refused = market.ask(market.assertion(hospital))
    assert refused.status_code == 401
    assert "kid" in refused.json()["detail"]
    header = {"alg": "EdDSA", "kid": fresh.kid}
    assert market.ask(compact(header, market.assertion_claims(hospital), signer(fresh))).status_code == 200


def test_a_key_past_its_planned_end_gets_no_token(market):
    hospital, key, now = market.house.cast["hospital"], generate_key(), market.house.clock.now()
    with market.house.db() as db:
        service.register_key(db, hospital.actor, hospital.id, key.public_jwk, now, until=now + timedelta(days=1))
    header = {"alg": "EdDSA", "kid": key.kid}
    assert market.ask(compact(header, market.assertion_claims(hospital), signer(key))).status_code == 200
    market.house.clock.advance(timedelta(days=1))
    assert market.ask(compact(header, market.assertion_claims(hospital), signer(key))).status_code == 401


def test_a_suspended_participant_gets_no_token(market):
    operator, hospital = market.house.cast["operator"], market.house.cast["hospital"]
    with market.house.db() as db:
        service.suspend(db, operator.actor, hospital.id, "identity in doubt", market.house.clock.now())
    refused = market.ask(market.assertion(hospital))
    assert (refused.status_code, refused.json()["detail"]) == (401, "this participant is suspended")


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, 400, "unsupported_grant_type"),
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, 400, "invalid_request"),
        ({"client_id": "prt_insurer"}, 401, "invalid_client"),
    ],
)
def test_a_wrong_parameter_is_named(market, form, status, error):
    answer = market.ask(market.assertion(market.house.cast["hospital"]), **form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"grant_type=client_credentials",
        b"grant_type=client_credentials&grant_type=password&client_assertion_type=x&client_assertion=y",
        b"grant_type",
        b"\xff=1",
        b"a=" + b"x" * 20000,
        b"&".join(b"a%d=1" % i for i in range(50)),
    ],
)
def test_an_unclear_form_is_refused(market, body):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = market.http.post(f"{market.url}/oauth/token", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_json_token_request_is_refused(market):
    answer = market.http.post(f"{market.url}/oauth/token", json={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
