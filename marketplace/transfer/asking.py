"""What whoever uses data says in the address, and the proof that the caller holds the key of its token."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from marketplace.kernel.actor import Actor
from marketplace.plumbing.problems import Unauthenticated

Purpose = Annotated[str, Query(description="Why; a purpose of the contract.", pattern=r"^[a-z_]{1,64}$")]
Action = Annotated[str, Query(description="What is done with it.", pattern=r"^[A-Za-z:]{1,64}$")]
AssetId = Annotated[str | None, Query(description="The asset you expect; another one is refused.", max_length=80)]
Place = Annotated[
    str | None,
    Query(
        description="Where the data will be used (ISO 3166-1); yours by registration if left out.",
        pattern=r"^[A-Z]{2}$",
    ),
]
Approval = Annotated[
    str | None,
    Query(description="Number of your ethics decision, where the contract asks for one.", pattern=r"^[\w./:-]{1,64}$"),
]


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
