/* The journal between real threads: two workers that read each other's frames, the journal thread
 * and an exporter, each asleep in its loop when it has nothing to do. A lost wake would show as a
 * wait that ends by its bound; a race is for ThreadSanitizer. */
#include "base/loop.h"
#include "base/ring.h"
#include "check.h"
#include "journals.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    WORKERS = 2,
    BODIES = 20000,
    SEGMENT = 64 << 10,
    LIMIT = 4 << 20,
    BOUND_S = 20,
    HELD = 24, /* bodies that wait for long, and move */
    HELD_ONE_IN = 8
};

struct inbox_item {
    frame_id frame;
    uint32_t len;
    uint8_t fill;
};

struct worker {
    unsigned index;
    struct loop *loop;
    struct journal_writer *writer;
    struct ring inbox; /* from the other one */
    frame_id sources[BODIES];
    uint64_t decided, released;
    struct inbox_item held[HELD]; /* a ring */
    unsigned held_count;          /* ever */
    unsigned moved;
    unsigned received, bad, slept_out;
    struct worker *other;
};

static struct memory memory;
static struct journal *journal;
static struct worker workers[WORKERS];
static struct loop *journal_loop, *export_loop;
static atomic_bool stop;
static unsigned exported[WORKERS], export_bad, export_slept_out;

static uint64_t now(void)
{
    return clock_now_ns(clock_system());
}

/* True: woken; false: the bound was over, so a wake was lost. */
static bool sleep_until_woken(struct loop *loop)
{
    uint64_t bound = now() + BOUND_S * NS_PER_S;

    loop_wait(loop, bound);
    return now() < bound;
}

static bool is_filled(struct slice body, size_t len, uint8_t byte)
{
    for (size_t i = 0; i < body.len; i++)
        if (body.data[i] != byte)
            return false;
    return body.len == len;
}

static void finish(struct worker *w, const struct inbox_item *item)
{
    if (!is_filled(journal_body(journal, item->frame), item->len, item->fill))
        w->bad++;
    journal_release(w->writer, item->frame, 1);
}

static void hold(struct worker *w, const struct inbox_item *item)
{
    struct inbox_item *held = &w->held[w->held_count % HELD];

    if (w->held_count++ >= HELD)
        finish(w, held);
    *held = *item;
}

/* Copies those that are to move, whoever wrote them. */
static void move_held(struct worker *w)
{
    unsigned count = w->held_count < HELD ? w->held_count : HELD;

    for (unsigned i = 0; i < count; i++) {
        struct inbox_item *item = &w->held[i];
        const struct moved_span span = {0, 0};
        frame_id from = item->frame;
        uint8_t *at;

        if (!journal_may_move(w->writer, from) ||
            !(at = journal_stage_move(w->writer, item->len, 1)))
            continue;
        memcpy(at, journal_body(journal, from).data, item->len);
        item->frame = journal_commit_move(w->writer, from, item->len, &span, 1, 0);
        journal_release(w->writer, from, 1);
        w->moved++;
    }
}

static void drain_inbox(struct worker *w)
{
    struct inbox_item item;

    while (ring_pop(&w->inbox, &item)) {
        if (w->received++ % HELD_ONE_IN == 0)
            hold(w, &item);
        else
            finish(w, &item);
    }
    for (uint64_t committed = journal_decided(w->writer); w->released < committed; w->released++)
        journal_release(w->writer, w->sources[w->released], 1);
}

static void wait_for(struct worker *w)
{
    drain_inbox(w);
    if (!sleep_until_woken(w->loop))
        w->slept_out++;
    drain_inbox(w);
}

/* Keeps the body: hands it on as a payload; its frame is released when that is committed. */
static void decide(struct worker *w, frame_id frame, unsigned number)
{
    struct decision_record d = {.keep = number % 4 != 0,
                                .label = (uint16_t)w->index,
                                .spans = number,
                                .exporters = 1,
                                .payload_spans = 1};
    struct slice body = journal_body(journal, frame);
    struct buf payload;

    buf_init(&payload, 1 << 20, &memory);
    for (;;) {
        buf_clear(&payload);
        buf_append(&payload, body.data, body.len);
        if (buf_ok(&payload))
            break;
        drain_inbox(w); /* over the limit, and nobody says when there is memory again */
        loop_wait(w->loop, now() + NS_PER_MS);
    }
    w->sources[w->decided++] = frame;
    while (!journal_decide(w->writer, &d, NULL, d.keep ? &payload : NULL))
        wait_for(w);
    buf_fini(&payload);
}

static void write_one(struct worker *w, unsigned number)
{
    size_t len = number % 97 == 0 ? SEGMENT + number : 100 + number * 31 % 3000;
    uint8_t byte = (uint8_t)(number * 7 + w->index);
    struct inbox_item item;
    uint8_t *at;

    while (!(at = journal_stage(w->writer, len)))
        wait_for(w);
    memset(at, byte, len);
    item = (struct inbox_item){journal_commit(w->writer, len, 2, SIGNAL_TRACES, number),
                               (uint32_t)len, byte};
    while (!ring_push(&w->other->inbox, &item))
        wait_for(w);
    loop_wake(w->other->loop);
    decide(w, item.frame, number);
    drain_inbox(w);
    move_held(w);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    for (unsigned i = 1; i <= BODIES; i++)
        write_one(w, i);
    while (w->received < BODIES || w->released < BODIES)
        wait_for(w);
    for (unsigned i = 0; i < HELD; i++)
        finish(w, &w->held[i]);
    return NULL;
}

static void *journal_main(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop))
        loop_wait(journal_loop, journal_step(journal, now()));
    return NULL;
}

static void export_one(const struct outbox_item *item, unsigned *last)
{
    unsigned worker = item->record.label, number = item->record.spans;

    if (number <= last[worker] ||
        !is_filled(item->payload, item->payload.len, (uint8_t)(number * 7 + worker)))
        export_bad++;
    last[worker] = number;
    exported[worker]++;
}

static void *export_main(void *arg)
{
    uint64_t at = outbox_begin(journal);
    unsigned last[WORKERS] = {0};
    struct outbox_item item;

    (void)arg;
    while (exported[0] + exported[1] < WORKERS * (BODIES - BODIES / 4)) {
        if (!outbox_read(journal, at, &item)) {
            export_slept_out += !sleep_until_woken(export_loop);
            continue;
        }
        export_one(&item, last);
        at = item.next;
        outbox_ack(journal, 0, at);
    }
    return NULL;
}

static void set_up(void)
{
    memory_init(&memory, LIMIT, LIMIT / 4);
    journal = journal_made(&(struct journal_config){.workers = WORKERS,
                                                    .exporters = 1,
                                                    .segment_bytes = SEGMENT,
                                                    .memory = &memory,
                                                    .clock = clock_system(),
                                                    .moves_eagerly = true});
    journal_loop = loop_new(clock_system());
    export_loop = loop_new(clock_system());
    journal_set_loops(journal, journal_loop, export_loop);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].index = i;
        workers[i].loop = loop_new(clock_system());
        workers[i].writer = journal_writer(journal, i, workers[i].loop);
        workers[i].other = &workers[1 - i];
        ring_init(&workers[i].inbox, 4096, sizeof(struct inbox_item));
    }
}

static void run_threads(void)
{
    pthread_t threads[WORKERS], journal_thread, export_thread;

    CHECK(pthread_create(&journal_thread, NULL, journal_main, NULL) == 0);
    CHECK(pthread_create(&export_thread, NULL, export_main, NULL) == 0);
    for (unsigned i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&threads[i], NULL, worker_main, &workers[i]) == 0);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(export_thread, NULL);
    atomic_store(&stop, true);
    loop_wake(journal_loop);
    pthread_join(journal_thread, NULL);
}

static void two_workers_the_journal_and_an_exporter_lose_nothing(void)
{
    struct journal_stats s;
    uint64_t moved = 0;

    set_up();
    run_threads();
    for (unsigned i = 0; i < WORKERS; i++) {
        moved += workers[i].moved;
        CHECK(workers[i].received == BODIES && workers[i].bad == 0 && workers[i].slept_out == 0);
        CHECK(exported[i] == BODIES - BODIES / 4);
        ring_fini(&workers[i].inbox);
        loop_free(workers[i].loop);
    }
    CHECK(export_bad == 0 && export_slept_out == 0);
    CHECK(moved > 0);
    journal_stats(journal, &s);
    CHECK(s.live_items == 0 && s.uncommitted == 0);
    CHECK(s.enqueued[0][0] == WORKERS * (BODIES - BODIES / 4));
    CHECK(s.live_bytes + s.free_bytes + s.outbox_bytes == memory_used(&memory));
    journal_free(journal);
    loop_free(journal_loop);
    loop_free(export_loop);
    CHECK(memory_used(&memory) == 0);
}

int main(void)
{
    RUN(two_workers_the_journal_and_an_exporter_lose_nothing);
    return DONE();
}
