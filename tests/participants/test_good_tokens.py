"""What a well-behaved client gets: a short-lived token for its own participant, bound if it proves a key."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from marketplace.kernel.macs import mac_key
from marketplace.kernel.signing import generate_key, thumbprint
from marketplace.participants import compact as strict
from marketplace.plumbing.web import View, router
from tests.house import open_house
from tests.participants.small_market import ath, bare, compact, open_market, signer
from tests.servers import initdb_path, postgresql

who = router("test")


@who.get("/who")
def tell(view: View) -> dict[str, str | list[str] | None]:
    actor = view.actor
    return {
        "participant": actor.participant,
        "roles": sorted(actor.roles),
        "kid": actor.kid,
        "bound": actor.proof_thumbprint,
    }


@pytest.mark.parametrize(("name", "algorithm"), [("hospital", "EdDSA"), ("pharma", "ES256")])
@pytest.mark.parametrize("typ", [None, "JWT", "client-authentication+jwt"])
@pytest.mark.parametrize("audience", ["", "/oauth/token"])
def test_both_algorithms_get_an_rfc_9068_token(market, name, algorithm, typ, audience):
    party = market.house.cast[name]
    assert party.key.algorithm == algorithm
    answer = market.ask(market.assertion(party, {"typ": typ}, aud=market.url + audience))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"], set(body)) == (
        "Bearer", 300, {"access_token", "token_type", "expires_in"},
    )  # fmt: skip
    token = strict.read(body["access_token"])
    token.require_mac(mac_key(market.house.runtime.service_key, "at+jwt"))
    assert token.header["typ"] == "at+jwt"
    assert (token.claims["sub"], token.claims["client_id"], token.claims["kid"]) == (party.id, party.id, party.key.kid)
    assert (token.claims["iat"], token.claims["exp"]) == (market.seconds(), market.seconds(300))
    assert "cnf" not in token.claims


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_a_proof_binds_the_token_to_its_key(market, algorithm):
    key = generate_key(algorithm)
    answer = market.ask(market.assertion(market.house.cast["insurer"]), market.proof(key))
    assert answer.json()["token_type"] == "DPoP"
    token = answer.json()["access_token"]
    assert strict.read(token).claims["cnf"] == {"jkt": thumbprint(key.public_jwk)}
    assert market.read(token, market.resource_proof(key, token)).status_code == 200


def test_skew_is_tolerated_up_to_its_bound(market):
    hospital = market.house.cast["hospital"]
    assert market.ask(market.assertion(hospital, iat=market.seconds(60), exp=market.seconds(300))).status_code == 200
    assert market.ask(market.assertion(hospital, iat=market.seconds(-200), exp=market.seconds(-59))).status_code == 200


def test_the_address_of_a_proof_is_compared_after_normalisation(market):
    key = generate_key()
    token = market.token("insurer", key)
    for htu in ("HTTP://127.0.0.1:8000/v1/participants?x=1#f", "http://127.0.0.1:8000/v1/%70articipants"):
        assert market.read(token, market.resource_proof(key, token, htu=htu)).status_code == 200
    proof = market.resource_proof(key, token)
    assert market.read(token, proof, path="/v1/participants?page=2").status_code == 200


def test_the_actor_has_the_roles_of_the_register_and_the_key_of_the_client(house):
    with open_market(house, [who]) as market:
        pharma = house.cast["pharma"]
        assert market.client("pharma").get("/v1/who") == {
            "participant": pharma.id, "roles": ["buyer"], "kid": pharma.key.kid, "bound": pharma.key.kid,
        }  # fmt: skip
        token = market.token("pharma")
        assert market.read(token, scheme="bearer", path="/v1/who").json()["bound"] is None


def test_the_metadata_say_where_and_how(market):
    server = market.http.get(f"{market.url}/.well-known/oauth-authorization-server").json()
    assert server["issuer"] == market.url
    assert server["token_endpoint"] == f"{market.url}/oauth/token"
    assert server["token_endpoint_auth_signing_alg_values_supported"] == ["EdDSA", "ES256"]
    resource = market.http.get(f"{market.url}/.well-known/oauth-protected-resource").json()
    assert (resource["resource"], resource["authorization_servers"]) == (market.url, [market.url])
    keys = market.http.get(f"{market.url}/.well-known/jwks.json").json()["keys"]
    assert [key["kid"] for key in keys] == [market.house.runtime.service_key.kid]
    assert all("d" not in key for key in keys)


def _race(count, act):
    barrier = threading.Barrier(count)

    def one(_):
        barrier.wait()
        return act().status_code

    with ThreadPoolExecutor(count) as pool:
        return sorted(pool.map(one, range(count)))


def test_of_many_uses_of_one_assertion_at_once_exactly_one_gets_a_token(market):
    for _ in range(3):
        assertion = market.assertion(market.house.cast["hospital"])
        assert _race(8, lambda: market.ask(assertion)) == [200] + [401] * 7  # noqa: B023


def test_of_many_uses_of_one_proof_at_once_exactly_one_reads(market):
    key = generate_key()
    token = market.token("pharma", key)
    for _ in range(3):
        proof = market.resource_proof(key, token)
        assert _race(8, lambda: market.read(token, proof)) == [200] + [401] * 7  # noqa: B023


def test_readers_with_proofs_of_their_own_do_not_disturb_each_other(market):
    client = market.client("pharma")
    client.get("/v1/participants")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: len(client.get("/v1/participants")["items"]), range(40)))
    assert answers == [len(market.house.cast)] * 40


@pytest.mark.skipif(initdb_path() is None, reason="no PostgreSQL on this machine")
def test_one_time_ids_also_hold_on_postgresql(tmp_path):
    with postgresql() as url, open_house(tmp_path / "house", url) as house, open_market(house) as market:
        test_of_many_uses_of_one_assertion_at_once_exactly_one_gets_a_token(market)
        test_of_many_uses_of_one_proof_at_once_exactly_one_reads(market)
        test_readers_with_proofs_of_their_own_do_not_disturb_each_other(market)


def test_a_proof_may_carry_a_kid_that_says_nothing(market):
    key = generate_key()
    token = market.token("pharma", key)
    claims = {"jti": "k", "htm": "GET", "htu": f"{market.url}/v1/participants", "iat": market.seconds()}
    claims["ath"] = ath(token)
    header = {"alg": "EdDSA", "typ": "dpop+jwt", "jwk": bare(key), "kid": "any"}
    assert market.read(token, compact(header, claims, signer(key))).status_code == 200
