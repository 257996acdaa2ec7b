/* explanation_text.c: an explanation as a person reads it. */
#include "base/clock.h"
#include "base/encode.h"
#include "cli/explanation.h"
#include "policy/policy.h"
#include "trace/trace.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { R_BITS = 56, BIAS_SHOWN = 3, BIAS_TEXT_MAX = 4096 };

/* Names and reasons come from scripts: nothing of them moves a cursor. */
static void put_clean(struct buf *out, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        bool is_c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;

        buf_byte(out, *at < ' ' || *at == 0x7f || is_c1 ? '?' : *at);
        at += is_c1;
    }
}

static void put_time(struct buf *out, uint64_t unix_ns)
{
    time_t seconds = (time_t)(unix_ns / NS_PER_S);
    struct tm tm;
    char text[32];

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    buf_printf(out, "%s.%03u UTC", text, (unsigned)(unix_ns % NS_PER_S / NS_PER_MS));
}

static void put_age(struct buf *out, uint64_t unix_ns, uint64_t now_unix_ns)
{
    uint64_t s = now_unix_ns > unix_ns ? (now_unix_ns - unix_ns) / NS_PER_S : 0;

    if (s < 120)
        buf_printf(out, " (%u s ago)", (unsigned)s);
    else if (s < 7200)
        buf_printf(out, " (%u min ago)", (unsigned)(s / 60));
    else if (s < 2 * 86400)
        buf_printf(out, " (%u h ago)", (unsigned)(s / 3600));
    else
        buf_printf(out, " (%llu days ago)", (unsigned long long)(s / 86400));
}

static void put_duration(struct buf *out, uint64_t ns)
{
    if (ns >= NS_PER_S)
        buf_printf(out, "%.3f s", (double)ns / 1e9);
    else if (ns >= NS_PER_MS)
        buf_printf(out, "%.3f ms", (double)ns / 1e6);
    else
        buf_printf(out, "%.3f us", (double)ns / 1e3);
}

static void put_count(struct buf *out, uint64_t n, const char *what)
{
    buf_printf(out, "%llu %s%s", (unsigned long long)n, what, n == 1 ? "" : "s");
}

static void line(struct buf *out, const char *name)
{
    buf_printf(out, "  %-11s", name);
}

/* "by slow_db (over 2s)" */
static void put_by(struct buf *out, const char *policy, const char *reason)
{
    if (!*policy)
        return;
    buf_str(out, " by ");
    put_clean(out, policy);
    if (*reason) {
        buf_str(out, " (");
        put_clean(out, reason);
        buf_byte(out, ')');
    }
}

/* ---- the parts of a decision ---- */

static void put_vote(struct buf *out, const struct explained_vote *v)
{
    static const char *const kinds[] = {"not asked", "no opinion", "keep",
                                        "drop",      "sample",     "at least"};
    bool has_p = v->kind == VOTE_SAMPLE || v->kind == VOTE_AT_LEAST;
    bool has_reason = *v->reason && v->kind != VOTE_NOT_ASKED && v->kind != VOTE_NONE;

    buf_str(out, (unsigned)v->kind <= VOTE_AT_LEAST ? kinds[v->kind] : "failed");
    if (has_p)
        buf_printf(out, " %g", v->probability);
    if (has_reason) {
        buf_str(out, " (");
        put_clean(out, v->reason);
        buf_byte(out, ')');
    }
    buf_byte(out, '\n');
}

static void put_votes(struct buf *out, const struct explained_decision *d)
{
    int width = 0;

    for (unsigned i = 0; i < d->vote_count; i++)
        width = (int)strlen(d->votes[i].policy) > width ? (int)strlen(d->votes[i].policy) : width;
    for (unsigned i = 0; i < d->vote_count; i++) {
        size_t before;

        line(out, i == 0 ? "votes" : "");
        before = out->len;
        put_clean(out, *d->votes[i].policy ? d->votes[i].policy : "?");
        buf_printf(out, "%*s", width + 2 - (int)(out->len - before), "");
        put_vote(out, &d->votes[i]);
    }
}

static void put_sampling(struct buf *out, const struct decision_record *r)
{
    const uint64_t mask = (UINT64_C(1) << R_BITS) - 1;
    uint64_t t = r->threshold;

    if (!(r->probability >= 0 && r->probability <= 1))
        return;
    if (t == UINT64_MAX)
        t = sampling_threshold(r->probability);
    line(out, "sampling");
    buf_printf(out, "p = %g: R %014llx is ", r->probability, (unsigned long long)r->randomness);
    if (t > mask)
        buf_str(out, "never enough\n");
    else
        buf_printf(out, "%s T %014llx\n", r->randomness >= t ? "at least" : "under",
                   (unsigned long long)t);
}

static void put_exporters(struct buf *out, const struct explained_decision *d)
{
    if (!d->record.keep)
        return;
    line(out, "exporters");
    for (unsigned i = 0; i < d->exporter_count; i++) {
        buf_str(out, i ? ", " : "");
        put_clean(out, d->exporters[i].name);
        buf_str(out, d->exporters[i].is_queued ? " (queued)" : "");
    }
    if (d->exporter_count == 0)
        buf_str(out, "none: no exporter's `where` holds for it");
    else if (d->record.payload_spans != d->record.spans) {
        buf_str(out, "; ");
        put_count(out, d->record.payload_spans, "span");
        buf_str(out, " after processors");
    }
    buf_byte(out, '\n');
}

static void put_values(struct buf *out, const struct decision_record *r)
{
    line(out, "trace");
    put_count(out, r->spans, "span");
    buf_str(out, ", ");
    put_count(out, r->errors, "error");
    buf_str(out, ", ");
    put_duration(out, r->duration_ns);
    buf_str(out,
            r->complete ? ", complete\n" : ", not complete: its root or a parent is missing\n");
    line(out, "trigger");
    buf_printf(out, "%s\n", trace_trigger_name((enum trace_trigger)r->trigger));
}

static void put_config(struct buf *out, const struct explained_decision *d)
{
    line(out, "config");
    buf_str(out, "hash ");
    put_clean(out, d->config_hash);
    buf_byte(out, '\n');
}

static void put_after(struct buf *out, const struct explanation *x)
{
    for (uint64_t i = 0; i < x->after_count && i < EXPLAIN_AFTER; i++) {
        const struct explained_after *a = &x->after[i];

        line(out, i == 0 ? "since then" : "");
        put_count(out, a->spans, a->late ? "late span" : "span");
        buf_str(out, a->keep ? " kept" : " dropped");
        if (!a->late)
            put_by(out, a->policy, a->reason);
        buf_str(out, ", ");
        put_time(out, a->unix_ns);
        buf_byte(out, '\n');
    }
    if (x->after_count > EXPLAIN_AFTER) {
        line(out, "");
        buf_printf(out, "and %llu more; ", (unsigned long long)(x->after_count - EXPLAIN_AFTER));
        put_count(out, x->late_spans, "late span");
        buf_str(out, " in all\n");
    }
    if (x->rescued_logs_ns) {
        line(out, x->after_count ? "" : "since then");
        put_count(out, x->rescued_logs, "log record");
        buf_str(out, " rescued, ");
        put_time(out, x->rescued_logs_ns);
        buf_byte(out, '\n');
    }
}

static const char *arguments_of(const struct explanation *x)
{
    return x->arguments ? x->arguments : "";
}

static bool is_rescued(const struct explanation *x)
{
    for (uint64_t i = 0; i < x->after_count && i < EXPLAIN_AFTER; i++)
        if (x->after[i].rescue)
            return true;
    return x->rescued_logs_ns > 0;
}

static void put_spans(struct buf *out, const struct explanation *x)
{
    uint64_t spans = x->live_spans + x->history_spans, logs = x->live_logs + x->history_logs;
    uint64_t all = spans + logs;

    line(out, "journal");
    if (all == 0) {
        buf_str(out, "none of its spans is left\n");
        return;
    }
    if (spans)
        put_count(out, spans, "span");
    buf_str(out, spans && logs ? " and " : "");
    if (logs)
        put_count(out, logs, "log record");
    buf_str(out, all == 1 ? " is still there" : " are still there");
    if (!x->decision->record.keep && !is_rescued(x)) {
        buf_str(out, ": `moontail rescue ");
        encode_hex(out, slice_make(x->trace_id, sizeof(x->trace_id)));
        buf_printf(out, "%s` sends %s", arguments_of(x), all == 1 ? "it" : "them");
    }
    buf_byte(out, '\n');
}

/* Lines of the collector's, whose names are of scripts and senders. */
static void put_bias(struct buf *out, const struct explanation *x)
{
    const char *at = x->bias;
    char text[BIAS_TEXT_MAX];

    for (int i = 0; at && *at && i < BIAS_SHOWN; i++) {
        size_t len = strcspn(at, "\n");

        snprintf(text, sizeof(text), "%.*s", (int)len, at);
        line(out, i == 0 ? "bias" : "");
        put_clean(out, text);
        buf_byte(out, '\n');
        at += len + (at[len] == '\n');
    }
}

static void put_decision(struct buf *out, const struct explanation *x, uint64_t now_unix_ns)
{
    const struct explained_decision *d = x->decision;

    buf_str(out, d->record.keep ? "kept" : "dropped");
    put_by(out, d->policy, d->reason);
    buf_str(out, "\n\n");
    line(out, "when");
    put_time(out, d->record.unix_ns);
    put_age(out, d->record.unix_ns, now_unix_ns);
    buf_byte(out, '\n');
    put_values(out, &d->record);
    put_votes(out, d);
    put_sampling(out, &d->record);
    put_config(out, d);
    put_exporters(out, d);
    put_after(out, x);
    if (x->earlier) {
        line(out, "earlier");
        put_count(out, x->earlier, "decision");
        buf_str(out, ", forgotten before the rest of the trace came\n");
    }
    put_bias(out, x);
    put_spans(out, x);
}

/* ---- without one ---- */

static void put_undecided(struct buf *out, const struct explanation *x, uint64_t now_unix_ns)
{
    const char *or_not =
        x->may_be_left_out ? ", or left out by head_sampling or processors.received" : "";

    if (x->live_spans) {
        buf_printf(out, "pending%s: ", or_not);
        put_count(out, x->live_spans, "span");
        buf_str(out, " since ");
        put_time(out, x->first_ns);
        put_age(out, x->first_ns, now_unix_ns);
        buf_byte(out, '\n');
        return;
    }
    if (x->history_spans) {
        buf_printf(out, "decided, but the log does not go back that far%s; ", or_not);
        put_count(out, x->history_spans, "span");
        buf_str(out, " can still be read\n");
        return;
    }
    buf_str(out, "not seen");
    if (x->log_oldest_ns == 0) {
        buf_str(out, x->regions ? ": nothing was decided yet\n"
                                : ": no journal is there (at level memory there is none)\n");
        return;
    }
    buf_str(out, " since ");
    put_time(out, x->log_oldest_ns);
    put_age(out, x->log_oldest_ns, now_unix_ns);
    buf_printf(out, ": that is as far as the log goes back, with ");
    put_count(out, x->log_decisions, "decision");
    buf_byte(out, '\n');
}

void explanation_text(const struct explanation *x, uint64_t now_unix_ns, struct buf *out)
{
    encode_hex(out, slice_make(x->trace_id, sizeof(x->trace_id)));
    buf_str(out, ": ");
    if (x->decision)
        put_decision(out, x, now_unix_ns);
    else
        put_undecided(out, x, now_unix_ns);
    if (x->damaged)
        buf_printf(out, "(%llu part%s of the journal could not be read: see `moontail fsck%s`)\n",
                   (unsigned long long)x->damaged, x->damaged == 1 ? "" : "s", arguments_of(x));
}
