"""Access tokens: a client proves itself with an assertion signed by its own key, and gets a short-lived token.

OAuth2 client credentials (RFC 6749 section 4.4) with a JWT client assertion (RFC 7523); the token follows RFC 9068
and is bound to the key of a DPoP proof if one comes with the request (RFC 9449 section 5).  It carries a MAC and no
signature: who gives it is the only one who reads it (decision 19).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlmodel import Session

from marketplace.audit import persons
from marketplace.kernel.actor import Actor
from marketplace.kernel.ids import new_id
from marketplace.kernel.macs import MacKey, mac_key
from marketplace.participants import compact, dpop, one_time, queries
from marketplace.participants.compact import BadToken, Compact
from marketplace.participants.models import ParticipantKey
from marketplace.plumbing.problems import BadRequest, Unauthenticated
from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings

TOKEN_PATH = "/oauth/token"  # noqa: S105 - an address, no secret
GRANT_TYPE = "client_credentials"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE = timedelta(minutes=5)
MAX_PERSON = 120

_SCOPE = "assertion"
_ASSERTION_TYP: frozenset[str | None] = frozenset({None, "JWT", "client-authentication+jwt"})
_TYP = "at+jwt"
_ACCESS_TYP: frozenset[str | None] = frozenset({_TYP})
_HEADER = frozenset({"alg", "kid", "typ"})


class InvalidClient(Unauthenticated):
    """The client assertion does not prove who is asking."""

    code = "invalid_client"


class InvalidTokenRequest(BadRequest):
    """The token request is not well formed."""

    code = "invalid_request"


class UnsupportedGrantType(BadRequest):
    """Tokens are given for client credentials only."""

    code = "unsupported_grant_type"


class InvalidDpopProof(BadRequest):
    """The DPoP proof of the token request does not hold."""

    code = "invalid_dpop_proof"


TOKEN_REFUSALS = (InvalidClient, InvalidTokenRequest, UnsupportedGrantType, InvalidDpopProof)


@dataclass(frozen=True)
class TokenRequest:
    """The form of a token request.  proofs: the values of its DPoP header."""

    grant_type: str
    client_assertion_type: str
    client_assertion: str
    client_id: str | None = None
    proofs: Sequence[str] = ()


@dataclass(frozen=True)
class IssuedToken:
    """A fresh access token.  expires_in: seconds; person: the commitment of the person that the assertion named."""

    access_token: str
    token_type: Literal["Bearer", "DPoP"]
    expires_in: int
    person: str | None = None


class AccessClaims(NamedTuple):
    """What a checked access token says.

    kid: the client key it was given for; bound_to: thumbprint of its DPoP key; person: commitment of who acts.
    """

    participant: str
    kid: str
    bound_to: str | None
    person: str | None = None


def token_endpoint(settings: Settings) -> str:
    """The address of the token endpoint, also an accepted audience of assertions."""
    return settings.public_url.rstrip("/") + TOKEN_PATH


def issue(
    db: Session, asked: TokenRequest, now: datetime, runtime: Runtime, *, known: Callable[[str], None]
) -> IssuedToken:
    """Check a client assertion, spend it, and give an access token.

    The assertion may name the person who acts; the token refers to that person by the commitment alone.
    known: told the participant once the assertion is spent, never the name that a form claims; it may refuse.
    Raises InvalidClient, InvalidTokenRequest, UnsupportedGrantType, InvalidDpopProof.  A token changes nothing, and
    whatever is done with it records participant, client key and person; only a person who is named for the first time
    is an entry.  Records: participant:person_named.
    """
    _require_grant(asked)
    try:
        assertion = compact.read(asked.client_assertion)
        key = _client_key(db, assertion, asked.client_id, now)
        expires_at = _require_claims(assertion, now, runtime.settings)
        person = _person(assertion)
    except BadToken as error:
        raise InvalidClient(error.detail, expected=error.expected, got=error.got, action=error.action) from error
    proof = _proof(asked, now, runtime.settings)

    one_time.forget_expired(db, now)
    _spend(db, key.participant_id, assertion, expires_at, proof)
    known(key.participant_id)

    caller = Actor(key.participant_id, frozenset(), kid=key.kid, person=person)
    reference = persons.introduce(db, caller, now) if person is not None else None

    claims = _access_claims(key, proof, reference, now, runtime.settings)
    token = _secret(runtime).claims(claims, typ=_TYP)
    return IssuedToken(token, "DPoP" if proof else "Bearer", runtime.settings.access_token_seconds, reference)


def read_access_token(token: str, now: datetime, runtime: Runtime) -> AccessClaims:
    """Check an access token of ours (RFC 9068 section 4); participant and key are judged by the caller.

    Raises BadToken.
    """
    settings = runtime.settings
    found = compact.read(token)
    found.require_header(typ=_ACCESS_TYP, known=_HEADER)
    found.require_mac(_secret(runtime))
    found.text_claim("iss", settings.public_url)
    found.text_claim("aud", settings.public_url)
    issued_at, expires_at = found.moment_claim("iat"), found.moment_claim("exp")
    if expires_at <= now:
        raise compact.wrong_moment("the access token has expired", now, expires_at)
    if issued_at > now + timedelta(seconds=settings.clock_skew_seconds):
        raise compact.wrong_moment("the access token is from the future", now, issued_at)
    confirmation = found.claims.get("cnf", {})
    if not isinstance(confirmation, dict):
        raise BadToken("claim `cnf` is not an object", got=type(confirmation).__name__)
    person = found.text_claim("person") if "person" in found.claims else None
    return AccessClaims(found.text_claim("sub"), found.text_claim("kid"), confirmation.get("jkt"), person)


def _secret(runtime: Runtime) -> MacKey:
    """What tokens are made and checked with; it goes when the service key goes."""
    return mac_key(runtime.service_key, _TYP)


def _require_grant(asked: TokenRequest) -> None:
    if asked.grant_type != GRANT_TYPE:
        raise UnsupportedGrantType("this grant type is not offered", expected=GRANT_TYPE, got=asked.grant_type[:80])
    if asked.client_assertion_type != ASSERTION_TYPE:
        raise InvalidTokenRequest(
            "this client assertion type is not accepted", expected=ASSERTION_TYPE, got=asked.client_assertion_type[:80]
        )


def _client_key(db: Session, assertion: Compact, client_id: str | None, now: datetime) -> ParticipantKey:
    """The registered, living key that signed the assertion, of a participant that is not suspended."""
    assertion.require_header(typ=_ASSERTION_TYP, known=_HEADER)
    participant_id = assertion.text_claim("iss", client_id)
    assertion.text_claim("sub", participant_id)
    kid = assertion.header.get("kid")
    key = queries.live_key(db, participant_id, kid, now) if isinstance(kid, str) else None
    if key is None:
        raise BadToken(
            "header `kid` names no valid key of this participant",
            expected=f"a registered key of {participant_id}",
            got=repr(kid)[:80],
            action="register the key, or sign with one that is not revoked",
        )
    assertion.require_signature(key.jwk)
    if queries.participant(db, participant_id).suspended_at is not None:
        raise BadToken("this participant is suspended", got=participant_id, action="ask the platform operator")
    return key


def _require_claims(assertion: Compact, now: datetime, settings: Settings) -> datetime:
    """Judge audience, times and id; returns when the assertion is too old to be shown again."""
    skew = timedelta(seconds=settings.clock_skew_seconds)
    audience = assertion.text_claim("aud")
    if audience not in (settings.public_url, token_endpoint(settings)):
        raise BadToken(
            "claim `aud` names another service",
            expected=f"{settings.public_url} or {token_endpoint(settings)}",
            got=audience,
        )
    assertion.text_claim("jti")
    signed_at, expires_at = assertion.moment_claim("iat"), assertion.moment_claim("exp")
    starts_at = assertion.moment_claim("nbf") if "nbf" in assertion.claims else signed_at
    if max(signed_at, starts_at) > now + skew:
        raise compact.wrong_moment("the assertion is from the future", now, max(signed_at, starts_at))
    if expires_at + skew <= now:
        raise compact.wrong_moment("the assertion has expired", now, expires_at)
    if not timedelta(0) < expires_at - signed_at <= ASSERTION_LIFE:
        raise BadToken(
            "the assertion lives too long or ends before it begins",
            expected=f"`exp` at most {ASSERTION_LIFE.seconds} s after `iat`",
            got=f"{(expires_at - signed_at).total_seconds():.0f} s",
        )
    return expires_at + skew


def _person(assertion: Compact) -> str | None:
    """Who acts for the participant, as it names that person; never said back."""
    value = assertion.claims.get("person")
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_PERSON or not value.isprintable():
        raise BadToken(
            "claim `person` is not the short name of a person",
            expected=f"1 to {MAX_PERSON} printable characters",
            got=f"{len(value)} characters" if isinstance(value, str) else type(value).__name__,
        )
    return value


def _proof(asked: TokenRequest, now: datetime, settings: Settings) -> dpop.Proof | None:
    if not asked.proofs:
        return None
    skew = timedelta(seconds=settings.clock_skew_seconds)
    try:
        return dpop.check(asked.proofs, method="POST", url=token_endpoint(settings), now=now, skew=skew)
    except BadToken as error:
        raise InvalidDpopProof(error.detail, expected=error.expected, got=error.got, action=error.action) from error


def _spend(
    db: Session, participant_id: str, assertion: Compact, expires_at: datetime, proof: dpop.Proof | None
) -> None:
    try:
        one_time.spend(db, _SCOPE, participant_id, assertion.text_claim("jti"), expires_at)
    except one_time.Replayed as error:
        raise InvalidClient(error.detail, got=error.got, action=error.action) from error
    try:
        if proof is not None:
            one_time.spend(db, dpop.SCOPE, proof.thumbprint, proof.jti, proof.expires_at)
    except one_time.Replayed as error:
        raise InvalidDpopProof(error.detail, got=error.got, action=error.action) from error


def _access_claims(
    key: ParticipantKey, proof: dpop.Proof | None, person: str | None, now: datetime, settings: Settings
) -> dict[str, object]:
    issued_at = int(now.timestamp())
    claims: dict[str, object] = {
        "iss": settings.public_url,
        "aud": settings.public_url,
        "sub": key.participant_id,
        "client_id": key.participant_id,
        "iat": issued_at,
        "exp": issued_at + settings.access_token_seconds,
        "jti": new_id("tok"),
        "kid": key.kid,
    }
    claims |= {"person": person} if person is not None else {}
    return claims | ({"cnf": {"jkt": proof.thumbprint}} if proof else {})
