/* What can be told of a text by one look at its bytes: which kinds of secrets it can't hold. Most
 * texts hold none, and are done with here. */
#include "policy/redact_parts.h"

enum {
    PREFIXED_MIN = 11, /* bytes of the shortest: "-----BEGIN " */
    IBAN_MIN = 15,
    UUID_LEN = 36,
    NUMBER_MIN = 9,      /* digits of a card, a social security number, a phone without '+' */
    PLUS_NUMBER_MIN = 8, /* with it */
    IPV4_MIN = 4,
};

enum byte_is {
    IS_AT = 1 << 0,
    IS_PERCENT = 1 << 1,
    IS_PLUS = 1 << 2,
    IS_OPEN = 1 << 3,
    IS_SPACE = 1 << 4,
    IS_COLON = 1 << 5,
    IS_EQUAL = 1 << 6,
    IS_DASH = 1 << 7,
    IS_PREFIX = 1 << 8, /* what else ANCHOR_PREFIX has */
    IS_UPPER = 1 << 9,
    IS_DIGIT = 1 << 10,
};

#define DIGIT_COUNT_SHIFT 16 /* above the kinds: 1 for a digit */
#define DIGIT             (IS_DIGIT | 1U << DIGIT_COUNT_SHIFT)

static const uint32_t kinds[256] = {
    ['@'] = IS_AT,
    ['%'] = IS_PERCENT,
    ['+'] = IS_PLUS,
    ['('] = IS_OPEN,
    [' '] = IS_SPACE,
    [':'] = IS_COLON,
    ['='] = IS_EQUAL,
    ['-'] = IS_DASH,
    ['_'] = IS_PREFIX,
    ['A'] = IS_PREFIX | IS_UPPER,
    ['B' ... 'I'] = IS_UPPER,
    ['J'] = IS_PREFIX | IS_UPPER,
    ['K' ... 'Z'] = IS_UPPER,
    ['0' ... '9'] = DIGIT,
};

/* Digits, and what stands between those of one number. */
static bool is_of_number(uint8_t c)
{
    return redact_is_digit(c) || c == ' ' || c == '-' || c == '.' || c == '(' || c == ')';
}

/* The most digits that one number could have. */
static unsigned longest_number(struct slice text)
{
    unsigned digits = 0, most = 0;

    for (size_t i = 0; i < text.len; i++) {
        digits = is_of_number(text.data[i]) ? digits + redact_is_digit(text.data[i]) : 0;
        most = digits > most ? digits : most;
    }
    return most;
}

static unsigned numbers_possible(const struct redact *r, struct slice text, unsigned is,
                                 unsigned digits)
{
    unsigned least = is & IS_PLUS ? PLUS_NUMBER_MIN : NUMBER_MIN;
    unsigned longest = digits < least ? digits : longest_number(text);
    unsigned possible = 0;

    if (longest >= NUMBER_MIN || ((is & IS_UPPER) && text.len >= IBAN_MIN) ||
        (redact_is_on(r, REDACT_IPV4) && digits >= IPV4_MIN))
        possible |= ANCHOR_DIGIT;
    if ((is & (IS_PLUS | IS_OPEN)) && longest >= least)
        possible |= ANCHOR_PHONE;
    return possible;
}

unsigned redact_possible(const struct redact *r, struct slice text)
{
    unsigned possible = 0;
    uint32_t is = 0, digits = 0;

    if (r->is_thorough)
        return ~0U;
    for (size_t i = 0; i < text.len; i++) {
        is |= kinds[text.data[i]];
        digits += kinds[text.data[i]] >> DIGIT_COUNT_SHIFT;
    }
    if (is & (IS_AT | IS_PERCENT))
        possible |= ANCHOR_AT;
    if (is & IS_DIGIT)
        possible |= numbers_possible(r, text, is, digits);
    if ((is & (IS_PREFIX | IS_DASH)) && text.len >= PREFIXED_MIN)
        possible |= ANCHOR_PREFIX;
    if (is & IS_SPACE)
        possible |= ANCHOR_SCHEME;
    if (is & (IS_COLON | IS_EQUAL))
        possible |= ANCHOR_ASSIGN;
    if (is & IS_COLON)
        possible |= ANCHOR_IPV6;
    if ((is & IS_COLON) && (is & IS_AT))
        possible |= ANCHOR_URL;
    if ((is & IS_DASH) && text.len >= UUID_LEN)
        possible |= ANCHOR_UUID;
    return possible;
}
