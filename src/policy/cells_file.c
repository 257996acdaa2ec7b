/* Cells as bytes: a magic with the version, the time of day, the tables, a checksum. Levels are
 * relative to that time. All numbers are little-endian. */
#include "base/crc32c.h"
#include "policy/cells.h"
#include "policy/cells_world.h"

#include <math.h>
#include <string.h>

static const char magic[8] = {'M', 'T', 'C', 'E', 'L', 'L', 'S', '1'};

bool cells_changed(struct cells *c)
{
    bool changed = false;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->count; i++)
        changed |= atomic_load_explicit(&c->tables[i]->changed, memory_order_relaxed);
    pthread_mutex_unlock(&c->lock);
    return changed;
}

/* ---- writing ---- */

static void put(struct buf *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_byte(out, (uint8_t)(value >> (8 * i)));
}

static void put_double(struct buf *out, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    put(out, bits, 8);
}

struct writing {
    struct buf *out;
    const struct cell_rule *rule;
    uint64_t now_ns;
    uint32_t cells;
};

static void write_cell(void *arg, const struct cell *cell)
{
    struct writing *w = arg;
    const struct cell_counter *counter = (const void *)cell;
    uint64_t now = w->now_ns / cell_slot_ns(w->rule);

    w->cells++;
    put(w->out, cell->hash, 8);
    if (w->rule->kind != CELL_COUNTER)
        put(w->out, cell->word - w->now_ns, 8);
    if (w->rule->kind == CELL_RATE)
        for (int i = 0; i < RATE_SLOTS; i++)
            put_double(w->out, counter->counts[i]);
    if (w->rule->kind != CELL_COUNTER)
        return;
    for (uint64_t age = 0; age < COUNTER_SLOTS; age++) {
        uint64_t slot = now - age;
        bool has = age <= now && slot <= cell->word && cell->word - slot < COUNTER_SLOTS;

        put_double(w->out, has ? counter->counts[slot % COUNTER_SLOTS] : 0);
    }
}

static void write_text(struct buf *out, const char *text)
{
    put(out, strlen(text), 1);
    buf_str(out, text);
}

/* Returns how many cells it has. */
static uint32_t write_table(struct cell_table *t, uint64_t now_ns, struct buf *out)
{
    struct writing w = {out, &t->rule, now_ns, 0};
    size_t at;

    atomic_store_explicit(&t->changed, false, memory_order_relaxed);
    put(out, t->rule.kind, 1);
    write_text(out, t->component);
    write_text(out, t->name);
    put(out, t->rule.max_keys, 4);
    put(out, t->rule.interval_ns, 8);
    put(out, t->rule.burst_ns, 8);
    at = out->len;
    put(out, 0, 4);
    cell_table_each(t, now_ns, write_cell, &w);
    for (int i = 0; i < 4 && buf_ok(out); i++)
        out->data[at + (size_t)i] = (uint8_t)(w.cells >> (8 * i));
    return w.cells;
}

void cells_write(struct cells *c, uint64_t now_ns, uint64_t unix_ns, struct buf *out)
{
    size_t first = out->len, before;

    buf_append(out, magic, sizeof(magic));
    put(out, unix_ns, 8);
    put(out, c->key.k0, 8);
    put(out, c->key.k1, 8);
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->count; i++) {
        before = out->len;
        if (write_table(c->tables[i], now_ns, out) == 0 && buf_ok(out))
            out->len = before;
    }
    pthread_mutex_unlock(&c->lock);
    if (buf_ok(out))
        put(out, crc32c(0, out->data + first, out->len - first), 4);
}

/* ---- reading ---- */

struct reading {
    const uint8_t *at, *end;
    bool failed;
    uint64_t now_ns, passed_ns; /* since it was written */
};

static uint64_t get(struct reading *r, int bytes)
{
    uint64_t value = 0;

    if (r->failed || r->end - r->at < bytes) {
        r->failed = true;
        return 0;
    }
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)*r->at++ << (8 * i);
    return value;
}

static double get_double(struct reading *r)
{
    uint64_t bits = get(r, 8);
    double value;

    memcpy(&value, &bits, sizeof(value));
    return isfinite(value) && value > 0 ? value : 0;
}

static void get_text(struct reading *r, char text[CELL_NAME_MAX + 1])
{
    size_t len = get(r, 1);

    if (r->failed || (size_t)(r->end - r->at) < len) {
        r->failed = true;
        len = 0;
    }
    memcpy(text, r->at, len);
    text[len] = '\0';
    r->at += len;
}

/* The counts by age, at the time when they were written, put at their age of now. */
static void read_counter(struct reading *r, const struct cell_rule *rule, struct cell_counter *c)
{
    uint64_t slot_ns = cell_slot_ns(rule), passed = r->passed_ns / slot_ns;

    c->cell.word = r->now_ns / slot_ns;
    for (uint64_t i = 0; i < COUNTER_SLOTS; i++) {
        double n = get_double(r);

        if (passed < COUNTER_SLOTS - i && i + passed <= c->cell.word)
            c->counts[(c->cell.word - passed - i) % COUNTER_SLOTS] = n;
    }
}

static void read_cell(struct reading *r, struct cell_table *t)
{
    union cell_space space = {.counter = {.cell = {.hash = get(r, 8)}}};
    uint64_t left_ns;

    if (t->rule.kind == CELL_COUNTER) {
        read_counter(r, &t->rule, &space.counter);
    } else {
        left_ns = get(r, 8);
        for (int i = 0; i < RATE_SLOTS && t->rule.kind == CELL_RATE; i++)
            space.counter.counts[i] = get_double(r);
        if (left_ns > CELL_SPAN_MAX_NS)
            r->failed = true;
        if (left_ns <= r->passed_ns)
            return;
        space.cell.word = r->now_ns + (left_ns - r->passed_ns);
    }
    if (!r->failed)
        cell_table_put(t, &space.cell);
}

static bool is_good(const struct cell_rule *rule)
{
    return rule->kind < CELL_KIND_COUNT && rule->max_keys > 0 && rule->max_keys <= CELL_KEYS_MAX &&
           rule->interval_ns > 0 && rule->interval_ns <= CELL_SPAN_MAX_NS &&
           rule->burst_ns <= CELL_SPAN_MAX_NS;
}

static void read_table(struct reading *r, struct cells *c)
{
    char component[CELL_NAME_MAX + 1], name[CELL_NAME_MAX + 1];
    struct cell_rule rule = {.kind = (enum cell_kind)get(r, 1)};
    struct cell_table *t;
    uint64_t cells;

    get_text(r, component);
    get_text(r, name);
    rule.max_keys = (uint32_t)get(r, 4);
    rule.interval_ns = get(r, 8);
    rule.burst_ns = get(r, 8);
    cells = get(r, 4);
    if (r->failed || !is_good(&rule)) {
        r->failed = true;
        return;
    }
    t = cells_add_locked(c, component, name, &rule);
    r->failed |= t == NULL;
    for (uint64_t i = 0; i < cells && !r->failed; i++)
        read_cell(r, t);
}

static void read_all(struct reading *r, struct cells *c, uint64_t unix_ns)
{
    struct hash_key key;
    uint64_t written_ns = get(r, 8);

    r->passed_ns = unix_ns > written_ns ? unix_ns - written_ns : 0;
    key.k0 = get(r, 8);
    key.k1 = get(r, 8);
    c->key = key;
    while (r->at < r->end && !r->failed)
        read_table(r, c);
}

static void clear(struct cells *c)
{
    for (size_t i = 0; i < c->count; i++)
        cell_table_unref(c->tables[i]);
    c->count = 0;
}

static bool has_checksum(struct slice data)
{
    struct reading r;

    if (data.len < sizeof(magic) + 4 + 24 || memcmp(data.data, magic, sizeof(magic)) != 0)
        return false;
    r = (struct reading){.at = (const uint8_t *)data.data + data.len - 4,
                         .end = (const uint8_t *)data.data + data.len};
    return get(&r, 4) == crc32c(0, data.data, data.len - 4);
}

enum err cells_read(struct cells *c, struct slice data, uint64_t now_ns, uint64_t unix_ns,
                    struct err_info *info)
{
    struct reading r = {.now_ns = now_ns};
    struct hash_key key = c->key;

    if (!has_checksum(data))
        return err_fail(info, ERR_PARSE, "its checksum or version is wrong");
    r.at = (const uint8_t *)data.data + sizeof(magic);
    r.end = (const uint8_t *)data.data + data.len - 4;
    pthread_mutex_lock(&c->lock);
    read_all(&r, c, unix_ns);
    if (r.failed) {
        clear(c);
        c->key = key;
    }
    pthread_mutex_unlock(&c->lock);
    return r.failed ? err_fail(info, ERR_PARSE, "its content is malformed") : ERR_OK;
}
