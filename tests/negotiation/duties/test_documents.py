"""The published schemas and the forms that the service takes say the same."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from marketplace.kernel.canonical import canonical
from marketplace.negotiation.duties.schemas import DeletionDocument, UseReportDocument
from tests.generated import ROOT

DOCUMENTS = ROOT / "contracts" / "documents"
FORMS: dict[str, type[BaseModel]] = {"use-report": UseReportDocument, "deletion-certificate": DeletionDocument}
EXAMPLES = [
    (kind, path)
    for kind in FORMS
    for folder in ("valid", "invalid")
    for path in sorted((DOCUMENTS / "examples" / folder).glob(f"{kind}*.json"))
]


def schema(kind: str) -> Any:
    return json.loads((DOCUMENTS / f"{kind}.schema.json").read_text("utf-8"))


def taken(kind: str, document: Any) -> bool:
    try:
        made = FORMS[kind].model_validate(document)
    except ValidationError:
        return False
    # What is kept and signed are the very bytes that the buyer meant.
    assert canonical(made.model_dump(by_alias=True)) == canonical(document)
    return True


@pytest.mark.parametrize(("kind", "path"), EXAMPLES, ids=[path.stem for _, path in EXAMPLES])
def test_form_and_schema_agree_about_every_example(kind: str, path: Any) -> None:
    document = json.loads(path.read_text("utf-8"))
    valid = jsonschema.Draft202012Validator(schema(kind)).is_valid(document)
    # The schema cannot say that each purpose appears once with any number: the verb does.
    assert taken(kind, document) is valid


JUNK = st.sampled_from([None, True, False, 1, 0, -1, 1.5, "", "x", "2026-09-01", [], {}, ["model"] * 2, ["Dr Example"]])


@given(st.sampled_from(sorted(FORMS)), st.data())
def test_form_and_schema_agree_about_broken_documents(kind: str, data: st.DataObject) -> None:
    document = json.loads((DOCUMENTS / "examples" / "valid" / f"{kind}.json").read_text("utf-8"))
    place = data.draw(st.sampled_from(sorted(document)))
    if isinstance(document[place], dict) and data.draw(st.booleans()):
        document[place][data.draw(st.sampled_from(sorted(document[place])))] = data.draw(JUNK)
    else:
        document[place] = data.draw(JUNK)
    assert taken(kind, document) is jsonschema.Draft202012Validator(schema(kind)).is_valid(document)
