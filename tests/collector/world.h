/* world.h: what a simulated collector lives in: a disk, a clock, senders, backends, and what each
 * of them was told. Everything follows from the seed; all that happens is written to a log.
 */
#pragma once

#include "base/fake_disk.h"
#include "base/log.h"
#include "scenario.h"

#include <stdarg.h>

enum {
    TRACES = 400,
    SPANS_MAX = 64, /* of a trace */
    STEPS = 30,
    BATCH = 12,
    EXPORTERS = 3,
    ITEMS_MAX = 1024 /* data points, and log records */
};

/* What may happen in a world; each seed has some of them. */
enum family {
    FAULTY_DISK = 1 << 0,  /* writes, syncs and opens fail */
    FULL_DISK = 1 << 1,    /* the device is full for a while */
    SMALL_DISK = 1 << 2,   /* journal.max_size is soon reached */
    SMALL_MEMORY = 1 << 3, /* memory_limiter.limit is */
    SMALL_QUEUES = 1 << 4, /* queue.max_size is */
    KILLS = 1 << 5,
    POWER_CUTS = 1 << 6,
    STOPS = 1 << 7,
    BAD_BACKENDS = 1 << 8,
    CLOCK_STEPS = 1 << 9,
    BAD_SENDERS = 1 << 10, /* cut connections, malformed bodies */
    CHANGES = 1 << 11,     /* exporters come and go */
    PASSING = 1 << 12,     /* metrics and logs, too */
    RELOADS = 1 << 13,     /* of other policies */
    EARLY = 1 << 14,       /* traces are decided early, for their number or size */
    FOLLOWING = 1 << 15,   /* logs of traces come, and follow these */
    COUNTING = 1 << 16,    /* span_metrics, service_graph, the audit of all spans */
    FAMILIES = 17
};

enum level { LEVEL_MEMORY, LEVEL_WRITTEN, LEVEL_FSYNC };
enum mood { GOOD, DOWN, SLOW, UNSURE, BUSY, DENYING, REFUSING, PARTIAL, MOODS };

struct world {
    struct sim sim;
    struct fake_disk disk;
    struct rng rng, fault_rng;
    uint64_t seed;
    unsigned families;
    enum level level;
    bool keeps, drops_oldest, has_history;
    char config[4096];
    struct buf log;
    unsigned threshold_ms; /* of spans' durations */
    unsigned most_cpus;
    unsigned moment;   /* counts what happens */
    uint64_t boots_ns; /* of all boots before this one */
    unsigned boot;
    uint64_t killed_ns; /* the last end of a process; 0: none yet */
    uint64_t well_ns;   /* the disk is well since then; 0: it is not */

    /* what senders sent: by trace, or by item */
    uint8_t sent[TRACES + 1];
    uint8_t copies[TRACES + 1][SPANS_MAX]; /* requests that it was in */
    uint64_t acked[TRACES + 1];            /* a bit for each span */
    unsigned since[TRACES + 1];            /* the moment the first one was sent */
    bool excused[TRACES + 1];              /* the level promises nothing about it any more */
    unsigned items[OTLP_SIGNALS];
    unsigned item_acked[OTLP_SIGNALS][ITEMS_MAX]; /* the moment; 0: not, or excused */
    uint16_t item_trace[ITEMS_MAX];               /* of a log record; 0: of none */
    uint64_t acked_in_life;                       /* spans */

    struct place {
        bool is_on;
        unsigned since; /* the moment it was configured */
        enum mood mood;
        struct taken {
            uint64_t ns; /* the last time */
            uint8_t count;
            bool is_unsure; /* it was not answered then */
        } spans[TRACES + 1][SPANS_MAX], items[OTLP_SIGNALS][ITEMS_MAX];
        uint64_t settled_ns; /* nothing of it was queued or in flight then */
        uint64_t noted_ns;   /* the same, and a kill could not make it forgotten any more */
        uint64_t refused;    /* items that it will not have, ever */
        uint64_t taken_in_life[OTLP_SIGNALS]; /* items that were answered as taken */
        uint64_t lost[OTLP_SIGNALS];          /* counted as lost, in lives that are over */
    } place[EXPORTERS];
    uint64_t lost, lost_logs; /* before any exporter, in lives that are over */
};

static struct world w;
static unsigned long acknowledged, delivered_again, ends, moves;

static inline bool has(unsigned families)
{
    return w.families & families;
}

static inline bool chance(unsigned percent)
{
    return rng_below(&w.rng, 100) < percent;
}

/* Of some it must be known from any of their spans: 0 is never kept, 1 always. Of the others it
 * depends on which spans are there when they are decided. */
static inline unsigned kind_of(uint64_t trace)
{
    return (unsigned)(trace % 3);
}

/* Time in this world, over boots. */
static inline uint64_t world_ns(void)
{
    return w.boots_ns + w.sim.clock.now;
}

/* ---- the log ---- */

static inline void log_line(void *arg, const char *line, size_t len)
{
    (void)arg;
    buf_append(&w.log, line, len);
}

__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...)
{
    char text[512];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(text))
        abort();
    buf_append(&w.log, text, (size_t)len);
    len = snprintf(text, sizeof(text), " @%llu\n", (unsigned long long)w.sim.clock.now);
    buf_append(&w.log, text, (size_t)len);
}

/* The last lines, for whoever looks into a failure. */
static inline void show_log(size_t most)
{
    size_t from = w.log.len, lines = 0;

    while (from > 0 && lines < most)
        lines += w.log.data[--from] == '\n';
    fwrite(w.log.data + from, 1, w.log.len - from, stdout);
    printf("\n  replay: collector_test_simulation 1 %llu\n", (unsigned long long)w.seed);
    fflush(stdout);
}

/* What must hold; says what does not. */
#define MUST(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            say("MUST: " __VA_ARGS__);                                                             \
            CHECK(condition);                                                                      \
        }                                                                                          \
    } while (0)

/* ---- the configuration ---- */

static inline void put(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void put(const char *format, ...)
{
    size_t len = strlen(w.config);
    va_list args;
    int more;

    va_start(args, format);
    more = vsnprintf(w.config + len, sizeof(w.config) - len, format, args);
    va_end(args);
    if (more < 0 || (size_t)more >= sizeof(w.config) - len)
        abort();
}

enum { SMALL_MEMORY_MIB = 24 };

/* Of all lives so far: the peak is theirs too. */
static inline uint64_t memory_limit(void)
{
    return (uint64_t)(SMALL_MEMORY_MIB + 8 * w.most_cpus) << 20;
}

static inline void put_journal(void)
{
    static const char *const levels[] = {"memory", "written", "fsync"};

    put("  journal = { ack = '%s', segment_size = '1MiB', on_shutdown = '%s', max_size = '%s' "
        "%s},\n",
        levels[w.level], w.keeps && w.level != LEVEL_MEMORY ? "keep" : "decide",
        has(SMALL_DISK) ? "40MiB" : "256MiB", w.has_history ? ", history = '2MiB' " : "");
}

static inline void make_config(unsigned cpus)
{
    w.sim.host.cpus = cpus;
    w.most_cpus = cpus > w.most_cpus ? cpus : w.most_cpus;
    w.config[0] = '\0';
    put("return { shutdown_timeout = '3s', workers = %u,\n"
        "  receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n",
        cpus);
    put_journal();
    if (has(FOLLOWING))
        put("  logs = { follow_traces = true },\n");
    if (has(COUNTING))
        put("  span_metrics = { metrics_flush_interval = '7s' }, service_graph = { "
            "metrics_flush_interval = '7s' }, sampling_audit = { all_spans = true },\n");
    if (has(SMALL_MEMORY))
        put("  memory_limiter = { limit = %llu, spike_limit = '8MiB', compression = 'lz4' },\n",
            (unsigned long long)(SMALL_MEMORY_MIB + 8 * cpus) << 20);
    put("  tail_sampling = { decision_wait = '4s', %s"
        "policies = { policy 'latency' { threshold_ms = %u } } },\n  exporters = {\n",
        has(EARLY) ? "num_traces = 10, max_spans_per_trace = 4, decision_wait_after_root = '2s', "
                   : "",
        w.threshold_ms);
    for (unsigned i = 0; i < EXPORTERS; i++)
        if (w.place[i].is_on)
            put("    exporter 'otlp/%c' { endpoint = 'http://h:%u', compression = 'none', protocol "
                "= 'http/protobuf', batch = { timeout = '10ms', max_bytes = '%s' }, queue = "
                "{ max_size = '%s', on_full = '%s' } },\n",
                'a' + i, i + 1, has(SMALL_MEMORY) ? "256KiB" : "3MiB",
                has(SMALL_QUEUES) ? "64KiB" : "1GiB", w.drops_oldest ? "drop_oldest" : "refuse");
    put("  } }\n");
    w.sim.config = w.config;
}

/* Exporters of the next life: one at least. */
static inline void change_exporters(void)
{
    unsigned on = has(CHANGES) ? 1 + (unsigned)rng_below(&w.rng, (1U << EXPORTERS) - 1) : 3;

    for (unsigned i = 0; i < EXPORTERS; i++) {
        bool is_on = on >> i & 1;

        if (is_on && !w.place[i].is_on)
            w.place[i].since = w.moment;
        w.place[i].is_on = is_on;
    }
}
