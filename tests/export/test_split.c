#include "export/split.h"
#include "otlp/scan.h"
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
    RUN(nothing_gives_no_piece);
    return DONE();
}
