/* What a kill or a power cut leaves, at any operation of a random run: all that was synced is
 * there, nothing that was never written is, and the store goes on. */
#include "base/fake_disk.h"
#include "base/random.h"
#include "check.h"
#include "journal/stores.h"

#include <stdlib.h>

enum { R = 8192, REGIONS = 12, ORDINALS = 400, STEPS = 60, TEXT = 1500 };

/* When things were so, as counts of operations of the disk; SIZE_MAX: never. */
struct life {
    uint32_t number; /* 0: not taken */
    size_t begun;    /* its header may be there */
    size_t synced;   /* it must be there */
    size_t ending;   /* it may be free */
    size_t ended;    /* it must be free */
};

static struct run {
    struct fake_disk disk;
    struct store_config config;
    struct store *s;
    struct rng rng;
    struct life lives[ORDINALS];
    uint64_t ordinal;
    size_t acked[ORDINALS], acking[ORDINALS]; /* by the number that was acked */
    uint32_t acks;
} r;

static void text_of(uint64_t ordinal, uint8_t *text)
{
    struct rng rng;

    rng_seed(&rng, ordinal);
    for (unsigned i = 0; i < TEXT; i++)
        text[i] = (uint8_t)rng_next(&rng);
}

static void use(void)
{
    struct segment_header h = {.use = USE_FRAMES, .state = SEGMENT_LIVE, .ordinal = r.ordinal + 1};
    struct life life = {0, 0, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    uint8_t page[FORMAT_PAGE], text[TEXT];
    struct slice parts[2] = {slice_make(page, sizeof(page)), slice_make(text, sizeof(text))};
    size_t bytes = rng_below(&r.rng, 6) ? R : 2 * R;

    if (store_take(r.s, bytes, false, &life.number, NULL) != ERR_OK)
        return;
    text_of(++r.ordinal, text);
    h.generation = store_region(r.s, life.number)->header.generation + 1;
    life.begun = fake_disk_operations(&r.disk);
    store_make_header(r.s, life.number, &h, page);
    CHECK(store_write(r.s, life.number, 0, parts, 2, NULL) == ERR_OK);
    r.lives[r.ordinal] = life;
}

static void end(uint64_t ordinal)
{
    struct life *life = &r.lives[ordinal];
    struct segment_header h = store_region(r.s, life->number)->header;

    h.state = SEGMENT_IS_FREE;
    life->ending = fake_disk_operations(&r.disk);
    CHECK(store_write_header(r.s, life->number, &h, NULL) == ERR_OK);
    store_put(r.s, life->number);
    life->number = 0;
}

static void sync_all(void)
{
    size_t now;

    CHECK(store_sync(r.s, NULL) == ERR_OK);
    now = fake_disk_operations(&r.disk);
    for (uint64_t i = 1; i <= r.ordinal; i++) {
        struct life *life = &r.lives[i];

        if (life->synced == SIZE_MAX)
            life->synced = now;
        if (life->ending != SIZE_MAX && life->ended == SIZE_MAX)
            life->ended = now;
    }
}

static void ack(void)
{
    uint32_t number = r.acks + 1;

    r.acking[number] = fake_disk_operations(&r.disk);
    CHECK(store_write_acked(r.s, slice_make(&number, sizeof(number)), NULL) == ERR_OK);
    r.acked[number] = fake_disk_operations(&r.disk);
    r.acks = number;
}

static void step(void)
{
    uint64_t dice = rng_below(&r.rng, 100), ordinal = 1 + rng_below(&r.rng, r.ordinal + 1);

    if (dice < 40)
        use();
    else if (dice < 65 && ordinal <= r.ordinal && r.lives[ordinal].number)
        end(ordinal);
    else if (dice < 75)
        (void)store_grow(r.s, 3);
    else if (dice < 85)
        ack();
    else
        sync_all();
}

/* A live region of the crashed disk is one that was written, and not yet surely free; returns its
 * ordinal. */
static uint64_t check_live(struct store *s, uint32_t number, size_t n)
{
    const struct region *region = store_region(s, number);
    uint64_t ordinal = region->header.ordinal;
    const struct life *life = &r.lives[ordinal];
    uint8_t text[TEXT], back[TEXT];

    CHECK(ordinal > 0 && ordinal <= r.ordinal && life->begun <= n && n < life->ended);
    if (life->synced <= n && n < life->ending) {
        text_of(ordinal, text);
        CHECK(store_read(s, number, FORMAT_PAGE, back, TEXT, NULL) == ERR_OK);
        CHECK(memcmp(text, back, TEXT) == 0);
    }
    return ordinal;
}

static void check_acked(struct store *s, size_t n)
{
    uint8_t bytes[STORE_ACKED_MAX];
    uint32_t number = 0;
    bool damaged;
    size_t len;

    CHECK(store_read_acked(s, bytes, &len, &damaged, NULL) == ERR_OK);
    CHECK(len == 0 || len == sizeof(number));
    memcpy(&number, bytes, len);
    CHECK(number <= r.acks && (number == 0 || r.acking[number] <= n));
    CHECK(number == r.acks || r.acked[number + 1] > n);
    CHECK(!damaged || r.acked[1] > n);
}

/* All that is not live can be used. */
static void check_use(struct store *s)
{
    struct store_stats stats;
    uint32_t n;

    for (uint32_t i = 1; i <= store_count(s); i++) {
        const struct region *region = store_region(s, i);

        CHECK(!region->failed);
        if (region->taken)
            put(s, i);
    }
    while (store_take(s, R, true, &n, NULL) == ERR_OK)
        ;
    store_stats(s, &stats);
    CHECK(stats.file_bytes == REGIONS * R && stats.free_bytes == 0);
}

static void check_state(size_t n, enum crash crash, uint64_t seed)
{
    struct store_config config = r.config;
    bool live[ORDINALS] = {false};
    unsigned unreadable = 0;
    struct fake_disk after;
    struct err_info info;
    struct store *s;
    struct rng rng;

    rng_seed(&rng, seed);
    fake_disk_state_at(&r.disk, n, crash, &rng, &after);
    config.disk = &after.disk;
    if (store_open(&config, &s, &info) != ERR_OK) {
        printf("  %s\n", info.text);
        CHECK(!"it opens");
        return;
    }
    for (uint32_t i = 1; i <= store_count(s); i++) {
        unreadable += store_region(s, i)->taken && !store_region(s, i)->readable;
        if (store_region(s, i)->taken && store_region(s, i)->readable)
            live[check_live(s, i, n)] = true;
    }
    for (uint64_t i = 1; i <= r.ordinal; i++)
        CHECK(live[i] || n < r.lives[i].synced || n >= r.lives[i].ending);
    /* A header lies in one sector; only a kill in the middle of its write tears one. */
    CHECK(unreadable <= (crash == CRASH_KILL));
    check_acked(s, n);
    check_use(s);
    store_close(s);
    fake_disk_fini(&after);
}

static void run_crashes(uint64_t seed, unsigned states, enum crash crash)
{
    struct err_info info;

    memset(&r, 0, sizeof(r));
    fake_disk_init(&r.disk);
    fake_disk_record(&r.disk);
    rng_seed(&r.rng, seed);
    r.config = (struct store_config){.disk = &r.disk.disk,
                                     .path = "/j",
                                     .region_bytes = R,
                                     .file_bytes = 4 * R,
                                     .max_bytes = REGIONS * R,
                                     .oldest_first = seed & 1,
                                     .durable = true};
    if (store_open(&r.config, &r.s, &info) != ERR_OK)
        abort();
    for (unsigned i = 0; i < STEPS; i++)
        step();
    for (size_t n = 0; n <= fake_disk_operations(&r.disk) && !check_failures; n++)
        for (unsigned i = 0; i < states && !check_failures; i++) {
            check_state(n, crash, i + 1);
            if (check_failures)
                printf("  seed %llu, after %zu operations, state %u\n", (unsigned long long)seed, n,
                       i + 1);
        }
    store_close(r.s);
    fake_disk_fini(&r.disk);
}

static void a_power_cut_loses_nothing_that_was_synced(void)
{
    for (uint64_t seed = 1; seed <= 6 && !check_failures; seed++)
        run_crashes(seed, 6, CRASH_POWER);
}

static void a_kill_loses_nothing_that_was_written(void)
{
    for (uint64_t seed = 1; seed <= 6 && !check_failures; seed++)
        run_crashes(seed, 2, CRASH_KILL);
}

int main(void)
{
    RUN(a_power_cut_loses_nothing_that_was_synced);
    RUN(a_kill_loses_nothing_that_was_written);
    return DONE();
}
