"""A signer service over real HTTP: what it signs is checked, what it answers otherwise goes nowhere."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from marketplace.client.api import ApiClient, in_process
from marketplace.client.keys import KeyFolder
from marketplace.client.signer import BadSignerAddress, SignerAddress, SignerService, SignerSilent, WrongSigner
from marketplace.kernel.clock import timestamp
from marketplace.kernel.signing import SigningKey, generate_key, verify_detached
from marketplace.main import create_app
from marketplace.participants import service
from marketplace.plumbing.runtime import Runtime
from tests.house import House
from tests.negotiation.parts import drafted

PAYLOAD = b'{"type":"agreement"}'


@dataclass
class Vault:
    """A signer service as a party might run it: it holds the key and signs what it is sent.

    answer: what it answers instead; asked: what it was asked, in order.
    """

    key: SigningKey
    url: str = ""
    answer: tuple[int, bytes] | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    @property
    def address(self) -> SignerAddress:
        return SignerAddress(self.url, self.key.public_jwk)


@pytest.fixture
def vault() -> Iterator[Vault]:
    found = Vault(generate_key("ES256"))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.asked.append(asked)
            signed = found.key.sign_detached(base64.b64decode(asked["payload"]), typ=asked["typ"])
            status, body = found.answer or (200, json.dumps({"jws": signed}).encode())
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/sign"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_signs_exact_bytes_under_the_type_that_it_is_told(vault: Vault) -> None:
    with httpx2.Client(trust_env=False) as http:
        jws = SignerService(http, vault.address).sign_detached(PAYLOAD, typ="agreement+jws")
    verify_detached(jws, PAYLOAD, vault.key.public_jwk, typ="agreement+jws")
    (asked,) = vault.asked
    assert (asked["kid"], asked["typ"]) == (vault.key.kid, "agreement+jws")
    assert base64.b64decode(asked["payload"]) == PAYLOAD


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((500, b""), SignerSilent),
        ((200, b"[]"), SignerSilent),
        ((200, b"not json"), SignerSilent),
        ((200, b'{"jws": 1}'), SignerSilent),
        ((302, b""), SignerSilent),
        ((200, json.dumps({"jws": "a..b"}).encode()), WrongSigner),
        ((200, json.dumps({"jws": generate_key().sign_detached(PAYLOAD, typ="agreement+jws")}).encode()), WrongSigner),
    ],
)
def test_an_answer_that_is_no_signature_of_the_party_goes_nowhere(
    vault: Vault, answer: tuple[int, bytes], error: type[Exception]
) -> None:
    vault.answer = answer
    with httpx2.Client(trust_env=False) as http, pytest.raises(error):
        SignerService(http, vault.address).sign_detached(PAYLOAD, typ="agreement+jws")


def test_a_signature_over_other_bytes_or_another_type_goes_nowhere(vault: Vault) -> None:
    for payload, typ in ((PAYLOAD + b" ", "agreement+jws"), (PAYLOAD, "listing+jws")):
        vault.answer = (200, json.dumps({"jws": vault.key.sign_detached(payload, typ=typ)}).encode())
        with httpx2.Client(trust_env=False) as http, pytest.raises(WrongSigner):
            SignerService(http, vault.address).sign_detached(PAYLOAD, typ="agreement+jws")


def test_a_service_that_is_not_there_is_told(vault: Vault) -> None:
    gone = SignerAddress("http://127.0.0.1:1/sign", vault.key.public_jwk)
    with httpx2.Client(trust_env=False) as http, pytest.raises(SignerSilent):
        SignerService(http, gone).sign_detached(PAYLOAD, typ="agreement+jws")


@pytest.mark.parametrize("url", ["http://signer.example/sign", "ftp://127.0.0.1/", "sign"])
def test_an_address_that_would_send_bytes_in_clear_is_none(url: str) -> None:
    with pytest.raises(BadSignerAddress):
        SignerAddress.read(json.dumps({"url": url, "jwk": generate_key().public_jwk}).encode())


def test_the_address_lies_in_the_partys_own_folder(tmp_path: Path, vault: Vault) -> None:
    folder = KeyFolder(tmp_path)
    folder.create("pharma")
    assert folder.load("pharma").signer is None
    said = {"url": vault.url, "jwk": vault.key.public_jwk}
    (tmp_path / "pharma" / "signer.json").write_text(json.dumps(said))
    assert folder.load("pharma").signer == vault.address


def test_a_party_signs_its_agreement_by_its_signer_service_alone(house: House, vault: Vault) -> None:
    agreement, pharma = drafted(house), house.cast["pharma"]
    with house.db() as db:
        service.register_key(db, pharma.actor, pharma.id, vault.key.public_jwk, house.clock.now())
    runtime: Runtime = house.runtime
    url = runtime.settings.public_url
    with in_process(create_app(runtime), url) as http, httpx2.Client(trust_env=False) as outside:
        signer = SignerService(outside, vault.address)
        client = ApiClient(http, url, pharma.id, pharma.key, house.clock, signer=signer)
        made = client.sign(agreement.document, "agreement")
        answer = client.post(f"/v1/agreements/{agreement.id}/signature", made)
    (signature,) = answer["signatures"]
    assert (signature["signer"], signature["kid"], signature["alg"]) == (pharma.id, vault.key.kid, "ES256")
    assert answer["negotiation"] == "ACCEPTED"
    assert timestamp(house.clock.now())[:16] == signature["signed_at"][:16]
