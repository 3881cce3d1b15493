"""I1, I2, I6, I7, I11, I12, I13: uses, windows, quotas, states and charges, from rows, entries and client journals."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.harness.journal import Journal
from tests.harness.proofs import jws_holds
from tests.harness.store import Row, Store, moment, parsed

# Our own copy of the protocol's graph (Dataspace Protocol 2025-1), not the service's table.  A reminder moves nothing.
AFTER = {
    "": {"REQUESTED", "OFFERED"},
    "REQUESTED": {"REQUESTED", "OFFERED", "AGREED", "TERMINATED"},
    "OFFERED": {"OFFERED", "REQUESTED", "ACCEPTED", "TERMINATED"},
    "ACCEPTED": {"ACCEPTED", "AGREED", "TERMINATED"},
    "AGREED": {"AGREED", "VERIFIED", "TERMINATED"},
    "VERIFIED": {"FINALIZED", "TERMINATED"},
    "FINALIZED": set[str](),
    "TERMINATED": set[str](),
}
ENDS = {
    "negotiation:agreement_terminated",
    "negotiation:agreement_suspended",
    "negotiation:agreement_expired",
    "negotiation:agreement_superseded",
}
WINDOW = 1 << 20


@dataclass
class Told:
    """An entry: id, tag, actor, agreement, time, facts."""

    id: str
    tag: str
    agreement: str | None
    at: datetime
    facts: dict[str, Any]


@dataclass
class Leg:
    """One leg of a use.  windows: (offset, length, running hash)."""

    opened: Told
    windows: list[tuple[int, int, str]] = field(default_factory=list)
    closed: dict[str, Any] | None = None

    @property
    def served(self) -> int:
        return sum(length for _, length, _ in self.windows)

    @property
    def counts(self) -> bool:
        """Whether this leg counts as the use: it served bytes, or there were none to serve."""
        return self.closed is not None and bool(self.windows or self.closed["outcome"] == "complete")


class Uses:
    """The uses of a store, put together once; each check yields violations as `<invariant> <words>`."""

    def __init__(self, store: Store, entries: list[Told], signatures: dict[tuple[str, str], bool]) -> None:
        """signatures: (document, jws) pairs judged before, so that each is checked once in a run."""
        self._store, self._entries, self._judged = store, entries, signatures
        self._agreements = {row["id"]: row for row in store.rows("SELECT * FROM agreement")}
        self._transfers = {row["id"]: row for row in store.rows("SELECT * FROM transfer")}
        self.legs: dict[tuple[str, int], Leg] = {}
        self._strays: list[str] = []
        for one in entries:
            self._take(one)

    def _take(self, one: Told) -> None:
        if one.tag == "usage:allowed":
            key = (one.facts["transfer"], one.facts["leg"])
            if key in self.legs:
                self._strays.append(f"I5 leg {key} was reserved twice")
            self.legs[key] = Leg(one)
        elif one.tag in {"transfer:window_served", "transfer:closed"}:
            leg = self.legs.get((one.facts["transfer"], one.facts["leg"]))
            if leg is None:
                self._strays.append(f"I1 {one.tag} {one.id} without an allowed use")
            elif leg.closed is not None:
                self._strays.append(f"I5 {one.tag} {one.id} after its leg was settled")
            elif one.tag == "transfer:closed":
                leg.closed = one.facts
            else:
                leg.windows.append((one.facts["offset"], one.facts["length"], one.facts["running_sha256"]))

    def check(self, journal: Journal, window: int = WINDOW) -> Iterator[str]:
        yield from self._strays
        yield from self._lawful()
        yield from self._bytes_held(journal, window)
        yield from self._quotas()
        yield from self._negotiations()
        yield from self._transfer_rows()
        yield from self._charges()

    def _lawful(self) -> Iterator[str]:
        """I1 and I11: every use rests on an agreement in force, signed by both, under a policy revision."""
        ended: dict[str, list[Told]] = defaultdict(list)
        for one in self._entries:
            if one.agreement and (one.tag in ENDS or one.tag == "negotiation:agreement_resumed"):
                ended[one.agreement].append(one)
        for (name, _), leg in self.legs.items():
            agreement = self._agreements.get(str(leg.opened.agreement))
            if agreement is None:
                yield f"I1 use {name} rests on no agreement"
                continue
            start, end = moment(agreement["starts_at"]), moment(agreement["ends_at"])
            assert start is not None
            assert end is not None
            if not start <= leg.opened.at < end:
                yield f"I1 use {name} was allowed outside the term of {agreement['id']}"
            if not self._both_signed(agreement):
                yield f"I1 use {name} rests on {agreement['id']}, which does not bear both signatures"
            if leg.opened.facts["reasons"] or len(leg.opened.facts["revision"]) != 64:
                yield f"I11 use {name} was allowed without a decision"
        for one in self._entries:
            if one.tag == "transfer:window_served" and _stopped(ended[str(one.agreement)], one.id):
                yield f"I12 window {one.id} was granted after its agreement was stopped"

    def _both_signed(self, agreement: Row) -> bool:
        key = (agreement["document"], "both")
        if key not in self._judged:
            document = self._store.rows(f"SELECT body FROM document WHERE sha256 = '{agreement['document']}'")
            rows = self._store.rows(
                f"SELECT signer, jws, jwk FROM document_signature WHERE document = '{agreement['document']}'"
            )
            body = bytes(document[0]["body"]) if document else b""
            good = {one["signer"] for one in rows if jws_holds(one["jws"], body, parsed(one["jwk"]))}
            self._judged[key] = {agreement["provider_id"], agreement["buyer_id"]} <= good
        return self._judged[key]

    def _bytes_held(self, journal: Journal, window: int) -> Iterator[str]:
        """I2: every byte that a client holds lies in a logged window, and a killed stream logged at most one more."""
        by_entry = {leg.opened.id: leg for leg in self.legs.values()}
        for stream in journal.streams:
            leg = by_entry.get(stream.entry)
            if leg is None:
                yield f"I2 {stream.bytes} bytes of {stream.transfer} were served without an allowed use"
                continue
            if stream.bytes > leg.served:
                yield f"I2 {stream.party} holds {stream.bytes} bytes of {stream.transfer}, {leg.served} are logged"
            logged, until = {}, 0
            for _, length, running in leg.windows:
                until += length
                logged[until] = running
            for at, running in stream.hashes.items():
                if at in logged and logged[at] != running:
                    yield f"I2 the first {at} bytes of {stream.transfer} are not those that were logged"

    def _quotas(self) -> Iterator[str]:
        """I5 and I6: what is reserved and settled is what the legs say, and never beyond the signed limit."""
        taken: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for leg in self.legs.values():
            one, asked = taken[str(leg.opened.agreement)], leg.opened.facts
            if leg.closed is None:
                one[0] += asked["uses"]
                one[2] += asked["to"] - asked["from"]
            else:
                one[1] += asked["uses"] if leg.counts else 0
                one[3] += leg.served
        names = ("uses_reserved", "uses_settled", "bytes_reserved", "bytes_settled")
        for row in self._store.rows("SELECT * FROM usage_quota"):
            held = [row[name] for name in names]
            if held != taken.pop(row["agreement_id"], [0, 0, 0, 0]):
                yield f"I6 the quota of {row['agreement_id']} is {held}, its uses say otherwise"
            for limit, amount in (("uses_limit", held[0] + held[1]), ("bytes_limit", held[2] + held[3])):
                if min(held) < 0 or (row[limit] is not None and amount > row[limit]):
                    yield f"I6 the quota of {row['agreement_id']} is {held}, beyond {limit} {row[limit]} or below zero"
            signed = self._signed(row["agreement_id"])
            if signed and row["uses_limit"] != _limit(signed, "count"):
                yield f"I6 the limit of {row['agreement_id']} is not the signed one"
        for agreement in taken:
            yield f"I6 {agreement} was used and has no quota"

    def _negotiations(self) -> Iterator[str]:
        """I7: the entries of a negotiation walk the protocol's graph, and its row stands where they end."""
        last: dict[str, str] = defaultdict(str)
        for one in self._entries:
            request = one.facts.get("request")
            if one.tag.startswith("negotiation:") and request and "state" in one.facts:
                if one.facts["state"] not in AFTER[last[request]]:
                    yield f"I7 {request} went from {last[request]} to {one.facts['state']}"
                last[request] = one.facts["state"]
        for row in self._store.rows("SELECT id, state FROM access_request"):
            if last.pop(row["id"], None) != row["state"]:
                yield f"I7 {row['id']} stands at {row['state']}, its entries end elsewhere"
        for request in last:
            yield f"I7 {request} has entries and no row"
        final = {one.agreement for one in self._entries if one.tag == "negotiation:agreement_finalized"}
        for row in self._agreements.values():
            if (row["finalized_at"] is not None) != (row["id"] in final):
                yield f"I7 {row['id']} is {row['state']}, its entries say otherwise"

    def _transfer_rows(self) -> Iterator[str]:
        """I7 and I12: a transfer stands where its last leg stands, under the epoch it was allowed under."""
        newest: dict[str, Leg] = {}
        for (name, number), leg in sorted(self.legs.items(), key=lambda one: one[0][1]):
            if number > 1 and newest[name].closed is None:
                yield f"I7 leg {number} of {name} began before the one before was settled"
            newest[name] = leg
        for name, row in self._transfers.items():
            found = newest.pop(name, None)
            if found is None:
                yield f"I7 {name} has a row and no entry"
                continue
            state = "open" if found.closed is None else "closed"
            expected = (state, found.opened.facts["leg"], found.served, found.opened.facts["epoch"])
            if (row["state"], row["leg"], row["leg_served"], row["epoch"]) != expected:
                yield f"I7 {name} is {row['state']} with {row['leg_served']} bytes, its entries say {expected}"
        for name in newest:
            yield f"I7 {name} has entries and no row"

    def _charges(self) -> Iterator[str]:
        """I13: each use that served is metered once at the signed price, each agreement its access once."""
        metered: dict[str, list[Row]] = defaultdict(list)
        for row in self._store.rows("SELECT * FROM meter_event"):
            metered[row["event_key"]].append(row)
        used = {name: leg for (name, _), leg in self.legs.items() if leg.counts}
        for name, leg in used.items():
            plan = self._signed(str(leg.opened.agreement)).get("price_plan", {})
            price = plan.get("price_fen", 0) if plan.get("kind") == "per_use" else 0
            yield from _one_event(metered.pop(f"use.transfer:{name}", []), f"use {name}", price)
        for key in metered:
            if key.startswith("use.transfer:"):
                yield f"I13 {key} was charged and did not happen"
        for row in self._agreements.values():
            if row["finalized_at"] is not None:
                plan = self._signed(row["id"]).get("price_plan", {})
                price = plan.get("access_fen", 0) if plan.get("kind") == "per_use" else plan.get("price_fen", 0)
                yield from _one_event(metered.get(f"sale:{row['id']}", []), f"access of {row['id']}", price)

    def _signed(self, agreement: str) -> dict[str, Any]:
        """The content of the document that the parties signed."""
        row = self._agreements.get(agreement)
        found = self._store.rows(f"SELECT body FROM document WHERE sha256 = '{row['document']}'") if row else []
        content: dict[str, Any] = json.loads(found[0]["body"]) if found else {}
        return content


def _one_event(rows: list[Row], what: str, price: int) -> Iterator[str]:
    if len(rows) != 1:
        yield f"I13 {what} was charged {len(rows)} times"
    elif (rows[0]["quantity"], rows[0]["unit_price_fen"]) != (1, price):
        yield f"I13 {what} was charged {rows[0]['quantity']} x {rows[0]['unit_price_fen']} fen, signed was {price}"


def _limit(signed: dict[str, Any], operand: str) -> int | None:
    found = [
        int(one["rightOperand"])
        for permission in signed.get("uses", {}).get("permission", ())
        for one in permission.get("constraint", ())
        if one.get("leftOperand") == operand
    ]
    return min(found, default=None)


def _stopped(changes: list[Told], entry: str) -> bool:
    """Whether the newest change before an entry stopped the agreement; ids sort in the order of the locks."""
    before = [one for one in changes if one.id < entry]
    return bool(before) and before[-1].tag in ENDS
