"""The five stages, each reached as its parties reach it: over the API, with their own keys, in the story's time.

Every call carries a fixed Idempotency-Key, so that telling a stage again after a crash changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from marketplace.client.lists import LONG_PAGES, items
from marketplace.client.upload import tar_batches
from seeds.world import World

# Progress of a long step: done and total.
Progress = Callable[[int, int], None]


def silent(_done: int, _total: int) -> None:
    """Nobody watches."""


@dataclass
class Scene:
    """One asset's way through the stages.  name: prefix of the Idempotency-Keys, one per asset."""

    world: World
    name: str
    form: dict[str, Any]
    watch: Progress = silent

    def key(self, step: str) -> str:
        return f"seed-{self.name}-{step}"

    def register(self) -> dict[str, Any]:
        """The hospital registers the asset."""
        answer: dict[str, Any] = self.world["hospital"].post("/v1/assets", self.form, key=self.key("register"))
        return answer

    def collect(self, asset: str, source: Path) -> dict[str, Any]:
        """The hospital uploads every file of a folder, seals the raw version and signs its collection record."""
        hospital = self.world["hospital"]
        version = hospital.post(f"/v1/assets/{asset}/versions", key=self.key("raw"))["id"]
        if hospital.get(f"/v1/versions/{version}")["stage"] == "draft":
            self._upload(version, source)
        sealed = hospital.post(f"/v1/versions/{version}/seal", {}, key=self.key("seal"))
        hospital.post(
            f"/v1/versions/{version}/collection",
            hospital.sign(sealed["document"]["sha256"], "collection-record"),
            key=self.key("collected"),
        )
        left_out = list(items(hospital, f"/v1/versions/{version}/left-out", LONG_PAGES))
        return {"version": hospital.get(f"/v1/versions/{version}"), "sealed": sealed, "left_out": left_out}

    def _upload(self, version: str, source: Path) -> None:
        files = sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
        done = 0
        for number, batch in enumerate(tar_batches(files)):
            self.world["hospital"].put(f"/v1/versions/{version}/files/{number:05d}", batch.body)
            done += len(batch.names)
            self.watch(done, len(files))

    def govern(self, raw: str, declaration: str | None = None) -> dict[str, Any]:
        """The hospital has the version governed and signs the governance record.

        declaration: basis on which the provider declares that no face can be rebuilt from its head scans, if it does.
        """
        hospital = self.world["hospital"]
        if declaration is not None:
            self._declare(raw, declaration)
        asked = hospital.post(f"/v1/versions/{raw}/governance", key=self.key("govern"))
        job = self._finished(asked["id"])
        if job["state"] == "failed":
            return {"job": job, "version": None}
        version = job["governed_version_id"]
        hospital.post(
            f"/v1/versions/{version}/governance/signature",
            hospital.sign(job["prepared"]["sha256"], "governance-record"),
            key=self.key("governed"),
        )
        return {"job": job, "version": hospital.get(f"/v1/versions/{version}")}

    def _declare(self, raw: str, basis: str) -> None:
        hospital = self.world["hospital"]
        asked = hospital.post(f"/v1/versions/{raw}/face-declaration", {"basis": basis}, key=self.key("declare"))
        hospital.post(
            f"/v1/versions/{raw}/face-declaration/signature",
            hospital.sign(asked["prepared"]["sha256"], "face-declaration"),
            key=self.key("declared"),
        )

    def held_back(self, job: str) -> list[dict[str, Any]]:
        """Every file that was held back, with its reason."""
        return list(items(self.world["hospital"], f"/v1/governance-jobs/{job}/held-back", LONG_PAGES))

    def assess(self, asset: str, version: str) -> dict[str, Any]:
        """The law firm answers the 24 items on evidence and signs its opinion."""
        from seeds.assessment import findings_of

        firm = self.world["law_firm"]
        findings = findings_of(self, asset, version)
        opinion = firm.post(
            f"/v1/versions/{version}/opinions",
            {
                "number": f"EXAMPLE-LEGAL-{self.name}",
                "lawyers": [
                    {"name": "示例律师甲", "licence": "EX-LAWYER-0001"},
                    {"name": "示例律师乙", "licence": "EX-LAWYER-0002"},
                ],
                "findings": findings,
            },
            key=self.key("opinion"),
        )
        signed: dict[str, Any] = firm.post(
            f"/v1/opinions/{opinion['id']}/signature",
            firm.sign(opinion["prepared"]["sha256"], "opinion"),
            key=self.key("assessed"),
        )
        return signed

    def certify(self, version: str, day: int) -> dict[str, Any]:
        """Application, acceptance, review, public notice that ends by the clock, certificate."""
        application = self.apply(version)
        self.world.day(day + 1)
        self.accept(application)
        self.world.day(day + 2)
        notice = self.announce(application)
        self.world.clock.advance_to(datetime.fromisoformat(notice["notice_until"]) + timedelta(hours=1))
        return {"certificate": self.award(application), "notice": notice}

    def apply(self, version: str) -> str:
        """The hospital applies for registration; the application's id."""
        made = self.world["hospital"].post("/v1/applications", self._application(version), key=self.key("apply"))
        return str(made["id"])

    def accept(self, application: str) -> None:
        """The registrar accepts the application."""
        self.world["registrar"].post(f"/v1/applications/{application}/acceptance", key=self.key("accept"))

    def announce(self, application: str) -> dict[str, Any]:
        """The registrar has reviewed, and the public notice begins."""
        review = {
            "accuracy": "description compared with quality card and manifest (example)",
            "legality": "source statement and opinion seen (example)",
            "clarity": "one holder, no other claim known (example)",
        }
        at = f"/v1/applications/{application}/notice"
        notice: dict[str, Any] = self.world["registrar"].post(at, review, key=self.key("notice"))
        return notice

    def award(self, application: str) -> dict[str, Any]:
        """The notice is over: the registrar makes the certificate out and signs it."""
        registrar = self.world["registrar"]
        document = registrar.post(f"/v1/applications/{application}/certificate", key=self.key("certificate"))
        certificate: dict[str, Any] = registrar.post(
            f"/v1/applications/{application}/certificate/signature",
            registrar.sign(document["prepared"]["sha256"], "certificate"),
            key=self.key("certified"),
        )
        return certificate

    def _application(self, version: str) -> dict[str, Any]:
        return {
            "version": version,
            "registrar": self.world.ids["registrar"],
            "rights": [{"kind": "holding"}, {"kind": "use"}, {"kind": "operating"}],
            "form": {"origin": "producer", "medium": "image", "structure": "unstructured"},
            "years": 5,
        }

    def list(self, version: str, offer: dict[str, Any]) -> dict[str, Any]:
        """The hospital offers, the exchange reviews and publishes under its signature."""
        hospital, exchange = self.world["hospital"], self.world["exchange"]
        made = hospital.post(f"/v1/versions/{version}/offers", offer, key=self.key("offer"))
        listing = hospital.post(f"/v1/offers/{made['id']}/listing", {}, key=self.key("submit"))["id"]
        exchange.post(f"/v1/listings/{listing}/review", key=self.key("review"))
        document = exchange.post(f"/v1/listings/{listing}/document", key=self.key("listing"))
        published: dict[str, Any] = exchange.post(
            f"/v1/listings/{listing}/signature",
            exchange.sign(document["sha256"], "listing"),
            key=self.key("listed"),
        )
        return {"offer": made, "listing": published}

    def contract(self, listing: str, buyer: str, purpose: str) -> dict[str, Any]:
        """The buyer asks, the hospital approves, both sign the same bytes; returns the agreement in force."""
        hospital, client = self.world["hospital"], self.world[buyer]
        asked = client.post(
            "/v1/requests",
            {"listing": listing, "purpose": purpose, "justification": "planned study, protocol attached (example)"},
            key=self.key(f"{buyer}-request"),
        )
        approved = hospital.post(f"/v1/requests/{asked['id']}/approval", {}, key=self.key(f"{buyer}-approve"))
        agreement = approved["id"]
        document = client.get(f"/v1/agreements/{agreement}")["document"]
        for who, party in ((buyer, client), ("hospital", hospital)):
            party.post(
                f"/v1/agreements/{agreement}/signature",
                party.sign(document, "agreement"),
                key=self.key(f"{buyer}-signed-by-{who}"),
            )
        answer: dict[str, Any] = client.get(f"/v1/agreements/{agreement}")
        return answer

    def _finished(self, job: str) -> dict[str, Any]:
        while True:
            now: dict[str, Any] = self.world["hospital"].get(f"/v1/governance-jobs/{job}")
            self.watch(now["done"], now["total"])
            if now["state"] in {"finished", "failed"}:
                return now
            time.sleep(0.1)
