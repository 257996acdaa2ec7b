/* Decisions and the outbox on virtual time, all in one thread. */
#include "check.h"
#include "journals.h"

#include <stdlib.h>

enum { SEGMENT = 4096 };

static struct memory memory;

static struct journal *journal_of(unsigned workers, unsigned exporters)
{
    memory_init(&memory, 8 << 20, 1);
    return journal_made(&(struct journal_config){.workers = workers,
                                                 .exporters = exporters,
                                                 .segment_bytes = SEGMENT,
                                                 .memory = &memory,
                                                 .clock = clock_system()});
}

static struct journal_stats stats_of(const struct journal *j)
{
    struct journal_stats s;

    journal_stats(j, &s);
    return s;
}

/* A keep whose payload is `len` times the byte `id`. */
static uint64_t keep(struct journal_writer *w, uint8_t id, size_t len, uint64_t mask)
{
    struct decision_record d = {.trace_id = {id},
                                .keep = true,
                                .label = id,
                                .probability = 0.25,
                                .exporters = mask,
                                .payload_spans = 3};
    struct buf payload;
    uint64_t number;

    buf_init(&payload, 1 << 20, &memory);
    for (size_t i = 0; i < len; i++)
        buf_byte(&payload, id);
    number = journal_decide(w, &d, NULL, &payload);
    CHECK(payload.len == (number ? 0 : len));
    buf_fini(&payload);
    return number;
}

static uint64_t drop(struct journal_writer *w, uint8_t id)
{
    return journal_decide(w, &(struct decision_record){.trace_id = {id}, .spans = 5}, NULL, NULL);
}

static bool item_is(const struct outbox_item *item, uint8_t id, size_t len)
{
    for (size_t i = 0; i < item->payload.len; i++)
        if (item->payload.data[i] != id)
            return false;
    return item->payload.len == len && item->record.trace_id[0] == id && item->record.label == id &&
           item->record.keep && item->record.probability == 0.25;
}

static void a_decision_is_committed_by_the_journals_step(void)
{
    struct journal *j = journal_of(1, 1);
    struct journal_writer *w = journal_writer(j, 0, NULL);

    CHECK(journal_can_decide(w));
    CHECK(keep(w, 1, 10, 1) == 1 && drop(w, 2) == 2);
    CHECK(journal_decided(w) == 0 && stats_of(j).uncommitted == 2);
    CHECK(stats_of(j).in_transit[0][0] == 3 && stats_of(j).enqueued[0][0] == 0);
    journal_step(j, 0);
    CHECK(journal_decided(w) == 2 && stats_of(j).uncommitted == 0);
    CHECK(stats_of(j).in_transit[0][0] == 0 && stats_of(j).enqueued[0][0] == 3);
    journal_free(j);
    CHECK(memory_used(&memory) == 0);
}

static void each_signal_is_counted_by_itself_and_only_traces_are_remembered(void)
{
    struct journal *j = journal_of(1, 2);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    struct decision_record d = {
        .keep = true, .signal = SIGNAL_LOGS, .exporters = 2, .payload_spans = 7};
    struct decision_record recent[4];
    struct journal_stats s;

    CHECK(keep(w, 1, 10, 3) == 1 && journal_decide(w, &d, NULL, NULL) == 2);
    s = stats_of(j);
    CHECK(s.in_transit[0][1] == 3 && s.in_transit[1][1] == 0 && s.in_transit[2][1] == 7);
    CHECK(s.in_transit[2][0] == 0);
    journal_step(j, 0);
    s = stats_of(j);
    CHECK(s.enqueued[0][0] == 3 && s.enqueued[2][1] == 7 && s.enqueued[2][0] == 0);
    CHECK(s.in_transit[2][1] == 0);
    CHECK(journal_recent(j, recent, 4) == 1 && recent[0].trace_id[0] == 1);
    journal_free(j);
}

static void keeps_are_read_in_order_and_drops_are_not_there(void)
{
    struct journal *j = journal_of(1, 1);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    struct outbox_item item;
    uint64_t position = outbox_begin(j), last = 0;

    CHECK(!outbox_read(j, position, &item));
    for (uint8_t id = 1; id <= 100; id++)
        CHECK(id % 3 ? keep(w, id, id * 10u, 1) : drop(w, id));
    CHECK(!outbox_read(j, position, &item));
    journal_step(j, 0);
    for (uint8_t id = 1; id <= 100; id++) {
        if (id % 3 == 0)
            continue;
        CHECK(outbox_read(j, position, &item) && item_is(&item, id, id * 10u));
        CHECK(item.next > item.position && item.position >= position);
        CHECK(id == 1 || item.position > last);
        last = item.position;
        position = item.next;
    }
    CHECK(!outbox_read(j, position, &item));
    keep(w, 101, 7, 1);
    journal_step(j, 0);
    CHECK(outbox_read(j, position, &item) && item_is(&item, 101, 7));
    journal_free(j);
    CHECK(memory_used(&memory) == 0);
}

static void a_record_larger_than_a_segment_is_read_whole(void)
{
    struct journal *j = journal_of(1, 1);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    const size_t lens[] = {10, 50000, 20, 3000, 3000, 0, 90000};
    struct outbox_item item;
    uint64_t position = outbox_begin(j);

    for (uint8_t i = 0; i < 7; i++)
        CHECK(keep(w, i, lens[i], 1));
    journal_step(j, 0);
    for (uint8_t i = 0; i < 7; i++) {
        CHECK(outbox_read(j, position, &item) && item_is(&item, i, lens[i]));
        position = item.next;
    }
    CHECK(!outbox_read(j, position, &item));
    journal_free(j);
}

static void spans_are_counted_for_the_exporters_in_the_mask(void)
{
    struct journal *j = journal_of(1, 64);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    struct outbox_item item;

    keep(w, 1, 10, 1 | UINT64_C(1) << 63);
    keep(w, 2, 10, 0); /* no exporter wants it: nothing to store */
    keep(w, 3, 10, 2);
    CHECK(stats_of(j).in_transit[0][63] == 3 && stats_of(j).in_transit[0][1] == 3);
    journal_step(j, 0);
    CHECK(stats_of(j).enqueued[0][0] == 3 && stats_of(j).enqueued[0][63] == 3);
    CHECK(stats_of(j).enqueued[0][1] == 3 && stats_of(j).enqueued[0][2] == 0);
    CHECK(outbox_read(j, outbox_begin(j), &item) && item_is(&item, 1, 10));
    CHECK(item.record.exporters == (1 | UINT64_C(1) << 63));
    CHECK(outbox_read(j, item.next, &item) && item_is(&item, 3, 10));
    CHECK(journal_decided(w) == 3);
    journal_free(j);
}

static void memory_is_free_when_the_last_exporter_has_settled(void)
{
    struct journal *j = journal_of(1, 2);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    struct outbox_item item;
    uint64_t end = outbox_begin(j), full;

    for (uint8_t id = 1; id <= 100; id++)
        keep(w, id, 1000, 3);
    journal_step(j, 0);
    while (outbox_read(j, end, &item))
        end = item.next;
    full = stats_of(j).outbox_bytes;
    CHECK(full >= 100 * 1000);
    outbox_ack(j, 0, end);
    journal_step(j, 0);
    CHECK(stats_of(j).outbox_bytes == full && outbox_begin(j) == 0);
    CHECK(outbox_read(j, outbox_begin(j), &item) && item_is(&item, 1, 1000));
    outbox_ack(j, 1, item.next);
    journal_step(j, 0);
    CHECK(stats_of(j).outbox_bytes == full); /* the first segment holds more than that record */
    outbox_ack(j, 1, end);
    outbox_ack(j, 1, item.next); /* never back */
    journal_step(j, 0);
    CHECK(stats_of(j).outbox_bytes == SEGMENT && outbox_begin(j) > 0);
    CHECK(!outbox_read(j, end, &item));
    keep(w, 7, 10, 3);
    journal_step(j, 0);
    CHECK(outbox_read(j, end, &item) && item_is(&item, 7, 10));
    journal_free(j);
    CHECK(memory_used(&memory) == 0);
}

static void a_reader_at_a_segments_end_goes_on_in_the_next(void)
{
    struct journal *j = journal_of(1, 1);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    struct outbox_item item;
    uint64_t position = outbox_begin(j);

    for (int i = 0; i < 200; i++) {
        CHECK(keep(w, (uint8_t)i, 2500, 1));
        journal_step(j, 0);
        CHECK(outbox_read(j, position, &item) && item_is(&item, (uint8_t)i, 2500));
        position = item.next;
        CHECK(!outbox_read(j, position, &item));
        outbox_ack(j, 0, position);
    }
    journal_step(j, 0);
    CHECK(stats_of(j).outbox_bytes == SEGMENT && memory_used(&memory) < 8 * SEGMENT);
    journal_free(j);
}

static void a_full_ring_refuses_and_takes_nothing(void)
{
    struct journal *j = journal_of(1, 1);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    uint64_t n = 0, before;

    while (n < 100000 && keep(w, 1, 10, 1))
        n++;
    CHECK(n > 0 && n < 100000 && !journal_can_decide(w));
    before = stats_of(j).in_transit[0][0];
    CHECK(before == 3 * n && keep(w, 1, 10, 1) == 0 && drop(w, 1) == 0);
    CHECK(stats_of(j).in_transit[0][0] == before);
    journal_step(j, 0);
    CHECK(journal_decided(w) == n && journal_can_decide(w) && keep(w, 1, 10, 1) == n + 1);
    journal_free(j); /* frees what is still in the ring */
    CHECK(memory_used(&memory) == 0);
}

static void each_worker_has_its_own_order_and_numbers(void)
{
    struct journal *j = journal_of(2, 1);
    struct journal_writer *a = journal_writer(j, 0, NULL), *b = journal_writer(j, 1, NULL);
    struct outbox_item item;
    uint8_t last[2] = {0};
    int n = 0;

    for (uint8_t i = 1; i < 100; i++) {
        CHECK(keep(a, i, 20, 1) == i);
        if (i < 50)
            CHECK(keep(b, 100 + i, 20, 1) == i);
        if (i % 9 == 0)
            journal_step(j, 0);
    }
    journal_step(j, 0);
    CHECK(journal_decided(a) == 99 && journal_decided(b) == 49);
    for (uint64_t at = outbox_begin(j); outbox_read(j, at, &item); at = item.next) {
        uint8_t id = item.record.trace_id[0];
        int worker = id > 100;

        CHECK(id % 100 == last[worker] + 1 || id == 100);
        last[worker] = id % 100;
        n++;
    }
    CHECK(n == 99 + 49);
    journal_free(j);
}

static void without_exporters_everything_passes(void)
{
    struct journal *j = journal_of(1, 0);
    struct journal_writer *w = journal_writer(j, 0, NULL);

    for (int i = 0; i < 100; i++) {
        CHECK(keep(w, 1, 3000, 0));
        journal_step(j, 0);
    }
    CHECK(stats_of(j).outbox_bytes <= SEGMENT && journal_decided(w) == 100);
    journal_free(j);
}

static void the_last_decisions_are_shown_newest_first(void)
{
    struct journal *j = journal_of(1, 1);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    struct decision_record *recent = calloc(2000, sizeof(*recent));

    CHECK(journal_recent(j, recent, 2000) == 0);
    drop(w, 1);
    keep(w, 2, 10, 1);
    CHECK(journal_recent(j, recent, 2000) == 0);
    journal_step(j, 0);
    CHECK(journal_recent(j, recent, 2000) == 2);
    CHECK(recent[0].trace_id[0] == 2 && recent[0].keep && recent[1].trace_id[0] == 1);
    CHECK(!recent[1].keep && recent[1].spans == 5);
    for (int i = 0; i < 1500; i++) {
        drop(w, (uint8_t)(i % 250));
        journal_step(j, 0);
    }
    CHECK(journal_recent(j, recent, 2000) == 1024);
    CHECK(recent[0].trace_id[0] == 1499 % 250 && recent[1023].trace_id[0] == 476 % 250);
    CHECK(journal_recent(j, recent, 3) == 3 && recent[2].trace_id[0] == 1497 % 250);
    free(recent);
    journal_free(j);
}

static void the_outbox_takes_what_was_decided_also_over_the_limit(void)
{
    struct journal *j = journal_of(1, 1);
    struct journal_writer *w = journal_writer(j, 0, NULL);
    struct outbox_item item;

    for (uint8_t id = 1; id <= 9; id++)
        keep(w, id, 3000, 1);
    memory.limit = 1000; /* everything that may be refused now is */
    journal_step(j, 0);
    CHECK(journal_decided(w) == 9 && stats_of(j).outbox_bytes == (uint64_t)9 * SEGMENT);
    CHECK(outbox_read(j, outbox_begin(j), &item) && item_is(&item, 1, 3000));
    journal_free(j);
    CHECK(memory_used(&memory) == 0);
}

int main(void)
{
    RUN(a_decision_is_committed_by_the_journals_step);
    RUN(each_signal_is_counted_by_itself_and_only_traces_are_remembered);
    RUN(keeps_are_read_in_order_and_drops_are_not_there);
    RUN(a_record_larger_than_a_segment_is_read_whole);
    RUN(spans_are_counted_for_the_exporters_in_the_mask);
    RUN(memory_is_free_when_the_last_exporter_has_settled);
    RUN(a_reader_at_a_segments_end_goes_on_in_the_next);
    RUN(a_full_ring_refuses_and_takes_nothing);
    RUN(each_worker_has_its_own_order_and_numbers);
    RUN(without_exporters_everything_passes);
    RUN(the_last_decisions_are_shown_newest_first);
    RUN(the_outbox_takes_what_was_decided_also_over_the_limit);
    return DONE();
}
