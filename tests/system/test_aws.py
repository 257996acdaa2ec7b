"""Requests to AWS, judged by a server that checks every signature."""
import json

import pytest
from botocore.exceptions import ClientError

TRACE = "1-5f84c7a0-aaaaaaaaaaaaaaaaaaaaaaaa"
DOCUMENT = {"trace_id": TRACE, "id": "1111111111111111", "name": "shop",
            "start_time": 1.0, "end_time": 2.0}


def put(client):
    return client.put_trace_segments(TraceSegmentDocuments=[json.dumps(DOCUMENT)])


def test_the_judge_takes_a_right_key_and_refuses_a_wrong_one(judge):
    assert put(judge.client("xray"))["UnprocessedTraceSegments"] == []
    assert judge.segments([TRACE])["1111111111111111"]["name"] == "shop"
    right, judge.secret = judge.secret, "wrong"
    try:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            put(judge.client("xray"))
    finally:
        judge.secret = right
