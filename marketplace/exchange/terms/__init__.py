"""The closed ODRL profile: what a permission may say here, and which of it is enforced where."""

from marketplace.exchange.terms.amounts import Quota, permitted_purposes, quota
from marketplace.exchange.terms.delivery import NotDeliverable, check_offer
from marketplace.exchange.terms.enforcement import Term, enforced_permille, enforcement, enforcement_table
from marketplace.exchange.terms.findings import Finding, NoEnforcementPoint, UnknownTerm, check_terms, findings
from marketplace.exchange.terms.profile import CONTRACTS, PROFILE, PURPOSES, Enforcement

__all__ = [
    "CONTRACTS",
    "PROFILE",
    "PURPOSES",
    "Enforcement",
    "Finding",
    "NoEnforcementPoint",
    "NotDeliverable",
    "Quota",
    "Term",
    "UnknownTerm",
    "check_offer",
    "check_terms",
    "enforced_permille",
    "enforcement",
    "enforcement_table",
    "findings",
    "permitted_purposes",
    "quota",
]
