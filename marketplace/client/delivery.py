"""What is delivered under an agreement, as soon as a worker has prepared it."""

from __future__ import annotations

from typing import Any, Final

from marketplace.client.api import ApiClient
from marketplace.client.lists import wait_for

_NOT_YET: Final = "no-delivery"


def wait_for_delivery(client: ApiClient, agreement: str, *, seconds: float = 300) -> Any:
    """The delivery manifest of an agreement, as `ManifestOut`, once its files are ready to be downloaded.

    Raises NotInTime, ProblemError.
    """
    return wait_for(client, f"/v1/agreements/{agreement}/manifest", bool, seconds=seconds, not_yet=_NOT_YET)
