/* Processors of metrics and logs: made, asked about items, and run over a body one behind the
 * other.
 */
#include "policy/item_walk.h"
#include "policy/redact_lua.h"

/* ---- making ---- */

static bool flag(lua_State *L, const char *key)
{
    bool is_set;

    lua_getfield(L, -1, key);
    is_set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_set;
}

static void init_signal(lua_State *L, struct processor_items *items, const char *name)
{
    *items = (struct processor_items){
        .resource = LUA_NOREF, .metric = LUA_NOREF, .item = LUA_NOREF, .when_ref = LUA_NOREF};
    lua_getfield(L, -1, name);
    if (lua_istable(L, -1)) {
        items->resource = processor_reference(L, "resource");
        items->metric = processor_reference(L, "metric");
        items->item = processor_reference(L, "item");
        items->redacts = flag(L, "redacts");
        items->asked = true;
        lua_getfield(L, -1, "when");
        items->when = match_get(L, -1);
        lua_pop(L, 1);
        items->when_ref = processor_reference(L, "when");
    }
    lua_pop(L, 1);
}

void processor_items_init(struct processor_set *p, struct processor *x)
{
    lua_State *L = p->L;

    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++)
        init_signal(L, &x->items[s], otlp_signal_name((enum otlp_signal)s));
    lua_getfield(L, -1, "bodies");
    x->redacts_items = redact_get(L, -1);
    lua_pop(L, 1);
    x->bodies_ref = processor_reference(L, "bodies");
    if (x->redacts_items)
        redact_count_memory(x->redacts_items, p->shared->memory);
}

void processor_items_fini(struct processor_set *p, struct processor *x)
{
    for (int s = OTLP_METRICS; s < OTLP_SIGNALS; s++) {
        luaL_unref(p->L, LUA_REGISTRYINDEX, x->items[s].resource);
        luaL_unref(p->L, LUA_REGISTRYINDEX, x->items[s].metric);
        luaL_unref(p->L, LUA_REGISTRYINDEX, x->items[s].item);
        luaL_unref(p->L, LUA_REGISTRYINDEX, x->items[s].when_ref);
    }
    luaL_unref(p->L, LUA_REGISTRYINDEX, x->bodies_ref);
}

bool processor_set_has_items(const struct processor_set *p, enum otlp_signal signal)
{
    for (size_t i = 0; p && i < p->count; i++)
        if (p->processors[i].items[signal].asked)
            return true;
    return false;
}

/* ---- asking ---- */

/* As on_error says of what could not be done; a data point without its attributes would be another
 * series. *left: of what is stripped. */
static enum fate failed(struct item_walk *w, enum attr_owner item, struct span_view *view)
{
    struct editor *e = w->p->editor;

    if (w->x->on_error == ON_ERROR_PASS)
        return FATE_SAME;
    if (w->x->on_error == ON_ERROR_STRIP && item == OWNER_LOG &&
        editor_strip_log(e, view->span, &view->span))
        return FATE_CHANGED;
    if (w->x->on_error == ON_ERROR_STRIP && item == OWNER_RESOURCE &&
        editor_strip_resource(e, view->resource, &view->resource))
        return FATE_CHANGED;
    return FATE_DROPPED;
}

/* Asks about what the reader has; *view becomes what is left, until the next edit. */
static enum fate ask_reader(struct item_walk *w, int function, struct span_view *view,
                            uint16_t *label)
{
    struct processor_set *p = w->p;
    enum attr_owner item = p->reader->trace->item;
    const struct span_view came = *view;
    enum answer answer;
    bool ok;

    if (w->about->when && !match_reads(w->about->when, p->reader, 0))
        return FATE_SAME;
    editor_begin(p->editor, 0);
    answer = processor_ask(p, w->x, function, 0, w->now_ns, label);
    ok = editor_end_at_once(p->editor, answer == ANSWER_LEAVE, view);
    if (p->editor->redact)
        processor_count_redacted(p, w->x, p->editor->redact, answer == ANSWER_LEAVE && ok);
    if (answer == ANSWER_DROP)
        return FATE_DROPPED;
    if (answer == ANSWER_FAILED || !ok) {
        *label = w->x->error_label;
        return failed(w, item, view);
    }
    if (view->resource.data != came.resource.data)
        return FATE_CHANGED;
    return slice_equal(view->span, came.span) ? FATE_SAME : FATE_CHANGED;
}

enum fate item_ask(struct item_walk *w, int function, enum attr_owner item, struct slice metric,
                   struct span_view *view, uint16_t *label)
{
    struct processor_set *p = w->p;
    struct policy_trace one = {.trigger = "wait",
                               .count = 1,
                               .only_root = POLICY_ROOT_UNKNOWN,
                               .span = policy_span_in_array,
                               .span_arg = view,
                               .item = item,
                               .metric = metric};
    enum fate fate;

    *label = w->x->error_label;
    if (function == LUA_NOREF)
        return FATE_SAME;
    reader_begin(p->reader, &one);
    fate = reader_ready(p->reader) ? ask_reader(w, function, view, label) : failed(w, item, view);
    reader_end(p->reader);
    return fate;
}

/* ---- a body ---- */

/* *left becomes what `x` leaves of it, in the buffer that *left does not lie in. */
static enum err run_one(struct item_walk *w, unsigned *turn, struct slice *left)
{
    enum redact_outcome outcome;

    w->out = &w->p->bodies[*turn];
    w->changed = false;
    buf_clear(w->out);
    if (w->about->redacts) {
        outcome = redact_body(w->x->redacts_items, w->signal, *left, w->out);
        w->changed = outcome == REDACT_CHANGED;
        if (outcome == REDACT_FAILED) {
            processor_count_failure(w->p, w->x, FAILURE_MEMORY);
            return ERR_FULL;
        }
    } else {
        item_walk_body(w, *left);
    }
    if (!buf_ok(w->out))
        return ERR_FULL;
    if (w->changed) {
        *left = buf_slice(w->out);
        *turn ^= 1;
    }
    return ERR_OK;
}

enum err processor_set_items(struct processor_set *p, enum otlp_signal signal, struct slice body,
                             uint64_t now_ns, const struct item_sink *sink, struct slice *left)
{
    unsigned turn = 0;
    enum err err = ERR_OK;

    *left = body;
    policy_begin_time(p->L, now_ns);
    for (size_t i = 0; i < p->count && err == ERR_OK; i++) {
        struct item_walk w = {.p = p,
                              .x = &p->processors[i],
                              .about = &p->processors[i].items[signal],
                              .signal = signal,
                              .sink = sink,
                              .now_ns = now_ns};

        if (w.about->asked && left->len > 0)
            err = run_one(&w, &turn, left);
    }
    policy_end_time(p->L);
    return err;
}

void processor_set_items_end(struct processor_set *p, bool taken)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->processors[i].redacts_items)
            processor_count_redacted(p, &p->processors[i], p->processors[i].redacts_items, taken);
    processor_set_give_back(p);
    editor_clear(p->editor);
}
