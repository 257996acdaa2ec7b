#include "cli/spec_trace.h"

#include "base/buf.h"
#include "export/compose.h"
#include "otlp/json.h"
#include "otlp/scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

enum { MAX_SPANS = 100000, TEXT_MAX = 256 * 1024 * 1024 };
static const char trace_type[] = "moontail.testing.trace";

static int trace_gc(lua_State *L)
{
    struct spec_trace *t = lua_touserdata(L, 1);

    free(t->body);
    free(t->views);
    t->body = NULL;
    t->views = NULL;
    return 0;
}

static bool has_id(const struct scan_span *spans, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (spans[i].span_id == id)
            return true;
    return false;
}

static bool is_complete(const struct scan_span *spans, size_t count)
{
    bool root = false;

    for (size_t i = 0; i < count; i++) {
        root |= spans[i].parent_id == 0;
        if (spans[i].parent_id && !has_id(spans, count, spans[i].parent_id))
            return false;
    }
    return root;
}

static void fill(struct spec_trace *t, struct slice body, const struct scan_span *spans,
                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct scan_span *s = &spans[i];

        t->views[i] = span_view_at(body, s->offset, s->len, s->resource_offset, s->scope_offset);
        scan_sum(&t->trace.sums, s);
    }
    memcpy(t->trace.id, spans[0].trace_id, 16);
    t->trace.complete = is_complete(spans, count);
    t->trace.trigger = t->trigger;
    t->trace.count = count;
    t->trace.only_root = POLICY_ROOT_UNKNOWN;
    t->trace.span = policy_span_in_array;
    t->trace.span_arg = t->views;
}

static struct spec_trace *push_trace(lua_State *L, struct slice body)
{
    struct spec_trace *t = lua_newuserdata(L, sizeof(*t));

    memset(t, 0, sizeof(*t));
    luaL_getmetatable(L, trace_type);
    lua_setmetatable(L, -2);
    t->body = malloc(body.len + 1);
    if (t->body)
        memcpy(t->body, body.data, body.len);
    else
        luaL_error(L, "no memory for a trace");
    return t;
}

int spec_trace_push(lua_State *L, struct slice text, const char *trigger, uint64_t decided_unix_ns)
{
    struct scan_result result;
    struct scan_span *spans;
    struct spec_trace *t = push_trace(L, text);
    struct slice body = slice_make(t->body, text.len);

    snprintf(t->trigger, sizeof(t->trigger), "%s", trigger);
    t->trace.decided_unix_ns = decided_unix_ns;
    if (scan_traces(body, NULL, 0, &result) == ERR_PARSE)
        return luaL_error(L, "the trace is refused: %s at byte %d", result.error,
                          (int)result.error_offset);
    if (result.rejected)
        return luaL_error(L, "a span is rejected: %s", result.reject_reason);
    if (result.spans == 0 || result.spans > MAX_SPANS)
        return luaL_error(L, "a trace has 1 to %d spans", MAX_SPANS);
    spans = lua_newuserdata(L, result.spans * sizeof(*spans));
    t->views = calloc(result.spans, sizeof(*t->views));
    if (!t->views || scan_traces(body, spans, result.spans, &result))
        return luaL_error(L, "the trace is refused the second time");
    fill(t, body, spans, (uint32_t)result.spans);
    lua_pop(L, 1);
    return 1;
}

int spec_trace_scan(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    return spec_trace_push(L, slice_make(text, len), luaL_checkstring(L, 2),
                           strtoull(luaL_checkstring(L, 3), NULL, 10));
}

struct spec_trace *spec_trace_check(lua_State *L, int index)
{
    return luaL_checkudata(L, index, trace_type);
}

void spec_trace_register(lua_State *L)
{
    luaL_newmetatable(L, trace_type);
    lua_pushcfunction(L, trace_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

/* ---- many traces in one text ---- */

/* Raises the sentence as it is: where it was called from is the caller's to say. */
__attribute__((format(printf, 2, 3))) static int refuse(lua_State *L, const char *fmt, ...)
{
    char text[1100];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    lua_pushstring(L, text);
    return lua_error(L);
}

/* Each line is a request of its own, as exporter "file" writes them. */
static enum err read_lines(struct slice text, struct buf *body, struct err_info *info)
{
    const uint8_t *at = text.data, *end = text.data + text.len;
    struct err_info of_line;

    for (int number = 1; at < end; number++) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        struct slice line = slice_make(at, (size_t)((stop ? stop : end) - at));

        if (line.len && json_to_traces(line, body, TEXT_MAX, &of_line))
            return err_fail(info, ERR_PARSE, "line %d: %.900s", number, of_line.text);
        at += line.len + 1;
    }
    return ERR_OK;
}

/* JSON begins with a brace; protobuf with the tag of resource_spans. */
static bool is_json(struct slice text)
{
    size_t i = 0;

    while (i < text.len && strchr(" \t\r\n", text.data[i]))
        i++;
    return i < text.len && text.data[i] == '{';
}

/* What is no request as a whole is taken line by line; if not even the first of them is one, the
 * error of the whole says more. */
static enum err read_text(struct slice text, struct buf *body, struct err_info *info)
{
    struct err_info of_lines;

    if (!is_json(text)) {
        buf_append(body, text.data, text.len);
        return ERR_OK;
    }
    if (json_to_traces(text, body, TEXT_MAX, info) == ERR_OK)
        return ERR_OK;
    if (read_lines(text, body, &of_lines) == ERR_OK)
        return ERR_OK;
    if (body->len)
        *info = of_lines;
    return ERR_PARSE;
}

/* A span's place among those of its trace. */
struct placed {
    const uint8_t *trace_id;
    uint32_t index; /* of the span, in order of the text */
    uint32_t first; /* of the trace's first span */
};

static int by_trace(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    int order = memcmp(x->trace_id, y->trace_id, 16);

    return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int by_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void place(struct placed *places, const struct scan_span *spans, size_t count)
{
    for (uint32_t i = 0; i < count; i++)
        places[i] = (struct placed){.trace_id = spans[i].trace_id, .index = i};
    qsort(places, count, sizeof(*places), by_trace);
    for (size_t i = 0; i < count; i++) {
        bool same = i && memcmp(places[i].trace_id, places[i - 1].trace_id, 16) == 0;

        places[i].first = same ? places[i - 1].first : places[i].index;
    }
    qsort(places, count, sizeof(*places), by_place);
}

/* Appends the body of the trace at the front of `places` to the table on the top; returns how many
 * spans it has. */
static size_t add_trace(lua_State *L, struct slice body, const struct scan_span *spans,
                        const struct placed *places, size_t count)
{
    const struct compose_edits no_edits = {.probability = -1, .entry = SIZE_MAX};
    struct compose_span *list = lua_newuserdata(L, count * sizeof(*list));
    struct buf out;
    size_t n = 0;

    for (; n < count && places[n].first == places[0].first; n++) {
        const struct scan_span *s = &spans[places[n].index];

        list[n].view = span_view_at(body, s->offset, s->len, s->resource_offset, s->scope_offset);
        list[n].body = body.data;
    }
    buf_init(&out, TEXT_MAX, NULL);
    if (compose_traces(list, n, &no_edits, &out) == ERR_OK)
        lua_pushlstring(L, (const char *)out.data, out.len);
    else
        lua_pushnil(L);
    buf_fini(&out);
    if (lua_isnil(L, -1))
        refuse(L, "a trace is too large");
    lua_remove(L, -2);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    return n;
}

/* Pushes the list of the bodies of the traces in `body`, which the scanner takes. */
static int push_bodies(lua_State *L, struct slice body)
{
    struct scan_result result;
    struct scan_span *spans;
    struct placed *places;
    size_t at = 0;

    if (scan_traces(body, NULL, 0, &result) == ERR_PARSE)
        return refuse(L, "no OTLP: %s at byte %d", result.error, (int)result.error_offset);
    if (result.rejected)
        return refuse(L, "a span is rejected: %s", result.reject_reason);
    if (result.spans == 0)
        return refuse(L, "there is no span in it");
    spans = lua_newuserdata(L, result.spans * sizeof(*spans));
    places = lua_newuserdata(L, result.spans * sizeof(*places));
    if (scan_traces(body, spans, result.spans, &result))
        return refuse(L, "it is refused the second time");
    place(places, spans, result.spans);
    lua_newtable(L);
    while (at < result.spans)
        at += add_trace(L, body, spans, places + at, result.spans - at);
    return 1;
}

int spec_trace_split(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct err_info info = {.text = ""};
    struct buf body;

    buf_init(&body, TEXT_MAX, NULL);
    if (read_text(slice_make(text, len), &body, &info) || !buf_ok(&body)) {
        buf_fini(&body);
        return refuse(L, "%s", info.text[0] ? info.text : "too large");
    }
    lua_pushlstring(L, (const char *)body.data, body.len);
    buf_fini(&body);
    return push_bodies(L, slice_make(lua_tostring(L, -1), lua_objlen(L, -1)));
}
