/* Log records of decided traces, and those of which no span came. They leave as late spans do: from
 * the same queue, in order, in records of their own. A record says which frames it was made of, so
 * that after a kill they are sent where it is missing, and only there. */
#include "collector/decider.h"
#include "collector/door.h"

enum { LOG_BODY_MAX = 256 << 20 }; /* bytes; as of a payload */

static void queue(struct decider *d, const struct trace *trace, const struct span_ref *ref,
                  const struct trace_decision *decision)
{
    struct late_span *l = fifo_push(&d->late);

    *l = (struct late_span){.decision = *decision,
                            .frame = ref->frame,
                            .offset = ref->offset,
                            .len = ref->len,
                            .resource_offset = ref->resource_offset,
                            .scope_offset = ref->scope_offset,
                            .is_log = true};
    memcpy(l->trace_id, trace->id, sizeof(l->trace_id));
    d->late_logs++;
}

void decider_keep_logs(struct decider *d, const struct trace *trace,
                       const struct trace_decision *decision)
{
    for (uint32_t i = 0; i < trace->logs; i++)
        queue(d, trace, &d->refs[trace->spans + i], decision);
}

void decider_drop_logs(struct decider *d, const struct trace *trace, uint64_t sequence)
{
    d->worker->counts.passed[OTLP_LOGS].dropped += trace->logs;
    decider_queue_releases(d, sequence, d->refs + trace->spans, trace->logs);
}

/* Spans that come later are decided as if nothing had been. */
void decider_end_logs_alone(struct decider *d, struct trace *trace)
{
    struct worker *w = d->worker;
    const struct trace_decision decision = {
        .keep = true,
        .label = d->label_logs,
        .config_version = w->rules->version,
        .threshold = THRESHOLD_NONE,
        .probability = -1,
        .exporters = UINT64_MAX,
    };

    decider_keep_logs(d, trace, &decision);
    w->counts.decided[0][trace->trigger]++;
    w->counts.kept_traces[d->label_logs]++;
    w->counts.passed[OTLP_LOGS].alone += trace->logs;
    trace_table_forget(w->table, trace);
}

/* Those with a `where` get the log records of what they got. */
uint64_t decider_log_exporters(const struct decider *d, uint64_t of_trace)
{
    const struct rules *rules = d->worker->rules;
    uint64_t choosy = rules->takers[OTLP_TRACES] & ~rules->every_exporter;

    return rules->takers[OTLP_LOGS] & (of_trace | ~choosy);
}

/* ---- one record ---- */

static bool run_processors(struct decider *d, uint32_t count)
{
    struct worker *w = d->worker;
    struct item_sink sink = {.dropped = door_drop_items, .arg = w};

    return compose_traces(d->kept, count, &compose_as_it_is, &d->log_body) == ERR_OK &&
           processor_set_items(w->rules->kept, OTLP_LOGS, buf_slice(&d->log_body),
                               clock_now_ns(w->shared->clock), &sink, &d->log_left) == ERR_OK;
}

bool decider_process_logs(struct decider *d, struct decision_record *r)
{
    struct worker *w = d->worker;

    door_begin_items(w);
    r->payload_spans = r->spans;
    if (!processor_set_has_items(w->rules->kept, OTLP_LOGS))
        return true;
    buf_init(&d->log_body, LOG_BODY_MAX, w->shared->memory);
    d->log_body.forced = decider_may_pass(d);
    d->has_log_body = true;
    if (!run_processors(d, r->spans)) {
        decider_end_logs(d, false);
        return false;
    }
    r->payload_spans -= (uint32_t)door_items(w);
    if (r->payload_spans == 0)
        r->exporters = 0;
    return true;
}

void decider_end_logs(struct decider *d, bool taken)
{
    if (!d->has_log_body)
        return;
    d->has_log_body = false;
    processor_set_items_end(d->worker->rules->kept, taken);
    buf_fini(&d->log_body);
}

void decider_count_logs(struct decider *d, const struct decision_record *r)
{
    struct worker *w = d->worker;

    d->late_logs -= r->spans;
    if (!r->keep) {
        w->counts.passed[OTLP_LOGS].dropped += r->spans;
        return;
    }
    w->counts.passed[OTLP_LOGS].kept += r->payload_spans;
    door_count_items(w, OTLP_LOGS);
}
