/* What a million data points cost as remote write: CPU seconds of one thread, by type.
 *
 *     build/bench/remotewrite [ROUNDS]
 *
 * Under callgrind (--toggle-collect=prom_write) two rounds are enough.
 */
#include "base/buf.h"
#include "otlp/write.h"
#include "prometheus/prometheus.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { POINTS = 2000, ROUNDS = 100 };

static uint64_t rounds = ROUNDS;

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_attrs(struct buf *b, uint32_t field, int i)
{
    char text[32];

    snprintf(text, sizeof(text), "/item/%d", i % 500);
    otlp_write_attr_str(b, field, "http.request.method", slice_str("GET"));
    otlp_write_attr_str(b, field, "http.route", slice_str(text));
    otlp_write_attr_int(b, field, "http.response.status_code", 200 + i / 500);
}

/* A histogram's point has 15 bounds. */
static void put_point(struct buf *b, bool is_histogram, int i, uint64_t time_ns)
{
    size_t point = otlp_write_begin(b, 1);

    wire_put_fixed64(b, 3, time_ns);
    if (is_histogram) {
        wire_put_fixed64(b, 4, 16);
        wire_put_fixed64(b, 5, 0x4059000000000000);
        for (uint32_t n = 0; n < 16; n++)
            wire_put_fixed64(b, 6, 1);
        for (uint32_t n = 0; n < 15; n++) {
            double bound = 0.005 * (1 << n);
            uint64_t bits;

            memcpy(&bits, &bound, sizeof bits);
            wire_put_fixed64(b, 7, bits);
        }
    } else {
        wire_put_fixed64(b, 6, (uint64_t)i);
    }
    put_attrs(b, is_histogram ? ATTRS_HISTOGRAM_POINT : ATTRS_POINT, i);
    otlp_write_end(b, point);
}

static void put_body(struct buf *b, bool is_histogram, unsigned temporality, uint64_t time_ns)
{
    size_t resource_metrics = otlp_write_begin(b, 1), resource = otlp_write_begin(b, 1), scope,
           metric, data;

    otlp_write_attr_str(b, ATTRS_RESOURCE, "service.name", slice_str("shop"));
    otlp_write_attr_str(b, ATTRS_RESOURCE, "host.name", slice_str("host-1"));
    otlp_write_end(b, resource);
    scope = otlp_write_begin(b, 2);
    metric = otlp_write_begin(b, 2);
    wire_put_bytes(b, 1, slice_str("http.server.request.duration"));
    wire_put_bytes(b, 3, slice_str("s"));
    data = otlp_write_begin(b, is_histogram ? 9 : 7);
    for (int i = 0; i < POINTS; i++)
        put_point(b, is_histogram, i, time_ns);
    wire_put_uint(b, 2, temporality);
    otlp_write_end(b, data);
    otlp_write_end(b, metric);
    otlp_write_end(b, scope);
    otlp_write_end(b, resource_metrics);
}

static void measure(const char *what, bool is_histogram, unsigned temporality)
{
    const struct prom_config config = {.prefix = "",
                                       .add_suffixes = true,
                                       .target_info = true,
                                       .scope_labels = true,
                                       .max_request_bytes = 3000000,
                                       .max_streams = 100000,
                                       .max_stale_ns = UINT64_C(300000000000)};
    struct prom_state *state = prom_state_new(NULL);
    struct prom_writer *w = prom_writer_new(&config);
    struct prom_counts counts = {0};
    double used = 0;
    size_t bytes = 0;

    for (uint64_t round = 1; w && round <= rounds; round++) {
        struct prom_request *requests;
        struct buf body;
        size_t count;
        double start;

        buf_init(&body, 64 << 20, NULL);
        put_body(&body, is_histogram, temporality, round * 1000000000);
        start = cpu_s();
        if (prom_write(w, state, buf_slice(&body), round * 1000000000, &requests, &count,
                       &counts) != ERR_OK)
            printf("no memory\n");
        used += cpu_s() - start;
        for (size_t i = 0; i < count; i++)
            bytes += requests[i].body.len;
        buf_fini(&body);
    }
    printf("%-24s %6.2f CPU-s a million points, %llu samples a point, %.1f bytes a sample\n", what,
           used * 1e6 / (POINTS * (double)rounds), (unsigned long long)(counts.samples / POINTS),
           (double)bytes / (double)rounds / (double)counts.samples);
    prom_writer_free(w);
    prom_state_free(state);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = strtoull(argv[1], NULL, 10);
    measure("sums", false, 2);
    measure("sums, delta", false, 1);
    measure("histograms", true, 2);
    measure("histograms, delta", true, 1);
    return 0;
}
