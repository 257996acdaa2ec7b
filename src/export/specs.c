#include "base/units.h"
#include "export/exporter.h"
#include "export/lua_spec.h"
#include "lua/scripts.h"
#include "lua/state.h"

#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

static struct exporter_type *types; /* by name */

void exporter_register(struct exporter_type *type)
{
    struct exporter_type **at = &types;

    while (*at && strcmp((*at)->name, type->name) < 0)
        at = &(*at)->next;
    type->next = *at;
    *at = type;
}

const struct exporter_type *exporter_types(void)
{
    return types;
}

const struct exporter_type *exporter_type_find(const char *name)
{
    const struct exporter_type *t = types;

    while (t && strcmp(t->name, name) != 0)
        t = t->next;
    return t;
}

#define COMMON(path, kind, fallback, min, max, member, doc)                                        \
    {                                                                                              \
        path, kind, fallback, min, max, NULL, NULL, 0, doc,                                        \
            offsetof(struct exporter_common, member)                                               \
    }

static const struct schema_field common_fields[] = {
    {.path = "where",
     .type = SCHEMA_MATCH,
     .doc = "only traces that match; asked once a kept trace, not of metrics and logs",
     .offset = SCHEMA_NOWHERE},
    {.path = "signals",
     .type = SCHEMA_STRINGS,
     .min = 1,
     .max = OTLP_SIGNALS,
     .doc = "what it takes: traces, metrics, logs; default: all that its type can send",
     .offset = offsetof(struct exporter_common, signals)},
    COMMON("batch.max_spans", SCHEMA_INTEGER, "8192", 1, 1e6, batch_spans,
           "a batch is sent when it has this many spans"),
    COMMON("batch.max_bytes", SCHEMA_SIZE, "\"3MiB\"", 1024, 1 << 30, batch_bytes,
           "and before it is larger than this"),
    COMMON("batch.timeout", SCHEMA_DURATION, "\"1s\"", 0, 3600e9, batch_timeout_ns,
           "and when its first trace has waited this long"),
    COMMON("queue.max_size", SCHEMA_SIZE, "\"256MiB\"", 1 << 16, 0x1p50, queue_bytes,
           "the most that waits for this exporter"),
    {.path = "queue.in_order",
     .type = SCHEMA_BOOLEAN,
     .fallback = "false",
     .doc = "one request at a time, in the order of the queue: nothing passes what is sent again",
     .offset = offsetof(struct exporter_common, in_order)},
    {.path = "queue.on_full",
     .type = SCHEMA_STRING,
     .fallback = "\"drop_oldest\"",
     .one_of = "drop_oldest|refuse",
     .doc = "what gives way when the queue is full: its oldest spans, or the senders",
     .offset = offsetof(struct exporter_common, on_full)},
    COMMON("timeout", SCHEMA_DURATION, "\"10s\"", 1e6, 3600e9, timeout_ns, "for one request"),
    COMMON("retry.initial_interval", SCHEMA_DURATION, "\"1s\"", 1e6, 3600e9, retry_initial_ns,
           "the first wait before a repeat; doubled each time"),
    COMMON("retry.max_interval", SCHEMA_DURATION, "\"30s\"", 1e6, 86400e9, retry_max_ns,
           "the longest wait before a repeat"),
    COMMON("retry.max_elapsed", SCHEMA_DURATION, "\"1h\"", 0, 8640000e9, retry_elapsed_ns,
           "a batch is given up after this long; only time in which the endpoint answers counts"),
    COMMON("circuit.failures", SCHEMA_INTEGER, "5", 1, 1e6, circuit_failures,
           "failures in a row that open the circuit"),
    COMMON("circuit.probe", SCHEMA_DURATION, "\"30s\"", 1e6, 86400e9, circuit_probe_ns,
           "an open circuit lets one request through each time"),
};

enum { SENTENCE_MAX = 16 * 1024 };
enum { COMMON_COUNT = sizeof(common_fields) / sizeof(common_fields[0]), FIELDS_MAX = 64 };

/* One component of the list while it is read: its table is on the top of the stack. */
struct reading {
    lua_State *L;
    const struct exporter_source *source;
    struct exporter_specs *specs;
    struct buf *errors, *hints;
};

static const char *text_field(lua_State *L, const char *key)
{
    const char *text;

    lua_getfield(L, -1, key);
    text = lua_tostring(L, -1);
    lua_pop(L, 1); /* the component holds it */
    return text;
}

static void say(struct reading *r, const char *name, const char *what)
{
    lua_getfield(r->L, -1, "file");
    lua_getfield(r->L, -2, "line");
    if (lua_isstring(r->L, -2))
        buf_printf(r->errors, "%s:%d: ", lua_tostring(r->L, -2), (int)lua_tointeger(r->L, -1));
    lua_pop(r->L, 2);
    buf_printf(r->errors, "exporter \"%s\" %s\n", name, what);
}

static bool is_taken(const struct exporter_specs *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->items[i].name, name) == 0)
            return true;
    return false;
}

/* config.lua's check has said it already, with the line of the other one. */
static bool is_said_twice(lua_State *L)
{
    bool said;

    lua_getfield(L, -1, "is_twice");
    said = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return said;
}

/* What the exporter takes, from its checked options. */
static void choose_signals(struct reading *r, struct exporter_spec *spec)
{
    unsigned possible = spec->type->signals ? spec->type->signals : 1u << OTLP_TRACES;
    char what[160];

    spec->signals = spec->options->signals ? 0 : possible;
    for (const char *const *s = spec->options->signals; s && *s; s++) {
        enum otlp_signal signal;

        if (otlp_signal_find(*s, strlen(*s), &signal) && possible >> signal & 1) {
            spec->signals |= 1u << signal;
            continue;
        }
        snprintf(what, sizeof(what), "has the signal '%.40s'; allowed: traces, metrics, logs", *s);
        say(r, spec->name, what);
    }
}

/* Reads the options on the top of the stack, which it pops; below them is the component. */
static void read_options(struct reading *r, struct exporter_spec *spec)
{
    struct schema_field fields[FIELDS_MAX];
    const struct exporter_type *type = spec->type;
    struct err_info info;
    char name[128];
    int top = lua_gettop(r->L);
    struct schema_where where = {.name = name, .component = top - 1, .env = r->source->env};
    enum err result;

    snprintf(name, sizeof(name), "exporter \"%s\"", spec->name);
    memcpy(fields, common_fields, sizeof(common_fields));
    if (type->field_count)
        memcpy(fields + COMMON_COUNT, type->fields, type->field_count * sizeof(fields[0]));
    result = schema_read(r->L, top, fields, COMMON_COUNT + type->field_count, &where, spec->options,
                         &r->specs->store, r->errors, r->hints);
    lua_settop(r->L, top - 1);
    if (result != ERR_OK)
        return;
    choose_signals(r, spec);
    if (type->check && type->check(spec->options, &info) != ERR_OK)
        say(r, spec->name, info.text);
}

/* What the OpenTelemetry Collector calls an exporter, and what it is called here. False: nothing is
 * said. */
static bool say_other_name(struct reading *r, const char *name, const char *type)
{
    char text[160];
    static const char *const names[][2] = {
        {"otlphttp", "exporter \"otlp\" { protocol = \"http/protobuf\" }"},
        {"otlp_http", "exporter \"otlp\" { protocol = \"http/protobuf\" }"},
        {"otlp_grpc", "exporter \"otlp\""},
        {"logging", "exporter \"debug\""},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i][0], type) == 0) {
            snprintf(text, sizeof(text), "is not known; write %s", names[i][1]);
            say(r, name, text);
            return true;
        }
    return false;
}

/* The types that are there: those in C, and the scripts that the program carries. */
static void find_known(struct lua_known *known)
{
    lua_known_scripts("exporter", known);
    for (const struct exporter_type *t = types; t && known->count < LUA_KNOWN_MAX; t = t->next)
        if (t->name[0] != '(')
            known->names[known->count++] = t->name;
}

static void unknown_type(struct reading *r, const char *name, const char *type)
{
    struct lua_known *known = calloc(1, sizeof(*known));
    const char *near;
    struct buf text;

    if (!known)
        err_no_memory("the list of exporters");
    find_known(known);
    buf_init(&text, SENTENCE_MAX, NULL);
    near = units_nearest(slice_str(type), known->names, known->count);
    if (near)
        buf_printf(&text, "is not known (did you mean \"%s\"?); allowed: ", near);
    else
        buf_str(&text, "is not known; allowed: ");
    for (size_t i = 0; i < known->count; i++)
        buf_printf(&text, "%s, ", known->names[i]);
    buf_printf(&text, "or exporters/%s.lua of yours", type);
    buf_byte(&text, 0);
    say(r, name, buf_ok(&text) ? (const char *)text.data : "is not known");
    buf_fini(&text);
    free(known);
}

/* The type of the component on the top, and its options pushed. False: an error has been said. */
static bool find_type(struct reading *r, struct exporter_spec *spec, const char *type)
{
    enum lua_spec_found found;

    lua_getfield(r->L, -1, "spec");
    spec->is_inline = !lua_isnil(r->L, -1);
    spec->type = spec->is_inline ? NULL : exporter_type_find(type);
    lua_pop(r->L, 1);
    if (spec->type) {
        lua_getfield(r->L, -1, "options");
        return true;
    }
    spec->type = exporter_type_find(EXPORTER_LUA_TYPE);
    spec->is_lua = true;
    found = lua_spec_check(r->L, r->source, lua_gettop(r->L), r->errors);
    if (found == LUA_SPEC_ABSENT && !say_other_name(r, spec->name, type))
        unknown_type(r, spec->name, type);
    return found == LUA_SPEC_GOOD;
}

/* Checks one exporter and appends it to the specs. */
static void read_one(struct reading *r)
{
    const char *name = text_field(r->L, "name"), *type = text_field(r->L, "type");
    struct exporter_spec spec = {.name = schema_store_text(&r->specs->store, name),
                                 .bit = (unsigned)r->specs->count};

    if (is_taken(r->specs, name) && !is_said_twice(r->L)) {
        say(r, name, "is there twice; give one an instance: exporter \"TYPE/instance\"");
        return;
    }
    if (!find_type(r, &spec, type))
        return;
    spec.options = calloc(1, spec.type->options_size);
    if (!spec.options)
        err_no_memory("an exporter's options");
    read_options(r, &spec);
    r->specs->items[r->specs->count++] = spec;
}

static void read_all(struct reading *r)
{
    size_t n = lua_objlen(r->L, r->source->exporters);

    if (n == 0)
        buf_str(r->errors, "exporters is missing or empty; allowed: a list of 1 to 64 exporters\n");
    if (n > EXPORTER_MAX)
        buf_printf(r->errors, "exporters holds %zu; allowed: a list of 1 to %d exporters\n", n,
                   EXPORTER_MAX);
    for (size_t i = 1; i <= n && n <= EXPORTER_MAX; i++) {
        lua_rawgeti(r->L, r->source->exporters, (int)i);
        read_one(r);
        lua_pop(r->L, 1);
    }
}

enum err exporter_specs_new(lua_State *L, const struct exporter_source *source,
                            struct exporter_specs **out, struct buf *hints, struct buf *errors)
{
    struct reading r = {L, source, calloc(1, sizeof(*r.specs)), errors, hints};
    size_t before = errors->len;

    if (!r.specs)
        err_no_memory("the exporters");
    atomic_init(&r.specs->references, 1);
    luaL_checkstack(L, 32, "exporters");
    read_all(&r);
    if (errors->len > before) {
        exporter_specs_unref(r.specs);
        return ERR_CONFIG;
    }
    *out = r.specs;
    return ERR_OK;
}

/* Appends moontail.config_print's docs_of(title, doc, fields). */
static void print_table(lua_State *L, const char *title, const char *doc,
                        const struct schema_field *fields, size_t count, struct buf *out)
{
    struct err_info info;
    size_t len;
    const char *text;
    enum err e = lua_require(L, "moontail.config_print", &info);

    if (!e) {
        lua_getfield(L, -1, "docs_of");
        lua_remove(L, -2);
        lua_pushstring(L, title);
        lua_pushstring(L, doc);
        schema_push_fields(L, fields, count);
        e = lua_run(L, 3, 1, &info);
    }
    if (e) {
        buf_printf(out, "%s\n", info.text);
        return;
    }
    text = lua_tolstring(L, -1, &len);
    buf_append(out, text, len);
    lua_pop(L, 1);
}

void exporter_print_docs(lua_State *L, struct buf *out)
{
    char title[128];

    print_table(L, "Every exporter", "What all of them take, beside their own options.",
                common_fields, COMMON_COUNT, out);
    for (const struct exporter_type *t = types; t; t = t->next) {
        if (t->name[0] == '(')
            continue;
        snprintf(title, sizeof(title), "exporter \"%s\"", t->name);
        print_table(L, title, t->doc, t->fields, t->field_count, out);
    }
}

struct exporter_specs *exporter_specs_ref(struct exporter_specs *s)
{
    atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
    return s;
}

void exporter_specs_unref(struct exporter_specs *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < s->count; i++)
        free(s->items[i].options);
    schema_store_free(&s->store);
    free(s);
}

enum err exporter_specs_look(const struct exporter_specs *s, size_t i, struct err_info *info)
{
    const struct exporter_spec *spec = &s->items[i];
    struct err_info why;
    enum err err = spec->type->look ? spec->type->look(spec->options, &why) : ERR_OK;

    return err ? err_fail(info, err, "exporter \"%s\": %.900s", spec->name, why.text) : ERR_OK;
}

size_t exporter_specs_count(const struct exporter_specs *s)
{
    return s->count;
}

enum err exporter_specs_place(struct exporter_specs *s, const char *const *names, size_t *count,
                              struct err_info *info)
{
    size_t first_new = *count;

    for (size_t i = 0; i < s->count; i++) {
        unsigned bit = 0;

        while (bit < first_new && strcmp(names[bit], s->items[i].name) != 0)
            bit++;
        s->items[i].bit = bit < first_new ? bit : (unsigned)(*count)++;
    }
    if (*count <= EXPORTER_MAX)
        return ERR_OK;
    return err_fail(info, ERR_CONFIG,
                    "exporters: since the start there have been %zu, removed ones included; "
                    "allowed: %d until a restart",
                    *count, EXPORTER_MAX);
}

unsigned exporter_specs_bit(const struct exporter_specs *s, size_t i)
{
    return s->items[i].bit;
}

const char *exporter_specs_name(const struct exporter_specs *s, size_t i)
{
    return s->items[i].name;
}

size_t exporter_specs_request_bytes(const struct exporter_specs *s)
{
    size_t bytes = 0;

    for (size_t i = 0; i < s->count; i++)
        bytes += 2 * s->items[i].options->batch_bytes; /* as it is and encoded */
    return bytes;
}

bool exporter_specs_is_lua(const struct exporter_specs *s, size_t i)
{
    return s->items[i].is_lua;
}

bool exporter_specs_is_inline(const struct exporter_specs *s, size_t i)
{
    return s->items[i].is_inline;
}

bool exporter_specs_takes(const struct exporter_specs *s, size_t i, enum otlp_signal signal)
{
    return s->items[i].signals >> signal & 1;
}

uint64_t exporter_specs_mask(const struct exporter_specs *s, enum otlp_signal signal)
{
    uint64_t mask = 0;

    for (size_t i = 0; i < s->count; i++)
        if (exporter_specs_takes(s, i, signal))
            mask |= UINT64_C(1) << s->items[i].bit;
    return mask;
}

void exporter_specs_push_where(lua_State *L, int exporters, size_t i)
{
    lua_rawgeti(L, exporters, (int)i + 1);
    lua_getfield(L, -1, "options");
    lua_getfield(L, -1, "where");
    lua_replace(L, -3);
    lua_pop(L, 1);
}
