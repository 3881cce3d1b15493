"""The crash loop at a reduced size: the embedded form, one kill of each of its long-lived processes."""

from __future__ import annotations

import random
from pathlib import Path

from marketplace.collection.dicom import read_header
from tests.harness.crash import figures
from tests.harness.customers import scans_to_send
from tests.harness.running import Embedded
from tests.harness.world import Place


class WithoutParser(Embedded):
    """Which is there only while a delivery is prepared."""

    KINDS = ("server", "signer", "witness")


def test_every_process_may_be_killed(story: Place, tmp_path: Path) -> None:
    copy = story.copy(tmp_path)
    result = figures(WithoutParser(copy), copy, 3, 11)
    assert result["kills_by_kind"] == {"server": 1, "signer": 1, "witness": 1}
    assert result["requests_answered"] > 10
    assert result["violations"] == 0, (result["first_violations"], result["wrong_refusals"])


def test_an_answer_before_its_commit_is_noticed(story: Place, tmp_path: Path) -> None:
    copy = story.copy(tmp_path)
    assert figures(WithoutParser(copy, bug="early"), copy, 2, 12)["violations"]


def test_what_a_customer_sends_holds_a_file_that_is_accepted(story: Place) -> None:
    accepted = {one for one in story.scans.rglob("*.dcm") if not read_header(str(one)).reason}
    drawn = [scans_to_send(story.scans, random.Random(seed)) for seed in range(500)]
    assert all(accepted & set(files) for files in drawn)
    assert any(len(accepted & set(files)) == 1 for files in drawn)  # broken files are sent too
