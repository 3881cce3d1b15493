"""Amounts, moments and sizes as a reader of either language writes them.  Days and times are those of Beijing."""

from __future__ import annotations

from datetime import datetime

from markupsafe import Markup

from marketplace.console.words import Language
from marketplace.kernel.clock import timestamp
from marketplace.kernel.money import Money
from marketplace.registration.workdays import SHANGHAI

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def money(fen: int, language: Language) -> str:
    """An amount of RMB, exact to the fen."""
    amount = f"{Money(fen).decimal:,.2f}"
    return f"RMB {amount}" if language == "en" else f"{amount} 元"


def percent(per_mille: int) -> str:
    """Thousandths as per cent, exact."""
    sign, whole = "-" if per_mille < 0 else "", abs(per_mille)
    return f"{sign}{whole // 10:,}.{whole % 10} %" if whole % 10 else f"{sign}{whole // 10:,} %"


def plain_day(moment: datetime, language: Language) -> str:
    """A calendar day without markup, for charts and sentences."""
    there = moment.astimezone(SHANGHAI)
    if language == "zh":
        return f"{there.year}年{there.month}月{there.day}日"
    return f"{there.day} {_MONTHS[there.month - 1]} {there.year}"


def day(moment: datetime, language: Language) -> Markup:
    """A calendar day with the exact moment in its markup."""
    return _marked(moment, plain_day(moment, language))


def minute(moment: datetime, language: Language) -> Markup:
    """A day and minute with the exact moment in its markup."""
    return _marked(moment, f"{plain_day(moment, language)} {moment.astimezone(SHANGHAI):%H:%M}")


def volume(octets: int) -> str:
    """A number of bytes in the largest unit that leaves no more than three digits before the point."""
    for unit, size in _UNITS:
        if octets >= size:
            tenths = octets * 10 // size
            return f"{tenths // 10:,}.{tenths % 10} {unit}" if tenths % 10 else f"{tenths // 10:,} {unit}"
    return f"{octets} B"


def studies(number: int, language: Language) -> str:
    """A number of imaging studies."""
    return _counted(number, language, "study", "studies", "例检查")


def files(number: int, language: Language) -> str:
    """A number of files."""
    return _counted(number, language, "file", "files", "个文件")


def sales(number: int, language: Language) -> str:
    """A number of sales."""
    return _counted(number, language, "sale", "sales", "次销售")


def days(number: int, language: Language) -> str:
    """A number of days."""
    return _counted(number, language, "day", "days", "天")


def _counted(number: int, language: Language, one: str, many: str, chinese: str) -> str:
    if language == "zh":
        return f"{number:,} {chinese}"
    return f"{number:,} {one if number == 1 else many}"


def _marked(moment: datetime, words: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(timestamp(moment), words)
