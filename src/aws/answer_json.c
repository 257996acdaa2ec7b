/* RFC 8259, and nothing besides. */
#include "aws/answer.h"

struct reader {
    const uint8_t *at, *end;
    struct buf *out;
    bool found, is_null; /* is_null: what was found is no text */
};

static bool value(struct reader *r, const char *path, unsigned depth);

static void blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(struct reader *r, uint8_t byte)
{
    if (r->at == r->end || *r->at != byte)
        return false;
    r->at++;
    return true;
}

static bool digits(struct reader *r)
{
    const uint8_t *from = r->at;

    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > from;
}

static bool number(struct reader *r)
{
    take(r, '-');
    if (!take(r, '0') && !digits(r))
        return false;
    if (take(r, '.') && !digits(r))
        return false;
    if (!take(r, 'e') && !take(r, 'E'))
        return true;
    if (!take(r, '+'))
        take(r, '-');
    return digits(r);
}

static bool literal(struct reader *r, const char *word)
{
    return answer_takes(&r->at, r->end, word);
}

/* Four hex digits. */
static bool unit(struct reader *r, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        uint8_t c = r->at < r->end ? *r->at : 0;
        uint8_t lower = c | 0x20;

        if (c >= '0' && c <= '9')
            *code = *code * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *code = *code * 16 + (lower - 'a' + 10u);
        else
            return false;
    }
    return true;
}

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_byte(out, (uint8_t)c);
        return;
    }
    if (c < 0x800) {
        buf_byte(out, (uint8_t)(0xC0 | c >> 6));
    } else {
        if (c < 0x10000) {
            buf_byte(out, (uint8_t)(0xE0 | c >> 12));
        } else {
            buf_byte(out, (uint8_t)(0xF0 | c >> 18));
            buf_byte(out, (uint8_t)(0x80 | (c >> 12 & 0x3F)));
        }
        buf_byte(out, (uint8_t)(0x80 | (c >> 6 & 0x3F)));
    }
    buf_byte(out, (uint8_t)(0x80 | (c & 0x3F)));
}

/* Behind "\u". A high surrogate needs its low one; NUL ends texts in C, so it is none. */
static bool escaped_unit(struct reader *r, struct buf *out)
{
    uint32_t code, low;

    if (!unit(r, &code) || code == 0 || (code >= 0xDC00 && code < 0xE000))
        return false;
    if (code >= 0xD800 && code < 0xDC00) {
        if (!literal(r, "\\u") || !unit(r, &low) || low < 0xDC00 || low >= 0xE000)
            return false;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (out)
        put_utf8(out, code);
    return true;
}

static bool escaped(struct reader *r, struct buf *out)
{
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    const char *at;

    if (r->at == r->end || *r->at == 0)
        return false;
    if (take(r, 'u'))
        return escaped_unit(r, out);
    at = strchr(names, *r->at);
    if (!at)
        return false;
    r->at++;
    if (out)
        buf_byte(out, (uint8_t)bytes[at - names]);
    return true;
}

/* With its quotes; the text goes to `out`, which may be NULL. */
static bool string(struct reader *r, struct buf *out)
{
    if (!take(r, '"'))
        return false;
    while (r->at < r->end && *r->at != '"') {
        uint8_t byte = *r->at++;

        if (byte < 0x20)
            return false;
        if (byte == '\\') {
            if (!escaped(r, out))
                return false;
        } else if (out) {
            buf_byte(out, byte);
        }
    }
    return take(r, '"');
}

/* The rest of `path` behind the key, "" at its end, or NULL if the key is not its first name. */
static const char *below(const char *path, struct slice key)
{
    size_t len;

    if (!path || !*path)
        return NULL;
    len = strcspn(path, "/");
    if (key.len != len || memcmp(key.data, path, len) != 0)
        return NULL;
    return path[len] ? path + len + 1 : path + len;
}

static bool member(struct reader *r, const char *path, unsigned depth)
{
    uint8_t space[256];
    struct buf key;
    const char *rest = NULL;
    bool ok;

    buf_init(&key, sizeof(space), NULL);
    blanks(r);
    ok = string(r, path ? &key : NULL);
    if (ok && buf_ok(&key))
        rest = below(path, buf_slice(&key));
    buf_fini(&key);
    blanks(r);
    return ok && take(r, ':') && value(r, rest, depth);
}

/* Behind the opening bracket. */
static bool members(struct reader *r, const char *path, bool is_object, unsigned depth)
{
    uint8_t close = is_object ? '}' : ']';

    blanks(r);
    if (take(r, close))
        return true;
    do {
        if (!(is_object ? member(r, path, depth) : value(r, NULL, depth)))
            return false;
        blanks(r);
    } while (take(r, ','));
    return take(r, close);
}

static bool scalar(struct reader *r)
{
    return literal(r, "true") || literal(r, "false") || literal(r, "null") || number(r);
}

static bool value(struct reader *r, const char *path, unsigned depth)
{
    bool wanted = path && !*path && !r->found;
    const uint8_t *from;

    blanks(r);
    if (depth == 0 || r->at == r->end)
        return false;
    if (take(r, '{'))
        return members(r, path, true, depth - 1);
    if (take(r, '['))
        return members(r, NULL, false, depth - 1);
    r->found |= wanted;
    if (*r->at == '"')
        return string(r, wanted ? r->out : NULL);
    from = r->at;
    if (!scalar(r))
        return false;
    r->is_null |= wanted && *from == 'n';
    if (wanted)
        buf_append(r->out, from, (size_t)(r->at - from));
    return true;
}

bool answer_json(struct slice text, const char *path, struct buf *out)
{
    struct reader r = {.at = text.data, .end = text.data + text.len, .out = out};
    size_t before = out->len;
    bool ok = text.len > 0 && text.len <= ANSWER_BYTES_MAX && value(&r, path, ANSWER_DEPTH_MAX);

    if (ok)
        blanks(&r);
    if (ok && r.at == r.end && r.found && !r.is_null && buf_ok(out))
        return true;
    out->len = before;
    return false;
}
