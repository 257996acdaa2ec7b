/* Any bytes as a batch of metrics for Prometheus, twice: nothing is read outside of it, what comes
 * out is within its bounds, and each request can be cut down to its samples. */
#include "prometheus/prometheus.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 64 << 20, DEPTH = 6 };

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void cut(struct slice request, int depth)
{
    struct buf first, second;

    buf_init(&first, ROOM, NULL);
    buf_init(&second, ROOM, NULL);
    if (depth < DEPTH && prom_request_split(request, &first, &second)) {
        cut(buf_slice(&first), depth + 1);
        cut(buf_slice(&second), depth + 1);
    }
    buf_fini(&first);
    buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct prom_config config = {.prefix = "",
                                       .add_suffixes = true,
                                       .target_info = true,
                                       .resource_as_labels = size & 1,
                                       .scope_labels = true,
                                       .metadata = true,
                                       .max_request_bytes = 2000,
                                       .max_streams = 20,
                                       .max_stale_ns = 1000};
    struct prom_state *state = prom_state_new(NULL);
    struct prom_writer *w = prom_writer_new(&config);
    struct prom_request *requests;
    struct prom_counts counts;
    size_t count;

    for (uint64_t i = 1; i <= 2; i++) {
        uint64_t dropped = 0;

        must(prom_write(w, state, slice_make(data, size), i, &requests, &count, &counts) == ERR_OK);
        must(count <= PROM_REQUESTS_MAX && prom_state_streams(state) <= config.max_streams);
        for (int r = 0; r < PROM_REASONS; r++)
            dropped += counts.dropped[r];
        must(dropped <= counts.points);
    }
    for (size_t i = 0; i < count; i++)
        cut(buf_slice(&requests[i].body), 0);
    prom_writer_free(w);
    prom_state_free(state);
    return 0;
}
