"""AWS on loopback: fixtures for tests of what talks to it. One server of each kind serves all tests of a process.

aws     takes every call (X-Ray, STS, IAM, the instance's metadata).
judge   refuses every call whose signature is wrong; judge.key and judge.secret are right.
"""
import json
import os
import sys

import pytest
from harness import HERE, Process

REGION = "eu-west-1"
POLICY = {"Version": "2012-10-17",
          "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Aws(Process):
    def __init__(self, folder, unjudged=None):
        """unjudged: so many calls are taken without a signature; None: all."""
        env = {} if unjudged is None else {"INITIAL_NO_AUTH_ACTION_COUNT": str(unjudged)}
        super().__init__([sys.executable, f"{HERE}/aws_server.py"], folder, env)
        port = json.loads(self.wait_line(lambda x: x.startswith("{")))["port"]
        self.url = f"http://127.0.0.1:{port}"
        self.key, self.secret = "AKIAIOSFODNN7EXAMPLE", "anything"

    def client(self, service):
        import boto3  # not for tests that don't ask for it: it takes its time
        from botocore.config import Config
        return boto3.client(service, endpoint_url=self.url, region_name=REGION,
                            aws_access_key_id=self.key, aws_secret_access_key=self.secret,
                            config=Config(retries={"total_max_attempts": 1}))

    @property
    def env(self):
        """For a program that may sign as this server's user; nothing else of the machine's."""
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret,
                "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}

    def segments(self, trace_ids):
        """The documents of X-Ray traces (1-8hex-24hex), by the id of the segment."""
        traces = self.client("xray").batch_get_traces(TraceIds=list(trace_ids))["Traces"]
        documents = [json.loads(s["Document"]) for t in traces for s in t["Segments"]]
        return {d["id"]: d for d in documents}


class Judge(Aws):
    def __init__(self, folder):
        super().__init__(folder, unjudged=3)
        iam = self.client("iam")
        iam.create_user(UserName="moontail")
        iam.put_user_policy(UserName="moontail", PolicyName="all",
                            PolicyDocument=json.dumps(POLICY))
        key = iam.create_access_key(UserName="moontail")["AccessKey"]
        self.key, self.secret = key["AccessKeyId"], key["SecretAccessKey"]


def serve(kind, folder):
    server = kind(folder)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def aws(tmp_path_factory):
    yield from serve(Aws, tmp_path_factory.mktemp("aws"))


@pytest.fixture(scope="session")
def judge(tmp_path_factory):
    yield from serve(Judge, tmp_path_factory.mktemp("judge"))
