#include "cli/try_text.h"

#include "base/clock.h"
#include "base/encode.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINES_MAX = 16 << 20 };

void try_text_init(struct try_text *t, unsigned show, bool is_policy)
{
    *t = (struct try_text){.show = show, .is_policy = is_policy};
    for (int i = 0; i < TRY_PARTS; i++)
        buf_init(&t->parts[i].text, LINES_MAX, NULL);
}

void try_text_fini(struct try_text *t)
{
    for (int i = 0; i < TRY_PARTS; i++)
        buf_fini(&t->parts[i].text);
}

/* ---- a trace ---- */

/* At most a line's worth. */
static void put_clean(struct buf *out, const void *text, size_t len)
{
    char line[81];

    trial_copy_line(line, sizeof(line), text, len);
    buf_str(out, line);
}

static void put_text(struct buf *out, const char *text)
{
    put_clean(out, text, strlen(text));
}

static void put_verdict(struct buf *out, bool keep, const char *policy, const char *reason)
{
    if (!*policy) {
        buf_str(out, "no opinion");
        return;
    }
    buf_str(out, keep ? "keep by " : "drop by ");
    put_text(out, policy);
    if (strcmp(policy, reason) == 0)
        return;
    buf_str(out, " (");
    put_text(out, reason);
    buf_byte(out, ')');
}

static void put_duration(struct buf *out, uint64_t ns)
{
    if (ns >= NS_PER_S)
        buf_printf(out, "%.3f s", (double)ns / 1e9);
    else
        buf_printf(out, "%.3f ms", (double)ns / 1e6);
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
        put_clean(out, v->service.data, v->service.len);
        buf_str(out, ": ");
    }
    put_clean(out, v->name.data, v->name.len);
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
    if (!has_label)
        return;
    buf_str(out, " (");
    put_text(out, trial_world_reason(w, vote));
    buf_byte(out, ')');
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

static const char *text_of(const char *label)
{
    return label ? label : "";
}

static void put_trace(struct buf *out, const struct trial_world *w, const struct recent *recent,
                      const struct recent_trace *trace, const struct trial_verdict *v)
{
    encode_hex(out, slice_make(trace->id, sizeof(trace->id)));
    buf_str(out, "  ");
    if (v->is_filtered)
        buf_printf(out, "dropped at the door by %s", v->policy);
    else
        put_verdict(out, v->keep, text_of(v->policy), text_of(v->reason));
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
    const char *policy = text_of(v->policy), *reason = text_of(v->reason);

    while (l < end && (l->keep != v->keep || strncmp(l->policy, policy, 63) != 0 ||
                       strncmp(l->reason, reason, 63) != 0))
        l++;
    if (l == end && t->label_count == sizeof(t->labels) / sizeof(t->labels[0])) {
        t->label_others++;
        return;
    }
    if (l == end) {
        t->label_count++;
        l->keep = v->keep;
        snprintf(l->policy, sizeof(l->policy), "%s", policy);
        snprintf(l->reason, sizeof(l->reason), "%s", reason);
    }
    l->count++;
}

static int part_of(const struct try_text *t, const struct recent_trace *trace,
                   const struct trial_verdict *v)
{
    if (trace->is_decided && trace->kept != v->keep)
        return TRY_CHANGED;
    return t->is_policy && v->vote_count && v->votes[0].opinion != OPINION_NONE ? TRY_OPINION
                                                                                : TRY_OTHER;
}

void try_text_add(struct try_text *t, const struct trial_world *w, const struct recent *recent,
                  const struct recent_trace *trace, const struct trial_verdict *v)
{
    struct try_part *part = &t->parts[part_of(t, trace, v)];

    count_label(t, v);
    if (part->count++ < t->show)
        put_trace(&part->text, w, recent, trace, v);
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

/* Appends the first `count` of its traces: each is a line, and lines that begin with a space. */
static void put_some(const struct buf *text, unsigned count, struct buf *out)
{
    const uint8_t *at = text->data, *end = text->data + text->len;

    for (; count > 0 && at < end; count--) {
        do
            at = (const uint8_t *)memchr(at, '\n', (size_t)(end - at)) + 1;
        while (at < end && *at == ' ');
    }
    if (at > text->data)
        buf_append(out, text->data, (size_t)(at - text->data));
}

static void put_traces(const struct try_text *t, struct buf *out)
{
    unsigned left = t->show, more = 0;

    for (int i = 0; i < TRY_PARTS; i++) {
        unsigned some = t->parts[i].count < left ? t->parts[i].count : left;

        put_some(&t->parts[i].text, some, out);
        left -= some;
        more += t->parts[i].count - some;
    }
    if (more)
        buf_printf(out, "... and %u more; --show N shows N of them\n", more);
}

void try_text_write(struct try_text *t, const struct trial_world *w, struct trial_tally *tally,
                    const struct recent *recent, const char *where, struct buf *out)
{
    size_t failures;

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
}
