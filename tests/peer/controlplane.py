"""A control plane of Eclipse EDC as a process of its own, and its management API."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx2

from marketplace.kernel.canonical import Json
from tests.peer.artifacts import Classes
from tests.servers import free_port

CONTEXT = {"@vocab": "https://w3id.org/edc/v0.0.1/ns/"}
ODRL = "http://www.w3.org/ns/odrl.jsonld"
PROTOCOL = "dataspace-protocol-http:2025-1"
PULL = "HttpData-PULL"
KEY = "invented-for-this-run"
_DOORS = {"": "/api", "management": "/management", "protocol": "/protocol", "control": "/control",
          "signaling": "/signaling", "version": "/version"}  # fmt: skip
_MANAGERS = ("negotiation.consumer", "negotiation.provider", "transfer")
LONGEST = 90


@dataclass
class ControlPlane:
    """A running one.  identifier: of its participant; ports: by door."""

    identifier: str
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """The one origin at which it is spoken to over the protocol."""
        return f"http://127.0.0.1:{self.ports['protocol']}"

    @property
    def base(self) -> str:
        return f"{self.origin}{_DOORS['protocol']}/2025-1"

    def post(self, path: str, body: Json) -> Any:
        """Ask the management API; a typed message, its context added.  Raises AssertionError for a refusal."""
        return _taken(self._http.post(f"{self._management()}{path}", json={"@context": CONTEXT} | body))

    def get(self, path: str) -> Any:
        return _taken(self._http.get(f"{self._management()}{path}"))

    def register_data_plane(self, url: str) -> None:
        """Make a data plane known that is signalled to at an address."""
        body = {"@id": "data-plane", "@type": "DataPlaneInstance", "url": url, "allowedSourceTypes": ["HttpData"]}
        where = f"http://127.0.0.1:{self.ports['control']}{_DOORS['control']}/v1/dataplanes"
        _taken(self._http.post(where, json={"@context": CONTEXT} | body | {"allowedTransferTypes": [PULL]}))

    def offer(self, asset: str) -> None:
        """Offer one asset to everybody: for use, under a constraint that nobody here evaluates."""
        rule = {"@context": ODRL, "@type": "Set", "permission": [{"action": "use"}]}
        address = {"@type": "DataAddress", "type": "HttpData", "baseUrl": "http://127.0.0.1:1/unused"}
        self.post("/assets", {"@id": asset, "properties": {"name": asset}, "dataAddress": address})
        self.post("/policydefinitions", {"@id": f"{asset}-policy", "policy": rule})
        policies = {"accessPolicyId": f"{asset}-policy", "contractPolicyId": f"{asset}-policy"}
        chosen = {"operandLeft": f"{CONTEXT['@vocab']}id", "operator": "=", "operandRight": asset}
        self.post("/contractdefinitions", {"@id": f"{asset}-contract", "assetsSelector": [chosen]} | policies)

    def catalogue(self, base: str, participant: str) -> Any:
        """The catalogue of a counterparty, as it passes it on."""
        asked = {"counterPartyAddress": base, "counterPartyId": participant, "protocol": PROTOCOL}
        return self.post("/catalog/request", {"@type": "CatalogRequest"} | asked)

    def negotiate(self, base: str, participant: str, dataset: str, offer: Json, callback: str = "") -> str:
        """Begin a negotiation as consumer, its events told to a callback if one is given; returns its id."""
        policy = offer | {"@context": ODRL, "assigner": participant, "target": dataset}
        asked = {"counterPartyAddress": base, "protocol": PROTOCOL, "policy": policy}
        asked |= {"callbackAddresses": [_callback(callback, "contract.negotiation")]} if callback else {}
        return str(self.post("/contractnegotiations", {"@type": "ContractRequest"} | asked)["@id"])

    def transfer(self, base: str, contract: str, callback: str) -> str:
        """Begin a transfer as consumer, its events told to a callback; returns its id."""
        asked = {"counterPartyAddress": base, "protocol": PROTOCOL, "contractId": contract, "transferType": PULL}
        asked |= {"@type": "TransferRequest", "callbackAddresses": [_callback(callback, "transfer.process")]}
        return str(self.post("/transferprocesses", asked)["@id"])

    def reached(self, path: str, states: Collection[str], seconds: float = LONGEST, pause: float = 0.05) -> Any:
        """Wait until a process is in one of some states.  Raises AssertionError when it ends elsewhere."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.get(path)
            if found["state"] in states:
                return found
            ended = found["state"] == "TERMINATED" or time.monotonic() > deadline
            assert not ended, f"{path} is {found['state']}: {found.get('errorDetail', 'no reason given')}"
            time.sleep(pause)

    def _management(self) -> str:
        return f"http://127.0.0.1:{self.ports['management']}{_DOORS['management']}/v3"

    @cached_property
    def _http(self) -> httpx2.Client:
        return httpx2.Client(trust_env=False, timeout=30, headers={"X-Api-Key": KEY})


@contextmanager
def running(made: Classes, folder: Path, identifier: str, wait_ms: int = 100) -> Iterator[ControlPlane]:
    """Start one and wait until it answers.  wait_ms: how often its state machines look for work."""
    plane = ControlPlane(identifier, {name: free_port() for name in _DOORS})
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / f"{identifier}.properties", folder / f"{identifier}.log"
    file.write_text("".join(f"{name}={value}\n" for name, value in _properties(plane, wait_ms).items()))
    command = ["java", "-Xmx256m", f"-Dedc.fs.config={file}", "-cp", made.path]
    with log.open("wb") as written:
        process = subprocess.Popen(
            [*command, "org.eclipse.edc.boot.system.runtime.BaseRuntime"], stdout=written, stderr=written
        )
        try:
            _wait(plane, process, log)
            yield plane
        finally:
            process.terminate()
            process.wait(30)


def _properties(plane: ControlPlane, wait_ms: int) -> dict[str, str]:
    told = {f"web.http.{name}.port".replace("..", "."): str(port) for name, port in plane.ports.items()}
    told |= {f"web.http.{name}.path".replace("..", "."): path for name, path in _DOORS.items()}
    told |= {f"edc.{name}.state-machine.iteration-wait-millis": str(wait_ms) for name in _MANAGERS}
    return told | {
        "edc.participant.id": plane.identifier,
        "edc.participant.context.id": plane.identifier,
        "edc.hostname": "127.0.0.1",
        "edc.dsp.callback.address": f"{plane.origin}{_DOORS['protocol']}",
        "web.http.management.auth.type": "tokenbased",
        "web.http.management.auth.key": KEY,
        "edc.transfer.send.retry.limit": "3",
    }


def _callback(uri: str, events: str) -> Json:
    return {"@type": "CallbackAddress", "transactional": False, "uri": uri, "events": [events]}


def _wait(plane: ControlPlane, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + LONGEST
    while True:
        try:
            plane.post("/assets/request", {"@type": "QuerySpec"})
            version = httpx2.get(f"{plane.origin}{_DOORS['protocol']}/.well-known/dspace-version", trust_env=False)
            if version.status_code == 200:
                return
        except (httpx2.HTTPError, AssertionError):
            pass
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.3)


def _taken(answer: httpx2.Response) -> Any:
    assert answer.status_code < 300, f"{answer.request.url.path} answered {answer.status_code}: {answer.text[:600]}"
    return answer.json() if answer.content else None
