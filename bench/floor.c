/* What sockets alone cost: reads HTTP requests with a Content-Length and answers 200, and does
 * nothing with them. No collector on this machine can take less.
 *
 *     build/bench/floor
 *
 * prints `msg=listening receiver=otlp/http address=127.0.0.1:PORT` and runs until it is killed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20, HEAD_BYTES = 1024, EVENTS = 64, BACKLOG = 64 };

struct connection {
    int fd;
    size_t len;
    char bytes[READ_BYTES]; /* one request */
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
                             "Content-Length: 0\r\n\r\n";

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_somewhere(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        fail("listen");
    printf("msg=listening receiver=otlp/http address=127.0.0.1:%u\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

static void watch(int poll, int fd, void *what)
{
    struct epoll_event event = {EPOLLIN, {.ptr = what}};

    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll_ctl");
}

static void accept_one(int poll, int listener)
{
    struct connection *c = calloc(1, sizeof(*c));
    int yes = 1;

    if (!c || (c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
        fail("accept");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    watch(poll, c->fd, c);
}

/* The length of the request that `c` begins with; 0: its head is not all there. */
static size_t request_len(const struct connection *c)
{
    static const char field[] = "Content-Length:";
    size_t len = c->len < HEAD_BYTES ? c->len : HEAD_BYTES;
    const char *end = memmem(c->bytes, len, "\r\n\r\n", 4);
    const char *length = end ? memmem(c->bytes, len, field, sizeof(field) - 1) : NULL;

    if (!end)
        return 0;
    return (size_t)(end + 4 - c->bytes) +
           (length ? strtoul(length + sizeof(field) - 1, NULL, 10) : 0);
}

static void serve(struct connection *c)
{
    ssize_t got = recv(c->fd, c->bytes + c->len, READ_BYTES - c->len, 0);
    size_t wanted;

    if (got <= 0) {
        close(c->fd);
        free(c);
        return;
    }
    c->len += (size_t)got;
    wanted = request_len(c);
    if (wanted == 0 || c->len < wanted)
        return;
    c->len = 0; /* the generator sends the next one when it has this answer */
    if (send(c->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
        fail("send");
}

int main(void)
{
    int listener = listen_somewhere(), poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];

    watch(poll, listener, NULL);
    for (;;) {
        int n = epoll_wait(poll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                serve(events[i].data.ptr);
            else
                accept_one(poll, listener);
        }
    }
}
