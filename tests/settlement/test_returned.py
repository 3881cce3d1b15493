"""A share's transfer that the bank carries out or returns: owed again, told to its owner, ordered anew, confirmed."""

from __future__ import annotations

import json

import jsonschema
import pytest

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.settlement import queries
from marketplace.settlement.bank.orders import NothingToPay
from marketplace.settlement.models import PaymentOrder, Share
from marketplace.transfer import queries as transfer
from tests.contracts.test_documents import DOCUMENTS
from tests.house import House
from tests.settlement.parts import all_shares, balance, bank, billed, choose, credit, exchange, imbalance, pay, sold
from tests.settlement.test_bank import order, take
from tests.settlement.test_journey import findings
from tests.settlement.test_refunds import debit, yuan
from tests.transfer.doors import entries
from workers.relay import run_due

SCHEMA = json.loads((DOCUMENTS / "payment-notice.schema.json").read_text("utf-8"))


def returned(reference: str, fen: int, name: str) -> str:
    """The bank's statement of a transfer of ours that came back."""
    plain = debit(reference, fen, name).replace("DBIT", "CRDT")
    return plain.replace("<AcctSvcrRef>", "<RvslInd>true</RvslInd><AcctSvcrRef>")


def of_owner(house: House, owner: str) -> list[Share]:
    return [one for one in all_shares(house) if one.owner == owner]


@pytest.fixture
def ordered(house: House) -> tuple[House, PaymentOrder]:
    choose(house, "report-example-v1", operator=house.cast["operator"].id)
    sold(house, uses=1)
    pay(house, billed(house))
    for who, part in (("exchange", None), ("hospital", None), ("hospital", "department")):
        bank(house, who, part)
    return house, order(house)


def test_a_transfer_that_comes_back_is_owed_again_told_and_in_the_next_file(
    ordered: tuple[House, PaymentOrder],
) -> None:
    house, made = ordered
    hospital, venue = house.cast["hospital"].id, house.cast["exchange"].id
    owner = f"{hospital}:department"
    arranged, before = findings(house), balance(house, owner, "asset:cash")
    kept = balance(house, venue, "asset:cash")
    due = sum(one.amount_fen for one in of_owner(house, owner))
    name = str(of_owner(house, owner)[0].reference)
    assert take(house, debit("D1", due, name)) == [("paid_out", None)]
    assert {one.paid_at is not None for one in of_owner(house, owner)} == {True}
    assert {one.paid_at for one in of_owner(house, hospital)} == {None}
    for _ in range(2):
        take(house, returned("R1", due, name))
    assert {(one.order_id, one.reference, one.paid_at) for one in of_owner(house, owner)} == {(None, None, None)}
    assert {one.order_id for one in of_owner(house, hospital)} == {made.id}
    held = {("clearing", venue): -due, ("receivable", owner): due, ("asset:cash", owner): before - due}
    assert {key: balance(house, key[1], key[0]) for key in held} == held
    assert balance(house, venue, "asset:cash") == kept + due
    (told,) = entries(house, Tag.SHARES_OWED)
    assert (told["facts"]["owner"], told["facts"]["amount_fen"], told["facts"]["transfer"]) == (owner, due, name)

    for _ in range(2):
        run_due(house.runtime)
    with house.runtime.database.reading() as db:
        (notice,) = transfer.notices(db, house.cast["hospital"].actor).rows
        assert transfer.notices(db, house.cast["pharma"].actor).rows == []
        content = documents.content(db, notice.document)
        (signature,) = documents.signatures(db, notice.document)
    jsonschema.validate(content, SCHEMA)
    assert (notice.kind, signature.signer) == ("payment-notice", "service")
    assert (content["owner"], content["amount_fen"], content["order"]) == (owner, due, made.id)

    bank(house, "hospital", "department", account="6222000077778888")
    again = order(house)
    assert (again.payments, again.total_fen) == (1, due)
    assert "6222000077778888" in again.message
    with pytest.raises(NothingToPay):
        order(house)
    second = str(of_owner(house, owner)[0].reference)
    take(house, debit("D2", due, second))
    assert {key: balance(house, key[1], key[0]) for key in held} == {
        ("clearing", venue): 0,
        ("receivable", owner): 0,
        ("asset:cash", owner): before,
    }
    assert [one["facts"]["order"] for one in entries(house, Tag.SHARES_PAID)] == [made.id, again.id]
    assert imbalance(house) == 0
    assert findings(house) == arranged


def test_a_transfer_that_comes_back_twice_is_held_once_and_a_credit_note_ends_it(
    ordered: tuple[House, PaymentOrder],
) -> None:
    house, made = ordered
    hospital, venue = house.cast["hospital"].id, house.cast["exchange"].id
    owners = {one.owner: sum(a.amount_fen for a in of_owner(house, one.owner)) for one in all_shares(house)}
    for number in range(2):
        for owner in (hospital, f"{hospital}:department"):
            name = str(of_owner(house, owner)[0].reference)
            take(house, returned(f"R{number}{owner[-1]}", owners[owner], name))
            assert balance(house, owner, "receivable") == owners[owner]
        if number == 0:
            made = order(house)
    assert balance(house, venue, "clearing") == -made.total_fen
    assert len(entries(house, Tag.SHARES_OWED)) == 4
    with house.db() as db:
        (invoice,) = queries.invoices_of(db, exchange(house)).rows
    credit(house, invoice)
    for owner in (hospital, f"{hospital}:department"):
        assert balance(house, owner, "receivable") == balance(house, owner, "asset:cash") == 0
    assert balance(house, venue, "clearing") == 0
    assert imbalance(house) == 0


def test_the_debit_of_a_whole_order_confirms_its_shares_and_another_sum_confirms_nothing(
    ordered: tuple[House, PaymentOrder],
) -> None:
    house, made = ordered
    assert take(house, debit("D0", made.total_fen - 1, made.id[:35], "PmtInfId")) == []
    assert take(house, debit("D1", made.total_fen, made.id[:35], "PmtInfId")) == [("paid_out", None)]
    confirmed = [one for one in all_shares(house) if one.paid_at is not None]
    assert sum(one.amount_fen for one in confirmed) == made.total_fen
    assert take(house, returned("R1", 12, "unknown")) == [("returned", None)]
    assert entries(house, Tag.SHARES_OWED) == []
    assert yuan(made.total_fen) in made.message
