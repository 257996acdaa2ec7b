/* match.h: a compiled match{}: terms that hold on one span. Internal to policy. */
#pragma once

#include "base/number_text.h"
#include "policy/reader.h"
#include "policy/regex.h"

#define MATCH_MAGIC UINT64_C(0x6d6f6f6e6d746368)

enum { MATCH_MAX_TESTS = 10000 }; /* of one match{} */

enum match_kind {
    MATCH_ANY,
    MATCH_NONE,
    MATCH_TEXT,
    MATCH_NUMBER,
    MATCH_BOOL,
    MATCH_GLOB,
    MATCH_REGEX,
    MATCH_REGEX_TEXT, /* as MATCH_REGEX; numbers and booleans are compared by their text */
    MATCH_RANGE,
    MATCH_KIND_COUNT
};

/* What a term looks at. */
enum match_place {
    PLACE_FIELD, /* field: enum reader_field */
    PLACE_ATTR,  /* key */
    PLACE_RESOURCE,
    PLACE_SCOPE,
    PLACE_EVENT_NAME,
    PLACE_EVENT_ATTR,
    PLACE_LINK_TRACE_ID,
    PLACE_LINK_SPAN_ID,
    PLACE_LINK_ATTR,
    PLACE_TRACE_STATE, /* key: of a member of the span's tracestate */
    PLACE_ANY_ATTR,    /* key: of the span, else of its resource, else of its scope */
    PLACE_DECISION,    /* field: enum match_decision */
    PLACE_TRACE,       /* field: enum match_trace */
    PLACE_COUNT
};

enum match_decision { DECISION_POLICY, DECISION_REASON, DECISION_VERDICT, DECISION_P };
enum match_trace {
    TRACE_SPAN_COUNT,
    TRACE_ERROR_COUNT,
    TRACE_BYTES,
    TRACE_DURATION_MS,
    TRACE_COMPLETE,
    TRACE_TRIGGER,
};

/* What can be looked at. */
enum match_item { MATCH_OF_SPANS = 1, MATCH_OF_METRICS = 2, MATCH_OF_LOGS = 4 };

struct match_test {
    enum match_kind kind;
    bool whole; /* a list is a value of its own: no element of it counts */
    union {
        struct slice text; /* text, glob; owned */
        double number;
        bool boolean;
        struct regex *regex;
        struct {
            double low, high;
        };
    };
};

/* Holds if one of its tests does. */
struct match_term {
    enum match_place place;
    unsigned field;
    bool negated; /* of the group in ["not"] */
    struct slice key;
    uint32_t first, count; /* of tests */
};

enum { MATCH_ACCEPT = UINT32_MAX, MATCH_REJECT = UINT32_MAX - 1 };

/* Tests one term and goes on: to a step before it in the array, or to the answer. */
struct match_step {
    uint32_t term;
    uint32_t next[2]; /* by whether the term holds */
};

/* The payload of a userdata: `magic` tells it from others. */
struct match {
    uint64_t magic;
    struct match_term *terms;
    struct match_test *tests;
    uint32_t term_count, test_count;
    struct match_step *steps; /* any condition of its terms, from the last step; NULL: all hold */
    uint32_t step_count;
    bool whole;          /* of the tests that are added */
    bool each_event;     /* the steps are about one event, any of the span's */
    bool has_not;        /* a group in ["not"] */
    bool asks_trace;     /* has decision or trace fields: not for single spans */
    bool asks_decision;  /* has decision fields: only for `where` */
    bool asks_span;      /* has others */
    unsigned asks_items; /* bits of enum match_item: has fields that these alone have */
};

/* The matcher of a Lua userdata's payload, or NULL. */
const struct match *match_check(const void *userdata, size_t size);
bool match_reads(const struct match *m, struct reader *r, size_t span);
/* The first span in order, or READER_NONE. */
size_t match_find(const struct match *m, struct reader *r);
/* Whether the trace has its decision and trace fields, and one span all others. */
bool match_trace(const struct match *m, struct reader *r);
/* What a term that is not of the trace, events or links reads of a span. */
struct value match_value(struct reader *r, size_t span, const struct match_term *t);
/* A string as it is; integers in full, doubles as number_text has them; booleans as true and false;
 * else empty. `text` has room for those that need some. */
enum { SCALAR_TEXT = NUMBER_TEXT };
struct slice match_text(const struct value *v, char text[SCALAR_TEXT]);
bool match_test_value(const struct match_test *t, const struct value *v);
/* `*` any run, `?` one character of UTF-8, `\` escapes; the whole text. */
bool match_glob(struct slice pattern, struct slice text);

/* Adds match_new, match_term, match_test and the like to the table on top: for moontail.match. */
void match_register(lua_State *L);
