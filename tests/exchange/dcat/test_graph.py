"""Both formats say the same, whatever the words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdflib import Literal, URIRef
from rdflib.compare import isomorphic
from rdflib.namespace import DCTERMS

from marketplace.exchange.dcat.graph import Graph, as_json_ld, as_turtle, day, moment, number, ref, text, truth
from marketplace.exchange.dcat.routes import JSON_LD, TURTLE, preferred
from tests.exchange.dcat.validating import read

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=60)
THING = "https://example.org/thing"


@given(st.lists(st.tuples(WORDS, st.sampled_from([None, "zh", "en"])), max_size=4), WORDS)
def test_json_ld_and_turtle_are_the_same_graph(said: list[tuple[str, str | None]], part: str) -> None:
    graph = Graph()
    graph.add(
        THING,
        ["dcat:Dataset"],
        {
            "dct:title": [text(words, language) for words, language in said],
            "dct:relation": ref(f"https://example.org/{part}"),
            "dct:issued": moment(datetime(2026, 9, 1, tzinfo=UTC)),
            "dct:extent": number(3),
            "dct:available": truth(True),
        },
    )
    one, other = read("".join(as_json_ld([graph])), "json-ld"), read("".join(as_turtle([graph])), "turtle")
    assert isomorphic(one, other)
    assert {str(found) for found in one.objects(URIRef(THING), DCTERMS.title)} == {words for words, _ in said}


def test_a_thing_said_twice_is_one_thing() -> None:
    graph = Graph()
    for words in ("a", "b", "a"):
        graph.add(THING, ["dcat:Dataset"], {"dct:title": text(words), "dct:source": None, "dct:subject": []})
    assert read("".join(as_turtle([graph])), "turtle").serialize(format="nt") == read(
        "".join(as_json_ld([graph])), "json-ld"
    ).serialize(format="nt")
    found = read("".join(as_turtle([graph])), "turtle")
    assert set(found.objects(URIRef(THING), DCTERMS.title)) == {Literal("a"), Literal("b")}
    assert len(found) == 3


def test_no_text_breaks_out_of_an_iri() -> None:
    graph = Graph()
    graph.add("https://example.org/> <https://evil.example/", ["dcat:Dataset"], {"dct:relation": ref('a"b c\\d')})
    assert len(read("".join(as_turtle([graph])), "turtle")) == 2


def test_a_day_that_does_not_exist_says_nothing() -> None:
    assert day("2026-02-30") is None
    assert day("2026-02-28") == {"@value": "2026-02-28", "@type": "xsd:date"}


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON_LD),
        ("*/*", JSON_LD),
        ("text/turtle", TURTLE),
        ("text/html, text/*;q=0.3", TURTLE),
        ("application/ld+json;q=0.4, text/turtle;q=0.5", TURTLE),
        ("application/ld+json, text/turtle;q=0.9", JSON_LD),
        ("text/turtle;q=x, */*;q=0.1", JSON_LD),
    ],
)
def test_the_format_follows_the_accept_header(accept: str, chosen: str) -> None:
    assert preferred(accept) == chosen
