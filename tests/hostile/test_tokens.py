"""No forged or odd token is accepted, at any of the doors that read one (T19, G19)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import func, select

from marketplace.kernel.errors import Invalid
from marketplace.kernel.macs import mac_key
from marketplace.kernel.signing import generate_key
from marketplace.participants import compact as reading
from marketplace.participants import dpop, tokens
from marketplace.participants.models import SeenToken
from tests.hostile.tokens import Good, spoiled
from tests.house import open_house
from tests.participants.small_market import Market, ath, b64, bare, compact, hmac_signer, open_market, signer

PROOF_KEY = generate_key("ES256")
FUZZED = 20_000


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    folder: Path = tmp_path_factory.mktemp("tokens")
    with open_house(folder / "house") as house, open_market(house) as opened:
        yield opened


def assertion(market: Market, name: str) -> Good:
    party = market.house.cast[name]
    header = {"alg": party.key.algorithm, "kid": party.key.kid, "typ": "JWT"}
    claims = market.assertion_claims(party)
    return Good(header, claims, signer(party.key), party.key.public_jwk, ("iat", "exp"), ("iss", "sub", "aud"))


def proof(market: Market, token: str) -> Good:
    header = {"alg": PROOF_KEY.algorithm, "typ": "dpop+jwt", "jwk": bare(PROOF_KEY)}
    claims = {
        "jti": b64(random.randbytes(12)),
        "htm": "GET",
        "htu": f"{market.url}/v1/participants",
        "iat": market.seconds(),
        "ath": ath(token),
    }
    return Good(header, claims, signer(PROOF_KEY), PROOF_KEY.public_jwk, ("iat",), ("htm", "htu", "ath"))


def access(market: Market) -> Good:
    pharma, key = market.house.cast["pharma"], market.house.runtime.service_key
    claims = {
        "iss": market.url, "aud": market.url, "sub": pharma.id, "client_id": pharma.id,
        "iat": market.seconds(), "exp": market.seconds(300), "jti": "t", "kid": pharma.key.kid,
    }  # fmt: skip
    header = {"alg": "HS256", "kid": key.kid, "typ": "at+jwt"}
    sign = hmac_signer(mac_key(key, "at+jwt").secret)
    return Good(header, claims, sign, key.public_jwk, ("iat", "exp"), ("iss", "aud", "sub", "kid"))


def seen(market: Market) -> int:
    with market.house.runtime.database.reading() as db:
        return db.exec(select(func.count()).select_from(SeenToken)).one()


def harmless(name: str) -> bool:
    """Changes that leave a token as good as it was: what it says is still true and still signed."""
    # Our own token: a long life is what we gave it.
    return name in {"iat 0", "exp 2147483648"}


def test_the_corpus_is_large_enough(market: Market) -> None:
    kinds = [assertion(market, "hospital"), assertion(market, "pharma"), proof(market, "t"), access(market)]
    names = [{name for name, _ in spoiled(good)} for good in kinds]
    assert sum(map(len, names)) >= 600
    assert all(len(one) >= 100 for one in names)


@pytest.mark.parametrize("name", ["hospital", "pharma"])
def test_no_spoiled_assertion_gets_a_token(market: Market, name: str) -> None:
    before = seen(market)
    for what, token in spoiled(assertion(market, name)):
        answer = market.ask(token)
        assert answer.status_code in {400, 401, 422}, (what, answer.status_code, answer.text[:300])
        assert answer.json()["type"] in {
            "/problems/invalid-client", "/problems/invalid-token-request", "/problems/nul-character",
        }, what  # fmt: skip
        assert "access_token" not in answer.text
    assert seen(market) == before
    assert market.ask(assertion(market, name).token()).status_code == 200


def test_no_spoiled_proof_opens_anything(market: Market) -> None:
    token = market.token("pharma", PROOF_KEY)
    for what, made in spoiled(proof(market, token)):
        if not made.isascii() or not made.isprintable():
            continue  # no header can carry it
        answer = market.read(token, made)
        assert answer.status_code == 401, (what, answer.status_code, answer.text[:300])
    assert market.read(token, proof(market, token).token()).status_code == 200


def test_no_spoiled_access_token_opens_anything(market: Market) -> None:
    good = access(market)
    for what, made in spoiled(good):
        if not made.isascii() or not made.isprintable() or harmless(what):
            continue
        answer = market.read(made, scheme="Bearer")
        assert answer.status_code == 401, (what, answer.status_code, answer.text[:300])
    assert market.read(good.token(), scheme="Bearer").status_code == 200


def odd_value(dice: random.Random, depth: int = 0) -> Any:
    kinds = [
        lambda: dice.choice(
            ["EdDSA", "ES256", "none", "HS256", "JWT", "at+jwt", "dpop+jwt", "", "x", "\u0000", "\ud800", "张"]
        ),
        lambda: dice.choice([None, True, False, 0, -1, 2**53, 2**70, 0.5, float("nan"), float("inf")]),
        lambda: dice.randbytes(dice.randrange(12)).hex(),
        lambda: [odd_value(dice, depth + 1) for _ in range(dice.randrange(3))],
        lambda: {odd_name(dice): odd_value(dice, depth + 1) for _ in range(dice.randrange(3))},
    ]
    return dice.choice(kinds[: 3 if depth > 3 else 5])()


def odd_name(dice: random.Random) -> str:
    known = ["alg", "kid", "typ", "jwk", "jku", "x5u", "crit", "b64", "iss", "sub", "aud", "exp", "iat", "jti", "cnf"]
    return dice.choice([*known, "Alg", "x", "", "__proto__", "\ud800"])


def fuzzed(dice: random.Random, good: Good) -> str:
    """A good token of which some members, some octets or the signature were replaced at random."""
    header, claims, ours = dict(good.header), dict(good.claims), dice.random() < 0.1
    for changed in dice.sample([header, header, header if ours else claims], dice.randrange(1, 4)):
        if changed and dice.random() < 0.3:
            del changed[dice.choice(sorted(changed))]
        else:
            changed[odd_name(dice)] = odd_value(dice)
    token = compact(header, claims, good.sign if ours else lambda _data: dice.randbytes(64))
    if dice.random() < 0.2:
        at = dice.randrange(len(token))
        token = token[:at] + dice.choice("A.=-_ \x00é") + token[at + dice.randrange(2) :]
    return token


def test_no_fuzzed_token_is_accepted_or_breaks_the_reader(market: Market) -> None:
    seed = 20_260_901
    dice, runtime, now = random.Random(seed), market.house.runtime, market.house.clock.now()
    kinds = [access(market), proof(market, "t")]
    url = f"{market.url}/v1/participants"
    accepted = []
    for _ in range(FUZZED):
        good = dice.choice(kinds)
        token = fuzzed(dice, good)
        try:
            if good is kinds[0]:
                tokens.read_access_token(token, now, runtime)
            else:
                dpop.check([token], method="GET", url=url, now=now, skew=tokens.ASSERTION_LIFE, access_token="t")
        except Invalid:
            continue
        accepted.append(token)
    # Whatever was accepted must say the same as the good one: an unread claim was added, or nothing was changed.
    for token in accepted:
        said = reading.read(token)
        good = kinds[0] if said.header["typ"] == "at+jwt" else kinds[1]
        read = set(good.texts) | set(good.moments)
        assert {name: said.claims[name] for name in read} == {name: good.claims[name] for name in read}, (seed, token)
        # A proof's `kid` says nothing: its key is `jwk`.
        unread = {"kid": 0} if good is kinds[1] else {}
        assert said.header | unread == good.header | unread, (seed, token)
        assert json.dumps(said.claims)
    assert len(accepted) < FUZZED / 50
