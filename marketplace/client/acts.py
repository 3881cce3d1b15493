"""What a party declares about a signed agreement, asked for and signed in one go with its own key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from marketplace.client.agreements import sign_agreement
from marketplace.client.api import ApiClient, NotTheDocument
from marketplace.client.problem import ProblemError
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.kernel.clock import parse_timestamp
from marketplace.kernel.errors import Invalid

KIND = "agreement-act"
# what is declared -> its address under the agreement
ADDRESSES = {
    "suspension": "suspension",
    "resumption": "resumption",
    "termination": "termination",
    "assignment_refusal": "assignment/refusal",
}


class NotAParameter(Invalid):
    """A parameter is given as NAME=VALUE."""


def declare(client: ApiClient, agreement: str, kind: str, *, reason: str, note: str = "") -> Any:
    """Declare an act and sign it: `suspension`, `resumption`, `termination` or `assignment_refusal`.

    A suspension or termination is in effect before it is signed, also when signing fails; what the service would have
    signed is read first, and is signed only when it is this act.  Acts in effect that were left unsigned are signed
    with it.  Returns the agreement.  Raises NotTheDocument, ProblemError.
    """
    client.post(f"/v1/agreements/{agreement}/{ADDRESSES[kind]}", {"reason": reason, "note": note})
    return sign_acts(client, agreement, waiting=kind)


def sign_acts(client: ApiClient, agreement: str, *, waiting: str = "") -> Any:
    """Sign the party's own acts that are in effect, and those of one kind that wait for it; returns the agreement.

    Raises NotTheDocument, ProblemError.
    """
    at = f"/v1/agreements/{agreement}"
    for act in client.get(at)["unsigned_acts"]:
        if act["party"] == client.participant_id and (act["state"] == "unsigned" or act["kind"] == waiting):
            own = partial(_require_own, client, agreement, act)
            client.post(f"{at}/acts/signature", client.sign(act["document"], KIND, require=own))
    return client.get(at)


def propose(
    client: ApiClient,
    agreement: str,
    kind: str,
    *,
    reason: str,
    note: str = "",
    parameters: Mapping[str, Any] | None = None,
    ends_at: str | None = None,
    price_plan: Mapping[str, Any] | None = None,
) -> Any:
    """Propose an `amendment` or a `renewal` and sign it; it is in force when the other side has signed too.

    What is left out stays as it is.  A provider whose own offices must approve it first signs it later.
    Returns the successor, an agreement.  Raises NotTheDocument: it says something else than was proposed; ProblemError.
    """
    asked: dict[str, Any] = {"reason": reason, "note": note, "parameters": dict(parameters or {})}
    asked |= {"ends_at": ends_at} if ends_at else {}
    asked |= {"price_plan": dict(price_plan)} if price_plan else {}
    successor = client.post(f"/v1/agreements/{agreement}/{kind}", asked)

    def as_proposed(said: Json) -> None:
        _require_proposed(said, agreement, kind, asked)

    try:
        return sign_agreement(client, successor["id"], document=successor["document"], require=as_proposed)
    except ProblemError as refused:
        if refused.slug != "reviews-missing":
            raise
        return client.get(f"/v1/agreements/{successor['id']}")


def _require_proposed(said: Json, agreement: str, kind: str, asked: Mapping[str, Any]) -> None:
    named = said.get("predecessor", {})
    expected: Json = {"id": agreement, "kind": kind, "parameters": asked["parameters"]}
    got: Json = {"id": named.get("id"), "kind": named.get("kind")}
    got["parameters"] = {name: said.get("parameters", {}).get(name) for name in asked["parameters"]}
    if "price_plan" in asked:
        expected["price_plan"] = asked["price_plan"]
        got["price_plan"] = {name: said.get("price_plan", {}).get(name) for name in asked["price_plan"]}
    if "ends_at" in asked:
        expected["ends_at"], got["ends_at"] = (
            parse_timestamp(asked["ends_at"]),
            parse_timestamp(str(said.get("ends_at"))),
        )
    if got != expected:
        raise NotTheDocument("the successor says something else", expected=str(expected)[:400], got=str(got)[:400])


def read_parameters(given: list[str]) -> dict[str, Any]:
    """Parameters as they are typed: `max_uses=10`; a value is JSON, or else text.  Raises NotAParameter."""
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise NotAParameter("not a parameter", expected="NAME=VALUE", got=one)
        try:
            found[name] = read_strictly(value.encode())
        except Invalid:
            found[name] = value
    return found


def _require_own(client: ApiClient, agreement: str, act: Mapping[str, Any], said: Json) -> None:
    expected = (KIND, agreement, act["kind"], client.participant_id)
    got = (said.get("type"), said.get("agreement", {}).get("id"), said.get("act"), said.get("party"))
    if got != expected:
        raise NotTheDocument("the act says something else", expected=", ".join(expected), got=str(got)[:200])
