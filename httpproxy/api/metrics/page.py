"""Writes samples as Prometheus' text, or OpenMetrics, and puts several workers' together.

The formats, their escaping and their parser are prometheus_client's. Each worker's own
text is parsed and its families are joined by name; the label `worker` keeps them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isinf
from typing import Final

from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.process_collector import ProcessCollector

from httpproxy.api.metrics.names import BY_NAME, Family
from httpproxy.api.metrics.samples import Sample
from httpproxy.telemetry.tally import Histogram

_OPENMETRICS: Final = "application/openmetrics-text"
PLAIN: Final = exposition.CONTENT_TYPE_PLAIN_0_0_4


class _Given:
    """A collector of what it was given."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> list[Metric]:
        return self._metrics


def families(samples: Iterable[Sample], worker: str) -> list[Metric]:
    """The samples by family; those of a process get its worker's name."""
    found: dict[str, Metric] = {}
    for sample in samples:
        family = BY_NAME[sample.family]
        metric = found.get(family.name)
        if metric is None:
            metric = found[family.name] = Metric(family.name, family.says, family.kind)
        labels = dict(zip(family.labels, sample.labels, strict=True))
        if not family.shared:
            labels["worker"] = worker
        _add(metric, family, labels, sample.value)
    return list(found.values())


def _add(
    metric: Metric, family: Family, labels: dict[str, str], value: float | Histogram
) -> None:
    if not isinstance(value, Histogram):
        metric.add_sample(family.shown, labels, float(value))
        return
    count = 0
    for bound, count in value.cumulative():
        named = {**labels, "le": _bound(bound)}
        metric.add_sample(f"{family.name}_bucket", named, count)
    metric.add_sample(f"{family.name}_count", labels, count)
    metric.add_sample(f"{family.name}_sum", labels, value.total)


def _bound(seconds: float) -> str:
    return "+Inf" if isinf(seconds) else str(seconds)


class Interpreter:
    """What Python and the system say of this process, under their customary names."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def families(self, worker: str) -> Iterator[Metric]:
        """With the worker's name as a label."""
        for metric in self._registry.collect():
            labelled = Metric(metric.name, metric.documentation, metric.type)
            for sample in metric.samples:
                labels = {**sample.labels, "worker": worker}
                labelled.add_sample(sample.name, labels, sample.value)
            yield labelled


def parsed(text: str) -> list[Metric]:
    """The families of another worker's page. Raises ValueError."""
    return list(text_string_to_metric_families(text))


def joined(pages: Sequence[Iterable[Metric]]) -> list[Metric]:
    """The families of several pages, each once, with the samples of all."""
    found: dict[str, Metric] = {}
    for metric in (metric for page in pages for metric in page):
        known = found.get(metric.name)
        if known is None:
            known = found[metric.name] = Metric(metric.name, metric.documentation, metric.type)
        known.samples.extend(metric.samples)
    return list(found.values())


def written(metrics: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """The page and its media type, by what the client accepts."""
    given = _Given(metrics)
    if _OPENMETRICS in accept:
        page: bytes = openmetrics.generate_latest(given)  # type: ignore[no-untyped-call]  # theirs
        return page, openmetrics.CONTENT_TYPE_LATEST
    return exposition.generate_latest(given), PLAIN
