"""Terms of a negotiation as the protocol carries them: as our extension says, or read from the rules of an offer alone.

The rules always count.  The extension says beside them what ODRL of our profile has no words for: price, term, start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from marketplace.dataspace import datasets as described
from marketplace.dataspace.messages import TERMS, BadMessage
from marketplace.dataspace.policies import meaning_of, same_rules
from marketplace.exchange.models import Offer
from marketplace.exchange.parameters import BadParameters
from marketplace.exchange.templates import render_uses, template
from marketplace.exchange.terms import permitted_purposes
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict
from marketplace.negotiation.rounds.schemas import TermsIn
from marketplace.negotiation.rounds.terms import Terms, listed

_DAYS = re.compile(r"P([1-9][0-9]{0,8})D")
_SPACE = "the listing's template with other parameters, see GET /v1/terms"


class NotNegotiable(Conflict):
    """These rules are not the listing's template with other parameters."""


def asked_terms(offer: Offer, before: Terms | None, message: Json) -> TermsIn:
    """The terms that a message proposes: whole, so that nothing depends on what lay there before the message.

    before: what lies on the table, None for a first request.  Without the extension a first request is for the first
    purpose that its rules permit, since the protocol has no word for what one contract is for.
    Raises BadMessage, NotNegotiable: the rules are not the template's, or not those that the extension says.
    """
    said, asked = _extension(message), message["offer"]
    found = said.parameters if said.parameters is not None else _read(offer, asked)
    if found is None or not same_rules(_policy(offer, found), asked):
        raise NotNegotiable("the data set is not offered by these rules", expected=_SPACE, action="keep its template")
    if before is not None:
        return said.model_copy(update={"parameters": found})
    purpose = said.purpose or min(permitted_purposes(_rendered(offer, found)))
    return said.model_copy(update={"parameters": found, "purpose": purpose})


def offered(offer: Offer, terms: Terms) -> Json:
    """The offer of these terms in the protocol's form, with its target left to the caller.

    It has the listing's id while the terms are the listing's, and otherwise one that names the terms.
    """
    same = terms == listed(offer, terms.purpose)
    return _policy(offer, terms.parameters) | ({} if same else {"@id": f"{offer.id}:{terms.sha256[:16]}"})


def said(terms: Terms) -> Json:
    """Our extension of an offer; members without a value are left out."""
    return {TERMS: {name: value for name, value in terms.written.items() if value is not None}}


def _extension(message: Json) -> TermsIn:
    try:
        return TermsIn.model_validate(message.get(TERMS, {}))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise BadMessage(f"{TERMS}: {where}: {first['msg']}", action="see the terms of an access request") from error


def _policy(offer: Offer, parameters: Json) -> Json:
    return described.offered(offer.id, _rendered(offer, parameters))


def _rendered(offer: Offer, parameters: Json) -> Json:
    return render_uses(template(offer.template), parameters, offer.asset_id)


def _read(offer: Offer, asked: Json) -> Json | None:
    """The parameters with which the template has the rules of a policy; None when it never has."""
    chosen, wanted = template(offer.template), meaning_of(asked)
    for values in _matches(meaning_of(chosen.offer), wanted, {}):
        try:
            found = {name: _typed(chosen.schema["properties"][name], value) for name, value in values.items()}
            if meaning_of(_policy(offer, found)) == wanted:
                return found
        except (BadParameters, ValueError):
            continue
    return None


def _matches(node: Any, got: Any, values: Json) -> Iterator[Json]:
    """Every way in which a part of a template becomes a part of a policy: the parameters that it takes, as texts."""
    match node, got:
        case {"$parameter": name}, _:
            yield from _taken(name, got, values)
        case {"$days": name}, str() if (days := _DAYS.fullmatch(got)) is not None:
            yield from _taken(name, days[1], values)
        case dict(), dict():
            if set(node) == set(got):
                yield from _members(sorted(node), node, got, values)
        case list(), list():
            yield from _items(node, got, values)
        case _:
            if described.wire_value(node) == got:
                yield values


def _taken(name: str, got: Any, values: Json) -> Iterator[Json]:
    if values.get(name, got) == got:
        yield values | {name: got}


def _members(names: list[str], node: Json, got: Json, values: Json) -> Iterator[Json]:
    if not names:
        yield values
        return
    for found in _matches(node[names[0]], got[names[0]], values):
        yield from _members(names[1:], node, got, found)


def _items(nodes: list[Any], got: list[Any], values: Json) -> Iterator[Json]:
    """Items that stand only when an optional parameter is given may be missing."""
    if not nodes:
        if not got:
            yield values
        return
    match nodes[0]:
        case {"$when": _, "$then": first}:
            yield from _items(nodes[1:], got, values)
        case first:
            pass
    if got:
        for found in _matches(first, got[0], values):
            yield from _items(nodes[1:], got[1:], found)


def _typed(schema: Json, value: Any) -> Any:
    """A parameter as its schema has it; policies carry numbers as texts.  Raises ValueError."""
    match schema["type"], value:
        case "integer", str():
            return int(value)
        case "array", list():
            return [_typed(schema["items"], one) for one in value]
        case _:
            return value
