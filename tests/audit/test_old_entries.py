"""Entries written before persons were recorded stay good evidence."""

from __future__ import annotations

import json

from marketplace.audit.entry import Tag, record
from marketplace.audit.fsck import fsck
from marketplace.audit.models import Entry
from marketplace.audit.routes import _out
from marketplace.audit.verifier.files import verify
from marketplace.kernel.canonical import canonical
from tests.audit.world import AUDITOR, NOW, PROVIDER, Log


def test_an_entry_without_a_person_fits_the_tree_and_the_verifier(log: Log) -> None:
    with log.database.transaction() as db:
        entry = record(db, PROVIDER, Tag.ASSET_REGISTERED, NOW, asset="ast_1")
        row = db.get_one(Entry, entry)
        body = json.loads(row.body)
        assert body["actor"].pop("person") is None
        row.body = canonical(body)
        db.add(row)
    log.round()
    with log.database.reading() as db:
        assert fsck(db, keys=log.processes.client.keys).findings == []
        assert _out(db.get_one(Entry, entry)).person is None
    bundle = log.bundle(AUDITOR, asset="ast_1")
    assert verify("bundle", json.dumps(bundle).encode()).exit_code == 0
    assert entry in str(bundle["entries"])
