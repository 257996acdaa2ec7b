/* From running to stopped: drain, decide, flush. */
#include "base/log.h"
#include "collector/bias.h"
#include "collector/parts.h"
#include "collector/span_metrics.h"

static void wake_all(struct collector *c)
{
    for (unsigned i = 1; i < c->task_count; i++)
        loop_wake(c->tasks[i].loop);
}

static void set_phase(struct collector *c, enum phase phase)
{
    atomic_store_explicit(&c->shared.phase, phase, memory_order_release);
    wake_all(c);
}

enum phase collector_phase(const struct collector *c)
{
    return (enum phase)atomic_load_explicit(&c->shared.phase, memory_order_acquire);
}

void collector_stop(struct collector *c, uint64_t now_ns)
{
    if (collector_phase(c) != PHASE_RUNNING)
        return;
    log_event(LOG_INFO, "shutting down");
    c->stop_by_ns = now_ns + c->config->shutdown_timeout_ns;
    atomic_store(&c->is_stopping, true); /* the builder need not read what it is at to its end */
    accept_close(c);
    if (c->shared.keeps)
        export_stop(c->export);
    set_phase(c, PHASE_DRAINING);
}

static bool all_workers(const struct collector *c, bool decided)
{
    for (unsigned i = 0; i < c->shared.count; i++)
        if (!atomic_load(decided ? &c->workers[i]->is_decided : &c->workers[i]->is_drained))
            return false;
    return true;
}

static bool nothing_in_flight(const struct ledger *l)
{
    for (size_t i = 0; i < l->exporter_count; i++)
        if (l->exporters[i].stats.in_flight > 0)
            return false;
    return true;
}

static bool everything_settled(const struct ledger *l)
{
    return l->pending == 0 && l->passed[OTLP_LOGS].pending == 0 && ledger_unsettled(l) == 0;
}

/* By a snapshot of now: what one from before counts as settled was not all there yet. */
static bool is_flushed(struct collector *c, uint64_t now_ns)
{
    uint64_t age_ns;
    const struct ledger *l = collector_ledger(c, now_ns, &age_ns);

    if (age_ns > 0 || atomic_load(&c->shared.span_bodies))
        return false;
    return c->shared.keeps ? nothing_in_flight(l) : everything_settled(l);
}

/* What the last decisions added to the service graph is on its way to the exporters. */
static bool has_sent_last(struct collector *c)
{
    if (!c->shared.service_graph)
        return true;
    if (!c->has_sent_last)
        c->has_sent_last = span_metrics_flush(c);
    return c->has_sent_last && !atomic_load(&c->shared.span_bodies);
}

/* Moves from phase to phase as the threads report; returns when to look again. */
static uint64_t advance_phase(struct collector *c, uint64_t now_ns)
{
    enum phase phase = collector_phase(c);

    if (phase == PHASE_RUNNING || phase == PHASE_STOPPED)
        return NEVER_NS;
    if (phase == PHASE_DRAINING &&
        ((all_workers(c, false) && span_metrics_flush(c)) || now_ns >= c->stop_by_ns))
        set_phase(c, c->shared.keeps ? PHASE_FLUSHING : PHASE_DECIDING);
    if (phase == PHASE_DECIDING &&
        ((all_workers(c, true) && has_sent_last(c)) || now_ns >= c->stop_by_ns)) {
        export_flush(c->export);
        set_phase(c, PHASE_FLUSHING);
    }
    if (phase == PHASE_FLUSHING && (now_ns >= c->stop_by_ns || is_flushed(c, now_ns)))
        set_phase(c, PHASE_STOPPED);
    return now_ns + 5 * NS_PER_MS;
}

uint64_t life_step(void *collector, uint64_t now_ns)
{
    struct collector *c = collector;
    uint64_t accept_ns = accept_resume(c, now_ns), phase_ns = advance_phase(c, now_ns);
    uint64_t state_ns = state_file_step(&c->state_file, now_ns);

    state_ns = earlier_ns(state_ns, span_metrics_step(c, now_ns));
    state_ns = earlier_ns(state_ns, bias_step(c, now_ns));
    state_ns = earlier_ns(state_ns, notices_step(c, now_ns));
    reload_hear(c->reload);
    return earlier_ns(state_ns, earlier_ns(accept_ns, phase_ns));
}

unsigned collector_reload(struct collector *c, enum reload_cause cause)
{
    return reload_ask(c->reload, cause);
}
