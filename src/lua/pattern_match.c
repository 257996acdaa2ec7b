#include "lua/pattern_match.h"

#include "lua/heap.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

enum {
    STEPS = 1000 * 1000, /* and some for each byte of the subject */
    STEPS_A_BYTE = 32,
    STEPS_A_LOOK = 16 * 1024, /* at the clock */
    DEPTH = 200,
};

static const char *match(struct pattern *m, const char *s, const char *p);

void pattern_init(struct pattern *m, lua_State *L, const char *subject, size_t subject_len,
                  const char *pattern, size_t pattern_len)
{
    m->L = L;
    m->subject = subject;
    m->subject_end = subject + subject_len;
    m->pattern_end = pattern + strnlen(pattern, pattern_len); /* as LuaJIT */
    m->steps_left = STEPS + STEPS_A_BYTE * (uint64_t)subject_len;
    m->depth = 0;
    m->level = 0;
}

static void step(struct pattern *m)
{
    if (--m->steps_left == 0)
        luaL_error(m->L, "the pattern takes more than %d steps, and %d for each byte, on this text",
                   STEPS, STEPS_A_BYTE);
    if (m->steps_left % STEPS_A_LOOK == 0)
        heap_check(m->L);
}

static int malformed(struct pattern *m, const char *what)
{
    return luaL_error(m->L, "malformed pattern (%s)", what);
}

/* Behind the set that begins at `p`, a [. The first byte in it may be a ]. */
static const char *set_end(struct pattern *m, const char *p)
{
    p++;
    if (p < m->pattern_end && *p == '^')
        p++;
    do {
        if (p >= m->pattern_end)
            malformed(m, "missing ']'");
        p += *p == '%' && p + 1 < m->pattern_end ? 2 : 1;
    } while (p >= m->pattern_end || *p != ']');
    return p + 1;
}

/* Behind the single character, class or set at `p`. */
static const char *single_end(struct pattern *m, const char *p)
{
    if (*p == '[')
        return set_end(m, p);
    if (*p != '%')
        return p + 1;
    if (p + 1 >= m->pattern_end)
        malformed(m, "ends with '%'");
    return p + 2;
}

static bool in_class(int c, int class)
{
    int (*const tests[])(int) = {isalpha, iscntrl, isdigit, isgraph, islower,
                                 ispunct, isspace, isupper, isalnum, isxdigit};
    static const char letters[] = "acdglpsuwx";
    const char *at = class ? strchr(letters, tolower(class)) : NULL;
    bool is;

    if (at && *at)
        is = tests[at - letters](c) != 0;
    else if (tolower(class) == 'z')
        is = c == 0;
    else
        return class == c;
    return isupper(class) ? !is : is;
}

/* Whether `c` is in the set from `p`, a [, to `end`, behind its ]. */
static bool in_set(int c, const char *p, const char *end)
{
    const char *last = end - 1; /* the ] */
    bool found = true;

    p++;
    if (*p == '^') {
        found = false;
        p++;
    }
    while (p < last) {
        if (*p == '%') {
            if (in_class(c, (unsigned char)p[1]))
                return found;
            p += 2;
        } else if (p[1] == '-' && p + 2 < last) {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return found;
            p += 3;
        } else {
            if ((unsigned char)*p == c)
                return found;
            p++;
        }
    }
    return !found;
}

static bool is_single(struct pattern *m, const char *s, const char *p, const char *end)
{
    int c;

    step(m);
    if (s >= m->subject_end)
        return false;
    c = (unsigned char)*s;
    if (*p == '.')
        return true;
    if (*p == '%')
        return in_class(c, (unsigned char)p[1]);
    return *p == '[' ? in_set(c, p, end) : (unsigned char)*p == c;
}

/* The single at `p` as often as it can, then less and less. `rest` is behind the * or +. */
static const char *match_most(struct pattern *m, const char *s, const char *p, const char *rest)
{
    const char *end = rest - 1, *found;
    ptrdiff_t n = 0;

    while (is_single(m, s + n, p, end))
        n++;
    for (; n >= 0; n--) {
        found = match(m, s + n, rest);
        if (found)
            return found;
    }
    return NULL;
}

static const char *match_least(struct pattern *m, const char *s, const char *p, const char *rest)
{
    const char *end = rest - 1, *found;

    for (;; s++) {
        found = match(m, s, rest);
        if (found || !is_single(m, s, p, end))
            return found;
    }
}

static const char *open_capture(struct pattern *m, const char *s, const char *p, ptrdiff_t what)
{
    const char *found;

    if (m->level >= PATTERN_CAPTURES)
        luaL_error(m->L, "too many captures");
    m->captures[m->level++] = (struct pattern_capture){s, what};
    found = match(m, s, p);
    if (!found)
        m->level--;
    return found;
}

static const char *close_capture(struct pattern *m, const char *s, const char *p)
{
    const char *found;
    int i = m->level - 1;

    while (i >= 0 && m->captures[i].len != CAPTURE_OPEN)
        i--;
    if (i < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->captures[i].len = s - m->captures[i].start;
    found = match(m, s, p);
    if (!found)
        m->captures[i].len = CAPTURE_OPEN;
    return found;
}

/* %bxy at `p`, its x: the end of what is balanced at `s`, or NULL. */
static const char *match_balance(struct pattern *m, const char *s, const char *p)
{
    int depth = 1;

    if (m->pattern_end - p < 2)
        luaL_error(m->L, "unbalanced pattern");
    if (s >= m->subject_end || *s != p[0])
        return NULL;
    for (s++; s < m->subject_end; s++) {
        step(m);
        if (*s == p[1]) {
            if (--depth == 0)
                return s + 1;
        } else if (*s == p[0]) {
            depth++;
        }
    }
    return NULL;
}

/* %f[set], `set` is its [. */
static bool at_frontier(struct pattern *m, const char *s, const char *set, const char *end)
{
    int before = s == m->subject ? 0 : (unsigned char)s[-1];
    int here = s == m->subject_end ? 0 : (unsigned char)*s;

    step(m);
    return !in_set(before, set, end) && in_set(here, set, end);
}

/* %1 to %9: the end of the same text again at `s`, or NULL. */
static const char *match_again(struct pattern *m, const char *s, int digit)
{
    int i = digit - '1';
    ptrdiff_t len;

    if (i < 0 || i >= m->level || m->captures[i].len == CAPTURE_OPEN)
        luaL_error(m->L, "invalid capture index");
    len = m->captures[i].len;
    step(m);
    if (len < 0) /* a position: LuaJIT takes its length for a huge one */
        return NULL;
    if (m->subject_end - s < len || memcmp(m->captures[i].start, s, (size_t)len) != 0)
        return NULL;
    return s + len;
}

/* What has no suffix: captures, %b, %f, %1, a final $. True where `p` begins one: *s is then where
 * to go on, or NULL, and *p behind it; or the pattern's end, where all is done. */
static bool match_special(struct pattern *m, const char **s, const char **p)
{
    const char *at = *p, *set;
    int next = at + 1 < m->pattern_end ? (unsigned char)at[1] : -1;

    if (*at == '(') {
        *s = next == ')' ? open_capture(m, *s, at + 2, CAPTURE_POSITION)
                         : open_capture(m, *s, at + 1, CAPTURE_OPEN);
        *p = m->pattern_end;
    } else if (*at == ')') {
        *s = close_capture(m, *s, at + 1);
        *p = m->pattern_end;
    } else if (*at == '$' && next < 0) {
        *s = *s == m->subject_end ? *s : NULL;
        *p = m->pattern_end;
    } else if (*at == '%' && next == 'b') {
        *s = match_balance(m, *s, at + 2);
        *p = at + 4;
    } else if (*at == '%' && next == 'f') {
        set = at + 2;
        if (set >= m->pattern_end || *set != '[')
            luaL_error(m->L, "missing '[' after '%%f' in pattern");
        *p = set_end(m, set);
        *s = at_frontier(m, *s, set, *p) ? *s : NULL;
    } else if (*at == '%' && next >= 0 && isdigit(next)) {
        *s = match_again(m, *s, next);
        *p = at + 2;
    } else {
        return false;
    }
    return true;
}

/* A single with its suffix at `*p`: false where the rest decides it all, *s is then the result. */
static bool match_plain(struct pattern *m, const char **s, const char **p)
{
    const char *end = single_end(m, *p), *found;
    int suffix = end < m->pattern_end ? *end : 0;

    if (suffix == '*' || suffix == '+' || suffix == '-') {
        if (suffix == '-')
            *s = match_least(m, *s, *p, end + 1);
        else if (suffix == '+' && !is_single(m, *s, *p, end))
            *s = NULL;
        else
            *s = match_most(m, *s + (suffix == '+'), *p, end + 1);
        return false;
    }
    if (!is_single(m, *s, *p, end)) {
        *p = end + 1;
        *s = suffix == '?' ? *s : NULL;
        return suffix == '?';
    }
    if (suffix == '?') {
        found = match(m, *s + 1, end + 1);
        if (found) {
            *s = found;
            return false;
        }
        *p = end + 1;
        return true;
    }
    ++*s;
    *p = end;
    return true;
}

static const char *match(struct pattern *m, const char *s, const char *p)
{
    step(m);
    if (++m->depth > DEPTH)
        luaL_error(m->L, "pattern too complex");
    while (s && p < m->pattern_end)
        if (!match_special(m, &s, &p) && !match_plain(m, &s, &p))
            break;
    m->depth--;
    return s;
}

const char *pattern_at(struct pattern *m, const char *s, const char *p)
{
    m->level = 0;
    m->depth = 0;
    return match(m, s, p);
}
