"""OpenTelemetry's SDK, where the extra `otel` is installed and a deployment says where its collector is."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from signoff.core.errors import UnavailableError
from signoff.foundation.settings import TelemetrySettings

Exporting = tuple[TracerProvider, MeterProvider]


@contextmanager
def exporting(settings: TelemetrySettings) -> Generator[Exporting | None]:
    """Where spans and measurements go while the block lasts; none where nobody collects them.

    Raises:
        UnavailableError: the extra is not installed.
    """
    if not settings.otlp_endpoint:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415  (extra)
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  (an extra)
        from opentelemetry.sdk.metrics import MeterProvider as Meters  # noqa: PLC0415  (an extra)
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415  (an extra)
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415  (an extra)
        from opentelemetry.sdk.trace import TracerProvider as Tracers  # noqa: PLC0415  (an extra)
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise UnavailableError("SIGNOFF_TELEMETRY__OTLP_ENDPOINT needs: pip install 'signoff[otel]'.") from error
    base, resource = settings.otlp_endpoint.rstrip("/"), Resource.create({SERVICE_NAME: settings.service_name})
    tracers = Tracers(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{base}/v1/traces")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{base}/v1/metrics"))
    meters = Meters(metric_readers=[reader], resource=resource)
    try:
        yield tracers, meters
    finally:
        tracers.shutdown()
        meters.shutdown()
