#include "check.h"
#include "trace/table_impl.h"
#include "trace/trace.h"

#include <stdlib.h>

static struct memory memory;
static const struct trace_decision keep = {
    .keep = true, .label = 7, .config_version = 3, .threshold = 42, .probability = 0.5};

static struct trace_limits limits_of(void)
{
    memory_init(&memory, 64 << 20, 8 << 20);
    return (struct trace_limits){.decision_wait_ns = 10 * NS_PER_S,
                                 .wait_after_root_ns = NEVER_NS,
                                 .max_spans = 1000,
                                 .max_bytes = 1 << 20,
                                 .decision_cache = 100,
                                 .memory = &memory};
}

static struct trace_table *table_of(const struct trace_limits *limits)
{
    return trace_table_new(limits, (struct hash_key){1, 2});
}

static struct scan_span span_of(uint8_t trace, uint64_t id, uint64_t parent)
{
    return (struct scan_span){.trace_id = {trace, 1},
                              .span_id = id,
                              .parent_id = parent,
                              .start_ns = 1000 * NS_PER_S + id,
                              .end_ns = 1001 * NS_PER_S + id,
                              .offset = 100 * (uint32_t)id,
                              .len = 90};
}

static enum trace_add add(struct trace_table *t, uint8_t trace, uint64_t id, uint64_t parent,
                          uint64_t now_ns)
{
    struct scan_span s = span_of(trace, id, parent);
    struct trace_decision late;

    return trace_table_add(t, &s, 9, now_ns, &late);
}

static void a_trace_is_due_when_its_wait_is_over_and_not_before(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct trace *trace;

    CHECK(trace_table_next_due_ns(t) == NEVER_NS);
    CHECK(add(t, 1, 1, 0, 5) == TRACE_ADDED);
    CHECK(add(t, 1, 2, 1, 6) == TRACE_ADDED);
    CHECK(trace_table_next_due_ns(t) == 5 + 10 * NS_PER_S);
    CHECK(trace_table_take_due(t, 4 + 10 * NS_PER_S) == NULL);
    trace = trace_table_take_due(t, 5 + 10 * NS_PER_S);
    CHECK(trace && trace->trigger == TRIGGER_WAIT && trace->spans == 2 && trace->first_ns == 5);
    CHECK(trace->id[0] == 1 && trace->sums.bytes == 180 && trace->complete && trace->has_root);
    CHECK(trace->sums.start_ns == 1000 * NS_PER_S + 1 && trace->sums.end_ns == 1001 * NS_PER_S + 2);
    trace_table_decided(t, trace, &keep);
    CHECK(trace_table_take_due(t, NEVER_NS - 1) == NULL);
    trace_table_free(t);
    CHECK(memory_used(&memory) == 0);
}

static void the_root_brings_the_deadline_forward_and_never_back(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t;
    struct trace *trace;

    limits.wait_after_root_ns = 2 * NS_PER_S;
    t = table_of(&limits);
    CHECK(add(t, 1, 2, 1, 0) == TRACE_ADDED);            /* its root comes late */
    CHECK(add(t, 2, 1, 0, NS_PER_S) == TRACE_ADDED);     /* a root at 1 s: due at 3 s */
    CHECK(add(t, 1, 1, 0, 9 * NS_PER_S) == TRACE_ADDED); /* 11 s, but 10 s is over first */
    CHECK(trace_table_next_due_ns(t) == 3 * NS_PER_S);
    trace = trace_table_take_due(t, 3 * NS_PER_S);
    CHECK(trace && trace->id[0] == 2 && trace->trigger == TRIGGER_ROOT);
    trace_table_decided(t, trace, &keep);
    CHECK(trace_table_next_due_ns(t) == 10 * NS_PER_S);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    CHECK(trace && trace->id[0] == 1 && trace->trigger == TRIGGER_WAIT);
    trace_table_decided(t, trace, &keep);
    CHECK(trace_table_next_due_ns(t) == NEVER_NS);
    trace_table_free(t);
}

static void a_second_root_does_not_move_the_deadline(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t;

    limits.wait_after_root_ns = NS_PER_S;
    t = table_of(&limits);
    CHECK(add(t, 1, 1, 0, 100) == TRACE_ADDED);
    CHECK(add(t, 1, 2, 0, 200) == TRACE_ADDED);
    CHECK(trace_table_next_due_ns(t) == 100 + NS_PER_S);
    trace_table_free(t);
}

static void references_come_back_as_they_were_added(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct span_ref refs[11];
    struct trace *trace;

    for (uint64_t id = 1; id <= 11; id++)
        CHECK(add(t, 1, id, id - 1, 0) == TRACE_ADDED);
    CHECK(add(t, 2, 1, 0, 0) == TRACE_ADDED);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    trace_refs(t, trace, refs);
    for (uint32_t i = 0; i < 11; i++) {
        CHECK(refs[i].frame == 9 && refs[i].offset == 100 * (i + 1) && refs[i].len == 90);
        CHECK(refs[i].id_hash != 0);
        CHECK(refs[i].parent_hash == (i ? refs[i - 1].id_hash : 0));
    }
    trace_table_decided(t, trace, &keep);
    trace_table_free(t);
}

static void starts_keep_their_order_also_before_the_first_one(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    const uint64_t starts[] = {5000 * NS_PER_S, 4000 * NS_PER_S, 0, 1,
                               4990 * NS_PER_S, 90000 * NS_PER_S};
    struct span_ref refs[6];
    struct trace_decision late;
    struct trace *trace;

    for (int i = 0; i < 6; i++) {
        struct scan_span s = span_of(1, (uint64_t)i + 1, 1);

        s.start_ns = starts[i];
        CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_ADDED);
    }
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    trace_refs(t, trace, refs);
    CHECK(refs[2].start == 0 && refs[3].start == 1 && refs[5].start == UINT32_MAX);
    CHECK(refs[3].start < refs[1].start && refs[1].start < refs[4].start);
    CHECK(refs[4].start < refs[0].start && refs[0].start < refs[5].start);
    CHECK(refs[0].start - refs[4].start == 10 * NS_PER_S / 1024);
    trace_table_decided(t, trace, &keep);
    trace_table_free(t);
}

static void spans_without_start_or_end_leave_the_duration_alone(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct scan_span s = span_of(1, 1, 0);
    struct trace_decision late;
    struct trace *trace;

    s.start_ns = 0;
    CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_ADDED);
    s.start_ns = 7;
    s.end_ns = 0;
    CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_ADDED);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    CHECK(trace->sums.start_ns == 0 && trace->sums.end_ns == 0 && trace->spans == 2);
    trace_table_put_back(t, trace);
    s = span_of(1, 3, 1);
    CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_ADDED);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    CHECK(trace->sums.start_ns == s.start_ns && trace->sums.end_ns == s.end_ns &&
          trace->spans == 3);
    trace_table_decided(t, trace, &keep);
    trace_table_free(t);
}

static void errors_and_trace_state_are_seen(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct scan_span s = span_of(1, 1, 0);
    struct trace_decision late;
    struct trace *trace;

    CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_ADDED);
    s.flags = SCAN_ERROR;
    CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_ADDED);
    s.flags = SCAN_ERROR | SCAN_TRACE_STATE;
    CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_ADDED);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    CHECK(trace->sums.errors == 2 && trace->sums.has_trace_state && trace->spans == 3);
    trace_table_decided(t, trace, &keep);
    trace_table_free(t);
}

static void a_trace_is_complete_when_root_and_all_parents_are_here(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct trace *trace;

    add(t, 1, 2, 1, 0); /* no root */
    add(t, 2, 1, 0, 0); /* a hole: parent 5 is missing */
    add(t, 2, 6, 5, 0);
    add(t, 3, 3, 2, 0); /* whole, in a strange order */
    add(t, 3, 2, 1, 0);
    add(t, 3, 1, 0, 0);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    CHECK(trace->id[0] == 1 && !trace->complete && !trace->has_root);
    trace_table_decided(t, trace, &keep);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    CHECK(trace->id[0] == 2 && !trace->complete && trace->has_root);
    trace_table_decided(t, trace, &keep);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    CHECK(trace->id[0] == 3 && trace->complete);
    trace_table_decided(t, trace, &keep);
    trace_table_free(t);
}

static void a_large_trace_is_complete_but_for_its_last_orphan(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t;
    struct trace *trace;

    limits.max_spans = 20000;
    limits.max_bytes = 1 << 30;
    t = table_of(&limits);
    for (uint64_t id = 1; id <= 10000; id++)
        CHECK(add(t, 1, id, id / 2, 0) == TRACE_ADDED);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    CHECK(trace->spans == 10000 && trace->complete);
    trace_table_put_back(t, trace);
    CHECK(add(t, 1, 10001, 10002, 0) == TRACE_ADDED);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    CHECK(trace->spans == 10001 && !trace->complete);
    trace_table_decided(t, trace, &keep);
    trace_table_free(t);
    CHECK(memory_used(&memory) == 0);
}

static void late_spans_follow_the_decision_and_store_nothing(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct scan_span s = span_of(1, 1, 0);
    struct trace_decision late = {0};
    struct trace_stats stats;
    struct trace *trace;

    CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_ADDED);
    trace = trace_table_take_oldest(t, TRIGGER_SHUTDOWN);
    CHECK(trace && trace->trigger == TRIGGER_SHUTDOWN);
    trace_table_decided(t, trace, &keep);
    CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_LATE);
    CHECK(late.keep && late.label == 7 && late.config_version == 3 && late.threshold == 42 &&
          late.probability == 0.5);
    trace_table_stats(t, &stats);
    CHECK(stats.traces == 0 && stats.spans == 0 && stats.bytes == 0 && stats.remembered == 1);
    trace_table_free(t);
}

static void a_trace_with_too_many_spans_or_bytes_is_due_at_once(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t;
    struct trace *trace;

    limits.max_spans = 3;
    limits.max_bytes = 400;
    limits.wait_after_root_ns = NS_PER_S;
    t = table_of(&limits);
    for (uint64_t id = 1; id <= 3; id++)
        add(t, 1, id, id - 1, 0);
    CHECK(trace_table_take_due(t, 0) == NULL && trace_table_next_due_ns(t) == NS_PER_S);
    add(t, 1, 4, 3, 0);
    add(t, 1, 5, 4, 0);
    CHECK(trace_table_next_due_ns(t) == 0);
    trace = trace_table_take_due(t, 0);
    CHECK(trace && trace->trigger == TRIGGER_TOO_LARGE && trace->spans == 5);
    trace_table_decided(t, trace, &keep);
    CHECK(trace_table_next_due_ns(t) == NEVER_NS);
    trace_table_free(t);

    limits.max_spans = 100;
    t = table_of(&limits);
    for (uint64_t id = 1; id <= 5; id++)
        add(t, 1, id, 99, 0);
    trace = trace_table_take_due(t, 0);
    CHECK(trace && trace->trigger == TRIGGER_TOO_LARGE && trace->sums.bytes == 450);
    trace_table_decided(t, trace, &keep);
    trace_table_free(t);
}

static void over_num_traces_the_oldest_go_first(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t;
    struct trace *trace;

    limits.num_traces = 2;
    t = table_of(&limits);
    for (uint8_t i = 1; i <= 4; i++)
        add(t, i, 1, 0, i);
    CHECK(trace_table_next_due_ns(t) == 0);
    for (uint8_t i = 1; i <= 2; i++) {
        trace = trace_table_take_due(t, 5);
        CHECK(trace && trace->id[0] == i && trace->trigger == TRIGGER_PRESSURE);
        trace_table_decided(t, trace, &keep);
    }
    CHECK(trace_table_take_due(t, 5) == NULL);
    CHECK(trace_table_next_due_ns(t) == 3 + 10 * NS_PER_S);
    trace_table_free(t);
}

static void a_trace_that_was_put_back_is_due_at_once_and_takes_more_spans(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct trace *trace;

    add(t, 1, 1, 0, 0);
    add(t, 2, 1, 0, 0);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    CHECK(trace->id[0] == 1);
    trace_table_put_back(t, trace);
    CHECK(trace_table_next_due_ns(t) == 0);
    CHECK(add(t, 1, 2, 1, 10 * NS_PER_S) == TRACE_ADDED);
    trace = trace_table_take_due(t, 10 * NS_PER_S);
    CHECK(trace->id[0] == 1 && trace->spans == 2 && trace->trigger == TRIGGER_WAIT);
    trace_table_decided(t, trace, &keep);
    trace_table_free(t);
}

static void the_oldest_decision_is_forgotten_first_and_counted(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t;
    struct trace_stats stats;
    struct trace *trace;

    limits.decision_cache = 3;
    t = table_of(&limits);
    for (uint8_t i = 1; i <= 5; i++) {
        struct trace_decision decision = keep;

        decision.label = i;
        add(t, i, 1, 0, 0);
        trace = trace_table_take_oldest(t, TRIGGER_SHUTDOWN);
        trace_table_decided(t, trace, &decision);
    }
    trace_table_stats(t, &stats);
    CHECK(stats.remembered == 3 && stats.forgotten == 2);
    for (uint8_t i = 1; i <= 5; i++) {
        struct scan_span s = span_of(i, 1, 0);
        struct trace_decision late = {0};
        enum trace_add result = trace_table_add(t, &s, 9, 0, &late);

        CHECK(result == (i <= 2 ? TRACE_ADDED : TRACE_LATE));
        CHECK(i <= 2 || late.label == i);
    }
    trace_table_free(t);
    CHECK(memory_used(&memory) == 0);
}

static void where_no_decision_is_to_be_remembered_none_is(void)
{
    struct trace_limits limits = limits_of();
    struct trace_decision late = {0};
    struct scan_span s = span_of(1, 2, 0);
    struct trace_table *t;
    struct trace_stats stats;

    limits.decision_cache = 0;
    t = table_of(&limits);
    add(t, 1, 1, 0, 0);
    trace_table_decided(t, trace_table_take_oldest(t, TRIGGER_SHUTDOWN), &keep);
    trace_table_stats(t, &stats);
    CHECK(stats.remembered == 0 && stats.forgotten == 1);
    CHECK(!trace_table_remembered(t, s.trace_id));
    CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_ADDED);
    trace_table_free(t);
    CHECK(memory_used(&memory) == 0);
}

static void without_memory_nothing_is_stored_and_what_was_there_stays(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t;
    struct trace_stats stats;
    uint64_t added = 0, refused = 0;

    memory_init(&memory, 1 << 20, 1 << 10);
    limits.max_spans = SIZE_MAX;
    limits.max_bytes = SIZE_MAX;
    t = table_of(&limits);
    for (uint64_t i = 0; i < 100000; i++) {
        struct scan_span s = span_of(1, i + 1, i);
        struct trace_decision late;

        memcpy(s.trace_id + 4, &(uint64_t){i / 3}, 8);
        if (trace_table_add(t, &s, 9, 0, &late) == TRACE_ADDED)
            added++;
        else
            refused++;
    }
    trace_table_stats(t, &stats);
    CHECK(refused > 1000 && added > 1000);
    CHECK(stats.spans == added && stats.bytes == 90 * added);
    CHECK(stats.memory == memory_used(&memory) && stats.memory <= 1 << 20);
    for (uint64_t i = 0; i < stats.traces; i++) {
        struct trace *trace = trace_table_take_oldest(t, TRIGGER_PRESSURE);

        CHECK(trace && trace->spans > 0);
        trace_table_decided(t, trace, &keep);
    }
    CHECK(trace_table_take_oldest(t, TRIGGER_PRESSURE) == NULL);
    trace_table_stats(t, &stats);
    CHECK(stats.traces == 0 && stats.memory < 400000);
    trace_table_free(t);
    CHECK(memory_used(&memory) == 0);
}

static void many_spans_are_added_up_to_the_first_late_one(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct scan_span spans[200];
    struct trace_spans in = {spans, 200, 9, 5};
    struct trace_decision late = {0};
    enum trace_add result;
    struct trace_stats stats;
    size_t at = 0, stops = 0;

    add(t, 7, 1, 0, 0);
    trace_table_decided(t, trace_table_take_oldest(t, TRIGGER_SHUTDOWN), &keep);
    for (uint8_t i = 0; i < 200; i++)
        spans[i] = span_of(i / 2 % 20, i, i); /* 7 is decided: 14, 15, 54, 55, ... */
    while ((at = trace_table_add_all(t, &in, at, &result, &late)) < 200) {
        CHECK(result == TRACE_LATE && late.label == 7 && spans[at].trace_id[0] == 7);
        late.label = 0;
        stops++;
        at++;
    }
    CHECK(result == TRACE_ADDED && stops == 10);
    trace_table_stats(t, &stats);
    CHECK(stats.traces == 19 && stats.spans == 190);
    for (struct trace *trace; (trace = trace_table_take_due(t, 11 * NS_PER_S));)
        trace_table_decided(t, trace, &keep);
    in.count = 0;
    CHECK(trace_table_add_all(t, &in, 0, &result, &late) == 0 && result == TRACE_ADDED);
    trace_table_free(t);
    CHECK(memory_used(&memory) == 0);
}

static void spans_where_others_lay_go_to_traces_of_their_own(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct scan_span spans[4];
    struct trace_spans in = {spans, 4, 9, 5};
    struct trace_decision late = {0};
    enum trace_add result;
    struct trace_stats stats;

    add(t, 7, 1, 0, 0);
    trace_table_decided(t, trace_table_take_oldest(t, TRIGGER_SHUTDOWN), &keep);
    for (uint8_t request = 0; request < 3; request++) {
        for (uint8_t i = 0; i < 4; i++)
            spans[i] = span_of(i == 1 ? 7 : 10 + (request + i) % 3, 4 * request + i, 1);
        CHECK(trace_table_add_all(t, &in, 0, &result, &late) == 1 && result == TRACE_LATE);
        CHECK(request == 1 || trace_table_add_all(t, &in, 2, &result, &late) == 4);
    }
    trace_table_stats(t, &stats);
    CHECK(stats.traces == 3 && stats.spans == 7);
    for (struct trace *trace; (trace = trace_table_take_due(t, 11 * NS_PER_S));) {
        CHECK(trace->spans == (trace->id[0] == 12 ? 3 : 2));
        trace_table_decided(t, trace, &keep);
    }
    trace_table_free(t);
}

/* A scrape of a large table does not look at all of it. */
static void what_is_counted_along_the_way_is_what_is_there(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct trace_stats all, some;

    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 200; i++)
            add(t, (uint8_t)(round * 12 + i % 12), 1 + i, i % 3, round);
        for (unsigned i = 0; i < 6; i++)
            trace_table_decided(t, trace_table_take_oldest(t, TRIGGER_SHUTDOWN), &keep);
        t->counted_max = 0;
        trace_table_stats(t, &some);
        t->counted_max = 1000000;
        trace_table_stats(t, &all);
        CHECK(some.traces == all.traces && some.spans == all.spans && some.bytes == all.bytes);
        CHECK(all.traces > 0 && all.bytes > all.spans);
    }
    t->sums[0].spans += 5; /* what was miscounted is set right */
    trace_table_stats(t, &some);
    CHECK(some.spans == all.spans && some.traces == all.traces);
    trace_table_free(t);
}

static void owners_are_even_and_leave_the_table_even(void)
{
    unsigned owned[3] = {0}, low[16] = {0};
    struct hash_key key = {5, 6};

    for (uint64_t i = 0; i < 30000; i++) {
        uint8_t id[16] = {0};
        unsigned owner;

        memcpy(id, &i, sizeof(i));
        owner = trace_owner(key, id, 3);
        CHECK(owner < 3);
        owned[owner % 3]++;
        if (owner == 0)
            low[hash_bytes(key, id, 16) % 16]++;
        CHECK(trace_owner(key, id, 1) == 0);
    }
    for (int i = 0; i < 3; i++)
        CHECK(owned[i] > 9500 && owned[i] < 10500);
    for (int i = 0; i < 16; i++)
        CHECK(low[i] > 500 && low[i] < 750);
}

static void triggers_have_the_names_that_policies_see(void)
{
    CHECK(strcmp(trace_trigger_name(TRIGGER_WAIT), "wait") == 0);
    CHECK(strcmp(trace_trigger_name(TRIGGER_ROOT), "root") == 0);
    CHECK(strcmp(trace_trigger_name(TRIGGER_PRESSURE), "pressure") == 0);
    CHECK(strcmp(trace_trigger_name(TRIGGER_TOO_LARGE), "too_large") == 0);
    CHECK(strcmp(trace_trigger_name(TRIGGER_SHUTDOWN), "shutdown") == 0);
}

static void what_was_reserved_is_added_whatever_the_limiter_says_by_then(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct trace_decision late;
    size_t added = 0, held;

    CHECK(trace_table_reserve(t, 3000));
    held = (size_t)memory.limit - memory_used(&memory);
    CHECK(memory_reserve(&memory, held));
    CHECK(!trace_table_reserve(t, 1));
    for (uint64_t i = 0; i < 3000; i++) {
        struct scan_span s = span_of(1, i + 1, 0);

        memcpy(s.trace_id, &i, sizeof(i));
        added += trace_table_add(t, &s, 9, 1, &late) == TRACE_ADDED;
    }
    CHECK(added == 3000);
    memory_release(&memory, held);
    trace_table_free(t);
    CHECK(memory_used(&memory) == 0);
}

static void one_set_aside_takes_spans_and_is_not_due_until_it_is_resumed(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t;
    struct trace *trace;
    struct trace_stats s;

    limits.num_traces = 1;
    limits.max_spans = 2;
    t = table_of(&limits);
    CHECK(add(t, 1, 1, 0, 0) == TRACE_ADDED);
    trace_table_set_aside(t, trace_table_take_due(t, 10 * NS_PER_S));
    CHECK(add(t, 2, 1, 0, 10 * NS_PER_S) == TRACE_ADDED);
    CHECK(trace_table_aside(t) == 1 && trace_table_next_due_ns(t) == 20 * NS_PER_S);
    CHECK(!trace_table_take_due(t, 11 * NS_PER_S));
    for (uint64_t id = 2; id < 5; id++) /* over max_spans: due already */
        CHECK(add(t, 1, id, 1, 11 * NS_PER_S) == TRACE_ADDED);
    trace_table_set_aside(t, trace_table_take_oldest(t, TRIGGER_PRESSURE));
    CHECK(trace_table_next_due_ns(t) == NEVER_NS && trace_table_aside(t) == 2);
    CHECK(!trace_table_take_oldest(t, TRIGGER_SHUTDOWN));
    trace_table_stats(t, &s);
    CHECK(s.traces == 2 && s.spans == 5);
    CHECK(trace_table_resume(t, 1) == 1 && trace_table_next_due_ns(t) == 0);
    trace = trace_table_take_due(t, 0);
    CHECK(trace && trace->id[0] == 1 && trace->trigger == TRIGGER_WAIT && trace->spans == 4);
    CHECK(!trace_table_take_due(t, 0));
    trace_table_decided(t, trace, &keep);
    CHECK(trace_table_resume(t, 9) == 1 && trace_table_aside(t) == 0);
    trace = trace_table_take_due(t, 0);
    CHECK(trace && trace->id[0] == 2 && trace->trigger == TRIGGER_PRESSURE);
    trace_table_decided(t, trace, &keep);
    trace_table_free(t);
    CHECK(memory_used(&memory) == 0);
}

static void what_is_postponed_keeps_its_order(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t;
    struct trace *trace;

    limits.wait_after_root_ns = 2 * NS_PER_S;
    t = table_of(&limits);
    CHECK(add(t, 1, 2, 1, 100) == TRACE_ADDED); /* without a root: due at 10 s */
    CHECK(add(t, 2, 1, 0, 200) == TRACE_ADDED); /* with: at 2 s */
    CHECK(add(t, 3, 1, 0, 7 * NS_PER_S) == TRACE_ADDED);
    trace_table_postpone(t, 8 * NS_PER_S);
    CHECK(trace_table_next_due_ns(t) == 8 * NS_PER_S);
    trace = trace_table_take_due(t, 8 * NS_PER_S);
    CHECK(trace && trace->id[0] == 2 && trace->trigger == TRIGGER_ROOT);
    trace_table_decided(t, trace, &keep);
    CHECK(trace_table_next_due_ns(t) == 9 * NS_PER_S); /* the third: later than that anyway */
    trace_table_postpone(t, 12 * NS_PER_S);
    CHECK(trace_table_next_due_ns(t) == 12 * NS_PER_S);
    CHECK(add(t, 4, 2, 1, 8 * NS_PER_S) == TRACE_ADDED);
    for (uint8_t i = 0; i < 2; i++) {
        trace = trace_table_take_due(t, 12 * NS_PER_S);
        CHECK(trace && trace->id[0] == (i ? 3 : 1));
        trace_table_decided(t, trace, &keep);
    }
    CHECK(trace_table_next_due_ns(t) == 18 * NS_PER_S);
    trace_table_free(t);
}

static void a_decision_of_before_the_start_is_followed(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct scan_span s = span_of(1, 1, 0), other = span_of(2, 1, 0);
    struct trace_decision late = {.keep = false};

    trace_table_remember(t, s.trace_id, &keep);
    CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_LATE && late.keep && late.label == 7);
    CHECK(trace_table_remembered(t, s.trace_id) && !trace_table_remembered(t, other.trace_id));
    CHECK(trace_table_add(t, &other, 9, 0, &late) == TRACE_ADDED);
    trace_table_free(t);
}

static void what_was_acknowledged_before_is_held_beyond_the_limit(void)
{
    enum { SPANS = 200000 };
    struct trace_limits limits = limits_of();
    struct trace_table *t;
    struct trace_stats stats;
    struct trace_decision late;

    memory_init(&memory, 4 << 20, 1 << 20);
    t = table_of(&limits);
    for (uint32_t i = 0; i < SPANS; i += 100) {
        CHECK(trace_table_force(t, 100));
        for (uint32_t k = i; k < i + 100; k++) {
            struct scan_span s = span_of(1, 1, 0);

            memcpy(s.trace_id, &k, sizeof(k));
            CHECK(trace_table_add(t, &s, 9, 0, &late) == TRACE_ADDED);
        }
    }
    trace_table_stats(t, &stats);
    CHECK(stats.spans == SPANS && memory_used(&memory) == stats.memory);
    CHECK(!trace_table_reserve(t, 1));
    trace_table_free(t);
    CHECK(memory_used(&memory) == 0);
}

static enum trace_add add_log(struct trace_table *t, uint8_t trace, uint32_t offset, uint32_t len,
                              uint64_t now_ns, struct trace_decision *late)
{
    struct scan_span s = {.trace_id = {trace, 1}, .offset = offset, .len = len, .flags = SCAN_LOG};

    return trace_table_add(t, &s, 5, now_ns, late);
}

static void log_records_wait_with_their_trace_and_decide_nothing(void)
{
    struct trace_limits limits = limits_of();
    struct trace_decision late;
    struct span_ref refs[7];
    struct trace_table *t;
    struct trace_stats stats;
    struct trace *trace;

    limits.wait_after_root_ns = 2 * NS_PER_S;
    t = table_of(&limits);
    CHECK(add_log(t, 1, 10, 50, 1, &late) == TRACE_ADDED);
    CHECK(trace_table_next_due_ns(t) == 1 + 10 * NS_PER_S); /* no root came */
    CHECK(add(t, 1, 1, 0, NS_PER_S) == TRACE_ADDED);
    for (uint32_t i = 0; i < 4; i++)
        CHECK(add_log(t, 1, 20 + i, 50, NS_PER_S, &late) == TRACE_ADDED);
    CHECK(add(t, 1, 2, 1, NS_PER_S) == TRACE_ADDED);
    trace_table_stats(t, &stats);
    CHECK(stats.traces == 1 && stats.spans == 2 && stats.logs == 5 && stats.bytes == 180);
    trace = trace_table_take_due(t, 3 * NS_PER_S);
    CHECK(trace && trace->trigger == TRIGGER_ROOT && trace->complete);
    CHECK(trace->spans == 2 && trace->logs == 5 && trace_ref_count(trace) == 7);
    CHECK(trace->sums.bytes == 180 && trace->log_bytes == 250);
    CHECK(trace->sums.start_ns == 1000 * NS_PER_S + 1);
    trace_refs(t, trace, refs);
    CHECK(refs[0].offset == 100 && refs[0].parent_hash == 0 && refs[0].id_hash != 0);
    CHECK(refs[1].offset == 200 && refs[1].parent_hash == refs[0].id_hash);
    CHECK(refs[2].offset == 10 && refs[3].offset == 20 && refs[6].offset == 23);
    for (int i = 2; i < 7; i++)
        CHECK(refs[i].id_hash == 0 && refs[i].parent_hash == 0 && refs[i].frame == 5);
    trace_table_decided(t, trace, &keep);
    CHECK(add_log(t, 1, 30, 50, 4 * NS_PER_S, &late) == TRACE_LATE && late.label == keep.label);
    trace_table_stats(t, &stats);
    CHECK(stats.traces == 0 && stats.spans == 0 && stats.logs == 0 && stats.bytes == 0);
    trace_table_free(t);
    CHECK(memory_used(&memory) == 0);
}

static void too_many_log_records_or_bytes_of_them_are_too_large(void)
{
    struct trace_limits limits = limits_of();
    struct trace_decision late;
    struct trace_table *t;

    limits.max_spans = 3;
    limits.max_bytes = 1000;
    t = table_of(&limits);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(add_log(t, 1, i, 1, 1, &late) == TRACE_ADDED);
        CHECK(add(t, 1, i + 1, 0, 1) == TRACE_ADDED);
    }
    CHECK(trace_table_take_due(t, 2) == NULL);
    CHECK(add_log(t, 1, 3, 1, 1, &late) == TRACE_ADDED);
    CHECK(trace_table_take_due(t, 2)->trigger == TRIGGER_TOO_LARGE);
    CHECK(add(t, 2, 1, 0, 1) == TRACE_ADDED);
    CHECK(add_log(t, 2, 0, 910, 1, &late) == TRACE_ADDED);
    CHECK(trace_table_take_due(t, 2) == NULL);
    CHECK(add_log(t, 2, 0, 1, 1, &late) == TRACE_ADDED);
    CHECK(trace_table_take_due(t, 2)->trigger == TRIGGER_TOO_LARGE);
    trace_table_free(t);
}

static void what_is_forgotten_begins_anew(void)
{
    struct trace_limits limits = limits_of();
    struct trace_table *t = table_of(&limits);
    struct trace_decision late;
    struct trace *trace;

    CHECK(add_log(t, 1, 0, 10, 1, &late) == TRACE_ADDED);
    trace = trace_table_take_due(t, 1 + 10 * NS_PER_S);
    CHECK(trace && trace->spans == 0 && trace->logs == 1 && !trace->complete && !trace->has_root);
    trace_table_forget(t, trace);
    CHECK(add(t, 1, 1, 0, 20 * NS_PER_S) == TRACE_ADDED);
    CHECK(trace_table_next_due_ns(t) == 30 * NS_PER_S);
    trace_table_free(t);
    CHECK(memory_used(&memory) == 0);
}

int main(void)
{
    RUN(log_records_wait_with_their_trace_and_decide_nothing);
    RUN(too_many_log_records_or_bytes_of_them_are_too_large);
    RUN(what_is_forgotten_begins_anew);
    RUN(one_set_aside_takes_spans_and_is_not_due_until_it_is_resumed);
    RUN(what_is_postponed_keeps_its_order);
    RUN(a_decision_of_before_the_start_is_followed);
    RUN(what_was_acknowledged_before_is_held_beyond_the_limit);
    RUN(a_trace_is_due_when_its_wait_is_over_and_not_before);
    RUN(the_root_brings_the_deadline_forward_and_never_back);
    RUN(a_second_root_does_not_move_the_deadline);
    RUN(references_come_back_as_they_were_added);
    RUN(starts_keep_their_order_also_before_the_first_one);
    RUN(spans_without_start_or_end_leave_the_duration_alone);
    RUN(errors_and_trace_state_are_seen);
    RUN(a_trace_is_complete_when_root_and_all_parents_are_here);
    RUN(a_large_trace_is_complete_but_for_its_last_orphan);
    RUN(late_spans_follow_the_decision_and_store_nothing);
    RUN(a_trace_with_too_many_spans_or_bytes_is_due_at_once);
    RUN(over_num_traces_the_oldest_go_first);
    RUN(a_trace_that_was_put_back_is_due_at_once_and_takes_more_spans);
    RUN(the_oldest_decision_is_forgotten_first_and_counted);
    RUN(where_no_decision_is_to_be_remembered_none_is);
    RUN(without_memory_nothing_is_stored_and_what_was_there_stays);
    RUN(many_spans_are_added_up_to_the_first_late_one);
    RUN(spans_where_others_lay_go_to_traces_of_their_own);
    RUN(what_is_counted_along_the_way_is_what_is_there);
    RUN(owners_are_even_and_leave_the_table_even);
    RUN(triggers_have_the_names_that_policies_see);
    RUN(what_was_reserved_is_added_whatever_the_limiter_says_by_then);
    return DONE();
}
