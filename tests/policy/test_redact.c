#include "check.h"
#include "policy/redact.h"

#include <stdlib.h>

struct text_case {
    const char *key, *text;
    const char *left; /* NULL: as it is */
};

/* Prints what went wrong, as a table has many rows. */
static bool is_left(struct redact *r, const struct text_case *c)
{
    struct slice want = slice_str(c->left ? c->left : c->text), got;
    enum redact_outcome outcome;
    struct buf out;
    bool ok;

    buf_init(&out, 1 << 20, NULL);
    outcome = redact_text(r, slice_str(c->key), slice_str(c->text), &out);
    got = outcome == REDACT_CHANGED ? buf_slice(&out) : slice_str(c->text);
    ok = outcome == (c->left ? REDACT_CHANGED : REDACT_SAME) && slice_equal(got, want);
    if (!ok)
        printf("  %s = %s\n  became %.*s (%d)\n", c->key, c->text, (int)got.len, got.data,
               (int)outcome);
    buf_fini(&out);
    return ok;
}

static bool all_left(const struct text_case *cases, size_t count)
{
    struct redact *r = redact_new();
    bool ok = true;

    for (size_t i = 0; i < count; i++) {
        struct text_case again = {cases[i].key, cases[i].left, NULL};

        ok &= is_left(r, &cases[i]);
        if (cases[i].left)
            ok &= is_left(r, &again); /* what was taken out once is not touched again */
    }
    redact_free(r);
    return ok;
}

#define ALL_LEFT(...)                                                                              \
    do {                                                                                           \
        static const struct text_case cases[] = {__VA_ARGS__};                                     \
        CHECK(all_left(cases, sizeof(cases) / sizeof(cases[0])));                                  \
    } while (0)

static void a_secret_key_masks_its_value(void)
{
    ALL_LEFT({"authorization", "x", "****"}, {"http.request.header.authorization", "x", "****"},
             {"Proxy-Authorization", "x", "****"}, {"http.request.header.x-api-key", "x", "****"},
             {"apiKey", "x", "****"}, {"API_KEY", "x", "****"}, {"accessToken", "x", "****"},
             {"refresh_token", "x", "****"}, {"app.id-token", "x", "****"},
             {"client_secret", "x", "****"}, {"clientsecret", "x", "****"},
             {"user.password", "x", "****"}, {"passwordHash", "x", "****"},
             {"password_old", "x", "****"}, {"DB_PASSWD", "x", "****"}, {"pwd", "x", "****"},
             {"private_key", "x", "****"}, {"session.id", "x", "****"}, {"sessionid", "x", "****"},
             {"x-csrf-token", "x", "****"}, {"ssn", "x", "****"}, {"card_number", "x", "****"},
             {"cvv", "x", "****"}, {"x-amz-security-token", "x", "****"},
             {"http.request.header.set-cookie", "a=b", "****"}, {"password_1", "x", "****"},
             {"token_value", "x", "****"});
}

static void other_keys_leave_theirs(void)
{
    ALL_LEFT({"http.request.method", "GET", NULL}, {"http.route", "/orders/{id}", NULL},
             {"gen_ai.usage.input_tokens", "12", NULL}, {"token_count", "12", NULL},
             {"code.function", "session_start", NULL}, {"messaging.destination.name", "key", NULL},
             {"aws.secretsmanager.secret.arn", "arn:aws:x", NULL}, {"keyboard", "qwerty", NULL},
             {"method.signature", "f(int)", NULL}, {"monkey", "george", NULL},
             {"", "nothing", NULL}, {"code", "200", NULL}, {"state", "open", NULL},
             {"pass", "3", NULL});
}

static void mail_addresses_go(void)
{
    ALL_LEFT({"m", "ada@example.org", "****"},
             {"m", "to Ada <ada.l+x@mail.example.co.uk>!", "to Ada <****>!"},
             {"m", "a@b.io,c@d.io", "****,****"},
             {"url.full", "/u?mail=ada%40example.org&x=1", "/u?mail=****&x=1"},
             {"m", "@example.org", NULL}, {"m", "left-pad@1.3.0", NULL},
             {"m", "user@localhost", NULL}, {"m", "a @ b.c", NULL}, {"m", "@", NULL},
             {"m", "Foo@3f2a1b", NULL}, {"m", "x@y.", NULL});
}

static void card_numbers_go_when_they_can_be_cards(void)
{
    ALL_LEFT({"m", "4111111111111111", "****"},
             {"m", "card 4111 1111 1111 1111 123 ok", "card **** 123 ok"},
             {"m", "4111-1111-1111-1111", "****"}, {"m", "5555555555554444", "****"},
             {"m", "2223003122003222", "****"}, {"m", "378282246310005", "****"},
             {"m", "3782 822463 10005", "****"}, {"m", "6011111111111117", "****"},
             {"m", "30569309025904", "****"}, {"m", "3530111333300000", "****"},
             {"m", "(4111111111111111)", "(****)"}, {"m", "n=4111111111111111;", "n=****;"},
             /* one digit is wrong */
             {"m", "4111111111111112", NULL}, {"m", "4111 1111 1111 1112", NULL},
             /* no brand */
             {"m", "1795314600000000000", NULL}, {"m", "1234567812345670", NULL},
             /* ids and numbers */
             {"m", "411111111111111a", NULL}, {"m", "a411111111111111", NULL},
             {"m", "id4111111111111111", NULL}, {"m", "4111111111111111f", NULL},
             {"m", "0.4111111111111111", NULL}, {"m", "4111111111111111.5", NULL},
             {"m", "00f067aa0ba902b7", NULL}, {"m", "41 11111111111111", NULL},
             {"m", "411111111111111111111111", NULL});
}

static void social_security_numbers_go(void)
{
    ALL_LEFT({"m", "123-45-6789", "****"}, {"m", "ssn is 078 05 1120.", "ssn is ****."},
             {"m", "000-45-6789", NULL}, {"m", "666-45-6789", NULL}, {"m", "912-45-6789", NULL},
             {"m", "123-00-6789", NULL}, {"m", "123-45-0000", NULL}, {"m", "123-45-67890", NULL},
             {"m", "1123-45-6789", NULL}, {"m", "123456789", NULL}, {"m", "9-123-45-6789", NULL},
             {"m", "123-45-6789-1", NULL}, {"m", "123-45 6789", NULL});
}

static void bank_accounts_go(void)
{
    ALL_LEFT({"m", "DE89370400440532013000", "****"},
             {"m", "to GB29 NWBK 6016 1331 9268 19 now", "to **** now"},
             {"m", "NL91ABNA0417164300,", "****,"}, {"m", "DE88370400440532013000", NULL},
             {"m", "XX89370400440532013000", NULL}, {"m", "DE8937040044053201300", NULL},
             {"m", "ADE89370400440532013000", NULL}, {"m", "DE893704004405320130001", NULL},
             {"m", "UTF16", NULL});
}

static void phone_numbers_go(void)
{
    ALL_LEFT({"m", "+49 30 901820", "****"}, {"m", "+14155550123", "****"},
             {"m", "call +1 (415) 555-0123 now", "call **** now"}, {"m", "415-555-0123", "****"},
             {"m", "415.555.0123", "****"}, {"m", "(415) 555-0123", "****"},
             {"m", "(415)555-0123", "****"}, {"m", "4155550123", NULL},
             {"m", "2026-11-22T00:30:00+0100", NULL}, {"m", "1+14155550123", NULL},
             {"m", "115-555-0123", NULL}, {"m", "415-155-0123", NULL}, {"m", "415-555-01234", NULL},
             {"m", "+0 123 456 789", NULL}, {"m", "415 555 0123", NULL}, {"m", "+1234567", NULL},
             {"m", "x-415-555-0123", NULL}, {"m", "2026-11-22", NULL},
             {"m", "+1234567890123456", NULL});
}

static void tokens_go(void)
{
    ALL_LEFT({"m", "AKIAIOSFODNN7EXAMPLE", "****"}, {"m", "id ASIAIOSFODNN7EXAMPLE.", "id ****."},
             {"m", "AKIAIOSFODNN7EXAMPL", NULL}, {"m", "AKIAIOSFODNN7EXAMPLEX", NULL},
             {"m", "XAKIAIOSFODNN7EXAMPLE", NULL},
             {"m", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "****"}, {"m", "ghp_short", NULL},
             {"m", "github_pat_11ABCDEFG0123456789_abcdefgh", "****"},
             {"m", "xoxb-123456789012-abcdefABCDEF", "****"}, {"m", "xoxb-", NULL},
             {"m", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "****"},
             {"m", "task_live_abcdefghijkl", NULL},
             {"m", "AIzaSyA-1234567890abcdefghijklmnopqrstu", "****"}, {"m", "AIzaShort", NULL},
             {"m", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl x", "**** x"},
             {"m", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "****"},
             {"m", "eyJhbGciOiJIUzI1NiJ9", NULL}, {"m", "heyJude.isasong.ok", NULL},
             {"m", "k -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- z",
              "k **** z"},
             {"m", "-----BEGIN EC PRIVATE KEY-----\nMIIE", "****"}, {"m", "----- BEGIN", NULL});
}

static void schemes_lose_their_credentials(void)
{
    ALL_LEFT({"m", "Bearer abcdef0123456789", "Bearer ****"},
             {"m", "sent 'bearer mF_9.B5f-4.1JqM'", "sent 'bearer ****'"},
             {"m", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic ****"},
             {"m", "Basic authentication failed", NULL}, {"m", "Bearer authentication", NULL},
             {"m", "Bearer ab1", NULL}, {"m", "forbearer abcdef0123456789", NULL});
}

static void urls_lose_users_and_secret_parameters(void)
{
    ALL_LEFT({"url.full", "https://ada:pw@example.org:8080/x?y=1",
              "https://****@example.org:8080/x?y=1"},
             {"m", "amqp://guest@mq/", "amqp://****@mq/"},
             {"m", "redis://:p@ss@h:1", "redis://****@h:1"},
             {"m", "see https://example.org/@ada", NULL}, {"m", "https://example.org?a=b@c", NULL},
             {"url.full", "/cb?code=abc&state=def&page=2#x", "/cb?code=****&state=****&page=2#x"},
             {"url.query", "token=abc&page=2", "token=****&page=2"},
             {"url.query", "key=abc", "key=****"}, {"m", "key=abc", NULL},
             {"http.target", "/?X-Amz-Signature=ff00&X-Amz-Credential=AK%2F1&X-Amz-Date=1",
              "/?X-Amz-Signature=****&X-Amz-Credential=****&X-Amz-Date=1"},
             {"http.url", "http://h/x?sig=a,b;c)&z=1", "http://h/x?sig=****&z=1"},
             {"m", "http://h/#access_token=abc", "http://h/#access_token=****"},
             {"m", "/x?monkey=1&session_count=4&tokens=9", NULL});
}

static void assignments_in_texts_lose_their_values(void)
{
    ALL_LEFT({"m", "Server=x;User Id=sa;Password=hunter2;", "Server=x;User Id=sa;Password=****;"},
             {"m", "{\"user\":\"ada\",\"password\":\"hun\\\"ter2\"}",
              "{\"user\":\"ada\",\"password\":\"****\"}"},
             {"m", "{\\\"token\\\": \\\"abc\\\"}", "{\\\"token\\\": \\\"****\\\"}"},
             {"m", "password = 'a b c', x", "password = '****', x"},
             {"m", "--db-password=hunter2 --v", "--db-password=**** --v"},
             {"m", "Cookie: a=b; c=d\nHost: x", "Cookie: ****\nHost: x"},
             {"m", "aws_secret_access_key: wJalr/K7", "aws_secret_access_key: ****"},
             {"m", "{\"password\":null}", NULL}, {"m", "Unexpected token: }", NULL},
             {"m", "Secret::new(x)", NULL}, {"m", "password:", NULL}, {"m", "at F.java:120", NULL},
             {"m", "12:34:56", NULL}, {"m", "a=b:c=d", NULL});
}

static void addresses_and_uuids_stay_unless_they_are_asked_for(void)
{
    struct redact *r = redact_new();
    static const struct text_case quiet[] = {
        {"m", "203.0.113.7 2001:db8::1 6ba7b810-9dad-11d1-80b4-00c04fd430c8", NULL}};
    static const struct text_case networks[] = {
        {"m", "from 203.0.113.7:80", "from 203.0.113.0:80"},
        {"m", "203.0.113.0", NULL},
        {"m", "v1.2.3.4 1.2.3.4.5 1.2.3 256.1.1.1", NULL},
        {"m", "[2001:db8:1:2::1]:80", "[2001:db8:1::]:80"},
        {"m", "12:34:56 std::string 00:1b:63:84:45:e6", NULL},
        {"m", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "****"},
        {"m", "6ba7b810-9dad-11d1-80b4-00c04fd430c", NULL},
    };

    CHECK(is_left(r, &quiet[0]));
    redact_set(r, REDACT_IPV4, REDACT_TO_NETWORK, 0);
    redact_set(r, REDACT_IPV6, REDACT_TO_NETWORK, 0);
    redact_set(r, REDACT_UUID, REDACT_TO_MASK, 0);
    for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++)
        CHECK(is_left(r, &networks[i]));
    redact_free(r);
}

static void statements_lose_their_literals(void)
{
#define S "db.query.text"
    ALL_LEFT(
        {S, "SELECT * FROM t WHERE a = 'x' AND b = 12", "SELECT * FROM t WHERE a = ? AND b = ?"},
        {S, "SELECT `a-1`, t1.c2 FROM t1 WHERE x IN (1, 'b', -3)",
         "SELECT `a-1`, t1.c2 FROM t1 WHERE x IN (?)"},
        {S, "INSERT INTO t VALUES ('it''s', 0xFF, 1.5e-3, X'00ff', NULL)",
         "INSERT INTO t VALUES (?, ?, ?, ?, NULL)"},
        {S, "SELECT 1 -- pw 'x'\n, 2 /* c 'y' */ FROM t", "SELECT ? \n, ?  FROM t"},
        {S, "SELECT $$it's$$, $q$a$$b$q$, $1, E'a\\'b'", "SELECT ?, ?, $1, ?"},
        {S, "SELECT \"secret\"", "SELECT ?"}, {S, "SELECT 'open", "SELECT ?"},
        {S, "SELECT 'a\\' OR secret", "SELECT ?"},
        {S, "SELECT a FROM t WHERE b = ? AND c = :c", NULL},
        {S, "SELECT a FROM t WHERE b IN (SELECT 1)", "SELECT a FROM t WHERE b IN (SELECT ?)"},
        {S, "UPDATE t SET a=a+1,b=-.5", "UPDATE t SET a=a+?,b=-?"},
        {S, "{\"query\":{\"match\":{\"name\":\"ada\",\"age\":36}}}",
         "{\"query\":{\"match\":{\"name\":\"?\",\"age\":?}}}"},
        {"other", "SELECT 'x'", NULL});
#undef S
}

/* ---- random texts ---- */

static uint64_t random_state = 88172645463325252u;

static uint32_t below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 16) % n);
}

/* Bytes that finders look for come more often than others. */
static void put_noise(struct buf *text, uint32_t len)
{
    static const char hot[] = "@:/=?&.-_ +()%'\"\\$#[]{},;0123456789eyJAKIAghpBearer\n*";

    for (uint32_t i = 0; i < len; i++)
        buf_byte(text, below(4) ? (uint8_t)hot[below(sizeof(hot) - 1)] : (uint8_t)below(256));
}

static const char *const places[] = {
    "", "m", "url.full", "url.query", "db.statement", "db.query.parameter.1"};

/* A copy that ends where its memory does, so that a byte behind it is found out. */
static enum redact_outcome redact_copy(struct redact *r, struct slice text, struct buf *out)
{
    const char *key = places[below(sizeof(places) / sizeof(places[0]))];
    uint8_t *copy = malloc(text.len + !text.len);
    enum redact_outcome outcome;

    if (text.len)
        memcpy(copy, text.data, text.len);
    outcome = redact_text(r, slice_str(key), slice_make(copy, text.len), out);
    if (outcome == REDACT_SAME) {
        buf_clear(out);
        buf_append(out, copy, text.len);
    }
    free(copy);
    return outcome;
}

static void a_planted_secret_is_found_in_any_noise(void)
{
    static const char *const planted[] = {"4111111111111111",
                                          "AKIAIOSFODNN7EXAMPLE",
                                          "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
                                          "ada.lovelace@example.org",
                                          "DE89370400440532013000",
                                          "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
                                          "xoxb-123456789012-abcdefABCDEF"};
    struct redact *r = redact_new();
    struct buf text, out;

    buf_init(&text, 1 << 16, NULL);
    buf_init(&out, 1 << 20, NULL);
    for (int i = 0; i < 20000; i++) {
        const char *secret = planted[below(sizeof(planted) / sizeof(planted[0]))];
        enum redact_outcome outcome;

        buf_clear(&text);
        put_noise(&text, below(40));
        buf_str(&text, " \x01");
        buf_str(&text, secret);
        buf_str(&text, "\x01 ");
        put_noise(&text, below(40));
        outcome = redact_copy(r, buf_slice(&text), &out);
        CHECK(outcome == REDACT_CHANGED || outcome == REDACT_GONE);
        CHECK(outcome == REDACT_GONE || !memmem(out.data, out.len, secret, strlen(secret)));
        if (check_failures) {
            printf("  %s in %.*s\n", secret, (int)text.len, text.data);
            break;
        }
    }
    buf_fini(&text);
    buf_fini(&out);
    redact_free(r);
}

static void noise_is_read_within_its_bounds(void)
{
    struct redact *r = redact_new();
    struct buf text, out;

    for (unsigned rule = 0; rule < REDACT_BUILT_IN; rule++)
        redact_set(r, rule, rule == REDACT_BIND ? REDACT_TO_DROP : REDACT_TO_MASK, 4);
    redact_set(r, REDACT_IPV4, REDACT_TO_NETWORK, 0);
    redact_set(r, REDACT_IPV6, REDACT_TO_NETWORK, 0);
    buf_init(&text, 1 << 16, NULL);
    buf_init(&out, 1 << 20, NULL);
    for (int i = 0; i < 20000; i++) {
        buf_clear(&text);
        put_noise(&text, below(80));
        CHECK(redact_copy(r, buf_slice(&text), &out) != REDACT_FAILED);
    }
    buf_fini(&text);
    buf_fini(&out);
    redact_free(r);
}

int main(void)
{
    RUN(a_secret_key_masks_its_value);
    RUN(other_keys_leave_theirs);
    RUN(mail_addresses_go);
    RUN(card_numbers_go_when_they_can_be_cards);
    RUN(social_security_numbers_go);
    RUN(bank_accounts_go);
    RUN(phone_numbers_go);
    RUN(tokens_go);
    RUN(schemes_lose_their_credentials);
    RUN(urls_lose_users_and_secret_parameters);
    RUN(assignments_in_texts_lose_their_values);
    RUN(addresses_and_uuids_stay_unless_they_are_asked_for);
    RUN(statements_lose_their_literals);
    RUN(a_planted_secret_is_found_in_any_noise);
    RUN(noise_is_read_within_its_bounds);
    return DONE();
}
