"""The mock identity of Eclipse EDC: a header that anybody could write, believed of one registered connector.

It proves nothing, so it is on only where settings name that connector; production settings refuse it.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.dataspace.house import House
from marketplace.dataspace.identity import Caller, Identity, SignedTokens, UnknownConnector, require_trusted
from marketplace.kernel.canonical import canonical, read_strictly
from marketplace.kernel.errors import Invalid
from marketplace.participants import connectors
from marketplace.plumbing.runtime import Runtime

REGION = "any"


class MockIdentity(SignedTokens):
    """The named connector's plain JSON header means that connector; whatever else comes is judged as ever."""

    def who(self, db: Session, authorization: str, audience: str, now: datetime, runtime: Runtime) -> Caller:
        """As `Identity.who`; an unsigned header is believed of the connector that settings name alone."""
        if not authorization.startswith("{"):
            return super().who(db, authorization, audience, now, runtime)
        named = runtime.settings.dataspace_mock_identity
        found = connectors.by_identifier(db, named)
        if found is None or _client(authorization) != named:
            raise UnknownConnector(
                "the header names no connector that is believed unsigned", action="register it as the docs say"
            )
        return Caller(require_trusted(db, found, now))

    def header(
        self,
        participant_id: str,
        audience: str,
        now: datetime,  # noqa: ARG002 - the port's form
        runtime: Runtime,  # noqa: ARG002
    ) -> str:
        """As `Identity.header`: the same plain JSON, which a peer with the mock identity reads as a whole."""
        return canonical({"clientId": participant_id, "audience": audience, "region": REGION}).decode()


class Mocked(House):
    """The product's answers to a peer whose identity is a mock."""

    identity: Identity = MockIdentity()


def _client(header: str) -> str:
    try:
        said = read_strictly(header.encode())
    except Invalid:
        return ""
    return str(said.get("clientId", "")) if isinstance(said, dict) else ""
