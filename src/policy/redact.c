/* What is redacted and how: the rules, their names, the patterns that were given. */
#include "policy/redact_parts.h"

#include <stdlib.h>
#include <strings.h>

#include <openssl/crypto.h>

enum {
    TEXT_MAX = 64 << 20, /* what is left of a span */
    NAME_MAX_LEN = 64,
};

static const struct {
    const char *name;
    enum redact_action action;
} built_in[REDACT_BUILT_IN] = {
    [REDACT_KEY] = {"key", REDACT_TO_MASK},
    [REDACT_ASSIGNMENT] = {"assignment", REDACT_TO_MASK},
    [REDACT_URL] = {"url", REDACT_TO_MASK},
    [REDACT_AUTH] = {"authorization", REDACT_TO_MASK},
    [REDACT_JWT] = {"jwt", REDACT_TO_MASK},
    [REDACT_AWS_KEY] = {"aws_key", REDACT_TO_MASK},
    [REDACT_GITHUB] = {"github", REDACT_TO_MASK},
    [REDACT_SLACK] = {"slack", REDACT_TO_MASK},
    [REDACT_STRIPE] = {"stripe", REDACT_TO_MASK},
    [REDACT_GOOGLE] = {"google", REDACT_TO_MASK},
    [REDACT_PEM] = {"pem", REDACT_TO_MASK},
    [REDACT_EMAIL] = {"email", REDACT_TO_MASK},
    [REDACT_PHONE] = {"phone", REDACT_TO_MASK},
    [REDACT_CARD] = {"card", REDACT_TO_MASK},
    [REDACT_SSN] = {"ssn", REDACT_TO_MASK},
    [REDACT_IBAN] = {"iban", REDACT_TO_MASK},
    [REDACT_IPV4] = {"ipv4", REDACT_OFF},
    [REDACT_IPV6] = {"ipv6", REDACT_OFF},
    [REDACT_UUID] = {"uuid", REDACT_OFF},
    [REDACT_SQL] = {"sql", REDACT_TO_MASK},
    [REDACT_COMMAND] = {"command", REDACT_TO_MASK},
    [REDACT_BIND] = {"sql_parameter", REDACT_TO_DROP},
};

const char *redact_rule_name(enum redact_rule rule)
{
    return built_in[rule].name;
}

enum redact_action redact_default(enum redact_rule rule)
{
    return built_in[rule].action;
}

const char *redact_name(const struct redact *r, unsigned rule)
{
    return rule < REDACT_BUILT_IN ? built_in[rule].name : r->own[rule - REDACT_OWN].name;
}

/* ---- anchors ---- */

static void add_anchors(struct redact *r, const char *bytes, enum redact_anchor anchor)
{
    for (; *bytes; bytes++)
        r->anchors[(uint8_t)*bytes] |= (uint16_t)anchor;
}

static bool any_on(const struct redact *r, unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++)
        if (redact_is_on(r, i))
            return true;
    return false;
}

static void set_anchors(struct redact *r)
{
    memset(r->anchors, 0, sizeof(r->anchors));
    if (redact_is_on(r, REDACT_EMAIL))
        add_anchors(r, "@%", ANCHOR_AT);
    if (any_on(r, REDACT_PHONE, REDACT_IPV4))
        add_anchors(r, "0123456789", ANCHOR_DIGIT);
    if (redact_is_on(r, REDACT_PHONE))
        add_anchors(r, "+(", ANCHOR_PHONE);
    if (any_on(r, REDACT_JWT, REDACT_PEM))
        add_anchors(r, "A_-J", ANCHOR_PREFIX);
    if (redact_is_on(r, REDACT_AUTH))
        add_anchors(r, " ", ANCHOR_SCHEME);
    if (redact_is_on(r, REDACT_URL))
        add_anchors(r, ":", ANCHOR_URL);
    if (redact_is_on(r, REDACT_ASSIGNMENT))
        add_anchors(r, "=:", ANCHOR_ASSIGN);
    if (redact_is_on(r, REDACT_IPV6))
        add_anchors(r, ":", ANCHOR_IPV6);
    if (redact_is_on(r, REDACT_UUID))
        add_anchors(r, "-", ANCHOR_UUID);
}

/* What is known of keys may be wrong now. */
static void forget_keys(struct redact *r)
{
    memset(r->seen, 0, sizeof(r->seen));
}

void redact_set(struct redact *r, unsigned rule, enum redact_action action, unsigned keep)
{
    if (rule == REDACT_KEY)
        r->no_names = action == REDACT_OFF;
    /* keys that were named are secret in any case */
    r->rules[rule].action =
        rule == REDACT_KEY && action == REDACT_OFF ? REDACT_TO_MASK : (uint8_t)action;
    r->rules[rule].keep = (uint8_t)(keep < REDACT_LAST_MAX ? keep : REDACT_LAST_MAX);
    set_anchors(r);
    forget_keys(r);
}

/* ---- making ---- */

struct redact *redact_new(void)
{
    struct redact *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    for (unsigned i = 0; i < REDACT_BUILT_IN; i++)
        r->rules[i].action = (uint8_t)built_in[i].action;
    for (unsigned i = REDACT_OWN; i < REDACT_RULES; i++)
        r->rules[i].action = REDACT_TO_MASK;
    set_anchors(r);
    redact_learn_names(r);
    buf_init(&r->passes[0], TEXT_MAX, NULL);
    buf_init(&r->passes[1], TEXT_MAX, NULL);
    buf_init(&r->edits, TEXT_MAX, NULL);
    buf_init(&r->fields, TEXT_MAX, NULL);
    buf_init(&r->left, TEXT_MAX, NULL);
    return r;
}

static void free_patterns(struct redact_patterns *p)
{
    for (size_t i = 0; i < p->count; i++)
        free((void *)(uintptr_t)p->list[i].data);
}

void redact_free(struct redact *r)
{
    if (!r)
        return;
    free_patterns(&r->keys);
    free_patterns(&r->ignored);
    for (size_t i = 0; i < r->own_count; i++) {
        free(r->own[i].name);
        regex_free(r->own[i].regex);
    }
    for (size_t i = 0; i < r->allowed_count; i++)
        regex_free(r->allowed[i]);
    OPENSSL_cleanse(r->hmac_key, sizeof(r->hmac_key));
    buf_fini(&r->passes[0]);
    buf_fini(&r->passes[1]);
    buf_fini(&r->edits);
    buf_fini(&r->fields);
    buf_fini(&r->left);
    free(r);
}

/* ---- patterns ---- */

static enum err add_glob(struct redact_patterns *p, struct slice glob, struct err_info *info)
{
    uint8_t *copy;

    if (p->count == REDACT_KEYS_MAX)
        return err_fail(info, ERR_FULL, "at most %d patterns of keys", REDACT_KEYS_MAX);
    copy = malloc(glob.len + 1);
    if (!copy)
        return err_fail(info, ERR_FULL, "no memory for a pattern");
    for (size_t i = 0; i < glob.len; i++)
        copy[i] = redact_lower(glob.data[i]);
    p->list[p->count++] = slice_make(copy, glob.len);
    return ERR_OK;
}

enum err redact_add_key(struct redact *r, struct slice glob, struct err_info *info)
{
    forget_keys(r);
    return add_glob(&r->keys, glob, info);
}

enum err redact_ignore_key(struct redact *r, struct slice glob, struct err_info *info)
{
    forget_keys(r);
    return add_glob(&r->ignored, glob, info);
}

enum err redact_add_value(struct redact *r, struct slice name, struct slice pattern, unsigned *rule,
                          struct err_info *info)
{
    size_t i = r->own_count;
    enum err e;

    if (i == REDACT_OWN_MAX)
        return err_fail(info, ERR_FULL, "at most %d patterns of values", REDACT_OWN_MAX);
    e = regex_new(pattern, &r->own[i].regex, info);
    if (e)
        return e;
    r->own[i].name =
        strndup((const char *)name.data, name.len < NAME_MAX_LEN ? name.len : NAME_MAX_LEN);
    if (!r->own[i].name) {
        regex_free(r->own[i].regex);
        return err_fail(info, ERR_FULL, "no memory for a pattern");
    }
    r->own_count++;
    *rule = REDACT_OWN + (unsigned)i;
    return ERR_OK;
}

enum err redact_allow_value(struct redact *r, struct slice pattern, struct err_info *info)
{
    enum err e;

    if (r->allowed_count == REDACT_OWN_MAX)
        return err_fail(info, ERR_FULL, "at most %d patterns of values", REDACT_OWN_MAX);
    e = regex_new(pattern, &r->allowed[r->allowed_count], info);
    if (!e)
        r->allowed_count++;
    return e;
}

enum err redact_set_hmac_key(struct redact *r, struct slice key, struct err_info *info)
{
    if (key.len > sizeof(r->hmac_key))
        return err_fail(info, ERR_CONFIG, "a key has at most %zu bytes", sizeof(r->hmac_key));
    memcpy(r->hmac_key, key.data, key.len);
    r->hmac_key_len = key.len;
    return ERR_OK;
}

void redact_thoroughly(struct redact *r)
{
    r->is_thorough = true;
}

void redact_on_look(struct redact *r, void (*look)(void *arg), void *arg)
{
    r->look = look;
    r->look_arg = arg;
}

void redact_hold_look(struct redact *r, bool hold)
{
    r->is_look_held = hold;
}

bool redact_counts_next(struct redact *r, size_t *at, unsigned *rule, uint64_t *count)
{
    for (; *at < REDACT_RULES; ++*at) {
        if (r->found[*at] == 0)
            continue;
        *rule = (unsigned)*at;
        *count = r->found[*at];
        r->found[(*at)++] = 0;
        return true;
    }
    return false;
}

enum redact_outcome redact_shown(struct redact *r, struct slice text, struct buf *out)
{
    uint64_t found[REDACT_RULES];
    void (*before)(void *arg) = r->look;
    enum redact_outcome outcome;

    memcpy(found, r->found, sizeof(found));
    r->look = NULL;
    outcome = redact_text(r, slice_make(NULL, 0), text, out);
    r->look = before;
    memcpy(r->found, found, sizeof(found));
    return outcome;
}
