"""A small real application over the house: participants and assets, with an edge gate like the front door's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
from fastapi import APIRouter, FastAPI
from jwt.algorithms import get_default_algorithms
from sqlmodel import select

from marketplace.assets import routes as assets
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.audit.receipts import Promises
from marketplace.client.api import ApiClient, in_process
from marketplace.kernel.signing import SigningKey
from marketplace.participants import routes as participants
from marketplace.participants.authentication import authenticate, judge_headers
from marketplace.participants.tokens import ASSERTION_TYPE, GRANT_TYPE
from marketplace.plumbing import problems
from tests.house import House, SeedParty

Sign = Callable[[bytes], bytes]


class Gate(Promises):
    def judge_headers(self, request, now):
        judge_headers(request, now, self._runtime)

    def authenticate(self, db, request, now):
        return authenticate(db, request, now, self._runtime)

    def record_refusal(self, db, actor, route, error, now):
        record(db, actor, Tag.REQUEST_REFUSED, now, facts={"route": route, "reason": error.slug})


def application(runtime, more: Sequence[APIRouter] = ()) -> FastAPI:
    app = FastAPI()
    app.state.runtime = runtime
    app.state.gate = Gate(runtime)
    problems.install(app)
    for routes in (participants.routes, assets.routes, *more):
        app.include_router(routes)
    return app


@dataclass
class Market:
    house: House
    http: httpx2.Client

    @property
    def url(self) -> str:
        return self.house.runtime.settings.public_url

    def client(self, name: str) -> ApiClient:
        party = self.house.cast[name]
        return ApiClient(self.http, self.url, party.id, party.key, self.house.clock)

    def entries(self, tag: Tag) -> list[dict[str, Any]]:
        with self.house.runtime.database.reading() as db:
            rows = db.exec(select(Entry).where(Entry.tag == tag.value).order_by(Entry.id)).all()
            return [json.loads(row.body) for row in rows]

    # What a client sends, made by hand so that it can be wrong.

    def seconds(self, offset: float = 0) -> int:
        return int((self.house.clock.now() + timedelta(seconds=offset)).timestamp())

    def assertion_claims(self, party: SeedParty, **changes: Any) -> dict[str, Any]:
        claims = {
            "iss": party.id,
            "sub": party.id,
            "aud": self.url,
            "iat": self.seconds(),
            "exp": self.seconds(120),
            "jti": uuid4().hex,
        }
        return without_none(claims | changes)

    def assertion(self, party: SeedParty, header: dict[str, Any] | None = None, **changes: Any) -> str:
        head = without_none({"alg": party.key.algorithm, "kid": party.key.kid, "typ": "JWT"} | (header or {}))
        return compact(head, self.assertion_claims(party, **changes), signer(party.key))

    def ask(self, assertion: str, proof: str | None = None, **form: str) -> httpx2.Response:
        fields = {
            "grant_type": GRANT_TYPE,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        } | form
        headers = {"DPoP": proof} if proof else {}
        return self.http.post(f"{self.url}/oauth/token", data=fields, headers=headers)

    def proof(self, key: SigningKey, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A DPoP proof; by default for the token endpoint."""
        claims = {"jti": uuid4().hex, "htm": "POST", "htu": f"{self.url}/oauth/token", "iat": self.seconds()}
        head = {"alg": key.algorithm, "typ": "dpop+jwt", "jwk": bare(key)} | (header or {})
        return compact(without_none(head), without_none(claims | changes), signer(key))

    def token(self, name: str, proof_key: SigningKey | None = None) -> str:
        proof = self.proof(proof_key) if proof_key else None
        answer = self.ask(self.assertion(self.house.cast[name]), proof)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def resource_proof(self, key: SigningKey, token: str, header: dict[str, Any] | None = None, **changes: Any) -> str:
        defaults = {"htm": "GET", "htu": f"{self.url}/v1/participants", "ath": ath(token)}
        return self.proof(key, header, **(defaults | changes))

    def read(self, token: str, proof: str | None = None, scheme: str = "DPoP", path: str = "/v1/participants"):
        headers = [("Authorization", f"{scheme} {token}")] + ([("DPoP", proof)] if proof else [])
        return self.http.get(self.url + path, headers=headers)


@contextmanager
def open_market(house: House, more: Sequence[APIRouter] = ()) -> Iterator[Market]:
    with in_process(application(house.runtime, more), house.runtime.settings.public_url) as http:
        yield Market(house, http)


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def bare(key: SigningKey) -> dict[str, str]:
    return {name: value for name, value in key.public_jwk.items() if name in ("kty", "crv", "x", "y")}


def ath(token: str) -> str:
    return b64(hashlib.sha256(token.encode()).digest())


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def signer(key: SigningKey, algorithm: str | None = None) -> Sign:
    chosen = get_default_algorithms()[algorithm or key.algorithm]
    return lambda data: chosen.sign(data, key.private)


def hmac_signer(secret: bytes) -> Sign:
    return lambda data: hmac.new(secret, data, hashlib.sha256).digest()


def compact(header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes, sign: Sign) -> str:
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    signed = ".".join(b64(part) for part in parts)
    return f"{signed}.{b64(sign(signed.encode()))}"
