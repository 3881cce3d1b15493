"""What crosses HTTP about policies."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from marketplace.plumbing.policybundle import LARGEST


class PolicyBundleIn(BaseModel):
    """A signed policy bundle."""

    model_config = ConfigDict(extra="forbid")

    bundle: str = Field(description="The bundle's bytes in base64.", min_length=1, max_length=LARGEST * 4 // 3 + 4)


class PolicyReleaseOut(BaseModel):
    """An accepted bundle.  bundle: SHA-256 of its bytes; kid: the publisher's key; entry_id: of its acceptance."""

    model_config = ConfigDict(from_attributes=True)

    version: int
    revision: str
    bundle: str
    kid: str
    accepted_by: str
    accepted_at: datetime
    entry_id: str


class PoliciesOut(BaseModel):
    """Which policies decide.  revision: as usage entries name it; releases: accepted bundles, the newest first.

    publisher: id of the key whose bundles are taken, empty when the policies of the release itself decide.
    """

    revision: str
    publisher: str
    releases: list[PolicyReleaseOut]
