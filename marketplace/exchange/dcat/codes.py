"""The code lists of others that descriptions use, read once from `contracts/dcat`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from marketplace.exchange.dcat.graph import Graph, ref, text
from marketplace.kernel.canonical import Json, read_strictly

FILE = Path(__file__).resolve().parents[3] / "contracts" / "dcat" / "codes.json"


@cache
def codes() -> Json:
    """The file's content."""
    content: Json = read_strictly(FILE.read_bytes())
    return content


def concept(graph: Graph, scheme: str, code: str | None) -> Json | None:
    """A concept of a code list with its list and its name, so that membership can be read without fetching the list.

    code: None where our fact comes to no concept; then nothing is said.
    """
    if code is None:
        return None
    known = codes()["schemes"][scheme]
    graph.add(known["iri"], ["skos:ConceptScheme"], {"dct:title": text(known["title"], "en")})
    name = text(codes()["concepts"][scheme][code], "en")
    return graph.add(
        f"{known['iri']}/{code}", known["types"], {"skos:inScheme": ref(known["iri"]), "skos:prefLabel": name}
    )


def health_themes(keywords: list[str]) -> list[str]:
    """Codes of the health themes that a provider's own keywords name."""
    words = " ".join(keywords).lower()
    return [theme for theme, marks in codes()["theme_words"].items() if any(mark in words for mark in marks)]
