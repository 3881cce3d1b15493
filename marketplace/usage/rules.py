"""Pure rules of a use: what is asked, when it must end, which limits a contract sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from marketplace.exchange import terms
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Unavailable
from marketplace.plumbing.policy import Decision

EPOCH_CHANGED: Final = "epoch_changed"
QUOTA_EXCEEDED: Final = "quota_exceeded"
EXPIRED: Final = "expired"
OBLIGATION_NOT_APPLIED: Final = "obligation_not_applied"
NOTHING_REMAINS: Final = "nothing_remains"

# The closed lists; whatever else was asked for is not copied into entries.
PURPOSES: Final = frozenset(terms.PURPOSES["known"]) | frozenset(terms.PURPOSES["denied_always"])
ACTIONS: Final = frozenset(terms.PROFILE["actions"]) | frozenset(terms.PROFILE["prohibitions"])


class ClockBehind(Unavailable):
    """The clock of this service runs behind its own log, so no use can be judged."""


@dataclass(frozen=True)
class UseRequest:
    """What a caller asks for.

    asset: the asset the caller believes it gets, None = that of the agreement.  uses: 1, or 0 to go on with a use
    that is already counted; bytes: what would be sent.  place: ISO 3166 code of where the data will be used, empty =
    where the buyer is registered; ethics_approval: number of the ethics decision.  output and smallest_group: what
    leaves and the persons in its smallest group, as the delivery was made; a record is a group of one, 0 = none left.
    grounds: further subjects whose stop ends this use, e.g. the transfer of the Dataspace Protocol that it serves;
    grounds_epoch: the sum of their epochs when the caller found them sound, None = now.  until: when they lapse.
    """

    purpose: str
    action: str = "use"
    asset: str | None = None
    delivery_mode: str = "download"
    uses: int = 1
    bytes: int = 0
    place: str = ""
    ethics_approval: str = ""
    output: str = "records"
    smallest_group: int = 1
    grounds: tuple[str, ...] = ()
    grounds_epoch: int | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Ruling:
    """A decision with what it rests on.

    facts: the input; digest: its SHA-256, echoed by the policy; subjects and epoch: the ids whose revocation ends this
    use, and the sum of their epochs when the facts were read; stops_at: Unix second at which a fact lapses by itself.
    """

    decision: Decision
    facts: Json
    digest: str
    subjects: tuple[str, ...]
    epoch: int
    stops_at: int

    def refused(self, reason: str) -> Ruling:
        """The same ruling turned into a refusal for a reason found after the policy was asked."""
        no = Decision(allow=False, reasons=(reason,), obligations=(), revision=self.decision.revision)
        return Ruling(no, self.facts, self.digest, self.subjects, self.epoch, self.stops_at)


@dataclass(frozen=True)
class Limits:
    """What the signed uses allow in total; None = unlimited."""

    uses: int | None
    bytes: int | None

    def less(self, uses: int, volume: int) -> Limits:
        """What is left when so much was taken elsewhere."""
        return Limits(
            None if self.uses is None else max(0, self.uses - uses),
            None if self.bytes is None else max(0, self.bytes - volume),
        )


def floored(now: datetime, latest: datetime | None, *, skew_seconds: int) -> datetime:
    """The moment to judge by: never earlier than the latest entry, so that setting a clock back revives nothing.

    latest: time of the latest entry.  Raises ClockBehind: the clock is further behind it than clocks may differ.
    """
    if latest is None or now >= latest:
        return now
    if latest - now > timedelta(seconds=skew_seconds):
        raise ClockBehind(
            "the clock of this service is behind its own log",
            expected=f"at least {timestamp(latest)}, less {skew_seconds} seconds",
            got=timestamp(now),
            action="the operator must set the clock; until then no use is allowed",
        )
    return latest


def limits(uses: Json) -> Limits:
    """The widest limits of any permission, as a second guard beside the policy, in a conditional UPDATE.

    uses: compiled uses, as in the facts.
    """
    permissions = uses["permissions"]
    return Limits(_widest(permissions, "count"), _widest(permissions, "mkt:volumeBytes"))


def lapses(uses: Json, final_at: int) -> list[int]:
    """The first Unix second at which no permission holds any more; empty when one of them has no end of its own.

    final_at: Unix second at which the agreement became final.
    """
    latest = _most([_bound(_whole(one), lambda limit: _end(limit, final_at)) for one in uses["permissions"]])
    return [] if latest is None else [latest]


def named(value: str, known: frozenset[str]) -> str:
    """A value of a closed list, or `unknown`: free text of a caller never enters the log."""
    return value if value in known else "unknown"


def _widest(permissions: list[Json], operand: str) -> int | None:
    def amount(limit: Json) -> int | None:
        return int(limit["number"]) if limit["left"] == operand else None

    return _most([_bound(_whole(one), amount) for one in permissions])


def _whole(permission: Json) -> Json:
    return {"logic": "and", "parts": [*permission["constraints"], *permission["groups"]]}


def _bound(constraint: Json, of: Callable[[Json], int | None]) -> int | None:
    """The greatest number at which a constraint can hold, None = it sets no bound.  of: the bound of one comparison."""
    if "parts" not in constraint:
        return of(constraint)
    found = [_bound(part, of) for part in constraint["parts"]]
    return (
        min((one for one in found if one is not None), default=None) if constraint["logic"] == "and" else _most(found)
    )


def _most(bounds: list[int | None]) -> int | None:
    known = [one for one in bounds if one is not None]
    return max(known) if known and len(known) == len(bounds) else None


def _end(limit: Json, final_at: int) -> int | None:
    match limit["left"], limit["operator"]:
        case "dateTime", "lteq":
            return int(limit["number"]) + 1
        case "elapsedTime", "lteq":
            return final_at + int(limit["number"]) + 1
        case _:
            return None
