"""Catalogues as connectors elsewhere answer with them: their shape, and what a buyer here can do with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from marketplace.dataspace.messages import BadMessage, Context, Url, check_offer
from marketplace.dataspace.policies import Part, Text, listed
from marketplace.dataspace.schemas import NamedCatalogueOut, RemoteCatalogueOut, RemoteDatasetOut
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.kernel.errors import Invalid, Unavailable, shown

# RFC 8288: the target of a link, then its parameters up to the comma before the next link.
_LINK: Final = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w*]+\s*=\s*(?:"[^"]*"|[^\s",;<>]*))*)')
_NEXT: Final = re.compile(r';\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next(?=\s|;|$))', re.IGNORECASE)
_SHOWN_APART: Final = frozenset({"@context", "@id", "@type", "hasPolicy", "distribution"})


class NotACatalogue(Unavailable):
    """The connector's answer is not the catalogue or data set that it was asked for."""


def named(value: Any) -> Any:
    """A reference of JSON-LD as its name, from lenient senders also as an object with nothing but one."""
    return value.get("@id") if isinstance(value, dict) else value


class Distribution(Part):
    """A way in which a data set is had; the service behind it is named or written out."""

    format: Annotated[Text, BeforeValidator(named)]
    accessService: Annotated[Text, BeforeValidator(named)]  # noqa: N815 - the protocol's own names


class Dataset(Part):
    """A data set with its offers, which are judged one by one."""

    id: Text = Field(alias="@id")
    type: Literal["Dataset"] = Field("Dataset", alias="@type")
    hasPolicy: Annotated[list[Json], BeforeValidator(listed), Field(min_length=1)]  # noqa: N815
    distribution: Annotated[list[Distribution], BeforeValidator(listed), Field(min_length=1)]


class LoneDataset(Dataset):
    """A data set as an answer of its own."""

    context: Context = Field(alias="@context")
    type: Literal["Dataset"] = Field(alias="@type")


class DataService(Part):
    """Where a catalogue, or the data of one, is served."""

    endpointURL: Url  # noqa: N815


class Nested(Part):
    """A catalogue within another one, by its address."""

    id: Text = Field(alias="@id")
    type: Literal["Catalog"] = Field(alias="@type")
    participantId: Text | None = None  # noqa: N815
    service: Annotated[list[DataService], BeforeValidator(listed)] = Field(default_factory=list)


class Catalog(Part):
    """The root catalogue of a participant, or a page of it."""

    context: Context = Field(alias="@context")
    id: Text = Field(alias="@id")
    type: Literal["Catalog"] = Field(alias="@type")
    participantId: Text  # noqa: N815
    dataset: Annotated[list[Dataset], BeforeValidator(listed)] = Field(default_factory=list)
    catalog: Annotated[list[Nested], BeforeValidator(listed)] = Field(default_factory=list)

    @field_validator("participantId")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("must be one line of printable text")
        return value


def read_catalogue(body: bytes, headers: Mapping[str, str], identifier: str) -> RemoteCatalogueOut:
    """A page of a catalogue.  headers: with names in lower case; identifier: whose catalogue it has to be.

    Raises NotACatalogue.
    """
    document = _object(body)
    found = _checked(Catalog, document)
    if found.participantId != identifier:
        raise NotACatalogue(
            "it is another participant's catalogue", expected=identifier, got=shown(found.participantId)
        )
    datasets = [
        _dataset(one, node) for one, node in zip(found.dataset, listed(document.get("dataset", [])), strict=True)
    ]
    nested = [
        NamedCatalogueOut(participant_id=one.participantId, addresses=[place.endpointURL for place in one.service])
        for one in found.catalog
    ]
    return RemoteCatalogueOut(
        participant_id=identifier, datasets=datasets, catalogues=nested, next=next_link(headers.get("link", ""))
    )


def read_dataset(body: bytes, dataset_id: str, identifier: str) -> RemoteCatalogueOut:
    """One data set as a catalogue of its own.  Raises NotACatalogue."""
    document = _object(body)
    found = _checked(LoneDataset, document)
    if found.id != dataset_id:
        raise NotACatalogue("it is another data set", expected=shown(dataset_id), got=shown(found.id))
    return RemoteCatalogueOut(participant_id=identifier, datasets=[_dataset(found, document)], catalogues=[], next=None)


def next_link(header: str) -> str | None:
    """The address of the next page in a Link header (RFC 8288), None on the last one."""
    return next((link[1] for link in _LINK.finditer(header) if _NEXT.search(link[2])), None)


def _dataset(found: Dataset, node: Json) -> RemoteDatasetOut:
    offers = [{"target": found.id} | one for one in found.hasPolicy]
    known = [one for one in offers if one["target"] == found.id and _is_known(one)]
    return RemoteDatasetOut(
        id=found.id,
        offers=known,
        offers_left_out=len(offers) - len(known),
        formats=sorted({one.format for one in found.distribution}),
        described={name: value for name, value in node.items() if name not in _SHOWN_APART},
    )


def _is_known(offer: Json) -> bool:
    """Whether an offer is one that can be asked for from here."""
    try:
        check_offer(offer)
    except BadMessage:
        return False
    return True


def _object(body: bytes) -> Json:
    try:
        document = read_strictly(body, decimals_as_text=True)  # descriptions hold sizes and degrees
    except Invalid as error:
        raise NotACatalogue("the answer is not one JSON document", expected="JSON", got=error.slug) from error
    if not isinstance(document, dict):
        raise NotACatalogue("the answer is not a JSON object", got=type(document).__name__)
    return document


def _checked(kind: type[Any], document: Json) -> Any:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise NotACatalogue(
            f"{where}: {first['msg']}", expected="Catalog or Dataset of 2025-1", action="tell who runs the connector"
        ) from error
