"""A moment that a caller names is RFC 3339 text; numbers, which could be seconds or milliseconds, are refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from marketplace.plumbing.moments import Moment

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


@pytest.mark.parametrize(
    "text",
    ["2026-11-21T09:30:00Z", "2026-11-21T17:30:00+08:00", "2026-11-21t09:30:00.000z", "2026-11-21 09:30:00-00:00"],
)
def test_rfc_3339_text_is_that_moment(text: str) -> None:
    assert MOMENT.validate_python(text) == datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "told",
    ["-22958", "1763717400", 1763717400, 1.5, True, "2026-11-21", "2026-11-21T09:30:00", "２026-11-21T09:30:00Z", ""],
)
def test_what_only_might_be_a_moment_is_refused(told: object) -> None:
    with pytest.raises(ValidationError, match="RFC 3339"):
        MOMENT.validate_python(told)


def test_its_schema_is_a_date_time() -> None:
    assert MOMENT.json_schema() == {"type": "string", "format": "date-time"}
