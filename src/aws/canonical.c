#include "aws/canonical.h"

#include <ctype.h>
#include <string.h>

static bool is_unreserved(uint8_t c)
{
    return (c < 128 && isalnum(c)) || c == '-' || c == '.' || c == '_' || c == '~';
}

void canonical_encode(struct buf *out, struct slice text, bool keep_slash)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];

        if (is_unreserved(c) || (keep_slash && c == '/'))
            buf_byte(out, c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

/* ---- path ---- */

/* Takes the last segment off what was appended since `start`. */
static void go_up(struct buf *out, size_t start)
{
    while (out->len > start && out->data[out->len - 1] != '/')
        out->len--;
    if (out->len > start)
        out->len--;
}

static void normalized_path(struct buf *out, struct slice path)
{
    size_t start = out->len;
    struct slice segment = {0};
    bool is_folder = path.len && path.data[path.len - 1] == '/';

    for (size_t at = 0; at < path.len; at += segment.len + 1) {
        const uint8_t *slash = memchr(path.data + at, '/', path.len - at);

        segment =
            slice_make(path.data + at, slash ? (size_t)(slash - path.data) - at : path.len - at);
        if (slice_is(segment, "..")) {
            go_up(out, start);
        } else if (segment.len && !slice_is(segment, ".")) {
            buf_byte(out, '/');
            canonical_encode(out, segment, false);
        }
    }
    if (out->len == start || is_folder || slice_is(segment, ".") || slice_is(segment, ".."))
        buf_byte(out, '/');
}

void canonical_path(struct buf *out, struct slice path, bool literal)
{
    if (!literal)
        normalized_path(out, path);
    else if (path.len)
        canonical_encode(out, path, true);
    else
        buf_byte(out, '/');
}

/* ---- query ---- */

/* Both parts encoded, in a scratch buffer that does not move. */
struct parameter {
    struct slice name;
    struct slice value;
};

static int hex_value(uint8_t c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

/* What stands encoded already is not encoded twice. */
static void put_parameter_part(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];

        if (c == '%' && i + 2 < text.len && hex_value(text.data[i + 1]) >= 0 &&
            hex_value(text.data[i + 2]) >= 0) {
            c = (uint8_t)(hex_value(text.data[i + 1]) * 16 + hex_value(text.data[i + 2]));
            i += 2;
        }
        canonical_encode(out, slice_make(&c, 1), false);
    }
}

static int compare_slices(struct slice a, struct slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_parameters(const struct parameter *a, const struct parameter *b)
{
    int order = compare_slices(a->name, b->name);

    return order ? order : compare_slices(a->value, b->value);
}

static void insert_parameter(struct parameter *all, size_t len, struct parameter p)
{
    for (; len && compare_parameters(&all[len - 1], &p) > 0; len--)
        all[len] = all[len - 1];
    all[len] = p;
}

static struct slice encoded_part(struct buf *scratch, struct slice text)
{
    size_t start = scratch->len;

    put_parameter_part(scratch, text);
    return buf_ok(scratch) ? slice_make(scratch->data + start, scratch->len - start)
                           : (struct slice){0};
}

static struct parameter parse_parameter(struct buf *scratch, struct slice text)
{
    const uint8_t *equals = memchr(text.data, '=', text.len);
    size_t name_len = equals ? (size_t)(equals - text.data) : text.len;
    struct parameter p = {.name = encoded_part(scratch, slice_make(text.data, name_len))};

    if (equals)
        p.value = encoded_part(scratch, slice_make(equals + 1, text.len - name_len - 1));
    return p;
}

static enum err sort_query(struct slice query, struct buf *scratch, struct parameter *all,
                           size_t *count)
{
    struct slice text;

    for (size_t at = 0; at < query.len; at += text.len + 1) {
        const uint8_t *end = memchr(query.data + at, '&', query.len - at);

        text = slice_make(query.data + at, end ? (size_t)(end - query.data) - at : query.len - at);
        if (!text.len)
            continue;
        if (*count == SIGV4_PARAMETERS_MAX)
            return ERR_FULL;
        insert_parameter(all, *count, parse_parameter(scratch, text));
        ++*count;
    }
    return buf_ok(scratch) ? ERR_OK : ERR_FULL;
}

enum err canonical_query(struct buf *out, struct slice query)
{
    struct parameter all[SIGV4_PARAMETERS_MAX];
    struct buf scratch;
    size_t count = 0;
    enum err e;

    buf_init(&scratch, 3 * query.len + 1, NULL);
    /* reserved at once: the slices into it stay */
    e = buf_reserve(&scratch, 3 * query.len + 1) ? sort_query(query, &scratch, all, &count)
                                                 : ERR_FULL;
    for (size_t i = 0; !e && i < count; i++) {
        if (i)
            buf_byte(out, '&');
        buf_append(out, all[i].name.data, all[i].name.len);
        buf_byte(out, '=');
        buf_append(out, all[i].value.data, all[i].value.len);
    }
    buf_fini(&scratch);
    return e;
}

/* ---- headers ---- */

static int compare_names(struct slice a, struct slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;

    for (size_t i = 0; i < len; i++)
        if (tolower(a.data[i]) != tolower(b.data[i]))
            return tolower(a.data[i]) - tolower(b.data[i]);
    return (a.len > b.len) - (a.len < b.len);
}

/* Blanks at the ends go, those inside are one. */
static void put_value(struct buf *out, struct slice value)
{
    bool any = false, blank = false;

    for (size_t i = 0; i < value.len; i++) {
        if (isspace(value.data[i])) {
            blank = any;
            continue;
        }
        if (blank)
            buf_byte(out, ' ');
        buf_byte(out, value.data[i]);
        any = true;
        blank = false;
    }
}

static void put_name(struct buf *out, struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        buf_byte(out, (uint8_t)tolower(name.data[i]));
}

enum err canonical_headers(struct buf *out, const struct sigv4_header *headers, size_t len,
                           struct buf *names)
{
    const struct sigv4_header *sorted[SIGV4_HEADERS_MAX];

    if (len > SIGV4_HEADERS_MAX)
        return ERR_FULL;
    for (size_t i = 0; i < len; i++) {
        size_t at = i;

        for (; at && compare_names(sorted[at - 1]->name, headers[i].name) > 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &headers[i];
    }
    for (size_t i = 0; i < len; i++) {
        if (i && compare_names(sorted[i - 1]->name, sorted[i]->name) == 0) {
            buf_byte(out, ',');
        } else {
            buf_str(out, i ? "\n" : "");
            buf_str(names, i ? ";" : "");
            put_name(names, sorted[i]->name);
            put_name(out, sorted[i]->name);
            buf_byte(out, ':');
        }
        put_value(out, sorted[i]->value);
    }
    buf_byte(out, '\n');
    return buf_ok(out) && buf_ok(names) ? ERR_OK : ERR_FULL;
}
