/* Exporters whose queue is on disk only, because memory is short. */
#include "export/exporter.h"
#include "journal/format.h"
#include "rig.h"

#include <fcntl.h>

extern struct exporter_type exporter_otlp; /* linked in: it registers itself */
static const struct exporter_type *const linked[] __attribute__((used)) = {&exporter_otlp};

enum { MEMORY = 2 << 20, TRACES = 400, SPANS = 20, SPAN_BYTES = 1000 };

struct backends {
    bool down[2]; /* http://0, http://1 */
};

static uint64_t serve(void *arg, const struct http_request *request, struct http_answer *answer)
{
    const struct backends *b = arg;

    if (b->down[request->url[strlen("http://")] - '0'])
        answer->err = ERR_IO;
    else
        answer->status = 200;
    return NS_PER_MS;
}

#define EXPORTER(n, more)                                                                          \
    "exporter 'otlp/" n "' { endpoint = 'http://" n "', protocol = 'http/protobuf', " more " }"
#define ONE(more) "return { " EXPORTER("0", more) " }"
#define TWO                                                                                        \
    "return { " EXPORTER("0", "batch = { max_spans = 70 }") ", " EXPORTER(                         \
        "1", "batch = { max_spans = 15 }") " }"

static struct journal_stats stats_of(const struct rig *r)
{
    struct journal_stats s;

    journal_stats(r->journal, &s);
    return s;
}

static uint64_t most_bytes; /* that the outbox had in memory */

/* Every fifth trace is for the second exporter too. */
static void fill(struct rig *r)
{
    for (unsigned i = 0; i < TRACES; i++) {
        rig_keep_mask(r, SPANS, SPAN_BYTES, i % 5 == 0 ? 3 : 1);
        if (i % 10 == 0)
            rig_run(r, NS_PER_MS);
        most_bytes = stats_of(r).outbox_bytes > most_bytes ? stats_of(r).outbox_bytes : most_bytes;
    }
    rig_run(r, 5 * NS_PER_S);
}

/* Until nothing is queued. */
static void drain(struct rig *r, size_t exporter)
{
    for (unsigned i = 0; rig_stats(r, exporter).queued > 0 && i < 20000; i++)
        rig_run(r, 10 * NS_PER_MS);
}

static void on_decision(void *arg, const struct decision_record *d)
{
    (void)arg, (void)d;
}

static uint32_t on_frame(void *arg, const struct recovered_frame *f)
{
    (void)arg, (void)f;
    return 0;
}

static void a_queue_on_disk_is_delivered_once_to_each_at_its_own_time(void)
{
    struct backends b = {.down = {true, true}};
    struct rig r;
    uint64_t spilled;

    CHECK(rig_open(&r, TWO, http_client_fake(serve, &b)));
    fill(&r);
    spilled = stats_of(&r).spilled_bytes;
    CHECK(spilled > (uint64_t)TRACES * SPANS * SPAN_BYTES / 2);
    CHECK(stats_of(&r).outbox_bytes <= 2 * MEMORY);
    CHECK(rig_stats(&r, 0).queued == TRACES * SPANS);
    b.down[1] = false; /* few traces all over the queue, one piece at a time */
    drain(&r, 1);
    CHECK(rig_stats(&r, 1).delivered == TRACES / 5 * SPANS && rig_stats(&r, 1).failures > 0);
    CHECK(rig_stats(&r, 0).queued == TRACES * SPANS);
    CHECK(stats_of(&r).spilled_bytes >= spilled - MEMORY);
    b.down[0] = false;
    drain(&r, 0);
    CHECK(rig_stats(&r, 0).delivered == TRACES * SPANS);
    CHECK(stats_of(&r).loaded > 0 && stats_of(&r).spilled_bytes == 0);
    rig_close(&r);
}

static void what_is_given_up_for_a_full_queue_is_read_back_to_be_counted(void)
{
    const uint64_t bound = 1 << 20;
    struct backends b = {.down = {true}};
    struct rig r;

    CHECK(rig_open(&r, ONE("queue = { max_size = '1MiB' }, batch = { max_spans = 40 }"),
                   http_client_fake(serve, &b)));
    r.memory.soft_limit = 0; /* all of it is on disk that can be */
    most_bytes = 0;
    fill(&r);
    CHECK(most_bytes < 10 * RIG_SEGMENT); /* it comes back one after the other */
    rig_run(&r, 10 * NS_PER_S);
    CHECK(stats_of(&r).spilled > 0);
    CHECK(rig_stats(&r, 0).queue_bytes <= bound && rig_stats(&r, 0).queued > 0);
    CHECK(rig_stats(&r, 0).queued + rig_stats(&r, 0).lost_outbox_full == TRACES * SPANS);
    b.down[0] = false;
    drain(&r, 0);
    CHECK(rig_stats(&r, 0).delivered + rig_stats(&r, 0).lost_outbox_full == TRACES * SPANS);
    rig_close(&r);
}

static void a_large_record_on_disk_is_sent_in_its_parts(void)
{
    struct backends b = {.down = {true}};
    struct rig r;

    CHECK(rig_open(&r, ONE("batch = { max_spans = 7 }"), http_client_fake(serve, &b)));
    r.memory.soft_limit = 0;
    fill(&r);
    CHECK(stats_of(&r).spilled_bytes > 0);
    b.down[0] = false;
    drain(&r, 0);
    CHECK(rig_stats(&r, 0).delivered == TRACES * SPANS);
    rig_close(&r);
}

/* Overwrites a byte in each fourth page of all files: headers of segments are left alone. */
static void damage(struct rig *r)
{
    struct disk *d = &r->disk.disk;

    for (int file = 1; file < 100; file++) {
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "/j/segments-%08d", file);
        if (d->open(d, path, O_RDWR, 0, &fd, NULL) != ERR_OK)
            continue;
        for (uint64_t at = RIG_SEGMENT / 2; at < 4 * RIG_SEGMENT; at += RIG_SEGMENT)
            CHECK(d->pwrite(d, fd, "damage", 6, at + 100, NULL) == ERR_OK);
        d->close(d, fd);
    }
}

static void what_was_damaged_on_disk_counts_as_lost_and_the_rest_arrives(void)
{
    struct backends b = {.down = {true, true}};
    struct rig r;

    CHECK(rig_open(&r, TWO, http_client_fake(serve, &b)));
    fill(&r);
    damage(&r);
    b.down[0] = b.down[1] = false;
    for (unsigned i = 0; i < 4000; i++)
        rig_run(&r, 10 * NS_PER_MS);
    for (size_t i = 0; i < 2; i++) {
        struct export_stats s = rig_stats(&r, i);

        CHECK(s.queued == 0 && s.lost_damaged > 0 && s.delivered > s.enqueued / 4);
        CHECK(s.delivered + s.lost_damaged == s.enqueued);
    }
    rig_close(&r);
}

/* Ends as it is, and goes on with what is on disk, of which nothing fits into memory. */
static void restart(struct rig *r, struct backends *b)
{
    struct recovery to = {.arg = r, .decision = on_decision, .frame = on_frame};
    struct journal_recovered found;

    export_free(r->export);
    journal_free(r->journal);
    exporter_specs_unref(r->specs);
    r->http->free(r->http);
    r->memory.soft_limit = 0;
    CHECK(rig_go(r, TWO, http_client_fake(serve, b)));
    r->memory.soft_limit = 0;
    CHECK(journal_recover(r->journal, &to, r->clock.now, &found, &r->info) == ERR_OK);
    export_recover(r->export);
}

/* The last region of the outbox has nothing left but its header. */
static void damage_the_end(struct rig *r)
{
    static const uint8_t damage[RIG_SEGMENT - FORMAT_PAGE];
    struct disk *d = &r->disk.disk;
    uint64_t newest = 0, at_of_it = 0;
    char path[64], path_of_it[64] = "";
    struct segment_header h;
    size_t got;
    int fd;

    for (int file = 1; file < 100; file++) {
        snprintf(path, sizeof(path), "/j/segments-%08d", file);
        if (d->open(d, path, O_RDONLY, 0, &fd, NULL) != ERR_OK)
            continue;
        for (uint64_t at = 0; at < 4 * RIG_SEGMENT; at += RIG_SEGMENT)
            if (d->pread(d, fd, &h, sizeof(h), at, &got, NULL) == ERR_OK && got == sizeof(h) &&
                h.use == USE_OUTBOX && h.state == SEGMENT_LIVE && h.ordinal >= newest) {
                newest = h.ordinal;
                at_of_it = at;
                memcpy(path_of_it, path, sizeof(path));
            }
        d->close(d, fd);
    }
    CHECK(d->open(d, path_of_it, O_RDWR, 0, &fd, NULL) == ERR_OK);
    CHECK(d->pwrite(d, fd, damage, sizeof(damage), at_of_it + FORMAT_PAGE, NULL) == ERR_OK);
    d->close(d, fd);
}

static void a_queue_whose_end_is_damaged_ends_there(void)
{
    struct backends b = {.down = {true, true}};
    struct rig r;

    CHECK(rig_open(&r, TWO, http_client_fake(serve, &b)));
    fill(&r);
    restart(&r, &b);
    CHECK(rig_stats(&r, 0).queued == TRACES * SPANS);
    damage_the_end(&r);
    b.down[0] = b.down[1] = false;
    for (unsigned i = 0; i < 4000; i++)
        rig_run(&r, 10 * NS_PER_MS);
    for (size_t i = 0; i < 2; i++) {
        struct export_stats s = rig_stats(&r, i);

        CHECK(s.queued == 0 && s.queue_bytes == 0 && (i > 0 || s.lost_damaged > 0));
        CHECK(s.delivered + s.lost_damaged == s.recovered && s.delivered > s.lost_damaged);
    }
    CHECK(export_is_idle(r.export));
    rig_close(&r);
}

int main(void)
{
    rig_files_memory = MEMORY;
    RUN(a_queue_on_disk_is_delivered_once_to_each_at_its_own_time);
    RUN(what_is_given_up_for_a_full_queue_is_read_back_to_be_counted);
    RUN(a_large_record_on_disk_is_sent_in_its_parts);
    RUN(what_was_damaged_on_disk_counts_as_lost_and_the_rest_arrives);
    RUN(a_queue_whose_end_is_damaged_ends_there);
    return DONE();
}
