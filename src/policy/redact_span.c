/* A Span, a log record, a data point, a resource, a scope: walks their texts, and notes what
 * becomes of them. */
#include "otlp/texts.h"
#include "otlp/wire.h"
#include "policy/redact_parts.h"

#include <inttypes.h>
#include <stdio.h>

enum { ANY_STRING = 1, ANY_INT = 3, ANY_DOUBLE = 4, ANY_ARRAY = 5, ANY_LIST = 6, ANY_BYTES = 7 };
enum { SPANS_OF_SCOPES = 2, SCOPES_OF_RESOURCES = 2, PAIR_KEY = 1, PAIR_VALUE = 2 };
enum { NUMBER_TEXT = 32 };

struct walk {
    struct redact *r;
    struct slice all;      /* the outermost message */
    enum attr_field attrs; /* where its attributes are */
    struct redact_dialect dialect;
    bool has_dialect, failed;
};

/* What is known of a value from around it. */
struct around {
    enum redact_place place;
    int depth;
};

static void add_edit(struct walk *w, const uint8_t *from, const uint8_t *to, uint32_t number,
                     const struct slice *content)
{
    w->failed |= !redact_edit_add(w->r, from, to, number, content);
}

/* ---- texts ---- */

/* The attribute as a second collector with the same rules will see it. False: it is no text. */
static bool read_system(struct walk *w, const char *key, struct slice *system)
{
    struct value v = {.type = VALUE_ABSENT};
    enum redact_outcome outcome;

    if (!view_attr(w->all, w->attrs, slice_str(key), &v) || v.type != VALUE_STRING)
        return false;
    outcome = redact_text(w->r, slice_str(key), v.bytes, &w->r->left);
    w->failed |= outcome == REDACT_FAILED;
    *system = outcome == REDACT_SAME ? v.bytes : slice_make(NULL, 0);
    return outcome != REDACT_GONE;
}

static const struct redact_dialect *dialect_of(struct walk *w)
{
    struct slice system = slice_make(NULL, 0);

    if (w->has_dialect)
        return &w->dialect;
    if (!read_system(w, "db.system.name", &system))
        (void)read_system(w, "db.system", &system);
    w->dialect = redact_dialect_of(system);
    w->has_dialect = true;
    return &w->dialect;
}

static enum redact_outcome redact_one(struct walk *w, enum redact_place place, struct slice text)
{
    const struct redact_dialect *d = place == PLACE_STATEMENT ? dialect_of(w) : NULL;
    enum redact_outcome outcome = redact_in_place(w->r, place, d, text, &w->r->left);

    w->failed |= outcome == REDACT_FAILED;
    return outcome;
}

/* True: the attribute that it is of goes. */
static bool walk_text(struct walk *w, enum redact_place place, const struct wire_field *f,
                      const uint8_t *from, const uint8_t *to)
{
    enum redact_outcome outcome = redact_one(w, place, f->bytes);
    struct slice left = buf_slice(&w->r->left);

    if (outcome == REDACT_CHANGED)
        add_edit(w, from, to, f->number, &left);
    return outcome == REDACT_GONE;
}

static bool may_be_statement(struct slice name)
{
    return name.len > 0 && (memchr(name.data, '\'', name.len) || memchr(name.data, '"', name.len) ||
                            memchr(name.data, '=', name.len));
}

/* Some libraries call the span as the statement is. */
static bool is_statement_of(const struct walk *w, struct slice name)
{
    static const char *const keys[] = {"db.query.text", "db.statement"};
    struct value statement;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (view_attr(w->all, w->attrs, slice_str(keys[i]), &statement) &&
            statement.type == VALUE_STRING && slice_equal(statement.bytes, name))
            return true;
    return false;
}

/* A name must be there. */
static void walk_name(struct walk *w, const struct wire_field *f, const uint8_t *from,
                      const uint8_t *to)
{
    bool is_statement = may_be_statement(f->bytes) && is_statement_of(w, f->bytes);
    struct slice mask = slice_str(REDACT_MASK);

    if (walk_text(w, is_statement ? PLACE_STATEMENT : PLACE_TEXT, f, from, to))
        add_edit(w, from, to, f->number, &mask);
}

/* Whether its text has fewer bytes than a card has digits, or is that of no whole number. */
static bool is_no_card(const struct wire_field *f)
{
    const int64_t bound = INT64_C(1000000000000), number = (int64_t)f->value;

    return f->type != WIRE_VARINT || (number < bound && number > -bound / 10);
}

static struct slice digits_of(const struct wire_field *f, char text[NUMBER_TEXT])
{
    double number;
    int len;

    memcpy(&number, &f->value, sizeof(number));
    if (f->type == WIRE_VARINT)
        len = snprintf(text, NUMBER_TEXT, "%" PRId64, (int64_t)f->value);
    else
        len = snprintf(text, NUMBER_TEXT, "%.17g", number);
    return slice_make(text, (size_t)len);
}

/* A number is a secret as its digits are. */
static bool walk_number(struct walk *w, enum redact_place place, const struct wire_field *f,
                        const uint8_t *from, const uint8_t *to)
{
    char text[NUMBER_TEXT];
    struct slice left;
    enum redact_outcome outcome;

    if (place != PLACE_SECRET && place != PLACE_BIND && (place == PLACE_IGNORED || is_no_card(f)))
        return false;
    outcome = redact_one(w, place, digits_of(f, text));
    left = buf_slice(&w->r->left);
    if (outcome == REDACT_CHANGED)
        add_edit(w, from, to, ANY_STRING, &left);
    return outcome == REDACT_GONE;
}

/* ---- messages ---- */

static bool walk_message(struct walk *w, enum part of, struct slice message, struct around around);

/* A field with a tag and a length of a byte each that is all of what is left. */
static bool is_last_field(struct slice left, uint32_t number)
{
    return left.len >= 2 && left.data[0] == (number << 3 | WIRE_LEN) && left.data[1] < 0x80 &&
           left.data[1] == left.len - 2;
}

/* A short text and nothing else, as nearly all values are. */
static bool walk_plain(struct walk *w, struct slice any, struct around around)
{
    const struct wire_field f = {
        .number = ANY_STRING, .type = WIRE_LEN, .bytes = redact_part(any, 2, any.len)};

    return walk_text(w, around.place, &f, any.data, any.data + any.len);
}

static bool walk_any(struct walk *w, struct slice any, struct around around)
{
    struct wire in = wire_of(any);
    struct wire_field f;
    bool gone = false;

    if (is_last_field(any, ANY_STRING))
        return walk_plain(w, any, around);
    for (const uint8_t *from = in.at; !w->failed && wire_next(&in, &f); from = in.at) {
        bool is_len = f.type == WIRE_LEN;

        if (is_len && (f.number == ANY_STRING || f.number == ANY_BYTES))
            gone |= walk_text(w, around.place, &f, from, in.at);
        else if (is_len && (f.number == ANY_ARRAY || f.number == ANY_LIST))
            gone |=
                walk_message(w, f.number == ANY_ARRAY ? PART_ARRAY : PART_LIST, f.bytes, around);
        else if ((f.type == WIRE_VARINT && f.number == ANY_INT) ||
                 (f.type == WIRE_I64 && f.number == ANY_DOUBLE))
            gone |= walk_number(w, around.place, &f, from, in.at);
    }
    w->failed |= in.at != in.end;
    return gone;
}

/* What is under a key: as a rule one value. */
struct pair {
    struct slice key, value;
    unsigned values;
    bool is_whole;
};

/* A short key, and behind it a short value. */
static bool read_plain_pair(struct slice pair, struct pair *p)
{
    struct slice rest;

    if (pair.len < 4 || pair.data[0] != (PAIR_KEY << 3 | WIRE_LEN) || pair.data[1] >= 0x80 ||
        pair.data[1] > pair.len - 4)
        return false;
    p->key = slice_make(pair.data + 2, pair.data[1]);
    rest = redact_part(pair, 2 + p->key.len, pair.len);
    if (!is_last_field(rest, PAIR_VALUE))
        return false;
    p->value = redact_part(rest, 2, rest.len);
    p->values = 1;
    p->is_whole = true;
    return true;
}

static struct pair read_pair(struct slice pair)
{
    struct wire in = wire_of(pair);
    struct wire_field f;
    struct pair p = {.values = 0};

    if (read_plain_pair(pair, &p))
        return p;
    p.key = slice_make(NULL, 0);
    while (wire_next(&in, &f)) {
        if (f.type != WIRE_LEN)
            continue;
        if (f.number == PAIR_KEY)
            p.key = f.bytes;
        if (f.number == PAIR_VALUE) {
            p.value = f.bytes;
            p.values++;
        }
    }
    p.is_whole = in.at == in.end;
    return p;
}

static bool walk_values(struct walk *w, struct slice pair, struct around around)
{
    struct wire in = wire_of(pair);
    struct wire_field f;
    bool gone = false;

    while (!w->failed && wire_next(&in, &f))
        if (f.number == PAIR_VALUE && f.type == WIRE_LEN)
            gone |= walk_any(w, f.bytes, around);
    return gone;
}

/* True: it goes. What is under a secret key is secret, at any depth. */
static bool walk_pair(struct walk *w, struct slice pair, struct around around)
{
    struct pair p = read_pair(pair);

    w->failed |= !p.is_whole;
    if (w->failed || p.values == 0)
        return false;
    if (around.place != PLACE_SECRET && around.place != PLACE_BIND && around.place != PLACE_IGNORED)
        around.place = redact_place_of(w->r, p.key);
    return p.values == 1 ? walk_any(w, p.value, around) : walk_values(w, pair, around);
}

/* One field, [from, to). True: the attribute around it goes. */
static bool walk_field(struct walk *w, enum part is, const struct wire_field *f,
                       const uint8_t *from, const uint8_t *to, struct around around)
{
    size_t edits = redact_edit_count(w->r);
    bool gone = false;

    if (is == PART_NAME) {
        walk_name(w, f, from, to);
    } else if (is == PART_STRING) {
        gone = walk_text(w, PLACE_TEXT, f, from, to);
    } else if (is == PART_BODY) {
        gone = walk_any(w, f->bytes, around);
    } else if (is == PART_ANY) {
        return walk_any(w, f->bytes, around);
    } else if (is == PART_PAIR) {
        gone = walk_pair(w, f->bytes, around);
    } else {
        return walk_message(w, is, f->bytes, around);
    }
    if (gone && !w->failed) {
        redact_edits_forget(w->r, edits);
        add_edit(w, from, to, f->number, NULL);
    }
    return false;
}

static bool walk_message(struct walk *w, enum part of, struct slice message, struct around around)
{
    struct wire in = wire_of(message);
    struct wire_field f;
    bool gone = false;

    around.depth++;
    if (around.depth > 2 * SCAN_MAX_DEPTH)
        w->failed = true; /* nothing that deep was let in */
    for (const uint8_t *from = in.at; !w->failed && wire_next(&in, &f); from = in.at) {
        enum part is = part_of_field(of, &f);

        redact_step(w->r);
        if (is != PART_OTHER)
            gone |= walk_field(w, is, &f, from, in.at, around);
    }
    w->failed |= in.at != in.end; /* what can't be read must not leave */
    return gone;
}

static enum redact_outcome redact_message(struct redact *r, enum part is, struct slice message,
                                          uint32_t left_out, struct buf *out)
{
    struct walk w = {.r = r, .all = message, .attrs = is == PART_LOG ? ATTRS_LOG : ATTRS_SPAN};

    redact_edits_forget(r, 0);
    (void)walk_message(&w, is, message, (struct around){PLACE_TEXT, 0});
    if (w.failed)
        return REDACT_FAILED;
    if (redact_edit_count(r) == 0)
        return REDACT_SAME;
    redact_edits_write(r, message, left_out, out);
    return buf_ok(out) ? REDACT_CHANGED : REDACT_FAILED;
}

enum redact_outcome redact_span(struct redact *r, struct slice span, struct buf *out)
{
    return redact_message(r, PART_SPAN, span, 0, out);
}

enum redact_outcome redact_item(struct redact *r, enum attr_owner of, struct slice item,
                                struct buf *out)
{
    return redact_message(r, part_of_owner(of), item, 0, out);
}

enum redact_outcome redact_resource(struct redact *r, struct slice resource_spans, struct buf *out)
{
    return redact_message(r, PART_RESOURCES, resource_spans, SCOPES_OF_RESOURCES, out);
}

enum redact_outcome redact_scope(struct redact *r, struct slice scope_spans, struct buf *out)
{
    return redact_message(r, PART_SCOPES, scope_spans, SPANS_OF_SCOPES, out);
}

enum redact_outcome redact_resource_message(struct redact *r, struct slice resource,
                                            struct buf *out)
{
    return redact_message(r, PART_RESOURCE, resource, 0, out);
}

enum redact_outcome redact_scope_message(struct redact *r, struct slice scope, struct buf *out)
{
    return redact_message(r, PART_SCOPE, scope, 0, out);
}
