"""Who calls: an access token of ours, the key it is bound to, and the participant as the register knows it now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Request
from sqlmodel import Session
from structlog import get_logger

from marketplace.audit import commitments
from marketplace.kernel.actor import Actor
from marketplace.participants import dpop, one_time, queries, tokens
from marketplace.participants.compact import BadToken
from marketplace.participants.tokens import AccessClaims
from marketplace.plumbing.problems import Unauthenticated, template_of
from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings

_ALGORITHMS = 'algs="EdDSA ES256"'


class AuthenticationRequired(Unauthenticated):
    """This address needs an access token."""


class InvalidToken(Unauthenticated):
    """The access token is not valid."""


class InvalidProof(Unauthenticated):
    """The DPoP proof of this request does not hold."""


class ParticipantSuspended(Unauthenticated):
    """This participant is suspended."""


def authenticate(db: Session, request: Request, now: datetime, runtime: Runtime) -> Actor:
    """The caller of a request, with the roles that the register gives it now.

    The proof of a bound token is spent: with the request's own transaction if that writes, at once if it only reads.
    Raises Unauthenticated: AuthenticationRequired, InvalidToken, InvalidProof, ParticipantSuspended.
    """
    found = recognise(db, request, now, runtime)
    # Writing requests remember the proof together with their effect: refused and rolled back, it had none.
    if _writes(db):
        found.spend(db)
    elif found.proof is not None:
        # A reading transaction has its snapshot already; on SQLite it could not begin to write beside other writers,
        # and if it could it would hold the only write lock until the answer is ready.
        runtime.database.grouped(found.spend)
    return found.actor


@dataclass(frozen=True)
class Recognised:
    """A caller whose token and proof hold.  proof: of a bound token, not yet spent."""

    actor: Actor
    proof: dpop.Proof | None
    request: Request
    settings: Settings

    def spend(self, db: Session) -> None:
        """Remember the proof in a writing transaction, so that it is good for one request.  Raises InvalidProof."""
        if self.proof is None:
            return
        try:
            one_time.spend(db, dpop.SCOPE, self.proof.thumbprint, self.proof.jti, self.proof.expires_at)
        except BadToken as error:
            refusal = _invalid_proof(error, self.settings)
            get_logger().info("authentication refused", reason=refusal.slug, path=template_of(self.request))
            raise refusal from error


def recognise(db: Session, request: Request, now: datetime, runtime: Runtime) -> Recognised:
    """As `authenticate`, by reading only: whoever acts on it spends the proof in the transaction that acts."""
    try:
        scheme, token = _credentials(request, runtime.settings)
        claims = _claims(token, now, runtime)
        roles = _roles(db, claims.participant, claims.kid, now, runtime.settings)
        person = _person(db, claims, runtime.settings)
        bound = scheme == "dpop" or claims.bound_to is not None
        proof = _fitting_proof(request, scheme, token, claims, now, runtime.settings) if bound else None
    except Unauthenticated as error:
        get_logger().info("authentication refused", reason=error.slug, path=template_of(request))
        raise
    actor = Actor(claims.participant, roles, kid=claims.kid, proof_thumbprint=claims.bound_to, person=person)
    return Recognised(actor, proof, request, runtime.settings)


def judge_headers(request: Request, now: datetime, runtime: Runtime) -> str:
    """The participant that token and proof name, before a body is read: no database, and nothing is spent.

    Whether it may still act, and whether the proof is new, `authenticate` says.
    Raises Unauthenticated: AuthenticationRequired, InvalidToken, InvalidProof.
    """
    try:
        scheme, token = _credentials(request, runtime.settings)
        claims = _claims(token, now, runtime)
        if scheme == "dpop" or claims.bound_to is not None:
            _fitting_proof(request, scheme, token, claims, now, runtime.settings)
    except Unauthenticated as error:
        get_logger().info("authentication refused", reason=error.slug, path=template_of(request))
        raise
    return claims.participant


def _credentials(request: Request, settings: Settings) -> tuple[str, str]:
    """The scheme in lower case, and the token."""
    headers = request.headers.getlist("authorization")
    words = headers[0].split(" ") if len(headers) == 1 else []
    if len(words) != 2 or words[0].lower() not in ("bearer", "dpop"):
        raise AuthenticationRequired(
            "one Authorization header with an access token is needed",
            expected="Authorization: DPoP <token>, or Bearer <token>",
            got=f"{len(headers)} Authorization headers" if len(headers) != 1 else "another scheme or shape",
            action=f"get a token at {tokens.token_endpoint(settings)}",
            challenge=f"{_challenge('Bearer', settings)}, {_challenge('DPoP', settings)}",
        )
    return words[0].lower(), words[1]


def _claims(token: str, now: datetime, runtime: Runtime) -> AccessClaims:
    try:
        return tokens.read_access_token(token, now, runtime)
    except BadToken as error:
        raise InvalidToken(
            error.detail,
            expected=error.expected,
            got=error.got,
            action="get a fresh token",
            challenge=_challenge("Bearer", runtime.settings, "invalid_token"),
        ) from error


def require_still(db: Session, actor: Actor, runtime: Runtime) -> None:
    """For who has waited since it was authenticated: raises InvalidToken or ParticipantSuspended as it would be now."""
    _roles(db, actor.participant, actor.kid or "", runtime.clock.now(), runtime.settings)


def _roles(db: Session, participant: str, kid: str, now: datetime, settings: Settings) -> frozenset[str]:
    """Roles by the register; the token says only who was asking when it was issued."""
    challenge = _challenge("Bearer", settings, "invalid_token")
    if queries.live_key(db, participant, kid, now) is None:
        raise InvalidToken(
            "the key that this token was given for is no longer valid",
            got=kid,
            action="get a token with a valid key",
            challenge=challenge,
        )
    found = queries.participant(db, participant)
    if found.suspended_at is not None:
        raise ParticipantSuspended(
            "this participant is suspended", got=found.id, action="ask the platform operator", challenge=challenge
        )
    return frozenset(found.roles)


def _person(db: Session, claims: AccessClaims, settings: Settings) -> str | None:
    """Who acts, by the reference in the token; an erased person acts no more."""
    if claims.person is None:
        return None
    found = commitments.identifier_of(db, claims.person, claims.participant)
    if found is None:
        raise InvalidToken(
            "the person that this token was given for was erased",
            action="get a fresh token",
            challenge=_challenge("Bearer", settings, "invalid_token"),
        )
    return found


def _fitting_proof(
    request: Request, scheme: str, token: str, claims: AccessClaims, now: datetime, settings: Settings
) -> dpop.Proof:
    """The proof of a bound token, checked and not yet spent."""
    if scheme != "dpop" or claims.bound_to is None:
        raise InvalidToken(
            "scheme and token do not fit: a bound token is shown with the scheme DPoP and a proof, another as Bearer",
            expected="DPoP" if claims.bound_to else "Bearer",
            got=scheme,
            challenge=_challenge("DPoP", settings, "invalid_token"),
        )
    try:
        return _check_proof(request, token, claims.bound_to, now, settings)
    except BadToken as error:
        raise _invalid_proof(error, settings) from error


def _invalid_proof(error: BadToken, settings: Settings) -> InvalidProof:
    return InvalidProof(
        error.detail,
        expected=error.expected,
        got=error.got,
        action=error.action or "sign a proof for this request",
        challenge=_challenge("DPoP", settings, "invalid_dpop_proof"),
    )


def _check_proof(request: Request, token: str, bound_to: str, now: datetime, settings: Settings) -> dpop.Proof:
    proof = dpop.check(
        request.headers.getlist("dpop"),
        method=request.method,
        url=settings.public_url.rstrip("/") + _path(request),
        now=now,
        skew=timedelta(seconds=settings.clock_skew_seconds),
        access_token=token,
    )
    if proof.thumbprint != bound_to:
        raise BadToken("the proof was made with another key than the token's", expected=bound_to, got=proof.thumbprint)
    return proof


def _writes(db: Session) -> bool:
    """Whether the session was opened to write: the option that `plumbing.db` sets on its engine."""
    return bool(db.get_bind().get_execution_options().get("marketplace_write", True))


def _path(request: Request) -> str:
    """The path as it was sent: decoding it first would make `%2F` and `/` the same."""
    raw = request.scope.get("raw_path")
    return raw.decode("ascii") if raw else request.url.path


def _challenge(scheme: str, settings: Settings, error: str | None = None) -> str:
    """A WWW-Authenticate challenge (RFC 6750, 9449, 9728)."""
    metadata = f"{settings.public_url.rstrip('/')}/.well-known/oauth-protected-resource"
    parts = [f'error="{error}"'] if error else []
    parts += [_ALGORITHMS] if scheme == "DPoP" else []
    return f"{scheme} " + ", ".join([*parts, f'resource_metadata="{metadata}"'])
