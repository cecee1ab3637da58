"""What one simulated search came to."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

from orchestrator.record import Record


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Seconds are virtual.

    Attributes:
        record: the same as of a real run.
        seconds: from the start to the last report.
        improvements: (second, loss) whenever a report was the best so far; those of curves that failed do not count.
        waited: what workers waited for proposals until the last trial was handed out, as a share of their time.
    """

    record: Record
    seconds: float
    improvements: tuple[tuple[float, float], ...]
    waited: float

    def loss_at(self, second: float) -> float:
        """The best loss reported until then; infinite before the first."""
        reported = bisect_right(self.improvements, second, key=lambda improvement: improvement[0])
        return self.improvements[reported - 1][1] if reported else math.inf

    def seconds_to(self, loss: float) -> float:
        """When a loss so low was first reported; infinite if never."""
        return next((second for second, reached in self.improvements if reached <= loss), math.inf)
