#include "collector/rescue.h"

#include "base/encode.h"
#include "collector/decider.h"
#include "collector/parts.h"
#include "collector/rescue_parts.h"
#include "journal/reader.h"
#include "otlp/scan_logs.h"

#include <stdlib.h>

enum { FIRST_ITEMS = 64 };

void rescue_free(struct rescue *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->body_count; i++)
        counted_free(r->memory, r->bodies[i].data);
    counted_free(r->memory, r->bodies);
    counted_free(r->memory, r->spans.items);
    counted_free(r->memory, r->logs.items);
    free(r);
}

/* ---- reading, on main ---- */

static uint32_t add_body(struct rescue *r, struct slice body, uint64_t source, bool is_logs)
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
    more[r->body_count] = (struct rescued_body){data, body.len, source, is_logs};
    return r->body_count++;
}

static bool add_item(struct rescue *r, struct rescued_list *l, const struct rescued_item *item)
{
    size_t capacity = l->capacity ? l->capacity * 2 : FIRST_ITEMS;
    struct rescued_item *more = l->items;

    if (l->count == l->capacity) {
        more = counted_realloc(r->memory, l->items, capacity * sizeof(*more));
        if (!more)
            return false;
        l->items = more;
        l->capacity = capacity;
    }
    more[l->count++] = *item;
    return true;
}

/* What is looked at. */
struct rescued_frame {
    struct slice body, moved;
    uint64_t source;
    bool is_logs;
};

/* Adds what is of the trace; `found` has all of the frame. */
static void add_items(struct rescue *r, const struct rescued_frame *f,
                      const struct scan_span *found, size_t count)
{
    struct rescued_list *list = f->is_logs ? &r->logs : &r->spans;
    struct rescued_item item = {.body = UINT32_MAX};

    for (size_t i = 0; i < count && !r->failed; i++) {
        if (memcmp(found[i].trace_id, r->trace_id, sizeof(r->trace_id)) != 0)
            continue;
        if (item.body == UINT32_MAX)
            item.body = add_body(r, f->body, f->source, f->is_logs);
        item.span = found[i];
        item.place = frame_place_of(f->moved, found[i].offset);
        r->failed = item.body == UINT32_MAX || !add_item(r, list, &item);
    }
}

/* How many there are; 0 of what is damaged. found: NULL counts only. */
static size_t scan(const struct rescued_frame *f, struct scan_span *found, size_t capacity)
{
    struct scan_result result;

    if (f->is_logs)
        return scan_logs(f->body, found, capacity);
    if (scan_traces(f->body, found, capacity, &result) == ERR_PARSE)
        return 0;
    return result.spans;
}

static bool on_frame(void *arg, const struct reader_segment *segment, const struct frame *frame)
{
    struct rescued_frame f = {.body = frame->body,
                              .moved = frame_moved_spans(&frame->header, frame->tlvs),
                              .source =
                                  frame_source(segment->header.worker, frame->header.sequence),
                              .is_logs = frame->header.signal == FRAME_LOGS};
    struct rescue *r = arg;
    struct scan_span *found;
    size_t count;

    if ((frame->header.signal != FRAME_TRACES && !f.is_logs) || f.body.len == 0 ||
        !memmem(f.body.data, f.body.len, r->trace_id, sizeof(r->trace_id)) ||
        !frame_came_in(&frame->header, frame->tlvs, f.source, &f.source))
        return true;
    count = scan(&f, NULL, 0);
    found = counted_alloc(r->memory, (count + 1) * sizeof(*found));
    r->failed |= !found;
    if (found && scan(&f, found, count) == count)
        add_items(r, &f, found, count);
    counted_free(r->memory, found);
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

static struct slice bytes_of(const struct rescue *r, const struct rescued_item *s)
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
    for (size_t i = 0; i < r->spans.count; i++)
        if (r->spans.items[i].span.parent_id &&
            !has_id(ordered, count, r->spans.items[i].span.parent_id))
            return false;
    return r->root != POLICY_ROOT_UNKNOWN;
}

static void drop_marked(struct rescued_list *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->count; i++)
        if (!l->items[i].is_copy)
            l->items[kept++] = l->items[i];
    l->count = kept;
}

/* The first of the same bytes stays, the others go. */
static void drop_copies(struct rescue *r, struct ordered *ordered)
{
    for (size_t i = 0, first = 0; i < r->spans.count; i++) {
        if (i == 0 || by_id(&ordered[i], &ordered[first]) != 0)
            first = i;
        else
            r->spans.items[ordered[i].index].is_copy = true;
    }
    drop_marked(&r->spans);
}

static void sum_up(struct rescue *r)
{
    r->root = POLICY_ROOT_UNKNOWN;
    for (size_t i = 0; i < r->spans.count; i++) {
        scan_sum(&r->sums, &r->spans.items[i].span);
        if (r->spans.items[i].span.parent_id == 0 && r->root == POLICY_ROOT_UNKNOWN)
            r->root = (uint32_t)i;
    }
}

static enum err look_at_spans(struct rescue *r, struct err_info *info)
{
    size_t count = r->spans.count;
    struct ordered *ordered = counted_alloc(r->memory, (count + 1) * sizeof(*ordered));

    if (!ordered)
        return err_fail(info, ERR_FULL, "no memory for the trace now: try again");
    for (size_t i = 0; i < count; i++)
        ordered[i] = (struct ordered){bytes_of(r, &r->spans.items[i]),
                                      r->spans.items[i].span.span_id, (uint32_t)i};
    qsort(ordered, count, sizeof(*ordered), by_id);
    drop_copies(r, ordered);
    sum_up(r);
    r->complete = is_complete(r, ordered, count);
    counted_free(r->memory, ordered);
    return ERR_OK;
}

/* Log records may be the same by their bytes: the place where they came tells them apart. */
static int by_place(const void *a, const void *b, void *rescue)
{
    const struct rescued_item *x = a, *y = b;
    const struct rescue *r = rescue;
    uint64_t s = r->bodies[x->body].source, t = r->bodies[y->body].source;

    if (s != t)
        return s < t ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static void look_at_logs(struct rescue *r)
{
    struct rescued_list *l = &r->logs;

    if (l->count)
        qsort_r(l->items, l->count, sizeof(*l->items), by_place, r);
    for (size_t i = 1; i < l->count; i++)
        l->items[i].is_copy = by_place(&l->items[i - 1], &l->items[i], r) == 0;
    drop_marked(l);
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
    if (err == ERR_OK && r->spans.count + r->logs.count == 0)
        err = err_fail(info, ERR_IO, "its spans are not in the journal any more");
    if (err != ERR_OK)
        return err;
    look_at_logs(r);
    return look_at_spans(r, info);
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
    buf_printf(out, RESCUE_ANSWER, r->spans.count, r->logs.count);
    atomic_store(&c->shared.rescue, r);
    loop_wake(c->workers[0]->loop);
    return ERR_OK;
}
