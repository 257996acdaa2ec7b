/* load.h: sends generated traces to a receiver for a while: `load`, and the traffic of `demo`. */
#pragma once

#include "base/err.h"
#include "cli/sender.h"
#include "cli/traffic.h"

#include <stdatomic.h>

struct load_options {
    struct sender_options sender; /* host, port, protocol, connections */
    double traces_per_second;     /* 0: as fast as the receiver takes them */
    uint64_t duration_ns;         /* NEVER_NS: until the traces are sent */
    uint64_t traces;              /* at most; 0: no bound but the time */
    uint64_t seed;
    bool bench;           /* bodies of bench_pool.h instead of the shop's */
    unsigned bench_spans; /* of a request */
};

struct load_report {
    uint64_t traces, spans, requests; /* made; what was answered stands in `sender` */
    uint64_t by_kind[TRAFFIC_KINDS];
    uint64_t elapsed_ns;
    uint64_t p50_ns, p99_ns; /* from request to answer */
    struct sender_stats sender;
};

/* What --rate, --protocol and --duration may be, here and for `demo`; false: they may not. */
bool load_parse_rate(const char *text, double *traces_per_second);
bool load_parse_protocol(const char *text, bool *grpc);
bool load_parse_duration(const char *text, uint64_t *ns);
#define LOAD_RATES     "0 (as many as it can) to 1000000 traces a second"
#define LOAD_PROTOCOLS "grpc, http/protobuf"
#define LOAD_DURATIONS "a time as in 20s or 5m, more than 0s"

/* Sends until the time or the number of traces is reached, or *stop; then waits at most 10 s for
 * the last answers. Blocks; any thread. ERR_IO: nobody listens. */
enum err load_run(const struct load_options *options, const _Atomic bool *stop,
                  struct load_report *report, struct err_info *info) MUST_CHECK;
