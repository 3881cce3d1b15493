"""What a party declares about a signed agreement, asked for and signed in one go with its own key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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


class NoSuchAct(Invalid):
    """No act of this name waits for the party's signature."""


class NotAParameter(Invalid):
    """A parameter is given as NAME=VALUE."""


def declare(client: ApiClient, agreement: str, kind: str, *, reason: str, note: str = "") -> Any:
    """Declare an act and sign it: `suspension`, `resumption`, `termination` or `assignment_refusal`.

    A suspension or termination is in effect before it is signed, also when signing fails.  The latest act of this kind
    that the service lists for this party is read first, and is signed only when it is what was declared; whatever else
    is listed stays unsigned.  Returns the agreement.  Raises NotTheDocument, ProblemError.
    """
    client.post(f"/v1/agreements/{agreement}/{ADDRESSES[kind]}", {"reason": reason, "note": note})
    meant = [one for one in unsigned_acts(client, agreement) if one["kind"] == kind]
    if meant:
        _sign(client, agreement, meant[-1], reason=reason)
    return client.get(f"/v1/agreements/{agreement}")


def unsigned_acts(client: ApiClient, agreement: str) -> list[Any]:
    """The acts that the service says this party has still to sign, in their order; as `UnsignedAct`."""
    listed = client.get(f"/v1/agreements/{agreement}")["unsigned_acts"]
    return [one for one in listed if one["party"] == client.participant_id]


def sign_acts(client: ApiClient, agreement: str, documents: Collection[str]) -> Any:
    """Sign acts of this party that were left unsigned; returns the agreement.

    documents: SHA-256 of each, as the party has read them: the service could list what the party never declared.
    Raises NoSuchAct: one of them is not listed, nothing is signed then; NotTheDocument, ProblemError.
    """
    waiting = {one["document"]: one for one in unsigned_acts(client, agreement)}
    unknown = [name for name in documents if name not in waiting]
    if unknown or not documents:
        raise NoSuchAct(
            "name the acts that you declared and want to sign",
            expected=", ".join(f"{name} ({one['kind']})" for name, one in waiting.items()) or "none waits for you",
            got=", ".join(unknown) or "no document",
            action="read each at /v1/documents/{sha256}, then name it with --document",
        )
    for name in documents:
        _sign(client, agreement, waiting[name])
    return client.get(f"/v1/agreements/{agreement}")


def _sign(client: ApiClient, agreement: str, act: Mapping[str, Any], *, reason: str | None = None) -> None:
    """Sign one act, once its bytes say what is listed.  reason: what it must say, None for any."""
    own = partial(_require_own, client, agreement, act, reason)
    client.post(f"/v1/agreements/{agreement}/acts/signature", client.sign(act["document"], KIND, require=own))


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


def _require_own(client: ApiClient, agreement: str, act: Mapping[str, Any], reason: str | None, said: Json) -> None:
    known = said if isinstance(said, dict) else {}
    named = known.get("agreement")
    about = named.get("id") if isinstance(named, dict) else None
    expected = [KIND, agreement, act["kind"], client.participant_id]
    got = [known.get("type"), about, known.get("act"), known.get("party")]
    if reason is not None:
        expected, got = [*expected, reason], [*got, known.get("reason")]
    if got != expected:
        raise NotTheDocument(
            "the act says something else than you declared",
            expected=", ".join(expected),
            got=str(got)[:200],
            action="read it; an earlier act of yours with another reason is signed by agreement sign-acts --document",
        )
