/* Consistent probability sampling: opentelemetry.io/docs/specs/otel/trace/tracestate-handling/. */
#include "policy/reader.h"

#include <math.h>
#include <stdio.h>

#define ONE      (UINT64_C(1) << 56)
#define DIGITS   14
#define KEEP     4 /* digits after the leading f's or 0's */
#define RV_CHARS 14

/* The hex digit `i` of the 14, from the left. */
static unsigned digit(uint64_t t, unsigned i)
{
    return (t >> (4 * (DIGITS - 1 - i))) & 0xf;
}

uint64_t sampling_threshold(double p)
{
    uint64_t t;
    unsigned lead = 0, lead_digit;

    if (!(p > 0))
        return THRESHOLD_NEVER;
    if (p >= 1)
        return 0;
    t = ONE - (uint64_t)llround(ldexp(p, 56)); /* scaling by a power of two is exact */
    if (t == 0 || t == ONE)
        return t;
    lead_digit = digit(t, 0);
    if (lead_digit == 0 || lead_digit == 0xf)
        while (lead < DIGITS && digit(t, lead) == lead_digit)
            lead++;
    if (lead + KEEP < DIGITS) {
        unsigned drop = 4 * (DIGITS - KEEP - lead);

        t = ((t >> (drop - 1)) + 1) >> 1 << drop;
    }
    return t;
}

double sampling_probability(uint64_t threshold)
{
    return threshold >= ONE ? 0 : ldexp((double)(ONE - threshold), -56);
}

void sampling_threshold_text(uint64_t threshold, char text[15])
{
    size_t len = DIGITS;

    snprintf(text, 15, "%014llx", (unsigned long long)(threshold & (ONE - 1)));
    while (len > 1 && text[len - 1] == '0')
        len--;
    text[len] = 0;
}

/* ---- tracestate ---- */

/* Cuts the text up to `separator` off the front of *rest. */
static struct slice next_part(struct slice *rest, char separator)
{
    const uint8_t *end = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    struct slice part = slice_make(rest->data, len);

    rest->data += end ? len + 1 : len;
    rest->len -= end ? len + 1 : len;
    return part;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice s)
{
    while (s.len && is_space(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len && is_space(s.data[s.len - 1]))
        s.len--;
    return s;
}

static bool starts(struct slice s, const char *prefix, struct slice *rest)
{
    size_t len = strlen(prefix);

    if (s.len < len || memcmp(s.data, prefix, len) != 0)
        return false;
    *rest = slice_make(s.data + len, s.len - len);
    return true;
}

/* Lower-case hex, padded on the right with zeros to 14 digits. */
static bool hex_digits(struct slice s, uint64_t *value)
{
    uint64_t v = 0;

    if (s.len == 0 || s.len > DIGITS)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];

        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *value = v << (4 * (DIGITS - s.len));
    return true;
}

bool sampling_member(struct slice trace_state, struct slice key, struct slice *value)
{
    while (trace_state.len) {
        struct slice member = trim(next_part(&trace_state, ','));
        struct slice name = next_part(&member, '=');

        if (!slice_equal(trim(name), key))
            continue;
        *value = member;
        return true;
    }
    return false;
}

/* The value of a sub-key of the `ot` member. */
static bool ot_value(struct slice trace_state, const char *key, struct slice *value)
{
    while (trace_state.len) {
        struct slice member = trim(next_part(&trace_state, ','));

        if (!starts(member, "ot=", &member))
            continue;
        while (member.len)
            if (starts(next_part(&member, ';'), key, value))
                return true;
        return false;
    }
    return false;
}

bool sampling_rv(struct slice trace_state, uint64_t *rv)
{
    struct slice text;

    return ot_value(trace_state, "rv:", &text) && text.len == RV_CHARS && hex_digits(text, rv);
}

bool sampling_th(struct slice trace_state, uint64_t *threshold)
{
    struct slice text;

    return ot_value(trace_state, "th:", &text) && hex_digits(text, threshold);
}

/* ---- R ---- */

uint64_t sampling_randomness_of_id(const uint8_t id[16])
{
    uint64_t r = 0;

    for (int i = 9; i < 16; i++)
        r = r << 8 | id[i];
    return r;
}

/* Of the smallest span id that has one; of two spans with that id the smaller rv. */
static bool any_rv(struct reader *r, uint64_t *rv)
{
    uint64_t best_id = 0;
    bool found = false;

    for (size_t i = 0; i < r->count; i++) {
        const struct span_fields *f = reader_fields(r, i);
        uint64_t id, value;

        if (f->trace_state.len == 0 || !sampling_rv(f->trace_state, &value))
            continue;
        id = view_id(f->span_id);
        if (!found || id < best_id || (id == best_id && value < *rv)) {
            best_id = id;
            *rv = value;
        }
        found = true;
    }
    return found;
}

uint64_t reader_randomness(struct reader *r)
{
    uint64_t rv;

    if (r->trace->sums.has_trace_state && reader_ready(r)) {
        size_t root = reader_root(r);

        if (root != READER_NONE ? sampling_rv(reader_fields(r, root)->trace_state, &rv)
                                : any_rv(r, &rv))
            return rv;
    }
    return sampling_randomness_of_id(r->trace->id);
}

uint64_t sampling_randomness(const struct policy_trace *trace)
{
    struct reader r;
    uint64_t value;

    reader_init(&r);
    reader_begin(&r, trace);
    value = reader_randomness(&r);
    reader_fini(&r);
    return value;
}
