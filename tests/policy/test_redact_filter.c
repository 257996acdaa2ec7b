/* What is done with at a glance (policy/redact_filter.c, names by their last letters, keys that
 * were seen) comes out as it does where everything is looked at. */
#include "base/random.h"
#include "check.h"
#include "policy/redact.h"

#include <stdlib.h>

enum { TEXTS = 30000, KEYS = 20000, PARTS_MAX = 7 };

/* Secrets, what nearly is one, and what stands around them. */
static const char *const parts[] = {"ada@example.org",
                                    "ada%40example.org",
                                    "@",
                                    "%40",
                                    "4111111111111111",
                                    "4111 1111 1111 1111",
                                    "4111-1111-1111-1112",
                                    "123-45-6789",
                                    "078 05 1120",
                                    "+49 30 901820",
                                    "+1",
                                    "(212) 555-0123",
                                    "212-555-0123",
                                    "212.555.0123",
                                    "GB82 WEST 1234 5698 7654 32",
                                    "DE89370400440532013000",
                                    "NO93",
                                    "86011117947",
                                    "10.1.2.3",
                                    "255.255.255.255",
                                    "::1",
                                    "2001:db8::8a2e:370:7334",
                                    "fe80",
                                    "123e4567-e89b-12d3-a456-426614174000",
                                    "AKIAIOSFODNN7EXAMPLE",
                                    "ASIA",
                                    "AIza",
                                    "eyJ",
                                    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghij",
                                    "ghp_",
                                    "github_pat_",
                                    "abcdefghijklmnopqrstuvwxyz0123456789",
                                    "xoxb-",
                                    "xapp-",
                                    "1234567890",
                                    "sk_live_",
                                    "whsec_",
                                    "-----BEGIN RSA PRIVATE KEY-----",
                                    "-----END RSA PRIVATE KEY-----",
                                    "-----",
                                    "Bearer ",
                                    "bearer",
                                    "Basic ",
                                    "QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
                                    "https://",
                                    "user:pass@host",
                                    "host/path",
                                    "password",
                                    "passwd_old",
                                    "token",
                                    "api-key",
                                    "apiKey",
                                    "x-csrf",
                                    "secret_2",
                                    "cookie",
                                    "code",
                                    "sig",
                                    "key",
                                    "status",
                                    "=",
                                    ": ",
                                    ":",
                                    "?",
                                    "&",
                                    "#",
                                    "\"",
                                    "'",
                                    "\\\"",
                                    ",",
                                    ";",
                                    " ",
                                    "\n",
                                    "x",
                                    "A",
                                    "J",
                                    "-",
                                    "_",
                                    "+",
                                    "(",
                                    ")",
                                    ".",
                                    "0",
                                    "7",
                                    "GET /api/v2/orders/4711",
                                    "\xc3\xa9",
                                    "shop-client/2.31 (linux; x86_64)",
                                    "****",
                                    "null",
                                    "SELECT 'x' FROM t WHERE a = 12",
                                    "B-123456"};

static const char *const names[] = {
    "authorization", "token",  "secret", "password", "passwd",  "pwd",    "cookie",    "cookies",
    "key",           "api",    "access", "private",  "session", "id",     "csrf",      "ssn",
    "card",          "number", "cvv",    "cvv2",     "value",   "header", "hash",      "raw",
    "text",          "plain",  "http",   "request",  "db",      "query",  "parameter", "statement",
    "url",           "full",   "user",   "old",      "1",       "23",     "acme",      "pin",
    "Password",      "TOKEN",  "Id"};
static const char *const between[] = {".", "_", "-", "", " ", "\xc3\xa9"};

struct pair {
    struct redact *quick, *thorough;
    struct buf outs[2];
};

static const char *one_of(struct rng *rng, const char *const *list, size_t count)
{
    return list[rng_below(rng, count)];
}
#define ONE_OF(rng, list) one_of(rng, list, sizeof(list) / sizeof((list)[0]))

/* Rules of all kinds; some are off. */
static void set_rules(struct redact *r, struct rng rng)
{
    struct err_info info;
    unsigned rule;

    for (rule = 0; rule < REDACT_BUILT_IN; rule++) {
        static const enum redact_action actions[] = {REDACT_TO_MASK, REDACT_TO_MASK, REDACT_TO_LAST,
                                                     REDACT_TO_DROP, REDACT_OFF};
        unsigned action = (unsigned)rng_below(&rng, 12);

        redact_set(r, rule, actions[action < 5 ? action : 0], 1 + (unsigned)rng_below(&rng, 4));
    }
    if (rng_below(&rng, 2))
        CHECK(redact_add_key(r, slice_str("acme*pin"), &info) == ERR_OK);
    if (rng_below(&rng, 2))
        CHECK(redact_ignore_key(r, slice_str("*id"), &info) == ERR_OK);
    if (rng_below(&rng, 2))
        CHECK(redact_allow_value(r, slice_str("example"), &info) == ERR_OK);
    if (rng_below(&rng, 3) == 0)
        CHECK(redact_add_value(r, slice_str("badge"), slice_str("B-[0-9]+"), &rule, &info) ==
              ERR_OK);
}

static void pair_init(struct pair *p, struct rng rng)
{
    p->quick = redact_new();
    p->thorough = redact_new();
    set_rules(p->quick, rng);
    set_rules(p->thorough, rng);
    redact_thoroughly(p->thorough);
    for (int i = 0; i < 2; i++)
        buf_init(&p->outs[i], 1 << 20, NULL);
}

static void pair_fini(struct pair *p)
{
    redact_free(p->quick);
    redact_free(p->thorough);
    for (int i = 0; i < 2; i++)
        buf_fini(&p->outs[i]);
}

static bool same_counts(struct pair *p)
{
    size_t at[2] = {0};
    unsigned rule[2] = {0};
    uint64_t count[2] = {0};
    bool more[2];

    do {
        more[0] = redact_counts_next(p->quick, &at[0], &rule[0], &count[0]);
        more[1] = redact_counts_next(p->thorough, &at[1], &rule[1], &count[1]);
    } while (more[0] && more[1] && rule[0] == rule[1] && count[0] == count[1]);
    return !more[0] && !more[1];
}

/* Prints what differs. */
static bool agrees(struct pair *p, struct slice key, struct slice text, unsigned *changed)
{
    enum redact_outcome quick = redact_text(p->quick, key, text, &p->outs[0]);
    enum redact_outcome thorough = redact_text(p->thorough, key, text, &p->outs[1]);
    bool same = quick == thorough && same_counts(p);

    if (same && quick == REDACT_CHANGED)
        same = slice_equal(buf_slice(&p->outs[0]), buf_slice(&p->outs[1]));
    if (!same)
        printf("  %.*s = %.*s: %d, %d\n", (int)key.len, key.data, (int)text.len, text.data,
               (int)quick, (int)thorough);
    *changed += thorough == REDACT_CHANGED;
    return same;
}

static void put_text(struct rng *rng, struct buf *b)
{
    unsigned count = 1 + (unsigned)rng_below(rng, PARTS_MAX);

    buf_clear(b);
    for (unsigned i = 0; i < count; i++)
        buf_str(b, ONE_OF(rng, parts));
    for (uint64_t i = rng_below(rng, 4); i > 2 && b->len > 0; i--) /* one byte of it is another */
        b->data[rng_below(rng, b->len)] = (uint8_t)rng_next(rng);
}

static void put_key(struct rng *rng, struct buf *b)
{
    unsigned count = 1 + (unsigned)rng_below(rng, 4);

    buf_clear(b);
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buf_str(b, ONE_OF(rng, between));
        buf_str(b, ONE_OF(rng, names));
    }
}

static void any_text_comes_out_as_if_everything_was_looked_at(void)
{
    static const char *const keys[] = {"message", "url.query", "url.full", "db.query.text", ""};
    struct rng rng;
    unsigned changed = 0, differ = 0;
    struct buf text;
    struct pair p;

    rng_seed(&rng, 42);
    buf_init(&text, 1 << 16, NULL);
    for (int i = 0; i < TEXTS; i++) {
        if (i % 500 == 0)
            pair_init(&p, rng);
        put_text(&rng, &text);
        differ += !agrees(&p, slice_str(ONE_OF(&rng, keys)), buf_slice(&text), &changed);
        if (i % 500 == 499)
            pair_fini(&p);
    }
    CHECK(differ == 0);
    CHECK(changed > TEXTS / 4 && changed < TEXTS * 9 / 10);
    buf_fini(&text);
}

static void any_key_says_what_it_says_when_it_is_looked_at(void)
{
    struct rng rng;
    unsigned changed = 0, differ = 0;
    struct buf key;
    struct pair p;

    rng_seed(&rng, 7);
    buf_init(&key, 1 << 10, NULL);
    for (int i = 0; i < KEYS; i++) {
        if (i % 500 == 0)
            pair_init(&p, rng);
        put_key(&rng, &key);
        for (int again = 0; again < 2; again++)
            differ += !agrees(&p, buf_slice(&key), slice_str("x"), &changed);
        if (i % 500 == 499)
            pair_fini(&p);
    }
    CHECK(differ == 0);
    CHECK(changed > KEYS / 4);
    buf_fini(&key);
}

static void a_key_of_a_length_and_ends_that_were_seen_is_another_key(void)
{
    struct redact *r = redact_new();
    struct buf out;

    buf_init(&out, 1 << 10, NULL);
    for (int i = 0; i < 3; i++) {
        CHECK(redact_text(r, slice_str("abcdefgh.password.abcdefgh"), slice_str("x"), &out) ==
              REDACT_CHANGED);
        CHECK(redact_text(r, slice_str("abcdefgh.passport.abcdefgh"), slice_str("x"), &out) ==
              REDACT_SAME);
    }
    buf_fini(&out);
    redact_free(r);
}

static void what_is_known_of_keys_goes_with_the_rules(void)
{
    struct redact *r = redact_new();
    struct slice key = slice_str("acme.customer.pin");
    struct err_info info;
    struct buf out;

    buf_init(&out, 1 << 10, NULL);
    CHECK(redact_text(r, key, slice_str("x"), &out) == REDACT_SAME);
    CHECK(redact_add_key(r, slice_str("acme.*.pin"), &info) == ERR_OK);
    CHECK(redact_text(r, key, slice_str("x"), &out) == REDACT_CHANGED);
    CHECK(redact_ignore_key(r, slice_str("acme.*"), &info) == ERR_OK);
    CHECK(redact_text(r, key, slice_str("x"), &out) == REDACT_SAME);
    buf_fini(&out);
    redact_free(r);
}

int main(void)
{
    RUN(any_text_comes_out_as_if_everything_was_looked_at);
    RUN(any_key_says_what_it_says_when_it_is_looked_at);
    RUN(a_key_of_a_length_and_ends_that_were_seen_is_another_key);
    RUN(what_is_known_of_keys_goes_with_the_rules);
    return DONE();
}
