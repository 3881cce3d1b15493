"""Words on screen: one glossary for all pages.  Words for codes that are stored as data: `codes`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from marketplace.console.desks.words import DESK_WORDS

Language: TypeAlias = Literal["en", "zh"]
Words: TypeAlias = dict[str, tuple[str, str]]

WORDS: Words = {
    "market": ("Medical data market", "医疗数据市场"),
    "skip": ("To the content", "跳到正文"),
    "menu": ("Main", "主导航"),
    "catalogue": ("Catalogue", "目录"),
    "references": ("Seen elsewhere", "市场参考"),
    "log": ("Log", "存证日志"),
    "check": ("Check", "核验"),
    "api": ("API", "接口"),
    "language": ("中文", "English"),
    "footer_time": ("Times and days are those of Beijing (UTC+8).", "时间与日期均为北京时间（UTC+8）。"),
    "search": ("Search", "搜索"),
    "search_hint": ("for example 肺癌 or chest", "例如 肺癌 或 chest"),
    "listings": ("Listings valid now", "当前有效挂牌"),
    "lead": (
        "Medical data that may lawfully be sold. Each listing rests on a signed opinion and a certificate.",
        "可依法交易的医疗数据。每项挂牌均以已签署的合规意见书和登记证书为基础。",
    ),
    "found_for": ("Found for", "搜索"),
    "show_all": ("Show all listings", "查看全部挂牌"),
    "first_listings": ("First listings", "最前的挂牌"),
    "further_listings": ("Further listings", "更多挂牌"),
    "nothing_found": ("Nothing is listed for this search.", "没有符合条件的挂牌。"),
    "example": ("example", "示例"),
    "data_asset": ("Data asset", "数据资产"),
    "provider": ("Provider", "供方"),
    "buyer": ("Buyer", "需方"),
    "price": ("Price", "价格"),
    "per_access": ("for {} of access, VAT included", "{}合约期内使用，含税"),
    "per_use": ("for each use", "每次使用"),
    "size": ("Size", "规模"),
    "imaging": ("Imaging", "影像类型"),
    "passport": ("Passport", "资产护照"),
    "passport_note": (
        "Each stage counts only once its party has signed it with its own key, outside this service.",
        "每一阶段须由责任方在本服务之外用自己的密钥签名后才生效。",
    ),
    "stages_reached": ("stages reached", "个阶段已完成"),
    "not_reached": ("not yet", "未到达"),
    "evidence": ("Evidence", "证据"),
    "certificate": ("Registration certificate", "登记证书"),
    "opinion": ("Legal opinion", "法律意见书"),
    "valid_until": ("valid until", "有效期至"),
    "terms": ("Usage policy", "使用策略"),
    "charges": ("Invoices and shares", "账单与分配"),
    "charge": ("Charge", "费用"),
    "amount": ("Amount", "金额"),
    "invoice": ("Invoice", "账单"),
    "divided_into": ("Divided into", "分配"),
    "duties": ("What the buyer owes", "需方义务"),
    "duty": ("Duty", "义务"),
    "how_often": ("Time allowed", "时限"),
    "due": ("Due", "到期日"),
    "state": ("State", "状态"),
    "rounds": ("How it was negotiated", "协商过程"),
    "round": ("Round", "轮次"),
    "proposed_by": ("Proposed by", "提出方"),
    "changes": ("What it changed", "变更内容"),
    "as_listed": ("as listed", "与挂牌一致"),
    "nothing_changed": ("nothing", "无变更"),
    "proofs_of_use": ("Proofs of use", "使用证明"),
    "handed_in_late": ("handed in late", "逾期提交"),
    "rule": ("Rule", "规则"),
    "purposes": ("Permitted purposes", "许可目的"),
    "prohibited": ("Forbidden", "禁止"),
    "enforcement": ("How it is held", "保障方式"),
    "costs": ("Cost and income", "成本与收入"),
    "costs_open": (
        "Shown to everybody because this asset is an invented example; real books are their owner's.",
        "此资产为虚构示例，故公开；真实账目仅所有者可见。",
    ),
    "stage": ("Stage", "阶段"),
    "total": ("Total", "合计"),
    "unit_cost": ("Cost per study", "每例检查成本"),
    "income": ("Charged to buyers, VAT included", "已向需方计费（含税）"),
    "kept": ("Kept after tax and fees", "税费后留存"),
    "pending": ("events not yet posted", "待入账事件"),
    "break_even": ("Break-even", "盈亏平衡"),
    "break_even_note": ("Sales needed to earn back the cost, by price.", "按价格计算收回成本所需的销售次数。"),
    "price_for": ("Price needed", "所需价格"),
    "price_for_note": (
        "What one sale would have to cost if so many sales are expected.",
        "预计销售次数对应的保本单价。",
    ),
    "number_of_sales": ("Sales expected", "预计销售次数"),
    "never": ("never", "无法收回"),
    "agreements": ("Contracts", "合约"),
    "no_agreements": ("There is no contract yet.", "尚无合约。"),
    "agreement": ("Contract", "合约"),
    "signatures": ("Signatures", "签名"),
    "what_followed": ("What followed", "后续事项"),
    "takes_place_of": ("Follows an earlier contract", "承接此前的合约"),
    "declared_by": ("By", "作出方"),
    "reason": ("Reason", "理由"),
    "another_reason": ("another one, told to the parties", "其他，已告知双方"),
    "assignment": ("Assignment to {}", "转让给{}"),
    "nobody_signed": ("nobody yet", "尚无"),
    "signed_by": ("Signed by", "签署方"),
    "document": ("Document", "文件"),
    "term": ("Term", "期限"),
    "uses": ("Uses", "使用记录"),
    "no_uses": ("Nothing has been used yet.", "尚无使用记录。"),
    "purpose": ("Purpose", "目的"),
    "algorithm": ("Algorithm", "算法"),
    "key": ("Key", "密钥"),
    "time": ("Time", "时间"),
    "event": ("Event", "事件"),
    "not_public": ("for those who may read it", "仅有权者可读"),
    "leaf": ("Entry", "条目"),
    "number": ("Number", "编号"),
    "checkpoint": ("Latest checkpoint", "最新检查点"),
    "no_checkpoint": ("No checkpoint has been signed yet.", "尚无已签名的检查点。"),
    "checkpoint_note": (
        "Signed by the log signer, cosigned by one witness. Where both run on one machine, whoever runs it is trusted.",
        "由日志签名者签名并由一个见证者副署。在单机上两把密钥同处一地，证明的效力取决于运行者。",
    ),
    "entries": ("Entries", "条目"),
    "entries_note": (
        "What an entry says is for those who may read it; that it stands in the tree, anyone may check.",
        "条目内容仅有权者可读；任何人均可核验其已列入日志树。",
    ),
    "older": ("Older entries", "更早的条目"),
    "newest": ("Newest entries", "最新条目"),
    "proof": ("Inclusion proof", "包含证明"),
    "proof_note": (
        "Hashing the entry with these, first to last, gives the root that the checkpoint signs (RFC 9162).",
        "将条目哈希依次与下列哈希合并，即得检查点所签名的根（RFC 9162）。",
    ),
    "proof_alone": ("The tree has a single entry: its hash is the root.", "日志树只有一个条目，其哈希即为根。"),
    "entry_hash": ("Hash of the entry", "条目哈希"),
    "tree_size": ("Entries in the tree", "日志树条目数"),
    "root": ("Root hash", "根哈希"),
    "described_in": ("Description in DCAT", "DCAT 描述"),
    "verify_title": ("Check evidence", "核验证据"),
    "verify_by_code": ("A certificate", "核验登记证书"),
    "verify_by_file": ("A bundle of log entries", "核验证据包"),
    "verify_file": ("A bundle file from `marketplace audit export`", "由 `marketplace audit export` 导出的证据包"),
    "verify_code": (
        "A certificate code, or the SHA-256 of a certificate or version root",
        "证书编号，或证书、版本根的 SHA-256",
    ),
    "verify_note": (
        "Checked by the independent verifier with this log's keys. To trust nobody, run marketplace verify FILE.",
        "由独立核验程序以本日志的公钥检查。若不信任任何人，请自行运行 marketplace verify FILE。",
    ),
    "result": ("Result", "结果"),
    "holds": ("Everything in it holds.", "全部通过。"),
    "does_not_hold": ("Something does not hold.", "存在不符。"),
    "not_readable": ("This is not a bundle that can be read.", "无法读取：这不是有效的证据包。"),
    "no_file": ("Choose a file first.", "请先选择文件。"),
    "too_large": (
        "The file is larger than this page accepts. Run it yourself: marketplace verify FILE",
        "文件超过本页上限。请自行运行：marketplace verify FILE",
    ),
    "too_busy": ("Other files are being checked. Try again in a minute.", "正在核验其他文件，请稍后重试。"),
    "too_long": ("The check took too long and was stopped.", "核验超时，已停止。"),
    "fits": ("holds", "通过"),
    "fails": ("does not hold", "不符"),
    "checked": ("Checked", "核验项"),
    "count": ("Count", "数量"),
    "code": ("Code", "编号"),
    "registrar": ("Registrar", "登记机构"),
    "issued": ("Issued", "发证日期"),
    "rights": ("Rights", "权利"),
    "certificate_valid": ("This certificate is valid.", "该证书有效。"),
    "certificate_suspended": ("This certificate is suspended.", "该证书已中止。"),
    "certificate_cancelled": ("This certificate was cancelled.", "该证书已撤销。"),
    "certificate_lapsed": ("This certificate has lapsed.", "该证书已失效。"),
    "certificate_unknown": ("No certificate has this code or hash.", "没有与此编号或哈希对应的证书。"),
    "references_note": (
        "Products that public sources report from elsewhere, not listings of this exchange; no source names a price.",
        "公开来源报道的其他场所产品，并非本所挂牌；来源均未公布价格。",
    ),
    "venue": ("Venue", "场所"),
    "date": ("Date", "日期"),
    "product": ("Product", "产品"),
    "source": ("Source", "来源"),
    "unknown": ("not known", "未知"),
    "no_references": ("No references have been loaded.", "尚未载入市场参考。"),
    "not_found": ("There is nothing at this address.", "此地址没有内容。"),
    "not_found_why": (
        "It may have been withdrawn, or its certificate or opinion is not valid now.",
        "可能已撤牌，或其证书、意见书目前无效。",
    ),
    "private": ("Only its parties see this contract, if there is one.", "如有此合约，仅双方可见。"),
    "to_catalogue": ("To the catalogue", "前往目录"),
} | DESK_WORDS


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
