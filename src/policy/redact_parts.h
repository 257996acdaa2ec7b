/* redact_parts.h: the inside of redact: rules, what a finder is. Internal to policy/redact_*.c. */
#pragma once

#include "policy/redact.h"
#include "policy/regex.h"

/* A secret in a text. */
struct redact_hit {
    size_t from, to;
    unsigned rule;
};

/* Why a byte of a text is worth a look. */
enum redact_anchor {
    ANCHOR_AT = 1 << 0,     /* '@', "%40" */
    ANCHOR_DIGIT = 1 << 1,  /* numbers */
    ANCHOR_PHONE = 1 << 2,  /* '+', '(' */
    ANCHOR_PREFIX = 1 << 3, /* 'A' '_' '-' 'J': tokens with a known beginning */
    ANCHOR_SCHEME = 1 << 4, /* ' ' behind Bearer, Basic */
    ANCHOR_URL = 1 << 5,    /* ':' of "://" */
    ANCHOR_ASSIGN = 1 << 6, /* '=', ':' */
    ANCHOR_IPV6 = 1 << 7,   /* ':' */
    ANCHOR_UUID = 1 << 8,   /* '-' */
};

/* What the key of a text says about it. */
enum redact_place {
    PLACE_TEXT,
    PLACE_IGNORED,
    PLACE_SECRET,    /* all of it */
    PLACE_BIND,      /* a parameter of a statement */
    PLACE_QUERY,     /* of a URL, without its '?' */
    PLACE_STATEMENT, /* SQL, or what the database's system takes */
};

/* How a database's statements are written. */
struct redact_dialect {
    enum { STATEMENT_SQL, STATEMENT_COMMAND, STATEMENT_JSON } is;
    bool double_is_string; /* "..." is a literal, not a name */
    bool backslash;        /* escapes within '...' */
    bool hash_comment;     /* # to the end of the line */
    bool brackets;         /* [name] */
    bool dollar;           /* $tag$...$tag$ */
    bool nested;           /* comments nest */
    bool unsure;           /* whether a backslash escapes */
};

/* A key, and what it says: the same few come with every span. */
enum { REDACT_SEEN_KEYS = 256, REDACT_SEEN_BYTES = 46 };
struct redact_seen_key {
    uint8_t len; /* 0: none */
    uint8_t place;
    uint8_t text[REDACT_SEEN_BYTES];
};

struct redact_patterns {
    struct slice list[REDACT_KEYS_MAX]; /* lower case; owned */
    size_t count;
};

struct redact {
    struct {
        uint8_t action, keep;
    } rules[REDACT_RULES];
    uint16_t anchors[256]; /* enum redact_anchor, of the rules that are on */
    struct redact_patterns keys, ignored;
    bool no_names; /* no key is secret by itself */
    bool is_thorough;
    uint32_t last_pairs[26]; /* of names: redact_learn_names */
    struct redact_seen_key seen[REDACT_SEEN_KEYS];
    struct {
        char *name;
        struct regex *regex;
    } own[REDACT_OWN_MAX];
    size_t own_count;
    struct regex *allowed[REDACT_OWN_MAX];
    size_t allowed_count;
    uint8_t hmac_key[REDACT_HMAC_KEY_MAX];
    size_t hmac_key_len;
    struct buf passes[2], edits, fields, left; /* scratch */
    uint64_t found[REDACT_RULES];
    void (*look)(void *arg);
    void *look_arg;
    bool is_look_held;
    unsigned steps; /* since the last look */
};

/* ---- bytes ---- */

static inline bool redact_is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

static inline bool redact_is_upper(uint8_t c)
{
    return (uint8_t)(c - 'A') < 26;
}

static inline bool redact_is_alnum(uint8_t c)
{
    return redact_is_digit(c) || (uint8_t)((c | 0x20) - 'a') < 26;
}

static inline uint8_t redact_lower(uint8_t c)
{
    return redact_is_upper(c) ? c | 0x20 : c;
}

/* The byte at `at`, or 0 outside. */
static inline uint8_t redact_byte(struct slice text, size_t at)
{
    return at < text.len ? text.data[at] : 0;
}

static inline struct slice redact_part(struct slice text, size_t from, size_t to)
{
    return slice_make(text.data + from, to - from);
}

static inline bool redact_is_on(const struct redact *r, unsigned rule)
{
    return r->rules[rule].action != REDACT_OFF;
}

/* Whether `text` has `word`, in lower case, at `at`, in any case. */
bool redact_word_at(struct slice text, size_t at, const char *word);

/* Every step of a loop that a text can make long. */
static inline void redact_step(struct redact *r)
{
    if (++r->steps >= 4096) {
        r->steps = 0;
        if (r->look && !r->is_look_held)
            r->look(r->look_arg);
    }
}

/* The anchors (enum redact_anchor) of `text` that can lead to a secret: at no other is there one.
 */
unsigned redact_possible(const struct redact *r, struct slice text);

/* ---- finders: a secret around an anchor. False: none ---- */

bool redact_find_email(struct slice text, size_t at, struct redact_hit *hit);
/* `at`: the first digit of a run. */
bool redact_find_number(const struct redact *r, struct slice text, size_t at,
                        struct redact_hit *hit);
bool redact_find_phone(struct slice text, size_t at, struct redact_hit *hit);
bool redact_find_ipv6(struct slice text, size_t at, struct redact_hit *hit);
bool redact_find_uuid(struct slice text, size_t at, struct redact_hit *hit);
/* Tokens, JWTs, PEM blocks. */
bool redact_find_prefixed(const struct redact *r, struct slice text, size_t at,
                          struct redact_hit *hit);
bool redact_find_scheme(struct slice text, size_t at, struct redact_hit *hit);
bool redact_find_userinfo(struct slice text, size_t at, struct redact_hit *hit);
bool redact_find_assignment(const struct redact *r, struct slice text, size_t at,
                            enum redact_place place, struct redact_hit *hit);
/* A card's number as an integer. */
bool redact_is_card(struct slice digits);
bool redact_is_iban(struct slice text);

/* ---- keys ---- */

/* Once, before the first key. */
void redact_learn_names(struct redact *r);
enum redact_place redact_place_of(struct redact *r, struct slice key);

/* ---- values ---- */

/* "****", "hmac:...", "****1234" of at most `keep`. */
bool redact_is_done(struct slice text, unsigned keep);
/* Appends what stands for `secret`; counts it. GONE: nothing does. SAME: it stays. */
enum redact_outcome redact_replace(struct redact *r, unsigned rule, struct slice secret,
                                   struct buf *out);
/* As redact_text, of a text whose place is known. */
enum redact_outcome redact_in_place(struct redact *r, enum redact_place place,
                                    const struct redact_dialect *dialect, struct slice text,
                                    struct buf *out);

/* ---- edits: what is written anew of a message (redact_edits.c) ---- */

/* In the order in which they were added, which is that of the message. */
size_t redact_edit_count(const struct redact *r);
/* The field [from, to), tag and all, becomes field `number` with `content`; NULL: nothing. False:
 * no memory. */
bool redact_edit_add(struct redact *r, const uint8_t *from, const uint8_t *to, uint32_t number,
                     const struct slice *content);
/* Forgets all but the first `count`. */
void redact_edits_forget(struct redact *r, size_t count);
/* Appends the message with its edits, without its fields `left_out` (0: with all). */
void redact_edits_write(const struct redact *r, struct slice message, uint32_t left_out,
                        struct buf *out);

/* ---- parts of a body ---- */

/* What becomes of a Resource and of an InstrumentationScope, as redact_span. */
enum redact_outcome redact_resource_message(struct redact *r, struct slice resource,
                                            struct buf *out);
enum redact_outcome redact_scope_message(struct redact *r, struct slice scope, struct buf *out);

/* ---- statements ---- */

/* system: db.system.name; empty: unknown. */
struct redact_dialect redact_dialect_of(struct slice system);
/* Appends the statement without its literals; false: it is the same. */
bool redact_statement(struct redact *r, const struct redact_dialect *d, struct slice text,
                      struct buf *out);
