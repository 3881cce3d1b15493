"""Moments in what callers send: RFC 3339 text with an offset, and nothing else that could be read as a time."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator

_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _only_text(value: Any) -> Any:
    """Pydantic by itself takes a number for Unix seconds or milliseconds, whichever it is nearer to."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("expected RFC 3339 with an offset, e.g. 2026-11-21T09:30:00Z or …T17:30:00+08:00")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_only_text, json_schema_input_type=AwareDatetime)]
"""A point in time that a caller names."""
