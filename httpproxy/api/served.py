"""The requests to /v1, counted: by operation and class of status, and how long they took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from httpproxy.api.metrics.samples import Sample
from httpproxy.telemetry.tally import Histogram, status_class


class Served:
    """What this process has answered. Streams count when they end, and have no time."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str]] = Counter()
        self._seconds: dict[str, Histogram] = {}

    def note(self, operation: str, status: int, seconds: float | None) -> None:
        """An answer has gone out, or is about to."""
        self._requests[operation, status_class(status)] += 1
        if seconds is not None:
            self._seconds.setdefault(operation, Histogram()).note(seconds)

    def samples(self) -> Iterator[Sample]:
        """The counts, as metrics."""
        for labels, count in self._requests.items():
            yield Sample("api_requests", labels, count)
        for operation, histogram in self._seconds.items():
            yield Sample("api_request_seconds", (operation,), histogram)
