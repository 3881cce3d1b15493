"""The closed ODRL profile: known terms pass, one unknown term refuses the whole policy."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.exchange.leaving import left_out
from marketplace.exchange.linting import check_plan, obstacles
from marketplace.exchange.parameters import BadParameters, check_parameters
from marketplace.exchange.pricing import PlanDoesNotFit, read_plan
from marketplace.exchange.templates import LANGUAGES, UnknownTemplate, render_uses, template, templates
from marketplace.exchange.terms import (
    CONTRACTS,
    PROFILE,
    Enforcement,
    NoEnforcementPoint,
    NotDeliverable,
    Quota,
    UnknownTerm,
    check_offer,
    check_terms,
    enforced_permille,
    enforcement,
    permitted_purposes,
    quota,
)
from marketplace.exchange.terms.delivery import carried_under, undeliverable
from marketplace.governance.facts import AGE_BANDS
from marketplace.governance.profile import load
from marketplace.governance.required import required
from marketplace.transfer.selection import FACT_OF
from tests.exchange.parts import OFFERABLE, PARAMETERS, parameters_of, terms_of
from tests.usage.duties import only_attributes, only_records, small_groups, with_duties


def rendered(name: str = "model-training/v1") -> dict[str, Any]:
    return render_uses(template(name), PARAMETERS, "ast_1")


def nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of every node below the root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [
        place for key, child in items for place in [(*path, key), *nodes(child, (*path, key))] if key != "description"
    ]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


PATHS = nodes(rendered())
OBJECTS = [(), *[path for path in PATHS if isinstance(at(rendered(), path), dict)]]
UNKNOWN = st.one_of(
    st.text(min_size=1).map(lambda text: f"mkt:{text}?"),
    st.booleans(),
    st.none(),
    st.just({}),
    st.just([]),
    st.just(-1),
)


@given(path=st.sampled_from(PATHS), value=UNKNOWN)
def test_an_unknown_value_at_any_node_is_refused_whole(path: tuple[Any, ...], value: Any) -> None:
    uses = copy.deepcopy(rendered())
    at(uses, path[:-1])[path[-1]] = value
    with pytest.raises((UnknownTerm, NoEnforcementPoint)):
        check_terms(uses)


@given(path=st.sampled_from(OBJECTS), name=st.text(min_size=1).map(lambda text: f"{text}~/x"), value=UNKNOWN)
def test_an_unknown_member_of_any_object_is_refused_with_its_pointer(path: Any, name: str, value: Any) -> None:
    uses = copy.deepcopy(rendered())
    at(uses, path)[name] = value
    with pytest.raises(UnknownTerm) as caught:
        check_terms(uses)
    if "@context" not in path:
        steps = [str(key) for key in (*path, name)]
        assert caught.value.pointer == "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in steps)


@given(path=st.sampled_from(PATHS))
def test_leaving_out_any_node_never_widens_what_is_granted(path: tuple[Any, ...]) -> None:
    uses = copy.deepcopy(rendered())
    del at(uses, path[:-1])[path[-1]]
    try:
        check_terms(uses)
    except (UnknownTerm, NoEnforcementPoint):
        return
    assert permitted_purposes(uses) <= permitted_purposes(rendered())


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        (("permission", 0, "action"), "sell", "/permission/0/action"),
        (("permission", 0, "constraint", 0, "leftOperand"), "weather", "/permission/0/constraint/0/leftOperand"),
        (("permission", 0, "constraint", 0, "operator"), "gt", "/permission/0/constraint/0/operator"),
        (
            ("permission", 0, "constraint", 0, "rightOperand"),
            ["marketing"],
            "/permission/0/constraint/0/rightOperand/0",
        ),
        (("permission", 0, "constraint", 1, "rightOperand"), True, "/permission/0/constraint/1/rightOperand"),
        (("permission", 0, "constraint", 1, "rightOperand"), "5", "/permission/0/constraint/1/rightOperand"),
        (("permission", 0, "constraint"), [], "/permission/0/constraint"),
        (("permission",), [], "/permission"),
        (("prohibition",), [], "/prohibition"),
        (("profile",), "https://example.org/other", "/profile"),
        (("permission", 0, "duty", 0, "action"), "inform", "/permission/0/duty/0/action"),
        (("permission", 0, "duty", 1, "constraint", 0, "rightOperand"), "30", None),
    ],
)
def test_the_error_names_the_pointer(path: tuple[Any, ...], value: Any, pointer: str | None) -> None:
    uses = rendered()
    at(uses, path[:-1])[path[-1]] = value
    with pytest.raises(UnknownTerm) as caught:
        check_terms(uses)
    assert caught.value.pointer == (pointer or "/" + "/".join(map(str, path)))


def limit(left: str, operator: str, right: Any) -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


AT_HOME = limit("spatial", "eq", "CN")


def with_constraint(constraint: Any) -> dict[str, Any]:
    uses = rendered()
    del uses["permission"][1:]
    uses["permission"][0]["constraint"].append(constraint)
    return uses


@pytest.mark.parametrize(
    "constraint",
    [
        AT_HOME,
        limit("spatial", "isAnyOf", ["CN", "SG"]),
        limit("mkt:recipientKind", "isAnyOf", ["university", "hospital"]),
        limit("elapsedTime", "lteq", "P90D"),
        limit("output", "eq", "aggregate"),
        limit("mkt:minimumGroupSize", "gteq", 10),
        limit("mkt:environment", "eq", "secure_environment"),
        limit("mkt:ethicsApproval", "eq", "valid"),
        {"and": [{"or": [{"and": [{"or": [AT_HOME]}]}]}]},
    ],
)
def test_every_new_term_may_be_published_and_its_enforcement_is_shown(constraint: Any) -> None:
    uses = with_constraint(constraint)
    plain = copy.deepcopy(uses)
    del plain["permission"][0]["constraint"][-1]
    check_terms(uses)
    assert len(enforcement(uses)) == len(enforcement(plain)) + 1


@pytest.mark.parametrize(
    ("constraint", "pointer"),
    [
        (limit("spatial", "eq", "China"), "/rightOperand"),
        (limit("mkt:recipientKind", "eq", "broker"), "/rightOperand"),
        (limit("mkt:recipientKind", "lteq", "hospital"), "/operator"),
        (limit("output", "isAnyOf", ["aggregate", "faces"]), "/rightOperand/1"),
        (limit("mkt:minimumGroupSize", "gteq", 0), "/rightOperand"),
        (limit("elapsedTime", "lteq", "P1Y"), "/rightOperand"),
        (limit("mkt:ethicsApproval", "eq", "ER-1"), "/rightOperand"),
        ({"xone": [AT_HOME]}, "/xone"),
        ({"andSequence": [AT_HOME]}, "/andSequence"),
        ({"and": []}, "/and"),
        ({"or": [AT_HOME, {"and": [limit("weather", "eq", "dry")]}]}, "/or/1/and/0/leftOperand"),
        ({"or": [AT_HOME], "and": [AT_HOME]}, "/or"),
        ({"and": [{"or": [{"and": [{"or": [{"and": [AT_HOME]}]}]}]}]}, "/and/0/or/0/and/0/or/0/and"),
    ],
)
def test_the_error_names_the_pointer_inside_a_new_term(constraint: Any, pointer: str) -> None:
    uses = with_constraint(constraint)
    with pytest.raises(UnknownTerm) as caught:
        check_terms(uses)
    place = len(uses["permission"][0]["constraint"]) - 1
    assert caught.value.pointer == f"/permission/0/constraint/{place}{pointer}"


def test_a_group_in_a_duty_is_refused() -> None:
    uses = rendered()
    uses["permission"][0]["duty"][1]["constraint"] = [{"and": [limit("elapsedTime", "lteq", "P30D")]}]
    with pytest.raises(UnknownTerm) as caught:
        check_terms(uses)
    assert caught.value.pointer == "/permission/0/duty/1/constraint/0/and"


@pytest.mark.parametrize(
    ("constraint", "fits"),
    [
        (limit("output", "isAnyOf", ["records", "model"]), True),
        (limit("output", "isAnyOf", ["aggregate", "model"]), False),
        (limit("mkt:minimumGroupSize", "gteq", 1), True),
        (limit("mkt:minimumGroupSize", "gteq", 10), False),
        (limit("mkt:environment", "eq", "download"), True),
        (limit("mkt:environment", "eq", "secure_environment"), False),
        ({"or": [limit("output", "eq", "aggregate"), limit("output", "eq", "records")]}, True),
        ({"and": [limit("output", "eq", "aggregate"), limit("output", "eq", "records")]}, False),
        (limit("mkt:recipientKind", "eq", "university"), True),
    ],
)
def test_an_offer_that_no_delivery_could_meet_is_refused_with_its_pointer(constraint: Any, fits: bool) -> None:
    uses = with_constraint(constraint)
    check_terms(uses)
    if fits:
        check_offer(uses, "download")
        return
    with pytest.raises(NotDeliverable) as caught:
        check_offer(uses, "download")
    assert caught.value.pointer == f"/permission/0/constraint/{len(uses['permission'][0]['constraint']) - 1}"


def test_a_way_of_delivery_that_does_not_exist_is_refused() -> None:
    check_offer(rendered(), "download")
    with pytest.raises(NotDeliverable):
        check_offer(rendered(), "secure_environment")


SMALL_GROUPS = small_groups(10, "patient_sex", "age_band")
ON_WHAT_LEAVES = [
    {"action": "mkt:watermark"},
    only_attributes("Modality", "Rows"),
    only_records(limit("mkt:modality", "eq", "CT"), limit("mkt:studyYear", "gteq", 2019)),
    SMALL_GROUPS,
]


@pytest.mark.parametrize("duty", ON_WHAT_LEAVES, ids=lambda one: one["action"])
def test_a_duty_on_what_leaves_may_be_published_and_is_enforced_here(duty: dict[str, Any]) -> None:
    uses = with_duties(rendered(), duty)
    check_offer(uses, "download")
    (kind,) = {term.kind for term in enforcement(uses) if term.term == duty["action"]}
    assert kind is Enforcement.ENFORCED_HERE


@pytest.mark.parametrize(
    ("duty", "pointer"),
    [
        ({"action": "mkt:watermark", "constraint": []}, "/constraint"),
        ({"action": "mkt:onlyAttributes"}, "/constraint"),
        (only_attributes("Modality", "SliceThicknes"), "/constraint/0/rightOperand/1"),
        (only_attributes("Modality", "Modality"), "/constraint/0/rightOperand"),
        (only_records(), "/constraint"),
        (only_records(limit("mkt:modality", "eq", "XX")), "/constraint/0/rightOperand"),
        (only_records(limit("mkt:bodyPart", "eq", "SOUL")), "/constraint/0/rightOperand"),
        (only_records(limit("mkt:patientSex", "gteq", "F")), "/constraint/0/operator"),
        (only_records(limit("mkt:ageBand", "eq", "30-39")), "/constraint/0/rightOperand"),
        (only_records(limit("mkt:studyYear", "gteq", "2019")), "/constraint/0/rightOperand"),
        (only_records(limit("mkt:studyYear", "gteq", True)), "/constraint/0/rightOperand"),
        (only_records(limit("mkt:sliceThicknessMicrometres", "lteq", 1.5)), "/constraint/0/rightOperand"),
        (only_records(limit("mkt:quasiIdentifier", "isAnyOf", ["age_band"])), "/constraint/0/leftOperand"),
        (small_groups(0, "age_band"), "/constraint/1/rightOperand"),
        (small_groups(5, "name"), "/constraint/0/rightOperand/0"),
        ({"action": "mkt:withholdSmallGroups", "constraint": SMALL_GROUPS["constraint"][::-1]}, "/constraint"),
        ({"action": "mkt:withholdSmallGroups", "constraint": SMALL_GROUPS["constraint"][:1]}, "/constraint"),
    ],
)
def test_a_duty_on_what_leaves_that_the_profile_does_not_know_is_refused(duty: dict[str, Any], pointer: str) -> None:
    uses = rendered()
    del uses["permission"][1:]
    uses["permission"][0]["duty"].append(duty)
    with pytest.raises(UnknownTerm) as caught:
        check_terms(uses)
    assert caught.value.pointer == f"/permission/0/duty/{len(uses['permission'][0]['duty']) - 1}{pointer}"


AGGREGATE = limit("output", "eq", "aggregate")


@pytest.mark.parametrize(
    ("limits", "duties", "fits"),
    [
        ([limit("mkt:minimumGroupSize", "gteq", 10)], [SMALL_GROUPS], True),
        ([limit("mkt:minimumGroupSize", "gteq", 11)], [SMALL_GROUPS], False),
        ([AGGREGATE], [SMALL_GROUPS], True),
        ([AGGREGATE, limit("mkt:minimumGroupSize", "gteq", 10)], [SMALL_GROUPS, {"action": "mkt:watermark"}], True),
        ([AGGREGATE], [], False),
        ([AGGREGATE], [SMALL_GROUPS, only_attributes("Modality")], False),
        ([limit("output", "eq", "model")], [SMALL_GROUPS], False),
    ],
)
def test_small_groups_and_tables_are_offered_where_a_duty_says_by_what_to_count(
    limits: list[Any], duties: list[Any], fits: bool
) -> None:
    uses = with_duties(rendered(), *duties, limits=tuple(limits))
    check_terms(uses)
    assert (list(undeliverable(uses, "download")) == []) == fits


def test_one_delivery_serves_all_uses_so_a_table_beside_records_is_refused() -> None:
    uses = with_duties(rendered(), SMALL_GROUPS)
    uses["permission"] = [uses["permission"][0], copy.deepcopy(uses["permission"][0])]
    uses["permission"][1]["constraint"].append(AGGREGATE)
    with pytest.raises(NotDeliverable) as caught:
        check_offer(uses, "download")
    assert caught.value.pointer.startswith("/permission/1/constraint/")


CT = "1.2.840.10008.5.1.4.1.1.2"


def test_leaving_out_what_dicom_requires_is_refused_with_what_is_missing() -> None:
    ct = required()[CT]
    (finding,) = left_out(with_duties(one_permission(), only_attributes(*ct.valued - {"PixelSpacing"})), {CT})
    assert finding.expected == "PixelSpacing"
    assert finding.pointer.endswith("/constraint/0/rightOperand")
    assert "CTImageStorage" in finding.detail
    assert list(left_out(with_duties(one_permission(), only_attributes(*ct.valued)), {CT})) == []
    (finding,) = left_out(with_duties(one_permission(), only_attributes("Rows")), set())
    assert "SOPInstanceUID" in finding.expected


def one_permission() -> dict[str, Any]:
    uses = rendered()
    return uses | {"permission": uses["permission"][:1]}


def test_facts_and_bands_of_the_profile_are_those_of_governance_and_delivery() -> None:
    assert tuple(PROFILE["values"]["age_band"]) == AGE_BANDS
    assert set(FACT_OF) == set(PROFILE["duties"]["mkt:onlyRecords"]["any_of"])
    assert set(FACT_OF.values()) == set(PROFILE["values"]["fact"])
    assert {one.keyword for one in required().values()} == {
        kind.keyword for kind in load().kinds.values() if kind.reason is None
    }


def test_an_alternative_is_shown_as_strong_as_its_weakest_branch() -> None:
    kinds = {
        term.pointer: term.kind
        for name in ("or", "and")
        for term in enforcement(with_constraint({name: [limit("count", "lteq", 2), AT_HOME]}))
        if f"/{name}/" in term.pointer
    }
    at_count = "/permission/0/constraint/3"
    assert kinds[f"{at_count}/or/0"] is kinds[f"{at_count}/or/1"] is Enforcement.ATTESTED_BY_BUYER
    assert kinds[f"{at_count}/and/0"] is Enforcement.ENFORCED_HERE
    assert kinds[f"{at_count}/and/1"] is Enforcement.ATTESTED_BY_BUYER


def test_purposes_and_amounts_are_read_through_groups() -> None:
    both = {"or": [limit("count", "lteq", 2), limit("count", "lteq", 3)]}
    assert quota(with_constraint(both)).max_uses == 3
    assert quota(with_constraint({"or": [limit("count", "lteq", 2), AT_HOME]})).max_uses == 5
    narrowed = {"or": [limit("purpose", "eq", "model_training"), {"and": [limit("purpose", "eq", "education")]}]}
    assert permitted_purposes(with_constraint(narrowed)) == {"model_training"}
    assert permitted_purposes(with_constraint({"or": [narrowed, AT_HOME]})) == permitted_purposes(rendered())


def test_a_purpose_that_a_branch_escapes_is_no_enforcement_point() -> None:
    uses = rendered()
    constraint = uses["permission"][0]["constraint"]
    uses["permission"][0]["constraint"] = [{"or": [constraint[0], AT_HOME]}, *constraint[1:]]
    with pytest.raises(NoEnforcementPoint):
        check_terms(uses)


def test_a_permission_without_purpose_has_no_enforcement_point() -> None:
    uses = rendered()
    uses["permission"][0]["constraint"] = uses["permission"][0]["constraint"][1:]
    with pytest.raises(NoEnforcementPoint):
        check_terms(uses)


@pytest.mark.parametrize("name", sorted(templates()))
def test_every_template_stays_within_the_profile_and_shows_who_enforces_what(name: str) -> None:
    purposes = template(name).schema["properties"]["purposes"]["items"]["enum"]
    parameters = parameters_of(name, purposes=purposes)
    uses = render_uses(template(name), parameters, "ast_1")
    check_terms(uses)
    terms = enforcement(uses)
    assert {term.kind for term in terms} == set(Enforcement)
    here = sum(1 for term in terms if term.kind is Enforcement.ENFORCED_HERE)
    assert enforced_permille(terms) == here * 1000 // len(terms) > 400
    assert permitted_purposes(uses) == set(purposes)
    volume = parameters.get("max_bytes")
    assert quota(uses) == Quota(parameters.get("max_uses"), int(volume) if volume else None)


@pytest.mark.parametrize("name", sorted(templates()))
def test_what_the_clauses_promise_or_forbid_stands_in_the_machine_part_too(name: str) -> None:
    clauses = {one["id"] for one in template(name).clauses["en"]["clauses"]}
    for permission in template(name).every_term["permission"]:
        duties = {one["action"] for one in permission["duty"]}
        assert ("reporting" in clauses, "deletion" in clauses) == ("mkt:reportUse" in duties, "delete" in duties)
        assert "mkt:pseudonymisePerAgreement" in duties
    prohibited = {one["action"] for one in template(name).every_term["prohibition"]}
    assert {"mkt:reidentify", "distribute"} <= prohibited
    assert ("no_individual_decision" in clauses) == ("mkt:individualDecision" in prohibited)
    words = " ".join(one["text"] for one in template(name).clauses["zh"]["clauses"])
    assert ("向境外提供" in words) == ("mkt:transferAbroad" in prohibited)


NARROWED = ["insurance-actuarial/v1", "open-data/v1", "research-use/v1"]


@pytest.mark.parametrize("name", NARROWED)
def test_optional_parameters_narrow_what_leaves_and_are_offered(name: str) -> None:
    folder = CONTRACTS / "terms" / name / "examples" / "valid"
    parameters = json.loads((folder / "narrowed.json").read_text("utf-8"))
    plain, narrowed = parameters_of(name), render_uses(template(name), parameters, "ast_1")
    check_offer(narrowed, "download")
    assert list(left_out(narrowed, {CT})) == []
    more = {term.term for term in enforcement(narrowed)} - {
        term.term for term in enforcement(render_uses(template(name), plain, "ast_1"))
    }
    assert {"mkt:watermark", "mkt:withholdSmallGroups"} <= more
    assert set(parameters) - set(plain) == set(template(name).schema["properties"]) - set(plain)
    output = carried_under(narrowed, "download").output
    assert output == ("aggregate" if name == "insurance-actuarial/v1" else "records")
    clauses = {one["id"] for one in template(name).clauses["en"]["clauses"]}
    assert "what_leaves" in clauses


def test_cover_of_a_person_is_never_decided_on_actuarial_data() -> None:
    clauses = {one["id"]: one["text"] for one in template("insurance-actuarial/v1").clauses["en"]["clauses"]}
    assert "may not refuse cover to a particular person" in clauses["no_individual_decision"]
    for language in LANGUAGES:
        ids = [one["id"] for one in template("insurance-actuarial/v1").clauses[language]["clauses"]]
        assert "no_individual_decision" in ids
    parameters = parameters_of("insurance-actuarial/v1", purposes=["individual_insurance_decision"])
    with pytest.raises(BadParameters):
        render_uses(template("insurance-actuarial/v1"), parameters, "ast_1")


def test_what_needs_a_compute_room_is_there_but_cannot_be_offered() -> None:
    chosen = template("secure-environment-only/v1")
    uses = render_uses(chosen, parameters_of(chosen.name), "ast_1")
    check_terms(uses)
    with pytest.raises(NotDeliverable, match="no delivery can meet this") as caught:
        check_offer(uses, "download")
    assert caught.value.pointer == "/permission/0/constraint/1"
    assert [one.partition(" ")[2] for one in obstacles(chosen)] == [
        "no delivery can meet this (mkt:environment)",
        "no delivery can meet this (output)",
        "no delivery can meet this (mkt:minimumGroupSize)",
    ]
    assert sorted(templates()) == sorted([*OFFERABLE, chosen.name])


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("per-case/v1", {"kind": "one_off", "price_fen": 5}),
        ("subscription/v1", {"kind": "per_use", "price_fen": 5}),
        ("open-data/v1", {"kind": "one_off", "price_fen": 5}),
    ],
)
def test_the_price_plan_is_one_that_the_clauses_speak_of(name: str, plan: dict[str, Any]) -> None:
    with pytest.raises(PlanDoesNotFit, match=name):
        check_plan(template(name), read_plan(plan))
    check_plan(template(name), read_plan(terms_of(name)["price_plan"]))


@pytest.mark.parametrize("name", sorted(templates()))
def test_examples_of_a_template_are_judged_as_their_folder_says(name: str) -> None:
    import jsonschema

    folder = CONTRACTS / "terms" / name / "examples"
    valid, invalid = (sorted((folder / kind).glob("*.json")) for kind in ("valid", "invalid"))
    assert valid
    assert invalid
    schema = template(name).schema
    for path in valid:
        check_parameters(schema, json.loads(path.read_text("utf-8")))
        jsonschema.validate(json.loads(path.read_text("utf-8")), schema)
    for path in invalid:
        with pytest.raises(BadParameters):
            check_parameters(schema, json.loads(path.read_text("utf-8")))
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(path.read_text("utf-8")), schema)


VALUES = st.one_of(
    st.integers(-5, 20000),
    st.text(max_size=4),
    st.booleans(),
    st.none(),
    st.just("10"),
    st.lists(st.sampled_from(["model_training", "marketing", "model_validation"]), max_size=3),
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*PARAMETERS, "other"], VALUES)), st.booleans())
def test_our_parameter_check_agrees_with_json_schema(changes: dict[str, Any], whole: bool) -> None:
    import jsonschema

    schema = template("model-training/v1").schema
    given_ = (PARAMETERS if whole else {}) | changes
    try:
        check_parameters(schema, given_)
        ours = True
    except BadParameters:
        ours = False
    assert ours == jsonschema.Draft202012Validator(schema).is_valid(given_)


def test_a_template_is_only_looked_up_never_opened_by_a_clients_path() -> None:
    with pytest.raises(UnknownTemplate):
        template("../../odrl")


@pytest.mark.parametrize("name", sorted(templates()))
def test_both_languages_of_a_template_have_the_same_clauses(name: str) -> None:
    import re

    zh, en = (template(name).clauses[language]["clauses"] for language in LANGUAGES)
    assert [one["id"] for one in zh] == [one["id"] for one in en]
    assert len({one["id"] for one in zh}) == len(zh)
    for left, right in zip(zh, en, strict=True):
        assert set(re.findall(r"\{\w+\}", left["text"])) == set(re.findall(r"\{\w+\}", right["text"])), left["id"]
