/* nop: everything is delivered at once, to nobody: for measuring what stands before it. */
#include "export/exporter.h"

static enum err nop_open(struct exporter *x, const void *options, void **self,
                         struct err_info *info)
{
    (void)options;
    (void)info;
    *self = x;
    return ERR_OK;
}

static void nop_close(void *self)
{
    (void)self;
}

static void nop_send(void *self, struct part *part, uint64_t now_ns)
{
    const struct sent_result delivered = {.how = SENT_DELIVERED, .answered = true};

    (void)self;
    (void)now_ns;
    exporter_sent(part, &delivered);
}

EXPORTER_TYPE(exporter_nop, .name = "nop", .doc = "throws everything away",
              .signals = EXPORTER_ALL_SIGNALS, .options_size = sizeof(struct exporter_common),
              .needs_no_body = true, .open = nop_open, .close = nop_close, .send = nop_send);
