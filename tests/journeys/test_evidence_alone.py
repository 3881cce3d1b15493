"""Everything on the server's side is deleted; what the buyer holds still proves the use (threat T9).

The buyer's bundle, proof file and receipts are fetched with the command line over a socket, as a buyer does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from marketplace.settings import Settings
from seeds.chest_ct import Archive, generate
from seeds.story import tell
from tests.servers import free_port
from workers.instance import open_instance

IN_BUNDLE = "every promised entry that is at hand is the one that was promised"
SIGNED = "every receipt is signed with a key that the log registered for the service"


@dataclass
class Kept:
    """What the buyer has in hand when the server is gone."""

    folder: Path
    party: Path
    keys: list[str]
    agreement: str
    since: str

    def verify(self, *files: Path) -> tuple[int, dict[str, Any]]:
        command = [sys.executable, "-m", "marketplace.audit.verifier", *map(str, files), *self.keys, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout)


@contextmanager
def served(data: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with open_instance(Settings(data_folder=data, public_url=url, log_file=data / "again.log")) as instance:
        server = uvicorn.Server(uvicorn.Config(instance.app, host="127.0.0.1", port=port, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join()


def marketplace(*words: str | Path) -> str:
    command = [sys.executable, "-m", "marketplace", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("alone")
    data, own = folder / "data", folder / "own"
    own.mkdir()
    scans = generate(folder / "scans", Archive(patients=4, slices=1, size=32))
    agreement = tell(data, source=scans, json_file=own / "told.json", declaration=None)["agreement"]["id"]
    party = folder / "data-parties" / "pharma"
    with served(data) as url:
        told = httpx2.get(f"{url}/log/keys", trust_env=False).json()
        (own / "older.txt").write_text(httpx2.get(f"{url}/log/checkpoint", trust_env=False).text)
        as_buyer = ("--as", party, "--url", url)
        marketplace("audit", "export", own / "first.json", *as_buyer, "--agreement", agreement)
        uses = [json.loads(one["body"]) for one in json.loads((own / "first.json").read_text())["entries"]]
        use = next(one for one in uses if one["tag"] == "usage:allowed")
        day = use["at"][:10]
        period = ("--from", f"{day}T00:00:00Z", "--to", f"{day}T23:59:59Z")
        marketplace("audit", "export", own / "day.json", *as_buyer, "--agreement", agreement, *period)
        marketplace(
            "audit", "export", own / "bundle.json", *as_buyer, "--agreement", agreement, "--since", own / "older.txt"
        )
        marketplace("audit", "prove", use["id"], *as_buyer, "--out", own / "use.tlog-proof")
    shutil.copy(party / "receipts.jsonl", own / "receipts.jsonl")
    shutil.rmtree(data)
    keys = ["--log-key", told["log"], "--witness-key", told["witness"]]
    return Kept(own, party, keys, agreement, use["id"])


def test_bundle_and_receipts_prove_the_use_when_the_server_is_gone(kept: Kept) -> None:
    code, report = kept.verify(kept.folder / "bundle.json", kept.folder / "receipts.jsonl")
    assert code == 0, json.dumps(report, indent=1)[:4000]
    counted = {one["name"]: one["counted"] for file in report["files"] for one in file["checks"]}
    assert counted["every use is under an agreement in the bundle"] > 0
    assert counted["every use was allowed before its bytes, and its windows add up to what was closed"] > 0
    assert counted[SIGNED] > 0
    assert counted[IN_BUNDLE] > 0
    assert not [note for file in report["files"] for note in file["notes"] if "not among the entries" in note]


def test_a_bundle_of_one_day_holds_the_whole_of_its_uses(kept: Kept) -> None:
    code, report = kept.verify(kept.folder / "day.json")
    assert code == 0, json.dumps(report, indent=1)[:4000]


def test_the_bundle_grew_from_the_checkpoint_kept_before(kept: Kept) -> None:
    code, report = kept.verify(kept.folder / "bundle.json", kept.folder / "older.txt")
    assert code == 0, json.dumps(report, indent=1)[:4000]
    assert report["files"][-1]["checks"][0]["name"] == "all checkpoints belong to one log that only grew"


def test_the_proof_file_is_small_and_proves_the_use_by_itself(kept: Kept) -> None:
    proof, text = kept.folder / "use.tlog-proof", kept.folder / "use.tlog-proof.entry.json"
    assert proof.stat().st_size <= 2048
    code, report = kept.verify(proof, text)
    assert code == 0, report
    assert "usage:allowed" in " ".join(report["files"][0]["notes"])


def test_a_use_taken_out_of_the_receipted_log_is_a_broken_promise(kept: Kept) -> None:
    bundle = json.loads((kept.folder / "bundle.json").read_text())
    use = next(one for one in bundle["entries"] if kept.since in one["body"] and "usage:allowed" in one["body"])
    use["body"] = use["body"].replace("usage:allowed", "usage:refused")
    changed = kept.folder / "changed.json"
    changed.write_text(json.dumps(bundle))
    code, report = kept.verify(changed, kept.folder / "receipts.jsonl")
    assert code == 1
    said = [one["detail"] for file in report["files"] for check in file["checks"] for one in check["failures"]]
    assert any(kept.since in one and "BROKEN PROMISE" in one for one in said)
