"""The sentences of a description, in Chinese and English, from its facts."""

from __future__ import annotations

from marketplace.exchange.dcat.facts import Facts
from marketplace.exchange.dcat.graph import text
from marketplace.kernel.canonical import Json

STAGES = {
    "collected": ("采集", "collected"),
    "governed": ("治理", "governed"),
    "assessed": ("法律评估", "assessed"),
    "certified": ("登记发证", "certified"),
    "listed": ("挂牌", "listed"),
}
SOURCES = {
    "self_collected": ("自行采集", "collected by the provider itself"),
    "by_agreement": ("依协议取得", "obtained by agreement"),
    "scraped_public": ("采集公开数据", "gathered from public sources"),
    "derived": ("衍生数据", "derived from other data"),
}


def both(zh: str, en: str) -> list[Json | None]:
    """The same in both languages."""
    return [text(zh, "zh"), text(en, "en")]


def provenance(facts: Facts) -> list[Json | None]:
    """Where the data comes from, and who signed which stage on which day."""
    zh, en = SOURCES[facts.row.asset.source_kind]
    steps_zh, steps_en = [f"来源：{zh}"], [f"Source: {en}"]
    for record in facts.passport:
        signer, day = facts.names[record.signer], record.recorded_at.date().isoformat()
        stage_zh, stage_en = STAGES[record.stage]
        steps_zh.append(f"{stage_zh}：{signer.legal_name}，{day}")
        steps_en.append(f"{stage_en} by {signer.legal_name_en} on {day}")
    return both("；".join(steps_zh), "; ".join(steps_en))


def legal_basis(facts: Facts) -> list[Json | None]:
    """The opinion that the listing rests on; what it found stands in the opinion itself."""
    opinion, firm = facts.row.opinion, facts.names[facts.row.opinion.firm_id]
    until = opinion.expires_at.date().isoformat()
    return both(
        f"{firm.legal_name}法律意见书{opinion.number}，结论{opinion.outcome}，规则{opinion.law_profile}，有效期至{until}",
        f"Assessed by {firm.legal_name_en} in opinion {opinion.number}: {opinion.outcome} under {opinion.law_profile}, "
        f"valid until {until}",
    )


def coverage(facts: Facts) -> list[Json | None]:
    """Whom the data is about, as the provider registered it."""
    asset, provider = facts.row.asset, facts.row.provider
    return both(
        f"{asset.region}，{asset.time_from}至{asset.time_to}，{provider.legal_name}的受检者",
        f"People examined at {provider.legal_name_en}, region {asset.region}, {asset.time_from} to {asset.time_to}",
    )


def rights(facts: Facts) -> list[Json | None]:
    """How the data is had."""
    days = facts.row.offer.term_days
    return both(
        f"须经供方同意并由双方签署合同；期限{days}天，每次使用均按合同判定并记录",
        f"By a contract that provider and buyer sign, for {days} days; every use is decided by it and recorded",
    )


def none_named() -> list[Json | None]:
    """Said where the profile demands a health data access body and none is in charge."""
    return both(
        "无健康数据访问机构：本数据不属于欧洲健康数据空间，由供方决定是否提供",
        "No health data access body: these data are outside the European Health Data Space, their provider decides",
    )
