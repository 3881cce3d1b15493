"""Making the files of a delivery from its plan, in rounds of bounded size; the same plan gives the same bytes."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from marketplace.assets.models import VersionFile
from marketplace.kernel.canonical import canonical
from marketplace.kernel.errors import Unavailable
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.sandbox import Failure
from marketplace.transfer.aggregates import Table, as_csv, as_json
from marketplace.transfer.body import Part
from marketplace.transfer.manifest import DeliveredFile, notice
from marketplace.transfer.marks import Mark, mark_of
from marketplace.transfer.plan import Plan
from marketplace.transfer.remaking import Job, Remade, remake
from marketplace.usage.obligations import Transformation

ROUND_BYTES = 64 << 20
NOTICE = "NOTICE.txt"
TABLES = ("aggregate.csv", "aggregate.json")
_REMADE = {
    Transformation.PSEUDONYMISE,
    Transformation.ONLY_ATTRIBUTES,
    Transformation.WATERMARK,
}


class FileNotRemade(Unavailable):
    """A file of the version could not be made ready for delivery."""


def make(runtime: Runtime, plan: Plan) -> Iterator[DeliveredFile]:
    """Every file of a delivery, kept in the object store.  Raises FileNotRemade."""
    mark = mark_under(runtime, plan)
    if Transformation.ATTRIBUTE in plan.transformations:
        text = notice(plan.agreement, plan.asset, plan.version, plan.provider_name, plan.uses, mark)
        yield DeliveredFile(_store(runtime, NOTICE, text), None, None)
    if plan.table is not None:
        yield from _tables(runtime, plan, plan.table, mark) if plan.smallest_group else ()
    elif not (plan.hidden or _REMADE & set(plan.transformations)):
        for source in plan.sources:
            yield DeliveredFile(Part(source.path, source.sha256, source.bytes), source.path, source.sha256)
    else:
        for round_ in _rounds(plan.sources):
            yield from _remake_round(runtime, round_, plan, mark)


def mark_under(runtime: Runtime, plan: Plan) -> Mark | None:
    """The mark of every file of a delivery, if its terms ask for one."""
    if Transformation.WATERMARK not in plan.transformations:
        return None
    agreement = plan.agreement
    return mark_of(agreement_secret(runtime.pseudonym_secret, agreement.id), agreement.id, agreement.buyer_id)


def agreement_secret(pseudonym_secret: bytes, agreement_id: str) -> bytes:
    """The key of an agreement's pseudonyms and marks, derived from the instance's secret: it lies in no database."""
    return hmac.digest(pseudonym_secret, b"pseudonyms/" + agreement_id.encode(), "sha256")


def _tables(runtime: Runtime, plan: Plan, table: Table, mark: Mark | None) -> Iterator[DeliveredFile]:
    said = {
        "type": "aggregate",
        "v": 1,
        "agreement": plan.agreement.id,
        "asset": plan.asset.id,
        "version": {"id": plan.version.id, "root": plan.version.root},
        "counted": "records",
        "mark": mark.text if mark else None,
    }
    bodies = as_csv(table, mark.text if mark else ""), canonical(said | as_json(table))
    for path, body in zip(TABLES, bodies, strict=True):
        yield DeliveredFile(_store(runtime, path, body), None, None)


def _remake_round(
    runtime: Runtime, sources: list[VersionFile], plan: Plan, mark: Mark | None
) -> Iterator[DeliveredFile]:
    secret = agreement_secret(runtime.pseudonym_secret, plan.agreement.id)
    jobs = [
        Job(
            str(runtime.store.local_path(one.sha256)),
            secret,
            plan.agreement.id,
            Transformation.PSEUDONYMISE in plan.transformations,
            plan.leaving.attributes,
            plan.hidden,
            mark,
        )
        for one in sources
    ]
    remade: list[Remade] = []
    for source, made in zip(sources, runtime.pool.run(remake, jobs), strict=True):
        if isinstance(made, Failure):
            raise FileNotRemade("a file of the version could not be remade", expected=source.path, got=made.reason)
        remade.append(made)
    with ThreadPoolExecutor(8) as writers:
        parts = writers.map(lambda one: _store(runtime, one.path, one.body), remade)
        for source, part in zip(sources, parts, strict=True):
            yield DeliveredFile(part, source.path, source.sha256)


def _rounds(sources: Sequence[VersionFile]) -> Iterator[list[VersionFile]]:
    """Files in rounds of bounded size, so that memory does not grow with the version."""
    waiting: list[VersionFile] = []
    size = 0
    for source in sources:
        waiting.append(source)
        size += source.bytes
        if size >= ROUND_BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _store(runtime: Runtime, path: str, content: bytes) -> Part:
    stored = runtime.store.put([content], limit=len(content))
    return Part(path, stored.sha256, stored.size)
