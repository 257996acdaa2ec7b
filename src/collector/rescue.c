#include "collector/rescue.h"

#include "base/encode.h"
#include "collector/decider.h"
#include "collector/parts.h"
#include "journal/reader.h"

#include <stdlib.h>

/* A body that holds spans of the trace, read from a file. */
struct rescued_body {
    uint8_t *data; /* counted */
    size_t len;
    uint64_t source;
};

struct rescued_span {
    struct scan_span span;
    uint32_t body;
    bool is_copy; /* it was moved, and is here already */
};

struct rescue {
    uint8_t trace_id[16];
    struct memory *memory;
    struct rescued_body *bodies;
    uint32_t body_count;
    struct rescued_span *spans;
    size_t count, capacity;
    struct scan_sums sums;
    bool complete;
    uint32_t root;  /* a span without a parent; POLICY_ROOT_UNKNOWN: none */
    bool failed;    /* no memory */
    unsigned tries; /* to commit it */
};

enum { TRIES_MAX = 5000, FIRST_SPANS = 64 }; /* one a millisecond */

void rescue_free(struct rescue *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->body_count; i++)
        counted_free(r->memory, r->bodies[i].data);
    counted_free(r->memory, r->bodies);
    counted_free(r->memory, r->spans);
    free(r);
}

/* ---- reading, on main ---- */

static uint32_t add_body(struct rescue *r, struct slice body, uint64_t source)
{
    struct rescued_body *more =
        counted_realloc(r->memory, r->bodies, (r->body_count + 1) * sizeof(*more));
    uint8_t *data;

    if (!more)
        return UINT32_MAX;
    r->bodies = more;
    data = counted_alloc(r->memory, body.len);
    if (!data)
        return UINT32_MAX;
    memcpy(data, body.data, body.len);
    more[r->body_count] = (struct rescued_body){data, body.len, source};
    return r->body_count++;
}

static bool add_span(struct rescue *r, const struct scan_span *span, uint32_t body)
{
    size_t capacity = r->capacity ? r->capacity * 2 : FIRST_SPANS;
    struct rescued_span *more = r->spans;

    if (r->count == r->capacity) {
        more = counted_realloc(r->memory, r->spans, capacity * sizeof(*more));
        if (!more)
            return false;
        r->spans = more;
        r->capacity = capacity;
    }
    more[r->count++] = (struct rescued_span){.span = *span, .body = body};
    return true;
}

/* Adds those of the trace; `spans` has all of the frame. */
static void add_spans(struct rescue *r, const struct scan_span *spans, size_t count,
                      struct slice body, uint64_t source)
{
    uint32_t index = UINT32_MAX;

    for (size_t i = 0; i < count && !r->failed; i++) {
        if (memcmp(spans[i].trace_id, r->trace_id, sizeof(r->trace_id)) != 0)
            continue;
        if (index == UINT32_MAX)
            index = add_body(r, body, source);
        r->failed = index == UINT32_MAX || !add_span(r, &spans[i], index);
    }
}

static bool on_frame(void *arg, const struct reader_segment *segment, const struct frame *frame)
{
    struct rescue *r = arg;
    struct slice body = frame->body;
    uint64_t source;
    struct scan_result found;
    struct scan_span *spans;

    if (frame->header.signal != FRAME_TRACES || body.len == 0 ||
        !memmem(body.data, body.len, r->trace_id, sizeof(r->trace_id)) ||
        scan_traces(body, NULL, 0, &found) == ERR_PARSE ||
        !frame_came_in(&frame->header, frame->tlvs,
                       frame_source(segment->header.worker, frame->header.sequence), &source))
        return true;
    spans = counted_alloc(r->memory, (found.spans + 1) * sizeof(*spans));
    r->failed |= !spans;
    if (spans && scan_traces(body, spans, found.spans, &found) == ERR_OK)
        add_spans(r, spans, found.spans, body, source);
    counted_free(r->memory, spans);
    return !r->failed;
}

static bool is_wanted(const struct reader_segment *s, const uint64_t *ordinals, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (s->state == READER_GOOD && s->header.use == USE_FRAMES &&
            s->header.ordinal == ordinals[i])
            return true;
    return false;
}

static enum err read_segments(struct rescue *r, const struct collector_host *host, const char *path,
                              const uint64_t *ordinals, size_t count, struct err_info *info)
{
    struct reader *reader;
    enum err err = reader_open(host->disk, path, &reader, info);

    if (err != ERR_OK)
        return err;
    for (size_t i = 0; i < reader_count(reader) && !r->failed; i++)
        if (is_wanted(reader_segment(reader, i), ordinals, count))
            (void)reader_frames_in(reader, i, on_frame, r);
    reader_close(reader);
    return r->failed ? err_fail(info, ERR_FULL, "no memory for the trace now: try again") : ERR_OK;
}

/* ---- what the spans are together ---- */

static struct slice bytes_of(const struct rescue *r, const struct rescued_span *s)
{
    return slice_make(r->bodies[s->body].data + s->span.offset, s->span.len);
}

/* Where spans are compared. */
struct ordered {
    struct slice bytes;
    uint64_t id;
    uint32_t index;
};

static int by_id(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;

    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    if (x->bytes.len != y->bytes.len)
        return x->bytes.len < y->bytes.len ? -1 : 1;
    return memcmp(x->bytes.data, y->bytes.data, x->bytes.len);
}

static bool has_id(const struct ordered *spans, size_t count, uint64_t id)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (spans[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && spans[low].id == id;
}

/* Every parent is here, and a root. `ordered` has `count` spans. */
static bool is_complete(const struct rescue *r, const struct ordered *ordered, size_t count)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->spans[i].span.parent_id && !has_id(ordered, count, r->spans[i].span.parent_id))
            return false;
    return r->root != POLICY_ROOT_UNKNOWN;
}

/* The first of the same bytes stays, the others go. */
static void drop_copies(struct rescue *r, struct ordered *ordered)
{
    size_t kept = 0;

    for (size_t i = 0, first = 0; i < r->count; i++) {
        if (i == 0 || by_id(&ordered[i], &ordered[first]) != 0)
            first = i;
        else
            r->spans[ordered[i].index].is_copy = true;
    }
    for (size_t i = 0; i < r->count; i++)
        if (!r->spans[i].is_copy)
            r->spans[kept++] = r->spans[i];
    r->count = kept;
}

static void sum_up(struct rescue *r)
{
    r->root = POLICY_ROOT_UNKNOWN;
    for (size_t i = 0; i < r->count; i++) {
        scan_sum(&r->sums, &r->spans[i].span);
        if (r->spans[i].span.parent_id == 0 && r->root == POLICY_ROOT_UNKNOWN)
            r->root = (uint32_t)i;
    }
}

static enum err look_at_spans(struct rescue *r, struct err_info *info)
{
    size_t count = r->count;
    struct ordered *ordered = counted_alloc(r->memory, (count + 1) * sizeof(*ordered));

    if (!ordered)
        return err_fail(info, ERR_FULL, "no memory for the trace now: try again");
    for (size_t i = 0; i < count; i++)
        ordered[i] =
            (struct ordered){bytes_of(r, &r->spans[i]), r->spans[i].span.span_id, (uint32_t)i};
    qsort(ordered, count, sizeof(*ordered), by_id);
    drop_copies(r, ordered);
    sum_up(r);
    r->complete = is_complete(r, ordered, count);
    counted_free(r->memory, ordered);
    return ERR_OK;
}

/* ---- the command ---- */

static bool parse(struct slice text, struct rescue *r, uint64_t *ordinals, size_t *count)
{
    char copy[1024], *at = copy + 32;
    size_t len;

    if (text.len < 32 || text.len >= sizeof(copy) ||
        !decode_hex(slice_make(text.data, 32), r->trace_id, &len))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    for (*count = 0; *at == ' ' && *count < RESCUE_SEGMENTS; ++*count)
        ordinals[*count] = strtoull(at + 1, &at, 10);
    return *at == '\0' && *count > 0;
}

static enum err begin(struct collector *c, struct slice arguments, struct rescue *r,
                      struct err_info *info)
{
    uint64_t ordinals[RESCUE_SEGMENTS];
    size_t count;
    enum err err;

    if (!parse(arguments, r, ordinals, &count))
        return err_fail(info, ERR_PARSE, "rescue TRACE_ID SEGMENT..., at most %d segments",
                        RESCUE_SEGMENTS);
    if (c->shared.ack == ACK_MEMORY)
        return err_fail(info, ERR_CONFIG, "journal.ack is \"memory\": nothing dropped is kept");
    if (atomic_load(&c->shared.rescue) || collector_phase(c) != PHASE_RUNNING)
        return err_fail(info, ERR_AGAIN, "not now: try again");
    err = read_segments(r, &c->host, c->shared.config->journal.path, ordinals, count, info);
    if (err == ERR_OK && r->count == 0)
        err = err_fail(info, ERR_IO, "its spans are not in the journal any more");
    return err == ERR_OK ? look_at_spans(r, info) : err;
}

enum err collector_rescue(struct collector *c, struct slice arguments, struct buf *out)
{
    struct rescue *r = calloc(1, sizeof(*r));
    struct err_info info = {0};
    enum err err = r ? ERR_OK : err_fail(&info, ERR_FULL, "no memory");

    if (r) {
        r->memory = c->memory;
        err = begin(c, arguments, r, &info);
    }
    if (err != ERR_OK) {
        buf_printf(out, "%s\n", info.text);
        rescue_free(r);
        return err;
    }
    buf_printf(out, "rescuing %zu spans\n", r->count);
    atomic_store(&c->shared.rescue, r);
    loop_wake(c->workers[0]->loop);
    return ERR_OK;
}

/* ---- committing, on worker 0 ---- */

static struct span_view span_at(void *arg, uint32_t i)
{
    const struct rescue *r = arg;
    const struct rescued_body *b = &r->bodies[r->spans[i].body];
    const struct scan_span *s = &r->spans[i].span;

    return span_view_at(slice_make(b->data, b->len), s->offset, s->len, s->resource_offset,
                        s->scope_offset);
}

static void describe(const struct worker *w, struct rescue *r, struct policy_trace *p,
                     struct policy_verdict *v)
{
    *v = (struct policy_verdict){
        .keep = true,
        .label =
            labels_intern(w->shared->policies->labels, slice_str("rescue"), slice_str("rescued")),
        .probability = -1,
        .threshold = THRESHOLD_NONE,
        .entry = r->root == POLICY_ROOT_UNKNOWN ? UINT32_MAX : r->root,
    };
    *p = (struct policy_trace){
        .trigger = trace_trigger_name(TRIGGER_WAIT),
        .complete = r->complete,
        .sums = r->sums,
        .decided_unix_ns = clock_unix_ns(w->shared->clock),
        .count = (uint32_t)r->count,
        .only_root = POLICY_ROOT_UNKNOWN,
        .span = span_at,
        .span_arg = r,
        .decision = v,
    };
    memcpy(p->id, r->trace_id, sizeof(p->id));
}

static struct decision_record record_of(const struct worker *w, const struct policy_trace *p)
{
    struct decision_record record = {
        .keep = true,
        .late = true,
        .label = p->decision->label,
        .trigger = TRIGGER_WAIT,
        .complete = p->complete,
        .spans = p->count,
        .config_version = w->rules->version,
        .threshold = THRESHOLD_NONE,
        .probability = -1,
        .duration_ns = scan_duration_ns(&p->sums),
        .unix_ns = p->decided_unix_ns,
        .errors = p->sums.errors,
    };

    memcpy(record.trace_id, p->id, sizeof(record.trace_id));
    return record;
}

/* False: there is no room now. */
static bool commit(struct worker *w, struct rescue *r)
{
    struct decider *d = w->decider;
    struct decision_details details = {0};
    struct policy_trace p;
    struct policy_verdict v;
    struct compose_edits edits;
    struct decision_record record;
    bool committed;

    if (!journal_can_decide(w->journal) || !decider_scratch(d, r->count))
        return false;
    describe(w, r, &p, &v);
    record = record_of(w, &p);
    for (uint32_t i = 0; i < r->count; i++)
        d->kept[i] = (struct compose_span){span_at(r, i), r->bodies[r->spans[i].body].data};
    if (!decider_process(d, &p, &v.entry, clock_now_ns(w->shared->clock)))
        return false;
    record.payload_spans = p.count;
    record.exporters = p.count > 0 ? decider_exporters(d, &p) : 0;
    decider_edits(d, &p, &v, &edits);
    /* There are at most as many bodies as spans. */
    for (uint32_t i = 0; i < r->body_count && i < d->capacity; i++)
        d->sources[details.source_count++] = r->bodies[i].source;
    details.sources = d->sources;
    committed = decider_hand_on(d, &record, &details, &edits) != 0;
    decider_end_processing(d);
    if (committed)
        w->counts.rescued += p.count;
    return committed;
}

bool rescue_step(struct worker *w)
{
    struct rescue *r = w->index == 0 ? atomic_load(&w->shared->rescue) : NULL;

    if (!r)
        return false;
    if (atomic_load(&w->shared->phase) == PHASE_RUNNING && !commit(w, r) && ++r->tries < TRIES_MAX)
        return true;
    atomic_store(&w->shared->rescue, NULL);
    rescue_free(r);
    return false;
}
