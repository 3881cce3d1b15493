"""The same policies under OPA itself: checked, tested and asked as a server.

`make check` builds the version that docker-compose.yml runs where a Go toolchain is there; elsewhere this is skipped.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from marketplace.kernel.signing import SigningKey, generate_key
from marketplace.plumbing import policybundle
from marketplace.plumbing.policy import OpaEngine, RegorusEngine
from marketplace.plumbing.policyfiles import PolicyFiles
from marketplace.settings import Settings
from marketplace.usage.facts import AccessFacts
from tests.policies.cases import Maker
from tests.policies.test_access import POLICIES, engine_with_tests
from tests.servers import free_port

ROOT = POLICIES.parent
BUILT = ROOT / ".tools" / "opa"
OPA = str(BUILT) if BUILT.is_file() else shutil.which("opa")
REGAL = str(ROOT / ".tools" / "regal") if (ROOT / ".tools" / "regal").is_file() else shutil.which("regal")
LEAST_COVERAGE = 95
PUBLISHER = generate_key("ES256")

pytestmark = pytest.mark.skipif(OPA is None, reason="no OPA here: `make check` builds it where Go is installed")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(OPA), *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine_with_tests().eval_rule_as_json("data.access_test.facts"))
    found.pop("digest")
    return found


@dataclass
class Served:
    """OPA as docker-compose.yml starts it, our engine in front of it, and the folder where it fetches its bundle."""

    engine: OpaEngine
    folder: Path

    def publish(self, files: PolicyFiles, version: int, key: SigningKey = PUBLISHER) -> str:
        fresh = self.folder / "fresh"
        fresh.write_bytes(policybundle.build(files, version, key))
        fresh.replace(self.folder / "bundle.tar.gz")
        return files.revision

    def decides_by(self, revision: str, seconds: float = 120) -> bool:
        """Whether it comes to decide by a revision in time."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if self.engine.decide("access", {}, (revision,)).reasons != ("policy_unavailable",):
                return True
            time.sleep(0.1)
        return False


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """OPA started with the words of docker-compose.yml; what is served to it is what `Served.publish` puts there."""
    place, pem = folder / "policy", folder / "publisher.pem"
    place.mkdir(parents=True)
    public = PUBLISHER.private.public_key()
    pem.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    files = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=files.serve_forever, daemon=True).start()
    port = free_port()
    theirs = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["policy"]["command"]
    changes = {
        "--addr=0.0.0.0:8181": f"--addr=127.0.0.1:{port}",
        "--set=services.market.url=http://api:8000": f"--set=services.market.url=http://127.0.0.1:{files.server_port}",
        "--set-file=keys.publisher.key=/run/secrets/policy_publisher": f"--set-file=keys.publisher.key={pem}",
    }
    assert set(changes) < set(theirs)
    words = [changes.get(one, one) for one in theirs]
    started = subprocess.Popen([str(OPA), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    engine = OpaEngine(Settings(opa_port=port), POLICIES)
    try:
        yield Served(engine, place)
    finally:
        engine.close()
        started.terminate()
        started.wait(10)
        files.shutdown()
        files.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpaEngine]:
    """Our engine in front of an OPA that decides by the policies of this tree."""
    with serving(tmp_path_factory.mktemp("opa")) as served:
        assert served.decides_by(served.publish(PolicyFiles(POLICIES), 1)), "OPA took no bundle"
        yield served.engine


def test_the_server_answers_nothing_before_a_bundle_and_follows_each_newer_one(tmp_path: Path) -> None:
    files = PolicyFiles(POLICIES)
    other = PolicyFiles.of({**files.texts, "access/access.rego": files.texts["access/access.rego"] + "\n"})
    with serving(tmp_path) as served:
        assert not served.decides_by(files.revision, 1)
        assert served.decides_by(served.publish(files, 1))
        assert not served.decides_by(other.revision, 0.2)
        assert served.decides_by(served.publish(other, 2))
        assert served.engine.decide("access", {}, (files.revision,)).reasons == ("policy_unavailable",)
        both = served.engine.decide("access", {}, (files.revision, other.revision))
        assert (both.revision, both.allow) == (other.revision, False)


def test_the_server_keeps_its_policies_when_a_bundle_is_not_the_publishers(tmp_path: Path) -> None:
    files = PolicyFiles(POLICIES)
    other = PolicyFiles.of({**files.texts, "access/access.rego": files.texts["access/access.rego"] + "\n"})
    with serving(tmp_path) as served:
        assert served.decides_by(served.publish(files, 1))
        served.publish(other, 2, generate_key("ES256"))
        assert not served.decides_by(other.revision, 5)
        assert served.decides_by(files.revision, 1)


def test_policies_are_strictly_correct() -> None:
    done = run("check", "--strict", str(POLICIES))
    assert done.returncode == 0, done.stderr


def test_policies_are_formatted() -> None:
    assert run("fmt", "--list", str(POLICIES)).stdout == ""


@pytest.mark.skipif(REGAL is None, reason="no Regal here: its Go module could not be had, so nothing was linted by it")
def test_the_linter_of_policies_finds_nothing() -> None:
    done = subprocess.run([str(REGAL), "lint", str(POLICIES)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_rego_tests_hold_and_reach_nearly_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    done = run("test", str(POLICIES), "--coverage", f"--threshold={LEAST_COVERAGE}", "--timeout", "60s")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    reached = json.loads(run("test", str(POLICIES), "--coverage", "--timeout", "60s").stdout)["coverage"]
    with capsys.disabled():
        print(f" opa test: {reached:.1f} % of the policies' lines reached ", end="")
    assert reached >= LEAST_COVERAGE
    assert run("test", str(POLICIES), "--timeout", "60s").stdout.strip().startswith("PASS")


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
