/* The log of decisions is lost, and made again from the outbox: all of it, whatever its size; or,
 * where the disk has no room for it, with a count. */
#include "base/crc32c.h"
#include "journal/files.h"
#include "journal/regions.h"

enum { KEEPS = 220, SOURCES = 2000 }; /* three or four entries of so many fill a segment */

static struct journal *open_with(void)
{
    return journal_made(&(struct journal_config){.workers = 1,
                                                 .exporters = 2,
                                                 .segment_bytes = SEGMENT,
                                                 .memory = &memory,
                                                 .clock = &fake.clock,
                                                 .ack = ACK_WRITTEN,
                                                 .disk = &disk.disk,
                                                 .path = "/j",
                                                 .file_bytes = IN_FILE * SEGMENT,
                                                 .max_bytes = 200 * SEGMENT,
                                                 .wait_ns = 10 * NS_PER_S,
                                                 .decision_cache = 1000,
                                                 .salt_seed = 7,
                                                 .names = &names});
}

static struct journal *recover_all(struct found *f)
{
    struct journal *j = open_with();
    struct recovery to = {.arg = f, .decision = on_decision, .frame = on_frame};

    *f = (struct found){.journal = j};
    CHECK(journal_recover(j, &to, fake.now, &f->counts, NULL) == ERR_OK);
    return j;
}

static void step(struct journal *j)
{
    for (unsigned i = 0; i < 4; i++) {
        fake_clock_advance(&fake, 100 * NS_PER_MS);
        journal_step(j, fake.now);
    }
}

static void keep(struct journal *j, uint32_t number)
{
    struct decision_record d = {
        .keep = true, .label = 1, .spans = 1, .exporters = 1, .payload_spans = 1};
    uint64_t sources[SOURCES];
    struct decision_details details = {.sources = sources, .source_count = SOURCES};
    struct buf payload;

    for (uint64_t i = 0; i < SOURCES; i++)
        sources[i] = number * UINT64_C(100000) + i;
    memcpy(d.trace_id, &number, sizeof(number));
    buf_init(&payload, 1024, NULL);
    buf_append(&payload, "x", 1);
    CHECK(journal_decide(journal_writer(j, 0, NULL), &d, &details, &payload) > 0);
    buf_fini(&payload);
    step(j);
}

/* Its regions are free at the start, or others' until it ends. */
static void lose_the_log(bool is_taken)
{
    struct segment_header h;
    unsigned lost = 0;

    for (unsigned i = 0; i < REGIONS; i++) {
        if (read_region(i, &h, sizeof(h)) != ERR_OK || h.use != USE_DECISIONS)
            continue;
        h.use = USE_FRAMES;
        h.salt++;
        h.crc = is_taken ? crc32c(0, &h, offsetof(struct segment_header, crc)) : 0;
        write_region(i, &h, sizeof(h));
        lost++;
    }
    CHECK(lost > DIRTY_MAX);
}

static void fill_and_lose(bool is_taken)
{
    struct journal *j = (begin(), open_with());

    for (uint32_t i = 1; i <= KEEPS; i++)
        keep(j, i);
    kill_journal(j);
    lose_the_log(is_taken);
}

/* Everything is sent: what is known then is in the log alone. */
static void send_all(struct journal *j)
{
    struct outbox_item item;
    uint64_t at = outbox_acked(j, 0);

    while (outbox_look(j, at, &item) == OUTBOX_HERE)
        at = item.next;
    outbox_ack(j, 0, at);
    outbox_ack(j, 1, at);
    step(j);
}

static void the_log_is_made_again_whatever_its_size(void)
{
    struct journal *j;
    struct found f;

    fill_and_lose(false);
    j = recover_all(&f);
    CHECK(f.decisions == KEEPS && f.counts.unlogged == 0);
    step(j);
    send_all(j);
    kill_journal(j);
    j = recover_all(&f);
    CHECK(f.decisions == KEEPS);
    end(j);
}

static void what_the_log_has_no_room_for_is_counted(void)
{
    struct journal *j;
    struct found f;

    fill_and_lose(true);
    disk.full = true;
    j = recover_all(&f);
    CHECK(f.decisions == KEEPS);
    CHECK(f.counts.unlogged > 0 && f.counts.unlogged < KEEPS);
    send_all(j);
    kill_journal(j);
    j = recover_all(&f);
    CHECK(f.decisions > 0 && f.decisions < KEEPS);
    end(j);
}

int main(void)
{
    RUN(the_log_is_made_again_whatever_its_size);
    RUN(what_the_log_has_no_room_for_is_counted);
    return DONE();
}
