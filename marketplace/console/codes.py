"""Words for the codes that are stored as data: tags, states, kinds of evidence, terms.  Codes are never shown raw."""

from __future__ import annotations

from marketplace.console.words import Language, Words

STAGES: Words = {
    "collected": ("Collected", "采集"),
    "governed": ("Governed", "治理"),
    "assessed": ("Legally assessed", "合规评估"),
    "certified": ("Certified", "登记发证"),
    "listed": ("Listed", "挂牌"),
    "other": ("Other", "其他"),
}

SIDES: Words = {"buyer": ("buyer", "需方"), "provider": ("provider", "供方")}

AGREEMENT_STATES: Words = {
    "drafted": ("not yet signed by both", "双方尚未签署完毕"),
    "finalized": ("in force", "已生效"),
    "suspended": ("suspended", "已中止"),
    "terminated": ("ended early", "已提前终止"),
    "expired": ("term has ended", "已到期"),
    "superseded": ("replaced by an amendment", "已被变更合约替代"),
}

ACT_STATES: Words = {
    "prepared": ("takes effect with its signature", "签署后生效"),
    "unsigned": ("in effect, signature due", "已生效，待补签"),
    "signed": ("signed", "已签署"),
    "overtaken": ("overtaken", "已失效"),
}
SUCCESSOR_KINDS: Words = {
    "amendment": ("Amendment", "变更合约"),
    "renewal": ("Renewal", "续期合约"),
}
SUCCESSOR_STATES: Words = {
    "proposed": ("proposed, not yet signed by both", "已提出，双方尚未签署完毕"),
    "returned": ("returned for correction", "已退回更正"),
    "corrected": ("corrected by another proposal", "已更正重提"),
    "in_force": ("in force", "已生效"),
    "refused": ("refused", "已拒绝"),
    "withdrawn": ("withdrawn", "已撤回"),
    "lapsed": ("not signed in time", "逾期未签"),
}
ASSIGNMENT_STATES: Words = {
    "asked": ("asked for", "待答复"),
    "refused_by_terms": ("refused: the terms prohibit it", "已拒绝：条款禁止转让"),
    "refused_by_provider": ("refused by the provider", "供方已拒绝"),
}

INVOICE_STATES: Words = {
    "issued": ("to be paid", "待付款"),
    "overdue": ("overdue", "已逾期"),
    "paid": ("paid", "已付清"),
    "credited": ("credited", "已冲销"),
}

CHARGES: Words = {
    "sale.access": ("Access to data", "数据使用权"),
    "use.transfer": ("Use of data", "数据使用"),
    "exchange.buyer_fee": ("Fee of the exchange", "交易所需方服务费"),
    "sale.success": ("Price of the result", "效果价款"),
    "escrow.deposit": ("Deposit", "保证金"),
}

SHARES: Words = {
    "tax": ("tax", "税费"),
    "exchange_fee": ("exchange", "交易所"),
    "service_fee": ("service", "服务费"),
    "cost_recovery": ("cost repaid", "收回成本"),
    "treasury": ("treasury", "财政"),
    "treasury_cost": ("treasury, cost repaid", "财政（收回成本）"),
    "hospital": ("hospital", "医院"),
    "department": ("department", "科室"),
    "annotators": ("annotators", "标注人员"),
    "operator": ("operator", "运营方"),
    "patient_benefit_fund": ("patient-benefit fund", "患者公益基金"),
}

DUTIES: Words = {
    "mkt:reportUse": ("Report of use", "使用报告"),
    "delete": ("Certificate of deletion", "删除证明"),
}

DELETION_METHODS: Words = {
    "cryptographic_erasure": ("keys erased", "密钥销毁"),
    "overwriting": ("overwritten", "覆写"),
    "physical_destruction": ("media destroyed", "介质物理销毁"),
}

DUTY_STATES: Words = {
    "pending": ("not due yet", "未到期"),
    "reminded": ("buyer was reminded", "已提醒"),
    "demanded": ("demanded", "已要求提交"),
    "overdue": ("overdue", "已逾期"),
    "met": ("met", "已履行"),
}

OUTCOMES: Words = {
    "PASS": ("passed", "通过"),
    "CONDITIONAL": ("passed under conditions", "附条件通过"),
    "FAIL": ("not passed", "未通过"),
}

RIGHTS: Words = {
    "holding": ("right to hold", "数据持有权"),
    "use": ("right to use", "数据使用权"),
    "operating": ("right to operate", "数据经营权"),
}

ENFORCEMENT: Words = {
    "enforced_here": ("enforced here", "平台强制执行"),
    "attested_by_buyer": ("attested by the buyer", "需方声明"),
    "legal_only": ("by law only", "仅法律约束"),
}

IMAGING: Words = {
    "CT": ("CT", "CT"),
    "MR": ("MR", "磁共振"),
    "DX": ("digital X-ray", "数字 X 线"),
    "CR": ("computed X-ray", "计算机 X 线"),
    "MG": ("mammography", "乳腺 X 线"),
    "US": ("ultrasound", "超声"),
    "PT": ("PET", "PET"),
    "NM": ("nuclear medicine", "核医学"),
    "XA": ("angiography", "血管造影"),
    "SM": ("slide microscopy", "数字病理切片"),
    "mixed": ("mixed", "多种"),
    "CHEST": ("chest", "胸部"),
    "HEAD": ("head", "头部"),
    "BRAIN": ("brain", "脑部"),
    "NECK": ("neck", "颈部"),
    "ABDOMEN": ("abdomen", "腹部"),
    "PELVIS": ("pelvis", "盆腔"),
    "BREAST": ("breast", "乳腺"),
    "SPINE": ("spine", "脊柱"),
    "HEART": ("heart", "心脏"),
    "KNEE": ("knee", "膝关节"),
    "EXTREMITY": ("limbs", "四肢"),
    "WHOLEBODY": ("whole body", "全身"),
}

EVIDENCE: Words = {
    "manifest": ("Manifest", "文件清单"),
    "quality-card": ("Quality card", "质量卡"),
    "quality_card": ("Quality card", "质量卡"),
    "deidentification-report": ("De-identification report", "去标识化报告"),
    "deid_report": ("De-identification report", "去标识化报告"),
    "collected_record": ("Collection record", "采集记录"),
    "collection_record": ("Collection record", "采集记录"),
    "governed_record": ("Governance record", "治理记录"),
    "governance_record": ("Governance record", "治理记录"),
    "opinion": ("Legal opinion", "法律意见书"),
    "certificate": ("Certificate", "登记证书"),
    "notice": ("Public notice", "公示"),
    "allocation_scheme": ("Benefit-sharing scheme", "收益分配方案"),
    "allocation_table": ("Benefit-sharing table", "收益分配表"),
    "application": ("Application", "申请表"),
    "approval": ("Approval", "批准文件"),
    "authorisation": ("Authorisation", "授权书"),
    "consent_coverage": ("Coverage of consent", "知情同意覆盖情况"),
    "consent_form": ("Consent form", "知情同意书"),
    "consent_of_coholder": ("Consent of a co-holder", "共有方同意"),
    "contract": ("Contract", "合同"),
    "contract_template": ("Contract template", "合同范本"),
    "declaration": ("Declaration", "声明"),
    "delivery_plan": ("Delivery plan", "交付方案"),
    "engagement_letter": ("Engagement letter", "委托书"),
    "ethics_approval": ("Ethics approval", "伦理审查批件"),
    "field_scan": ("Scan of the fields", "字段扫描"),
    "filing_number": ("Filing number", "备案号"),
    "identity_record": ("Record of identity", "身份核验记录"),
    "level_record": ("Classification record", "分级记录"),
    "licence": ("Licence", "执业许可"),
    "lineage_record": ("Lineage record", "血缘记录"),
    "mechanism_number": ("Mechanism number", "机制编号"),
    "opinion_of_expert": ("Expert opinion", "专家意见"),
    "other": ("Other", "其他"),
    "ownership_declaration": ("Declaration of ownership", "权属声明"),
    "pia_report": ("Impact assessment", "个人信息保护影响评估"),
    "policy": ("Policy", "制度"),
    "privacy_metrics": ("Privacy metrics", "隐私度量"),
    "procedure": ("Procedure", "流程"),
    "qualification": ("Qualification", "资质"),
    "query_code": ("Query code", "查询代码"),
    "resolution": ("Resolution", "决议"),
    "sample": ("Sample", "样本"),
    "screening_record": ("Screening record", "筛查记录"),
    "search_record": ("Search record", "检索记录"),
    "security_filing": ("Security filing", "等保备案"),
    "system_list": ("List of systems", "系统清单"),
    "terms": ("Terms", "条款"),
    "test_report": ("Test report", "检测报告"),
    "waiver": ("Waiver", "豁免文件"),
    "withdrawal_log": ("Log of withdrawals", "撤回记录"),
}

# By the verifier's own words.
CHECKS: Words = {
    "every use was allowed before its bytes, and its windows add up to what was closed": (
        "Every use was allowed before its bytes, and its windows add up to what was closed",
        "每次使用均先获准许，各数据窗口之和与结清数一致",
    ),
    "every charge for a use is for one that is in the bundle, and there is one for each at most": (
        "Every charge for a use is for one that is in the bundle, and there is one for each at most",
        "每笔使用费均对应证据包中的一次使用，且每次至多一笔",
    ),
    "every receipt is signed with a key that the log registered for the service": (
        "Every receipt is signed with a key that the log registered for the service",
        "每张回执均由日志登记的服务密钥签名",
    ),
    "every promised entry that is at hand is the one that was promised": (
        "Every promised entry that is at hand is the one that was promised",
        "所承诺且在手的每个条目均与承诺一致",
    ),
    "every older checkpoint in the bundle is signed too": (
        "Every older checkpoint in the bundle is signed too",
        "证据包中的旧检查点同样已签名",
    ),
    "all checkpoints belong to one log that only grew": (
        "All checkpoints belong to one log that only grew",
        "所有检查点均属同一份只增不改的日志",
    ),
    "the leaf is in the tree of the checkpoint": (
        "The leaf is in the tree of the checkpoint",
        "该叶子在检查点的日志树中",
    ),
    "a proof leads to this entry's text": (
        "A proof leads to this entry's text",
        "有证明指向该条目文本",
    ),
    "the checkpoint is signed by the log and cosigned by the witness": (
        "The checkpoint is signed by the log and cosigned by the witness",
        "检查点由日志签名并由见证者副署",
    ),
    "every entry is in the tree of the checkpoint": (
        "Every entry is in the tree of the checkpoint",
        "每个条目均在检查点的日志树中",
    ),
    "every entry is written in canonical form and names its author, time and tag": (
        "Every entry is written in canonical form and names its author, time and tag",
        "每个条目均为规范形式，载明主体、时间和类型",
    ),
    "every document has the hash it is cited by and is in canonical form": (
        "Every document has the hash it is cited by and is in canonical form",
        "每份文件均与所引哈希一致且为规范形式",
    ),
    "every document is cited by an entry, or by a document that is": (
        "Every document is cited by an entry, or by a document that is",
        "每份文件均被条目直接或间接引用",
    ),
    "every signature on a document holds": (
        "Every signature on a document holds",
        "文件上的每个签名均有效",
    ),
    "every agreement is signed by provider and buyer": (
        "Every agreement is signed by provider and buyer",
        "每份合约均由供需双方签署",
    ),
    "every agreement rests on a signed certificate and opinion for its version": (
        "Every agreement rests on a signed certificate and opinion for its version",
        "每份合约均有对应版本的已签署证书和意见书",
    ),
    "every use is under an agreement in the bundle": (
        "Every use is under an agreement in the bundle",
        "每次使用均有证据包内的合约依据",
    ),
    "every act on an agreement follows the one before and is its own side's": (
        "Every act on an agreement follows the one before and is its own side's",
        "合约的每项声明均承接前一项且由其声明方作出",
    ),
    "every successor of an agreement names it, and what it amends ended with it": (
        "Every successor of an agreement names it, and what it amends ended with it",
        "每份后续合约均载明其所承接的合约，被变更的合约随之终止",
    ),
    "every delivery manifest is signed and fits its agreement": (
        "Every delivery manifest is signed and fits its agreement",
        "每份交付清单均已签名且与合约一致",
    ),
}


def name(words: Words, code: str, language: Language) -> str:
    """A code in the reader's language; what a table does not know is a party's own text and shown as it is."""
    return words[code][0 if language == "en" else 1] if code in words else code
