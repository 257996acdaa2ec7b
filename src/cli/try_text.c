#include "cli/try_text.h"

#include "base/clock.h"
#include "base/encode.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINES_MAX = 16 << 20 };

void try_text_init(struct try_text *t, unsigned show)
{
    *t = (struct try_text){.show = show};
    buf_init(&t->changed, LINES_MAX, NULL);
    buf_init(&t->same, LINES_MAX, NULL);
}

void try_text_fini(struct try_text *t)
{
    buf_fini(&t->changed);
    buf_fini(&t->same);
}

/* ---- a trace ---- */

static void put_verdict(struct buf *out, bool keep, const char *policy, const char *reason)
{
    buf_printf(out, "%s by %s", keep ? "keep" : "drop", policy);
    if (strcmp(policy, reason) != 0)
        buf_printf(out, " (%s)", reason);
}

static void put_duration(struct buf *out, uint64_t ns)
{
    if (ns >= NS_PER_S)
        buf_printf(out, "%.3f s", (double)ns / 1e9);
    else
        buf_printf(out, "%.3f ms", (double)ns / 1e6);
}

static void put_slice(struct buf *out, struct slice text)
{
    buf_append(out, text.data, text.len < 80 ? text.len : 80);
}

/* "3 spans, 612.000 ms, 1 error, shop: GET /cart" */
static void put_facts(struct buf *out, const struct trial_verdict *v)
{
    buf_printf(out, "%u span%s, ", v->spans, v->spans == 1 ? "" : "s");
    put_duration(out, v->duration_ns);
    if (v->errors)
        buf_printf(out, ", %u error%s", v->errors, v->errors == 1 ? "" : "s");
    buf_str(out, ", ");
    if (v->service.len) {
        put_slice(out, v->service);
        buf_str(out, ": ");
    }
    put_slice(out, v->name);
    if (v->keep && v->sent < v->spans)
        buf_printf(out, ", %u sent", v->sent);
}

static void put_vote(struct buf *out, const struct trial_world *w, const struct policy_vote *vote)
{
    static const char *const words[] = {
        [OPINION_NOT_ASKED] = "not asked", [OPINION_NONE] = "no opinion",
        [OPINION_KEEP] = "keep",           [OPINION_DROP] = "drop",
        [OPINION_SAMPLE] = "sample",       [OPINION_AT_LEAST] = "at_least",
        [OPINION_FAILED] = "failed"};
    bool has_label = vote->opinion != OPINION_NOT_ASKED && vote->opinion != OPINION_NONE;

    buf_printf(out, " %s", words[vote->opinion]);
    if (vote->opinion == OPINION_SAMPLE || vote->opinion == OPINION_AT_LEAST)
        buf_printf(out, "(%g)", vote->probability);
    if (has_label)
        buf_printf(out, " (%s)", trial_world_reason(w, vote));
}

static void put_votes(struct buf *out, const struct trial_world *w, const struct trial_verdict *v)
{
    buf_str(out, "    ");
    for (size_t i = 0; i < v->vote_count; i++) {
        buf_printf(out, "%s%s:", i ? ", " : "", trial_world_policy(w, i));
        put_vote(out, w, &v->votes[i]);
    }
    buf_byte(out, '\n');
}

static void put_trace(struct buf *out, const struct trial_world *w, const struct recent *recent,
                      const struct recent_trace *trace, const struct trial_verdict *v)
{
    encode_hex(out, slice_make(trace->id, sizeof(trace->id)));
    buf_str(out, "  ");
    if (v->is_filtered)
        buf_printf(out, "dropped at the door by %s (%s)", v->policy, v->reason);
    else
        put_verdict(out, v->keep, v->policy, v->reason);
    if (v->probability >= 0)
        buf_printf(out, ", p = %g", v->probability);
    if (trace->is_decided && trace->kept != v->keep) {
        buf_str(out, "; it was ");
        put_verdict(out, trace->kept, labels_policy(recent->labels, trace->label),
                    labels_reason(recent->labels, trace->label));
    }
    buf_str(out, "\n    ");
    put_facts(out, v);
    buf_byte(out, '\n');
    if (v->vote_count > 0)
        put_votes(out, w, v);
}

/* ---- what they come to ---- */

static void count_label(struct try_text *t, const struct trial_verdict *v)
{
    struct try_label *l = t->labels;
    const struct try_label *end = t->labels + t->label_count;

    while (l < end && (l->keep != v->keep || strncmp(l->policy, v->policy, 63) != 0 ||
                       strncmp(l->reason, v->reason, 63) != 0))
        l++;
    if (l == end && t->label_count == sizeof(t->labels) / sizeof(t->labels[0])) {
        t->label_others++;
        return;
    }
    if (l == end) {
        t->label_count++;
        l->keep = v->keep;
        snprintf(l->policy, sizeof(l->policy), "%s", v->policy);
        snprintf(l->reason, sizeof(l->reason), "%s", v->reason);
    }
    l->count++;
}

void try_text_add(struct try_text *t, const struct trial_world *w, const struct recent *recent,
                  const struct recent_trace *trace, const struct trial_verdict *v)
{
    bool is_changed = trace->is_decided && trace->kept != v->keep;
    unsigned *count = is_changed ? &t->changed_count : &t->same_count;

    count_label(t, v);
    if ((*count)++ < t->show)
        put_trace(is_changed ? &t->changed : &t->same, w, recent, trace, v);
}

static int by_count(const void *a, const void *b)
{
    const struct try_label *x = a, *y = b;
    int policies = strcmp(x->policy, y->policy);

    if (x->keep != y->keep)
        return x->keep ? -1 : 1;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return policies ? policies : strcmp(x->reason, y->reason);
}

static void put_labels(struct try_text *t, struct buf *out)
{
    qsort(t->labels, t->label_count, sizeof(t->labels[0]), by_count);
    for (unsigned i = 0; i < t->label_count; i++) {
        const struct try_label *l = &t->labels[i];

        buf_printf(out, "%7u  ", l->count);
        put_verdict(out, l->keep, l->policy, l->reason);
        buf_byte(out, '\n');
    }
    if (t->label_others)
        buf_printf(out, "%7u  others\n", t->label_others);
}

/* "tried on 40 traces of FILE: 12 kept (30.0 %)" */
static void put_sum(struct trial_tally *tally, const struct recent *recent, const char *where,
                    struct buf *out)
{
    bool is_decided = recent->count > 0 && recent->traces[0].is_decided;

    buf_printf(out, "tried on %u trace%s of %s: ", tally->tried, tally->tried == 1 ? "" : "s",
               where);
    if (is_decided) {
        buf_str(out, "keep ");
        trial_tally_write_keep(tally, out);
        buf_str(out, ", ");
        trial_tally_write_change(tally, out);
    } else {
        buf_printf(out, "%u kept (%.1f %%)", tally->kept_now,
                   100.0 * tally->kept_now / tally->tried);
    }
    buf_byte(out, '\n');
}

/* Room that the changed ones leave goes to the others. */
static void put_traces(const struct try_text *t, struct buf *out)
{
    unsigned shown = t->changed_count < t->show ? t->changed_count : t->show, more;
    const uint8_t *end = t->same.data, *stop = t->same.data + t->same.len;

    buf_append(out, t->changed.data, t->changed.len);
    while (shown < t->show && end < stop) {
        do
            end = (const uint8_t *)memchr(end, '\n', (size_t)(stop - end)) + 1;
        while (end < stop && *end == ' ');
        shown++;
    }
    if (end)
        buf_append(out, t->same.data, (size_t)(end - t->same.data));
    more = t->changed_count + t->same_count - shown;
    if (more)
        buf_printf(out, "... and %u more; --show N shows N of them\n", more);
}

void try_text_write(struct try_text *t, const struct trial_world *w, struct trial_tally *tally,
                    const struct recent *recent, const char *where, struct buf *out)
{
    size_t failures, from = out->len;

    put_traces(t, out);
    buf_byte(out, '\n');
    put_sum(tally, recent, where, out);
    put_labels(t, out);
    if (recent->left_out)
        buf_printf(out, "%zu more traces were left out\n", recent->left_out);
    if (recent->rejected)
        buf_printf(out, "%zu spans are not valid and were left out\n", recent->rejected);
    (void)trial_world_failures(w, &failures);
    if (failures) {
        buf_str(out, "warning: it fails on them: ");
        trial_write_failures(w, out);
        buf_byte(out, '\n');
    }
    trial_clean(out, from);
}
