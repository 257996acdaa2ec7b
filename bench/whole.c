/* The whole collector in one thread on virtual time: takes requests of 80 spans (or SPANS), decides
 * their traces by the policies of bench/config.lua and exports to nothing. The same run each time,
 * so that what its threads do for a span can be counted in instructions. (Hardly any Lua runs: what
 * is compiled of it, and when, hangs on addresses. bench/policies.c measures that.)
 *
 *     build/bench/whole REQUESTS [SPANS ['MORE OF THE CONFIGURATION,']]
 *
 * bench/run --instructions and --counting run it.
 */
#include "base/log.h"
#include "cli/bench_pool.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

/* The first requests are not counted: what a start costs, and compiling Lua, is not a span's. */
enum { BODY_MAX = 1 << 20, CONFIG_MAX = 4096, WARM_REQUESTS = 400 };

static const char config_head[] =
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"
    "  journal = { ack = 'memory' },\n";
static const char config_tail[] = "  tail_sampling = { decision_wait = '2s', policies = {\n"
                                  "    policy 'status_code' { status_codes = { 'ERROR' } },\n"
                                  "    policy 'latency' { threshold_ms = 500 },\n"
                                  "    policy 'probabilistic' { sampling_percentage = 10 } } },\n"
                                  "  exporters = { exporter 'nop' } }\n";

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* What bench/run counts, but for making the requests. */
static __attribute__((noinline)) void collect(struct sim *s, struct bench_pool *pool, int fd,
                                              unsigned long requests)
{
    struct buf body;

    buf_init(&body, BODY_MAX, NULL);
    for (unsigned long i = 0; i < requests; i++) {
        buf_clear(&body);
        if (!bench_pool_next(pool, &body) || sim_post(s, fd, buf_slice(&body)) != 200)
            fail("a request was not taken");
        sim_run(s, 50 * NS_PER_US);
    }
    buf_fini(&body);
    sim_run(s, 5 * NS_PER_S);
}

int main(int argc, char **argv)
{
    unsigned long requests = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
    unsigned spans = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : BENCH_SPANS;
    struct bench_pool *pool = bench_pool_new(1, UINT64_C(1700000000) * NS_PER_S, spans);
    char config[CONFIG_MAX];
    const struct ledger *l;
    struct sim s;
    int fd;

    snprintf(config, sizeof(config), "%s%s%s", config_head, argc > 3 ? argv[3] : "", config_tail);
    if (!pool)
        fail("no memory");
    log_configure(LOG_ERROR, LOG_LOGFMT);
    sim_init(&s, &(struct sim_options){.config = config});
    fd = sim_connect(&s);
    collect(&s, pool, fd, WARM_REQUESTS);
    CALLGRIND_ZERO_STATS;
    collect(&s, pool, fd, requests);
    l = sim_ledger(&s);
    if (l->pending != 0 || l->unaccounted != 0)
        fail("the ledger does not balance");
    sim_fini(&s);
    bench_pool_free(pool);
    printf("%lu spans\n", requests * spans);
    return 0;
}
