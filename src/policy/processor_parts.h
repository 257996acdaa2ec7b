/* processor_parts.h: the inside of a processor_set, for processor.c (making and asking),
 * processor_run.c (the spans of a trace), processor_body.c (bodies at the door) and
 * processor_items.c (metrics and logs). Internal to policy.
 */
#pragma once

#include "otlp/signal.h"
#include "policy/api.h"
#include "policy/match.h"
#include "policy/processor.h"
#include "policy/redact.h"
#include "policy/script.h"

#include <lauxlib.h>

enum on_error { ON_ERROR_PASS, ON_ERROR_STRIP, ON_ERROR_DROP };

/* What a processor does about the metrics, or the logs, that pass. Functions are references, of
 * which each takes the number of what is read and a position; LUA_NOREF: there is none. */
struct processor_items {
    int resource, metric, item; /* item: a data point, or a log record */
    int when_ref;
    const struct match *when; /* which items it is asked about; NULL: all */
    bool redacts;             /* it redacts bodies as a whole, in C */
    bool asked;               /* it does something about them */
};

struct processor {
    struct script script;
    int span;  /* reference to its function: number of the trace, span -> verdict; or LUA_NOREF */
    int trace; /* number of the trace -> nothing; or LUA_NOREF */
    int body;  /* reference to its redaction, for whole bodies at the door; or LUA_NOREF */
    int when_ref;
    const struct match *when; /* NULL: every span */
    enum on_error on_error;
    uint16_t error_label; /* of spans that it drops by failing */
    uint64_t serial;      /* of the verdict whose label is the next */
    uint16_t label;
    struct processor_items items[OTLP_SIGNALS]; /* of metrics and logs */
    int bodies_ref;                             /* of: */
    struct redact *redacts_items;               /* what `items` that redact do it by */
    struct redact *redacts_body;                /* of `body`; NULL: it is asked about spans */
    struct redact *redacts_spans;         /* kept ones, without asking it; NULL: it is asked */
    const struct redact *redact;          /* whose rules have the labels below */
    uint16_t redact_labels[REDACT_RULES]; /* of shared->redactions; 0: not asked for yet */
};

struct processor_set {
    lua_State *L;
    struct reader *reader;
    struct editor *editor;
    struct policy_shared *shared;
    struct span_view *views; /* of the trace that is processed; one block with the two below */
    uint16_t *gone;          /* by span: 1 + the label of why it was dropped; 0: it was not */
    uint16_t *dropped;       /* labels of those that were */
    size_t capacity, dropped_count;
    struct buf bodies[2]; /* what is left of one: two in turn */
    struct buf metric;    /* one that was edited, while its points are asked about */
    struct buf resource;  /* the same of a resource and its items */
    size_t span_count;    /* processors that are asked about spans */
    size_t count;
    struct processor processors[];
};

/* Adds what `r` found since the last time to the counts of `x`; not `counts`: forgets it. */
void processor_count_redacted(struct processor_set *p, struct processor *x, struct redact *r,
                              bool counts);
void processor_count_failure(struct processor_set *p, struct processor *x,
                             enum policy_failure kind);

/* What a processor says of a span. */
enum answer { ANSWER_LEAVE, ANSWER_DROP, ANSWER_FAILED };

/* Calls a function of `x` about a span of the reader's trace, or the item that stands for it.
 * *label: why it is dropped. */
enum answer processor_ask(struct processor_set *p, struct processor *x, int function, size_t span,
                          uint64_t now_ns, uint16_t *label);

/* A body of much must not hold memory for good. */
void processor_set_give_back(struct processor_set *p);

/* ---- processor_items.c ---- */

/* Reads what the table of a processor on the top of the stack says of metrics and logs. */
void processor_items_init(struct processor_set *p, struct processor *x);
void processor_items_fini(struct processor_set *p, struct processor *x);

/* ---- processor.c ---- */

/* The reference to a field of the table on the top of the stack; nil: LUA_NOREF. */
int processor_reference(lua_State *L, const char *key);
/* Calls its trace function, if it has one. False: it failed. */
bool processor_ask_trace(struct processor_set *p, struct processor *x, uint64_t now_ns);
