"""The description of the API is valid, complete, and its examples fit what it promises."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from marketplace.openapi import BOUND, EXAMPLES, PUBLIC, operations
from tests.generated import ROOT, documents

VERB_NOUN = re.compile(r"[a-z]+(_[a-z]+)+")
JSON = ("application/json", "application/health+json")


@cache
def description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(documents()[ROOT / "contracts" / "openapi.json"])
    return found


def every() -> list[tuple[str, str, dict[str, Any]]]:
    return list(operations(description()))


def bodies(operation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every JSON body of an operation with the place where it stands."""
    holders = [("request", operation.get("requestBody", {}))]
    holders += [(f"answer {status}", answer) for status, answer in operation["responses"].items() if status[0] == "2"]
    return [
        (place, content)
        for place, holder in holders
        for media_type, content in holder.get("content", {}).items()
        if media_type in JSON and content.get("schema")
    ]


def test_the_description_is_valid_openapi() -> None:
    assert description()["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(description()).validate()


def test_every_operation_is_named_verb_noun_once_and_says_what_it_does() -> None:
    names = Counter(operation["operationId"] for _, _, operation in every())
    assert [name for name, times in names.items() if times > 1] == []
    assert [name for name in names if not VERB_NOUN.fullmatch(name)] == []
    for _, path, operation in every():
        assert operation.get("description"), path
        assert operation["tags"], path


def test_every_error_answer_is_a_problem_document() -> None:
    for method, path, operation in every():
        failed = {status: answer for status, answer in operation["responses"].items() if status[0] in "45"}
        assert "500" in failed, path
        for status, answer in failed.items():
            if operation["operationId"] == "get_readiness" and status == "503":
                assert list(answer["content"]) == ["application/health+json"]
                continue
            content = answer["content"]
            assert list(content) == ["application/problem+json"], (method, path, status)
            assert content["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_operations_declare_the_errors_that_callers_meet() -> None:
    for _, path, operation in every():
        if path in {"/livez", "/readyz"}:
            continue
        declared = set(operation["responses"])
        assert {"400", "401", "403", "404", "409", "413", "422", "503"} <= declared, path
        if operation["operationId"] in BOUND - {"decide_use"}:
            assert {"206", "416"} <= declared


def test_no_operation_answers_with_something_that_is_not_described() -> None:
    for _, path, operation in every():
        for status, answer in operation["responses"].items():
            if status[0] == "2" and status != "204":
                assert answer.get("content"), (path, status)


def test_every_body_has_an_example_that_fits_its_schema() -> None:
    for _, path, operation in every():
        for place, content in bodies(operation):
            shown = [one["value"] for one in content.get("examples", {}).values()]
            assert shown, (operation["operationId"], place)
            for value in shown:
                validator(content["schema"]).validate(value)
        assert path.startswith(("/v1/", "/log/", "/oauth/", "/.well-known/", "/policy/", "/livez", "/readyz"))


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    whole = {"components": description()["components"], **schema}
    return jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker())


def test_a_body_that_does_not_fit_is_noticed() -> None:
    operation = next(one for _, _, one in every() if one["operationId"] == "register_asset")
    (_, request), *_ = bodies(operation)
    value = request["examples"]["example"]["value"]
    with pytest.raises(jsonschema.ValidationError):
        validator(request["schema"]).validate(value | {"unknown": 1})
    with pytest.raises(jsonschema.ValidationError):
        validator(request["schema"]).validate({name: value[name] for name in value if name != "name"})


def test_examples_name_only_operations_that_exist_and_hold_no_secret() -> None:
    examples = json.loads(EXAMPLES.read_text())
    assert set(examples) <= {operation["operationId"] for _, _, operation in every()}
    token = examples["issue_token"]["response"]["access_token"]
    assert "example" in _decoded(token.split(".")[1])


def _decoded(part: str) -> str:
    import base64

    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()


def test_every_operation_says_how_to_authenticate() -> None:
    schemes = description()["components"]["securitySchemes"]
    flow = schemes["access_token"]["flows"]["clientCredentials"]
    assert (schemes["access_token"]["type"], flow["tokenUrl"]) == ("oauth2", "/oauth/token")
    assert (schemes["dpop_proof"]["in"], schemes["dpop_proof"]["name"]) == ("header", "DPoP")
    names = {operation["operationId"] for _, _, operation in every()}
    assert names >= PUBLIC | BOUND
    for _, path, operation in every():
        ways = [set(one) for one in operation["security"]]
        if operation["operationId"] in PUBLIC:
            assert ways == [], path
        elif operation["operationId"] in BOUND:
            assert ways == [{"access_token", "dpop_proof"}], path
        else:
            assert ways == [{"access_token"}, {"access_token", "dpop_proof"}], path


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    text = json.dumps(description())
    schemas = set(description()["components"]["schemas"])
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert named <= schemas
    assert schemas - named == set()


def test_inputs_refuse_unknown_fields() -> None:
    for _, path, operation in every():
        for place, content in bodies(operation):
            if place == "request" and "$ref" in content["schema"]:
                name = content["schema"]["$ref"].rsplit("/", 1)[1]
                assert description()["components"]["schemas"][name].get("additionalProperties") is False, (path, name)


def test_every_creating_post_asks_for_an_idempotency_key() -> None:
    for method, path, operation in every():
        if method == "POST" and operation["operationId"] not in PUBLIC:
            names = {one["name"].lower() for one in operation.get("parameters", [])}
            assert "idempotency-key" in names, path
