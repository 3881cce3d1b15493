"""Signing an agreement: what the service wants signed is read first, and is signed only when it is what was meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marketplace.client.api import ApiClient, NotTheDocument
from marketplace.kernel.canonical import Json


def sign_agreement(
    client: ApiClient, agreement: str, *, document: str = "", require: Callable[[Json], None] | None = None
) -> Any:
    """Sign an agreement by its id, once its very bytes are that agreement with this party on one side.

    document: SHA-256 of what was read before, empty: what the service names now; require: raises for contents that the
    party does not want.  Returns the agreement.  Raises NotTheDocument, ProblemError.
    """
    at = f"/v1/agreements/{agreement}"
    named = document or str(client.get(at)["document"])

    def meant(said: Any) -> None:
        _require_own(client, agreement, said)
        if require is not None:
            require(said)

    return client.post(f"{at}/signature", client.sign(named, "agreement", require=meant))


def _require_own(client: ApiClient, agreement: str, said: Any) -> None:
    known = said if isinstance(said, dict) else {}
    parties = [one.get("id") for one in known.get("parties", {}).values()]
    if (known.get("type"), known.get("id")) != ("agreement", agreement) or client.participant_id not in parties:
        raise NotTheDocument(
            "the served document is not this agreement of yours",
            expected=f"agreement {agreement} with {client.participant_id} as a party",
            got=f"{known.get('type')} {known.get('id')}"[:200],
        )
