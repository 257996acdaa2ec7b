#include "policy/labels.h"

#include "base/err.h"
#include "base/utf8.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_BYTES = 64, POLICY_BYTES = 256 }; /* longer names are cut */

struct label {
    char policy[POLICY_BYTES];
    char reason[LABEL_BYTES + 1];
};

struct labels {
    pthread_mutex_t lock;         /* for adding */
    _Atomic size_t count;         /* labels below it are never written again */
    struct label *all[LABEL_MAX]; /* 0 is "other" of "other", for when the table is full */
};

static struct label *label_new(struct slice policy, struct slice reason)
{
    struct label *label = calloc(1, sizeof(*label));

    if (!label)
        return NULL;
    memcpy(label->policy, policy.data, policy.len);
    memcpy(label->reason, reason.data, reason.len);
    return label;
}

struct labels *labels_new(void)
{
    struct labels *l = calloc(1, sizeof(*l));

    if (!l)
        err_no_memory("labels");
    pthread_mutex_init(&l->lock, NULL);
    l->all[0] = label_new(slice_str("other"), slice_str("other"));
    if (!l->all[0])
        err_no_memory("labels");
    atomic_init(&l->count, 1);
    return l;
}

void labels_free(struct labels *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < atomic_load(&l->count); i++)
        free(l->all[i]);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* `text` as it is kept, in `space` of `max` bytes: valid, up to a NUL, and cut between characters.
 */
static struct slice tidy(struct slice text, char *space, size_t max)
{
    const uint8_t *nul = text.len ? memchr(text.data, 0, text.len) : NULL;
    size_t len = 0;

    if (nul)
        text.len = (size_t)(nul - text.data);
    while (text.len > 0) {
        struct slice piece = utf8_next_valid(&text);

        if (len + piece.len > max)
            break;
        memcpy(space + len, piece.data, piece.len);
        len += piece.len;
    }
    return slice_make((const uint8_t *)space, len);
}

/* The label, or 0; *reasons says how many the policy has. */
static uint16_t find(const struct labels *l, struct slice policy, struct slice reason,
                     size_t *reasons)
{
    size_t count = atomic_load_explicit(&l->count, memory_order_acquire);

    *reasons = 0;
    for (size_t i = 1; i < count; i++) {
        if (!slice_is(policy, l->all[i]->policy))
            continue;
        if (slice_is(reason, l->all[i]->reason))
            return (uint16_t)i;
        (*reasons)++;
    }
    return 0;
}

static uint16_t add(struct labels *l, struct slice policy, struct slice reason)
{
    size_t count = atomic_load_explicit(&l->count, memory_order_relaxed);

    if (count == LABEL_MAX)
        return 0;
    l->all[count] = label_new(policy, reason);
    if (!l->all[count])
        return 0;
    atomic_store_explicit(&l->count, count + 1, memory_order_release);
    return (uint16_t)count;
}

uint16_t labels_intern(struct labels *l, struct slice policy, struct slice reason)
{
    char policy_space[POLICY_BYTES], reason_space[LABEL_BYTES];
    size_t reasons;
    uint16_t label;

    policy = tidy(policy, policy_space, POLICY_BYTES - 1);
    reason = tidy(reason, reason_space, LABEL_BYTES);
    pthread_mutex_lock(&l->lock);
    label = find(l, policy, reason, &reasons);
    if (label == 0 && reasons >= LABEL_REASONS_PER_POLICY) {
        reason = slice_str("other");
        label = find(l, policy, reason, &reasons);
    }
    if (label == 0)
        label = add(l, policy, reason);
    pthread_mutex_unlock(&l->lock);
    return label;
}

const char *labels_policy(const struct labels *l, uint16_t label)
{
    assert(label < labels_count(l));
    return l->all[label]->policy;
}

const char *labels_reason(const struct labels *l, uint16_t label)
{
    assert(label < labels_count(l));
    return l->all[label]->reason;
}

size_t labels_count(const struct labels *l)
{
    return atomic_load_explicit(&l->count, memory_order_acquire);
}
