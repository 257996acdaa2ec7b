/* ledger.h: what a journal was given and what it promised, and whether it kept to it.
 *
 * Frames, traces and decisions are numbered; all bytes follow from the number, so that whatever is
 * found again can be told. Moments are counts of operations of the fake disk: something "may be
 * there from n on" or "must be there from n on". After an end at operation n the ledger is cut
 * there and goes on with the next life of the journal.
 */
#pragma once

#include "base/random.h"
#include "check.h"
#include "journal/journal.h"

#include <stdarg.h>
#include <stdlib.h>

enum {
    LEDGER_FRAMES = 3000,
    LEDGER_TRACES = 3000,
    LEDGER_DECISIONS = 3000,
    LEDGER_EXPORTERS = 3,
    LEDGER_LABELS = 24,
    ITEMS_MAX = 3,
    BODY_MAX = 160 << 10,
};

struct told_item {
    uint32_t trace;
    uint32_t decision; /* 0: it waits */
    bool is_gone;      /* the last recovery has not found it */
    frame_id id;       /* of the present life: where it is; 0: not there */
};

struct told_frame {
    size_t may, must; /* be there; SIZE_MAX: never */
    uint32_t len, item_count;
    struct told_item items[ITEMS_MAX];
    /* Of the present life. */
    uint64_t ticket; /* 0: not of this life */
    unsigned writer;
};

struct told_decision {
    size_t may, must;
    size_t settled[LEDGER_EXPORTERS]; /* it may be gone from the outbox from then on */
    uint32_t trace, len;
    unsigned in_hand; /* earlier ones that may stand behind it in the log */
    bool keep, late, has_no_label, is_hurt;
    unsigned mask;
    /* Of the present life. */
    unsigned writer;
    uint64_t sequence; /* 0: not of this life */
    bool is_known;     /* found by the last recovery */
    bool is_queued[LEDGER_EXPORTERS];
};

struct told_trace {
    uint32_t decision; /* the first that still counts; 0: none */
    uint32_t known;    /* one that the last recovery has found; 0: none */
};

struct ledger {
    uint32_t frames, traces, decisions; /* numbers in use, from 1 */
    uint32_t oldest;                    /* frame that may still have items that wait */
    uint32_t resolved;                  /* decisions up to here are of former lives */
    size_t decision_cache;
    uint64_t now_ns, unix_ns; /* of the clocks, when a life ended */
    uint64_t boot;            /* of the machine */
    bool may_lose;            /* parts of what was written, in any order */
    bool may_repeat;          /* after a fault: things may be there twice */
    struct told_frame frame[LEDGER_FRAMES];
    struct told_decision decision[LEDGER_DECISIONS];
    struct told_trace trace[LEDGER_TRACES];
};

/* Says what is wrong, and in which run. */
static char ledger_run[160];
static inline void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void complain(const char *fmt, ...)
{
    va_list args;

    if (check_failures++ > 8)
        return;
    printf("  %s: ", ledger_run);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

static inline void trace_id_of(uint32_t trace, uint8_t id[16])
{
    uint64_t hash = trace * UINT64_C(0x9e3779b97f4a7c15);

    memcpy(id, &trace, 4);
    memcpy(id + 4, "----", 4);
    memcpy(id + 8, &hash, 8);
}

static inline bool trace_is_kept(uint32_t trace)
{
    return trace * UINT32_C(2654435761) >> 30 != 0;
}

/* Bytes that follow from a number. */
static inline void fill_bytes(uint8_t *to, size_t len, uint32_t number)
{
    uint64_t word = (number + UINT64_C(1)) * UINT64_C(0xd6e8feb86659fd93);

    for (size_t i = 0; i + 8 <= len; i += 8) {
        memcpy(to + i, &word, 8);
        word = word * UINT64_C(6364136223846793005) + 1442695040888963407;
    }
    for (size_t i = len & ~(size_t)7; i < len; i++)
        to[i] = (uint8_t)(number + i);
    if (len >= 4)
        memcpy(to, &number, 4);
}

static inline bool bytes_are(struct slice bytes, size_t len, uint32_t number)
{
    static uint8_t *expected;

    if (!expected && !(expected = (uint8_t *)malloc(BODY_MAX)))
        abort();
    if (bytes.len != len)
        return false;
    fill_bytes(expected, len, number);
    return memcmp(bytes.data, expected, len) == 0;
}

/* What a copy of some items of a frame looks like. */
#define COPY_MARK UINT32_MAX
struct copied {
    uint32_t mark, frame, items; /* a bit for each */
};

static inline void fill_copy(uint8_t *to, size_t len, uint32_t frame, uint32_t items)
{
    struct copied head = {COPY_MARK, frame, items};

    memcpy(to, &head, sizeof(head));
    fill_bytes(to + sizeof(head), len - sizeof(head), frame + items);
}

/* False: it is none. */
static inline bool read_copy(struct slice body, struct copied *head)
{
    if (body.len < sizeof(*head))
        return false;
    memcpy(head, body.data, sizeof(*head));
    return head->mark == COPY_MARK &&
           bytes_are(slice_make(body.data + sizeof(*head), body.len - sizeof(*head)),
                     body.len - sizeof(*head), head->frame + head->items);
}

/* The number that a body or payload says it has; 0: none that there is. */
static inline uint32_t number_of(struct slice bytes, uint32_t below)
{
    uint32_t number = 0;

    if (bytes.len >= 4)
        memcpy(&number, bytes.data, 4);
    return number <= below ? number : 0;
}

/* ---- the end of a life ---- */

static inline size_t cut(size_t moment, size_t n)
{
    return moment <= n ? 0 : SIZE_MAX;
}

/* What counts after an end at operation n. `keeps`: promises hold through such an end. */
static inline void ledger_cut(struct ledger *l, size_t n, bool keeps)
{
    l->may_lose |= !keeps;
    for (uint32_t i = 1; i <= l->frames; i++) {
        struct told_frame *f = &l->frame[i];

        f->may = cut(f->may, n);
        f->must = keeps ? cut(f->must, n) : SIZE_MAX;
        f->ticket = 0;
        for (uint32_t k = 0; k < f->item_count; k++) {
            f->items[k].id = 0;
            if (f->items[k].decision && l->decision[f->items[k].decision].may > n)
                f->items[k].decision = 0; /* nobody ever heard of it */
        }
    }
    for (uint32_t i = 1; i <= l->decisions; i++) {
        struct told_decision *d = &l->decision[i];

        d->may = cut(d->may, n);
        d->must = keeps ? cut(d->must, n) : SIZE_MAX;
        d->sequence = 0;
        d->is_known = false;
        for (unsigned e = 0; e < LEDGER_EXPORTERS; e++) {
            d->settled[e] = keeps ? cut(d->settled[e], n) : 0;
            d->is_queued[e] = false;
        }
    }
    memset(l->trace, 0, sizeof(l->trace));
    for (uint32_t i = l->decisions; i > 0; i--)
        if (l->decision[i].may == 0)
            l->trace[l->decision[i].trace].decision = i;
}

/* ---- what recovery finds ---- */

static inline void ledger_find_decision(struct ledger *l, const struct decision_record *r)
{
    uint32_t number = (uint32_t)r->duration_ns;
    struct told_decision *d = &l->decision[number];
    uint8_t id[16];

    if (number == 0 || number > l->decisions || d->may > 0) {
        complain("decision %u was never made", number);
        return;
    }
    trace_id_of(d->trace, id);
    if (memcmp(id, r->trace_id, 16) != 0 || r->keep != d->keep || r->late != d->late)
        complain("decision %u is another one", number);
    if (d->is_known && !l->may_repeat)
        complain("decision %u is there twice", number);
    d->is_known = true;
    l->trace[d->trace].known = number;
}

/* An item of a frame that was found. True: it is to wait. */
static inline bool ledger_find_item(struct ledger *l, uint32_t frame, struct told_item *item,
                                    bool has_source)
{
    const struct told_decision *d = &l->decision[item->decision];
    const struct told_trace *t = &l->trace[item->trace];
    bool keep = trace_is_kept(item->trace);

    if (!item->decision && t->known && keep && has_source && !l->may_repeat)
        complain("frame %u is a source of trace %u and was not", frame, item->trace);
    if (item->decision && d->must == 0 && !t->known)
        complain("frame %u is there, but not that trace %u was decided (%u)", frame, item->trace,
                 item->decision);
    if (item->decision && d->must == 0 && keep && !has_source)
        complain("frame %u is there, but not as a source of decision %u", frame, item->decision);
    if (t->known && (!keep || has_source)) {
        if (!item->decision || !d->is_known)
            item->decision = t->known;
        return false;
    }
    item->decision = 0;
    return true;
}

/* Enough newer decisions may make an old one forgotten: newer in the log, where those of several
 * writers that were on their way together stand in any order, and behind them what recovery has
 * made again from the outbox because the log had lost it. */
static inline bool may_be_forgotten(const struct ledger *l, uint32_t number)
{
    size_t newer = l->decision[number].in_hand + (l->may_lose ? l->decision_cache / 2 : 0);

    for (uint32_t i = number + 1; i <= l->decisions; i++)
        newer += l->decision[i].may == 0;
    return newer >= l->decision_cache;
}

/* After recovery and a walk over the outbox: whether all that must be is there, and what counts
 * from operation `now` on. */
static inline void ledger_settle_decision(struct ledger *l, uint32_t number, size_t now)
{
    struct told_decision *d = &l->decision[number];

    if (d->must == 0 && !d->is_known && !may_be_forgotten(l, number))
        complain("decision %u is not there", number);
    for (unsigned e = 0; e < LEDGER_EXPORTERS; e++) {
        if (!(d->mask >> e & 1) || !d->keep)
            continue;
        /* Where the decision is known its spans are not looked at again. */
        if ((d->must == 0 || d->is_known) && d->settled[e] > 0 && !d->is_queued[e])
            complain("decision %u is lost to exporter %u", number, e);
        d->settled[e] = d->is_queued[e] ? SIZE_MAX : 0;
    }
    if (d->is_known && d->must > now)
        d->must = now;
}

static inline void ledger_settle_frame(struct ledger *l, uint32_t number, size_t now)
{
    struct told_frame *f = &l->frame[number];
    bool is_there = false;

    for (uint32_t k = 0; k < f->item_count; k++) {
        struct told_item *item = &f->items[k];
        const struct told_decision *d = &l->decision[item->decision];

        if (!item->id && f->must == 0 && !item->is_gone && !d->is_hurt &&
            (!item->decision || (!d->is_known && d->must > 0 && !l->trace[item->trace].known)))
            complain("item %u of frame %u is lost, and trace %u has no decision for it (%u)", k,
                     number, item->trace, item->decision);
        item->is_gone = !item->id;
        is_there |= item->id != 0;
    }
    if (is_there && f->must > now)
        f->must = now;
    if (!is_there)
        f->must = SIZE_MAX;
}

static inline void ledger_settle(struct ledger *l, size_t now)
{
    for (uint32_t i = 1; i <= l->frames; i++)
        ledger_settle_frame(l, i, now);
    for (uint32_t i = 1; i <= l->traces; i++)
        l->trace[i].decision = l->trace[i].known ? l->trace[i].decision : 0;
    for (uint32_t i = 1; i <= l->decisions; i++)
        ledger_settle_decision(l, i, now);
    l->resolved = l->decisions;
    l->oldest = 1;
}
