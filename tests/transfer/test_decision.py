"""Asking beforehand: decided and recorded like a use, without one; asked together, each by its own facts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlmodel import Session

from marketplace.audit.queries import entry as stored
from marketplace.audit.tree import leaf_hash
from marketplace.client.api import ApiClient, sign_proof
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.signing import verify_compact
from marketplace.main import create_app
from marketplace.negotiation.models import Agreement
from marketplace.participants.compact import BadToken
from marketplace.participants.dpop import token_hash
from marketplace.plumbing import epochs
from marketplace.plumbing.batches import Batches
from marketplace.transfer import deciding, queries
from marketplace.transfer.deciding import Decided, Failed, Question
from marketplace.usage import service as usage
from marketplace.usage.models import UsageQuota
from marketplace.usage.rules import UseRequest
from tests.house import House
from tests.transfer.doors import app_of, entries
from tests.usage.agreed import agree, agree_again, rewrite, uses

AT = "/v1/agreements/agr_1/decision"
GOOD = {"purpose": "model_training"}
PHARMA = {"X-Caller": "pharma"}


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    agree(house)
    with TestClient(app_of(house)) as opened:
        yield opened


def nothing_used(house: House) -> bool:
    with house.runtime.database.reading() as db:
        return not queries.of_agreement(db, "agr_1").rows and db.get(UsageQuota, "agr_1") is None


def test_a_use_that_would_be_allowed_is_recorded_and_takes_nothing(client: TestClient, house: House) -> None:
    answer = client.get(AT, params=GOOD, headers=PHARMA)
    assert answer.status_code == 200
    told = answer.json()
    assert told["allow"] is True
    assert [one["action"] for one in told["obligations"]] == ["attribute", "mkt:pseudonymisePerAgreement"]
    (entry,) = entries(house, "usage:decided")
    assert (entry["id"], entry["facts"]["allow"], entry["facts"]["uses"]) == (told["entry"], True, 1)
    assert (entry["facts"]["bytes"], entry["facts"]["revision"]) == (0, told["revision"])
    assert entries(house, "usage:allowed", "usage:refused") == []
    assert nothing_used(house)


def test_the_receipt_names_the_entry_of_this_answer_alone(client: TestClient, house: House) -> None:
    answers = [client.get(AT, params=GOOD, headers=PHARMA) for _ in range(2)]
    for answer, entry in zip(answers, entries(house, "usage:decided"), strict=True):
        key = house.runtime.service_key.public_jwk
        promised = read_strictly(verify_compact(answer.headers["Receipt"], key, typ="receipt+jwt"))
        (one,) = promised["entries"]
        assert one["id"] == entry["id"] == answer.json()["entry"]
        with house.runtime.database.reading() as db:
            assert one["leaf"] == leaf_hash(stored(db, one["id"]).body).hex()


@pytest.mark.parametrize(
    ("params", "who", "reason"),
    [
        ({"purpose": "education"}, "pharma", "purpose_not_permitted"),
        (GOOD, "ai_company", "wrong_party"),
        (GOOD | {"asset": "ast_2"}, "pharma", "wrong_asset"),
    ],
)
def test_a_refusal_names_its_reasons_as_the_use_would(
    client: TestClient, house: House, params: dict[str, str], who: str, reason: str
) -> None:
    answer = client.get(AT, params=params, headers={"X-Caller": who})
    use = client.get(AT.replace("decision", "data"), params=params, headers={"X-Caller": who})
    assert (answer.status_code, answer.json()["reasons"]) == (403, [reason])
    assert (use.status_code, use.json()["reasons"]) == (403, [reason])
    (entry,) = entries(house, "usage:decided")
    assert (entry["facts"]["allow"], entry["facts"]["reasons"]) == (False, [reason])


def test_an_unbound_token_a_stranger_and_an_unknown_agreement_get_no_decision(client: TestClient, house: House) -> None:
    assert client.get(AT, params=GOOD).status_code == 401
    assert client.get(AT, params=GOOD, headers=PHARMA | {"X-Unbound": "1"}).status_code == 401
    assert client.get(AT.replace("agr_1", "agr_9"), params=GOOD, headers=PHARMA).status_code == 404
    assert client.get(AT, headers=PHARMA).status_code == 422
    assert entries(house, "usage:decided") == []


def question(house: House, agreement: str, who: str = "pharma", purpose: str = "model_training") -> Question:
    return Question(lambda _db: (house.cast[who].actor, lambda _: None), agreement, UseRequest(purpose))


def test_questions_answered_together_are_answered_as_each_alone(house: House) -> None:
    made = agree(house)
    agree_again(house, made, "agr_2", uses(purposes=("statistics",)))
    agree_again(house, made, "agr_3")
    rewrite(house, Agreement, "agr_3", state="suspended")
    asked = [
        question(house, agreement, who, purpose)
        for agreement in ("agr_1", "agr_2", "agr_3", "agr_9")
        for who in ("pharma", "hospital")
        for purpose in ("model_training", "statistics", "marketing")
    ]
    together = deciding.decide_all(house.runtime, asked, house.clock.now())
    alone = [deciding.decide_all(house.runtime, [one], house.clock.now())[0] for one in asked]
    assert [_brief(one) for one in together] == [_brief(one) for one in alone]
    assert {_brief(one)[0] for one in together} == {True, False, "no-such-agreement"}
    with house.runtime.database.reading() as db:
        for one, found in zip(asked, together, strict=True):
            if isinstance(found, Decided):
                actor, _ = one.recognise(db)
                agreement = db.get(Agreement, one.agreement_id)
                ruling = usage.authorize(db, actor, agreement, one.use, house.clock.now(), house.runtime)
                assert (ruling.decision.allow, ruling.decision.reasons) == _brief(found)


def _brief(found: Decided | Failed) -> tuple[object, object]:
    if isinstance(found, Failed):
        return found.error.slug, None  # type: ignore[attr-defined]
    return found.decision.allow, found.decision.reasons


def test_questions_answered_together_read_as_often_as_one_alone(house: House) -> None:
    made = agree(house)
    agree_again(house, made, "agr_2")
    agree_again(house, made, "agr_3")
    counts = []
    for names in (["agr_1"], ["agr_1", "agr_2", "agr_3"]):
        read: list[str] = []

        def note(*args: Any, into: list[str] = read) -> None:
            into.extend([args[2]] if args[2].startswith("SELECT") else [])

        event.listen(house.runtime.database.engine, "before_cursor_execute", note)
        found = deciding.decide_all(house.runtime, [question(house, one) for one in names], house.clock.now())
        event.remove(house.runtime.database.engine, "before_cursor_execute", note)
        assert [_brief(one) for one in found] == [(True, ())] * len(names)
        counts.append(len(read))
    assert counts[0] == counts[1] > 0


def test_a_question_that_fails_fails_alone(house: House) -> None:
    agree(house)

    def broken(_db: Session) -> tuple[Actor, deciding.Spend]:
        raise RuntimeError("a fault")

    def shown_before(_db: Session) -> None:
        raise BadToken("this proof was used before")

    spent = Question(lambda _db: (house.cast["pharma"].actor, shown_before), "agr_1", UseRequest("model_training"))
    faulty = Question(broken, "agr_1", UseRequest("model_training"))
    good = question(house, "agr_1")
    found = deciding.decide_all(house.runtime, [faulty, good, spent, good], house.clock.now())
    assert [type(one) for one in found] == [Failed, Decided, Failed, Decided]
    assert len(entries(house, "usage:decided")) == 2
    assert deciding.decide_all(house.runtime, [faulty], house.clock.now())[0].error.args == ("a fault",)  # type: ignore[union-attr]


def test_a_stop_between_decision_and_commit_refuses_those_it_concerns(house: House) -> None:
    made = agree(house)
    agree_again(house, made, "agr_2")
    real = house.runtime.policy.decide

    class Bumping:
        """The real engine; one of two agreements is stopped while it thinks."""

        revision = house.runtime.policy.revision
        bumped = False

        def decide(self, package: str, facts: dict[str, object]) -> object:
            if not self.bumped:
                self.bumped = True
                with house.arrange() as db:
                    epochs.bump(db, "agr_2", "withdrawn")
            return real(package, facts)

    bumping: Any = Bumping()
    asked = [question(house, "agr_1"), question(house, "agr_2")]
    first, second = deciding.decide_all(replace(house.runtime, policy=bumping), asked, house.clock.now())
    assert (_brief(first), _brief(second)) == ((True, ()), (False, ("epoch_changed",)))


def test_with_real_tokens_a_proof_is_good_for_one_question(house: House) -> None:
    agree(house)
    base, party = house.runtime.settings.public_url, house.cast["pharma"]
    with TestClient(create_app(house.runtime), base_url=base) as http:
        client = ApiClient(http, base, party.id, party.key, house.clock)
        assert client.get(AT, GOOD)["allow"] is True
        assert client._token is not None
        token, now = client._token[0], int(house.clock.now().timestamp())
        claims = {"htm": "GET", "htu": base + AT, "iat": now, "jti": "once", "ath": token_hash(token)}
        headers = {"Authorization": f"DPoP {token}", "DPoP": sign_proof(party.key, claims)}
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: http.get(AT, params=GOOD, headers=headers).status_code, range(8)))
    assert sorted(answers) == [200] + [401] * 7
    assert len(entries(house, "usage:decided")) == 2


async def _ask_all(batches: Batches[int, int], numbers: range) -> list[object]:
    return await asyncio.gather(*(batches.ask(one) for one in numbers), return_exceptions=True)


def test_batches_answer_everybody_once_in_groups_and_pass_on_what_was_raised() -> None:
    sizes: list[int] = []

    def answer(questions: list[int]) -> list[int]:
        sizes.append(len(questions))
        if 13 in questions:
            raise ValueError("unlucky")
        return [one * 2 for one in questions]

    found = asyncio.run(_ask_all(Batches(answer, most=5, at_once=1), range(12)))  # type: ignore[arg-type]
    assert found == [one * 2 for one in range(12)]
    assert max(sizes) == 5
    unlucky = asyncio.run(_ask_all(Batches(answer, most=5, at_once=1), range(10, 20)))  # type: ignore[arg-type]
    assert [str(one) for one in unlucky if isinstance(one, ValueError)] == ["unlucky"] * 5
    assert sum(isinstance(one, int) for one in unlucky) == 5
