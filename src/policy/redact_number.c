/* Numbers that name people or accounts: cards, social security, bank accounts, phones, addresses.
 */
#include "policy/redact_parts.h"

#include <arpa/inet.h>

enum {
    CARD_MIN = 13,
    CARD_MAX = 19,
    CARD_GROUPS = 5,
    IBAN_MAX = 34,
    PHONE_MIN = 8,
    PHONE_MAX = 15,
    IPV6_TEXT = 45,
};

static bool is_digit_at(struct slice text, size_t at)
{
    return redact_is_digit(redact_byte(text, at));
}

/* Whether a number may begin at `at`: it is not the end of a longer one, or of a fraction. */
static bool begins(struct slice text, size_t at)
{
    if (at == 0)
        return true;
    if (redact_is_alnum(text.data[at - 1]))
        return false;
    return !(at > 1 && (text.data[at - 1] == '.' || text.data[at - 1] == ',') &&
             redact_is_digit(text.data[at - 2]));
}

/* Whether it may end before `at`. */
static bool ends(struct slice text, size_t at)
{
    return !redact_is_alnum(redact_byte(text, at)) &&
           !(redact_byte(text, at) == '.' && is_digit_at(text, at + 1));
}

/* ---- cards ---- */

struct prefix_range {
    uint32_t from, to; /* of the first `digits` */
    uint8_t digits;
    uint32_t lengths; /* a bit each */
};

#define LENGTH(n)     (1U << (n))
#define LENGTHS_16_19 (LENGTH(16) | LENGTH(17) | LENGTH(18) | LENGTH(19))

static const struct prefix_range brands[] = {
    {4, 4, 1, LENGTH(13) | LENGTH(16) | LENGTH(19)}, /* Visa */
    {51, 55, 2, LENGTH(16)},                         /* Mastercard */
    {2221, 2720, 4, LENGTH(16)},
    {34, 34, 2, LENGTH(15)}, /* American Express */
    {37, 37, 2, LENGTH(15)},
    {6011, 6011, 4, LENGTHS_16_19}, /* Discover */
    {644, 649, 3, LENGTHS_16_19},
    {65, 65, 2, LENGTHS_16_19},
    {62, 62, 2, LENGTHS_16_19}, /* UnionPay */
    {81, 81, 2, LENGTHS_16_19},
    {3528, 3589, 4, LENGTHS_16_19},            /* JCB */
    {300, 305, 3, LENGTH(14) | LENGTHS_16_19}, /* Diners Club */
    {36, 36, 2, LENGTH(14) | LENGTHS_16_19},
    {38, 39, 2, LENGTH(14) | LENGTHS_16_19},
    {5018, 5018, 4, LENGTH(13) | LENGTH(14) | LENGTH(15) | LENGTHS_16_19}, /* Maestro */
    {5020, 5020, 4, LENGTH(13) | LENGTH(14) | LENGTH(15) | LENGTHS_16_19},
    {5038, 5038, 4, LENGTH(13) | LENGTH(14) | LENGTH(15) | LENGTHS_16_19},
    {6304, 6304, 4, LENGTH(13) | LENGTH(14) | LENGTH(15) | LENGTHS_16_19},
    {6759, 6763, 4, LENGTH(13) | LENGTH(14) | LENGTH(15) | LENGTHS_16_19},
};

static bool has_brand(const uint8_t *digits, size_t count)
{
    for (size_t i = 0; i < sizeof(brands) / sizeof(brands[0]); i++) {
        const struct prefix_range *b = &brands[i];
        uint32_t prefix = 0;

        for (size_t k = 0; k < b->digits; k++)
            prefix = prefix * 10 + (uint32_t)(digits[k] - '0');
        if (prefix >= b->from && prefix <= b->to && (b->lengths & LENGTH(count)))
            return true;
    }
    return false;
}

/* ISO/IEC 7812-1, annex B. */
static bool passes_luhn(const uint8_t *digits, size_t count)
{
    unsigned sum = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned d = (unsigned)(digits[count - 1 - i] - '0');

        if (i % 2 == 1)
            d = d > 4 ? 2 * d - 9 : 2 * d;
        sum += d;
    }
    return sum % 10 == 0;
}

bool redact_is_card(struct slice digits)
{
    return digits.len >= CARD_MIN && digits.len <= CARD_MAX && has_brand(digits.data, digits.len) &&
           passes_luhn(digits.data, digits.len);
}

/* Digits, in groups as they are written on cards: all in one, fours, or 4-6-rest. */
struct card {
    uint8_t digits[CARD_MAX];
    size_t count;
    size_t ends[CARD_GROUPS], counts[CARD_GROUPS]; /* behind each group: where, how many digits */
    size_t groups;
};

/* False: too long a run. */
static bool add_group(struct slice text, size_t *at, struct card *c)
{
    size_t before = c->count;

    for (; is_digit_at(text, *at); ++*at) {
        if (c->count == CARD_MAX)
            return false;
        c->digits[c->count++] = text.data[*at];
    }
    if (c->count == before || redact_is_alnum(redact_byte(text, *at)))
        return false;
    c->ends[c->groups] = *at;
    c->counts[c->groups++] = c->count;
    return true;
}

static void read_card(struct slice text, size_t at, struct card *c)
{
    uint8_t between = 0, next;

    while (c->groups < CARD_GROUPS && add_group(text, &at, c)) {
        next = redact_byte(text, at);
        if ((next != ' ' && next != '-') || (between && next != between))
            break;
        between = next;
        at++;
    }
}

static bool is_written_so(const struct card *c, size_t groups)
{
    if (groups == 1)
        return true;
    if (groups == 3 && c->counts[0] == 4 && c->counts[1] == 10)
        return true;
    for (size_t i = 0; i + 1 < groups; i++)
        if (c->counts[i] != 4 * (i + 1))
            return false;
    return c->counts[groups - 1] - c->counts[groups - 2] <= 4;
}

static bool find_card(struct slice text, size_t at, struct redact_hit *hit)
{
    struct card c = {.count = 0};

    read_card(text, at, &c);
    for (size_t n = c.groups; n > 0; n--) {
        if (!is_written_so(&c, n) || !ends(text, c.ends[n - 1]) ||
            !redact_is_card(slice_make(c.digits, c.counts[n - 1])))
            continue;
        *hit = (struct redact_hit){at, c.ends[n - 1], REDACT_CARD};
        return true;
    }
    return false;
}

/* ---- numbers in a fixed form ---- */

/* As many digits as `count` at *at, and no more; moves behind them. */
static bool take_digits(struct slice text, size_t *at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!is_digit_at(text, *at + i))
            return false;
    *at += count;
    return !is_digit_at(text, *at);
}

static bool take_byte(struct slice text, size_t *at, uint8_t byte)
{
    if (redact_byte(text, *at) != byte)
        return false;
    ++*at;
    return true;
}

/* 123-45-6789, with numbers that were ever given. */
static bool find_ssn(struct slice text, size_t from, struct redact_hit *hit)
{
    const uint8_t *d = text.data + from;
    size_t at = from;
    uint8_t between;

    if (!take_digits(text, &at, 3))
        return false;
    between = redact_byte(text, at);
    if ((between != '-' && between != ' ') || !take_byte(text, &at, between) ||
        !take_digits(text, &at, 2) || !take_byte(text, &at, between) ||
        !take_digits(text, &at, 4) || !ends(text, at) || redact_byte(text, at) == '-')
        return false;
    if (from > 0 && text.data[from - 1] == '-')
        return false;
    if (memcmp(d, "000", 3) == 0 || memcmp(d, "666", 3) == 0 || d[0] == '9' ||
        memcmp(d + 4, "00", 2) == 0 || memcmp(d + 7, "0000", 4) == 0)
        return false;
    *hit = (struct redact_hit){from, at, REDACT_SSN};
    return true;
}

/* 212-555-0123, 212.555.0123, (212) 555-0123: the area and the exchange begin with 2 to 9. */
static bool find_nanp(struct slice text, size_t from, struct redact_hit *hit)
{
    bool in_parens = redact_byte(text, from) == '(';
    size_t at = from + in_parens;
    uint8_t between;

    if (redact_byte(text, at) < '2' || !take_digits(text, &at, 3))
        return false;
    if (in_parens && !take_byte(text, &at, ')'))
        return false;
    if (in_parens && redact_byte(text, at) == ' ')
        at++;
    between = redact_byte(text, in_parens ? at + 3 : at);
    at += !in_parens;
    if ((between != '-' && between != '.' && !(in_parens && between == ' ')) ||
        redact_byte(text, at) < '2' || !take_digits(text, &at, 3) ||
        !take_byte(text, &at, between) || !take_digits(text, &at, 4) || !ends(text, at))
        return false;
    *hit = (struct redact_hit){from, at, REDACT_PHONE};
    return redact_byte(text, at) != '-' && (from == 0 || text.data[from - 1] != '-');
}

/* +49 30 901820: E.164, in groups. */
static bool find_e164(struct slice text, size_t from, struct redact_hit *hit)
{
    size_t at = from + 1, end = from, digits = 0;

    if (redact_byte(text, at) < '1' || redact_byte(text, at) > '9')
        return false;
    while (digits <= PHONE_MAX && at < text.len) {
        uint8_t c = text.data[at];

        if (redact_is_digit(c)) {
            digits++;
            end = at + 1;
        } else if (!c || !strchr(" -.()", c) || at - end > 1) {
            break;
        }
        at++;
    }
    if (digits < PHONE_MIN || digits > PHONE_MAX || redact_is_alnum(redact_byte(text, end)))
        return false;
    *hit = (struct redact_hit){from, end, REDACT_PHONE};
    return true;
}

bool redact_find_phone(struct slice text, size_t at, struct redact_hit *hit)
{
    if (!begins(text, at))
        return false;
    return text.data[at] == '+' ? find_e164(text, at, hit) : find_nanp(text, at, hit);
}

/* ---- bank accounts ---- */

/* Country and length, ISO 13616 registry. */
static const char iban_lengths[] =
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24"
    "FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32"
    "LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24"
    "RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

static size_t iban_length(const uint8_t *country)
{
    for (const char *c = iban_lengths; *c; c += 4)
        if (c[0] == (char)country[0] && c[1] == (char)country[1])
            return (size_t)(c[2] - '0') * 10 + (size_t)(c[3] - '0');
    return 0;
}

/* ISO 7064, MOD 97-10: the first four bytes count last. */
bool redact_is_iban(struct slice text)
{
    unsigned rest = 0;

    if (text.len < 5 || text.len > IBAN_MAX || iban_length(text.data) != text.len)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[(i + 4) % text.len];

        rest = redact_is_digit(c) ? rest * 10 + (unsigned)(c - '0')
                                  : rest * 100 + (unsigned)(c - 'A') + 10;
        rest %= 97;
    }
    return rest == 1;
}

/* `at`: the first check digit, behind two capitals. In groups of four, too. */
static bool find_iban(struct slice text, size_t at, struct redact_hit *hit)
{
    uint8_t plain[IBAN_MAX];
    size_t from, len, count = 0;

    if (at < 2 || !redact_is_upper(text.data[at - 1]) || !redact_is_upper(text.data[at - 2]))
        return false;
    from = at - 2;
    len = iban_length(text.data + from);
    if (len == 0 || (from > 0 && redact_is_alnum(text.data[from - 1])))
        return false;
    for (at = from; count < len; at++) {
        uint8_t c = redact_byte(text, at);

        if (redact_is_digit(c) || redact_is_upper(c))
            plain[count++] = c;
        else if (c != ' ' || count % 4 != 0)
            return false;
    }
    *hit = (struct redact_hit){from, at, REDACT_IBAN};
    return !redact_is_alnum(redact_byte(text, at)) && redact_is_iban(slice_make(plain, count));
}

/* ---- addresses ---- */

static bool find_ipv4(struct slice text, size_t from, struct redact_hit *hit)
{
    size_t at = from;

    for (int part = 0; part < 4; part++) {
        unsigned n = 0;
        size_t begin;

        if (part > 0 && !take_byte(text, &at, '.'))
            return false;
        begin = at;
        for (; is_digit_at(text, at) && at - begin < 4; at++)
            n = n * 10 + (unsigned)(text.data[at] - '0');
        if (at == begin || n > 255)
            return false;
    }
    *hit = (struct redact_hit){from, at, REDACT_IPV4};
    return ends(text, at) && redact_byte(text, at) != '_';
}

static bool is_of_ipv6(uint8_t c)
{
    return redact_is_digit(c) || (uint8_t)((c | 0x20) - 'a') < 6 || c == ':' || c == '.';
}

/* `at`: its first colon. */
bool redact_find_ipv6(struct slice text, size_t at, struct redact_hit *hit)
{
    char copy[IPV6_TEXT + 1];
    struct in6_addr address;
    size_t from = at, to = at;

    while (from > 0 && at - from < 5 && text.data[from - 1] != ':' &&
           is_of_ipv6(text.data[from - 1]))
        from--;
    while (to < text.len && to - from <= IPV6_TEXT && is_of_ipv6(text.data[to]))
        to++;
    while (to > at + 2 &&
           (text.data[to - 1] == '.' || (text.data[to - 1] == ':' && text.data[to - 2] != ':')))
        to--;
    if (to - from > IPV6_TEXT || to - from < 3 || redact_is_alnum(redact_byte(text, to)) ||
        redact_byte(text, to) == '_' ||
        (from > 0 && (redact_is_alnum(text.data[from - 1]) || text.data[from - 1] == '_')))
        return false;
    memcpy(copy, text.data + from, to - from);
    copy[to - from] = '\0';
    *hit = (struct redact_hit){from, to, REDACT_IPV6};
    return inet_pton(AF_INET6, copy, &address) == 1;
}

static bool is_hex(uint8_t c)
{
    return redact_is_digit(c) || (uint8_t)((c | 0x20) - 'a') < 6;
}

/* `at`: its first dash. */
bool redact_find_uuid(struct slice text, size_t at, struct redact_hit *hit)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t from = at - 8;

    if (at < 8 || text.len - from < sizeof(form) - 1)
        return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == '-' ? text.data[from + i] != '-' : !is_hex(text.data[from + i]))
            return false;
    *hit = (struct redact_hit){from, from + sizeof(form) - 1, REDACT_UUID};
    return !redact_is_alnum(redact_byte(text, hit->to)) &&
           !(from > 0 && redact_is_alnum(text.data[from - 1]));
}

bool redact_find_number(const struct redact *r, struct slice text, size_t at,
                        struct redact_hit *hit)
{
    if (redact_is_on(r, REDACT_IBAN) && find_iban(text, at, hit))
        return true;
    if (!begins(text, at))
        return false;
    return (redact_is_on(r, REDACT_CARD) && find_card(text, at, hit)) ||
           (redact_is_on(r, REDACT_SSN) && find_ssn(text, at, hit)) ||
           (redact_is_on(r, REDACT_PHONE) && find_nanp(text, at, hit)) ||
           (redact_is_on(r, REDACT_IPV4) && find_ipv4(text, at, hit));
}
