"""The machine under whatever anybody does in whatever order: wrong moves change nothing, repeats have one effect."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlmodel import func, select

from marketplace.audit import documents
from marketplace.audit.models import Entry
from marketplace.kernel.errors import DomainError
from marketplace.negotiation import queries, service
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rounds.models import Proposal
from marketplace.negotiation.rules import NEGOTIATION, OPEN, Side, State, whose_move
from marketplace.negotiation.schemas import ResubmissionIn
from tests.exchange.parts import PRICE_FEN, listed
from tests.house import House, open_house
from tests.negotiation.parts import WHY, requested, sign
from tests.negotiation.rounds.parts import accept, counter, draft_to_sign, now_of, offer

PEOPLE = {"pharma": Side.BUYER, "hospital": Side.PROVIDER}
whos = st.sampled_from(list(PEOPLE))
prices = st.sampled_from([PRICE_FEN, PRICE_FEN - 1, PRICE_FEN - 2])
MOVES = {(row.source, row.target) for row in NEGOTIATION.steps}


class Negotiation(RuleBasedStateMachine):
    """One request, both parties, every verb at every moment, each move sent twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.house: House = self.stack.enter_context(open_house(folder / "house"))
        self.request = requested(self.house, listed(self.house))
        self.drafts: list[Agreement] = []

    def teardown(self) -> None:
        self.stack.close()

    def seen(self) -> tuple[Any, ...]:
        """Everything that a wrong move must leave as it was."""
        with self.house.runtime.database.reading() as db:
            request = queries.request(db, self.request.id)
            agreements = db.exec(select(Agreement.id, Agreement.state).order_by(Agreement.id)).all()
            rounds = db.exec(select(func.count()).select_from(Proposal)).one()
            entries = db.exec(select(func.count()).select_from(Entry)).one()
        return tuple(sorted(request.model_dump().items(), key=str)), tuple(agreements), rounds, entries

    @initialize(rounds=st.integers(0, 2), last=st.booleans())
    def has_gone_some_rounds(self, rounds: int, last: bool) -> None:
        for number in range(rounds):
            self.offers("hospital", PRICE_FEN - number)
            self.counters("pharma", PRICE_FEN - 10 - number)
        if last:
            self.offers("hospital", PRICE_FEN)

    def move(self, act: Callable[[], Any], who: str, *, answers_again: bool = True) -> Any:
        """Do something twice.  A refused move changes nothing; a repeat has the same answer and changes nothing more.

        answers_again: false for a move whose repeat is refused.
        """
        before, source = self.seen(), State(now_of(self.house, self.request).state)
        try:
            answer = act()
        except DomainError:
            assert self.seen() == before
            return None
        after, target = self.seen(), State(now_of(self.house, self.request).state)
        assert source == target or self._reachable(source, target), (source, target)
        with nullcontext() if answers_again else suppress(DomainError):
            again = act()
            assert answer is None or again.id == answer.id
        assert self.seen() == after, f"{who} changed something by saying the same again"
        self.house.clock.advance(timedelta(seconds=1))
        return answer

    def _reachable(self, source: State, target: State) -> bool:
        """A signature may go several steps at once."""
        reached = {source}
        while more := {to for start, to in MOVES if start in reached} - reached:
            reached |= more
        return target in reached

    @rule(who=whos, price=prices)
    def offers(self, who: str, price: int) -> None:
        plan = {"kind": "one_off", "price_fen": price}
        made = self.move(lambda: offer(self.house, self.request, who, price_plan=plan), who)
        self.drafts += [made] if made else []

    @rule(who=whos, price=prices)
    def counters(self, who: str, price: int) -> None:
        plan = {"kind": "one_off", "price_fen": price}
        self.move(lambda: counter(self.house, self.request, who, price_plan=plan), who)

    @rule(who=whos)
    def drafts_to_sign(self, who: str) -> None:
        made = self.move(lambda: draft_to_sign(self.house, self.request, who), who)
        self.drafts += [made] if made else []

    @precondition(lambda self: self.drafts)
    @rule(who=whos, data=st.data())
    def accepts(self, who: str, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from([self.drafts[-1], *self.drafts]))
        if self.move(lambda: accept(self.house, self.request, chosen.document, who), who):
            assert now_of(self.house, self.request).agreement_id == chosen.id

    @precondition(lambda self: self.drafts)
    @rule(who=whos, data=st.data())
    def signs(self, who: str, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from([self.drafts[-1], *self.drafts]))
        before = self.signers(chosen)
        if self.move(lambda: sign(self.house, chosen, who), who) and self.signers(chosen) != before:
            assert now_of(self.house, self.request).agreement_id == chosen.id

    @rule(who=whos)
    def returns(self, who: str) -> None:
        self.move(lambda: self._on_request(service.return_for_completion, who, WHY), who)

    @rule(who=whos)
    def resubmits(self, who: str) -> None:
        again = ResubmissionIn(justification="more words")
        self.move(lambda: self._on_request(service.resubmit, who, again), who, answers_again=False)

    @rule(who=whos, really=st.integers(0, 5))
    def ends(self, who: str, really: int) -> None:
        if really == 0:
            self.move(lambda: self._on_request(service.end_negotiation, who, WHY), who)

    @rule(days=st.sampled_from([1, 1, 1, 15]))
    def waits(self, days: int) -> None:
        self.house.clock.advance(timedelta(days=days))

        def expire() -> None:
            with self.house.db() as db:
                service.expire(db, self.request.id, self.house.clock.now())

        self.move(expire, "service")

    def signers(self, agreement: Agreement) -> set[str]:
        with self.house.runtime.database.reading() as db:
            return {one.signer for one in documents.signatures(db, agreement.document)}

    def _on_request(self, verb: Callable[..., AccessRequest], who: str, asked: Any) -> AccessRequest:
        with self.house.db() as db:
            found = queries.request(db, self.request.id)
            return verb(db, self.house.cast[who].actor, found, asked, self.house.clock.now())

    @invariant()
    def at_most_one_agreement_is_alive_and_it_is_that_of_the_state(self) -> None:
        with self.house.runtime.database.reading() as db:
            request = queries.request(db, self.request.id)
            alive = db.exec(select(Agreement).where(Agreement.state != "terminated")).all()
        state = State(request.state)
        assert {one.id for one in alive} <= {request.agreement_id}
        if state in {State.OFFERED, State.ACCEPTED, State.AGREED, State.FINALIZED}:
            assert len(alive) == 1
        assert (alive != [] and alive[0].state == "finalized") is (state == State.FINALIZED)
        assert (whose_move(state, request.reason) is None) is (state not in OPEN)
        assert request.reason != ""


def test_no_order_of_moves_breaks_the_machine() -> None:
    run_state_machine_as_test(
        Negotiation,
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
