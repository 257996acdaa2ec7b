/* The body of a FRAME_NAMES: three counts, then strings, each behind its length in two bytes:
 * policy and reason of each label, exporters, policies, the configuration's hash. */
#include "journal/entry.h"

#include <stdlib.h>

enum { MAX_LABELS = 1 << 16, MAX_EXPORTERS = 64 };

struct names_head {
    uint32_t labels;
    uint16_t exporters, policies;
};

static size_t names_exporters(const struct journal_names *names)
{
    return atomic_load_explicit(&names->exporter_count, memory_order_acquire);
}

size_t names_count(const struct journal_names *names)
{
    return names->labels(names->arg) + names_exporters(names);
}

static void put_text(struct buf *to, const char *text)
{
    size_t len = text ? strnlen(text, UINT16_MAX) : 0;
    uint16_t stored = (uint16_t)len;

    buf_append(to, &stored, sizeof(stored));
    buf_append(to, text, len);
}

static size_t at_most(size_t n, size_t max)
{
    return n < max ? n : max;
}

bool names_write(struct buf *to, const struct journal_names *names)
{
    struct names_head head = {
        .labels = (uint32_t)at_most(names->labels(names->arg), MAX_LABELS),
        .exporters = (uint16_t)at_most(names_exporters(names), MAX_EXPORTERS),
        .policies = (uint16_t)at_most(names->policy_count, ENTRY_MAX_VOTES),
    };

    buf_append(to, &head, sizeof(head));
    for (uint32_t i = 0; i < head.labels; i++) {
        const char *policy = NULL, *reason = NULL;

        names->label(names->arg, (uint16_t)i, &policy, &reason);
        put_text(to, policy);
        put_text(to, reason);
    }
    for (size_t i = 0; i < head.exporters; i++)
        put_text(to, names->exporters[i]);
    for (size_t i = 0; i < head.policies; i++)
        put_text(to, names->policies[i]);
    put_text(to, names->config_hash);
    return buf_ok(to);
}

/* Strings move from `body` to `text`, which is as long: each has a NUL where it had a length. */
struct texts {
    struct slice body;
    size_t at;
    char *text;
    bool bad; /* what was read is not all there */
};

static const char *take_text(struct texts *t)
{
    char *text = t->text;
    uint16_t len;

    if (t->bad || t->body.len - t->at < sizeof(len))
        goto bad;
    memcpy(&len, t->body.data + t->at, sizeof(len));
    t->at += sizeof(len);
    if (t->body.len - t->at < len)
        goto bad;
    memcpy(text, t->body.data + t->at, len);
    text[len] = '\0';
    t->at += len;
    t->text += len + 1;
    return text;
bad:
    t->bad = true;
    return "";
}

static enum err names_alloc(struct slice body, const struct names_head *head, struct names_read *n)
{
    if (head->exporters > MAX_EXPORTERS || head->policies > ENTRY_MAX_VOTES ||
        head->labels > MAX_LABELS || head->labels > body.len / (2 * sizeof(uint16_t)))
        return ERR_PARSE;
    n->text = malloc(body.len);
    n->labels = calloc(head->labels ? head->labels : 1, sizeof(*n->labels));
    if (n->text && n->labels)
        return ERR_OK;
    names_free(n);
    return ERR_FULL;
}

enum err names_read(struct slice body, struct names_read *n)
{
    struct names_head head;
    struct texts texts = {.body = body, .at = sizeof(head)};
    enum err err;

    *n = (struct names_read){0};
    if (body.len < sizeof(head))
        return ERR_PARSE;
    memcpy(&head, body.data, sizeof(head));
    err = names_alloc(body, &head, n);
    if (err)
        return err;
    texts.text = n->text;
    for (; n->label_count < head.labels && !texts.bad; n->label_count++) {
        n->labels[n->label_count].policy = take_text(&texts);
        n->labels[n->label_count].reason = take_text(&texts);
    }
    for (; n->exporter_count < head.exporters; n->exporter_count++)
        n->exporters[n->exporter_count] = take_text(&texts);
    for (; n->policy_count < head.policies; n->policy_count++)
        n->policies[n->policy_count] = take_text(&texts);
    n->config_hash = take_text(&texts);
    if (!texts.bad)
        return ERR_OK;
    names_free(n);
    return ERR_PARSE;
}

void names_free(struct names_read *n)
{
    free(n->labels);
    free(n->text);
    *n = (struct names_read){0};
}
