/* Any bytes as a JSON body. What is accepted is a body that the scan does not refuse, and makes the
 * round through JSON without a change. */
#include "otlp/json.h"
#include "otlp/scan.h"

#include <stdlib.h>

enum { ROOM = 64 << 20, SCRATCH = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf body, json, again, json_again;
    struct scan_result result;
    struct err_info info = {0};
    enum err err;

    buf_init(&body, ROOM, NULL);
    buf_init(&json, ROOM, NULL);
    buf_init(&again, ROOM, NULL);
    buf_init(&json_again, ROOM, NULL);
    err = json_to_traces(slice_make(data, size), &body, SCRATCH, &info);
    if (err) {
        must(body.len == 0 && info.text[0]);
    } else {
        must(scan_traces(buf_slice(&body), NULL, 0, &result) != ERR_PARSE);
        must(json_from_traces(buf_slice(&body), &json) == ERR_OK);
        must(json_to_traces(buf_slice(&json), &again, ROOM, &info) == ERR_OK);
        must(json_from_traces(buf_slice(&again), &json_again) == ERR_OK);
        must(slice_equal(buf_slice(&json), buf_slice(&json_again)));
    }
    buf_fini(&body);
    buf_fini(&json);
    buf_fini(&again);
    buf_fini(&json_again);
    return 0;
}
