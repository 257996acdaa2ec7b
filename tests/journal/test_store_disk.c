/* The store on the system's disk: against a model, and against another process. */
#include "base/random.h"
#include "check.h"
#include "journal/stores.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { R = 8192, FILE_REGIONS = 16, MAX_REGIONS = 100, TEXT = 512 };

static char folder[256];

static void make_folder(void)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(folder, sizeof(folder), "%s/moontail-store-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        abort();
    (void)snprintf(folder + strlen(folder), sizeof(folder) - strlen(folder), "/journal");
}

static void remove_folder(void)
{
    DIR *d = opendir(folder);
    const struct dirent *e;
    char path[1024];

    while (d && (e = readdir(d)) != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        (void)unlink(path);
    }
    if (d)
        closedir(d);
    (void)rmdir(folder);
    *strrchr(folder, '/') = '\0';
    CHECK(rmdir(folder) == 0);
}

static struct store_config config_of(bool oldest_first)
{
    return (struct store_config){.disk = disk_system(),
                                 .path = folder,
                                 .region_bytes = R,
                                 .file_bytes = FILE_REGIONS * R,
                                 .max_bytes = MAX_REGIONS * R,
                                 .reserve = 2,
                                 .oldest_first = oldest_first};
}

static struct store *opened(bool oldest_first)
{
    struct store_config config = config_of(oldest_first);
    struct err_info info;
    struct store *s;

    if (store_open(&config, &s, &info) != ERR_OK) {
        printf("%s\n", info.text);
        abort();
    }
    return s;
}

/* ---- the model: what is in use by ordinal, and how much that comes to ---- */

struct used {
    uint64_t ordinal;
    uint32_t number;
    uint64_t bytes;
};

struct model {
    struct store *s;
    struct rng rng;
    bool oldest_first;
    struct used used[MAX_REGIONS];
    unsigned count;
    uint64_t bytes; /* of those in use */
    uint64_t ordinal, frees;
    struct used freed[MAX_REGIONS]; /* the last ones, in the order of their puts */
    unsigned freed_count;
};

static void text_of(uint64_t ordinal, uint8_t *text)
{
    struct rng rng;

    rng_seed(&rng, ordinal);
    for (unsigned i = 0; i < TEXT; i++)
        text[i] = (uint8_t)rng_next(&rng);
}

static bool holds(struct model *m, const struct used *u, uint64_t offset)
{
    uint8_t text[TEXT], back[TEXT];

    text_of(u->ordinal, text);
    return store_read(m->s, u->number, offset, back, TEXT, NULL) == ERR_OK &&
           memcmp(text, back, TEXT) == 0;
}

/* The first text behind the header, another at the very end. */
static void write_texts(struct model *m, const struct used *u)
{
    struct segment_header h = {.use = USE_FRAMES, .state = SEGMENT_LIVE, .ordinal = u->ordinal};
    uint8_t page[FORMAT_PAGE], text[TEXT];
    struct slice parts[3] = {slice_make(page, sizeof(page)), slice_make(text, 100),
                             slice_make(text + 100, TEXT - 100)};

    text_of(u->ordinal, text);
    h.generation = store_region(m->s, u->number)->header.generation + 1;
    store_make_header(m->s, u->number, &h, page);
    CHECK(store_write(m->s, u->number, 0, parts, 3, NULL) == ERR_OK);
    CHECK(store_write(m->s, u->number, u->bytes - TEXT, &(struct slice){text, TEXT}, 1, NULL) ==
          ERR_OK);
}

static void forget_freed(struct model *m, unsigned i)
{
    memmove(m->freed + i, m->freed + i + 1, (m->freed_count - i - 1) * sizeof(*m->freed));
    m->freed_count--;
}

/* Free files go when there are more than may be. */
static void grow(struct model *m)
{
    (void)store_grow(m->s, (unsigned)rng_below(&m->rng, 8));
    for (unsigned i = m->freed_count; i-- > 0;)
        if (store_region(m->s, m->freed[i].number)->bytes == 0)
            forget_freed(m, i);
}

/* What was freed is reused in order: the newest, or the oldest once nothing is fresh. */
static void check_order(struct model *m, uint32_t number)
{
    unsigned i = 0;

    while (i < m->freed_count && m->freed[i].number != number)
        i++;
    if (i == m->freed_count) { /* fresh */
        CHECK(m->oldest_first || m->freed_count == 0);
        return;
    }
    CHECK(i == (m->oldest_first ? 0 : m->freed_count - 1));
    forget_freed(m, i);
}

static void take_one(struct model *m)
{
    uint64_t bytes = rng_below(&m->rng, 20) ? R : (2 + rng_below(&m->rng, 4)) * FORMAT_PAGE + R;
    bool reserved = rng_below(&m->rng, 4) == 0;
    struct used u = {.ordinal = ++m->ordinal, .bytes = bytes};
    unsigned room = store_free_regions(m->s);
    struct store_stats stats, before;
    enum err err;

    store_stats(m->s, &before);
    err = store_take(m->s, bytes, reserved, &u.number, NULL);
    store_stats(m->s, &stats);
    CHECK(stats.file_bytes <= stats.max_bytes || stats.file_bytes <= before.file_bytes ||
          (reserved && bytes > R)); /* what is reserved and large is not bound by it */
    CHECK(err != ERR_IO && (!err || !reserved || bytes == R));
    if (err) {
        uint64_t needed = bytes > R ? bytes : R;

        CHECK(bytes > R || room <= (reserved ? 0 : 2));
        CHECK(stats.file_bytes + needed + (reserved ? 0 : 2 * R) > stats.max_bytes);
        return;
    }
    CHECK(store_region(m->s, u.number)->bytes == bytes);
    for (unsigned i = 0; i < m->count; i++)
        CHECK(m->used[i].number != u.number);
    if (bytes == R)
        check_order(m, u.number);
    write_texts(m, &u);
    m->used[m->count++] = u;
    m->bytes += bytes;
}

static void free_one(struct model *m)
{
    unsigned i = (unsigned)rng_below(&m->rng, m->count);
    struct used u = m->used[i];
    struct segment_header h = store_region(m->s, u.number)->header;

    CHECK(holds(m, &u, FORMAT_PAGE) && holds(m, &u, u.bytes - TEXT));
    h.state = SEGMENT_IS_FREE;
    h.unix_ns = ++m->frees;
    CHECK(store_write_header(m->s, u.number, &h, NULL) == ERR_OK);
    store_put(m->s, u.number);
    m->used[i] = m->used[--m->count];
    m->bytes -= u.bytes;
    if (u.bytes == R)
        m->freed[m->freed_count++] = u;
}

static struct used *find(struct used *list, unsigned count, uint64_t ordinal)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i].ordinal == ordinal)
            return &list[i];
    return NULL;
}

static void reopen(struct model *m)
{
    unsigned live = 0, history = 0;

    store_close(m->s);
    m->s = opened(m->oldest_first);
    for (uint32_t n = 1; n <= store_count(m->s); n++) {
        const struct region *r = store_region(m->s, n);
        struct used *u;

        CHECK(!r->failed && r->taken <= r->readable);
        if (!r->readable)
            continue;
        u = r->taken ? find(m->used, m->count, r->header.ordinal)
                     : find(m->freed, m->freed_count, r->header.ordinal);
        CHECK(u != NULL);
        if (!u)
            continue;
        u->number = n; /* numbers are of one run */
        CHECK(r->bytes == u->bytes && holds(m, u, FORMAT_PAGE) && holds(m, u, u->bytes - TEXT));
        live += r->taken;
        history += !r->taken;
    }
    CHECK(live == m->count && history == m->freed_count);
}

static void step(struct model *m)
{
    uint64_t dice = rng_below(&m->rng, 1000);
    struct err_info info;

    if (dice < 10)
        reopen(m);
    else if (dice < 12)
        CHECK(store_sync(m->s, &info) == ERR_OK);
    else if (dice < 60)
        grow(m);
    else if (m->count && (dice < 500 || m->count == MAX_REGIONS))
        free_one(m);
    else
        take_one(m);
}

static void run_model(bool oldest_first, uint64_t seed)
{
    static struct model m;

    make_folder();
    m = (struct model){.oldest_first = oldest_first};
    rng_seed(&m.rng, seed);
    m.s = opened(oldest_first);
    for (unsigned i = 0; i < 10000 && !check_failures; i++) {
        step(&m);
        if (check_failures)
            printf("  seed %llu, step %u\n", (unsigned long long)seed, i);
    }
    store_close(m.s);
    remove_folder();
}

static void ten_thousand_steps_agree_with_a_model(void)
{
    run_model(false, 1);
}

static void ten_thousand_steps_with_history_agree_with_a_model(void)
{
    run_model(true, 2);
}

static void everything_is_private(void)
{
    struct stat st;
    char path[300];
    struct store *s;
    uint32_t n;

    make_folder();
    s = opened(false);
    take(s);
    CHECK(store_take(s, 2 * R, false, &n, NULL) == ERR_OK);
    CHECK(stat(folder, &st) == 0 && (st.st_mode & 07777) == 0700);
    for (const char *const *name =
             (const char *[]){"lock", "acked", "segments-00000001", "large-00000001", NULL};
         *name; name++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, *name);
        CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
    }
    store_close(s);
    remove_folder();
}

static void another_process_hears_who_holds_the_folder(void)
{
    struct store_config config;
    struct err_info info;
    char who[64], letter;
    struct store *s;
    int ready[2], status;
    pid_t child;

    make_folder();
    config = config_of(false);
    CHECK(pipe(ready) == 0);
    child = fork();
    if (child == 0) { /* holds it until it is killed */
        if (store_open(&config, &s, NULL) == ERR_OK && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    CHECK(read(ready[0], &letter, 1) == 1);
    (void)snprintf(who, sizeof(who), "is in use by process %d on ", (int)child);
    CHECK(store_open(&config, &s, &info) == ERR_FULL && strstr(info.text, who));
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    s = opened(false);
    store_close(s);
    close(ready[0]);
    close(ready[1]);
    remove_folder();
}

static void the_boot_is_named_in_headers(void)
{
    const uint8_t none[16] = {0};
    struct store *s;
    uint32_t n;

    make_folder();
    s = opened(false);
    n = take_live(s, USE_FRAMES, 1);
    CHECK(memcmp(store_boot_id(s), none, 16) != 0);
    CHECK(memcmp(store_boot_id(s), store_region(s, n)->header.boot_id, 16) == 0);
    store_close(s);
    remove_folder();
}

int main(void)
{
    RUN(ten_thousand_steps_agree_with_a_model);
    RUN(ten_thousand_steps_with_history_agree_with_a_model);
    RUN(everything_is_private);
    RUN(another_process_hears_who_holds_the_folder);
    RUN(the_boot_is_named_in_headers);
    return DONE();
}
