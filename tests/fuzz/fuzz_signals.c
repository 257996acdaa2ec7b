/* Any bytes as a body of metrics, logs or traces: the first byte says which, and whether it is
 * JSON. What the scan accepts loses its cuts and is then clean; it makes the round through JSON,
 * and its splits hold what it held; so do logs with a trace id and those without. */
#include "export/compose.h"
#include "export/split.h"
#include "otlp/json.h"
#include "otlp/scan_logs.h"

#include <stdlib.h>

enum { ROOM = 64 << 20, SCRATCH = 8 << 20, CUTS = 4096, RECORDS = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void round_trip(enum otlp_signal signal, struct slice body, size_t items)
{
    struct buf json, again, json_again;
    struct scan_result r;

    buf_init(&json, ROOM, NULL);
    buf_init(&again, ROOM, NULL);
    buf_init(&json_again, ROOM, NULL);
    must(json_from_body(signal, body, &json) == ERR_OK);
    must(!memchr(json.data, '\n', json.len));
    must(json_to_body(signal, buf_slice(&json), &again, ROOM, NULL) == ERR_OK);
    must(scan_items(signal, buf_slice(&again), NULL, 0, &r) != ERR_PARSE);
    must(r.items + r.rejected == items);
    must(json_from_body(signal, buf_slice(&again), &json_again) == ERR_OK);
    must(slice_equal(buf_slice(&json), buf_slice(&json_again)));
    buf_fini(&json);
    buf_fini(&again);
    buf_fini(&json_again);
}

static void split(enum otlp_signal signal, struct slice body, size_t items)
{
    static const struct split_limits limits = {200, 3};
    struct split_position at = {0};
    struct scan_result r;
    struct buf out;
    size_t sum = 0;
    uint32_t n;

    do {
        buf_init(&out, ROOM, NULL);
        n = split_next(signal, body, &at, &limits, &out);
        must(scan_items(signal, buf_slice(&out), NULL, 0, &r) == ERR_OK && r.items == n);
        buf_fini(&out);
        sum += n;
    } while (n > 0);
    must(sum == items);
}

static void stamp(enum otlp_signal signal, struct slice body, size_t items)
{
    const struct splice_edit edit = {
        SPLICE_UPSERT, slice_str("cluster"), {.type = VALUE_STRING, .bytes = slice_str("blue")}};
    struct compose_edits edits = {.resource = {&edit, 1}, .entry = SIZE_MAX};
    struct scan_result r;
    struct buf out;

    buf_init(&out, ROOM, NULL);
    must(compose_body(body, &edits, &out) == ERR_OK);
    must(scan_items(signal, buf_slice(&out), NULL, 0, &r) == ERR_OK && r.items == items);
    buf_fini(&out);
}

/* Those with a trace id, or those without, as they are cut out and as they are composed. */
static size_t part(struct slice body, const struct scan_span *records, size_t count, bool traced)
{
    static struct compose_span views[RECORDS];
    static bool keeps[RECORDS];
    struct scan_result r;
    struct buf cut, composed;
    size_t left = 0;

    for (size_t i = 0; i < count; i++) {
        keeps[i] = scan_log_is_traced(&records[i]) == traced;
        if (keeps[i])
            views[left++] = (struct compose_span){span_view_of(body, &records[i]), body.data};
    }
    buf_init(&cut, ROOM, NULL);
    buf_init(&composed, ROOM, NULL);
    must(scan_keep_logs(body, keeps, count, &cut) == ERR_OK && cut.len <= body.len);
    must(scan_items(OTLP_LOGS, buf_slice(&cut), NULL, 0, &r) == ERR_OK && r.items == left);
    must(compose_traces(views, left, &compose_as_it_is, &composed) == ERR_OK);
    must(scan_items(OTLP_LOGS, buf_slice(&composed), NULL, 0, &r) == ERR_OK && r.items == left);
    must(scan_logs(buf_slice(&composed), NULL, 0) == left);
    buf_fini(&composed);
    buf_fini(&cut);
    return left;
}

static void follow(struct slice body, size_t items)
{
    static struct scan_span records[RECORDS];
    size_t count = scan_logs(body, records, RECORDS);

    must(count == items);
    if (count > 0 && count <= RECORDS)
        must(part(body, records, count, true) + part(body, records, count, false) == count);
}

static void judge(enum otlp_signal signal, struct slice body)
{
    static struct scan_cut cuts[CUTS];
    struct scan_result r, clean;
    struct buf rest;

    (void)scan_logs(body, NULL, 0); /* looked at before it is known to be whole */
    switch (scan_items(signal, body, cuts, CUTS, &r)) {
    case ERR_PARSE:
        must(r.error && r.error_offset <= body.len);
        return;
    case ERR_OK:
        break;
    default:
        return; /* more cuts than here is room for */
    }
    must((r.rejected > 0) == (r.reject_reason != NULL) && (r.rejected == 0 || r.cuts > 0));
    buf_init(&rest, ROOM, NULL);
    must(scan_cut_out(body, cuts, r.cuts, &rest) == ERR_OK && rest.len <= body.len);
    must(scan_items(signal, buf_slice(&rest), NULL, 0, &clean) == ERR_OK);
    must(clean.rejected == 0 && clean.items == r.items);
    round_trip(signal, buf_slice(&rest), r.items);
    split(signal, buf_slice(&rest), r.items);
    stamp(signal, buf_slice(&rest), r.items);
    if (signal == OTLP_LOGS)
        follow(buf_slice(&rest), r.items);
    buf_fini(&rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum otlp_signal signal;
    struct buf body;

    if (size == 0)
        return 0;
    signal = (enum otlp_signal)((data[0] & 0x7f) % OTLP_SIGNALS);
    if (!(data[0] & 0x80)) {
        judge(signal, slice_make(data + 1, size - 1));
        return 0;
    }
    buf_init(&body, ROOM, NULL);
    if (json_to_body(signal, slice_make(data + 1, size - 1), &body, SCRATCH, NULL) == ERR_OK)
        judge(signal, buf_slice(&body));
    buf_fini(&body);
    return 0;
}
