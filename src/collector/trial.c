#include "collector/trial.h"

#include "collector/parts.h"
#include "collector/seen.h"
#include "collector/trial_tally.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TRACES_MAX = 1000,
    BYTES_MAX = 32 << 20, /* of their spans */
    BYTES_MIN = 1 << 20,  /* with less it is not worth the while */
};

static const uint64_t read_cpu_ns = 400 * NS_PER_MS, all_cpu_ns = NS_PER_S;
static const uint64_t read_ns = 3 * NS_PER_S; /* by the clock: a slow disk */

struct trial {
    struct collector *collector;
    uint64_t began_ns, began_cpu_ns;
    struct recent recent;
    struct trial_world *world;
    struct trial_tally tally;
};

/* ---- how long ---- */

static bool is_over(const struct trial *t, uint64_t cpu_ns)
{
    return clock_thread_cpu_ns() - t->began_cpu_ns > cpu_ns ||
           collector_phase(t->collector) != PHASE_RUNNING;
}

static bool has_read_enough(void *trial)
{
    const struct trial *t = trial;

    return is_over(t, read_cpu_ns) ||
           clock_now_ns(t->collector->host.clock) - t->began_ns > read_ns;
}

/* ---- saying ---- */

/* What fits of it. */
static void take_text(struct buf *text, char *out, size_t size)
{
    snprintf(out, size, "%.*s", (int)text->len, text->len ? (const char *)text->data : "");
    buf_clear(text);
}

static void report(struct trial *t, struct trial_report *r)
{
    struct buf text;

    buf_init(&text, 64 << 10, NULL);
    r->tried = t->tally.tried;
    trial_tally_write_keep(&t->tally, &text);
    take_text(&text, r->keep, sizeof(r->keep));
    trial_tally_write_change(&t->tally, &text);
    take_text(&text, r->change, sizeof(r->change));
    trial_write_failures(t->world, &text);
    take_text(&text, r->failed, sizeof(r->failed));
    buf_fini(&text);
}

void trial_write(const struct trial_report *r, struct buf *out)
{
    if (r->tried == 0)
        buf_printf(out, "not tried on recent traces: %s\n", r->because);
    else
        buf_printf(out, "tried on the last %u trace%s: keep %s, %s\n", r->tried,
                   r->tried == 1 ? "" : "s", r->keep, r->change);
    if (r->failed[0])
        buf_printf(out, "warning: it fails on them: %s\n", r->failed);
}

/* ---- the trial ---- */

/* What a trial may take of memory, so that it makes nobody decide early; with room for how buffers
 * grow. */
static size_t spare_bytes(const struct memory *m)
{
    int64_t spare = (atomic_load(&m->soft_limit) - (int64_t)memory_used(m)) / 4;

    return spare < BYTES_MIN ? 0 : spare < BYTES_MAX ? (size_t)spare : BYTES_MAX;
}

static enum err ask_workers(struct collector *c, const struct recent_limits *limits,
                            struct recent *out, struct err_info *info)
{
    struct remembered *all[MAX_WORKERS];

    for (unsigned i = 0; i < c->shared.count; i++)
        all[i] = c->workers[i]->remembered;
    return recent_of_workers(all, c->shared.count, c->labels, limits, out, info);
}

static enum err read_traces(struct trial *t, struct err_info *info)
{
    struct collector *c = t->collector;
    struct recent_limits limits = {.max_traces = TRACES_MAX,
                                   .max_bytes = spare_bytes(c->memory),
                                   .memory = c->memory,
                                   .enough = has_read_enough,
                                   .arg = t};
    bool has_files = c->shared.ack != ACK_MEMORY;
    enum err err;

    if (limits.max_bytes == 0)
        return err_fail(info, ERR_AGAIN, "memory is short");
    if (has_files)
        err = recent_read(c->host.disk, c->shared.config->journal.path, &limits, &t->recent, info);
    else
        err = ask_workers(c, &limits, &t->recent, info);
    if (err != ERR_OK || t->recent.count > 0)
        return err;
    if (has_read_enough(t))
        return err_fail(info, ERR_AGAIN, "there was no time for it");
    if (t->recent.decided)
        return err_fail(info, ERR_AGAIN, "the journal has no decided trace whole any more");
    return err_fail(info, ERR_AGAIN, "no trace was decided yet");
}

static enum err make_world(struct trial *t, const struct setup_loaded *loaded,
                           struct err_info *info)
{
    struct collector *c = t->collector;

    return trial_world_new(&(struct trial_world_options){.setup = &c->setup,
                                                         .loaded = loaded,
                                                         .cells = c->cells,
                                                         .now_ns = clock_now_ns(c->host.clock),
                                                         .is_quiet = true},
                           &t->world, info);
}

static void try_all(struct trial *t)
{
    for (size_t i = 0; i < t->recent.count && !is_over(t, all_cpu_ns); i++) {
        struct trial_verdict verdict;

        if (trial_world_judge(t->world, &t->recent.traces[i], &verdict) == ERR_OK)
            trial_tally_add(&t->tally, &t->recent, &t->recent.traces[i], &verdict);
    }
}

static void say_why(struct trial_report *r, const struct err_info *info)
{
    snprintf(r->because, sizeof(r->because), "%.*s", (int)sizeof(r->because) - 1, info->text);
}

void trial_run(struct collector *c, const struct setup_loaded *loaded, struct buf *hints,
               struct trial_report *out)
{
    struct trial *t = calloc(1, sizeof(*t));
    struct err_info info = {.text = "there was no time or memory for it"};
    enum err err;

    *out = (struct trial_report){0};
    if (!t) {
        say_why(out, &info);
        return;
    }
    t->collector = c;
    t->began_ns = clock_now_ns(c->host.clock);
    t->began_cpu_ns = clock_thread_cpu_ns();
    err = read_traces(t, &info);
    if (err == ERR_OK)
        err = make_world(t, loaded, &info);
    if (err == ERR_OK)
        try_all(t);
    if (err == ERR_OK)
        seen_lint(trial_world_lua(t->world), &t->recent, hints);
    if (t->tally.tried)
        report(t, out);
    else
        say_why(out, &info);
    trial_world_free(t->world);
    recent_fini(&t->recent);
    free(t);
}
