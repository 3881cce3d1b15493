"""Evidence files: told apart by content, checked each by itself and all together."""

from __future__ import annotations

from dataclasses import dataclass, field

from marketplace.audit.verifier import checks, heads, proofs, receipts
from marketplace.audit.verifier.bundle import MAX_BYTES, Bundle, read_bundle
from marketplace.audit.verifier.heads import ONE_LOG, Seen, Step, Trusted
from marketplace.audit.verifier.keys import NotSigned
from marketplace.audit.verifier.proofs import EntryText, Proof
from marketplace.audit.verifier.receipts import Held
from marketplace.audit.verifier.report import Report
from marketplace.audit.verifier.text import Unreadable

TOGETHER = "all files together"


@dataclass(frozen=True)
class Checkpoint:
    """A bare signed checkpoint."""

    note: str


@dataclass(frozen=True)
class Receipts:
    """A file of receipts."""

    jws: tuple[str, ...]


Content = Bundle | Proof | Checkpoint | Receipts | EntryText


@dataclass
class _Case:
    """All files of one question, and what they show together."""

    trusted: Trusted
    files: list[tuple[Report, Content]] = field(default_factory=list)
    held: Held = field(default_factory=Held)
    seen: list[Seen] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


def verify(file: str, data: bytes, log_key: str | None = None, witness_key: str | None = None) -> Report:
    """Check one file.  log_key, witness_key: verifier keys from elsewhere; else those in a bundle are used."""
    log, witness = (tuple(one for one in (key,) if one is not None) for key in (log_key, witness_key))
    return verify_all([(file, data)], log, witness)[0]


def verify_all(
    files: list[tuple[str, bytes | str]], log_keys: tuple[str, ...] = (), witness_keys: tuple[str, ...] = ()
) -> list[Report]:
    """Check files given together as (name, content, or text: why it cannot be read): a report for each, in order.

    Where several checkpoints are at hand one more report says whether they belong to one growing log.
    """
    case, reports = _Case(Trusted(log_keys, witness_keys)), list[Report]()
    for name, data in files:
        report = Report(name)
        reports.append(report)
        try:
            case.files.append((report, recognise(name, data)))
        except Unreadable as error:
            report.unreadable = str(error)
    _check_each(case)
    return reports + _check_growth(case)


def recognise(name: str, data: bytes | str) -> Content:
    """What a file is, by its content.  Raises Unreadable."""
    if isinstance(data, str):
        raise Unreadable(data)
    if len(data) > MAX_BYTES:
        raise Unreadable(f"longer than {MAX_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("not UTF-8") from error
    if text.startswith(proofs.HEADER):
        return proofs.read_proof(text)
    if "\n\n\N{EM DASH} " in text and not text.startswith("{"):
        return Checkpoint(text)
    if (found := receipts.read_receipts(text)) is not None:
        return Receipts(found)
    return proofs.read_entry_text(name, text) or read_bundle(data)


def _check_each(case: _Case) -> None:
    """Bundles first, because they tell keys; then proofs and checkpoints; then what is judged by all of these."""
    for report, content in case.files:
        if isinstance(content, Bundle):
            _check_bundle(case, report, content)
    told = next((content for _, content in case.files if isinstance(content, Bundle)), None)
    trusted = _told(case.trusted, told) if told else case.trusted
    for report, content in case.files:
        if isinstance(content, Proof | Checkpoint):
            _check_head(case, report, content, trusted)
    for report, content in case.files:
        if isinstance(content, EntryText):
            proofs.check_text(report, content, case.held.proven)
        elif jws := _receipts_in(content):
            receipts.check(report, jws, case.held)


def _check_bundle(case: _Case, report: Report, bundle: Bundle) -> None:
    trusted = _told(case.trusted, bundle)
    head = checks.check(report, bundle, trusted)
    case.held.add(bundle)
    if head is None:
        return
    case.seen.append(Seen(report.file, head))
    case.held.cosigned_at = max(case.held.cosigned_at, trusted.cosigned_at(head))
    case.steps += [Step(report.file, one.old_size, one.old_root, one.proof, head) for one in bundle.growth]
    older = [one.checkpoint for one in bundle.growth if one.checkpoint is not None]
    if older:
        asked = report.check("every older checkpoint in the bundle is signed too")
    for note in older:
        asked.counted += 1
        try:
            case.seen.append(Seen(f"{report.file}, older checkpoint", trusted.open(note)))
        except NotSigned as error:
            asked.fail("older checkpoint", str(error))


def _check_head(case: _Case, report: Report, content: Proof | Checkpoint, trusted: Trusted) -> None:
    if isinstance(content, Checkpoint):
        head, signed = trusted.check(report, content.note)
        head = head if signed else None
    else:
        texts = [one for _, one in case.files if isinstance(one, EntryText)]
        head, leaf = proofs.check(report, content, texts, trusted)
        if leaf is not None:
            case.held.proven[leaf.hex()] = content.index
    if head is not None:
        case.seen.append(Seen(report.file, head))
        case.held.origins.add(head.origin)
        case.held.cosigned_at = max(case.held.cosigned_at, trusted.cosigned_at(head))


def _receipts_in(content: Content) -> tuple[str, ...]:
    match content:
        case Receipts():
            return content.jws
        case Bundle():
            return content.receipts
        case _:
            return ()


def _check_growth(case: _Case) -> list[Report]:
    if len(case.seen) < 2 and not case.steps:
        return []
    alone = {report.file for report, _ in case.files}
    report = next((one for one, _ in case.files), None) if len(alone) == 1 else Report(TOGETHER)
    assert report is not None
    heads.one_log(report.check(ONE_LOG), case.seen, case.steps)
    return [report] if report.file == TOGETHER else []


def _told(trusted: Trusted, bundle: Bundle) -> Trusted:
    return Trusted(trusted.log, trusted.witness, bundle.log_key, bundle.witness_key, bundle.statements)
