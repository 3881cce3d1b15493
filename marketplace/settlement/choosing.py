"""What owners say beforehand: by which scheme a provider's sales are settled, and where shares are paid to."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json, sha256_hex
from marketplace.kernel.errors import Forbidden, Invalid
from marketplace.participants import queries as participants
from marketplace.settlement import queries
from marketplace.settlement.bank.queries import bank_account
from marketplace.settlement.models import BankAccount, SchemeChoice
from marketplace.settlement.schemas import BankAccountIn, PartName, SchemeChoiceIn
from marketplace.settlement.waterfall import scheme

TREASURY = "treasury"


class NotAProvider(Forbidden):
    """Only a provider chooses how its sales are settled."""


class UnknownOwner(Invalid):
    """A share goes to a participant, or to a named part of the provider."""


class NotTheTreasury(Invalid):
    """Income that is the treasury's does not go to the provider itself."""


def choose_scheme(db: Session, actor: Actor, asked: SchemeChoiceIn, now: datetime) -> SchemeChoice:
    """Choose the scheme for what is settled from now on, and who gets each role's share.

    Raises NotAProvider, NoSuchScheme, UnknownOwner, NotTheTreasury.  Records: settlement:scheme_chosen.
    """
    if not actor.has(Role.PROVIDER):
        raise NotAProvider("choosing a scheme needs the role provider", got=", ".join(sorted(actor.roles)))
    chosen = scheme(asked.scheme)
    owners: Json = {}
    for role, owner in sorted(asked.owners.items()):
        owners[role] = _owner(db, actor, role, owner)

    found = queries.choice(db, actor.participant)
    made = found or SchemeChoice(provider_id=actor.participant, scheme="", owners={}, chosen_at=now)
    made.scheme, made.owners, made.chosen_at = chosen.id, owners, now
    db.add(made)
    db.flush()

    facts = {"provider": actor.participant, "scheme": chosen.id, "owners": owners}
    record(db, actor, Tag.SCHEME_CHOSEN, now, facts=facts)
    return made


def set_account(db: Session, actor: Actor, asked: BankAccountIn, now: datetime) -> BankAccount:
    """Say where the caller, or a part of it such as `department`, is paid.  Records: settlement:bank_account_set."""
    owner = f"{actor.participant}:{asked.part}" if asked.part else actor.participant

    found = bank_account(db, owner)
    made = found or BankAccount(owner=owner, set_by=actor.participant, holder="", account="", bank="", set_at=now)
    made.holder, made.account, made.bank, made.set_at = asked.holder, asked.account, asked.bank, now
    db.add(made)
    db.flush()

    # The number itself stays out of the log; its hash shows later which one it was.
    told = sha256_hex(f"{owner} {asked.bank} {asked.account} {asked.holder}".encode())
    record(db, actor, Tag.BANK_ACCOUNT_SET, now, facts={"owner": owner, "account_sha256": told})
    return made


def _owner(db: Session, actor: Actor, role: str, owner: str) -> str:
    participant, _, part = owner.partition(":")
    if role == TREASURY and participant == actor.participant and part != TREASURY:
        raise NotTheTreasury(
            "non-tax revenue is paid to the treasury, not back to who earned it",
            expected=f"{actor.participant}:{TREASURY}, or the participant that collects for it",
            got=owner,
        )
    if part and (participant != actor.participant or part not in get_args(PartName)):
        parts = " or ".join(get_args(PartName))
        raise UnknownOwner("a part belongs to the provider itself", expected=f"{actor.participant}:{parts}")
    if not participants.known(db, participant):
        raise UnknownOwner("a share goes to a participant", expected="the id of a participant, GET /v1/participants")
    return owner
