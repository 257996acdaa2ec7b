/* life.h: a random program on a journal: writers, decisions, exporters, and an end of any kind.
 *
 * What it does follows from its seed; the ledger knows what it was promised. A life begins with
 * the recovery of what an earlier one left.
 */
#pragma once

#include "base/fake_disk.h"
#include "journal/ledger.h"
#include "journals.h"

#include <fcntl.h>

enum { LIFE_SEGMENT = 16 << 10, LIFE_WRITERS = 3, READ_MAX = 256, IN_HAND_MAX = 64 };

struct life {
    struct fake_disk *disk;
    struct ledger *ledger;
    struct rng rng;
    struct memory memory;
    struct fake_clock clock;
    enum journal_ack ack;
    unsigned writers;
    size_t labels, label_shift; /* each life numbers them in its own way */
    unsigned exporters[LEDGER_EXPORTERS];
    const char *exporter_names[LEDGER_EXPORTERS];
    struct journal_names names;
    struct journal *journal;
    struct journal_writer *writer[LIFE_WRITERS];
    struct journal_recovered found;
    uint32_t in_hand[IN_HAND_MAX]; /* decisions that are not committed */
    unsigned in_hand_count;
    struct life_move { /* references to originals */
        unsigned writer;
        uint64_t ticket;
        frame_id from;
        uint32_t count;
    } moving[IN_HAND_MAX];
    unsigned moving_count;
    unsigned moves;
    struct life_reader {
        uint64_t at;   /* behind what was read */
        uint64_t seen; /* behind what was looked at */
        uint32_t read[READ_MAX];
        unsigned count;
    } reader[LEDGER_EXPORTERS]; /* by bit */
};

static inline size_t now_op(const struct life *l)
{
    return l->disk->record ? fake_disk_operations(l->disk) : 0;
}

static inline bool chance(struct life *l, unsigned percent)
{
    return rng_below(&l->rng, 100) < percent;
}

/* ---- names ---- */

static inline size_t life_labels(void *arg)
{
    return ((struct life *)arg)->labels;
}

static inline void life_label(void *arg, uint16_t label, const char **policy, const char **reason)
{
    static char names[LEDGER_LABELS][8];
    unsigned k = (unsigned)((label + ((struct life *)arg)->label_shift) % LEDGER_LABELS);

    snprintf(names[k], sizeof(names[k]), "p%u", k);
    *policy = label ? names[k] : "other";
    *reason = "because";
}

static inline uint16_t life_intern(void *arg, const char *policy, const char *reason)
{
    struct life *l = (struct life *)arg;
    size_t k = (size_t)atoi(policy + 1);
    uint16_t label = (uint16_t)((k + LEDGER_LABELS - l->label_shift) % LEDGER_LABELS);

    if (strcmp(policy, "other") == 0)
        return 0;
    label = label ? label : LEDGER_LABELS;
    if (policy[0] != 'p' || strcmp(reason, "because") != 0 || k >= LEDGER_LABELS)
        complain("a label is read as %s, %s", policy, reason);
    if (label >= l->labels) /* they grow */
        l->labels = label + 1U;
    return label;
}

/* What a decision of this trace is labelled with, in the numbers of this life. */
static inline uint16_t label_of(struct life *l, uint32_t trace)
{
    char policy[8];

    snprintf(policy, sizeof(policy), "p%u", trace / 16 % LEDGER_LABELS);
    return life_intern(l, policy, "because");
}

/* Where names may be lost, 0 is what stands for any. */
static inline bool is_label_of(struct life *l, uint16_t label, struct told_decision *d)
{
    d->has_no_label |= label == 0 && (l->ledger->may_lose || d->must > 0);
    return label == label_of(l, d->trace) || (label == 0 && d->has_no_label);
}

static inline unsigned present_mask(const struct life *l, unsigned mask)
{
    unsigned present = 0;

    for (unsigned bit = 0; bit < LEDGER_EXPORTERS; bit++)
        present |= (mask >> l->exporters[bit] & 1) << bit;
    return present;
}

/* ---- recovery ---- */

static inline void life_found_decision(void *arg, const struct decision_record *d)
{
    struct life *l = (struct life *)arg;

    ledger_find_decision(l->ledger, d);
    if (d->duration_ns <= l->ledger->decisions &&
        !is_label_of(l, d->label, &l->ledger->decision[d->duration_ns]))
        complain("decision %llu has another label", (unsigned long long)d->duration_ns);
}

/* Some are of log records, which live and move as spans do. */
static inline enum signal_kind signal_of(uint32_t number)
{
    return number % 4 == 3 ? SIGNAL_LOGS : SIGNAL_TRACES;
}

/* Which frame it is, or of which items of one it is a copy; 0: none that there is. */
static inline uint32_t told_frame_of(const struct life *l, const struct recovered_frame *r,
                                     uint32_t *items)
{
    const struct ledger *g = l->ledger;
    uint32_t number = number_of(r->body, g->frames);
    struct copied copy;

    if (read_copy(r->body, &copy) && copy.frame <= g->frames && g->frame[copy.frame].may == 0) {
        *items = copy.items;
        return (unsigned)__builtin_popcount(copy.items) == r->items ? copy.frame : 0;
    }
    *items = (1U << g->frame[number].item_count) - 1;
    return number && g->frame[number].may == 0 && r->items == g->frame[number].item_count &&
                   bytes_are(r->body, g->frame[number].len, number)
               ? number
               : 0;
}

static inline uint32_t life_found_frame(void *arg, const struct recovered_frame *r)
{
    struct life *l = (struct life *)arg;
    uint32_t items, number = told_frame_of(l, r, &items), taken = 0;
    struct told_frame *f = &l->ledger->frame[number];
    uint8_t id[16];

    if (!number) {
        complain("a frame was never written so");
        return 0;
    }
    if (r->signal != signal_of(number))
        complain("frame %u is of another signal", number);
    for (uint32_t k = 0; k < f->item_count; k++) {
        struct told_item *item = &f->items[k];

        if (!(items >> k & 1) || !recovery_is_first(l->journal, r, k))
            continue;
        if (item->id)
            complain("item %u of frame %u is there twice", k, number);
        trace_id_of(item->trace, id);
        if (!ledger_find_item(l->ledger, number, item,
                              recovery_has_source(l->journal, id, r->source)))
            continue;
        item->id = r->frame;
        taken++;
    }
    return taken;
}

/* An item of the outbox; its number, 0: none that there is. */
static inline uint32_t check_queued(struct life *l, const struct outbox_item *item)
{
    uint32_t number = (uint32_t)item->record.duration_ns;
    struct told_decision *d = &l->ledger->decision[number];
    uint8_t id[16];

    if (number == 0 || number > l->ledger->decisions || d->may > now_op(l)) {
        complain("the outbox has decision %u that was never made", number);
        return 0;
    }
    trace_id_of(d->trace, id);
    if (!d->keep || memcmp(id, item->record.trace_id, 16) != 0 ||
        item->record.exporters != present_mask(l, d->mask) ||
        !is_label_of(l, item->record.label, d) || !bytes_are(item->payload, d->len, number))
        complain(
            "the outbox has decision %u as another one: trace %u, exporters %llx not %x, label "
            "%u not %u, %zu bytes not %u",
            number, d->trace, (unsigned long long)item->record.exporters, present_mask(l, d->mask),
            item->record.label, label_of(l, d->trace), item->payload.len, d->len);
    return number;
}

static inline void find_queued(struct life *l, unsigned bit)
{
    unsigned exporter = l->exporters[bit];
    struct outbox_item item;

    l->reader[bit].at = outbox_acked(l->journal, bit);
    l->reader[bit].seen = l->reader[bit].at;
    while (outbox_look(l->journal, l->reader[bit].seen, &item) == OUTBOX_HERE) {
        uint32_t number = check_queued(l, &item);

        if (l->ledger->decision[number].is_queued[exporter] && !l->ledger->may_repeat)
            complain("decision %u is queued twice", number);
        l->ledger->decision[number].is_queued[exporter] = true;
        l->reader[bit].seen = item.next;
    }
}

static inline void life_open(struct life *l)
{
    static const char *const names[LEDGER_EXPORTERS] = {"one", "two", "three"};
    struct err_info info;
    unsigned shift = (unsigned)rng_below(&l->rng, LEDGER_EXPORTERS);

    l->labels = 2;
    l->label_shift = rng_below(&l->rng, LEDGER_LABELS);
    for (unsigned bit = 0; bit < LEDGER_EXPORTERS; bit++) {
        l->exporters[bit] = (bit + shift) % LEDGER_EXPORTERS;
        l->exporter_names[bit] = names[l->exporters[bit]];
    }
    l->names = (struct journal_names){
        l,    life_labels, life_label, life_intern, l->exporter_names, LEDGER_EXPORTERS,
        NULL, 0,           "abc"};
    if (journal_new(&(struct journal_config){.workers = l->writers,
                                             .exporters = LEDGER_EXPORTERS,
                                             .segment_bytes = LIFE_SEGMENT,
                                             .memory = &l->memory,
                                             .clock = &l->clock.clock,
                                             .moves_eagerly = true,
                                             .ack = l->ack,
                                             .disk = &l->disk->disk,
                                             .path = "/j",
                                             .file_bytes = 4 * LIFE_SEGMENT,
                                             .max_bytes = 96 * LIFE_SEGMENT,
                                             .wait_ns = 4 * NS_PER_S,
                                             .decision_cache = l->ledger->decision_cache,
                                             .salt_seed = rng_next(&l->rng) | 1,
                                             .names = &l->names},
                    &l->journal, &info) != ERR_OK) {
        l->journal = NULL;
        complain("it does not open: %s", info.text);
    }
}

/* Time goes on; after another boot from the beginning, and whatever the battery's clock says. */
static inline void life_set_clock(struct life *l)
{
    struct ledger *g = l->ledger;
    char path[] = "/proc/sys/kernel/random/boot_id", id[40];
    uint64_t pause = rng_below(&l->rng, 20 * NS_PER_S);
    int fd;

    if (!g->boot || chance(l, 30)) {
        g->boot++;
        g->now_ns = 20 * NS_PER_S;
    }
    g->unix_ns = (g->unix_ns ? g->unix_ns : UINT64_C(1700000000) * NS_PER_S) + pause;
    if (chance(l, 30))
        g->unix_ns -= rng_below(&l->rng, 100 * NS_PER_S);
    fake_clock_init(&l->clock, g->now_ns + pause, g->unix_ns);
    snprintf(id, sizeof(id), "%08x-0000-4000-8000-000000000000\n", (unsigned)g->boot);
    if (l->disk->disk.open(&l->disk->disk, path, O_RDWR | O_CREAT, 0600, &fd, NULL) == ERR_OK) {
        (void)l->disk->disk.pwrite(&l->disk->disk, fd, id, strlen(id), 0, NULL);
        l->disk->disk.close(&l->disk->disk, fd);
    }
}

/* Opens the folder, and recovers nothing yet. False: it did not open. */
static inline bool life_start(struct life *l, struct ledger *ledger, struct fake_disk *disk,
                              enum journal_ack ack, uint64_t seed)
{
    *l = (struct life){.disk = disk, .ledger = ledger, .ack = ack};
    rng_seed(&l->rng, seed);
    memory_init(&l->memory, 3 << 20, 5 << 19);
    life_set_clock(l);
    l->writers = 1 + (unsigned)rng_below(&l->rng, LIFE_WRITERS);
    life_open(l);
    return l->journal != NULL;
}

/* Begins on what an earlier life left; the ledger was cut at its end. False: it did not open. */
static inline bool life_begin(struct life *l, struct ledger *ledger, struct fake_disk *disk,
                              enum journal_ack ack, uint64_t seed)
{
    struct recovery to = {.arg = l, .decision = life_found_decision, .frame = life_found_frame};
    struct err_info info;

    if (!life_start(l, ledger, disk, ack, seed))
        return false;
    if (journal_recover(l->journal, &to, l->clock.now, &l->found, &info) != ERR_OK) {
        complain("it does not recover: %s", info.text);
        journal_free(l->journal);
        l->journal = NULL;
        return false;
    }
    for (unsigned i = 0; i < l->writers; i++)
        l->writer[i] = journal_writer(l->journal, i, NULL);
    for (unsigned bit = 0; bit < LEDGER_EXPORTERS; bit++)
        find_queued(l, bit);
    ledger_settle(ledger, now_op(l));
    return true;
}

/* Thrown away as a killed process; what it did to the disk from here on is nobody's. */
static inline void life_drop(struct life *l)
{
    journal_free(l->journal);
    l->journal = NULL;
    l->ledger->now_ns = l->clock.now;
    l->ledger->unix_ns = l->clock.unix_now;
    if (memory_used(&l->memory) != 0)
        complain("%zu bytes are leaked", memory_used(&l->memory));
}

/* ---- steps ---- */

static inline uint32_t new_trace(struct ledger *l)
{
    return l->traces + 1 < LEDGER_TRACES ? ++l->traces : l->traces;
}

static inline uint32_t random_len(struct life *l)
{
    uint64_t dice = rng_below(&l->rng, 100);

    if (dice < 3)
        return 13000 + (uint32_t)rng_below(&l->rng, 60000);
    return 4 + (uint32_t)rng_below(&l->rng, dice < 30 ? 6000 : 600);
}

static inline void write_one(struct life *l, unsigned writer)
{
    struct ledger *g = l->ledger;
    struct told_frame f = {.may = now_op(l), .must = SIZE_MAX, .len = random_len(l)};
    frame_id id;
    uint8_t *at;

    if (g->frames + 1 == LEDGER_FRAMES || !(at = journal_stage(l->writer[writer], f.len)))
        return;
    fill_bytes(at, f.len, g->frames + 1);
    f.item_count = 1 + (uint32_t)rng_below(&l->rng, ITEMS_MAX);
    for (uint32_t k = 0; k < f.item_count; k++) /* different ones */
        f.items[k].trace = chance(l, 50) || g->traces < 40 || k > 0
                               ? new_trace(g)
                               : g->traces - (uint32_t)rng_below(&l->rng, 40);
    f.writer = writer;
    id = journal_commit(l->writer[writer], f.len, f.item_count, signal_of(g->frames + 1),
                        l->clock.now);
    for (uint32_t k = 0; k < f.item_count; k++)
        f.items[k].id = id;
    f.ticket = journal_ticket(l->writer[writer]);
    g->frame[++g->frames] = f;
}

static inline void check_body(struct life *l, uint32_t number, uint32_t k)
{
    const struct told_frame *f = &l->ledger->frame[number];
    struct slice body = journal_body(l->journal, f->items[k].id);
    struct copied copy;

    if (read_copy(body, &copy) ? copy.frame != number || !(copy.items >> k & 1)
                               : !bytes_are(body, f->len, number))
        complain("item %u of frame %u has other bytes", k, number);
}

/* The frames with items of the trace that wait. 0: there are none, or not all of them are here. */
static inline unsigned collect_sources(struct life *l, uint32_t trace, unsigned writer,
                                       uint32_t decision, uint64_t *sources)
{
    struct ledger *g = l->ledger;
    unsigned count = 0;
    bool here = true;

    for (uint32_t i = g->oldest; i <= g->frames; i++)
        for (uint32_t k = 0; k < g->frame[i].item_count; k++) {
            struct told_item *item = &g->frame[i].items[k];

            if (!item->id || item->trace != trace || item->decision || count == 64)
                continue;
            if (!journal_is_here(l->writer[writer], item->id)) {
                here = false;
                continue;
            }
            if (decision) {
                item->decision = decision;
                check_body(l, i, k);
            }
            sources[count++] = journal_source(l->journal, item->id);
        }
    return here ? count : 0;
}

static inline void hand_over(struct life *l, uint32_t trace, unsigned writer)
{
    struct ledger *g = l->ledger;
    struct told_decision d = {
        .may = now_op(l), .must = SIZE_MAX, .trace = trace, .keep = trace_is_kept(trace)};
    uint64_t sources[64];
    struct decision_details details = {.sources = sources};
    struct decision_record r = {.keep = d.keep, .spans = 1, .unix_ns = l->clock.unix_now};
    struct buf payload;

    details.source_count = collect_sources(l, trace, writer, 0, sources);
    if (details.source_count == 0)
        return;
    d.late = g->trace[trace].decision != 0;
    d.mask = d.keep ? 1 + (unsigned)rng_below(&l->rng, (1 << LEDGER_EXPORTERS) - 1) : 0;
    d.len = random_len(l);
    d.writer = writer;
    d.in_hand = l->in_hand_count;
    for (unsigned e = 0; e < LEDGER_EXPORTERS; e++)
        d.settled[e] = SIZE_MAX;
    trace_id_of(trace, r.trace_id);
    r.late = d.late;
    r.label = label_of(l, trace);
    r.duration_ns = g->decisions + 1;
    r.exporters = present_mask(l, d.mask);
    r.payload_spans = d.keep;
    buf_init(&payload, d.len, NULL);
    if (d.keep && buf_reserve(&payload, d.len)) {
        fill_bytes(payload.data, d.len, g->decisions + 1);
        payload.len = d.len;
    }
    d.sequence = journal_decide(l->writer[writer], &r, &details, d.keep ? &payload : NULL);
    buf_fini(&payload);
    if (!d.sequence)
        return;
    g->decision[++g->decisions] = d;
    g->trace[trace].decision = g->trace[trace].decision ? g->trace[trace].decision : g->decisions;
    collect_sources(l, trace, writer, g->decisions, sources);
    l->in_hand[l->in_hand_count++] = g->decisions;
}

static inline bool waits(const struct told_frame *f)
{
    for (uint32_t k = 0; k < f->item_count; k++)
        if (f->items[k].id && !f->items[k].decision)
            return true;
    return false;
}

/* Decides the trace of an item that waits: of the oldest frames, or of any. */
static inline void decide_one(struct life *l, bool oldest)
{
    struct ledger *g = l->ledger;
    unsigned writer = (unsigned)rng_below(&l->rng, l->writers);
    uint32_t i;

    if (g->frames == 0)
        return;
    while (g->oldest < g->frames && !waits(&g->frame[g->oldest]))
        g->oldest++;
    i = oldest ? g->oldest : g->oldest + (uint32_t)rng_below(&l->rng, g->frames - g->oldest + 1);
    if (g->decisions + 1 == LEDGER_DECISIONS || l->in_hand_count == IN_HAND_MAX ||
        !waits(&g->frame[i]))
        return;
    journal_read_begin(l->writer[writer]);
    for (uint32_t k = 0; k < g->frame[i].item_count; k++)
        if (g->frame[i].items[k].id && !g->frame[i].items[k].decision) {
            hand_over(l, g->frame[i].items[k].trace, writer);
            break;
        }
    journal_read_end(l->writer[writer]);
}

static inline void release_decided(struct life *l, uint32_t decision)
{
    struct ledger *g = l->ledger;

    for (uint32_t i = 1; i <= g->frames; i++)
        for (uint32_t k = 0; k < g->frame[i].item_count; k++) {
            struct told_item *item = &g->frame[i].items[k];

            if (!item->id || item->decision != decision)
                continue;
            journal_release(l->writer[g->decision[decision].writer], item->id, 1);
            item->id = 0;
        }
}

/* Copies are safe: what they were made of is given back. */
static inline void release_moved(struct life *l)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < l->moving_count; i++) {
        const struct life_move *m = &l->moving[i];

        if (m->ticket <= journal_acked(l->writer[m->writer]))
            journal_release(l->writer[m->writer], m->from, m->count);
        else
            l->moving[kept++] = *m;
    }
    l->moving_count = kept;
}

/* Some of the items of a frame that wait at one place, as bits. */
static inline uint32_t draw_items(struct life *l, const struct told_frame *f, frame_id *from)
{
    uint32_t items = 0;

    *from = 0;
    for (uint32_t k = 0; k < f->item_count; k++) {
        const struct told_item *item = &f->items[k];

        if (!item->id || item->decision || (*from && item->id != *from) || chance(l, 20))
            continue;
        *from = item->id;
        items |= 1U << k;
    }
    return items;
}

/* Copies what waits in a segment that is thin. */
static inline void move_items(struct life *l, unsigned writer, uint32_t number)
{
    struct told_frame *f = &l->ledger->frame[number];
    size_t len = sizeof(struct copied) + rng_below(&l->rng, 600);
    struct moved_span spans[ITEMS_MAX];
    frame_id from, to;
    uint32_t items = draw_items(l, f, &from), count = 0;
    uint8_t *at;

    if (!items || l->moving_count == IN_HAND_MAX || !journal_may_move(l->writer[writer], from) ||
        !(at = journal_stage_move(l->writer[writer], len, (uint32_t)__builtin_popcount(items))))
        return;
    fill_copy(at, len, number, items);
    for (uint32_t k = 0; k < f->item_count; k++)
        if (items >> k & 1)
            spans[count++] = (struct moved_span){k, k};
    to = journal_commit_move(l->writer[writer], from, len, spans, count, l->clock.now);
    if (journal_source(l->journal, to) != journal_source(l->journal, from))
        complain("what was moved out of frame %u has another name", number);
    l->moving[l->moving_count++] =
        (struct life_move){writer, journal_ticket(l->writer[writer]), from, count};
    for (uint32_t k = 0; k < f->item_count; k++)
        if (items >> k & 1)
            f->items[k].id = to;
    l->moves++;
}

static inline void move_some(struct life *l)
{
    const struct ledger *g = l->ledger;
    unsigned writer = (unsigned)rng_below(&l->rng, l->writers);

    journal_read_begin(l->writer[writer]);
    for (uint32_t i = g->oldest; i && i <= g->frames; i++)
        if (chance(l, 30))
            move_items(l, writer, i);
    journal_read_end(l->writer[writer]);
}

/* Takes note of what is promised by now. */
static inline void note_promises(struct life *l)
{
    struct ledger *g = l->ledger;
    size_t now = now_op(l);
    unsigned kept = 0;

    for (uint32_t i = g->oldest; i <= g->frames; i++) {
        struct told_frame *f = &g->frame[i];

        if (f->ticket && f->must > now && f->ticket <= journal_acked(l->writer[f->writer]))
            f->must = now;
    }
    release_moved(l);
    for (unsigned i = 0; i < l->in_hand_count; i++) {
        struct told_decision *d = &g->decision[l->in_hand[i]];

        if (d->sequence <= journal_decided(l->writer[d->writer])) {
            d->must = now;
            release_decided(l, l->in_hand[i]);
        } else {
            l->in_hand[kept++] = l->in_hand[i];
        }
    }
    l->in_hand_count = kept;
}

/* Looks at what is new and reads a little, of which some may be on disk only. */
static inline void read_some(struct life *l, unsigned bit)
{
    struct life_reader *r = &l->reader[bit];
    struct outbox_item item;

    outbox_read_begin(l->journal);
    while (outbox_look(l->journal, r->seen, &item) == OUTBOX_HERE)
        r->seen = item.next;
    for (uint64_t n = rng_below(&l->rng, 6);
         n > 0 && r->count < READ_MAX && outbox_look(l->journal, r->at, &item) == OUTBOX_HERE;
         n--) {
        r->read[r->count++] = check_queued(l, &item);
        r->at = item.next;
    }
    outbox_hold(l->journal, bit, r->seen, r->at);
    outbox_read_end(l->journal);
}

static inline void export_some(struct life *l, unsigned bit)
{
    struct life_reader *r = &l->reader[bit];
    unsigned exporter = l->exporters[bit];

    read_some(l, bit);
    if (!chance(l, 60))
        return;
    for (unsigned i = 0; i < r->count; i++)
        if (l->ledger->decision[r->read[i]].settled[exporter] > now_op(l))
            l->ledger->decision[r->read[i]].settled[exporter] = now_op(l);
    r->count = 0;
    outbox_ack(l->journal, bit, r->at);
}

static inline void life_journal_step(struct life *l)
{
    journal_step(l->journal, l->clock.now);
    note_promises(l);
}

/* One of a run. `busy`: more comes in than goes out. */
static inline void life_step(struct life *l, bool busy)
{
    fake_clock_advance(&l->clock, rng_below(&l->rng, 100 * NS_PER_MS));
    if (chance(l, 2)) /* somebody sets the clock */
        l->clock.unix_now += rng_below(&l->rng, 20 * NS_PER_S) - 10 * NS_PER_S;
    for (unsigned w = 0; w < l->writers; w++) {
        for (uint64_t n = rng_below(&l->rng, busy ? 5 : 3); n > 0; n--)
            write_one(l, w);
        if (chance(l, 90))
            journal_submit(l->writer[w]);
    }
    for (uint64_t n = rng_below(&l->rng, busy ? 4 : 10); n > 0; n--)
        decide_one(l, chance(l, 70));
    if (chance(l, 40))
        move_some(l);
    for (unsigned bit = 0; bit < LEDGER_EXPORTERS; bit++)
        export_some(l, bit);
    if (chance(l, 85))
        life_journal_step(l);
}

/* Goes on until nothing waits any more: all is decided and sent. */
static inline bool life_drain(struct life *l)
{
    struct ledger *g = l->ledger;
    bool done = false;

    for (unsigned i = 0; !done && i < 20000; i++) {
        fake_clock_advance(&l->clock, 10 * NS_PER_MS);
        for (unsigned w = 0; w < l->writers; w++)
            journal_submit(l->writer[w]);
        decide_one(l, true);
        for (unsigned bit = 0; bit < LEDGER_EXPORTERS; bit++)
            export_some(l, bit);
        life_journal_step(l);
        done = g->oldest == g->frames && (!g->frames || !waits(&g->frame[g->frames])) &&
               l->in_hand_count == 0 && l->moving_count == 0;
        for (unsigned bit = 0; done && bit < LEDGER_EXPORTERS; bit++)
            done = l->reader[bit].count == 0 && outbox_ends_at(l->journal, l->reader[bit].at);
    }
    return done;
}
