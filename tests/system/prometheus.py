"""A real Prometheus that takes remote write, and a door before it as Amazon's: signed or 403."""
import hashlib
import http.server
import json
import math
import threading
import urllib.parse
import urllib.request

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from harness import PATIENCE, Process
from ports import free_ports

CONFIG = "global: {}\nstorage: {exemplars: {max_exemplars: 1000}}\n"


class Prometheus(Process):
    def __init__(self, folder):
        [self.port] = free_ports(1)
        (folder / "prometheus.yml").write_text(CONFIG)
        super().__init__(["prometheus", f"--config.file={folder}/prometheus.yml",
                          f"--storage.tsdb.path={folder}/tsdb",
                          f"--web.listen-address=127.0.0.1:{self.port}",
                          "--web.enable-remote-write-receiver",
                          "--enable-feature=native-histograms,exemplar-storage"], folder)
        self.wait_line(lambda line: "Server is ready" in line)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/api/v1/write"

    def ask(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}",
                                    timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    def federate(self, selector):
        """The last samples of what a selector takes, as text."""
        query = urllib.parse.urlencode({"match[]": selector})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/federate?{query}",
                                    timeout=PATIENCE) as answer:
            return answer.read().decode()

    def values(self, query, time):
        """{labels without the name, as a frozenset: value} of an instant."""
        found = {}
        for series in self.ask("query", query=query, time=time)["result"]:
            labels = frozenset((k, v) for k, v in series["metric"].items() if k != "__name__")
            found[labels] = (float(series["value"][1]) if "value" in series
                             else series["histogram"][1])
        return found

    def samples(self, selector, time, seconds):
        """{labels without the name: [(time, value), ...]} as they are stored."""
        found = {}
        for series in self.ask("query", query=f"{selector}[{seconds}s]", time=time)["result"]:
            labels = frozenset((k, v) for k, v in series["metric"].items() if k != "__name__")
            found[labels] = [(t, float(v)) for t, v in series["values"]]
        return found

    def value(self, query, time):
        """The value of the only series; NaN where there is none."""
        values = list(self.values(query, time).values())
        assert len(values) <= 1, values
        return values[0] if values else math.nan


class Door(http.server.ThreadingHTTPServer):
    """Checks signatures of the service aps with botocore, and passes on what is good."""

    def __init__(self, target, secret):
        super().__init__(("127.0.0.1", 0), DoorRequest)
        self.target, self.secret, self.refused, self.taken = target, secret, 0, 0
        self.dead = False  # takes nothing, and says 503
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/workspaces/ws-1/api/v1/remote_write"


class DoorRequest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.server.dead:
            return self.answer(503)
        if not self.is_signed(body):
            self.server.refused += 1
            return self.answer(403, b'{"message":"The signature does not match."}',
                               "SignatureDoesNotMatch")
        request = urllib.request.Request(self.server.target, body, dict(self.headers))
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                self.server.taken += 1
                return self.answer(answer.status)
        except urllib.error.HTTPError as e:
            return self.answer(e.code, e.read())

    def is_signed(self, body):
        given = self.headers.get("authorization", "")
        if "/eu-west-1/aps/aws4_request" not in given:
            return False
        names = given.split("SignedHeaders=")[1].split(",")[0].split(";")
        request = AWSRequest("POST", f"http://{self.headers['host']}{self.path}", data=body)
        for name in names:
            request.headers[name] = self.headers[name]
        if "x-amz-content-sha256" not in names:
            request.context["payload_signing_enabled"] = True
        request.context["timestamp"] = self.headers["x-amz-date"]
        signer = SigV4Auth(Credentials("AKIDEXAMPLE", self.server.secret), "aps", "eu-west-1")
        signer.headers_to_sign = lambda r: {n: r.headers[n] for n in names}
        canonical = "\n".join([
            "POST", urllib.parse.quote(self.path), "",
            "".join(f"{n}:{' '.join(self.headers[n].split())}\n" for n in names), ";".join(names),
            hashlib.sha256(body).hexdigest()])
        text = signer.string_to_sign(request, canonical)
        return given.endswith(f"Signature={signer.signature(text, request)}")

    def answer(self, status, body=b"", error=None):
        self.send_response(status)
        if error:
            self.send_header("x-amzn-errortype", error)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass
