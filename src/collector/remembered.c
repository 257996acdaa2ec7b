#include "collector/remembered.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SHARE = 16 }; /* of max_bytes that one trace may take */

static const uint64_t pause_ns = 20 * NS_PER_MS;

struct remembered {
    struct memory *memory;
    uint64_t due_ns;      /* the worker's */
    pthread_mutex_t lock; /* of all below */
    size_t max_traces, max_bytes;
    size_t first, count, bytes;
    struct recent_trace traces[]; /* a ring */
};

struct remembered *remembered_new(struct memory *memory, size_t max_traces, size_t max_bytes)
{
    struct remembered *r = calloc(1, sizeof(*r) + max_traces * sizeof(r->traces[0]));

    if (!r)
        err_no_memory("traces for trials");
    r->memory = memory;
    r->max_traces = max_traces;
    r->max_bytes = max_bytes;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

static void forget_first(struct remembered *r)
{
    struct recent_trace *t = &r->traces[r->first];

    r->bytes -= t->body.cap;
    buf_fini(&t->body);
    r->first = (r->first + 1) % r->max_traces;
    r->count--;
}

void remembered_free(struct remembered *r)
{
    if (!r)
        return;
    while (r->count > 0)
        forget_first(r);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

bool remembered_is_due(const struct remembered *r, uint64_t now_ns)
{
    return r && now_ns >= r->due_ns;
}

static void add(struct remembered *r, const struct recent_trace *facts,
                const struct compose_span *spans)
{
    struct recent_trace t = *facts;

    buf_init(&t.body, r->max_bytes / SHARE, r->memory);
    if (compose_traces(spans, facts->spans, &compose_as_it_is, &t.body) != ERR_OK) {
        buf_fini(&t.body);
        return;
    }
    while (r->count == r->max_traces || r->bytes + t.body.cap > r->max_bytes)
        forget_first(r);
    r->traces[(r->first + r->count++) % r->max_traces] = t;
    r->bytes += t.body.cap;
}

void remembered_add(struct remembered *r, const struct recent_trace *facts,
                    const struct compose_span *spans, uint64_t now_ns)
{
    r->due_ns = now_ns + pause_ns;
    if (pthread_mutex_trylock(&r->lock) != 0)
        return;
    if (!memory_is_high(r->memory))
        add(r, facts, spans);
    pthread_mutex_unlock(&r->lock);
}

void remembered_relieve(struct remembered *r)
{
    if (!r || !memory_is_high(r->memory) || pthread_mutex_trylock(&r->lock) != 0)
        return;
    while (r->count > 0)
        forget_first(r);
    pthread_mutex_unlock(&r->lock);
}

/* False: there is no memory. */
static bool copy(const struct recent_trace *from, const struct labels *names, struct recent *out)
{
    struct recent_trace *to = &out->traces[out->count];

    *to = *from;
    buf_init(&to->body, from->body.len + 1, out->memory);
    buf_append(&to->body, from->body.data, from->body.len);
    to->label = labels_intern(out->labels, slice_str(labels_policy(names, from->label)),
                              slice_str(labels_reason(names, from->label)));
    if (buf_ok(&to->body)) {
        out->count++;
        return true;
    }
    buf_fini(&to->body);
    return false;
}

void remembered_copy(struct remembered *r, const struct labels *names, struct recent *out,
                     size_t max_bytes, size_t *bytes)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = r->count; i-- > 0;) { /* the last ones first: those fit */
        const struct recent_trace *t = &r->traces[(r->first + i) % r->max_traces];

        *bytes += t->body.len;
        if (*bytes > max_bytes || !copy(t, names, out))
            break;
    }
    pthread_mutex_unlock(&r->lock);
}
