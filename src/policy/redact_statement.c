/* Statements of databases without what they are about: SQL literals become "?", of commands the
 * name stays. Where it is not known how a database reads a text, more of it is taken out. */
#include "policy/redact_parts.h"

enum { COMMAND_MAX = 64, TAG_MAX = 64 };

/* ---- dialects ---- */

static bool is_in(struct slice name, const char *const *list)
{
    for (; *list; list++)
        if (slice_is(name, *list))
            return true;
    return false;
}

struct redact_dialect redact_dialect_of(struct slice system)
{
    static const char *const commands[] = {"redis", "valkey", "memcached", "mongodb", NULL};
    static const char *const json[] = {"elasticsearch", "opensearch", "couchdb", NULL};
    static const char *const postgres[] = {"postgresql", "cockroachdb", "aws.redshift", "redshift",
                                           "edb",        "greenplum",   "cassandra",    NULL};
    static const char *const mysql[] = {"mysql", "mariadb", "spanner", "gcp.spanner", NULL};
    static const char *const mssql[] = {"mssql", "microsoft.sql_server", "sybase", NULL};
    static const char *const plain[] = {"sqlite",   "oracle",   "oracle.db", "db2",
                                        "ibm.db2",  "hsqldb",   "derby",     "firebirdsql",
                                        "firebird", "sap.hana", "trino",     "teradata",
                                        "vertica",  "informix", "h2",        NULL};

    if (is_in(system, commands))
        return (struct redact_dialect){.is = STATEMENT_COMMAND};
    if (is_in(system, json))
        return (struct redact_dialect){.is = STATEMENT_JSON};
    if (is_in(system, postgres))
        return (struct redact_dialect){.dollar = true, .nested = true};
    if (is_in(system, mysql))
        return (struct redact_dialect){
            .double_is_string = true, .backslash = true, .hash_comment = true};
    if (is_in(system, mssql))
        return (struct redact_dialect){.brackets = true, .nested = true};
    if (is_in(system, plain))
        return (struct redact_dialect){.nested = false};
    return (struct redact_dialect){.double_is_string = true,
                                   .hash_comment = true,
                                   .dollar = true,
                                   .nested = true,
                                   .unsure = true};
}

/* ---- where literals end ---- */

struct statement {
    struct redact *r;
    const struct redact_dialect *d;
    struct slice text;
    struct buf *out;
    size_t word, word_len; /* the last word, in out */
    size_t list;           /* of IN (: where in out it begins; 0: none is open */
    bool list_is_plain;    /* literals alone so far */
};

static bool is_of_word(uint8_t c)
{
    return redact_is_alnum(c) || c == '_' || c == '$' || c == '#' || c == '@' || c >= 0x80;
}

/* `at`: behind the quote. Unterminated: the end of the text. */
static size_t string_end(const struct statement *s, size_t at, uint8_t quote, bool backslash)
{
    for (; at < s->text.len; at++) {
        uint8_t c = s->text.data[at];

        bool again = redact_byte(s->text, at + 1) == quote;

        if (c == '\\' && s->d->unsure && !backslash && again)
            return s->text.len;
        if (c == quote && !again)
            return at + 1;
        at += c == quote || (c == '\\' && backslash);
    }
    return s->text.len;
}

/* Oracle's q'[...]': `at` is behind the quote. */
static size_t q_string_end(const struct statement *s, size_t at)
{
    static const char open[] = "[{(<", closed[] = "]})>";
    uint8_t end = redact_byte(s->text, at);
    const char *pair = end ? strchr(open, end) : NULL;

    if (pair)
        end = (uint8_t)closed[pair - open];
    for (at++; at + 1 < s->text.len; at++)
        if (s->text.data[at] == end && s->text.data[at + 1] == '\'')
            return at + 2;
    return s->text.len;
}

/* $tag$...$tag$; `at`: the first dollar. 0: it is none. */
static size_t dollar_end(const struct statement *s, size_t at)
{
    size_t tag = at + 1;
    const uint8_t *end;

    if (redact_is_digit(redact_byte(s->text, tag)))
        return 0;
    while (tag < s->text.len && tag - at < TAG_MAX && s->text.data[tag] != '$' &&
           is_of_word(s->text.data[tag]))
        tag++;
    if (redact_byte(s->text, tag) != '$')
        return 0;
    tag++;
    end = memmem(s->text.data + tag, s->text.len - tag, s->text.data + at, tag - at);
    return end ? (size_t)(end - s->text.data) + tag - at : s->text.len;
}

static size_t number_end(const struct statement *s, size_t at)
{
    size_t from = at;
    bool hex = (redact_byte(s->text, at + 1) | 0x20) == 'x';

    for (; at < s->text.len; at++) {
        uint8_t c = s->text.data[at];
        bool exponent = (c == '+' || c == '-') && at > from && !hex &&
                        (s->text.data[at - 1] | 0x20) == 'e' &&
                        redact_is_digit(redact_byte(s->text, at + 1));

        if (!is_of_word(c) && c != '.' && !exponent)
            break;
    }
    return at;
}

/* ---- comments ---- */

static size_t line_end(const struct statement *s, size_t at)
{
    while (at < s->text.len && s->text.data[at] != '\n')
        at++;
    return at;
}

static size_t block_end(const struct statement *s, size_t at)
{
    int depth = 0;

    for (; at + 1 < s->text.len; at++) {
        const uint8_t *c = s->text.data + at;

        if (c[0] == '/' && c[1] == '*' && (depth == 0 || s->d->nested)) {
            depth++;
            at++;
        } else if (c[0] == '*' && c[1] == '/') {
            at++;
            if (--depth == 0)
                return at + 1;
        }
    }
    return s->text.len;
}

/* 0: there is none at `at`. */
static size_t comment_end(const struct statement *s, size_t at)
{
    uint8_t c = s->text.data[at], next = redact_byte(s->text, at + 1);

    if ((c == '-' && next == '-') || (c == '#' && s->d->hash_comment))
        return line_end(s, at);
    return c == '/' && next == '*' ? block_end(s, at) : 0;
}

/* ---- writing ---- */

static void put_literal(struct statement *s)
{
    buf_byte(s->out, '?');
    s->word_len = 0;
}

/* What is no literal, comma, sign, space or placeholder keeps a list as it is. */
static void put_other(struct statement *s, size_t from, size_t to)
{
    s->list_is_plain = false;
    buf_append(s->out, s->text.data + from, to - from);
    s->word_len = 0;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (uint8_t)(c - '\t') < 5;
}

/* A comment stood between two words. */
static void put_gap(struct statement *s)
{
    if (s->out->len > 0 && !is_space(s->out->data[s->out->len - 1]))
        buf_byte(s->out, ' ');
}

static bool word_is(const struct statement *s, const char *word)
{
    return s->word_len == strlen(word) && buf_ok(s->out) &&
           redact_word_at(slice_make(s->out->data + s->word, s->word_len), 0, word);
}

/* Before a string, E, N, B, X, R, U& and Q say how it is written: they go with it. */
static size_t prefixed_end(const struct statement *s, size_t word, size_t at)
{
    uint8_t first = redact_lower(s->text.data[word]), last = redact_lower(s->text.data[at - 1]);

    if (redact_byte(s->text, at) != '\'' || at - word > 2)
        return 0;
    if (last == 'q' && (at - word == 1 || first == 'n'))
        return q_string_end(s, at + 1);
    if (at - word == 1 && strchr("enbxr", first))
        return string_end(s, at + 1, '\'', s->d->backslash || first == 'e');
    return 0;
}

static size_t put_word(struct statement *s, size_t at)
{
    size_t from = at, end;

    while (at < s->text.len && is_of_word(s->text.data[at]))
        at++;
    end = prefixed_end(s, from, at);
    if (end) {
        put_literal(s);
        return end;
    }
    put_other(s, from, at);
    s->word = s->out->len - (at - from);
    s->word_len = at - from;
    return at;
}

/* $1, :name, @name, ?1, %s: a place for a value, none itself. 0: it is none. */
static size_t placeholder_end(const struct statement *s, size_t at)
{
    uint8_t c = s->text.data[at], before = at > 0 ? s->text.data[at - 1] : ' ';
    size_t end = at + 1;

    if (!strchr("$:@?%", c) || is_of_word(before) || before == c || before == ']')
        return 0;
    while (end < s->text.len && is_of_word(s->text.data[end]))
        end++;
    return end > at + 1 || c == '?' ? end : 0;
}

/* A name in quotes, copied; unterminated: a literal, as nobody knows. */
static size_t put_quoted_name(struct statement *s, size_t at, uint8_t close)
{
    size_t end = at + 1;

    while (end < s->text.len &&
           (s->text.data[end] != close || redact_byte(s->text, end + 1) == close))
        end += s->text.data[end] == close ? 2 : 1;
    if (end >= s->text.len) {
        put_literal(s);
        return s->text.len;
    }
    put_other(s, at, end + 1);
    return end + 1;
}

static void close_list(struct statement *s)
{
    if (s->list && s->list_is_plain && s->out->len > s->list) {
        s->out->len = s->list;
        buf_byte(s->out, '?');
    }
    s->list = 0;
}

static size_t put_mark(struct statement *s, size_t at)
{
    uint8_t c = s->text.data[at];
    bool begins_list = c == '(' && word_is(s, "in");

    if (c == ')')
        close_list(s);
    buf_byte(s->out, c);
    if (begins_list && buf_ok(s->out))
        s->list = s->out->len;
    if (begins_list)
        s->list_is_plain = true;
    else if (!is_space(c) && c != ',' && c != '-' && c != '+')
        s->list_is_plain = false;
    if (!is_space(c))
        s->word_len = 0;
    return at + 1;
}

/* A literal at `at`: where it ends; 0: there is none. */
static size_t literal_end(const struct statement *s, size_t at)
{
    uint8_t c = s->text.data[at];

    if (c == '\'' || (c == '"' && s->d->double_is_string))
        return string_end(s, at + 1, c, s->d->backslash);
    if (c == '$' && s->d->dollar)
        return dollar_end(s, at);
    if (redact_is_digit(c) || (c == '.' && redact_is_digit(redact_byte(s->text, at + 1)) &&
                               !(at > 0 && is_of_word(s->text.data[at - 1]))))
        return number_end(s, at);
    return 0;
}

static size_t put_token(struct statement *s, size_t at)
{
    uint8_t c = s->text.data[at];
    size_t end = comment_end(s, at);

    if (end) {
        put_gap(s);
        return end;
    }
    end = literal_end(s, at);
    if (end) {
        put_literal(s);
        return end;
    }
    end = placeholder_end(s, at);
    if (end) {
        buf_append(s->out, s->text.data + at, end - at);
        s->word_len = 0;
        return end;
    }
    if (c == '"' || c == '`')
        return put_quoted_name(s, at, c);
    if (c == '[' && s->d->brackets)
        return put_quoted_name(s, at, ']');
    return is_of_word(c) ? put_word(s, at) : put_mark(s, at);
}

static void put_sql(struct statement *s)
{
    for (size_t at = 0; at < s->text.len && buf_ok(s->out);) {
        redact_step(s->r);
        at = put_token(s, at);
    }
    while (s->out->len > 0 && is_space(s->out->data[s->out->len - 1]))
        s->out->len--;
}

/* ---- JSON ---- */

static size_t put_json_string(struct statement *s, size_t at, size_t *end)
{
    uint8_t quote = s->text.data[at];
    size_t next;

    for (*end = at + 1; *end < s->text.len && s->text.data[*end] != quote; ++*end)
        *end += s->text.data[*end] == '\\';
    *end = *end < s->text.len ? *end + 1 : s->text.len;
    for (next = *end; is_space(redact_byte(s->text, next));)
        next++;
    if (redact_byte(s->text, next) == ':')
        buf_append(s->out, s->text.data + at, *end - at);
    else
        buf_str(s->out, "\"?\"");
    return *end;
}

/* The keys stay. */
static void put_json(struct statement *s)
{
    for (size_t at = 0, end; at < s->text.len && buf_ok(s->out);) {
        uint8_t c = s->text.data[at];

        redact_step(s->r);
        if (c == '"' || c == '\'') {
            at = put_json_string(s, at, &end);
        } else if (redact_is_digit(c)) {
            buf_byte(s->out, '?');
            at = number_end(s, at);
        } else if (is_of_word(c)) {
            for (end = at; end < s->text.len && is_of_word(s->text.data[end]);)
                end++;
            buf_append(s->out, s->text.data + at, end - at);
            at = end;
        } else {
            buf_byte(s->out, c);
            at++;
        }
    }
}

/* ---- commands ---- */

static void put_command(struct statement *s)
{
    size_t from = 0, to;

    while (from < s->text.len && (is_space(s->text.data[from]) || s->text.data[from] == '{' ||
                                  s->text.data[from] == '"' || s->text.data[from] == '\''))
        from++;
    for (to = from; to < s->text.len && (is_of_word(s->text.data[to]) || s->text.data[to] == '.');)
        to++;
    if (to == from || to - from > COMMAND_MAX)
        buf_byte(s->out, '?');
    else
        buf_append(s->out, s->text.data + from, to - from);
}

bool redact_statement(struct redact *r, const struct redact_dialect *d, struct slice text,
                      struct buf *out)
{
    struct statement s = {.r = r, .d = d, .text = text, .out = out};
    size_t start = out->len;
    uint8_t first = redact_byte(text, 0);

    if (text.len == 0)
        return false;
    if (d->is == STATEMENT_COMMAND)
        put_command(&s);
    else if (first == '{' || (d->is == STATEMENT_JSON && first == '['))
        put_json(&s);
    else
        put_sql(&s);
    /* nothing may be left of a comment, and then there may be no data */
    return out->len - start != text.len || memcmp(out->data + start, text.data, text.len) != 0;
}
