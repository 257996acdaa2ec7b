/* explanation_json.c: an explanation for programs. 64-bit times are strings, as in OTLP/JSON. */
#include "base/encode.h"
#include "cli/explanation.h"
#include "otlp/json.h"
#include "policy/policy.h"
#include "trace/trace.h"

static void put_key(struct buf *out, const char *key)
{
    if (out->len && out->data[out->len - 1] != '{' && out->data[out->len - 1] != '[')
        buf_byte(out, ',');
    json_put_string(out, slice_str(key));
    buf_byte(out, ':');
}

static void put_text(struct buf *out, const char *key, const char *text)
{
    put_key(out, key);
    json_put_string(out, slice_str(text));
}

static void put_number(struct buf *out, const char *key, uint64_t n)
{
    put_key(out, key);
    buf_printf(out, "%llu", (unsigned long long)n);
}

/* Numbers of over 53 bits. */
static void put_long(struct buf *out, const char *key, uint64_t n)
{
    put_key(out, key);
    buf_printf(out, "\"%llu\"", (unsigned long long)n);
}

static void put_bool(struct buf *out, const char *key, bool value)
{
    put_key(out, key);
    buf_str(out, value ? "true" : "false");
}

/* `digits`: as many as it was stored with. */
static void put_probability(struct buf *out, double p, int digits)
{
    if (p >= 0 && p <= 1) {
        put_key(out, "p");
        buf_printf(out, "%.*g", digits, p);
    }
}

static void begin_item(struct buf *out)
{
    buf_str(out, out->data[out->len - 1] == '[' ? "{" : ",{");
}

static void put_votes(struct buf *out, const struct explained_decision *d)
{
    static const char *const kinds[] = {"not_asked", "none", "keep", "drop", "sample", "at_least"};

    put_key(out, "votes");
    buf_byte(out, '[');
    for (unsigned i = 0; i < d->vote_count; i++) {
        const struct explained_vote *v = &d->votes[i];

        begin_item(out);
        put_text(out, "policy", v->policy);
        put_text(out, "vote", (unsigned)v->kind <= VOTE_AT_LEAST ? kinds[v->kind] : "failed");
        if (v->kind != VOTE_NOT_ASKED && v->kind != VOTE_NONE)
            put_text(out, "reason", v->reason);
        if (v->kind == VOTE_SAMPLE || v->kind == VOTE_AT_LEAST)
            put_probability(out, v->probability, 7);
        buf_byte(out, '}');
    }
    buf_byte(out, ']');
}

static void put_hex(struct buf *out, const char *key, uint64_t n)
{
    put_key(out, key);
    buf_printf(out, "\"%014llx\"", (unsigned long long)n);
}

static void put_sampling(struct buf *out, const struct decision_record *r)
{
    if (!(r->probability >= 0 && r->probability <= 1))
        return;
    put_probability(out, r->probability, 15);
    put_hex(out, "r", r->randomness);
    put_hex(out, "t",
            r->threshold == UINT64_MAX ? sampling_threshold(r->probability) : r->threshold);
}

static void put_exporters(struct buf *out, const struct explained_decision *d)
{
    put_key(out, "exporters");
    buf_byte(out, '[');
    for (unsigned i = 0; i < d->exporter_count; i++) {
        begin_item(out);
        put_text(out, "name", d->exporters[i].name);
        put_bool(out, "queued", d->exporters[i].is_queued);
        buf_byte(out, '}');
    }
    buf_byte(out, ']');
}

static void put_decision(struct buf *out, const struct explained_decision *d)
{
    const struct decision_record *r = &d->record;

    put_key(out, "decision");
    buf_byte(out, '{');
    put_bool(out, "keep", r->keep);
    put_text(out, "policy", d->policy);
    put_text(out, "reason", d->reason);
    put_long(out, "time_unix_nano", r->unix_ns);
    put_number(out, "spans", r->spans);
    put_number(out, "errors", r->errors);
    put_long(out, "duration_nano", r->duration_ns);
    put_bool(out, "complete", r->complete);
    put_text(out, "trigger", trace_trigger_name((enum trace_trigger)r->trigger));
    put_votes(out, d);
    put_sampling(out, r);
    put_text(out, "config_hash", d->config_hash);
    if (r->keep) {
        put_exporters(out, d);
        put_number(out, "exported_spans", r->payload_spans);
    }
    buf_byte(out, '}');
}

static void put_after(struct buf *out, const struct explanation *x)
{
    put_key(out, "since_then");
    buf_byte(out, '[');
    for (uint64_t i = 0; i < x->after_count && i < EXPLAIN_AFTER; i++) {
        const struct explained_after *a = &x->after[i];

        begin_item(out);
        put_bool(out, "late", a->late);
        put_bool(out, "keep", a->keep);
        put_text(out, "policy", a->policy);
        put_text(out, "reason", a->reason);
        put_number(out, "spans", a->spans);
        put_long(out, "time_unix_nano", a->unix_ns);
        buf_byte(out, '}');
    }
    buf_byte(out, ']');
    put_number(out, "since_then_count", x->after_count);
    put_number(out, "late_spans", x->late_spans);
}

static const char *state_of(const struct explanation *x)
{
    if (x->decision)
        return x->decision->record.keep ? "kept" : "dropped";
    if (x->live_spans)
        return "pending";
    return x->history_spans ? "forgotten" : "not_seen";
}

static void put_journal(struct buf *out, const struct explanation *x)
{
    put_key(out, "journal");
    buf_byte(out, '{');
    put_number(out, "live_spans", x->live_spans);
    put_number(out, "history_spans", x->history_spans);
    put_number(out, "live_logs", x->live_logs);
    put_number(out, "history_logs", x->history_logs);
    if (x->live_spans)
        put_long(out, "first_unix_nano", x->first_ns);
    put_number(out, "decisions", x->log_decisions);
    if (x->log_oldest_ns)
        put_long(out, "oldest_unix_nano", x->log_oldest_ns);
    put_number(out, "damaged", x->damaged);
    buf_byte(out, '}');
}

/* A list of lines. */
static void put_bias(struct buf *out, const struct explanation *x)
{
    const char *at = x->bias;

    put_key(out, "bias");
    buf_byte(out, '[');
    while (at && *at) {
        size_t len = strcspn(at, "\n");

        buf_str(out, at == x->bias ? "" : ",");
        json_put_string(out, slice_make(at, len));
        at += len + (at[len] == '\n');
    }
    buf_byte(out, ']');
}

void explanation_json(const struct explanation *x, struct buf *out)
{
    buf_byte(out, '{');
    put_key(out, "trace_id");
    buf_byte(out, '"');
    encode_hex(out, slice_make(x->trace_id, sizeof(x->trace_id)));
    buf_byte(out, '"');
    put_text(out, "state", state_of(x));
    if (x->decision) {
        put_decision(out, x->decision);
        put_number(out, "earlier_decisions", x->earlier);
        put_after(out, x);
    }
    if (x->bias)
        put_bias(out, x);
    put_journal(out, x);
    buf_str(out, "}\n");
}
