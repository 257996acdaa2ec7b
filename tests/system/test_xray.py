"""Exporter "xray": what an SDK sends is what X-Ray has, whatever the service answers on the way."""
import http.client
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aws import REGION
from harness import KEEP_ALL, PATIENCE, config, exporter, fields
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SOON = {"initial_interval": "10ms", "max_interval": "20ms"}


class Front:
    """Stands before X-Ray: answers by itself while `answers` has something, else passes on as it came."""

    def __init__(self, target):
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = front.answer(json.loads(body)) or front.pass_on(self, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.target = target.removeprefix("http://")
        self.answers = lambda body: None
        self.bodies = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, body):
        self.bodies.append(body)
        return self.answers(body)

    def pass_on(self, request, body):
        connection = http.client.HTTPConnection(self.target, timeout=PATIENCE)
        connection.putrequest("POST", request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        result = answer.status, answer.read()
        connection.close()
        return result


@pytest.fixture
def front(judge):
    front = Front(judge.url)
    yield front
    front.server.shutdown()
    front.server.server_close()


@pytest.fixture
def xray(start, judge):
    """xray(endpoint, ...) runs a collector that sends there. wait: until a trace is decided."""
    def start_one(endpoint, tail=KEEP_ALL, wait="100ms", **options):
        options = {"batch": {"timeout": "0s"}, "retry": SOON, "circuit": {"probe": "20ms"}, **options}
        if endpoint.startswith("http"):
            options["region"] = REGION
        return start(config(exporter("xray", endpoint=endpoint, **options), tail=tail, wait=wait), judge.env)
    return start_one


class Application:
    """Makes spans, and keeps what it has sent."""

    def __init__(self, collector):
        self.sent = InMemorySpanExporter()
        self.provider = TracerProvider(resource=Resource.create({"service.name": "shop", "service.version": "1.2"}))
        for each in (self.sent, OTLPSpanExporter(f"http://{collector.http}/v1/traces")):
            self.provider.add_span_processor(SimpleSpanProcessor(each))
        self.tracer = self.provider.get_tracer("test")

    def order(self):
        """A server's span, and in it a call that fails; their X-Ray trace id."""
        with self.tracer.start_as_current_span("POST /orders", kind=trace.SpanKind.SERVER) as root:
            root.set_attributes({"http.request.method": "POST", "url.path": "/orders", "server.address": "shop.example",
                                 "http.response.status_code": 502, "aws.xray.annotation.team": "red", "items": 3})
            try:
                with self.tracer.start_as_current_span("charge", kind=trace.SpanKind.CLIENT) as call:
                    call.set_attribute("peer.service", "bank")
                    raise OSError("no money")
            except OSError:
                pass
        number = f"{root.get_span_context().trace_id:032x}"
        return f"1-{number[:8]}-{number[8:]}"

    def spans(self):
        return {f"{s.context.span_id:016x}": s for s in self.sent.get_finished_spans()}


def assert_all_there(judge, application, traces):
    documents = judge.segments(traces)
    assert documents.keys() == application.spans().keys()
    return documents


def test_spans_of_an_sdk_are_segments_and_subsegments(judge, xray):
    collector = xray(judge.url)
    application = Application(collector)
    traces = [application.order()]
    collector.wait_delivered(2)
    documents = assert_all_there(judge, application, traces)
    root = next(d for d in documents.values() if "parent_id" not in d)
    call = next(d for d in documents.values() if "parent_id" in d)
    assert (root["name"], root["trace_id"], root["fault"], root["error"]) == ("shop", traces[0], True, False)
    assert root["http"]["request"] == {"method": "POST", "url": "http://shop.example/orders"}
    assert root["http"]["response"] == {"status": 502, "content_length": 0}
    assert root["annotations"] == {"team": "red"} and root["metadata"]["default"]["items"] == 3
    assert root["service"] == {"version": "1.2"} and "type" not in root
    assert root["start_time"] == application.spans()[root["id"]].start_time / 1e9
    assert (call["name"], call["type"], call["namespace"]) == ("bank", "subsegment", "remote")
    assert call["parent_id"] == root["id"] and call["fault"]
    exception = call["cause"]["exceptions"][0]
    assert (exception["type"], exception["message"]) == ("OSError", "no money")
    assert exception["stack"][0]["path"].endswith("test_xray.py")


def test_refused_keys_hold_the_queue_and_lose_nothing(judge, front, xray):
    front.answers = lambda body: (403, b'{"message":"The security token included in the request is invalid"}')
    collector = xray(front.url)
    application = Application(collector)
    traces = [application.order() for _ in range(4)]
    collector.wait_line(lambda x: "the endpoint fails" in x)
    metrics = collector.wait_metrics(lambda m: m.total("moontail_export_failures_total") >= 5)
    assert metrics.total("moontail_export_delivered_spans_total") == 0
    assert collector.get("/readyz")[0] == 200
    front.answers = lambda body: None
    traces.append(application.order())
    collector.wait_delivered(10)
    assert_all_there(judge, application, traces)
    assert collector.get("/readyz")[0] == 200
    assert collector.output().count("the endpoint fails") == 1
    assert collector.scrape().total("moontail_export_lost_spans_total") == 0


OWN = """exporter { name = "own", doc = "in Lua too", batch = { timeout = "0s" },
  encode = function(batch)
    return { url = "%s/v1/traces", body = batch:otlp(), headers = { ["content-type"] = "application/x-protobuf" } }
  end }"""


def test_an_xray_that_never_answers_keeps_nobody_else_waiting(judge, front, start, backend):
    """Neither senders nor other exporters, in C or in Lua: bench/beside says how long they take."""
    answered = threading.Event()
    front.answers = lambda body: (answered.wait(120), None)[1]
    collector = start(config(", ".join([
        exporter("xray", endpoint=front.url, region=REGION, batch={"timeout": "0s"}, timeout="120s"),
        exporter("otlp", endpoint=backend.http, protocol="http/protobuf", batch={"timeout": "0s"}),
        OWN % backend.http])), judge.env)
    application = Application(collector)
    traces = [application.order() for _ in range(20)]  # each is answered before the next is sent
    delivered = "moontail_export_delivered_spans_total"
    metrics = collector.wait_metrics(lambda m: m.total(delivered, exporter="otlp") == 40
                                     and m.total(delivered, exporter="own") == 40)
    backend.wait(spans=80)
    assert front.bodies and metrics.total(delivered, exporter="xray") == 0
    assert metrics.total("moontail_export_failures_total") == 0
    answered.set()
    collector.wait_metrics(lambda m: m.total(delivered, exporter="xray") == 40)
    assert_all_there(judge, application, traces)


def test_throttling_and_failures_lose_nothing(judge, front, xray):
    answers = [(429, b'{"__type":"ThrottledException"}'), (500, b"{}"), (503, b""),
               (400, b'{"__type":"com.amazonaws.xray#ThrottlingException"}')]
    front.answers = lambda body: answers.pop() if answers else None
    collector = xray(front.url)
    application = Application(collector)
    traces = [application.order() for _ in range(2)]
    collector.wait_delivered(4)
    assert not answers
    assert_all_there(judge, application, traces)
    assert collector.scrape().total("moontail_export_lost_spans_total") == 0


def test_what_is_unprocessed_goes_again_or_is_counted(judge, front, xray):
    first = []

    def refuse(body):
        """The call is refused for good, the server's span for now."""
        documents = {d["name"]: d for d in map(json.loads, body["TraceSegmentDocuments"])}
        if first:
            return None
        first.append(documents)
        refused = [{"Id": documents["bank"]["id"], "ErrorCode": "MissingParam", "Message": "no"},
                   {"Id": documents["shop"]["id"], "ErrorCode": "ThrottledException", "Message": "slow down"}]
        return 200, json.dumps({"UnprocessedTraceSegments": refused}).encode()

    front.answers = refuse
    both = f'decision_wait_after_root = "100ms", {KEEP_ALL}'  # the root is sent last: they go together
    collector = xray(front.url, tail=both, wait="1h")
    traces = [Application(collector).order()]
    metrics = collector.wait_metrics(lambda m: m.total("moontail_export_delivered_spans_total") == 1)
    assert [d["name"] for d in judge.segments(traces).values()] == ["shop"]
    assert len(front.bodies) == 2
    assert metrics.total("moontail_export_lost_spans_total", reason="permanent") == 1
    assert metrics.by("moontail_export_script_total", "what") == {
        "documents": 2, "throttled": 1, "unprocessed.MissingParam": 1}
    assert "MissingParam: no" in fields(collector.wait_line(lambda x: "spans are lost" in x))["error"]


def test_requests_and_documents_stay_below_the_bounds(judge, front, xray):
    collector = xray(front.url, indexed_attributes=["indexed"], batch={"timeout": "200ms", "max_spans": 40})
    application = Application(collector)
    with application.tracer.start_as_current_span("all") as root:
        for _ in range(25):
            with application.tracer.start_as_current_span("small") as each:
                each.set_attribute("text", "é" * 15_000)
        with application.tracer.start_as_current_span("large") as large:
            large.set_attributes({"text": "x" * 70_000, "indexed": "yes"})
    number = f"{root.get_span_context().trace_id:032x}"
    collector.wait_delivered(27)
    assert sum(len(body["TraceSegmentDocuments"]) for body in front.bodies) == 27
    for body in front.bodies:
        assert len(body["TraceSegmentDocuments"]) <= 50
        assert sum(len(d.encode()) for d in body["TraceSegmentDocuments"]) <= 512 * 1024
    documents = assert_all_there(judge, application, [f"1-{number[:8]}-{number[8:]}"])
    cut = next(d for d in documents.values() if d["name"] == "large")
    assert "metadata" not in cut and cut["annotations"] == {"indexed": "yes"}
    assert collector.scrape().by("moontail_export_script_total", "what") == {"documents": 27, "without_metadata": 1}


def test_a_text_that_is_too_large_is_cut(judge, front, xray):
    collector = xray(front.url)
    application = Application(collector)
    with application.tracer.start_as_current_span("query") as span:
        span.set_attributes({"db.system": "mysql", "db.statement": "SELECT " + "é" * 70_000, "a": "b"})
    collector.wait_delivered(1)
    number = f"{span.get_span_context().trace_id:032x}"
    document, = assert_all_there(judge, application, [f"1-{number[:8]}-{number[8:]}"]).values()
    query = document["sql"]["sanitized_query"]
    assert query.startswith("SELECT éé") and query.endswith("é...") and len(query) > 8_000
    assert document["metadata"]["default"]["a"] == "b"
    assert collector.scrape().by("moontail_export_script_total", "what") == {"documents": 1, "without_whole_texts": 1}


@pytest.mark.parametrize("scheme", ["http", "udp"])
def test_a_batch_of_documents_that_are_all_too_large_is_lost(scheme, front, xray):
    collector = xray(front.url if scheme == "http" else "udp://127.0.0.1:9")
    with Application(collector).tracer.start_as_current_span("query") as span:
        span.set_attribute("aws.dynamodb.table_names", ["x" * 20] * 4_000)
    metrics = collector.wait_metrics(
        lambda m: m.total("moontail_export_lost_spans_total", reason="permanent") == 1)
    assert metrics.total("moontail_export_delivered_spans_total") == 0
    assert metrics.by("moontail_export_script_total", "what") == {
        "documents": 0, "too_large": 1}
    assert front.bodies == []
    assert fields(collector.wait_line(lambda x: "spans are lost" in x))["error"].endswith("too large")


def test_a_daemon_gets_a_datagram_a_document(xray):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(30)
        collector = xray(f"udp://127.0.0.1:{daemon.getsockname()[1]}")
        application = Application(collector)
        application.order()
        documents = {}
        while len(documents) < 2:
            header, document = daemon.recv(65536).split(b"\n", 1)
            assert json.loads(header) == {"format": "json", "version": 1}
            documents[json.loads(document)["id"]] = json.loads(document)
        assert documents.keys() == application.spans().keys()
        collector.wait_delivered(2)
