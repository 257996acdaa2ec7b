"""Raw clients: what goes over the wire is what the test says."""
import gzip
import http.client
import socket
import struct
import zlib

import grpc
import zstandard
from google.rpc import error_details_pb2, status_pb2
from harness import PATIENCE
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
ENCODE = {
    "identity": lambda b: b,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": lambda b: zstandard.ZstdCompressor().compress(b),
}
PROTOBUF = "application/x-protobuf"


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()
        self.content_type = (self.headers["Content-Type"] or "").split(";")[0]

    def message(self):
        return service.ExportTraceServiceResponse.FromString(self.body)

    def rpc_status(self):
        """The google.rpc.Status body of an error."""
        assert self.content_type == PROTOBUF
        return status_pb2.Status.FromString(self.body)


def post(address, body, content_type=PROTOBUF, encoding=None, path="/v1/traces", method="POST",
         headers=None, tls=None):
    """One OTLP/HTTP request on a connection of its own."""
    connection = (http.client.HTTPSConnection(address, context=tls, timeout=PATIENCE) if tls
                  else http.client.HTTPConnection(address, timeout=PATIENCE))
    all_headers = {"Content-Type": content_type, **(headers or {})}
    if encoding:
        all_headers["Content-Encoding"] = encoding
        body = ENCODE.get(encoding, lambda b: b)(body)
    try:
        connection.request(method, path, body, all_headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


class Refused(Exception):
    """A gRPC error: its code, message and trailers."""

    def __init__(self, error):
        super().__init__(f"{error.code()}: {error.details()}")
        self.code, self.details = error.code(), error.details()
        self.trailers = dict(error.trailing_metadata() or ())

    def retry_delays(self):
        """The delays that the trailers ask for: in the details, and in the header of its own."""
        delays = []
        status = status_pb2.Status.FromString(self.trailers.get("grpc-status-details-bin", b""))
        for detail in status.details:
            info = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                delays.append(info.retry_delay.seconds)
        own = self.trailers.get("google.rpc.retryinfo-bin")
        if own is not None:
            delays.append(error_details_pb2.RetryInfo.FromString(own).retry_delay.seconds)
        return delays


class Grpc:
    def __init__(self, address, credentials=None, options=()):
        self.channel = (grpc.secure_channel(address, credentials, options) if credentials
                        else grpc.insecure_channel(address, options))

    def call(self, body, method=EXPORT, metadata=(), compression=None):
        """One call with a message of raw bytes; the raw answer."""
        call = self.channel.unary_unary(method, lambda b: b, lambda b: b)
        try:
            return call(body, timeout=PATIENCE, metadata=metadata, compression=compression,
                        wait_for_ready=False)
        except grpc.RpcError as e:
            raise Refused(e) from None

    def export(self, body, **how):
        return service.ExportTraceServiceResponse.FromString(self.call(body, **how))

    def close(self):
        self.channel.close()


def export_both_ways(collector, requests):
    """Requests by gRPC and HTTP in turn; all must be taken."""
    grpc = Grpc(collector.grpc)
    for i, request in enumerate(requests):
        if i % 2:
            grpc.export(request.SerializeToString())
        else:
            assert post(collector.http, request.SerializeToString()).status == 200
    grpc.close()


def h2_frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def h2_literal(name, value):
    """A header field without indexing and without Huffman coding (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def h2_answer_frames(address, headers, message, compressed=False):
    """Sends one gRPC request by hand; the frames of its stream as (type, flags)."""
    host, port = address.rsplit(":", 1)
    block = b"".join(h2_literal(k, v) for k, v in headers)
    data = struct.pack(">BI", compressed, len(message)) + message
    frames, buffer = [], b""
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as s:
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0, b"")
                  + h2_frame(1, 4, 1, block) + h2_frame(0, 1, 1, data))
        while not (frames and frames[-1][1] & 1):
            chunk = s.recv(65536)
            assert chunk, f"closed after {frames}"
            buffer += chunk
            while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                length = int.from_bytes(buffer[:3], "big")
                kind, flags, stream = struct.unpack(">BBI", buffer[3:9])
                buffer = buffer[9 + length:]
                if stream == 1 and kind in (0, 1, 3):
                    frames.append((kind, flags))
    return frames


def grpc_headers(address, **more):
    return [(":method", "POST"), (":scheme", "http"), (":path", EXPORT), (":authority", address),
            ("content-type", "application/grpc"), ("te", "trailers"),
            *((k.replace("_", "-"), v) for k, v in more.items())]
