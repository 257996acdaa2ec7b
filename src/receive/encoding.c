#include "receive/http1_head.h"
#include "receive/internal.h"

enum encoding encoding_of(struct slice name)
{
    static const struct {
        const char *name;
        enum encoding encoding;
    } known[] = {
        {"", ENCODING_IDENTITY},
        {"identity", ENCODING_IDENTITY},
        {"gzip", ENCODING_GZIP},
        {"x-gzip", ENCODING_GZIP},
        {"deflate", ENCODING_DEFLATE},
        {"zstd", ENCODING_ZSTD},
        {"lz4", ENCODING_LZ4},
        {"snappy", ENCODING_SNAPPY},
        {"x-snappy-framed", ENCODING_SNAPPY},
        {"zlib", ENCODING_DEFLATE}, /* what the OpenTelemetry Collector calls it */
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_is_nocase(name, known[i].name))
            return known[i].encoding;
    return ENCODING_UNKNOWN;
}
