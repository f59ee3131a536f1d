"""The metrics of a split. Serve adds the labels application, deployment and replica."""

import time

from ray.serve.metrics import Counter, Histogram

# From a cached answer to a long generation.
_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]


class Metrics:
    """The split's metrics. Ray puts `ray_` before the names, and Prometheus' suffixes after them."""

    def __init__(self) -> None:
        tags = ("variant",)
        self._requests = Counter("llmpipeline_split_requests", "Requests passed to a variant.", tags)
        self._errors = Counter(
            "llmpipeline_split_errors", "Requests that a variant answered 5xx, not at all, or not to the end.", tags
        )
        self._first = Histogram(
            "llmpipeline_split_first_byte_seconds", "Until the variant's status and headers came.", _SECONDS, tags
        )
        self._whole = Histogram(
            "llmpipeline_split_latency_seconds", "Until the last byte of the variant's answer.", _SECONDS, tags
        )
        self._shadows = Counter(
            "llmpipeline_split_shadow_requests",
            "Copies of requests, by result: answered, failed (5xx or no answer) or skipped (too many at once).",
            ("app", "result"),
        )

    def request(self, variant: str) -> "Measured":
        """Count a request and start its clock."""
        tags = {"variant": variant}
        self._requests.inc(tags=tags)
        return Measured(self._errors, self._first, self._whole, tags)

    def shadow(self, app: str, result: str) -> None:
        """Count a copy."""
        self._shadows.inc(tags={"app": app, "result": result})


class Measured:
    """One request's clock. A client that leaves before the answer is over is counted as a request and nothing else."""

    def __init__(self, errors: Counter, first: Histogram, whole: Histogram, tags: dict[str, str]) -> None:
        self._errors, self._first, self._whole, self._tags = errors, first, whole, tags
        self._began = time.perf_counter()
        self._failed = False

    def started(self, status: int) -> None:
        """The variant's status is here."""
        self._first.observe(time.perf_counter() - self._began, tags=self._tags)
        self._failed = status >= 500

    def failed(self) -> None:
        """There is no answer, or no end of it."""
        self._failed = True

    def over(self) -> None:
        """The answer, or what there was of it, is sent."""
        if self._failed:
            self._errors.inc(tags=self._tags)
        self._whole.observe(time.perf_counter() - self._began, tags=self._tags)
