"""One file of a version as it may leave: pure, run in resource-limited children, the same job gives the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO

import pydicom

from marketplace.transfer.attributes import hide, keep_only
from marketplace.transfer.marks import Mark, sealed, write_mark
from marketplace.transfer.pseudonyms import pseudonymise


@dataclass(frozen=True)
class Job:
    """One DICOM file and what is to be done to it.

    source: local file; secret: the agreement's key; pseudonyms: whether identifiers are made anew; attributes: keywords
    that may leave, None = all; hidden: keywords that may not; mark: None = no watermark.
    """

    source: str
    secret: bytes = field(repr=False)
    agreement: str
    pseudonyms: bool
    attributes: frozenset[str] | None
    hidden: frozenset[str]
    mark: Mark | None


@dataclass(frozen=True)
class Remade:
    """The file as it is delivered.  path: `<study>/<series>/<instance>.dcm` from its UIDs."""

    path: str
    body: bytes


def remake(job: Job) -> Remade:
    """Remake one file.  Raises whatever pydicom raises for a file it cannot read, and what `keep_only` raises."""
    dataset = pydicom.dcmread(job.source)
    if job.attributes is not None:
        keep_only(dataset, job.attributes)
    if job.hidden:
        hide(dataset, job.hidden)
    if job.pseudonyms:
        pseudonymise(dataset, job.secret, job.agreement)
    if job.mark is not None:
        write_mark(dataset, sealed(job.mark, job.secret, str(dataset.SOPInstanceUID)))
    dataset.preamble = b"\0" * 128
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    path = f"{dataset.StudyInstanceUID}/{dataset.SeriesInstanceUID}/{dataset.SOPInstanceUID}.dcm"
    return Remade(path, out.getvalue())
