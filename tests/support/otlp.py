"""A receiver of OpenTelemetry's spans: OTLP over HTTP, as collectors take it."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from tests.support.waiting import wait_until

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


@dataclass(frozen=True)
class Received:
    """A span, as it came."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty: it is the root of its trace."""
    links: list[str]
    """Spans that it points to, by their ids."""
    attributes: dict[str, Any]
    failed: bool
    said: str
    """What its status says."""
    events: list[tuple[str, dict[str, Any]]]
    pid: int
    """Of the process that made it, as its resource says; 0: it does not say."""


@dataclass
class Receiver:
    """The server, on a port of this machine. A context manager."""

    spans: list[Received] = field(default_factory=list)

    def __enter__(self) -> Self:
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                spans.extend(read(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where exporters send traces."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"

    def one(self, name: str, **attributes: Any) -> Received:
        """Return the one span of a name with such attributes; `toril_task=` is `toril.task`."""
        wanted = {key.replace("_", ".", 1): value for key, value in attributes.items()}
        found = [
            span
            for span in self.spans
            if span.name == name and wanted.items() <= span.attributes.items()
        ]
        assert len(found) == 1, (name, wanted, len(found), [span.name for span in self.spans])
        return found[0]

    async def until(self, many: int) -> None:
        """Wait until so many spans have come."""
        await wait_until(
            lambda: len(self.spans) >= many,
            what=f"{many} spans; there are {sorted(span.name for span in self.spans)}",
        )


def exporting(url: str, *, at_once: bool = False, pid: int = 0) -> TracerProvider:
    """Return what makes spans and sends them there; `at_once`: as each ends, not in batches."""
    provider = TracerProvider(resource=Resource({"process.pid": pid}))
    exporter = OTLPSpanExporter(endpoint=url, timeout=10)
    processor = SimpleSpanProcessor if at_once else BatchSpanProcessor
    provider.add_span_processor(processor(exporter))
    return provider


def read(body: bytes) -> list[Received]:
    """Return the spans of a request of an exporter."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Received(
            name=span.name,
            kind=KINDS[span.kind],
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            links=[link.span_id.hex() for link in span.links],
            attributes=_plain(span.attributes),
            failed=span.status.code == 2,
            said=span.status.message,
            events=[(event.name, _plain(event.attributes)) for event in span.events],
            pid=_plain(resource.resource.attributes).get("process.pid", 0),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
