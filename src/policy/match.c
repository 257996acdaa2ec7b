/* match.c: evaluates compiled matchers. */
#include "policy/match.h"

static bool term_holds(const struct match *m, const struct match_term *term, const struct value *v)
{
    for (uint32_t i = 0; i < term->count; i++)
        if (match_test_value(&m->tests[term->first + i], v))
            return true;
    return false;
}

static struct value attr_value(enum attr_owner owner, struct slice message, struct slice key)
{
    struct value v;

    if (!view_owner_attr(owner, message, key, &v))
        v.type = VALUE_ABSENT;
    return v;
}

static struct value text_of(const char *text)
{
    struct value v = {.type = VALUE_ABSENT};

    if (text) {
        v.type = VALUE_STRING;
        v.bytes = slice_str(text);
    }
    return v;
}

static struct value number_of(double number)
{
    return (struct value){.type = VALUE_DOUBLE, .number = number};
}

static struct value decision_value(const struct reader *r, unsigned field)
{
    const struct policy_verdict *d = r->trace->decision;
    bool labels = d && r->labels;

    switch (field) {
    case DECISION_POLICY:
        return text_of(labels ? labels_policy(r->labels, d->label) : NULL);
    case DECISION_REASON:
        return text_of(labels ? labels_reason(r->labels, d->label) : NULL);
    case DECISION_VERDICT:
        return text_of(!d ? NULL : d->keep ? "keep" : "drop");
    default:
        if (!d || d->probability < 0)
            return text_of(NULL);
        return number_of(d->probability);
    }
}

static struct value trace_value(const struct reader *r, unsigned field)
{
    switch (field) {
    case TRACE_SPAN_COUNT:
        return number_of(r->trace->count);
    case TRACE_ERROR_COUNT:
        return number_of(r->face.errors);
    case TRACE_BYTES:
        return number_of(r->face.bytes);
    case TRACE_DURATION_MS:
        return number_of(r->face.duration_ms);
    case TRACE_TRIGGER:
        return text_of(r->trace->trigger);
    default:
        return (struct value){.type = VALUE_BOOL, .boolean = r->trace->complete};
    }
}

static bool is_of_trace(const struct match_term *t)
{
    return t->place == PLACE_DECISION || t->place == PLACE_TRACE;
}

static bool is_of_event(const struct match_term *t)
{
    return t->place == PLACE_EVENT_NAME || t->place == PLACE_EVENT_ATTR;
}

static bool is_of_link(const struct match_term *t)
{
    return t->place == PLACE_LINK_TRACE_ID || t->place == PLACE_LINK_SPAN_ID ||
           t->place == PLACE_LINK_ATTR;
}

static struct value owned_attr(struct reader *r, size_t span, enum attr_owner owner,
                               struct slice key)
{
    struct value v;

    if (!reader_attr(r, span, owner, 0, key, &v))
        v.type = VALUE_ABSENT;
    return v;
}

static struct value any_attr(struct reader *r, size_t span, struct slice key)
{
    struct value v = owned_attr(r, span, OWNER_SPAN, key);

    if (v.type == VALUE_ABSENT)
        v = owned_attr(r, span, OWNER_RESOURCE, key);
    if (v.type == VALUE_ABSENT)
        v = owned_attr(r, span, OWNER_SCOPE, key);
    return v;
}

static struct value trace_state_value(struct reader *r, size_t span, struct slice key)
{
    struct value v = {.type = VALUE_STRING};

    if (!sampling_member(reader_fields(r, span)->trace_state, key, &v.bytes))
        v.type = VALUE_ABSENT;
    return v;
}

struct value match_value(struct reader *r, size_t span, const struct match_term *t)
{
    switch (t->place) {
    case PLACE_ATTR:
        return owned_attr(r, span, OWNER_SPAN, t->key);
    case PLACE_RESOURCE:
        return owned_attr(r, span, OWNER_RESOURCE, t->key);
    case PLACE_SCOPE:
        return owned_attr(r, span, OWNER_SCOPE, t->key);
    case PLACE_ANY_ATTR:
        return any_attr(r, span, t->key);
    case PLACE_TRACE_STATE:
        return trace_state_value(r, span, t->key);
    default:
        return reader_field(r, span, (enum reader_field)t->field);
    }
}

static struct value event_value(struct slice event, const struct match_term *t)
{
    struct value v = {.type = VALUE_STRING};
    uint64_t time_ns;

    if (t->place == PLACE_EVENT_ATTR)
        return attr_value(OWNER_EVENT, event, t->key);
    view_event(event, &time_ns, &v.bytes);
    return v;
}

static struct value link_value(struct slice link, const struct match_term *t, char hex[33])
{
    struct slice trace_id, span_id, state, id;
    static const char digits[] = "0123456789abcdef";

    if (t->place == PLACE_LINK_ATTR)
        return attr_value(OWNER_LINK, link, t->key);
    view_link(link, &trace_id, &span_id, &state);
    id = t->place == PLACE_LINK_TRACE_ID ? trace_id : span_id;
    if (id.len == 0 || id.len > 16)
        return text_of(NULL);
    for (size_t i = 0; i < id.len; i++) {
        hex[2 * i] = digits[id.data[i] >> 4];
        hex[2 * i + 1] = digits[id.data[i] & 0xf];
    }
    return (struct value){.type = VALUE_STRING, .bytes = slice_make(hex, 2 * id.len)};
}

static bool event_holds(const struct match *m, struct slice event, bool negated)
{
    for (uint32_t i = 0; i < m->term_count; i++) {
        const struct match_term *t = &m->terms[i];
        struct value v;

        if (t->negated != negated || !is_of_event(t))
            continue;
        v = event_value(event, t);
        if (!term_holds(m, t, &v))
            return false;
    }
    return true;
}

static bool link_holds(const struct match *m, struct slice link, bool negated)
{
    char hex[33];

    for (uint32_t i = 0; i < m->term_count; i++) {
        const struct match_term *t = &m->terms[i];
        struct value v;

        if (t->negated != negated || !is_of_link(t))
            continue;
        v = link_value(link, t, hex);
        if (!term_holds(m, t, &v))
            return false;
    }
    return true;
}

/* All terms about events hold on one event. */
static bool some_event(const struct match *m, struct slice span, bool negated)
{
    struct slice event;
    size_t at = 0;

    while (view_event_next(span, &at, &event))
        if (event_holds(m, event, negated))
            return true;
    return false;
}

static bool some_link(const struct match *m, struct slice span, bool negated)
{
    struct slice link;
    size_t at = 0;

    while (view_link_next(span, &at, &link))
        if (link_holds(m, link, negated))
            return true;
    return false;
}

static bool group_holds(const struct match *m, struct reader *r, size_t span, bool negated)
{
    bool events = false, links = false;

    for (uint32_t i = 0; i < m->term_count; i++) {
        const struct match_term *t = &m->terms[i];
        struct value v;

        events |= t->negated == negated && is_of_event(t);
        links |= t->negated == negated && is_of_link(t);
        if (t->negated != negated || is_of_event(t) || is_of_link(t) || is_of_trace(t))
            continue;
        v = match_value(r, span, t);
        if (!term_holds(m, t, &v))
            return false;
    }
    return (!events || some_event(m, reader_view(r, span)->span, negated)) &&
           (!links || some_link(m, reader_view(r, span)->span, negated));
}

static bool same_place(const struct match_term *a, const struct match_term *b)
{
    return a->place == b->place && a->field == b->field && slice_equal(a->key, b->key);
}

/* `event` may be empty. Steps that follow each other often ask the same value. */
static bool steps_hold(const struct match *m, struct reader *r, size_t span, struct slice event)
{
    uint32_t at = m->step_count - 1;
    const struct match_term *read = NULL;
    struct value v = {.type = VALUE_ABSENT};

    do {
        const struct match_step *s = &m->steps[at];
        const struct match_term *t = &m->terms[s->term];
        if (!read || !same_place(read, t))
            v = is_of_event(t) ? event_value(event, t) : match_value(r, span, t);
        read = t;
        at = s->next[term_holds(m, t, &v)];
    } while (at < m->step_count);
    return at == MATCH_ACCEPT;
}

static bool steps_reads(const struct match *m, struct reader *r, size_t span)
{
    struct slice bytes = reader_view(r, span)->span, event = {0};
    size_t at = 0;

    if (!m->each_event)
        return steps_hold(m, r, span, event);
    while (view_event_next(bytes, &at, &event))
        if (steps_hold(m, r, span, event))
            return true;
    return false;
}

bool match_reads(const struct match *m, struct reader *r, size_t span)
{
    if (m->step_count)
        return steps_reads(m, r, span);
    return group_holds(m, r, span, false) && !(m->has_not && group_holds(m, r, span, true));
}

/* Mostly none matches, and then nobody needs to know their order. */
static size_t find_earliest(const struct match *m, struct reader *r)
{
    size_t found = READER_NONE;

    for (size_t i = 0; i < r->count; i++)
        if (match_reads(m, r, i) && (found == READER_NONE || reader_is_before(r, i, found)))
            found = i;
    return found;
}

size_t match_find(const struct match *m, struct reader *r)
{
    if (!r->ordered)
        return reader_ready(r) ? find_earliest(m, r) : READER_NONE;
    for (size_t rank = 0; rank < r->count; rank++) {
        size_t span = reader_order(r, rank);

        if (span == READER_NONE)
            break;
        if (match_reads(m, r, span))
            return span;
    }
    return READER_NONE;
}

bool match_span(const struct match *m, const struct policy_trace *trace, uint32_t span)
{
    struct reader r;
    bool holds;

    reader_init(&r);
    reader_begin(&r, trace);
    holds = reader_ready(&r) && span < r.count && match_reads(m, &r, span);
    reader_fini(&r);
    return holds;
}

static bool trace_holds(const struct match *m, const struct reader *r)
{
    for (uint32_t i = 0; i < m->term_count; i++) {
        const struct match_term *t = &m->terms[i];
        struct value v;

        if (!is_of_trace(t))
            continue;
        v = t->place == PLACE_DECISION ? decision_value(r, t->field) : trace_value(r, t->field);
        if (!term_holds(m, t, &v))
            return false;
    }
    return true;
}

static bool some_span(const struct match *m, struct reader *r)
{
    if (!reader_ready(r))
        return false;
    for (size_t i = 0; i < r->count; i++)
        if (match_reads(m, r, i))
            return true;
    return false;
}

bool match_trace(const struct match *m, struct reader *r)
{
    if (!m->asks_trace)
        return some_span(m, r);
    return trace_holds(m, r) && (!m->asks_span || some_span(m, r));
}

bool match_where(const struct match *m, const struct policy_trace *trace,
                 const struct labels *labels)
{
    struct reader r;
    bool holds;

    reader_init(&r);
    r.labels = labels;
    reader_begin(&r, trace);
    holds = !(m->asks_trace || m->asks_span) || match_trace(m, &r);
    reader_fini(&r);
    return holds;
}
