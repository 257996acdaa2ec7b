#include "check.h"
#include "export/http_client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a server: one connection after the other, several requests on each ---- */

static int listener;
static unsigned short port;
static unsigned connections; /* read when the client has its answers */

static int listen_on(unsigned short *bound)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16) ||
        getsockname(fd, (struct sockaddr *)&a, &len))
        abort();
    *bound = ntohs(a.sin_port);
    return fd;
}

static void put(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        data += n;
        len -= (size_t)n;
    }
}

/* Reads one request; returns the length of its body, or -1 at the end of the connection. */
static long read_request(int fd, char *text, size_t max)
{
    size_t have = 0;
    char *end = NULL, *length;
    long body;

    while (!end) {
        ssize_t n = recv(fd, text + have, max - 1 - have, 0);

        if (n <= 0)
            return -1;
        text[have += (size_t)n] = '\0';
        end = strstr(text, "\r\n\r\n");
    }
    length = strcasestr(text, "content-length:");
    body = length ? strtol(length + 15, NULL, 10) : 0;
    while (have < (size_t)(end + 4 - text) + (size_t)body) {
        ssize_t n = recv(fd, text + have, max - 1 - have, 0);

        if (n <= 0)
            return -1;
        text[have += (size_t)n] = '\0';
    }
    return body;
}

static void answer_big(int fd)
{
    char *page = malloc(3 << 20);

    memset(page, 'b', 3 << 20);
    put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n", 44);
    put(fd, page, 3 << 20);
    free(page);
}

/* The path ends with the status; the body breaks off. */
static void answer_cut(int fd, const char *text)
{
    char head[128];
    int len =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 %.3s X\r\nRetry-After: 7\r\nContent-Length: 100\r\n\r\nhalf", text + 9);

    put(fd, head, (size_t)len);
}

/* Echoes what came; the path says how. */
static bool answer(int fd, const char *text)
{
    char head[256];

    if (strncmp(text, "POST /hang", 10) == 0)
        return recv(fd, head, 1, 0) > 0; /* until the client goes */
    if (strncmp(text, "POST /close", 11) == 0)
        return false;
    if (strncmp(text, "POST /cut", 9) == 0) {
        answer_cut(fd, text);
        return false;
    }
    if (strncmp(text, "POST /big", 9) == 0) {
        answer_big(fd);
    } else if (strncmp(text, "POST /trailer", 13) == 0) {
        const char *t = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Last\r\n"
                        "\r\n2\r\nhi\r\n0\r\nX-Last: yes\r\n\r\n";

        put(fd, t, strlen(t));
    } else {
        int len = snprintf(head, sizeof(head),
                           "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: %zu\r\n\r\n",
                           strlen(text));

        put(fd, head, (size_t)len);
        put(fd, text, strlen(text));
    }
    return strncmp(text, "POST /once", 10) != 0;
}

static void *serve(void *arg)
{
    static char text[256 << 10];
    int fd;

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        __atomic_add_fetch(&connections, 1, __ATOMIC_SEQ_CST);
        while (read_request(fd, text, sizeof(text)) >= 0 && answer(fd, text))
            ;
        close(fd);
    }
    return arg;
}

/* ---- the client's side ---- */

struct result {
    bool done;
    enum err err;
    int status;
    char error[256];
    struct buf body, headers;
    char last[32];
};

static void on_done(void *arg, struct http_answer *a)
{
    struct result *r = arg;
    struct slice last = http_answer_header(a, "x-last");

    r->done = true;
    r->err = a->err;
    r->status = a->status;
    snprintf(r->error, sizeof(r->error), "%s", a->error);
    snprintf(r->last, sizeof(r->last), "%.*s", (int)last.len, (const char *)last.data);
    buf_take(&a->body, &r->body);
    buf_take(&a->headers, &r->headers);
}

static struct loop *loop;
static struct http_client *client;

static void wait_for(struct result *r)
{
    uint64_t end = clock_now_ns(clock_system()) + 20 * NS_PER_S, due;

    while (due = client->step(client, clock_now_ns(clock_system())), !r->done) {
        if (clock_now_ns(clock_system()) > end)
            break;
        loop_wait(loop, due < end ? due : end);
    }
    CHECK(r->done);
}

static bool h2c; /* the next request is HTTP/2 */
static const char *proxy;
static uint64_t timeout_ns = 20 * NS_PER_S; /* of the next request */

static void start(const char *path, unsigned short to, struct slice body, struct result *r,
                  uint64_t *id)
{
    static const char *const headers[] = {"x-key: hush", "content-type: text/plain", NULL};
    char url[128];
    struct http_request q = {.method = "POST",
                             .url = url,
                             .headers = headers,
                             .body = body,
                             .timeout_ns = timeout_ns,
                             .http2_prior_knowledge = h2c,
                             .proxy = proxy};

    memset(r, 0, sizeof(*r));
    buf_init(&r->body, 4 << 20, NULL);
    buf_init(&r->headers, 64 << 10, NULL);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", to, path);
    CHECK(client->send(client, &q, on_done, r, id) == ERR_OK);
}

static void end(struct result *r)
{
    buf_fini(&r->body);
    buf_fini(&r->headers);
}

static bool contains(const struct buf *b, const char *text)
{
    return memmem(b->data, b->len, text, strlen(text)) != NULL;
}

static void a_request_and_its_answer_arrive_whole(void)
{
    struct result r;
    char *body = malloc(200 << 10);
    uint64_t id;

    memset(body, 'q', 200 << 10);
    start("/echo", port, slice_make(body, 200 << 10), &r, &id);
    CHECK(!r.done); /* never from within send */
    wait_for(&r);
    CHECK(r.err == ERR_OK && r.status == 503);
    CHECK(contains(&r.headers, "retry-after: 7\n"));
    CHECK(contains(&r.body, "POST /echo HTTP/1.1\r\n") && contains(&r.body, "x-key: hush\r\n"));
    CHECK(r.body.len > 200 << 10 && !contains(&r.body, "Expect:"));
    end(&r);
    free(body);
}

static void a_connection_is_used_again(void)
{
    unsigned before = __atomic_load_n(&connections, __ATOMIC_SEQ_CST);

    for (int i = 0; i < 5; i++) {
        struct result r;
        uint64_t id;

        start("/echo", port, slice_str("x"), &r, &id);
        wait_for(&r);
        CHECK(r.status == 503);
        end(&r);
    }
    CHECK(__atomic_load_n(&connections, __ATOMIC_SEQ_CST) <= before + 1);
}

static void trailers_follow_the_headers(void)
{
    struct result r;
    uint64_t id;

    start("/trailer", port, slice_str("x"), &r, &id);
    wait_for(&r);
    CHECK(r.status == 200 && strcmp(r.last, "yes") == 0);
    CHECK(slice_is(buf_slice(&r.body), "hi"));
    end(&r);
}

static void an_answer_is_bounded(void)
{
    struct result r;
    uint64_t id;

    start("/big", port, slice_str("x"), &r, &id);
    wait_for(&r);
    CHECK(r.err == ERR_OK && r.status == 200 && r.body.len == 1 << 20);
    end(&r);
}

static void no_answer_in_time_is_an_error_that_says_so(void)
{
    struct result r;
    uint64_t id;

    timeout_ns = 300 * NS_PER_MS;
    start("/hang", port, slice_str("x"), &r, &id);
    timeout_ns = 20 * NS_PER_S;
    wait_for(&r);
    CHECK(r.err == ERR_IO && r.status == 0 && strstr(r.error, "timed out"));
    end(&r);
}

static void a_connection_that_breaks_or_is_refused_is_an_error(void)
{
    struct result r;
    uint64_t id;
    unsigned short closed;
    int fd = listen_on(&closed);

    close(fd);
    start("/close", port, slice_str("x"), &r, &id);
    wait_for(&r);
    CHECK(r.err == ERR_IO && r.error[0]);
    end(&r);
    start("/", closed, slice_str("x"), &r, &id);
    wait_for(&r);
    CHECK(r.err == ERR_IO && r.error[0]);
    end(&r);
}

static void a_refusal_counts_without_its_body(void)
{
    static const struct {
        const char *path;
        int status; /* 0: it is no answer */
    } cuts[] = {{"/cut400", 400}, {"/cut503", 503}, {"/cut200", 0}};

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        struct result r;
        uint64_t id;

        start(cuts[i].path, port, slice_str("x"), &r, &id);
        wait_for(&r);
        CHECK(r.status == cuts[i].status && (r.err == ERR_OK) == (cuts[i].status != 0));
        CHECK(!r.status || (slice_is(buf_slice(&r.body), "half") && !r.error[0]));
        CHECK(!r.status || memmem(r.headers.data, r.headers.len, "retry-after: 7\n", 15));
        end(&r);
    }
}

static void a_cancelled_request_is_never_answered(void)
{
    struct result r, other;
    uint64_t id, other_id;

    start("/hang", port, slice_str("x"), &r, &id);
    client->step(client, clock_now_ns(clock_system()));
    client->cancel(client, id);
    client->cancel(client, id + 1000);
    start("/echo", port, slice_str("x"), &other, &other_id);
    wait_for(&other);
    CHECK(!r.done && other.status == 503);
    end(&r);
    end(&other);
}

/* A connection that speaks HTTP/2 must not make others to that port look as if they did. */
static void requests_of_both_protocols_to_one_port_do_not_meet(void)
{
    struct result two, one[4];
    char path[32];
    uint64_t id;

    client->free(client); /* no connection waits */
    client = http_client_curl(loop);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "/once/%d", i);
        start(path, port, slice_str("x"), &one[i], &id);
        h2c = true;
        if (i == 1)
            start("/echo", port, slice_str("two"), &two, &id);
        h2c = false;
    }
    for (int i = 0; i < 4; i++) {
        wait_for(&one[i]);
        snprintf(path, sizeof(path), "/once/%d", i);
        CHECK(one[i].status == 503 && contains(&one[i].body, path));
        end(&one[i]);
    }
    wait_for(&two);
    CHECK(two.err != ERR_OK); /* that server has no HTTP/2 */
    end(&two);
}

/* What the server gets of a request: its line and headers. */
static void through(const char *way, const char *expected)
{
    struct result r;
    uint64_t id;

    client->free(client); /* the server takes one connection after the other */
    client = http_client_curl(loop);
    proxy = way;
    start("/echo", port, slice_str("x"), &r, &id);
    proxy = NULL;
    wait_for(&r);
    CHECK(contains(&r.body, expected));
    end(&r);
}

static void a_proxy_is_taken_unless_no_proxy_says_otherwise(void)
{
    char way[64], whole[64];

    snprintf(way, sizeof(way), "http://127.0.0.1:%u", port);
    snprintf(whole, sizeof(whole), "POST http://127.0.0.1:%u/echo HTTP/1.1\r\n", port);
    through(way, whole);
    setenv("http_proxy", way, 1);
    through(NULL, whole);
    through("", "POST /echo HTTP/1.1\r\n");
    setenv("no_proxy", "127.0.0.1", 1);
    through(way, "POST /echo HTTP/1.1\r\n");
    unsetenv("http_proxy");
    unsetenv("no_proxy");
}

static void a_client_can_end_with_requests_under_way(void)
{
    struct result r[3];
    uint64_t id;

    for (int i = 0; i < 3; i++)
        start("/hang", port, slice_str("x"), &r[i], &id);
    client->step(client, clock_now_ns(clock_system()));
    client->free(client);
    client = http_client_curl(loop);
    for (int i = 0; i < 3; i++) {
        CHECK(!r[i].done);
        end(&r[i]);
    }
}

int main(void)
{
    pthread_t thread;

    unsetenv("http_proxy");
    unsetenv("all_proxy");
    listener = listen_on(&port);
    if (pthread_create(&thread, NULL, serve, NULL))
        abort();
    loop = loop_new(clock_system());
    client = http_client_curl(loop);
    RUN(a_request_and_its_answer_arrive_whole);
    RUN(a_connection_is_used_again);
    RUN(trailers_follow_the_headers);
    RUN(an_answer_is_bounded);
    RUN(no_answer_in_time_is_an_error_that_says_so);
    RUN(a_connection_that_breaks_or_is_refused_is_an_error);
    RUN(a_refusal_counts_without_its_body);
    RUN(a_cancelled_request_is_never_answered);
    RUN(requests_of_both_protocols_to_one_port_do_not_meet);
    RUN(a_proxy_is_taken_unless_no_proxy_says_otherwise);
    RUN(a_client_can_end_with_requests_under_way);
    client->free(client);
    loop_free(loop);
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
    return DONE();
}
