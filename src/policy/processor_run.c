/* The processors of "kept" over the spans of one trace. */
#include "policy/processor_parts.h"

#include <stdlib.h>

enum { KEPT_CAPACITY = 1024 }; /* arrays for more spans are given back at the next trace of fewer */

static bool make_room(struct processor_set *p, size_t count)
{
    size_t capacity = count < 64 ? 64 : count;

    if (count <= p->capacity && (p->capacity <= KEPT_CAPACITY || count > KEPT_CAPACITY))
        return true;
    free(p->views);
    p->views = malloc(capacity * (sizeof(*p->views) + 2 * sizeof(*p->gone)));
    p->capacity = p->views ? capacity : 0;
    if (!p->views)
        return false;
    p->gone = (uint16_t *)(p->views + capacity);
    p->dropped = p->gone + capacity;
    return true;
}

/* ---- one processor ---- */

static void fail_span(struct processor_set *p, const struct processor *x, size_t span)
{
    struct span_view *view = &p->views[span];

    if (x->on_error == ON_ERROR_PASS)
        return;
    if (x->on_error == ON_ERROR_STRIP && editor_strip(p->editor, view))
        reader_set_view(p->reader, span, view);
    else
        p->gone[span] = x->error_label + 1; /* fails closed */
}

void processor_count_redacted(struct processor_set *p, struct processor *x, struct redact *r,
                              bool counts)
{
    size_t at = 0;
    unsigned rule;
    uint64_t count;

    if (x->redact != r)
        memset(x->redact_labels, 0, sizeof(x->redact_labels));
    x->redact = r;
    while (redact_counts_next(r, &at, &rule, &count)) {
        uint16_t *label = &x->redact_labels[rule];

        if (!counts)
            continue;
        if (*label == 0)
            *label = labels_intern(p->shared->redactions, slice_str(x->script.name),
                                   slice_str(redact_name(r, rule)));
        atomic_fetch_add_explicit(&p->shared->redacted[*label], count, memory_order_relaxed);
    }
}

/* As `span = function(span) span:redact(...) end` would, without a call of Lua. */
static enum answer redact_kept(struct processor_set *p, struct processor *x)
{
    bool ok;

    redact_hold_look(x->redacts_spans, true); /* no script is running that could be ended */
    ok = editor_redact(p->editor, x->redacts_spans);
    redact_hold_look(x->redacts_spans, false);
    if (!ok)
        processor_count_failure(p, x, FAILURE_MEMORY);
    return ok ? ANSWER_LEAVE : ANSWER_FAILED;
}

static void process_span(struct processor_set *p, struct processor *x, size_t span, uint64_t now_ns)
{
    uint16_t label = 0;
    enum answer answer;
    bool ok;

    if (x->when && !match_reads(x->when, p->reader, span))
        return;
    editor_begin(p->editor, span);
    answer =
        x->redacts_spans ? redact_kept(p, x) : processor_ask(p, x, x->span, span, now_ns, &label);
    ok = editor_end(p->editor, answer == ANSWER_LEAVE, &p->views[span]);
    if (p->editor->redact)
        processor_count_redacted(p, x, p->editor->redact, answer == ANSWER_LEAVE && ok);
    if (answer == ANSWER_DROP)
        p->gone[span] = label + 1;
    else if (answer == ANSWER_FAILED || !ok)
        fail_span(p, x, span);
}

static void process_spans(struct processor_set *p, struct processor *x, bool failed,
                          uint64_t now_ns)
{
    size_t count = p->reader->count;

    for (size_t rank = 0; rank < count; rank++) {
        size_t span = reader_order(p->reader, rank);

        if (span == READER_NONE || failed || (x->span == LUA_NOREF && !x->redacts_spans))
            break;
        process_span(p, x, span, now_ns);
    }
    if (failed)
        for (size_t span = 0; span < count; span++)
            fail_span(p, x, span);
}

/* ---- the children of what was dropped ---- */

/* A dropped span. */
struct gap {
    uint64_t id, parent;
    struct slice parent_id;
    bool is_here; /* another span has its id: senders repeat */
};

static int by_id(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static struct gap *find_gap(struct gap *gaps, size_t count, uint64_t id)
{
    struct gap key = {.id = id};

    return id ? bsearch(&key, gaps, count, sizeof(*gaps), by_id) : NULL;
}

/* Up from `gap` to the first that is here, or is not known; empty: none. */
static struct slice heir_of(struct gap *gaps, size_t count, const struct gap *gap)
{
    for (size_t i = 0; i < count; i++) {
        const struct gap *above = find_gap(gaps, count, gap->parent);

        if (!above || above->is_here)
            return gap->parent ? gap->parent_id : (struct slice){0};
        gap = above;
    }
    return (struct slice){0}; /* a ring */
}

static size_t find_gaps(struct processor_set *p, size_t count, struct gap *gaps)
{
    struct span_fields f;
    struct gap *gap;
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        if (!p->gone[i])
            continue;
        view_span_fields(p->views[i].span, &f);
        gaps[n++] = (struct gap){view_id(f.span_id), view_id(f.parent_id), f.parent_id, false};
    }
    qsort(gaps, n, sizeof(*gaps), by_id);
    for (size_t i = 0; i < count; i++) {
        if (p->gone[i])
            continue;
        view_span_fields(p->views[i].span, &f);
        gap = find_gap(gaps, n, view_id(f.span_id));
        if (gap)
            gap->is_here = true;
    }
    return n;
}

/* False: no memory for one of them. */
static bool adopt(struct processor_set *p, size_t count, size_t gone)
{
    struct gap *gaps = malloc(gone * sizeof(*gaps));
    size_t n = gaps ? find_gaps(p, count, gaps) : 0;
    bool ok = gaps != NULL;

    for (size_t i = 0; i < count && ok; i++) {
        struct span_fields f;
        const struct gap *gap;

        if (p->gone[i])
            continue;
        view_span_fields(p->views[i].span, &f);
        gap = find_gap(gaps, n, view_id(f.parent_id));
        if (gap && !gap->is_here)
            ok = editor_set_parent(p->editor, &p->views[i], heir_of(gaps, n, gap));
    }
    free(gaps);
    return ok;
}

/* Takes the dropped spans out; returns how many are left. */
static uint32_t close_gaps(struct processor_set *p, uint32_t count, uint32_t *entry)
{
    uint32_t left = 0, was_entry = *entry;
    size_t gone = 0;

    for (uint32_t i = 0; i < count; i++)
        gone += p->gone[i] != 0;
    if (gone == 0)
        return count;
    (void)adopt(p, count, gone); /* without memory the children keep the parent that they named */
    for (uint32_t i = 0; i < count; i++) {
        if (i == was_entry)
            *entry = p->gone[i] ? UINT32_MAX : left;
        if (p->gone[i])
            p->dropped[p->dropped_count++] = p->gone[i] - 1;
        else
            p->views[left++] = p->views[i];
    }
    return left;
}

/* ---- a trace ---- */

static uint32_t run_one(struct processor_set *p, struct processor *x, struct policy_trace *trace,
                        uint32_t *entry, uint64_t now_ns)
{
    uint32_t left;

    memset(p->gone, 0, trace->count * sizeof(*p->gone));
    reader_begin(p->reader, trace);
    if (reader_ready(p->reader))
        process_spans(p, x, !processor_ask_trace(p, x, now_ns), now_ns);
    else
        for (uint32_t i = 0; i < trace->count; i++)
            p->gone[i] = x->on_error == ON_ERROR_PASS ? 0 : x->error_label + 1;
    reader_end(p->reader);
    left = close_gaps(p, trace->count, entry);
    if (left < trace->count)
        trace->only_root = POLICY_ROOT_UNKNOWN;
    return left;
}

/* The entry of what is left, once the one that was is dropped. */
static uint32_t new_entry(struct processor_set *p, const struct policy_trace *trace)
{
    size_t entry;

    reader_begin(p->reader, trace);
    entry = reader_entry(p->reader);
    reader_end(p->reader);
    return entry == READER_NONE ? UINT32_MAX : (uint32_t)entry;
}

bool processor_set_run(struct processor_set *p, const struct policy_trace *trace, uint32_t entry,
                       uint64_t now_ns, struct processed *out)
{
    struct policy_trace t = *trace;
    bool wants_entry = entry != UINT32_MAX;

    if (!make_room(p, trace->count))
        return false;
    for (uint32_t i = 0; i < trace->count; i++)
        p->views[i] = trace->span(trace->span_arg, i);
    t.span = policy_span_in_array;
    t.span_arg = p->views;
    p->dropped_count = 0;
    p->editor->truncated = 0;
    policy_begin_time(p->L, now_ns);
    for (size_t i = 0; i < p->count && t.count > 0; i++)
        t.count = run_one(p, &p->processors[i], &t, &entry, now_ns);
    policy_end_time(p->L);
    if (wants_entry && entry == UINT32_MAX && t.count > 0)
        entry = new_entry(p, &t);
    atomic_fetch_add_explicit(&p->shared->truncated, p->editor->truncated, memory_order_relaxed);
    *out = (struct processed){p->views, t.count, entry, p->dropped, (uint32_t)p->dropped_count};
    return true;
}

void processor_set_end(struct processor_set *p)
{
    editor_clear(p->editor);
}
