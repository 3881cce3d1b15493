"""A story clock that several processes share through a file, for a story told with workers of their own."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

from marketplace.kernel.clock import RunningStoryClock


class SharedStoryClock(RunningStoryClock):
    """The teller's clock: whenever it is moved, the file says what the story's time is at which moment."""

    def __init__(self, start: datetime, file: Path) -> None:
        super().__init__(start)
        self._file = file
        self._tell()

    def advance_to(self, moment: datetime) -> datetime:
        now = super().advance_to(moment)
        self._tell()
        return now

    def _tell(self) -> None:
        temporary = self._file.with_suffix(".new")
        temporary.write_text(f"{self.now().isoformat()} {time.time()}")
        temporary.replace(self._file)


class FollowingClock:
    """The clock of another process that follows the teller's file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        story, wall = self._file.read_text().split()
        return datetime.fromisoformat(story) + timedelta(seconds=time.time() - float(wall))
