"""OpenTelemetry: a span for each request, a child of the client's where it sent one. Needs the extra 'otel'."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from vecdb.errors import MissingExtraError
from vecdb_server.config import TelemetrySection

if TYPE_CHECKING:
    import grpc

Span = Callable[[str, "grpc.ServicerContext"], AbstractContextManager[Any]]

_NOTHING = nullcontext()


def no_span(method: str, context: grpc.ServicerContext) -> AbstractContextManager[Any]:
    """Trace nothing."""
    return _NOTHING


def spans(section: TelemetrySection) -> tuple[Span, Callable[[], None]]:
    """Return what traces a request, and what ends the tracing.

    Raises:
        MissingExtraError: tracing is enabled and its packages are not installed.

    """
    if not section.enabled:
        return no_span, lambda: None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.propagate import extract
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind
    except ImportError as error:
        raise MissingExtraError(
            f"telemetry.enabled needs the extra 'otel', and {error.name} is not installed: `pip install -e '.[otel]'`"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": section.service_name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("vecdb.server")

    @contextmanager
    def span(method: str, context: grpc.ServicerContext) -> Iterator[None]:
        service, _, name = method.strip("/").partition("/")
        sent = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        about = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        # What a failed request says of itself may have data in it, so its exception is not recorded.
        with tracer.start_as_current_span(
            method.strip("/"), extract(sent), SpanKind.SERVER, about, record_exception=False
        ):
            yield

    return span, provider.shutdown
