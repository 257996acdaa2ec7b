/* Attempts: which part is sent when, and what its end means for the batch and the circuit. */
#include "base/log.h"
#include "export/exporter.h"

#include <stdio.h>

enum {
    NO_MEMORY_MS = 100,
    WARN_EVERY_S = 10,
    RETRY_AFTER_MAX_S = 3600,
    LAST_WAIT_MS = 250 /* between attempts, when everything ends: there is little time left */
};

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool is_stopping(const struct exporter *x)
{
    return atomic_load_explicit(&x->owner->stopping, memory_order_relaxed);
}

static bool is_flushing(const struct exporter *x)
{
    return atomic_load_explicit(&x->owner->flushing, memory_order_relaxed);
}

/* Retries and probes that were to come later come soon when everything ends. */
static uint64_t soon(const struct exporter *x, uint64_t due_ns, uint64_t since_ns)
{
    return is_flushing(x) ? min64(due_ns, since_ns + LAST_WAIT_MS * NS_PER_MS) : due_ns;
}

static uint64_t probe_due_ns(const struct exporter *x)
{
    return soon(x, x->probe_ns, x->probe_ns - x->spec->options->circuit_probe_ns);
}

/* Whether the part is not done, not in flight, and in order nothing of its signal is before it:
 * *taken has the signals of which a part was met that is not done. */
static bool may_go(const struct part *p, unsigned *taken)
{
    unsigned bit = 1u << p->batch->signal;
    bool is_first = !(*taken & bit);

    if (p->done)
        return false;
    *taken |= bit;
    return !p->in_flight && (is_first || !p->batch->exporter->spec->options->in_order);
}

/* The first part in order that is neither done nor in flight, and due; NULL: none. */
static struct part *waiting(const struct exporter *x, uint64_t until_ns)
{
    unsigned taken = 0;

    for (struct batch *b = x->first; b; b = b->next)
        for (size_t i = 0; b->parts_left && i < b->part_count; i++) {
            struct part *p = &b->parts[i];

            if (may_go(p, &taken) && soon(x, p->due_ns, p->mark_ns) <= until_ns)
                return p;
        }
    return NULL;
}

/* The part that may be sent now. An open circuit lets the oldest one through, due or not. */
static struct part *next_part(const struct exporter *x, uint64_t now_ns)
{
    if (x->in_flight >= IN_FLIGHT_MAX || now_ns < x->pause_ns || is_stopping(x) ||
        exporter_is_closed(x))
        return NULL;
    if (!x->circuit_open)
        return waiting(x, now_ns);
    if (x->probing || now_ns < probe_due_ns(x))
        return NULL;
    return waiting(x, NEVER_NS);
}

bool attempt_next(struct exporter *x, uint64_t now_ns)
{
    struct part *p = next_part(x, now_ns);
    enum err built = p ? queue_build(p) : ERR_IO;

    if (built == ERR_IO)
        return false;
    if (built == ERR_PARSE)
        return true;
    if (built != ERR_OK) {
        p->due_ns = now_ns + NO_MEMORY_MS * NS_PER_MS;
        x->pause_ns = p->due_ns;
        return false;
    }
    p->in_flight = true;
    p->flying_bytes = p->body.len;
    x->flying_bytes += p->flying_bytes;
    p->probe = x->probing = x->circuit_open;
    p->attempts++;
    x->in_flight++;
    x->stats[p->batch->signal].requests++;
    x->spec->type->send(x->self, p, now_ns);
    return true;
}

uint64_t attempt_due_ns(const struct exporter *x)
{
    uint64_t due = NEVER_NS;
    unsigned taken = 0;

    if (x->in_flight >= IN_FLIGHT_MAX || x->probing || x->is_away || is_stopping(x) ||
        exporter_is_closed(x))
        return NEVER_NS; /* the answer comes first */
    for (const struct batch *b = x->first; b; b = b->next)
        for (size_t i = 0; i < b->part_count; i++)
            if (may_go(&b->parts[i], &taken))
                due = min64(due, soon(x, b->parts[i].due_ns, b->parts[i].mark_ns));
    if (due == NEVER_NS)
        return due;
    if (x->circuit_open)
        due = probe_due_ns(x);
    return max64(due, x->pause_ns);
}

/* ---- how an attempt ended ---- */

static void end_attempt(struct part *p)
{
    struct exporter *x = p->batch->exporter;

    buf_fini(&p->body);
    p->sending = NULL;
    p->in_flight = false;
    queue_unbuild(p);
    x->in_flight--;
    x->flying_bytes -= p->flying_bytes;
    x->owner->ended++;
    if (p->probe)
        x->probing = p->probe = false;
}

void attempt_give_up(struct exporter *x)
{
    for (struct batch *b = x->first; b; b = b->next)
        for (size_t i = 0; i < b->part_count; i++) {
            struct part *p = &b->parts[i];

            if (!p->in_flight || !x->spec->type->cancel)
                continue;
            x->spec->type->cancel(x->self, p);
            p->maybe_delivered = true;
            end_attempt(p);
        }
}

static void open_circuit(struct exporter *x, const char *why)
{
    x->probe_ns = x->owner->now_ns + x->spec->options->circuit_probe_ns;
    if (x->circuit_open)
        return;
    x->circuit_open = true;
    log_event(LOG_WARN, "the endpoint fails; sending one request now and then", "exporter", x->name,
              "error", why);
}

void attempt_all_due(struct exporter *x)
{
    for (struct batch *b = x->first; b; b = b->next)
        for (size_t i = 0; i < b->part_count; i++)
            b->parts[i].due_ns = 0;
}

static void close_circuit(struct exporter *x)
{
    x->failures = 0;
    if (!x->circuit_open)
        return;
    x->circuit_open = false;
    log_event(LOG_INFO, "the endpoint works again", "exporter", x->name);
    attempt_all_due(x);
}

static void warn_lost(const struct part *p, uint64_t items, const char *reason, const char *why)
{
    struct exporter *x = p->batch->exporter;
    uint64_t now_ns = x->owner->now_ns;

    if (x->warned_ns && now_ns - x->warned_ns < WARN_EVERY_S * NS_PER_S)
        return;
    x->warned_ns = now_ns;
    if (p->batch->signal == OTLP_TRACES)
        log_event(LOG_WARN, "spans are lost", "exporter", x->name, "reason", reason, "spans",
                  log_number((double)items), "error", why);
    else
        log_event(LOG_WARN, "items are lost", "exporter", x->name, "reason", reason, "signal",
                  otlp_signal_name(p->batch->signal), "items", log_number((double)items), "error",
                  why);
}

static void delivered(struct part *p, const struct sent_result *r)
{
    struct exporter *x = p->batch->exporter;
    struct export_stats *stats = &x->stats[p->batch->signal];
    uint32_t rejected = r->rejected < p->items ? r->rejected : p->items;
    uint32_t filtered = r->filtered < p->items - rejected ? r->filtered : p->items - rejected;

    stats->lost_permanent += rejected;
    stats->filtered += filtered;
    stats->delivered += p->items - rejected - filtered;
    stats->redelivered += p->maybe_delivered ? p->items - rejected - filtered : 0;
    if (rejected)
        warn_lost(p, rejected, "permanent", r->error);
    queue_part_done(p);
    close_circuit(x);
}

/* initial_interval, doubled each time up to max_interval, times 0.5 to 1.5. */
static uint64_t backoff_ns(const struct part *p)
{
    struct exporter *x = p->batch->exporter;
    const struct exporter_common *o = x->spec->options;
    uint64_t interval = o->retry_initial_ns;

    for (unsigned i = 1; i < p->attempts && interval < o->retry_max_ns; i++)
        interval *= 2;
    interval = min64(interval, o->retry_max_ns);
    return (uint64_t)((double)interval * (0.5 + rng_unit(&x->owner->rng)));
}

static void wait_for_retry(struct part *p, const struct sent_result *r)
{
    struct exporter *x = p->batch->exporter;
    uint64_t now_ns = x->owner->now_ns;

    part_note_unsure(p, r);
    if (r->answered)
        p->elapsed_ns += now_ns - p->mark_ns;
    if (p->elapsed_ns > x->spec->options->retry_elapsed_ns) {
        x->stats[p->batch->signal].lost_retry_exhausted += p->items;
        warn_lost(p, p->items, "retry_exhausted", r->error);
        queue_part_done(p);
    }
    p->due_ns = now_ns + backoff_ns(p);
    if (r->told) {
        x->pause_ns = now_ns + min64(r->retry_after_ns, RETRY_AFTER_MAX_S * NS_PER_S);
        p->due_ns = x->pause_ns;
    } else if (++x->failures >= x->spec->options->circuit_failures || x->circuit_open) {
        open_circuit(x, r->error);
    }
}

static void failed(struct part *p, const struct sent_result *r)
{
    struct exporter *x = p->batch->exporter;

    x->stats[p->batch->signal].failures++;
    snprintf(x->last_error, sizeof(x->last_error), "%s", r->error);
    switch (r->how) {
    case SENT_RETRY:
        wait_for_retry(p, r);
        break;
    case SENT_HOLD:
        open_circuit(x, r->error);
        break;
    default:
        x->stats[p->batch->signal].lost_permanent += p->items;
        warn_lost(p, p->items, "permanent", r->error);
        queue_part_done(p);
        close_circuit(x); /* the endpoint answers */
    }
    p->mark_ns = x->owner->now_ns;
}

void exporter_sent(struct part *p, const struct sent_result *r)
{
    end_attempt(p);
    if (r->how == SENT_DELIVERED)
        delivered(p, r);
    else
        failed(p, r);
}
