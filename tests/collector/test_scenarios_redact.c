/* Scenarios: redact at the door. What was planted is in no file, no label and no decision, while
 * spans are held, after they were kept, and over kills and reloads. */
#include "otlp/write.h"
#include "reloading.h"

#include <dirent.h>
#include <sys/stat.h>

#define PLANTED "hunter2"

#define WITH(before, policies, more)                                                               \
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"                    \
    "  journal = { ack = 'written' }, " before "\n"                                                \
    "  tail_sampling = { decision_wait = '1s', policies = { " policies " } },\n" more              \
    "  exporters = { " OTLP("a", "1", "") " } }\n"
#define DOOR(what) "processors = { received = { " what " } },"
#define KEEP       "policy 'always_sample'"
#define SEES_MASKS                                                                                 \
    "policy { name = 'sees', decide = function(trace)\n"                                           \
    "  return trace.entry:attr 'token' == '****' and keep 'masked' or drop 'original' end }"

/* A span with PLANTED `n` times in attributes of its own, and in its name and resource. */
static void put_planted(struct buf *b, uint64_t trace, int n)
{
    size_t all, scope, at;
    uint8_t id[16] = {0};

    for (int i = 0; i < 8; i++)
        id[i] = (uint8_t)(mix(trace) >> (8 * i));
    all = otlp_write_begin(b, 1);
    at = otlp_write_begin(b, 1);
    otlp_write_attr_str(b, 1, "service.name", slice_str("shop"));
    otlp_write_attr_str(b, 1, "password", slice_str(PLANTED));
    otlp_write_end(b, at);
    scope = otlp_write_begin(b, 2);
    at = otlp_write_begin(b, 2);
    wire_put_bytes(b, 1, slice_make(id, 16));
    wire_put_bytes(b, 2, slice_make(id, 8));
    wire_put_bytes(b, 5, slice_str("GET /?token=" PLANTED));
    wire_put_uint(b, 6, 2);
    wire_put_fixed64(b, 7, now_ms * 1000000);
    wire_put_fixed64(b, 8, (now_ms + 5) * 1000000);
    for (int i = 0; i < n; i++)
        otlp_write_attr_str(b, 9, "token", slice_str(PLANTED));
    otlp_write_end(b, at);
    otlp_write_end(b, scope);
    otlp_write_end(b, all);
}

static int post_planted(struct sim *s, int fd, uint64_t first, uint64_t count)
{
    struct buf body;
    int status;

    buf_init(&body, 1 << 20, NULL);
    for (uint64_t i = 0; i < count; i++)
        put_planted(&body, first + i, 1);
    status = sim_post(s, fd, buf_slice(&body));
    buf_fini(&body);
    return status;
}

/* ---- what lies on the disk ---- */

struct found {
    size_t planted, masks, files;
};

static size_t count_in(const char *data, size_t len, const char *what)
{
    const char *at = data, *end = data + len, *hit;
    size_t n = 0;

    while (at < end && (hit = memmem(at, (size_t)(end - at), what, strlen(what)))) {
        at = hit + 1;
        n++;
    }
    return n;
}

static void look_into(const char *path, struct found *f)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    char *data;

    if (!file)
        return;
    if (fstat(fileno(file), &st) == 0 && (data = malloc((size_t)st.st_size + 1))) {
        size_t len = fread(data, 1, (size_t)st.st_size, file);

        f->planted += count_in(data, len, PLANTED);
        f->masks += count_in(data, len, "****");
        f->files++;
        free(data);
    }
    (void)fclose(file);
}

static void look_below(const char *folder, struct found *f)
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    char path[1024];

    while (dir && (e = readdir(dir))) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, "config.lua") == 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        if (e->d_type == DT_DIR)
            look_below(path, f);
        else
            look_into(path, f);
    }
    if (dir)
        (void)closedir(dir);
}

static struct found on_disk(const struct sim *s)
{
    struct found f = {0};

    look_below(s->folder, &f);
    return f;
}

static uint64_t redacted(const struct sim *s, const char *processor)
{
    const struct policy_shared *shared = collector_policy_shared(s->collector);
    const char *name, *rule;
    uint64_t count, sum = 0;
    size_t at = 0;

    while (processor_redacted_next(shared, &at, &name, &rule, &count))
        if (strcmp(name, processor) == 0)
            sum += count;
    return sum;
}

static bool backend_has(const struct backend *b, const char *text)
{
    const struct buf *body = &b->body[1];

    return body->len > 0 && memmem(body->data, body->len, text, strlen(text));
}

/* ---- scenarios ---- */

/* Without it the same search finds what was planted: the journal has what came. */
static void without_it_the_journal_has_what_came(void)
{
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, WITH("processors = { kept = { processor 'redact' {} } },", KEEP, ""));
    CHECK(post_planted(&s, sim_connect(&s), 1, 2) == 200);
    CHECK(on_disk(&s).planted == 2 * 3);
    sim_fini(&s);
    backend_fini(&b);
}

static void no_file_has_an_original_while_spans_are_held_nor_after(unsigned cpus)
{
    struct backend b;
    struct sim s;
    struct found f;

    backend_init(&b);
    sim_init(&s,
             &(struct sim_options){.config = WITH(DOOR("processor 'redact' {}"), SEES_MASKS, ""),
                                   .cpus = cpus,
                                   .serve = backend_serve,
                                   .serve_arg = &b});
    CHECK(post_planted(&s, sim_connect(&s), 1, 20) == 200);
    f = on_disk(&s);
    CHECK(f.planted == 0 && f.masks == 3 * 20);
    sim_run(&s, 5 * NS_PER_S);
    CHECK(sim_kept(&s, "sees", "masked") == 20 && sim_ledger(&s)->pending == 0);
    f = on_disk(&s);
    CHECK(f.planted == 0 && f.masks > 0);
    CHECK(backend_read(&b, 1) == 20 && !backend_has(&b, PLANTED));
    CHECK(redacted(&s, "redact") == 3 * 20);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void no_file_has_an_original(void)
{
    no_file_has_an_original_while_spans_are_held_nor_after(1);
    no_file_has_an_original_while_spans_are_held_nor_after(2);
}

static void after_a_kill_all_is_as_it_was_redacted(void)
{
    struct backend b;
    struct sim s;

    sim_with_backend(&s, &b, WITH(DOOR("processor 'redact' {}"), SEES_MASKS, ""));
    CHECK(post_planted(&s, sim_connect(&s), 1, 5) == 200);
    sim_kill(&s);
    sim_start(&s);
    CHECK(sim_ledger(&s)->pending == 5 && on_disk(&s).planted == 0);
    sim_run(&s, 5 * NS_PER_S);
    CHECK(sim_kept(&s, "sees", "masked") == 5 && backend_read(&b, 1) == 5);
    CHECK(!backend_has(&b, PLANTED));
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* The originals of before are gone with their spans; those that come after are never there. */
static void a_reload_brings_it_and_takes_it_away(void)
{
    struct backend b;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, WITH("", SEES_MASKS, ""));
    fd = sim_connect(&s);
    CHECK(post_planted(&s, fd, 1, 1) == 200 && on_disk(&s).planted == 3);
    sim_write(&s, WITH(DOOR("processor 'redact' {}"), SEES_MASKS, ""));
    CHECK(reload(&s));
    CHECK(post_planted(&s, fd, 2, 1) == 200 && on_disk(&s).planted == 3);
    sim_write(&s, WITH("", SEES_MASKS, ""));
    CHECK(reload(&s));
    CHECK(post_planted(&s, fd, 3, 1) == 200 && on_disk(&s).planted == 2 * 3);
    sim_run(&s, 5 * NS_PER_S);
    CHECK(sim_kept(&s, "sees", "masked") == 1);
    CHECK(sim_dropped(&s, "sees", "original") == 2);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

/* What is dropped at the door is in the body that is written. */
static void others_at_the_door_see_what_it_left(void)
{
    struct backend b;
    struct sim s;

    sim_with_backend(
        &s, &b,
        WITH(DOOR("processor 'drop_at_door' { when = match { name = 'GET /?token=****' } },\n"
                  "processor 'redact' {}, processor 'redact/own' { values = { shop = 'shop' } }"),
             KEEP, ""));
    CHECK(post_planted(&s, sim_connect(&s), 1, 3) == 200);
    CHECK(sim_ledger(&s)->pending == 0 && on_disk(&s).planted == 0);
    CHECK(redacted(&s, "redact") == 3 * 3 && redacted(&s, "redact/own") == 3);
    balanced(&s);
    sim_fini(&s);
    backend_fini(&b);
}

static void span_metrics_count_under_redacted_names(void)
{
    struct backend b;
    struct buf page;
    struct sim s;

    sim_with_backend(
        &s, &b,
        WITH(DOOR("processor 'redact' {}"), KEEP, "span_metrics = { dimensions = { 'token' } },"));
    CHECK(post_planted(&s, sim_connect(&s), 1, 2) == 200);
    buf_init(&page, 1 << 20, NULL);
    CHECK(collector_write_span_metrics(s.collector, true, &page) == 200);
    CHECK(count_in((const char *)page.data, page.len, "GET /?token=****") > 0);
    CHECK(count_in((const char *)page.data, page.len, "token=\"****\"") > 0);
    CHECK(count_in((const char *)page.data, page.len, PLANTED) == 0);
    buf_fini(&page);
    sim_fini(&s);
    backend_fini(&b);
}

/* 7 bytes become 37: more than there is room for, so nothing of it is stored. */
static void a_body_that_grows_is_taken_unless_it_is_nearly_all_secrets(void)
{
    static const char config[] =
        WITH(DOOR("processor 'redact' { action = 'hmac', hmac_key = ('k'):rep(32) }"), KEEP, "");
    struct backend b;
    struct buf body;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, config);
    fd = sim_connect(&s);
    buf_init(&body, 1 << 20, NULL);
    put_planted(&body, 1, 20);
    CHECK(sim_post(&s, fd, buf_slice(&body)) == 200);
    buf_clear(&body);
    put_planted(&body, 2, 2000);
    CHECK(sim_post(&s, fd, buf_slice(&body)) == 400);
    CHECK(strstr(s.answer, "twice as long") && on_disk(&s).planted == 0);
    CHECK(redacted(&s, "redact") == 22);
    CHECK(sim_ledger(&s)->pending == 1);
    balanced(&s);
    buf_fini(&body);
    sim_fini(&s);
    backend_fini(&b);
}

static void what_no_scan_takes_is_refused_as_ever(void)
{
    struct backend b;
    struct buf body;
    struct sim s;
    int fd;

    sim_with_backend(&s, &b, WITH(DOOR("processor 'redact' {}"), KEEP, ""));
    buf_init(&body, 1 << 20, NULL);
    put_planted(&body, 1, 1);
    body.len--;
    fd = sim_connect(&s);
    CHECK(sim_post(&s, fd, buf_slice(&body)) == 400);
    CHECK(on_disk(&s).planted == 0 && sim_ledger(&s)->pending == 0);
    CHECK(post_planted(&s, fd, 2, 1) == 200 && on_disk(&s).planted == 0);
    balanced(&s);
    buf_fini(&body);
    sim_fini(&s);
    backend_fini(&b);
}

int main(void)
{
    RUN(without_it_the_journal_has_what_came);
    RUN(no_file_has_an_original);
    RUN(after_a_kill_all_is_as_it_was_redacted);
    RUN(a_reload_brings_it_and_takes_it_away);
    RUN(others_at_the_door_see_what_it_left);
    RUN(span_metrics_count_under_redacted_names);
    RUN(a_body_that_grows_is_taken_unless_it_is_nearly_all_secrets);
    RUN(what_no_scan_takes_is_refused_as_ever);
    return DONE();
}
