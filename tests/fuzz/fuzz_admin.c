/* The pages of health (llhttp) and the control socket, over the fake network. The first byte says
 * which of the two, and how large the pieces are in which the rest arrives; what is answered must
 * not depend on that. */
#include "admin/conn.h"
#include "base/fake_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ALL_AT_ONCE = 1 << 20, BOUNDED = 16 << 10 };

static int say(struct buf *out, const char *what, bool how)
{
    buf_printf(out, "%s %d\n", what, how);
    return how ? 200 : 503;
}

static int livez(void *arg, struct buf *out)
{
    (void)arg;
    return say(out, "livez", true);
}

static int readyz(void *arg, bool verbose, struct buf *out)
{
    (void)arg;
    return say(out, "readyz", verbose);
}

static int metrics(void *arg, bool openmetrics, struct buf *out)
{
    (void)arg;
    return say(out, "metrics", openmetrics);
}

/* Says what came; one byte makes it fail, another too much of an answer. */
static enum err control(void *arg, struct slice command, struct buf *out)
{
    (void)arg;
    buf_append(out, command.data, command.len);
    if (command.len && command.data[0] == 'L')
        buf_reserve(out, ANSWER_MAX);
    return command.len && command.data[0] == 'E' ? ERR_CONFIG : ERR_OK;
}

static const struct admin_callbacks callbacks = {.livez = livez,
                                                 .readyz = readyz,
                                                 .metrics = metrics,
                                                 .span_metrics = metrics,
                                                 .control = control};

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Sends all of `bytes` to a fresh listener; its answers are added to `answers`. */
static void converse(const struct conn_type *type, struct slice bytes, size_t piece,
                     struct buf *answers)
{
    struct fake_net *net = fake_net_new(piece);
    struct fake_clock clock;
    struct listener l;
    struct err_info info;
    struct loop *loop;
    char address[64];
    int fd, client;

    fake_clock_init(&clock, NS_PER_S, NS_PER_S);
    loop = fake_loop_new(net, &clock.clock);
    must(!fake_net_net(net)->listen(fake_net_net(net), "127.0.0.1:0", &fd, address, &info));
    must(!listener_init(&l, loop, fd, type, &callbacks));
    l.net = fake_net_net(net);
    client = fake_net_connect(net, address);
    for (bool ended = false; !ended;) {
        size_t sent = fake_net_send(net, client,
                                    slice_make(bytes.data, bytes.len < piece ? bytes.len : piece));
        size_t got;

        bytes = slice_make(bytes.data + sent, bytes.len - sent);
        loop_wait(loop, NEVER_NS);
        got = fake_net_recv(net, client, buf_reserve(answers, 4096), 4096);
        answers->len += got;
        ended = sent == 0 && got == 0;
    }
    fake_net_close(net, client);
    loop_wait(loop, NEVER_NS);
    must(l.count == 0);
    listener_fini(&l);
    loop_free(loop);
    fake_net_free(net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 2, 7, 1000};
    const struct conn_type *type;
    struct buf whole, parts;

    if (size == 0 || size > BOUNDED) /* which of two errors comes first may depend on it */
        return 0;
    type = data[0] & 1 ? &control_conn_type : &http_conn_type;
    buf_init(&whole, ANSWER_MAX, NULL);
    buf_init(&parts, ANSWER_MAX, NULL);
    converse(type, slice_make(data + 1, size - 1), ALL_AT_ONCE, &whole);
    converse(type, slice_make(data + 1, size - 1), pieces[data[0] >> 6], &parts);
    must(whole.len == parts.len && (!whole.len || memcmp(whole.data, parts.data, whole.len) == 0));
    buf_fini(&whole);
    buf_fini(&parts);
    return 0;
}
