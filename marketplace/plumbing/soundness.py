"""Whether this instance may still serve controlled data: not once its log is known to be behind or forked.

A log that cannot be continued cannot record uses, so nothing may be released.  There is no way back but a restart,
which asks the guard again.
"""

from __future__ import annotations

from dataclasses import dataclass

LOG_NOT_SOUND = "log_not_sound"
"""Reason code of a use that is refused because of it."""


@dataclass
class Soundness:
    """One per running instance.  trouble: in words, empty while all is well."""

    trouble: str = ""

    def lose(self, trouble: str) -> None:
        """Stop every use from now on; the first trouble is kept."""
        self.trouble = self.trouble or trouble

    @property
    def reason(self) -> str | None:
        """The reason code to refuse a use with; None while all is well."""
        return LOG_NOT_SOUND if self.trouble else None
