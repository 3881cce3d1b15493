"""Proofs of use as a buyer makes them: written from what the service says is owed, signed here with the own key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from marketplace.client.api import ApiClient
from marketplace.kernel.canonical import Json, canonical
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.errors import Conflict, Invalid


class NothingToReport(Conflict):
    """All use under this agreement is reported."""


class NotACount(Invalid):
    """A use is given as PURPOSE=NUMBER."""


def report_use(
    client: ApiClient, agreement: str, uses: Mapping[str, int], *, results: Sequence[str], staff: Sequence[str]
) -> Any:
    """Hand in a report from where the last one ended until now, or until the end of the agreement.

    uses: how often data was taken, by purpose; results, staff: of the lists in `use-report.schema.json`.
    Returns the accepted report with every difference from the log.  Raises NothingToReport, ProblemError.
    """
    owed = client.get(f"/v1/agreements/{agreement}/duties")
    if owed["report_from"] is None:
        raise NothingToReport("no part of the term is left to report", got=agreement)
    report = _about(owed, "use-report") | {
        "period": {"from": _moment(owed["report_from"]), "to": _moment(owed["report_until"])},
        "uses": [{"purpose": purpose, "number": number} for purpose, number in sorted(uses.items())],
        "results": list(results),
        "staff": list(staff),
    }
    return _hand_in(client, f"/v1/agreements/{agreement}/use-reports", "report", report)


def certify_deletion(client: ApiClient, agreement: str, *, method: str, deleted_at: str | None = None) -> Any:
    """Certify that every delivery of an agreement that is over is deleted, backups included.

    method: of the list in `deletion-certificate.schema.json`; deleted_at: RFC 3339, None = now.
    Returns the accepted certificate.  Raises ProblemError.
    """
    owed = client.get(f"/v1/agreements/{agreement}/duties")
    certificate = _about(owed, "deletion-certificate") | {
        "deliveries": owed["delivered"],
        "method": method,
        "backups_deleted": True,
        "deleted_at": _moment(deleted_at or owed["as_of"]),
    }
    return _hand_in(client, f"/v1/agreements/{agreement}/deletion-certificates", "certificate", certificate)


def read_uses(given: Iterable[str]) -> dict[str, int]:
    """Counts as they are typed: `model_training=3`.  Raises NotACount."""
    uses: dict[str, int] = {}
    for one in given:
        purpose, equals, number = one.partition("=")
        if not equals or not number.isdecimal() or purpose in uses:
            raise NotACount("say how often data was taken for each purpose, once", expected="PURPOSE=NUMBER", got=one)
        uses[purpose] = int(number)
    return uses


def _about(owed: Json, kind: str) -> Json:
    agreement = {"id": owed["agreement_id"], "sha256": owed["agreement_document"]}
    return {"type": kind, "v": 1, "agreement": agreement}


def _hand_in(client: ApiClient, path: str, name: str, document: Json) -> Any:
    jws = client.signer.sign_detached(canonical(document), typ=f"{document['type']}+jws")
    return client.post(path, {name: document, "jws": jws})


def _moment(text: str) -> str:
    return timestamp(parse_timestamp(text))
