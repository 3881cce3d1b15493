"""Which uses are allowed: one agreement, and one fact changed at a time."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from marketplace.assets.models import Version
from marketplace.audit.models import DocumentSignature, Entry
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import AmbiguousDocument, canonical, read_strictly, sha256_hex
from marketplace.kernel.clock import timestamp
from marketplace.legal.models import Opinion, OpinionCondition
from marketplace.negotiation.models import Agreement
from marketplace.participants.models import Participant
from marketplace.participants.service import suspend
from marketplace.plumbing import epochs
from marketplace.registration.models import Certificate
from marketplace.usage import service
from marketplace.usage.facts import AccessFacts, compile_uses
from marketplace.usage.rules import UseRequest, lapses, limits
from tests.house import House
from tests.policies.test_access import contract
from tests.usage.agreed import Agreed, agree, rewrite, row, sign_anew, uses

ASK = UseRequest(purpose="model_training")


def ask(house: House, asked: UseRequest = ASK, who: str = "pharma"):
    with house.runtime.database.reading() as db:
        agreement = db.get(Agreement, "agr_1")
        assert agreement is not None
        return service.authorize(db, house.cast[who].actor, agreement, asked, house.clock.now(), house.runtime)


def reasons(house: House, asked: UseRequest = ASK, who: str = "pharma") -> tuple[str, ...]:
    ruling = ask(house, asked, who)
    assert ruling.decision.allow == (ruling.decision.reasons == ())
    return ruling.decision.reasons


def test_allowed_as_agreed_with_its_duties(house):
    agree(house)
    ruling = ask(house)
    assert ruling.decision.allow
    assert [duty["action"] for duty in ruling.decision.obligations] == ["attribute", "mkt:pseudonymisePerAgreement"]
    jsonschema.validate(ruling.facts | {"digest": ruling.digest}, contract("policy/access-input.schema.json"))


CHANGES = {
    "other purpose": (lambda h, a: None, UseRequest("education"), "pharma", "purpose_not_permitted"),
    "made-up purpose": (lambda h, a: None, UseRequest("world_domination"), "pharma", "purpose_not_permitted"),
    "marketing": (lambda h, a: None, UseRequest("marketing"), "pharma", "purpose_denied_always"),
    "insurance decision": (
        lambda h, a: None,
        UseRequest("individual_insurance_decision"),
        "pharma",
        "purpose_denied_always",
    ),
    "other buyer": (lambda h, a: None, ASK, "ai_company", "wrong_party"),
    "the provider itself": (lambda h, a: None, ASK, "hospital", "wrong_party"),
    "the platform operator": (lambda h, a: None, ASK, "operator", "wrong_party"),
    "other asset": (lambda h, a: None, UseRequest("model_training", asset="ast_2"), "pharma", "wrong_asset"),
    "prohibited": (lambda h, a: None, UseRequest("model_training", "distribute"), "pharma", "prohibited_action"),
    "compute": (
        lambda h, a: None,
        UseRequest("model_training", delivery_mode="compute"),
        "pharma",
        "delivery_mode_not_permitted",
    ),
    "seven uses": (lambda h, a: None, UseRequest("model_training", uses=7), "pharma", "quota_exceeded"),
    "after the term": (lambda h, a: move(h, Agreement, "agr_1", ends_at=0), ASK, "pharma", "expired"),
    "before the term": (lambda h, a: move(h, Agreement, "agr_1", starts_at=1), ASK, "pharma", "not_started"),
    "drafted": (lambda h, a: rewrite(h, Agreement, "agr_1", state="drafted"), ASK, "pharma", "agreement_not_final"),
    "suspended": (
        lambda h, a: rewrite(h, Agreement, "agr_1", state="suspended"),
        ASK,
        "pharma",
        "agreement_suspended",
    ),
    "terminated": (
        lambda h, a: rewrite(h, Agreement, "agr_1", state="terminated"),
        ASK,
        "pharma",
        "agreement_terminated",
    ),
    "provider suspended": (lambda h, a: shut_out(h, "hospital"), ASK, "pharma", "party_suspended"),
    "buyer suspended": (lambda h, a: shut_out(h, "pharma"), ASK, "pharma", "party_suspended"),
    "a signature removed": (lambda h, a: unsign(h, "hospital"), ASK, "pharma", "agreement_not_final"),
    "terms changed in the table": (lambda h, a: loosen(h), ASK, "pharma", "terms_not_signed"),
    "certificate suspended": (
        lambda h, a: rewrite(h, Certificate, a.certificate, state="suspended"),
        ASK,
        "pharma",
        "certificate_suspended",
    ),
    "certificate lapsed": (
        lambda h, a: move(h, Certificate, a.certificate, valid_until=0),
        ASK,
        "pharma",
        "certificate_not_valid",
    ),
    "certificate of another root": (
        lambda h, a: rewrite(h, Certificate, a.certificate, root="cd" * 32),
        ASK,
        "pharma",
        "certificate_not_valid",
    ),
    "opinion expired": (lambda h, a: move(h, Opinion, a.opinion, expires_at=0), ASK, "pharma", "opinion_not_valid"),
    "opinion failed": (
        lambda h, a: rewrite(h, Opinion, a.opinion, outcome="FAIL"),
        ASK,
        "pharma",
        "opinion_not_valid",
    ),
    "condition missed": (lambda h, a: miss(h, made=a), ASK, "pharma", "opinion_not_valid"),
    "version suspended": (
        lambda h, a: rewrite(h, Version, a.version, stage="suspended"),
        ASK,
        "pharma",
        "version_suspended",
    ),
    "version retired": (
        lambda h, a: rewrite(h, Version, a.version, stage="retired"),
        ASK,
        "pharma",
        "version_retired",
    ),
    "listing forced off": (
        lambda h, a: rewrite(h, Listing, "lst_1", state="forced_off"),
        ASK,
        "pharma",
        "listing_forced_off",
    ),
    "consent withdrawn": (
        lambda h, a: rewrite(h, Version, a.version, stop_reason="consent_withdrawn"),
        ASK,
        "pharma",
        "consent_withdrawn",
    ),
    "raw version": (lambda h, a: rewrite(h, Version, a.version, kind="raw"), ASK, "pharma", "raw_version"),
    "unknown operand": (lambda h, a: sign_odd(h, a, "leftOperand", "weather"), ASK, "pharma", "unknown_term"),
    "kind of recipient": (
        lambda h, a: bind(h, a, limit("mkt:recipientKind", "eq", "university")),
        ASK,
        "pharma",
        "recipient_kind_not_permitted",
    ),
    "place of registration": (
        lambda h, a: bind(h, a, limit("spatial", "eq", "DE")),
        ASK,
        "pharma",
        "place_not_permitted",
    ),
    "declared place": (
        lambda h, a: bind(h, a, limit("spatial", "isAnyOf", ["CN", "SG"])),
        UseRequest("model_training", place="DE"),
        "pharma",
        "place_not_permitted",
    ),
    "records under a minimum group size": (
        lambda h, a: bind(h, a, limit("mkt:minimumGroupSize", "gteq", 10)),
        ASK,
        "pharma",
        "group_too_small",
    ),
    "records where aggregates are agreed": (
        lambda h, a: bind(h, a, limit("output", "eq", "aggregate")),
        ASK,
        "pharma",
        "output_not_permitted",
    ),
    "download where a secure environment is agreed": (
        lambda h, a: bind(h, a, limit("mkt:environment", "eq", "secure_environment")),
        ASK,
        "pharma",
        "environment_not_permitted",
    ),
    "no ethics approval": (
        lambda h, a: bind(h, a, limit("mkt:ethicsApproval", "eq", "valid")),
        ASK,
        "pharma",
        "ethics_approval_missing",
    ),
    "days since the signatures": (
        lambda h, a: (bind(h, a, limit("elapsedTime", "lteq", "P30D")), move(h, Agreement, "agr_1", finalized_at=-31)),
        ASK,
        "pharma",
        "expired",
    ),
    "one group with no branch left": (
        lambda h, a: bind(h, a, {"or": [limit("count", "lteq", 1), limit("spatial", "eq", "DE")]}),
        UseRequest("model_training", uses=2),
        "pharma",
        ("place_not_permitted", "quota_exceeded"),
    ),
    "declared abroad": (
        lambda h, a: prohibit(h, a, "mkt:transferAbroad"),
        UseRequest("model_training", place="SG"),
        "pharma",
        "transfer_abroad",
    ),
    "buyer registered abroad": (
        lambda h, a: (
            prohibit(h, a, "mkt:transferAbroad"),
            rewrite(h, Participant, h.cast["pharma"].id, jurisdiction="SG"),
        ),
        UseRequest("model_training", place="CN"),
        "pharma",
        "transfer_abroad",
    ),
    "unknown member": (lambda h, a: sign_odd(h, a, "unit", "year"), ASK, "pharma", "unknown_term"),
}


def limit(left: str, operator: str, right) -> dict:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def bind(house: House, made: Agreed, constraint: dict) -> None:
    """Have both sign a further constraint."""
    policy = copy.deepcopy(signed_uses(house))
    policy["permission"][0]["constraint"].append(constraint)
    sign_anew(house, made, policy)


def prohibit(house: House, made: Agreed, action: str) -> None:
    policy = copy.deepcopy(signed_uses(house))
    policy["prohibition"].append({"action": action})
    sign_anew(house, made, policy)


def signed_uses(house: House) -> dict:
    with house.runtime.database.reading() as db:
        return db.get(Agreement, "agr_1").uses


def test_a_use_within_every_new_limit_is_allowed(house):
    made = agree(house)
    for constraint in (
        limit("mkt:recipientKind", "isAnyOf", ["pharma", "insurer"]),
        limit("spatial", "isAnyOf", ["CN", "SG"]),
        limit("output", "isAnyOf", ["records", "model"]),
        limit("mkt:environment", "eq", "download"),
        limit("mkt:ethicsApproval", "eq", "valid"),
        limit("elapsedTime", "lteq", "P30D"),
        {"or": [limit("spatial", "eq", "DE"), {"and": [limit("spatial", "eq", "SG"), limit("count", "lteq", 1)]}]},
    ):
        bind(house, made, constraint)
    asked = UseRequest("model_training", place="SG", ethics_approval="ER-2026-017")
    assert reasons(house, asked) == ()
    assert ask(house, asked).stops_at == int((house.clock.now() + timedelta(days=30)).timestamp()) + 1


def move(house: House, model, key: str, **days: int) -> None:
    rewrite(house, model, key, **{name: house.clock.now() + timedelta(days=by) for name, by in days.items()})


def shut_out(house: House, name: str) -> None:
    with house.db() as db:
        suspend(db, house.cast["operator"].actor, house.cast[name].id, "example", house.clock.now())


def unsign(house: House, name: str) -> None:
    with house.arrange() as db:
        agreement = db.get(Agreement, "agr_1")
        db.delete(db.get(DocumentSignature, (agreement.document, house.cast[name].id)))


def loosen(house: House) -> None:
    with house.arrange() as db:
        agreement = db.get(Agreement, "agr_1")
        changed = copy.deepcopy(agreement.uses)
        changed["permission"][0]["constraint"][1]["rightOperand"] = 5000
        agreement.uses = changed
        db.add(agreement)


def miss(house: House, made: Agreed) -> None:
    with house.arrange() as db:
        row(db, OpinionCondition, id="c", now=house.clock.now(), opinion_id=made.opinion, due_at=house.clock.now())


def sign_odd(house: House, made: Agreed, member: str, value: str) -> None:
    with house.runtime.database.reading() as db:
        policy = copy.deepcopy(db.get(Agreement, made.agreement).uses)
    policy["permission"][0]["constraint"][1][member] = value
    sign_anew(house, made, policy)


@pytest.mark.parametrize(("change", "asked", "who", "reason"), CHANGES.values(), ids=CHANGES.keys())
def test_one_changed_fact_refuses_for_its_own_reason(house, change, asked, who, reason):
    made = agree(house)
    assert reasons(house) == ()
    change(house, made)
    assert reasons(house, asked, who) == ((reason,) if isinstance(reason, str) else reason)


def test_delisting_ends_no_running_agreement(house):
    agree(house)
    rewrite(house, Listing, "lst_1", state="withdrawn")
    assert reasons(house) == ()


def test_failing_engine_refuses(house):
    agree(house)

    class Silent:
        revision = "r"

        def decide(self, package, facts):
            from marketplace.plumbing.policy import denial

            return denial("policy_unavailable", self.revision)

    with house.runtime.database.reading() as db:
        gathered = service.gather(db, house.cast["pharma"].actor, db.get(Agreement, "agr_1"), ASK, house.clock.now())
    assert service.judge(replace(house.runtime, policy=Silent()), gathered).decision.reasons == ("policy_unavailable",)


def test_bump_between_decision_and_commit_refuses(house):
    made = agree(house)
    for subject in (made.agreement, made.version, made.certificate, made.opinion):
        ruling = ask(house)
        assert ruling.decision.allow
        with house.arrange() as db:
            epochs.bump(db, subject, "test")
        with house.db() as db:
            confirmed = service.confirm(db, ruling, house.clock.now(), house.runtime.settings)
        assert confirmed.decision.reasons == ("epoch_changed",)


def test_ruling_names_the_moment_at_which_its_first_fact_lapses(house):
    made = agree(house)
    soon = house.clock.now() + timedelta(days=30)
    rewrite(house, Opinion, made.opinion, expires_at=soon)
    assert ask(house).stops_at == int(soon.timestamp())
    with house.arrange() as db:
        due = house.clock.now() + timedelta(days=3)
        row(db, OpinionCondition, id="c", now=due, opinion_id=made.opinion, due_at=due)
    assert ask(house).stops_at == int(due.timestamp())


def test_entries_name_reasons_and_digest_but_no_facts_and_no_free_text(house):
    agree(house)
    secret = "zhangsan_of_ward_three"
    with house.db() as db:
        agreement = db.get(Agreement, "agr_1")
        for asked in (ASK, UseRequest(purpose=secret, action="readme", place="SG", ethics_approval=secret)):
            ruling = service.authorize(
                db, house.cast["pharma"].actor, agreement, asked, house.clock.now(), house.runtime
            )
            service.record_ruling(db, house.cast["pharma"].actor, agreement, ruling, house.clock.now(), about={})
    with house.runtime.database.reading() as db:
        bodies = [row.body for row in db.exec(select(Entry).order_by(Entry.id)) if row.tag.startswith("usage:")]
    allowed, refused = (read_strictly(body) for body in bodies)
    assert (allowed["tag"], refused["tag"]) == ("usage:allowed", "usage:refused")
    assert allowed["facts"]["purpose"] == "model_training"
    assert refused["facts"]["purpose"] == refused["facts"]["action"] == "unknown"
    assert refused["facts"]["reasons"] == ["action_not_permitted"]
    assert secret.encode() not in bodies[1]
    assert (allowed["facts"]["place"], refused["facts"]["place"]) == ("CN", "SG")
    assert "ethics_approval" not in allowed["facts"]
    assert refused["facts"]["ethics_approval"] == sha256_hex(secret.encode())
    assert len(refused["facts"]["facts"]) == len(refused["facts"]["revision"]) == 64


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**60),
    st.text(max_size=8),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)


def nodes(value, at=()):
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from nodes(inner, (*at, key))
    if isinstance(value, list):
        for place, inner in enumerate(value):
            yield from nodes(inner, (*at, place))


def put(value, at, new):
    if not at:
        return new
    changed = copy.copy(value)
    changed[at[0]] = put(value[at[0]], at[1:], new)
    return changed


def get(value, at):
    for step in at:
        value = value[step]
    return value


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_unknown_term_anywhere_in_the_uses_denies(house, data):
    """T20: put something the profile does not know at any node, as a new member or in place of a value."""
    base = example_facts(house)
    policy = base["policy"]
    at = data.draw(st.sampled_from(list(nodes(policy))))
    here = get(policy, at)
    if isinstance(here, dict) and data.draw(st.booleans()):
        changed = put(policy, at, here | {"odrl:" + data.draw(st.text(max_size=6)): data.draw(ODD)})
    elif isinstance(here, str):
        if at[-1] in {"@id", "timestamp"}:
            return
        changed = put(policy, at, here + "x")
    elif isinstance(here, list) and at[-1] != "rightOperand":
        changed = put(policy, at, data.draw(st.sampled_from([{}, None, "x", 3, [[]], [None], ["x"], [{"xone": []}]])))
        if not changed or changed == policy:
            return
    else:
        return
    try:
        canonical(changed)
    except AmbiguousDocument:
        return
    facts = base["facts"] | {"uses": compile_uses(changed).model_dump()}
    decision = house.runtime.policy.decide("access", facts)
    assert not decision.allow, changed
    assert decision.reasons


_KEPT: dict[str, dict] = {}


def example_facts(house: House) -> dict:
    """The allowed facts, made once for the house of a test."""
    key = str(id(house))
    if key not in _KEPT:
        agree(house)
        with house.runtime.database.reading() as db:
            agreement = db.get(Agreement, "agr_1")
            gathered = service.gather(db, house.cast["pharma"].actor, agreement, ASK, house.clock.now())
            _KEPT[key] = {"facts": gathered.facts, "policy": agreement.uses}
        assert house.runtime.policy.decide("access", gathered.facts).allow
    return _KEPT[key]


@given(ODD)
def test_compiling_never_raises_and_never_drops(value):
    compiled = compile_uses(value)
    if value != {}:
        assert compiled.unknown
    assert AccessFacts.model_fields["uses"].annotation is type(compiled)


def test_limits_and_ends_of_the_signed_uses(house):
    until = house.clock.now()
    compiled = compile_uses(uses(count=3, volume=10**9, until=until)).model_dump()
    assert (limits(compiled).uses, limits(compiled).bytes) == (3, 10**9)
    assert lapses(compiled, 0) == [int(until.timestamp()) + 1]
    assert compiled["unknown"] == []
    free = compile_uses(uses(count=None)).model_dump()
    assert (limits(free).uses, limits(free).bytes, lapses(free, 0)) == (None, None, [])
    assert timestamp(until).endswith("Z")
