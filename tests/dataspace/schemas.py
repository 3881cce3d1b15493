"""The protocol's own schemas, to hold every message against, ours and those of the examples."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft201909Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT201909

from marketplace.kernel.canonical import Json
from tests.generated import ROOT

FOLDER = ROOT / "contracts" / "dataspace" / "2025-1"
_IDS = "https://w3id.org/dspace/2025/1/"
# The schema of each type of message: its file below the folder.
SCHEMA_OF = {
    "Catalog": "catalog/catalog",
    "Dataset": "catalog/dataset",
    "CatalogError": "catalog/catalog-error",
    "CatalogRequestMessage": "catalog/catalog-request-message",
    "ContractRequestMessage": "negotiation/contract-request-message",
    "ContractOfferMessage": "negotiation/contract-offer-message",
    "ContractAgreementMessage": "negotiation/contract-agreement-message",
    "ContractAgreementVerificationMessage": "negotiation/contract-agreement-verification-message",
    "ContractNegotiationEventMessage": "negotiation/contract-negotiation-event-message",
    "ContractNegotiationTerminationMessage": "negotiation/contract-negotiation-termination-message",
    "ContractNegotiation": "negotiation/contract-negotiation",
    "ContractNegotiationError": "negotiation/contract-negotiation-error",
    "TransferRequestMessage": "transfer/transfer-request-message",
    "TransferStartMessage": "transfer/transfer-start-message",
    "TransferSuspensionMessage": "transfer/transfer-suspension-message",
    "TransferCompletionMessage": "transfer/transfer-completion-message",
    "TransferTerminationMessage": "transfer/transfer-termination-message",
    "TransferProcess": "transfer/transfer-process",
    "TransferError": "transfer/transfer-error",
}


@cache
def _registry(folder: Path) -> Registry[Json]:
    registry: Registry[Json] = Registry()
    for file in folder.rglob("*-schema.json"):
        # Three of the specification's schemas leave out the slash, which no other reader forgives.
        schema = json.loads(file.read_text("utf-8").replace(".json#definitions", ".json#/definitions"))
        registry = registry.with_resource(schema["$id"], Resource.from_contents(schema, DRAFT201909))
    return registry


def problems_of(document: Json, name: str = "") -> list[str]:
    """What a message's schema finds wrong with it.  name: of the schema, by the message's type if left out."""
    registry, name = _registry(FOLDER), name or SCHEMA_OF[document["@type"]]
    schema = registry.contents(f"{_IDS}{name}-schema.json")
    found = Draft201909Validator(schema, registry=registry).iter_errors(document)
    return [f"{one.json_path}: {one.message}" for one in found]
