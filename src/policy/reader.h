/* reader.h: reads one trace for scripts and matchers: lazily, at most once, in a fixed order.
 *
 * Belongs to policy; one reader per Lua state. Spans are named by their index in the policy_trace;
 * reader_order says how scripts see them: by (start, id, bytes). Nothing here raises: a failed
 * allocation sets `no_memory` and the trace reads as empty.
 */
#pragma once

#include "policy/policy.h"

#define READER_NONE SIZE_MAX

enum { READER_ATTRS = 16 }; /* of a span, on average: where more are is not noted */

/* What Lua reads and C writes, without a call. The declarations are also the text that Lua parses,
 * so they can't differ. Numbers are doubles: Lua has no other. */
#define READER_FACE_DECLARATIONS                                                                   \
    double number; /* of this trace; 0: none is being read */                                      \
    double count, errors, bytes;                                                                   \
    double duration_ms, start_ms, decided_ms;                                                      \
    int complete;                                                                                  \
    const char *trigger;                                                                           \
    int type; /* of the value that was read last: enum value_type */                               \
    double value;                                                                                  \
    const char *text;                                                                              \
    size_t len;

struct reader_face {
    READER_FACE_DECLARATIONS
};

/* Fields that scripts and matchers name; the table of their names is reader_field_names. */
enum reader_field {
    FIELD_ID,
    FIELD_PARENT_ID,
    FIELD_TRACE_ID,
    FIELD_NAME,
    FIELD_KIND,
    FIELD_STATUS,
    FIELD_STATUS_MESSAGE,
    FIELD_IS_ERROR,
    FIELD_IS_ROOT,
    FIELD_IS_ENTRY,
    FIELD_IS_SAMPLED,
    FIELD_DURATION_MS,
    FIELD_START_MS,
    FIELD_OFFSET_MS,
    FIELD_BYTES,
    FIELD_ADJUSTED_COUNT,
    FIELD_SERVICE,
    FIELD_SCOPE_NAME,
    FIELD_SCOPE_VERSION,
    FIELD_HTTP_METHOD,
    FIELD_HTTP_ROUTE,
    FIELD_HTTP_PATH,
    FIELD_HTTP_STATUS,
    FIELD_DB_SYSTEM,
    FIELD_DB_NAME,
    FIELD_DB_OPERATION,
    FIELD_DB_STATEMENT,
    FIELD_RPC_SYSTEM,
    FIELD_RPC_SERVICE,
    FIELD_RPC_METHOD,
    FIELD_LOG_SEVERITY,
    FIELD_LOG_SEVERITY_NUMBER,
    FIELD_LOG_SEVERITY_TEXT,
    FIELD_LOG_BODY,
    FIELD_LOG_EVENT_NAME,
    FIELD_LOG_TRACE_ID,
    FIELD_LOG_SPAN_ID,
    FIELD_LOG_TIME_MS,
    FIELD_LOG_BYTES,
    FIELD_METRIC_NAME,
    FIELD_METRIC_DESCRIPTION,
    FIELD_METRIC_UNIT,
    FIELD_METRIC_TYPE,
    FIELD_METRIC_TEMPORALITY,
    FIELD_METRIC_MONOTONIC,
    FIELD_POINT_VALUE,
    FIELD_POINT_COUNT,
    FIELD_POINT_SUM,
    FIELD_POINT_TIME_MS,
    FIELD_POINT_START_MS,
    FIELD_COUNT
};

struct reader_field_name {
    const char *owner; /* "span", "scope", "http", "db", "rpc", "log", "metric", "point" */
    const char *name;
    enum value_type type;
};
extern const struct reader_field_name reader_field_names[FIELD_COUNT];

struct reader_slot {
    struct span_view view;
    struct span_fields fields;
    uint32_t attrs, attr_count; /* where its attributes are noted */
};

struct reader_id {
    uint64_t id;
    uint32_t span;
};

struct reader {
    struct reader_face face; /* first: Lua's pointer to it is the reader's */
    const struct policy_trace *trace;
    const struct labels *labels; /* for trace.decision; may be NULL */
    size_t count;                /* of spans that can be read */
    size_t capacity;
    struct reader_slot *slots; /* one block with the arrays below */
    uint8_t *have;             /* by span: what of its slot is filled */
    uint32_t *order;           /* spans by (start, id, bytes) */
    struct reader_id *ids;     /* spans by (id, rank) */
    /* Where attributes are, of the spans that were read more than once. */
    struct view_attr_at *attrs;
    size_t attr_count;
    bool ready, ordered, indexed;
    bool no_memory;
    size_t root, entry; /* cached when known_* */
    bool known_root, known_entry;
    uint64_t numbers;  /* traces begun */
    struct value last; /* what the face shows */
    char hex[33];
    void *shape; /* of shape.c; NULL at first */
};

void reader_init(struct reader *r);
void reader_fini(struct reader *r);

/* Points `r` to a trace, borrowed until reader_end. Touches no span. */
void reader_begin(struct reader *r, const struct policy_trace *trace);
void reader_end(struct reader *r);

/* After no_memory: the next look at the spans tries again. */
static inline void reader_retry(struct reader *r)
{
    if (!r->no_memory)
        return;
    r->no_memory = r->known_root = r->known_entry = false;
    r->count = r->trace->count;
    r->face.count = r->trace->count;
}

/* Makes room for the spans. False without memory. Called by all below that need it. */
bool reader_ready(struct reader *r);

/* Asks for the bytes of the only root ahead of whoever reads it, where it is known. */
void reader_fetch_root(struct reader *r);
/* Whether somebody read it. */
bool reader_has_read_root(const struct reader *r);

/* `span` < count. */
const struct span_view *reader_view(struct reader *r, size_t span);
const struct span_fields *reader_fields(struct reader *r, size_t span);

/* A processor edited the span: from here on it reads so. What order it has stays. */
void reader_set_view(struct reader *r, size_t span, const struct span_view *view);

/* The span at position `rank` < count. */
size_t reader_order(struct reader *r, size_t rank);
/* Whether `a` comes before `b` in that order. */
bool reader_is_before(struct reader *r, size_t a, size_t b);
/* The earliest span without a parent id, or READER_NONE. */
size_t reader_root(struct reader *r);
/* The root, else the earliest whose parent is not here, else the earliest. READER_NONE: no spans.
 */
size_t reader_entry(struct reader *r);
/* The parent of `span`, or READER_NONE where it is not here. A span is never its own parent. */
size_t reader_parent(struct reader *r, size_t span);
bool reader_is_root(struct reader *r, size_t span);

/* R of the trace (sampling.c). */
uint64_t reader_randomness(struct reader *r);

/* The value of a field; VALUE_ABSENT if there is none. Text is borrowed from the span, or from the
 * reader until the next call. */
struct value reader_field(struct reader *r, size_t span, enum reader_field field);

/* The same of fields from FIELD_LOG_SEVERITY on, which spans do not have. */
struct value reader_item_field(struct reader *r, size_t item, enum reader_field field);
/* What a span's own fields are to others: only a service and a scope are there. */
bool reader_has_field(const struct reader *r, enum reader_field field);

/* The hex of an id, borrowed until the next call; absent if it is none. */
struct value reader_hex(struct reader *r, struct slice id);
/* Of a Unix time from the start of the trace; 0 where one of them is unknown. */
double reader_offset_ms(const struct reader *r, uint64_t time_ns);

/* The first attribute called `key` of an owner: `at` is the position of an event or link in the
 * span. False if none; the value may be VALUE_ABSENT. */
bool reader_attr(struct reader *r, size_t span, enum attr_owner owner, size_t at, struct slice key,
                 struct value *value);
/* The first of `keys` that the span has with a value set; its index or -1. */
int reader_first_attr(struct reader *r, size_t span, const struct slice *keys, int count,
                      struct value *value);

/* The event or link at a position in the span; empty if there is none. */
struct slice reader_inner(struct slice span, enum attr_owner owner, size_t at);
