"""Words on screen: one glossary for all pages; raw enum names are never shown."""

from __future__ import annotations

from typing import Literal, TypeAlias

Language: TypeAlias = Literal["en", "zh"]

WORDS: dict[str, tuple[str, str]] = {
    "market": ("Medical data market", "医疗数据市场"),
    "catalogue": ("Catalogue", "目录"),
    "references": ("Seen elsewhere", "市场参考"),
    "log": ("Log", "存证日志"),
    "check": ("Check", "核验"),
    "api": ("API", "接口"),
    "search": ("Search", "搜索"),
    "search_hint": ("for example 肺癌 or chest", "例如 肺癌 或 chest"),
    "listings": ("Listings valid now", "当前有效挂牌"),
    "nothing_found": ("Nothing is listed for this search.", "没有符合条件的挂牌。"),
    "example": ("example", "示例"),
    "data_asset": ("Data asset", "数据资产"),
    "provider": ("Provider", "供方"),
    "buyer": ("Buyer", "需方"),
    "price": ("Price", "价格"),
    "per_access": ("for access over the term, VAT included", "合约期内使用，含税"),
    "records": ("studies", "检查数"),
    "files": ("files", "文件数"),
    "size": ("Size", "大小"),
    "passport": ("Passport", "资产护照"),
    "passport_note": (
        "Each line counts only once its party has signed it with its own key, outside this service.",
        "每一行须由责任方在本服务之外用自己的密钥签名后才生效。",
    ),
    "collected": ("Collected", "采集"),
    "governed": ("Governed", "治理"),
    "assessed": ("Legally assessed", "合规评估"),
    "certified": ("Certified", "登记发证"),
    "listed": ("Listed", "挂牌"),
    "draft": ("Draft", "草稿"),
    "suspended": ("Suspended", "中止"),
    "retired": ("Retired", "注销"),
    "not_reached": ("not yet", "未到达"),
    "signed_by": ("signed by", "签署方"),
    "evidence": ("Evidence", "证据"),
    "certificate": ("Registration certificate", "登记证书"),
    "opinion": ("Legal opinion", "法律意见书"),
    "valid_until": ("valid until", "有效期至"),
    "terms": ("Usage policy", "使用策略"),
    "purposes": ("Permitted purposes", "许可目的"),
    "prohibited": ("Forbidden", "禁止"),
    "enforcement": ("How each term is held", "条款的保障方式"),
    "enforced_here": ("enforced here", "平台强制执行"),
    "attested_by_buyer": ("attested by the buyer", "需方声明"),
    "legal_only": ("by law only", "仅法律约束"),
    "costs": ("Cost and income", "成本与收入"),
    "costs_open": (
        "Shown to everybody because this asset is an invented example; real books are their owner's.",
        "此资产为虚构示例，故公开；真实账目仅所有者可见。",
    ),
    "stage": ("Stage", "阶段"),
    "amount": ("Amount", "金额"),
    "total": ("Total", "合计"),
    "unit_cost": ("Cost per study", "单位成本"),
    "income": ("Income charged", "已收费用"),
    "kept": ("Kept after tax and fees", "税费后留存"),
    "pending": ("events not yet posted", "待入账事件"),
    "break_even": ("Break-even", "盈亏平衡"),
    "sales": ("sales", "次销售"),
    "break_even_note": ("Sales needed to earn back the sunk cost, by price.", "按价格计算收回沉没成本所需的销售次数。"),
    "price_for": ("Price that N sales need", "N 次销售所需价格"),
    "never": ("never", "无法收回"),
    "agreements": ("Contracts", "合约"),
    "agreement": ("Contract", "合约"),
    "parties": ("Parties", "双方"),
    "signatures": ("Signatures", "签名"),
    "document": ("Document", "文件"),
    "term": ("Term", "期限"),
    "state": ("State", "状态"),
    "uses": ("Uses", "使用记录"),
    "algorithm": ("Algorithm", "算法"),
    "key": ("Key", "密钥"),
    "time": ("Time", "时间"),
    "event": ("Event", "事件"),
    "actor": ("By", "主体"),
    "leaf": ("Leaf", "叶"),
    "checkpoint": ("Latest checkpoint", "最新检查点"),
    "checkpoint_note": (
        "Signed by the log signer, cosigned by one witness. Where both run on one machine, whoever runs it is trusted.",
        "由日志签名者签名并由一个见证者副署。在单机上两把密钥同处一地，证明的效力取决于运行者。",
    ),
    "entries": ("Entries", "条目"),
    "proof": ("Inclusion proof", "包含证明"),
    "tree_size": ("Tree size", "树大小"),
    "root": ("Root", "根"),
    "verify_title": ("Check evidence", "核验证据"),
    "verify_file": ("A bundle file from `marketplace audit export`", "由 `marketplace audit export` 导出的证据包"),
    "verify_code": (
        "A certificate code, or the SHA-256 of a certificate or version root",
        "证书编号，或证书、版本根的 SHA-256",
    ),
    "verify_note": (
        "Checked here by the independent verifier. To trust nobody, run it yourself: marketplace verify FILE",
        "文件由独立核验程序在单独进程中检查。若不信任任何人，请自行运行：marketplace verify FILE",
    ),
    "result": ("Result", "结果"),
    "holds": ("Everything in it holds.", "全部通过。"),
    "does_not_hold": ("Something does not hold.", "存在不符。"),
    "references_note": (
        "Products that public sources report from elsewhere, not listings of this exchange; no source names a price.",
        "公开来源报道的其他场所产品，并非本所挂牌；来源均未公布价格。",
    ),
    "venue": ("Venue", "场所"),
    "date": ("Date", "日期"),
    "product": ("Product", "产品"),
    "source": ("Source", "来源"),
    "unknown": ("unknown", "未知"),
    "as_table": ("as a table", "表格"),
    "not_found": ("There is nothing at this address.", "此地址没有内容。"),
    "private": ("Only the parties see this contract.", "仅合约双方可见。"),
    "valid": ("valid", "有效"),
    "cancelled": ("cancelled", "已撤销"),
    "lapsed": ("lapsed", "已失效"),
    "language": ("中文", "English"),
}


def say(word: str, language: Language) -> str:
    """A word in the reader's language; a word the glossary does not know is a programming error."""
    return WORDS[word][0 if language == "en" else 1]


def preferred(accept_language: str, chosen: str | None) -> Language:
    """The page's language: what was chosen in the address, else the browser's first of the two, else English."""
    if chosen in ("en", "zh"):
        return "en" if chosen == "en" else "zh"
    for part in accept_language.lower().split(","):
        tag = part.split(";")[0].strip()
        if tag.startswith("zh"):
            return "zh"
        if tag.startswith("en"):
            return "en"
    return "en"
