/* probe.c: the client's side of the pages of health: one GET, one answer. */
#include "admin/admin.h"
#include "base/clock.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STATUS_AT = 9 }; /* in "HTTP/1.1 200" */

struct probe {
    const char *address;
    int fd;
    uint64_t deadline_ns;
    struct err_info *info;
};

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    long number = digits > 0 && digits <= 5 && text[digits] == '\0' ? strtol(text, NULL, 10) : 0;

    return number > 0 && number <= UINT16_MAX;
}

/* Splits "IP:PORT", "[IPv6]:PORT" or ":PORT"; all addresses are reached on this machine's own. */
static bool probe_split(const char *address, char *host, size_t host_max, const char **port)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;

    if (!colon || len >= host_max || !is_port(colon + 1))
        return false;
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    memcpy(host, address, len);
    host[len] = '\0';
    *port = colon + 1;
    if (!len || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
        snprintf(host, host_max, "%s", strcmp(host, "::") == 0 ? "::1" : "127.0.0.1");
    return true;
}

static enum err probe_wait(const struct probe *p, short events)
{
    uint64_t now = clock_now_ns(clock_system());
    struct pollfd wanted = {.fd = p->fd, .events = events};
    uint64_t left_ms = now < p->deadline_ns ? (p->deadline_ns - now) / NS_PER_MS + 1 : 0;

    if (left_ms == 0)
        return err_fail(p->info, ERR_IO, "%s: no answer in time", p->address);
    if (poll(&wanted, 1, left_ms < 60000 ? (int)left_ms : 60000) < 0 && errno != EINTR)
        return err_fail(p->info, ERR_IO, "%s: %s", p->address, strerror(errno));
    return ERR_OK;
}

static enum err probe_connected(const struct probe *p)
{
    int error = 0;
    socklen_t len = sizeof(error);

    for (;;) {
        struct pollfd look = {.fd = p->fd, .events = POLLOUT};
        enum err e = probe_wait(p, POLLOUT);

        if (e)
            return e;
        if (poll(&look, 1, 0) > 0)
            break;
    }
    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    return error ? err_fail(p->info, ERR_IO, "%s: %s", p->address, strerror(error)) : ERR_OK;
}

static enum err probe_connect(struct probe *p)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[64];
    const char *port;
    enum err e = ERR_OK;

    if (!probe_split(p->address, host, sizeof(host), &port) ||
        getaddrinfo(host, port, &hints, &found))
        return err_fail(p->info, ERR_CONFIG, "%.200s: not an address such as 127.0.0.1:13133",
                        p->address);
    p->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0 ||
        (connect(p->fd, found->ai_addr, found->ai_addrlen) < 0 && errno != EINPROGRESS))
        e = err_fail(p->info, ERR_IO, "%s: %s", p->address, strerror(errno));
    freeaddrinfo(found);
    return e ? e : probe_connected(p);
}

static enum err probe_send(const struct probe *p, const char *text)
{
    size_t left = strlen(text);

    while (left) {
        ssize_t n = send(p->fd, text, left, MSG_NOSIGNAL);
        enum err e = ERR_OK;

        if (n > 0) {
            text += n;
            left -= (size_t)n;
        } else if (errno == EAGAIN)
            e = probe_wait(p, POLLOUT);
        else if (errno != EINTR)
            e = err_fail(p->info, ERR_IO, "%s: %s", p->address, strerror(errno));
        if (e)
            return e;
    }
    return ERR_OK;
}

/* Until the other side closes. */
static enum err probe_receive(const struct probe *p, struct buf *answer)
{
    for (;;) {
        char chunk[4096];
        ssize_t n = recv(p->fd, chunk, sizeof(chunk), 0);
        enum err e = ERR_OK;

        if (n == 0)
            return ERR_OK;
        if (n > 0) {
            buf_append(answer, chunk, (size_t)n);
            if (!buf_ok(answer))
                return err_fail(p->info, ERR_FULL, "%s: the answer is too large", p->address);
        } else if (errno == EAGAIN)
            e = probe_wait(p, POLLIN);
        else if (errno != EINTR)
            e = err_fail(p->info, ERR_IO, "%s: %s", p->address, strerror(errno));
        if (e)
            return e;
    }
}

/* Leaves the body alone in `answer`. */
static enum err probe_parse(const struct probe *p, struct buf *answer, int *status)
{
    const uint8_t *end = answer->len ? memmem(answer->data, answer->len, "\r\n\r\n", 4) : NULL;
    size_t head = end ? (size_t)(end + 4 - answer->data) : 0;

    if (head < STATUS_AT + 3 || memcmp(answer->data, "HTTP/1.1 ", STATUS_AT) != 0)
        return err_fail(p->info, ERR_PARSE, "%s: not an HTTP server", p->address);
    *status = 0;
    for (int i = 0; i < 3; i++)
        *status = *status * 10 + (answer->data[STATUS_AT + i] - '0');
    answer->len -= head;
    memmove(answer->data, answer->data + head, answer->len);
    return ERR_OK;
}

enum err admin_probe(const char *address, const char *path, uint64_t timeout_ns, int *status,
                     struct buf *answer, struct err_info *info)
{
    struct probe p = {.address = address, .fd = -1, .info = info};
    char request[256];
    enum err e;

    p.deadline_ns = clock_now_ns(clock_system()) + timeout_ns;
    snprintf(request, sizeof(request),
             "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    buf_clear(answer);
    e = probe_connect(&p);
    if (!e)
        e = probe_send(&p, request);
    if (!e)
        e = probe_receive(&p, answer);
    if (!e)
        e = probe_parse(&p, answer, status);
    if (p.fd >= 0)
        close(p.fd);
    return e;
}
