"""Eight customers at work, from a seeded script: they negotiate, sign, stream, settle, register and audit.

Every call is repeated under its Idempotency-Key until it is answered, whatever dies meanwhile; every answer and every
byte goes into the journal.
"""

from __future__ import annotations

import base64
import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from marketplace.client.api import ApiClient
from marketplace.client.problem import ProblemError
from marketplace.client.upload import tar_batches
from marketplace.kernel.clock import SystemClock
from seeds.forms import CHEST_CT
from tests.harness.journal import Answer, Journal, Received
from tests.harness.world import PURPOSE, Place

R = TypeVar("R")
BUYERS = ("pharma", "ai_company", "insurer", "institute")
# What passes by itself when the service is up again.
PASSING = frozenset({401, 408, 425, 429, 500, 502, 503, 504})


class Stopped(Exception):
    """The run is over."""


def scans_to_send(archive: Path, dice: random.Random) -> list[Path]:
    """One image of an archive and two other files, which may be broken, empty or a copy.

    Of three files drawn from all, a version now and then accepts none, and then it cannot be sealed.
    """
    files = sorted(archive.rglob("*.dcm"))
    image = dice.choice([one for one in files if one.name.startswith("IM")])
    return [image, *dice.sample([one for one in files if one != image], 2)]


class Journalled(ApiClient):
    """A client that keeps every answer to a change."""

    journal: Journal

    def _send(self, method: str, path: str, **parts: Any) -> httpx2.Response:
        response = super()._send(method, path, **parts)
        if method != "GET":
            key = parts.get("headers", {}).get("Idempotency-Key")
            body = base64.b64encode(response.content).decode()
            receipt = response.headers.get("Receipt")
            self.journal.answered(Answer(self.participant_id, method, path, key, response.status_code, body, receipt))
        return response


@dataclass
class Crowd:
    """The customers as threads.  window: bytes of a logged window; problems: answers that nobody may get."""

    place: Place
    url: str
    window: int
    seed: int
    journal: Journal = field(default_factory=Journal)
    answered: int = 0
    problems: list[str] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, count: int = 8) -> None:
        roles = [self._negotiate] * (count - 2) + [self._register, self._audit]
        for number, role in enumerate(roles):
            thread = threading.Thread(target=self._live, args=(role, number), name=f"customer-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, seconds: float = 30) -> None:
        """Ask everybody to end after the call at hand."""
        self._end.set()
        for thread in self._threads:
            thread.join(seconds)

    def _live(self, role: Callable[[int, random.Random, httpx2.Client], None], number: int) -> None:
        dice = random.Random(f"{self.seed}/{number}")
        with httpx2.Client(timeout=10, trust_env=False) as http:
            while not self._end.is_set():
                try:
                    role(number, dice, http)
                except Stopped:
                    return
                except ProblemError as problem:
                    self.problems.append(f"customer {number} ({role.__name__}): {problem}")
                    self._end.wait(1)

    def _client(self, name: str, http: httpx2.Client) -> Journalled:
        party = self.place.keys.load(name)
        assert party.participant_id is not None
        client = Journalled(http, self.url, party.participant_id, party.key, SystemClock())
        client.journal = self.journal
        return client

    def _until_answered(self, call: Callable[[], R], *, also: frozenset[int] = frozenset()) -> R:
        """Repeat a call until the service is there to answer it.  also: refusals that pass by themselves here."""
        while True:
            try:
                answer = call()
            except (httpx2.TransportError, OSError):
                pass
            except ProblemError as problem:
                if problem.status not in PASSING | also:
                    raise
            else:
                self.answered += 1
                return answer
            if self._end.wait(0.15):
                raise Stopped

    def _post(self, client: ApiClient, path: str, body: Any, dice: random.Random) -> Any:
        key = f"crash-{dice.randrange(1 << 64):016x}"
        answer = self._until_answered(lambda: client.post(path, body, key=key))
        if dice.random() < 0.15:  # the answer was lost on the way, say: the same again
            self._until_answered(lambda: client.post(path, body, key=key))
        return answer

    def _negotiate(self, number: int, dice: random.Random, http: httpx2.Client) -> None:
        client, hospital = self._client(BUYERS[number % len(BUYERS)], http), self._client("hospital", http)
        asked = {"listing": self.place.listing, "purpose": PURPOSE, "justification": f"study {dice.randrange(1 << 40)}"}
        request = self._post(client, "/v1/requests", asked, dice)["id"]
        agreement = self._post(hospital, f"/v1/requests/{request}/approval", {}, dice)["id"]
        document = self._until_answered(lambda: client.get(f"/v1/agreements/{agreement}"))["document"]
        for party in dice.sample((client, hospital), 2):
            signed = self._until_answered(lambda party=party: party.sign(document, "agreement"))  # type: ignore[misc]
            self._post(party, f"/v1/agreements/{agreement}/signature", signed, dice)
        at = f"/v1/agreements/{agreement}/manifest"
        self._until_answered(lambda: client.get(at, {"wait": 5}), also=frozenset({404}))
        for _ in range(dice.randrange(1, 5)):
            self._use(client, agreement, dice)
        if dice.random() < 0.3:
            who = dice.choice((client, hospital))
            self._post(who, f"/v1/agreements/{agreement}/termination", {"reason": "breach"}, dice)

    def _use(self, client: Journalled, agreement: str, dice: random.Random) -> None:
        """Stream the data; a broken stream goes on where it broke, under the same key.  Some are left for good."""
        key, start, whole = f"crash-use-{dice.randrange(1 << 64):016x}", 0, None
        leave_at = dice.randrange(1 << 16) if dice.random() < 0.2 else None
        while whole is None or start < whole:
            if self._end.is_set():
                raise Stopped
            headers = {"Idempotency-Key": key} | ({"Range": f"bytes={start}-"} if start else {})
            try:
                size, got = self._leg(client, agreement, headers, start, leave_at)
            except (httpx2.TransportError, OSError):
                self._end.wait(0.15)
                continue
            except ProblemError as problem:
                if problem.status in PASSING | {409}:
                    self._end.wait(0.15)
                    continue
                return  # the quota is used up, or the agreement was ended
            whole, start = whole or size, start + got
            if leave_at is not None and start >= leave_at:
                return

    def _leg(
        self, client: Journalled, agreement: str, headers: dict[str, str], start: int, leave_at: int | None
    ) -> tuple[int, int]:
        """One answer of the data route; returns (bytes from start to the end, bytes received)."""
        running, got, hashes = hashlib.sha256(), 0, {}
        path = f"/v1/agreements/{agreement}/data"
        with client.stream(path, {"purpose": PURPOSE}, headers) as response:
            self.answered += 1
            about = response.headers["X-Transfer-Id"], response.headers["X-Entry-Id"]
            size = int(response.headers["Content-Length"]) + start
            try:
                for chunk in response.iter_bytes(chunk_size=self.window):
                    running.update(chunk)
                    got += len(chunk)
                    hashes[got] = running.hexdigest()
                    if leave_at is not None and start + got >= leave_at:
                        break
            except (httpx2.TransportError, OSError):
                pass
            finally:
                self.journal.received(Received(client.participant_id, *about, start, got, hashes))
        return size, got

    def _register(self, _number: int, dice: random.Random, http: httpx2.Client) -> None:
        """An asset with a small raw version, sealed and signed."""
        hospital = self._client("hospital", http)
        form = CHEST_CT | {"name": f"示例数据集 {dice.randrange(1 << 40)}"}
        asset = self._post(hospital, "/v1/assets", form, dice)["id"]
        version = self._post(hospital, f"/v1/assets/{asset}/versions", {}, dice)["id"]
        batch = next(iter(tar_batches(scans_to_send(self.place.scans, dice))))
        body = batch.body if isinstance(batch.body, bytes) else b"".join(batch.body)
        self._until_answered(lambda: hospital.put(f"/v1/versions/{version}/files/00000", body))
        sealed = self._post(hospital, f"/v1/versions/{version}/seal", {}, dice)
        record = sealed["document"]["sha256"]
        signed = self._until_answered(lambda: hospital.sign(record, "collection-record"))
        self._post(hospital, f"/v1/versions/{version}/collection", signed, dice)
        time.sleep(dice.random())

    def _audit(self, _number: int, dice: random.Random, http: httpx2.Client) -> None:
        """An auditor keeps checkpoints, reads entries and exports."""
        auditor = self._client("auditor", http)
        note = self._until_answered(lambda: http.get(f"{self.url}/log/checkpoint"))
        if note.status_code == 200:
            self.journal.shown(note.text)
        self._until_answered(lambda: auditor.get("/v1/entries", {"limit": 20}))
        if dice.random() < 0.05:
            self._post(auditor, "/v1/log-exports", {"participant": auditor.participant_id}, dice)
        self._end.wait(0.3)
