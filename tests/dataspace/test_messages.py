"""Our reading of messages against the specification's own examples and schemas."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.dataspace.messages import KINDS, BadMessage, check
from marketplace.dataspace.policies import rules_of
from marketplace.dataspace.states import MACHINES, MOVES, Protocol, Side, step_of
from marketplace.kernel.canonical import Json
from marketplace.kernel.transitions import NotYourStep, WrongState
from tests.dataspace.schemas import FOLDER, SCHEMA_OF, problems_of

EXAMPLES = {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*/example/*.json"))}
MESSAGES = {name: one for name, one in EXAMPLES.items() if one.get("@type") in KINDS}


@pytest.mark.parametrize("name", MESSAGES)
def test_every_example_of_the_specification_is_read(name: str) -> None:
    assert check(MESSAGES[name], MESSAGES[name]["@type"]) == MESSAGES[name]


def test_every_message_of_the_protocol_has_an_example_and_a_schema() -> None:
    assert {one["@type"] for one in MESSAGES.values()} == set(KINDS)
    assert set(KINDS) <= set(SCHEMA_OF)
    assert {move.message for moves in MOVES.values() for move in moves.values()} | {"CatalogRequestMessage"} == set(
        KINDS
    )


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_whatever_the_schema_requires_we_require(name: str) -> None:
    whole = MESSAGES[name]
    for member in whole:
        less = {key: value for key, value in whole.items() if key != member}
        if problems_of(less, SCHEMA_OF[whole["@type"]]):
            with pytest.raises(BadMessage):
                check(less, whole["@type"])


RULES = st.lists(
    st.sampled_from(["use", "read", "train"]).map(lambda action: {"action": action}), min_size=1, max_size=3
)


@given(RULES, st.text(min_size=1), st.text(min_size=1))
def test_rules_are_the_same_whoever_the_parties_are(rules: list[Json], target: str, party: str) -> None:
    offer: Json = {"@id": "a", "@type": "Offer", "permission": rules, "target": target}
    parties = {"assigner": party, "assignee": party, "timestamp": "2026-01-01T00:00:00Z"}
    agreement = offer | {"@id": "b", "@type": "Agreement", **parties}
    agreement["permission"] = [one | {"@type": "Permission", "assignee": party, "constraint": []} for one in rules]
    assert rules_of(offer) == rules_of(agreement)
    assert rules_of(offer) != rules_of(offer | {"permission": [*rules, {"action": "derive"}]})


@given(st.sampled_from(Protocol), st.lists(st.tuples(st.sampled_from(Side), st.integers(0, 6)), max_size=30))
def test_no_order_of_messages_leaves_the_table_and_the_end_is_the_end(
    protocol: Protocol, said: list[tuple[Side, int]]
) -> None:
    moves, state = list(MOVES[protocol].values()), "REQUESTED"
    edges = {(row.source, row.target, who) for row in MACHINES[protocol].steps for who in row.who}
    for side, number in said:
        move = moves[number % len(moves)]
        try:
            step_of(protocol, state, move, side)
        except (WrongState, NotYourStep):
            assert (state, move.target, side) not in edges
            continue
        assert (state, move.target, side) in edges
        assert state not in {"TERMINATED", "COMPLETED", "FINALIZED"}
        state = str(move.target)
