"""The description of the API: what the framework derives from the routes, completed with how to authenticate, the
error answers of every operation as problem documents, what the byte answers are, and an example of every body.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from marketplace.kernel.canonical import Json
from marketplace.participants.tokens import TOKEN_PATH
from marketplace.plumbing import web
from marketplace.plumbing.problems import MEDIA_TYPE
from marketplace.plumbing.web import PROBLEM_SCHEMA

EXAMPLES = Path(__file__).resolve().parents[1] / "contracts" / "openapi-examples.json"

# Operations that anyone may call.  Whatever is not named here needs an access token; tests compare both.
PUBLIC = frozenset(
    {
        "count_catalogue",
        "describe_catalogue",
        "describe_listing",
        "find_certificates",
        "get_authorization_server",
        "get_catalogue_listing",
        "get_certificate",
        "get_certificate_document",
        "get_checklist",
        "get_checkpoint",
        "get_consistency_proof",
        "get_inclusion_proof",
        "get_liveness",
        "get_log_keys",
        "get_policy_bundle",
        "get_proof_file",
        "get_protected_resource",
        "get_readiness",
        "get_service_keys",
        "get_tile",
        "issue_token",
        "list_market_references",
        "list_notices",
        "list_settlement_schemes",
        "list_tariffs",
        "list_terms",
        "preview_listing_price",
        "search_catalogue",
    }
)
# Operations that only take a token bound to the caller's key.
BOUND = frozenset({"decide_use", "download_data", "download_file"})

BYTES: dict[str, tuple[str, str]] = {
    "get_document": ("application/json", "The exact bytes of the document"),
    "get_manifest": ("application/json", "The exact bytes of the manifest"),
    "get_agreement_pdf": ("application/pdf", "The contract in both languages"),
    "get_invoice_pdf": ("application/pdf", "The invoice in both languages"),
    "get_payment_file": ("application/xml", "A customer credit transfer initiation (ISO 20022 pain.001.001.09)"),
    "get_certificate_document": ("application/json", "The exact bytes that the registrar signed"),
    "get_evidence": ("*/*", "The exact bytes of the evidence, of the type that it was sent as"),
    "get_policy_bundle": ("application/gzip", "The signed bundle, as OPA reads it"),
    "get_checkpoint": ("text/plain", "A signed note (C2SP tlog-checkpoint)"),
    "get_proof_file": ("text/plain", "A proof as text (C2SP tlog-proof)"),
    "get_tile": ("application/octet-stream", "Hashes of 32 bytes each"),
    "export_books": ("*/*", "Transactions and postings in the form asked for, with the balances before and after"),
    "get_accounting_disclosure_csv": ("text/csv", "One line for each asset, amounts in yuan"),
    "get_entry_bundle": ("application/octet-stream", "Entries, each after its length in two bytes (C2SP tlog-tiles)"),
}

_SCHEMES: Json = {
    "access_token": {
        "type": "oauth2",
        "description": "Client credentials; the client proves itself with a signed assertion (RFC 7523).",
        "flows": {"clientCredentials": {"tokenUrl": TOKEN_PATH, "scopes": {}}},
    },
    "dpop_proof": {
        "type": "apiKey",
        "in": "header",
        "name": "DPoP",
        "description": "A proof of possession for this request (RFC 9449), with `Authorization: DPoP <token>`.",
    },
}
_EITHER: list[Json] = [{"access_token": []}, {"access_token": [], "dpop_proof": []}]
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_PROBLEM_EXAMPLE = {
    "type": "/problems/wrong-state",
    "title": "Wrong state",
    "status": 409,
    "detail": "listing cannot go from archived to listed",
    "expected": "nothing, archived is final",
    "got": "listed",
}
RECEIPT = {
    "description": "A promise that the entries of this answer will be in the log: a compact JWS, typ `receipt+jwt`.",
    "schema": {"type": "string", "maxLength": 6143},
}
_UNEXPECTED = {"description": "Something went wrong on our side", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}


def install(app: FastAPI) -> None:
    """Make the application describe itself completely; the description is made once, when first asked for."""
    derive = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = complete(derive())
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def complete(document: Json) -> Json:
    """Add to a derived description, in place, what the framework cannot know."""
    examples: Json = json.loads(EXAMPLES.read_text("utf-8")) if EXAMPLES.is_file() else {}
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    components["headers"] = {web.RECEIPT: RECEIPT}
    components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA | {"examples": [_PROBLEM_EXAMPLE]}
    for method, _, operation in operations(document):
        name = operation["operationId"]
        operation["security"] = [] if name in PUBLIC else (_EITHER[1:] if name in BOUND else _EITHER)
        _declare_bytes(operation)
        _declare_problems(operation)
        if name in BOUND or (method != "GET" and name not in PUBLIC):
            _declare_receipt(operation)
        _show(operation, examples.get(name, {}))
    return document


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Every operation of a description as (METHOD, path, operation), in its order."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "operationId" in operation:
                yield method.upper(), path, operation


def _declare_bytes(operation: Json) -> None:
    if operation["operationId"] in BYTES:
        media_type, words = BYTES[operation["operationId"]]
        schema = {"type": "string"} if media_type == "text/plain" else {}
        operation["responses"]["200"] |= {"description": words, "content": {media_type: {"schema": schema}}}


def _declare_problems(operation: Json) -> None:
    operation["responses"]["500"] = _UNEXPECTED
    for status, answer in operation["responses"].items():
        if status[0] in "45" and MEDIA_TYPE in answer.get("content", {}):
            answer["content"] = {MEDIA_TYPE: {"schema": _PROBLEM}}


def _declare_receipt(operation: Json) -> None:
    """Whatever an operation changes or refuses is an entry, and the answer promises that entry."""
    for status, answer in operation["responses"].items():
        if status[0] == "2" or status in {"403", "409"}:
            answer.setdefault("headers", {})[web.RECEIPT] = {"$ref": "#/components/headers/Receipt"}


def _show(operation: Json, example: Json) -> None:
    """An example becomes part of each JSON body that it is one of."""
    answers = [answer for status, answer in operation["responses"].items() if status[0] == "2"]
    for name, holders in (("request", [operation.get("requestBody", {})]), ("response", answers)):
        if name in example:
            for holder in holders:
                for media_type, content in holder.get("content", {}).items():
                    if media_type.endswith("json"):
                        content["examples"] = {"example": {"value": example[name]}}
