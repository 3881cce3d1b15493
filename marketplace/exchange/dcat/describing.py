"""One listing as a dcat:Dataset of HealthDCAT-AP release 8, made from its own facts."""

from __future__ import annotations

from typing import Any

from marketplace.exchange.dcat.codes import codes, concept, health_themes
from marketplace.exchange.dcat.facts import Facts
from marketplace.exchange.dcat.graph import Graph, day, moment, number, ref, text, truth
from marketplace.exchange.dcat.wording import coverage, legal_basis, none_named, provenance, rights
from marketplace.exchange.terms import PURPOSES, permitted_purposes
from marketplace.exchange.terms.amounts import RECIPIENT_KINDS, permitted_kinds
from marketplace.governance.rules import SMALL_CELL
from marketplace.kernel.canonical import Json
from marketplace.participants.models import Participant

OURS = "https://w3id.org/medical-data-market"
DICOM = "http://www.iana.org/assignments/media-types/application/dicom"
FREE = "free"
# Words that stand where files have several values or none.
NO_CODE = frozenset({"mixed", "other", "unknown"})


def describe(graph: Graph, facts: Facts, base: str) -> Json:
    """Add a dataset with all that it refers to; returns the reference to it.  base: public address of this service."""
    listing = facts.row.listing.id
    iri, page = dataset_iri(base, listing), f"{base}/listings/{listing}"
    graph.add(page, ["foaf:Document"], {})
    statements = {
        **_identity(graph, facts, iri, page),
        **_access(graph, facts, iri, base),
        **_health(graph, facts, iri),
        **_coverage(graph, facts, iri),
        "dcat:distribution": _distribution(graph, facts, iri, page),
        "adms:sample": _sample(graph, facts, iri, page),
    }
    return graph.add(iri, ["dcat:Dataset"], statements)


def dataset_iri(base: str, listing: str) -> str:
    """The name of a listing's dataset, and the address of its description."""
    return f"{base}/v1/dcat/{listing}"


def agent(graph: Graph, one: Participant, base: str) -> Json:
    """A participant, reached through the pages of this exchange."""
    names = [text(one.legal_name, "zh"), text(one.legal_name_en, "en")]
    said = {"foaf:name": names, "cv:contactPoint": _contact(graph, base)}
    return graph.add(f"{base}/v1/participants/{one.id}", ["foaf:Agent"], said)


def legislation(graph: Graph, profile: str) -> list[Json]:
    """The laws of the profile that an opinion was written under."""
    return [
        graph.add(
            f"{OURS}/law/{law['id']}",
            ["eli:LegalResource"],
            {"dct:title": [text(law["zh"], "zh"), text(law["en"], "en")]},
        )
        for law in codes()["law"].get(profile, [])
    ]


def _contact(graph: Graph, base: str) -> Json:
    return graph.add(f"{base}/#contact", ["cv:ContactPoint"], {"cv:contactPage": ref(f"{base}/")})


def _identity(graph: Graph, facts: Facts, iri: str, page: str) -> Json:
    asset, version, certificate = facts.row.asset, facts.row.version, facts.row.certificate
    registered = graph.add(f"{iri}#certificate", ["adms:Identifier"], {"skos:notation": text(certificate.code)})
    contact = graph.add(f"{iri}#contact", ["vcard:Kind"], {"vcard:hasURL": ref(page)})
    assert facts.row.listing.listed_at is not None
    return {
        "dct:title": [text(asset.name, "zh"), text(asset.name_en, "en")],
        "dct:description": [text(asset.overview, "zh"), text(asset.overview_en, "en")],
        "dct:identifier": text(version.id),
        "adms:identifier": registered,
        "dcat:version": text(str(version.number)),
        "dcat:keyword": [text(one) for one in asset.keywords or [asset.modality, asset.body_part]],
        "dcat:theme": concept(graph, "data-theme", "HEAL"),
        "dct:type": concept(graph, "dataset-type", "TEST_DATA" if asset.is_example else "PERSONAL_DATA"),
        "dct:issued": moment(facts.row.listing.listed_at),
        "dct:modified": moment(version.sealed_at) if version.sealed_at else None,
        "dcat:landingPage": ref(page),
        "foaf:page": ref(page),
        "dcat:contactPoint": contact,
    }


def _access(graph: Graph, facts: Facts, iri: str, base: str) -> Json:
    """Who decides, under which law, for what.  No health data access body is named: none is in charge here."""
    row = facts.row
    provider = agent(graph, row.provider, base)
    nobody = {"foaf:name": none_named(), "cv:contactPoint": _contact(graph, base)}
    basis = graph.add(f"{iri}#legal-basis", ["dpv:LegalBasis"], {"dct:description": legal_basis(facts)})
    return {
        "dct:accessRights": concept(graph, "access-right", "PUBLIC" if is_public(facts) else "NON_PUBLIC"),
        "dcatap:applicableLegislation": legislation(graph, row.opinion.law_profile),
        "dct:publisher": provider,
        "geodcatap:custodian": provider,
        "healthdcatap:hdab": graph.add(f"{base}/v1/dcat#no-health-data-access-body", ["foaf:Agent"], nobody),
        "dpv:hasLegalBasis": basis,
        "dpv:hasPurpose": [_purpose(graph, one) for one in sorted(permitted_purposes(row.offer.uses))],
        "dct:provenance": graph.add(
            f"{iri}#provenance", ["dct:ProvenanceStatement"], {"rdfs:label": provenance(facts)}
        ),
    }


def is_public(facts: Facts) -> bool:
    """Whether anybody gets the data free of charge, under the contract for open data."""
    offer = facts.row.offer
    open_to_all = permitted_kinds(offer.uses) == RECIPIENT_KINDS
    return offer.template.startswith("open-data/") and offer.price_plan.get("regime") == FREE and open_to_all


def _purpose(graph: Graph, code: str) -> Json:
    known = PURPOSES["known"][code]
    said = {"dct:description": [text(known["zh"], "zh"), text(known["en"], "en")]}
    return graph.add(f"{OURS}/profile/v1/purpose/{code}", ["dpv:Purpose"], said)


def _health(graph: Graph, facts: Facts, iri: str) -> Json:
    """What kind of health data it is: DICOM files of a hospital, and what its provider says of them."""
    asset = facts.row.asset
    categories = ["EHRS", "HGPD"] if asset.contains_genomic else ["EHRS"]
    return {
        "healthdcatap:healthCategory": [concept(graph, "healthcategories", one) for one in categories],
        "healthdcatap:healthTheme": [concept(graph, "health-theme", one) for one in health_themes(asset.keywords)],
        "healthdcatap:hasStructuredData": truth(False),  # files are DICOM objects: nothing in them is a table
        "healthdcatap:hasCodeValues": [text(one) for one in _code_values(facts)],
        "dct:conformsTo": concept(graph, "standard", "DICOM"),
        "dqv:hasQualityAnnotation": _quality(graph, facts, iri),
    }


def _code_values(facts: Facts) -> list[str]:
    """Values of coded DICOM elements: as counted on the files where there is a card, else as registered."""
    counted, asset = facts.card.get("coverage", {}), facts.row.asset
    elements = (("modality", "(0008,0060) Modality"), ("body_part", "(0018,0015) Body Part Examined"))
    return [
        f"DICOM {element} {value}"
        for name, element in elements
        for value in sorted(counted.get(name) or [getattr(asset, name)])
        if value not in NO_CODE
    ]


def _quality(graph: Graph, facts: Facts, iri: str) -> Json | None:
    if not facts.card_sha256:
        return None
    body = iri.split("/v1/", maxsplit=1)[0] + f"/v1/documents/{facts.card_sha256}"
    motive = ref("http://www.w3.org/ns/dqv#qualityAssessment")
    said = {"oa:hasBody": ref(body), "oa:hasTarget": ref(iri), "oa:motivatedBy": motive}
    return graph.add(f"{iri}#quality", ["dqv:QualityAnnotation"], said)


def _coverage(graph: Graph, facts: Facts, iri: str) -> Json:
    asset, card = facts.row.asset, facts.card
    period = {"dcat:startDate": day(asset.time_from), "dcat:endDate": day(asset.time_to)}
    people = card.get("coverage", {})
    youngest, oldest = _ages(people.get("age", {}))
    personal = ["MedicalHealth", *(name for name, part in (("Age", "age"), ("Gender", "sex")) if people.get(part))]
    return {
        "dct:temporal": graph.add(f"{iri}#period", ["dct:PeriodOfTime"], period),
        "dct:spatial": concept(graph, "country", codes()["country_of"].get(facts.row.provider.jurisdiction)),
        "dct:accrualPeriodicity": concept(graph, "frequency", codes()["frequency_of"].get(asset.update_frequency)),
        "healthdcatap:numberOfRecords": number(facts.row.version.records),
        "healthdcatap:numberOfUniqueIndividuals": number(_people(card)),
        "healthdcatap:minTypicalAge": number(youngest),
        "healthdcatap:maxTypicalAge": number(oldest),
        "healthdcatap:populationCoverage": coverage(facts),
        "dpv:hasPersonalData": [ref(f"https://w3id.org/dpv/dpv-pd#{one}") for one in personal],
    }


def _people(card: Json) -> int | None:
    """How many people, unless so few that the number says too much."""
    count: int = card.get("people", 0)
    return count if count >= SMALL_CELL else None


def _ages(bands: dict[str, Any]) -> tuple[int | None, int | None]:
    """Youngest and oldest age by the bands that hold people; the open band has no oldest."""
    held = [band for band, count in bands.items() if count and band != "unknown"]
    if not held:
        return None, None
    youngest = min(int(one.rstrip("+").split("-")[0]) for one in held)
    oldest = None if any(one.endswith("+") for one in held) else max(int(one.split("-")[1]) for one in held)
    return youngest, oldest


def _distribution(graph: Graph, facts: Facts, iri: str, page: str) -> Json:
    """What a contract delivers: a tar of DICOM files, obtained by way of the listing's page."""
    row = facts.row
    graph.add(DICOM, ["dct:MediaType"], {})
    graph.add(f"{iri}#uses", ["odrl:Policy"], {"rdfs:seeAlso": ref(iri.replace("/v1/dcat/", "/v1/catalogue/"))})
    said = {
        "dct:title": [text("合同交付", "zh"), text("Delivery under contract", "en")],
        "dcatap:applicableLegislation": legislation(graph, row.opinion.law_profile),
        "dcat:accessURL": ref(page),
        "dcat:byteSize": number(row.version.bytes),
        "dct:format": concept(graph, "file-type", "TAR"),
        "dcat:mediaType": ref(DICOM),
        "dct:rights": graph.add(f"{iri}#rights", ["dct:RightsStatement"], {"rdfs:label": rights(facts)}),
        "odrl:hasPolicy": ref(f"{iri}#uses"),
    }
    return graph.add(f"{iri}#delivery", ["dcat:Distribution"], said)


def _sample(graph: Graph, facts: Facts, iri: str, page: str) -> Json | None:
    if facts.sample is None:
        return None
    said = {
        "dct:title": text(facts.sample.title),
        "dcatap:applicableLegislation": legislation(graph, facts.row.opinion.law_profile),
        "dcat:accessURL": ref(page),
        "dcat:byteSize": number(facts.sample.bytes),
    }
    return graph.add(f"{iri}#sample", ["dcat:Distribution"], said)
