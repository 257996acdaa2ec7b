#include "collector/trial_world.h"

#include "collector/door.h"
#include "lua/state.h"
#include "trace/trace.h"

#include <stdio.h>
#include <stdlib.h>

struct trial_world {
    struct policy_shared shared;
    struct setup setup; /* of the states that are made here */
    struct cells *cells;
    lua_State *L;
    struct policy_set *policies;           /* NULL: no tail_sampling */
    struct processor_set *received, *kept; /* NULL: none */
    bool has_own_processors, asks_each;
    uint64_t head_threshold;
    uint64_t now_ns, first_unix_ns; /* of the first trace; 0: none yet */
    struct scan_span *spans;        /* of the present trace, each with room for `capacity` */
    struct span_view *views;
    uint64_t *ids; /* scratch */
    size_t capacity;
    struct memory *memory;
    size_t failure_count;
    struct trial_failure failures[TRIAL_FAILURES];
    char failed_names[TRIAL_FAILURES][256]; /* of them */
    char name[256], service[256];           /* of the present trace's entry, for people */
};

/* ---- failures ---- */

void trial_copy_line(char *to, size_t size, const char *from, size_t len)
{
    size_t i;

    for (i = 0; i < len && i + 1 < size; i++) {
        unsigned char c = (unsigned char)from[i];
        bool is_c1 = c >= 0x80 && c < 0xa0 && i > 0 && (unsigned char)from[i - 1] == 0xc2;

        to[i] = (char)(c < ' ' || c == 0x7f || is_c1 ? '?' : c);
    }
    to[i] = '\0';
}

static void on_failed(void *arg, const struct policy_failed *f)
{
    struct trial_world *w = arg;
    struct trial_failure *failure;
    char *name, text[512];

    for (size_t i = 0; i < w->failure_count; i++) {
        failure = &w->failures[i];
        if (strcmp(failure->kind, f->kind) == 0 && strcmp(failure->name, f->name) == 0) {
            failure->times++;
            return;
        }
    }
    if (w->failure_count == TRIAL_FAILURES)
        return;
    name = w->failed_names[w->failure_count];
    failure = &w->failures[w->failure_count++];
    snprintf(name, sizeof(w->failed_names[0]), "%s", f->name);
    *failure = (struct trial_failure){.kind = f->kind, .name = name, .times = 1};
    if (strstr(f->text, ".lua:"))
        snprintf(text, sizeof(text), "%s", f->text);
    else
        snprintf(text, sizeof(text), "%s: %s", f->where, f->text);
    trial_copy_line(failure->text, sizeof(failure->text), text, strlen(text));
}

const struct trial_failure *trial_world_failures(const struct trial_world *w, size_t *count)
{
    *count = w->failure_count;
    return w->failures;
}

/* ---- making ---- */

static void init_shared(struct trial_world *w, const struct trial_world_options *o)
{
    const struct config *config = o->loaded->config;
    struct labels *labels = labels_new();

    policy_shared_init(&w->shared, labels, config->tail.keep_traces_per_second);
    w->shared.quarantine_errors = config->tail.quarantine_errors;
    w->shared.quarantine_window_ns = config->tail.quarantine_window_ns;
    w->shared.memory = o->setup->memory;
    w->shared.on_failed = on_failed;
    w->shared.on_failed_arg = w;
    w->shared.is_quiet = o->is_quiet;
    w->setup = *o->setup;
    w->setup.shared = &w->shared;
}

static void take_processors(struct trial_world *w, const struct trial_processors *p)
{
    w->received = p->received;
    w->kept = p->kept;
    policy_show_as(w->L, p->L);
}

static enum err make_scripts(struct trial_world *w, const struct trial_world_options *o,
                             struct err_info *info)
{
    enum err err = setup_policies(w->L, o->loaded->config, &w->shared, &w->policies, info);

    if (err == ERR_OK && o->processors) {
        take_processors(w, o->processors);
        return ERR_OK;
    }
    w->has_own_processors = true;
    if (err == ERR_OK)
        err = setup_processors(w->L, "received", &w->shared, &w->received, info);
    if (err == ERR_OK)
        err = setup_processors(w->L, "kept", &w->shared, &w->kept, info);
    return err;
}

enum err trial_world_new(const struct trial_world_options *o, struct trial_world **out,
                         struct err_info *info)
{
    struct trial_world *w = calloc(1, sizeof(*w));
    enum err err;

    *out = NULL;
    if (!w)
        return err_fail(info, ERR_FULL, "no memory for a trial");
    init_shared(w, o);
    w->memory = o->setup->memory;
    w->now_ns = o->now_ns;
    w->asks_each = o->asks_each;
    w->head_threshold = sampling_threshold(o->loaded->config->head_sampling_percentage / 100);
    w->cells = o->cells ? cells_copy(o->cells, o->now_ns) : NULL;
    if (o->cells && !w->cells)
        err = err_fail(info, ERR_FULL, "no memory for a copy of what limits and the like know");
    else
        err = setup_state(&w->setup, o->loaded, &w->L, info);
    if (err == ERR_OK)
        err = make_scripts(w, o, info);
    if (err != ERR_OK) {
        trial_world_free(w);
        return err;
    }
    policy_use_cells(w->L, w->cells, w->now_ns);
    *out = w;
    return ERR_OK;
}

lua_State *trial_world_lua(const struct trial_world *w)
{
    return w->L;
}

void trial_world_free(struct trial_world *w)
{
    if (!w)
        return;
    policy_set_free(w->policies);
    if (w->has_own_processors) {
        processor_set_free(w->received);
        processor_set_free(w->kept);
    }
    lua_state_close(w->L);
    cells_free(w->cells);
    labels_free(w->shared.labels);
    policy_shared_fini(&w->shared);
    counted_free(w->memory, w->spans);
    counted_free(w->memory, w->views);
    counted_free(w->memory, w->ids);
    free(w);
}

const char *trial_world_policy(const struct trial_world *w, size_t i)
{
    return policy_set_name(w->policies, i);
}

const char *trial_world_reason(const struct trial_world *w, const struct policy_vote *vote)
{
    return labels_reason(w->shared.labels, vote->label);
}

/* ---- a trace ---- */

static bool make_room(struct trial_world *w, size_t spans)
{
    if (spans <= w->capacity)
        return true;
    counted_free(w->memory, w->spans);
    counted_free(w->memory, w->views);
    counted_free(w->memory, w->ids);
    w->spans = counted_alloc(w->memory, spans * sizeof(*w->spans));
    w->views = counted_alloc(w->memory, spans * sizeof(*w->views));
    w->ids = counted_alloc(w->memory, spans * sizeof(*w->ids));
    w->capacity = w->spans && w->views && w->ids ? spans : 0;
    return w->capacity > 0;
}

static enum err scan(struct trial_world *w, struct slice body, size_t *spans)
{
    struct scan_result found;

    if (scan_traces(body, NULL, 0, &found) == ERR_PARSE || found.spans == 0)
        return ERR_PARSE;
    if (!make_room(w, found.spans))
        return ERR_FULL;
    *spans = found.spans;
    return scan_traces(body, w->spans, found.spans, &found);
}

/* As the door does it; the first `count` of spans and views are left. */
static size_t filter(struct trial_world *w, struct slice body, size_t count, uint64_t now_ns,
                     uint16_t *label)
{
    size_t left = 0;

    for (size_t i = 0; i < count; i++) {
        const struct scan_span *s = &w->spans[i];
        struct span_view view = span_view_of(body, s);

        if (!door_is_head_sampled(s, body, w->head_threshold) ||
            (w->received && processor_set_drops(w->received, s->trace_id, &view, now_ns, label)))
            continue;
        w->views[left] = view;
        w->spans[left++] = *s;
    }
    return left;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void sort_ids(struct trial_world *w, size_t count)
{
    for (size_t i = 0; i < count; i++)
        w->ids[i] = w->spans[i].span_id;
    qsort(w->ids, count, sizeof(*w->ids), by_number);
}

static bool has_id(const struct trial_world *w, size_t count, uint64_t id)
{
    return bsearch(&id, w->ids, count, sizeof(*w->ids), by_number) != NULL;
}

/* A root is here, and every parent. */
static bool is_complete(const struct trial_world *w, size_t count)
{
    bool has_root = false;

    for (size_t i = 0; i < count; i++) {
        uint64_t parent = w->spans[i].parent_id;

        has_root |= parent == 0;
        if (parent != 0 && !has_id(w, count, parent))
            return false;
    }
    return has_root;
}

static void describe(struct trial_world *w, const struct recent_trace *trace, size_t count,
                     struct policy_trace *p)
{
    *p = (struct policy_trace){
        .trigger = trace_trigger_name((enum trace_trigger)trace->trigger),
        .complete =
            trace->is_decided && count == trace->spans ? trace->complete : is_complete(w, count),
        .decided_unix_ns = trace->unix_ns,
        .count = (uint32_t)count,
        .only_root = POLICY_ROOT_UNKNOWN,
        .span = policy_span_in_array,
        .span_arg = w->views,
    };
    memcpy(p->id, trace->id, sizeof(p->id));
    for (size_t i = 0; i < count; i++)
        scan_sum(&p->sums, &w->spans[i]);
}

static void decide(struct trial_world *w, const struct policy_trace *p, uint64_t now_ns,
                   struct policy_verdict *v)
{
    if (w->policies && w->asks_each)
        policy_set_ask_each(w->policies, p, now_ns);
    if (w->policies && !w->asks_each)
        policy_set_decide(w->policies, p, now_ns, v);
    else
        *v = (struct policy_verdict){
            .keep = true,
            .label = labels_intern(w->shared.labels, slice_str("none"), slice_str("none")),
            .probability = -1,
            .threshold = THRESHOLD_NONE};
}

/* trace.entry: the earliest root, else the earliest without its parent, else the earliest. w->ids
 * is sorted. */
static const struct span_view *entry_of(const struct trial_world *w, size_t count)
{
    size_t best = 0;
    int best_rank = 3;

    for (size_t i = 0; i < count; i++) {
        const struct scan_span *s = &w->spans[i];
        int rank = s->parent_id == 0 ? 0 : has_id(w, count, s->parent_id) ? 2 : 1;

        if (rank < best_rank || (rank == best_rank && s->start_ns < w->spans[best].start_ns)) {
            best = i;
            best_rank = rank;
        }
    }
    return &w->views[best];
}

/* What people may see of it, in `copy`. */
static struct slice shown(struct trial_world *w, struct slice text, char copy[256])
{
    text = policy_redacted(policy_state_of(w->L), text);
    text.len = text.len < sizeof(w->name) ? text.len : sizeof(w->name);
    if (text.len)
        memcpy(copy, text.data, text.len);
    return slice_make(copy, text.len);
}

static void name_it(struct trial_world *w, size_t count, struct trial_verdict *verdict)
{
    const struct span_view *entry = entry_of(w, count);
    struct span_fields fields;
    struct value service;

    view_span_fields(entry->span, &fields);
    verdict->name = shown(w, fields.name, w->name);
    if (view_resource_attr(entry->resource, slice_str("service.name"), &service) &&
        service.type == VALUE_STRING)
        verdict->service = shown(w, service.bytes, w->service);
}

/* How many spans the processors leave of a kept trace. */
static uint32_t process(struct trial_world *w, struct policy_trace *p,
                        const struct policy_verdict *v, uint64_t now_ns)
{
    struct processed left = {.count = p->count};

    p->decision = v;
    if (!v->keep)
        return 0;
    if (w->kept && processor_set_run(w->kept, p, v->entry, now_ns, &left))
        processor_set_end(w->kept);
    return left.count;
}

static void filtered(const struct trial_world *w, uint16_t label, struct trial_verdict *verdict)
{
    bool by_processor = label > 0;

    *verdict = (struct trial_verdict){
        .is_filtered = true,
        .policy = by_processor ? labels_policy(w->shared.filters, label) : "head_sampling",
        .reason = by_processor ? labels_reason(w->shared.filters, label) : "sampling_percentage",
        .probability = -1};
}

static uint64_t time_of(struct trial_world *w, const struct recent_trace *trace)
{
    if (w->first_unix_ns == 0)
        w->first_unix_ns = trace->unix_ns;
    return w->now_ns + (trace->unix_ns > w->first_unix_ns ? trace->unix_ns - w->first_unix_ns : 0);
}

static enum err judge(struct trial_world *w, const struct recent_trace *trace, struct slice body,
                      struct trial_verdict *verdict)
{
    uint64_t now_ns = time_of(w, trace);
    struct policy_trace p;
    struct policy_verdict v;
    uint16_t label = 0;
    size_t count;
    enum err err = scan(w, body, &count);

    if (err != ERR_OK)
        return err;
    count = filter(w, body, count, now_ns, &label);
    if (count == 0) {
        filtered(w, label, verdict);
        return ERR_OK;
    }
    sort_ids(w, count);
    describe(w, trace, count, &p);
    decide(w, &p, now_ns, &v);
    *verdict = (struct trial_verdict){
        .keep = v.keep,
        .policy = labels_policy(w->shared.labels, v.label),
        .reason = labels_reason(w->shared.labels, v.label),
        .probability = v.probability,
        .spans = (uint32_t)count,
        .errors = p.sums.errors,
        .duration_ns = scan_duration_ns(&p.sums),
        .sent = process(w, &p, &v, now_ns),
        .votes = w->policies ? policy_set_votes(w->policies) : NULL,
        .vote_count = w->policies ? policy_set_count(w->policies) : 0,
    };
    name_it(w, count, verdict);
    return ERR_OK;
}

/* What the journal has may be from before it was redacted at the door; a file never was. */
enum err trial_world_judge(struct trial_world *w, const struct recent_trace *trace,
                           struct trial_verdict *verdict)
{
    struct slice body = buf_slice(&trace->body);
    enum err err;

    if (!processor_set_has_bodies(w->received))
        return judge(w, trace, body, verdict);
    err = processor_set_body(w->received, body, &body);
    if (err == ERR_OK)
        err = judge(w, trace, body, verdict);
    processor_set_body_end(w->received);
    return err;
}
