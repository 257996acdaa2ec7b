#include "spanmetrics/audit.h"

#include "base/err.h"
#include "spanmetrics/audit_counts.h"
#include "spanmetrics/parts.h"

#include <math.h>
#include <stdlib.h>

enum { OTHERS = 0, AUDIT_KEY_MAX = 2 * (1 + SPANMETRICS_TEXT_MAX), AUDIT_RECENT = 128 };

/* Counts by operation; NULL where nothing came. That of the others is always there. */
struct tally {
    struct audit_counts **counts; /* [max_operations + 1] */
};

struct audit_recorder {
    struct audit *a;
    struct tally live, past;
    uint64_t traces;
    const struct key *recent[AUDIT_RECENT];
    audit_shown_fn *shown; /* NULL: all of a text is */
    void *shown_arg;
    uint8_t service[SPANMETRICS_TEXT_MAX]; /* what is shown of it */
    uint8_t key[AUDIT_KEY_MAX];
} __attribute__((aligned(64)));

struct audit {
    struct audit_options options;
    struct memory *memory;
    struct hash_key hash;
    struct key_table keys;
    struct audit_recorder *recorders;
    unsigned recorder_count;
    struct tally now, before; /* this window and the last one */
    uint64_t began_ns;        /* this one */
};

/* ---- counts ---- */

/* Where memory is short it counts with the others. */
static struct audit_counts *counts_in(const struct audit *a, struct tally *t, uint32_t i)
{
    struct audit_counts *c = t->counts[i];

    if (c)
        return c;
    c = counted_alloc(a->memory, sizeof(*c));
    if (!c)
        return t->counts[OTHERS];
    *c = (struct audit_counts){0};
    t->counts[i] = c;
    return c;
}

/* ---- a worker's side ---- */

struct audit_recorder *audit_recorder(struct audit *a, unsigned i)
{
    return &a->recorders[i];
}

void audit_show_by(struct audit_recorder *r, audit_shown_fn *shown, void *arg)
{
    r->shown = shown;
    r->shown_arg = arg;
}

/* Its text is gone with the next that is shown. */
static struct slice shown_service(struct audit_recorder *r, struct slice service)
{
    service = r->shown(r->shown_arg, service);
    service.len = service.len < sizeof(r->service) ? service.len : sizeof(r->service);
    if (service.len > 0)
        memcpy(r->service, service.data, service.len);
    return slice_make(r->service, service.len);
}

/* Where a key is remembered: by the end of its name. Those that meet there are found by their hash.
 */
static const struct key **recent_of(struct audit_recorder *r, struct slice service,
                                    struct slice name)
{
    uint64_t mixed = 0;

    if (name.len >= 8)
        memcpy(&mixed, name.data + name.len - 8, 8);
    else if (name.len > 0)
        memcpy(&mixed, name.data, name.len);
    mixed = (mixed ^ name.len ^ service.len << 8) * UINT64_C(0x9e3779b97f4a7c15);
    return &r->recent[(mixed >> 32) % AUDIT_RECENT];
}

/* Whether it is the key of texts none of which was cut. */
static bool is_of(const struct key *key, struct slice service, struct slice name)
{
    return key->len == 2 + service.len + name.len && key->bytes[0] == service.len &&
           memcmp(key->bytes + 1, service.data, service.len) == 0 &&
           (name.len == 0 || memcmp(key->bytes + 2 + service.len, name.data, name.len) == 0);
}

static uint32_t find(struct audit_recorder *r, struct slice service, struct slice name)
{
    const struct key **recent = recent_of(r, service, name), *key = *recent;
    uint64_t hash;
    size_t len;

    if (key && is_of(key, service, name))
        return key->number;
    len = (size_t)(key_put_text(key_put_text(r->key, service), name) - r->key);
    hash = hash_bytes(r->a->hash, r->key, len);
    key = key_table_find(&r->a->keys, hash, r->key, len);
    if (!key)
        return key_table_add(&r->a->keys, hash, r->key, len);
    *recent = key;
    return key->number;
}

static void count_operation(struct audit_recorder *r, struct slice service, struct slice span,
                            const struct audit_fate *fate)
{
    struct slice name;
    struct audit_counts *c;
    int32_t kind;

    view_span_name(span, &name, &kind);
    if (r->shown) {
        service = shown_service(r, service);
        name = r->shown(r->shown_arg, name);
    }
    c = counts_in(r->a, &r->live, find(r, service, name));
    if (c->last_trace == r->traces)
        return;
    c->last_trace = r->traces;
    counts_add_fate(c, fate);
}

bool audit_wants_all_spans(const struct audit_recorder *r)
{
    return r->a->options.all_spans;
}

void audit_count(struct audit_recorder *r, struct slice service, struct slice entry,
                 const struct audit_fate *fate)
{
    r->traces++;
    count_operation(r, service.len > 0 ? service : slice_str("unknown_service"), entry, fate);
}

void audit_count_all(struct audit_recorder *r, const struct spanmetrics_trace *trace,
                     const struct audit_fate *fate)
{
    struct slice service = slice_make(NULL, 0), resource = service;

    r->traces++;
    for (uint32_t i = 0; i < trace->count; i++) {
        struct span_view view = trace->span(trace->arg, i);

        if (!service.data || view.resource.data != resource.data)
            service = key_service(view.resource);
        resource = view.resource;
        count_operation(r, service, view.span, fate);
    }
}

void audit_hand_over(struct audit_recorder *r)
{
    struct tally live = r->live;

    r->live = r->past;
    r->past = live;
}

/* ---- the main thread's side ---- */

static void gather_one(struct audit *a, struct tally *past, uint32_t count)
{
    for (uint32_t i = 0; i <= count; i++) {
        struct audit_counts *c = past->counts[i];

        if (!c || c->decided == 0)
            continue;
        counts_add(counts_in(a, &a->now, i), c);
        *c = (struct audit_counts){0};
    }
}

static void begin_window(struct audit *a, uint64_t now_ns)
{
    struct tally before = a->before;

    for (size_t i = 0; i <= a->options.max_operations; i++)
        if (before.counts[i])
            *before.counts[i] = (struct audit_counts){0};
    a->before = a->now;
    a->now = before;
    a->began_ns = now_ns;
}

void audit_gather(struct audit *a, uint64_t now_ns)
{
    if (now_ns - a->began_ns >= AUDIT_WINDOW_S * UINT64_C(1000000000))
        begin_window(a, now_ns);
    for (unsigned i = 0; i < a->recorder_count; i++)
        gather_one(a, &a->recorders[i].past, key_table_count(&a->keys));
}

/* ---- what is said ---- */

static void describe(const struct audit *a, uint32_t i, const struct audit_counts *c,
                     struct audit_operation *out)
{
    const uint8_t *at;

    counts_describe(c, out);
    out->number = i;
    if (i != OTHERS) {
        at = key_table_key(&a->keys, i)->bytes;
        out->service = key_take_text(&at);
        out->name = key_take_text(&at);
    }
}

/* Of two that are as far off the one with more traces comes first. */
static bool is_worse(const struct audit_operation *a, const struct audit_operation *b)
{
    double x = fabs(a->standard_errors), y = fabs(b->standard_errors);

    return x > y || (x == y && a->decided > b->decided);
}

static size_t insert(struct audit_operation *out, size_t count, size_t max,
                     const struct audit_operation *x)
{
    size_t i = count < max ? count : max - 1;

    if (count == max && !is_worse(x, &out[i]))
        return count;
    for (; i > 0 && is_worse(x, &out[i - 1]); i--)
        out[i] = out[i - 1];
    out[i] = *x;
    return count < max ? count + 1 : count;
}

size_t audit_worst(const struct audit *a, struct audit_operation *out, size_t max)
{
    uint32_t last = key_table_count(&a->keys);
    struct audit_operation x;
    size_t count = 0;

    for (uint32_t i = 0; i <= last && max > 0; i++) {
        struct audit_counts sum = {0};

        if (a->now.counts[i])
            counts_add(&sum, a->now.counts[i]);
        if (a->before.counts[i])
            counts_add(&sum, a->before.counts[i]);
        if (sum.decided == 0)
            continue;
        describe(a, i, &sum, &x);
        count = insert(out, count, max, &x);
    }
    return count;
}

size_t audit_operations(const struct audit *a)
{
    return key_table_count(&a->keys);
}

/* ---- life ---- */

static void init_tally(const struct audit *a, struct tally *t)
{
    t->counts =
        start_alloc(a->memory, (a->options.max_operations + 1) * sizeof(struct audit_counts *));
    t->counts[OTHERS] = start_alloc(a->memory, sizeof(struct audit_counts));
}

static void fini_tally(const struct audit *a, struct tally *t)
{
    for (size_t i = 0; i <= a->options.max_operations; i++)
        counted_free(a->memory, t->counts[i]);
    counted_free(a->memory, t->counts);
}

struct audit *audit_new(const struct audit_options *options, struct memory *memory,
                        struct hash_key key, unsigned recorders, uint64_t now_ns)
{
    struct audit *a = start_alloc(memory, sizeof(*a));
    size_t bytes = recorders * sizeof(*a->recorders);

    *a = (struct audit){.options = *options, .memory = memory, .hash = key, .began_ns = now_ns};
    key_table_init(&a->keys, memory, options->max_operations);
    init_tally(a, &a->now);
    init_tally(a, &a->before);
    a->recorders = aligned_alloc(_Alignof(struct audit_recorder), bytes);
    if (!a->recorders)
        err_no_memory("the audit");
    memset(a->recorders, 0, bytes);
    a->recorder_count = recorders;
    for (unsigned i = 0; i < recorders; i++) {
        a->recorders[i].a = a;
        init_tally(a, &a->recorders[i].live);
        init_tally(a, &a->recorders[i].past);
    }
    return a;
}

void audit_free(struct audit *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < a->recorder_count; i++) {
        fini_tally(a, &a->recorders[i].live);
        fini_tally(a, &a->recorders[i].past);
    }
    free(a->recorders);
    fini_tally(a, &a->now);
    fini_tally(a, &a->before);
    key_table_fini(&a->keys);
    counted_free(a->memory, a);
}
