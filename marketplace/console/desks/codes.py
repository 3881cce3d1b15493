"""Words for the codes that the desks show: roles, states, treatments, tariffs."""

from __future__ import annotations

from marketplace.console.codes import CHARGES
from marketplace.console.words import Words

ROLES: Words = {
    "provider": ("provider", "供方"),
    "law_firm": ("law firm", "律师事务所"),
    "registrar": ("registrar", "登记机构"),
    "exchange_operator": ("exchange", "交易所"),
    "buyer": ("buyer", "需方"),
    "auditor": ("auditor", "审计机构"),
    "platform_operator": ("operator", "运营方"),
}

REQUEST_STATES: Words = {
    "REQUESTED": ("asked for", "已申请"),
    "OFFERED": ("offered", "已报价"),
    "ACCEPTED": ("accepted", "已接受"),
    "AGREED": ("drafted, to be signed", "已起草，待签署"),
    "VERIFIED": ("signed by one side", "一方已签署"),
    "FINALIZED": ("in force", "已生效"),
    "TERMINATED": ("ended without contract, or contract ended", "已终止"),
}

TREATMENTS: Words = {
    "intangible": ("Intangible asset", "无形资产"),
    "inventory": ("Inventory", "存货"),
}

PARTS: Words = {
    "intangible": ("written off over {} months", "分 {} 个月摊销"),
    "inventory": ("written off over {} expected sales", "按预计 {} 次销售结转"),
}

FACTORS: Words = {
    "price": ("Price", "价格"),
    "sales": ("Number of sales", "销售次数"),
    "operator": ("Operator's share", "运营方分成"),
    "cost": ("Cost", "成本"),
}

COUNTED: Words = {
    "use": ("uses", "次使用"),
    "call": ("calls", "次调用"),
    "case": ("cases", "例"),
    "scan": ("scans", "例检查"),
    "gigabyte": ("bytes", "字节"),
    "byte": ("bytes", "字节"),
    "compute_hour": ("seconds", "秒"),
}

STAGE_COSTS: Words = {
    "collection.record": ("Collection", "数据采集"),
    "collection.gigabyte": ("Storage", "存储"),
    "governance.scan": ("Governance of scans", "检查数据治理"),
    "governance.document": ("Governance of documents", "文档治理"),
    "governance.hour": ("Annotation", "标注"),
    "legal.opinion": ("Legal opinion", "法律意见书"),
    "legal.hour": ("Legal work", "法律服务"),
    "legal.document": ("Legal documents", "法律文件"),
    "registration.certificate": ("Registration certificate", "登记证书"),
    "registration.document": ("Registration documents", "登记文件"),
    "exchange.listing": ("Listing", "挂牌"),
}

TRANSACTIONS: Words = (
    STAGE_COSTS
    | CHARGES
    | {
        "delivery.gigabyte": ("Delivery", "交付"),
        "capital.recognised": ("Capitalised", "资本化"),
    }
)
"""What a transaction behind a cost sheet is about."""

PAYABLE_STATES: Words = {
    "owed": ("owed", "待付"),
    "owed_back": ("owed back", "应退回"),
    "ordered": ("ordered", "已下指令"),
    "paid": ("paid", "已付"),
}

ORDER_STATES: Words = {
    "placed": ("placed", "已下指令"),
    "settled": ("carried out", "已执行"),
    "cancelled": ("cancelled", "已撤销"),
    "contested": ("cancelled, carried out by the bank", "已撤销但银行已执行"),
}

PERIOD_STATES: Words = {
    "closed": ("closed under signature", "已签名结账"),
    "open": ("reopened", "已重新打开"),
}

FILTERS: Words = {
    "purpose": ("Purpose", "目的"),
    "modality": ("Imaging", "影像类型"),
    "body_part": ("Body part", "部位"),
    "budget": ("Budget", "预算"),
    "genomic": ("Genomic fields", "基因数据字段"),
}

TARIFFS: Words = {
    "collection.gigabyte": ("Storage", "存储"),
    "delivery.gigabyte": ("Delivery", "交付"),
    "governance.scan": ("Governance of a scan", "检查数据治理"),
    "governance.document": ("Governance of a document", "文档治理"),
    "governance.hour": ("Annotation", "标注"),
    "legal.opinion": ("Legal opinion", "法律意见书"),
    "legal.hour": ("Legal work", "法律服务"),
    "legal.document": ("Document of the law firm", "律师文书"),
    "registration.certificate": ("Registration certificate", "登记证书"),
    "registration.document": ("Document of the registration", "登记文书"),
    "exchange.supplier_fee": ("Fee of the exchange, supplier", "交易所供方服务费"),
    "exchange.buyer_fee": ("Fee of the exchange, buyer", "交易所需方服务费"),
    "tax.vat": ("Value-added tax", "增值税"),
    "tax.surcharge": ("Surcharges on VAT", "附加税费"),
    "sale.marginal_cost": ("Serving one sale", "单次销售的履约成本"),
}

HOSPITAL_LEVELS: Words = {
    "PRIMARY": ("primary hospital", "一级医院"),
    "SECONDARY": ("secondary hospital", "二级医院"),
    "TERTIARY": ("tertiary hospital", "三级医院"),
}

TARIFF_UNITS: Words = {
    "collection.gigabyte": ("a gigabyte and month", "每 GB 每月"),
    "delivery.gigabyte": ("a gigabyte", "每 GB"),
    "governance.scan": ("a scan", "每例检查"),
    "governance.document": ("a document", "每份文档"),
    "governance.hour": ("an hour", "每小时"),
    "legal.opinion": ("an asset", "每项资产"),
    "legal.hour": ("an hour", "每小时"),
    "legal.document": ("a document", "每份文书"),
    "registration.certificate": ("an asset", "每项资产"),
    "registration.document": ("a document", "每份文书"),
    "exchange.supplier_fee": ("of the price", "按价款"),
    "exchange.buyer_fee": ("once a buyer", "每家需方一次"),
    "tax.vat": ("of the price without VAT", "按不含税价"),
    "tax.surcharge": ("of the VAT due", "按应纳增值税"),
    "sale.marginal_cost": ("a sale", "每次销售"),
}
