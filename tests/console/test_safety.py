"""Pages load nothing remote, run nothing, and can be read by everybody."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import marketplace.console
from tests.console.conftest import Site
from tests.console.reading import Page
from tests.console.test_pages import addresses

STYLE = Path(marketplace.console.__file__).parent / "static" / "style.css"


def test_every_page_forbids_scripts_and_anything_remote(site: Site) -> None:
    for address in [*addresses(site), "/nothing"]:
        answer = site.browser.get(address)
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'", address
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["form-action"] == "'self'"
        assert not re.search(r"https?:|\*", answer.headers["content-security-policy"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        if address == "/docs":
            assert policy["script-src"] == "'self'"
        else:
            assert set(policy) == {"default-src", "base-uri", "frame-ancestors", "form-action", "style-src", "img-src"}
            assert policy["style-src"] == "'self'"


def test_no_page_names_another_host_or_holds_a_script_or_inline_style(site: Site) -> None:
    for address in [*addresses(site), "/nothing"]:
        html = site.browser.get(address).text
        page = Page(html)
        for found in page.addresses:
            assert found.startswith(("/", "?", "#")), (address, found)
            assert not found.startswith("//"), (address, found)
        for name, attributes in page.elements:
            assert "style" not in attributes, (address, name)
            assert not any(attribute.startswith("on") for attribute in attributes), (address, name)
        assert not page.named("style")
        assert not page.named("iframe")
        for script in page.named("script"):
            assert address == "/docs"
            assert str(script["src"]).startswith("/static")


def test_the_page_of_the_api_finds_everything_it_loads_here(site: Site) -> None:
    page = Page(site.page("/docs"))
    assert page.named("script")
    for address in page.addresses:
        if address.startswith("/static"):
            assert site.browser.get(address).status_code == 200, address
    start = next(str(one["src"]) for one in page.named("script") if "docs.js" in str(one["src"]))
    assert "validatorUrl: null" in site.browser.get(start).text
    assert site.browser.get("/openapi.json").status_code == 200
    assert site.browser.get("/redoc").status_code == 404


def test_the_style_sheet_loads_nothing_and_its_address_changes_with_its_content(site: Site) -> None:
    css = STYLE.read_text()
    assert "@import" not in css
    assert "url(" not in css
    link = next(one for one in Page(site.page("/")).named("link") if one["rel"] == "stylesheet")
    assert re.fullmatch(r"/static/style\.css\?v=[0-9a-f]{12}", str(link["href"]))
    answer = site.browser.get(str(link["href"]))
    assert answer.text == css
    assert answer.headers["content-type"].startswith("text/css")


def test_headings_tables_drawings_and_fields_can_be_heard(site: Site) -> None:
    for address in addresses(site):
        page = Page(site.page(address))
        levels = [int(name[1]) for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
        assert all(after <= before + 1 for before, after in pairwise(levels)), (address, levels)
        for name, attributes in page.elements:
            if name == "svg":
                assert attributes["role"] == "img"
                assert attributes["aria-label"]
            if name == "img":
                assert "alt" in attributes
            if name == "th":
                assert attributes["scope"] in {"col", "row"}, address
            if name == "input" and attributes.get("type") != "hidden":
                assert attributes["aria-label"], address
            if attributes.get("class") == "scroll":
                assert attributes["tabindex"] == "0"
                assert attributes["aria-label"]
        assert len(page.named("title")) >= 1
        drawings = len(page.named("svg"))
        assert len(page.named("title")) == 1 + drawings, address


def test_words_stand_out_from_what_is_behind_them_in_light_and_dark() -> None:
    css = STYLE.read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    assert len(blocks) == 2
    light = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[0]))
    dark = light | dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[1]))
    on_paper = [
        (ink, ground) for ink in ("ink", "soft", "accent", "warn", "bad", "good") for ground in ("paper", "card")
    ]
    inside = [("accent", "accent-soft"), ("bad", "bad-soft"), ("good", "good-soft"), ("paper", "accent")]
    inside += [(ink, ground) for ink in ("ink", "soft") for ground in ("bad-soft", "good-soft")]
    for colours in (light, dark):
        for ink, ground in on_paper + inside:
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for ground in ("paper", "card"):
            assert contrast(colours["edge"], colours[ground]) >= 3, ground


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
