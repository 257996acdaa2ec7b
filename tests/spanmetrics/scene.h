/* scene.h: what the tests of span_metrics and of service_graph start from and end with. */
#pragma once

#include "check.h"
#include "spanmetrics/spanmetrics.h"

#define START_NS UINT64_C(1700000000000000000)

static struct memory memory;
static struct buf body, page; /* of a request; of Prometheus or OTLP */

static struct spanmetrics *make(const struct spanmetrics_options *o, unsigned recorders)
{
    memory_init(&memory, 1 << 30, 1 << 28);
    buf_init(&body, 64 << 20, NULL);
    buf_init(&page, 64 << 20, NULL);
    return spanmetrics_new(o, &memory, (struct hash_key){1, 2}, recorders, START_NS);
}

/* Nothing is left of it in the limiter. */
static void end(struct spanmetrics *m)
{
    spanmetrics_free(m);
    CHECK(memory_used(&memory) == 0);
    buf_fini(&body);
    buf_fini(&page);
}
