/* From the spans of a trace to the requests between services in it. */
#include "spanmetrics/edges.h"

#include "base/prefetch.h"

#include <stdlib.h>

enum {
    KIND_SERVER = 2,
    KIND_CLIENT = 3,
    KIND_PRODUCER = 4,
    KIND_CONSUMER = 5,
    FIRST_SIDES = 64,
    SIDES_KEPT = 4096,   /* of scratch, from one trace to the next */
    ATTRIBUTES = 48,     /* of a span that are noted; with more each one is searched for */
    FETCHED_SPANS = 8,   /* ahead of their turn */
    FETCHED_BYTES = 512, /* of each */
};

/* A span whose attributes are asked for more than once. */
struct attributes {
    struct slice span;
    struct view_attr_at at[ATTRIBUTES];
    size_t count;
    bool is_indexed;
};

/* ---- scratch ---- */

static void free_scratch(struct spanmetrics_recorder *r)
{
    counted_free(r->m->memory, r->trace.sides);
    counted_free(r->m->memory, r->trace.slots);
    r->trace.sides = NULL;
    r->trace.slots = NULL;
    r->trace.capacity = 0;
}

/* Whatever the limit says: how large a trace may be is bounded. False: the kernel has no memory. */
static bool make_room(struct spanmetrics_recorder *r, size_t count)
{
    struct memory *memory = r->m->memory;
    size_t capacity = FIRST_SIDES;

    if (count <= r->trace.capacity)
        return true;
    while (capacity < count)
        capacity *= 2;
    free_scratch(r);
    r->trace.sides = counted_realloc_forced(memory, NULL, capacity * sizeof(*r->trace.sides));
    r->trace.slots = counted_realloc_forced(memory, NULL, 2 * capacity * sizeof(*r->trace.slots));
    if (!r->trace.sides || !r->trace.slots) {
        free_scratch(r);
        return false;
    }
    r->trace.capacity = capacity;
    return true;
}

/* ---- reading spans ---- */

/* The first attribute of the list that the span has, as text; data NULL: it has none. */
static struct slice first_of(const struct attributes *a, const struct name_list *list, char *number)
{
    for (unsigned i = 0; i < list->count; i++) {
        struct slice key = slice_str(list->names[i]), text;
        struct value v;
        bool found = a->is_indexed ? view_indexed_attr(a->span, a->at, a->count, key, &v)
                                   : view_attr(a->span, ATTRS_SPAN, key, &v);

        if (found && key_text_of(&v, number, &text))
            return text;
    }
    return slice_make(NULL, 0);
}

static void read_side(const struct spanmetrics_recorder *r, struct slice span, int32_t kind,
                      struct side *s)
{
    struct attributes a = {.span = span};
    struct span_fields f;

    s->is_server = kind == KIND_SERVER || kind == KIND_CONSUMER;
    s->is_message = kind == KIND_PRODUCER || kind == KIND_CONSUMER;
    if (kind == KIND_CLIENT) {
        a.is_indexed = view_span_index(span, &f, a.at, ATTRIBUTES, &a.count);
        s->database = first_of(&a, &r->m->databases, s->number);
    } else {
        view_span_fields(span, &f);
        s->database = slice_make(NULL, 0);
    }
    s->is_paired = false;
    s->span = span;
    s->id = view_id(s->is_server ? f.parent_id : f.span_id);
    s->duration_ns = duration_of(f.start_ns, f.end_ns);
    s->has_failed = f.status == 2;
}

static void fetch(const struct side *s)
{
    prefetch_most(s->span.data, s->span.len, FETCHED_BYTES);
}

/* Where all spans are: their bytes are asked for before they are read. */
static void find_spans(struct side *sides, const struct spanmetrics_trace *trace)
{
    for (uint32_t i = 0; i < trace->count; i++) {
        struct span_view view = trace->span(trace->arg, i);

        sides[i].span = view.span;
        sides[i].resource = view.resource;
        if (i < FETCHED_SPANS)
            fetch(&sides[i]);
    }
}

/* The sides of requests among `all` spans, which were found; returns how many. */
static size_t read_sides(struct spanmetrics_recorder *r, uint32_t all)
{
    struct slice service = slice_make(NULL, 0), resource = service, name;
    struct side *sides = r->trace.sides;
    size_t count = 0;

    for (uint32_t i = 0; i < all; i++) {
        struct slice span = sides[i].span, of = sides[i].resource;
        int32_t kind;

        if (i + FETCHED_SPANS < all)
            fetch(&sides[i + FETCHED_SPANS]);
        view_span_name(span, &name, &kind);
        if (kind < KIND_SERVER || kind > KIND_CONSUMER)
            continue;
        if (!service.data || of.data != resource.data)
            service = key_service(of);
        resource = of;
        sides[count].resource = of;
        sides[count].service = service;
        read_side(r, span, kind, &sides[count]);
        count++;
    }
    return count;
}

/* ---- counting ---- */

static void count_edge(struct spanmetrics_recorder *r, const struct edge *e)
{
    const struct spanmetrics *m = r->m;
    struct series *s = series_in(m, &r->live, edge_series(r, e));

    s->calls++;
    s->failed += e->has_failed;
    /* A database says nothing itself: its client speaks for it. */
    if (e->server || e->type == EDGE_DATABASE)
        durations_add(m, durations_of(m, s, EDGE_SERVER),
                      e->server ? e->server->duration_ns : e->client->duration_ns);
    if (e->client)
        durations_add(m, durations_of(m, s, EDGE_CLIENT), e->client->duration_ns);
}

static void count_pair(struct spanmetrics_recorder *r, const struct side *client,
                       const struct side *server)
{
    count_edge(r, &(struct edge){.client_name = client->service,
                                 .server_name = server->service,
                                 .client = client,
                                 .server = server,
                                 .type = client->is_message || server->is_message ? EDGE_MESSAGING
                                                                                  : EDGE_PLAIN,
                                 .has_failed = client->has_failed || server->has_failed});
}

/* A client whose server sends no spans, or calls a database. */
static void count_client(struct spanmetrics_recorder *r, const struct side *client)
{
    struct attributes a = {.span = client->span};
    struct slice server = client->database;
    struct span_fields f;
    char number[32];

    if (!server.data) {
        a.is_indexed = view_span_index(client->span, &f, a.at, ATTRIBUTES, &a.count);
        server = first_of(&a, &r->m->peers, number);
    }
    count_edge(r, &(struct edge){.client_name = client->service,
                                 .server_name = server.data ? server : slice_str("unknown"),
                                 .client = client,
                                 .type = client->database.data ? EDGE_DATABASE : EDGE_VIRTUAL,
                                 .has_failed = client->has_failed});
}

/* A server at which the trace begins: who called it sends no spans. */
static void count_user(struct spanmetrics_recorder *r, const struct side *server)
{
    count_edge(r, &(struct edge){.client_name = slice_str("user"),
                                 .server_name = server->service,
                                 .server = server,
                                 .type = EDGE_VIRTUAL,
                                 .has_failed = server->has_failed});
}

/* ---- pairs ---- */

/* Ids are random; those that a peer chose to meet in one place cost it a walk along this trace. */
static size_t slot_of(const struct spanmetrics_recorder *r, uint64_t id, size_t mask)
{
    return (size_t)((id ^ r->m->hash.k0) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
}

/* The slot with the client of that id, or the free one where it would be. */
static uint32_t *find(const struct spanmetrics_recorder *r, uint64_t id, size_t mask)
{
    size_t slot = slot_of(r, id, mask);

    while (r->trace.slots[slot] && r->trace.sides[r->trace.slots[slot] - 1].id != id)
        slot = (slot + 1) & mask;
    return &r->trace.slots[slot];
}

static size_t index_clients(struct spanmetrics_recorder *r, size_t count)
{
    size_t slots = 16;

    while (slots < 2 * count)
        slots *= 2;
    memset(r->trace.slots, 0, slots * sizeof(*r->trace.slots));
    for (size_t i = 0; i < count; i++) {
        struct side *s = &r->trace.sides[i];
        uint32_t *slot = s->is_server ? NULL : find(r, s->id, slots - 1);

        if (slot && *slot)
            s->is_paired = true; /* it was sent twice, and counts once */
        else if (slot)
            *slot = (uint32_t)i + 1;
    }
    return slots - 1;
}

static void pair(struct spanmetrics_recorder *r, const struct side *server, size_t mask)
{
    uint32_t client = server->id ? *find(r, server->id, mask) : 0;

    if (server->id == 0) {
        count_user(r, server);
    } else if (!client || r->trace.sides[client - 1].database.data) {
        atomic_fetch_add_explicit(&r->unpaired, 1, memory_order_relaxed);
    } else {
        r->trace.sides[client - 1].is_paired = true;
        count_pair(r, &r->trace.sides[client - 1], server);
    }
}

void spanmetrics_count_edges(struct spanmetrics_recorder *r, const struct spanmetrics_trace *trace)
{
    size_t count, mask;

    if (!make_room(r, trace->count)) {
        atomic_fetch_add_explicit(&r->unpaired, trace->count, memory_order_relaxed);
        return;
    }
    find_spans(r->trace.sides, trace);
    count = read_sides(r, trace->count);
    mask = index_clients(r, count);
    for (size_t i = 0; i < count; i++)
        if (r->trace.sides[i].is_server)
            pair(r, &r->trace.sides[i], mask);
    for (size_t i = 0; i < count; i++)
        if (!r->trace.sides[i].is_server && !r->trace.sides[i].is_paired)
            count_client(r, &r->trace.sides[i]);
    if (r->trace.capacity > SIDES_KEPT)
        free_scratch(r);
}
