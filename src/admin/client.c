/* client.c: the client's side of the control socket. */
#include "admin/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct call {
    const char *path;
    int fd;
    uint64_t deadline_ns;
    struct err_info *info;
};

static enum err call_wait(const struct call *c, short events)
{
    uint64_t now = clock_now_ns(clock_system());
    struct pollfd p = {.fd = c->fd, .events = events};
    uint64_t left_ms = now < c->deadline_ns ? (c->deadline_ns - now) / NS_PER_MS + 1 : 0;
    int n = left_ms ? poll(&p, 1, left_ms < 60000 ? (int)left_ms : 60000) : 0;

    if (n < 0 && errno != EINTR)
        return err_fail(c->info, ERR_IO, "%s: %s", c->path, strerror(errno));
    if (left_ms == 0)
        return err_fail(c->info, ERR_IO, "%s: no answer in time", c->path);
    return ERR_OK;
}

/* A unix socket that is listened on connects at once, or says EAGAIN when its queue is full. */
static enum err call_connect(struct call *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(c->path) >= sizeof(address.sun_path))
        return err_fail(c->info, ERR_IO, "%s: too long for a unix socket", c->path);
    memcpy(address.sun_path, c->path, strlen(c->path));
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return err_fail(c->info, ERR_IO, "%s: %s (is moontail running with this configuration?)",
                        c->path, strerror(errno));
    return ERR_OK;
}

static enum err call_send(const struct call *c, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = send(c->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        enum err e = ERR_OK;

        if (n > 0)
            bytes = slice_make(bytes.data + n, bytes.len - (size_t)n);
        else if (errno == EAGAIN)
            e = call_wait(c, POLLOUT);
        else if (errno != EINTR)
            e = err_fail(c->info, ERR_IO, "%s: %s", c->path, strerror(errno));
        if (e)
            return e;
    }
    return ERR_OK;
}

/* Reads at most `len` bytes; *got > 0 on success. */
static enum err call_recv(const struct call *c, void *to, size_t len, size_t *got)
{
    for (;;) {
        ssize_t n = recv(c->fd, to, len, 0);
        enum err e = ERR_OK;

        if (n > 0)
            return *got = (size_t)n, ERR_OK;
        if (n == 0)
            return err_fail(c->info, ERR_IO, "%s: closed before the answer was complete", c->path);
        if (errno == EAGAIN)
            e = call_wait(c, POLLIN);
        else if (errno != EINTR)
            e = err_fail(c->info, ERR_IO, "%s: %s", c->path, strerror(errno));
        if (e)
            return e;
    }
}

/* Reads the first line: whether it went well, and how many bytes follow. */
static enum err call_head(const struct call *c, bool *ok, size_t *len)
{
    char line[64], *end;
    size_t at = 0, got;

    do {
        enum err e = at < sizeof(line) - 1
                         ? call_recv(c, line + at, 1, &got)
                         : err_fail(c->info, ERR_PARSE, "%s: not a control socket", c->path);
        if (e)
            return e;
    } while (line[at++] != '\n');
    line[at - 1] = '\0';
    *ok = strncmp(line, "ok ", 3) == 0;
    *len = strtoull(line + (*ok ? 3 : 6), &end, 10);
    if ((!*ok && strncmp(line, "error ", 6) != 0) || *end || *len > ANSWER_MAX)
        return err_fail(c->info, ERR_PARSE, "%s: not a control socket", c->path);
    return ERR_OK;
}

static enum err call_answer(const struct call *c, struct buf *answer)
{
    size_t len = 0, got = 0, start = answer->len;
    bool ok = false;
    enum err e = call_head(c, &ok, &len);

    while (!e && len) {
        size_t chunk = len < 64 << 10 ? len : 64 << 10;
        uint8_t *to = buf_reserve(answer, chunk);

        if (!to)
            return err_fail(c->info, ERR_FULL, "%s: the answer is too large", c->path);
        e = call_recv(c, to, chunk, &got);
        if (e)
            break;
        answer->len += got;
        len -= got;
    }
    if (!e && !ok)
        e = err_fail(c->info, ERR_SCRIPT, "%.*s", (int)(answer->len - start),
                     (const char *)answer->data + start);
    return e;
}

enum err admin_control_call(const char *path, struct slice command, uint64_t timeout_ns,
                            struct buf *answer, struct err_info *info)
{
    struct call c = {path, -1, clock_now_ns(clock_system()) + timeout_ns, info};
    enum err e;

    if (memchr(command.data, '\n', command.len))
        return err_fail(info, ERR_PARSE, "a command is one line");
    e = call_connect(&c);
    if (!e)
        e = call_send(&c, command);
    if (!e)
        e = call_send(&c, slice_str("\n"));
    if (!e)
        e = call_answer(&c, answer);
    if (c.fd >= 0)
        close(c.fd);
    return e;
}
