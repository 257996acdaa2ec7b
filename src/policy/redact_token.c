/* Secrets that are known by how they begin, and e-mail addresses. */
#include "base/encode.h"
#include "policy/redact_parts.h"

#include <stdlib.h>

enum {
    TOKEN_MAX = 255, /* a longer run is taken up to here, and what follows as it comes */
    LOCAL_MAX = 64,  /* of an e-mail address, RFC 5321 */
    DOMAIN_MAX = 255,
    SCHEME_MIN = 8,
    SCHEME_LONG = 20,
    JWT_MIN = 8,
    BASIC_MAX = 1024,
};

/* ---- alphabets ---- */

static bool is_alnum(uint8_t c)
{
    return redact_is_alnum(c);
}

static bool is_upper_or_digit(uint8_t c)
{
    return redact_is_upper(c) || redact_is_digit(c);
}

static bool is_word(uint8_t c)
{
    return redact_is_alnum(c) || c == '_';
}

static bool is_dashed(uint8_t c)
{
    return redact_is_alnum(c) || c == '-';
}

static bool is_base64url(uint8_t c)
{
    return redact_is_alnum(c) || c == '-' || c == '_';
}

/* token68 of RFC 9110. */
static bool is_token68(uint8_t c)
{
    return redact_is_alnum(c) || (c && strchr("-._~+/=", c));
}

static size_t run(struct slice text, size_t at, bool (*is_of)(uint8_t), size_t max)
{
    size_t end = at;

    while (end < text.len && end - at < max && is_of(text.data[end]))
        end++;
    return end - at;
}

/* ---- tokens ---- */

struct token {
    enum redact_rule rule;
    const char *prefix;
    uint8_t anchor; /* where in the prefix the byte is that is worth a look */
    bool (*is_of)(uint8_t);
    uint8_t min, max; /* of what follows; a longer run is another thing */
};

static const struct token tokens[] = {
    {REDACT_AWS_KEY, "AKIA", 0, is_upper_or_digit, 16, 16},
    {REDACT_AWS_KEY, "ASIA", 0, is_upper_or_digit, 16, 16},
    {REDACT_AWS_KEY, "AROA", 0, is_upper_or_digit, 16, 16},
    {REDACT_AWS_KEY, "AIDA", 0, is_upper_or_digit, 16, 16},
    {REDACT_AWS_KEY, "ABIA", 0, is_upper_or_digit, 16, 16},
    {REDACT_AWS_KEY, "ACCA", 0, is_upper_or_digit, 16, 16},
    {REDACT_GOOGLE, "AIza", 0, is_base64url, 35, 35},
    {REDACT_GITHUB, "ghp_", 3, is_alnum, 36, TOKEN_MAX},
    {REDACT_GITHUB, "gho_", 3, is_alnum, 36, TOKEN_MAX},
    {REDACT_GITHUB, "ghu_", 3, is_alnum, 36, TOKEN_MAX},
    {REDACT_GITHUB, "ghs_", 3, is_alnum, 36, TOKEN_MAX},
    {REDACT_GITHUB, "ghr_", 3, is_alnum, 36, TOKEN_MAX},
    {REDACT_GITHUB, "github_pat_", 6, is_word, 22, TOKEN_MAX},
    {REDACT_SLACK, "xoxa-", 4, is_dashed, 10, TOKEN_MAX},
    {REDACT_SLACK, "xoxb-", 4, is_dashed, 10, TOKEN_MAX},
    {REDACT_SLACK, "xoxe-", 4, is_dashed, 10, TOKEN_MAX},
    {REDACT_SLACK, "xoxo-", 4, is_dashed, 10, TOKEN_MAX},
    {REDACT_SLACK, "xoxp-", 4, is_dashed, 10, TOKEN_MAX},
    {REDACT_SLACK, "xoxr-", 4, is_dashed, 10, TOKEN_MAX},
    {REDACT_SLACK, "xoxs-", 4, is_dashed, 10, TOKEN_MAX},
    {REDACT_SLACK, "xapp-", 4, is_dashed, 10, TOKEN_MAX},
    {REDACT_STRIPE, "sk_live_", 2, is_alnum, 10, TOKEN_MAX},
    {REDACT_STRIPE, "rk_live_", 2, is_alnum, 10, TOKEN_MAX},
    {REDACT_STRIPE, "sk_test_", 2, is_alnum, 10, TOKEN_MAX},
    {REDACT_STRIPE, "rk_test_", 2, is_alnum, 10, TOKEN_MAX},
    {REDACT_STRIPE, "whsec_", 5, is_alnum, 16, TOKEN_MAX},
};

static bool is_token(const struct token *t, struct slice text, size_t at, struct redact_hit *hit)
{
    size_t from = at - t->anchor, len = strlen(t->prefix), follows;

    if (text.len - from < len + t->min || memcmp(text.data + from, t->prefix, len) != 0 ||
        (from > 0 && redact_is_alnum(text.data[from - 1])))
        return false;
    follows = run(text, from + len, t->is_of, TOKEN_MAX);
    *hit = (struct redact_hit){from, from + len + follows, t->rule};
    return follows >= t->min && follows <= t->max;
}

/* The byte that all tokens with this anchor have at another place, or nearly so. */
static bool may_be_token(struct slice text, size_t at)
{
    static const char before[] = {'h', 'u', 's', 'e', 'r'};

    if (text.data[at] == 'A')
        return (redact_byte(text, at + 3) | 0x20) == 'a';
    if (text.data[at] == '-')
        return at >= 4 && text.data[at - 4] == 'x';
    return at >= 2 && memchr(before, text.data[at - 2], sizeof(before));
}

static bool find_token(const struct redact *r, struct slice text, size_t at, struct redact_hit *hit)
{
    if (!r->is_thorough && !may_be_token(text, at))
        return false;
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        const struct token *t = &tokens[i];

        if ((uint8_t)t->prefix[t->anchor] == text.data[at] && at >= t->anchor &&
            text.data[at - t->anchor] == (uint8_t)t->prefix[0] && redact_is_on(r, t->rule) &&
            is_token(t, text, at, hit))
            return true;
    }
    return false;
}

/* RFC 7515: "eyJ" is {" in base64url; three parts, of an encrypted one five. `at`: its J. */
static bool find_jwt(struct slice text, size_t at, struct redact_hit *hit)
{
    size_t from = at - 2, end, part;

    if (at < 2 || text.data[at - 1] != 'y' || text.data[from] != 'e' ||
        (from > 0 && is_base64url(text.data[from - 1])))
        return false;
    end = from + run(text, from, is_base64url, SIZE_MAX);
    if (end - from < JWT_MIN || redact_byte(text, end) != '.')
        return false;
    part = run(text, end + 1, is_base64url, SIZE_MAX);
    if (part < JWT_MIN)
        return false;
    end += 1 + part;
    for (int i = 0; i < 3 && redact_byte(text, end) == '.'; i++)
        end += 1 + run(text, end + 1, is_base64url, SIZE_MAX);
    *hit = (struct redact_hit){from, end, REDACT_JWT};
    return true;
}

/* RFC 7468, to its end or that of the text. */
static bool find_pem(struct slice text, size_t at, struct redact_hit *hit)
{
    static const char begin[] = "-----BEGIN ", end[] = "-----END ", dashes[] = "-----";
    const uint8_t *found, *last;
    struct slice rest = redact_part(text, at, text.len);

    if (rest.len < sizeof(begin) - 1 || memcmp(rest.data, begin, sizeof(begin) - 1) != 0)
        return false;
    *hit = (struct redact_hit){at, text.len, REDACT_PEM};
    found = memmem(rest.data, rest.len, end, sizeof(end) - 1);
    if (!found)
        return true;
    found += sizeof(end) - 1;
    last = memmem(found, (size_t)(text.data + text.len - found), dashes, sizeof(dashes) - 1);
    if (last)
        hit->to = (size_t)(last - text.data) + sizeof(dashes) - 1;
    return true;
}

bool redact_find_prefixed(const struct redact *r, struct slice text, size_t at,
                          struct redact_hit *hit)
{
    uint8_t c = text.data[at];

    if (c == 'J')
        return redact_is_on(r, REDACT_JWT) && find_jwt(text, at, hit);
    if (c == '-' && redact_byte(text, at + 1) == '-')
        return redact_is_on(r, REDACT_PEM) && find_pem(text, at, hit);
    return find_token(r, text, at, hit);
}

/* ---- schemes ---- */

static bool is_basic(struct slice text)
{
    uint8_t plain[BASIC_MAX];
    size_t len;

    return text.len <= sizeof(plain) && decode_base64(text, plain, &len) && memchr(plain, ':', len);
}

/* A word of prose has letters alone, and is not that long. */
static bool is_bearer(struct slice text)
{
    if (text.len >= SCHEME_LONG)
        return true;
    for (size_t i = 0; i < text.len; i++)
        if (redact_is_digit(text.data[i]))
            return true;
    return false;
}

/* `at`: the space behind the word. */
bool redact_find_scheme(struct slice text, size_t at, struct redact_hit *hit)
{
    uint8_t last = at > 0 ? redact_lower(text.data[at - 1]) : 0;
    bool bearer = last == 'r' && at >= 6 && redact_word_at(text, at - 6, "bearer");
    bool basic = last == 'c' && at >= 5 && redact_word_at(text, at - 5, "basic");
    size_t from = at + 1, word = bearer ? 6 : 5;
    struct slice token;

    if ((!bearer && !basic) || (at > word && redact_is_alnum(text.data[at - word - 1])))
        return false;
    while (redact_byte(text, from) == ' ')
        from++;
    token = slice_make(text.data + from, run(text, from, is_token68, SIZE_MAX));
    *hit = (struct redact_hit){from, from + token.len, REDACT_AUTH};
    return token.len >= SCHEME_MIN && (bearer ? is_bearer(token) : is_basic(token));
}

/* ---- e-mail ---- */

static bool is_of_local(uint8_t c)
{
    return redact_is_alnum(c) || (c && strchr("._%+-'", c));
}

static bool is_of_domain(uint8_t c)
{
    return redact_is_alnum(c) || c == '-' || c == '.';
}

/* The length of a domain with a top level of letters; 0: it is none. */
static size_t domain_at(struct slice text, size_t at)
{
    size_t len = run(text, at, is_of_domain, DOMAIN_MAX), dot, letters = 0;

    while (len > 0 && !redact_is_alnum(text.data[at + len - 1]))
        len--;
    for (dot = len; dot > 0 && text.data[at + dot - 1] != '.'; dot--)
        letters += !redact_is_digit(text.data[at + dot - 1]) && text.data[at + dot - 1] != '-';
    if (dot < 2 || letters < 2 || letters != len - dot)
        return 0;
    return len;
}

/* `at`: the '@', or the '%' of "%40". */
bool redact_find_email(struct slice text, size_t at, struct redact_hit *hit)
{
    size_t from = at, domain, width = text.data[at] == '%' ? 3 : 1;

    if (width == 3 && (redact_byte(text, at + 1) != '4' || redact_byte(text, at + 2) != '0'))
        return false;
    while (from > 0 && at - from < LOCAL_MAX && is_of_local(text.data[from - 1]))
        from--;
    while (from < at && (text.data[from] == '.' || text.data[from] == '\''))
        from++;
    if (from == at)
        return false;
    domain = domain_at(text, at + width);
    *hit = (struct redact_hit){from, at + width + domain, REDACT_EMAIL};
    return domain > 0;
}
