"""What the process writes about itself: one line per event, never local variables, which could hold patient data."""

from __future__ import annotations

import sys

import structlog

from marketplace.settings import Settings


def configure(settings: Settings) -> None:
    """JSON lines in production, readable lines otherwise; an exception is written as its plain traceback."""
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.environment == "production"
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    tail = (structlog.processors.format_exc_info, last) if settings.environment == "production" else (last,)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *tail,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
