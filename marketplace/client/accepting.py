"""A buyer's rule for offers, signed here; and the signatures under what was accepted by it, within the own bounds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from marketplace.client.agreements import sign_agreement
from marketplace.client.api import ApiClient, NotTheDocument
from marketplace.kernel.canonical import Json, canonical

KIND = "acceptance-rule"
BOUNDS = {"price_at_most_fen": "price_fen", "price_per_use_at_most_fen": "price_per_use_fen"}
"""Bound of a rule -> what it bounds in the document of an agreement."""


def set_rule(client: ApiClient, listing: str, automatic: Mapping[str, Any] | None) -> Any:
    """Sign a rule for the offers under a listing and hand it in; returns the rule in force.

    automatic: the bounds, as `acceptance-rule.schema.json` says; None: people answer from now on.
    Raises ProblemError.
    """
    rule: Json = {
        "type": KIND,
        "v": 1,
        "listing": listing,
        "buyer": client.participant_id,
        "automatic": dict(automatic) if automatic is not None else None,
        "nonce": os.urandom(16).hex(),
    }
    jws = client.signer.sign_detached(canonical(rule), typ=f"{KIND}+jws")
    return client.post(f"/v1/listings/{listing}/acceptance-rule", {"rule": rule, "jws": jws})


def sign_accepted(client: ApiClient, listing: str, automatic: Mapping[str, Any]) -> list[Any]:
    """Sign what was accepted under a listing by the rule, each document read and held against the own bounds first.

    Whatever the service says, nothing dearer is signed.  Signing again changes nothing.  Returns the agreements.
    Raises NotTheDocument, ProblemError.
    """
    signed = []
    for request in client.get("/v1/requests"):
        mine = request["buyer_id"] == client.participant_id and request["listing_id"] == listing
        if mine and request["state"] in ("ACCEPTED", "AGREED") and request["agreement_id"]:
            within = partial(_require_within, automatic)
            signed.append(sign_agreement(client, request["agreement_id"], require=within))
    return signed


def _require_within(automatic: Mapping[str, Any], said: Json) -> None:
    for bound, name in BOUNDS.items():
        if type(said.get(name)) is not int or said[name] > automatic[bound]:
            raise NotTheDocument(
                "the agreement is dearer than your rule allows",
                expected=f"{name} at most {automatic[bound]}",
                got=str(said.get(name)),
                action="look at the negotiation, and sign it yourself if you want it",
            )
