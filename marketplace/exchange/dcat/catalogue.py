"""The catalogue as a dcat:Catalog, in pages, each described part by part."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace.exchange.dcat.codes import codes, concept
from marketplace.exchange.dcat.describing import agent, describe, legislation
from marketplace.exchange.dcat.facts import Facts
from marketplace.exchange.dcat.graph import Graph, ref, text
from marketplace.kernel.canonical import Json
from marketplace.legal.rules import LAW_PROFILE
from marketplace.participants.models import Participant


def describe_catalogue(facts: Sequence[Facts], base: str, publisher: Participant, *, page: str) -> Graph:
    """The first part of a page of the catalogue, with its datasets in full.

    publisher: who operates this exchange; page: the address of this page.
    """
    graph = Graph()
    datasets = [describe(graph, one, base) for one in facts]
    concept(graph, "data-theme", "HEAL")
    graph.add(f"{base}/", ["foaf:Document"], {})
    said: Json = {
        "dct:title": [text("医疗数据资产目录", "zh"), text("Catalogue of medical data assets", "en")],
        "dct:description": [
            text("当前挂牌且各项证明均有效的医疗数据资产。", "zh"),
            text("Medical data assets that are listed, and whose proofs all hold, at this moment.", "en"),
        ],
        "dct:publisher": agent(graph, publisher, base),
        "dcatap:applicableLegislation": legislation(graph, LAW_PROFILE),
        "dcat:themeTaxonomy": ref(codes()["schemes"]["data-theme"]["iri"]),
        "foaf:homepage": ref(f"{base}/"),
        "dcat:dataset": datasets,
        "hydra:view": graph.add(page, ["hydra:PartialCollectionView"], {}),
    }
    graph.add(f"{base}/v1/dcat", ["dcat:Catalog", "hydra:Collection"], said)
    return graph


def describe_further(facts: Sequence[Facts], base: str) -> Graph:
    """A further part of the same page: its datasets in full, and that they belong to the catalogue."""
    graph = Graph()
    graph.add(f"{base}/v1/dcat", [], {"dcat:dataset": [describe(graph, one, base) for one in facts]})
    return graph


def tell_next(graph: Graph, page: str, next_page: str) -> None:
    """Say in the last part of a page which one follows it."""
    graph.add(page, [], {"hydra:next": ref(next_page)})
