#include "prometheus/name.h"

#include "prometheus/prometheus.h"

enum { NAME_TOKENS = 64, UNIT_MAX = 63 };

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
}

static bool is_name(uint8_t c)
{
    return is_word(c) || c == ':';
}

struct tokens {
    struct slice at[NAME_TOKENS];
    size_t count;
};

static void add_token(struct tokens *t, struct slice token)
{
    if (token.len && t->count < NAME_TOKENS)
        t->at[t->count++] = token;
}

static bool has_token(const struct tokens *t, struct slice token)
{
    for (size_t i = 0; i < t->count; i++)
        if (slice_equal(t->at[i], token))
            return true;
    return false;
}

static void remove_token(struct tokens *t, const char *token)
{
    size_t left = 0;

    for (size_t i = 0; i < t->count; i++)
        if (!slice_is(t->at[i], token))
            t->at[left++] = t->at[i];
    t->count = left;
}

/* The runs of bytes that names may have; "_" is one only where `keep` says so. */
static void split(struct tokens *t, struct slice text, bool keep_underscores)
{
    size_t from = 0;

    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && (is_name(text.data[i]) || (keep_underscores && text.data[i] == '_')))
            continue;
        if (i > from) /* an empty text may have no bytes to point at */
            add_token(t, slice_make(text.data + from, i - from));
        from = i + 1;
    }
}

/* ---- units ---- */

struct unit {
    const char *unit, *name;
};

static const struct unit units[] = {
    {"d", "days"},
    {"h", "hours"},
    {"min", "minutes"},
    {"s", "seconds"},
    {"ms", "milliseconds"},
    {"us", "microseconds"},
    {"ns", "nanoseconds"},
    {"By", "bytes"},
    {"KiBy", "kibibytes"},
    {"MiBy", "mebibytes"},
    {"GiBy", "gibibytes"},
    {"TiBy", "tibibytes"},
    {"KBy", "kilobytes"},
    {"MBy", "megabytes"},
    {"GBy", "gigabytes"},
    {"TBy", "terabytes"},
    {"m", "meters"},
    {"V", "volts"},
    {"A", "amperes"},
    {"J", "joules"},
    {"W", "watts"},
    {"g", "grams"},
    {"Cel", "celsius"},
    {"Hz", "hertz"},
    {"1", ""},
    {"%", "percent"},
    {NULL, NULL},
};

static const struct unit per_units[] = {
    {"s", "second"}, {"m", "minute"}, {"h", "hour"}, {"d", "day"},
    {"w", "week"},   {"mo", "month"}, {"y", "year"}, {NULL, NULL},
};

static struct slice trimmed(struct slice s)
{
    while (s.len && (s.data[0] == ' ' || (s.data[0] >= '\t' && s.data[0] <= '\r')))
        s = slice_make(s.data + 1, s.len - 1);
    while (s.len &&
           (s.data[s.len - 1] == ' ' || (s.data[s.len - 1] >= '\t' && s.data[s.len - 1] <= '\r')))
        s.len--;
    return s;
}

/* The word of a unit, cleaned: runs of other bytes are one "_", none in front. {annotations} are
 * none. */
static size_t put_unit(char out[UNIT_MAX], struct slice unit, const struct unit *known)
{
    size_t len = 0;

    unit = trimmed(unit);
    if (memchr(unit.len ? unit.data : (const uint8_t *)"", '{', unit.len) ||
        memchr(unit.len ? unit.data : (const uint8_t *)"", '}', unit.len))
        return 0;
    for (; known->unit; known++)
        if (slice_is(unit, known->unit)) {
            unit = slice_str(known->name);
            break;
        }
    for (size_t i = 0; i < unit.len && len < UNIT_MAX; i++) {
        bool good = is_name(unit.data[i]);

        if (good || (len > 0 && out[len - 1] != '_'))
            out[len++] = (char)(good ? unit.data[i] : '_');
    }
    return len;
}

static size_t without_last_underscore(const char *text, size_t len)
{
    return len && text[len - 1] == '_' ? len - 1 : len;
}

/* A unit in words: what stands before the slash, and "per_" what stands behind it. */
struct unit_words {
    char main[UNIT_MAX], per[UNIT_MAX + 4];
    size_t main_len, per_len;
};

static void read_unit(struct unit_words *w, struct slice unit)
{
    static const char prefix[] = {'p', 'e', 'r', '_'};
    const uint8_t *slash = unit.len ? memchr(unit.data, '/', unit.len) : NULL;
    struct slice main_unit = slash ? slice_make(unit.data, (size_t)(slash - unit.data)) : unit;

    w->main_len = put_unit(w->main, main_unit, units);
    w->per_len = 0;
    if (!slash)
        return;
    memcpy(w->per, prefix, sizeof(prefix));
    w->per_len = put_unit(w->per + sizeof(prefix),
                          slice_make(slash + 1, unit.len - main_unit.len - 1), per_units);
    if (w->per_len)
        w->per_len = without_last_underscore(w->per, w->per_len + sizeof(prefix));
}

/* Appends the unit's words where the name does not have them. */
static void add_units(struct tokens *t, struct unit_words *w)
{
    if (has_token(t, slice_make(w->main, w->main_len)))
        w->main_len = 0;
    if (w->per_len && has_token(t, slice_make(w->per, w->per_len)))
        w->per_len = 0;
    if (w->per_len)
        w->main_len = without_last_underscore(w->main, w->main_len);
    add_token(t, slice_make(w->main, w->main_len));
    add_token(t, slice_make(w->per, w->per_len));
}

void name_unit(struct buf *out, struct slice unit)
{
    struct unit_words w;

    read_unit(&w, unit);
    w.main_len = without_last_underscore(w.main, w.main_len);
    buf_append(out, w.main, w.main_len);
    if (w.main_len && w.per_len)
        buf_byte(out, '_');
    buf_append(out, w.per, w.per_len);
}

/* ---- metrics ---- */

static void put_tokens(struct buf *out, const struct tokens *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (i)
            buf_byte(out, '_');
        buf_append(out, t->at[i].data, t->at[i].len);
    }
}

static bool only_underscores(struct slice s) /* or nothing at all */
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] != '_')
            return false;
    return true;
}

/* `words` holds what is added. */
static void add_suffixes_to(struct tokens *t, struct slice unit, enum name_kind kind,
                            struct unit_words *words)
{
    read_unit(words, unit);
    add_units(t, words);
    if (kind == NAME_COUNTER) {
        remove_token(t, "total");
        add_token(t, slice_str("total"));
    }
    if (kind == NAME_GAUGE && slice_is(unit, "1")) {
        remove_token(t, "ratio");
        add_token(t, slice_str("ratio"));
    }
}

bool name_metric(struct buf *out, struct slice name, struct slice unit, enum name_kind kind,
                 const char *prefix, bool add_suffixes)
{
    struct tokens t = {.count = 0};
    struct unit_words words;
    size_t start = out->len;

    split(&t, name, !add_suffixes);
    if (t.count > NAME_TOKENS - 4)
        t.count = NAME_TOKENS - 4; /* room for what follows */
    if (t.count == 0)
        return false;
    if (add_suffixes)
        add_suffixes_to(&t, unit, kind, &words);
    if (prefix[0]) {
        buf_str(out, prefix);
        buf_byte(out, '_');
    } else if (is_digit(t.at[0].data[0])) {
        buf_byte(out, '_');
    }
    put_tokens(out, &t);
    if (buf_ok(out) && !only_underscores(slice_make(out->data + start, out->len - start)))
        return true;
    out->len = start;
    return false;
}

/* ---- labels ---- */

/* One "_" for a character that can't be in it, however many bytes that has. */
static size_t put_clean(uint8_t *at, struct slice key)
{
    size_t len = 0;

    for (size_t i = 0; i < key.len; i++)
        if ((key.data[i] & 0xc0) != 0x80)
            at[len++] = is_word(key.data[i]) ? key.data[i] : '_';
    return len;
}

bool name_label(struct buf *out, struct slice key)
{
    enum { PREFIX = 4 };
    uint8_t *at = buf_reserve(out, PREFIX + key.len);
    size_t len, prefix = 0;

    if (!at)
        return false;
    len = put_clean(at + PREFIX, key);
    if (only_underscores(slice_make(at + PREFIX, len)))
        return false;
    if (is_digit(at[PREFIX]))
        prefix = 4;
    else if (at[PREFIX] == '_' && at[PREFIX + 1] != '_') /* there are two: it is not "_" alone */
        prefix = 3;
    memcpy(at, "key_", prefix);
    memmove(at + prefix, at + PREFIX, len);
    out->len += prefix + len;
    return true;
}

bool prom_label_name(struct buf *out, struct slice key)
{
    return name_label(out, key);
}

bool name_clean(struct buf *out, struct slice key)
{
    uint8_t *at = buf_reserve(out, key.len + 1);

    if (at)
        out->len += put_clean(at, key);
    return at && key.len > 0;
}
