"""An OTLP backend for the tests, run as a process of its own so that it can be stopped and killed.

It takes OTLP over HTTP and gRPC, stores what it accepts, and answers as it is told. Its first line
on stdout is a JSON object with its ports. The control port understands:

    GET  /received            all accepted requests, concatenated: one TracesData body
    GET  /received?signal=S   the same of metrics, of logs
    GET  /wait?spans=N&t=S    answers when N spans are there (200) or after S seconds (504)
    GET  /wait?requests=N&t=S the same for requests that came, refused ones included
    GET  /wait?metrics=N&t=S  the same for data points; logs=N: for log records
    GET  /log                 [{"protocol", "headers", "status", "spans", "at", "encoding", "signal",
                                "items"}, ...]
    POST /behave              {"status": 503, "grpc": 14, "retry_after": 1, "times": 2, "reject": 3}
    POST /clear
"""
import functools
import gzip
import json
import sys
import threading
import time
import zlib
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

SIGNALS = {
    "traces": ("trace.v1.TraceService", trace_service_pb2.ExportTraceServiceRequest,
               trace_service_pb2.ExportTraceServiceResponse, "rejected_spans"),
    "metrics": ("metrics.v1.MetricsService", metrics_service_pb2.ExportMetricsServiceRequest,
                metrics_service_pb2.ExportMetricsServiceResponse, "rejected_data_points"),
    "logs": ("logs.v1.LogsService", logs_service_pb2.ExportLogsServiceRequest,
             logs_service_pb2.ExportLogsServiceResponse, "rejected_log_records"),
}
OK = {"status": 200, "grpc": 0, "times": 0, "reject": 0}


class Store:
    def __init__(self):
        self.changed = threading.Condition()
        self.clear()

    def clear(self):
        with self.changed:
            self.bodies, self.log = {signal: [] for signal in SIGNALS}, []
            self.items = dict.fromkeys(SIGNALS, 0)
            self.behaviour = dict(OK)
            self.changed.notify_all()

    def behave(self, new):
        with self.changed:
            self.behaviour = {**OK, **new}

    def next_behaviour(self):
        """What the next request gets; "times" counts down, 0 means for ever."""
        b = self.behaviour
        if b["times"]:
            left = b["times"] - 1
            self.behaviour = {**b, "times": left} if left else dict(OK)
        return b

    def take(self, protocol, signal, headers, body, encoding):
        """Stores one request. Returns the behaviour."""
        items = count_items(signal, SIGNALS[signal][1].FromString(body))
        with self.changed:
            b = self.next_behaviour()
            accepted = b["grpc"] == 0 if protocol == "grpc" else b["status"] == 200
            if accepted:
                self.bodies[signal].append(body)
                self.items[signal] += items
            self.log.append({
                "protocol": protocol, "headers": headers, "encoding": encoding, "signal": signal,
                "items": items, "spans": items if signal == "traces" else 0,
                "status": b["grpc"] if protocol == "grpc" else b["status"], "at": time.monotonic(),
                "bytes": len(body),
            })
            self.changed.notify_all()
        return b

    def wait(self, query):
        wanted = {signal: int(query.get("spans" if signal == "traces" else signal, 0))
                  for signal in SIGNALS}
        requests = int(query.get("requests", 0))
        with self.changed:
            return self.changed.wait_for(
                lambda: all(self.items[s] >= n for s, n in wanted.items())
                and len(self.log) >= requests, float(query["t"]))


def count_items(signal, request):
    if signal == "traces":
        return sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans)
    if signal == "logs":
        return sum(len(s.log_records) for r in request.resource_logs for s in r.scope_logs)
    metrics = [m for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics]
    return sum(len(getattr(m, m.WhichOneof("data")).data_points) for m in metrics
               if m.WhichOneof("data"))


store = Store()


def response_for(signal, behaviour):
    _, _, response_class, rejected = SIGNALS[signal]
    response = response_class()
    if behaviour["reject"]:
        setattr(response.partial_success, rejected, behaviour["reject"])
        response.partial_success.error_message = "told to reject"
    return response


class Otlp(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        encoding = self.headers.get("Content-Encoding", "identity")
        if encoding == "gzip":
            body = gzip.decompress(body)
        elif encoding == "deflate":
            body = zlib.decompress(body)
        signal = self.path.removeprefix("/v1/")
        behaviour = store.take("http", signal, dict(self.headers.items()), body, encoding)
        status = behaviour["status"]
        answer = response_for(signal, behaviour) if status == 200 else status_pb2.Status(message="told so")
        text = answer.SerializeToString()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(text)))
        if behaviour.get("retry_after"):
            self.send_header("Retry-After", str(behaviour["retry_after"]))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


def retry_info(seconds):
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=seconds)))
    return detail


def export(signal, body, context):
    metadata = {k: v for k, v in context.invocation_metadata() if isinstance(v, str)}
    behaviour = store.take("grpc", signal, metadata, body,
                           metadata.get("grpc-encoding", "identity"))
    if behaviour["grpc"]:
        if behaviour.get("retry_after"):
            status = status_pb2.Status(code=behaviour["grpc"], message="told so",
                                       details=[retry_info(behaviour["retry_after"])])
            context.set_trailing_metadata(
                [("grpc-status-details-bin", status.SerializeToString())])
        code = next(c for c in grpc.StatusCode if c.value[0] == behaviour["grpc"])
        context.abort(code, "told so")
    return response_for(signal, behaviour).SerializeToString()


class Control(BaseHTTPRequestHandler):
    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urlparse(self.path)
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        if url.path == "/received":
            with store.changed:
                body = b"".join(store.bodies[query.get("signal", "traces")])
            self.answer(200, body)
        elif url.path == "/wait":
            self.answer(200 if store.wait(query) else 504)
        elif url.path == "/log":
            with store.changed:
                body = json.dumps(store.log).encode()
            self.answer(200, body)
        else:
            self.answer(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/behave":
            store.behave(json.loads(body))
        elif self.path == "/clear":
            store.clear()
        self.answer(200)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a collector that goes away in the middle of an answer is part of the tests


def serve_http(handler, port=0):
    server = Server(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def serve_grpc(port=0):
    server = grpc.server(futures.ThreadPoolExecutor(8),
                         options=[("grpc.max_receive_message_length", 64 << 20),
                                  ("grpc.so_reuseport", 0)])
    for signal, (name, *_) in SIGNALS.items():
        handler = grpc.unary_unary_rpc_method_handler(functools.partial(export, signal))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            f"opentelemetry.proto.collector.{name}", {"Export": handler}),))
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port


def main():
    fixed = [int(a) for a in sys.argv[1:]] or [0, 0]
    keep, grpc_port = serve_grpc(fixed[1])
    print(json.dumps({"http": serve_http(Otlp, fixed[0]), "grpc": grpc_port,
                      "control": serve_http(Control)}), flush=True)
    keep.wait_for_termination()


if __name__ == "__main__":
    main()
