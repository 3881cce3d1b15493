"""Statements about named things, written as JSON-LD or as Turtle: the same graph, without blank nodes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

from marketplace.kernel.canonical import Json

PREFIXES: Final = {
    "adms": "http://www.w3.org/ns/adms#",
    "cv": "http://data.europa.eu/m8g/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "dqv": "http://www.w3.org/ns/dqv#",
    "eli": "http://data.europa.eu/eli/ontology#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "geodcatap": "http://data.europa.eu/930/",
    "healthdcatap": "http://healthdataportal.eu/ns/health#",
    "hydra": "http://www.w3.org/ns/hydra/core#",
    "oa": "http://www.w3.org/ns/oa#",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
# Characters that Turtle allows in no IRI.
_NOT_IN_IRI: Final = frozenset('<>"{}|^`\\')


class Graph:
    """Things by their IRI, each with its classes and statements, as JSON-LD has them."""

    def __init__(self) -> None:
        self._things: dict[str, Json] = {}

    def add(self, iri: str, types: Iterable[str], statements: Mapping[str, Any]) -> Json:
        """Say something of a thing; returns the reference to it.

        types and names of statements: with a prefix of PREFIXES; values: as made below, one or a list; None and the
        empty list say nothing.  Saying more of the same thing adds to it; nothing is said twice.
        """
        thing = self._things.setdefault(iri, {"@id": _iri(iri), "@type": []})
        for one in types:
            if one not in thing["@type"]:
                thing["@type"].append(one)
        for name, value in statements.items():
            values = value if isinstance(value, list) else [value]
            known = thing.setdefault(name, [])
            known += [
                one for place, one in enumerate(values) if one is not None and one not in (*known, *values[:place])
            ]
            if not known:
                del thing[name]
        return ref(iri)

    def things(self) -> Iterator[Json]:
        """Every thing with what is said of it, as flattened JSON-LD has it."""
        yield from self._things.values()


def as_json_ld(graphs: Iterable[Graph]) -> Iterator[str]:
    """The graphs as one: flattened JSON-LD with a context of prefixes alone, so that no reader fetches anything.

    A thing of several graphs stands there several times, which says the same as once.
    """
    yield f'{{"@context": {json.dumps(PREFIXES)}, "@graph": ['
    between = ""
    for graph in graphs:
        for thing in graph.things():
            yield between + json.dumps(thing, ensure_ascii=False)
            between = ", "
    yield "]}"


def as_turtle(graphs: Iterable[Graph]) -> Iterator[str]:
    """The graphs as one: Turtle, one paragraph per thing of a graph."""
    yield "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in PREFIXES.items())
    for graph in graphs:
        for thing in graph.things():
            yield _paragraph(thing) + "\n"


def ref(iri: str) -> Json:
    """A reference to a thing."""
    return {"@id": _iri(iri)}


def text(words: str, language: str | None = None) -> Json | None:
    """Words, in a language where one is given; nothing where there are none."""
    if not words:
        return None
    return {"@value": words, "@language": language} if language else {"@value": words}


def number(count: int | None) -> Json | None:
    """A count from 0."""
    return None if count is None else {"@value": str(count), "@type": "xsd:nonNegativeInteger"}


def truth(value: bool) -> Json:
    """A truth value."""
    return {"@value": "true" if value else "false", "@type": "xsd:boolean"}


def moment(at: datetime) -> Json:
    """A moment."""
    return {"@value": at.isoformat(), "@type": "xsd:dateTime"}


def day(at: str) -> Json | None:
    """A calendar day as YYYY-MM-DD; one that does not exist says nothing."""
    try:
        return {"@value": date.fromisoformat(at).isoformat(), "@type": "xsd:date"}
    except ValueError:
        return None


def _paragraph(thing: Json) -> str:
    classes = f" a {', '.join(thing['@type'])}" if thing["@type"] else ""
    rest = [f"{name} {', '.join(_term(one) for one in values)}" for name, values in thing.items() if name[0] != "@"]
    said = " ;\n    ".join([part for part in (classes.strip(), *rest) if part])
    return f"\n<{thing['@id']}> {said} ."


def _term(value: Json) -> str:
    if "@id" in value:
        return f"<{value['@id']}>"
    # A JSON string that keeps its characters is a Turtle string; with escapes it would write some characters in two.
    words = json.dumps(value["@value"], ensure_ascii=False)
    if "@language" in value:
        return f"{words}@{value['@language']}"
    return f"{words}^^{value['@type']}" if "@type" in value else words


def _iri(iri: str) -> str:
    """An IRI that no text can break out of."""
    return "".join(f"%{ord(one):02X}" if one in _NOT_IN_IRI or ord(one) <= 0x20 else one for one in iri)
