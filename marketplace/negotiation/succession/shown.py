"""What is shown of an agreement's acts, successors and assignments."""

from __future__ import annotations

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.differences import differences, paper_of_agreement
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.schemas import DifferenceOut, SignatureOut
from marketplace.negotiation.succession import queries
from marketplace.negotiation.succession.models import AgreementAct, AgreementSuccessor
from marketplace.negotiation.succession.schemas import ActOut, AssignmentOut, SuccessionOut, SuccessorOut


def succession(db: Session, agreement: Agreement) -> SuccessionOut:
    """Everything that followed a signed agreement, in order."""
    follows = queries.succession(db, agreement.id)
    return SuccessionOut(
        agreement_id=agreement.id,
        agreement_document=agreement.document,
        state=agreement.state,
        head=queries.head(db, agreement)[1],
        acts=[act(db, one) for one in queries.acts(db, agreement.id)],
        prepared=[act(db, one) for one in queries.prepared(db, agreement.id)],
        follows=successor(db, follows) if follows else None,
        successors=[successor(db, one) for one in queries.successors(db, agreement.id)],
        assignments=[AssignmentOut.model_validate(one) for one in queries.assignments(db, agreement.id)],
    )


def act(db: Session, one: AgreementAct) -> ActOut:
    """An act with its words and the signature that lies on it."""
    made = [SignatureOut.model_validate(kept) for kept in documents.signatures(db, one.document)]
    text = documents.content(db, one.document)["text"]
    return ActOut(**one.model_dump(), text=text, signature=made[0] if made else None)


def successor(db: Session, one: AgreementSuccessor) -> SuccessorOut:
    """A successor with what it changes and who has signed it."""
    old, new = (negotiation.agreement(db, name) for name in (one.predecessor_id, one.agreement_id))
    papers = [paper_of_agreement(documents.content(db, each.document)) for each in (old, new)]
    return SuccessorOut(
        **one.model_dump(),
        document=new.document,
        changes=[DifferenceOut.model_validate(each) for each in differences(*papers)],
        signatures=[SignatureOut.model_validate(kept) for kept in documents.signatures(db, new.document)],
    )
