"""File descriptors are few: what has to go on goes on, or a start says what it needs."""
import http.client
import os
import socket

from clients import PROTOBUF
from harness import PATIENCE, PROGRAM, Process, config, exporter, run
from messages import request_with, span, trace_id

MIB = 1 << 20
REQUESTS = 24  # of a MiB, each of which lies in the journal twice: what waits, and what is sent


def with_at_most(descriptors):
    """A command that runs another one with so many."""
    return "sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"


def journal_of(max_size):
    return f'ack = "written", segment_size = "2MiB", max_size = "{max_size}MiB"'


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), PATIENCE)


def test_connections_leave_some_to_the_journal_to_exporters_and_to_a_reload(start, backend):
    text = config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf",
                           retry={"initial_interval": "100ms"}, circuit={"probe": "100ms"}),
                  wait="50ms", journal=journal_of(512))
    collector = start(text, under=with_at_most(96))
    backend.behave(status=503)
    sender = http.client.HTTPConnection(collector.http, timeout=PATIENCE)
    sender.connect()
    idle = [connect(collector.http) for _ in range(96)]
    collector.wait_line(lambda x: "out of file descriptors" in x)
    for i in range(REQUESTS):
        body = request_with(span(trace_id(i), i + 1, attributes={"filler": "x" * MIB}))
        sender.request("POST", "/v1/traces", body.SerializeToString(), {"Content-Type": PROTOBUF})
        answer = sender.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    with open(os.path.join(collector.folder, "config.lua"), "w") as f:
        f.write(text.replace("50ms", "60ms").replace("FOLDER", collector.folder))
    done = run("reload", "--journal", f"{collector.folder}/journal", folder=collector.folder)
    assert done.returncode == 0, done
    backend.behave(status=200)
    backend.wait(spans=REQUESTS)
    for connection in (sender, *idle):
        connection.close()


def test_a_start_with_too_few_says_how_many_it_needs_and_with_so_many_it_goes(start, tmp_path):
    text = config(exporter("nop"), workers=4, journal=journal_of(64)).replace("FOLDER", str(tmp_path))
    (tmp_path / "config.lua").write_text(text)
    refused = Process([*with_at_most(85), PROGRAM, "run", "--config", "config.lua"], tmp_path)
    assert refused.wait_exit() == 73 and "4 workers need 86: raise" in refused.output()
    collector = start(text, under=with_at_most(86))
    clients = [http.client.HTTPConnection(collector.http, timeout=PATIENCE) for _ in range(4)]
    for i, client in enumerate(clients):  # all are open at the same time
        client.request("POST", "/v1/traces", request_with(span(trace_id(i))).SerializeToString(),
                       {"Content-Type": PROTOBUF})
        assert client.getresponse().read() == b""
    collector.wait_decided(len(clients))
