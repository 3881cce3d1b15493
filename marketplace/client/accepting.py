"""A buyer's rule for offers, signed here; and the signatures under what was accepted by it, within the own bounds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from marketplace.client.agreements import sign_agreement
from marketplace.client.api import ApiClient, NotTheDocument
from marketplace.client.lists import items
from marketplace.exchange.pricing import Results, describe, price_of_access, price_of_use, rate_of, read_plan
from marketplace.exchange.pricing.plans import AnyPlan
from marketplace.exchange.terms import check_terms, permitted_purposes
from marketplace.kernel.canonical import Json, canonical

KIND = "acceptance-rule"


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

    Whatever the service says, nothing dearer is signed: what counts is the price plan of the document, by which uses
    are charged; a plan with a price that the rule has no bound for is left to people.  Signing again changes nothing.
    Returns the agreements.  Raises NotTheDocument, UnknownTerm, NoEnforcementPoint, ProblemError.
    """
    signed = []
    for request in items(client, "/v1/requests"):
        mine = request["buyer_id"] == client.participant_id and request["listing_id"] == listing
        if mine and request["state"] in ("ACCEPTED", "AGREED") and request["agreement_id"]:
            within = partial(_require_within, automatic)
            signed.append(sign_agreement(client, request["agreement_id"], require=within))
    return signed


def _require_within(automatic: Mapping[str, Any], said: Json) -> None:
    plan = _plan_of(said)
    rate = rate_of(plan)
    dearest = plan.highest_fen if rate is not None else 0
    others = isinstance(plan, Results) or (rate is not None and rate.measure != "use" and dearest > 0)
    if others or (rate is not None and rate.minimum_fen > 0):
        raise _other(
            "the agreement has a price that your rule has no bound for",
            expected="a price of access, or of a use without a monthly minimum",
            got=describe(said["price_plan"], "en"),
        )
    access = price_of_access(said["price_plan"]).minor
    _require_price("price_fen", access, access, automatic["price_at_most_fen"], said)
    each = price_of_use(said["price_plan"]).minor
    _require_price("price_per_use_fen", each, dearest, automatic["price_per_use_at_most_fen"], said)
    _require_purpose(automatic, said)


def _plan_of(said: Json) -> AnyPlan:
    try:
        return read_plan(said.get("price_plan", {}))
    except ValidationError as refused:
        raise _other(
            "the price plan of the agreement cannot be read",
            expected="a price plan of the closed list",
            got=str(said.get("price_plan"))[:200],
        ) from refused


def _require_price(name: str, fen: int, dearest: int, bound: int, said: Json) -> None:
    """fen: what the plan says; dearest: the most that one can cost under it, by its tiers."""
    if type(said.get(name)) is not int or said[name] != fen:
        raise _other(
            "the agreement states another price than its price plan",
            expected=f"{name} {fen}",
            got=str(said.get(name))[:200],
        )
    if dearest > bound:
        raise _other(
            "the agreement is dearer than your rule allows", expected=f"{name} at most {bound}", got=str(dearest)
        )


def _require_purpose(automatic: Mapping[str, Any], said: Json) -> None:
    """What else the contract permits costs the buyer nothing: a listing may permit more than was asked for."""
    uses = said.get("uses", {})
    check_terms(uses)
    permitted = permitted_purposes(uses)
    if permitted.isdisjoint(automatic["purposes"]):
        raise _other(
            "the agreement permits no purpose of your rule",
            expected=", ".join(automatic["purposes"]),
            got=", ".join(sorted(permitted)),
        )


def _other(what: str, *, expected: str, got: str) -> NotTheDocument:
    action = "look at the negotiation, and sign it yourself if you want it"
    return NotTheDocument(what, expected=expected, got=got, action=action)
