/* The outbox between real threads while memory is short: its segments leave and come back beside a
 * worker that decides and an exporter that reads. A lost wake would show as a wait that ends by its
 * bound; a race is for ThreadSanitizer. */
#include "base/fake_disk.h"
#include "base/loop.h"
#include "check.h"
#include "journals.h"

#include <pthread.h>
#include <stdlib.h>

enum { SEGMENT = 64 << 10, KEEPS = 8000, BEHIND = 2000, BOUND_S = 20 };

static struct memory memory;
static struct fake_disk disk;
static struct journal *journal;
static struct journal_writer *writer;
static struct loop *worker_loop, *journal_loop, *export_loop;
static atomic_bool stop;
static unsigned bad, slept_out, worker_slept_out, found_away;

static uint64_t now(void)
{
    return clock_now_ns(clock_system());
}

static size_t labels(void *arg)
{
    (void)arg;
    return 1;
}

static void label(void *arg, uint16_t number, const char **policy, const char **reason)
{
    (void)arg, (void)number;
    *policy = *reason = "default";
}

static uint16_t intern(void *arg, const char *policy, const char *reason)
{
    (void)arg, (void)policy, (void)reason;
    return 0;
}

/* True: woken; false: the bound was over, so a wake was lost. */
static bool sleep_until_woken(struct loop *loop)
{
    uint64_t bound = now() + BOUND_S * NS_PER_S;

    loop_wait(loop, bound);
    return now() < bound;
}

static size_t len_of(unsigned number)
{
    return 100 + number * 31 % 3000;
}

static void decide(unsigned number)
{
    struct decision_record d = {
        .keep = true, .spans = number, .exporters = 1, .payload_spans = 1, .trace_id = {1}};
    struct buf payload;

    buf_init(&payload, 1 << 20, &memory);
    for (size_t i = 0; i < len_of(number); i++)
        buf_byte(&payload, (uint8_t)(number * 7));
    while (!journal_decide(writer, &d, NULL, &payload))
        worker_slept_out += !sleep_until_woken(worker_loop);
    buf_fini(&payload);
}

static void *worker_main(void *arg)
{
    (void)arg;
    for (unsigned i = 1; i <= KEEPS; i++)
        decide(i);
    return NULL;
}

static void *journal_main(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop))
        loop_wait(journal_loop, journal_step(journal, now()));
    return NULL;
}

static bool is_good(const struct outbox_item *item, unsigned number)
{
    for (size_t i = 0; i < item->payload.len; i++)
        if (item->payload.data[i] != (uint8_t)(number * 7))
            return false;
    return item->record.spans == number && item->payload.len == len_of(number);
}

struct reader {
    uint64_t seen, at;
    unsigned looked, read; /* records */
};

/* Looks at all that is new, and reads some that is far behind. False: it has to wait. */
static bool read_some(struct reader *r)
{
    struct outbox_item item;
    enum outbox_found found = OUTBOX_END;
    unsigned before = r->read;

    outbox_read_begin(journal);
    for (; outbox_look(journal, r->seen, &item) == OUTBOX_HERE; r->looked++)
        r->seen = item.next;
    while (r->read - before < 50 && (r->looked == KEEPS || r->looked > r->read + BEHIND)) {
        found = outbox_look(journal, r->at, &item);
        if (found != OUTBOX_HERE)
            break;
        bad += !is_good(&item, ++r->read);
        r->at = item.next;
    }
    found_away += found == OUTBOX_AWAY;
    outbox_hold(journal, 0, r->seen, r->at);
    outbox_read_end(journal);
    if (r->read > before)
        outbox_ack(journal, 0, r->at);
    return r->read > before;
}

static void *export_main(void *arg)
{
    struct reader r = {.seen = outbox_begin(journal), .at = outbox_begin(journal)};

    (void)arg;
    while (r.read < KEEPS)
        if (!read_some(&r))
            slept_out += !sleep_until_woken(export_loop);
    return NULL;
}

static void set_up(void)
{
    static const char *const exporters[] = {"one"};
    static const struct journal_names names = {.labels = labels,
                                               .label = label,
                                               .intern = intern,
                                               .exporters = exporters,
                                               .exporter_count = 1,
                                               .config_hash = "abc"};

    fake_disk_init(&disk);
    memory_init(&memory, 64 << 20, (64 << 20) - 1); /* all leaves that can */
    journal = journal_made(&(struct journal_config){.workers = 1,
                                                    .exporters = 1,
                                                    .segment_bytes = SEGMENT,
                                                    .memory = &memory,
                                                    .clock = clock_system(),
                                                    .ack = ACK_WRITTEN,
                                                    .disk = &disk.disk,
                                                    .path = "/j",
                                                    .file_bytes = 4 * SEGMENT,
                                                    .max_bytes = 1 << 30,
                                                    .decision_cache = 100,
                                                    .salt_seed = 1,
                                                    .names = &names});
    worker_loop = loop_new(clock_system());
    journal_loop = loop_new(clock_system());
    export_loop = loop_new(clock_system());
    journal_set_loops(journal, journal_loop, export_loop);
    writer = journal_writer(journal, 0, worker_loop);
}

static void what_leaves_and_comes_back_beside_its_reader_is_as_it_was(void)
{
    pthread_t worker_thread, journal_thread, export_thread;
    struct journal_stats s;

    set_up();
    CHECK(pthread_create(&journal_thread, NULL, journal_main, NULL) == 0);
    CHECK(pthread_create(&export_thread, NULL, export_main, NULL) == 0);
    CHECK(pthread_create(&worker_thread, NULL, worker_main, NULL) == 0);
    pthread_join(worker_thread, NULL);
    pthread_join(export_thread, NULL);
    atomic_store(&stop, true);
    loop_wake(journal_loop);
    pthread_join(journal_thread, NULL);
    journal_stats(journal, &s);
    CHECK(bad == 0 && slept_out == 0 && worker_slept_out == 0);
    CHECK(s.spilled > 20 && s.loaded > 20 && found_away > 10);
    journal_free(journal);
    loop_free(worker_loop);
    loop_free(journal_loop);
    loop_free(export_loop);
    fake_disk_fini(&disk);
    CHECK(memory_used(&memory) == 0);
}

int main(void)
{
    RUN(what_leaves_and_comes_back_beside_its_reader_is_as_it_was);
    return DONE();
}
