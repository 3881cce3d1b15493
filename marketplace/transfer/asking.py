"""What whoever uses data says in the address, and the proof that the caller holds the key of its token."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Query

from marketplace.kernel.actor import Actor
from marketplace.plumbing.problems import Unauthenticated
from marketplace.usage.rules import UseRequest

_PURPOSE: Final = r"^[a-z_]{1,64}$"
_ACTION: Final = r"^[A-Za-z:]{1,64}$"
_LONGEST_ASSET: Final = 80
_PLACE: Final = r"^[A-Z]{2}$"
_APPROVAL: Final = r"^[\w./:-]{1,64}$"

Purpose = Annotated[str, Query(description="Why; a purpose of the contract.", pattern=_PURPOSE)]
Action = Annotated[str, Query(description="What is done with it.", pattern=_ACTION)]
AssetId = Annotated[
    str | None, Query(description="The asset you expect; another one is refused.", max_length=_LONGEST_ASSET)
]
Place = Annotated[
    str | None,
    Query(description="Where the data will be used (ISO 3166-1); yours by registration if left out.", pattern=_PLACE),
]
Approval = Annotated[
    str | None,
    Query(description="Number of your ethics decision, where the contract asks for one.", pattern=_APPROVAL),
]

# Characters that a query may hold unescaped and that mean themselves (RFC 3986 section 2.3, and two delimiters).
_UNESCAPED: Final = re.compile(r"[A-Za-z0-9._~:/=&-]*")
_FORMS: Final = {
    "purpose": re.compile(_PURPOSE),
    "action": re.compile(_ACTION),
    "asset": re.compile(rf"^.{{1,{_LONGEST_ASSET}}}$"),
    "place": re.compile(_PLACE),
    "ethics_approval": re.compile(_APPROVAL),
}


def plainly(query: str) -> UseRequest | None:
    """The use that a query asks for in its plainest spelling, at a twentieth of the cost of reading it in full.

    None: it has escapes, repetitions or names of others, or says something that no use can be; the parameters declared
    above then say what it means, or what is wrong with it.
    """
    pairs = [pair.partition("=") for pair in query.split("&")] if _UNESCAPED.fullmatch(query) else []
    said = {name: value for name, _, value in pairs}
    if "purpose" not in said or len(said) != len(pairs):
        return None
    if not all(name in _FORMS and _FORMS[name].fullmatch(value) for name, value in said.items()):
        return None
    return use_of(**said)


def use_of(
    purpose: str,
    action: str = "use",
    asset: str | None = None,
    place: str | None = None,
    ethics_approval: str | None = None,
) -> UseRequest:
    """The use that these parameters ask for."""
    return UseRequest(purpose, action, asset, place=place or "", ethics_approval=ethics_approval or "")


class ProofRequired(Unauthenticated):
    """Data is only served to a token bound to the caller's key."""


def require_bound(actor: Actor) -> None:
    """Let nobody use data with a token that anyone could have copied.  Raises ProofRequired."""
    if actor.proof_thumbprint is None:
        raise ProofRequired(
            "the access token is not bound to a key",
            expected="a DPoP-bound token (RFC 9449)",
            action="ask for a token with a DPoP proof, and send a proof with this request",
            challenge='DPoP algs="EdDSA ES256"',
        )
