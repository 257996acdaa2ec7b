#include "policy/shape.h"

#include <stdlib.h>

/* The different values of one field. */
struct values {
    struct slice list[SHAPE_VALUES];
    char texts[SHAPE_VALUES][SCALAR_TEXT]; /* of numbers */
    size_t count, room;
};

struct shape_work {
    char text[SHAPE_BYTES];
    size_t len;
    struct values values;
};

static int compare(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    int c = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);

    return c ? c : (x->len > y->len) - (x->len < y->len);
}

static bool is_known(const struct values *v, struct slice text)
{
    for (size_t i = 0; i < v->count; i++)
        if (slice_equal(v->list[i], text))
            return true;
    return false;
}

static void add_value(struct values *v, const struct value *value)
{
    struct slice text;

    if (v->count == v->room)
        return;
    text = match_text(value, v->texts[v->count]);
    if (text.len && !is_known(v, text))
        v->list[v->count++] = text;
}

static void put(struct shape_work *w, struct slice text)
{
    size_t room = sizeof(w->text) - w->len, len = text.len < room ? text.len : room;

    memcpy(w->text + w->len, text.data, len);
    w->len += len;
}

static void put_values(struct shape_work *w)
{
    struct values *v = &w->values;

    qsort(v->list, v->count, sizeof(v->list[0]), compare);
    for (size_t i = 0; i < v->count; i++) {
        if (i > 0)
            put(w, slice_str("•"));
        put(w, v->list[i]);
    }
}

static void read_values(struct reader *r, const struct match_term *field, size_t first, size_t end,
                        struct values *v)
{
    v->count = 0;
    for (size_t span = first; span < end; span++) {
        struct value value = match_value(r, span, field);

        add_value(v, &value);
    }
}

/* The spans from *first to *end. */
static void span_range(struct reader *r, enum shape_spans spans, size_t *first, size_t *end)
{
    *first = 0;
    *end = r->count;
    if (spans == SHAPE_ALL)
        return;
    *first = spans == SHAPE_ENTRY ? reader_entry(r) : reader_root(r);
    *end = *first == READER_NONE ? *first : *first + 1;
}

/* The reader's, made when it is first asked for. NULL without memory. */
static struct shape_work *work_of(struct reader *r)
{
    if (!r->shape)
        r->shape = malloc(sizeof(struct shape_work));
    return reader_ready(r) ? r->shape : NULL;
}

enum err shape_of(struct reader *r, const struct match *fields, enum shape_spans spans,
                  struct slice *text)
{
    struct shape_work *w = work_of(r);
    size_t first, end;

    if (!w) {
        r->no_memory = true;
        return ERR_FULL;
    }
    w->len = 0;
    w->values.room = SHAPE_VALUES;
    for (uint32_t i = 0; i < fields->term_count; i++) {
        if (i > 0)
            put(w, slice_str(","));
        span_range(r, fields->terms[i].negated ? SHAPE_ROOT : spans, &first, &end);
        read_values(r, &fields->terms[i], first, end, &w->values);
        w->values.room -= w->values.count;
        put_values(w);
    }
    *text = slice_make(w->text, w->len);
    return ERR_OK;
}
