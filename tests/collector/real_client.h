/* real_client.h: OTLP/HTTP over a real socket, one request at a time, from any thread. */
#pragma once

#include "base/slice.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    pthread_mutex_t lock;
    int fd;
};

struct answer_text {
    char text[4096]; /* head and body */
};

static inline bool send_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* The status of the answer, whose body is taken; 0: none came. */
static inline int read_answer(int fd, struct answer_text *answer)
{
    char *text = answer->text;
    size_t len = 0;

    while (len < sizeof(answer->text) - 1) {
        ssize_t n = recv(fd, text + len, sizeof(answer->text) - 1 - len, 0);
        const char *length, *end;

        if (n <= 0)
            return 0;
        len += (size_t)n;
        text[len] = '\0';
        end = strstr(text, "\r\n\r\n");
        length = strcasestr(text, "content-length:");
        if (end && length && text + len >= end + 4 + strtoul(length + 15, NULL, 10))
            return (int)strtoul(text + 9, NULL, 10);
    }
    return 0;
}

/* The answer's status; 0: none came. */
static inline int post(struct connection *c, struct slice body, struct answer_text *answer)
{
    char head[256];
    int n = snprintf(head, sizeof(head),
                     "POST /v1/traces HTTP/1.1\r\nHost: test\r\n"
                     "Content-Type: application/x-protobuf\r\nContent-Length: %zu\r\n\r\n",
                     body.len);
    int status = 0;

    pthread_mutex_lock(&c->lock);
    if (send_all(c->fd, head, (size_t)n) && send_all(c->fd, body.data, body.len))
        status = read_answer(c->fd, answer);
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* Aborts if nobody listens there. An answer is waited for at most 30 s. */
static inline int connect_to(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 30};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}
