"""No valid decision, no yes: engines that fail, lie or dawdle deny (threat T30)."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from marketplace.kernel.canonical import digest
from marketplace.plumbing import policy
from marketplace.plumbing.policy import OddAnswer, OpaEngine, RegorusEngine, read_answer
from marketplace.settings import Settings

POLICIES = Path(__file__).resolve().parents[2] / "policies"
FACTS = {"n": 1}
ECHO = digest(FACTS)
YES = {"allow": True, "reasons": [], "obligations": [], "echo": ECHO}


def engine(tmp_path: Path, rego: str) -> RegorusEngine:
    (tmp_path / "a.rego").write_text(f"package a\n\nimport rego.v1\n\n{rego}\n")
    return RegorusEngine(tmp_path)


GOOD = 'decision := {"allow": input.n == 1, "reasons": [], "obligations": [], "echo": input.digest}'


def test_exact_answer_is_a_decision(tmp_path):
    decision = engine(tmp_path, GOOD).decide("a", FACTS)
    assert (decision.allow, decision.reasons, decision.obligations) == (True, (), ())
    assert len(decision.revision) == 64


ODD_POLICIES = {
    "nothing": "",
    "undefined": "decision := {} if input.missing",
    "not an object": "decision := true",
    "allow as text": 'decision := {"allow": "true", "reasons": [], "obligations": [], "echo": input.digest}',
    "allow as number": 'decision := {"allow": 1, "reasons": [], "obligations": [], "echo": input.digest}',
    "no reasons": 'decision := {"allow": true, "obligations": [], "echo": input.digest}',
    "extra member": 'decision := {"allow": true, "reasons": [], "obligations": [], "echo": input.digest, "x": 1}',
    "wrong echo": 'decision := {"allow": true, "reasons": [], "obligations": [], "echo": "0"}',
    "no echo": 'decision := {"allow": true, "reasons": [], "obligations": []}',
    "allowed with a reason": 'decision := {"allow": true, "reasons": ["x"], "obligations": [], "echo": input.digest}',
    "refused without reason": 'decision := {"allow": false, "reasons": [], "obligations": [], "echo": input.digest}',
    "reasons as object": 'decision := {"allow": true, "reasons": {}, "obligations": [], "echo": input.digest}',
    "duty without action": 'decision := {"allow": true, "reasons": [], "obligations": [{}], "echo": input.digest}',
    "obligation as text": 'decision := {"allow": true, "reasons": [], "obligations": ["x"], "echo": input.digest}',
    "error in a built-in": (
        'decision := {"allow": true, "reasons": [time.parse_rfc3339_ns("x")], "obligations": [], "echo": input.digest}'
    ),
    "two answers": f'{GOOD}\n\ndecision := {{"allow": true}}',
}


@pytest.mark.parametrize("rego", ODD_POLICIES.values(), ids=ODD_POLICIES.keys())
def test_odd_policy_denies(tmp_path, rego):
    decision = engine(tmp_path, rego).decide("a", FACTS)
    assert (decision.allow, decision.reasons) == (False, ("policy_unavailable",))


def test_facts_without_a_single_canonical_form_deny(tmp_path):
    good = engine(tmp_path, GOOD)
    for odd in ({"n": 1.5}, {"n": 2**60}, {"n": {1, 2}}):
        assert good.decide("a", odd).reasons == ("policy_unavailable",)
    assert good.decide("a", FACTS).allow


def test_other_package_denies(tmp_path):
    assert engine(tmp_path, GOOD).decide("b", FACTS).reasons == ("policy_unavailable",)


def test_engine_answers_from_many_threads(tmp_path):
    good = engine(tmp_path, GOOD)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: good.decide("a", {"n": 1}).allow, range(200)))
    assert all(answers)


def test_panic_of_the_binding_is_a_denial_and_the_engine_recovers(tmp_path):
    good = engine(tmp_path, GOOD)
    kept = []
    with ThreadPoolExecutor(1) as other:
        other.submit(lambda: kept.append(good._known[good.revision].load())).result()
        policy._own.__dict__[good.revision] = kept[0]  # an engine of another thread panics with a BaseException
        assert good.decide("a", FACTS).reasons == ("policy_unavailable",)
        other.submit(kept.clear).result()
    assert good.decide("a", FACTS).allow


def test_policy_that_does_not_compile_stops_the_start(tmp_path):
    with pytest.raises(RuntimeError):
        engine(tmp_path, "allow if {")


def test_shape_check_takes_no_equal_looking_value_for_true():
    for allow in (1, "true", None, [True]):
        with pytest.raises(OddAnswer):
            read_answer(YES | {"allow": allow}, ECHO, "r")
    with pytest.raises(OddAnswer):
        read_answer(YES | {"allow": False, "reasons": ["b", "a"]}, ECHO, "r")
    assert read_answer(YES, ECHO, "r").allow


class FaultServer(ThreadingHTTPServer):
    """Answers every request with the function it was given."""

    daemon_threads = True

    def __init__(self, answer) -> None:
        self.seen: list[tuple[str, bytes]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.seen.append((self.path, body))
                self.close_connection = True
                with suppress(OSError):
                    answer(self)

            do_GET = do_POST  # noqa: N815 - the name that http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


def send(handler, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(body)


def result(value: object, **rest: object) -> bytes:
    return json.dumps({"result": value, **rest}).encode()


def drip(handler) -> None:
    """A yes that begins with a minute of white space."""
    body = b" " * 1200 + result(YES)
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    for byte in body:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.05)


def hang(handler) -> None:
    """A yes after a minute, unless whoever asked is gone by then."""
    handler.connection.settimeout(60)
    with suppress(TimeoutError):
        handler.connection.recv(1)
    send(handler, result(YES))


ODD_ANSWERS = {
    "empty object (undefined rule)": lambda h: send(h, b"{}"),
    "null result": lambda h: send(h, result(None)),
    "true": lambda h: send(h, result(True)),
    "allow as text": lambda h: send(h, result(YES | {"allow": "true"})),
    "allow as number": lambda h: send(h, result(YES | {"allow": 1})),
    "no echo": lambda h: send(h, result({k: v for k, v in YES.items() if k != "echo"})),
    "stale echo": lambda h: send(h, result(YES | {"echo": "0" * 64})),
    "extra member": lambda h: send(h, result(YES | {"extra": 1})),
    "reason beside yes": lambda h: send(h, result(YES | {"reasons": ["expired"]})),
    "duplicate key": lambda h: send(h, result(YES).replace(b'"allow": true', b'"allow": false, "allow": true')),
    "NaN": lambda h: send(h, result(YES).replace(b'"reasons": []', b'"reasons": NaN')),
    "two results": lambda h: send(h, b'{"result": {}, ' + result(YES)[1:]),
    "error beside result": lambda h: send(h, result(YES, errors=[{"code": "x"}])),
    "other policies": lambda h: send(h, result(YES, provenance={"bundles": {"b": {"revision": "other"}}})),
    "odd bundles": lambda h: send(h, result(YES, provenance={"bundles": ["b"]})),
    "list": lambda h: send(h, b"[" + result(YES) + b"]"),
    "HTML": lambda h: send(h, b"<html>allow</html>"),
    "empty body": lambda h: send(h, b""),
    "too short": lambda h: send(h, result(YES)[:-5], length=len(result(YES))),
    "trailing bytes": lambda h: send(h, result(YES) + b"}"),
    "status 500 with yes": lambda h: send(h, result(YES), 500),
    "status 201 with yes": lambda h: send(h, result(YES), 201),
    "status 404": lambda h: send(h, b'{"code": "undefined_document"}', 404),
    "two mebibytes": lambda h: send(h, result(YES | {"obligations": [{"action": "x" * (2 << 20)}]})),
    "deep nesting": lambda h: send(h, result(YES).replace(b"[]", b"[" * 5000 + b"]" * 5000)),
    "closed at once": lambda h: h.connection.close(),
}


def opa(server: FaultServer, deadline_ms: int = 60_000) -> OpaEngine:
    """An engine that has the time of a busy machine, so that what it denies is denied for what was answered."""
    return OpaEngine(Settings(opa_port=server.server_address[1], policy_deadline_ms=deadline_ms), POLICIES)


def denied_because(asker: OpaEngine) -> str:
    """The kind of error for which a decision is a denial, as the log has it."""
    with capture_logs() as told:
        decision = asker.decide("access", FACTS)
    assert (decision.allow, decision.reasons) == (False, ("policy_unavailable",))
    (line,) = told
    return str(line["kind"])


@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=ODD_ANSWERS.keys())
def test_odd_server_denies(answer):
    server = FaultServer(answer)
    asker = opa(server)
    try:
        assert denied_because(asker) != "TimeoutError"
        assert len(server.seen) == 1, "asked once, never again"
    finally:
        asker.close()
        server.stop()


@pytest.mark.parametrize("answer", [drip, hang])
def test_a_yes_that_comes_after_the_deadline_is_a_denial(answer):
    server = FaultServer(answer)
    asker = opa(server, deadline_ms=400)
    try:
        assert denied_because(asker) == "TimeoutError"
        assert len(server.seen) <= 1, "asked once, never again"
    finally:
        asker.close()
        server.stop()


def test_right_answer_of_a_server_is_a_decision_and_errors_of_built_ins_are_strict():
    server = FaultServer(lambda h: send(h, result(YES, decision_id="1")))
    asker = opa(server)
    try:
        assert asker.decide("access", FACTS).allow
        (path, body), *_ = server.seen
        assert path.startswith("/v1/data/access/decision?")
        assert "strict-builtin-errors=true" in path
        assert json.loads(body) == {"input": FACTS | {"digest": ECHO}}
        revision = asker.revision
    finally:
        asker.close()
        server.stop()
    named = FaultServer(lambda h: send(h, result(YES, provenance={"bundles": {"b": {"revision": revision}}})))
    asker = opa(named)
    try:
        assert asker.decide("access", FACTS).allow
    finally:
        asker.close()
        named.stop()


def test_redirect_and_proxy_are_not_followed(monkeypatch):
    yes = FaultServer(lambda h: send(h, result(YES)))
    address = f"http://127.0.0.1:{yes.server_address[1]}/v1/data/access/decision"
    for status in (302, 307):
        wandering = FaultServer(lambda h, status=status: send(h, b"", status, Location=address))
        asker = opa(wandering)
        try:
            assert asker.decide("access", FACTS).reasons == ("policy_unavailable",)
        finally:
            asker.close()
            wandering.stop()
    nobody = FaultServer(lambda h: send(h, b"{}"))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{yes.server_address[1]}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{yes.server_address[1]}")
    asker = opa(nobody)
    try:
        assert not asker.decide("access", FACTS).allow
        assert yes.seen == []
    finally:
        asker.close()
        nobody.stop()
        yes.stop()


def test_refused_connection_denies_before_the_deadline():
    server = FaultServer(lambda h: None)
    asker = opa(server)
    server.stop()
    try:
        assert denied_because(asker) == "ClientConnectorError"
    finally:
        asker.close()
