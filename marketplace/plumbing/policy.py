"""The policy port: facts in, a decision out.  No valid decision means no."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from regorus import Engine  # type: ignore[attr-defined]
from structlog import get_logger

from marketplace.kernel.canonical import Json
from marketplace.plumbing.policyfiles import PolicyFiles
from marketplace.plumbing.policyinput import with_digest
from marketplace.settings import Settings

UNAVAILABLE = "policy_unavailable"
_SHAPE = {"allow", "reasons", "obligations", "echo"}

T = TypeVar("T")


@dataclass(frozen=True)
class Decision:
    """A policy's answer, a value and never an exception.

    reasons: codes of `contracts/policy/reasons.json`, sorted, empty when allowed; obligations: what must be done to
    whatever leaves; revision: hash of the policies that decided; about: digest of the facts, empty without an answer.
    """

    allow: bool
    reasons: tuple[str, ...]
    obligations: tuple[Json, ...]
    revision: str
    about: str = ""


class PolicyEngine(Protocol):
    """An evaluator of the policies in `policies/`, or of those in an accepted bundle."""

    @property
    def revision(self) -> str:
        """Hash over the policies and static data of this release."""
        ...

    def decide(self, package: str, facts: dict[str, Any], revisions: Sequence[str] = ()) -> Decision:
        """Evaluate `data.<package>.decision` on facts, by policies of exactly one revision, named in the decision.

        facts: the whole input; nothing else is asked.  revisions: of bundles that may decide now, the newest first;
        none means the policies of this release.  A failing, slow or oddly answering engine yields a denial with the
        reason `policy_unavailable`.
        """
        ...

    def learn(self, files: PolicyFiles) -> None:
        """Be ready to decide by these policies too; those already known stay.  Raises RuntimeError: not Rego."""
        ...

    def knows(self, revision: str, /) -> bool:
        """Whether it could decide by this revision."""
        ...

    def close(self) -> None:
        """End connections and threads, if there are any."""
        ...


class OddAnswer(Exception):
    """What came back is not a decision about these facts."""


def denial(reason: str, revision: str) -> Decision:
    """A refusal for one reason, without obligations."""
    return Decision(allow=False, reasons=(reason,), obligations=(), revision=revision)


def read_answer(answer: object, expected_echo: str, revision: str) -> Decision:
    """A decision of exactly the agreed shape (`contracts/policy/access-decision.schema.json`).  Raises OddAnswer."""
    if not isinstance(answer, dict) or set(answer) != _SHAPE:
        raise OddAnswer(f"expected an object with {sorted(_SHAPE)}, got {_brief(answer)}")
    allow, reasons, obligations = answer["allow"], answer["reasons"], answer["obligations"]
    if answer["echo"] != expected_echo:
        raise OddAnswer("the echoed digest is not the one that was sent")
    if allow is not True and allow is not False:
        raise OddAnswer(f"allow is {_brief(allow)}")
    if not isinstance(reasons, list) or not all(isinstance(code, str) and code for code in reasons):
        raise OddAnswer(f"reasons are {_brief(reasons)}")
    if reasons != sorted(set(reasons)) or allow == bool(reasons):
        raise OddAnswer("reasons must be a sorted set, empty when and only when allowed")
    if not isinstance(obligations, list) or not all(
        isinstance(duty, dict) and "action" in duty for duty in obligations
    ):
        raise OddAnswer(f"obligations are {_brief(obligations)}")
    return Decision(allow, tuple(reasons), tuple(obligations), revision, expected_echo)


# The binding's engines work only in the thread that made them, and must be dropped there too: so they belong to the
# thread, by revision, and not to the object that asks.
_own = threading.local()
_KEPT_BY_A_THREAD = 4
# As the engine in process writes the commonest answer: where it does, there is nothing to read.
_PLAIN_YES = '{\n  "allow": true,\n  "echo": "%s",\n  "obligations": [],\n  "reasons": []\n}'


class RegorusEngine:
    """Rego in process.  Built-in errors raise, so they deny."""

    def __init__(self, policies: Path | PolicyFiles) -> None:
        files = PolicyFiles(policies) if isinstance(policies, Path) else policies
        self._revision = files.revision
        self._known = {self._revision: files}
        self._engine(self._revision)

    @property
    def revision(self) -> str:
        return self._revision

    def decide(self, package: str, facts: dict[str, Any], revisions: Sequence[str] = ()) -> Decision:
        revision = revisions[0] if revisions else self._revision
        try:
            sent, echo = with_digest(facts)
            answer = self._evaluate(revision, package, sent)
            if answer == _PLAIN_YES % echo:
                return Decision(True, (), (), revision, echo)
            return read_answer(json.loads(answer), echo, revision)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the binding's PanicException is a BaseException
            _own.__dict__.pop(revision, None)
            get_logger().error("policy failed", package=package, kind=type(error).__name__, error=_first_line(error))
            return denial(UNAVAILABLE, revision)

    def learn(self, files: PolicyFiles) -> None:
        self._known = {**self._known, files.revision: files}
        self._engine(files.revision)

    def knows(self, revision: str) -> bool:
        return revision in self._known

    def close(self) -> None:
        """Engines belong to their threads and end with them."""

    def _evaluate(self, revision: str, package: str, sent: str) -> str:
        engine = self._engine(revision)
        engine.set_input_json(sent)
        answer: str = engine.eval_rule_as_json(f"data.{package}.decision")
        return answer

    def _engine(self, revision: str) -> Engine:
        engines: dict[str, Engine] = _own.__dict__
        if revision not in engines:
            made = self._known[revision].load()
            for oldest in list(engines)[: 1 - _KEPT_BY_A_THREAD]:
                del engines[oldest]
            engines[revision] = made
        return engines[revision]


class OpaEngine:
    """Decisions of an OPA server.  A slow, redirecting, failing or odd server denies.

    revision: of the policies shipped with this release; where the server reports bundle revisions, one of them must
    be this one.  Once bundles were accepted the server must say by which single one it decided, and that one must be
    among those that may decide.
    """

    def __init__(self, settings: Settings, policy_folder: Path) -> None:
        self._revision = PolicyFiles(policy_folder).revision
        self._seconds = settings.policy_deadline_ms / 1000
        from marketplace.plumbing.opa import HardenedClient  # takes 150 ms to import; only this engine needs it

        # The deadline is that of `_run`; were the client's the same, both would end the same question.
        self._client = HardenedClient(
            settings.opa_host, settings.opa_port, ca_file=settings.opa_ca_file, seconds=2 * self._seconds
        )
        self._start = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def revision(self) -> str:
        return self._revision

    def decide(self, package: str, facts: dict[str, Any], revisions: Sequence[str] = ()) -> Decision:
        try:
            sent, echo = with_digest(facts)
            answer = self._run(self._client.ask(package, sent))
            decided = self._deciding(answer.get("provenance"), revisions)
            return read_answer(answer["result"], echo, decided)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong here is a denial
            get_logger().error("policy failed", package=package, kind=type(error).__name__, error=_first_line(error))
            return denial(UNAVAILABLE, revisions[0] if revisions else self._revision)

    def learn(self, files: PolicyFiles) -> None:
        """The server fetches the same bundle by itself; here it is only tried."""
        files.load()

    def knows(self, _revision: str) -> bool:
        return True

    def close(self) -> None:
        """End the connection and its loop."""
        if self._loop is not None:
            self._run(self._client.end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the one loop that owns the session; the deadline is ours and covers everything."""
        future = asyncio.run_coroutine_threadsafe(work, self._running_loop())
        try:
            return future.result(timeout=self._seconds)
        except TimeoutError:
            future.cancel()
            raise

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._start:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_serve, args=(self._loop,), name="opa", daemon=True).start()
            return self._loop

    def _deciding(self, provenance: object, revisions: Sequence[str]) -> str:
        """By which revision the server decided.  Raises OddAnswer: not by one that may."""
        bundles = provenance.get("bundles") if isinstance(provenance, dict) else None
        if not bundles and not revisions:
            return self._revision  # the files of this release, mounted into the server
        named = [one.get("revision") for one in bundles.values()] if isinstance(bundles, dict) else []
        allowed = [one for one in named if one in (revisions or (self._revision,))]
        if not allowed or (revisions and len(named) != 1):
            raise OddAnswer("the server decides by other policies than may decide now")
        return str(allowed[0])


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _brief(value: object) -> str:
    return f"{type(value).__name__} {repr(value)[:80]}"


def _first_line(error: BaseException) -> str:
    """What an engine says went wrong, without the binding's own stack."""
    return (str(error).splitlines() or [""])[0][:200]
