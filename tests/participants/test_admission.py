"""Who becomes a participant, and whose keys count."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import func, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.client.problem import ProblemError
from marketplace.kernel.actor import Role
from marketplace.kernel.signing import BadKey, generate_key
from marketplace.participants import rules, service
from marketplace.participants.models import Participant, ParticipantKey
from marketplace.participants.schemas import ParticipantIn
from seeds.cast import CAST, credit_code
from tests.participants.small_market import b64

CODE = credit_code("91310000MA1FL3QH1")


def form(**changes):
    return {
        "legal_name": "示例第二人民医院",
        "legal_name_en": "Example Second Hospital",
        "credit_code": CODE,
        "kind": "hospital",
        "roles": ["provider"],
        "verified_by": "Example Registration Desk",
        "verification_method": "licence seen, register queried",
    } | changes


def count(market, table):
    with market.house.runtime.database.reading() as db:
        return db.exec(select(func.count()).select_from(table)).one()


def refusal(act, *args, **more):
    with pytest.raises(ProblemError) as caught:
        act(*args, **more)
    return caught.value


def test_real_codes_pass_the_checksum():
    # Published by their holders: Alibaba (China), Tencent Computer Systems, Baidu Netcom.
    for code in ("91330100799655058B", "9144030071526726XG", "91110000802100433B"):
        assert rules.require_credit_code(code) == code


@given(
    st.sampled_from([part.credit_code for part in CAST]),
    st.integers(0, 17),
    st.sampled_from(rules.CREDIT_CODE_ALPHABET),
)
def test_every_single_wrong_character_is_noticed(code, place, char):
    if code[place] != char:
        with pytest.raises(rules.InvalidCreditCode):
            rules.require_credit_code(code[:place] + char + code[place + 1 :])


@pytest.mark.parametrize(
    "code", ["", CODE[:-1], CODE + "0", CODE.lower(), "I" + CODE[1:], CODE[:-1] + "é", " " + CODE[1:]]
)
def test_a_code_of_another_shape_is_refused(code):
    with pytest.raises(rules.InvalidCreditCode):
        rules.require_credit_code(code)


def test_roles_mix_only_where_interests_do_not():
    for pair in combinations(Role, 2):
        if set(pair) == {Role.PROVIDER, Role.BUYER}:
            assert rules.require_roles(pair) == [Role.PROVIDER, Role.BUYER]
        else:
            with pytest.raises(rules.RolesDoNotMix):
                rules.require_roles(pair)
    assert [rules.require_roles([role, role]) for role in Role] == [[role] for role in Role]


def test_the_small_order_points_are_those_of_the_curve():
    prime = 2**255 - 19
    d = -121665 * pow(121666, -1, prime) % prime

    def add(p, q):
        (x1, y1), (x2, y2) = p, q
        cross = d * x1 * x2 * y1 * y2
        return (
            (x1 * y2 + x2 * y1) * pow(1 + cross, -1, prime) % prime,
            (y1 * y2 + x1 * x2) * pow(1 - cross, -1, prime) % prime,
        )

    for y in rules._SMALL_ORDER_Y:
        square = (y * y - 1) * pow(d * y * y + 1, -1, prime) % prime
        x = pow(square, (prime + 3) // 8, prime)
        x = x if x * x % prime == square else x * pow(2, (prime - 1) // 4, prime) % prime
        assert x * x % prime == square
        point = (x, y)
        for _ in range(3):
            point = add(point, point)
        assert point == (0, 1)
        for sign in (0, 1 << 255):
            with pytest.raises(rules.WeakKey):
                rules.require_strong_key({"kty": "OKP", "crv": "Ed25519", "x": b64((y | sign).to_bytes(32, "little"))})


def test_ordinary_keys_are_strong():
    for algorithm in ("EdDSA", "ES256") * 20:
        key = generate_key(algorithm)
        assert rules.require_strong_key(key.public_jwk) == key.public_jwk


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "OKP", "crv": "Ed25519"},
        {"kty": "OKP", "crv": "Ed25519", "x": 5},
        {"kty": "OKP", "crv": "Ed25519", "x": "é" * 43},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "EC", "crv": "P-384", "x": "A" * 64, "y": "A" * 64},
        {"kty": ["OKP"], "crv": {"a": 1}},
    ],
)
def test_what_is_no_key_is_refused_as_one(jwk):
    with pytest.raises((BadKey, rules.WeakKey)):
        rules.require_strong_key(jwk)


def test_the_operator_admits_and_two_entries_say_so(market):
    key = generate_key()
    admitted = market.client("operator").post("/v1/participants", form(jwk=key.public_jwk))
    assert (admitted["credit_code"], admitted["roles"]) == (CODE, ["provider"])
    assert admitted["verified_at"] == admitted["admitted_at"]
    entry = market.entries(Tag.PARTICIPANT_ADMITTED)[-1]
    assert entry["actor"]["participant"] == "prt_operator"
    assert entry["facts"]["participant"] == admitted["id"]
    assert "Example Registration Desk" not in str(entry)
    words = market.client("operator").get(f"/v1/documents/{entry['facts']['verification']}")
    assert words["text"].startswith("Example Registration Desk: ")
    assert market.entries(Tag.KEY_REGISTERED)[-1]["facts"]["kid"] == key.kid
    keys = market.client("hospital").get(f"/v1/participants/{admitted['id']}/keys")
    assert [one["kid"] for one in keys] == [key.kid]
    assert market.client("pharma").get(f"/v1/participants/{admitted['id']}") == admitted


def test_nobody_else_admits_and_the_refusal_is_an_entry(market):
    refused = refusal(market.client("hospital").post, "/v1/participants", form())
    assert (refused.status, refused.slug) == (403, "not-the-operator")
    entry = market.entries(Tag.REQUEST_REFUSED)[-1]
    assert entry["actor"]["participant"] == "prt_hospital"
    assert entry["facts"] == {"route": "POST /v1/participants", "reason": "not-the-operator"}


@pytest.mark.parametrize(
    ("changes", "status", "slug"),
    [
        ({"credit_code": CODE[:-1] + ("A" if CODE[-1] != "A" else "B")}, 422, "invalid-credit-code"),
        ({"roles": ["registrar", "exchange_operator"]}, 422, "roles-do-not-mix"),
        ({"roles": ["law_firm", "provider"]}, 422, "roles-do-not-mix"),
        ({"roles": ["service"]}, 422, "invalid"),
        ({"roles": []}, 422, "invalid"),
        ({"verified_at": "2099-01-01T00:00:00Z"}, 422, "wrong-moment"),
        ({"verified_at": "2026-01-01T00:00:00"}, 422, "invalid"),
        ({"credit_code": CAST[1].credit_code}, 409, "already-admitted"),
        ({"more": 1}, 422, "invalid"),
        ({"jwk": {"kty": "RSA"}}, 422, "bad-key"),
    ],
)
def test_a_refused_admission_leaves_nothing_behind(market, changes, status, slug):
    before = count(market, Participant), count(market, ParticipantKey)
    refused = refusal(market.client("operator").post, "/v1/participants", form(**changes))
    assert (refused.status, refused.slug) == (status, slug)
    assert (count(market, Participant), count(market, ParticipantKey)) == before
    assert market.entries(Tag.PARTICIPANT_ADMITTED) == []


def test_a_wrong_check_character_names_the_right_code(market):
    wrong = CODE[:-1] + ("A" if CODE[-1] != "A" else "B")
    refused = refusal(market.client("operator").post, "/v1/participants", form(credit_code=wrong))
    assert (refused.expected, refused.got) == (CODE, wrong)


def test_the_first_key_that_is_another_participants_undoes_the_admission(market):
    taken = market.house.cast["pharma"].key.public_jwk
    refused = refusal(market.client("operator").post, "/v1/participants", form(jwk=taken))
    assert (refused.status, refused.slug) == (409, "key-already-registered")
    assert count(market, Participant) == len(market.house.cast)
    assert market.entries(Tag.PARTICIPANT_ADMITTED) == []


def test_the_same_idempotency_key_admits_once_and_another_body_is_refused(market):
    client = market.client("operator")
    first = client.post("/v1/participants", form(), key="admit-second-hospital")
    assert client.post("/v1/participants", form(), key="admit-second-hospital") == first
    assert count(market, Participant) == len(market.house.cast) + 1
    refused = refusal(client.post, "/v1/participants", form(kind="clinic"), key="admit-second-hospital")
    assert (refused.status, refused.slug) == (422, "key-reused")
    assert len(market.entries(Tag.PARTICIPANT_ADMITTED)) == 1


def test_a_participant_rotates_its_own_key(market):
    hospital, client = market.house.cast["hospital"], market.client("hospital")
    fresh = generate_key("ES256")
    path = f"/v1/participants/{hospital.id}/keys"
    until = (market.house.clock.now() + timedelta(days=365)).isoformat()
    assert client.post(path, {"jwk": fresh.public_jwk, "valid_until": until})["alg"] == "ES256"
    ended = client.post(f"{path}/{hospital.key.kid}/revocation", {"reason": "superseded"})
    assert ended["revoked_at"] is not None
    assert refusal(client.get, path).status == 401
    assert market.entries(Tag.KEY_REVOKED)[-1]["facts"] == {
        "participant": hospital.id, "kid": hospital.key.kid, "reason": "superseded",
    }  # fmt: skip


def test_a_revoked_key_never_comes_back(market):
    hospital, operator = market.house.cast["hospital"], market.client("operator")
    path = f"/v1/participants/{hospital.id}/keys"
    operator.post(f"{path}/{hospital.key.kid}/revocation", {"reason": "compromised"})
    again = refusal(operator.post, path, {"jwk": hospital.key.public_jwk})
    assert (again.status, again.slug) == (409, "key-already-registered")
    twice = refusal(operator.post, f"{path}/{hospital.key.kid}/revocation", {"reason": "ceased"})
    assert (twice.status, twice.slug) == (409, "key-already-revoked")
    fresh = generate_key()
    assert operator.post(path, {"jwk": fresh.public_jwk})["kid"] == fresh.kid


@pytest.mark.parametrize("name", ["operator", "pharma", "registrar"])
def test_nobody_slips_a_key_beside_the_owners(market, name):
    path = f"/v1/participants/{market.house.cast['hospital'].id}/keys"
    refused = refusal(market.client(name).post, path, {"jwk": generate_key().public_jwk})
    assert (refused.status, refused.slug) == (403, "not-your-key")
    assert market.entries(Tag.KEY_REGISTERED) == []


def test_a_key_of_another_participant_cannot_be_ended_or_found(market):
    hospital, pharma = market.house.cast["hospital"], market.house.cast["pharma"]
    path = f"/v1/participants/{hospital.id}/keys/{hospital.key.kid}/revocation"
    assert refusal(market.client("pharma").post, path, {"reason": "ceased"}).status == 403
    mixed = f"/v1/participants/{pharma.id}/keys/{hospital.key.kid}/revocation"
    assert refusal(market.client("pharma").post, mixed, {"reason": "ceased"}).slug == "no-such-key"


def test_a_key_that_would_never_be_valid_is_refused(market):
    body = {"jwk": generate_key().public_jwk, "valid_until": market.house.clock.now().isoformat()}
    path = f"/v1/participants/{market.house.cast['hospital'].id}/keys"
    assert refusal(market.client("hospital").post, path, body).slug == "wrong-moment"


def test_suspension_is_the_operators_and_each_step_is_an_entry(market):
    operator, path = market.client("operator"), "/v1/participants/prt_insurer"
    reason = {"reason": "identity in doubt"}
    assert refusal(market.client("hospital").post, f"{path}/suspension", reason).slug == "not-the-operator"
    assert refusal(operator.post, f"{path}/reinstatement", reason).slug == "not-suspended"
    assert operator.post(f"{path}/suspension", reason)["suspended_at"] is not None
    assert refusal(operator.post, f"{path}/suspension", reason).slug == "already-suspended"
    assert operator.post(f"{path}/reinstatement", reason)["suspended_at"] is None
    entries = market.entries(Tag.PARTICIPANT_SUSPENDED) + market.entries(Tag.PARTICIPANT_REINSTATED)
    assert len(entries) == 2
    assert "identity in doubt" not in str(entries)
    for one in entries:
        address = f"/v1/documents/{one['facts']['words']}"
        assert operator.get(address)["text"] == market.client("insurer").get(address)["text"] == "identity in doubt"
        assert refusal(market.client("hospital").get, address).status == 404


def test_the_first_operator_is_made_in_an_empty_market_only(house):
    asked = ParticipantIn.model_validate(form(roles=["platform_operator"], jwk=generate_key().public_jwk))
    now = house.clock.now()
    with house.runtime.database.session(write=True) as db, pytest.raises(service.AlreadyHasParticipants):
        service.bootstrap_operator(db, asked, now)
    with house.db() as db:
        for table in (ParticipantKey, Participant):
            for row in db.exec(select(table)).all():
                db.delete(row)
            db.flush()
        with pytest.raises(service.Invalid):
            service.bootstrap_operator(db, asked.model_copy(update={"jwk": None}), now)
        made = service.bootstrap_operator(db, asked, now)
        assert made.roles == ["platform_operator"]
        assert db.exec(select(Entry.actor).where(Entry.tag == Tag.PARTICIPANT_ADMITTED.value)).all() == ["service"]
