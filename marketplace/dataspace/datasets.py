"""Listings as data sets of a DCAT catalogue, in the protocol's fixed form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from marketplace.dataspace.messages import CONTEXT, FORMATS, framed
from marketplace.exchange.catalogue import NotInCatalogue
from marketplace.exchange.queries import CatalogueRow
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import shown

RULES = ("permission", "prohibition", "obligation")


def catalogue(
    participant_id: str, base: str, datasets: Iterable[Json], catalogues: Sequence[Json] = ()
) -> Iterator[str]:
    """The root catalogue of a participant as JSON, in texts of one data set each; keys without anything in them are
    left out.  catalogues: as `nested`."""
    service = {"@id": f"{base}#service", "@type": "DataService", "endpointURL": base}
    content = {"@id": f"{base}#catalogue", "participantId": participant_id, "service": [service]}
    named = {"catalog": list(catalogues)} if catalogues else {}
    yield _text(framed("Catalog", content | named)).removesuffix("}")
    before = ',"dataset":['
    for one in datasets:
        yield before + _text(_served(one, base))
        before = ","
    yield "]}" if before == "," else "}"


def nested(participant_id: str, base: str) -> Json:
    """A catalogue as an entry of another one: where it is to be had, and whose it is."""
    return {
        "@id": f"{base}#catalogue",
        "@type": "Catalog",
        "participantId": participant_id,
        "distribution": [{"@type": "Distribution", "format": "Catalog", "accessService": f"{base}#service"}],
        "service": [{"@id": f"{base}#service", "@type": "DataService", "endpointURL": base}],
    }


def alone(dataset: Json, base: str) -> Json:
    """A data set as an answer of its own: with context, and with the service inside."""
    service = {"@id": f"{base}#service", "@type": "DataService", "endpointURL": base}
    distributions = [one | {"accessService": service} for one in dataset["distribution"]]
    return {"@context": [CONTEXT]} | dataset | {"distribution": distributions}


def dataset(row: CatalogueRow) -> Json:
    """A listing with its one offer; the service is filled in by whoever answers."""
    return plain_dataset(row.listing.id, offer(row)) | {
        "dct:title": [{"@value": row.asset.name, "@language": "zh"}, {"@value": row.asset.name_en, "@language": "en"}],
        "dct:identifier": row.asset.id,
        "dct:hasVersion": row.version.id,
    }


def plain_dataset(dataset_id: str, policy: Json) -> Json:
    """What every data set has: its id, its offer, the ways in which it is had."""
    return {
        "@id": dataset_id,
        "@type": "Dataset",
        "hasPolicy": [policy],
        "distribution": [{"@type": "Distribution", "format": one} for one in FORMATS],
    }


def offer(row: CatalogueRow) -> Json:
    """The offer of a listing: its rules as they stand in our profile, numbers as texts."""
    return offered(row.offer.id, row.offer.uses)


def offered(offer_id: str, uses: Json) -> Json:
    """An offer of uses in our profile under an id."""
    rules = {name: [_rule(one) for one in uses[name]] for name in RULES if uses.get(name)}
    return {"@id": offer_id, "@type": "Offer", "profile": uses["profile"]} | rules


def not_here(dataset_id: str) -> NotInCatalogue:
    """The refusal of a data set that this participant does not offer now."""
    return NotInCatalogue("this participant offers no such data set now", got=shown(dataset_id))


def _text(document: Json) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _served(dataset: Json, base: str) -> Json:
    return dataset | {"distribution": [one | {"accessService": f"{base}#service"} for one in dataset["distribution"]]}


def _rule(rule: Json) -> Json:
    """A rule without target and parties, which are the policy's in this protocol."""
    return {name: wire_value(one) for name, one in rule.items() if name not in {"target", "assigner", "assignee"}}


def wire_value(value: Any) -> Any:
    """A value as the protocol carries it: its schemas know texts, objects and lists, but no numbers."""
    match value:
        case dict():
            return {name: wire_value(one) for name, one in value.items()}
        case list():
            return [wire_value(one) for one in value]
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case _:
            return value
