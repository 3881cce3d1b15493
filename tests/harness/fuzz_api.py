"""Schemathesis over the whole API with authentication: no server error, no break of its own document (goal G22).

`python -m tests.harness.fuzz_api [--cases 20000] [--seed N] [--from ROUND] [--seconds N] [--only OPERATION …]`
`[--form sqlite|postgresql] [--seeded-bug] [--json]`
A real server process (relay, integrator, log signer and witness included) over `tests.hostile.story`, in rounds with a
fresh world each.  A round depends on the seed and its number alone, so a slow machine runs them in slices: what stops
early (`--seconds`, Ctrl-C, SIGTERM) says what it did and with which `--from` it goes on.

Every request is made by one of the story's identities with its own token and a DPoP proof of its own; real ids stand
where generated ones would only be unknown.  `--seeded-bug`: a route that breaks on some texts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.errors import SerializationNotPossible
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from marketplace.client.api import ApiClient, sign_proof
from marketplace.kernel.canonical import sha256_hex
from marketplace.kernel.clock import StoryClock
from marketplace.kernel.ids import new_id
from marketplace.plumbing import sockets
from marketplace.settings import Settings
from tests.architecture.authorization import KNOWN, ROWS
from tests.hostile.forms import FORMS
from tests.hostile.story import IDENTITIES, Story, open_story, roll_agreement
from tests.servers import free_port, postgresql
from workers.instance import open_instance

ROUND = 2500
# Seconds for one answer, and for the start: other work may have the machine.
PATIENCE = 60
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# Whoever tries these on real objects would shut itself or the world out of the rest of the round.
SPARED = {"suspend_participant", "revoke_key", "register_key"}
# Operations that ask somebody at an address where nobody is: 503 is their true answer.
ELSEWHERE = {"ask_for_catalogue"}
# Fields of forms that name objects; a generated text would never be one.
NAMED = {"version": "version_id", "asset": "asset_id", "listing": "listing_id", "agreement": "agreement_id"}


@dataclass
class Findings:
    """What came of the cases.

    broken: one line per distinct failure; statuses: answers by status; rounds: the last perhaps in part; cut: why it
    stopped early.
    """

    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)
    server_errors: int = 0
    leaks: int = 0
    rounds: list[int] = field(default_factory=list)
    cut: str = ""


class Fuzz:
    """One round against one server."""

    def __init__(self, story: Story, base: str, dice: random.Random, findings: Findings) -> None:
        self._story, self._base, self._dice, self._found = story, base, dice, findings
        self._session = requests.Session()
        self._session.trust_env = False
        self._http = httpx2.Client(trust_env=False, timeout=PATIENCE)
        self._clients = {name: self._client(party) for name, party in IDENTITIES.items() if party is not None}

    def _client(self, party: str) -> ApiClient:
        one = self._story.house.cast[party]
        return ApiClient(self._http, self._base, one.id, one.key, self._story.house.clock)

    def close(self) -> None:
        self._session.close()
        self._http.close()

    def operation(self, operation: Any, examples: int) -> None:
        """So many cases of one operation, valid and invalid ones."""
        for mode, share in ((GenerationMode.POSITIVE, 2), (GenerationMode.NEGATIVE, 1)):
            run = partial(self.case, mode=mode)
            chosen = settings(
                max_examples=max(1, examples * share // 3),
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            try:
                drawn = given(case=operation.as_strategy(generation_mode=mode))
                seed(self._dice.randrange(1 << 32))(chosen(drawn(_plain(run))))()
            except (Unsatisfiable, SerializationNotPossible):
                continue  # what takes no parameters has no invalid case

    def case(self, case: Case, mode: GenerationMode) -> None:
        """Send one case as one identity and look at the answer."""
        name = case.operation.definition.raw["operationId"]
        identity = self._identity(name)
        if mode is GenerationMode.POSITIVE:
            self._make_real(case, name, identity)
        headers = self._headers(case, identity)
        try:
            response = case.call(base_url=self._base, session=self._session, headers=headers, timeout=PATIENCE)
        except (requests.exceptions.InvalidHeader, UnicodeEncodeError, requests.exceptions.InvalidURL, ValueError):
            return  # no client could send it
        self._found.cases += 1
        self._found.statuses[response.status_code] += 1
        self._found.operations[name] += 1
        self._judge(case, response, name, identity, mode)

    def _judge(self, case: Case, response: Any, name: str, identity: str, mode: GenerationMode) -> None:
        row = ROWS.get(name)
        expected = row.refusal(identity) if row is not None else None
        if response.status_code < 300 and expected is not None and expected >= 400:
            self._found.leaks += 1
            self._break(name, f"{identity} was let in", case)
        checks = CHECKS if mode is GenerationMode.NEGATIVE else CHECKS[:-1]
        if response.status_code in {401, 413, 429} or _trimmed(case):
            checks = CHECKS[:-1]
        away = response.status_code == 503 and name in ELSEWHERE
        if away:
            checks = [one for one in checks if one is not not_a_server_error]
        try:
            case.validate_response(response, checks=checks)
        except FailureGroup as group:
            for failure in group.exceptions:
                self._break(name, _said(failure), case)
        except Failure as failure:
            self._break(name, _said(failure), case)
        self._found.server_errors += response.status_code >= 500 and not away

    def _break(self, name: str, what: str, case: Case) -> None:
        if f"{name}: {what}" not in self._found.broken:
            self._found.broken[f"{name}: {what}"] = how = case.as_curl_command()[:600]
            print(f"BROKEN {name}: {what}\n    {how}", file=sys.stderr, flush=True)

    def _identity(self, name: str) -> str:
        row = ROWS.get(name)
        draw = self._dice.random()
        if draw < 0.05:
            return "anonymous"
        if row is not None and row.let_in and draw < 0.7:
            return self._dice.choice(sorted(row.let_in))
        return self._dice.choice(sorted(KNOWN))

    def _make_real(self, case: Case, name: str, identity: str) -> None:
        for parameter in list(case.path_parameters or {}):
            if self._dice.random() < 0.75 and not (name in SPARED and parameter in {"participant_id", "kid"}):
                with contextlib.suppress(KeyError):
                    case.path_parameters[parameter] = self._story.id(name, parameter)
        if isinstance(case.body, dict) and name in FORMS and self._dice.random() < 0.4:
            # A form that may succeed, with some of what was generated.
            drawn = {key: value for key, value in case.body.items() if self._dice.random() < 0.2}
            case.body = {**FORMS[name](self._story, identity), **drawn}
        if isinstance(case.body, dict):
            for member, parameter in NAMED.items():
                if isinstance(case.body.get(member), str) and self._dice.random() < 0.6:
                    case.body[member] = self._story.ids[parameter]
        if case.operation.method.upper() == "POST":
            case.headers = {**(case.headers or {}), "Idempotency-Key": new_id("key")}

    def _headers(self, case: Case, identity: str) -> dict[str, str]:
        client = self._clients.get(identity)
        if client is None:
            return {}
        token = client._access_token()
        kwargs = case.as_transport_kwargs(base_url=self._base)
        url = requests.Request("GET", kwargs["url"]).prepare().url or ""
        claims = {
            "jti": new_id("jti"),
            "htm": case.operation.method.upper(),
            "htu": url.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0],
            "iat": int(self._story.house.clock.now().timestamp()),
            "ath": _base64url(bytes.fromhex(sha256_hex(token.encode()))),
        }
        return {"Authorization": f"DPoP {token}", "DPoP": sign_proof(client.key, claims)}


def _trimmed(case: Case) -> bool:
    """Whether a header arrives as another than was drawn: white space around a value is none of it (RFC 9110)."""
    return any(value != value.strip() for value in map(str, (case.headers or {}).values()))


def _plain(run: Callable[[Case], None]) -> Callable[..., None]:
    """A function that Hypothesis may call by name."""

    def one(case: Case) -> None:
        run(case)

    return one


def _base64url(octets: bytes) -> str:
    import base64

    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _said(failure: BaseException) -> str:
    title = getattr(failure, "title", type(failure).__name__)
    message = " ".join(str(getattr(failure, "message", "")).split())[:160]
    return f"{title} {message}".strip()


@contextmanager
def served(folder: Path, port: int, now: datetime, database_url: str, *, broken: bool) -> Iterator[str]:
    """A server process over the market in a folder; yields its address."""
    place = (str(folder), str(port), now.isoformat(), database_url)
    command = [sys.executable, "-m", "tests.harness.fuzz_api", "--serve", *place]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen([*command, *(["--seeded-bug"] if broken else [])], stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + PATIENCE
        with httpx2.Client(trust_env=False, timeout=PATIENCE) as http:
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    if http.get(f"{base}/livez").status_code == 200:
                        break
                assert process.poll() is None, Path(log.name).read_text()[-2000:]
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.05)
        yield base
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def serve(folder: Path, port: int, now: datetime, database_url: str, *, broken: bool) -> None:
    """The server process itself."""
    with open_instance(_settings(folder, port, database_url), StoryClock(now)) as instance:
        app: Any = _with_a_bug(instance.app) if broken else instance.app
        server = sockets.server(app, instance.runtime.settings, port=port, log_level="critical")
        signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
        server.run()


def _settings(folder: Path, port: int, database_url: str) -> Settings:
    plenty = 1_000_000
    return Settings(
        data_folder=folder,
        database_url=database_url,
        public_url=f"http://127.0.0.1:{port}",
        parse_workers=1,
        limit_participant_per_second=plenty,
        limit_participant_burst=plenty,
        limit_address_per_second=plenty,
        limit_address_burst=plenty,
    )


def _with_a_bug(app: Any) -> Any:
    """The bug that must be caught: a catalogue search that breaks on a character beyond ASCII."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/v1/catalogue" and b"%" in scope["query_string"]:
            body = b'{"detail": "Internal Server Error"}'
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await app(scope, receive, send)

    return wrapped


class TimeIsOver(Exception):
    """The seconds that were given have passed."""


def fuzz(folder: Path, options: argparse.Namespace) -> Findings:
    """Rounds until there are enough cases, or until it is told to stop."""
    found, end = Findings(), time.monotonic() + options.seconds
    for number in range(options.first, options.first + 4 * (options.cases // ROUND + 1)):
        if found.cases >= options.cases:
            break
        try:
            _round(folder / f"round-{number}", random.Random(f"{options.seed}/{number}"), found, options, end)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - what was found is told whatever ends the run
            found.cut = f"{type(error).__name__} in round {number}: go on with --seed {options.seed} --from {number}"
            break
        found.rounds.append(number)
        print(f"round {number}: {found.cases} cases so far, {len(found.broken)} breaks", file=sys.stderr, flush=True)
    return found


def _round(folder: Path, dice: random.Random, found: Findings, options: argparse.Namespace, end: float) -> None:
    """One round in a world of its own.  Raises TimeIsOver before the world or an operation."""
    _require_time(end)
    folder.mkdir(parents=True)
    with postgresql() if options.form == "postgresql" else nullcontext("") as database_url:
        _fuzz_world(folder, database_url, dice, found, options, end)


def _fuzz_world(
    folder: Path, database_url: str, dice: random.Random, found: Findings, options: argparse.Namespace, end: float
) -> None:
    port, wanted = free_port(), min(ROUND, options.cases)
    with open_story(folder / "house", database_url=database_url, public_url=f"http://127.0.0.1:{port}") as story:
        for state in ("signed_by_buyer", "finalized"):
            roll_agreement(story, state)
    now = story.house.clock.now()
    with served(folder / "house", port, now, database_url, broken=options.seeded_bug) as base:
        chosen = _operations(base, options.only)
        dice.shuffle(chosen)
        fuzzing, began = Fuzz(story, base, dice, found), found.cases
        try:
            for left, operation in zip(range(len(chosen), 0, -1), chosen, strict=True):
                _require_time(end)
                if found.cases >= options.cases:
                    break
                share = (wanted - (found.cases - began)) // left
                fuzzing.operation(operation, max(3, share))
        finally:
            fuzzing.close()


def _require_time(end: float) -> None:
    if time.monotonic() > end:
        raise TimeIsOver


def _operations(base: str, only: list[str]) -> list[Any]:
    document = httpx2.get(f"{base}/openapi.json", trust_env=False, timeout=PATIENCE).json()
    found = [one.ok() for one in schemathesis.openapi.from_dict(document).get_all_operations()]
    return [one for one in found if not only or one.definition.raw["operationId"] in only]


def main(arguments: list[str] | None = None) -> int:
    """Fuzz and print what was found; 1 when something broke."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--from", dest="first", type=int, default=1, metavar="ROUND", help="the first round to run")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing after so many")
    parser.add_argument("--form", choices=("sqlite", "postgresql"), default="sqlite", help="the database under it")
    parser.add_argument("--only", nargs="*", default=[], metavar="OPERATION")
    parser.add_argument("--seeded-bug", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=4, metavar=("FOLDER", "PORT", "NOW", "URL"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        folder, port, now, url = options.serve
        serve(Path(folder), int(port), datetime.fromisoformat(now), url, broken=options.seeded_bug)
        return 0
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(Path(folder), options)
    return _print(found, options, time.monotonic() - began)


def _print(found: Findings, options: argparse.Namespace, seconds: float) -> int:
    met = not found.broken and not found.server_errors and found.cases >= options.cases
    figures = {
        "cases": found.cases,
        "rounds": len(found.rounds),
        "operations": len(found.operations),
        "server_errors": found.server_errors,
        "breaks": len(found.broken),
        "let_in_wrongly": found.leaks,
        "seconds": round(seconds),
    }
    goal = {"cases": options.cases, "server_errors": 0, "breaks": 0, "let_in_wrongly": 0}
    asked = {"seed": options.seed, "form": options.form, "from": options.first, "cut": found.cut}
    said = {"name": "fuzz_api", **asked, "figures": figures, "goal": goal, "met": met}
    if options.json:
        print(json.dumps(said | {"statuses": dict(sorted(found.statuses.items())), "broken": found.broken}))
        return 0 if met else 1
    what_ran = ", ".join(f"{name} {value}" for name, value in figures.items())
    print(f"seed {options.seed}, from round {options.first}: {what_ran}")
    print("answers: " + ", ".join(f"{status}: {number}" for status, number in sorted(found.statuses.items())))
    for what, how in found.broken.items():
        print(f"BROKEN {what}\n    {how}")
    if found.cut:
        print(f"STOPPED by {found.cut}")
    print("met" if met else "NOT MET")
    return 0 if met else 1


if __name__ == "__main__":
    threading.excepthook = lambda *_: None
    if "--serve" not in sys.argv:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
