/* How far each exporter is, on disk: a line "ORDINAL OFFSET NAME" each. */
#include "base/log.h"
#include "journal/acked_file.h"
#include "journal/journal_impl.h"

#include <stdio.h>
#include <stdlib.h>

/* What could not be written is tried again, less and less often while it fails. */
static const uint64_t write_every_ns = 100 * NS_PER_MS, longest_pause_ns = 2 * NS_PER_S;

static void write_lines(const struct journal *j, unsigned exporters, struct buf *text)
{
    for (unsigned i = 0; i < exporters; i++) {
        uint64_t position = atomic_load_explicit(&j->outbox.acked[i], memory_order_acquire);

        buf_printf(text, "%llu %llu %s\n", (unsigned long long)outbox_ordinal(position),
                   (unsigned long long)outbox_offset(position), j->config.names->exporters[i]);
    }
    buf_byte(text, '\0');
}

/* Where it is not there already. */
static bool store_lines(struct journal *j, const struct buf *text)
{
    struct err_info info;

    if (!buf_ok(text))
        return false;
    if (j->acked_text && strcmp(j->acked_text, (const char *)text->data) == 0)
        return true;
    if (store_write_acked(j->files.store, slice_make(text->data, text->len - 1), &info) != ERR_OK) {
        j->files.write_errors++; /* until it can be, more is sent twice after a kill */
        return false;
    }
    free(j->acked_text);
    j->acked_text = strdup((const char *)text->data);
    return true;
}

void acked_write(struct journal *j, uint64_t now_ns)
{
    unsigned exporters = outbox_exporters(&j->outbox);
    bool failed_before = j->acked_failed;
    struct buf text;

    buf_init(&text, STORE_ACKED_MAX, NULL);
    write_lines(j, exporters, &text);
    j->acked_failed = !store_lines(j, &text);
    if (!j->acked_failed)
        atomic_store_explicit(&j->acked_exporters, exporters, memory_order_release);
    buf_fini(&text);
    j->acked_ns = now_ns;
    j->acked_pause_ns = failed_before && j->acked_failed
                            ? earlier_ns(j->acked_pause_ns * 2, longest_pause_ns)
                            : write_every_ns;
}

static uint64_t sum_of_acked(const struct journal *j)
{
    uint64_t sum = 0;

    for (unsigned i = 0, n = outbox_exporters(&j->outbox); i < n; i++)
        sum += atomic_load_explicit(&j->outbox.acked[i], memory_order_relaxed);
    return sum;
}

/* There is an exporter that the file does not name: it is to be there before the first record for
 * it is, since one without a position goes on at the end. */
static bool has_grown(const struct journal *j)
{
    return outbox_exporters(&j->outbox) >
           atomic_load_explicit(&j->acked_exporters, memory_order_relaxed);
}

static bool has_moved(const struct journal *j)
{
    return sum_of_acked(j) != j->acked_sum || has_grown(j);
}

uint64_t acked_step(struct journal *j, uint64_t now_ns)
{
    if (!has_moved(j) && !j->acked_failed)
        return NEVER_NS;
    if (j->acked_ns && now_ns - j->acked_ns < j->acked_pause_ns)
        return j->acked_ns + j->acked_pause_ns;
    j->acked_sum = sum_of_acked(j);
    acked_write(j, now_ns);
    return j->acked_failed ? now_ns + j->acked_pause_ns : NEVER_NS;
}

static void resume_all(struct journal *j, const char *text)
{
    uint64_t position;

    for (unsigned i = 0; i < outbox_exporters(&j->outbox); i++)
        if (acked_find(text, j->config.names->exporters[i], &position))
            outbox_resume(&j->outbox, i, position);
}

/* All from the beginning: what they had sent may be sent again, nothing is missing. */
static void resume_at_begin(struct journal *j)
{
    for (unsigned i = 0; i < outbox_exporters(&j->outbox); i++)
        outbox_resume(&j->outbox, i, 0);
}

/* Nothing is ever appended before a position that was acked: it would be skipped. The segments that
 * it was in may be gone, or in use for something else. */
static void begin_behind(struct journal *j, const char *text)
{
    uint64_t *next = &j->files.ordinals[USE_OUTBOX];
    struct acked_line line;

    while (acked_next(&text, &line))
        if (*next <= outbox_ordinal(line.position))
            *next = outbox_ordinal(line.position) + 1;
}

enum err acked_read(struct journal *j, struct acked_past *past, struct err_info *info)
{
    size_t len = 0;
    enum err err = store_read_acked(j->files.store, past->text, &len, &past->damaged, info);

    if (err != ERR_OK)
        return err;
    past->text[len] = '\0';
    if (past->damaged)
        log_event(LOG_WARN, "the exporters' positions are damaged: what is queued is sent again");
    return ERR_OK;
}

void acked_resume(struct journal *j, const struct acked_past *past, uint64_t begin)
{
    begin_behind(j, past->text);
    outbox_start(&j->outbox, begin);
    if (past->damaged || !past->text[0])
        resume_at_begin(j);
    else
        resume_all(j, past->text);
}
