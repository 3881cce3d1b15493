"""What the process writes about itself: one line per event, never local variables, which could hold patient data."""

from __future__ import annotations

import atexit
import io
import sys
from functools import cache
from pathlib import Path
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo

from marketplace.settings import Settings


def configure(settings: Settings) -> None:
    """JSON lines in production, readable lines otherwise; an exception is written as its plain traceback."""
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.environment == "production"
        else structlog.dev.ConsoleRenderer(exception_formatter=_traceback)
    )
    tail = (structlog.processors.format_exc_info, last) if settings.environment == "production" else (last,)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            one_line,
            *tail,
        ],
        logger_factory=structlog.PrintLoggerFactory(_target(settings)),
    )


def _traceback(target: TextIO, found: ExcInfo) -> None:
    """A plain traceback, in which what a caller sent has no control characters either."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, found)
    target.write("\n".join(_escaped(line) for line in text.getvalue().split("\n")))


def one_line(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Escape line breaks and other control characters of every text, so that no caller writes a line of its own."""
    return {name: _escaped(value) if isinstance(value, str) else value for name, value in event.items()}


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _target(settings: Settings) -> TextIO:
    if settings.log_file is None:
        return sys.stderr
    return _opened(settings.log_file)


@cache
def _opened(path: Path) -> TextIO:
    """One file for the life of the process, however often an instance is built."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a", encoding="utf-8", buffering=1)
    atexit.register(file.close)
    return file
