"""What the policy is told: a closed, strictly typed model of one use (`contracts/policy/access-input.schema.json`).

The ODRL uses travel as data.  Whatever the profile does not know is listed under `unknown`, never dropped: the policy
denies when the list is not empty, and judges operands, operators and actions a second time by itself (threat T20).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from marketplace.exchange.terms import PROFILE
from marketplace.exchange.terms.profile import DEEPEST, group_operator, misfit
from marketplace.kernel.canonical import MAX_INTEGER, Json
from marketplace.kernel.clock import parse_timestamp
from marketplace.plumbing.policyinput import Kept

_POLICY_KEYS: Final = {"@context", "@type", "@id", "profile", "assigner", "assignee", "target", "timestamp"} | {
    "permission",
    "prohibition",
}
_INTEGERS: Final = {"count", "mkt:volumeBytes", "mkt:minimumGroupSize"}
_NUMBERS_OF_DUTIES: Final = {
    name for name, one in PROFILE["duty_operands"].items() if one["value"] in {"integer", "year"}
}
SECONDS_PER_DAY: Final = 86_400
CONTEXT: Final = PROFILE["context"]


_Reader = Callable[[str, str, Any], tuple[list[str], int]]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Constraint(_Closed):
    """left operator right; values: the right side as texts, or number: as integer (dateTime: Unix seconds; elapsedTime
    of a permission: seconds), else 0."""

    left: str
    operator: str
    values: list[str]
    number: int


class Group(_Closed):
    """Constraints of which all (`and`) or one (`or`) must hold; groups stand at most four deep."""

    logic: str
    parts: list[Constraint | Group]


class Duty(_Closed):
    action: str
    constraints: list[Constraint]


class Permission(_Closed):
    """constraints and groups must all hold."""

    action: str
    target: str
    constraints: list[Constraint]
    groups: list[Group]
    duties: list[Duty]


class Prohibition(_Closed):
    action: str


class Uses(_Closed):
    """Compiled uses.  unknown: pointers to every term outside the profile."""

    type: str
    profile: str
    assigner: str
    assignee: str
    target: str
    permissions: list[Permission]
    prohibitions: list[Prohibition]
    unknown: list[str]


class Asked(_Closed):
    """place: ISO 3166 code that the buyer declares, or else its place of registration; output: what would leave;
    smallest_group: persons in the smallest group of it; ethics_approval: number of the ethics decision that the buyer
    declares, may be empty."""

    party: str
    asset: str
    action: str
    purpose: str
    delivery_mode: str
    place: str
    output: str
    smallest_group: int
    ethics_approval: str


class AgreementFacts(_Closed):
    """terms_signed: the uses on record are those of the signed document; signers: whose signatures lie on it;
    parties_active: neither provider nor buyer is suspended from this market; listing_stands: the exchange did not force
    off the listing that it was made under; places: ISO 3166 codes of registration; final_at: when both had signed, Unix
    seconds, 0 = not yet; held_for: why the service itself holds it suspended, empty otherwise."""

    id: str
    document: str
    state: str
    provider: str
    buyer: str
    buyer_kind: str
    buyer_place: str
    provider_place: str
    asset: str
    version: str
    delivery_mode: str
    starts_at: int
    ends_at: int
    final_at: int
    signers: list[str]
    terms_signed: bool
    parties_active: bool
    listing_stands: bool
    held_for: str = ""


class VersionFacts(_Closed):
    """consent_stands: no person's consent was withdrawn for files of it or of what it was made from."""

    id: str
    asset: str
    kind: str
    stage: str
    sealed: bool
    consent_stands: bool


class Credential(_Closed):
    """A certificate or opinion: whether one is valid for this very version now.

    state: `valid`, or what became of the latest one: `suspended`, `cancelled`, otherwise `none`.
    """

    valid: bool
    state: str


class Quota(_Closed):
    uses_taken: int
    uses_asked: int
    bytes_taken: int
    bytes_asked: int


class AccessFacts(_Closed):
    """The whole input of `data.access.decision`, before its digest is added.  now: Unix seconds."""

    now: int
    asked: Asked
    agreement: AgreementFacts
    uses: Uses
    version: VersionFacts
    certificate: Credential
    opinion: Credential
    quota: Quota
    epoch: int


class Part(NamedTuple):
    """A part of the facts, judged by its model, and the same as plain values with their text."""

    model: BaseModel
    plain: Kept


def judged(model: BaseModel) -> Part:
    """A part that is told for many uses: its shape is judged no more, and its text is there."""
    return Part(model, Kept(model.model_dump()))


def part(kind: type[BaseModel], told: Json) -> Part:
    """As `judged`, of values told by name; the same ones are judged and written once.  told: a list as a tuple.

    Raises ValidationError: a member is missing, unknown or of another type.
    """
    return _part(kind, tuple(told), *told.values())


# The values by their types: 1 is no True.
@lru_cache(maxsize=1024, typed=True)
def _part(kind: type[BaseModel], names: tuple[str, ...], *values: Any) -> Part:
    told = {name: list(one) if isinstance(one, tuple) else one for name, one in zip(names, values, strict=True)}
    return judged(kind.model_validate(told))


def checked(facts: Mapping[str, Any]) -> Json:
    """The whole input as plain values, its shape judged once.  facts: by name, plain or as a Part.

    Raises ValidationError: a member is missing, unknown or of another type.
    """
    AccessFacts.model_validate({name: one.model if type(one) is Part else one for name, one in facts.items()})
    return {name: one.plain if type(one) is Part else one for name, one in facts.items()}


def compile_uses(policy: Any) -> Uses:
    """An ODRL policy as facts; never raises, whatever it is given."""
    return _Compiler().uses(policy)


class _Compiler:
    """Walks a policy once and notes what it does not know."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def uses(self, policy: Any) -> Uses:
        policy = self._object(policy, "", _POLICY_KEYS)
        if policy.get("@context", CONTEXT) != CONTEXT:
            self.unknown.append("/@context")
        permissions = [self._permission(one, at) for at, one in self._list(policy, "permission", "")]
        prohibitions = [self._prohibition(one, at) for at, one in self._list(policy, "prohibition", "")]
        for key in ("@id", "timestamp"):
            self._text(policy, key, "")
        return Uses(
            type=self._text(policy, "@type", ""),
            profile=self._text(policy, "profile", ""),
            assigner=self._text(policy, "assigner", ""),
            assignee=self._text(policy, "assignee", ""),
            target=self._text(policy, "target", ""),
            permissions=permissions,
            prohibitions=prohibitions,
            unknown=sorted(set(self.unknown))[:64],
        )

    def _permission(self, given: Any, at: str) -> Permission:
        given = self._object(given, at, {"action", "target", "constraint", "duty"})
        limits = [self._limit(one, where, DEEPEST) for where, one in self._list(given, "constraint", at)]
        return Permission(
            action=self._text(given, "action", at),
            target=self._text(given, "target", at),
            constraints=[one for one in limits if isinstance(one, Constraint)],
            groups=[one for one in limits if isinstance(one, Group)],
            duties=[self._duty(one, where) for where, one in self._list(given, "duty", at)],
        )

    def _prohibition(self, given: Any, at: str) -> Prohibition:
        given = self._object(given, at, {"action"})
        return Prohibition(action=self._text(given, "action", at))

    def _duty(self, given: Any, at: str) -> Duty:
        given = self._object(given, at, {"action", "constraint"})
        limits = [self._constraint(one, where, _duty_side) for where, one in self._list(given, "constraint", at)]
        return Duty(action=self._text(given, "action", at), constraints=limits)

    def _limit(self, given: Any, at: str, deeper: int) -> Constraint | Group:
        logic = group_operator(given)
        if logic is None:
            return self._constraint(given, at, _right_side)
        self._object(given, at, {logic})
        if deeper == 0 or not given[logic]:
            self.unknown.append(f"{at}/{logic}")
            return Group(logic=logic, parts=[])
        return Group(
            logic=logic, parts=[self._limit(one, where, deeper - 1) for where, one in self._list(given, logic, at)]
        )

    def _constraint(self, given: Any, at: str, read: _Reader) -> Constraint:
        given = self._object(given, at, {"leftOperand", "operator", "rightOperand"})
        left, operator = self._text(given, "leftOperand", at), self._text(given, "operator", at)
        values, number = list[str](), 0
        try:
            values, number = read(left, operator, given.get("rightOperand"))
        except (ValueError, TypeError, OverflowError):
            self.unknown.append(f"{at}/rightOperand")
        return Constraint(left=left, operator=operator, values=values, number=number)

    def _object(self, given: Any, at: str, keys: set[str]) -> Json:
        if not isinstance(given, dict):
            self.unknown.append(at or "/")
            return {}
        self.unknown += [f"{at}/{str(key)[:80]}" for key in given if key not in keys]
        return given

    def _list(self, given: Json, key: str, at: str) -> Iterator[tuple[str, Any]]:
        items = given.get(key, [])
        if not isinstance(items, list):
            self.unknown.append(f"{at}/{key}")
            return
        for position, item in enumerate(items):
            yield f"{at}/{key}/{position}", item

    def _text(self, given: Json, key: str, at: str) -> str:
        value = given.get(key, "")
        if isinstance(value, str):
            return value
        self.unknown.append(f"{at}/{key}")
        return ""


def _right_side(left: str, operator: str, right: Any) -> tuple[list[str], int]:
    """Values and number of a limit of a permission."""
    if left in _INTEGERS:
        return [], _integer(right)
    if left == "dateTime":
        return [], _unix(right)
    if left == "elapsedTime":
        return [], _days(right) * SECONDS_PER_DAY
    return _texts_only(left, operator, right)


def _duty_side(left: str, operator: str, right: Any) -> tuple[list[str], int]:
    """Values and number of a limit of a duty: days stay text."""
    return ([], _integer(right)) if left in _NUMBERS_OF_DUTIES else _texts_only(left, operator, right)


def _texts_only(_left: str, operator: str, right: Any) -> tuple[list[str], int]:
    return _texts(right if operator == "isAnyOf" else [right]), 0


def _texts(right: Any) -> list[str]:
    if not isinstance(right, list) or not right or not all(isinstance(one, str) and one for one in right):
        raise ValueError("not a list of texts")
    return right


def _integer(right: Any) -> int:
    """A whole number, or one written as text: large ones are signed as strings."""
    if isinstance(right, str) and right.isascii() and right.isdigit() and len(right) <= len(str(MAX_INTEGER)):
        right = int(right)
    if not isinstance(right, int) or isinstance(right, bool) or not 0 <= right <= MAX_INTEGER:
        raise ValueError("not a whole number")
    return right


def _unix(right: Any) -> int:
    return int(parse_timestamp(right).timestamp())


def _days(right: Any) -> int:
    if not isinstance(right, str) or misfit("days", right):
        raise ValueError("not a number of days")
    return int(right[1:-1])
