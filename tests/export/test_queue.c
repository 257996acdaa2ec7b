#include "export/exporter.h"
#include "rig.h"

extern struct exporter_type exporter_otlp; /* linked in: it registers itself */
static const struct exporter_type *const linked[] __attribute__((used)) = {&exporter_otlp};

static uint64_t serve(void *arg, const struct http_request *request, struct http_answer *answer)
{
    const bool *down = arg;

    (void)request;
    if (*down)
        answer->err = ERR_IO;
    else
        answer->status = 200;
    return NS_PER_MS;
}

#define TWO                                                                                        \
    "return { exporter 'otlp/a' { endpoint = 'http://h', protocol = 'http/protobuf', "             \
    "batch = { max_spans = 10 } }, "                                                               \
    "exporter 'otlp/b' { endpoint = 'http://h', protocol = 'http/protobuf' } }"

/* rig_stats checks at each look that nothing is unaccounted for. */
static void a_queue_of_several_runs_is_counted_wherever_its_exporter_stands(void)
{
    enum { TRACES = 5 * TALLY_RUN };
    bool down = true;
    unsigned looks = 0;
    struct rig r;

    CHECK(rig_open(&r, TWO, http_client_fake(serve, &down)));
    for (unsigned i = 0; i < TRACES; i++) {
        rig_keep_mask(&r, 1 + i % 3, 10, i % 4 == 0 ? 2 : 3);
        if (i % 100 == 0)
            rig_run(&r, NS_PER_MS);
        if (i % 512 == 511)
            CHECK(rig_stats(&r, 0).queued > 0);
    }
    rig_run(&r, NS_PER_S);
    CHECK(rig_stats(&r, 0).queued == rig_stats(&r, 0).enqueued);
    CHECK(rig_stats(&r, 1).queued == TRACES * 2 - 1);
    down = false;
    for (; rig_stats(&r, 0).queued + rig_stats(&r, 1).queued > 0 && looks < 100000; looks++)
        rig_run(&r, NS_PER_MS);
    CHECK(looks > 20 && rig_stats(&r, 1).delivered == TRACES * 2 - 1);
    rig_close(&r);
}

int main(void)
{
    RUN(a_queue_of_several_runs_is_counted_wherever_its_exporter_stands);
    return DONE();
}
