"""Receivers and the admin listener move, on real sockets, while clients send."""
import http.client
import os
import socket
import threading

from clients import PROTOBUF, Grpc
from harness import PATIENCE, config, exporter, run
from messages import request_with, span, trace_id
from ports import free_ports


class Sending(threading.Thread):
    """Sends on one connection as long as it may keep it, until it is ended; counts the taken."""

    def __init__(self, send, first):
        super().__init__()
        self.send, self.number, self.sent = send, first, 0
        self.failed, self.ended = None, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.002):
            try:
                self.send(request_with(span(trace_id(self.number), 1)).SerializeToString())
            except Exception as e:  # whatever it is, the test says so
                self.failed = e
                return
            self.number, self.sent = self.number + 1, self.sent + 1

    def end(self):
        self.ended.set()
        self.join()
        assert not self.failed, repr(self.failed)
        return self.sent


def http_sender(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def send(body):
        connection.request("POST", "/v1/traces", body, {"Content-Type": PROTOBUF})
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status
    return send


def text(ports, *, host="127.0.0.1", grpc=1, admin=2, more=""):
    receivers = (f'http = {{ listen = "{host}:{ports[0]}"{more} }}, '
                 f'grpc = {{ listen = "{host}:{ports[grpc]}"{more} }}')
    return config(exporter("nop"), wait="10ms", receivers=receivers).replace(
        'admin = { listen = "127.0.0.1:0" }', f'admin = {{ listen = "127.0.0.1:{ports[admin]}" }}')


def reload(collector, text_, code=0):
    path = os.path.join(collector.folder, "config.lua")
    with open(path + "~", "w") as f:
        f.write(text_.replace("FOLDER", collector.folder))
    os.rename(path + "~", path)
    done = run("reload", "--journal", f"{collector.folder}/journal", folder=collector.folder)
    assert done.returncode == code, done
    return done


def test_receivers_and_admin_move_while_clients_send(start):
    ports = free_ports(4)
    collector = start(text(ports))
    assert collector.http == f"127.0.0.1:{ports[0]}"
    grpc = Grpc(f"127.0.0.1:{ports[1]}")
    senders = [Sending(http_sender(ports[0]), 10 ** 6), Sending(grpc.export, 2 * 10 ** 6)]
    try:
        for i in range(3):
            reload(collector, text(ports, more=f", max_headers = {9000 + i}"))
        reload(collector, text(ports, host=""))  # from one address to all, on the same ports
        reload(collector, text(ports, admin=3))  # and back
        with socket.create_server(("127.0.0.1", ports[2])):  # nobody is there any more
            done = reload(collector, text(ports, grpc=2, admin=3), 78)
            assert f"127.0.0.1:{ports[2]}: Address already in use" in done.stderr, done
            while sum(sender.sent for sender in senders) <= 100:
                assert all(sender.is_alive() for sender in senders)
                collector.pause()
            sent = sum(sender.end() for sender in senders)  # without it the file is taken after all
    finally:
        for sender in senders:
            sender.ended.set()
    grpc.close()
    assert sent > 100
    collector.address = lambda receiver: f"127.0.0.1:{ports[3]}"  # of admin
    metrics = collector.wait_decided(sent)
    assert metrics.total("moontail_refused_requests_total") == 0
    assert metrics.total("moontail_received_spans_total") == sent
