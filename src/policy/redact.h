/* redact.h: finds what should not leave in the texts of a span and takes it out. Internal to
 * policy.
 *
 * Data path: policies -> [redact, where a processor asks for it] -> composer; where it is asked for
 * at the door: receive -> scan -> [redact] -> scan -> journal. One look at a text's bytes
 * (redact_filter.c) tells what it can't hold; a second pass, where there is one, stops only at
 * bytes which the rest needs ('@', digits, "eyJ", "AKIA", "://", '=' ...). So a span without
 * secrets costs little more than reading it. A struct redact belongs to one Lua state: it counts
 * what it finds. Nothing here raises but `look`.
 *
 * What was taken out once is not touched again: "****", "****1234" of keep_last, "hmac:" and 32 hex
 * digits stay as they are.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "otlp/signal.h"
#include "otlp/view.h"

#define REDACT_MASK "****"

enum redact_rule {
    REDACT_KEY,        /* the value of an attribute whose key says that it is secret */
    REDACT_ASSIGNMENT, /* password=..., "token": "...", ?sig=... within a text */
    REDACT_URL,        /* user and password of a URL */
    REDACT_AUTH,       /* Bearer ..., Basic ... */
    REDACT_JWT,
    REDACT_AWS_KEY,
    REDACT_GITHUB,
    REDACT_SLACK,
    REDACT_STRIPE,
    REDACT_GOOGLE,
    REDACT_PEM,
    REDACT_EMAIL,
    REDACT_PHONE,
    REDACT_CARD,
    REDACT_SSN,
    REDACT_IBAN,
    REDACT_IPV4,
    REDACT_IPV6,
    REDACT_UUID,
    REDACT_SQL,     /* literals of statements */
    REDACT_COMMAND, /* arguments of Redis, Memcached and MongoDB */
    REDACT_BIND,    /* db.query.parameter.* */
    REDACT_BUILT_IN,
    REDACT_OWN = REDACT_BUILT_IN, /* the first of the patterns that were given */
    REDACT_OWN_MAX = 32,
    REDACT_RULES = REDACT_OWN + REDACT_OWN_MAX,
};

enum redact_action {
    REDACT_OFF,
    REDACT_TO_MASK,
    REDACT_TO_HMAC,    /* of SHA-256, 128 bits of it: equal texts stay equal */
    REDACT_TO_DROP,    /* the attribute goes */
    REDACT_TO_LAST,    /* letters and digits at the end stay, half of the text at most */
    REDACT_TO_NETWORK, /* of addresses: /24, /48 */
};

enum {
    REDACT_LAST_MAX = 8,
    REDACT_KEYS_MAX = 64,      /* patterns of keys, each list */
    REDACT_HMAC_KEY_MAX = 256, /* bytes */
};

struct redact;

/* All built-in rules as they are by default. NULL without memory. */
struct redact *redact_new(void);
void redact_free(struct redact *r); /* NULL is allowed */

/* The names of built-in rules, and what is done where nothing is said. */
const char *redact_rule_name(enum redact_rule rule);
enum redact_action redact_default(enum redact_rule rule);

/* The rules are set once, before the first text. keep: for REDACT_TO_LAST, 1..REDACT_LAST_MAX. */
void redact_set(struct redact *r, unsigned rule, enum redact_action action, unsigned keep);
/* Patterns: copied. ERR_FULL: too many, or no memory; ERR_CONFIG: RE2's sentence in info. */
enum err redact_add_key(struct redact *r, struct slice glob, struct err_info *info) MUST_CHECK;
enum err redact_ignore_key(struct redact *r, struct slice glob, struct err_info *info) MUST_CHECK;
enum err redact_add_value(struct redact *r, struct slice name, struct slice pattern, unsigned *rule,
                          struct err_info *info) MUST_CHECK;
enum err redact_allow_value(struct redact *r, struct slice pattern,
                            struct err_info *info) MUST_CHECK;
enum err redact_set_hmac_key(struct redact *r, struct slice key, struct err_info *info) MUST_CHECK;
/* For tests: no text and no key is done with at a glance. What comes out is the same. */
void redact_thoroughly(struct redact *r);
/* Called now and then while it works; may leave by longjmp: then nothing of the result counts. */
void redact_on_look(struct redact *r, void (*look)(void *arg), void *arg);

/* While it is held `look` is not called. */
void redact_hold_look(struct redact *r, bool hold);

enum redact_outcome {
    REDACT_SAME,
    REDACT_CHANGED, /* `out` has what is left */
    REDACT_GONE,    /* drop: nothing is left of it */
    REDACT_FAILED,  /* no memory: the text must not leave */
};

/* One text under a key (empty: none): what becomes of it. `out` is written anew. */
enum redact_outcome redact_text(struct redact *r, struct slice key, struct slice text,
                                struct buf *out);

/* As redact_text without a key, of a text for people: it is not counted, and `look` is not called.
 */
enum redact_outcome redact_shown(struct redact *r, struct slice text, struct buf *out);

/* What becomes of a Span, of a ResourceSpans (its ScopeSpans are left out) and of a ScopeSpans (its
 * spans are left out). Ids, times and enums are never touched; what is not edited is copied byte
 * for byte. Never REDACT_GONE. */
enum redact_outcome redact_span(struct redact *r, struct slice span, struct buf *out);
/* The same of a log record (its body too) or a data point; OWNER_SPAN is redact_span. */
enum redact_outcome redact_item(struct redact *r, enum attr_owner of, struct slice item,
                                struct buf *out);
enum redact_outcome redact_resource(struct redact *r, struct slice resource_spans, struct buf *out);
enum redact_outcome redact_scope(struct redact *r, struct slice scope_spans, struct buf *out);

/* What becomes of a body that was scanned: of its resources, scopes and spans, data points or log
 * records, as above; all else is copied. `look` is not called. Appends all of it to `out`, also
 * where it is the same. Never REDACT_GONE; FAILED: what is in `out` is of no use. */
enum redact_outcome redact_body(struct redact *r, enum otlp_signal signal, struct slice body,
                                struct buf *out);
/* Its scratch is counted from now on; `memory` outlives it. NULL: it is not. */
void redact_count_memory(struct redact *r, struct memory *memory);

/* Walks the rules that found something since the last walk: *at starts at 0; each count is given
 * once. False at the end. */
bool redact_counts_next(struct redact *r, size_t *at, unsigned *rule, uint64_t *count);
/* The name of any rule of `r`; borrowed as long as it. */
const char *redact_name(const struct redact *r, unsigned rule);
