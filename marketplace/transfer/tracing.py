"""From which delivery a leaked file came: clues of the file against signed manifests, and how sure that is.

Pure.  What a clue shows is always the same: whoever made the file held a file of that delivery.  It does not show who
passed it on.  A clue that fits several deliveries tells none of them apart and is told as such.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from marketplace.kernel.canonical import Json
from marketplace.transfer.leaked import Leaked
from marketplace.transfer.marks import Mark, mark_of, sealed
from marketplace.transfer.pseudonyms import new_name
from marketplace.usage.obligations import Transformation


class Certainty(StrEnum):
    """How sure a finding is, the surest first.

    proven: the very bytes stand in a signed manifest; keyed: an identifier or mark of this very file that only the
    service's key makes; likely: one of its study, its person or its delivery, which could have been put on another
    file; claimed: words that anybody could have written; version_only: the content is of a version, nothing says of
    which delivery.
    """

    PROVEN = "proven"
    KEYED = "keyed"
    LIKELY = "likely"
    CLAIMED = "claimed"
    VERSION_ONLY = "version_only"


_ORDER = list(Certainty)
# certainty, word, sentence
Found = tuple[Certainty, str, str]
# One file has one of each: where several deliveries have it too, it tells none of them apart.
_ONE_OF_EACH = frozenset({"hash", "instance", "series", "study"})


@dataclass(frozen=True)
class Known:
    """One delivery by its manifest.

    document: SHA-256 of the manifest; hashes: delivered file -> path; own: those that are files of the version as they
    are; instances, series, studies: UIDs in its paths, none of which any other delivery has if it is pseudonymised;
    tag: of its mark, may be empty.  Only the service has: secret, the agreement's key; persons: pseudonyms that it
    makes; pixels: of the version's files.
    """

    agreement: str
    buyer: str
    version: str
    document: str
    hashes: Mapping[str, str]
    own: frozenset[str]
    pseudonymised: bool
    studies: frozenset[str]
    series: frozenset[str]
    instances: frozenset[str]
    tag: str = ""
    secret: bytes | None = field(default=None, repr=False)
    persons: frozenset[str] = frozenset()
    pixels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Clue:
    """What ties a file to a delivery.  how: a word for it; detail: in a sentence."""

    certainty: Certainty
    how: str
    agreement: str
    buyer: str
    manifest: str
    detail: str


@dataclass(frozen=True)
class Answer:
    """What can be said of a file.  certainty: None = nothing; agreements: those it may have come from, by that clue."""

    certainty: Certainty | None
    agreements: tuple[str, ...]
    clues: tuple[Clue, ...]

    @property
    def traced(self) -> bool:
        """Whether it came from one delivery, as far as anything but words can show."""
        sure = self.certainty in {Certainty.PROVEN, Certainty.KEYED, Certainty.LIKELY}
        return sure and len(self.agreements) == 1


def known_delivery(
    manifest: Json,
    document: str,
    *,
    secret: bytes | None = None,
    people: Sequence[str] = (),
    pixels: Sequence[str] = (),
) -> Known:
    """A delivery from its manifest.  secret, people (the version's own pseudonyms), pixels: where the service asks."""
    paths = {str(one["sha256"]): str(one["path"]) for one in manifest["files"]}
    parts = [path.removesuffix(".dcm").split("/") for path in paths.values() if path.count("/") == 2]
    studies, series, instances = (frozenset(one[place] for one in parts) for place in range(3))
    done = [one if isinstance(one, str) else one["action"] for one in manifest["transformations"]]
    return Known(
        agreement=str(manifest["agreement"]["id"]),
        buyer=str(manifest["buyer"]),
        version=str(manifest["version"]["id"]),
        document=document,
        hashes=paths,
        own=frozenset(one["sha256"] for one in manifest["files"] if one["sha256"] == one["source_sha256"]),
        pseudonymised=Transformation.PSEUDONYMISE in done,
        studies=studies,
        series=series,
        instances=instances,
        tag=str((manifest.get("mark") or {}).get("tag", "")),
        secret=secret,
        persons=frozenset(new_name(secret, one) for one in people) if secret is not None else frozenset(),
        pixels=frozenset(pixels),
    )


def trace(sha256: str, leaked: Leaked | None, deliveries: Sequence[Known]) -> Answer:
    """Everything that ties a file to the deliveries that are known, the surest first.

    leaked: None when the file cannot be read; its hash may still be known.
    """
    clues = [clue for one in deliveries for clue in _clues(sha256, leaked, one)]
    clues += _words(leaked, deliveries) if leaked is not None else ()
    clues = sorted(_apart(clues), key=lambda one: (_ORDER.index(one.certainty), one.agreement, one.how))
    if not clues:
        return Answer(None, (), ())
    best = clues[0].certainty
    fitting = [one.agreement for one in clues if one.certainty is best]
    return Answer(best, tuple(dict.fromkeys(fitting)), tuple(clues))


def _clues(sha256: str, leaked: Leaked | None, one: Known) -> Iterator[Clue]:
    found = list[Found]()
    if (path := one.hashes.get(sha256)) is not None:
        certainty = Certainty.VERSION_ONLY if sha256 in one.own else Certainty.PROVEN
        found.append((certainty, "hash", f"these very bytes are the delivered file {path}"))
    if leaked is not None:
        found += [*_of_identifiers(leaked, one), *_of_content(leaked, one)]
        found += [each for mark in leaked.marks for each in _of_mark(mark, leaked, one)]
    for certainty, how, detail in found:
        yield Clue(certainty, how, one.agreement, one.buyer, one.document, detail)


def _of_identifiers(leaked: Leaked, one: Known) -> Iterator[Found]:
    keyed, likely = Certainty.KEYED, Certainty.LIKELY
    if not one.pseudonymised:  # these are the version's own, whoever got it
        keyed = likely = Certainty.VERSION_ONLY
    if leaked.instance in one.instances:
        yield keyed, "instance", f"its SOP Instance UID is that of a delivered file: {leaked.instance}"
    for how, uid, known in (("series", leaked.series, one.series), ("study", leaked.study, one.studies)):
        if uid in known:
            yield likely, how, f"its {how.capitalize()} Instance UID is one of this delivery: {uid}"
    if others := set(leaked.uids) & (one.instances | one.series | one.studies) - _own(leaked):
        yield likely, "reference", f"it holds {len(others)} other UIDs of this delivery"


def _of_content(leaked: Leaked, one: Known) -> Iterator[Found]:
    if one.pseudonymised and set(leaked.persons) & one.persons:
        yield Certainty.LIKELY, "person", "a pseudonym in it is made for this agreement alone"
    if one.tag and Mark("", "", one.tag).creator in leaked.uids:
        yield Certainty.LIKELY, "creator", "its Instance Creator UID is the mark of this delivery"
    if leaked.pixels and leaked.pixels in one.pixels:
        detail = f"its pixels are those of a file of version {one.version}, which this delivery was made from"
        yield Certainty.VERSION_ONLY, "pixels", detail


def _own(leaked: Leaked) -> set[str]:
    return {leaked.instance, leaked.series, leaked.study}


def _of_mark(mark: Mark, leaked: Leaked, one: Known) -> Iterator[Found]:
    if one.secret is not None:
        made = mark_of(one.secret, one.agreement, one.buyer)
        if not hmac.compare_digest(made.tag, mark.tag):
            return
        bound = sealed(made, one.secret, leaked.instance).seal if leaked.instance else ""
        if bound and hmac.compare_digest(bound, mark.seal):
            yield Certainty.KEYED, "mark", "it bears the mark of this delivery, sealed for this very instance"
        else:
            yield Certainty.LIKELY, "mark", "it bears the mark of this delivery, but not sealed for these identifiers"
    elif one.tag and one.tag == mark.tag:
        yield (
            Certainty.LIKELY,
            "mark",
            "it bears the mark that the manifest names; the key of its seal is not here",
        )


def _words(leaked: Leaked, deliveries: Sequence[Known]) -> Iterator[Clue]:
    """What the file merely says of itself."""
    buyers = {one.agreement: (one.buyer, one.document) for one in deliveries}
    said = dict.fromkeys([*(mark.agreement for mark in leaked.marks), *leaked.named])
    for agreement in said:
        buyer, document = buyers.get(agreement, ("", ""))
        yield Clue(Certainty.CLAIMED, "words", agreement, buyer, document, f"it says that it was made for {agreement}")


def _apart(clues: Sequence[Clue]) -> Iterator[Clue]:
    """Clues that fit several deliveries do not tell them apart: such a one shows no more than the version."""
    for one in clues:
        same = {other.agreement for other in clues if other.how == one.how}
        if one.how not in _ONE_OF_EACH or len(same) == 1:
            yield one
        else:
            detail = f"{one.detail}; {len(same)} deliveries hold the same, so it does not tell them apart"
            yield Clue(Certainty.VERSION_ONLY, one.how, one.agreement, one.buyer, one.manifest, detail)
