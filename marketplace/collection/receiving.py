"""A tar becomes stored, parsed files: streamed member by member, outside any transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from marketplace.collection import dicom, rules
from marketplace.collection.dicom import Parsed
from marketplace.collection.rules import Reason
from marketplace.collection.tar import Member, Readable, TarReader
from marketplace.kernel.canonical import digest
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.sandbox import Failure

_LIMITS = {"time_limit": Reason.TIME_LIMIT, "memory_limit": Reason.MEMORY_LIMIT}


@dataclass(frozen=True)
class Received:
    """One member as it came in.  sha256: empty unless stored; parsed: facts, or the reason to leave it out."""

    position: int
    label: str
    sha256: str
    bytes: int
    parsed: Parsed


def receive(runtime: Runtime, stream: Readable) -> list[Received]:
    """Store every regular file of a tar and read its header in the sandbox; the result is in the order of the tar.

    Files are durable in the object store when this returns.  Raises BrokenTar, TarTooLarge.
    """
    limit = runtime.settings.upload_limit_mib << 20
    tar = TarReader(stream, limit=2 * limit)
    taken = [_take(runtime, tar, member, limit) for member in tar.members() if member.kind != "folder"]
    return _parsed(runtime, taken)


def content_of(received: Sequence[Received]) -> str:
    """A hash that is the same whenever the same tar is sent, whatever the sandbox made of it."""
    return digest([[one.position, one.label, one.sha256, one.bytes] for one in received])


def _take(runtime: Runtime, tar: TarReader, member: Member, limit: int) -> Received:
    """Store one member, or say why not."""
    reason = _unwanted(member, limit)
    if reason is not None:
        return Received(member.position, rules.label(member.name, ""), "", member.size, Parsed(reason=reason))
    stored = runtime.store.put(tar.content(), limit=limit)
    return Received(member.position, rules.label(member.name, stored.sha256), stored.sha256, stored.size, Parsed())


def _unwanted(member: Member, limit: int) -> Reason | None:
    if member.kind != "file":
        return Reason.LINK if member.kind == "link" else Reason.NOT_A_FILE
    if member.has_odd_name:
        return Reason.ODD_NAME
    return Reason.TOO_LARGE if member.size > limit else None


def _parsed(runtime: Runtime, taken: Sequence[Received]) -> list[Received]:
    hashes = list(dict.fromkeys(one.sha256 for one in taken if one.sha256))
    results = runtime.pool.run(dicom.read_header, [str(runtime.store.local_path(name)) for name in hashes])
    facts = dict(zip(hashes, _checked(results), strict=True))
    return [replace(one, parsed=facts[one.sha256]) if one.sha256 else one for one in taken]


def _checked(results: Sequence[Parsed | Failure]) -> Iterator[Parsed]:
    """Facts as they may enter the books: a child that parsed a hostile file is believed no more than the file."""
    for result in results:
        if isinstance(result, Failure):
            yield Parsed(reason=_LIMITS.get(result.reason, Reason.BROKEN))
            continue
        checked = Parsed(
            reason=Reason(result.reason) if result.reason else "",
            study=rules.uid(result.study),
            series=rules.uid(result.series),
            instance=rules.uid(result.instance),
            sop_class=rules.uid(result.sop_class),
            transfer_syntax=rules.uid(result.transfer_syntax),
            modality=rules.code(result.modality),
            body_part=rules.code(result.body_part),
            rows=min(max(0, int(result.rows)), 2**31 - 1),
            columns=min(max(0, int(result.columns)), 2**31 - 1),
            has_private=bool(result.has_private),
        )
        complete = checked.reason or (checked.study and checked.series and checked.instance)
        yield checked if complete else Parsed(reason=Reason.BROKEN)
