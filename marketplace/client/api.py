"""The API as one participant uses it: tokens, proofs and signatures are made here with the party's own key."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import httpx2

from marketplace.client.keys import KeyFolder
from marketplace.client.problem import problem_of
from marketplace.client.receipts import HEADER, ReceiptBook
from marketplace.client.signer import LOOPBACK, Signer, SignerService
from marketplace.kernel.canonical import canonical, read_strictly, sha256_hex
from marketplace.kernel.clock import Clock, SystemClock
from marketplace.kernel.errors import Conflict, Invalid
from marketplace.kernel.ids import new_id
from marketplace.kernel.signing import Jwk, SigningKey

if TYPE_CHECKING:
    from starlette.testclient import TestClient

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_PATH = "/oauth/token"  # noqa: S105 - an address, no secret
KEYS_PATH = "/.well-known/jwks.json"
ASSERTION_SECONDS = 60
# A token is renewed this long before its end, so that it is still valid when it arrives.
RENEW_BEFORE = timedelta(seconds=20)
# A proxy that the environment names cannot reach this machine's own services, and would be told what they are asked.
_DIRECT = {f"all://[{host}]" if ":" in host else f"all://{host}": None for host in LOOPBACK}

Content: TypeAlias = bytes | Iterator[bytes] | IO[bytes]
Params: TypeAlias = Mapping[str, str | int | bool | Sequence[str | int] | None]


class NotTheDocument(Invalid):
    """The bytes that were served are not the document that was to be signed."""


class NotAdmitted(Conflict):
    """This party is not a participant yet."""


class ApiClient:
    """One participant's access to a marketplace.

    http: any httpx2 client, over the network or in process (`in_process`); base_url: the server's public address,
    which tokens and proofs name as their audience; clock: the client's own, or a story's; person: who acts for the
    participant, as it names them, None for a machine; receipts: where those of the answers are checked and kept, None:
    they are ignored; signer: who signs documents, None: the key itself, which always proves who calls.
    Every method raises ProblemError for an answer of 400 and above.  May be shared by threads.
    """

    def __init__(
        self,
        http: httpx2.Client,
        base_url: str,
        participant_id: str,
        key: SigningKey,
        clock: Clock,
        *,
        person: str | None = None,
        receipts: ReceiptBook | None = None,
        signer: Signer | None = None,
    ) -> None:
        self.participant_id = participant_id
        self.key = key
        self.receipts = receipts
        self.signer: Signer = signer or key
        self._person = person
        self._http = http
        self.base_url = base_url.rstrip("/")
        self._clock = clock
        self._lock = threading.Lock()
        self._token: tuple[str, datetime] | None = None

    def get(self, path: str, params: Params | None = None) -> Any:
        """The JSON of a resource."""
        return self._send("GET", path, params=params).json()

    def get_again(self, path: str, params: Params | None, held: str | None) -> tuple[Any, str | None]:
        """The JSON of a resource and its ETag; None while it is the one whose ETag is held."""
        response = self._open("GET", path, params=params, headers={"If-None-Match": held} if held else {})
        try:
            if response.status_code == HTTPStatus.NOT_MODIFIED:
                return None, held
            _checked(response).read()
            return response.json(), response.headers.get("ETag")
        finally:
            response.close()

    def get_bytes(self, path: str, params: Params | None = None) -> bytes:
        """The exact bytes of a resource, whole in memory."""
        return self._send("GET", path, params=params).content

    def post(self, path: str, json: Any = None, key: str | None = None) -> Any:
        """Ask for a change.  key: Idempotency-Key; without one every call is a new intent."""
        headers = {"Idempotency-Key": key or new_id("key")}
        return _json(self._send("POST", path, json={} if json is None else json, headers=headers))

    def put(self, path: str, content: Content, params: Params | None = None) -> Any:
        """Send a file's bytes."""
        headers = {"Content-Type": "application/octet-stream"}
        return _json(self._send("PUT", path, content=content, params=params, headers=headers))

    @contextmanager
    def stream(
        self, path: str, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx2.Response]:
        """A response that is read piece by piece (`iter_bytes`); leaving the block ends it."""
        response = self._open("GET", path, params=params, headers=headers)
        try:
            yield _checked(response)
        finally:
            response.close()

    def sign(self, document: str, kind: str, *, require: Callable[[Any], None] | None = None) -> dict[str, str]:
        """Sign a prepared document: fetch its exact bytes, check that they are it, have them signed for the party.

        document: its SHA-256; kind: its type, e.g. `opinion`; require: raises for contents that are not to be signed.
        Returns {"document", "jws"} as the API takes it.
        Raises NotTheDocument: other bytes, or bytes that could be read in two ways; SignerSilent, WrongSigner.
        """
        body = self.get_bytes(f"/v1/documents/{document}")
        if sha256_hex(body) != document:
            raise NotTheDocument("the served bytes have another hash", expected=document, got=sha256_hex(body))
        if canonical(read_strictly(body)) != body:
            raise NotTheDocument("the document is not canonical JSON", expected="RFC 8785 bytes", got=document)
        if require is not None:
            require(read_strictly(body))
        return {"document": document, "jws": self.signer.sign_detached(body, typ=f"{kind}+jws")}

    def _send(self, method: str, path: str, **parts: Any) -> httpx2.Response:
        response = self._open(method, path, **parts)
        try:
            _checked(response).read()
        finally:
            response.close()
        return response

    def _open(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **parts: Any
    ) -> httpx2.Response:
        token = self._access_token()
        response = self._ask(method, path, token, headers, parts)
        # Refused before anything was done: the instance's own key was replaced, and the token went with it.
        if response.status_code == HTTPStatus.UNAUTHORIZED and isinstance(parts.get("content", b""), bytes):
            response.close()
            response = self._ask(method, path, self._access_token(instead_of=token), headers, parts)
        if self.receipts is not None and HEADER in response.headers:
            about: dict[str, str | int] = {"method": method, "path": path, "status": response.status_code}
            self.receipts.take(response.headers[HEADER], self._service_keys, **about)
        return response

    def _ask(
        self, method: str, path: str, token: str, headers: Mapping[str, str] | None, parts: dict[str, Any]
    ) -> httpx2.Response:
        request = self._http.build_request(method, self.base_url + path, headers=dict(headers or {}), **parts)
        request.headers["Authorization"] = f"DPoP {token}"
        request.headers["DPoP"] = self._proof(method, request.url, token)
        return self._http.send(request, stream=True, follow_redirects=False)

    def _service_keys(self) -> list[Jwk]:
        response = _checked(self._http.get(self.base_url + KEYS_PATH, follow_redirects=False))
        return [dict(one) for one in response.json()["keys"]]

    def _access_token(self, instead_of: str = "") -> str:
        with self._lock:
            if self._token is None or self._token[0] == instead_of or self._token[1] <= self._clock.now():
                self._token = self._fresh_token()
            return self._token[0]

    def _fresh_token(self) -> tuple[str, datetime]:
        asked_at = self._clock.now()
        request = self._http.build_request(
            "POST",
            self.base_url + TOKEN_PATH,
            data={
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": self._assertion(asked_at),
            },
        )
        request.headers["DPoP"] = self._proof("POST", request.url, None)
        response = _checked(self._http.send(request, follow_redirects=False))
        issued = response.json()
        return str(issued["access_token"]), asked_at + timedelta(seconds=int(issued["expires_in"])) - RENEW_BEFORE

    def _assertion(self, now: datetime) -> str:
        signed_at = int(now.timestamp())
        claims = {
            "iss": self.participant_id,
            "sub": self.participant_id,
            "aud": self.base_url,
            "iat": signed_at,
            "exp": signed_at + ASSERTION_SECONDS,
            "jti": new_id("jti"),
        }
        claims |= {"person": self._person} if self._person is not None else {}
        return self.key.sign_claims(claims, typ="client-authentication+jwt")

    def _proof(self, method: str, url: httpx2.URL, token: str | None) -> str:
        """A DPoP proof with the party's own key, so that whoever shares a token would have to share that key."""
        claims: dict[str, Any] = {
            "jti": new_id("jti"),
            "htm": method,
            "htu": str(url.copy_with(query=None, fragment=None)),
            "iat": int(self._clock.now().timestamp()),
        }
        if token is not None:
            claims["ath"] = _base64url(bytes.fromhex(sha256_hex(token.encode())))
        return sign_proof(self.key, claims)


def sign_proof(key: SigningKey, claims: dict[str, Any]) -> str:
    """Sign DPoP claims; the header carries the public key itself (RFC 9449 section 4.2)."""
    jwk = {name: value for name, value in key.public_jwk.items() if name in ("kty", "crv", "x", "y")}
    return key.sign_claims(claims, typ="dpop+jwt", headers={"jwk": jwk})


def in_process(app: Any, base_url: str, *, raise_server_exceptions: bool = False) -> TestClient:
    """A client straight into an ASGI application: same requests, no socket; responses stream piece by piece.

    Use it as a context manager: the application starts and ends with the block and all requests share one loop.
    Uploads are held in memory one at a time.
    """
    from starlette.testclient import TestClient

    return TestClient(app, base_url=base_url, raise_server_exceptions=raise_server_exceptions)


def _checked(response: httpx2.Response) -> httpx2.Response:
    if response.is_success:
        return response
    response.read()
    response.close()
    raise problem_of(response)


def _json(response: httpx2.Response) -> Any:
    return response.json() if response.content else None


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@contextmanager
def connect(url: str, party_folder: Path, *, person: str | None = None) -> Iterator[ApiClient]:
    """A client over the network for the party whose key lies in a folder made by KeyFolder; receipts are kept there.

    person: who acts for the party, as it names them, None for a machine.  A proxy that the environment names
    (`HTTPS_PROXY`, `NO_PROXY`) is used, but never on the way to this machine itself.
    Raises NoSuchParty, or NotAdmitted when the party has no participant id yet.
    """
    party = KeyFolder(party_folder.parent).load(party_folder.name)
    if party.participant_id is None:
        raise NotAdmitted("this party is not admitted yet", got=party.name, action="ask the platform operator")
    with httpx2.Client(timeout=300, mounts=_DIRECT) as http:
        book = ReceiptBook(party_folder)
        signer = SignerService(http, party.signer) if party.signer else None
        yield ApiClient(
            http,
            url,
            party.participant_id,
            party.key,
            SystemClock(),
            person=person,
            receipts=book,
            signer=signer,
        )
