#include "collector/evacuate.h"

#include "base/fifo.h"
#include "collector/decider.h"
#include "collector/intake.h"

#include <stdlib.h>

/* Of one turn: together they take some hundred microseconds. */
enum {
    TURN_SPANS = 1024,
    TURN_BYTES = 256 << 10,
    TURN_TRACES = 2048,  /* looked at */
    SPAN_MAX = 64 << 10, /* a larger span stays where it is */
    BODY_MAX = 512 << 10,
    ROOM_MIN = 64 << 10, /* in the segment that they go to; less is left empty */
    FIRST_RELEASES = 64,
};
/* Traces that are due so soon let go of their segments by being decided. */
static const uint64_t soon_ns = NS_PER_S;

/* References to originals. */
struct moved {
    uint64_t ticket; /* of their copies */
    frame_id frame;
    uint32_t count;
};

/* A span that is to move. */
struct mover {
    uint64_t place; /* frame and offset: the spans of a frame move together, in order */
    struct span_ref *ref;
};

struct evacuation {
    struct worker *worker;
    uint64_t round;    /* of journal_thinned, that was begun last */
    uint64_t until_ns; /* traces that came later have nothing in its segments */
    bool sweeps;
    struct fifo moved; /* struct moved */
    struct mover movers[TURN_SPANS];
    size_t count, bytes;                 /* of them */
    struct moved_span spans[TURN_SPANS]; /* scratch */
};

/* ---- which ---- */

static bool gather(void *arg, struct span_ref *ref)
{
    struct evacuation *e = arg;

    if (ref->len > SPAN_MAX || !journal_may_move(e->worker->journal, ref->frame))
        return true;
    e->movers[e->count++] = (struct mover){(uint64_t)ref->frame << 32 | ref->offset, ref};
    e->bytes += ref->len;
    return e->count < TURN_SPANS && e->bytes < TURN_BYTES;
}

static int by_place(const void *a, const void *b)
{
    const struct mover *x = a, *y = b;

    return (x->place > y->place) - (x->place < y->place);
}

static void gather_some(struct evacuation *e, uint64_t now_ns)
{
    const struct trace_sweep sweep = {
        .until_ns = e->until_ns, .not_due_ns = now_ns + soon_ns, .ref = gather, .arg = e};

    e->count = e->bytes = 0;
    e->sweeps = trace_table_sweep(e->worker->table, &sweep, TURN_TRACES);
    qsort(e->movers, e->count, sizeof(e->movers[0]), by_place);
}

/* ---- moving ---- */

/* The spans of one frame as a body of their own, their resources and scopes with them. */
static bool compose(struct evacuation *e, const struct mover *movers, size_t count, struct buf *out)
{
    struct decider *d = e->worker->decider;

    if (!decider_scratch(d, count))
        return false;
    for (size_t i = 0; i < count; i++)
        d->refs[i] = *movers[i].ref;
    decider_view(d, count);
    return compose_traces(d->kept, count, &compose_as_it_is, out) == ERR_OK;
}

/* Scans what was composed of spans, or of log records. False: there is no memory, or it can't be
 * read. */
static bool find(struct worker *w, const struct mover *movers, struct slice body, size_t *count)
{
    struct scan_result found;
    bool is_found;

    if (movers[0].ref->id_hash == 0)
        return intake_find_logs(w, body, false, count) == ERR_OK;
    is_found = intake_scan(w, body, false, &found) == ERR_OK;
    *count = found.spans;
    return is_found;
}

/* It holds these spans in this order. */
static bool is_same(const struct worker *w, size_t found, const struct mover *movers, size_t count)
{
    if (found != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (w->spans[i].len != movers[i].ref->len)
            return false;
    return true;
}

/* The copies are what the table refers to from now on. */
static void point_to(const struct worker *w, frame_id frame, const struct mover *movers,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct span_ref *ref = movers[i].ref;

        ref->frame = frame;
        ref->offset = w->spans[i].offset;
        ref->resource_offset = w->spans[i].resource_offset;
        ref->scope_offset = w->spans[i].scope_offset;
    }
}

/* Makes a frame of the body, if it is what was composed. */
static void commit(struct evacuation *e, const struct mover *movers, size_t count,
                   struct slice body, uint64_t now_ns)
{
    struct worker *w = e->worker;
    frame_id from = movers[0].ref->frame, to;
    size_t found;

    if (!find(w, movers, body, &found) || !is_same(w, found, movers, count))
        return;
    for (size_t i = 0; i < count; i++)
        e->spans[i] = (struct moved_span){movers[i].ref->offset, w->spans[i].offset};
    to = journal_commit_move(w->journal, from, body.len, e->spans, (uint32_t)count, now_ns);
    point_to(w, to, movers, count);
    *(struct moved *)fifo_push(&e->moved) =
        (struct moved){journal_ticket(w->journal), from, (uint32_t)count};
    w->counts.moved_spans += count;
    w->counts.moved_bytes += body.len;
}

/* False: there is no room now. What can't be copied stays where it is. */
static bool move(struct evacuation *e, const struct mover *movers, size_t count, uint64_t now_ns)
{
    uint8_t *at = NULL;
    struct buf body;
    bool composed;

    buf_init(&body, BODY_MAX, e->worker->shared->memory);
    composed = fifo_room(&e->moved, 1) && compose(e, movers, count, &body);
    if (composed)
        at = journal_stage_move(e->worker->journal, body.len, (uint32_t)count);
    if (at) {
        memcpy(at, body.data, body.len);
        commit(e, movers, count, slice_make(at, body.len), now_ns);
    }
    buf_fini(&body);
    return at || !composed;
}

static void move_gathered(struct evacuation *e, uint64_t now_ns)
{
    uint64_t before = e->worker->counts.moved_spans;
    size_t end;

    for (size_t i = 0; i < e->count; i = end) {
        for (end = i + 1; end < e->count; end++)
            if (e->movers[end].place >> 32 != e->movers[i].place >> 32)
                break;
        if (!move(e, &e->movers[i], end - i, now_ns))
            break;
    }
    /* Without end it would be tried again with the same ones; it is asked for them again. */
    if (e->count > 0 && e->worker->counts.moved_spans == before)
        e->sweeps = false;
}

/* ---- the step ---- */

static void release_safe(struct evacuation *e)
{
    uint64_t acked = journal_acked(e->worker->journal);

    while (fifo_len(&e->moved) > 0) {
        const struct moved *m = fifo_at(&e->moved, 0);

        if (m->ticket > acked)
            return;
        journal_release(e->worker->journal, m->frame, m->count);
        fifo_drop(&e->moved, 1);
    }
}

static void begin_round(struct evacuation *e)
{
    uint64_t round = journal_thinned(e->worker->shared->journal);

    if (e->sweeps || round == e->round)
        return;
    e->round = round;
    e->until_ns = journal_thin_until_ns(e->worker->shared->journal);
    e->sweeps = true;
    trace_table_begin_sweep(e->worker->table);
}

bool evacuation_step(struct evacuation *e, uint64_t now_ns)
{
    struct worker *w = e->worker;

    release_safe(e);
    if (atomic_load_explicit(&w->shared->phase, memory_order_relaxed) != PHASE_RUNNING)
        return fifo_len(&e->moved) > 0;
    begin_round(e);
    if (e->sweeps && journal_stage_move(w->journal, ROOM_MIN, 1)) {
        gather_some(e, now_ns);
        move_gathered(e, now_ns);
        journal_submit(w->journal);
        release_safe(e);
    }
    return e->sweeps || fifo_len(&e->moved) > 0;
}

/* ---- life ---- */

enum err evacuation_new(struct worker *w, struct evacuation **out, struct err_info *info)
{
    struct evacuation *e = calloc(1, sizeof(*e));

    if (!e)
        err_no_memory("what moves");
    e->worker = w;
    *out = e;
    if (!fifo_init(&e->moved, w->shared->memory, sizeof(struct moved), FIRST_RELEASES))
        return err_fail(info, ERR_CONFIG, "memory_limiter.limit is too small to start");
    return ERR_OK;
}

void evacuation_free(struct evacuation *e)
{
    if (!e)
        return;
    fifo_fini(&e->moved);
    free(e);
}
