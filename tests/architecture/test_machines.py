"""Every state machine: its whole cross product of states and roles is taken or refused exactly as its table says."""

from __future__ import annotations

import re
from itertools import product

import pytest

from marketplace.audit.entry import Tag
from marketplace.kernel.actor import Role
from marketplace.kernel.transitions import Machine, NotYourStep, WrongState
from tests.generated import MACHINES, ROOT

# Who may stand in a table beside the roles of participants: a side of a contract, or the service itself.
SIDES = {"buyer", "consumer", "provider", "verifier", "service"}


def roles_of(machine: Machine) -> list[str]:
    return sorted({role for step in machine.steps for role in step.who} | {str(role) for role in Role} | {"nobody"})


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_move_by_every_role_is_judged_as_the_table_says(machine: Machine) -> None:
    states = list(type(machine.steps[0].source))
    table = {(row.source, row.target, role): row for row in reversed(machine.steps) for role in row.who}
    moves = {(row.source, row.target) for row in machine.steps}
    allowed = 0
    for source, target, role in product(states, states, roles_of(machine)):
        if (source, target) not in moves:
            with pytest.raises(WrongState):
                machine.step(source, target, {role})
        elif (source, target, role) not in table:
            with pytest.raises(NotYourStep):
                machine.step(source, target, {role})
        else:
            assert machine.step(source, target, {role}) is table[(source, target, role)]
            allowed += 1
    assert allowed == len(table)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_step_has_a_known_tag_and_known_roles(machine: Machine) -> None:
    for row in machine.steps:
        assert row.tag in set(Tag)
        assert row.who
        assert row.who <= {str(role) for role in Role} | SIDES, row


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_state_is_reached_from_the_first_and_every_capability_belongs_to_a_state(machine: Machine) -> None:
    states = list(type(machine.steps[0].source))
    reached = {states[0]}
    while more := {row.target for row in machine.steps if row.source in reached} - reached:
        reached |= more
    # `lapsed` certificates follow from the clock.
    derived = {("certificate", "lapsed")}
    assert {str(state) for state in set(states) - reached} <= {state for name, state in derived if name == machine.name}
    assert set(machine.allows) <= set(states)


def test_no_machine_is_missing_from_the_list() -> None:
    written = set()
    for path in (ROOT / "marketplace").rglob("*.py"):
        written |= set(re.findall(r"^([A-Z_]+) = Machine\(", path.read_text(), re.MULTILINE))
    assert len(written) == len(MACHINES), written
