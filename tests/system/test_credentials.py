"""Where credentials come from, by the protocols of those who give them; none of them is ever logged.

X-Ray is a server that notes who signed; STS and the instance's metadata are moto's.
"""
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aws import POLICY, REGION
from clients import post
from harness import PATIENCE, config, exporter
from messages import request_with, span, trace_id
from test_tls import certificates  # noqa: F401

ROLE = "arn:aws:iam::123456789012:role/moontail"
NOBODY = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
          "AWS_SHARED_CREDENTIALS_FILE": os.devnull}

SEND = """return exporter { doc = "an empty request for each batch",
  options = { url = option.string {}, role = option.string { optional = true } },
  encode = function(batch, opt)
    return { url = opt.url .. "/TraceSegments", headers = { ["content-type"] = "application/json" },
             body = "{\\"TraceSegmentDocuments\\":[]}",
             sigv4 = { service = "xray", role_arn = opt.role } }
  end }
"""


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, body=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        self.answer(*self.server.give(self.path, self.headers.get("Authorization")))

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        signed = re.match(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/xray/aws4_request",
                          self.headers["Authorization"])
        self.server.note(signers=(signed[1], self.headers.get("X-Amz-Security-Token"), signed[2]))
        self.answer(200, '{"UnprocessedTraceSegments":[]}')

    def log_message(self, *_):
        pass


class Fake(ThreadingHTTPServer):
    """The endpoint of a container's credentials, which end after `life` seconds, and X-Ray."""

    def __init__(self, handler=Handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.changed, self.life = threading.Condition(), 3600
        self.signers, self.asked, self.secrets = [], [], []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05},
                         daemon=True).start()

    def note(self, **what):
        with self.changed:
            for name, value in what.items():
                getattr(self, name).append(value)
            self.changed.notify_all()

    def give(self, path, authorization):
        if path != "/v1/credentials" or authorization not in ("token-one", "token-two"):
            self.note(asked=authorization)
            return 401, '{"code":"Unauthorized","message":"who are you"}'
        with self.changed:
            self.note(asked=authorization)
            n = len(self.asked)
        secrets = [f"TopSecret{n}", f"HiddenSession{n}"]
        self.secrets += secrets
        # One more, for the answer has no fraction of a second.
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.life + 1))
        return 200, json.dumps({"AccessKeyId": f"ASIA{n}", "SecretAccessKey": secrets[0],
                                "Token": secrets[1], "Expiration": end, "AccountId": "1"})

    def wait(self, wanted):
        with self.changed:
            assert self.changed.wait_for(wanted, PATIENCE), (self.signers, self.asked)


@pytest.fixture
def fake():
    server = Fake()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def sign(start, fake, tmp_path):
    """sign(env) runs a collector that sends one request: the collector, and who signed it."""
    def run(env, url=None, **options):
        (tmp_path / "exporters").mkdir()
        (tmp_path / "exporters" / "send.lua").write_text(SEND)
        text = config(exporter("send", url=url or fake.url, batch={"timeout": "0s"}, **options),
                      more='log = { level = "debug" },')
        collector = start(text, {**NOBODY, **env}, tmp_path)
        send(collector, 1)
        return collector, fake.signers[0] if fake.signers else None
    return run


def send(collector, number):
    message = request_with(span(trace_id(number), 1))
    assert post(collector.http, message.SerializeToString()).status == 200
    collector.wait_delivered(number)


def token(folder, text):
    """A file with a token, exchanged at once, as the kubelet does."""
    (folder / "new").write_text(text + "\n")
    os.replace(folder / "new", folder / "token")
    return str(folder / "token")


def says_none_of(collector, *secrets):
    for secret in secrets:
        assert secret not in collector.output()


def test_a_pods_credentials_are_renewed_with_the_tokens_present_text(sign, fake, tmp_path):
    fake.life = 2
    collector, first = sign({"AWS_REGION": REGION,
                             "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{fake.url}/v1/credentials",
                             "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token(tmp_path, "token-one")})
    assert first[0].startswith("ASIA") and first[1].startswith("HiddenSession")
    assert first[2] == REGION
    token(tmp_path, "token-two")
    fake.wait(lambda: fake.asked.count("token-two") >= 2)  # so it has what it asked for before
    present = fake.asked.index("token-two") + 1
    send(collector, 2)
    assert int(fake.signers[-1][0][4:]) >= present > 1
    says_none_of(collector, *fake.secrets, "token-one", "token-two")


def test_a_task_asks_with_the_token_of_its_environment(sign, fake):
    collector, signer = sign({"AWS_REGION": REGION, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token-one",
                              "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{fake.url}/v1/credentials"})
    assert signer == ("ASIA1", "HiddenSession1", REGION)
    says_none_of(collector, *fake.secrets, "token-one")


def test_a_web_identity_becomes_a_role(sign, aws, tmp_path):
    collector, signer = sign({"AWS_REGION": REGION, "AWS_ENDPOINT_URL_STS": aws.url,
                              "AWS_ROLE_ARN": ROLE,
                              "AWS_WEB_IDENTITY_TOKEN_FILE": token(tmp_path, "HiddenIdentity")})
    assert signer[0].startswith("ASIA") and signer[1] and signer[2] == REGION
    says_none_of(collector, "HiddenIdentity", signer[1])


TRUSTED = """<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>ASIATRUSTED</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


class TrustedHandler(Handler):
    """Also STS, and an OTLP backend."""

    def do_POST(self):
        if self.path == "/TraceSegments":
            return super().do_POST()
        self.rfile.read(int(self.headers["Content-Length"]))
        return self.answer(200, TRUSTED if self.path == "/" else "")


@pytest.fixture
def trusted(certificates):
    """X-Ray and STS, whose certificate a private authority has signed."""
    server = Fake(TrustedHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.url = server.url.replace("http:", "https:")
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_authority_of_the_environment_is_trusted(sign, trusted, certificates, tmp_path, name):
    sign({"AWS_REGION": REGION, "AWS_ENDPOINT_URL_STS": trusted.url, "AWS_ROLE_ARN": ROLE,
          "AWS_WEB_IDENTITY_TOKEN_FILE": token(tmp_path, "HiddenIdentity"),
          "AWS_CA_BUNDLE": "", name: str(certificates / "ca.crt")}, url=trusted.url)
    assert trusted.signers == [("ASIATRUSTED", "t", REGION)]


def test_who_names_an_authority_does_not_trust_the_systems_too(start, trusted, certificates, tmp_path):
    certs = tmp_path / "certs"
    certs.mkdir()
    shutil.copy(certificates / "ca.crt", certs / "ca.pem")
    shutil.copy(certificates / "stranger.crt", certs / "ca-certificates.crt")
    subprocess.run(["openssl", "rehash", certs], check=True)
    system = ("unshare", "-m", "sh", "-c", f'mount --bind {certs} /etc/ssl/certs && exec "$@"', "sh")

    def send_to(tls):
        collector = start(config(exporter("otlp", endpoint=trusted.url, protocol="http/protobuf",
                                          batch={"timeout": "0s"}, tls=tls),
                                 more='shutdown_timeout = "0s",'), {"SSL_CERT_FILE": ""}, under=system)
        message = request_with(span(trace_id(1), 1))
        assert post(collector.http, message.SerializeToString()).status == 200
        return collector

    send_to({}).wait_delivered(1)
    send_to({"ca_file": str(certificates / "stranger.crt")}).wait_line(
        lambda line: "SSL certificate problem" in line)


def test_an_instance_gives_credentials_and_region(start, fake, aws):
    collector = start(config(exporter("xray", batch={"timeout": "0s"}),
                             more='log = { level = "debug" },'),
                      {**NOBODY, "AWS_EC2_METADATA_DISABLED": "false",
                       "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.url,
                       "AWS_ENDPOINT_URL_XRAY": fake.url})
    send(collector, 1)
    key, token_, region = fake.signers[0]
    assert key and token_ and re.fullmatch(r"[a-z]+-[a-z]+-\d", region)
    says_none_of(collector, token_)


def test_a_role_is_assumed_and_its_signature_is_right(sign, judge):
    iam = judge.client("iam")
    iam.create_role(RoleName="moontail", AssumeRolePolicyDocument=json.dumps(POLICY))
    iam.put_role_policy(RoleName="moontail", PolicyName="all", PolicyDocument=json.dumps(POLICY))
    collector, _ = sign({**judge.env, "AWS_ENDPOINT_URL": judge.url}, url=judge.url, role=ROLE)
    assert collector.scrape().total("moontail_export_failures_total") == 0
    says_none_of(collector, judge.secret)


def test_without_any_it_says_so_once_and_loses_nothing(start, fake, tmp_path):
    (tmp_path / "exporters").mkdir()
    (tmp_path / "exporters" / "send.lua").write_text(SEND)
    text = config(exporter("send", url=fake.url, batch={"timeout": "0s"}, timeout="1s"),
                  more='shutdown_timeout = "0s",')
    collector = start(text, {**NOBODY, "AWS_REGION": REGION,
                             "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token-bad",
                             "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{fake.url}/v1/credentials"},
                      tmp_path)
    assert post(collector.http, request_with(span(trace_id(1), 1)).SerializeToString()).status == 200
    line = collector.wait_line(lambda x: "no AWS credentials" in x)
    assert "who are you" in line and "token-bad" not in line
    fake.wait(lambda: len(fake.asked) >= 2)
    assert collector.output().count('msg="no AWS credentials') == 1
    assert collector.scrape().total("moontail_export_queued_spans") == 1
    assert fake.signers == []
