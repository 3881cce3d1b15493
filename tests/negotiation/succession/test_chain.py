"""Whatever two sides do and in whatever order: the chain of acts stays one line, and nothing is used while stopped."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from marketplace.kernel.errors import DomainError
from marketplace.negotiation.rules import AgreementState
from marketplace.negotiation.succession import queries
from marketplace.usage import service as usage
from marketplace.usage.rules import UseRequest
from tests.house import open_house
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import (
    agreement_of,
    amend,
    chain,
    declare_resumption,
    sign_all,
    sign_as,
    sign_successor,
    suspend,
    terminate,
)

SIDES = st.sampled_from(["hospital", "pharma"])


class Following(RuleBasedStateMachine):
    """Two sides of one agreement and of what follows it.  line: the agreements that stood in its place, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.opened = open_house(Path(self.folder.name))
        self.house = self.opened.__enter__()
        self.line: list[str] = []
        self.proposed: list[str] = []
        self.uses = 9

    @initialize()
    def begin(self) -> None:
        self.line = [finalized(self.house).id]

    def teardown(self) -> None:
        self.opened.__exit__(None, None, None)
        self.folder.cleanup()

    @rule(who=SIDES)
    def suspends(self, who: str) -> None:
        self._try(suspend, self.line[-1], who)

    @rule(who=SIDES)
    def declares_resumption(self, who: str) -> None:
        self._try(declare_resumption, self.line[-1], who)

    @rule(who=SIDES, of=SIDES)
    def signs(self, who: str, of: str) -> None:
        """A side signs everything of its own, or tries to sign the other's."""
        if who == of:
            self._try(sign_all, self.line[-1], who)
            return
        before = agreement_of(self.house, self.line[-1]).state
        for act in chain(self.house, self.line[-1]).prepared:
            if act.party != self.house.cast[who].id:
                assert not self._try(sign_as, self.line[-1], who, act.document)
        assert agreement_of(self.house, self.line[-1]).state == before

    @rule(who=SIDES, rarely=st.integers(0, 5))
    def terminates(self, who: str, rarely: int) -> None:
        if rarely == 0:
            self._try(terminate, self.line[-1], who)

    @precondition(lambda self: len(self.proposed) < 4)
    @rule(who=SIDES)
    def amends(self, who: str) -> None:
        self.uses += 1
        made = self._try(amend, self.line[-1], who, parameters={"max_uses": self.uses})
        self.proposed += [made.id] if made else []

    @precondition(lambda self: bool(self.proposed))
    @rule(who=SIDES)
    def signs_the_successor(self, who: str) -> None:
        signed = self._try(sign_successor, self.proposed[-1], who)
        if signed and signed.state == AgreementState.FINALIZED and self.line[-1] != signed.id:
            self.line.append(signed.id)

    @precondition(lambda self: bool(self.proposed))
    @rule(who=SIDES)
    def refuses(self, who: str) -> None:
        if self.proposed[-1] not in self.line:
            self._try(terminate, self.proposed[-1], who)

    @rule(minutes=st.integers(1, 600))
    def time_passes(self, minutes: int) -> None:
        self.house.clock.advance(timedelta(minutes=minutes))

    @invariant()
    def every_chain_is_one_line(self) -> None:
        for name in self.line:
            shown = chain(self.house, name)
            acts = shown.acts
            assert [one.number for one in acts] == list(range(1, len(acts) + 1))
            names = [shown.agreement_document, *(one.document for one in acts)]
            assert [one.previous for one in acts] == names[:-1]
            assert len(set(names)) == len(names)
            assert shown.head == names[-1]
            assert all(one.previous == shown.head for one in shown.prepared)
            assert [one.kind for one in acts].count("termination") <= 1
            assert not any(one.kind == "resumption" and one.state != "signed" for one in acts)

    @invariant()
    def successors_are_one_line(self) -> None:
        with self.house.runtime.database.reading() as db:
            for old, new in pairwise(self.line):
                assert agreement_of(self.house, old).state == "superseded"
                standing = queries.amendment(db, old)
                assert standing is not None
                assert standing.agreement_id == new
            if self.line:
                assert queries.in_place_of(db, self.line[0]) == self.line[-1]

    @invariant()
    def nothing_is_used_while_it_is_stopped(self) -> None:
        for name in {*self.line, *self.proposed}:
            agreement = agreement_of(self.house, name)
            with self.house.runtime.database.reading() as db:
                now, pharma = self.house.clock.now(), self.house.cast["pharma"].actor
                ruling = usage.authorize(db, pharma, agreement, UseRequest("model_training"), now, self.house.runtime)
            stands = name == self.line[-1] and self._acts_let(name)
            assert ruling.decision.allow == stands, (name, agreement.state, ruling.decision.reasons)

    def _acts_let(self, name: str) -> bool:
        """Whether the acts of an agreement, read in order, leave it in force."""
        acts: Any = chain(self.house, name).acts
        return not acts or acts[-1].kind == "resumption"

    def _try(self, verb: Any, *args: Any, **named: Any) -> Any:
        try:
            return verb(self.house, *args, **named)
        except DomainError:
            return None


TestFollowing = Following.TestCase
TestFollowing.settings = settings(max_examples=12, stateful_step_count=18, deadline=None)
