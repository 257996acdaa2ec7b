/* One text: finds the secrets in it and writes what is left. */
#include "base/encode.h"
#include "policy/redact_parts.h"

#include <arpa/inet.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
    PSEUDONYM_BYTES = 16, /* of the HMAC */
    ADDRESS_TEXT = 64,
    ROUNDS_MAX = 4, /* until a text stays as it is */
};

static const char pseudonym[] = "hmac:";

bool redact_word_at(struct slice text, size_t at, const char *word)
{
    for (size_t i = 0; word[i]; i++)
        if (at + i >= text.len || redact_lower(text.data[at + i]) != (uint8_t)word[i])
            return false;
    return true;
}

/* ---- what stands for a secret ---- */

static bool is_pseudonym(struct slice text)
{
    size_t begin = sizeof(pseudonym) - 1;

    if (text.len != begin + 2 * (size_t)PSEUDONYM_BYTES || memcmp(text.data, pseudonym, begin) != 0)
        return false;
    for (size_t i = begin; i < text.len; i++)
        if (!redact_is_digit(text.data[i]) && (uint8_t)(text.data[i] - 'a') >= 6)
            return false;
    return true;
}

static bool is_mask(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != '*')
            return false;
    return true;
}

/* Whether [from, to) is a part of what stands for a secret. */
static bool is_within_done(struct slice text, size_t from, size_t to)
{
    size_t len = sizeof(pseudonym) - 1 + 2 * (size_t)PSEUDONYM_BYTES;

    if (is_mask(redact_part(text, from, to)))
        return true;
    for (size_t at = to > len ? to - len : 0; at <= from && text.len - at >= len; at++)
        if (is_pseudonym(redact_part(text, at, at + len)))
            return true;
    return false;
}

bool redact_is_done(struct slice text, unsigned keep)
{
    size_t mask = sizeof(REDACT_MASK) - 1;

    if (text.len < mask || memcmp(text.data, REDACT_MASK, mask) != 0)
        return is_pseudonym(text);
    for (size_t i = mask; i < text.len; i++)
        if (!redact_is_alnum(text.data[i]))
            return false;
    return text.len <= mask + keep;
}

/* False: no HMAC could be made. */
static bool put_pseudonym(const struct redact *r, struct slice secret, struct buf *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (r->hmac_key_len == 0 || !HMAC(EVP_sha256(), r->hmac_key, (int)r->hmac_key_len, secret.data,
                                      secret.len, digest, &len))
        return false;
    buf_str(out, pseudonym);
    encode_hex(out, slice_make(digest, PSEUDONYM_BYTES));
    return true;
}

/* Letters and digits at the end, so that what is left is not found again. */
static void put_last(struct slice secret, unsigned keep, struct buf *out)
{
    size_t from = secret.len;

    while (from > (secret.len + 1) / 2 && secret.len - from < keep &&
           redact_is_alnum(secret.data[from - 1]))
        from--;
    buf_str(out, REDACT_MASK);
    buf_append(out, secret.data + from, secret.len - from);
}

/* The address without its host; false: it is none. */
static bool put_network(unsigned rule, struct slice secret, struct buf *out)
{
    int family = rule == REDACT_IPV6 ? AF_INET6 : AF_INET;
    char text[ADDRESS_TEXT];
    uint8_t address[16] = {0};

    if (secret.len >= sizeof(text))
        return false;
    memcpy(text, secret.data, secret.len);
    text[secret.len] = '\0';
    if (inet_pton(family, text, address) != 1)
        return false;
    if (family == AF_INET6)
        memset(address + 6, 0, sizeof(address) - 6);
    else
        address[3] = 0;
    if (!inet_ntop(family, address, text, sizeof(text)))
        return false;
    buf_str(out, text);
    return true;
}

static void put_instead(struct redact *r, unsigned rule, struct slice secret, struct buf *out)
{
    switch (r->rules[rule].action) {
    case REDACT_TO_HMAC:
        out->failed |= !put_pseudonym(r, secret, out);
        return;
    case REDACT_TO_LAST:
        put_last(secret, r->rules[rule].keep, out);
        return;
    case REDACT_TO_NETWORK:
        if (put_network(rule, secret, out))
            return;
        break;
    default:
        break;
    }
    buf_str(out, REDACT_MASK);
}

static unsigned kept_of(const struct redact *r, unsigned rule)
{
    return r->rules[rule].action == REDACT_TO_LAST ? r->rules[rule].keep : 0;
}

static bool is_allowed(const struct redact *r, struct slice secret)
{
    for (size_t i = 0; i < r->allowed_count; i++)
        if (regex_find(r->allowed[i], secret))
            return true;
    return false;
}

enum redact_outcome redact_replace(struct redact *r, unsigned rule, struct slice secret,
                                   struct buf *out)
{
    size_t start = out->len;

    if (redact_is_done(secret, kept_of(r, rule)) || is_allowed(r, secret))
        return REDACT_SAME;
    if (r->rules[rule].action == REDACT_TO_DROP) {
        r->found[rule]++;
        return REDACT_GONE;
    }
    put_instead(r, rule, secret, out);
    if (!buf_ok(out))
        return REDACT_FAILED;
    if (slice_equal(slice_make(out->data + start, out->len - start), secret)) {
        out->len = start;
        return REDACT_SAME; /* a network has no host already */
    }
    r->found[rule]++;
    return REDACT_CHANGED;
}

/* ---- the scan ---- */

struct scan {
    struct redact *r;
    enum redact_place place;
    struct slice text;
    struct buf *out;
    size_t done;       /* what lies before it is written */
    unsigned possible; /* enum redact_anchor */
};

static bool find_colon(const struct scan *s, size_t at, unsigned anchors, struct redact_hit *hit)
{
    return ((anchors & ANCHOR_URL) && redact_find_userinfo(s->text, at, hit)) ||
           ((anchors & ANCHOR_IPV6) && redact_find_ipv6(s->text, at, hit));
}

static bool find_at(const struct scan *s, size_t at, unsigned anchors, struct redact_hit *hit)
{
    struct slice text = s->text;

    if (anchors & ANCHOR_DIGIT)
        return redact_find_number(s->r, text, at, hit);
    if (anchors & ANCHOR_SCHEME)
        return redact_find_scheme(text, at, hit);
    if ((anchors & ANCHOR_AT) && redact_find_email(text, at, hit))
        return true;
    if ((anchors & ANCHOR_PHONE) && redact_find_phone(text, at, hit))
        return true;
    if ((anchors & ANCHOR_PREFIX) && redact_find_prefixed(s->r, text, at, hit))
        return true;
    if ((anchors & ANCHOR_UUID) && redact_find_uuid(text, at, hit))
        return true;
    return find_colon(s, at, anchors, hit) ||
           ((anchors & ANCHOR_ASSIGN) && redact_find_assignment(s->r, text, at, s->place, hit));
}

/* A number is looked at where it begins; what is within a word is no number of its own. */
static bool is_within_number(struct slice text, size_t at)
{
    return at > 0 && redact_is_digit(text.data[at]) &&
           (redact_is_digit(text.data[at - 1]) || (uint8_t)(text.data[at - 1] - 'a') < 26);
}

/* The next byte that is worth a look; the length of the text: none is. */
static size_t next_anchor(const struct scan *s, size_t at)
{
    const uint16_t *anchors = s->r->anchors;
    const uint8_t *data = s->text.data;

    while (at < s->text.len && !(anchors[data[at]] & s->possible))
        at++;
    return at;
}

/* Writes what lies before the hit and what stands for it. */
static enum redact_outcome take_hit(struct scan *s, const struct redact_hit *hit)
{
    size_t start = s->out->len, from = hit->from > s->done ? hit->from : s->done;
    enum redact_outcome outcome;

    if (hit->to <= from || (hit->rule == REDACT_EMAIL && from > hit->from))
        return REDACT_SAME; /* ****@example.org: who it is has gone */
    buf_append(s->out, s->text.data + s->done, from - s->done);
    outcome = redact_replace(s->r, hit->rule, redact_part(s->text, from, hit->to), s->out);
    if (outcome == REDACT_CHANGED)
        s->done = hit->to;
    else if (outcome == REDACT_SAME)
        s->out->len = start;
    return outcome;
}

static enum redact_outcome scan(struct scan *s)
{
    enum redact_outcome result = REDACT_SAME, outcome;
    struct redact_hit hit;

    for (size_t at = next_anchor(s, 0); at < s->text.len; at = next_anchor(s, at + 1)) {
        redact_step(s->r);
        if (is_within_number(s->text, at) ||
            !find_at(s, at, s->r->anchors[s->text.data[at]] & s->possible, &hit))
            continue;
        outcome = take_hit(s, &hit);
        if (outcome == REDACT_GONE || outcome == REDACT_FAILED)
            return outcome;
        if (outcome == REDACT_CHANGED)
            result = REDACT_CHANGED;
        if (hit.to > at + 1)
            at = hit.to - 1;
    }
    if (result == REDACT_CHANGED)
        buf_append(s->out, s->text.data + s->done, s->text.len - s->done);
    return buf_ok(s->out) ? result : REDACT_FAILED;
}

/* ---- the patterns that were given ---- */

static enum redact_outcome scan_own(struct redact *r, unsigned own, struct slice text,
                                    struct buf *out)
{
    struct scan s = {r, PLACE_TEXT, text, out, 0, 0};
    enum redact_outcome result = REDACT_SAME, outcome;
    struct redact_hit hit = {.rule = REDACT_OWN + own};
    size_t at = 0;

    while (at <= text.len && regex_search(r->own[own].regex, text, at, &hit.from, &hit.to)) {
        redact_step(r);
        outcome = is_within_done(text, hit.from, hit.to) ? REDACT_SAME : take_hit(&s, &hit);
        if (outcome == REDACT_GONE || outcome == REDACT_FAILED)
            return outcome;
        if (outcome == REDACT_CHANGED)
            result = REDACT_CHANGED;
        at = hit.to > at ? hit.to : at + 1;
    }
    if (result == REDACT_CHANGED)
        buf_append(out, text.data + s.done, text.len - s.done);
    return buf_ok(out) ? result : REDACT_FAILED;
}

/* ---- all passes ---- */

/* What the passes have made of a text so far. */
struct passes {
    struct redact *r;
    struct slice text;
    unsigned made;
    enum redact_outcome outcome; /* SAME or CHANGED; else it is over */
};

static struct buf *next_buf(struct passes *p)
{
    struct buf *b = &p->r->passes[p->made % 2];

    buf_clear(b);
    return b;
}

static void take_pass(struct passes *p, enum redact_outcome outcome, const struct buf *b)
{
    if (outcome == REDACT_SAME)
        return;
    p->outcome = outcome;
    if (outcome != REDACT_CHANGED)
        return;
    p->text = buf_slice(b);
    p->made++;
}

static bool is_over(const struct passes *p)
{
    return p->outcome == REDACT_GONE || p->outcome == REDACT_FAILED;
}

static void pass_statement(struct passes *p, const struct redact_dialect *d)
{
    struct buf *b = next_buf(p);
    unsigned rule = d->is == STATEMENT_COMMAND ? REDACT_COMMAND : REDACT_SQL;
    bool changed;

    if (!redact_is_on(p->r, rule))
        return;
    if (p->r->rules[rule].action == REDACT_TO_DROP) {
        p->r->found[rule]++;
        p->outcome = REDACT_GONE;
        return;
    }
    changed = redact_statement(p->r, d, p->text, b);
    p->r->found[rule] += changed;
    if (!buf_ok(b))
        p->outcome = REDACT_FAILED;
    else if (changed)
        take_pass(p, REDACT_CHANGED, b);
}

static void pass_scan(struct passes *p, enum redact_place place)
{
    unsigned possible = redact_possible(p->r, p->text);
    struct buf *b = next_buf(p);
    struct scan s = {p->r, place, p->text, b, 0, possible};

    if (possible)
        take_pass(p, scan(&s), b);
}

static enum redact_outcome replace_all(struct redact *r, unsigned rule, struct slice text,
                                       struct buf *out)
{
    return redact_is_on(r, rule) && text.len > 0 ? redact_replace(r, rule, text, out) : REDACT_SAME;
}

/* All that is looked for, once. False: the text stays as it is, or it is over. */
static bool pass_all(struct passes *p, enum redact_place place,
                     const struct redact_dialect *dialect)
{
    unsigned made = p->made;

    if (place == PLACE_STATEMENT)
        pass_statement(p, dialect);
    if (!is_over(p))
        pass_scan(p, place);
    for (unsigned i = 0; i < p->r->own_count && !is_over(p); i++) {
        struct buf *b = next_buf(p);

        if (redact_is_on(p->r, REDACT_OWN + i))
            take_pass(p, scan_own(p->r, i, p->text, b), b);
    }
    return !is_over(p) && p->made > made;
}

/* What one round left may look like another secret to the next, and to a second collector: so until
 * it stays. What never does, and what grows on, is masked as a whole. */
static void pass_until_it_stays(struct passes *p, enum redact_place place,
                                const struct redact_dialect *dialect, struct buf *kept)
{
    struct slice before = p->text;

    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (!pass_all(p, place, dialect) || slice_equal(p->text, before))
            return;
        if (round > 0 && p->text.len / 2 > before.len)
            break;
        buf_clear(kept);
        buf_append(kept, p->text.data, p->text.len);
        before = buf_slice(kept);
    }
    p->text = slice_str(REDACT_MASK);
}

enum redact_outcome redact_in_place(struct redact *r, enum redact_place place,
                                    const struct redact_dialect *dialect, struct slice text,
                                    struct buf *out)
{
    struct passes p = {r, text, 0, REDACT_SAME};

    buf_clear(out);
    if (place == PLACE_IGNORED || redact_is_done(text, 0))
        return REDACT_SAME;
    if (place == PLACE_SECRET || place == PLACE_BIND)
        return replace_all(r, place == PLACE_BIND ? REDACT_BIND : REDACT_KEY, text, out);
    pass_until_it_stays(&p, place, dialect, out);
    if (p.outcome == REDACT_CHANGED && slice_equal(p.text, text))
        p.outcome = REDACT_SAME;
    buf_clear(out);
    if (p.outcome == REDACT_CHANGED)
        buf_append(out, p.text.data, p.text.len);
    return buf_ok(out) ? p.outcome : REDACT_FAILED;
}

enum redact_outcome redact_text(struct redact *r, struct slice key, struct slice text,
                                struct buf *out)
{
    struct redact_dialect dialect = redact_dialect_of(slice_make(NULL, 0));

    return redact_in_place(r, redact_place_of(r, key), &dialect, text, out);
}
