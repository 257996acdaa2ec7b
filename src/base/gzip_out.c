#include "base/gzip_out.h"

#include <isa-l.h>
#include <stdlib.h>

enum { LEVEL = 1, FRAMING = 64 };

struct gzip_out {
    struct isal_zstream stream;
    uint8_t space[ISAL_DEF_LVL1_DEFAULT];
};

struct gzip_out *gzip_out_new(void)
{
    return malloc(sizeof(struct gzip_out));
}

void gzip_out_free(struct gzip_out *g)
{
    free(g);
}

void gzip_out_write(struct gzip_out *g, struct slice body, struct buf *out)
{
    /* what cannot be compressed is stored, in blocks of 64 kB */
    size_t most = body.len + body.len / 1024 + FRAMING;
    uint8_t *to = buf_reserve(out, most);

    if (!to)
        return;
    isal_deflate_stateless_init(&g->stream);
    g->stream.gzip_flag = IGZIP_GZIP;
    g->stream.level = LEVEL;
    g->stream.level_buf = g->space;
    g->stream.level_buf_size = sizeof(g->space);
    g->stream.next_in = (uint8_t *)body.data;
    g->stream.avail_in = (uint32_t)body.len;
    g->stream.next_out = to;
    g->stream.avail_out = (uint32_t)most;
    g->stream.end_of_stream = 1;
    if (isal_deflate_stateless(&g->stream) == COMP_OK)
        out->len += g->stream.total_out;
    else
        out->failed = true;
}
