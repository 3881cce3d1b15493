"""DCAT-AP 3 and HealthDCAT-AP release 8, as their own SHACL shapes judge a description."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from pyshacl import validate
from rdflib import Graph, URIRef
from rdflib.namespace import DCAT, DCTERMS, RDF, SH

FOLDER = Path(__file__).parent / "shapes"
ACCESS = "http://publications.europa.eu/resource/authority/access-right/"
HEALTH = "http://healthdataportal.eu/ns/health#"
DCAT_AP = ("dcat-ap-shapes", "dcat-ap-range", "dcat-ap-deprecateduris")
SETS = {
    "DCAT-AP": (*DCAT_AP, "dcat-ap-vocabularies"),
    "NON_PUBLIC": ("graph-guard", "non-public-shapes", "health-vocabularies", *DCAT_AP),
    "PUBLIC": ("graph-guard", "public-shapes", "health-vocabularies", *DCAT_AP),
}


def read(body: str, form: str) -> Graph:
    """form: `json-ld` or `turtle`."""
    with _quiet():
        return Graph().parse(data=body, format=form)


def violations(description: Graph, shapes: str) -> list[str]:
    """What a set of shapes reports with the severity Violation, as `path: message`; the parts of a result are not
    results of their own."""
    with _quiet():
        _, report, _ = validate(description, shacl_graph=_shapes(shapes), inference="none", advanced=False)
    assert isinstance(report, Graph)
    found = [one for one in report.objects(None, SH.result) if (one, SH.resultSeverity, SH.Violation) in report]
    return [f"{report.value(one, SH.resultPath)}: {report.value(one, SH.resultMessage)}" for one in found]


def level_of(description: Graph) -> str:
    """The one access level that all datasets of a description claim."""
    (level,) = {str(one).removeprefix(ACCESS) for one in description.objects(None, DCTERMS.accessRights)}
    return level


def datasets(description: Graph) -> list[URIRef]:
    return [one for one in description.subjects(RDF.type, DCAT.Dataset) if isinstance(one, URIRef)]


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries use what they themselves deprecate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@cache
def _shapes(name: str) -> Graph:
    """The shapes of a set.  A property shape without a path stops pySHACL: there is one, on variables of structured
    data; `assert_unstructured` looks at it instead."""
    shapes = Graph()
    for file in SETS[name]:
        shapes.parse(FOLDER / f"{file}.ttl", format="turtle")
    for shape, part in list(shapes.subject_objects(SH.property)):
        if shapes.value(part, SH.path) is None:
            shapes.remove((shape, SH.property, part))
    return shapes


def assert_unstructured(description: Graph) -> None:
    """No dataset says that it is structured, so none must name its variables."""
    for one in datasets(description):
        value = description.value(one, URIRef(f"{HEALTH}hasStructuredData"))
        assert value is not None
        assert value.toPython() is False
