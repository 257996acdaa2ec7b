#include "collector/bias.h"

#include "collector/parts.h"
#include "spanmetrics/audit.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORST = 20,      /* operations on a page */
    ENOUGH = 20,     /* traces, before something is said in the log */
    TOLD_MAX = 1000, /* operations that the log names in the life of the process */
};

static const uint64_t gather_ns = 10 * NS_PER_S;

/* What is said of an operation, with ends of texts. */
struct named {
    char service[SPANMETRICS_TEXT_MAX + 1], name[SPANMETRICS_TEXT_MAX + 1];
};

static void copy_text(char *to, struct slice text)
{
    if (!text.data)
        text = slice_str("(others)");
    memcpy(to, text.data, text.len);
    to[text.len] = '\0';
}

static void name_of(const struct audit_operation *o, struct named *n)
{
    copy_text(n->service, o->service);
    copy_text(n->name, o->name);
}

static bool look_the_same(const struct audit_operation *a, const struct audit_operation *b)
{
    struct named x, y;

    name_of(a, &x);
    name_of(b, &y);
    return strcmp(x.service, y.service) == 0 && strcmp(x.name, y.name) == 0;
}

/* The worst operations, each name once: senders may put a NUL in one, which ends it here. */
static size_t find_worst(const struct collector *c, struct audit_operation *worst)
{
    size_t count = audit_worst(c->shared.audit, worst, WORST), left = 0;

    for (size_t i = 0; i < count; i++) {
        size_t same = 0;

        while (same < left && !look_the_same(&worst[same], &worst[i]))
            same++;
        if (same == left)
            worst[left++] = worst[i];
    }
    return left;
}

/* ---- life ---- */

void bias_init(struct collector *c)
{
    const struct config *config = c->config;
    struct audit_options options = {.max_operations = config->audit.max_operations,
                                    .all_spans = config->audit.all_spans};

    c->audit_due_ns = NEVER_NS;
    if (!config->audit.enabled)
        return;
    c->shared.audit =
        audit_new(&options, c->memory, c->shared.key, c->shared.count, collector_now_ns(c));
    c->audit_told = calloc(options.max_operations + 1, 1);
    c->audit_due_ns = collector_now_ns(c) + gather_ns;
}

void bias_fini(struct collector *c)
{
    audit_free(c->shared.audit);
    free(c->audit_told);
}

/* ---- the log ---- */

static void tell(struct collector *c, const struct audit_operation *o)
{
    const struct audit_drop *d = &o->drops[0];
    struct named n;
    char traces[64];

    name_of(o, &n);
    snprintf(traces, sizeof(traces), "%" PRIu64 " of %" PRIu64, d->traces, o->decided);
    log_event(LOG_INFO, "all traces of an operation are dropped", "service", n.service, "operation",
              n.name, "traces", traces, "policy", labels_policy(c->labels, d->label), "reason",
              labels_reason(c->labels, d->label));
}

/* Each operation once, until it leaves traces again. */
static void tell_new(struct collector *c)
{
    struct audit_operation worst[WORST];
    size_t count = audit_worst(c->shared.audit, worst, WORST);

    for (size_t i = 0; i < count && c->audit_told; i++) {
        uint8_t *told = &c->audit_told[worst[i].number];
        bool is_gone = worst[i].kept == 0 && worst[i].dropped > 0 && worst[i].decided >= ENOUGH &&
                       worst[i].drops[0].traces * 2 > worst[i].decided;

        if (is_gone && !*told && c->audit_tells < TOLD_MAX) {
            tell(c, &worst[i]);
            c->audit_tells++;
        }
        if (is_gone || worst[i].kept > 0)
            *told = is_gone;
    }
}

uint64_t bias_step(struct collector *c, uint64_t now_ns)
{
    if (collector_phase(c) != PHASE_RUNNING)
        return NEVER_NS;
    if (now_ns < c->audit_due_ns)
        return c->audit_due_ns;
    c->audit_due_ns = now_ns + gather_ns;
    if (snapshot_gather(c))
        tell_new(c);
    return c->audit_due_ns;
}

/* ---- pages ---- */

static double standard_errors(const struct audit_operation *o)
{
    return o->standard_errors;
}

static double unexplained(const struct audit_operation *o)
{
    return o->unexplained;
}

static double decided(const struct audit_operation *o)
{
    return (double)o->decided;
}

static double counted(const struct audit_operation *o)
{
    return o->counted;
}

static void write_gauge(struct metrics *m, const struct audit_operation *worst, size_t count,
                        double (*value)(const struct audit_operation *))
{
    struct named n;

    for (size_t i = 0; i < count; i++) {
        name_of(&worst[i], &n);
        metrics_sample(m, value(&worst[i]), "service", n.service, "operation", n.name, (char *)0);
    }
}

static void write_drops(const struct collector *c, struct metrics *m,
                        const struct audit_operation *o)
{
    struct named n;

    name_of(o, &n);
    for (size_t i = 0; i < o->drop_count; i++)
        metrics_sample(m, (double)o->drops[i].traces, "service", n.service, "operation", n.name,
                       "policy", labels_policy(c->labels, o->drops[i].label), "reason",
                       labels_reason(c->labels, o->drops[i].label), (char *)0);
}

void bias_write_metrics(struct collector *c, struct metrics *m)
{
    static const struct {
        const char *name, *help;
        double (*value)(const struct audit_operation *);
    } gauges[] = {
        {"moontail_sampling_bias_standard_errors",
         "How far the count of traces that the kept ones stand for is off, of the operations that "
         "are off most, in the last one to two minutes.",
         standard_errors},
        {"moontail_sampling_bias_unexplained_standard_errors",
         "The same without traces that a policy dropped for certain: beyond 5 it is no chance.",
         unexplained},
        {"moontail_sampling_true_traces", "Traces of these operations that were decided.", decided},
        {"moontail_sampling_counted_traces", "Traces of them that the kept ones stand for.",
         counted},
    };
    struct audit_operation worst[WORST];
    size_t count;

    if (!c->shared.audit)
        return;
    count = find_worst(c, worst);
    for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        metrics_family(m, gauges[i].name, METRIC_GAUGE, gauges[i].help);
        write_gauge(m, worst, count, gauges[i].value);
    }
    metrics_family(m, "moontail_sampling_dropped_traces", METRIC_GAUGE,
                   "Traces of them that were dropped for certain, by who did it.");
    for (size_t i = 0; i < count; i++)
        write_drops(c, m, &worst[i]);
    metrics_family(m, "moontail_sampling_audit_operations", METRIC_GAUGE,
                   "Operations that are counted by themselves.");
    metrics_sample(m, (double)audit_operations(c->shared.audit), (char *)0);
}

static void write_line(const struct collector *c, const struct audit_operation *o, struct buf *out)
{
    struct named n;

    name_of(o, &n);
    buf_printf(out, "%s %s: ", n.service, n.name);
    for (size_t i = 0; i < o->drop_count; i++)
        buf_printf(out, "%" PRIu64 " of %" PRIu64 " traces dropped by %s (%s), ",
                   o->drops[i].traces, o->decided, labels_policy(c->labels, o->drops[i].label),
                   labels_reason(c->labels, o->drops[i].label));
    if (o->drop_count == 0)
        buf_printf(out, "%" PRIu64 " traces, ", o->decided);
    buf_printf(out, "%" PRIu64 " kept that stand for %.0f, %+.0f standard errors\n", o->kept,
               o->counted, o->standard_errors);
}

static bool is_dropped_by(const struct collector *c, const struct audit_operation *o,
                          struct slice policy)
{
    for (size_t i = 0; i < o->drop_count; i++)
        if (slice_is(policy, labels_policy(c->labels, o->drops[i].label)))
            return true;
    return false;
}

void bias_write_lines(struct collector *c, struct slice policy, const char *before, size_t max,
                      struct buf *out)
{
    struct audit_operation worst[WORST];
    size_t count = c->shared.audit ? audit_worst(c->shared.audit, worst, WORST) : 0;

    for (size_t i = 0; i < count && max > 0; i++) {
        if (fabs(worst[i].standard_errors) < AUDIT_NOTABLE ||
            (policy.len > 0 && !is_dropped_by(c, &worst[i], policy)))
            continue;
        buf_str(out, before);
        write_line(c, &worst[i], out);
        max--;
    }
}
