"""Whether bytes of a transfer flow, pulled or pushed: its agreement, the short token of a pull, and stopping them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.dataspace import queries, transcript
from marketplace.dataspace.messages import FORMATS, HTTP_ENDPOINT, PUSHED
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.states import TRANSFER_PROCESS, Protocol, Side, TransferState
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict, Invalid, NotFound, shown
from marketplace.kernel.ids import new_id
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import AGREEMENT, AgreementState
from marketplace.participants import compact, connectors
from marketplace.participants import queries as participants
from marketplace.participants.compact import BadToken, Compact
from marketplace.participants.models import Connector
from marketplace.plumbing import epochs
from marketplace.plumbing.problems import Unauthenticated
from marketplace.plumbing.runtime import Runtime
from marketplace.usage.rules import UseRequest

TYP: Final = "dataspace-data+jwt"
STOPPED: Final = "transfer_stopped"
_HEADER = frozenset({"alg", "kid", "typ"})


class NotTransferable(Conflict):
    """No data is transferred under this agreement now."""


class FormatNotOffered(Invalid):
    """The data set is not offered in this format."""


class NotFlowing(Conflict):
    """No byte of this transfer leaves now."""


class DataTokenRefused(Unauthenticated):
    """The token does not open this data now."""


@dataclass(frozen=True)
class Flowing:
    """A transfer that flows, pulled or pushed.  actor: the buyer, with the roles of the register; use: what it asks."""

    exchange: Exchange
    actor: Actor
    use: UseRequest


def require_transferable(db: Session, exchange: Exchange, buyer: Actor, now: datetime) -> Agreement:
    """The agreement that a transfer is asked for under, if it is in force between these two.

    Raises NoSuchAgreement for anybody else's, NotTransferable, FormatNotOffered.
    """
    agreement = negotiation.agreement(db, exchange.subject)
    if (agreement.buyer_id, agreement.provider_id) != (buyer.participant, exchange.participant_id):
        raise negotiation.NoSuchAgreement("no agreement with this id", got=shown(exchange.subject))
    if exchange.format not in FORMATS:
        raise FormatNotOffered("not offered so", expected=" or ".join(FORMATS), got=shown(exchange.format))
    if not AGREEMENT.permits(AgreementState(agreement.state), "use") or agreement.ends_at <= now:
        raise NotTransferable("the agreement is not in force", expected="finalized", got=agreement.state)
    return agreement


def data_address(db: Session, exchange: Exchange, base: str, runtime: Runtime, now: datetime) -> Json:
    """Where the consumer pulls, with a token for this transfer and its agreement alone, until either is stopped."""
    endpoint, issued_at = f"{base}/data/{exchange.id}", int(now.timestamp())
    key = exchange.agreement_id or exchange.subject
    claims = {"iss": runtime.settings.public_url, "aud": endpoint, "sub": exchange.id, "agreement": key}
    claims |= {"jti": new_id("tok")} | _bound_to(db, exchange, connectors.connector(db, exchange.connector_id))
    times = {"iat": issued_at, "exp": issued_at + runtime.settings.dataspace_token_seconds}
    token = runtime.service_key.sign_claims(claims | times, typ=TYP)
    # Eclipse EDC reads the address out of the properties alone.
    properties = {"endpoint": endpoint, "authorization": token, "authType": "bearer"}
    listed = [{"@type": "EndpointProperty", "name": name, "value": value} for name, value in properties.items()]
    return {
        "@type": "DataAddress",
        "endpointType": HTTP_ENDPOINT,
        "endpoint": endpoint,
        "endpointProperties": listed,
    }


def stop_bytes(db: Session, exchange: Exchange, now: datetime) -> None:
    """Cut running answers and pushes of a transfer within one window; tokens of before open nothing any more.

    Records: dataspace:exchange_stopped.
    """
    number = epochs.bump(db, exchange.id, STOPPED)
    facts: Json = {"exchange": exchange.id, "epoch": number, "state": exchange.state}
    record(db, SERVICE_ACTOR, Tag.EXCHANGE_STOPPED, now, agreement=exchange.agreement_id, facts=facts)


def opened_by(db: Session, token: str, exchange_id: str, endpoint: str, runtime: Runtime, now: datetime) -> Flowing:
    """The transfer that a token opens now.  Raises DataTokenRefused."""
    try:
        found = _checked(token, exchange_id, endpoint, runtime, now)
        exchange, connector = _require_flowing(db, exchange_id, now, pushed=False)
        for name, value in _bound_to(db, exchange, connector).items():
            found.text_claim(name, value)
    except (BadToken, NotFlowing, NotFound) as error:
        raise DataTokenRefused(error.detail, action="wait for the next start of the transfer") from error
    return _flowing_of(db, exchange, connector)


def pushed_now(db: Session, exchange_id: str, now: datetime) -> Flowing:
    """A push whose bytes may leave now, and the use that they are.  Raises NotFlowing."""
    return _flowing_of(db, *_require_flowing(db, exchange_id, now, pushed=True))


def _flowing_of(db: Session, exchange: Exchange, connector: Connector) -> Flowing:
    buyer = participants.participant(db, connector.participant_id)
    agreement = negotiation.agreement(db, exchange.agreement_id)
    purpose = negotiation.request(db, agreement.request_id).purpose
    grounds = grounds_of(exchange)
    ends = connector.certified_until
    use = UseRequest(purpose, grounds=grounds, grounds_epoch=epochs.total(db, grounds), until=ends)
    return Flowing(exchange, Actor(buyer.id, frozenset(buyer.roles)), use)


def grounds_of(exchange: Exchange) -> tuple[str, ...]:
    """What ends a pull or a push when it is stopped, beside the agreement: the transfer and its connector."""
    return (exchange.id, exchange.connector_id)


def _bound_to(db: Session, exchange: Exchange, connector: Connector) -> dict[str, str]:
    """What a token stands for: no stop since it was made, and the key that the connector had."""
    return {"epoch": str(epochs.total(db, grounds_of(exchange))), "connector_kid": connector.jwk["kid"]}


def _checked(token: str, exchange_id: str, endpoint: str, runtime: Runtime, now: datetime) -> Compact:
    found = compact.read(token)
    found.require_header(typ=frozenset({TYP}), known=_HEADER)
    found.require_signature(runtime.service_key.public_jwk)
    found.text_claim("aud", endpoint)
    found.text_claim("sub", exchange_id)
    expires_at = found.moment_claim("exp")
    if expires_at <= now or found.moment_claim("iat") > now + timedelta(seconds=runtime.settings.clock_skew_seconds):
        raise compact.wrong_moment("the token has expired", now, expires_at)
    return found


def _require_flowing(db: Session, exchange_id: str, now: datetime, *, pushed: bool) -> tuple[Exchange, Connector]:
    """A transfer whose bytes may leave: started, no move of ours that stops them on its way, its connector trusted.

    Raises NotFlowing.
    """
    exchange = queries.exchange(db, exchange_id)
    connector = connectors.connector(db, exchange.connector_id)
    ours = (exchange.protocol, exchange.side) == (Protocol.TRANSFER, Side.PROVIDER) and bool(exchange.agreement_id)
    ours = ours and (exchange.format in PUSHED) == pushed
    stopping = [one for one in transcript.under_way(db, exchange.id) if one.move != "start"]
    if not ours or stopping or not TRANSFER_PROCESS.permits(TransferState(exchange.state), "use"):
        raise NotFlowing("this transfer does not flow now", expected=TransferState.STARTED, got=exchange.state)
    if (why := connectors.trouble(db, connector, now)) is not None:
        raise NotFlowing("the connector may not be served now", got=why)
    return exchange, connector
