/* What asks the pages of health, on real sockets of 127.0.0.1. */
#include "admin/admin.h"
#include "check.h"

#include <pthread.h>
#include <string.h>

static struct {
    struct loop *loop;
    struct admin *admin;
    char bound[64];
} t;

struct question {
    const char *address, *path;
    struct buf answer;
    struct err_info info;
    enum err err;
    int status;
    _Atomic bool done;
};

static int livez(void *arg, struct buf *out)
{
    (void)arg;
    buf_str(out, "ok\n");
    return 200;
}

static int readyz(void *arg, bool verbose, struct buf *out)
{
    (void)arg;
    buf_str(out, verbose ? "memory is full\n" : "no\n");
    return 503;
}

static int metrics(void *arg, bool openmetrics, struct buf *out)
{
    (void)arg;
    (void)openmetrics;
    for (int i = 0; i < 5000; i++)
        buf_str(out, "moontail_up 1\n");
    return 200;
}

static enum err control(void *arg, struct slice command, struct buf *out)
{
    (void)arg;
    buf_append(out, command.data, command.len);
    return ERR_OK;
}

static void start(void)
{
    const struct admin_callbacks callbacks = {
        .livez = livez, .readyz = readyz, .metrics = metrics, .control = control};
    struct err_info info = {0};

    t.loop = loop_new(clock_system());
    CHECK(!admin_new(t.loop, "127.0.0.1:0", NULL, &callbacks, t.bound, &t.admin, &info));
}

static void stop(void)
{
    admin_free(t.admin);
    loop_free(t.loop);
}

static void *ask_main(void *arg)
{
    struct question *q = arg;

    q->err = admin_probe(q->address, q->path, 20 * NS_PER_S, &q->status, &q->answer, &q->info);
    q->done = true;
    loop_wake(t.loop);
    return NULL;
}

/* On a thread of its own while the loop turns; the answer keeps at most `max` bytes. */
static void ask(struct question *q, size_t max)
{
    pthread_t thread;

    buf_init(&q->answer, max, NULL);
    CHECK(pthread_create(&thread, NULL, ask_main, q) == 0);
    while (!q->done)
        loop_wait(t.loop, clock_now_ns(clock_system()) + NS_PER_S);
    pthread_join(thread, NULL);
}

static void a_page_comes_with_its_status(void)
{
    struct question live = {.address = t.bound, .path = "/livez"};
    struct question ready = {.address = t.bound, .path = "/readyz?verbose"};
    struct question page = {.address = t.bound, .path = "/metrics"};

    start();
    ask(&live, 1000);
    CHECK(!live.err && live.status == 200 && slice_is(buf_slice(&live.answer), "ok\n"));
    ask(&ready, 1000);
    CHECK(!ready.err && ready.status == 503);
    CHECK(slice_is(buf_slice(&ready.answer), "memory is full\n"));
    ask(&page, 1 << 20);
    CHECK(!page.err && page.status == 200 && page.answer.len == 5000 * strlen("moontail_up 1\n"));
    buf_fini(&live.answer);
    buf_fini(&ready.answer);
    buf_fini(&page.answer);
    stop();
}

static void all_addresses_mean_this_machine(void)
{
    struct question short_form = {.path = "/livez"}, long_form = {.path = "/livez"};
    char first[64], second[64];

    start();
    snprintf(first, sizeof(first), ":%s", strrchr(t.bound, ':') + 1);
    snprintf(second, sizeof(second), "0.0.0.0:%s", strrchr(t.bound, ':') + 1);
    short_form.address = first;
    long_form.address = second;
    ask(&short_form, 1000);
    ask(&long_form, 1000);
    CHECK(!short_form.err && short_form.status == 200);
    CHECK(!long_form.err && long_form.status == 200);
    buf_fini(&short_form.answer);
    buf_fini(&long_form.answer);
    stop();
}

static void an_answer_above_the_bound_is_an_error(void)
{
    struct question page = {.address = t.bound, .path = "/metrics"};

    start();
    ask(&page, 1000);
    CHECK(page.err == ERR_FULL && strstr(page.info.text, "too large"));
    buf_fini(&page.answer);
    stop();
}

static void nobody_and_no_address_are_sentences(void)
{
    struct err_info info = {0};
    struct buf answer;
    char gone[64];
    int status;

    start();
    snprintf(gone, sizeof(gone), "%s", t.bound);
    stop();
    buf_init(&answer, 1000, NULL);
    CHECK(admin_probe(gone, "/livez", NS_PER_S, &status, &answer, &info) == ERR_IO);
    CHECK(strstr(info.text, gone) && strstr(info.text, "refused"));
    CHECK(admin_probe("localhost", "/livez", NS_PER_S, &status, &answer, &info) == ERR_CONFIG);
    CHECK(admin_probe("a host:1", "/livez", NS_PER_S, &status, &answer, &info) == ERR_CONFIG);
    CHECK(strstr(info.text, "a host:1: not an address"));
    CHECK(admin_probe("127.0.0.1:65536", "/livez", NS_PER_S, &status, &answer, &info) ==
          ERR_CONFIG);
    CHECK(admin_probe("127.0.0.1:0", "/livez", NS_PER_S, &status, &answer, &info) == ERR_CONFIG);
    buf_fini(&answer);
}

int main(void)
{
    RUN(a_page_comes_with_its_status);
    RUN(all_addresses_mean_this_machine);
    RUN(an_answer_above_the_bound_is_an_error);
    RUN(nobody_and_no_address_are_sentences);
    return DONE();
}
