#include "check.h"
#include "export/http_client.h"
#include "http_result.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t now_ns = NS_PER_S;

/* ---- a client that writes to a pipe ---- */

struct out {
    struct http_client *client;
    int read_end, write_end;
};

static void out_init(struct out *o)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC))
        abort();
    *o = (struct out){.read_end = ends[0], .write_end = ends[1]};
    if (fcntl(o->write_end, F_SETPIPE_SZ, 4096) < 0) /* a page: the least there is */
        abort();
    o->client = http_client_stdout(http_client_fake(serve, NULL), o->write_end);
}

static void out_fini(struct out *o)
{
    o->client->free(o->client);
    if (o->read_end >= 0)
        close(o->read_end);
    close(o->write_end);
}

static uint64_t start(struct out *o, const char *url, struct slice body, struct result *r)
{
    const struct http_request request = {
        .method = "POST", .url = url, .body = body, .timeout_ns = NS_PER_S};
    uint64_t id = 0;

    *r = (struct result){.times = 0};
    CHECK(o->client->send(o->client, &request, on_done, r, &id) == ERR_OK && id && !r->times);
    return id;
}

/* Reads what is there now. */
static size_t drain(struct out *o, struct buf *to)
{
    uint8_t some[8192];
    ssize_t n;

    fcntl(o->read_end, F_SETFL, O_NONBLOCK);
    n = read(o->read_end, some, sizeof(some));
    buf_append(to, some, n > 0 ? (size_t)n : 0);
    return n > 0 ? (size_t)n : 0;
}

/* Steps and reads until so much is there. */
static void collect(struct out *o, struct buf *to, size_t len)
{
    for (int i = 0; to->len < len && i < 100; i++) {
        o->client->step(o->client, now_ns);
        (void)drain(o, to);
    }
    o->client->step(o->client, now_ns);
}

static bool is(const struct buf *b, const char *text)
{
    return slice_equal(buf_slice(b), slice_str(text));
}

/* ---- */

static void bodies_are_written_one_behind_the_other_however_slow_the_reader_is(void)
{
    enum { LEN = 50000 };
    char *a = malloc(LEN), *b = malloc(LEN);
    struct result first, second;
    struct buf got;
    struct out o;

    memset(a, 'a', LEN);
    memset(b, 'b', LEN);
    a[LEN - 1] = b[LEN - 1] = '\n';
    out_init(&o);
    buf_init(&got, 1 << 20, NULL);
    start(&o, "stdout:", slice_make((uint8_t *)a, LEN), &first);
    start(&o, "stdout:", slice_make((uint8_t *)b, LEN), &second);
    o.client->step(o.client, now_ns);
    CHECK(o.client->step(o.client, now_ns) > now_ns); /* it waits for the reader */
    CHECK(first.times == 0);
    while (got.len < (size_t)2 * LEN) {
        CHECK(drain(&o, &got) > 0);
        o.client->step(o.client, now_ns);
        CHECK(second.times <= first.times);
    }
    CHECK(first.times == 1 && first.status == 200 && second.times == 1 && second.status == 200);
    CHECK(!memcmp(got.data, a, LEN) && !memcmp(got.data + LEN, b, LEN));
    CHECK(o.client->step(o.client, now_ns) == NEVER_NS);
    buf_fini(&got);
    out_fini(&o);
    free(a);
    free(b);
}

static void what_nobody_reads_fails_in_time_and_its_line_ends(void)
{
    char body[10000];
    struct result r, next;
    struct buf got;
    struct out o;

    memset(body, 'x', sizeof(body));
    out_init(&o);
    buf_init(&got, 1 << 20, NULL);
    start(&o, "stdout:", slice_make((uint8_t *)body, sizeof(body)), &r);
    o.client->step(o.client, now_ns);
    o.client->step(o.client, now_ns + NS_PER_S - 1);
    CHECK(r.times == 0);
    o.client->step(o.client, now_ns + NS_PER_S);
    CHECK(r.times == 1 && r.err == ERR_IO && !strcmp(r.error, "nobody reads standard output"));
    CHECK(drain(&o, &got) == 4096);
    buf_clear(&got);
    start(&o, "stdout:", slice_str("{}\n"), &next);
    collect(&o, &got, 4);
    CHECK(next.status == 200 && is(&got, "\n{}\n"));
    buf_fini(&got);
    out_fini(&o);
}

static void what_is_cancelled_is_not_written_further_and_never_answered(void)
{
    char body[10000];
    struct result first, second, third;
    struct buf got;
    struct out o;
    uint64_t a, b;

    memset(body, 'x', sizeof(body));
    out_init(&o);
    buf_init(&got, 1 << 20, NULL);
    a = start(&o, "stdout:", slice_make((uint8_t *)body, sizeof(body)), &first);
    b = start(&o, "stdout:", slice_str("never\n"), &second);
    start(&o, "stdout:", slice_str("third\n"), &third);
    o.client->step(o.client, now_ns);
    o.client->cancel(o.client, a);
    o.client->cancel(o.client, b);
    CHECK(drain(&o, &got) == 4096);
    buf_clear(&got);
    collect(&o, &got, 7);
    CHECK(first.times == 0 && second.times == 0 && third.status == 200);
    CHECK(is(&got, "\nthird\n"));
    buf_fini(&got);
    out_fini(&o);
}

static void without_a_reader_it_is_an_error_and_an_empty_body_is_written_at_once(void)
{
    struct result r;
    struct out o;

    signal(SIGPIPE, SIG_IGN);
    out_init(&o);
    start(&o, "stdout:", slice_str(""), &r);
    o.client->step(o.client, now_ns);
    CHECK(r.times == 1 && r.status == 200);
    close(o.read_end);
    o.read_end = -1;
    start(&o, "stdout:", slice_str("x\n"), &r);
    o.client->step(o.client, now_ns);
    CHECK(r.times == 1 && r.err == ERR_IO && !strcmp(r.error, strerror(EPIPE)));
    out_fini(&o);
}

static void all_others_are_passed_on_and_there_is_a_bound(void)
{
    struct http_request request = {.method = "POST", .url = "stdout:", .timeout_ns = NS_PER_S};
    struct result r, many;
    struct out o;
    uint64_t id;
    int count = 0;

    out_init(&o);
    start(&o, "http://h/", slice_str("x"), &r);
    o.client->step(o.client, now_ns);
    o.client->step(o.client, now_ns);
    CHECK(passed_on == 1 && r.status == 204);
    start(&o, "stdout:/x", slice_str("x"), &r); /* not this one */
    o.client->cancel(o.client, start(&o, "http://h/", slice_str("x"), &many));
    while (count < 1000 && o.client->send(o.client, &request, on_done, &many, &id) == ERR_OK)
        count++;
    CHECK(count > 0 && count < 1000);
    out_fini(&o);
}

int main(void)
{
    RUN(bodies_are_written_one_behind_the_other_however_slow_the_reader_is);
    RUN(what_nobody_reads_fails_in_time_and_its_line_ends);
    RUN(what_is_cancelled_is_not_written_further_and_never_answered);
    RUN(without_a_reader_it_is_an_error_and_an_empty_body_is_written_at_once);
    RUN(all_others_are_passed_on_and_there_is_a_bound);
    return DONE();
}
