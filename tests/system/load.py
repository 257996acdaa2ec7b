"""Senders that know what they sent and what was acknowledged, and can tell the verdict of a trace.

Every span has an id of its own; traces are split over requests and over senders. A request without
an answer, or refused, is sent again as it is, as exporters of SDKs do.
"""
import collections
import http.client
import itertools
import random
import struct
import threading
import time

import grpc
from clients import EXPORT, PROTOBUF
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

SHARE = 0.25  # of the traces without errors
THRESHOLD = round((1 - SHARE) * 2 ** 56)
ERRORS = 26  # of 256 traces
TRACES = 10  # new ones in a request

# All spans of an error trace are errors, so that any part of it gets the same verdict.
POLICIES = f"""policies = {{ policy "status_code" {{ status_codes = {{ "ERROR" }} }},
  policy "probabilistic" {{ sampling_percentage = {SHARE * 100:g} }} }}"""


def is_error(trace_id):
    return trace_id[0] < ERRORS


def is_kept(trace_id):
    return is_error(trace_id) or int.from_bytes(trace_id[9:], "big") >= THRESHOLD


# ---- bodies: written by hand, because protobuf's objects would be the slowest part ----


def field(number, body):
    length, head = len(body), b""
    while length > 127:
        head, length = head + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + head + bytes([length]) + body


def attribute(key, value):
    return field(9, field(1, key.encode()) + field(2, field(1, value.encode())))


TAIL = (field(5, b"GET /cart/{id}") + b"\x30\x02" + attribute("http.route", "/cart/{id}")
        + attribute("url.full", "https://shop.example.com/cart/0123456789?session=" + "0123" * 12)
        + attribute("k8s.pod.name", "cart-6d5f9c7b44-x2x7p"))
ERROR = b"\x7a\x02\x18\x02"
RESOURCE = field(1, field(1, field(1, b"service.name") + field(2, field(1, b"cart"))))
TIMES = struct.Struct("<BQBQ")


def span_bytes(trace_id, span_id, now, more=b""):
    body = (field(1, trace_id) + field(2, span_id) + TAIL + more
            + TIMES.pack(7 << 3 | 1, now - 5_000_000, 8 << 3 | 1, now)
            + (ERROR if is_error(trace_id) else b""))
    return field(2, body)


def request_bytes(ids, filler=0):
    """A span for each id (24 bytes), with so many bytes more."""
    now, more = time.time_ns(), attribute("filler", "x" * filler) if filler else b""
    spans = b"".join(span_bytes(i[:16], i[16:], now, more) for i in ids)
    return field(1, RESOURCE + field(2, spans))


# ---- senders ----


class Lost(Exception):
    """No answer: the request may or may not have been taken."""


class Refused(Exception):
    """An answer that says: not taken."""


def check_taken(body):
    answer = service.ExportTraceServiceResponse.FromString(body)
    assert not answer.partial_success.rejected_spans, answer


class Http:
    def __init__(self, addresses):
        self.connection = http.client.HTTPConnection(addresses["http"], timeout=10)

    def send(self, body):
        try:
            self.connection.request("POST", "/v1/traces", body, {"Content-Type": PROTOBUF})
            response = self.connection.getresponse()
            answer = response.read()
        except ConnectionRefusedError as e:
            raise Refused(repr(e)) from None
        except (OSError, http.client.HTTPException) as e:
            raise Lost(repr(e)) from None
        if response.status == 503:
            raise Refused(answer)
        assert response.status == 200, (response.status, answer)
        check_taken(answer)

    def close(self):
        self.connection.close()


class Grpc:
    def __init__(self, addresses):
        self.channel = grpc.insecure_channel(addresses["grpc"],
                                             [("grpc.use_local_subchannel_pool", 1)])
        self.call = self.channel.unary_unary(EXPORT, lambda b: b, lambda b: b)

    def send(self, body):
        try:
            check_taken(self.call(body, timeout=10, wait_for_ready=False))
        except grpc.RpcError as e:
            said = f"{e.code()}: {e.details()}"
            refused = any(x in said for x in ("failed to connect", "memory", "disk", "shutting"))
            raise (Refused if refused else Lost)(said) from None

    def close(self):
        self.channel.close()


class Load:
    """A few senders in threads. `rate`: spans a second of all of them together."""

    def __init__(self, seed, senders=(Http, Http, Http, Grpc), rate=4000):
        self.seed, self.pace = seed, len(senders) * 25 / rate
        self.numbers = itertools.count(1)
        self.halves = collections.deque()  # parts of traces that another sender is to send
        self.moved = threading.Condition()
        self.addresses, self.generation, self.ended = None, 0, False
        self.acknowledged = []  # lists of ids (24 bytes: trace and span)
        self.repeated = collections.Counter()  # ids that were sent again without an answer
        self.refused = collections.Counter()  # by what was said
        self.unanswered, self.sent = 0, 0
        self.latencies, self.errors = [], []
        self.threads = [threading.Thread(target=self.run, args=(kind, n), daemon=True)
                        for n, kind in enumerate(senders)]
        for thread in self.threads:
            thread.start()

    def aim(self, addresses):
        """{"http": ..., "grpc": ...}, or None: the collector is down."""
        with self.moved:
            self.addresses, self.generation = addresses, self.generation + 1
            self.moved.notify_all()

    def end(self):
        """Every sender sends what it has begun until it is acknowledged, then ends."""
        with self.moved:
            self.ended = True
            self.moved.notify_all()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a sender does not get through"
        assert not self.errors, self.errors

    def count(self):
        return sum(map(len, self.acknowledged))

    # ---- in the threads ----

    def make(self, r):
        """The ids of one request: new traces, and halves of others' traces."""
        ids = []
        for _ in range(TRACES):
            trace = r.randbytes(15) + b"\x01"
            spans = [trace + next(self.numbers).to_bytes(8, "big")
                     for _ in range(r.randrange(1, 5))]
            cut = r.randrange(1, len(spans) + 1)
            ids += spans[:cut]
            if cut < len(spans):
                self.halves.append(spans[cut:])
        for _ in range(r.randrange(0, 8)):
            try:
                ids += self.halves.popleft()
            except IndexError:
                break
        return ids

    def wait_address(self):
        """The addresses of a collector that runs, and their generation."""
        with self.moved:
            assert self.moved.wait_for(lambda: self.addresses, 60), "no collector for a minute"
            return self.addresses, self.generation

    def pause(self, seconds):
        with self.moved:
            self.moved.wait_for(lambda: self.ended, seconds)

    def attempt(self, client, ids, body):
        """True: acknowledged."""
        start = time.monotonic()
        try:
            client.send(body)
        except Refused as e:
            self.refused[str(e)[:60]] += 1
            self.pause(0.05)
            return False
        except Lost:
            self.unanswered += 1
            self.repeated.update(ids)
            return False
        self.latencies.append(time.monotonic() - start)
        self.acknowledged.append(ids)
        return True

    def deliver(self, kind, client, generation, ids):
        """Sends until acknowledged; returns the client that did it."""
        body = request_bytes(ids)
        self.sent += len(ids)
        while True:
            if client is None:
                addresses, generation = self.wait_address()
                client = kind(addresses)
            if self.attempt(client, ids, body):
                return client, generation
            with self.moved:
                stale = generation != self.generation
            if stale or self.addresses is None or kind is Http:
                client.close()
                client = None
                self.pause(0.01)

    def run(self, kind, number):
        r = random.Random(f"{self.seed} {number}")
        client, generation = None, None
        due = time.monotonic()
        try:
            while not self.ended:
                client, generation = self.deliver(kind, client, generation, self.make(r))
                due = max(due + self.pace, time.monotonic() - 1)
                self.pause(max(0, due - time.monotonic()))
        except BaseException as e:  # shown by end()
            self.errors.append(repr(e))
            raise
        finally:
            if client:
                client.close()
