/* The member `ot` of a W3C tracestate, as OpenTelemetry's tracestate-handling defines it:
 *     tracestate: vendor=x,ot=th:c;rv:6e6d1a75832a2f,other=y */
#include "export/compose_parts.h"

enum { OT_MAX = 256, RV_CHARS = 14, TH_CHARS = 14 }; /* characters: of the member's value, rv, th */

struct part {
    size_t start, end;
};

static struct slice part_of(struct slice text, struct part p)
{
    return slice_make(text.data + p.start, p.end - p.start);
}

/* The next part of `text` at or after *at, up to `separator`. False at the end. */
static bool next_part(struct slice text, char separator, size_t *at, struct part *p)
{
    const uint8_t *end;

    if (*at > text.len)
        return false;
    end = *at < text.len ? memchr(text.data + *at, separator, text.len - *at) : NULL;
    p->start = *at;
    p->end = end ? (size_t)(end - text.data) : text.len;
    *at = p->end + 1;
    return true;
}

static struct part trim(struct slice text, struct part p)
{
    while (p.start < p.end && (text.data[p.start] == ' ' || text.data[p.start] == '\t'))
        p.start++;
    while (p.end > p.start && (text.data[p.end - 1] == ' ' || text.data[p.end - 1] == '\t'))
        p.end--;
    return p;
}

static bool starts_with(struct slice text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

/* Finds the part that starts with `prefix`; *whole takes the surrounding space in. */
static bool find_part(struct slice text, char separator, const char *prefix, struct part *whole,
                      struct part *found)
{
    for (size_t at = 0; next_part(text, separator, &at, whole);) {
        *found = trim(text, *whole);
        if (starts_with(part_of(text, *found), prefix))
            return true;
    }
    return false;
}

/* 1 to 14 lower-case hex digits, padded on the right to 56 bits. */
static bool parse_threshold(struct slice text, uint64_t *threshold)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 14)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *threshold = value << 4 * (14 - text.len);
    return true;
}

/* The lower-case hex of a threshold without trailing zeros, "0" for 0; returns its length. */
static size_t put_threshold(char text[TH_CHARS], uint64_t threshold)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = 0;

    do {
        text[len++] = digits[threshold >> 52 & 15];
        threshold = threshold << 4 & ((UINT64_C(1) << 56) - 1);
    } while (threshold);
    return len;
}

/* Cuts `p` and one separator beside it out of text[0, len): what is before and what is after. */
static void put_without(struct buf *out, struct slice text, struct part p)
{
    if (p.end < text.len)
        p.end++;
    else if (p.start > 0)
        p.start--;
    copy_run(out, text.data, text.data + p.start);
    copy_run(out, text.data + p.end, text.data + text.len);
}

static void put_replaced(struct buf *out, struct slice text, struct part p, struct slice with)
{
    copy_run(out, text.data, text.data + p.start);
    buf_append(out, with.data, with.len);
    copy_run(out, text.data + p.end, text.data + text.len);
}

/* Removes th from the member, and the member if nothing else is in it. */
static bool erase(struct slice text, struct part member, struct part value, struct buf *out)
{
    struct slice ot = part_of(text, value);
    struct part whole, th;

    if (!find_part(ot, ';', "th:", &whole, &th))
        return false;
    if (whole.start == 0 && whole.end == ot.len) {
        put_without(out, text, member);
        return true;
    }
    copy_run(out, text.data, text.data + value.start);
    put_without(out, ot, whole);
    copy_run(out, text.data + value.end, text.data + text.len);
    return true;
}

/* Whether the span can't have been kept by the threshold `own`. */
static bool contradicts(struct slice ot, uint64_t own, const struct compose_edits *edits)
{
    uint64_t randomness = edits->randomness, rv;
    struct part whole, part;

    if (!edits->has_randomness)
        return false;
    if (find_part(ot, ';', "rv:", &whole, &part) && part.end - part.start == 3 + RV_CHARS &&
        parse_threshold(slice_make(ot.data + part.start + 3, RV_CHARS), &rv))
        randomness = rv;
    return own > randomness;
}

/* Writes the larger of the member's th and ours. */
static bool set(struct slice text, struct part member, struct part value,
                const struct compose_edits *edits, struct buf *out)
{
    struct slice ot = part_of(text, value);
    struct part whole, th;
    char new_th[3 + TH_CHARS + 1] = "th:";
    size_t new_len = 3 + put_threshold(new_th + 3, edits->threshold);
    uint64_t own;

    if (!find_part(ot, ';', "th:", &whole, &th)) {
        if (ot.len)
            new_th[new_len++] = ';';
        th = (struct part){0, 0};
    } else if (parse_threshold(slice_make(ot.data + th.start + 3, th.end - th.start - 3), &own)) {
        if (contradicts(ot, own, edits))
            return erase(text, member, value, out);
        if (own >= edits->threshold)
            return false;
    }
    if (ot.len - (th.end - th.start) + new_len > OT_MAX)
        return erase(text, member, value, out); /* unknown is better than wrong */
    th.start += value.start;
    th.end += value.start;
    put_replaced(out, text, th, slice_make(new_th, new_len));
    return true;
}

static void prepend(struct slice text, uint64_t threshold, struct buf *out)
{
    char th[TH_CHARS];
    size_t len = put_threshold(th, threshold);

    buf_str(out, "ot=th:");
    buf_append(out, th, len);
    if (text.len) {
        buf_byte(out, ',');
        buf_append(out, text.data, text.len);
    }
}

bool tracestate_edit(struct slice text, const struct compose_edits *edits, struct buf *out)
{
    struct part member, value;

    if (find_part(text, ',', "ot=", &member, &value)) {
        value.start += 3;
        return edits->th == TH_ERASE ? erase(text, member, value, out)
                                     : set(text, member, value, edits, out);
    }
    if (edits->th != TH_SET || !edits->th_always)
        return false;
    prepend(text, edits->threshold, out);
    return true;
}

struct slice tracestate_field(const struct compose_edits *edits, uint8_t space[TRACE_STATE_MAX])
{
    static const char start[] = "\x1a\0"
                                "ot=th:"; /* its tag, its length, the text */
    const size_t fixed = sizeof(start) - 1;
    size_t len;

    if (edits->th != TH_SET || !edits->th_always)
        return slice_make(space, 0);
    memcpy(space, start, fixed);
    len = fixed + put_threshold((char *)space + fixed, edits->threshold);
    space[1] = (uint8_t)(len - 2);
    return slice_make(space, len);
}
