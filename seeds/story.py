"""The main job as a story: from a folder of scans to a certified, listed asset, a signed contract, an audited use
and its cost.  Told again after a crash it ends the same way, with nothing counted twice.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlmodel import col, func, select

from marketplace.audit.models import Entry
from marketplace.client import proofs
from marketplace.client.delivery import wait_for_delivery
from marketplace.client.lists import LONG_PAGES, items
from marketplace.costing.models import MeterEvent
from marketplace.kernel.clock import RunningStoryClock, SystemClock
from marketplace.kernel.errors import Invalid
from marketplace.ledger import queries as books
from marketplace.plumbing.outbox import OutboxRow
from marketplace.settings import Settings
from seeds import market
from seeds.artifacts import write_artifacts
from seeds.clock import SharedStoryClock
from seeds.footprint import Footprint
from seeds.forms import CHEST_CT, OFFER, SHORT_OFFER, folder_form
from seeds.refusals import refusals, resume_if_suspended
from seeds.report import Report
from seeds.stages import Scene
from seeds.world import World, beginning, open_world
from workers.instance import Instance, open_instance

DAYS = 60
PRICES_FEN = (2_000_000, 5_000_000, 10_000_000)
PURPOSE = "product_development"


class NothingToSell(Invalid):
    """Nothing of this folder may go on."""


@dataclass
class Telling:
    """One telling: the running instance, the world, the report, and what has been found so far.

    declaration: basis of the face declaration that the invented hospital signs, if it signs one.
    """

    instance: Instance
    world: World
    report: Report
    folder: Path
    declaration: str | None = None
    result: dict[str, Any] = field(default_factory=dict)


def tell(
    data: Path,
    *,
    source: Path | None,
    json_file: Path | None,
    declaration: str | None = None,
    redis_url: str = "",
    database_url: str = "",
) -> dict[str, Any]:
    """Tell the whole story on a data folder and return the result that `--json-file` writes.

    source: a folder of DICOM files; None makes 1,000 invented patients.  declaration: what the invented hospital
    signs about faces in head scans.  database_url, redis_url: for the production parts.
    The parties keep their keys beside the data folder, in `<data>-parties`, which the server never opens.
    """
    keys = data.parent / f"{data.name}-parties"
    report = Report()
    footprint = Footprint().start()
    began = beginning(keys, SystemClock().now(), days=DAYS)
    settings = Settings(
        data_folder=data,
        database_url=database_url,
        redis_url=SecretStr(redis_url),
        log_file=data / "story.log",
    )
    scans = source or _invented_scans(data.parent / "scans", report)
    # Workers in processes of their own follow the story's clock through a file.
    shared = SharedStoryClock(began, _made(data) / "story-clock") if redis_url else None
    with open_instance(settings, shared or RunningStoryClock(began)) as instance:
        clock = instance.runtime.clock
        assert isinstance(clock, RunningStoryClock)
        _never_backwards(instance, clock)
        with open_world(instance.runtime, keys, clock, began=began) as world:
            telling = Telling(instance, world, report, _artifact_folder(data, json_file), declaration)
            _main_job(telling, scans, source)
            telling.result["run"] = footprint.stop()
    _finish(telling, json_file)
    return telling.result


def _main_job(told: Telling, scans: Path, source: Path | None) -> None:
    """The five stages, the contract, the use, the refusals, the proof and the books, in this order."""
    market.load(told.instance.runtime)
    scene = Scene(told.world, _scene_name(source), CHEST_CT if source is None else folder_form(source))
    agreements = _to_the_contract(told, scene, scans)
    _use(told, agreements["first"])
    _refuse(told, scene, agreements)
    _report_use(told, agreements["first"])
    told.world.clock.advance_to(SystemClock().now())
    _settle_everything(told)
    _prove(told, agreements["first"])
    _count(told)


def _to_the_contract(told: Telling, scene: Scene, scans: Path) -> dict[str, Any]:
    """From scans to two agreements in force: `first` for the whole story, `short` that ends within it."""
    version = _to_a_governed_version(told, scene, scans)
    listings = _to_the_listings(told, scene, version)
    told.report.chapter("6", "Contract", "合约")
    told.world.day(33)
    agreement = scene.contract(listings["first"], "pharma", PURPOSE)
    second = scene.contract(listings["short"], "ai_company", PURPOSE)
    told.report.contract(agreement)
    return {"first": agreement, "short": second}


def _to_a_governed_version(told: Telling, scene: Scene, scans: Path) -> dict[str, Any]:
    """Stages one and two.  Raises NothingToSell when every file is held back."""
    world, report, result = told.world, told.report, told.result
    report.chapter("1", "Collection", "采集")
    world.day(1)
    asset = scene.register()
    scene.watch = report.bar("reading files")
    collected = scene.collect(asset["id"], scans)
    report.collected(collected)

    report.chapter("2", "Governance", "治理")
    world.day(3)
    if told.declaration is not None:
        report.line(f"the invented hospital signs for its head scans: {told.declaration.replace('_', ' ')}")
    scene.watch = report.bar("de-identifying")
    governed = scene.govern(collected["version"]["id"], told.declaration)
    held_back = scene.held_back(governed["job"]["id"])
    report.governed(governed, held_back)
    if governed["version"] is None:
        raise NothingToSell(
            "no file of this folder can be governed",
            got=f"{len(held_back)} files held back",
            action="see the reasons above",
        )
    version: dict[str, Any] = governed["version"]
    result["asset"] = {"id": asset["id"], "name": asset["name"], "records": version["records"]}
    result["version"] = {
        "id": version["id"],
        "root": version["root"],
        "files": version["files"],
        "rejected": collected["version"]["left_out"],
        "held_back": len(held_back),
        "held_back_files": held_back,
        "rejected_files": collected["left_out"],
    }
    world.facts |= {"raw": collected["version"], "version": version}
    return version


def _to_the_listings(told: Telling, scene: Scene, version: dict[str, Any]) -> dict[str, str]:
    """Stages three to five; returns the ids of the two listings."""
    world, report = told.world, told.report
    report.chapter("3", "Legal assessment", "合规评估")
    world.day(12)
    opinion = scene.assess(version["asset_id"], version["id"])
    report.line(f"{opinion['outcome']}, bound to root {version['root'][:16]}…, expires {opinion['expires_at'][:10]}")

    report.chapter("4", "Ownership certificate", "登记发证")
    world.day(16)
    certificate = scene.certify(version["id"], 16)["certificate"]
    told.result["certificate"] = {"code": certificate["code"], "valid_until": certificate["valid_until"]}
    report.line(f"{certificate['code']}, valid until {certificate['valid_until'][:10]}")

    report.chapter("5", "Exchange listing", "挂牌")
    world.day(30)
    listed = scene.list(version["id"], OFFER)
    short = Scene(world, f"{scene.name}-short", scene.form).list(version["id"], SHORT_OFFER)
    found = world["pharma"].get("/v1/catalogue", {"q": scene.form["keywords"][0]})
    report.line(f"listed; a search for {scene.form['keywords'][0]} finds {len(found['items'])} listing(s)")
    return {"first": listed["listing"]["id"], "short": short["listing"]["id"]}


def _use(told: Telling, agreement: dict[str, Any]) -> None:
    """The buyer downloads the data once; the same key after a crash continues the same use, for a day."""
    told.report.chapter("7", "Use", "使用")
    told.world.day(36)
    resume_if_suspended(told.world, told.result["certificate"]["code"])
    client = told.world["pharma"]
    manifest = wait_for_delivery(client, agreement["id"])
    data = told.instance.runtime.settings.data_folder
    kept = data.parent / f"{data.name}-parties" / "served.tar"  # the buyer keeps it for the next telling
    if not kept.is_file() or _sha256(kept) != manifest["content"]["tar"]["sha256"]:
        path = f"/v1/agreements/{agreement['id']}/data"
        with (
            client.stream(path, {"purpose": PURPOSE}, {"Idempotency-Key": "seed-first-use-of-pharma"}) as response,
            kept.open("wb") as file,
        ):
            for chunk in response.iter_bytes():
                file.write(chunk)
    shutil.copyfile(kept, told.folder / "served.tar")
    size = kept.stat().st_size
    told.result["use"] = {"bytes": size, "files": len(manifest["content"]["files"]), "sha256": _sha256(kept)}
    told.report.line(f"{size:,} bytes in {told.result['use']['files']:,} files under a signed delivery manifest")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _refuse(told: Telling, scene: Scene, agreements: dict[str, Any]) -> None:
    told.report.chapter("8", "What was refused", "被拒绝的使用")
    told.result["refusals"] = refusals(told.world, scene, agreements["first"], agreements["short"])
    for row in told.result["refusals"]:
        told.report.line(f"{row['case']:<28} {row['reason']}")


def _report_use(told: Telling, agreement: dict[str, Any]) -> None:
    """The buyer signs how often it took the data and for what; the service compares that with the log."""
    client, path = told.world["pharma"], f"/v1/agreements/{agreement['id']}"
    accepted = client.get(f"{path}/use-reports")
    if not accepted:
        counted = Counter(one["purpose"] for one in items(client, f"{path}/transfers", LONG_PAGES) if one["uses"])
        accepted = [proofs.report_use(client, agreement["id"], counted, results=["aggregate"], staff=["data_science"])]
    report = accepted[0]
    told.result["use_report"] = {name: report[name] for name in ("document", "uses", "differences", "late")}
    said = f"{report['document'][:16]}… signed by the buyer, differences from the log: {len(report['differences'])}"
    told.report.line(f"report of use {said}")


def _settle_everything(told: Telling) -> None:
    """Wait until all work that is due is done, so every metered event posted, and every entry cosigned."""

    def settled() -> bool:
        now = told.instance.runtime.clock.now()
        with told.instance.runtime.database.reading() as db:
            due = col(OutboxRow.done_at).is_(None), col(OutboxRow.due_at) <= now
            waiting = db.exec(select(func.count()).select_from(OutboxRow).where(*due))
            loose = db.exec(select(func.count()).select_from(Entry).where(col(Entry.leaf_index).is_(None)))
            return waiting.one() == 0 and loose.one() == 0

    _wait("the books and the log to be complete", settled)


def _prove(told: Telling, agreement: dict[str, Any]) -> None:
    """The auditor exports a bundle and the independent verifier checks it in a process of its own."""
    told.report.chapter("9", "Proof", "存证与核验")
    bundle_file = told.folder / "bundle.json"
    bundle = told.world["auditor"].post("/v1/log-exports", {"agreement": agreement["id"]})
    bundle_file.write_text(json.dumps(bundle, ensure_ascii=False))
    command = [sys.executable, "-m", "marketplace.audit.verifier", str(bundle_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told.report.block(done.stdout.strip())
    told.result["artifacts"] = write_artifacts(told.folder, bundle)
    told.result["log"] = told.report.log_facts(bundle) | {"verified": done.returncode == 0}
    told.result["agreement"] = {
        "id": agreement["id"],
        "sha256": agreement["document"],
        "signatures": [{"kid": one["kid"], "alg": one["alg"]} for one in agreement["signatures"]],
    }


def _count(told: Telling) -> None:
    """What it all cost, from the books."""
    told.report.chapter("10", "Cost and break-even", "成本与盈亏平衡")
    asset = told.result["asset"]["id"]
    hospital = told.world["hospital"]
    sheet = hospital.get(f"/v1/assets/{asset}/costs", {"price": list(PRICES_FEN)})
    passport = hospital.get(f"/v1/versions/{told.result['version']['id']}/passport")
    told.result["asset"]["stage"] = hospital.get(f"/v1/versions/{told.result['version']['id']}")["stage"]
    told.result["passport"] = [
        {
            "stage": row["stage"],
            "signer": row["signer"],
            "evidence": row["evidence"],
            "cost_fen": sheet["stages"].get(row["stage"], 0),
        }
        for row in passport
    ]
    told.result["cost"] = {
        "currency": sheet["currency"],
        "governance_fen": sheet["stages"].get("governed", 0),
        "legal_fen": sheet["stages"].get("assessed", 0),
        "certificate_fen": sheet["stages"].get("certified", 0),
        "total_fen": sheet["total_fen"],
        "break_even": sheet["break_even"],
        "price_for": sheet["price_for"],
    }
    with told.instance.runtime.database.reading() as db:
        told.result["ledger"] = {
            "transactions": books.counts(db)[0],
            "postings": books.counts(db)[1],
            "imbalance_fen": books.imbalance(db),
            "events": db.exec(select(func.count()).select_from(MeterEvent)).one(),
        }
    told.report.costs(sheet, told.result)


def _finish(told: Telling, json_file: Path | None) -> None:
    told.report.closing(told.result)
    if json_file is not None:
        beside = told.folder.name
        told.result["artifacts"] = {name: f"{beside}/{file}" for name, file in told.result["artifacts"].items()}
        json_file.write_text(json.dumps(told.result, ensure_ascii=False, indent=2) + "\n")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _artifact_folder(data: Path, json_file: Path | None) -> Path:
    folder = json_file.parent / f"{json_file.stem}-artifacts" if json_file else data.parent / f"{data.name}-artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _invented_scans(folder: Path, report: Report) -> Path:
    from seeds.chest_ct import generate

    report.chapter("0", "A hospital's archive", "医院影像")
    archive = generate(folder)
    report.line("1,000 invented patients, synthetic chest CT, headers full of invented personal data")
    return archive


def _never_backwards(instance: Instance, clock: RunningStoryClock) -> None:
    """A telling that goes on after a crash starts where the log ended."""
    with instance.runtime.database.reading() as db:
        last = db.exec(select(func.max(Entry.at))).one()
    if last is not None:
        clock.advance_to(last)


def _wait(what: str, ready: Any, seconds: float = 300) -> None:
    limit = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)


def _scene_name(source: Path | None) -> str:
    return "chest" if source is None else hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:10]
