"""The agreement of a buyer hosted here with a provider elsewhere: held as what both sides said, until it is over.

Where the provider's connector speaks our extension, the contract is kept word for word with both parties' signatures.
A plain connector signs nothing (decision 15): then what both sides said is kept, and says in words that it is no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.dataspace import datasets as described
from marketplace.dataspace import queries, transcript
from marketplace.dataspace.messages import SIGNED
from marketplace.dataspace.models import Exchange, HeldAgreement
from marketplace.dataspace.policies import binds, meaning_of
from marketplace.dataspace.states import HELD_AGREEMENT, HeldState
from marketplace.dataspace.transcript import Said
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json, digest, sha256_hex
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.errors import Conflict, Invalid, shown
from marketplace.kernel.ids import new_id
from marketplace.kernel.signing import BadSignature, SigningKey, read_header
from marketplace.negotiation.signing import TYP
from marketplace.participants import connectors
from marketplace.participants import queries as participants
from marketplace.participants.signatures import accept, sign_as_service
from marketplace.plumbing import outbox

EXPIRE_TASK: Final = "dataspace.expire"
KIND: Final = "held-agreement"
CONTRACT_KIND: Final = "foreign-agreement"
UNSIGNED: Final = {
    "zh": "对方连接器不签署文件：本文件仅载明双方所述，由本平台签名为证，不含对方签名。",
    "en": "The other side's connector signs no document: this says what both sides said, attested by this platform, "
    "and bears no signature of the other side.",
}


class NotTheContract(Invalid):
    """The contract that the provider sent is not what it says it is."""


class AgreementOver(Conflict):
    """The agreement under which data is asked for is over."""


def check_contract(db: Session, exchange: Exchange, message: Json, now: datetime) -> None:
    """Keep the contract that an agreement message bears, with the provider's signature and, once made, the buyer's.

    Nothing where the message bears none.  Keys are those registered here for the parties, whatever the message says.
    Raises NotTheContract, BadSignature, UnknownKey.  Records: participant:signature_accepted.
    """
    contract = _contract(message)
    if contract is None:
        return
    content = contract["content"]
    if digest(content) != contract["document"] or content.get("id") != message["agreement"]["@id"]:
        raise NotTheContract("document, content and agreement are not the same", expected=shown(digest(content)))
    _end_of(message["agreement"], contract)
    _require_of_both(db, exchange, content, message["agreement"])
    _require_not_held(db, exchange, contract["document"])
    provider = connectors.registered(db, exchange.connector_id).participant_id
    jws = _signature_of(db, provider, contract["signatures"])
    name = documents.keep(db, CONTRACT_KIND, content, now, readers=[exchange.participant_id])
    accept(db, provider, name, jws, typ=TYP, now=now)
    for own in _own_signatures(transcript.taken(db, exchange.id)):
        accept(db, exchange.participant_id, name, own, typ=TYP, now=now)


def is_signed(db: Session, exchange: Exchange) -> bool:
    """Whether the contract of an agreement message bears both parties' signatures, each checked.

    The buyer's counts where it was given: in this exchange, since whoever holds an old contract can send it again.
    """
    return _is_signed(db, exchange, transcript.taken(db, exchange.id))


def _is_signed(db: Session, exchange: Exchange, said: Sequence[Said]) -> bool:
    contract = _contract_of(said)
    if contract is None or not any(_own_signatures(said)):
        return False
    parties = {exchange.participant_id, connectors.registered(db, exchange.connector_id).participant_id}
    return parties <= {one.signer for one in documents.signatures(db, contract["document"])}


def hold(db: Session, exchange: Exchange, message: Json, key: SigningKey, now: datetime) -> HeldAgreement:
    """Hold what a message finalizes; the service signs what both sides said.  key: the service's own.

    Raises NotTheContract, BadSignature, UnknownKey.
    Records: dataspace:agreement_held, participant:signature_accepted.
    """
    taken = transcript.taken(db, exchange.id)
    contract = _contract_of(taken)
    if contract is not None:
        _require_not_held(db, exchange, contract["document"])
        for own in _own_signatures(taken):
            accept(db, exchange.participant_id, contract["document"], own, typ=TYP, now=now)
    signed = _is_signed(db, exchange, taken)
    said = _said(db, exchange, taken, contract, now, signed=signed)
    said["said"].append({"by": "provider", "move": "finalize", "message": digest(message)})
    name = documents.keep(db, KIND, said, now, readers=[exchange.participant_id])
    sign_as_service(db, name, key, now=now)

    held = HeldAgreement(
        id=new_id("hag"),
        exchange_id=exchange.id,
        buyer_id=exchange.participant_id,
        connector_id=exchange.connector_id,
        agreement=exchange.agreement["@id"],
        dataset=exchange.subject,
        document=name,
        contract=contract["document"] if contract is not None and signed else "",
        state=HeldState.IN_FORCE,
        held_at=now,
        ends_at=_end_of(exchange.agreement, contract if signed else None),
    )
    db.add(held)
    db.flush()
    if held.ends_at is not None:
        outbox.enqueue(db, EXPIRE_TASK, {"held": held.id}, key=held.id, now=now, due=held.ends_at)

    record(db, SERVICE_ACTOR, Tag.AGREEMENT_HELD, now, facts=_facts(held))
    return held


def require_in_force(db: Session, buyer: Actor, connector_id: str, agreement: str, now: datetime) -> None:
    """Raises AgreementOver: the buyer holds this agreement and it is over.  One that it does not hold is the
    provider's to judge."""
    held = queries.held_as(db, buyer.participant, connector_id, agreement)
    if held is None:
        return
    over = held.ends_at is not None and held.ends_at <= now
    if over or not HELD_AGREEMENT.permits(HeldState(held.state), "use"):
        raise AgreementOver(
            "no data is asked for under an agreement that is over",
            expected=HeldState.IN_FORCE,
            got=HeldState.EXPIRED if over else held.state,
            action="negotiate a new one",
        )


def end(db: Session, exchange: Exchange, code: str, now: datetime) -> None:
    """End what is held when the provider ends a transfer because its agreement is over; nothing for any other reason.

    code: of its termination message.  A second time changes nothing.  Records: dataspace:agreement_ended.
    """
    target = {"agreement_expired": HeldState.EXPIRED, "agreement_terminated": HeldState.TERMINATED}
    target |= {"agreement_superseded": HeldState.TERMINATED}
    held = queries.held_as(db, exchange.participant_id, exchange.connector_id, exchange.subject)
    if held is None or code not in target or held.state != HeldState.IN_FORCE:
        return
    _end(db, held, target[code], "provider", code, now)


def expire(db: Session, held_id: str, now: datetime) -> None:
    """End what is held at the end of its term; before it, or once ended, nothing changes.

    Records: dataspace:agreement_ended.
    """
    held = queries.held(db, held_id)
    if held.state != HeldState.IN_FORCE or held.ends_at is None or held.ends_at > now:
        return
    _end(db, held, HeldState.EXPIRED, "service", "agreement_expired", now)


def _end(db: Session, held: HeldAgreement, target: HeldState, by: str, code: str, now: datetime) -> None:
    step = HELD_AGREEMENT.step(HeldState(held.state), target, [by])
    held.state, held.reason, held.ended_at = target, code, now
    db.add(held)
    db.flush()
    record(db, SERVICE_ACTOR, Tag(step.tag), now, facts=_facts(held) | {"by": by})


def _facts(held: HeldAgreement) -> Json:
    return {
        "held": held.id,
        "exchange": held.exchange_id,
        "buyer": held.buyer_id,
        "connector": held.connector_id,
        "agreement_sha256": sha256_hex(held.agreement.encode()),
        "document": held.document,
        "contract": held.contract or None,
        "state": held.state,
    }


def _said(
    db: Session, exchange: Exchange, taken: Sequence[Said], contract: Json | None, now: datetime, *, signed: bool
) -> Json:
    """The document of `contracts/documents/held-agreement.schema.json`."""
    who = {True: "buyer", False: "provider"}
    return {
        "type": KIND,
        "v": 1,
        "exchange": exchange.id,
        "buyer": exchange.participant_id,
        "connector": exchange.connector_id,
        "provider": connectors.registered(db, exchange.connector_id).participant_id,
        "dataset": exchange.subject,
        "agreement": exchange.agreement,
        "contract": contract["document"] if contract is not None and signed else None,
        "unsigned": None if signed else UNSIGNED,
        "said": [{"by": who[one.ours], "move": one.move, "message": one.sha256} for one in taken],
        "held_at": timestamp(now),
    }


def _contract_of(said: Sequence[Said]) -> Json | None:
    agreed = [one for one in said if one.move == "agree" and not one.ours]
    return _contract(agreed[-1].body) if agreed else None


def _contract(message: Json) -> Json | None:
    """Our extension of an agreement message.  Raises NotTheContract for one of another shape."""
    found = message.get(SIGNED)
    if found is None:
        return None
    shape = {"document": str, "content": dict, "signatures": list}
    if not isinstance(found, dict) or not all(isinstance(found.get(name), kind) for name, kind in shape.items()):
        raise NotTheContract(f"{SIGNED} has another shape", expected=", ".join(shape))
    return found


def _require_of_both(db: Session, exchange: Exchange, content: Json, agreement: Json) -> None:
    """Raises NotTheContract: the contract is between others than this exchange, or permits something else."""
    provider = connectors.registered(db, exchange.connector_id).participant_id
    sides = {"provider": provider, "buyer": exchange.participant_id}
    expected = {side: participants.participant(db, one).credit_code for side, one in sides.items()}
    try:
        parties = {side: content["parties"][side]["credit_code"] for side in sides}
        bound = binds(described.offered(exchange.subject, content["uses"]), agreement)
    except (AttributeError, KeyError, TypeError) as error:
        raise NotTheContract("the contract lacks parties or uses", expected="agreement.schema.json") from error
    if parties != expected:
        raise NotTheContract("the contract is between others", expected=" and ".join(expected.values()))
    if not bound:
        raise NotTheContract("the contract has other uses than the agreement", expected="the rules of the last offer")


def _require_not_held(db: Session, exchange: Exchange, document: str) -> None:
    """Raises NotTheContract: the buyer holds this document already, from another exchange."""
    known = queries.holding_contract(db, exchange.participant_id, document)
    if known is not None and known.exchange_id != exchange.id:
        raise NotTheContract(
            "this contract was concluded in another negotiation", got=document, action="draft a new contract"
        )


def _signature_of(db: Session, participant_id: str, signatures: list[Any]) -> str:
    """The signature whose key is registered here for a participant."""
    known = {one.kid for one in participants.keys(db, participant_id)}
    for one in signatures:
        jws = one.get("jws") if isinstance(one, dict) else None
        if isinstance(jws, str) and read_header(jws).get("kid") in known:
            return jws
    raise BadSignature(
        "the contract bears no signature of the provider by a key that is registered here",
        expected=f"a registered key of {participant_id}",
        action="the provider registers its key here, or signs with a registered one",
    )


def _own_signatures(said: Sequence[Said]) -> Iterator[str]:
    """What the buyer signed by its own messages."""
    for one in said:
        signed = one.body.get(SIGNED)
        if one.ours and isinstance(signed, dict) and isinstance(signed.get("jws"), str):
            yield signed["jws"]


def _end_of(agreement: Json, contract: Json | None) -> datetime | None:
    """The end that the contract says, else the last end that every permission has.  Raises NotTheContract."""
    if contract is not None:
        try:
            return parse_timestamp(contract["content"]["ends_at"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotTheContract("the contract says no end", expected="ends_at, RFC 3339 with an offset") from error
    ends = [_until(rule) for rule in meaning_of(agreement).get("permission", [])]
    return max((one for one in ends if one is not None), default=None) if all(ends) else None


def _until(rule: Json) -> datetime | None:
    for one in rule.get("constraint", []):
        if (one.get("leftOperand"), one.get("operator")) in {("dateTime", "lteq"), ("dateTime", "lt")}:
            try:
                return parse_timestamp(str(one["rightOperand"]))
            except ValueError:
                return None
    return None
