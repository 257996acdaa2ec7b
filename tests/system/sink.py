"""A backend for campaigns: takes OTLP/HTTP and appends the ids of every span it accepts to a file.

    sink.py FILE [PORT]

The first line on stdout is {"port": PORT}. POST /be/ok, /be/slow (answers 200 ms after it has taken
the spans) or /be/down (503, takes nothing) change how it behaves. It can be killed and started
again on the same file and port. A record of the file is one request: CLOCK_MONOTONIC as a double,
the number of spans, and for each its trace id and span id.
"""
import gzip
import json
import signal
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

HEAD = struct.Struct("<dI")
IDS = 24  # bytes of a trace id and a span id
DELAY = 0.2


class State:
    mode = "ok"
    file = None
    lock = threading.Lock()
    never = threading.Event()  # a place to wait


def record(body):
    request = service.ExportTraceServiceRequest.FromString(body)
    ids = [s.trace_id + s.span_id for r in request.resource_spans
           for ss in r.scope_spans for s in ss.spans]
    with State.lock:
        State.file.write(HEAD.pack(time.monotonic(), len(ids)) + b"".join(ids))
        State.file.flush()


class Otlp(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/be/"):
            State.mode = self.path[4:]
            return self.answer(200)
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        mode = State.mode
        if mode == "down":
            return self.answer(503)
        record(body)
        if mode == "slow":
            State.never.wait(DELAY)
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # the collector is killed in the middle
            super().handle_error(request, client_address)


def read_records(path):
    """[(time, [trace id and span id, ...]), ...]; a record cut off by a kill was not answered."""
    with open(path, "rb") as f:
        data = f.read()
    at, records = 0, []
    while at + HEAD.size <= len(data):
        when, count = HEAD.unpack_from(data, at)
        at += HEAD.size
        ids = [data[i:i + IDS] for i in range(at, at + count * IDS, IDS)]
        at += count * IDS
        if at <= len(data):
            records.append((when, ids))
    return records


def main():
    State.file = open(sys.argv[1], "ab")
    server = Server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Otlp)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
