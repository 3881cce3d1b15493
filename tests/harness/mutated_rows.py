"""Tampering with the rows that the service works with, and with stored files."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.harness.protected import (
    POSTING_COLUMNS,
    QUOTA_COLUMNS,
    ROW_TABLES,
    TRANSACTION_COLUMNS,
    USE_COLUMNS,
)

if TYPE_CHECKING:
    from tests.harness.mutations import Case, Wanted


def keys_of(case: Case, table: str) -> list[str]:
    """Primary key columns, in order."""
    return [row["name"] for row in sorted(case.db.execute(f'PRAGMA table_info("{table}")'), key=_pk) if row["pk"]]


def _pk(row: sqlite3.Row) -> int:
    place: int = row["pk"]
    return place


def _where(keys: list[str]) -> str:
    return " AND ".join(f'"{name}" = ?' for name in keys)


def _name(row: sqlite3.Row | dict[str, Any], keys: list[str]) -> str:
    name = "/".join(str(row[name]) for name in keys)
    # The label of a batch is the provider's own word, so the log knows it by its hash only.
    return hashlib.sha256(name.encode()).hexdigest() if keys == ["version_id", "label"] else name


def edit(case: Case, table: str, columns: list[str] | None = None, where: str = "") -> sqlite3.Row:
    """Change one column of one row; returns the row as it was."""
    keys = keys_of(case, table)
    row = case.one(f'SELECT * FROM "{table}" {where}')
    column = case.dice.choice([one for one in columns or row.keys() if one not in keys])
    value = case.other(row[column])
    case.run(f'UPDATE "{table}" SET "{column}" = ? WHERE {_where(keys)}', value, *(row[name] for name in keys))
    case.said(f"{table} {_name(row, keys)}: {column} {row[column]!r:.60} -> {value!r:.60}")
    return row


def filled(case: Case, tables: list[str]) -> str:
    return case.dice.choice([one for one in tables if case.db.execute(f'SELECT 1 FROM "{one}" LIMIT 1').fetchone()])


def row_edit(case: Case) -> Wanted:
    table = filled(case, ROW_TABLES)
    where = "WHERE subject != '*'" if table == "epoch" else ""
    row = edit(case, table, where=where)
    return {(table, _name(row, keys_of(case, table)))}


def row_delete(case: Case) -> Wanted:
    table = filled(case, ROW_TABLES)
    keys = keys_of(case, table)
    row = case.one(f'SELECT * FROM "{table}"' + (" WHERE subject != '*'" if table == "epoch" else ""))
    case.run(f'DELETE FROM "{table}" WHERE {_where(keys)}', *(row[name] for name in keys))
    case.said(f"{table} {_name(row, keys)}")
    return {(table, _name(row, keys))}


def row_insert(case: Case) -> Wanted:
    """A copy of a row under another key; unique columns get other values as well."""
    table = filled(case, [one for one in ROW_TABLES if one != "epoch"])
    keys = keys_of(case, table)
    row = case.one(f'SELECT * FROM "{table}"')
    values = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row is no mapping
    forged = f"forged{case.dice.randrange(1 << 32)}"
    values[keys[-1]] = forged
    for index in case.db.execute(f'PRAGMA index_list("{table}")').fetchall():
        if index["unique"] and index["origin"] != "pk":
            last = case.db.execute(f'PRAGMA index_info("{index["name"]}")').fetchall()[-1]["name"]
            values[last] = forged
    names = ", ".join(f'"{name}"' for name in values)
    case.run(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(values))})', *values.values())
    name = _name(values, keys)
    case.said(f"{table} {name}")
    return {(table, name)}


def signature(case: Case) -> Wanted:
    row = edit(case, "document_signature", ["jws", "jwk", "kid", "alg", "typ"])
    return {("document_signature", f"{row['document']}/{row['signer']}")}


def document(case: Case) -> Wanted:
    row = edit(case, "document", ["body", "readers", "kind"])
    return {("document", row["sha256"])}


def posting(case: Case) -> Wanted:
    row = edit(case, "posting", POSTING_COLUMNS)
    return {("posting", row["id"]), ("ledger_transaction", row["transaction_id"])}


def transaction(case: Case) -> Wanted:
    row = edit(case, "ledger_transaction", TRANSACTION_COLUMNS)
    return {("ledger_transaction", row["id"])}


def books_delete(case: Case) -> Wanted:
    """A posting, or a whole transaction with its postings."""
    row = case.one("SELECT id, transaction_id FROM posting")
    if case.dice.random() < 0.5:
        case.run("DELETE FROM posting WHERE id = ?", row["id"])
    else:
        case.run("DELETE FROM posting WHERE transaction_id = ?", row["transaction_id"])
        case.run("DELETE FROM ledger_transaction WHERE id = ?", row["transaction_id"])
    case.said(f"posting {row['id']} of {row['transaction_id']}")
    return {("ledger_transaction", row["transaction_id"])}


def books_insert(case: Case) -> Wanted:
    """A balanced pair of postings, in a transaction that is there or in a forged one."""
    row = case.one("SELECT * FROM ledger_transaction")
    values: dict[str, Any] = {name: row[name] for name in row.keys()}  # noqa: SIM118
    name = row["id"]
    if case.dice.random() < 0.5:
        name = f"ltx_{case.dice.randrange(16**32):032x}"
        values |= {"id": name, "event_key": f"forged:{name}", "reverses": None}
        names = ", ".join(f'"{one}"' for one in values)
        marks = ", ".join("?" * len(values))
        case.run(f"INSERT INTO ledger_transaction ({names}) VALUES ({marks})", *values.values())
    ids = [f"pst_{case.dice.randrange(16**32):032x}" for _ in range(2)]
    columns = "account, owner, currency, asset, version, stage, agreement"
    model = case.one("SELECT id FROM posting")["id"]
    for one, amount in zip(ids, (777, -777), strict=True):
        sql = f"INSERT INTO posting (id, transaction_id, amount_minor, {columns}) SELECT ?, ?, ?, {columns} "
        case.run(f"{sql} FROM posting WHERE id = ?", one, name, amount, model)
    case.said(f"postings {ids} in {name}")
    return {("posting", ids[0]), ("posting", ids[1])}


def use(case: Case) -> Wanted:
    row = edit(case, "transfer", USE_COLUMNS)
    return {("transfer", row["id"])}


def quota(case: Case) -> Wanted:
    row = edit(case, "usage_quota", QUOTA_COLUMNS)
    return {("usage_quota", row["agreement_id"])}


def files(case: Case) -> Wanted:
    if case.dice.random() < 0.5:
        row = edit(case, "version_file", ["path", "sha256", "bytes"])
        return {("version_file", row["version_id"])}
    row = edit(case, "delivery_file", ["path", "sha256", "bytes", "source_path", "source_sha256"])
    return {("delivery_file", row["agreement_id"])}


def stored_object(case: Case) -> Wanted:
    """A bit of a stored file that a version or a delivery names is turned, or the file is gone."""
    names = "SELECT sha256 FROM version_file UNION SELECT sha256 FROM delivery_file UNION SELECT manifest FROM version"
    name = case.one(f"SELECT sha256 FROM ({names}) WHERE sha256 != ''")["sha256"]
    path = case.folder / "objects" / name[:2] / name[2:]
    content = path.read_bytes()
    path.unlink()
    lost = case.dice.random() < 0.2
    if not lost:
        path.write_bytes(case.flipped(content))
    case.said(f"object {name}: {'deleted' if lost else 'one bit'}")
    return {("object", name)}


def person(case: Case) -> Wanted:
    """A person who never acted; of one who did, the row is changed or gone."""
    known = case.db.execute("SELECT commitment FROM person").fetchall()
    act = case.dice.choice(("insert", "edit", "delete")) if known else "insert"
    if act == "insert":
        made = hashlib.sha256(case.dice.randbytes(8)).hexdigest()
        values = (made, "prt_forged", "forged", b"s" * 32, *["2026-09-01 01:00:00.000000"] * 2)
        columns = "commitment, participant, identifier, salt, named_at, acted_at"
        case.run(f"INSERT INTO person ({columns}) VALUES (?, ?, ?, ?, ?, ?)", *values)
        case.said(f"person {made}")
        return {("person", made)}
    if act == "edit":
        return {("person", edit(case, "person")["commitment"])}
    gone = case.dice.choice(known)["commitment"]
    case.run("DELETE FROM person WHERE commitment = ?", gone)
    return {("person", gone)}


def serial(case: Case) -> Wanted:
    return {("certificate_serial", edit(case, "certificate_serial")["prefix"])}


def odd_value(case: Case) -> Wanted:
    """Any column of any table gets a value of another type, which SQLite keeps."""
    names = [one["name"] for one in case.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    table = filled(case, [one for one in names if one != "alembic_version" and not one.startswith("sqlite_")])
    keys, info = keys_of(case, table), case.db.execute(f'PRAGMA table_info("{table}")').fetchall()
    # A whole number as only key is SQLite's own row number, which nothing else can take the place of.
    column = case.dice.choice([one for one in info if not (one["pk"] and one["type"] == "INTEGER")])
    row = case.one(f'SELECT * FROM "{table}"')
    odd = case.dice.choice(_ODD.get(column["type"], (b"\x00\xff", b"text")))
    case.run(f'UPDATE "{table}" SET "{column["name"]}" = ? WHERE {_where(keys)}', odd, *(row[name] for name in keys))
    after = {name: row[name] for name in row.keys()} | {column["name"]: odd}  # noqa: SIM118
    case.said(f"{table} {_name(row, keys)}: {column['name']} = {odd!r}")
    log: dict[str, Wanted] = {
        "entry": {("entry", str(after.get("id"))), ("leaf", str(row["leaf_index"] if table == "entry" else ""))},
        "log_checkpoint": {("kind", "checkpoint")},
        "log_tile": {("kind", one) for one in ("tile", "truncated", "forked")},
    }
    return log.get(table, {(table, _name(after, keys))})


_ODD: dict[str, tuple[Any, ...]] = {
    "BLOB": ("text", 5, 0.5),
    "INTEGER": ("text", b"\x01", 0.5),
    "BIGINT": ("text", b"\x01", 0.5),
    "BOOLEAN": ("text", b"\x01", 0.5),
    "DATETIME": ("no moment", b"\x00", 0.5, 7, "2026-02-31 01:00:00.000000"),
    "JSON": ("{broken", b"\x00", 0.5, 7, "null"),
}


ROWS: dict[str, Callable[[Case], Wanted]] = {
    "row edit": row_edit,
    "row delete": row_delete,
    "row insert": row_insert,
    "signature": signature,
    "document": document,
    "posting": posting,
    "transaction": transaction,
    "books delete": books_delete,
    "books insert": books_insert,
    "use": use,
    "quota": quota,
    "files": files,
    "object": stored_object,
    "person": person,
    "serial": serial,
    "odd value": odd_value,
}
