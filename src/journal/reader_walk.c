/* reader_walk.c: frames and decisions of a folder, one after the other. */
#include "journal/reader.h"

#include <string.h>

/* ---- frames ---- */

/* A walk over all frames of one use: the present segment, and what was lost before the frame. */
struct frames {
    struct reader *r;
    const struct reader_segment *segment;
    struct frame frame;
    bool is_whole;
    bool lost; /* damaged: a frame that can't be told may have been before this one */
};

typedef bool frames_fn(void *arg, const struct frames *at);

static bool walk_segment(struct reader *r, size_t i, frames_fn *fn, void *arg)
{
    struct frames at = {.r = r, .segment = reader_segment(r, i)};
    struct frame_walk w = {.header = &at.segment->header, .at = FORMAT_PAGE};
    enum frame_found found;
    bool goes_on = true;
    uint64_t gaps;

    if (reader_read(r, i, &w.segment, NULL) != ERR_OK)
        return true;
    while (goes_on && (gaps = w.damaged, found = frame_next(&w, &at.frame)) != FRAME_END) {
        at.is_whole = found == FRAME_FOUND;
        at.lost = w.damaged > gaps;
        reader_add_damaged(r, !at.is_whole);
        goes_on = fn(arg, &at);
    }
    reader_add_damaged(r, w.damaged);
    return goes_on;
}

static void walk_use(struct reader *r, enum segment_use use, frames_fn *fn, void *arg)
{
    bool goes_on = true;

    for (size_t i = 0; i < reader_count(r) && goes_on; i++) {
        const struct reader_segment *s = reader_segment(r, i);

        if (s->state == READER_GOOD && s->header.use == use)
            goes_on = walk_segment(r, i, fn, arg);
    }
}

struct each_frame {
    reader_frame_fn *fn;
    void *arg;
    const uint8_t *trace_id; /* NULL: all */
};

static bool on_frame(void *arg, const struct frames *at)
{
    const struct each_frame *e = arg;
    struct slice body = at->frame.body;

    if (!at->is_whole)
        return true;
    if (e->trace_id && (body.len == 0 || !memmem(body.data, body.len, e->trace_id, 16)))
        return true;
    return e->fn(e->arg, at->segment, &at->frame);
}

void reader_each_frame(struct reader *r, enum segment_use use, reader_frame_fn *fn, void *arg)
{
    walk_use(r, use, on_frame, &(struct each_frame){.fn = fn, .arg = arg});
}

bool reader_frames_in(struct reader *r, size_t i, reader_frame_fn *fn, void *arg)
{
    return walk_segment(r, i, on_frame, &(struct each_frame){.fn = fn, .arg = arg});
}

void reader_find_trace(struct reader *r, const uint8_t trace_id[16], reader_frame_fn *fn, void *arg)
{
    walk_use(r, USE_FRAMES, on_frame,
             &(struct each_frame){.fn = fn, .arg = arg, .trace_id = trace_id});
}

/* ---- decisions ---- */

struct each_decision {
    reader_decision_fn *fn;
    void *arg;
    const struct reader_segment *segment; /* that `names` is of */
    struct names_read names;
};

/* Numbers are told by the names before them in the same segment, or not at all. */
static void learn_names(struct each_decision *e, const struct frames *at)
{
    bool is_names = at->frame.header.signal == FRAME_NAMES;

    if (e->segment != at->segment || at->lost || is_names)
        names_free(&e->names);
    e->segment = at->segment;
    if (is_names && at->is_whole && names_read(at->frame.body, &e->names) != ERR_OK)
        reader_add_damaged(at->r, 1);
}

static bool on_decisions(void *arg, const struct frames *at)
{
    struct each_decision *e = arg;
    struct slice entries = at->frame.body;
    struct entry entry;
    struct reader_decision d = {.entry = &entry, .names = &e->names};
    size_t from = 0;

    learn_names(e, at);
    if (!at->is_whole)
        return true;
    if (at->frame.header.signal == FRAME_KEEP)
        entries = frame_tlv(at->frame.tlvs, TLV_DECISION);
    else if (at->frame.header.signal != FRAME_DECISIONS)
        return true;
    d.segment = &at->segment->header;
    d.position = d.segment->ordinal << 32 | at->frame.at;
    while (entry_read(entries, &from, &entry))
        if (!e->fn(e->arg, &d))
            return false;
    reader_add_damaged(at->r, from < entries.len);
    return true;
}

void reader_each_decision(struct reader *r, enum segment_use use, reader_decision_fn *fn, void *arg)
{
    struct each_decision e = {.fn = fn, .arg = arg};

    walk_use(r, use, on_decisions, &e);
    names_free(&e.names);
}

void reader_decisions_in(struct reader *r, size_t i, reader_decision_fn *fn, void *arg)
{
    struct each_decision e = {.fn = fn, .arg = arg};

    (void)walk_segment(r, i, on_decisions, &e);
    names_free(&e.names);
}
