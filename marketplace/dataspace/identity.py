"""Who calls over the Dataspace Protocol, and how we say who we are: one port, so that another proof can be put in.

Now: a short token signed with the registered key of the connector, for one address and one time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from sqlmodel import Session

from marketplace.kernel.ids import new_id
from marketplace.participants import compact, connectors, one_time
from marketplace.participants.compact import BadToken
from marketplace.participants.connectors import AnyConnector, Registered
from marketplace.plumbing.problems import Unauthenticated
from marketplace.plumbing.runtime import Runtime

LIFE: Final = timedelta(minutes=5)
TYP: Final = "dataspace+jwt"
_HEADER = frozenset({"alg", "kid", "typ"})
_SCOPE = "dataspace"
C = TypeVar("C", bound=AnyConnector)


class UnknownConnector(Unauthenticated):
    """The caller is not a registered connector."""


class ConnectorRefused(Unauthenticated):
    """This connector is registered and may not speak now."""


def _costs_nothing(_db: Session) -> None:
    """For a proof that may be shown again."""


@dataclass(frozen=True)
class Caller:
    """A connector that has proved who it is.  spend: makes its proof good once, in the transaction that acts.

    It raises Unauthenticated for a proof that was spent before.
    """

    connector: AnyConnector
    spend: Callable[[Session], None] = _costs_nothing


class Identity(Protocol):
    """How the two ends of the protocol prove who they are; the Authorization header is opaque to everything else."""

    def who(self, db: Session, authorization: str, audience: str, now: datetime, runtime: Runtime) -> Caller:
        """Who calls, by reading only.  audience: our base address that was called.  Raises Unauthenticated."""
        ...

    def header(self, participant_id: str, audience: str, now: datetime, runtime: Runtime) -> str:
        """What we send in our own calls for a participant.  audience: the base address that is called."""
        ...


class SignedTokens:
    """Tokens signed by the connector's registered key; ours by the service key, which others register as our key."""

    def who(self, db: Session, authorization: str, audience: str, now: datetime, runtime: Runtime) -> Caller:
        """As `Identity.who`."""
        with _told():
            found, jti, expires_at = self._checked(db, authorization, audience, now, runtime)

        def spend(acting: Session) -> None:
            with _told():
                one_time.spend(acting, _SCOPE, found.id, jti, expires_at)

        return Caller(require_trusted(db, found, now), spend)

    def header(self, participant_id: str, audience: str, now: datetime, runtime: Runtime) -> str:
        """As `Identity.header`."""
        issued_at = int(now.timestamp())
        claims = {"iss": participant_id, "sub": participant_id, "aud": audience, "jti": new_id("tok")}
        times = {"iat": issued_at, "exp": issued_at + int(LIFE.total_seconds())}
        return f"Bearer {runtime.service_key.sign_claims(claims | times, typ=TYP)}"

    def _checked(
        self, db: Session, authorization: str, audience: str, now: datetime, runtime: Runtime
    ) -> tuple[Registered, str, datetime]:
        token = compact.read(authorization.removeprefix("Bearer ").strip())
        token.require_header(typ=frozenset({TYP}), known=_HEADER)
        issuer = token.text_claim("iss")
        found = connectors.by_identifier(db, issuer)
        if found is None:
            raise BadToken("no connector of this name is registered", action="ask the platform operator to register it")
        token.require_signature(found.jwk)
        token.text_claim("sub", issuer)
        token.text_claim("aud", audience)
        skew = timedelta(seconds=runtime.settings.clock_skew_seconds)
        signed_at, expires_at = token.moment_claim("iat"), token.moment_claim("exp")
        if signed_at > now + skew:
            raise compact.wrong_moment("the token is from the future", now, signed_at)
        if expires_at + skew <= now or expires_at - signed_at > LIFE:
            raise compact.wrong_moment("the token has expired or lives too long", now, expires_at)
        return found, token.text_claim("jti"), expires_at + skew


@contextmanager
def _told() -> Iterator[None]:
    """A token that does not hold means a caller that is not known."""
    try:
        yield
    except BadToken as error:
        raise UnknownConnector(
            error.detail,
            expected=error.expected,
            got=error.got,
            action="sign a fresh token with the registered key",
        ) from error


def require_trusted(db: Session, found: C, now: datetime) -> C:
    """Return a connector that is certified and not suspended.  Raises ConnectorRefused."""
    reason = connectors.trouble(db, found, now)
    if reason is not None:
        raise ConnectorRefused("this connector may not speak now", got=reason, action="ask the platform operator")
    return found
