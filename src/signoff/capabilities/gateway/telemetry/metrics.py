"""Counts of calls for Prometheus, by organisation, as only its own keys may see them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from signoff.capabilities.gateway.asking import NOBODY, CallRecord
from signoff.core.values import value

CONTENT_TYPE = CONTENT_TYPE_LATEST
MAX_ORGANISATIONS = 1_000
"""Of so many organisations counts are kept; the one unused longest begins anew."""
MAX_MODELS = 500
"""So many models of an organisation are told apart; the others count as `other`."""
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
MICRO_USD = 1_000_000


@value
class Gauge:
    """How something stands now.

    Attributes:
        name, about: of what.
        values: by the labels' values.
        labels: their names.
    """

    name: str
    about: str
    values: Sequence[tuple[Sequence[str], float]]
    labels: Sequence[str] = ()


class CallMetrics:
    """A recorder of calls that counts them, since this process began.

    Attributes:
        dropped: how many records were not kept, as whoever keeps them knows.
    """

    def __init__(self) -> None:
        self._series: OrderedDict[UUID, _Series] = OrderedDict()
        self.dropped: Callable[[], int] = lambda: 0

    def record(self, record: CallRecord) -> None:
        """Count one call."""
        org_id = record.asked.caller.org_id
        if org_id == NOBODY.org_id:
            return
        series = self._series.get(org_id)
        if series is None:
            series = self._series[org_id] = _Series()
            if len(self._series) > MAX_ORGANISATIONS:
                self._series.popitem(last=False)
        self._series.move_to_end(org_id)
        series.count(record)

    def text(self, org_id: UUID, projects: Collection[str], gauges: Sequence[Gauge] = ()) -> bytes:
        """What Prometheus reads: the counts of these projects, how other things stand, and what this process lost."""
        lost = Gauge("signoff_call_records_dropped", "Records of calls that were not kept.", [((), self.dropped())])
        return generate_latest(_Shown(self._series.get(org_id), projects, (*gauges, lost)))


class _Series:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        who = ("project", "environment", "model")
        self._calls = Counter(
            "signoff_model_calls", "Calls to the gateway.", (*who, "kind", "outcome", "cached"), registry=self.registry
        )
        self._tries = Counter("signoff_model_tries", "Calls to models.", (*who, "outcome"), registry=self.registry)
        self._tokens = Counter(
            "signoff_model_tokens", "Tokens read and written.", (*who, "type"), registry=self.registry
        )
        self._cost = Counter("signoff_model_cost_usd", "What calls cost, in US dollars.", who, registry=self.registry)
        self._seconds = Histogram(
            "signoff_model_call_seconds",
            "How long calls took.",
            (*who, "kind"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._first = Histogram(
            "signoff_model_first_token_seconds",
            "How soon the first token came.",
            who,
            buckets=SECONDS,
            registry=self.registry,
        )
        self._models: set[str] = set()
        self._children: dict[tuple[Counter | Histogram, tuple[str, ...]], Any] = {}

    def count(self, record: CallRecord) -> None:
        caller = record.asked.caller
        where = (caller.project, caller.environment)
        who = (*where, self._named(record.model))
        cached = "true" if record.cached else "false"
        self._of(self._calls, *who, record.kind, record.outcome, cached).inc()
        self._of(self._seconds, *who, record.kind).observe(record.latency_s)
        if record.first_token_s is not None:
            self._of(self._first, *who).observe(record.first_token_s)
        for tried in record.tried:
            own = (*where, self._named(tried.model))
            self._of(self._tries, *own, tried.outcome).inc()
            self._of(self._tokens, *own, "input").inc(tried.usage.input_tokens)
            self._of(self._tokens, *own, "output").inc(tried.usage.output_tokens)
            self._of(self._cost, *own).inc(tried.usage.cost.micro_usd / MICRO_USD)

    def _of(self, metric: Counter | Histogram, *labels: str) -> Any:
        """The series of these labels, kept: the library's own way to it checks them each time."""
        child = self._children.get((metric, labels))
        if child is None:
            child = self._children[(metric, labels)] = metric.labels(*labels)
        return child

    def _named(self, model: str) -> str:
        if model not in self._models:
            if len(self._models) >= MAX_MODELS:
                return "other"
            self._models.add(model)
        return model


class _Shown(CollectorRegistry):
    """As much of it as somebody may see."""

    def __init__(self, series: _Series | None, projects: Collection[str], gauges: Sequence[Gauge]) -> None:
        super().__init__()
        self._shown = series
        self._projects = projects
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for metric in self._shown.registry.collect() if self._shown is not None else ():
            metric.samples = [one for one in metric.samples if one.labels["project"] in self._projects]
            if metric.samples:
                yield metric
        for gauge in self._gauges:
            family = GaugeMetricFamily(gauge.name, gauge.about, labels=list(gauge.labels))
            for labels, number in gauge.values:
                family.add_metric(list(labels), number)
            yield family
