"""Random spans that reach every branch of the mapping to X-Ray, as OTLP/JSON."""

KINDS = [0, 1, 2, 3, 4, 5]
STRINGS = ["", "a", "GET", "orders", "a/b", "ünï cödé", "x" * 250, "tab\there", "a<b>&c", "日本語テキスト" * 12, "{\"a\":1}"]
NAMES = STRINGS + ["GET /cart/{id}", "orders process", "SELECT shop.items", "a|b*c?d", "x" * 199 + "é", "   "]
ADDRESSES = ["10.1.2.3", "::1", "2001:db8::1", "not an address", "010.1.1.1", "10.1.2", ""]
PORTS = ["80", "443", "8080", "", 80, 443, 9000, 8080.5]
HOSTS = ["example.com", "api:8080", "", "10.0.0.1"]
CODES = [100, 200, 302, 399, 400, 404, 429, 499, 500, 503, 599, 600, 0, "500", 404.0]
CONNECTIONS = ["jdbc:mysql://db.example.com:3306", "postgres://u:p@h/x", "mysql://[::1]:3306/x", "mysql://h:abc", "db:3306",
               "1.2.3.4:3306", "Server=db;User=x", "//h/p", "mysql://h/%zz", "mysql://ho st/", "", "jdbc:jdbc:mysql://h",
               "redis://h:?x#y", "mongodb://a@b@h/x", "mysql://h<>/"]
SYSTEMS = ["mysql", "postgresql", "redis", "other_sql", "microsoft.sql_server", "", "mssql"]

SPAN = {
    "http.method": ["GET", "POST", ""], "http.request.method": ["PUT", "GET"], "http.client_ip": ADDRESSES,
    "http.user_agent": ["curl/8", ""], "user_agent.original": ["Mozilla"], "http.status_code": CODES,
    "http.response.status_code": CODES, "http.url": ["http://a/b?c", ""], "url.full": ["https://b/c"],
    "http.scheme": ["http", "https", ""], "url.scheme": ["https"], "http.host": HOSTS, "http.target": ["/t?q", ""],
    "http.server_name": HOSTS, "net.host.port": PORTS, "net.host.name": HOSTS, "host.name": HOSTS,
    "net.peer.name": HOSTS, "net.peer.port": PORTS, "net.peer.ip": ADDRESSES, "network.peer.address": ADDRESSES,
    "network.peer.port": PORTS, "client.address": ADDRESSES, "url.path": ["/p", "", "p"], "url.query": ["a=b", "?a=b", ""],
    "server.address": HOSTS, "server.port": PORTS, "http.status_text": ["Not Found", ""],
    "message.type": ["RECEIVED", "SENT"], "messaging.message_payload_size_bytes": [0, 17, "18"],
    "db.system": SYSTEMS, "db.system.name": SYSTEMS, "db.name": ["shop", ""], "db.namespace": ["shop2"],
    "db.statement": ["SELECT 1"], "db.query.text": ["SELECT 2"], "db.user": ["app", ""], "user.name": ["app2"],
    "db.connection_string": CONNECTIONS, "peer.service": ["peer", ""], "service.peer.name": ["peer2"],
    "rpc.system": ["aws-api", "grpc"], "rpc.service": ["Cart", ""], "rpc.method": ["Add", ""],
    "aws.service": ["DynamoDB", ""], "aws.operation": ["PutItem", ""], "aws.account_id": ["123456789012", ""],
    "aws.region": ["us-east-1"], "aws.request_id": ["req-1"], "aws.queue_url": ["https://sqs/q"],
    "messaging.url": ["https://sqs/m", ""], "aws.table_name": ["t1"],
    "aws.dynamodb.table_names": ["t3", ["t4"], ["t5", "t6"], [], 5, [1, "t7"]],
    "aws.local.service": ["local", ""], "aws.remote.service": ["AWS.SDK.S3", "AWS::S3", "remote", ""],
    "aws.remote.operation": ["op"], "remoteTarget": ["target"], "K8s.RemoteNamespace": ["ns"],
    "aws.span.kind": ["LOCAL_ROOT", "LOCAL_ROOT", "CLIENT"], "enduser.id": ["user-1", "", 5],
    "aws.xray.annotations": [["idx", "http.method", "my key"], "idx", [1, "n"], []],
    "aws.xray.annotation.team": ["red"], "aws.xray.metadata.default": ['{"a":1,"b":[],"c":{}}', "nope", '[1]', 7],
    "aws.xray.metadata.own": ['{"x":{"y":[1,2,{}]}}', "{}"], "aws.xray.metadata.DEFAULT": ['{"z":"1"}'],
    "aws.xray.inprogress": [True, False, "true"],
    "idx": STRINGS + [1, 2.5, True, [1]], "my key": ["v", 3], "ключ": ["v"], "a.b-c/d": ["v"], "n": [0, -5, 1.5, 2.0, 1e21, 1e-7, 123456789.123],
    "big": [9007199254740993, -9223372036854775808], "flag": [True, False], "list": [[], ["a", 1, True, [2.5]]],
    "map": [{}, {"k": [1], "n": {"m": "x"}}], "bytes": [b"\x00\xff"], "empty": [None],
}
RESOURCE = {
    "service.name": ["shop", ""], "service.version": ["1.2", ""], "container.image.tag": ["tag"],
    "cloud.provider": ["aws", "aws", "aws", "gcp", ""],
    "cloud.platform": ["aws_ec2", "aws_ecs", "aws_eks", "aws_elastic_beanstalk", "aws_app_runner", "aws_lambda", "gcp_cloud_run"],
    "cloud.account.id": ["999"], "cloud.availability_zone": ["us-east-1a"], "host.id": ["i-1", ""], "host.type": ["m5"],
    "host.image.id": ["ami-1"], "container.name": ["web"], "container.id": ["cid"], "k8s.pod.name": ["pod-1"],
    "k8s.cluster.name": ["cluster", ""], "service.namespace": ["ns"], "service.instance.id": ["42", "abc", "", "-7"],
    "telemetry.sdk.name": ["opentelemetry", ""], "telemetry.sdk.version": ["1.0"], "telemetry.auto.version": ["2.0", ""],
    "telemetry.distro.version": ["3.0"], "aws.ecs.launchtype": ["ec2", "fargate", "external"], "aws.ecs.cluster.arn": ["arn:c"],
    "aws.ecs.container.arn": ["arn:k"], "aws.ecs.task.arn": ["arn:t"], "aws.ecs.task.family": ["fam"],
    "aws.log.group.names": ["g1&g2", ["g3"], "", [], 5], "idx": ["r"], "nested": [{"a": 1}],
    "aws.log.group.arns": ["arn:aws:logs:us-east-1:1:log-group:g4", ["short", "arn:aws:logs:us-east-1:1:log-group:g5:*"], ""],
    "telemetry.sdk.language": ["java", "python", "javascript", "nodejs", "dotnet", "go", "php", "ruby", ""],
}
STACKS = [
    "", "one line",
    "java.lang.IllegalStateException: bad\n\tat a.b.C.d(C.java:12)\n\tat java.base/java.lang.Thread.run(Thread.java:829)\n"
    "Caused by: java.io.IOException: worse\nmore text\n\tat x.Y.z(Native Method)\n\tat x.Y.w(Y.java:xx)\n\t... 3 more\n"
    "\tSuppressed: q\nCaused by: plain\r\n\tat p.Q.r(Q.java:+3)\r\n",
    "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\n  File \"b,c.py\", line 4, in g\nValueError: first\n"
    "more\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n"
    "  File \"d.py\", line 7, in h\n    i()\n  File \"e.py\", line x, in i\nTypeError: second",
    "Traceback:\n  File \"a.py\", line 3, in f\nno colon\n\nDuring handling of the above exception, another exception occurred:\n\n"
    "  File \"d.py\", line 7, in h\nTypeError: second\n",
    "During handling of the above exception, another exception occurred:\nx",
    "Error: oops\n    at speedy (/home/gbusey/file.js:6:11)\n    at file:///x/y.js:3:4\n    at Array.map (native)\n    at native\n"
    "    at C:\\a\\b.js:1:2\n    at f (anonymous\n    at (a:b)\n    at \n   at no\n    at new X (x.js)\r\n",
    "System.Exception: bad\n   at A.B.C(String s) in C:\\src\\x.cs:line 12\n   at A.B.D() in /src/y.cs:line zz\n   at A.E()\n"
    "   at nothing here\n--- End of stack ---\n   at A.F(Int32 a) in z.cs:7 in again",
    "panic: bad\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/tmp/a.go:12 +0x1\nmain.g()\nno place\nmain.h()\n\t/tmp/b.go:3\n"
    "goroutine 2 [running]:\nmain.i()",
]


def value(v):
    if isinstance(v, bool):
        return {"boolValue": v}
    if isinstance(v, int):
        return {"intValue": str(v)}
    if isinstance(v, float):
        return {"doubleValue": v}
    if isinstance(v, str):
        return {"stringValue": v}
    if isinstance(v, bytes):
        import base64
        return {"bytesValue": base64.b64encode(v).decode()}
    if isinstance(v, list):
        return {"arrayValue": {"values": [value(x) for x in v]}}
    if v is None:
        return {}
    return {"kvlistValue": {"values": attributes(v)}}


def attributes(a):
    return [{"key": k, "value": value(v)} for k, v in a.items()]


def some(rng, table, most):
    keys = rng.sample(sorted(table), rng.randint(0, most))
    keys.sort(key=lambda k: k == "aws.xray.inprogress")  # the reference removes it, and the order of the others changes
    return {k: rng.choice(table[k]) for k in keys}


def event(rng):
    name = rng.choice(["exception", "exception", "HTTP request failure", "message", "log"])
    a = {}
    if name == "exception":
        for key, choices in (("exception.type", ["T", ""]), ("exception.message", ["m", "m\n2", ""]), ("exception.stacktrace", STACKS)):
            if rng.random() < 0.8:
                a[key] = rng.choice(choices)
    elif name == "HTTP request failure":
        for key, choices in (("http.response.status_code", [503, "503"]), ("aws.http.error_message", ["slow", 5])):
            if rng.random() < 0.8:
                a[key] = rng.choice(choices)
    else:
        a = some(rng, {k: SPAN[k] for k in ("message.type", "messaging.message_payload_size_bytes")}, 2)
    return {"name": name, "timeUnixNano": str(1700000000000000000 + rng.randint(0, 10 ** 12)), "attributes": attributes(a)}


def link(rng):
    return {"traceId": rng.randbytes(16).hex(), "spanId": rng.randbytes(8).hex(), "attributes": attributes(some(rng, SPAN, 3))}


def request(rng):
    start = rng.randint(10 ** 18, 2 * 10 ** 18)
    span = {"traceId": rng.randbytes(16).hex(), "spanId": rng.randbytes(8).hex(), "name": rng.choice(NAMES), "kind": rng.choice(KINDS),
            "startTimeUnixNano": str(start), "endTimeUnixNano": str(rng.choice([0, start + rng.randint(0, 10 ** 10)])),
            "attributes": attributes(some(rng, SPAN, rng.choice([2, 6, 12, 30]))),
            "status": {"code": rng.randint(0, 2), "message": rng.choice(["", "it broke"])}}
    if rng.random() < 0.6:
        span["parentSpanId"] = rng.randbytes(8).hex()
    if rng.random() < 0.4:
        span["events"] = [event(rng) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.2:
        span["links"] = [link(rng) for _ in range(rng.randint(1, 2))]
    resource = {"attributes": attributes(some(rng, RESOURCE, rng.choice([0, 3, 8, 20])))}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}


def options(rng):
    o = {"compat": True}
    if rng.random() < 0.3:
        o["index_all_attributes"] = True
    if rng.random() < 0.5:
        o["indexed_attributes"] = rng.sample(["idx", "http.method", "otel.resource.service.name", "n", "big", "list", "ключ", "db.name", "enduser.id"], 3)
    if rng.random() < 0.3:
        o["aws_log_groups"] = ["cfg1", "cfg2"]
    return o
