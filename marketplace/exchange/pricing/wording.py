"""A price plan as the contract sentence that both parties sign, in Chinese and English, from the same data."""

from __future__ import annotations

from marketplace.exchange.pricing.engine import Rate, rate_of
from marketplace.exchange.pricing.plans import (
    Buyout,
    Measure,
    Results,
    Subscription,
    price_of_access,
    read_plan,
)
from marketplace.kernel.canonical import Json
from marketplace.kernel.money import Money

_UNITS: dict[Measure, tuple[str, str]] = {
    "use": ("每次使用", "each use"),
    "case": ("每例（一项检查，同一合同内只计一次）", "each case (one study, counted once under this agreement)"),
    "scan": ("每次交付的检查（同一自然月内只计一次）", "each scan delivered (one study, counted once in a month)"),
    "gigabyte": ("每 10 亿字节（按字节折算）", "each 1,000,000,000 bytes delivered, by the byte"),
    "compute_hour": ("每计算小时（按秒折算）", "each hour of computing, by the second"),
}


def describe(plan: Json, language: str) -> str:
    """The plan as one contract sentence without its full stop, in `zh` or `en`."""
    read = read_plan(plan)
    rate = rate_of(read)
    zh = language == "zh"
    access = _money(price_of_access(plan).minor, zh=zh)
    if rate is not None:
        return _metered(rate, access, zh=zh)
    match read:
        case Subscription():
            return _subscription(read, access, zh=zh)
        case Results():
            return _results(read, zh=zh)
        case Buyout(exclusive=exclusive):
            return _buyout(access, exclusive=exclusive, zh=zh)
        case _:
            return (
                f"整个期限的价款为{access}，合同生效时一次付清"
                if zh
                else f"The price for the whole term is {access}, due once when the agreement comes into force"
            )


def _subscription(plan: Subscription, access: str, *, zh: bool) -> str:
    days, trial = plan.period_days, plan.trial_days
    if trial is None:
        return (
            f"订阅价款为每期（{days} 日）{access}，期初支付"
            if zh
            else f"The subscription costs {access} for its period of {days} days, due at the start"
        )
    if zh:
        return (
            f"订阅价款为每期（{days} 日）{access}；前 {trial} 日为试用期，期满合同未终止的即应支付；"
            "试用仅限使用方就本数据资产首份生效的合同，修订与续订不再试用，价款于合同生效时支付"
        )
    return (
        f"The subscription costs {access} for its period of {days} days; the first {trial} days are a trial, and the "
        "price is due when they have passed unless the agreement has ended; the trial is only for the buyer's first "
        "agreement on this data asset that comes into force: later ones, amendments and renewals are due at once"
    )


def _buyout(access: str, *, exclusive: bool, zh: bool) -> str:
    if zh:
        kind = "独占" if exclusive else "非独占"
        barred = "；合同有效期间提供方不得就本数据资产再作任何许可" if exclusive else ""
        return f"就本合同所列版本授予永久{kind}许可的价款为{access}，合同生效时一次付清{barred}"
    kind = "exclusive" if exclusive else "non-exclusive"
    barred = "; while this agreement is in force the provider grants nobody else access to this data asset"
    return (
        f"The price for a permanent {kind} licence of the version named here is {access}, due once when the agreement "
        f"comes into force{barred if exclusive else ''}"
    )


def _results(plan: Results, *, zh: bool) -> str:
    price, deposit = _money(plan.price_fen, zh=zh), _money(plan.deposit_fen, zh=zh)
    measured = f"{plan.kpi} {plan.baseline_permille}‰ → {plan.target_permille}‰"
    if zh:
        return (
            f"按效果付费：合同生效满 {plan.window_days} 日后由 {plan.verifier} 测定（{measured}），达到目标的，"
            f"支付价款{price}；保证金{deposit}于合同生效时交交易所托管，未达到目标或价款付清后退还"
        )
    return (
        f"The price of {price} is due if, {plan.window_days} days after the agreement came into force, {plan.verifier} "
        f"finds the target met ({measured}); a deposit of {deposit} is held by the exchange from the start and "
        "returned if the target was missed, or once the price is paid"
    )


def _metered(rate: Rate, access: str, *, zh: bool) -> str:
    unit, each = _UNITS[rate.measure][0 if zh else 1], _money(rate.price_fen, zh=zh)
    if rate.measure == "use" and zh:
        said = f"使用权价款为{access}，合同生效时支付；另按次计价，每次使用{each}"
    elif zh:
        said = f"使用权价款为{access}，合同生效时支付；另按量计价，{unit}{each}"
    else:
        said = f"The price of access is {access}, due when the agreement comes into force; {unit} costs {each}"
    return ("；" if zh else "; ").join([said, *_bounds(rate, zh=zh)])


def _bounds(rate: Rate, *, zh: bool) -> list[str]:
    said = []
    for tier in rate.tiers:
        price = _money(tier.price_fen, zh=zh)
        if rate.volume:
            said.append(
                f"当月超过 {tier.above} 单位的，当月全部单位按{price}计"
                if zh
                else f"in a month of more than {tier.above:,} units all units of the month cost {price} each"
            )
        else:
            said.append(
                f"当月第 {tier.above} 单位之后的每单位{price}"
                if zh
                else f"after {tier.above:,} units in a month a unit costs {price}"
            )
    if rate.minimum_fen:
        least = _money(rate.minimum_fen, zh=zh)
        said.append(f"每自然月最低{least}" if zh else f"a calendar month costs at least {least}")
    if rate.cap_fen is not None:
        most = _money(rate.cap_fen, zh=zh)
        said.append(f"每自然月最高{most}" if zh else f"a calendar month costs at most {most}")
    if rate.trial:
        units = rate.trial // rate.quantum
        said.append(f"最初 {units} 单位免费" if zh else f"the first {units:,} units are free")
    return said


def _money(fen: int, *, zh: bool) -> str:
    amount = f"{Money(fen).decimal:,.2f}"
    return f"人民币 {amount} 元" if zh else f"RMB {amount}"
