#include "journal/files.h"

#include "base/hash.h"
#include "base/log.h"
#include "journal/frame.h"

#include <assert.h>
#include <string.h>

enum {
    GROW_FREE = 4,    /* regions that are free ahead of need */
    RESERVE = 4,      /* that only the outbox and the decisions get */
    SHED_SHARE = 8,   /* of files_bound: with less left the outbox sheds, */
    EARLY_SHARE = 16, /* and with less than this traces are decided early */
    WRITE_TRIES = 3   /* regions tried for one segment in one round */
};
static const uint64_t say_every_ns = 10 * NS_PER_S, look_every_ns = 10 * NS_PER_S;
/* New files grow at this pace; where they cannot, twice as long is waited each time. */
static const uint64_t grow_every_ns = 5 * NS_PER_MS, longest_pause_ns = 500 * NS_PER_MS;

uint64_t journal_least_bytes(unsigned workers, size_t segment_bytes)
{
    return (uint64_t)(workers * JOURNAL_WORKER_HOLDS + 2 * RESERVE) * segment_bytes;
}

/* A folder with nothing in it and no room is no place to start; one with something is started on,
 * so that it can leave. */
static enum err check_room(const struct files *f, struct err_info *info)
{
    unsigned free_regions = store_free_regions(f->store);
    struct err_info why = {0};

    if (free_regions > RESERVE || free_regions < store_count(f->store) ||
        store_grow_step(f->store, &why) == ERR_OK)
        return ERR_OK;
    return err_fail(info, ERR_IO, "there is no room for %u segments to begin with: %.700s",
                    RESERVE + 1, why.text);
}

enum err files_init(struct files *f, struct segments *segments, const struct journal_config *config,
                    struct err_info *info)
{
    enum err err;

    *f = (struct files){.segments = segments, .config = config, .grow_pause_ns = grow_every_ns};
    if (config->ack == ACK_MEMORY)
        return ERR_OK;
    rng_seed(&f->rng, config->salt_seed ? config->salt_seed : hash_key_random().k0);
    err = store_open(
        &(struct store_config){
            .disk = config->disk,
            .path = config->path,
            .region_bytes = config->segment_bytes,
            .file_bytes = config->file_bytes,
            .fd_bound = config->fd_bound,
            .max_bytes = config->max_bytes,
            .min_free = config->min_free,
            .reserve = RESERVE,
            .oldest_first = config->history_bytes > 0,
            .durable = config->ack == ACK_FSYNC,
        },
        &f->store, info);
    if (err != ERR_OK)
        return err;
    while (store_grow(f->store, GROW_FREE + RESERVE))
        continue;
    err = check_room(f, info);
    if (err != ERR_OK)
        files_fini(f);
    return err;
}

/* Free regions that are wanted: what may be needed soon, and behind it the history. */
static unsigned wanted(const struct files *f)
{
    return GROW_FREE + RESERVE + (unsigned)(f->config->history_bytes / f->config->segment_bytes);
}

/* When files_grow tries again depends on whether it went well now. */
static void pace_growth(struct files *f, bool failed, uint64_t now_ns)
{
    f->cannot_grow = failed;
    f->grow_pause_ns = failed ? f->grow_pause_ns * 2 : grow_every_ns;
    if (f->grow_pause_ns > longest_pause_ns)
        f->grow_pause_ns = longest_pause_ns;
    f->grow_ns = now_ns + f->grow_pause_ns;
}

uint64_t files_grow(struct files *f, uint64_t now_ns)
{
    unsigned before = store_free_regions(f->store);
    bool more;

    if (before >= wanted(f))
        return NEVER_NS;
    if (before > RESERVE)
        f->is_short = false;
    if (now_ns < f->grow_ns)
        return f->cannot_grow ? NEVER_NS : f->grow_ns;
    more = store_grow(f->store, wanted(f));
    pace_growth(f, store_free_regions(f->store) == before, now_ns);
    if (!f->cannot_grow)
        f->is_short = false;
    return more && !f->cannot_grow ? f->grow_ns : NEVER_NS;
}

uint64_t files_look(struct files *f, uint64_t now_ns)
{
    bool was_gone = f->is_gone;
    struct err_info info;

    if (now_ns < f->look_ns)
        return f->look_ns;
    f->look_ns = now_ns + look_every_ns;
    f->is_gone = !store_is_there(f->store, &info);
    if (f->is_gone && !was_gone)
        log_event(LOG_ERROR, "files of the journal are gone: no request is taken until a restart",
                  "error", info.text);
    return f->look_ns;
}

static uint64_t bound_of(const struct files *f, const struct store_stats *s)
{
    return f->cannot_grow ? s->file_bytes : s->max_bytes;
}

uint64_t files_bound(const struct files *f)
{
    struct store_stats s;

    store_stats(f->store, &s);
    return bound_of(f, &s);
}

enum journal_pressure files_pressure(struct files *f)
{
    struct store_stats s;
    uint64_t left, reserve;

    store_stats(f->store, &s);
    reserve = (uint64_t)RESERVE * f->config->segment_bytes;
    left = s.free_bytes > reserve ? s.free_bytes - reserve : 0;
    if (!f->cannot_grow && s.max_bytes > s.file_bytes)
        left += s.max_bytes - s.file_bytes;
    if (left < bound_of(f, &s) / EARLY_SHARE)
        return PRESSURE_EARLY;
    return left < bound_of(f, &s) / SHED_SHARE ? PRESSURE_OUTBOX : PRESSURE_NONE;
}

void files_fini(struct files *f)
{
    store_close(f->store);
    f->store = NULL;
}

size_t files_overhead(const struct files *f)
{
    return f->store ? FORMAT_PAGE : 0;
}

/* One line about the disk in ten seconds. */
static void say(struct files *f, const char *what, const struct err_info *info, uint64_t now_ns)
{
    if (f->said_ns && now_ns - f->said_ns < say_every_ns)
        return;
    f->said_ns = now_ns ? now_ns : 1;
    log_event(LOG_ERROR, what, "error", info->text);
}

/* A region for the segment, its header in front of the segment's memory. */
static bool take_region(struct files *f, struct segment *segment, struct segment_header *header,
                        bool reserved, struct err_info *info)
{
    uint32_t region;

    if (store_take(f->store, segment->size, reserved, &region, info) != ERR_OK)
        return false;
    if (header->generation == 0)
        header->generation = store_region(f->store, region)->header.generation + 1;
    store_make_header(f->store, region, header, segment->bytes);
    segment->region = region;
    segment->written = 0;
    return true;
}

bool files_open(struct files *f, uint32_t number, enum segment_use use, unsigned worker,
                uint64_t now_ns)
{
    struct segment *segment = segment_at(f->segments, number);
    struct err_info info;
    struct segment_header header = {.use = (uint8_t)use,
                                    .state = SEGMENT_LIVE,
                                    .worker = worker,
                                    .ordinal = f->ordinals[use],
                                    .boot_ns = now_ns,
                                    .unix_ns = clock_unix_ns(f->config->clock)};

    segment->opened_ns = now_ns;
    segment->writer = (uint16_t)worker;
    if (!f->store)
        return true;
    if (use == USE_FRAMES && f->cannot_grow && now_ns < f->grow_ns &&
        store_free_regions(f->store) <= RESERVE) {
        f->is_short = true; /* workers ask in each round */
        return false;
    }
    do
        header.salt = rng_next(&f->rng);
    while (header.salt == 0);
    if (!take_region(f, segment, &header, use != USE_FRAMES, &info)) {
        f->is_short = true;
        if (segment->size <= f->config->segment_bytes)
            pace_growth(f, true, now_ns);
        say(f, "the journal has no room", &info, now_ns);
        return false;
    }
    f->is_short = false;
    f->ordinals[use]++;
    segment->generation = header.generation;
    segment->salt = header.salt;
    segment->used = FORMAT_PAGE;
    return true;
}

void files_hold(struct files *f, uint32_t number)
{
    struct segment *segment = segment_at(f->segments, number);

    if (!f->store || segment->is_dirty)
        return;
    assert(f->dirty_count < DIRTY_MAX);
    f->dirty[f->dirty_count++] = number;
    segment->is_dirty = true;
}

static void publish(struct segment *segment)
{
    atomic_store_explicit(&segment->published, segment->used, memory_order_relaxed);
}

static bool is_held(struct segment *segment)
{
    return atomic_load_explicit(&segment->published, memory_order_relaxed) < segment->used;
}

void files_mark(struct files *f, uint32_t number)
{
    publish(segment_at(f->segments, number));
    files_hold(f, number);
}

bool files_release(struct files *f, enum segment_kind kind)
{
    bool any = false;

    for (unsigned i = 0; i < f->dirty_count; i++) {
        struct segment *segment = segment_at(f->segments, f->dirty[i]);

        if (segment->kind != kind || !is_held(segment))
            continue;
        publish(segment);
        any = true;
    }
    return any;
}

/* Marks a region free. False: it could not be written now. */
static bool mark_free(struct files *f, uint32_t region)
{
    struct segment_header header = store_region(f->store, region)->header;
    struct err_info info;

    header.state = SEGMENT_IS_FREE;
    if (!store_region(f->store, region)->failed &&
        store_write_header(f->store, region, &header, &info) != ERR_OK) {
        f->write_errors++;
        return false;
    }
    store_put(f->store, region);
    return true;
}

void files_settle(struct files *f)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < f->left_count; i++) {
        if (f->left[i].segment)
            f->left[i].segment->is_moved = false;
        f->left[i].segment = NULL;
        if (!mark_free(f, f->left[i].region))
            f->left[kept++] = f->left[i];
    }
    f->left_count = kept;
}

/* Another region for the segment, of which everything is to be written again. */
static bool move_region(struct files *f, struct segment *segment, uint64_t now_ns)
{
    uint32_t old = segment->region;
    bool was_written = segment->written > 0;
    struct segment_header header = store_region(f->store, old)->header;
    struct err_info info;

    if (f->left_count == LEFT_MAX)
        return false;
    /* From the reserve: while it has no place, nothing is decided, so nothing would become free. */
    if (!take_region(f, segment, &header, true, &info)) {
        say(f, "the journal has no other place to write to", &info, now_ns);
        return false;
    }
    log_event(LOG_WARN, "a segment of the journal moves to another region");
    /* It has what was acknowledged until the copy is safe; or it was to be such a copy itself. Once
     * that is written the log of decisions may already say what is in it. */
    if (!segment->is_moved || was_written || !mark_free(f, old))
        f->left[f->left_count++] = (struct left_region){old, segment->is_moved ? NULL : segment};
    segment->is_moved = true;
    return true;
}

/* Whole pages from the segment; the last, open one from a copy, since its writer goes on in it, and
 * with zeros at its end: a page of them where none is open. They tell the end from damage. */
static enum err write_pages(struct files *f, struct segment *segment, size_t to,
                            struct err_info *info)
{
    size_t from = segment->written & ~(size_t)(FORMAT_PAGE - 1);
    size_t whole = to & ~(size_t)(FORMAT_PAGE - 1);
    _Alignas(DISK_DIRECT_ALIGN) uint8_t last[FORMAT_PAGE];
    struct slice parts[2] = {slice_make(segment->bytes + from, whole - from)};
    unsigned count = whole > from ? 1 : 0;

    if (whole < store_region(f->store, segment->region)->bytes) {
        memcpy(last, segment->bytes + whole, to - whole);
        memset(last + (to - whole), 0, FORMAT_PAGE - (to - whole));
        parts[count++] = slice_make(last, FORMAT_PAGE);
    }
    for (unsigned i = 0; i < count; i++)
        f->written_bytes += parts[i].len;
    return store_write(f->store, segment->region, from, parts, count, info);
}

bool files_write(struct files *f, uint32_t number, uint64_t now_ns)
{
    struct segment *segment = segment_at(f->segments, number);
    size_t to = atomic_load_explicit(&segment->published, memory_order_acquire);
    struct err_info info;

    if (!f->store || !segment->region)
        return true;
    for (int i = 0; i < WRITE_TRIES; i++) {
        bool failed = store_region(f->store, segment->region)->failed;

        if (!failed && to <= segment->written)
            return true;
        if (!failed && write_pages(f, segment, to, &info) == ERR_OK) {
            segment->written = to;
            return true;
        }
        if (!failed) {
            f->write_errors++;
            say(f, "the journal cannot be written", &info, now_ns);
        }
        if (!segment->bytes || !move_region(f, segment, now_ns))
            break;
    }
    return false;
}

bool files_write_marked(struct files *f, enum segment_kind kind, uint64_t now_ns)
{
    bool done = true;

    for (unsigned i = 0; i < f->dirty_count && done; i++)
        if (segment_at(f->segments, f->dirty[i])->kind == kind)
            done = files_write(f, f->dirty[i], now_ns);
    return done;
}

void files_unmark(struct files *f)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < f->dirty_count; i++) {
        struct segment *segment = segment_at(f->segments, f->dirty[i]);

        segment->is_dirty = is_held(segment);
        if (segment->is_dirty)
            f->dirty[kept++] = f->dirty[i];
    }
    f->dirty_count = kept;
}

bool files_sync(struct files *f, uint64_t now_ns)
{
    struct err_info info;

    if (!f->store || f->config->ack != ACK_FSYNC)
        return true;
    if (store_sync(f->store, &info) == ERR_OK)
        return true;
    f->sync_errors++;
    say(f, "the journal is not durable: what lay in the file is written again elsewhere", &info,
        now_ns);
    return false;
}

bool files_leave(struct files *f, uint32_t region)
{
    if (f->left_count == LEFT_MAX)
        return false;
    f->left[f->left_count++] = (struct left_region){region, NULL};
    return true;
}

void files_free(struct files *f, uint32_t number)
{
    struct segment *segment = segment_at(f->segments, number);

    if (!segment->region)
        return;
    if (!mark_free(f, segment->region))
        (void)files_leave(f, segment->region);
    segment->region = 0;
    segment->salt = 0;
    f->is_short = false;
}

/* What is no whole frame of this segment becomes zeros: whoever has a reference into it finds
 * nothing there. Returns how many frames that are. */
static uint64_t blank_damage(const struct files *f, struct segment *segment)
{
    struct frame_walk walk = {.segment = slice_make(segment->bytes, segment->filled),
                              .header = &store_region(f->store, segment->region)->header,
                              .at = FORMAT_PAGE};
    enum frame_found what;
    struct frame frame;
    uint64_t damaged = 0;
    size_t end = FORMAT_PAGE;

    while ((what = frame_next(&walk, &frame)) != FRAME_END) {
        damaged += what == FRAME_DAMAGED;
        if (what == FRAME_DAMAGED)
            continue;
        memset(segment->bytes + end, 0, frame.at - end);
        end = frame.at + frame_size(frame.header.tlv_len, frame.header.stored_len);
    }
    if (end < segment->filled)
        memset(segment->bytes + end, 0, segment->filled - end);
    return damaged + walk.damaged;
}

bool files_read(struct files *f, uint32_t number)
{
    struct segment *segment = segment_at(f->segments, number);
    struct err_info info;

    if (store_read(f->store, segment->region, 0, segment->bytes, segment->filled, &info) == ERR_OK)
        return true;
    log_event(LOG_ERROR, "a segment of the journal cannot be read back whole", "error", info.text);
    memset(segment->bytes, 0, segment->filled);
    for (size_t at = 0; at < segment->filled; at += FORMAT_PAGE) /* what can be read of it */
        (void)!store_read(f->store, segment->region, at, segment->bytes + at,
                          segment->filled - at < FORMAT_PAGE ? segment->filled - at : FORMAT_PAGE,
                          NULL);
    return false;
}

bool files_load(struct files *f, uint32_t number)
{
    bool done = files_read(f, number);

    if (blank_damage(f, segment_at(f->segments, number)) > 0 && done)
        log_event(LOG_ERROR, "a segment of the journal is damaged, and spans of it are lost");
    return done;
}

bool files_are_refusing(const struct files *f)
{
    return f->store && (f->is_short || f->is_failing || f->is_gone);
}
