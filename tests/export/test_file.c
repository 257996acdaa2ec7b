#include "export/exporter.h"
#include "rig.h"

#include <fcntl.h>

extern struct exporter_type exporter_file, exporter_nop; /* linked in: they register themselves */
static const struct exporter_type *const linked[]
    __attribute__((used)) = {&exporter_file, &exporter_nop};

static char *contents(struct rig *r, const char *path)
{
    char *data = NULL;
    size_t len;

    if (disk_read_file(&r->disk.disk, path, 1 << 24, &data, &len, NULL) != ERR_OK)
        return NULL;
    return data;
}

/* Lines that begin and end as a request does; -1: there is a broken one, or no file. */
static int lines_in(struct rig *r, const char *path)
{
    char *text = contents(r, path), *at = text;
    int lines = 0;

    if (!text)
        return -1;
    for (char *end; *at; at = end + 1, lines++) {
        end = strchr(at, '\n');
        if (!end || strncmp(at, "{\"resourceSpans\":[", 18) != 0 || end[-1] != '}') {
            free(text);
            return -1;
        }
    }
    free(text);
    return lines;
}

static void a_batch_is_one_line(void)
{
    struct rig r;
    char *text;

    CHECK(rig_open(&r, "return { exporter 'file' { path = '/out/t.json' } }", NULL));
    rig_keep(&r, 3, 10);
    rig_keep(&r, 2, 10);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(lines_in(&r, "/out/t.json") == 1);
    rig_keep(&r, 1, 10);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(lines_in(&r, "/out/t.json") == 2);
    CHECK(rig_stats(&r, 0).delivered == 6);
    text = contents(&r, "/out/t.json");
    CHECK(text && strstr(text, "\"schemaUrl\":\"another\""));
    free(text);
    rig_close(&r);
}

#define SMALL                                                                                      \
    "return { exporter 'file' { path = '/t', max_size = '4KiB', max_files = 3, "                   \
    "batch = { timeout = '0s' } } }"

static void files_are_rotated_by_size_and_the_oldest_goes(void)
{
    struct rig r;

    CHECK(rig_open(&r, SMALL, NULL));
    for (int i = 0; i < 5; i++) {
        rig_keep(&r, 1, 3000);
        rig_run(&r, NS_PER_S);
    }
    CHECK(lines_in(&r, "/t") == 1 && lines_in(&r, "/t.1") == 1 && lines_in(&r, "/t.2") == 1);
    CHECK(lines_in(&r, "/t.3") == -1 && rig_stats(&r, 0).delivered == 5);
    rig_close(&r);
}

static void a_full_disk_loses_nothing_and_breaks_no_line(void)
{
    struct rig r;
    uint64_t delivered;

    for (unsigned fail_at = 1; fail_at < 16; fail_at++) {
        CHECK(rig_open(&r, SMALL, NULL));
        rig_keep(&r, 1, 3000);
        rig_run(&r, NS_PER_S);
        r.disk.fail_at = fail_at;
        r.disk.fail_as = ERR_FULL;
        for (int i = 0; i < 2; i++) {
            rig_keep(&r, 1, 3000);
            rig_run(&r, 60 * NS_PER_S);
        }
        delivered = rig_stats(&r, 0).delivered;
        CHECK(delivered == 3);
        CHECK(lines_in(&r, "/t") == 1 && lines_in(&r, "/t.1") == 1);
        rig_close(&r);
    }
}

static void a_line_that_a_crash_cut_off_is_ended(void)
{
    struct rig r;
    struct err_info info;
    char *text;
    int fd;

    rig_base(&r);
    CHECK(r.disk.disk.open(&r.disk.disk, "/t", 01 | 0100, 0600, &fd, &info) == ERR_OK);
    CHECK(r.disk.disk.pwrite(&r.disk.disk, fd, "{\"reso", 6, 0, &info) == ERR_OK);
    r.disk.disk.close(&r.disk.disk, fd);
    CHECK(rig_go(&r, "return { exporter 'file' { path = '/t' } }", NULL));
    rig_keep(&r, 1, 10);
    rig_run(&r, 2 * NS_PER_S);
    text = contents(&r, "/t");
    CHECK(text && strncmp(text, "{\"reso\n{\"resourceSpans\"", 23) == 0);
    free(text);
    rig_close(&r);
}

#define EACH "return { exporter 'file' { path = '/t', batch = { timeout = '0s' } } }"

static void keep_one(struct rig *r)
{
    rig_keep(r, 1, 10);
    rig_run(r, NS_PER_S);
}

static void a_file_that_others_rename_or_remove_is_made_again(void)
{
    struct rig r;
    struct disk *d;

    CHECK(rig_open(&r, EACH, NULL));
    d = &r.disk.disk;
    keep_one(&r);
    CHECK(d->rename(d, "/t", "/rotated", NULL) == ERR_OK);
    keep_one(&r);
    keep_one(&r);
    CHECK(lines_in(&r, "/rotated") == 1 && lines_in(&r, "/t") == 2);
    CHECK(d->unlink(d, "/t", NULL) == ERR_OK);
    keep_one(&r);
    CHECK(lines_in(&r, "/t") == 1 && rig_stats(&r, 0).delivered == 4);
    rig_close(&r);
}

static void a_file_that_others_empty_is_filled_from_its_start(void)
{
    struct rig r;
    struct disk *d;
    int fd;

    CHECK(rig_open(&r, EACH, NULL));
    d = &r.disk.disk;
    keep_one(&r);
    CHECK(d->open(d, "/t", O_WRONLY | O_TRUNC, 0, &fd, NULL) == ERR_OK);
    keep_one(&r);
    CHECK(lines_in(&r, "/t") == 1);
    d->close(d, fd);
    rig_close(&r);
}

static void a_file_that_can_not_be_made_is_said_at_start(void)
{
    struct rig r;

    rig_base(&r);
    r.disk.fail_at = 1;
    r.disk.fail_as = ERR_IO;
    CHECK(!rig_go(&r, "return { exporter 'file' { path = '/t' } }", NULL));
    CHECK(strstr(r.info.text, "/t"));
    rig_close(&r);
}

static void nop_takes_everything_at_once(void)
{
    struct rig r;

    CHECK(rig_open(&r, "return { exporter 'nop' { batch = { timeout = '0s' } }, exporter 'nop/b' }",
                   NULL));
    for (int i = 0; i < 5000; i++)
        rig_keep_mask(&r, 2, 10, 3);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(rig_stats(&r, 0).delivered == 10000 && rig_stats(&r, 1).delivered == 10000);
    CHECK(export_is_idle(r.export));
    CHECK(strcmp(exporter_specs_name(r.specs, 1), "nop/b") == 0);
    rig_close(&r);
}

/* A type that only this file knows: nothing else is edited for it. */
struct own_options {
    struct exporter_common common;
    uint64_t spans;
};

static uint64_t own_spans;
static struct {
    size_t len, cap;
} own_bodies[2]; /* that were sent, by exporter */

static enum err own_open(struct exporter *x, const void *options, void **self,
                         struct err_info *info)
{
    (void)x, (void)info;
    own_spans = ((const struct own_options *)options)->spans;
    *self = &own_spans;
    return ERR_OK;
}

static void own_close(void *self)
{
    (void)self;
}

static void own_send(void *self, struct part *part, uint64_t now_ns)
{
    const struct sent_result r = {.how = SENT_DELIVERED, .answered = true};

    (void)now_ns;
    *(uint64_t *)self += part->items;
    own_bodies[part->batch->exporter->index].len += part->body.len;
    own_bodies[part->batch->exporter->index].cap += part->body.cap;
    exporter_sent(part, &r);
}

static const struct schema_field own_fields[] = {
    {.path = "spans",
     .type = SCHEMA_INTEGER,
     .fallback = "0",
     .doc = "to begin with",
     .offset = offsetof(struct own_options, spans)},
};

EXPORTER_TYPE(exporter_own, .name = "own", .doc = "counts", .fields = own_fields, .field_count = 1,
              .options_size = sizeof(struct own_options), .open = own_open, .close = own_close,
              .send = own_send);

static void a_new_type_is_one_file(void)
{
    struct rig r;

    CHECK(rig_open(&r, "return { exporter 'own' { spans = 40 } }", NULL));
    rig_keep(&r, 2, 10);
    rig_run(&r, 2 * NS_PER_S);
    CHECK(own_spans == 42);
    rig_close(&r);
}

EXPORTER_TYPE(exporter_bodiless, .name = "bodiless", .doc = "counts",
              .options_size = sizeof(struct own_options), .needs_no_body = true, .open = own_open,
              .close = own_close, .send = own_send);

static void a_type_that_looks_at_no_body_gets_none(void)
{
    struct rig r;

    memset(own_bodies, 0, sizeof(own_bodies));
    CHECK(rig_open(&r,
                   "return { exporter 'own' { batch = { max_bytes = '10KiB' } },"
                   " exporter 'bodiless' { batch = { max_bytes = '10KiB' } } }",
                   NULL));
    rig_keep_mask(&r, 2, 10, 3);
    rig_keep_mask(&r, 300, 100, 3); /* larger than a batch: it is split */
    rig_run(&r, 2 * NS_PER_S);
    CHECK(own_bodies[0].len > 300 * 100);
    CHECK(own_bodies[1].len == 0 && own_bodies[1].cap == 0);
    CHECK(rig_stats(&r, 0).delivered == 302 && rig_stats(&r, 1).delivered == 302);
    CHECK(rig_stats(&r, 1).requests == rig_stats(&r, 0).requests && rig_stats(&r, 1).requests > 2);
    CHECK(rig_stats(&r, 1).lost_damaged == 0 && export_is_idle(r.export));
    rig_close(&r);
}

int main(void)
{
    RUN(a_batch_is_one_line);
    RUN(files_are_rotated_by_size_and_the_oldest_goes);
    RUN(a_full_disk_loses_nothing_and_breaks_no_line);
    RUN(a_line_that_a_crash_cut_off_is_ended);
    RUN(a_file_that_others_rename_or_remove_is_made_again);
    RUN(a_file_that_others_empty_is_filled_from_its_start);
    RUN(a_file_that_can_not_be_made_is_said_at_start);
    RUN(nop_takes_everything_at_once);
    RUN(a_new_type_is_one_file);
    RUN(a_type_that_looks_at_no_body_gets_none);
    return DONE();
}
