"""Tariffs are data with sources, and the tariff of the day decides."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from marketplace.costing.tariffs import (
    FOLDER,
    NoTariff,
    TariffBook,
    TariffSheet,
    tariff_attributes,
    tariff_book,
)
from tests.costing.books import NOW


def sheet(*items, name="test"):
    base = {
        "measure": "fen_per_unit",
        "range": None,
        "unit": "scan",
        "conditions": {},
        "valid_until": None,
        "source": "a test",
        "grade": "EX",
        "is_example": True,
        "value_is_example": True,
        "note": "",
    }
    head = {"id": name, "title": "t", "title_zh": "t", "jurisdiction": "CN", "currency": "CNY"}
    return TariffSheet.model_validate(head | {"items": [base | item for item in items]})


def test_the_reports_fees_are_there_with_range_and_source():
    at = {kind: tariff_book().at(kind, NOW).tariff for kind in KINDS}
    assert {kind: (one.value, one.range) for kind, one in at.items()} == KINDS


KINDS = {
    "governance.scan": (5500, (5000, 6000)),
    "legal.opinion": (5_500_000, (5_000_000, 6_000_000)),
    "registration.certificate": (500_000, (200_000, 800_000)),
    "exchange.supplier_fee": (25, None),
    "exchange.buyer_fee": (998_000, None),
    "tax.vat": (60, None),
    "tax.surcharge": (120, None),
    "sale.marginal_cost": (200_000, None),
}


@pytest.mark.parametrize("one", tariff_book().published, ids=lambda one: one.id)
def test_every_tariff_names_its_source_and_grade_and_invents_no_address(one):
    assert len(one.tariff.source) > 20
    assert "http" not in one.tariff.source
    assert one.tariff.grade


def test_the_project_s_own_point_values_are_flagged():
    flagged = {(one.sheet, one.tariff.kind) for one in tariff_book().published if one.tariff.value_is_example}
    ours = {(one.sheet, one.tariff.kind) for one in tariff_book().published if one.sheet == "cn-2026-project"}
    report = {("cn-2025-report", "registration.certificate"), ("cn-2025-report", "sale.marginal_cost")}
    assert flagged == report | ours


def test_a_tariff_sheet_is_closed():
    text = (FOLDER / "cn-2025-report.json").read_text("utf-8")
    with pytest.raises(ValidationError):
        TariffSheet.model_validate_json(text.replace('"currency": "CNY"', '"currency": "CNY", "discount": 1'))
    with pytest.raises(ValidationError):
        TariffSheet.model_validate_json(text.replace('"value": 5500,', '"value": 7000,'))


def test_the_tariff_of_the_day_it_happened_counts_from_midnight_in_china():
    book = TariffBook(
        [
            sheet({"kind": "governance.scan", "value": 5000, "valid_from": "2025-01-01", "valid_until": "2026-09-01"}),
            sheet({"kind": "governance.scan", "value": 6000, "valid_from": "2026-09-01"}, name="later"),
        ]
    )
    assert book.at("governance.scan", datetime(2026, 8, 31, 15, 59, tzinfo=UTC)).tariff.value == 5000
    assert book.at("governance.scan", datetime(2026, 8, 31, 16, 0, tzinfo=UTC)).id == "later/governance.scan@2026-09-01"
    with pytest.raises(NoTariff):
        book.at("governance.scan", datetime(2024, 1, 1, tzinfo=UTC))


def test_two_tariffs_of_a_kind_never_hold_on_the_same_day():
    with pytest.raises(ValueError, match="same day"):
        TariffBook(
            [
                sheet({"kind": "governance.scan", "value": 1, "valid_from": "2025-01-01"}),
                sheet({"kind": "governance.scan", "value": 2, "valid_from": "2026-01-01"}, name="other"),
            ]
        )


def test_the_published_rates_rise_with_the_difficulty_of_the_modality():
    rate = {one: tariff_book().at("governance.scan", NOW, {"modality": one}).tariff.value for one in ("CT", "US", "SM")}
    assert rate == {"CT": 5500, "US": 11_000, "SM": 16_500}


@pytest.mark.parametrize("engaged", [0, 4, 5, 9, 10, 50])
def test_the_published_discounts_of_law_firms_stay_in_the_range_of_the_report(engaged):
    tariff = tariff_book().at("legal.opinion", NOW).tariff
    assert tariff.range is not None
    assert tariff.range[0] <= tariff.unit_price({"engagements_12m": engaged}) <= tariff.range[1]


def test_only_codes_choose_a_tariff_and_no_words_of_callers_enter_the_log():
    told = tariff_attributes("ct", "CHEST", "91310000000000777X")
    assert told == {"modality": "CT", "body_part": "CHEST", "region": "31"}
    assert tariff_attributes("胸部 CT", "Dr. Wang's", "91310000000000777X") == {"region": "31"}


BY_MODALITY = (
    {"kind": "governance.scan", "value": 5500, "valid_from": "2025-01-01"},
    {"kind": "governance.scan", "value": 11_000, "valid_from": "2025-01-01", "applies_to": {"modality": "US"}},
    {
        "kind": "governance.scan",
        "value": 9_000,
        "valid_from": "2025-01-01",
        "applies_to": {"modality": "US", "region": "31"},
    },
)


@pytest.mark.parametrize(
    ("attributes", "value"),
    [
        ({}, 5500),
        ({"modality": "CT"}, 5500),
        ({"modality": "US"}, 11_000),
        ({"modality": "US", "region": "11"}, 11_000),
        ({"modality": "US", "region": "31"}, 9_000),
        ({"region": "31"}, 5500),
    ],
)
def test_of_the_tariffs_that_fit_the_one_with_most_conditions_counts(attributes, value):
    assert TariffBook([sheet(*BY_MODALITY)]).at("governance.scan", NOW, attributes).tariff.value == value


def test_two_tariffs_that_would_fit_an_event_equally_well_are_refused():
    region = {"kind": "governance.scan", "value": 1, "valid_from": "2025-01-01", "applies_to": {"modality": "US"}}
    with pytest.raises(ValueError, match="same day"):
        TariffBook([sheet(*BY_MODALITY), sheet(region, name="other")])


def test_a_superseding_tariff_counts_on_its_days_and_the_old_one_on_the_others():
    old = {"kind": "governance.scan", "value": 5500, "valid_from": "2025-01-01"}
    name = "test/governance.scan@2025-01-01"
    new = old | {"value": 6000, "valid_from": "2026-06-01", "valid_until": "2026-07-01", "supersedes": name}
    newest = new | {"value": 6100, "supersedes": "new/governance.scan@2026-06-01"}
    book = TariffBook([sheet(old), sheet(new, name="new"), sheet(newest, name="newest")])
    found = [book.at("governance.scan", datetime(2026, month, 15, tzinfo=UTC)).tariff.value for month in (5, 6, 7)]
    assert found == [5500, 6100, 5500]
    assert book.revision != TariffBook([sheet(old), sheet(new, name="new")]).revision
    with pytest.raises(ValueError, match="not published"):
        TariffBook([sheet(new, name="new")])


def test_a_law_firm_s_price_falls_with_volume_and_frequency_and_discounts_never_add_up():
    opinion = {
        "kind": "legal.opinion",
        "value": 5_500_001,
        "valid_from": "2025-01-01",
        "discounts": [
            {"by": "engagements_12m", "at_least": 3, "per_mille": 900},
            {"by": "engagements_12m", "at_least": 6, "per_mille": 850},
            {"by": "records", "at_least": 10_000, "per_mille": 950},
        ],
    }
    tariff = TariffBook([sheet(opinion)]).at("legal.opinion", NOW).tariff
    assert tariff.unit_price({}) == tariff.unit_price({"engagements_12m": 2}) == 5_500_001
    assert tariff.unit_price({"engagements_12m": 3, "records": 20_000}) == 4_950_001
    assert tariff.unit_price({"engagements_12m": 9}) == 4_675_001
    assert tariff.unit_price({"records": 10_000}) == 5_225_001
