"""The codes of others are read into our purposes, and a mismatch says which permission, which code and why."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.exchange.terms import PROFILE, PURPOSES, UnknownTerm, check_terms
from marketplace.exchange.terms.purposes import LANGUAGES, UnknownCode, match, read_codes

SCHEMES = {
    f"{scheme}:{code}": entry for scheme, one in PURPOSES["schemes"].items() for code, entry in one["codes"].items()
}
DENIED = [code for code, entry in SCHEMES.items() if entry.get("denied")]


def policy(*purposes: tuple[str, ...]) -> dict[str, Any]:
    """An offer with one permission for each group of purposes."""
    return {
        "@context": PROFILE["context"],
        "@type": "Offer",
        "profile": PROFILE["id"],
        "permission": [
            {
                "action": "use",
                "target": "ast_1",
                "constraint": [{"leftOperand": "purpose", "operator": "isAnyOf", "rightOperand": list(one)}],
            }
            for one in purposes
        ],
    }


RESEARCH = ("scientific_research", "model_training", "model_validation", "public_health")


@pytest.mark.parametrize("code", SCHEMES)
def test_every_code_comes_to_something_that_this_house_knows(code: str) -> None:
    entry = SCHEMES[code]
    assert entry["en"]
    assert entry["zh"]
    assert {"purposes", "excludes", "recipients", "term", "text", "denied"} & set(entry)
    assert ("text" in entry) == ("text_zh" in entry)
    assert {*entry.get("purposes", []), *entry.get("excludes", [])} <= set(PURPOSES["known"])
    assert set(entry.get("recipients", [])) <= set(PROFILE["values"]["recipient_kind"])
    assert entry.get("term", "purpose") in PROFILE["left_operands"]


def test_the_thirteen_categories_and_the_codes_that_the_issue_names_are_there() -> None:
    assert len(PURPOSES["schemes"]["scenario"]["codes"]) == 13
    named = ["GRU", "HMB", "DS", "NPU", "NCU", "GSO", "IRB", "PUB", "COL", "RTN", "TS", "GS", "IS", "US", "PS", "NMDS"]
    assert {f"duo:{code}" for code in named} <= set(SCHEMES)
    assert len(DENIED) == 5


def test_a_code_whose_purposes_one_permission_permits_fits() -> None:
    found = match(policy(("statistics",), RESEARCH), "duo:HMB")
    assert found.fits
    assert [one["en"].split()[0] for one in found.reasons] == ["/permission/0", "/permission/1"]


def test_a_mismatch_names_permission_code_and_what_is_lacking() -> None:
    found = match(policy(RESEARCH), "ehds:research")
    assert not found.fits
    assert found.reasons[0]["en"].startswith("/permission/0 permits Training of models (model_training), ")
    assert found.reasons[0]["en"].endswith("ehds:research also means Product development (product_development)")
    assert found.reasons[0]["zh"].endswith("ehds:research 还包括：产品研发 (product_development)")


def test_two_permissions_that_only_together_cover_a_code_do_not_fit() -> None:
    assert not match(policy(("scientific_research",), ("model_training", "model_validation")), "scenario:research").fits
    assert match(policy(("scientific_research", "model_training", "model_validation")), "scenario:research").fits


@pytest.mark.parametrize("code", [*DENIED, "marketing", "reidentification"])
def test_what_is_prohibited_fits_no_contract(code: str) -> None:
    found = match(policy(tuple(PURPOSES["known"])), code)
    assert not found.fits
    assert "refused whatever a contract says" in found.reasons[0]["en"]


def test_a_code_for_public_bodies_does_not_fit_a_company() -> None:
    offered = policy(("statistics",))
    assert match(offered, "ehds:statistics", "public_body").fits
    found = match(offered, "ehds:statistics", "insurer")
    assert not found.fits
    assert found.reasons[0]["en"].endswith("is for these only: public body (public_body)")


@pytest.mark.parametrize("code", ["duo:PUB", "duo:IRB", "ehds:policy"])
def test_a_code_that_names_no_purpose_is_no_purpose(code: str) -> None:
    found = match(policy(tuple(PURPOSES["known"])), code)
    assert not found.fits
    assert all(one[language] for one in found.reasons for language in LANGUAGES)


def test_modifiers_narrow_and_nothing_of_them_is_dropped() -> None:
    read = read_codes(["duo:NRES", "duo:NPUNCU", "duo:NMDS", "duo:IRB", "duo:PUB"])
    assert read.purposes == set(PURPOSES["known"]) - {
        *("product_development", "actuarial_pricing", "model_training", "model_validation")
    }
    assert read.recipients == {"hospital", "research_institute", "university", "public_body"}
    assert read.terms == {"mkt:ethicsApproval"}
    assert [one["en"].split(":")[0] for one in read.texts] == ["Results must be published"]
    assert read_codes(["duo:GRU", "ehds:marketing"]).denied == "ehds:marketing"


@pytest.mark.parametrize("code", ["duo:ZZ", "mondo:1", "sports", "duo:", ":", "known"])
def test_an_unknown_code_is_refused_by_name(code: str) -> None:
    with pytest.raises(UnknownCode):
        read_codes([code])


def test_a_code_of_others_is_no_term_of_a_contract() -> None:
    with pytest.raises(UnknownTerm) as caught:
        check_terms(policy(("duo:HMB",)))
    assert caught.value.pointer == "/permission/0/constraint/0/rightOperand/0"
