/* The scan of metrics and logs: verdicts for every field that the .proto files have, counts, and
 * what has to be cut out. With --messages SIGNAL it judges messages for the differential test. */
#include "check.h"
#include "otlp/json.h"
#include "signals.h"

#include <stdlib.h>

enum { MAX_CUTS = 64, ROOM = 1 << 20 };

/* Scans an exact copy, so that a sanitizer sees a read outside. */
static enum err scan_copy(enum otlp_signal signal, struct slice body, struct scan_cut *cuts,
                          size_t capacity, struct scan_result *result)
{
    uint8_t *copy = malloc(body.len ? body.len : 1);
    enum err err;

    if (body.len)
        memcpy(copy, body.data, body.len);
    err = scan_items(signal, slice_make(copy, body.len), cuts, capacity, result);
    free(copy);
    return err;
}

static enum err verdict(enum otlp_signal signal, const struct message *body)
{
    struct scan_cut cuts[MAX_CUTS];
    struct scan_result r;

    return scan_copy(signal, bytes_of(body), cuts, MAX_CUTS, &r);
}

/* ---- judging messages ---- */

static size_t points_of(const Opentelemetry__Proto__Metrics__V1__Metric *metric)
{
    switch (metric->data_case) {
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_GAUGE:
        return metric->gauge->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_SUM:
        return metric->sum->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_HISTOGRAM:
        return metric->histogram->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_EXPONENTIAL_HISTOGRAM:
        return metric->exponential_histogram->n_data_points;
    case OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_SUMMARY:
        return metric->summary->n_data_points;
    default:
        return 0;
    }
}

static size_t points_in(const Opentelemetry__Proto__Metrics__V1__MetricsData *data)
{
    size_t count = 0;

    for (size_t r = 0; r < data->n_resource_metrics; r++) {
        for (size_t s = 0; s < data->resource_metrics[r]->n_scope_metrics; s++) {
            const Opentelemetry__Proto__Metrics__V1__ScopeMetrics *scope =
                data->resource_metrics[r]->scope_metrics[s];

            for (size_t m = 0; m < scope->n_metrics; m++)
                count += points_of(scope->metrics[m]);
        }
    }
    return count;
}

static size_t records_in(const Opentelemetry__Proto__Logs__V1__LogsData *data)
{
    size_t count = 0;

    for (size_t r = 0; r < data->n_resource_logs; r++) {
        for (size_t s = 0; s < data->resource_logs[r]->n_scope_logs; s++)
            count += data->resource_logs[r]->scope_logs[s]->n_log_records;
    }
    return count;
}

/* How many items protobuf-c finds; -1: it refuses the body. */
static long oracle_items(enum otlp_signal signal, struct slice body)
{
    ProtobufCMessage *m =
        protobuf_c_message_unpack(body_descriptor(signal), NULL, body.len, body.data);
    long count;

    if (!m)
        return -1;
    count =
        (long)(signal == OTLP_METRICS ? points_in((const void *)m) : records_in((const void *)m));
    protobuf_c_message_free_unpacked(m, NULL);
    return count;
}

/* Prints the JSON, which comes back as the same JSON from the body that is read from it. */
static void print_json(enum otlp_signal signal, struct slice body)
{
    struct buf json, back, again;

    buf_init(&json, SIZE_MAX / 2, NULL);
    buf_init(&back, SIZE_MAX / 2, NULL);
    buf_init(&again, SIZE_MAX / 2, NULL);
    if (json_from_body(signal, body, &json) != ERR_OK ||
        json_to_body(signal, buf_slice(&json), &back, SIZE_MAX / 2, NULL) != ERR_OK ||
        json_from_body(signal, buf_slice(&back), &again) != ERR_OK ||
        !slice_equal(buf_slice(&json), buf_slice(&again)))
        abort();
    fwrite(json.data, 1, json.len, stdout);
    buf_fini(&json);
    buf_fini(&back);
    buf_fini(&again);
}

/* The body without its cuts, which the scan has to find clean, with as many items. */
static void cut_and_check(enum otlp_signal signal, struct slice body, const struct scan_cut *cuts,
                          const struct scan_result *r, struct buf *out)
{
    struct scan_result again;

    if (scan_cut_out(body, cuts, r->cuts, out) != ERR_OK ||
        scan_items(signal, buf_slice(out), NULL, 0, &again) != ERR_OK || again.rejected != 0 ||
        again.items != r->items)
        abort();
}

/* One line for a message: verdict, items, rejected, protobuf-c's count, then the JSON of what is
 * left of it. */
static void print_verdict(enum otlp_signal signal, struct slice body)
{
    struct scan_result r;
    struct scan_cut *cuts;
    struct buf kept;

    if (scan_items(signal, body, NULL, 0, &r) == ERR_PARSE) {
        printf("parse 0 0 0 %s\n", r.error);
        return;
    }
    cuts = calloc(r.cuts + 1, sizeof(*cuts));
    if (!cuts || scan_items(signal, body, cuts, r.cuts, &r) != ERR_OK)
        abort();
    buf_init(&kept, SIZE_MAX / 2, NULL);
    cut_and_check(signal, body, cuts, &r, &kept);
    printf("ok %zu %zu %ld ", r.items, r.rejected, oracle_items(signal, body));
    print_json(signal, buf_slice(&kept));
    printf("\n");
    buf_fini(&kept);
    free(cuts);
}

static int judge_messages(const char *name)
{
    enum otlp_signal signal;
    uint8_t head[4];

    if (!otlp_signal_find(name, strlen(name), &signal))
        return 1;
    while (fread(head, 1, 4, stdin) == 4) {
        size_t len = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        uint8_t *body = malloc(len ? len : 1);

        if (fread(body, 1, len, stdin) != len)
            return 1;
        print_verdict(signal, slice_make(body, len));
        free(body);
    }
    return 0;
}

/* ---- every field ---- */

struct field_check {
    enum otlp_signal signal;
    unsigned fields;
};

static void check_types_of_field(void *arg, const struct path *path)
{
    static const unsigned types[] = {0, 1, 2, 5};
    struct field_check *c = arg;
    const ProtobufCFieldDescriptor *field = path->field[path->len - 1];

    c->fields++;
    for (size_t t = 0; t < 4; t++) {
        bool may =
            types[t] == wire_type_of_field(field) || (types[t] == 2 && is_repeated_number(field));
        struct message content = {.len = 0}, body;

        put_value_of_type(&content, field->id, types[t]);
        body = body_around(path, &content);
        CHECK((verdict(c->signal, &body) == ERR_OK) == may);
    }
}

static void every_field_has_its_wire_type_and_no_other(void)
{
    struct field_check metrics = {OTLP_METRICS, 0}, logs = {OTLP_LOGS, 0},
                       traces = {OTLP_TRACES, 0};

    each_field(OTLP_METRICS, check_types_of_field, &metrics);
    each_field(OTLP_LOGS, check_types_of_field, &logs);
    each_field(OTLP_TRACES, check_types_of_field, &traces);
    CHECK(metrics.fields > 90 && logs.fields > 40 && traces.fields > 50);
}

static void check_damage_of_field(void *arg, const struct path *path)
{
    static const unsigned wrong[] = {3, 4, 6, 7}, right[] = {0, 1, 2, 5};
    struct field_check *c = arg;
    const ProtobufCFieldDescriptor *field = path->field[path->len - 1];
    struct message cut_off = {.len = 0}, body;

    put_value_of_type(&cut_off, field->id, wire_type_of_field(field));
    if (wire_type_of_field(field) == 2)
        cut_off.data[cut_off.len - 1] = 1; /* one byte that is not there */
    else
        cut_off.len--;
    body = body_around(path, &cut_off);
    CHECK(verdict(c->signal, &body) == ERR_PARSE);
    for (size_t t = 0; t < 4; t++) {
        struct message group = {.len = 0}, unknown = {.len = 0};

        put_tag(&group, 100, wrong[t]);
        body = body_around(path, &group);
        CHECK(verdict(c->signal, &body) == ERR_PARSE);
        put_value_of_type(&unknown, t == 0 ? 17 : (1u << 29) - 1, right[t]);
        body = body_around(path, &unknown);
        CHECK(verdict(c->signal, &body) == ERR_OK);
    }
}

static void damage_is_refused_and_unknown_fields_pass_in_every_message(void)
{
    struct field_check metrics = {OTLP_METRICS, 0}, logs = {OTLP_LOGS, 0};

    each_field(OTLP_METRICS, check_damage_of_field, &metrics);
    each_field(OTLP_LOGS, check_damage_of_field, &logs);
}

static bool is_item(const ProtobufCFieldDescriptor *field)
{
    return strcmp(field->name, "data_points") == 0 || strcmp(field->name, "log_records") == 0;
}

/* Invalid text anywhere is cut out; of an item that is alone in the body nothing is left. */
static void check_text_of_field(void *arg, const struct path *path)
{
    struct field_check *c = arg;
    const ProtobufCFieldDescriptor *field = path->field[path->len - 1];
    bool in_item = false;

    if (field->type != PROTOBUF_C_TYPE_STRING)
        return;
    for (unsigned i = 0; i < path->len; i++)
        in_item |= is_item(path->field[i]);
    for (int bad = 0; bad < 2; bad++) {
        struct message content = {.len = 0}, body;
        struct scan_cut cuts[MAX_CUTS];
        struct scan_result r;

        put_text(&content, field->id, bad ? "all ASCII up to here \xff" : "caf\xc3\xa9");
        body = body_around(path, &content);
        CHECK(scan_copy(c->signal, bytes_of(&body), cuts, MAX_CUTS, &r) == ERR_OK);
        CHECK(r.items == (in_item && !bad) && r.rejected == (in_item && bad));
        CHECK((r.rejected > 0) == (r.reject_reason != NULL));
        CHECK(r.cuts == (bad ? 1u : 0u));
        CHECK(!bad || !in_item || (cuts[0].offset == 0 && cuts[0].len == body.len));
        c->fields++;
    }
}

static void invalid_text_in_any_field_rejects_what_it_belongs_to(void)
{
    struct field_check metrics = {OTLP_METRICS, 0}, logs = {OTLP_LOGS, 0};

    each_field(OTLP_METRICS, check_text_of_field, &metrics);
    each_field(OTLP_LOGS, check_text_of_field, &logs);
    CHECK(metrics.fields == 2 * 13 && logs.fields == 2 * 12);
}

/* ---- counts and cuts ---- */

static struct message number_point(const char *host)
{
    struct message point = {.len = 0};

    put_attribute(&point, 7, "host", host);
    put_fixed64(&point, 3, 1700000000000000000u);
    put_fixed64(&point, 6, 42);
    return point;
}

/* A metric whose field `kind` (5: gauge, 7: sum) has one point for each host. */
static struct message metric_of(const char *name, uint64_t kind, const char *const *hosts,
                                size_t count)
{
    struct message data = {.len = 0}, metric = {.len = 0};

    for (size_t i = 0; i < count; i++) {
        struct message point = number_point(hosts[i]);

        put_message(&data, 1, &point);
    }
    put_text(&metric, 1, name);
    put_message(&metric, kind, &data);
    return metric;
}

static struct message body_with_metrics(const struct message *metrics, size_t count,
                                        const char *scope_name)
{
    struct message scope = {.len = 0}, scope_metrics = {.len = 0}, resource = {.len = 0};
    struct message body = {.len = 0};

    put_text(&scope, 1, scope_name);
    put_message(&scope_metrics, 1, &scope);
    for (size_t i = 0; i < count; i++)
        put_message(&scope_metrics, 2, &metrics[i]);
    put_message(&resource, 2, &scope_metrics);
    put_message(&body, 1, &resource);
    return body;
}

static const char *const hosts[] = {"a", "b", "c"};
static const char *const one_bad[] = {"a", "\xff", "c"};
static const char *const good_ones[] = {"a", "c"};

struct id_check {
    enum otlp_signal signal;
    unsigned fields;
};

/* That of an exemplar, a log record: none of its bytes, or all; another number rejects the item. */
static void check_id_of_field(void *arg, const struct path *path)
{
    static const char longest[17] = "0123456789abcdefg";
    const ProtobufCFieldDescriptor *field = path->field[path->len - 1];
    struct id_check *check = arg;
    size_t right = strcmp(field->name, "trace_id") == 0 ? 16 : 8;

    if (field->type != PROTOBUF_C_TYPE_BYTES || !strstr(field->name, "_id"))
        return;
    check->fields++;
    for (size_t len = 0; len <= sizeof(longest); len++) {
        struct message content = {.len = 0}, body;
        bool good = len == 0 || len == right;
        struct scan_cut cut;
        struct scan_result r;

        put_bytes(&content, field->id, longest, len);
        body = body_around(path, &content);
        CHECK(scan_items(check->signal, bytes_of(&body), &cut, 1, &r) == ERR_OK);
        CHECK(r.items == good && r.rejected == !good && r.cuts == !good);
    }
}

static void an_id_of_a_wrong_length_rejects_its_item(void)
{
    struct id_check metrics = {.signal = OTLP_METRICS}, logs = {.signal = OTLP_LOGS};

    each_field(OTLP_METRICS, check_id_of_field, &metrics);
    each_field(OTLP_LOGS, check_id_of_field, &logs);
    CHECK(metrics.fields == 2 && logs.fields == 2);
}

static void data_points_and_log_records_are_counted(void)
{
    struct message metrics[2] = {metric_of("one", 5, hosts, 3), metric_of("two", 7, hosts, 2)};
    struct message body = body_with_metrics(metrics, 2, "scope"), record = {.len = 0};
    struct message scope_logs = {.len = 0}, resource = {.len = 0}, logs = {.len = 0};
    struct scan_result r;

    CHECK(scan_items(OTLP_METRICS, bytes_of(&body), NULL, 0, &r) == ERR_OK);
    CHECK(r.items == 5 && r.rejected == 0 && r.cuts == 0);
    put_text(&record, 3, "INFO");
    put_message(&scope_logs, 2, &record);
    put_message(&scope_logs, 2, &record);
    put_message(&resource, 2, &scope_logs);
    put_message(&logs, 1, &resource);
    put_message(&logs, 1, &resource);
    CHECK(scan_items(OTLP_LOGS, bytes_of(&logs), NULL, 0, &r) == ERR_OK && r.items == 4);
    CHECK(scan_items(OTLP_LOGS, (struct slice){0}, NULL, 0, &r) == ERR_OK && r.items == 0);
}

static void spans_count_as_scan_traces_counts_them(void)
{
    struct message span = {.len = 0}, body;
    struct scan_cut cut;
    struct scan_result r;

    put_ids(&span, 1);
    body = body_of(&span);
    CHECK(scan_items(OTLP_TRACES, bytes_of(&body), NULL, 0, &r) == ERR_OK && r.items == 1);
    put_bytes(&span, 2, "short", 5);
    body = body_of(&span);
    CHECK(scan_items(OTLP_TRACES, bytes_of(&body), &cut, 1, &r) == ERR_OK);
    CHECK(r.items == 0 && r.rejected == 1 && r.cuts == 1 && cut.offset == 0);
}

static bool cuts_to(enum otlp_signal signal, const struct message *body, size_t rejected,
                    const struct message *expected)
{
    struct scan_cut cuts[MAX_CUTS];
    struct scan_result r;
    struct buf out;
    bool same;

    buf_init(&out, ROOM, NULL);
    same = scan_copy(signal, bytes_of(body), cuts, MAX_CUTS, &r) == ERR_OK &&
           r.rejected == rejected && scan_cut_out(bytes_of(body), cuts, r.cuts, &out) == ERR_OK &&
           slice_equal(buf_slice(&out), bytes_of(expected));
    buf_fini(&out);
    return same;
}

static void a_bad_point_is_cut_out_of_its_metric_and_nothing_else_changes(void)
{
    struct message before[2] = {metric_of("one", 5, hosts, 3), metric_of("two", 5, one_bad, 3)};
    struct message after[2] = {before[0], metric_of("two", 5, good_ones, 2)};
    struct message body = body_with_metrics(before, 2, "scope");
    struct message expected = body_with_metrics(after, 2, "scope");

    CHECK(cuts_to(OTLP_METRICS, &body, 1, &expected));
}

static void a_metric_without_a_point_left_is_cut_out_whole(void)
{
    struct message metrics[3] = {metric_of("one", 5, &one_bad[1], 1), metric_of("two", 5, hosts, 3),
                                 metric_of("bad name \xff", 7, hosts, 3)};
    struct message body = body_with_metrics(metrics, 3, "scope");
    struct message expected = body_with_metrics(&metrics[1], 1, "scope"), nothing = {.len = 0};

    CHECK(cuts_to(OTLP_METRICS, &body, 4, &expected));
    body = body_with_metrics(metrics, 3, "bad scope \xff");
    CHECK(cuts_to(OTLP_METRICS, &body, 7, &nothing));
}

static void of_two_kinds_of_data_the_last_one_counts(void)
{
    struct message metric = metric_of("one", 5, hosts, 3), other = metric_of("", 7, hosts, 2), body;
    struct scan_result r;

    put(&metric, other.data, other.len);
    body = body_with_metrics(&metric, 1, "scope");
    CHECK(scan_items(OTLP_METRICS, bytes_of(&body), NULL, 0, &r) == ERR_OK && r.items == 2);
    CHECK(oracle_items(OTLP_METRICS, bytes_of(&body)) == 2);
    put(&metric, other.data, other.len); /* the same kind again: merged */
    body = body_with_metrics(&metric, 1, "scope");
    CHECK(scan_items(OTLP_METRICS, bytes_of(&body), NULL, 0, &r) == ERR_OK && r.items == 4);
}

static void packed_numbers_are_whole_numbers(void)
{
    static const struct {
        uint64_t number;
        const char *bytes;
        size_t len;
        enum err expected;
    } forms[] = {
        {6, "12345678", 8, ERR_OK},
        {6, "1234567", 7, ERR_PARSE},
        {6, "1234567812345678", 16, ERR_OK},
        {7, "123456781", 9, ERR_PARSE},
        {7, "", 0, ERR_OK},
    };
    struct message buckets = {.len = 0}, point = {.len = 0}, data = {.len = 0}, metric = {.len = 0};
    struct message body;

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        point.len = data.len = metric.len = 0;
        put_bytes(&point, forms[i].number, forms[i].bytes, forms[i].len);
        put_message(&data, 1, &point);
        put_message(&metric, 9, &data);
        body = body_with_metrics(&metric, 1, "scope");
        CHECK(verdict(OTLP_METRICS, &body) == forms[i].expected);
    }
    for (int whole = 0; whole < 2; whole++) {
        buckets.len = point.len = data.len = metric.len = 0;
        put_bytes(&buckets, 2, "\x01\x80\x01\xff\x7f", whole ? 5 : 4);
        put_message(&point, 8, &buckets);
        put_message(&data, 1, &point);
        put_message(&metric, 10, &data);
        body = body_with_metrics(&metric, 1, "scope");
        CHECK(verdict(OTLP_METRICS, &body) == (whole ? ERR_OK : ERR_PARSE));
    }
}

static void a_small_array_of_cuts_is_full_and_the_result_says_how_many_are_needed(void)
{
    const char *const bad[] = {"\xff", "a", "\xff", "b", "\xff"};
    struct message metric = metric_of("one", 5, bad, 5);
    struct message body = body_with_metrics(&metric, 1, "scope");
    struct scan_cut cuts[3];
    struct scan_result r;

    CHECK(scan_items(OTLP_METRICS, bytes_of(&body), cuts, 2, &r) == ERR_FULL && r.cuts == 3);
    CHECK(scan_items(OTLP_METRICS, bytes_of(&body), cuts, 3, &r) == ERR_OK && r.items == 2);
    CHECK(cuts[0].offset < cuts[1].offset && cuts[1].offset < cuts[2].offset);
}

static void a_bound_of_the_output_leaves_nothing_behind(void)
{
    struct message metric = metric_of("one", 5, one_bad, 3);
    struct message body = body_with_metrics(&metric, 1, "scope");
    struct scan_cut cuts[1];
    struct scan_result r;
    struct buf out;

    CHECK(scan_items(OTLP_METRICS, bytes_of(&body), cuts, 1, &r) == ERR_OK);
    buf_init(&out, 20, NULL);
    buf_str(&out, "before");
    CHECK(scan_cut_out(bytes_of(&body), cuts, 1, &out) == ERR_FULL && out.len == 6);
    buf_fini(&out);
}

/* ---- JSON ---- */

static struct err_info info;

static bool json_gives(enum otlp_signal signal, const char *json, const struct message *expected)
{
    struct buf out;
    bool same;

    buf_init(&out, ROOM, NULL);
    same = json_to_body(signal, slice_str(json), &out, ROOM, &info) == ERR_OK &&
           slice_equal(buf_slice(&out), bytes_of(expected));
    buf_fini(&out);
    return same;
}

static bool json_is_refused(enum otlp_signal signal, const char *json, const char *why)
{
    struct buf out;
    bool refused;

    buf_init(&out, ROOM, NULL);
    refused = json_to_body(signal, slice_str(json), &out, ROOM, &info) == ERR_PARSE &&
              out.len == 0 && strstr(info.text, why);
    buf_fini(&out);
    return refused;
}

#define METRIC(members)                                                                            \
    "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"scope\":{\"name\":\"s\"},\"metrics\":[{" members  \
    "}]}]}]}"
#define POINT(members) METRIC("\"histogram\":{\"dataPoints\":[{" members "}]}")

static struct message histogram_body(const struct message *point)
{
    struct message data = {.len = 0}, metric = {.len = 0};

    put_message(&data, 1, point);
    put_message(&metric, 9, &data);
    return body_with_metrics(&metric, 1, "s");
}

static void repeated_numbers_in_json_are_packed(void)
{
    struct message point = {.len = 0}, body;

    put_bytes(&point, 6, "\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16);
    put_bytes(&point, 7, "\0\0\0\0\0\0\xf8\x3f", 8);
    body = histogram_body(&point);
    CHECK(json_gives(
        OTLP_METRICS,
        POINT("\"bucketCounts\":[\"1\",\"18446744073709551615\"],\"explicitBounds\":[1.5]"),
        &body));
    CHECK(json_gives(
        OTLP_METRICS,
        POINT("\"bucket_counts\":[1,\"18446744073709551615\"],\"explicit_bounds\":[\"1.5\"]"),
        &body));
    point.len = 0;
    body = histogram_body(&point);
    CHECK(json_gives(OTLP_METRICS, POINT("\"bucketCounts\":[],\"explicitBounds\":null"), &body));
    CHECK(json_is_refused(OTLP_METRICS, POINT("\"bucketCounts\":[-1]"), "bucketCounts"));
    CHECK(json_is_refused(OTLP_METRICS, POINT("\"bucketCounts\":7"), "must be an array"));
    CHECK(json_is_refused(OTLP_METRICS, POINT("\"explicitBounds\":[{}]"), "must be a number"));
}

static void enums_and_signed_numbers_are_read_in_either_form(void)
{
    struct message data = {.len = 0}, metric = {.len = 0}, point = {.len = 0}, body;
    struct message record = {.len = 0}, scope_logs = {.len = 0}, resource = {.len = 0};

    put_uint(&point, 6, 5); /* -3 in zigzag */
    put_message(&data, 1, &point);
    put_uint(&data, 2, 2);
    put_message(&metric, 10, &data);
    body = body_with_metrics(&metric, 1, "s");
    CHECK(json_gives(OTLP_METRICS,
                     METRIC("\"exponentialHistogram\":{\"dataPoints\":[{\"scale\":-3}],"
                            "\"aggregationTemporality\":\"AGGREGATION_TEMPORALITY_CUMULATIVE\"}"),
                     &body));
    CHECK(json_gives(OTLP_METRICS,
                     METRIC("\"exponential_histogram\":{\"data_points\":[{\"scale\":\"-3\"}],"
                            "\"aggregation_temporality\":2}"),
                     &body));
    put_uint(&record, 2, 17);
    put_message(&scope_logs, 2, &record);
    put_message(&resource, 2, &scope_logs);
    body.len = 0;
    put_message(&body, 1, &resource);
    CHECK(json_gives(OTLP_LOGS,
                     "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{"
                     "\"severityNumber\":\"SEVERITY_NUMBER_ERROR\"}]}]}]}",
                     &body));
    CHECK(json_is_refused(OTLP_LOGS,
                          "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{"
                          "\"severityNumber\":\"LOUD\"}]}]}]}",
                          "severityNumber"));
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--messages") == 0)
        return judge_messages(argv[2]);
    RUN(every_field_has_its_wire_type_and_no_other);
    RUN(damage_is_refused_and_unknown_fields_pass_in_every_message);
    RUN(invalid_text_in_any_field_rejects_what_it_belongs_to);
    RUN(an_id_of_a_wrong_length_rejects_its_item);
    RUN(data_points_and_log_records_are_counted);
    RUN(spans_count_as_scan_traces_counts_them);
    RUN(a_bad_point_is_cut_out_of_its_metric_and_nothing_else_changes);
    RUN(a_metric_without_a_point_left_is_cut_out_whole);
    RUN(of_two_kinds_of_data_the_last_one_counts);
    RUN(packed_numbers_are_whole_numbers);
    RUN(a_small_array_of_cuts_is_full_and_the_result_says_how_many_are_needed);
    RUN(a_bound_of_the_output_leaves_nothing_behind);
    RUN(repeated_numbers_in_json_are_packed);
    RUN(enums_and_signed_numbers_are_read_in_either_form);
    return DONE();
}
