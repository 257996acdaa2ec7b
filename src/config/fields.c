#include "config/snapshot.h"

/* The table of fields. Bounds are in the stored unit: ns, bytes. Docs are one sentence each. */

#define S_NS   1e9
#define M_NS   (60 * S_NS)
#define H_NS   (60 * M_NS)
#define KIB    1024.0
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)
#define AT(m)  offsetof(struct snapshot, m)
#define OF(m)  offsetof(struct snapshot, config.m)
#define NO     SCHEMA_NOWHERE
#define NUMBER SCHEMA_INTEGER

/* clang-format off */

/* What both listeners of otlp have; `port` is the default's. */
#define LISTENER(p, m, port, protocol) \
    {p, SCHEMA_SECTION, .shorthand = "listen", .flags = SCHEMA_OFF, .offset = OF(m.enabled), \
     .doc = "OTLP over " protocol}, \
    {p ".listen", SCHEMA_LISTEN, "\"127.0.0.1:" port "\"", .offset = OF(m.listen), \
     .doc = "address and port; \":PORT\" is all addresses, IPv4 and IPv6; port 0 picks a free one"}, \
    {p ".max_body", SCHEMA_SIZE, "\"16MiB\"", KIB, GIB, .offset = OF(m.max_body), \
     .doc = "a request's body as it is sent"}, \
    {p ".max_inflated", SCHEMA_SIZE, "\"64MiB\"", KIB, GIB, .offset = OF(m.max_inflated), \
     .doc = "a request's body once decompressed: gzip, deflate, zstd, lz4 or snappy"}, \
    {p ".max_headers", SCHEMA_SIZE, "\"16KiB\"", KIB, MIB, .offset = OF(m.max_headers), \
     .doc = "a request's headers together"}, \
    {p ".max_connections", NUMBER, "1024", 1, 1e6, .offset = OF(m.max_connections), \
     .doc = "connections open at once"}

#define LISTENER_TIMES(p, m) \
    {p ".max_connection_age", SCHEMA_DURATION, NULL, S_NS, 30 * 24 * H_NS, .offset = OF(m.max_connection_age_ns), \
     .doc = "after this a connection is asked to go elsewhere (GOAWAY), so that clients spread anew"}, \
    {p ".idle_timeout", SCHEMA_DURATION, "\"5m\"", S_NS, 24 * H_NS, .offset = OF(m.idle_timeout_ns), \
     .doc = "a connection without a request is closed after this"}, \
    {p ".read_timeout", SCHEMA_DURATION, "\"10s\"", S_NS / 10, H_NS, .offset = OF(m.read_timeout_ns), \
     .doc = "a request is given up that brings less than a 32nd of its length, or 4 KiB, in this time"}, \
    {p ".auth", SCHEMA_SECTION, "nil", .flags = SCHEMA_OPTIONAL, .offset = NO, \
     .doc = "who may send: { bearer = { secret(env \"TOKEN\") } }"}, \
    {p ".auth.bearer", SCHEMA_STRINGS, NULL, 1, 64, .flags = SCHEMA_REQUIRED | SCHEMA_SECRET, .offset = OF(m.bearer), \
     .doc = "tokens, one of which must come as \"authorization: Bearer TOKEN\""}, \
    {p ".tls", SCHEMA_SECTION, "nil", .flags = SCHEMA_OPTIONAL, .offset = NO, \
     .doc = "{ cert_file, key_file, client_ca_file, min_version = \"1.2\" }; without it plain text"}, \
    {p ".tls.cert_file", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .offset = OF(m.tls.cert_file), \
     .doc = "PEM, the certificate and its chain; read again by each reload"}, \
    {p ".tls.key_file", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .offset = OF(m.tls.key_file), \
     .doc = "PEM, the private key, without a passphrase"}, \
    {p ".tls.client_ca_file", SCHEMA_STRING, .offset = OF(m.tls.client_ca_file), \
     .doc = "PEM; with it clients must show a certificate that it signed"}, \
    {p ".tls.min_version", SCHEMA_STRING, "\"1.2\"", .one_of = "1.2|1.3", .offset = OF(m.tls.min_version), \
     .doc = "the oldest version of TLS that is spoken"}

const struct schema_field config_fields[] = {
    {"workers", NUMBER, "0", 0, 256, .offset = OF(workers),
     .doc = "threads that receive and decide; 0 = the CPUs of the cgroup, as far as memory_limiter has "
            "room: 6MiB each in half of what lies below spike_limit"},
    {"jit", SCHEMA_STRING, "\"auto\"", .one_of = "auto|on|off", .offset = OF(jit),
     .doc = "compile Lua to machine code; auto = where the system allows it"},
    {"shutdown_timeout", SCHEMA_DURATION, "\"25s\"", 0, H_NS, .offset = OF(shutdown_timeout_ns),
     .doc = "how long deciding and flushing may take after SIGTERM"},
    {"log.level", SCHEMA_STRING, "\"info\"", .one_of = "error|warn|info|debug", .offset = OF(log_level),
     .doc = "what is logged"},
    {"log.format", SCHEMA_STRING, "\"auto\"", .one_of = "auto|logfmt|json", .offset = OF(log_format),
     .doc = "auto = readable on a terminal, else logfmt"},

    LISTENER("receivers.otlp.grpc", grpc, "4317", "gRPC"),
    {"receivers.otlp.grpc.max_streams", NUMBER, "128", 1, 65536, .offset = OF(grpc.max_streams),
     .doc = "requests at once on one connection"},
    LISTENER_TIMES("receivers.otlp.grpc", grpc),
    LISTENER("receivers.otlp.http", http, "4318", "HTTP"),
    LISTENER_TIMES("receivers.otlp.http", http),

    {"admin", SCHEMA_SECTION, .shorthand = "listen", .offset = NO, .doc = "health, metrics, control"},
    {"admin.listen", SCHEMA_LISTEN, "\"127.0.0.1:13133\"", .offset = OF(admin_listen),
     .doc = "/livez, /readyz and /metrics; \"IP:PORT\" in place of the table means this"},
    {"admin.control", SCHEMA_STRING, "\"unix\"", .offset = OF(admin_control),
     .doc = "the control socket: unix = control.sock in journal.path, or a path, or off"},

    {"journal.path", SCHEMA_STRING, "env(\"STATE_DIRECTORY\", \"/var/lib/moontail\")", .offset = OF(journal.path),
     .doc = "the folder of what must survive, and of the control socket; a relative one is in the folder in which moontail runs"},
    {"journal.ack", SCHEMA_STRING, "\"written\"", .one_of = "memory|written|fsync", .offset = OF(journal.ack),
     .doc = "what an acknowledgement survives: memory = slow backends, written = the end of the process too, fsync = a power cut too (docs/guarantees.md)"},
    {"journal.max_size", SCHEMA_SIZE, "\"1GiB\"", 16 * MIB, 1024 * 1024 * GIB, .offset = OF(journal.max_size),
     .doc = "of all files: what waits for a decision or for an exporter, decisions, history; at least 16MiB and 6MiB for each worker"},
    {"journal.min_free", SCHEMA_SHARE, "\"10%\"", .offset = OF(journal.min_free),
     .doc = "of the file system, left to others"},
    {"journal.history", SCHEMA_SIZE, "0", 0, 1024 * 1024 * GIB, .offset = OF(journal.history),
     .doc = "decided data that is kept so that explain and rescue find it; 0 = none"},
    {"journal.segment_size", SCHEMA_SIZE, "\"256MiB\"", MIB, GIB, .offset = OF(journal.segment_size),
     .doc = "of one file, at least 2MiB; more where all of max_size would take over an eighth of the file "
            "descriptors"},
    {"journal.on_shutdown", SCHEMA_STRING, "\"decide\"", .one_of = "decide|keep", .offset = OF(journal.on_shutdown),
     .doc = "decide = judge and flush what waits; keep = leave it for the next start, on a volume that stays"},

    {"memory_limiter.limit", SCHEMA_SIZE, "\"400MiB\"", 16 * MIB, 64 * 1024 * GIB, .offset = OF(memory.limit),
     .doc = "all that is allocated; above it requests are refused"},
    {"memory_limiter.spike_limit", SCHEMA_SIZE, "\"100MiB\"", MIB, 64 * 1024 * GIB, .offset = OF(memory.spike_limit),
     .doc = "from limit - spike_limit on, the oldest traces are decided early"},
    {"memory_limiter.compression", SCHEMA_STRING, "\"lz4\"", .one_of = "none|lz4", .offset = OF(memory.compression),
     .doc = "of spans that wait at journal.ack = \"memory\", before any trace is decided early; with files spans leave memory instead"},

    {"head_sampling.sampling_percentage", SCHEMA_NUMBER, "100", 0, 100, .offset = OF(head_sampling_percentage),
     .doc = "of traces let in at the door, by their randomness; the others are filtered"},

    {"logs.follow_traces", SCHEMA_BOOLEAN, "false", .offset = OF(follow_traces),
     .doc = "log records with a trace id wait for the decision on their trace and are kept or dropped with it (docs/operations.md)"},

    {"span_metrics", SCHEMA_SECTION, "nil", .flags = SCHEMA_OPTIONAL, .offset = OF(span_metrics.enabled),
     .doc = "calls and durations of all spans that come in, counted before any sampling (docs/metrics.md)"},
    {"span_metrics.namespace", SCHEMA_STRING, "\"traces.span.metrics\"", .offset = OF(span_metrics.name_space),
     .doc = "what the metrics' names begin with"},
    {"span_metrics.dimensions", SCHEMA_STRINGS, NULL, 1, 16, .offset = OF(span_metrics.dimensions),
     .doc = "attributes of a span, else of its resource, that its series have beside service.name, span.name, span.kind and status.code"},
    {"span_metrics.span_name_attribute", SCHEMA_STRING, .offset = OF(span_metrics.span_name_attribute),
     .doc = "an attribute that stands for the name of a span that has it: \"http.route\""},
    {"span_metrics.histogram.unit", SCHEMA_STRING, "\"ms\"", .one_of = "ms|s", .offset = OF(span_metrics.unit),
     .doc = "of durations"},
    {"span_metrics.histogram.explicit.buckets", SCHEMA_STRINGS,
     "{ \"2ms\", \"4ms\", \"6ms\", \"8ms\", \"10ms\", \"50ms\", \"100ms\", \"200ms\", \"400ms\", \"800ms\", \"1s\", \"1400ms\", \"2s\", \"5s\", \"10s\", \"15s\" }",
     1, 64, .offset = OF(span_metrics.buckets), .doc = "upper bounds, ascending"},
    {"span_metrics.histogram.exponential", SCHEMA_SECTION, "nil", .flags = SCHEMA_OPTIONAL, .offset = OF(span_metrics.exponential),
     .doc = "an exponential histogram in place of these bounds; {} for the defaults"},
    {"span_metrics.histogram.exponential.max_size", NUMBER, "160", 80, 320, .offset = OF(span_metrics.max_size),
     .doc = "buckets; the scale follows from what comes"},
    {"span_metrics.max_series", NUMBER, "10000", 1, 1e6, .offset = OF(span_metrics.max_series),
     .doc = "the spans of all further ones are counted in one with otel.metric.overflow"},
    {"span_metrics.aggregation_temporality", SCHEMA_STRING, "\"cumulative\"", .one_of = "cumulative|delta", .offset = OF(span_metrics.temporality),
     .doc = "of what exporters send"},
    {"span_metrics.metrics_flush_interval", SCHEMA_DURATION, "\"60s\"", S_NS / 10, H_NS, .offset = OF(span_metrics.flush_interval_ns),
     .doc = "how often they send it"},
    {"span_metrics.exemplars.enabled", SCHEMA_BOOLEAN, "false", .offset = OF(span_metrics.exemplars),
     .doc = "name a trace that is kept beside durations"},

    {"service_graph", SCHEMA_SECTION, "nil", .flags = SCHEMA_OPTIONAL, .offset = OF(service_graph.enabled),
     .doc = "requests between services, of all traces that are decided, whatever the verdict (docs/metrics.md)"},
    {"service_graph.dimensions", SCHEMA_STRINGS, NULL, 1, 16, .offset = OF(service_graph.dimensions),
     .doc = "attributes of a span, else of its resource, that edges have as client_NAME and server_NAME"},
    {"service_graph.latency_histogram_buckets", SCHEMA_STRINGS,
     "{ \"2ms\", \"4ms\", \"6ms\", \"8ms\", \"10ms\", \"50ms\", \"100ms\", \"200ms\", \"400ms\", \"800ms\", \"1s\", \"1400ms\", \"2s\", \"5s\", \"10s\", \"15s\" }",
     1, 64, .offset = OF(service_graph.buckets), .doc = "upper bounds, ascending"},
    {"service_graph.exponential_histogram_max_size", NUMBER, "0", 0, 320, .offset = OF(service_graph.max_size),
     .doc = "buckets of an exponential histogram in place of these bounds, at least 80; 0 = none"},
    {"service_graph.virtual_node_peer_attributes", SCHEMA_STRINGS,
     "{ \"peer.service\", \"db.name\", \"db.system\", \"db.system.name\" }", 1, 16, .offset = OF(service_graph.peer_attributes),
     .doc = "attributes of a client's span that name the server where that sends no spans; the first that is there"},
    {"service_graph.database_name_attributes", SCHEMA_STRINGS, "{ \"db.name\", \"db.namespace\" }", 1, 16, .offset = OF(service_graph.database_attributes),
     .doc = "attributes of a client's span that name a database; the first that is there"},
    {"service_graph.max_edges", NUMBER, "5000", 1, 1e6, .offset = OF(service_graph.max_edges),
     .doc = "the requests of all further ones are counted in one with otel.metric.overflow"},
    {"service_graph.aggregation_temporality", SCHEMA_STRING, "\"cumulative\"", .one_of = "cumulative|delta", .offset = OF(service_graph.temporality),
     .doc = "of what exporters send"},
    {"service_graph.metrics_flush_interval", SCHEMA_DURATION, "\"60s\"", S_NS / 10, H_NS, .offset = OF(service_graph.flush_interval_ns),
     .doc = "how often they send it"},

    {"processors.received", SCHEMA_PROCESSORS, "{}", .offset = NO,
     .doc = "asked about each span as it comes, in order"},
    {"processors.kept", SCHEMA_PROCESSORS, "{}", .offset = NO,
     .doc = "run over the spans of kept traces, in order"},

    {"tail_sampling", SCHEMA_SECTION, .flags = SCHEMA_OPTIONAL, .offset = OF(tail.enabled),
     .doc = "how traces are judged; without it everything is kept"},
    {"tail_sampling.decision_wait", SCHEMA_DURATION, "\"10s\"", S_NS / 1000, 24 * H_NS, .offset = OF(tail.decision_wait_ns),
     .doc = "from a trace's first span to its decision"},
    {"tail_sampling.decision_wait_after_root", SCHEMA_DURATION, NULL, S_NS / 1000, 24 * H_NS, .offset = OF(tail.wait_after_root_ns),
     .doc = "from its root to its decision, if that is sooner"},
    {"tail_sampling.num_traces", NUMBER, "0", 0, 1e9, .offset = OF(tail.num_traces),
     .doc = "that wait at once; above it the oldest are decided early; 0 = as many as memory holds"},
    {"tail_sampling.decision_cache", NUMBER, "1000000", 0, 1e9, .offset = OF(tail.decision_cache),
     .doc = "decisions that are remembered for late spans"},
    {"tail_sampling.max_spans_per_trace", NUMBER, "10000", 1, 1e6, .offset = OF(tail.max_spans_per_trace),
     .doc = "a trace of more, or of more log records that follow it, is decided at once"},
    {"tail_sampling.max_trace_bytes", SCHEMA_SIZE, "\"16MiB\"", KIB, GIB, .offset = OF(tail.max_trace_bytes),
     .doc = "a larger trace is decided at once; also one of more than a seventh of spike_limit"},
    {"tail_sampling.default", SCHEMA_VERDICT, "drop()", .offset = NO,
     .doc = "the verdict where no policy has an opinion"},
    {"tail_sampling.record", SCHEMA_BOOLEAN, "true", .offset = OF(tail.record),
     .doc = "write sampling.policy, sampling.reason and sampling.probability on the entry span"},
    {"tail_sampling.tracestate", SCHEMA_STRING, "\"auto\"", .one_of = "auto|always", .offset = AT(tracestate),
     .doc = "write ot=th:0 for a certain keep: auto = where an ot member came in"},
    {"tail_sampling.on_error.keep_traces_per_second", SCHEMA_NUMBER, "10", 0, 1e6, .offset = OF(tail.keep_traces_per_second),
     .doc = "traces that are kept because a policy failed, at most"},
    {"tail_sampling.budget.cpu", SCHEMA_DURATION, "\"10ms\"", S_NS / 1e4, 10 * S_NS, .offset = OF(tail.budget_cpu_ns),
     .doc = "CPU time of one policy for one trace; of an exporter in Lua for one batch: ten times that"},
    {"tail_sampling.budget.memory", SCHEMA_SIZE, "\"32MiB\"", 4 * MIB, GIB, .offset = OF(tail.budget_memory),
     .doc = "of the policies of one worker, and of all exporters in Lua"},
    {"tail_sampling.quarantine.errors", NUMBER, "10", 1, 1e6, .offset = OF(tail.quarantine_errors),
     .doc = "failures within the window after which a policy is not asked"},
    {"tail_sampling.quarantine.window", SCHEMA_DURATION, "\"60s\"", S_NS, 24 * H_NS, .offset = OF(tail.quarantine_window_ns),
     .doc = "see quarantine.errors"},
    {"tail_sampling.policies", SCHEMA_POLICIES, NULL, 1, 1000, .flags = SCHEMA_REQUIRED, .offset = NO,
     .doc = "asked in order; the first keep or drop is final"},

    {"sampling_audit.enabled", SCHEMA_BOOLEAN, "true", .offset = OF(audit.enabled),
     .doc = "compare the traces of each operation with those that the kept ones stand for (docs/operations.md)"},
    {"sampling_audit.max_operations", NUMBER, "1000", 1, 1e5, .offset = OF(audit.max_operations),
     .doc = "service and name of the span that a trace begins with; the traces of all further ones are counted together"},
    {"sampling_audit.all_spans", SCHEMA_BOOLEAN, "false", .offset = OF(audit.all_spans),
     .doc = "a trace counts for each operation in it; reads every span"},

    {"resource", SCHEMA_MAP, "{}", .offset = OF(resource),
     .doc = "attributes set on the resource of every kept span"},
    {"resource_detection", SCHEMA_STRINGS, "{}", 0, 5, .one_of = "env|k8s|eks|ecs|ec2", .offset = OF(resource_detection),
     .doc = "who is asked at the start and at each reload where this program runs; what they say is set on the resource of kept spans that lack it (docs/aws.md)"},
    {"exporters", SCHEMA_EXPORTERS, NULL, 1, 64, .flags = SCHEMA_REQUIRED, .offset = NO,
     .doc = "where kept traces go"},
};
/* clang-format on */

const size_t config_field_count = sizeof(config_fields) / sizeof(config_fields[0]);
