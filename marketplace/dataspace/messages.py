"""Messages of the Dataspace Protocol 2025-1: their shape when they come in, and the frame of those that go out.

They are JSON-LD in one fixed compact form, so they are read as plain JSON; members that nobody knows are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, model_validator

from marketplace.dataspace.policies import Agreement, Offer, Part, Text, listed
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.kernel.errors import Invalid

VERSION = "2025-1"
CONTEXT = "https://w3id.org/dspace/2025/1/context.jsonld"
PULL = "HttpData-PULL"
PUSH = "HttpData-PUSH"
BUCKET_PUSH = "AmazonS3-PUSH"
BUCKET_ENDPOINT = "AmazonS3"
PUSHED = frozenset({PUSH, BUCKET_PUSH})
FORMATS = (PULL, PUSH, BUCKET_PUSH)
"""How data is had from here."""
TAKEN = (PULL, PUSH)
"""How data is asked for from here."""
HTTP_ENDPOINT = "https://w3id.org/idsa/v4.1/HTTP"
SIGNED = "https://w3id.org/medical-data-market/signed/v1"
"""Our extension of a message: signatures of the contract, which plain peers ignore as a member they do not know."""
TERMS = "https://w3id.org/medical-data-market/terms/v1"
"""Our extension of an offer: what its rules have no words for, as the terms of an access request."""


class BadMessage(Invalid):
    """The message is not one of the protocol."""


def _has_context(value: Any) -> Any:
    if not isinstance(value, list) or CONTEXT not in value:
        raise ValueError(f"must be an array with {CONTEXT}")
    return value


Url: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Context: TypeAlias = Annotated[list[Any], BeforeValidator(_has_context), Field(max_length=20)]


class EndpointProperty(Part):
    """One property of an address of data."""

    name: Text
    value: Annotated[str, StringConstraints(max_length=8192)]


class DataAddress(Part):
    """Where data is to be had, or to be put."""

    type: Literal["DataAddress"] = Field(alias="@type")
    endpointType: Text  # noqa: N815
    endpoint: Url | None = None
    endpointProperties: Annotated[list[EndpointProperty], BeforeValidator(listed)] | None = None  # noqa: N815


class Message(Part):
    """What every message has."""

    context: Context = Field(alias="@context")
    type: str = Field(alias="@type")


class Between(Message):
    """A message of an exchange that both sides have named."""

    providerPid: Text  # noqa: N815
    consumerPid: Text  # noqa: N815


class Explained(Between):
    """A message that may say why."""

    code: Annotated[str, StringConstraints(max_length=200)] | None = None
    reason: Annotated[list[Any], BeforeValidator(listed), Field(min_length=1, max_length=20)] | None = None


class CatalogRequestMessage(Message):
    """Asks for the catalogue."""

    filter: Annotated[list[Any], BeforeValidator(listed)] | None = None


class ContractRequestMessage(Message):
    """Asks for a contract: first with a callback address, later as a counter-offer."""

    consumerPid: Text  # noqa: N815
    providerPid: Text | None = None  # noqa: N815
    callbackAddress: Url | None = None  # noqa: N815
    offer: Offer

    @model_validator(mode="after")
    def _is_first_or_later(self) -> Self:
        if (self.providerPid is None) == (self.callbackAddress is None):
            raise ValueError("has either callbackAddress or providerPid")
        return self


class ContractOfferMessage(Message):
    """Offers a contract."""

    providerPid: Text  # noqa: N815
    consumerPid: Text | None = None  # noqa: N815
    callbackAddress: Url | None = None  # noqa: N815
    offer: Offer

    @model_validator(mode="after")
    def _is_first_or_later(self) -> Self:
        if (self.consumerPid is None) == (self.callbackAddress is None):
            raise ValueError("has either callbackAddress or consumerPid")
        return self


class ContractAgreementMessage(Between):
    """The provider agrees."""

    agreement: Agreement


class ContractAgreementVerificationMessage(Between):
    """The consumer has verified the agreement."""


class ContractNegotiationEventMessage(Between):
    """The consumer accepts an offer, or the provider finalizes."""

    eventType: Literal["ACCEPTED", "FINALIZED"]  # noqa: N815


class ContractNegotiationTerminationMessage(Explained):
    """Ends a negotiation."""


class TransferRequestMessage(Message):
    """Asks for the data of an agreement."""

    consumerPid: Text  # noqa: N815
    agreementId: Text  # noqa: N815
    format: Text
    callbackAddress: Url  # noqa: N815
    dataAddress: DataAddress | None = None  # noqa: N815


class TransferStartMessage(Between):
    """The data flows from now on."""

    dataAddress: DataAddress | None = None  # noqa: N815


class TransferSuspensionMessage(Explained):
    """The data rests."""


class TransferCompletionMessage(Between):
    """All data has been sent."""


class TransferTerminationMessage(Explained):
    """Ends a transfer."""


KINDS: Mapping[str, type[Message]] = {
    kind.__name__: kind
    for kind in (
        CatalogRequestMessage,
        ContractRequestMessage,
        ContractOfferMessage,
        ContractAgreementMessage,
        ContractAgreementVerificationMessage,
        ContractNegotiationEventMessage,
        ContractNegotiationTerminationMessage,
        TransferRequestMessage,
        TransferStartMessage,
        TransferSuspensionMessage,
        TransferCompletionMessage,
        TransferTerminationMessage,
    )
}


def read(body: bytes) -> Json:
    """The JSON object of a body.  Raises AmbiguousDocument, BadMessage."""
    document = read_strictly(body)
    if not isinstance(document, dict):
        raise BadMessage("the body is not a JSON object", got=type(document).__name__)
    return document


def check(document: Json, kind: str) -> Json:
    """Return a message of a kind as it was sent, after its shape was checked.  Raises BadMessage."""
    if document.get("@type") != kind:
        raise BadMessage("the message is of another type than its address", expected=kind)
    return _checked(document, KINDS[kind], kind)


def check_offer(document: Json) -> Json:
    """Return an offer that a message may carry, as it is.  Raises BadMessage."""
    return _checked(document, Offer, "offer")


def framed(kind: str, content: Json) -> Json:
    """A message to send: context and type before its content; members without a value are left out."""
    return {"@context": [CONTEXT], "@type": kind} | {
        name: value for name, value in content.items() if value is not None
    }


def _checked(document: Json, kind: type[Part], name: str) -> Json:
    try:
        kind.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the message"
        raise BadMessage(f"{name}: {where}: {first['msg']}", action="see the schemas of the protocol") from error
    return document
