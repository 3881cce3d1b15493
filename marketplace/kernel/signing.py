"""Keys and detached signatures: JWS (RFC 7515, 7797) over canonical bytes, EdDSA or ES256, nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, TypeAlias

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from jwt.api_jws import PyJWS
from jwt.utils import base64url_decode, base64url_encode, der_to_raw_signature, raw_to_der_signature

from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.errors import Invalid, shown

ALGORITHMS = ("EdDSA", "ES256")
_DETACHED: Final = {"b64": False, "crit": ["b64"]}
"""How a header says that the payload itself is signed (RFC 7797); a compact JWS says nothing of it."""


class _DeterministicES256(ECAlgorithm):
    """ES256 with the nonce of RFC 6979: signing the same document again gives the same bytes, as EdDSA does.

    A client that repeats a request after a crash then sends the same body under the same Idempotency-Key.
    """

    def sign(self, msg: bytes, key: Any) -> bytes:
        return der_to_raw_signature(key.sign(msg, ECDSA(SHA256(), deterministic_signing=True)), key.curve)


_ES256 = ECDSA(SHA256())
_JWS = PyJWS(algorithms=[])
_JWS.register_algorithm("EdDSA", OKPAlgorithm())
_JWS.register_algorithm("ES256", _DeterministicES256(ECAlgorithm.SHA256, SECP256R1))

PrivateKey: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey
Jwk: TypeAlias = dict[str, Any]


class BadKey(Invalid):
    """The key is not of an accepted kind."""


class BadSignature(Invalid):
    """The signature does not fit the document."""


@dataclass(frozen=True)
class SigningKey:
    """A private key with its id; only its owner holds one."""

    private: PrivateKey
    kid: str
    algorithm: str

    @property
    def public_jwk(self) -> Jwk:
        """The public half as JWK (RFC 7517) with `kid` and `alg`."""
        return dict(self._public)

    @cached_property
    def _public(self) -> Jwk:
        return _public_jwk(self.private) | {"kid": self.kid, "alg": self.algorithm}

    def to_pem(self) -> bytes:
        """PKCS#8 PEM, not encrypted: for a file of mode 0600 in the owner's folder."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign_detached(self, payload: bytes, *, typ: str) -> str:
        """Sign exact bytes; returns a compact JWS with detached payload (RFC 7797), `typ` names the document."""
        return _JWS.encode(
            payload,
            self.private,
            algorithm=self.algorithm,
            headers={"kid": self.kid, "typ": typ},
            is_payload_detached=True,
        )

    def sign_compact(self, payload: bytes, *, typ: str) -> str:
        """Sign exact bytes; returns a compact JWS (RFC 7515) that carries them.  The same bytes, the same JWS."""
        signed = b".".join((_protected(self.algorithm, self.kid, typ), base64url_encode(payload)))
        signature = _JWS.get_algorithm_by_name(self.algorithm).sign(signed, self.private)
        return b".".join((signed, base64url_encode(signature))).decode()

    def sign_claims(self, claims: dict[str, Any], *, typ: str, headers: dict[str, Any] | None = None) -> str:
        """Sign a claims set as compact JWT (RFC 7519)."""
        return jwt.encode(
            claims, self.private, algorithm=self.algorithm, headers={"kid": self.kid, "typ": typ} | (headers or {})
        )


@lru_cache(maxsize=64)
def _protected(algorithm: str, kid: str, typ: str) -> bytes:
    """The protected header as a JWS carries it; the members stand in the order in which the library writes them."""
    header = {"typ": typ, "alg": algorithm, "kid": kid}
    return base64url_encode(json.dumps(header, separators=(",", ":"), sort_keys=True).encode())


def generate_key(algorithm: str = "EdDSA") -> SigningKey:
    """A fresh key pair; its id is the RFC 7638 thumbprint of its public half."""
    private: PrivateKey
    match algorithm:
        case "EdDSA":
            private = Ed25519PrivateKey.generate()
        case "ES256":
            private = generate_ec(SECP256R1())
        case _:
            raise BadKey("unknown algorithm", expected=" or ".join(ALGORITHMS), got=algorithm)
    return _with_id(private)


def load_private_key(pem: bytes) -> SigningKey:
    """Read a PKCS#8 PEM.  Raises BadKey for any other kind than Ed25519 and P-256."""
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise BadKey(f"not a readable private key: {error}") from error
    if not isinstance(private, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise BadKey("unsupported key", expected="Ed25519 or P-256", got=type(private).__name__)
    return _with_id(private)


def require_public_jwk(jwk: Jwk) -> Jwk:
    """Check a public key and return it reduced to its public members with `kid` (thumbprint) and `alg`.

    Raises BadKey: private members present, other curve, or not on the curve.
    """
    if "d" in jwk:
        raise BadKey("a private key was sent", expected="the public half only", action="destroy this key pair")
    shapes = {("OKP", "Ed25519"): (("crv", "kty", "x"), "EdDSA"), ("EC", "P-256"): (("crv", "kty", "x", "y"), "ES256")}
    kind = (str(jwk.get("kty")), str(jwk.get("crv")))
    if kind not in shapes:
        raise BadKey("unsupported key", expected="OKP/Ed25519 or EC/P-256", got=shown("/".join(kind)))
    members, algorithm = shapes[kind]
    public = {name: jwk.get(name) for name in members}
    try:
        jwt.PyJWK(public, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise BadKey(f"key members do not form a key: {error}") from error
    if jwk.get("alg") not in (None, algorithm):
        raise BadKey("key and algorithm do not fit", expected=algorithm, got=str(jwk.get("alg")))
    return public | {"kid": thumbprint(public), "alg": algorithm}


def thumbprint(jwk: Jwk) -> str:
    """RFC 7638 SHA-256 thumbprint of a public JWK, base64url without padding."""
    members = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y")}[str(jwk["kty"])]
    required = json.dumps({name: jwk[name] for name in members}, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(required.encode()).digest()).rstrip(b"=").decode()


def read_header(token: str) -> dict[str, Any]:
    """The protected header of a compact JWS, read strictly and not yet verified.  Raises BadSignature."""
    part = token.split(".", 1)[0]
    try:
        header = read_strictly(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError as error:
        raise BadSignature("the JWS header is not base64url") from error
    if not isinstance(header, dict):
        raise BadSignature("the JWS header is not an object")
    return header


def verify_detached(token: str, payload: bytes, jwk: Jwk, *, typ: str) -> None:
    """Check a detached JWS against exact bytes, one public key and the document type.

    Raises BadSignature: wrong `typ`, `kid` or algorithm, a second spelling of the same JWS, or the bytes were not
    signed by this key.
    """
    public = _require_header(token, jwk, typ, _DETACHED)
    try:
        PyJWS().decode(token, jwt.PyJWK(public, public["alg"]), algorithms=[public["alg"]], detached_payload=payload)
    except (jwt.PyJWTError, InvalidSignature, ValueError) as error:
        raise BadSignature(
            "the signature was not made over these bytes with this key",
            action="sign the exact bytes of the prepared document",
        ) from error


def verify_compact(token: str, jwk: Jwk, *, typ: str) -> bytes:
    """Check a compact JWS against one public key and its type; returns the bytes it carries.  Raises BadSignature."""
    public = _require_header(token, jwk, typ, {})
    try:
        payload: bytes = PyJWS().decode(token, jwt.PyJWK(public, public["alg"]), algorithms=[public["alg"]])
    except (jwt.PyJWTError, InvalidSignature, ValueError) as error:
        raise BadSignature("the signature does not fit what the JWS carries") from error
    return payload


def holds(signed: bytes, signature: bytes, jwk: Jwk) -> bool:
    """Whether a signature of JWS over exact bytes is this public key's.

    jwk: public members, all text, with `alg`.  The parsed key is kept, never what it signed.
    """
    try:
        _check_by(tuple(sorted(jwk.items())))(signature, signed)
    except (InvalidSignature, jwt.PyJWTError, ValueError, TypeError):
        return False
    return True


@lru_cache(maxsize=1024)
def _check_by(members: tuple[tuple[str, str], ...]) -> Callable[[bytes, bytes], None]:
    """What checks (signature, signed bytes) by a key.  Raises InvalidSignature, or ValueError: another length."""
    jwk = dict(members)
    match jwt.PyJWK(jwk, jwk["alg"]).key:
        case Ed25519PublicKey() as key:
            return key.verify
        case EllipticCurvePublicKey(curve=SECP256R1()) as key:
            return lambda signature, signed: key.verify(raw_to_der_signature(signature, key.curve), signed, _ES256)
        case _:
            raise ValueError("a key of another kind")


def _require_header(token: str, jwk: Jwk, typ: str, detachment: dict[str, Any]) -> Jwk:
    _require_one_spelling(token)
    header = read_header(token)
    public = require_public_jwk(jwk)
    for name, expected in (("typ", typ), ("kid", public["kid"]), ("alg", public["alg"])):
        if header.get(name) != expected:
            raise BadSignature(f"JWS header `{name}` differs", expected=expected, got=str(header.get(name)))
    if {name: header[name] for name in _DETACHED if name in header} != detachment:
        raise BadSignature("JWS headers `b64` and `crit` differ", expected=json.dumps(detachment))
    return public


def _require_one_spelling(token: str) -> None:
    """Refuse padding and whatever else the library reads past: who signs so could say that others find no signature."""
    for part in token.split("."):
        try:
            plain = base64url_encode(base64url_decode(part)).decode()
        except (jwt.PyJWTError, ValueError) as error:
            raise BadSignature("a part of the JWS is not base64url") from error
        if part != plain:
            raise BadSignature("a part of the JWS is not base64url as RFC 7515 writes it", expected="no padding")


def _with_id(private: PrivateKey) -> SigningKey:
    public = require_public_jwk(_public_jwk(private))
    return SigningKey(private=private, kid=public["kid"], algorithm=public["alg"])


def _public_jwk(private: PrivateKey) -> Jwk:
    if isinstance(private, Ed25519PrivateKey):
        return dict(OKPAlgorithm.to_jwk(private.public_key(), as_dict=True))
    return dict(ECAlgorithm.to_jwk(private.public_key(), as_dict=True))
