/* Processors of metrics and logs over bodies: what is not edited stays byte for byte, and without
 * memory nothing leaves half done. */
#include "../journal/failing_memory.h"
#include "check.h"
#include "otlp/items.h"
#include "otlp/scan.h"
#include "otlp/write.h"
#include "policy/processor.h"
#include "scripts.h"

#include <sys/wait.h>
#include <unistd.h>

static const char no_op[] =
    "return { processor { name = 'a', on = 'kept', resource = function(r) r:unset 'no' end,\n"
    "  metric = function(m) m:unset 'no' end,\n"
    "  point = function() end, log = function() end } }";
static const char edits[] = "return { processor { name = 'a', on = 'kept', on_error = 'drop',\n"
                            "  resource = function(r) r:set('zone', ('z'):rep(500)) end,\n"
                            "  metric = function(m) m:set_name(m.name .. ('n'):rep(500)) end,\n"
                            "  point = function(p) p:set('a', ('a'):rep(500)) p:unset 'host' end,\n"
                            "  log = function(l) l:set_body(('b'):rep(500)) l:unset 'host' end } }";

static struct processor_set *load(struct test_state *s, const char *text)
{
    struct processor_set *set = NULL;
    struct err_info info;
    struct buf errors;

    state_init(s, true, 10);
    buf_init(&errors, 4096, NULL);
    if (state_run(s, text, 1, &info)) {
        printf("%s\n", info.text);
        abort();
    }
    if (processor_set_new(s->L, "kept", -1, &s->shared, &set, &errors))
        printf("%.*s\n", (int)errors.len, (char *)errors.data);
    CHECK(set);
    lua_settop(s->L, 0);
    buf_fini(&errors);
    return set;
}

static void unload(struct test_state *s, struct processor_set *set)
{
    processor_set_free(set);
    state_fini(s);
}

/* A message with fields that nobody knows, before and behind what is known. */
static void put_unknown(struct buf *b)
{
    wire_put_fixed32(b, 77, 7);
    wire_put_bytes(b, 78, slice_str("unknown"));
}

static void put_point(struct buf *b, uint32_t attrs, uint64_t time_ns)
{
    size_t point = otlp_write_begin(b, 1);

    put_unknown(b);
    wire_put_fixed64(b, 3, time_ns);
    otlp_write_attr_str(b, attrs, "host", slice_str("h"));
    otlp_write_end(b, point);
}

static void put_metrics(struct buf *b)
{
    static const uint32_t data[] = {5, 7, 9, 10, 11}, attrs[] = {7, 7, 9, 1, 7};

    for (int i = 0; i < 5; i++) {
        size_t metric = otlp_write_begin(b, 2), points;

        wire_put_bytes(b, 1, slice_str("m"));
        put_unknown(b);
        points = otlp_write_begin(b, data[i]);
        put_point(b, attrs[i], 1000);
        put_unknown(b);
        put_point(b, attrs[i], 2000);
        otlp_write_end(b, points);
        otlp_write_end(b, metric);
    }
}

static void put_logs(struct buf *b)
{
    for (int i = 0; i < 5; i++) {
        size_t record = otlp_write_begin(b, 2), body = 0;

        wire_put_fixed64(b, 1, 1000);
        body = otlp_write_begin(b, 5);
        otlp_write_value(b, &(struct value){.type = VALUE_STRING, .bytes = slice_str("text")});
        otlp_write_end(b, body);
        otlp_write_attr_str(b, 6, "host", slice_str("h"));
        put_unknown(b);
        otlp_write_end(b, record);
    }
}

static void put_body(struct buf *b, enum otlp_signal signal)
{
    for (int i = 0; i < 2; i++) {
        size_t around = otlp_write_begin(b, 1), resource = otlp_write_begin(b, 1), scope;

        otlp_write_attr_str(b, 1, "service.name", slice_str("shop"));
        otlp_write_end(b, resource);
        scope = otlp_write_begin(b, 2);
        put_unknown(b);
        if (signal == OTLP_METRICS)
            put_metrics(b);
        else
            put_logs(b);
        otlp_write_end(b, scope);
        wire_put_bytes(b, 3, slice_str("https://schema"));
        otlp_write_end(b, around);
    }
    put_unknown(b);
}

static void count_dropped(void *arg, uint16_t label, size_t items)
{
    (void)label;
    *(size_t *)arg += items;
}

static size_t occurrences(struct slice in, const char *text)
{
    size_t n = 0, len = strlen(text);

    for (const uint8_t *at = in.data; (at = memmem(at, in.len - (size_t)(at - in.data), text, len));
         at += len)
        n++;
    return n;
}

static size_t items(enum otlp_signal signal, struct slice body)
{
    struct scan_result r;

    CHECK(scan_items(signal, body, NULL, 0, &r) == ERR_OK && r.rejected == 0);
    return r.items;
}

static void what_nothing_is_done_about_is_the_body_itself(void)
{
    for (int signal = OTLP_METRICS; signal < OTLP_SIGNALS; signal++) {
        struct test_state s;
        struct processor_set *set = load(&s, no_op);
        size_t dropped = 0;
        struct item_sink sink = {count_dropped, &dropped};
        struct slice left;
        struct buf body;

        buf_init(&body, 1 << 20, NULL);
        put_body(&body, (enum otlp_signal)signal);
        CHECK(processor_set_has_items(set, (enum otlp_signal)signal));
        CHECK(processor_set_items(set, (enum otlp_signal)signal, buf_slice(&body), 1, &sink,
                                  &left) == ERR_OK);
        CHECK(slice_equal(left, buf_slice(&body)) && dropped == 0);
        processor_set_items_end(set, true);
        buf_fini(&body);
        unload(&s, set);
    }
}

static void edits_keep_unknown_fields_and_every_item(void)
{
    for (int signal = OTLP_METRICS; signal < OTLP_SIGNALS; signal++) {
        struct test_state s;
        struct processor_set *set = load(&s, edits);
        size_t dropped = 0;
        struct item_sink sink = {count_dropped, &dropped};
        struct slice left;
        struct buf body;

        buf_init(&body, 1 << 20, NULL);
        put_body(&body, (enum otlp_signal)signal);
        CHECK(processor_set_items(set, (enum otlp_signal)signal, buf_slice(&body), 1, &sink,
                                  &left) == ERR_OK);
        CHECK(items((enum otlp_signal)signal, left) ==
              items((enum otlp_signal)signal, buf_slice(&body)));
        CHECK(occurrences(left, "unknown") == occurrences(buf_slice(&body), "unknown"));
        CHECK(occurrences(left, "https://schema") == 2 && occurrences(left, "zone") == 2);
        CHECK(occurrences(left, "host") == 0 && dropped == 0);
        processor_set_items_end(set, true);
        buf_fini(&body);
        unload(&s, set);
    }
}

/* How a body left, as a process ends. Lua ends it by itself where malloc has nothing for it. */
enum { LEFT_UNEDITED = 10, LEFT_REFUSED, LEFT_EDITED, LEFT_ALL_TRIED };

static int process_without(struct processor_set *set, enum otlp_signal signal, struct slice body,
                           unsigned n)
{
    size_t dropped = 0;
    struct item_sink sink = {count_dropped, &dropped};
    struct slice left;
    enum err err;

    fail_allocation(n, true);
    err = processor_set_items(set, signal, body, 1, &sink, &left);
    failing.paused = true;
    if (err != ERR_OK)
        return LEFT_REFUSED;
    if (occurrences(left, "host") || items(signal, left) + dropped != items(signal, body))
        return LEFT_UNEDITED;
    return failing.made < n ? LEFT_ALL_TRIED : LEFT_EDITED;
}

static int left_without(struct processor_set *set, enum otlp_signal signal, struct slice body,
                        unsigned n)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        _exit(process_without(set, signal, body, n));
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static void without_memory_no_item_leaves_unedited(void)
{
    for (int signal = OTLP_METRICS; signal < OTLP_SIGNALS; signal++) {
        unsigned counts[LEFT_ALL_TRIED + 1] = {0};
        struct test_state s;
        struct processor_set *set = load(&s, edits);
        struct buf body;

        buf_init(&body, 1 << 20, NULL);
        put_body(&body, (enum otlp_signal)signal);
        for (unsigned n = 1; counts[LEFT_ALL_TRIED] == 0 && n < 400; n++) {
            int left = left_without(set, (enum otlp_signal)signal, buf_slice(&body), n);

            if (left <= LEFT_ALL_TRIED)
                counts[left]++;
        }
        CHECK(counts[LEFT_UNEDITED] == 0 && counts[LEFT_ALL_TRIED] == 1);
        CHECK(counts[LEFT_REFUSED] > 0);
        buf_fini(&body);
        unload(&s, set);
    }
}

static void a_metric_that_changes_its_mind_has_the_points_of_its_last_kind(void)
{
    struct metric_view view;
    struct buf metric;
    size_t data;

    buf_init(&metric, 4096, NULL);
    for (int kind = 0; kind < 3; kind++) {
        data = otlp_write_begin(&metric, kind == 1 ? 7 : 5);
        put_point(&metric, 7, 1000);
        if (kind == 1)
            wire_put_uint(&metric, 2, 2);
        otlp_write_end(&metric, data);
    }
    metric_view_read(buf_slice(&metric), &view);
    CHECK(view.type == METRIC_GAUGE && view.temporality == 0);
    CHECK(view.data_at > metric.len / 2);
    CHECK(scan_points(buf_slice(&metric)) == 1);
    buf_fini(&metric);
}

int main(void)
{
    RUN(what_nothing_is_done_about_is_the_body_itself);
    RUN(edits_keep_unknown_fields_and_every_item);
    RUN(without_memory_no_item_leaves_unedited);
    RUN(a_metric_that_changes_its_mind_has_the_points_of_its_last_kind);
    return DONE();
}
