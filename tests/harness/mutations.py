"""Ways to tamper with a finished log, made with plain SQL and file writes; each says what must be named.

A mutation gets a folder of its own and returns the tokens of which at least one must be found: ("entry", id),
("leaf", number), (table, key), or a kind of token alone, e.g. "guard".
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

Token: TypeAlias = tuple[str, str] | str
Wanted: TypeAlias = set[Token]


@dataclass
class Case:
    """One mutation at work.  folder: its copy; world: where older copies lie; dice: its own."""

    folder: Path
    world: Path
    dice: random.Random
    detail: str = ""
    db: sqlite3.Connection = field(init=False)

    def __post_init__(self) -> None:
        self.db = sqlite3.connect(self.folder / "market.sqlite3", isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.execute("PRAGMA ignore_check_constraints=ON")
        for (name,) in self.db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            self.db.execute(f'DROP TRIGGER "{name}"')

    def one(self, sql: str, *values: object) -> sqlite3.Row:
        """A random row of a query."""
        return self.dice.choice(self.db.execute(sql, values).fetchall())

    def run(self, sql: str, *values: object) -> None:
        self.db.execute(sql, values)

    def said(self, detail: str) -> None:
        self.detail = detail[:200]

    def flipped(self, data: bytes) -> bytes:
        """The bytes with one bit turned."""
        place = self.dice.randrange(len(data))
        return data[:place] + bytes([data[place] ^ (1 << self.dice.randrange(8))]) + data[place + 1 :]

    def other(self, value: Any) -> Any:  # noqa: PLR0911 - one line for each type
        """Another value of the same type."""
        match value:
            case int():
                return value + self.dice.choice((-1, 1, 1000))
            case bytes():
                return self.flipped(value)
            case None | "":
                return f"forged{self.dice.randrange(1000)}"
            case str() if value[:2] == "20" and value[4:5] == "-":
                return str(int(value[:4]) + 1) + value[4:]  # a moment
            case str() if value[0] in '[{"':
                return json.dumps([*json.loads(value), "x"] if value[0] == "[" else {**json.loads(value), "x": 1})
            case str():
                place = self.dice.randrange(len(value))
                return value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]
        return value


def entry_body(case: Case) -> Wanted:
    row = case.one("SELECT id, body, leaf_index FROM entry")
    body = bytes(row["body"])
    place = case.dice.choice([at for at, char in enumerate(body) if chr(char).isalnum()])
    letter = b"7" if body[place : place + 1] != b"7" else b"8"
    case.run("UPDATE entry SET body = ? WHERE id = ?", body[:place] + letter + body[place + 1 :], row["id"])
    case.said(f"byte {place} of the body of {row['id']}")
    return {("entry", row["id"])}


def entry_column(case: Case) -> Wanted:
    row = case.one("SELECT * FROM entry")
    column = case.dice.choice(("id", "tag", "actor", "at", "asset", "version", "agreement"))
    value = case.other(row[column])
    case.run(f'UPDATE entry SET "{column}" = ? WHERE leaf_index = ?', value, row["leaf_index"])
    case.said(f"column {column} of leaf {row['leaf_index']}: {row[column]} -> {value}")
    return {("leaf", str(row["leaf_index"]))}


def entry_delete(case: Case) -> Wanted:
    row = case.one("SELECT id, leaf_index FROM entry")
    case.run("DELETE FROM entry WHERE id = ?", row["id"])
    case.said(f"leaf {row['leaf_index']}")
    return {("leaf", str(row["leaf_index"]))}


def entry_insert(case: Case) -> Wanted:
    """A forged row with a leaf number, or one that waits and tells of a use or posting that has an entry already."""
    columns = "tag, actor, at, asset, version, agreement"
    size = case.db.execute("SELECT max(leaf_index) FROM entry").fetchone()[0]
    number = case.dice.choice((-1, size + 1, size + 9, None))
    tags = "('ledger:posted', 'transfer:window_served', 'transfer:closed', 'usage:allowed')" if number is None else ""
    row = case.one("SELECT id, body FROM entry" + (f" WHERE tag IN {tags}" if tags else ""))
    forged = f"ent_{case.dice.randrange(16**32):032x}" if number is not None else f"ent_{'f' * 31}{row['id'][-1]}"
    body = bytes(row["body"]).replace(row["id"].encode(), forged.encode())
    sql = f"INSERT INTO entry (id, {columns}, body, leaf_index) SELECT ?, {columns}, ?, ? FROM entry WHERE id = ?"
    case.run(sql, forged, body, number, row["id"])
    case.said(f"a copy of {row['id']} as {forged} at leaf {number}")
    about = json.loads(body)["facts"].get("transfer", "-")
    return {("entry", forged), ("transfer", about)}


def reorder(case: Case) -> Wanted:
    rows = case.db.execute("SELECT id, leaf_index FROM entry").fetchall()
    first, second = case.dice.sample(rows, 2)
    case.run("UPDATE entry SET leaf_index = -7 WHERE id = ?", first["id"])
    case.run("UPDATE entry SET leaf_index = ? WHERE id = ?", first["leaf_index"], second["id"])
    case.run("UPDATE entry SET leaf_index = ? WHERE id = ?", second["leaf_index"], first["id"])
    case.said(f"leaves {first['leaf_index']} and {second['leaf_index']}")
    return {("entry", first["id"])}


def truncate(case: Case) -> Wanted:
    """The tail is cut off cleanly: entries, tiles and checkpoints."""
    size = case.db.execute("SELECT count(*) FROM entry").fetchone()[0]
    keep = size - case.dice.choice((1, 2, case.dice.randrange(1, size)))
    case.run("DELETE FROM entry WHERE leaf_index >= ?", keep)
    rebuild(case)
    case.run("DELETE FROM log_checkpoint WHERE size > ?", keep)
    case.said(f"cut at {keep} of {size} leaves")
    return {("kind", "truncated")}


def roll_back(case: Case) -> Wanted:
    """An older copy of the database is put back."""
    case.db.close()
    older = case.dice.choice(sorted((case.world / "variants").iterdir())[:-3])
    shutil.copy(older / "market.sqlite3", case.folder / "market.sqlite3")
    case.said(f"the copy after step {older.name}")
    return {("kind", "truncated")}


def fork(case: Case) -> Wanted:
    """History is rewritten and signed with the stolen log key, the log's own state too; the witness does not help."""
    row = case.one("SELECT id, body, leaf_index FROM entry")
    body = json.loads(row["body"])
    body["nonce"] = f"{case.dice.randrange(16**32):032x}"
    forged = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    case.run("UPDATE entry SET body = ? WHERE id = ?", forged, row["id"])
    hashes = rebuild(case)
    key = load_pem_private_key((case.folder / "log-signer" / "key.pem").read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    state = json.loads((case.folder / "log-signer" / "state.json").read_text())
    for one in case.db.execute("SELECT size, note FROM log_checkpoint WHERE size > ?", (row["leaf_index"],)).fetchall():
        root = tree_root(hashes[: one["size"]])
        note = resigned(one["note"], root, key, keep_witness=case.dice.random() < 0.5)
        case.run("UPDATE log_checkpoint SET root = ?, note = ? WHERE size = ?", root.hex(), note, one["size"])
    state |= {"size": len(hashes), "root": tree_root(hashes).hex()}
    (case.folder / "log-signer" / "state.json").write_text(json.dumps(state))
    case.said(f"leaf {row['leaf_index']} rewritten, checkpoints signed anew")
    return {("kind", "checkpoint"), ("kind", "forked")}


def tile(case: Case) -> Wanted:
    row = case.one('SELECT level, "index", hashes FROM log_tile')
    where = (row["level"], row["index"])
    act = case.dice.choice(("flip", "cut", "drop", "grow"))
    hashes = bytes(row["hashes"])
    changed = {"flip": case.flipped(hashes), "cut": hashes[:-32], "grow": hashes + bytes(32), "drop": b""}[act]
    if act == "drop" or not changed:
        case.run('DELETE FROM log_tile WHERE level = ? AND "index" = ?', *where)
    else:
        case.run('UPDATE log_tile SET hashes = ? WHERE level = ? AND "index" = ?', changed, *where)
    case.said(f"tile {where}: {act}")
    return {("kind", one) for one in ("tile", "forked", "edited", "deleted", "inserted", "truncated")} | {"guard"}


def checkpoint(case: Case) -> Wanted:
    row = case.one("SELECT size, root, note FROM log_checkpoint")
    column = case.dice.choice(("size", "root", "note"))
    place = case.dice.choice([at for at, char in enumerate(row["note"]) if char.isalnum() and char.isascii()])
    letter = "A" if row["note"][place] != "A" else "B"
    values = {
        "size": row["size"] + 1_000_000,
        "root": case.other(row["root"]),
        "note": row["note"][:place] + letter + row["note"][place + 1 :],
    }
    case.run(f"UPDATE log_checkpoint SET {column} = ? WHERE size = ?", values[column], row["size"])
    case.said(f"{column} of checkpoint {row['size']}, place {place}")
    return {("kind", "checkpoint"), ("kind", "forked"), "guard"}


def state_file(case: Case) -> Wanted:
    """The file in which the signer or the witness holds its head."""
    path = case.folder / case.dice.choice(("log-signer", "witness")) / "state.json"
    held = json.loads(path.read_text())
    act = case.dice.choice(("root", "larger", "smaller", "origin", "cut", "lost", "key"))
    held |= {"root": hashlib.sha256(b"forged").hexdigest()} if act == "root" else {}
    held |= {"size": held["size"] + case.dice.randrange(1, 50)} if act == "larger" else {}
    if act == "smaller":  # back to a head that was really signed: the way to sign another history from there
        older = case.one("SELECT size, root FROM log_checkpoint WHERE size < ?", held["size"])
        held |= {"size": older["size"], "root": older["root"]}
    held |= {"origin": "other.example/log"} if act == "origin" else {}
    text = json.dumps(held)
    path.write_text(text[: len(text) // 2] if act == "cut" else text)
    if act == "lost":
        path.unlink()
    if act == "key":
        made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.with_name("key.pem").write_bytes(made)
    case.said(f"{path.parent.name}: {act}")
    return {"guard"}


def rebuild(case: Case) -> list[bytes]:
    """The tiles anew from the entries that are there; returns the leaf hashes."""
    bodies = case.db.execute("SELECT body FROM entry WHERE leaf_index IS NOT NULL ORDER BY leaf_index").fetchall()
    leaves = [hashlib.sha256(b"\x00" + bytes(body)).digest() for (body,) in bodies]
    case.run("DELETE FROM log_tile")
    level, hashes = 0, leaves
    while hashes:
        for index in range(0, len(hashes), 256):
            row = b"".join(hashes[index : index + 256])
            case.run('INSERT INTO log_tile (level, "index", hashes) VALUES (?, ?, ?)', level, index // 256, row)
        whole = len(hashes) // 256
        hashes = [tree_root(hashes[at * 256 : (at + 1) * 256]) for at in range(whole)]
        level += 1
    return leaves


def tree_root(hashes: list[bytes]) -> bytes:
    """RFC 9162 root over leaf hashes."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    middle = 1 << ((len(hashes) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + tree_root(hashes[:middle]) + tree_root(hashes[middle:])).digest()


def resigned(note: str, root: bytes, key: Ed25519PrivateKey, *, keep_witness: bool) -> str:
    """A checkpoint over another root under the log's key; the witness's old line is kept or dropped."""
    text, _, signatures = note.rpartition("\n\n")
    origin, size = text.split("\n")[:2]
    forged = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    lines = signatures.splitlines()
    name, material = lines[0].split(" ")[1:]
    raw = base64.b64decode(material)[:4] + key.sign(forged.encode())
    kept = lines[1:] if keep_witness else []
    return forged + "\n" + "\n".join([f"— {name} {base64.b64encode(raw).decode()}", *kept]) + "\n"


Mutation: TypeAlias = Callable[[Case], Wanted]
LOG: dict[str, Mutation] = {
    "entry body": entry_body,
    "entry column": entry_column,
    "entry delete": entry_delete,
    "entry insert": entry_insert,
    "reorder": reorder,
    "truncate": truncate,
    "roll back": roll_back,
    "fork": fork,
    "tile": tile,
    "checkpoint": checkpoint,
    "state file": state_file,
}

from tests.harness.mutated_rows import ROWS  # noqa: E402 - it uses Case

CLASSES: dict[str, Mutation] = LOG | ROWS
