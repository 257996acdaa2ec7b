/* Names that say of their value that it is secret: keys of attributes, names before '=' and ':'. */
#include "policy/match.h"
#include "policy/redact_parts.h"

enum { NAME_MAX_BYTES = 64, VALUE_SPACES = 2 };

/* A word, with its length at hand. */
struct word {
    const char *text;
    size_t len;
};
#define WORD(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* Letters and digits of what a secret name ends with: "x-api-key", "apiKey" and "API_KEY" do so
 * with "apikey". */
static const struct word endings[] = {
    WORD("authorization"), WORD("token"),      WORD("secret"),        WORD("password"),
    WORD("passwd"),        WORD("pwd"),        WORD("passphrase"),    WORD("cookie"),
    WORD("cookies"),       WORD("apikey"),     WORD("accesskey"),     WORD("secretkey"),
    WORD("privatekey"),    WORD("signingkey"), WORD("encryptionkey"), WORD("accountkey"),
    WORD("sharedkey"),     WORD("masterkey"),  WORD("credential"),    WORD("credentials"),
    WORD("sessionid"),     WORD("session"),    WORD("jsessionid"),    WORD("phpsessid"),
    WORD("csrf"),          WORD("xsrf"),       WORD("ssn"),           WORD("socialsecuritynumber"),
    WORD("cardnumber"),    WORD("creditcard"), WORD("cvv"),           WORD("cvc"),
    WORD("cvv2"),
};
/* The signature of a method is no secret: only in a URL. */
static const struct word url_ending = WORD("signature");
/* Of a URL's parameters the whole name. */
static const char *const url_names[] = {"key",  "sig", "code",      "state", "auth",
                                        "pass", "pwd", "assertion", "otp",   "hmac"};
/* What may follow: "password_hash". */
static const struct word followers[] = {WORD("value"), WORD("header"), WORD("hash"),
                                        WORD("raw"),   WORD("text"),   WORD("plain")};

/* Where `word` begins in the name's letters and digits before `end`, or SIZE_MAX. */
static size_t ends_with(struct slice name, size_t end, const struct word *word)
{
    size_t left = word->len;

    while (left > 0 && end > 0) {
        uint8_t c = redact_lower(name.data[end - 1]);

        if (redact_is_alnum(c) && c != (uint8_t)word->text[--left])
            return SIZE_MAX;
        end--;
    }
    return left == 0 ? end : SIZE_MAX;
}

static bool has_last(const struct word *word, uint8_t last)
{
    return (uint8_t)word->text[word->len - 1] == last;
}

static bool is_one_of(struct slice name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (name.len == strlen(list[i]) && redact_word_at(name, 0, list[i]))
            return true;
    return false;
}

static size_t without_separators(struct slice name, size_t end)
{
    while (end > 0 && !redact_is_alnum(name.data[end - 1]))
        end--;
    return end;
}

static uint8_t last_of(struct slice name, size_t end)
{
    return end > 0 ? redact_lower(name.data[end - 1]) : 0;
}

/* Where the name ends without separators and followers. */
static size_t end_of(struct slice name)
{
    size_t end = without_separators(name, name.len), before;
    uint8_t last = last_of(name, end);

    for (size_t i = 0; i < COUNT(followers); i++) {
        if (!has_last(&followers[i], last))
            continue;
        before = ends_with(name, end, &followers[i]);
        if (before != SIZE_MAX && before > 0)
            return without_separators(name, before);
    }
    return end;
}

static size_t without_number(struct slice name, size_t end)
{
    while (end > 0 && !((uint8_t)((name.data[end - 1] | 0x20) - 'a') < 26))
        end--;
    return end;
}

static bool has_ending(struct slice name, size_t end, bool in_url)
{
    uint8_t last = last_of(name, end);

    for (size_t i = 0; i < COUNT(endings); i++)
        if (has_last(&endings[i], last) && ends_with(name, end, &endings[i]) != SIZE_MAX)
            return true;
    return in_url && ends_with(name, end, &url_ending) != SIZE_MAX;
}

/* A password is one wherever the name says so: "passwordHash", "user_password_old". */
static bool names_password(struct slice name)
{
    for (size_t i = 0; i + 6 <= name.len; i++)
        if ((name.data[i] | 0x20) == 'p' &&
            (redact_word_at(name, i, "passwd") || redact_word_at(name, i, "password")))
            return true;
    return false;
}

/* ---- at a glance ---- */

static bool is_letter(uint8_t lower)
{
    return (uint8_t)(lower - 'a') < 26;
}

static void learn(struct redact *r, const struct word *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *last = words[i].text + words[i].len - 2;

        if (is_letter((uint8_t)last[0]) && is_letter((uint8_t)last[1]))
            r->last_pairs[last[0] - 'a'] |= UINT32_C(1) << (last[1] - 'a');
    }
}

void redact_learn_names(struct redact *r)
{
    learn(r, endings, COUNT(endings));
    learn(r, followers, COUNT(followers));
}

/* A name that ends with other letters than all secret ones is none, unless "passw" is in it. What
 * ends with a digit is not told so. */
static bool may_be_secret(const struct redact *r, struct slice name)
{
    size_t end = without_separators(name, name.len);
    uint8_t last = last_of(name, end), before = 0;

    if (r->is_thorough || redact_is_digit(last))
        return true;
    if (end > 0)
        before = last_of(name, without_separators(name, end - 1));
    if (redact_is_digit(before) ||
        (is_letter(before) && r->last_pairs[before - 'a'] >> (last - 'a') & 1))
        return true;
    for (size_t i = 4; i < end; i++)
        if ((name.data[i] | 0x20) == 'w')
            return true;
    return false;
}

/* Whether a name says that its value is secret; in_url: of a parameter of a URL. */
static bool is_secret_name(const struct redact *r, struct slice name, bool in_url)
{
    size_t end;

    if (!in_url && !may_be_secret(r, name))
        return false;
    end = end_of(name);
    if (end == 0)
        return false;
    if (in_url && is_one_of(name, url_names, COUNT(url_names)))
        return true;
    return has_ending(name, end, in_url) ||
           (redact_is_digit(name.data[end - 1]) &&
            has_ending(name, without_number(name, end), in_url)) ||
           names_password(name);
}

/* ---- keys of attributes ---- */

static bool matches(const struct redact_patterns *p, struct slice key)
{
    uint8_t lower[256];
    size_t len = key.len < sizeof(lower) ? key.len : sizeof(lower);

    if (p->count == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        lower[i] = redact_lower(key.data[i]);
    for (size_t i = 0; i < p->count; i++)
        if (match_glob(p->list[i], slice_make(lower, len)))
            return true;
    return false;
}

static bool begins_with(struct slice key, const char *begin)
{
    size_t len = strlen(begin);

    return key.len > len && memcmp(key.data, begin, len) == 0;
}

static enum redact_place place_in_db(struct slice key)
{
    if (slice_is(key, "db.query.text") || slice_is(key, "db.statement"))
        return PLACE_STATEMENT;
    if (begins_with(key, "db.query.parameter.") || slice_is(key, "db.statement.parameters"))
        return PLACE_BIND;
    return PLACE_TEXT;
}

static enum redact_place find_place(const struct redact *r, struct slice key)
{
    enum redact_place place = PLACE_TEXT;

    if (matches(&r->ignored, key))
        return PLACE_IGNORED;
    if (matches(&r->keys, key))
        return PLACE_SECRET;
    if (begins_with(key, "db."))
        place = place_in_db(key);
    if (place != PLACE_TEXT)
        return place;
    if (!r->no_names && is_secret_name(r, key, false))
        return PLACE_SECRET;
    return slice_is(key, "url.query") ? PLACE_QUERY : PLACE_TEXT;
}

/* By its ends: keys of one length that have the same ones take each other's place. */
static struct redact_seen_key *seen_place(struct redact *r, struct slice key)
{
    uint64_t first, last, mixed;

    memcpy(&first, key.data, sizeof(first));
    memcpy(&last, key.data + key.len - sizeof(last), sizeof(last));
    mixed = (first ^ last << 7 ^ last >> 57 ^ key.len) * UINT64_C(0x9E3779B97F4A7C15);
    return &r->seen[mixed >> 56];
}

enum redact_place redact_place_of(struct redact *r, struct slice key)
{
    struct redact_seen_key *seen;

    if (key.len < sizeof(uint64_t) || key.len > REDACT_SEEN_BYTES || r->is_thorough)
        return find_place(r, key);
    seen = seen_place(r, key);
    if (seen->len != key.len || memcmp(seen->text, key.data, key.len) != 0) {
        seen->place = (uint8_t)find_place(r, key);
        seen->len = (uint8_t)key.len;
        memcpy(seen->text, key.data, key.len);
    }
    return (enum redact_place)seen->place;
}

/* ---- assignments in texts ---- */

static bool is_of_name(uint8_t c)
{
    return redact_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

static bool is_quote(uint8_t c)
{
    return c == '"' || c == '\'';
}

/* The name that ends before `at`, without the quotes around it. */
static struct slice name_before(struct slice text, size_t at)
{
    size_t from, to = at;

    for (int i = 0; i < VALUE_SPACES && to > 0 && text.data[to - 1] == ' '; i++)
        to--;
    if (to > 0 && is_quote(text.data[to - 1]))
        to--;
    if (to > 0 && text.data[to - 1] == '\\')
        to--;
    for (from = to; from > 0 && to - from < NAME_MAX_BYTES && is_of_name(text.data[from - 1]);)
        from--;
    return redact_part(text, from, to);
}

/* What stands between quotes that begin at `at`: a quote, or one behind a backslash. */
static size_t quoted_end(struct slice text, size_t at)
{
    bool escaped = text.data[at] == '\\';
    uint8_t quote = text.data[at + escaped];

    for (at += 1 + escaped; at < text.len; at++) {
        if (text.data[at] == quote)
            return at;
        if (text.data[at] != '\\')
            continue;
        if (escaped && redact_byte(text, at + 1) == quote)
            return at;
        at++;
    }
    return text.len;
}

static size_t plain_end(struct slice text, size_t at, const char *ends)
{
    while (at < text.len && (!text.data[at] || !strchr(ends, text.data[at])))
        at++;
    return at;
}

/* A header's value has spaces and semicolons in it. */
static bool is_header(struct slice name)
{
    static const struct word authorization = WORD("authorization"), cookie = WORD("cookie");

    return ends_with(name, name.len, &authorization) != SIZE_MAX ||
           ends_with(name, name.len, &cookie) != SIZE_MAX;
}

static bool says_nothing(struct slice value)
{
    static const char *const words[] = {"null", "nil", "none", "true", "false", "undefined", "?"};

    return value.len == 0 || is_one_of(value, words, COUNT(words));
}

/* Where the value is that begins behind the sign at `at`. */
static void find_value(struct slice text, size_t at, bool in_url, struct slice name,
                       struct redact_hit *hit)
{
    size_t from = at + 1;
    bool escaped;

    for (int i = 0; i < VALUE_SPACES && !in_url && redact_byte(text, from) == ' '; i++)
        from++;
    escaped = redact_byte(text, from) == '\\' && is_quote(redact_byte(text, from + 1));
    if (escaped || is_quote(redact_byte(text, from))) {
        *hit = (struct redact_hit){from + 1 + escaped, quoted_end(text, from), REDACT_ASSIGNMENT};
        return;
    }
    hit->from = from;
    hit->rule = REDACT_ASSIGNMENT;
    if (in_url)
        hit->to = plain_end(text, from, "&# \t\r\n\"'<>");
    else if (text.data[at] == ':' && is_header(name))
        hit->to = plain_end(text, from, "\r\n\"'");
    else
        hit->to = plain_end(text, from, "&,; \t\r\n\"'<>()[]{}\\");
}

/* Every letter that a secret name can end with, so that most are done with at once. */
static bool may_end_name(uint8_t c)
{
    return redact_is_alnum(c) || is_quote(c) || c == ' ';
}

bool redact_find_assignment(const struct redact *r, struct slice text, size_t at,
                            enum redact_place place, struct redact_hit *hit)
{
    bool in_url = false;
    struct slice name;
    uint8_t before;
    size_t from;

    if (at == 0 || at + 1 >= text.len || !may_end_name(text.data[at - 1]) ||
        (text.data[at] == ':' && (text.data[at + 1] == ':' || text.data[at + 1] == '/')))
        return false;
    name = name_before(text, at);
    if (name.len < 2)
        return false;
    from = (size_t)(name.data - text.data);
    before = from > 0 ? text.data[from - 1] : 0;
    if (text.data[at] == '=')
        in_url =
            before == '?' || before == '&' || before == '#' || (from == 0 && place == PLACE_QUERY);
    if (!is_secret_name(r, name, in_url))
        return false;
    find_value(text, at, in_url, name, hit);
    return hit->to > hit->from && !says_nothing(redact_part(text, hit->from, hit->to));
}

/* ---- URLs ---- */

/* `at`: the colon of "://"; what lies between it and the last '@' of the authority. RFC 3986, 3.2.
 */
bool redact_find_userinfo(struct slice text, size_t at, struct redact_hit *hit)
{
    size_t from = at + 3, end, to;

    if (at == 0 || !redact_is_alnum(text.data[at - 1]) || redact_byte(text, at + 1) != '/' ||
        redact_byte(text, at + 2) != '/')
        return false;
    end = plain_end(text, from, "/?# \t\r\n\"'<>");
    for (to = end; to > from && text.data[to - 1] != '@';)
        to--;
    if (to <= from + 1)
        return false;
    *hit = (struct redact_hit){from, to - 1, REDACT_URL};
    return true;
}
