"""What crosses HTTP about duties; the signed documents are those of `contracts/documents/`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from marketplace.kernel.canonical import MAX_INTEGER
from marketplace.kernel.clock import parse_timestamp

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Result = Literal["none", "aggregate", "model", "records", "publication", "product"]
Staff = Literal["research", "data_science", "clinical", "actuarial", "quality_assurance", "regulatory", "teaching"]
Method = Literal["cryptographic_erasure", "overwriting", "physical_destruction"]


def _real(text: str) -> str:
    parse_timestamp(text)
    return text


def _true(said: bool) -> bool:
    if not said:
        raise ValueError("only true is a statement")
    return said


def _different(values: list[Any]) -> list[Any]:
    if len({repr(one) for one in values}) != len(values):
        raise ValueError("every value once")
    return values


Moment = Annotated[
    str,
    StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"),
    AfterValidator(_real),
    Field(json_schema_extra={"format": "date-time"}),
]
# Pydantic's Literal[1] takes true as well, and these bytes are signed: strict types take one spelling.
One = Annotated[int, Field(strict=True, ge=1, le=1)]
Yes = Annotated[bool, Field(strict=True), AfterValidator(_true)]
Different = AfterValidator(_different)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AgreementRef(_Document):
    """The agreement by id and by the hash of its document."""

    id: str = Field(min_length=1, max_length=80)
    sha256: Hash


class ReportedPeriod(_Document):
    """from is inside, to is not."""

    begins: Moment = Field(alias="from")
    ends: Moment = Field(alias="to")


class DeclaredUses(_Document):
    """How often data was taken for a purpose."""

    purpose: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_:.-]{1,63}$")
    number: int = Field(ge=0, le=MAX_INTEGER)


class UseReportDocument(_Document):
    """`contracts/documents/use-report.schema.json`: closed lists and numbers only, so no personal data."""

    type: Literal["use-report"]
    v: One
    agreement: AgreementRef
    period: ReportedPeriod
    uses: Annotated[list[DeclaredUses], Different] = Field(max_length=50)
    results: Annotated[list[Result], Different] = Field(min_length=1, max_length=6)
    staff: Annotated[list[Staff], Different] = Field(min_length=1, max_length=7)


class DeletionDocument(_Document):
    """`contracts/documents/deletion-certificate.schema.json`.  deliveries: SHA-256 of their manifests."""

    type: Literal["deletion-certificate"]
    v: One
    agreement: AgreementRef
    deliveries: Annotated[list[Hash], Different] = Field(min_length=1, max_length=1000)
    method: Method
    backups_deleted: Yes
    deleted_at: Moment


class UseReportIn(BaseModel):
    """A report of use with the buyer's detached JWS (typ `use-report+jws`) over its canonical bytes (RFC 8785)."""

    model_config = ConfigDict(extra="forbid")

    report: UseReportDocument
    jws: str = Field(max_length=4096)


class DeletionCertificateIn(BaseModel):
    """A certificate of deletion with the buyer's detached JWS (typ `deletion-certificate+jws`) over its bytes."""

    model_config = ConfigDict(extra="forbid")

    certificate: DeletionDocument
    jws: str = Field(max_length=4096)


class Difference(BaseModel):
    """A purpose for which the report declares another number of uses than the log tells."""

    purpose: str
    declared: int
    logged: int


class UseReportOut(BaseModel):
    """An accepted report; its exact bytes are at /v1/documents/{document}."""

    model_config = ConfigDict(from_attributes=True)

    document: str
    agreement_id: str
    period_from: datetime
    period_to: datetime
    uses: dict[str, int]
    differences: list[Difference]
    late: bool
    accepted_at: datetime
    entry_id: str


class DeletionCertificateOut(BaseModel):
    """An accepted certificate of deletion; its exact bytes are at /v1/documents/{document}."""

    model_config = ConfigDict(from_attributes=True)

    document: str
    agreement_id: str
    manifests: list[str]
    method: str
    deleted_at: datetime
    late: bool
    accepted_at: datetime
    entry_id: str


class DueOut(BaseModel):
    """A stretch of the term and by when its report is due at the latest."""

    model_config = ConfigDict(from_attributes=True)

    begins: datetime
    ends: datetime
    due_at: datetime


class DutyOut(BaseModel):
    """A proof that the buyer owes.  since: up to when use is reported, or when the agreement ended.

    due_at: for a deletion that has not begun, counted from the end of the term; null once nothing is owed any more.
    consequence_at: when a missing proof has consequences, 14 days after the demand.
    calendar: the latest dates of the reports to come.
    """

    kind: str
    days: int
    state: str
    since: datetime | None
    due_at: datetime | None
    reminded_at: datetime | None
    demanded_at: datetime | None
    consequence_at: datetime | None
    overdue_at: datetime | None
    calendar: list[DueOut]


class DutiesOut(BaseModel):
    """What a buyer owes under an agreement, as of a moment of the service's own clock.

    report_from, report_until: where the next report of use begins and may end by now, null when none is left.
    delivered: manifests a certificate of deletion has to name.
    """

    agreement_id: str
    agreement_document: str
    as_of: datetime
    report_from: datetime | None
    report_until: datetime | None
    delivered: list[str]
    duties: list[DutyOut]
