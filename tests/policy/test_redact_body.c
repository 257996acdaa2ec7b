/* Whole bodies at the door: every part of one comes out as it does alone, all else byte for byte;
 * hostile bytes and failing allocations let nothing through. */
#include "../journal/failing_memory.h"
#include "base/random.h"
#include "check.h"
#include "otlp/scan.h"
#include "otlp/write.h"
#include "policy/redact.h"

#include <stdlib.h>

#define PLANTED "hunter2"

enum { MOST = 64, UNKNOWN = 999 };

struct world {
    struct redact *redact;
    struct buf body, left, again;
};

static void put_text(struct buf *b, uint32_t number, const char *text)
{
    wire_put_bytes(b, number, slice_str(text));
}

static void put_attr(struct buf *b, uint32_t number, const char *key, const char *text)
{
    otlp_write_attr_str(b, number, key, slice_str(text));
}

/* { list: [{ token: PLANTED }] } in field `number`: a map within a list within a map. */
static void put_nested(struct buf *b, uint32_t number)
{
    size_t levels[7];

    levels[0] = otlp_write_begin(b, number);
    put_text(b, 1, "nested");
    levels[1] = otlp_write_begin(b, 2);
    levels[2] = otlp_write_begin(b, 5);
    levels[3] = otlp_write_begin(b, 1);
    levels[4] = otlp_write_begin(b, 6);
    put_attr(b, 1, "token", PLANTED);
    put_text(b, UNKNOWN, "kept in a list");
    for (int i = 4; i >= 0; i--)
        otlp_write_end(b, levels[i]);
}

static void put_inner(struct buf *b, uint32_t number, uint32_t attributes, uint8_t seed)
{
    uint8_t id[16];
    size_t at = otlp_write_begin(b, number);

    memset(id, seed, sizeof(id));
    if (number == 13) {
        wire_put_bytes(b, 1, slice_make(id, 16));
        wire_put_bytes(b, 2, slice_make(id, 8));
    } else {
        wire_put_fixed64(b, 1, seed);
        put_text(b, 2, "failed: password=" PLANTED);
    }
    put_attr(b, attributes, "api_key", PLANTED);
    otlp_write_end(b, at);
}

static void put_span(struct buf *b, uint8_t seed, bool is_dirty)
{
    const char *secret = is_dirty ? PLANTED : "plain";
    uint8_t id[16];
    size_t at = otlp_write_begin(b, 2), status;

    memset(id, seed, sizeof(id));
    wire_put_bytes(b, 1, slice_make(id, 16));
    wire_put_bytes(b, 2, slice_make(id, 8));
    put_text(b, 5, is_dirty ? "GET /?token=" PLANTED : "GET /");
    wire_put_fixed64(b, 7, 1000 + seed);
    wire_put_fixed64(b, 8, 2000 + seed);
    put_text(b, UNKNOWN, "kept in a span");
    put_attr(b, 9, is_dirty ? "db.password" : "db.system", secret);
    if (is_dirty) {
        put_nested(b, 9);
        put_inner(b, 11, 3, seed);
        put_inner(b, 13, 4, seed);
    }
    status = otlp_write_begin(b, 15);
    put_text(b, 2, is_dirty ? "no secret=" PLANTED : "fine");
    otlp_write_end(b, status);
    otlp_write_end(b, at);
}

/* Of two scopes with two spans each; what is dirty is dirty everywhere. */
static void put_resource_spans(struct buf *b, uint8_t seed, bool is_dirty)
{
    size_t all = otlp_write_begin(b, 1), at = otlp_write_begin(b, 1), scope;

    put_attr(b, 1, "service.name", "shop");
    put_attr(b, 1, "command", is_dirty ? "run --password=" PLANTED : "run");
    otlp_write_end(b, at);
    for (uint8_t i = 0; i < 2; i++) {
        at = otlp_write_begin(b, 2);
        scope = otlp_write_begin(b, 1);
        put_text(b, 1, "library");
        put_attr(b, 3, is_dirty ? "secret" : "version", is_dirty ? PLANTED : "1");
        otlp_write_end(b, scope);
        put_span(b, (uint8_t)(seed + 2 * i), is_dirty);
        put_text(b, UNKNOWN, "kept in a scope");
        put_span(b, (uint8_t)(seed + 2 * i + 1), is_dirty);
        put_text(b, 3, "https://schema/of/scopes");
        otlp_write_end(b, at);
    }
    put_text(b, UNKNOWN, "kept in a resource");
    put_text(b, 3, "https://schema/of/resources");
    otlp_write_end(b, all);
}

static void world_init(struct world *w)
{
    w->redact = redact_new();
    buf_init(&w->body, 1 << 20, NULL);
    buf_init(&w->left, 1 << 20, NULL);
    buf_init(&w->again, 1 << 20, NULL);
}

static void world_fini(struct world *w)
{
    buf_fini(&w->body);
    buf_fini(&w->left);
    buf_fini(&w->again);
    redact_free(w->redact);
}

static void put_dirty_between_clean(struct buf *b)
{
    put_resource_spans(b, 1, false);
    put_text(b, UNKNOWN, "kept in the body");
    put_resource_spans(b, 11, true);
    put_resource_spans(b, 21, false);
}

static size_t scan(const struct buf *b, struct scan_span *spans)
{
    struct scan_result result;

    CHECK(scan_traces(buf_slice(b), spans, MOST, &result) == ERR_OK && result.rejected == 0);
    return result.spans;
}

static struct slice span_of(const struct buf *b, const struct scan_span *s)
{
    return slice_make(b->data + s->offset, s->len);
}

static bool has(const struct buf *b, const char *text)
{
    return b->len > 0 && memmem(b->data, b->len, text, strlen(text));
}

static size_t count_of(const struct buf *b, const char *text)
{
    const uint8_t *at = b->data, *end = b->data + b->len, *found;
    size_t n = 0;

    while ((found = memmem(at, (size_t)(end - at), text, strlen(text)))) {
        at = found + 1;
        n++;
    }
    return n;
}

/* ---- tests ---- */

static void no_secret_is_left_at_any_level_of_a_body(void)
{
    struct world w;

    world_init(&w);
    put_dirty_between_clean(&w.body);
    CHECK(count_of(&w.body, PLANTED) == 1 + 2 + 4 * 8 - 4);
    CHECK(redact_body(w.redact, OTLP_TRACES, buf_slice(&w.body), &w.left) == REDACT_CHANGED);
    CHECK(!has(&w.left, PLANTED));
    world_fini(&w);
}

static void each_part_is_as_it_would_be_alone(void)
{
    struct scan_span came[MOST] = {0}, left[MOST] = {0};
    struct world w;
    size_t count;

    world_init(&w);
    put_dirty_between_clean(&w.body);
    CHECK(redact_body(w.redact, OTLP_TRACES, buf_slice(&w.body), &w.left) == REDACT_CHANGED);
    count = scan(&w.body, came);
    CHECK(count == 12 && scan(&w.left, left) == count);
    for (size_t i = 0; i < count; i++) {
        struct slice span = span_of(&w.body, &came[i]);

        CHECK(memcmp(came[i].trace_id, left[i].trace_id, sizeof(left[i].trace_id)) == 0);
        CHECK(came[i].span_id == left[i].span_id && came[i].parent_id == left[i].parent_id);
        CHECK(came[i].start_ns == left[i].start_ns && came[i].end_ns == left[i].end_ns);
        buf_clear(&w.again);
        if (redact_span(w.redact, span, &w.again) == REDACT_SAME)
            buf_append(&w.again, span.data, span.len);
        CHECK(slice_equal(buf_slice(&w.again), span_of(&w.left, &left[i])));
    }
    world_fini(&w);
}

static void all_else_stays_as_it_came(void)
{
    static const char *const kept[] = {
        "kept in a list",     "kept in a span",   "kept in a scope",
        "kept in a resource", "kept in the body", "https://schema/of/scopes",
        "service.name",       "library",          "https://schema/of/resources"};
    struct world w;
    struct buf clean;

    world_init(&w);
    put_dirty_between_clean(&w.body);
    CHECK(redact_body(w.redact, OTLP_TRACES, buf_slice(&w.body), &w.left) == REDACT_CHANGED);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        CHECK(count_of(&w.left, kept[i]) == count_of(&w.body, kept[i]) && has(&w.body, kept[i]));
    buf_init(&clean, 1 << 20, NULL);
    put_resource_spans(&clean, 1, false);
    CHECK(w.left.len > clean.len && memcmp(w.left.data, clean.data, clean.len) == 0);
    buf_fini(&clean);
    world_fini(&w);
}

static void a_body_without_secrets_is_the_same_and_so_is_one_that_was_redacted(void)
{
    struct world w;

    world_init(&w);
    put_resource_spans(&w.body, 1, false);
    CHECK(redact_body(w.redact, OTLP_TRACES, buf_slice(&w.body), &w.left) == REDACT_SAME);
    CHECK(redact_body(w.redact, OTLP_TRACES, slice_make(NULL, 0), &w.left) == REDACT_SAME);
    put_resource_spans(&w.body, 11, true);
    buf_clear(&w.left);
    CHECK(redact_body(w.redact, OTLP_TRACES, buf_slice(&w.body), &w.left) == REDACT_CHANGED);
    CHECK(redact_body(w.redact, OTLP_TRACES, buf_slice(&w.left), &w.again) == REDACT_SAME);
    world_fini(&w);
}

/* "..." is a text in MySQL, a name in PostgreSQL. */
static void each_span_has_the_dialect_of_its_own_database(void)
{
    static const char *const systems[] = {"mysql", "postgresql", "mysql"};
    struct world w;
    size_t all, scope;

    world_init(&w);
    all = otlp_write_begin(&w.body, 1);
    scope = otlp_write_begin(&w.body, 2);
    for (size_t i = 0; i < 3; i++) {
        size_t span = otlp_write_begin(&w.body, 2);

        put_attr(&w.body, 9, "db.system", systems[i]);
        put_attr(&w.body, 9, "db.statement", "SELECT \"x\" FROM t WHERE a = 1");
        otlp_write_end(&w.body, span);
    }
    otlp_write_end(&w.body, scope);
    otlp_write_end(&w.body, all);
    CHECK(redact_body(w.redact, OTLP_TRACES, buf_slice(&w.body), &w.left) == REDACT_CHANGED);
    CHECK(count_of(&w.left, "SELECT ? FROM t WHERE a = ?") == 2);
    CHECK(count_of(&w.left, "SELECT \"x\" FROM t WHERE a = ?") == 1);
    world_fini(&w);
}

static void look(void *count)
{
    ++*(int *)count;
}

static void no_script_is_looked_after_while_there_is_none(void)
{
    struct world w;
    int looks = 0;

    world_init(&w);
    for (int i = 0; i < 100; i++)
        put_resource_spans(&w.body, 1, true);
    redact_on_look(w.redact, look, &looks);
    CHECK(redact_body(w.redact, OTLP_TRACES, buf_slice(&w.body), &w.left) == REDACT_CHANGED &&
          looks == 0);
    for (int i = 0; i < 5000; i++) {
        struct slice span = slice_str("");

        CHECK(redact_span(w.redact, span, &w.again) == REDACT_SAME);
    }
    world_fini(&w);
}

/* What a scan lets in comes out whole; what it doesn't is at most refused. */
static void hostile_bytes_come_out_scannable_or_not_at_all(void)
{
    size_t good = 0, bad = 0;
    struct scan_result came, left;
    struct rng rng;
    struct world w;

    world_init(&w);
    rng_seed(&rng, 7);
    for (int round = 0; round < 3000; round++) {
        enum redact_outcome outcome;
        bool is_good;

        buf_clear(&w.body);
        buf_clear(&w.left);
        put_resource_spans(&w.body, 11, true);
        for (uint64_t n = 1 + rng_below(&rng, 4); n > 0; n--)
            w.body.data[rng_below(&rng, w.body.len)] = (uint8_t)rng_next(&rng);
        if (rng_below(&rng, 4) == 0)
            w.body.len = rng_below(&rng, w.body.len);
        is_good = scan_traces(buf_slice(&w.body), NULL, 0, &came) != ERR_PARSE;
        outcome = redact_body(w.redact, OTLP_TRACES, buf_slice(&w.body), &w.left);
        good += is_good;
        bad += !is_good;
        if (!is_good)
            continue;
        CHECK(outcome == REDACT_CHANGED || outcome == REDACT_SAME);
        if (outcome == REDACT_SAME)
            continue;
        CHECK(scan_traces(buf_slice(&w.left), NULL, 0, &left) != ERR_PARSE);
        /* a mask may stand where bytes were no UTF-8, for which a span is rejected */
        CHECK(left.spans >= came.spans);
        CHECK(left.spans + left.rejected == came.spans + came.rejected);
    }
    CHECK(good > 100 && bad > 100);
    world_fini(&w);
}

static enum redact_outcome redact_without(const struct buf *body, unsigned n, bool all,
                                          bool *failed)
{
    struct redact *r = redact_new();
    enum redact_outcome outcome;
    struct buf out;

    buf_init(&out, 1 << 20, NULL);
    fail_allocation(n, all);
    outcome = redact_body(r, OTLP_TRACES, buf_slice(body), &out);
    *failed = failing.made >= n;
    fail_allocation(0, false);
    CHECK(outcome == REDACT_FAILED || (outcome == REDACT_CHANGED && !has(&out, PLANTED)));
    buf_fini(&out);
    redact_free(r);
    return outcome;
}

static void no_allocation_that_fails_lets_a_secret_through(void)
{
    bool failed = true;
    struct world w;
    unsigned n;

    world_init(&w);
    put_dirty_between_clean(&w.body);
    for (n = 1; failed && n < 200; n++) {
        (void)redact_without(&w.body, n, false, &failed);
        CHECK((redact_without(&w.body, n, true, &failed) == REDACT_FAILED) == failed);
    }
    CHECK(n > 6 && !failed);
    world_fini(&w);
}

static void a_body_over_the_memory_limit_fails_and_gives_all_back(void)
{
    struct memory memory;
    struct buf out;
    struct world w;

    world_init(&w);
    put_dirty_between_clean(&w.body);
    memory_init(&memory, 2048, 0);
    redact_count_memory(w.redact, &memory);
    buf_init(&out, 1 << 20, &memory);
    CHECK(w.body.len > 2048);
    CHECK(redact_body(w.redact, OTLP_TRACES, buf_slice(&w.body), &out) == REDACT_FAILED);
    memory_set_limits(&memory, 1 << 20, 0);
    buf_clear(&out);
    CHECK(redact_body(w.redact, OTLP_TRACES, buf_slice(&w.body), &out) == REDACT_CHANGED);
    CHECK(!has(&out, PLANTED) && memory_used(&memory) > 0);
    buf_fini(&out);
    world_fini(&w);
    CHECK(memory_used(&memory) == 0);
}

int main(void)
{
    RUN(no_secret_is_left_at_any_level_of_a_body);
    RUN(each_part_is_as_it_would_be_alone);
    RUN(all_else_stays_as_it_came);
    RUN(a_body_without_secrets_is_the_same_and_so_is_one_that_was_redacted);
    RUN(each_span_has_the_dialect_of_its_own_database);
    RUN(no_script_is_looked_after_while_there_is_none);
    RUN(hostile_bytes_come_out_scannable_or_not_at_all);
    RUN(no_allocation_that_fails_lets_a_secret_through);
    RUN(a_body_over_the_memory_limit_fails_and_gives_all_back);
    return DONE();
}
