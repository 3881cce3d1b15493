"""The independent verifier: a true bundle is genuine, every change is found and named."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import col, select

from marketplace.audit.entry import Tag
from marketplace.audit.export import NotYourEntries
from marketplace.audit.models import Entry
from marketplace.audit.verifier.files import verify
from marketplace.audit.verifier.report import Report
from marketplace.audit.verifier.text import canonical as their_canonical
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, canonical
from marketplace.kernel.signing import generate_key
from tests.audit.world import AUDITOR, BUYER, PROVIDER, Log, tell_story


def check(bundle: Json) -> Report:
    return verify("bundle.json", json.dumps(bundle).encode())


def failures(report: Report) -> set[tuple[str, str]]:
    return {(one.name, failure.subject.split()[0]) for one in report.checks for failure in one.failures}


def entry_of(bundle: Json, tag: str) -> Json:
    return next(one for one in bundle["entries"] if f'"tag":"{tag}"' in one["body"])


def document_of(bundle: Json, kind: str) -> Json:
    return next(one for one in bundle["documents"] if one["kind"] == kind)


def tags(bundle: Json) -> list[str]:
    return [json.loads(one["body"])["tag"] for one in bundle["entries"]]


def named_index(log: Log, entry: str) -> int | None:
    with log.database.reading() as db:
        return db.exec(select(Entry.leaf_index).where(Entry.id == entry)).one()


@pytest.fixture
def bundle(log: Log) -> Json:
    log.write(20)
    tell_story(log)
    log.round()
    return log.bundle(agreement="agr_1")


def test_a_true_bundle_is_genuine_with_keys_from_elsewhere(log: Log, bundle: Json) -> None:
    keys = log.processes.client.keys
    report = verify("b", json.dumps(bundle).encode(), str(keys.log), str(keys.witness))
    assert report.exit_code == 0, report.plain()
    assert {one.name: one.counted for one in report.checks} == {
        "the checkpoint is signed by the log and cosigned by the witness": 2,
        "every entry is in the tree of the checkpoint": 20,
        "every entry is written in canonical form and names its author, time and tag": 20,
        "every document has the hash it is cited by and is in canonical form": 4,
        "every document is cited by an entry, or by a document that is": 4,
        "every signature on a document holds": 5,
        "every agreement is signed by provider and buyer": 1,
        "every agreement rests on a signed certificate and opinion for its version": 1,
        "every certificate, opinion and notice is signed by the party that it names, in its role": 0,
        "every use is under an agreement in the bundle": 4,
        "every use is while its agreement, certificate, version and parties stood": 3,
        "every use is for a purpose and an action that its signed agreement permits": 1,
        "every act on an agreement follows the one before and is its own side's": 0,
        "every successor of an agreement names it, and what it amends ended with it": 0,
        "every delivery manifest is signed and fits its agreement": 1,
        "every delivery carried out what its signed terms demand of what leaves": 1,
        "every use was allowed before its bytes, and its windows add up to what was closed": 1,
        "every charge for a use is for one that is in the bundle, and there is one for each at most": 1,
    }
    assert not [note for note in report.notes if "taken from the bundle" in note or "not among the entries" in note]


def test_keys_from_the_bundle_are_said_to_be_so(bundle: Json) -> None:
    report = check(bundle)
    assert report.exit_code == 0
    assert len([note for note in report.notes if "taken from the bundle" in note]) == 2


def test_another_logs_keys_do_not_fit(bundle: Json, tmp_path: Path) -> None:
    from tests.audit.world import open_log

    with open_log(tmp_path / "other") as other:
        keys = other.processes.client.keys
    report = verify("b", json.dumps(bundle).encode(), str(keys.log), str(keys.witness))
    assert report.exit_code == 1


def without_witness(bundle: Json) -> None:
    bundle["checkpoint"] = "".join(line for line in bundle["checkpoint"].splitlines(True) if "/witness " not in line)


CHANGES: dict[str, tuple[Callable[[Json], None], str]] = {
    "entry edited": (lambda b: entry_of(b, "usage:allowed").update(
        body=entry_of(b, "usage:allowed")["body"].replace('"bytes":10', '"bytes":11')), "entry"),
    "window edited": (lambda b: entry_of(b, "transfer:window_served").update(
        body=entry_of(b, "transfer:window_served")["body"].replace('"length":6', '"length":5')), "entry"),
    "entry moved": (lambda b: entry_of(b, "usage:allowed").update(index=3), "entry"),
    "entry twice": (lambda b: b["entries"].append(b["entries"][0]), "entry"),
    "proof cut": (lambda b: entry_of(b, "usage:allowed")["proof"].pop(), "entry"),
    "body not canonical": (lambda b: b["entries"][0].update(body=b["entries"][0]["body"] + " "), "entry"),
    "no cosignature": (without_witness, "checkpoint"),
    "size changed": (lambda b: b.update(checkpoint=re.sub(r"\n\d+\n", "\n999\n", b["checkpoint"])), "checkpoint"),
    "other origin": (lambda b: b.update(origin="other.example/log"), "checkpoint"),
    "agreement edited": (lambda b: document_of(b, "agreement").update(
        body=document_of(b, "agreement")["body"].replace("ast_1", "ast_2")), "agreement"),
    "opinion left out": (lambda b: b["documents"].remove(document_of(b, "opinion")), "agreement"),
    "agreement left out": (lambda b: b["documents"].remove(document_of(b, "agreement")), "entry"),
    "buyer's signature left out": (lambda b: document_of(b, "agreement").update(
        signatures=[one for one in document_of(b, "agreement")["signatures"] if one["signer"] != "prt_pharma"]),
        "agreement"),
    "signatures swapped": (lambda b: document_of(b, "certificate").update(
        signatures=document_of(b, "opinion")["signatures"]), "certificate"),
    "signer renamed": (lambda b: [one.update(signer="prt_pharma") for one in document_of(b, "agreement")["signatures"]],
        "agreement"),
    "unsigned manifest": (lambda b: document_of(b, "delivery-manifest").update(signatures=[]), "delivery-manifest"),
    "foreign document": (lambda b: b["documents"].append(
        {"sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "kind": "x", "body": "{}",
         "signatures": []}), "x"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_bundle_is_not_genuine_and_the_part_is_named(bundle: Json, name: str) -> None:
    change, subject = CHANGES[name]
    change(bundle)
    report = check(bundle)
    assert report.exit_code == 1
    assert subject in {named for _, named in failures(report)}, report.plain()


def test_a_row_edited_in_the_database_is_named_by_the_verifier(log: Log) -> None:
    use = tell_story(log)
    log.round()
    with log.database.transaction() as db:
        row = db.exec(select(Entry).where(Entry.id == use)).one()
        row.body = row.body.replace(b'"bytes":10', b'"bytes":99')
        db.add(row)
    report = check(log.bundle(agreement="agr_1"))
    named = [one.subject for check in report.checks for one in check.failures]
    assert named == [f"entry {named_index(log, use)} ({use})"]


def test_a_certificate_of_another_version_is_found(log: Log) -> None:
    tell_story(log, certificate_root="cd" * 32)
    log.round()
    found = failures(check(log.bundle(agreement="agr_1")))
    assert found == {("every agreement rests on a signed certificate and opinion for its version", "certificate")}


def test_an_agreement_signed_by_one_party_is_found(log: Log) -> None:
    tell_story(log, buyer_signs=False)
    log.round()
    assert failures(check(log.bundle(agreement="agr_1"))) == {
        ("every agreement is signed by provider and buyer", "agreement")
    }


def test_a_forged_signature_with_a_fresh_key_is_nobodys(bundle: Json) -> None:
    document, key = document_of(bundle, "certificate"), generate_key()
    jws = key.sign_detached(document["body"].encode(), typ="certificate+jws")
    document["signatures"][0].update(jws=jws, jwk=key.public_jwk, kid=key.kid)
    assert ("every signature on a document holds", "certificate") in failures(check(bundle))


def test_who_may_export_what(log: Log) -> None:
    tell_story(log)
    log.write(4, PROVIDER)
    size = log.round()
    stranger = Actor("prt_stranger", frozenset({"buyer"}))
    assert check(log.bundle(PROVIDER, agreement="agr_1")).exit_code == 0
    own = tags(log.bundle(PROVIDER))
    assert (own.count("asset:registered"), own.count("usage:allowed")) == (4, 0)
    assert tags(log.bundle(stranger, agreement="agr_1")) == ["participant:key_registered"]  # the service's own
    assert len(log.bundle(AUDITOR)["entries"]) == size
    with pytest.raises(NotYourEntries):
        log.bundle(BUYER, participant="prt_hospital")
    with log.database.reading() as db:
        exports = db.exec(select(Entry.actor).where(Entry.tag == Tag.LOG_EXPORTED).order_by(col(Entry.id))).all()
    assert exports == ["prt_hospital", "prt_hospital", "prt_stranger", "prt_auditor"]


def test_the_verifier_runs_alone_and_loads_nothing_else_of_ours(log: Log, bundle: Json, tmp_path: Path) -> None:
    genuine, forged, odd = (tmp_path / name for name in ("genuine.json", "forged.json", "odd.json"))
    genuine.write_text(json.dumps(bundle))
    without_witness(bundle)
    forged.write_text(json.dumps(bundle))
    odd.write_text("not json")
    script = (
        "import sys, runpy\n"
        "sys.argv = ['verify', *sys.argv[1:]]\n"
        "try:\n    runpy.run_module('marketplace.audit.verifier', run_name='__main__')\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    keys = ["--log-key", str(log.processes.client.keys.log)]
    for file, code in ((genuine, 0), (forged, 1), (odd, 2), (tmp_path / "missing", 2)):
        done = subprocess.run(
            [sys.executable, "-c", script, str(file), *keys, "--json"], check=False, capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
        assert json.loads(done.stdout)["ok"] is (code == 0)
        ours = {name for name in done.stderr.split() if name.startswith("marketplace")}
        allowed = {"marketplace", "marketplace.audit"}
        assert {name for name in ours if not name.startswith("marketplace.audit.verifier")} <= allowed
        assert not {"jwt", "rfc8785", "sqlalchemy", "pydantic"} & set(done.stderr.split())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"bundle":"v1"}',
        b'{"bundle":"v1","bundle":"v1"}',
        b'{"a":1.5}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\\ud800"}',
        b'{"bundle":"v1","origin":"o","checkpoint":"","entries":[{"index":true}],"documents":[]}',
    ],
)
def test_a_hostile_file_is_not_readable_and_not_a_crash(data: bytes) -> None:
    assert verify("hostile", data).exit_code == 2


def _paths(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in _paths(item, (*path, key)))]


def test_any_member_replaced_by_anything_is_never_a_crash_and_never_genuine(bundle: Json) -> None:
    del bundle["waiting"]
    for path in _paths(bundle)[1:]:
        for odd in (None, 0, -1, 10**15, "", "x", "\u202e\x1b[31m", [], {}, [[]], True):
            changed = json.loads(json.dumps(bundle))
            holder = changed
            for step in path[:-1]:
                holder = holder[step]
            if holder[path[-1]] == odd or path[-2:-1] == ("jwk",):
                continue
            holder[path[-1]] = odd
            report = check(changed)
            assert "\x1b" not in report.plain()
            assert report.exit_code or path[-1] in ("entries", "documents", "signatures"), path


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_both_writers_of_canonical_form_agree(value: object) -> None:
    assert their_canonical(value).encode() == canonical(value)
