/* sender.h: sends request bodies to an OTLP receiver over a few connections, HTTP/1.1 or gRPC.
 *
 * For `load`, `demo` and the bench: cleartext, non-blocking sockets under one poll(2), cheap
 * enough to saturate a collector from one core. A body lies in a slot until it is settled: refused
 * and broken requests are repeated from there, so what waits is bounded by the slots. Belongs to
 * one thread; time is an argument.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct sender_options {
    const char *host, *port;
    bool grpc;
    unsigned connections; /* 1 .. 256 */
    unsigned in_flight;   /* requests at once on one connection; HTTP: 1 */
    unsigned attempts;    /* of one body; >= 1 */
    size_t max_body;      /* bytes */
    const char *header;   /* one more header, "name: value" in lower case; NULL: none */
    bool gzip;            /* says that bodies are; whoever fills slots compresses them */
};

enum { LATENCY_BUCKETS = 512 };

struct sender_stats {
    uint64_t sent, bytes;     /* requests answered with success, and their bodies */
    uint64_t rejected_spans;  /* by partial success */
    uint64_t refused, broken; /* answers that ask for a repeat; connections that ended */
    uint64_t retried;         /* repeats */
    uint64_t failed;          /* bodies given up */
    uint64_t failed_items;    /* what sender_submit said they hold */
    char last_error[128];
    uint64_t latency[LATENCY_BUCKETS]; /* answers; see sender_quantile_ns */
};

struct sender;

/* Resolves and connects; waits until one connection stands, at most 5 s. ERR_IO with a sentence.
 * Owned by the caller. */
enum err sender_new(const struct sender_options *options, struct sender **out,
                    struct err_info *info) MUST_CHECK;
void sender_free(struct sender *s);

/* An empty buffer to write the next body to, or NULL while all slots are taken. */
struct buf *sender_slot(struct sender *s);
/* Sends what was written there; it holds `items` spans. */
void sender_submit(struct sender *s, uint64_t items);

/* Moves bytes; waits for readiness at most wait_ns. */
void sender_step(struct sender *s, uint64_t now_ns, uint64_t wait_ns);
/* Bodies that are not settled yet. */
size_t sender_open(const struct sender *s);
/* Counts them as given up: nothing is sent any more. */
void sender_give_up(struct sender *s);

const struct sender_stats *sender_stats(const struct sender *s);
/* The time from the first byte of a request to its answer: quantile q (0..1). */
uint64_t sender_quantile_ns(const struct sender *s, double q);
