/* traffic.h: makes traces of a small shop, as OTLP request bodies: what `load` and `demo` send.
 *
 * A trace is one run through a flow of the shop (browse, cart, checkout ...): 3 to 12 spans of 2 to
 * 4 services, with the attributes of the current semantic conventions. Each service sends its own
 * part, as services do, so that a trace comes in 2 to 4 requests. A health check is one span.
 * Same seed and times, same bytes. Belongs to one thread; reads no clock.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/random.h"

enum traffic_kind { TRAFFIC_NORMAL, TRAFFIC_ERROR, TRAFFIC_SLOW, TRAFFIC_HEALTH, TRAFFIC_KINDS };
enum { TRAFFIC_SERVICES = 4, TRAFFIC_STEPS = 12 };

/* "normal", "error", "slow", "health_check". */
const char *traffic_kind_name(enum traffic_kind kind);

struct traffic {
    struct rng rng;
    /* Shares of all traces, 0..1; what is left is normal. */
    double errors, slow, health;
    struct buf *out; /* being written */
};

/* One trace. The bodies are owned by it and reused by the next call. */
struct traffic_trace {
    enum traffic_kind kind;
    uint8_t id[16];
    size_t spans;
    size_t count;                        /* of bodies */
    struct buf bodies[TRAFFIC_SERVICES]; /* one ExportTraceServiceRequest each */
    size_t body_spans[TRAFFIC_SERVICES];
};

/* The shares are set to 5 % errors, 5 % slow (over 500 ms) and 10 % health checks. */
void traffic_init(struct traffic *t, uint64_t seed);

void traffic_trace_init(struct traffic_trace *trace);
void traffic_trace_fini(struct traffic_trace *trace);

/* Makes the next trace, which ends at unix_ns. ERR_FULL without memory. */
enum err traffic_next(struct traffic *t, uint64_t unix_ns, struct traffic_trace *trace) MUST_CHECK;
