#include "check.h"
#include "export/http_client.h"
#include "http_result.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t now_ns = NS_PER_S; /* of the fake client below, too */

/* ---- the other end ---- */

static char url[64]; /* of the socket that was bound last */
static unsigned short port;

static int bound(unsigned short at)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(at)};
    socklen_t len = sizeof(a);
    const struct timeval patience = {.tv_sec = 30};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || getsockname(fd, (struct sockaddr *)&a, &len))
        abort();
    port = ntohs(a.sin_port);
    snprintf(url, sizeof(url), "udp://127.0.0.1:%u", port);
    return fd;
}

/* Waits for a datagram. */
static bool has_got(int fd, struct slice wanted)
{
    static char datagram[70000];
    ssize_t n = recv(fd, datagram, sizeof(datagram), 0);

    return n >= 0 && slice_equal(slice_make(datagram, (size_t)n), wanted);
}

/* ---- the client ---- */

static struct http_client *make(void)
{
    return http_client_udp(http_client_fake(serve, NULL));
}

static uint64_t start(struct http_client *c, const char *to, struct slice body, struct result *r)
{
    const struct http_request request = {
        .method = "POST", .url = to, .body = body, .timeout_ns = NS_PER_S};
    uint64_t id = 0;

    *r = (struct result){.times = 0};
    CHECK(c->send(c, &request, on_done, r, &id) == ERR_OK && id && r->times == 0);
    return id;
}

/* Sends and waits: a name takes the time that it takes, and the wait has no bound. */
static struct result post(struct http_client *c, const char *to, struct slice body)
{
    struct result r;

    start(c, to, body, &r);
    while (!r.times) {
        c->step(c, now_ns);
        usleep(100); /* for the thread that looks the name up */
    }
    return r;
}

/* Posts until it ends with `status`: on a loaded machine the kernel says a moment later that nobody
 * listens. */
static struct result post_until(struct http_client *c, const char *to, struct slice body,
                                int status)
{
    struct result r;
    int i = 0;

    do {
        r = post(c, to, body);
    } while (r.status != status && ++i < 10000);
    CHECK(r.status == status);
    return r;
}

static void a_body_is_one_datagram(void)
{
    struct http_client *c = make();
    int fd = bound(0);
    struct result r = post(c, url, slice_str("{\"format\":\"json\",\"version\":1}\n{}"));

    CHECK(r.times == 1 && r.err == ERR_OK && r.status == 200);
    CHECK(has_got(fd, slice_str("{\"format\":\"json\",\"version\":1}\n{}")));
    CHECK(post(c, url, slice_str("two")).status == 200);
    CHECK(has_got(fd, slice_str("two")));
    c->free(c);
    close(fd);
}

static void a_datagram_has_a_largest_size(void)
{
    struct http_client *c = make();
    uint8_t *body = calloc(1, 65508);
    int fd = bound(0);

    CHECK(post(c, url, slice_make(body, 65507)).status == 200);
    CHECK(has_got(fd, slice_make(body, 65507)));
    CHECK(post(c, url, slice_make(body, 65508)).status == 413);
    CHECK(post(c, url, slice_str("next")).status == 200);
    CHECK(has_got(fd, slice_str("next")));
    c->free(c);
    close(fd);
    free(body);
}

static void where_nobody_listens_it_is_an_error_until_somebody_does(void)
{
    struct http_client *c = make();
    int fd = bound(0);
    unsigned short was = port;
    struct result r;

    close(fd);
    for (int i = 0; i < 3; i++) {
        r = post_until(c, url, slice_str("lost"), 0);
        CHECK(r.err == ERR_IO && strstr(r.error, "refused"));
    }
    fd = bound(was);
    post_until(c, url, slice_str("here"), 200);
    CHECK(has_got(fd, slice_str("here")));
    c->free(c);
    close(fd);
}

static void a_name_is_looked_up_and_again_a_minute_later(void)
{
    struct http_client *c = make();
    int fd = bound(0);
    char named[64], byte[1];

    snprintf(named, sizeof(named), "udp://localhost:%u", port);
    for (int i = 0; i < 3; i++) {
        do /* where localhost is ::1 first, nobody listens there */
            post_until(c, named, slice_str("named"), 200);
        while (recv(fd, byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0);
        CHECK(has_got(fd, slice_str("named")));
        while (recv(fd, byte, 1, MSG_DONTWAIT) >= 0)
            ;
        now_ns += 61 * NS_PER_S;
    }
    c->free(c);
    close(fd);
}

static void a_name_that_is_none_is_an_error(void)
{
    struct http_client *c = make();
    char named[256] = "udp://";
    struct result r;

    memset(named + 6, 'n', 100); /* longer than a label can be */
    strcpy(named + 106, ":2000");
    r = post(c, named, slice_str("x"));
    CHECK(r.err == ERR_IO && r.error[0]);
    r = post(c, named, slice_str("x"));
    CHECK(r.err == ERR_IO && strstr(r.error, "a moment ago"));
    c->free(c);
}

static void what_is_no_address_will_never_be_sent(void)
{
    static const char *const urls[] = {"udp://",       "udp://host",       "udp://:2000",
                                       "udp://host:0", "udp://host:65536", "udp://host:2000/x",
                                       "udp://host:xy"};
    struct http_client *c = make();

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        CHECK(post(c, urls[i], slice_str("x")).status == 400);
    c->free(c);
}

static void other_requests_are_passed_on(void)
{
    struct http_client *c = make();
    struct result r;
    uint64_t id;

    CHECK(post(c, "http://127.0.0.1/", slice_str("x")).status == 204 && passed_on == 1);
    id = start(c, "http://127.0.0.1/", slice_str("x"), &r);
    c->cancel(c, id);
    c->step(c, now_ns);
    CHECK(r.times == 0 && passed_on == 1);
    c->free(c);
}

static void what_is_cancelled_is_not_answered(void)
{
    struct http_client *c = make();
    struct result r, other;
    int fd = bound(0);

    c->cancel(c, start(c, url, slice_str("one"), &r));
    start(c, url, slice_str("two"), &other);
    c->step(c, now_ns);
    CHECK(r.times == 0 && other.times == 1 && has_got(fd, slice_str("two")));
    start(c, url, slice_str("three"), &r);
    c->free(c); /* with one under way */
    CHECK(r.times == 0);
    close(fd);
}

static void places_for_peers_are_used_again(void)
{
    struct http_client *c = make();
    int fd = bound(0);
    char to[64];

    for (int i = 1; i <= 100; i++) {
        snprintf(to, sizeof(to), "udp://127.0.0.%d:%u", i, port);
        CHECK(post(c, to, slice_str("x")).times == 1);
    }
    post_until(c, url, slice_str("last"), 200);
    CHECK(has_got(fd, slice_str("x")) && has_got(fd, slice_str("last")));
    c->free(c);
    close(fd);
}

int main(void)
{
    RUN(a_body_is_one_datagram);
    RUN(a_datagram_has_a_largest_size);
    RUN(where_nobody_listens_it_is_an_error_until_somebody_does);
    RUN(a_name_is_looked_up_and_again_a_minute_later);
    RUN(a_name_that_is_none_is_an_error);
    RUN(what_is_no_address_will_never_be_sent);
    RUN(other_requests_are_passed_on);
    RUN(what_is_cancelled_is_not_answered);
    RUN(places_for_peers_are_used_again);
    return DONE();
}
