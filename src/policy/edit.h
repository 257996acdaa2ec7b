/* edit.h: the spans of one kept trace while processors edit them. Internal to policy.
 *
 * An edit is a splice over what the span is at that moment, so that every read sees what was
 * written before. What a processor made of a span becomes its bytes when its call ends well, else
 * nothing of it stays.
 */
#pragma once

#include "base/memory.h"
#include "otlp/splice.h"
#include "policy/reader.h"

#include <lua.h>

enum { EDIT_RESOURCES = 16 }; /* edited resources that are known to be equal to a new one */

struct edit_chunk;
struct redact; /* redact.h */

struct editor {
    struct reader *reader;
    struct memory *memory;
    size_t span;                       /* the one that may be edited; READER_NONE: none */
    struct span_view view;             /* what it has become */
    struct span_view began;            /* what it was */
    bool no_memory;                    /* an edit found none: the call has failed */
    struct buf spans[2], resources[2]; /* what it has become lies in one of them */
    struct buf inner, values;          /* scratch of one edit */
    struct redact *redact;             /* what found something in the span; NULL: nothing did */
    struct edit_chunk *chunks;         /* what is finished, until editor_clear */
    size_t bytes;                      /* of them */
    struct slice known[EDIT_RESOURCES];
    unsigned known_count;
    struct { /* resources and scopes that were redacted, as a trace's spans share them */
        const struct redact *by;
        const uint8_t *was;
        struct slice is;
    } redacted[EDIT_RESOURCES];
    unsigned redacted_count;
    uint64_t edits;     /* so that a position that was found is not taken for another */
    uint64_t truncated; /* strings */
    struct {            /* the event or link found last */
        uint64_t edits;
        int owner;
        size_t number, at, behind;
    } found;
};

void editor_init(struct editor *e, struct reader *r);
/* From here on what it allocates is counted; it has nothing now. */
void editor_count(struct editor *e, struct memory *memory);
void editor_fini(struct editor *e);

/* The span of the reader may be edited until editor_end. */
void editor_begin(struct editor *e, size_t span);
/* Ends it: `keep`: what it has become is written to *view, which lives until editor_clear. False:
 * no memory; as without `keep` it is what it was. */
bool editor_end(struct editor *e, bool keep, struct span_view *view);
/* The same of what is written on at once: *view lives until the next edit. */
bool editor_end_at_once(struct editor *e, bool keep, struct span_view *view);
/* Frees what was made for a trace. */
void editor_clear(struct editor *e);

/* Takes every text that may be a secret out of the span, its resource and its scope: what is left
 * has ids, times, kind, the status' code, and the names of service and scope. False: no memory. */
bool editor_strip(struct editor *e, struct span_view *view);
/* Of a resource: service.name is left. Of a log record: numbers and ids. *left lives until the next
 * edit. False: no memory. */
bool editor_strip_resource(struct editor *e, struct slice resource, struct slice *left);
bool editor_strip_log(struct editor *e, struct slice record, struct slice *left);
/* Another parent (empty: none). False: no memory. */
bool editor_set_parent(struct editor *e, struct span_view *view, struct slice parent_id);

/* Takes what `r` finds out of the span, its resource and its scope; out of an item of metrics or
 * logs alone, or a resource alone. False: no memory, or they can't be read to their ends; no_memory
 * is set: the call has failed. */
bool editor_redact(struct editor *e, struct redact *r);

/* Adds the edit_ functions to the table on top: for moontail.edit. `e` outlives the scripts. */
void edit_register(lua_State *L, struct editor *e);
