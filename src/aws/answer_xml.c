/* As much of XML 1.0 as answers have: elements, attributes (stepped over), text, comments, and a
 * declaration in front. */
#include "aws/answer.h"

struct reader {
    const uint8_t *at, *end;
    struct slice open[ANSWER_DEPTH_MAX]; /* names of the elements that are open */
    unsigned depth;
    const char *path;
    struct buf *out;
    size_t start;      /* of the text in `out` */
    unsigned inside;   /* depth of the element that is read out; 0: none is */
    bool found, mixed; /* mixed: it has elements in it */
};

static bool literal(struct reader *r, const char *word)
{
    return answer_takes(&r->at, r->end, word);
}

static bool skip_past(struct reader *r, const char *word)
{
    const uint8_t *hit = memmem(r->at, (size_t)(r->end - r->at), word, strlen(word));

    if (!hit)
        return false;
    r->at = hit + strlen(word);
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void blanks(struct reader *r)
{
    while (r->at < r->end && is_blank(*r->at))
        r->at++;
}

static bool is_name(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':' || c >= 0x80;
}

static bool name(struct reader *r, struct slice *out)
{
    const uint8_t *from = r->at;

    while (r->at < r->end && is_name(*r->at))
        r->at++;
    *out = slice_make(from, (size_t)(r->at - from));
    return out->len > 0;
}

/* "&#60;" and "&#x3c;", behind the "#"; ASCII without NUL is enough for what is asked for. */
static bool by_number(struct reader *r, uint8_t *byte)
{
    bool hex = literal(r, "x");
    unsigned code = 0, count = 0;

    for (; r->at < r->end && *r->at != ';' && count < 4; r->at++, count++) {
        uint8_t c = *r->at, lower = c | 0x20;

        if (c >= '0' && c <= '9')
            code = code * (hex ? 16 : 10) + (c - '0');
        else if (hex && lower >= 'a' && lower <= 'f')
            code = code * 16 + (lower - 'a' + 10u);
        else
            return false;
    }
    *byte = (uint8_t)code;
    return count > 0 && code > 0 && code < 0x80 && literal(r, ";");
}

/* Behind "&". */
static bool entity(struct reader *r, uint8_t *byte)
{
    static const struct {
        const char *name;
        char byte;
    } entities[] = {{"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''}};

    if (literal(r, "#"))
        return by_number(r, byte);
    for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
        if (literal(r, entities[i].name)) {
            *byte = (uint8_t)entities[i].byte;
            return true;
        }
    return false;
}

/* Up to the next "<", which is not taken. */
static bool text(struct reader *r)
{
    while (r->at < r->end && *r->at != '<') {
        uint8_t byte = *r->at++;

        if (byte == 0 || (byte == '&' && !entity(r, &byte)))
            return false;
        if (r->depth == 0 && !is_blank(byte))
            return false;
        if (r->inside)
            buf_byte(r->out, byte);
    }
    return true;
}

static bool attributes(struct reader *r)
{
    struct slice key;

    for (blanks(r); r->at < r->end && *r->at != '>' && *r->at != '/'; blanks(r)) {
        if (!name(r, &key) || !literal(r, "="))
            return false;
        if (!(literal(r, "\"") ? skip_past(r, "\"") : literal(r, "'") && skip_past(r, "'")))
            return false;
    }
    return true;
}

/* The open elements are the path. */
static bool is_there(const struct reader *r)
{
    const char *at = r->path;

    for (unsigned i = 0; i < r->depth; i++) {
        size_t len = strcspn(at, "/");

        if (r->open[i].len != len || memcmp(r->open[i].data, at, len) != 0)
            return false;
        at += len;
        if (*at == '/')
            at++;
        else if (i + 1 < r->depth)
            return false;
    }
    return *at == '\0';
}

static bool open_element(struct reader *r)
{
    if (r->depth == ANSWER_DEPTH_MAX || !name(r, &r->open[r->depth]))
        return false;
    r->depth++;
    r->mixed |= r->inside > 0;
    if (!r->found && is_there(r)) {
        r->found = true;
        r->inside = r->depth;
    }
    return attributes(r);
}

static bool close_element(struct reader *r)
{
    if (r->depth == 0)
        return false;
    if (r->inside == r->depth)
        r->inside = 0;
    r->depth--;
    return true;
}

static bool end_tag(struct reader *r)
{
    struct slice key;

    if (!name(r, &key) || r->depth == 0 || !slice_equal(key, r->open[r->depth - 1]))
        return false;
    blanks(r);
    return literal(r, ">") && close_element(r);
}

/* What begins with "<", which is taken. */
static bool tag(struct reader *r)
{
    if (literal(r, "!--"))
        return skip_past(r, "-->");
    if (literal(r, "/"))
        return end_tag(r);
    if (!open_element(r))
        return false;
    if (literal(r, "/>"))
        return close_element(r);
    return literal(r, ">");
}

/* The whole document: one root element. */
static bool document(struct reader *r)
{
    unsigned roots = 0;

    blanks(r);
    if (literal(r, "<?xml") && !skip_past(r, "?>"))
        return false;
    while (r->at < r->end) {
        if (*r->at != '<') {
            if (!text(r))
                return false;
            continue;
        }
        roots += r->depth == 0 && r->end - r->at > 1 && r->at[1] != '!';
        r->at++;
        if (roots > 1 || !tag(r))
            return false;
    }
    return r->depth == 0 && roots == 1;
}

static void trim(struct buf *out, size_t start)
{
    size_t from = start;

    while (out->len > start && is_blank(out->data[out->len - 1]))
        out->len--;
    while (from < out->len && is_blank(out->data[from]))
        from++;
    if (from > start) {
        memmove(out->data + start, out->data + from, out->len - from);
        out->len -= from - start;
    }
}

bool answer_xml(struct slice document_text, const char *path, struct buf *out)
{
    struct reader r = {.at = document_text.data,
                       .end = document_text.data + document_text.len,
                       .path = path,
                       .out = out,
                       .start = out->len};

    if (document_text.len > 0 && document_text.len <= ANSWER_BYTES_MAX && document(&r) && r.found &&
        !r.mixed && buf_ok(out)) {
        trim(out, r.start);
        return true;
    }
    out->len = r.start;
    return false;
}
