#include "lua/rewrite.h"

#include <string.h>

#define PREFIX "local __mtn,__mtt=100,... return function(...) "
#define SUFFIX "\nend"
#define TICK   " __mtn=__mtn-1 if __mtn<0 then __mtn=__mtt() end "

enum token {
    TOKEN_END,
    TOKEN_NAME, /* keywords too */
    TOKEN_NUMBER,
    TOKEN_STRING,
    TOKEN_DOT,    /* . and .. : a name behind it is a key, or a value */
    TOKEN_COLON,  /* : */
    TOKEN_SYMBOL, /* one byte, or ... or :: */
};

/* The text from `at`, and the token found last: from `start` to `at`. */
struct scan {
    const char *text, *end, *at, *start;
    const char *copied; /* what is before is in `out` */
    struct buf *out;
};

static int peek(const struct scan *s, size_t ahead)
{
    return (size_t)(s->end - s->at) > ahead ? (unsigned char)s->at[ahead] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* Bytes of UTF-8 are letters to LuaJIT. */
static bool is_ident(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool is_line_end(int c)
{
    return c == '\n' || c == '\r';
}

static void skip_line(struct scan *s)
{
    while (s->at < s->end && !is_line_end(peek(s, 0)))
        s->at++;
}

/* At [[ or [==[: the bytes of the opening bracket, or 0. */
static size_t long_bracket(const struct scan *s)
{
    size_t n = 1;

    if (peek(s, 0) != '[')
        return 0;
    while (peek(s, n) == '=')
        n++;
    return peek(s, n) == '[' ? n + 1 : 0;
}

/* Behind the closing bracket that belongs to one of `len` bytes at s->at. */
static void skip_long(struct scan *s, size_t len)
{
    for (s->at += len; s->at < s->end; s->at++) {
        size_t n = 1;

        if (peek(s, 0) != ']')
            continue;
        while (n < len - 1 && peek(s, n) == '=')
            n++;
        if (n == len - 1 && peek(s, n) == ']') {
            s->at += len;
            return;
        }
    }
}

static void skip_quoted(struct scan *s)
{
    int quote = peek(s, 0), c;

    for (s->at++; s->at < s->end; s->at++) {
        c = peek(s, 0);
        if (c == '\\' && s->at + 1 < s->end) {
            s->at++;
        } else if (c == quote) {
            s->at++;
            return;
        }
    }
}

static void skip_number(struct scan *s)
{
    int last = peek(s, 0), exponent = 'e', c;

    if (last == '0' && (peek(s, 1) | 0x20) == 'x')
        exponent = 'p';
    for (;; s->at++) {
        c = peek(s, 0);
        if (!is_ident(c) && c != '.' && !((c == '-' || c == '+') && (last | 0x20) == exponent))
            return;
        last = c;
    }
}

static void skip_space(struct scan *s)
{
    size_t len;

    while (s->at < s->end) {
        int c = peek(s, 0);

        if (c == '-' && peek(s, 1) == '-') {
            s->at += 2;
            len = long_bracket(s);
            if (len)
                skip_long(s, len);
            else
                skip_line(s);
        } else if (c == ' ' || (c >= '\t' && c <= '\r')) {
            s->at++;
        } else {
            return;
        }
    }
}

static enum token next_symbol(struct scan *s)
{
    int c = peek(s, 0);
    bool twice = peek(s, 1) == c;

    if (c == '.') {
        s->at += twice ? peek(s, 2) == '.' ? 3 : 2 : 1;
        return s->at - s->start == 3 ? TOKEN_SYMBOL : TOKEN_DOT;
    }
    s->at += c == ':' && twice ? 2 : 1;
    return c == ':' && !twice ? TOKEN_COLON : TOKEN_SYMBOL;
}

static enum token next_token(struct scan *s)
{
    size_t len;
    int c;

    skip_space(s);
    s->start = s->at;
    c = peek(s, 0);
    if (c < 0)
        return TOKEN_END;
    if (is_digit(c) || (c == '.' && is_digit(peek(s, 1)))) {
        s->at += c == '.';
        skip_number(s);
        return TOKEN_NUMBER;
    }
    if (is_ident(c)) {
        while (is_ident(peek(s, 0)))
            s->at++;
        return TOKEN_NAME;
    }
    len = long_bracket(s);
    if (len)
        skip_long(s, len);
    else if (c == '"' || c == '\'')
        skip_quoted(s);
    else
        return next_symbol(s);
    return TOKEN_STRING;
}

static bool is_text(const struct scan *s, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(s->at - s->start) == len && memcmp(s->start, text, len) == 0;
}

static bool is_keyword(const struct scan *s)
{
    static const char *const words[] = {"and",   "break", "do",       "else", "elseif", "end",
                                        "false", "for",   "function", "goto", "if",     "in",
                                        "local", "nil",   "not",      "or",   "repeat", "return",
                                        "then",  "true",  "until",    "while"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (is_text(s, words[i]))
            return true;
    return false;
}

/* A count at `at`, a place at or behind what is copied already. */
static void insert_tick(struct scan *s, const char *at)
{
    buf_append(s->out, s->copied, (size_t)(at - s->copied));
    buf_str(s->out, TICK);
    s->copied = at;
}

/* What the tokens before mean for the next one. */
struct context {
    bool parameters;  /* behind `function`: the next ) ends its parameters */
    const char *jump; /* of a `goto` that a label may follow */
    enum token before;
};

static void take_name(struct scan *s, struct context *c)
{
    if (c->jump && !is_keyword(s))
        insert_tick(s, c->jump);
    c->jump = NULL;
    if (is_text(s, "do") || is_text(s, "repeat"))
        insert_tick(s, s->at);
    else if (is_text(s, "function"))
        c->parameters = true;
    else if (is_text(s, "goto") && c->before != TOKEN_DOT && c->before != TOKEN_COLON)
        c->jump = s->start; /* also a plain name, unless a label follows */
}

static void take_other(struct scan *s, struct context *c)
{
    c->jump = NULL;
    if (c->parameters && is_text(s, ")")) {
        insert_tick(s, s->at);
        c->parameters = false;
    }
}

static int line_of(const struct scan *s, const char *at)
{
    int line = 1;

    for (const char *p = s->text; p < at; p++) {
        if (!is_line_end(*p))
            continue;
        line++;
        if (p + 1 < at && is_line_end(p[1]) && p[1] != *p)
            p++; /* \r\n is one */
    }
    return line;
}

static enum err refuse_name(const struct scan *s, const char *name, struct err_info *info)
{
    int len = (int)(s->at - s->start);

    return err_fail(info, ERR_SCRIPT,
                    "%s:%d: '%.*s' can't be used: names that begin with __mt are the collector's",
                    name, line_of(s, s->start), len > 60 ? 60 : len, s->start);
}

/* As LuaJIT does: a byte order mark, and a first line that begins with # (its end stays). */
static void skip_header(struct scan *s)
{
    if (s->end - s->at >= 3 && memcmp(s->at, "\xef\xbb\xbf", 3) == 0)
        s->at += 3;
    if (peek(s, 0) == '#')
        skip_line(s);
    s->copied = s->at;
}

enum err lua_rewrite(struct slice text, const char *name, struct buf *out, struct err_info *info)
{
    struct scan s = {.text = (const char *)text.data, .at = (const char *)text.data, .out = out};
    struct context c = {.before = TOKEN_SYMBOL};
    enum token token;

    s.end = s.text + text.len;
    skip_header(&s);
    buf_str(out, PREFIX);
    while ((token = next_token(&s)) != TOKEN_END) {
        if (token == TOKEN_NAME && s.at - s.start >= 4 && memcmp(s.start, "__mt", 4) == 0)
            return refuse_name(&s, name, info);
        if (token == TOKEN_NAME)
            take_name(&s, &c);
        else
            take_other(&s, &c);
        c.before = token;
    }
    buf_append(out, s.copied, (size_t)(s.end - s.copied));
    buf_str(out, SUFFIX);
    return buf_ok(out)
               ? ERR_OK
               : err_fail(info, ERR_FULL, "%s: too large to be loaded, or no memory for it", name);
}
