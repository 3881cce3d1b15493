"""The stage table of a version: from, to, who, audit tag; beside what each stage allows."""

from __future__ import annotations

from enum import StrEnum

from marketplace.audit.entry import Tag
from marketplace.kernel.transitions import Machine, step


class Stage(StrEnum):
    """How far a version has come on the way from records to a listing."""

    DRAFT = "draft"
    COLLECTED = "collected"
    GOVERNED = "governed"
    ASSESSED = "assessed"
    CERTIFIED = "certified"
    LISTED = "listed"
    SUSPENDED = "suspended"
    RETIRED = "retired"


PASSPORT = (Stage.COLLECTED, Stage.GOVERNED, Stage.ASSESSED, Stage.CERTIFIED, Stage.LISTED)

_S = Stage
_STOPPERS = "provider registrar exchange_operator platform_operator service"

STAGES = Machine(
    name="version",
    steps=(
        step(_S.DRAFT, _S.COLLECTED, "provider", Tag.STAGE_REACHED),
        step(_S.DRAFT, _S.GOVERNED, "provider", Tag.STAGE_REACHED),
        step(_S.GOVERNED, _S.ASSESSED, "law_firm", Tag.STAGE_REACHED),
        step(_S.ASSESSED, _S.ASSESSED, "law_firm", Tag.STAGE_REACHED),
        step(_S.ASSESSED, _S.CERTIFIED, "registrar", Tag.STAGE_REACHED),
        step(_S.CERTIFIED, _S.LISTED, "exchange_operator", Tag.STAGE_REACHED),
        *(
            step(source, _S.SUSPENDED, _STOPPERS, Tag.VERSION_SUSPENDED)
            for source in (_S.COLLECTED, _S.GOVERNED, _S.ASSESSED, _S.CERTIFIED, _S.LISTED)
        ),
        *(
            step(_S.SUSPENDED, target, _STOPPERS, Tag.VERSION_RESUMED)
            for target in (_S.COLLECTED, _S.GOVERNED, _S.ASSESSED, _S.CERTIFIED, _S.LISTED)
        ),
        *(
            step(source, _S.RETIRED, "provider", Tag.VERSION_RETIRED)
            for source in (_S.DRAFT, _S.COLLECTED, _S.GOVERNED, _S.ASSESSED, _S.CERTIFIED, _S.LISTED, _S.SUSPENDED)
        ),
    ),
    allows={
        _S.DRAFT: frozenset({"add_files"}),
        _S.COLLECTED: frozenset({"govern"}),
        _S.GOVERNED: frozenset({"assess"}),
        _S.ASSESSED: frozenset({"assess", "certify"}),
        _S.CERTIFIED: frozenset({"offer"}),
        _S.LISTED: frozenset({"offer", "use"}),
    },
)
