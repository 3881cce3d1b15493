"""Pure rules of a policy bundle: what makes this service refuse it, whoever signed it."""

from __future__ import annotations

from enum import StrEnum

from marketplace.plumbing import policybundle, policyprofile
from marketplace.plumbing.policybundle import Bundle
from marketplace.usage.policies.trial import Trial, try_out


class Fault(StrEnum):
    """Why a bundle is refused, the first that holds."""

    NO_PUBLISHER = "no_publisher"
    UNREADABLE = "unreadable"
    UNSIGNED = "unsigned"
    NOT_NEWER = "not_newer"
    OTHER_CONTRACT = "other_contract"
    OUTSIDE_PROFILE = "outside_profile"
    DOES_NOT_COMPILE = "does_not_compile"
    ODD_ANSWER = "odd_answer"
    GRANTS_TOO_MUCH = "grants_too_much"


_TRIALS = {Trial.BROKEN: Fault.DOES_NOT_COMPILE, Trial.ODD: Fault.ODD_ANSWER, Trial.LAX: Fault.GRANTS_TOO_MUCH}


def fault_of(bundle: Bundle, latest: int) -> Fault | None:
    """What is wrong with a bundle whose signature holds; None when it may decide.

    latest: version of the bundle that decides now, 0 = none: an older one never comes back.
    """
    if bundle.version <= latest:
        return Fault.NOT_NEWER
    if bundle.interface != policybundle.interface():
        return Fault.OTHER_CONTRACT
    if policyprofile.lint(bundle.files):
        return Fault.OUTSIDE_PROFILE
    return _TRIALS.get(try_out(bundle.files))
