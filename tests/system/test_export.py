"""Backends that refuse, hang, die and come back; each is a process of its own."""
import contextlib
import signal
import socket
import threading

import pytest
from clients import post
from harness import config, exporter
from messages import assert_same_spans, request_with, span, spans_of, trace_id
from ports import free_ports

FAST_RETRY = {"initial_interval": "50ms", "max_interval": "200ms"}
SMALL_BATCH = {"max_spans": 10, "timeout": "20ms"}


def send(collector, first, count, spans=1):
    """`count` traces, each in a request of its own; the message of all."""
    merged = request_with()
    del merged.resource_spans[:]
    for i in range(first, first + count):
        request = request_with(*[span(trace_id(i), k + 1, k) for k in range(spans)])
        for k, s in enumerate(spans_of(request)):
            s.span_id = (i * 1000 + k + 1).to_bytes(8, "big")
            if k:
                s.parent_span_id = (i * 1000 + k).to_bytes(8, "big")
        assert post(collector.http, request.SerializeToString()).status == 200
        merged.MergeFrom(request)
    return merged


def otlp(backend, protocol="http/protobuf", **options):
    options = {"retry": FAST_RETRY, "batch": SMALL_BATCH, "timeout": "1s", **options}
    endpoint = backend.grpc if protocol == "grpc" else backend.http
    return exporter("otlp", endpoint=endpoint, protocol=protocol, **options)


@pytest.mark.parametrize("protocol, refusal", [
    ("http/protobuf", {"status": 503}), ("http/protobuf", {"status": 429}),
    ("http/protobuf", {"status": 502}), ("grpc", {"grpc": 14}), ("grpc", {"grpc": 4})])
def test_what_a_backend_refuses_is_sent_again(protocol, refusal, start, backend):
    collector = start(config(otlp(backend, protocol)))
    backend.behave(times=3, **refusal)
    sent = send(collector, 0, 5)
    assert_same_spans(backend.wait(spans=5), sent)
    metrics = collector.wait_delivered(5)
    assert metrics.total("moontail_export_lost_spans_total") == 0


@pytest.mark.parametrize("protocol, refusal", [
    ("http/protobuf", {"status": 400}), ("http/protobuf", {"status": 413}), ("grpc", {"grpc": 3})])
def test_what_a_backend_will_never_take_is_counted_as_lost(protocol, refusal, start, backend):
    collector = start(config(otlp(backend, protocol)))
    backend.behave(times=0, **refusal)
    send(collector, 0, 3)
    metrics = collector.wait_metrics(
        lambda m: m.total("moontail_export_lost_spans_total", reason="permanent") == 3)
    assert metrics.total("moontail_export_queued_spans") == 0
    backend.behave()
    sent = send(collector, 10, 2)
    assert_same_spans(backend.wait(spans=2), sent)


def test_retry_after_is_obeyed(start, backend):
    collector = start(config(otlp(backend)))
    backend.behave(status=503, retry_after=2, times=1)
    send(collector, 0, 1)
    backend.wait(spans=1)
    first, second = backend.log()
    assert second["at"] - first["at"] >= 1.9


def test_the_circuit_lets_one_probe_through(start, backend):
    """Five failures open it; then 1,000 queued batches cause one request a probe."""
    collector = start(config(otlp(
        backend, batch={"max_spans": 1, "timeout": "10ms"}, circuit={"failures": 5, "probe": "1s"})))
    backend.behave(status=503)
    sent = send(collector, 0, 1000)
    collector.wait_metrics(lambda m: m.total("moontail_export_queued_spans") == 1000)
    before = len(backend.log())
    backend.wait(requests=before + 4)
    times = [entry["at"] for entry in backend.log()[-4:]]
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert min(gaps) > 0.8, f"more than one request a probe: {gaps}"
    backend.behave()
    assert_same_spans(backend.wait(spans=1000), sent)
    collector.wait_delivered(1000)


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_credentials_hold_the_queue(status, start, backend):
    collector = start(config(otlp(backend, circuit={"failures": 5, "probe": "200ms"})))
    backend.behave(status=status)
    sent = send(collector, 0, 20)
    backend.wait(requests=3)
    metrics = collector.wait_metrics(lambda m: m.total("moontail_export_queued_spans") == 20)
    assert metrics.total("moontail_export_lost_spans_total") == 0
    backend.behave()
    assert_same_spans(backend.wait(spans=20), sent)


def test_another_endpoint_takes_over_and_the_first_is_used_again(start, backends):
    ports = free_ports(2)  # they stay its own while it is dead
    first, second = backends(ports), backends()
    collector = start(config(exporter(
        "otlp", endpoints=[first.http, second.http], protocol="http/protobuf", timeout="1s",
        retry=FAST_RETRY, batch=SMALL_BATCH, circuit={"failures": 2, "probe": "300ms"})))
    send(collector, 0, 3)
    collector.wait_delivered(3)  # or they go to the other one too
    first.kill()
    sent = send(collector, 10, 3)
    assert_same_spans(second.wait(spans=3), sent)
    again = backends(ports)
    number = 20
    while not spans_of(again.received()):
        send(collector, number, 1)
        number += 1
        assert number < 10000, "the first endpoint is never used again"
        collector.pause()
    collector.wait_metrics(lambda m: m.total("moontail_export_queued_spans") == 0)


def test_a_backend_that_hangs_loses_nothing(start, backend):
    collector = start(config(otlp(backend)))
    send(collector, 0, 2)
    collector.wait_delivered(2)  # or they wait too
    backend.signal(signal.SIGSTOP)
    send(collector, 10, 50)
    collector.wait_metrics(lambda m: m.total("moontail_export_queued_spans") == 50)
    backend.signal(signal.SIGCONT)
    collector.wait_delivered(52)
    got = backend.received()  # some came twice, if it hung for longer than a request may take
    assert {s.trace_id for s in spans_of(got)} >= {trace_id(i) for i in range(10, 60)}


def test_a_backend_that_dies_and_comes_back_gets_everything(start, backends):
    ports = free_ports(2)  # they stay its own while it is dead
    first = backends(ports)
    collector = start(config(otlp(first, circuit={"failures": 5, "probe": "200ms"})))
    first.kill()
    sent = send(collector, 0, 100)
    collector.wait_metrics(lambda m: m.total("moontail_export_queued_spans") == 100)
    second = backends(ports)
    assert_same_spans(second.wait(spans=100), sent)


def test_a_full_queue_drops_the_oldest_and_counts_it(start, backend):
    collector = start(config(otlp(backend, queue={"max_size": "1MiB", "on_full": "drop_oldest"},
                                  circuit={"probe": "500ms"})))
    backend.behave(status=503)
    name = "n" * 100_000
    for i in range(40):
        request = request_with(span(trace_id(i), name=name))
        assert post(collector.http, request.SerializeToString()).status == 200
    collector.wait_metrics(
        lambda m: m.total("moontail_export_enqueued_spans_total") == 40
        and m.total("moontail_export_circuit_open") == 1
        and m.total("moontail_export_lost_spans_total") >= 25)
    backend.behave()
    metrics = collector.wait_metrics(lambda m: m.total("moontail_export_queued_spans") == 0)
    lost = metrics.total("moontail_export_lost_spans_total", reason="outbox_full")
    assert 25 <= lost <= 35
    got = {s.trace_id for s in spans_of(backend.wait(spans=40 - int(lost)))}
    assert trace_id(39) in got and trace_id(0) not in got


def test_where_selects_what_an_exporter_gets(start, backends):
    all_, errors = backends(), backends()
    collector = start(config(
        exporter("otlp/all", endpoint=all_.http, protocol="http/protobuf") + ", "
        + exporter("otlp/errors", endpoint=errors.http, protocol="http/protobuf")[:-2]
        + ', where = match { decision = { reason = "error" } } }',
        tail='policies = { policy "status_code" { status_codes = { "ERROR" } }, '
             'policy "always_sample" }'))
    for i in range(10):
        post(collector.http, request_with(span(trace_id(i), error=i < 3)).SerializeToString())
    assert len(spans_of(all_.wait(spans=10))) == 10
    got = errors.wait(spans=3)
    metrics = collector.wait_delivered(13)
    assert {s.trace_id for s in spans_of(got)} == {trace_id(i) for i in range(3)}
    assert metrics.total("moontail_export_enqueued_spans_total", exporter="otlp/errors") == 3
    assert metrics.total("moontail_export_enqueued_spans_total", exporter="otlp/all") == 10


def test_the_spans_that_a_backend_rejects_are_counted(start, backend):
    collector = start(config(otlp(backend, batch={"max_spans": 100, "timeout": "100ms"})))
    backend.behave(reject=2, times=1)
    send(collector, 0, 1, spans=5)
    metrics = collector.wait_metrics(
        lambda m: m.total("moontail_export_delivered_spans_total")
        + m.total("moontail_export_lost_spans_total") == 5)
    assert metrics.total("moontail_export_lost_spans_total") == 2


class Tunnels:
    """A proxy that makes tunnels and nothing else. `asked`: the first line of each request."""

    def __init__(self):
        self.listener, self.asked = socket.create_server(("127.0.0.1", 0)), []
        self.address = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.spawn(self.accept)

    @staticmethod
    def spawn(function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                self.spawn(self.serve, self.listener.accept()[0])

    def serve(self, client):
        head = b""
        while not head.endswith(b"\r\n\r\n") and (data := client.recv(1)):
            head += data
        self.asked.append(head.split(b"\r\n")[0].decode())
        method, target, _ = self.asked[-1].split(" ")
        if method != "CONNECT":
            client.sendall(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            client.close()
            return
        backend = socket.create_connection(target.split(":"))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        self.spawn(self.pass_on, backend, client)
        self.pass_on(client, backend)

    @staticmethod
    def pass_on(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def test_grpc_goes_through_a_proxy_by_a_tunnel(start, backend):
    proxy = Tunnels()
    collector = start(config(otlp(backend, "grpc")),
                      {"http_proxy": proxy.address, "no_proxy": "", "NO_PROXY": ""})
    for first in (0, 5):
        sent = send(collector, first, 5)
        assert_same_spans(backend.wait(spans=5), sent)
        backend.clear()
    collector.wait_delivered(10)
    proxy.listener.close()
    assert set(proxy.asked) == {f"CONNECT 127.0.0.1:{backend.ports['grpc']} HTTP/1.1"}
