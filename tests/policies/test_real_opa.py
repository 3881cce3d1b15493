"""The same policies under OPA itself: checked, tested and asked as a server.

`make check` builds the version that docker-compose.yml runs where a Go toolchain is there; elsewhere this is skipped.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from marketplace.plumbing.policy import OpaEngine, RegorusEngine
from marketplace.settings import Settings
from marketplace.usage.facts import AccessFacts
from tests.policies.cases import Maker
from tests.policies.test_access import POLICIES, engine_with_tests
from tests.servers import free_port

ROOT = POLICIES.parent
BUILT = ROOT / ".tools" / "opa"
OPA = str(BUILT) if BUILT.is_file() else shutil.which("opa")
LEAST_COVERAGE = 95

pytestmark = pytest.mark.skipif(OPA is None, reason="no OPA here: `make check` builds it where Go is installed")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(OPA), *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine_with_tests().eval_rule_as_json("data.access_test.facts"))
    found.pop("digest")
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[OpaEngine]:
    """OPA started with the words of docker-compose.yml, and our engine in front of it."""
    compose = (ROOT / "docker-compose.yml").read_text()
    words = json.loads(re.search(r'command: (\["run", "--server".*\])', compose).group(1))
    port = free_port()
    words = [re.sub(r"--addr=.*", f"--addr=127.0.0.1:{port}", one).replace("/policies", str(POLICIES)) for one in words]
    started = subprocess.Popen([str(OPA), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    engine = OpaEngine(Settings(opa_port=port), POLICIES)
    try:
        limit = time.monotonic() + 20
        while engine.decide("access", {}).reasons == ("policy_unavailable",) and time.monotonic() < limit:
            assert started.poll() is None, "OPA ended"
            time.sleep(0.1)
        yield engine
    finally:
        engine.close()
        started.terminate()
        started.wait(10)


def test_policies_are_strictly_correct() -> None:
    done = run("check", "--strict", str(POLICIES))
    assert done.returncode == 0, done.stderr


def test_policies_are_formatted() -> None:
    assert run("fmt", "--list", str(POLICIES)).stdout == ""


def test_rego_tests_hold_and_reach_nearly_every_line() -> None:
    done = run("test", str(POLICIES), "--coverage", f"--threshold={LEAST_COVERAGE}")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert run("test", str(POLICIES)).stdout.strip().startswith("PASS")


def test_the_server_decides_as_the_engine_in_process(server: OpaEngine, facts: dict[str, Any]) -> None:
    inside = RegorusEngine(POLICIES)
    shaped = [one for one in _variants(facts) if _fits_the_model(one)]
    answers = [(inside.decide("access", one), server.decide("access", one)) for one in shaped]
    assert [(mine, theirs) for mine, theirs in answers if mine != theirs] == []
    assert {mine.allow for mine, _ in answers} == {True, False}
    assert len({mine.reasons for mine, _ in answers}) > 10


def test_the_server_decides_generated_contracts_as_the_engine_in_process(server: OpaEngine) -> None:
    inside = RegorusEngine(POLICIES)
    told = [case.told() for case in Maker(seed=4).cases(200)]
    answers = [(inside.decide("access", one), server.decide("access", one)) for one in told]
    assert [(mine, theirs) for mine, theirs in answers if mine != theirs] == []
    assert {mine.allow for mine, _ in answers} == {True, False}


def test_even_of_facts_that_no_model_lets_through_both_allow_the_same(server: OpaEngine, facts: dict[str, Any]) -> None:
    inside = RegorusEngine(POLICIES)
    odd = [one for one in _variants(facts) if not _fits_the_model(one)]
    assert len(odd) > 100
    assert [one for one in odd if inside.decide("access", one).allow != server.decide("access", one).allow] == []


def test_the_server_lets_nobody_change_or_read_policies(server: OpaEngine) -> None:
    asked = server._client
    for method, path in (
        ("GET", "/v1/policies"),
        ("PUT", "/v1/data/x"),
        ("DELETE", "/v1/policies/p"),
        ("GET", "/v1/data"),
    ):
        assert server._run(_status(asked, method, path)) in {401, 403}, path


async def _status(client: Any, method: str, path: str) -> int:
    root = client.root_url.removesuffix("/v1")
    async with client._request(method, root + path, json={}) as answer:
        status: int = answer.status
        return status


def _variants(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The facts as they are, and with each single value changed or left out."""
    found = [facts]
    for path in _leaves(facts):
        for change in ("other", 0, True, False, "", None, [], _LEFT_OUT):
            one = copy.deepcopy(facts)
            holder: Any = one
            for step in path[:-1]:
                holder = holder[step]
            if change is _LEFT_OUT:
                del holder[path[-1]]
            else:
                holder[path[-1]] = change
            found.append(one)
    return found


def _fits_the_model(facts: dict[str, Any]) -> bool:
    try:
        AccessFacts.model_validate(facts)
    except ValidationError:
        return False
    return True


_LEFT_OUT = object()


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield (*path, name)
        yield from _leaves(item, (*path, name))


def test_variants_change_every_value(facts: dict[str, Any]) -> None:
    assert len(_variants(facts)) > 300
