"""A second look that cries wolf would hold back every patient with a short name."""

from __future__ import annotations

import io

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from marketplace.governance import leaks


def _header(rescale_type: str, kernel: str) -> bytes:
    written = Dataset()
    written.file_meta = FileMetaDataset()
    written.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    written.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    written.SOPInstanceUID = "2.25.1"
    written.RescaleType, written.ConvolutionKernel = rescale_type, kernel
    buffer = io.BytesIO()
    written.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_a_patient_called_hu_is_not_found_in_hounsfield_units() -> None:
    raw = Dataset()
    raw.PatientName = "Hu^Zhiyuan"
    assert leaks.find(raw, _header("HU", "B70")) is None
    assert leaks.find(raw, _header("HU", "Hu kernel")) == "0018,1210"
    assert leaks.find(raw, _header("Zhiyuan", "B70")) == "0028,1054"
