#include "cli/explanation_found.h"

#include "base/crc32c.h"
#include "otlp/scan_logs.h"

#include <stdlib.h>
#include <string.h>

enum { FOUND_MAX = 1 << 22 };

static void add(struct found_list *l, struct found item)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 256;
        struct found *more =
            capacity > FOUND_MAX ? NULL : reallocarray(l->items, capacity, sizeof(*more));

        if (!more) {
            l->no_memory = true;
            return;
        }
        l->items = more;
        l->capacity = capacity;
    }
    l->items[l->count++] = item;
}

/* ---- one frame ---- */

static void add_spans(struct found_list *l, const struct frame *f, const uint8_t trace_id[16],
                      bool is_live)
{
    struct scan_result result;
    struct scan_span *spans;

    if (scan_traces(f->body, NULL, 0, &result) == ERR_PARSE)
        return;
    spans = calloc(result.spans + 1, sizeof(*spans));
    if (!spans || scan_traces(f->body, spans, result.spans, &result) != ERR_OK)
        result.spans = 0;
    l->no_memory |= !spans;
    for (size_t i = 0; i < result.spans; i++)
        if (memcmp(spans[i].trace_id, trace_id, 16) == 0)
            add(l,
                (struct found){spans[i].span_id,
                               crc32c(0, f->body.data + spans[i].offset, spans[i].len), is_live});
    free(spans);
}

static void add_logs(struct found_list *l, const struct reader_segment *s, const struct frame *f,
                     const uint8_t trace_id[16], bool is_live)
{
    struct slice moved = frame_moved_spans(&f->header, f->tlvs);
    uint64_t source = frame_source(s->header.worker, f->header.sequence);
    size_t count = scan_logs(f->body, NULL, 0);
    struct scan_span *logs;

    if (!frame_came_in(&f->header, f->tlvs, source, &source))
        return;
    logs = calloc(count + 1, sizeof(*logs));
    l->no_memory |= !logs;
    if (!logs)
        return;
    scan_logs(f->body, logs, count);
    for (size_t i = 0; i < count; i++)
        if (memcmp(logs[i].trace_id, trace_id, 16) == 0)
            add(l, (struct found){source, frame_place_of(moved, logs[i].offset), is_live});
    free(logs);
}

bool found_in(struct found_list *spans, struct found_list *logs, const struct reader_segment *s,
              const struct frame *f, const uint8_t trace_id[16])
{
    size_t before = spans->count + logs->count;
    bool is_live = s->header.state == SEGMENT_LIVE;

    if (f->header.signal == FRAME_TRACES)
        add_spans(spans, f, trace_id, is_live);
    else if (f->header.signal == FRAME_LOGS)
        add_logs(logs, s, f, trace_id, is_live);
    return spans->count + logs->count > before;
}

/* ---- all of them ---- */

/* Live ones first, so that what was moved counts where it is alive. */
static int by_id(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    if (x->mark != y->mark)
        return x->mark < y->mark ? -1 : 1;
    return y->is_live - x->is_live;
}

void found_count(struct found_list *l, uint64_t *live, uint64_t *history)
{
    if (l->count)
        qsort(l->items, l->count, sizeof(*l->items), by_id);
    for (size_t i = 0; i < l->count; i++) {
        const struct found *f = &l->items[i];

        if (i && f[-1].id == f->id && f[-1].mark == f->mark)
            continue;
        *(f->is_live ? live : history) += 1;
    }
}

void found_free(struct found_list *l)
{
    free(l->items);
    *l = (struct found_list){0};
}
