"""TLS, client certificates, and what ALPN says; certificates come from the openssl program."""
import contextlib
import http.client
import os
import pty
import re
import select
import signal
import socket
import ssl
import subprocess
import time

import grpc
import pytest
from clients import Grpc, Refused, post
from harness import PATIENCE, PROGRAM, config, exporter, run
from messages import request_with, span, trace_id

BODY = request_with(span(trace_id(1))).SerializeToString()


def openssl(*arguments, folder):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_ca(folder, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2", "-subj", f"/CN={name}",
            folder=folder)


def make_certificate(folder, name, ca, hosts="DNS:localhost,IP:127.0.0.1"):
    (folder / f"{name}.ext").write_text(f"subjectAltName={hosts}\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", folder=folder)
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key",
            "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt",
            folder=folder)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    for ca in ("ca", "stranger"):
        make_ca(folder, ca)
    make_certificate(folder, "server", "ca")
    make_certificate(folder, "client", "ca")
    make_certificate(folder, "intruder", "stranger")
    return folder


def start_tls(start, folder, more=""):
    tls = (f'tls = {{ cert_file = "{folder}/server.crt", key_file = "{folder}/server.key"{more} }}')
    return start(config(exporter("nop"), receivers=(
        f'grpc = {{ listen = "127.0.0.1:0", {tls} }}, http = {{ listen = "127.0.0.1:0", {tls} }}')))


def client_context(folder, certificate=None):
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    if certificate:
        context.load_cert_chain(folder / f"{certificate}.crt", folder / f"{certificate}.key")
    return context


def credentials(folder, certificate=None):
    def read(name):
        return (folder / name).read_bytes()
    if not certificate:
        return grpc.ssl_channel_credentials(read("ca.crt"))
    return grpc.ssl_channel_credentials(read("ca.crt"), read(f"{certificate}.key"),
                                        read(f"{certificate}.crt"))


def test_http_and_grpc_come_over_tls(start, certificates):
    collector = start_tls(start, certificates)
    assert post(collector.http, BODY, tls=client_context(certificates)).status == 200
    client = Grpc(collector.grpc, credentials(certificates))
    client.export(BODY)
    client.close()
    collector.wait_metrics(lambda m: m.total("moontail_received_spans_total") == 2)


def test_plain_text_is_not_served_where_tls_is_asked_for(start, certificates):
    collector = start_tls(start, certificates)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        post(collector.http, BODY)
    assert post(collector.http, BODY, tls=client_context(certificates)).status == 200


@pytest.mark.parametrize("listener, offered, chosen", [
    ("grpc", ["h2"], "h2"), ("grpc", ["http/1.1", "h2"], "h2"), ("http", ["http/1.1"], "http/1.1"),
    ("http", ["h2", "http/1.1"], "http/1.1"), ("http", ["http/1.0", "http/1.1"], "http/1.1"),
    ("http", ["http/1.0"], "http/1.0")])
def test_alpn_chooses_what_the_listener_speaks(listener, offered, chosen, start, certificates):
    collector = start_tls(start, certificates)
    context = client_context(certificates)
    context.set_alpn_protocols(offered)
    host, port = getattr(collector, listener).split(":")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=host) as tls:
            assert tls.selected_alpn_protocol() == chosen
            assert tls.version() == "TLSv1.3"


def test_old_versions_are_refused(start, certificates):
    collector = start_tls(start, certificates, ', min_version = "1.3"')
    context = client_context(certificates)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        post(collector.http, BODY, tls=context)
    assert post(collector.http, BODY, tls=client_context(certificates)).status == 200


def test_only_known_clients_are_served_where_a_ca_is_named(start, certificates):
    collector = start_tls(start, certificates, f', client_ca_file = "{certificates}/ca.crt"')
    assert post(collector.http, BODY, tls=client_context(certificates, "client")).status == 200
    for certificate in (None, "intruder"):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            post(collector.http, BODY, tls=client_context(certificates, certificate))
        client = Grpc(collector.grpc, credentials(certificates, certificate))
        with pytest.raises(Refused) as e:
            client.call(BODY)
        assert e.value.code == grpc.StatusCode.UNAVAILABLE
        client.close()
    client = Grpc(collector.grpc, credentials(certificates, "client"))
    client.export(BODY)
    client.close()
    collector.wait_metrics(lambda m: m.total("moontail_received_spans_total") == 2)


def test_many_requests_on_one_tls_connection(start, certificates):
    """Larger than any record or buffer, one after the other."""
    collector = start_tls(start, certificates)
    connection = http.client.HTTPSConnection(collector.http, timeout=PATIENCE,
                                             context=client_context(certificates))
    for i in range(30):
        body = request_with(*[span(trace_id(i), k + 1, name="n" * 3000) for k in range(40 * (i % 3))])
        connection.request("POST", "/v1/traces", body.SerializeToString(),
                           {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
    connection.close()
    collector.wait_metrics(lambda m: m.total("moontail_received_spans_total") == 1200)


def test_a_key_that_does_not_fit_is_said_at_the_start(start, certificates, tmp_path):
    del start
    tls = (f'tls = {{ cert_file = "{certificates}/server.crt", '
           f'key_file = "{certificates}/client.key" }}')
    path = tmp_path / "config.lua"
    path.write_text(config(exporter("nop"), receivers=f'http = {{ listen = "127.0.0.1:0", {tls} }}')
                    .replace("FOLDER", str(tmp_path)))
    failed = run("run", "--config", str(path), folder=tmp_path)
    assert failed.returncode in (73, 78) and "client.key" in failed.stdout + failed.stderr


def lock(folder, key, locked):
    openssl("pkey", "-in", key, "-aes128", "-passout", "pass:secret", "-out", locked, folder=folder)


class Terminal:
    """A collector that has a terminal, at which a library could ask for something."""

    def __init__(self, path):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(PROGRAM, [PROGRAM, "run", "--config", str(path)], {**os.environ, "NO_COLOR": "1"})

    def wait(self, pattern):
        """Until `pattern` is found, or the program has ended."""
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text):
            assert select.select([self.fd], [], [], max(0, end - time.monotonic()))[0], self.text
            try:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:  # the end
                return None
        return re.search(pattern, self.text)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def start_at_terminal(text):
        path = tmp_path / "config.lua"
        path.write_text(text.replace("FOLDER", str(tmp_path)))
        opened.append(Terminal(path))
        return opened[-1]
    yield start_at_terminal
    for one in opened:
        one.close()


def test_nobody_is_asked_for_a_passphrase_of_a_listener(certificates, terminal):
    lock(certificates, "server.key", "locked.key")
    tls = (f'tls = {{ cert_file = "{certificates}/server.crt", '
           f'key_file = "{certificates}/locked.key" }}')
    at = terminal(config(exporter("nop"), receivers=f'http = {{ listen = "127.0.0.1:0", {tls} }}'))
    assert at.wait(r'locked\.key" has a passphrase')


def test_nobody_is_asked_for_a_passphrase_of_an_exporter(certificates, terminal, tmp_path):
    """Its files are read again at each connection: the key was good at the start."""
    key = tmp_path / "client.key"
    key.write_bytes((certificates / "client.key").read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as backend:
        at = terminal(config(exporter(
            "otlp", endpoint=f"https://127.0.0.1:{backend.getsockname()[1]}",
            tls={"cert_file": f"{certificates}/client.crt", "key_file": str(key)})))
        address = at.wait(r"receiver=otlp/http address=127\.0\.0\.1:(\d+)")
        lock(certificates, "client.key", "locked.key")
        key.write_bytes((certificates / "locked.key").read_bytes())
        post(f"127.0.0.1:{address[1]}", BODY)
        assert at.wait("(?i)pass phrase|private key")[0].lower() == "private key", at.text
