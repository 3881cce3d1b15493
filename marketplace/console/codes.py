"""Words for the codes that are stored as data: tags, states, kinds of evidence, terms.  Codes are never shown raw."""

from __future__ import annotations

from marketplace.audit.entry import Tag
from marketplace.console.words import Language, Words

TAGS: Words = {
    Tag.PARTICIPANT_ADMITTED: ("Participant admitted", "参与方准入"),
    Tag.PARTICIPANT_SUSPENDED: ("Participant suspended", "参与方中止"),
    Tag.PARTICIPANT_REINSTATED: ("Participant reinstated", "参与方恢复"),
    Tag.KEY_REGISTERED: ("Key registered", "密钥登记"),
    Tag.KEY_REVOKED: ("Key revoked", "密钥吊销"),
    Tag.CONNECTOR_REGISTERED: ("Connector registered", "登记连接器"),
    Tag.CONNECTOR_SUSPENDED: ("Connector suspended", "暂停连接器"),
    Tag.CONNECTOR_REINSTATED: ("Connector reinstated", "恢复连接器"),
    Tag.SIGNATURE_ACCEPTED: ("Signature accepted", "接受签名"),
    Tag.PERSON_NAMED: ("Person made known by a commitment", "人员以承诺值登记"),
    Tag.PERSON_DISCLOSED: ("Person behind a commitment disclosed", "承诺值对应人员查询"),
    Tag.PERSON_ERASED: ("Tie to a person erased", "人员关联清除"),
    Tag.DISCLOSURES_REPORTED: ("Account of disclosures made", "披露报告生成"),
    Tag.ASSET_REGISTERED: ("Asset opened", "资产建档"),
    Tag.VERSION_OPENED: ("Version opened", "版本建立"),
    Tag.BATCH_RECEIVED: ("Files received", "文件接收"),
    Tag.CONSENT_WITHDRAWN: ("Withdrawal of consent recorded", "同意撤回登记"),
    Tag.VERSION_SEALED: ("Version sealed", "版本封存"),
    Tag.STAGE_REACHED: ("Stage reached", "阶段完成"),
    Tag.VERSION_SUSPENDED: ("Version suspended", "版本中止"),
    Tag.VERSION_RESUMED: ("Version resumed", "版本恢复"),
    Tag.VERSION_RETIRED: ("Version retired", "版本停用"),
    Tag.FACE_DECLARED: ("Declared that no face can be rebuilt", "声明无法重建面容"),
    Tag.GOVERNANCE_ASKED: ("Governance asked for", "申请治理"),
    Tag.GOVERNANCE_STARTED: ("Governance started", "治理开始"),
    Tag.GOVERNANCE_JUDGED: ("Every file judged", "文件全部处理"),
    Tag.GOVERNANCE_FINISHED: ("Governance finished", "治理完成"),
    Tag.GOVERNANCE_FAILED: ("Governance failed", "治理失败"),
    Tag.OPINION_DRAFTED: ("Legal opinion drafted", "意见书起草"),
    Tag.OPINION_SIGNED: ("Legal opinion signed", "意见书签署"),
    Tag.OPINION_CONDITION_MET: ("Condition of an opinion met", "意见书条件满足"),
    Tag.OPINION_LAPSED: ("Legal opinion lapsed", "意见书失效"),
    Tag.EVIDENCE_ADDED: ("Evidence added", "证据提交"),
    Tag.APPLICATION_FILED: ("Registration applied for", "登记申请"),
    Tag.APPLICATION_ACCEPTED: ("Application accepted", "申请受理"),
    Tag.APPLICATION_RETURNED: ("Application returned", "申请退回"),
    Tag.APPLICATION_REFUSED: ("Application refused", "申请不予登记"),
    Tag.NOTICE_OPENED: ("Public notice opened", "公示开始"),
    Tag.OBJECTION_RAISED: ("Objection raised", "提出异议"),
    Tag.OBJECTION_SETTLED: ("Objection settled", "异议处理完毕"),
    Tag.NOTICE_CLOSED: ("Public notice closed", "公示结束"),
    Tag.CERTIFICATE_PREPARED: ("Certificate prepared", "证书制作"),
    Tag.CERTIFICATE_ISSUED: ("Certificate issued", "证书签发"),
    Tag.CERTIFICATE_SUSPENDED: ("Certificate suspended", "证书中止"),
    Tag.CERTIFICATE_RESUMED: ("Certificate resumed", "证书恢复"),
    Tag.CERTIFICATE_CANCELLED: ("Certificate cancelled", "证书撤销"),
    Tag.CERTIFICATE_LAPSED: ("Certificate lapsed", "证书到期失效"),
    Tag.OFFER_DRAFTED: ("Offer drafted", "要约起草"),
    Tag.LISTING_SUBMITTED: ("Listing submitted", "挂牌申请"),
    Tag.LISTING_REVIEWED: ("Listing under review", "挂牌审核"),
    Tag.LISTING_RETURNED: ("Listing returned", "挂牌退回"),
    Tag.LISTING_APPROVED: ("Listing approved", "挂牌批准"),
    Tag.LISTING_PUBLISHED: ("Listing published", "挂牌发布"),
    Tag.LISTING_SUSPENDED: ("Listing suspended", "挂牌中止"),
    Tag.LISTING_RESUMED: ("Listing resumed", "挂牌恢复"),
    Tag.LISTING_FORCED_OFF: ("Listing forced off by the exchange", "交易所强制下架"),
    Tag.LISTING_REINSTATED: ("Listing reinstated", "挂牌复位"),
    Tag.LISTING_WITHDRAWN: ("Listing withdrawn", "撤牌"),
    Tag.LISTING_ARCHIVED: ("Listing archived", "挂牌归档"),
    Tag.DEMAND_PUBLISHED: ("Demand published", "需求发布"),
    Tag.ACCESS_REQUESTED: ("Access asked for", "申请使用"),
    Tag.ACCESS_REFUSED: ("Access refused", "使用申请被拒"),
    Tag.REQUEST_RETURNED: ("Request returned", "申请退回补正"),
    Tag.REQUEST_RESUBMITTED: ("Request completed", "申请补正"),
    Tag.REQUEST_DECLINED: ("Request declined", "申请被婉拒"),
    Tag.REQUEST_WITHDRAWN: ("Request withdrawn", "申请撤回"),
    Tag.REQUEST_EXPIRED: ("Request expired", "申请逾期"),
    Tag.REQUEST_REMINDED: ("Party reminded that its answer is due", "提醒一方答复"),
    Tag.ANSWER_RULE_SET: ("Rule for answers set", "设定答复规则"),
    Tag.ANSWER_LEFT: ("Answer left to people", "转由人工答复"),
    Tag.TERMS_REVIEWED: ("Terms approved by a reviewer", "审核人批准条款"),
    Tag.OFFER_MADE: ("Contract offered", "发出合约要约"),
    Tag.OFFER_COUNTERED: ("Other terms asked for", "提出还价"),
    Tag.OFFER_ACCEPTED: ("Offer accepted", "接受要约"),
    Tag.AGREEMENT_DRAFTED: ("Contract drafted", "起草合约"),
    Tag.AGREEMENT_SIGNED: ("Contract signed by a party", "一方签署合约"),
    Tag.AGREEMENT_VERIFIED: ("Signatures of a contract verified", "合约签名核验"),
    Tag.AGREEMENT_FINALIZED: ("Contract in force", "合约生效"),
    Tag.AGREEMENT_SUSPENDED: ("Contract suspended", "合约中止"),
    Tag.AGREEMENT_RESUMED: ("Contract resumed", "合约恢复"),
    Tag.AGREEMENT_TERMINATED: ("Contract ended", "合约终止"),
    Tag.AGREEMENT_EXPIRED: ("Term of a contract over", "合约到期"),
    Tag.AGREEMENT_SUPERSEDED: ("Contract replaced by an amendment", "合约被变更合约替代"),
    Tag.ACT_PREPARED: ("Declaration about a contract prepared", "合约声明待签署"),
    Tag.ACT_SIGNED: ("Declaration about a contract signed", "合约声明签署"),
    Tag.ACT_OVERTAKEN: ("Declaration about a contract overtaken", "合约声明失效"),
    Tag.ACT_CHASED: ("Reminded of a signature that is missing", "提醒补签"),
    Tag.SUCCESSOR_PROPOSED: ("Successor of a contract proposed", "提出后续合约"),
    Tag.SUCCESSOR_REFUSED: ("Successor of a contract refused", "后续合约被拒"),
    Tag.SUCCESSOR_WITHDRAWN: ("Successor of a contract withdrawn", "后续合约撤回"),
    Tag.SUCCESSOR_LAPSED: ("Successor of a contract not signed in time", "后续合约逾期未签"),
    Tag.ASSIGNMENT_ASKED: ("Assignment of a contract asked for", "请求转让合约"),
    Tag.ASSIGNMENT_REFUSED: ("Assignment of a contract refused", "合约转让被拒"),
    Tag.USE_REPORTED: ("Report of use accepted", "接受使用报告"),
    Tag.DELETION_CERTIFIED: ("Certificate of deletion accepted", "接受删除证明"),
    Tag.DUTY_REMINDED: ("Buyer reminded of a proof that falls due", "提醒使用方提交证明"),
    Tag.DUTY_DEMANDED: ("Proof demanded from the buyer", "要求使用方提交证明"),
    Tag.DUTY_OVERDUE: ("Proof of the buyer is missing", "使用方逾期未提交证明"),
    Tag.DUTY_ENDED: ("Nothing left to report", "已无待报告事项"),
    Tag.DELIVERY_PREPARED: ("Delivery prepared", "交付准备完成"),
    Tag.USE_ALLOWED: ("Use allowed", "允许使用"),
    Tag.USE_REFUSED: ("Use refused", "拒绝使用"),
    Tag.USE_DECIDED: ("Asked whether a use would be allowed", "询问使用是否获准"),
    Tag.POLICY_ACCEPTED: ("Policies replaced", "策略更换"),
    Tag.POLICY_REFUSED: ("Policies refused", "策略被拒"),
    Tag.WINDOW_SERVED: ("Bytes served", "数据传输"),
    Tag.TRANSFER_CLOSED: ("Delivery closed", "交付结束"),
    Tag.STOP_NOTIFIED: ("Both parties told of a stop", "停用通知送达双方"),
    Tag.NEGOTIATION_NOTIFIED: ("Party told that its answer is due", "答复到期通知送达"),
    Tag.DUTY_NOTIFIED: ("Both parties told of a proof that is due", "证明到期通知送达双方"),
    Tag.CONTRACT_NOTIFIED: ("Both parties told about their contract", "合约事项通知送达双方"),
    Tag.NOTICE_ADDRESS_SET: ("Address for notices set", "通知地址设定"),
    Tag.NOTICE_ADDRESS_REMOVED: ("Address for notices removed", "通知地址撤销"),
    Tag.NOTICE_ACKNOWLEDGED: ("Notice acknowledged", "通知已确认"),
    Tag.EXCHANGE_OPENED: ("Exchange with a connector opened", "与连接器的会话开始"),
    Tag.EXCHANGE_MOVED: ("Exchange with a connector moved", "与连接器的会话推进"),
    Tag.EXCHANGE_STOPPED: ("Bytes to a connector stopped", "停止向连接器传输"),
    Tag.EXCHANGE_FAILED: ("Exchange with a connector failed", "与连接器的会话失败"),
    Tag.USE_PRICED: ("Use priced", "使用计价"),
    Tag.INVOICE_ISSUED: ("Invoice issued", "账单开具"),
    Tag.INVOICE_OVERDUE: ("Invoice overdue", "账单逾期"),
    Tag.INVOICE_PAID: ("Invoice paid", "账单付清"),
    Tag.INVOICE_CREDITED: ("Invoice credited", "账单冲销"),
    Tag.SHARES_SETTLED: ("Shares of a sale settled", "收益分配入账"),
    Tag.SCHEME_CHOSEN: ("Settlement scheme chosen", "分配方案选定"),
    Tag.BANK_ACCOUNT_SET: ("Bank account set", "收款账户设定"),
    Tag.BANK_ENTRY_TAKEN: ("Payment taken from the bank", "银行到账登记"),
    Tag.PAYMENTS_ORDERED: ("Payments ordered from the bank", "付款指令生成"),
    Tag.OUTCOME_DECLARED: ("Result declared", "效果测定"),
    Tag.OUTCOME_DISPUTED: ("Result disputed", "效果争议"),
    Tag.OUTCOME_SETTLED: ("Result settled", "效果结算"),
    Tag.COST_METERED: ("Cost or income metered", "成本收入计量"),
    Tag.LEDGER_POSTED: ("Books posted", "账目入账"),
    Tag.LOG_EXPORTED: ("Log exported", "日志导出"),
    Tag.ROWS_SEALED: ("Rows sealed", "数据行封存"),
    Tag.LOG_RECOVERED: ("Log recovered under a new origin", "日志以新来源恢复"),
    Tag.KEY_ROTATED: ("Key replaced", "密钥更换"),
    Tag.REQUEST_REFUSED: ("Request refused", "请求被拒"),
    Tag.REFUSALS_COUNTED: ("Refusals counted", "拒绝次数汇总"),
}

STAGES: Words = {
    "collected": ("Collected", "采集"),
    "governed": ("Governed", "治理"),
    "assessed": ("Legally assessed", "合规评估"),
    "certified": ("Certified", "登记发证"),
    "listed": ("Listed", "挂牌"),
    "other": ("Other", "其他"),
}

SIDES: Words = {"buyer": ("buyer", "使用方"), "provider": ("provider", "提供方")}

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
    "in_force": ("in force", "已生效"),
    "refused": ("refused", "已拒绝"),
    "withdrawn": ("withdrawn", "已撤回"),
    "lapsed": ("not signed in time", "逾期未签"),
}
ASSIGNMENT_STATES: Words = {
    "asked": ("asked for", "待答复"),
    "refused_by_terms": ("refused: the terms prohibit it", "已拒绝：条款禁止转让"),
    "refused_by_provider": ("refused by the provider", "提供方已拒绝"),
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
