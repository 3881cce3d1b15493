"""What the pages say, in both languages, and what they never say."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlmodel import col, func, select

from marketplace.assets.models import Asset
from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.console import codes, events, market_routes, views
from marketplace.console.desks import codes as desk_codes
from marketplace.console.reader import Reader
from marketplace.console.words import WORDS
from marketplace.exchange.models import Demand
from marketplace.exchange.terms import PROFILE, PURPOSES
from marketplace.ledger.accounts import posting_rules
from marketplace.legal import checklist
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import AgreementState
from marketplace.participants.models import Participant
from marketplace.settlement.models import Invoice
from tests.console.conftest import Site
from tests.console.reading import Page
from tests.house import unrecorded

LANGUAGES = ("en", "zh")


def addresses(site: Site) -> list[str]:
    certificate = site.told.result["certificate"]["code"]
    return [
        "/",
        "/?q=影像",
        "/?q=nothing-of-the-kind",
        f"/listings/{site.listing}",
        f"/agreements/{site.agreement}",
        "/entries",
        "/entries?before=20",
        f"/entries/{_entry(site)}",
        "/references",
        "/verify",
        f"/verify?code={certificate}",
        "/docs",
        *desk_addresses(site),
    ]


def desk_addresses(site: Site) -> list[str]:
    """Every kind of desk page of the told world, and what its tables lead to."""
    with site.runtime.database.reading() as db:
        agreement = negotiation.agreement(db, site.agreement)
        hospital, asset, buyer = agreement.provider_id, agreement.asset_id, agreement.buyer_id
        invoices = db.exec(select(Invoice.id).where(Invoice.buyer_id == buyer)).all()
        demands = db.exec(select(Demand.id)).all()
    return [
        "/participants",
        *(
            f"/participants/{hospital}/{page}"
            for page in ("director", f"assets/{asset}", "sales", "shares", "payables")
        ),
        f"/participants/{buyer}/purchases",
        "/demand",
        "/tariffs",
        *(f"/invoices/{one}" for one in invoices[:1]),
        *(f"/demand/{one}" for one in demands[:1]),
    ]


def _entry(site: Site) -> str:
    with site.runtime.database.reading() as db:
        from sqlmodel import select

        return db.exec(select(Entry.id).where(Entry.leaf_index == 5)).one()


def _in(address: str, language: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}lang={language}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_opens_in_both_languages_and_says_which(site: Site, language: str) -> None:
    for address in addresses(site):
        answer = site.browser.get(_in(address, language))
        assert answer.status_code == 200, address
        page = Page(answer.text)
        expected = "zh-CN" if language == "zh" else "en"
        assert page.named("html") == [{"lang": expected}], address
        assert answer.headers["content-language"] == expected
        assert len(page.named("h1")) == (0 if address == "/docs" else 1), address


def test_a_browser_gets_its_own_language_and_english_otherwise(site: Site) -> None:
    for header, expected in (("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("en-GB,zh", "en"), ("fr", "en"), ("", "en")):
        page = Page(site.page("/", headers={"accept-language": header}))
        assert page.named("html")[0]["lang"] == expected, header


def test_choosing_the_other_language_keeps_the_rest_of_the_address(site: Site) -> None:
    page = Page(site.page("/?q=影像 ct&lang=zh"))
    link = next(one for one in page.named("a") if one.get("class") == "language")
    assert parse_qs(urlsplit(link["href"]).query) == {"q": ["影像 ct"], "lang": ["en"]}
    assert link["lang"] == "en"
    assert "影像 ct" in site.page("/" + str(link["href"]))


def test_a_page_in_one_language_leads_to_pages_in_the_same_language(site: Site) -> None:
    for address in addresses(site):
        page = Page(site.page(_in(address, "zh")))
        for link in page.named("a"):
            href = str(link["href"])
            is_page = href.startswith("/") and not href.startswith("/v1/") and not href.endswith(".json")
            if is_page and link.get("class") != "language":
                assert parse_qs(urlsplit(href).query)["lang"] == ["zh"], (address, href)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_shows_a_raw_code(site: Site, language: str) -> None:
    raw = {*PURPOSES["known"], *PURPOSES["denied_always"], *(str(tag) for tag in Tag), *codes.ENFORCEMENT}
    raw |= {term for table in PROFILE.values() if isinstance(table, dict) for term in table if ":" in term}
    raw |= {code for code in codes.EVIDENCE if "_" in code or "-" in code} | {"PASS", "finalized"}
    raw = {code for code in raw if re.search(r"[_:A-Z-]", code) or code == "finalized"}
    for address in addresses(site):
        text = Page(site.page(_in(address, language))).text
        # The legal text of a contract names each purpose with its code, so that no translation can change it.
        text = re.sub(r"[(（][a-z_]+[)）]", "", text)
        found = {code for code in raw if re.search(rf"(?<![\w-]){re.escape(code)}(?![\w-])", text)}
        assert not found, (address, found)


def test_every_code_that_is_stored_has_words_in_both_languages() -> None:
    assert set(events.TAGS) == set(Tag)
    assert {str(state) for state in AgreementState} <= set(codes.AGREEMENT_STATES)
    assert checklist.current().evidence_kinds <= set(codes.EVIDENCE)
    assert set(desk_codes.STAGE_COSTS) == set(posting_rules().stage_kinds())
    for table in (events.TAGS, codes.EVIDENCE, codes.STAGES, codes.OUTCOMES, codes.RIGHTS, codes.CHECKS, WORDS):
        for code, (english, chinese) in table.items():
            assert english, code
            assert chinese, code


def test_the_catalogue_shows_what_is_valid_and_search_narrows_it(site: Site) -> None:
    whole = Page(site.page("/?lang=en"))
    assert [one["href"] for one in whole.named("a")].count(f"/listings/{site.listing}?lang=en") == 1
    assert "RMB 50,000.00" in whole.text
    assert "Product development" in whole.text
    assert "50,000.00 元" in Page(site.page("/?lang=zh&q=影像")).text
    assert "Nothing is listed for this search." in Page(site.page("/?lang=en&q=nothing-of-the-kind")).text
    assert site.browser.get("/", params={"q": "x" * 5000}).status_code == 200


def test_a_catalogue_of_several_pages_is_read_to_its_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _listings(Page(site.page("/?lang=en")))
    monkeypatch.setattr(market_routes, "CARDS", 1)
    read, further = list[str](), ["/?lang=en&q=影像"]
    while further and len(read) < len(whole):
        page = Page(site.page(further[0]))
        assert "Found for “影像” ·" in page.text  # no page knows how many there are
        read += _listings(page)
        further = [str(one["href"]) for one in page.named("a") if one.get("rel") == "next"]
    assert len(whole) > 1
    assert (read, further) == (whole, [])
    assert "First listings" in page.text
    assert site.browser.get("/", params={"cursor": "none-of-ours"}).status_code == 404


def test_a_buyer_that_has_used_all_it_may_reads_no_price_of_one_more(site: Site) -> None:
    with site.runtime.database.reading() as db:
        buyer = db.get_one(Agreement, site.agreement).buyer_id
    text = Page(site.page(f"/participants/{buyer}/purchases?lang=en")).text
    assert "2 / 2" in text
    assert "none is left" in text


def test_listings_of_one_asset_are_told_apart_by_price_and_term(site: Site) -> None:
    text = Page(site.page("/?lang=en")).text
    assert "RMB 20,000.00 for 3 days of access, VAT included" in text
    assert "RMB 50,000.00 for 365 days of access, VAT included" in text


def _listings(page: Page) -> list[str]:
    return [one for one in page.addresses if one.startswith("/listings/")]


def test_a_listing_shows_passport_terms_and_for_an_example_its_books(site: Site) -> None:
    page = Page(site.page(f"/listings/{site.listing}?lang=en"))
    for words in ("Legally assessed", "Example Mingli Law Firm", site.told.result["certificate"]["code"]):
        assert words in page.text
    for words in ("at most 2", "at most 50 GB", "within 30 days", "re-identify a person", "enforced here"):
        assert words in page.text
    total = site.told.result["cost"]["total_fen"]
    assert f"RMB {total // 100:,}.{total % 100:02d}" in page.text
    assert f"/agreements/{site.agreement}?lang=en" in page.addresses
    assert "登记发证" in site.page(f"/listings/{site.listing}?lang=zh")


def test_the_page_of_a_real_asset_shows_neither_its_costs_nor_its_contracts(site: Site) -> None:
    public = f"/listings/{site.listing}?lang=en"
    assert "Cost and income" in site.page(public)
    with unrecorded(site.runtime) as db:
        asset = db.get(Asset, site.told.result["asset"]["id"])
        asset.is_example = False
    try:
        text = Page(site.page(public)).text
        for words in ("Cost and income", "Break-even", "Contracts", "Kangyuan"):
            assert words not in text, words
        assert "Passport" in text
        assert site.browser.get(f"/agreements/{site.agreement}").status_code == 404
        log = Page(site.page("/entries?lang=en")).text
        for words in ("Use refused", "Contract in force", "Books posted", "Bytes served"):
            assert words not in log, words
        assert "Participant admitted" in Page(site.page("/entries?lang=en&before=12")).text
    finally:
        with unrecorded(site.runtime) as db:
            db.get(Asset, site.told.result["asset"]["id"]).is_example = True


@pytest.mark.parametrize("real", ["buyer", "provider"])
def test_an_asset_that_its_provider_calls_an_example_opens_nothing_of_a_real_party(site: Site, real: str) -> None:
    with site.runtime.database.reading() as db:
        found = db.get_one(Agreement, site.agreement)
        party = found.buyer_id if real == "buyer" else found.provider_id
    with unrecorded(site.runtime) as db:
        db.get_one(Participant, party).is_example = False
    try:
        assert site.browser.get(f"/agreements/{site.agreement}").status_code == 404
        listing = Page(site.page(f"/listings/{site.listing}?lang=en"))
        assert f"/agreements/{site.agreement}?lang=en" not in listing.addresses
        assert ("Cost and income" in listing.text) == (real == "buyer")
        with site.runtime.database.reading() as db:
            reader = Reader(db, site.runtime.clock.now(), "en")
            told = db.exec(select(Entry).where(Entry.agreement == site.agreement)).all()
            assert {views.event_of(reader, one) for one in told} == {""}
    finally:
        with unrecorded(site.runtime) as db:
            db.get_one(Participant, party).is_example = True


def test_a_contract_that_does_not_exist_and_one_that_is_private_look_the_same(site: Site) -> None:
    missing = site.browser.get("/agreements/agr_00000000000000000000000000000000")
    with unrecorded(site.runtime) as db:
        db.get(Asset, site.told.result["asset"]["id"]).is_example = False
    try:
        private = site.browser.get(f"/agreements/{site.agreement}")
    finally:
        with unrecorded(site.runtime) as db:
            db.get(Asset, site.told.result["asset"]["id"]).is_example = True
    assert (missing.status_code, missing.text) == (
        private.status_code,
        private.text.replace(site.agreement, "agr_" + "0" * 32),
    )


@pytest.mark.parametrize(("language", "refused"), [("en", "The agreed number of uses"), ("zh", "约定的使用次数")])
def test_a_contract_shows_signatures_terms_and_why_a_use_was_refused(site: Site, language: str, refused: str) -> None:
    page = Page(site.page(f"/agreements/{site.agreement}?lang={language}"))
    for one in site.told.result["agreement"]["signatures"]:
        assert one["kid"] in page.text
    assert site.told.result["agreement"]["sha256"] in page.text
    assert refused in page.text
    assert ("in force" if language == "en" else "已生效") in page.text


def test_times_are_those_of_beijing_and_the_markup_holds_the_exact_moment(site: Site) -> None:
    page = Page(site.page(f"/listings/{site.listing}?lang=zh"))
    moments = [str(one["datetime"]) for one in page.named("time")]
    assert moments
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", one) for one in moments)
    assert re.search(r"\d{4}年\d{1,2}月\d{1,2}日", page.text)
    until = site.told.result["certificate"]["valid_until"]
    assert until in moments


def test_an_entry_shows_its_place_and_a_proof_that_leads_to_the_root(site: Site) -> None:
    page = Page(site.page(f"/entries/{_entry(site)}?lang=en"))
    proof = site.browser.get("/log/proof/inclusion", params={"index": 5}).json()
    assert proof["leaf"] in page.text
    assert proof["root"] in page.text
    for node in proof["proof"]:
        assert node in page.text


def test_older_entries_are_reached_page_by_page(site: Site) -> None:
    seen: list[set[str]] = []
    address: str | None = "/entries?lang=en"
    while address is not None:
        page = Page(site.page(address))
        seen.append({one for one in page.addresses if one.startswith("/entries/")})
        address = next((str(one["href"]) for one in page.named("a") if one.get("rel") == "next"), None)
    assert len(seen) > 1
    assert {len(page) for page in seen[:-1]} == {100}
    with site.runtime.database.reading() as db:
        in_tree = db.exec(select(func.count(col(Entry.leaf_index)))).one()
    assert sum(len(page) for page in seen) == len(set.union(*seen)) == in_tree


def test_a_search_for_markup_is_shown_as_text(site: Site) -> None:
    hostile = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'"
    for address in ("/", "/verify"):
        for language in LANGUAGES:
            html = site.page(address, params={"q": hostile, "code": hostile, "lang": language})
            page = Page(html)
            assert not page.named("script")
            assert not any("onerror" in attributes for _, attributes in page.elements)
            assert "alert(1)" in html


def test_hostile_names_of_a_provider_are_shown_as_text_also_in_drawings(site: Site) -> None:
    from marketplace.participants.models import Participant

    hostile = "</text><script>alert(1)</script>"
    with unrecorded(site.runtime) as db:
        asset = db.get(Asset, site.told.result["asset"]["id"])
        provider = db.get(Participant, asset.provider_id)
        kept = (asset.name_en, asset.overview_en, provider.legal_name_en)
        asset.name_en, asset.overview_en, provider.legal_name_en = hostile, hostile, hostile
    try:
        for address in ("/", f"/listings/{site.listing}", f"/agreements/{site.agreement}"):
            page = Page(site.page(f"{address}?lang=en"))
            assert not page.named("script"), address
            assert "alert(1)" in page.text
    finally:
        with unrecorded(site.runtime) as db:
            asset = db.get(Asset, site.told.result["asset"]["id"])
            provider = db.get(Participant, asset.provider_id)
            asset.name_en, asset.overview_en, provider.legal_name_en = kept


def test_a_browser_gets_a_page_for_an_unknown_address_and_a_program_a_problem_document(site: Site) -> None:
    for address in (
        "/nothing",
        "/listings/lst_nothing",
        "/entries/ent_nothing",
        "/static/nothing",
        "/static/..%2Fwords.py",
    ):
        answer = site.browser.get(address)
        assert answer.status_code == 404, address
        assert answer.headers["content-type"].startswith("text/html"), address
        assert "content-security-policy" in answer.headers
    for address, accept in (("/nothing", "application/json"), ("/nothing", "*/*"), ("/v1/nothing", "text/html")):
        answer = site.browser.get(address, headers={"accept": accept})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 404


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_agreements_page_shows_what_the_buyer_owes_by_when_and_its_proofs(site: Site, language: str) -> None:
    page = Page(site.page(f"/agreements/{site.agreement}?lang={language}"))
    column = LANGUAGES.index(language)
    assert codes.DUTIES["delete"][column] in page.text
    assert WORDS["due"][column] in page.text
    assert WORDS["proofs_of_use"][column] in page.text
    assert site.told.result["use_report"]["document"] in page.text
