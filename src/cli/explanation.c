#include "cli/explanation.h"

#include "base/encode.h"
#include "cli/explanation_found.h"

#include <stdio.h>
#include <stdlib.h>

struct gathering {
    struct explanation *x;
    struct reader *reader;
    struct found_list spans, logs;
    bool no_memory;
};

bool trace_id_parse(const char *text, uint8_t trace_id[16])
{
    size_t len;

    return strlen(text) == 32 && strspn(text, "0") < 32 &&
           decode_hex(slice_str(text), trace_id, &len) && len == 16;
}

/* ---- decisions ---- */

static char *copy(struct gathering *g, const char *text)
{
    char *copied = strdup(text ? text : "");

    g->no_memory |= !copied;
    return copied;
}

static struct name_pair label_name(const struct names_read *n, uint16_t label)
{
    return label < n->label_count ? n->labels[label] : (struct name_pair){"", ""};
}

/* Its label says whose vote it is; in records without, the policies of the start do. */
static const char *voter_name(const struct names_read *n, unsigned i, uint16_t label)
{
    if (label > 0)
        return label_name(n, label).policy;
    return i < n->policy_count ? n->policies[i] : "";
}

/* The record has the first half of the hash, names have what the files were opened with. */
static char *config_hash(struct gathering *g, const struct names_read *n, uint32_t version)
{
    char half[9];

    snprintf(half, sizeof(half), "%08x", version);
    return copy(g, strncmp(n->config_hash ? n->config_hash : "", half, 8) == 0 ? n->config_hash
                                                                               : half);
}

static void copy_votes(struct gathering *g, struct explained_decision *to,
                       const struct reader_decision *d)
{
    to->votes = calloc(d->entry->vote_count + 1, sizeof(*to->votes));
    if (!to->votes) {
        g->no_memory = true;
        return;
    }
    for (unsigned i = 0; i < d->entry->vote_count; i++) {
        struct decision_vote vote = entry_vote(d->entry, i);

        to->votes[to->vote_count++] = (struct explained_vote){
            .policy = copy(g, voter_name(d->names, i, vote.label)),
            .reason = copy(g, label_name(d->names, vote.label).reason),
            .kind = (enum vote_kind)vote.kind,
            .probability = vote.probability,
        };
    }
}

static void copy_exporters(struct gathering *g, struct explained_decision *to,
                           const struct names_read *names)
{
    for (unsigned i = 0; i < 64; i++) {
        char number[16];

        if (!(to->record.exporters >> i & 1))
            continue;
        snprintf(number, sizeof(number), "#%u", i);
        to->exporters[to->exporter_count++].name =
            copy(g, i < names->exporter_count ? names->exporters[i] : number);
    }
}

static void decision_free(struct explained_decision *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->vote_count; i++) {
        free(d->votes[i].policy);
        free(d->votes[i].reason);
    }
    for (unsigned i = 0; i < d->exporter_count; i++)
        free(d->exporters[i].name);
    free(d->votes);
    free(d->policy);
    free(d->reason);
    free(d->config_hash);
    free(d);
}

static void take_decision(struct gathering *g, const struct reader_decision *from)
{
    struct explanation *x = g->x;
    struct explained_decision *d = calloc(1, sizeof(*d));

    if (!d) {
        g->no_memory = true;
        return;
    }
    x->earlier += x->decision != NULL;
    decision_free(x->decision);
    x->decision = d;
    x->after_count = x->late_spans = 0;
    d->record = from->entry->record;
    d->policy = copy(g, label_name(from->names, d->record.label).policy);
    d->reason = copy(g, label_name(from->names, d->record.label).reason);
    d->config_hash = config_hash(g, from->names, d->record.config_version);
    copy_votes(g, d, from);
    copy_exporters(g, d, from->names);
}

/* "xray, archive" */
static void list_exporters(uint64_t mask, const struct names_read *names, char *text, size_t size)
{
    size_t len = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < names->exporter_count && len < size; i++)
        if (mask >> i & 1)
            len += (size_t)snprintf(text + len, size - len, "%s%s", len ? ", " : "",
                                    names->exporters[i]);
}

static bool is_rescue(const struct reader_decision *d)
{
    return strcmp(label_name(d->names, d->entry->record.label).policy, "rescue") == 0;
}

static void take_after(struct explanation *x, const struct reader_decision *from)
{
    const struct decision_record *r = &from->entry->record;
    struct name_pair name = label_name(from->names, r->label);
    bool rescue = is_rescue(from);
    struct explained_after *after;

    x->late_spans += r->late && !rescue ? r->spans : 0;
    if (x->after_count++ >= EXPLAIN_AFTER && !rescue)
        return;
    /* A rescue is always among those that are shown. */
    after = &x->after[x->after_count <= EXPLAIN_AFTER ? x->after_count - 1 : EXPLAIN_AFTER - 1];
    *after = (struct explained_after){.unix_ns = r->unix_ns,
                                      .spans = r->spans,
                                      .keep = r->keep,
                                      .late = r->late && !rescue,
                                      .rescue = rescue};
    snprintf(after->policy, sizeof(after->policy), "%s", name.policy);
    snprintf(after->reason, sizeof(after->reason), "%s", name.reason);
    list_exporters(r->exporters, from->names, after->exporters, sizeof(after->exporters));
}

/* Log records follow, and say nothing of the decision; but that they were rescued. */
static void take_logs(struct explanation *x, const struct reader_decision *d)
{
    const struct decision_record *r = &d->entry->record;

    if (!is_rescue(d) || memcmp(r->trace_id, x->trace_id, sizeof(x->trace_id)) != 0)
        return;
    x->rescued_logs = r->spans;
    x->rescued_logs_ns = r->unix_ns;
}

static bool on_logged(void *arg, const struct reader_decision *d)
{
    struct gathering *g = arg;
    struct explanation *x = g->x;
    const struct decision_record *r = &d->entry->record;

    if (r->signal > SIGNAL_TRACES) {
        take_logs(x, d);
        return true;
    }
    x->log_decisions += !r->late;
    if (x->log_oldest_ns == 0 || r->unix_ns < x->log_oldest_ns)
        x->log_oldest_ns = r->unix_ns;
    if (memcmp(r->trace_id, x->trace_id, sizeof(x->trace_id)) != 0)
        return true;
    if (r->late || is_rescue(d))
        take_after(x, d);
    else
        take_decision(g, d);
    return !g->no_memory;
}

/* ---- exporters that have not settled it ---- */

static void mark_queued(struct gathering *g, uint64_t record)
{
    struct explained_decision *d = g->x->decision;

    for (unsigned i = 0; i < d->exporter_count; i++) {
        uint64_t position;

        if (reader_settled(g->reader, d->exporters[i].name, &position))
            d->exporters[i].is_queued = position <= record;
    }
}

/* The record in the outbox; it may be all there is, if the process ended before the log's entry.
 * Where none is left all have settled it. */
static bool on_queued(void *arg, const struct reader_decision *d)
{
    struct gathering *g = arg;
    const struct decision_record *r = &d->entry->record;

    if (memcmp(r->trace_id, g->x->trace_id, sizeof(r->trace_id)) != 0 || r->late || is_rescue(d))
        return true;
    if (!g->x->decision)
        take_decision(g, d);
    if (g->x->decision && g->x->decision->record.unix_ns == r->unix_ns &&
        d->segment->state == SEGMENT_LIVE)
        mark_queued(g, d->position);
    return !g->no_memory;
}

/* ---- spans ---- */

static void take_segment(struct gathering *g, uint64_t ordinal)
{
    struct explanation *x = g->x;
    uint64_t *more;

    if (x->segment_count && x->segments[x->segment_count - 1] == ordinal)
        return;
    more = reallocarray(x->segments, x->segment_count + 1, sizeof(*more));
    g->no_memory |= !more;
    if (!more)
        return;
    x->segments = more;
    x->segments[x->segment_count++] = ordinal;
}

static bool on_frame(void *arg, const struct reader_segment *s, const struct frame *f)
{
    struct gathering *g = arg;
    struct explanation *x = g->x;

    if (!found_in(&g->spans, &g->logs, s, f, x->trace_id))
        return !g->spans.no_memory && !g->logs.no_memory;
    take_segment(g, s->header.ordinal);
    if (s->header.state == SEGMENT_LIVE && (x->first_ns == 0 || f->header.unix_ns < x->first_ns))
        x->first_ns = f->header.unix_ns;
    return !g->no_memory && !g->spans.no_memory && !g->logs.no_memory;
}

/* ---- all of it ---- */

typedef void look_fn(struct gathering *g);

static void look_at_spans(struct gathering *g)
{
    reader_find_trace(g->reader, g->x->trace_id, on_frame, g);
    g->no_memory |= g->spans.no_memory || g->logs.no_memory;
    found_count(&g->spans, &g->x->live_spans, &g->x->history_spans);
    found_count(&g->logs, &g->x->live_logs, &g->x->history_logs);
}

static void look_at_decisions(struct gathering *g)
{
    g->x->regions = reader_count(g->reader);
    reader_each_decision(g->reader, USE_DECISIONS, on_logged, g);
    if (!g->x->decision || g->x->decision->record.keep)
        reader_each_decision(g->reader, USE_OUTBOX, on_queued, g);
}

static enum err look(struct gathering *g, struct disk *disk, const char *path, look_fn *fn,
                     struct err_info *info)
{
    enum err err = reader_open(disk, path, &g->reader, info);

    if (err)
        return err;
    fn(g);
    g->x->damaged += reader_stats(g->reader)->damaged;
    reader_close(g->reader);
    return g->no_memory ? err_fail(info, ERR_FULL, "no memory") : ERR_OK;
}

static enum err read_parts(struct disk *disk, const char *path, const uint8_t trace_id[16],
                           bool with_spans, struct explanation *x, struct err_info *info)
{
    struct gathering g = {.x = x};
    enum err err = ERR_OK;

    *x = (struct explanation){0};
    memcpy(x->trace_id, trace_id, sizeof(x->trace_id));
    /* Spans first: one that is decided meanwhile has its decision then. */
    if (with_spans)
        err = look(&g, disk, path, look_at_spans, info);
    if (!err)
        err = look(&g, disk, path, look_at_decisions, info);
    found_free(&g.spans);
    found_free(&g.logs);
    if (err)
        explanation_fini(x);
    return err;
}

enum err explanation_read(struct disk *disk, const char *path, const uint8_t trace_id[16],
                          struct explanation *x, struct err_info *info)
{
    return read_parts(disk, path, trace_id, true, x, info);
}

enum err explanation_read_decisions(struct disk *disk, const char *path, const uint8_t trace_id[16],
                                    struct explanation *x, struct err_info *info)
{
    return read_parts(disk, path, trace_id, false, x, info);
}

void explanation_fini(struct explanation *x)
{
    decision_free(x->decision);
    free(x->segments);
    free(x->bias);
    x->bias = NULL;
    x->decision = NULL;
    x->segments = NULL;
}
