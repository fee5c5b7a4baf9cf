"""Traces: one span a request, below the client's own; without the extra it is told what is missing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.served import Program, dialled
from vecdb_proto.v1.admin_service_pb2 import GetServerRequest

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Something that takes spans, and what it got."""
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_request_is_a_span_below_the_clients(tmp_path: Path, collector: tuple[str, list[bytes]]) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    url, got = collector
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
    with Program(tmp_path / "db", ["--set", "telemetry.enabled=true"], environment) as program:
        with dialled(program.target) as stubs:
            made: Any = stubs
            sent = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
            made.admin.GetServer(GetServerRequest(), metadata=sent)
        assert program.terminate() == 0

    spans = [
        span
        for data in got
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert [span.name for span in spans] == ["vecdb.v1.AdminService/GetServer"]
    assert (spans[0].trace_id.hex(), spans[0].parent_span_id.hex()) == (TRACE, PARENT)


def test_without_the_extra_it_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from vecdb.errors import MissingExtraError
    from vecdb_server.config import TelemetrySection
    from vecdb_server.telemetry import spans

    monkeypatch.setitem(sys.modules, "opentelemetry.propagate", None)

    with pytest.raises(MissingExtraError, match="needs the extra 'otel'"):
        spans(TelemetrySection(enabled=True))
