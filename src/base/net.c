#include "base/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, BOUND_BYTES = 64 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static enum err parse_port(const char *text, uint16_t *port)
{
    unsigned value = 0;

    if (!*text)
        return ERR_PARSE;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return ERR_PARSE;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > 65535)
            return ERR_PARSE;
    }
    *port = (uint16_t)value;
    return ERR_OK;
}

/* `host` without brackets; empty: all addresses. */
static enum err parse_host(const char *host, bool bracketed, uint16_t port, union address *a)
{
    memset(a, 0, sizeof(*a));
    if (bracketed || !*host) {
        a->any.sa_family = AF_INET6;
        a->v6.sin6_port = htons(port);
        return !*host && !bracketed                               ? ERR_OK
               : inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1 ? ERR_OK
                                                                  : ERR_PARSE;
    }
    a->any.sa_family = AF_INET;
    a->v4.sin_port = htons(port);
    return inet_pton(AF_INET, host, &a->v4.sin_addr) == 1 ? ERR_OK : ERR_PARSE;
}

static enum err parse_address(const char *text, union address *a, struct err_info *info)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    char host[INET6_ADDRSTRLEN];
    uint16_t port;

    if (!colon)
        return err_fail(info, ERR_IO, "'%s' has no port; write IP:PORT, [IPv6]:PORT or :PORT",
                        text);
    if (parse_port(colon + 1, &port) != ERR_OK)
        return err_fail(info, ERR_IO, "'%s': the port must be 0 to 65535 (0 picks a free one)",
                        text);
    if (bracketed)
        len -= 2;
    if (len < sizeof(host)) {
        memcpy(host, text + bracketed, len);
        host[len] = '\0';
        if (parse_host(host, bracketed, port, a) == ERR_OK)
            return ERR_OK;
    }
    return err_fail(info, ERR_IO,
                    "'%s' does not begin with an IP address; write IP:PORT, [IPv6]:PORT or :PORT",
                    text);
}

/* Its IP as text, and its port. */
static uint16_t read_parts(const union address *a, char ip[NET_IP_BYTES])
{
    bool v6 = a->any.sa_family == AF_INET6;

    inet_ntop(a->any.sa_family, v6 ? (const void *)&a->v6.sin6_addr : &a->v4.sin_addr, ip,
              NET_IP_BYTES);
    return ntohs(v6 ? a->v6.sin6_port : a->v4.sin_port);
}

enum err net_read_address(const char *address, char ip[NET_IP_BYTES], uint16_t *port,
                          struct err_info *info)
{
    union address a;
    enum err err = parse_address(address, &a, info);

    if (err == ERR_OK)
        *port = read_parts(&a, ip);
    return err;
}

static bool is_port(const char *text, const char *end)
{
    long port = 0;

    for (const char *c = text; c < end; c++) {
        if (*c < '0' || *c > '9' || end - text > 5)
            return false;
        port = port * 10 + (*c - '0');
    }
    return port > 0 && port <= UINT16_MAX;
}

bool net_is_url(const char *url)
{
    const char *scheme = strstr(url, "://"), *host, *end, *port;

    if (!scheme || scheme == url)
        return false;
    host = scheme + 3;
    end = host + strcspn(host, "/?#");
    port = host + (*host == '[' ? strcspn(host, "]/?#") + 1 : strcspn(host, ":/?#"));
    if (port > end || port - host <= (*host == '[' ? 2 : 0))
        return false;
    return port == end || (*port == ':' && is_port(port + 1, end));
}

static void format_bound(int fd, char *bound)
{
    union address a;
    socklen_t len = sizeof(a);
    char ip[NET_IP_BYTES];
    uint16_t port;

    memset(&a, 0, sizeof(a));
    if (getsockname(fd, &a.any, &len) != 0)
        abort(); /* of a socket that is bound */
    port = read_parts(&a, ip);
    snprintf(bound, BOUND_BYTES, a.any.sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, port);
}

/* A listening socket, or -1 with errno. */
static int listen_on(const union address *a, bool beside)
{
    bool v6 = a->any.sa_family == AF_INET6;
    bool all = v6 && IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1, off = 0, only_v6 = !all, saved;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (!beside || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
        (!v6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6)) == 0) &&
        bind(fd, &a->any, v6 ? sizeof(a->v6) : sizeof(a->v4)) == 0 && listen(fd, BACKLOG) == 0) {
        if (beside) /* nobody else is to join */
            (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
        return fd;
    }
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static bool is_without_ipv6(int error)
{
    return error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPROTONOSUPPORT;
}

static enum err listen_at(const char *address, bool beside, int *fd, char *bound,
                          struct err_info *info)
{
    union address a;
    enum err err = parse_address(address, &a, info);

    if (err)
        return err;
    *fd = listen_on(&a, beside);
    if (*fd < 0 && address[0] == ':' && is_without_ipv6(errno)) {
        in_port_t port = a.v6.sin6_port;

        memset(&a, 0, sizeof(a));
        a.any.sa_family = AF_INET;
        a.v4.sin_port = port;
        *fd = listen_on(&a, beside);
    }
    if (*fd < 0)
        return err_fail(info, ERR_IO, "cannot listen on %s: %s", address, strerror(errno));
    format_bound(*fd, bound);
    return ERR_OK;
}

static enum err system_listen(struct net *n, const char *address, int *fd, char *bound,
                              struct err_info *info)
{
    (void)n;
    return listen_at(address, false, fd, bound, info);
}

/* Sockets share a port if each of them says so when the later one is bound. */
static enum err system_listen_beside(struct net *n, const char *address, int beside, int *fd,
                                     char *bound, struct err_info *info)
{
    int on = 1, off = 0;
    enum err err;

    (void)n;
    if (setsockopt(beside, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
        return err_fail(info, ERR_IO, "cannot share the port of %s: %s", address, strerror(errno));
    err = listen_at(address, true, fd, bound, info);
    (void)setsockopt(beside, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
    return err;
}

static enum err system_accept(struct net *n, int listener, int *fd)
{
    int on = 1;

    (void)n;
    do
        *fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (*fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (*fd >= 0) {
        /* Answers are small and whole; waiting to fill a segment only delays them. */
        (void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        return ERR_OK;
    }
    switch (errno) {
    case EAGAIN:
        return ERR_AGAIN;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return ERR_FULL;
    default: /* accept also reports errors of the network for the connection that failed */
        return ERR_IO;
    }
}

static enum err after_transfer(ssize_t moved, size_t *count)
{
    *count = moved > 0 ? (size_t)moved : 0;
    if (moved >= 0)
        return ERR_OK;
    return errno == EAGAIN ? ERR_AGAIN : ERR_IO;
}

static enum err system_recv(struct net *n, int fd, void *buf, size_t len, size_t *got)
{
    ssize_t moved;

    (void)n;
    do
        moved = recv(fd, buf, len, 0);
    while (moved < 0 && errno == EINTR);
    return after_transfer(moved, got);
}

static enum err system_sendv(struct net *n, int fd, const struct iovec *iov, int count,
                             size_t *sent)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov,
                             .msg_iovlen = (size_t)(count < IOV_MAX ? count : IOV_MAX)};
    ssize_t moved;

    (void)n;
    do
        moved = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (moved < 0 && errno == EINTR);
    return after_transfer(moved, sent);
}

static void system_shutdown_write(struct net *n, int fd)
{
    (void)n;
    (void)shutdown(fd, SHUT_WR); /* fails where the peer is already gone */
}

static void system_close(struct net *n, int fd)
{
    (void)n;
    close(fd);
}

struct net *net_system(void)
{
    static struct net system_net = {
        .listen = system_listen,
        .listen_beside = system_listen_beside,
        .accept = system_accept,
        .recv = system_recv,
        .sendv = system_sendv,
        .shutdown_write = system_shutdown_write,
        .close = system_close,
    };

    return &system_net;
}
