/* What was redacted is redacted no further, so that a second collector with the same rules changes
 * nothing: random texts of all kinds, and spans with them, under random rules. */
#include "base/random.h"
#include "check.h"
#include "otlp/write.h"
#include "policy/redact.h"

enum { SPANS = 40000, OF_ONE_REDACT = 200, PARTS_MAX = 9 };

/* Of SQL, JSON, commands, URLs and headers; secrets, what stands for them, and garbage. */
static const char *const parts[] = {"SELECT ",
                                    "* FROM t WHERE a",
                                    " IN (",
                                    " IN ('a', 'b', -3)",
                                    "in(?,1)",
                                    "values",
                                    "E'",
                                    "q'[",
                                    "]'",
                                    "N'",
                                    "''",
                                    "$$",
                                    "$q$",
                                    "$1",
                                    ":name",
                                    "@p",
                                    "%s",
                                    "?",
                                    "?1",
                                    "-- ",
                                    "/*",
                                    "*/",
                                    "/",
                                    "*",
                                    "#",
                                    "[",
                                    "]",
                                    "`",
                                    "{\"a\": \"b\", \"c\": 1.5e-3}",
                                    "{",
                                    "}",
                                    "{'a':",
                                    "\"key\":",
                                    "[1, 2",
                                    "GET user:17",
                                    "HMSET",
                                    "0x",
                                    "1e+5",
                                    ".5",
                                    "12",
                                    "7",
                                    "e",
                                    "ada@example.org",
                                    "%40",
                                    "@",
                                    "4111111111111111",
                                    "4111 1111 1111 1111",
                                    "123-45-6789",
                                    "+49 30 901820",
                                    "(212) 555-0123",
                                    "212.555.0123",
                                    "DE89370400440532013000",
                                    "10.1.2.3",
                                    "2001:db8::8a2e:370:7334",
                                    "::",
                                    "123e4567-e89b-12d3-a456-426614174000",
                                    "AKIAIOSFODNN7EXAMPLE",
                                    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghij",
                                    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
                                    "-----BEGIN KEY-----",
                                    "-----END KEY-----",
                                    "Bearer ",
                                    "Basic ",
                                    "QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
                                    "abcdef0123456789",
                                    "https://",
                                    "user:pass@host",
                                    "/path?",
                                    "&sig=",
                                    "&code=",
                                    "password",
                                    "token",
                                    "Cookie: ",
                                    "Authorization: ",
                                    "secret",
                                    "=",
                                    ": ",
                                    ":",
                                    "\"",
                                    "'",
                                    "\\",
                                    "\\\"",
                                    ",",
                                    ";",
                                    " ",
                                    "  ",
                                    "\n",
                                    "\t",
                                    "x",
                                    "A",
                                    "-",
                                    "_",
                                    "+",
                                    "(",
                                    ")",
                                    ".",
                                    "$",
                                    "\xc3\xa9",
                                    "\xff",
                                    "****",
                                    "**",
                                    "****1234",
                                    "hmac:0123456789abcdef0123456789abcdef",
                                    "hmac:",
                                    "null",
                                    "B-123456",
                                    "aab"};

static const char *const systems[] = {"",      "postgresql", "mysql",         "mssql",  "sqlite",
                                      "redis", "mongodb",    "elasticsearch", "oracle", "other"};
static const char *const keys[] = {"db.query.text", "db.statement", "message", "url.query",
                                   "url.full",      "token",        "acme.pin"};
/* Patterns that also find what stands for a secret, or parts of it. */
static const char *const values[] = {"B-[0-9]+", "a+b?", "[*]", ".",   "[0-9a-f]{4}",
                                     "\\?",      "hmac", "x|y", "...", "[a-z]*[*]+"};

static const char *one_of(struct rng *rng, const char *const *list, size_t count)
{
    return list[rng_below(rng, count)];
}
#define ONE_OF(rng, list) one_of(rng, list, sizeof(list) / sizeof((list)[0]))

static enum redact_action any_action(struct rng *rng, unsigned rule)
{
    static const enum redact_action actions[] = {REDACT_TO_MASK, REDACT_TO_MASK, REDACT_TO_LAST,
                                                 REDACT_TO_HMAC, REDACT_OFF,     REDACT_TO_DROP};
    enum redact_action action = actions[rng_below(rng, rng_below(rng, 8) ? 5 : 6)];

    if (rule == REDACT_SQL || rule == REDACT_COMMAND)
        return rng_below(rng, 8) ? REDACT_TO_MASK : REDACT_OFF;
    if (rule == REDACT_IPV4 || rule == REDACT_IPV6)
        return rng_below(rng, 2) ? REDACT_TO_NETWORK : action;
    return action;
}

/* Rules of all kinds with all actions; patterns in one of two. */
static struct redact *any_redact(struct rng *rng)
{
    struct redact *r = redact_new();
    struct err_info info;
    unsigned rule;

    CHECK(redact_set_hmac_key(r, slice_str("0123456789abcdef"), &info) == ERR_OK);
    for (rule = 0; rule < REDACT_BUILT_IN; rule++)
        redact_set(r, rule, any_action(rng, rule), 1 + (unsigned)rng_below(rng, 8));
    CHECK(redact_add_key(r, slice_str("acme*pin"), &info) == ERR_OK);
    if (rng_below(rng, 4) == 0)
        CHECK(redact_allow_value(r, slice_str("^4|org$"), &info) == ERR_OK);
    for (uint64_t i = rng_below(rng, 2) * (1 + rng_below(rng, 2)); i > 0; i--) {
        CHECK(redact_add_value(r, slice_str(i > 1 ? "one" : "two"), slice_str(ONE_OF(rng, values)),
                               &rule, &info) == ERR_OK);
        redact_set(r, rule, any_action(rng, rule), 1 + (unsigned)rng_below(rng, 8));
    }
    return r;
}

static void put_text(struct rng *rng, struct buf *b)
{
    uint64_t count = 1 + rng_below(rng, PARTS_MAX);

    buf_clear(b);
    while (count-- > 0)
        buf_str(b, ONE_OF(rng, parts));
    if (rng_below(rng, 8) == 0 && b->len > 0) /* one byte of it is another */
        b->data[rng_below(rng, b->len)] = (uint8_t)rng_next(rng);
}

/* A number under a key. */
static void put_number(struct rng *rng, struct buf *b)
{
    size_t at = otlp_write_begin(b, 9), value;

    wire_put_bytes(b, 1, slice_str(ONE_OF(rng, keys)));
    value = otlp_write_begin(b, 2);
    wire_put_uint(b, 3, rng_below(rng, 2) ? UINT64_C(4111111111111111) : 7);
    otlp_write_end(b, value);
    otlp_write_end(b, at);
}

static void put_span(struct rng *rng, struct buf *text, struct buf *span)
{
    const char *system = ONE_OF(rng, systems);

    buf_clear(span);
    put_text(rng, text);
    if (rng_below(rng, 2))
        wire_put_bytes(span, 5, buf_slice(text)); /* its name, and perhaps the statement too */
    if (*system)
        otlp_write_attr_str(span, 9, "db.system", slice_str(system));
    for (uint64_t i = rng_below(rng, 3); i > 0; i--) {
        otlp_write_attr_str(span, 9, ONE_OF(rng, keys), buf_slice(text));
        put_text(rng, text);
    }
    if (rng_below(rng, 8) == 0)
        put_number(rng, span);
}

static void show(const char *what, struct slice text)
{
    printf("  %s ", what);
    for (size_t i = 0; i < text.len; i++)
        printf(text.data[i] >= ' ' && text.data[i] < 127 ? "%c" : "\\x%02x", text.data[i]);
    printf("\n");
}

/* Shows what is redacted twice. */
static bool stays(struct redact *r, struct slice span, struct buf outs[2], unsigned *changed)
{
    enum redact_outcome outcome;

    buf_clear(&outs[0]);
    buf_clear(&outs[1]);
    if (redact_span(r, span, &outs[0]) == REDACT_SAME)
        return true;
    ++*changed;
    outcome = redact_span(r, buf_slice(&outs[0]), &outs[1]);
    if (outcome == REDACT_SAME)
        return true;
    show("came ", span);
    show("once ", buf_slice(&outs[0]));
    show("twice", buf_slice(&outs[1]));
    return false;
}

static void any_span_that_was_redacted_stays_as_it_is(void)
{
    struct buf text, span, outs[2];
    unsigned changed = 0, differ = 0;
    struct redact *r = NULL;
    struct rng rng;

    rng_seed(&rng, 1);
    buf_init(&text, 1 << 16, NULL);
    buf_init(&span, 1 << 16, NULL);
    for (int i = 0; i < 2; i++)
        buf_init(&outs[i], 1 << 20, NULL);
    for (int i = 0; i < SPANS && differ < 10; i++) {
        if (i % OF_ONE_REDACT == 0) {
            redact_free(r);
            r = any_redact(&rng);
        }
        put_span(&rng, &text, &span);
        differ += !stays(r, buf_slice(&span), outs, &changed);
    }
    CHECK(differ == 0);
    CHECK(changed > SPANS / 4);
    redact_free(r);
    buf_fini(&text);
    buf_fini(&span);
    for (int i = 0; i < 2; i++)
        buf_fini(&outs[i]);
}

int main(void)
{
    RUN(any_span_that_was_redacted_stays_as_it_is);
    return DONE();
}
