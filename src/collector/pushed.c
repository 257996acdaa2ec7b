/* What a Lua exporter sees of a kept trace: the same as policies do. */
#include "collector/parts.h"

static struct span_view pushed_span(void *arg, uint32_t i)
{
    const struct export_trace *trace = arg;

    return trace->spans[i];
}

enum err pushed_trace_push(void *collector, lua_State *L, const struct export_trace *trace)
{
    struct pushed_trace *p = &((struct collector *)collector)->pushed;
    const struct decision_record *r = trace->record;

    p->trace = *trace;
    p->verdict = (struct policy_verdict){
        .keep = true, .label = r->label, .probability = r->probability, .threshold = r->threshold};
    p->policy = (struct policy_trace){.trigger = trace_trigger_name((enum trace_trigger)r->trigger),
                                      .complete = r->complete,
                                      .decided_unix_ns = r->unix_ns,
                                      .sums = trace->sums,
                                      .count = (uint32_t)trace->count,
                                      .only_root = POLICY_ROOT_UNKNOWN,
                                      .span = pushed_span,
                                      .span_arg = &p->trace,
                                      .decision = &p->verdict};
    memcpy(p->policy.id, r->trace_id, sizeof(p->policy.id));
    policy_begin_time(L, collector_now_ns(collector));
    return policy_push_trace(L, &p->policy);
}

void pushed_trace_end(void *collector, lua_State *L)
{
    (void)collector;
    policy_end_trace(L);
    policy_end_time(L);
}
