"""Files given together: bundles, proof files with their entry, checkpoints; one log that only grew."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
from sqlmodel import select

from marketplace.audit import tree as ours
from marketplace.audit.models import Entry
from marketplace.audit.service import prove
from marketplace.audit.verifier import tree as theirs
from marketplace.audit.verifier.files import verify_all
from marketplace.audit.verifier.report import Report
from marketplace.kernel.canonical import Json
from tests.audit.world import Log, open_log, second_spelling, tell_story

Given = tuple[str, bytes | str]


def file(name: str, content: Json | str) -> Given:
    return name, (content if isinstance(content, str) else json.dumps(content)).encode()


def code(*files: Given, log: Log | None = None) -> int:
    return max(report.exit_code for report in ask(*files, log=log))


def ask(*files: Given, log: Log | None = None) -> list[Report]:
    keys = log.processes.client.keys if log else None
    return verify_all(list(files), (str(keys.log),) if keys else (), (str(keys.witness),) if keys else ())


def said(reports: list[Report]) -> str:
    return "\n".join(failure.detail for report in reports for one in report.checks for failure in one.failures)


@pytest.fixture
def story(log: Log) -> Log:
    log.write(5)
    tell_story(log)
    log.round()
    return log


def test_a_later_bundle_that_shows_growth_from_an_older_one_is_genuine(story: Log) -> None:
    old = story.bundle(agreement="agr_1")
    story.write(9)
    story.round()
    since = int(old["checkpoint"].split("\n")[1])
    new = story.bundle(agreement="agr_1", since=(since,))
    assert code(file("new", new), file("old", old)) == 0
    assert code(file("new", new), file("old", old["checkpoint"]), log=story) == 0
    without = story.bundle(agreement="agr_1")
    reports = ask(file("new", without), file("old", old))
    assert [report.exit_code for report in reports] == [0, 0, 1]
    assert f"entries extends its {since}: export again with --since" in said(reports)


def test_growth_may_be_shown_step_by_step(story: Log) -> None:
    bundles = [story.bundle(agreement="agr_1")]
    for _ in range(3):
        since = int(bundles[-1]["checkpoint"].split("\n")[1])
        story.write(4)
        story.round()
        bundles.append(story.bundle(agreement="agr_1", since=(since,)))
    assert code(*(file(f"{n}", one) for n, one in enumerate(bundles))) == 0
    del bundles[1]
    assert code(*(file(f"{n}", one) for n, one in enumerate(bundles))) == 1


def test_a_log_that_was_rewritten_since_is_refused_and_a_fork_is_called_one(log: Log, tmp_path: Path) -> None:
    for name in ("log-signer", "witness"):  # signer and witness as they were at the beginning: both play the game
        copied = shutil.ignore_patterns("*.sock", "lock")
        shutil.copytree(log.settings.data_folder / name, tmp_path / "again" / name, ignore=copied)
    log.write(5)
    tell_story(log)
    log.round()
    old = log.bundle(agreement="agr_1")
    since = int(old["checkpoint"].split("\n")[1])
    with open_log(tmp_path / "again") as again:
        assert str(again.processes.client.keys.log) == str(log.processes.client.keys.log)
        again.write(since)
        again.round()
        fork = again.bundle()
        again.write(3)
        again.round()
        rewritten = again.bundle(since=(since,))
    reports = ask(file("old", old), file("fork", fork))
    assert "two logs of" in said(reports)
    assert "the log was rewritten" in said(ask(file("old", old), file("new", rewritten)))
    rewritten["consistency"][0] |= {"old_root": old_root(old), "checkpoint": old["checkpoint"]}
    (report,) = ask(file("new", rewritten))
    assert report.exit_code == 1
    assert "its proof does not lead from" in said([report])


def old_root(bundle: Json) -> str:
    return base64.b64decode(bundle["checkpoint"].split("\n")[2]).hex()


def test_a_bundle_carries_the_older_checkpoint_it_grew_from_and_that_must_be_signed(story: Log) -> None:
    old = story.bundle(agreement="agr_1")
    story.write(9)
    story.round()
    new = story.bundle(agreement="agr_1", since=(int(old["checkpoint"].split("\n")[1]),))
    new["consistency"][0]["checkpoint"] = old["checkpoint"]
    assert code(file("new", new)) == 0
    new["consistency"][0]["checkpoint"] = old["checkpoint"].split("\n\n")[0] + "\n\n"
    assert code(file("new", new)) == 1


def test_a_proof_file_shows_its_leaf_and_with_the_text_beside_it_the_entry(story: Log) -> None:
    with story.database.reading() as db:
        entry = db.exec(select(Entry).where(Entry.tag == "usage:allowed")).one()
        proof, text = prove(db, entry.id).tlog_proof, entry.body.decode()
    assert len(proof.encode()) <= 2048
    alone = ask(file("p", proof), log=story)
    assert alone[0].exit_code == 0
    assert "give the entry's text" in alone[0].notes[-1]
    both = ask(file("p", proof), file("p.entry.json", text), log=story)
    assert [report.exit_code for report in both] == [0, 0]
    assert f"{entry.id} usage:allowed prt_pharma" in both[0].notes[-1]
    assert code(file("p", proof), file("t", text.replace('"bytes":10', '"bytes":11')), log=story) == 1
    assert code(file("p", proof)) == 1, "without a key from anywhere nothing is shown"
    assert code(file("p", proof), file("b", story.bundle(agreement="agr_1"))) == 0
    without_extra = "\n".join(line for line in proof.split("\n") if not line.startswith("extra "))
    assert code(file("p", without_extra), log=story) == 1
    assert code(file("p", without_extra), file("t", text), log=story) == 0


@pytest.mark.parametrize("change", ["index", "step", "root", "leaf"])
def test_a_tampered_proof_file_is_refused(story: Log, change: str) -> None:
    with story.database.reading() as db:
        proof = prove(db, db.exec(select(Entry.id).where(Entry.tag == "usage:allowed")).one()).tlog_proof
    lines = proof.split("\n")
    at = {"leaf": 1, "index": 2, "step": 3, "root": lines.index("") + 3}[change]
    lines[at] = "index 3" if change == "index" else ("A" if lines[at][0] != "A" else "B") + lines[at][1:]
    if change == "leaf":
        lines[at] = "extra " + "A" * 43 + "="
    assert code(file("p", "\n".join(lines)), log=story) == 1


@pytest.mark.parametrize(
    "data", [b"c2sp.org/tlog-proof@v1\n", b"c2sp.org/tlog-proof@v1\nindex x\n\n", b"a.b.c.d", b"{"]
)
def test_a_broken_file_is_not_readable(data: bytes) -> None:
    assert verify_all([("f", data)])[0].exit_code == 2


def test_a_bare_checkpoint_is_checked(story: Log) -> None:
    note = story.bundle()["checkpoint"]
    assert code(file("c", note), log=story) == 0
    assert code(file("c", note.replace("\n", "\n1", 1)), log=story) == 1
    assert code(file("c", "\n".join(note.split("\n")[:-2]) + "\n"), log=story) == 1
    lines = note.split("\n")
    for at in (4, 5):
        changed = [*lines[:at], second_spelling(lines[at]), *lines[at + 1 :]]
        assert code(file("c", "\n".join(changed)), log=story) == 1


def test_both_readers_of_consistency_agree_and_refuse_the_same() -> None:
    hashes = [ours.leaf_hash(bytes([number])) for number in range(40)]
    roots = {size: ours.root_of_hashes(hashes[:size]) for size in range(1, 41)}
    for new in range(1, 41):
        assert theirs.root_of_leaves(hashes[:new]) == roots[new]
        for old in range(1, new + 1):
            proof = ours.consistency_proof(hashes, old, new)
            assert theirs.extends(old, roots[old], new, roots[new], proof)
            wrong = roots[old - 1] if old > 1 else b"\0" * 32
            assert not theirs.extends(old, wrong, new, roots[new], proof)
            assert not theirs.extends(old, roots[old], new, b"\0" * 32, proof)
            assert not theirs.extends(old, roots[old], new, roots[new], [*proof, b"\0" * 32])
            if proof:
                assert not theirs.extends(old, roots[old], new, roots[new], proof[:-1])
                assert not theirs.extends(old, roots[old], new, roots[new], [b"\0" * 32, *proof[1:]])
