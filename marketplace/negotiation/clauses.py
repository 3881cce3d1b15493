"""The legal text: clauses of a template with the agreement's data put in, in Chinese and in English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from marketplace.assets.models import Asset, Version
from marketplace.exchange.models import Offer
from marketplace.exchange.pricing import describe
from marketplace.exchange.templates import LANGUAGES, template
from marketplace.exchange.terms import PROFILE, PURPOSES
from marketplace.exchange.wording import policy_in_words
from marketplace.kernel.canonical import Json, digest
from marketplace.participants.models import Participant

_PLACE = re.compile(r"\{([a-z_]+)\}")
_LIMITS = ("mkt:onlyAttributes", "mkt:onlyRecords", "mkt:withholdSmallGroups", "mkt:watermark")
_NO_LIMIT = {"zh": "无其他限制", "en": "no further limits"}
DELIVERY = {"download": {"zh": "加密通道下载", "en": "download over an encrypted channel"}}


@dataclass(frozen=True)
class Facts:
    """What an agreement is about; the one source of both texts and of the data part."""

    offer: Offer
    asset: Asset
    version: Version
    provider: Participant
    buyer: Participant
    certificate_code: str
    opinion_number: str
    starts_at: str
    ends_at: str


def render_text(facts: Facts) -> Json:
    """{zh, en}: each {title, clauses: [{id, title, text}], sha256 over title and clauses}; same ids in same order."""
    return {language: _language(facts, language) for language in LANGUAGES}


def values(facts: Facts, language: str) -> dict[str, str]:
    """What the places in a clause stand for, in one language."""
    zh = language == "zh"
    offer, asset, provider, buyer = facts.offer, facts.asset, facts.provider, facts.buyer
    parameters = {name: str(value) for name, value in offer.parameters.items() if name != "purposes"}
    purposes = [PURPOSES["known"][code][language] + f" ({code})" for code in offer.parameters["purposes"]]
    return parameters | {
        "purposes": ("、" if zh else ", ").join(purposes),
        "provider": provider.legal_name if zh else provider.legal_name_en,
        "provider_code": provider.credit_code,
        "buyer": buyer.legal_name if zh else buyer.legal_name_en,
        "buyer_code": buyer.credit_code,
        "buyer_id": buyer.id,
        "asset": asset.name if zh else asset.name_en,
        "asset_id": asset.id,
        "version_number": str(facts.version.number),
        "version_root": facts.version.root,
        "certificate": facts.certificate_code,
        "opinion": facts.opinion_number,
        "starts_at": facts.starts_at,
        "ends_at": facts.ends_at,
        "term_days": str(offer.term_days),
        "delivery": DELIVERY[offer.delivery_mode][language],
        "price": describe(offer.price_plan, language),
        "what_leaves": what_leaves(offer.uses, language),
    }


def what_leaves(uses: Json, language: str) -> str:
    """The limits of an offer's uses on what leaves, in words."""
    said = [one.sentence for one in policy_in_words(uses, language) if one.path[-2:-1] == ("duty",)]
    named = [one for one in dict.fromkeys(said) if one.split(":")[0] in _limits_in_words(language)]
    return ("；" if language == "zh" else "; ").join(named) or _NO_LIMIT[language]


def _limits_in_words(language: str) -> set[str]:
    return {str(PROFILE["duties"][name][language]) for name in _LIMITS}


def fill_known(text: str, known: Mapping[str, str]) -> str:
    """A clause with the values that are known put in; the other places stay."""
    return _PLACE.sub(lambda place: known.get(place[1], place[0]), text)


def _language(facts: Facts, language: str) -> Json:
    written = template(facts.offer.template).clauses[language]
    known = values(facts, language)
    clauses = [one | {"text": _fill(one["text"], known)} for one in written["clauses"]]
    text = {"title": written["title"], "clauses": clauses}
    return text | {"sha256": digest(text)}


def _fill(text: str, known: dict[str, str]) -> str:
    # One pass: braces inside a party's name or a parameter stay what they are.
    return _PLACE.sub(lambda place: known[place[1]], text)
