"""Numbers -> the text that Prometheus reads, by its own client library.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST
_KINDS = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One kind of number, with one value for each combination of its labels' values."""

    name: str
    """As Prometheus wants names: its unit last."""
    said: str
    kind: Literal["gauge", "counter"] = "gauge"
    labels: tuple[str, ...] = ()
    values: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    """By the values of the labels; of one without labels by ()."""


class _Once(Collector):
    """Gives what was measured already."""

    def __init__(self, measures: Iterable[Measure]) -> None:
        self._measures = tuple(measures)

    def collect(self) -> Iterator[Metric]:
        for one in self._measures:
            family = _KINDS[one.kind](one.name, one.said, labels=one.labels)
            for labels in sorted(one.values):
                family.add_metric(labels, one.values[labels])
            yield family


def exposition(measures: Iterable[Measure]) -> bytes:
    r"""Text of all measures; labels are escaped as the format has it.

    >>> exposition([Measure(name="n_slides", said="All.", labels=("of",), values={('a"b',): 2})])
    b'# HELP n_slides All.\n# TYPE n_slides gauge\nn_slides{of="a\\"b"} 2.0\n'
    """
    registry = CollectorRegistry()
    registry.register(_Once(measures))
    return generate_latest(registry)
