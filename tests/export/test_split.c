#include "export/split.h"
#include "otlp/scan.h"
#include "otlp/write.h"
#include "rig.h"

static uint32_t spans_in(struct slice body)
{
    struct scan_result r;

    CHECK(scan_traces(body, NULL, 0, &r) != ERR_PARSE);
    return (uint32_t)r.spans;
}

/* Cuts `body` and checks every piece; returns how many there are. */
static size_t cut(struct slice body, struct split_limits limits, uint64_t *checksum)
{
    struct split_position at = {0}, counted = {0};
    size_t pieces = 0;
    struct buf out;
    uint32_t n;

    *checksum = 0;
    for (;; pieces++) {
        struct scan_span spans[512];
        struct scan_result r;

        buf_init(&out, body.len + 1024, NULL);
        CHECK((n = split_next(OTLP_TRACES, body, &at, &limits, &out)) ==
              split_next(OTLP_TRACES, body, &counted, &limits, NULL));
        CHECK(n <= limits.max_items && (n <= 1 || out.len <= limits.max_bytes));
        CHECK(spans_in(buf_slice(&out)) == n);
        CHECK(scan_traces(buf_slice(&out), spans, 512, &r) == ERR_OK);
        for (size_t i = 0; i < r.spans; i++)
            *checksum += spans[i].span_id * (spans[i].len + 1);
        CHECK(n == 0 || memmem(out.data, out.len, "a schema", 8));
        CHECK(n == 0 || memmem(out.data, out.len, "another", 7));
        buf_fini(&out);
        if (n == 0)
            return pieces;
    }
}

static void every_span_leaves_once_whatever_the_bound(void)
{
    struct buf body = rig_payload(200, 3, 50, NULL);
    uint64_t whole, checksum;

    CHECK(cut(buf_slice(&body), (struct split_limits){SIZE_MAX, UINT32_MAX}, &whole) == 1);
    for (uint32_t spans = 1; spans < 210; spans += 13) {
        size_t pieces = cut(buf_slice(&body), (struct split_limits){SIZE_MAX, spans}, &checksum);

        CHECK(pieces == (200 + spans - 1) / spans && checksum == whole);
    }
    for (size_t bytes = 1; bytes < body.len * 2; bytes = bytes * 3 / 2 + 1) {
        size_t pieces = cut(buf_slice(&body), (struct split_limits){bytes, 1000}, &checksum);

        CHECK(pieces >= 1 && pieces <= 200 && checksum == whole);
    }
    buf_fini(&body);
}

static void a_body_that_fits_is_one_piece_byte_for_byte(void)
{
    struct buf body = rig_payload(30, 2, 50, NULL), out;
    struct split_position at = {0};

    buf_init(&out, 1 << 20, NULL);
    CHECK(split_next(OTLP_TRACES, buf_slice(&body), &at, &(struct split_limits){1 << 20, 100},
                     &out) == 30);
    CHECK(slice_equal(buf_slice(&out), buf_slice(&body)));
    CHECK(split_next(OTLP_TRACES, buf_slice(&body), &at, &(struct split_limits){1 << 20, 100},
                     &out) == 0);
    buf_fini(&out);
    buf_fini(&body);
}

/* Appends a scope whose metric i has i % 4 points and a name of 40 bytes, or whose log records have
 * a text of 40 bytes. */
static void put_scope(struct buf *b, enum otlp_signal signal, unsigned units)
{
    static const char text[] = "a name or a text that is forty bytes lon";
    size_t scope = otlp_write_begin(b, 2), unit, gauge;

    wire_put_bytes(b, 3, slice_str("a schema"));
    for (unsigned i = 0; i < units; i++) {
        unit = otlp_write_begin(b, 2);
        wire_put_bytes(b, signal == OTLP_METRICS ? 1 : 3, slice_str(text));
        if (signal == OTLP_METRICS) {
            gauge = otlp_write_begin(b, 5);
            for (unsigned p = 0; p < i % 4; p++)
                wire_put_bytes(b, 1,
                               slice_str("\x31"
                                         "ABCDEFGH")); /* as_int */
            otlp_write_end(b, gauge);
        }
        otlp_write_end(b, unit);
    }
    otlp_write_end(b, scope);
}

static struct buf other_payload(enum otlp_signal signal)
{
    struct buf body;

    buf_init(&body, 1 << 20, NULL);
    for (int r = 0; r < 3; r++) {
        size_t resource = otlp_write_begin(&body, 1);

        wire_put_bytes(&body, 3, slice_str("another"));
        put_scope(&body, signal, 20);
        put_scope(&body, signal, 0);
        put_scope(&body, signal, 13);
        otlp_write_end(&body, resource);
    }
    return body;
}

static size_t count_of(struct slice body, const char *text)
{
    const uint8_t *at = body.data, *end = at + body.len;
    size_t count = 0;

    while (at && (at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        count++;
        at++;
    }
    return count;
}

/* Cuts a body of another signal; `units` is how many metrics or records it has. */
static size_t cut_other(enum otlp_signal signal, struct slice body, struct split_limits limits)
{
    struct split_position at = {0}, counted = {0};
    struct scan_result whole, piece;
    size_t pieces = 0, items = 0, units = 0;
    struct buf out;
    uint32_t n;

    CHECK(scan_items(signal, body, NULL, 0, &whole) == ERR_OK);
    for (;; pieces++) {
        buf_init(&out, body.len + 1024, NULL);
        n = split_next(signal, body, &at, &limits, &out);
        CHECK(n == split_next(signal, body, &counted, &limits, NULL));
        CHECK(scan_items(signal, buf_slice(&out), NULL, 0, &piece) == ERR_OK && piece.items == n);
        CHECK(n <= limits.max_items || n <= 3); /* a metric is not cut */
        items += n;
        units += count_of(buf_slice(&out), "forty bytes");
        CHECK(n == 0 || (count_of(buf_slice(&out), "a schema") > 0 &&
                         count_of(buf_slice(&out), "another") > 0));
        buf_fini(&out);
        if (n == 0)
            break;
    }
    CHECK(items == whole.items && units == 99);
    return pieces;
}

static void metrics_and_log_records_leave_once_whatever_the_bound(void)
{
    for (int signal = OTLP_METRICS; signal < OTLP_SIGNALS; signal++) {
        struct buf body = other_payload((enum otlp_signal)signal);
        size_t last = SIZE_MAX;

        for (uint32_t items = 1; items <= 256; items *= 2) {
            size_t pieces = cut_other((enum otlp_signal)signal, buf_slice(&body),
                                      (struct split_limits){SIZE_MAX, items});

            CHECK(pieces <= last);
            last = pieces;
        }
        CHECK(last == 1);
        CHECK(cut_other((enum otlp_signal)signal, buf_slice(&body),
                        (struct split_limits){1, 1000}) >= 70);
        CHECK(cut_other((enum otlp_signal)signal, buf_slice(&body),
                        (struct split_limits){500, 1000}) > 8);
        buf_fini(&body);
    }
}

static void nothing_gives_no_piece(void)
{
    struct split_position at = {0};

    CHECK(split_next(OTLP_TRACES, (struct slice){0}, &at, &(struct split_limits){100, 100}, NULL) ==
          0);
}

int main(void)
{
    RUN(every_span_leaves_once_whatever_the_bound);
    RUN(a_body_that_fits_is_one_piece_byte_for_byte);
    RUN(metrics_and_log_records_leave_once_whatever_the_bound);
    RUN(nothing_gives_no_piece);
    return DONE();
}
