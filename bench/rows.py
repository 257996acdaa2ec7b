"""What bench/run measures: a row is a collector's options and a load's, by name."""
import dataclasses

SPANS_A_TRACE = 8
SPAN_BYTES = 467  # on the wire


@dataclasses.dataclass(frozen=True)
class Row:
    """The defaults are the reference: three policies, wait 2 s, level written, 80 spans a request, full load."""
    title: str
    goal: float = 0         # at least so many times less CPU than otelcol; 0: none is set
    protocol: str = "http"
    spans: int = 80         # of a request
    gzip: bool = False
    ack: str = "written"
    wait: str = "2s"
    after_root: str = ""
    history: str = "0"
    record: bool = True
    redact: bool = False
    policies: str = "reference"
    export: str = ""        # compression of what goes to an OTLP sink; "": exported to nothing
    workers: int = 1
    all_cpus: bool = False  # the collector is not kept to one CPU
    rate: int = 0           # traces/s; 0: as many as it takes
    peer_rate: int = 0      # where peers can't take as many
    seconds: float = 0      # of the window; 0: as the command says
    peers: bool = True      # measured beside
    rounds: int = 2         # where the command does not say

    def peer_key(self):
        """Rows of the same key are the same to a peer: it is measured once in a round for all of them."""
        return (self.protocol, self.spans, self.gzip, self.wait, self.after_root, self.redact,
                self.policies, self.export, self.peer_rate or self.rate, self.seconds)


ROWS = {
    # What must hold.
    "http": Row("HTTP", goal=25, rounds=5),
    "grpc": Row("gRPC", goal=25, protocol="grpc", rounds=5),
    "export": Row("HTTP, the kept exported over OTLP", goal=28, export="none", rounds=5),
    "gzip": Row("HTTP, gzip bodies", goal=15, gzip=True, rounds=5),
    "small": Row("HTTP, 10 spans a request", goal=15, spans=10, rounds=5),
    "fsync": Row("HTTP, `fsync`", goal=17, ack="fsync", rounds=5),
    # The same over the other protocol, and at the other levels and sizes.
    "memory": Row("HTTP, `memory`", ack="memory"),
    "memory-grpc": Row("gRPC, `memory`", protocol="grpc", ack="memory"),
    "export-grpc": Row("gRPC, the kept exported over OTLP", protocol="grpc", export="none"),
    "export-gzip": Row("HTTP, the kept exported over OTLP, compressed", export="gzip"),
    "gzip-grpc": Row("gRPC, gzip bodies", protocol="grpc", gzip=True),
    "small-grpc": Row("gRPC, 10 spans a request", protocol="grpc", spans=10),
    "fsync-grpc": Row("gRPC, `fsync`", protocol="grpc", ack="fsync"),
    "large": Row("HTTP, 500 spans a request", spans=500),
    "large-grpc": Row("gRPC, 500 spans a request", protocol="grpc", spans=500),
    # What else a configuration has on or off.
    "history": Row("HTTP, a history of 2 GiB", history="2GiB"),
    "no-record": Row("HTTP, decisions not recorded on spans", record=False),
    "redact": Row("HTTP, the kept redacted", redact=True),
    "all-on": Row("HTTP, history, redaction and compressed export", history="2GiB", redact=True, export="gzip"),
    "no-policies": Row("HTTP, no sampling: all passes", policies="none"),
    "attributes": Row("HTTP, two policies that read an attribute of every span", policies="attributes"),
    "after-root": Row("HTTP, wait 30 s, 1 s after the root", wait="30s", after_root="1s"),
    # Less than full load.
    "paced": Row("HTTP, 40,000 spans/s", rate=5_000),
    "half": Row("HTTP, half load for 120 s, wait 10 s", wait="10s", rate=100_000, peer_rate=4_500, seconds=104,
                rounds=1),
    # Scale: the collector alone.
    "held-10k": Row("10,000 live traces", wait="250ms", rate=40_000, peers=False, rounds=3),
    "held-100k": Row("100,000 live traces", wait="2500ms", rate=40_000, peers=False, rounds=3),
    "held-1m": Row("1,000,000 live traces", wait="25s", rate=40_000, peers=False, rounds=3),
    "table-10k": Row("10,000 live traces, `memory`", ack="memory", wait="250ms", rate=40_000, peers=False, rounds=3),
    "table-100k": Row("100,000 live traces, `memory`", ack="memory", wait="2500ms", rate=40_000, peers=False, rounds=3),
    "table-1m": Row("1,000,000 live traces, `memory`", ack="memory", wait="25s", rate=40_000, peers=False, rounds=3),
    "workers-1": Row("1 worker, both CPUs", rate=30_000, all_cpus=True, peers=False),
    "workers-2": Row("2 workers, both CPUs, twice the load", rate=60_000, workers=2, all_cpus=True, peers=False),
}

MUST_HOLD = [name for name, row in ROWS.items() if row.goal]

# Traces held at once, for bytes of memory; a peer that takes 2.5 kB a span is asked for fewer.
HELD = [10_000, 100_000, 1_000_000]
HELD_PEER_MAX = 100_000
